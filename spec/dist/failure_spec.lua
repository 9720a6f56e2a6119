-- What becomes of all ranks when one of them fails, dies or leaves.

local core = require "asl.core"
local fs = require "asl.fs"
local program = require "spec.support.program"
local several = require "spec.dist.several"
local trial = require "spec.support.trial"

local it = several.it(it, pending)

-- The tiny experiment, in which something happens on one rank at the beginning of its third update.
local BAD = [[
local asl = require "asl"
local tiny = dofile "spec/support/tiny.lua"
local main, count_valid, updates = tiny.main, asl.ops.count_valid, 0
tiny.config.bad, tiny.config.what = 0, ""
local what = {
  raise = function() error "this disk is on fire" end,
  leave = function() os.exit(3) end,
  leave_well = function() os.exit(0) end,
  die = function() os.execute("kill -9 " .. asl.core.pid()) end,
}
tiny.main = function(cfg, run)
  rawset(asl.ops, "count_valid", function(...)
    updates = updates + 1
    if updates == 3 and asl.ranks.rank() == cfg.bad then what[cfg.what]() end
    return count_valid(...)
  end)
  return main(cfg, run)
end
return tiny]]

describe("a rank", function()
  local dir
  local count = 0

  before_each(function() dir = fs.temp_dir() end)
  after_each(function() fs.remove_tree(dir) end)

  local function fails(bad, what)
    count = count + 1
    local script = program.write(dir, "bad.lua", BAD)
    local result = several.run(4, ("%s/%d"):format(dir, count), { "bad=" .. bad, "what=" .. what }, script)
    assert.is_true(result.seconds < 30, result.seconds .. " s")
    local lines = {}
    for line in result.err:gmatch "[^\n]+" do
      -- mpirun's own event library grumbles now and then when a process ends.
      if not line:find "^replay %d/%d" and not line:find "^%[warn%] Epoll" then lines[#lines + 1] = line end
    end
    return result, lines, "on " .. core.hostname()
  end

  it("that raises an error ends all with its exit code and is named", function()
    for _, bad in ipairs { 2, 0 } do
      local result, lines, on = fails(bad, "raise")
      local script = dir .. "/bad.lua"
      assert.same({ ("asl: rank %d %s: %s:6: this disk is on fire"):format(bad, on, script) }, lines)
      assert.equal(70, result.code)
      local status = trial.status(result.path)
      assert.equal("failed", status.state)
      assert.matches("this disk is on fire$", status.message)
    end
  end)

  it("that is killed ends all within seconds and is named; the run can be resumed", function()
    local result, lines, on = fails(2, "die")
    assert.equal(137, result.code)
    assert.matches("^asl: rank 2 " .. on:gsub("%p", "%%%0") .. " %(process %d+%) has died without a word: "
      .. "it was killed, or crashed$", lines[1])
    assert.same({ "hint: a run goes on from its last checkpoint: asl resume RUN", "asl: a rank was ended by signal 9" },
      { table.unpack(lines, 2) })
    assert.equal("failed", trial.status(result.path).state)
    local one = several.run(1, dir .. "/whole", { "bad=2", "what=die" }, dir .. "/bad.lua")
    assert.equal(0, one.code, one.err)
    local resumed = several.resume(2, result.path)
    assert.equal(0, resumed.code, resumed.err)
    assert.same(trial.truth(one.path), trial.truth(result.path))
  end)

  it("0 that is killed is named by another", function()
    local result, lines, on = fails(0, "die")
    assert.equal(137, result.code)
    assert.matches("^asl: rank 0 " .. on:gsub("%p", "%%%0") .. " %(process %d+%) has died without a word", lines[1])
    assert.same({ "hint: a run goes on from its last checkpoint: asl resume RUN", "asl: a rank was ended by signal 9" },
      { table.unpack(lines, 2) })
  end)

  it("that leaves before the others ends all with its exit code and is named", function()
    local result, lines, on = fails(1, "leave")
    assert.same({ ("asl: rank 1 %s has ended with exit code 3, the others have not"):format(on) }, lines)
    assert.equal(3, result.code)
    result, lines = fails(3, "leave_well")
    assert.equal(("asl: rank 3 %s has ended with exit code 0, the others have not"):format(on), lines[1])
    assert.equal(74, result.code)
  end)

  it("is not finite: all end with 76, as one does", function()
    local one = several.run(1, dir .. "/one", { "lr=1e30" })
    local four = several.run(4, dir .. "/four", { "lr=1e30" })
    assert.same({ 76, 76 }, { one.code, four.code })
    local function last_lines(text) return text:match "asl: .*$" end
    assert.matches("training is not finite at step %d of task \"studio\": %w+", one.err)
    assert.equal(last_lines(one.err), (last_lines(four.err):gsub("rank 0 on [^:]+: ", "", 1)))
  end)

  it("that has another setting or another data set ends all with 77", function()
    for what, lines in pairs {
      ["the config of tiny"] = { "tiny.config.lr = 1 + asl.ranks.rank()", "" },
      ['the data set "studio/train"'] = { "", "cfg.rooms = 2 + asl.ranks.rank()" },
    } do
      count = count + 1
      local script = program.write(dir, "other.lua", ([[
        local asl = require "asl"
        local tiny = dofile "spec/support/tiny.lua"
        local main = tiny.main
        %s
        tiny.main = function(cfg, run)
          %s
          return main(cfg, run)
        end
        return tiny]]):format(table.unpack(lines)))
      local result = several.run(2, ("%s/%d"):format(dir, count), {}, script)
      assert.equal(77, result.code)
      local host = core.hostname()
      assert.matches(("%s is not the same on all ranks: rank 1 on %s has another than rank 0 on %s\n$"):format(what, host, host)
        :gsub("[%-%.]", "%%%0"), result.err)
    end
  end)

  it("is one too many for the shards: all say so once", function()
    local result = several.run(3, dir .. "/three")
    assert.same({ 64, "asl: 4 shards do not divide among 3 ranks: each rank must have the same power of two\n"
      .. "hint: shards=3, or another number of ranks\n" }, { result.code, result.err })
    result = several.run(2, dir .. "/two", { "shads=2" })
    assert.equal(64, result.code)
    assert.equal(1, select(2, result.err:gsub("asl: tiny has no setting \"shads\"", "")))
  end)
end)
