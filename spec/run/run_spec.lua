local asl = require "asl"
local core = require "asl.core"
local fs = require "asl.fs"
local json = require "asl.json"
local log = require "asl.log"
local run = require "asl.run"

-- Trains nothing: logs numbers that depend on step and state, as a training loop does.
local function work(this, first, last, stop_at)
  local state, step = this:restore()
  local sum = state and state.sum or 0.0
  for i = (step or first - 1) + 1, last do
    sum = sum + 1 / i
    this:log(i, { loss = sum, ["miou/day"] = i / 7 }, { task = i <= 5 and "day" or "dusk" })
    if i % 4 == 0 then
      this:event(i, "evaluated", { task = "day", confusion = { { i, 1 }, { 2, i } } })
      this:checkpoint(i, { sum = sum, weight = asl.tensor { sum, i } })
    end
    this:status { step = i, task = "day" }
    if i == stop_at then return end
  end
  this:checkpoint(last, { sum = sum, weight = asl.tensor { sum, last } })
  this:summary { status = "done", sum = sum, nothing = 0 / 0 }
  this:finish("done")
end

describe("asl.run", function()
  local dir

  before_each(function() dir = fs.temp_dir() end)
  after_each(function() fs.remove_tree(dir) end)

  local function create(more)
    local given = { name = "demo", runs = dir, config = { lr = 0.003, size = { 96, 128 } }, quiet = true }
    for key, value in pairs(more or {}) do
      given[key] = value
    end
    return run.create(given)
  end

  -- What must be the same in two equal runs.
  local function truth(path)
    local files = { log = fs.read(path .. "/log"), summary = fs.read(path .. "/summary.json") }
    for _, name in ipairs(fs.list(path .. "/ckpt")) do
      files[name] = core.sha256(fs.read(path .. "/ckpt/" .. name))
    end
    return files
  end

  it("writes the manifest before anything is logged", function()
    local script = fs.join(dir, "script.lua")
    fs.write(script, "return 1\n")
    local this <close> = create { script = script, argv = { "lr=0.003" } }
    local manifest = json.read(this:file("manifest.json"))
    assert.equal("demo", manifest.name)
    assert.equal(this.id, manifest.id)
    assert.same({ lr = 0.003, size = { 96, 128 } }, manifest.config)
    assert.same({ "lr=0.003" }, manifest.argv)
    assert.equal(fs.realpath(script), manifest.script)
    assert.equal(core.version().version, manifest.environment.version)
    assert.is_nil(fs.stat(this:file("summary.json")))
    assert.equal(0, fs.stat(this:file("log")).size)
    assert.equal("running", json.read(this:file("status.json")).state)
  end)

  it("keeps a copy of the script and of every module by digest", function()
    local script = fs.join(dir, "script.lua")
    fs.write(script, "return 1\n")
    local this <close> = create { script = script }
    this:log(1, { loss = 1 })
    local names = {}
    for _, source in ipairs(json.read(this:file("manifest.json")).code) do
      names[source.name] = true
      assert.equal(source.sha256, core.sha256(fs.read(this:file(source.file))))
    end
    assert.is_true(names.script and names["asl.run"] and names["asl.checkpoint"])
    assert.is_nil(names.busted)
  end)

  it("names data sets until the first record, and holds a resumed run to them", function()
    local this = create()
    this:dataset("rooms/day", "abc")
    this:log(1, { loss = 1 })
    assert.same({ ["rooms/day"] = "abc" }, json.read(this:file("manifest.json")).datasets)
    assert.error_matches(function() this:dataset("rooms/dusk", "abc") end, "was not there when the run began")
    this:close()
    local again <close> = run.open(this.path, { quiet = true })
    again:dataset("rooms/day", "abc")
    local ok, problem = pcall(again.dataset, again, "rooms/day", "xyz")
    assert.is_false(ok)
    assert.matches('manifest mismatch: the data set "rooms/day" is xyz now and was abc', tostring(problem))
    assert.equal(77, problem.exit_code)
  end)

  it("gives two equal runs the same bytes in log, checkpoints and summary", function()
    local first, second = create { id = "first" }, create { id = "second" }
    work(first, 1, 10)
    work(second, 1, 10)
    assert.same(truth(first.path), truth(second.path))
    assert.equal('{\n  "nothing": null,', fs.read(first:file("summary.json")):sub(1, 20))
  end)

  it("ends with the same bytes wherever it was stopped and resumed", function()
    local whole = create { id = "whole" }
    work(whole, 1, 10)
    for _, stop in ipairs { 1, 4, 5, 7, 8, 10 } do
      local this = create { id = "stopped-" .. stop }
      work(this, 1, 10, stop)
      this:close() -- as a killed process would: nothing is said
      work(run.open(this.path, { quiet = true }), 1, 10)
      assert.same(truth(whole.path), truth(this.path))
    end
  end)

  it("cuts off a torn record and goes on", function()
    local whole = create { id = "whole" }
    work(whole, 1, 10)
    local this = create { id = "torn" }
    work(this, 1, 10, 6)
    this:close()
    local bytes = fs.read(this:file("log"))
    fs.write(this:file("log"), bytes:sub(1, -8))
    work(run.open(this.path, { quiet = true }), 1, 10)
    assert.same(truth(whole.path), truth(this.path))
  end)

  it("falls back to the older checkpoint when the newest is damaged, and says so", function()
    local this = create { id = "damaged" }
    work(this, 1, 10, 9)
    this:close()
    local newest = this:file("ckpt/step-0000000008.ckpt")
    fs.write(newest, fs.read(newest):sub(1, -100))
    local said = {}
    local real_stderr = io.stderr
    io.stderr = { write = function(_, ...) said[#said + 1] = table.concat { ... } end } -- luacheck: ignore
    local ok, again = pcall(run.open, this.path)
    io.stderr = real_stderr -- luacheck: ignore
    assert.is_true(ok)
    assert.matches("step%-0000000008.ckpt\" is no valid checkpoint: .*; going on from the checkpoint before it",
      table.concat(said))
    local _, step = again:restore()
    assert.equal(4, step)
    again:close()
  end)

  it("refuses to go on when the log lacks what the checkpoint has seen", function()
    local this = create()
    work(this, 1, 10, 9)
    this:close()
    fs.write(this:file("log"), "")
    assert.error_matches(function() run.open(this.path, { quiet = true }) end, "the log is damaged")
  end)

  it("is written by one process only", function()
    local this = create()
    local ok, problem = pcall(run.open, this.path)
    assert.is_false(ok)
    assert.matches("the run is going on elsewhere: .*locked by process", tostring(problem))
    this:close()
    run.open(this.path, { quiet = true }):close()
  end)

  it("does not go on with other code unless told to", function()
    local script = fs.join(dir, "script.lua")
    fs.write(script, "return 1\n")
    local this = create { script = script }
    this:log(1, { loss = 1 })
    this:close()
    fs.write(script, "return 2\n")
    local ok, problem = pcall(run.open, this.path, { quiet = true })
    assert.is_false(ok)
    assert.matches("manifest mismatch: code has changed since .*: script", tostring(problem))
    assert.equal(77, problem.exit_code)
    run.open(this.path, { quiet = true, accept_changes = true }):close()
  end)

  it("lists runs with what became of them", function()
    work(create { id = "a-done" }, 1, 10)
    create({ id = "b-killed" }):close()
    local running <close> = create { id = "c-running" }
    local failed = create { id = "d-failed" }
    failed:finish("failed", "no space left")
    local states = {}
    for _, entry in ipairs(run.list(dir)) do
      states[entry.id] = entry.state
    end
    assert.same({ ["a-done"] = "done", ["b-killed"] = "killed", ["c-running"] = "running", ["d-failed"] = "failed" },
      states)
    assert.matches("demo/d%-failed +failed .* no space left", run.list_text(dir))
    assert.equal('no runs in "' .. dir .. '/none"', run.list_text(dir .. "/none"))
    assert.equal("c-running", running.id)
  end)

  it("gives every run a directory of its own", function()
    local a <close> = create()
    local b <close> = create()
    assert.are_not.equal(a.path, b.path)
    assert.matches("^%d%d%d%d%d%d%d%d%-%d%d%d%d%d%d%-%x%x%x%x$", a.id)
  end)

  it("does not write into a run that exists", function()
    create({ id = "one" }):close()
    local ok, problem = pcall(create, { id = "one" })
    assert.is_false(ok)
    assert.matches('the run ".*/demo/one" exists', tostring(problem))
  end)

  it("says what is wrong with names, values and steps", function()
    assert.error_matches(function() create { name = "a/b" } end, 'the name "a/b" may hold letters')
    local this <close> = create()
    assert.error_matches(function() this:log(1, { loss = "low" }) end, 'the value of "loss" must be a number, not a string')
    assert.error_matches(function() this:log(1, { loss = 1 }, { tsk = "x" }) end, 'unknown option "tsk"')
    this:checkpoint(5, {})
    assert.error_matches(function() this:checkpoint(4, {}) end, "step 4 comes after step 5")
  end)

  it("says that a directory cannot be written, with exit code 74", function()
    fs.write(fs.join(dir, "file"), "")
    local ok, problem = pcall(create, { runs = fs.join(dir, "file") })
    assert.is_false(ok)
    assert.matches('^cannot begin a run: cannot create the directory ".*Not a directory', tostring(problem))
    assert.equal(74, problem.exit_code)
  end)

  it("loses nothing when the disk is full, and goes on once there is room", function()
    local small = fs.join(dir, "small")
    fs.mkdirs(small)
    if not os.execute(("mount -t tmpfs -o size=2m tmpfs '%s' 2>/dev/null"):format(small)) then
      pending("mounting a tmpfs is not allowed here, so the disk cannot be filled")
      return
    end
    local ok, message = pcall(function()
      local this = create { runs = small }
      this:log(1, { loss = 0.5 })
      this:checkpoint(1, { weight = asl.zeros { 1000 } })
      local saved, problem = pcall(this.checkpoint, this, 2, { weight = asl.zeros { 1000000 } })
      assert.is_false(saved)
      assert.matches('cannot write ".*step%-0000000002.ckpt": No space left on device', tostring(problem))
      assert.equal(74, problem.exit_code)
      local filler = fs.append(fs.join(small, "filler"))
      filler:write(("x"):rep(1 << 20))
      filler:close() -- an open file would keep the disk busy
      for step = 2, 100000 do
        saved, problem = pcall(this.log, this, step, { loss = step })
        if not saved then break end
      end
      assert.is_false(saved)
      assert.matches("No space left on device", tostring(problem))
      this:close()
      assert.is_false(fs.locked(this:file("lock")))
      fs.remove(fs.join(small, "filler"))
      local again <close> = run.open(this.path, { quiet = true })
      local state, step = again:restore()
      assert.equal(1, step)
      assert.equal(1000, state.weight:count())
      assert.same({ loss = 0.5 }, log.read(again:file("log"))[1].values)
      assert.equal(1, #log.read(again:file("log")))
    end)
    os.execute(("umount '%s'"):format(small))
    if not ok then error(message, 0) end
  end)

  it("keeps clock values out of the log", function()
    local this <close> = create()
    this:log(1, { loss = 1 })
    this:clock { images_per_second = 123.5 }
    local rate
    log.each(this:file("clock"), function(entry) rate = entry.images_per_second or rate end)
    assert.equal(123.5, rate)
    assert.equal(1, #log.read(this:file("log")))
    assert.is_true(this:seconds() >= 0 and this:seconds() < 60)
  end)

  it("holds children, opens them again and knows the finished ones", function()
    local parent = create()
    work(parent:child("naive", { strategy = "naive" }), 1, 10)
    work(parent:child("replay", { strategy = "replay" }), 1, 10, 6)
    parent:close()
    local again <close> = run.open(parent.path, { quiet = true })
    local naive, replay = again:child("naive", {}), again:child("replay", {})
    assert.equal("done", naive.done.status)
    assert.is_nil(replay.done)
    work(replay, 1, 10)
    assert.same(truth(naive.path), truth(replay.path))
    assert.equal("replay", json.read(replay:file("manifest.json")).config.strategy)
  end)

  it("ends open children with itself", function()
    local parent = create()
    local child = parent:child("naive", {})
    parent:finish("failed", "why")
    assert.equal("failed", json.read(child:file("status.json")).state)
  end)

  it("keeps pictures as PNG with their digest in the log", function()
    local this <close> = create()
    local path = this:picture(3, "day/strip", asl.zeros({ 4, 6, 3 }, { dtype = "u8" }))
    assert.equal("\137PNG", fs.read(path):sub(1, 4))
    local entry = log.read(this:file("log"))[1]
    assert.equal("pictures/day_strip-000003.png", entry.file)
    assert.equal(core.sha256(fs.read(path)), entry.sha256)
  end)
end)
