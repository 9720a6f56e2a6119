-- Nothing lost, same bits: runs that are killed or stopped end as the undisturbed one.

local core = require "asl.core"
local fs = require "asl.fs"
local program = require "spec.support.program"
local trial = require "spec.support.trial"

local KILLS = 20

describe("a run", function()
  local dir, whole, seconds, truth
  local count = 0

  local function new_runs()
    count = count + 1
    return ("%s/%d"):format(dir, count)
  end

  setup(function()
    dir = fs.temp_dir()
    local began = core.monotonic()
    whole = trial.run(new_runs(), {})
    seconds = core.monotonic() - began
    assert(whole.code == 0, whole.err)
    truth = trial.truth(whole.path)
  end)
  teardown(function() fs.remove_tree(dir) end)

  it("done again has the same bits", function()
    assert.same(truth, trial.truth(trial.run(new_runs(), {}).path))
  end)

  local function killed_run_path()
    local runs = new_runs()
    local when = trial.until_there(runs .. "/tiny/*/ckpt/step-0000000002.ckpt")
    assert.equal(137, trial.interrupt({ trial.TINY, "--runs", runs }, "KILL", when).code)
    return trial.path(runs)
  end

  -- One run, killed up to `most` times at random moments, then gone on with to its end.
  local function killed_run(most, random)
    local runs, killed = new_runs(), 0
    local finished
    while killed < most and not finished do
      local path = trial.path(runs)
      local arguments = path and { "resume", path } or { trial.TINY, "--runs", runs }
      local result = trial.interrupt(arguments, "KILL", ("sleep %.3f"):format(seconds * (0.1 + 0.6 * random())))
      finished = result.code == 0
      if not finished then
        assert.equal(137, result.code, result.err)
        killed = killed + 1
      end
    end
    local path = trial.path(runs)
    if not path then return killed end -- killed before there was anything of it
    if not finished then
      local last = trial.resume(path)
      assert.equal(0, last.code, last.err)
    end
    assert.same(truth, trial.truth(path))
    return killed
  end

  it("killed at " .. KILLS .. " random moments and resumed ends with the same bytes", function()
    local state = math.floor(core.now() * 1000) % 0x7fffffff
    local function random()
      state = (state * 48271) % 0x7fffffff
      return state / 0x7fffffff
    end
    local killed = 0
    while killed < KILLS do killed = killed + killed_run(math.min(7, KILLS - killed), random) end
  end)

  for _, signal in ipairs { "TERM", "INT" } do
    it("stopped by SIG" .. signal .. " saves, exits with 75, and ends with the same bytes", function()
      local runs = new_runs()
      local when = trial.until_there(runs .. "/tiny/*/ckpt/step-0000000002.ckpt")
      local result = trial.interrupt({ trial.TINY, "--runs", runs }, signal, when)
      assert.equal(75, result.code, result.err)
      local path = trial.path(runs)
      local step = result.err:match("asl: stopped by SIG" .. signal .. "; saved at update (%d+)\n")
      assert.is_true(tonumber(step) >= 2 and tonumber(step) <= 12)
      assert.is_truthy(fs.stat(("%s/ckpt/step-%010d.ckpt"):format(path, step)))
      assert.matches("hint: go on with: asl resume " .. path:gsub("%p", "%%%0"), result.err)
      assert.equal("preempted", trial.status(path).state)
      local resumed = trial.resume(path)
      assert.equal(0, resumed.code, resumed.err)
      assert.same(truth, trial.truth(path))
    end)
  end

  it("that is done can be resumed without changing", function()
    assert.equal(0, trial.resume(whole.path).code)
    assert.same(truth, trial.truth(whole.path))
  end)

  it("killed while it wrote leaves no half of a file", function()
    local path = killed_run_path()
    local left = { "status.json", "code/tiny.lua", "ckpt/step-0000000004.ckpt", "pictures/test1-1-image-000000.png" }
    for _, file in ipairs(left) do fs.write(("%s/%s.tmp-123"):format(path, file), "half") end
    assert.equal(0, trial.resume(path).code)
    for _, file in ipairs(left) do assert.is_nil(fs.stat(("%s/%s.tmp-123"):format(path, file))) end
    assert.same(truth, trial.truth(path))
  end)

  it("compared with others can be killed between and within them", function()
    local overrides = { "compare=naive,replay", "updates=4" }
    local reference = trial.run(new_runs(), overrides)
    assert.equal(0, reference.code, reference.err)
    local runs = new_runs()
    local when = trial.until_there(runs .. "/tiny/*/replay/ckpt/*.ckpt")
    assert.equal(137, trial.interrupt({ trial.TINY, "--runs", runs, table.unpack(overrides) }, "KILL", when).code)
    local path = trial.path(runs)
    local resumed = trial.resume(path)
    assert.equal(0, resumed.code, resumed.err)
    assert.equal(fs.read(reference.path .. "/summary.json"), fs.read(path .. "/summary.json"))
    for _, name in ipairs { "naive", "replay" } do
      assert.same(trial.truth(reference.path .. "/" .. name), trial.truth(path .. "/" .. name))
    end
  end)
end)

describe("a run that is resumed", function()
  local dir, script

  -- A copy of the tiny experiment, stopped in the middle.
  before_each(function()
    dir = fs.temp_dir()
    script = program.write(dir, "copy.lua", fs.read(trial.TINY))
    local when = trial.until_there(dir .. "/runs/tiny/*/ckpt/step-0000000002.ckpt")
    assert.equal(75, trial.interrupt({ script, "--runs", dir .. "/runs", "updates=40" }, "TERM", when).code)
  end)
  after_each(function() fs.remove_tree(dir) end)

  it("with other code is refused with 77", function()
    program.write(dir, "copy.lua", fs.read(trial.TINY) .. "-- changed\n")
    local result = trial.resume(trial.path(dir .. "/runs"))
    assert.equal(77, result.code)
    assert.matches("^asl: manifest mismatch: code has changed since .* began: script\nhint: the code it began with is in ",
      result.err)
  end)

  it("with other code in a module that is loaded later is refused with 77", function()
    local path = trial.path(dir .. "/runs")
    local text = fs.read(path .. "/manifest.json")
    local digest = core.sha256(fs.read "lua/asl/strategy/replay.lua")
    assert.is_truthy(text:find(digest, 1, true))
    fs.write(path .. "/manifest.json", (text:gsub(digest, ("0"):rep(64)))) -- as if it had been another file then
    local result = trial.resume(path)
    assert.equal(77, result.code)
    assert.matches("code has changed since .* began: asl%.strategy%.replay\n", result.err)
  end)

  it("with other data is refused with 77", function()
    local path = trial.path(dir .. "/runs")
    local text = fs.read(path .. "/manifest.json")
    local digest = text:match '"lab/train": "(%x+)"'
    fs.write(path .. "/manifest.json", (text:gsub(digest, ("0"):rep(64))))
    local result = trial.resume(path)
    assert.equal(77, result.code)
    assert.matches(('manifest mismatch: the data set "lab/train" is %s now and was 0+ when the run began'):format(digest),
      result.err)
  end)
end)
