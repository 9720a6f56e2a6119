local asl = require "asl"
local core = require "asl.core"
local fs = require "asl.fs"
local json = require "asl.json"
local profile = require "asl.profile"
local program = require "spec.support.program"
local tally = require "asl.profile.tally"
local text = require "asl.profile.text"
local trace = require "asl.profile.trace"
local trial = require "spec.support.trial"

local MS = 1000000 -- nanoseconds

--- An iterator over hand-made spans { name, at, start ms, end ms, macs, bytes, depth }.
local function spans(list)
  return function()
    local i = 0
    return function()
      i = i + 1
      local s = list[i]
      if s then return s[1], s[2] or nil, s[3] * MS, s[4] * MS, s[5], s[6], s[7] end
    end
  end
end

local function is_op(name) return name == "conv" or name == "add" end

--- Two updates of two phases; conv has parts; one op lies outside.
local sample = spans {
  { "update", nil, 0, 50, 0, 0, 0 },
  { "forward", nil, 0, 20, 0, 0, 1 },
  { "conv", "first", 0, 10, 1000, 400, 2 },
  { "pack", nil, 0, 3, 0, 0, 3 },
  { "inner", nil, 1, 2, 0, 0, 4 },
  { "multiply", nil, 3, 9, 1000, 0, 3 },
  { "add", "first", 10, 14, 0, 800, 2 },
  { "backward", nil, 20, 50, 0, 0, 1 },
  { "conv", "second", 20, 40, 500, 4000, 2 },
  { "update", nil, 60, 100, 0, 0, 0 },
  { "forward", nil, 60, 90, 0, 0, 1 },
  { "conv", "first", 60, 75, 1000, 400, 2 },
  { "pack", nil, 60, 65, 0, 0, 3 },
  { "add", nil, 101, 102, 0, 100, 0 },
}

local function close_to(expected, value)
  assert.is_true(math.abs(value - expected) <= 1e-12 * math.max(1, math.abs(expected)), value .. " is not " .. expected)
end

describe("the sum of a trace", function()
  local this = tally.of(sample, is_op, { macs = 1e5, bytes = 1e5 })

  it("has time, calls and cost of every op, the longest first", function()
    assert.same({ "conv", "add" }, { this.ops[1].name, this.ops[2].name })
    local conv, add = this.ops[1], this.ops[2]
    assert.same({ 3, 2500, 4800 }, { conv.calls, conv.macs, conv.bytes })
    close_to(0.045, conv.seconds)
    assert.same({ 2, 0, 900 }, { add.calls, add.macs, add.bytes })
    close_to(0.005, add.seconds)
    close_to(0.050, this.op_seconds)
    assert.equal(2500, this.macs)
  end)

  it("counts parts under their op and in no total", function()
    local parts = this.ops[1].parts
    assert.same({ "pack", "multiply" }, { parts[1].name, parts[2].name })
    close_to(0.008, parts[1].seconds)
    close_to(0.006, parts[2].seconds)
    assert.equal("inner", parts[1].parts[1].name)
    assert.is_nil(this.ops[2].parts)
    for _, row in ipairs(this.ops) do assert.is_true(is_op(row.name)) end
  end)

  it("tells the layers of an op apart", function()
    local seen = {}
    for i, row in ipairs(this.layers) do seen[i] = row.name .. " " .. tostring(row.at) .. " " .. row.calls end
    assert.same({ "conv first 2", "conv second 1", "add first 1", "add nil 1" }, seen)
  end)

  it("gives phases with what of them is in ops", function()
    local seen = {}
    for i, phase in ipairs(this.phases) do seen[i] = ("  "):rep(phase.depth) .. phase.name .. " " .. phase.calls end
    assert.same({ "update 2", "  forward 2", "  backward 1" }, seen)
    close_to(0.090, this.phases[1].seconds)
    close_to(0.049, this.phases[1].op_seconds) -- the op outside is not in it
    close_to(0.050, this.phases[2].seconds)
    close_to(0.029, this.phases[2].op_seconds)
  end)

  it("adds up the least time each call could take", function()
    local first, second = this.layers[1], this.layers[2]
    close_to(2 * 1000 / 1e5, first.ideal) -- both calls: 1000 multiply-adds take longer than 400 bytes
    assert.equal("compute", first.limit)
    close_to(4000 / 1e5, second.ideal)
    assert.equal("memory", second.limit)
    close_to(0.06, this.ops[1].ideal)
    assert.equal("memory", this.ops[1].limit)
  end)

  it("leaves the roofline out where no peaks are known", function()
    local without = tally.of(sample, is_op, nil)
    assert.is_nil(without.ops[1].ideal)
    assert.is_nil(without.ops[1].limit)
    assert.equal(2500, without.macs)
  end)
end)

describe("a profile as text", function()
  local function printed(columns)
    local this = tally.of(sample, is_op, { macs = 1e5, bytes = 1e5 })
    this.title, this.seconds, this.updates, this.columns, this.all = "updates 1 to 2", 0.102, 2, columns, false
    this.peaks, this.peak_bytes, this.dropped = { macs = 1e5, bytes = 1e5 }, 3 << 20, 0
    this.device, this.backend, this.threads = "a processor", "avx2", 2
    return text.of(this)
  end

  it("has figures per update, and parts indented under their op", function()
    local out = printed(120)
    assert.matches("^updates 1 to 2: 2 updates of 45.0 ms, 51.0 ms with what lies between\n", out)
    assert.matches("a processor, avx2 kernels, 2 threads", out, 1, true)
    assert.matches("\n  conv +22.5 +44.1 +1.5 +15.0 +0.0 +0.0 +133 %% memory\n    pack +4.00 +7.8 +1 +4.00 +%- +%- +%-\n", out)
    assert.matches("\n    forward +25.0 +49.0 +1 +14.5 +10.5\n", out)
    assert.matches("\n  %(outside%) +6.00 +11.8 +0.50 +5.50\n", out)
    assert.matches("\n  second +conv +10.0 +19.6", out)
  end)

  it("fits the terminal", function()
    for _, columns in ipairs { 80, 100, 120 } do
      for line in printed(columns):gmatch "[^\n]+" do assert.is_true(utf8.len(line) <= columns, line) end
    end
    assert.is_nil(printed(80):find("ms/call", 1, true))
  end)
end)

describe("a trace file", function()
  it("is what Perfetto reads: one complete event per span, in microseconds", function()
    program.in_directory(function(dir)
      local path = dir .. "/trace.json"
      trace.write(path, sample, is_op, "a title")
      local value = json.read(path)
      assert.equal("ms", value.displayTimeUnit)
      local events = value.traceEvents
      assert.equal(2 + 14, #events)
      assert.same({ name = "process_name", ph = "M", pid = 1, tid = 1, args = { name = "a title" } }, events[1])
      assert.same({ name = "conv", cat = "op", ph = "X", pid = 1, tid = 1, ts = 0, dur = 10000,
        args = { layer = "first", macs = 1000, bytes = 400 } }, events[5])
      assert.same({ name = "forward", cat = "span", ph = "X", pid = 1, tid = 1, ts = 60000, dur = 30000, args = {} },
        events[13])
      assert.same({ "trace.json" }, fs.list(dir))
    end)
  end)
end)

describe("spans", function()
  after_each(function()
    core.trace.stop()
    core.trace.clear()
  end)

  local function recorded()
    local list = {}
    for i = 1, core.trace.count() do list[i] = { core.trace.span(i) } end
    return list
  end

  it("are not recorded unless asked for", function()
    assert.is_false(core.trace.on())
    assert.equal(-1, core.trace.open "x")
    local phase <close> = profile.span "x" -- luacheck: ignore phase
    assert.equal(0, asl.zeros({ 2 }):sum():item())
    assert.equal(0, core.trace.count())
  end)

  it("of ops have the op's name, multiply-adds and bytes", function()
    local a, b, rows = asl.ones { 3, 4 }, asl.ones { 4, 5 }, asl.ones { 100, 7 }
    local index = asl.tensor({ 3, 5 }, { dtype = "i64" })
    profile.start()
    local before = core.macs()
    local y = core.ops.matmul(a, b, { at = "here" })
    local macs = core.macs() - before
    core.ops.gather_rows(rows, index)
    profile.stop()
    y:sum()
    local list = recorded()
    assert.equal(2, #list)
    assert.equal("gather_rows", list[2][1])
    local name, at, start_ns, end_ns, done, bytes, depth = table.unpack(list[1], 1, 7)
    assert.same({ "matmul", "here", macs, 4 * (12 + 20 + 15), 0 }, { name, at, done, bytes, depth })
    assert.equal(60, macs)
    assert.is_true(0 < start_ns and start_ns < end_ns)
    assert.equal(2 * 8 + 2 * 2 * 7 * 4, list[2][6]) -- the rows taken, not the table
  end)

  it("nest, end with what they lie in, and are forgotten", function()
    core.trace.start()
    local a = core.trace.open "a"
    local b = core.trace.open("b", "place")
    core.trace.open "c"
    core.trace.close(b) -- and c
    core.trace.open "d"
    core.trace.close(b) -- has ended already: nothing
    core.trace.close(-1)
    local names = {}
    for i, s in ipairs(recorded()) do names[i] = s[1] .. s[7] .. (s[4] > 0 and " ended" or " open") end
    assert.same({ "a0 open", "b1 ended", "c2 ended", "d1 open" }, names)
    core.trace.stop()
    for _, s in ipairs(recorded()) do assert.is_true(s[4] >= s[3]) end
    core.trace.start()
    local again = core.trace.open "again"
    core.trace.close(a) -- from before: nothing
    assert.equal(0, (select(4, core.trace.span(1))))
    core.trace.close(again)
    assert.equal(1, core.trace.count())
    assert.error_matches(function() core.trace.span(2) end, "there is no such span")
  end)

  it("keep many names apart, also as they grow", function()
    core.trace.start()
    for i = 1, 3000 do core.trace.close(core.trace.open("name " .. i % 1000, "place " .. i)) end
    assert.same({ 3000, 0 }, { core.trace.count() })
    for i = 1, 3000, 7 do
      local name, at = core.trace.span(i)
      assert.same({ "name " .. i % 1000, "place " .. i }, { name, at })
    end
  end)

  it("of a phase may not be called like an op, and end when it fails", function()
    assert.error_matches(function() profile.span "relu" end, '"relu" is the name of an op')
    profile.start()
    assert.is_false(pcall(profile.call, "fails", error, "why"))
    assert.same({ 1, 2, 3 }, { profile.call("works", function(...) return ... end, 1, 2, 3) })
    profile.stop()
    local list = recorded()
    assert.same({ "fails", 0, "works", 0 }, { list[1][1], list[1][7], list[2][1], list[2][7] })
  end)
end)

describe("what the machine can do", function()
  it("is measured", function()
    local peaks = core.measure_peaks()
    assert.is_true(peaks.macs > 1e7 and peaks.macs < 1e15, peaks.macs)
    assert.is_true(peaks.bytes > 1e7 and peaks.bytes < 1e14, peaks.bytes)
  end)
end)

describe("asl profile", function()
  local OVERRIDES = { "updates=3", "strategy=replay", "rooms=2" }
  local plain -- what must be the same in a run that is not profiled

  setup(function()
    program.in_directory(function(dir) plain = trial.truth(trial.run(dir, OVERRIDES).path) end)
  end)

  --- The events of a trace file and, of each, the one it lies in.
  local function events_of(path)
    local list = {}
    for _, event in ipairs(json.read(path).traceEvents) do
      if event.ph == "X" then list[#list + 1] = event end
    end
    return list
  end

  --- In the order of their beginning every event lies within one that has not ended, or after it.
  local function check_nesting(events)
    local open, slack = {}, 1e-3 -- microseconds: times were rounded to doubles
    for _, event in ipairs(events) do
      while #open > 0 and open[#open].ts + open[#open].dur <= event.ts + slack do table.remove(open) end
      local outer = open[#open]
      if outer then
        assert.is_true(event.ts + event.dur <= outer.ts + outer.dur + slack, event.name .. " in " .. outer.name)
        outer.inside = (outer.inside or 0) + event.dur
      end
      open[#open + 1] = event
    end
    for _, event in ipairs(events) do assert.is_true((event.inside or 0) <= event.dur + slack * #events, event.name) end
  end

  local function macs_of(events)
    local macs = 0
    for _, event in ipairs(events) do
      if event.cat == "op" then macs = macs + (event.args.macs or 0) end
    end
    return macs
  end

  it("profiles some updates, saves the run and ends it well", function()
    program.in_directory(function(dir)
      local result = program.run { "profile", trial.TINY, "--runs", dir, "--updates", "2-4", table.unpack(OVERRIDES) }
      assert.equal(0, result.code, result.err)
      local path = trial.path(dir)
      assert.matches("updates 2 to 4: 3 updates of [%d.]+ ms", result.out)
      assert.matches("\n  conv_bn_act +", result.out)
      assert.matches("\n    train +", result.out)
      assert.matches("trace: " .. path .. "/trace.json", result.out, 1, true)
      assert.equal("profiled", trial.status(path).state)
      assert.equal(4, trial.status(path).step)
      local events, updates = events_of(path .. "/trace.json"), 0
      check_nesting(events)
      for _, event in ipairs(events) do if event.name == "update" then updates = updates + 1 end end
      assert.equal(3, updates)
      local resumed = trial.resume(path)
      assert.equal(0, resumed.code, resumed.err)
      assert.same(plain, trial.truth(path))
    end)
  end)

  it("counts what the ledger counts, and changes no result", function()
    program.in_directory(function(dir)
      local result = program.run { "profile", trial.TINY, "--runs", dir, "--updates", "1-99", table.unpack(OVERRIDES) }
      assert.equal(0, result.code, result.err)
      local path = trial.path(dir)
      assert.equal("done", trial.status(path).state)
      assert.matches("updates 1 to 6: 6 updates", result.out)
      assert.same(plain, trial.truth(path))
      local events, in_train, macs = events_of(path .. "/trace.json"), -1, 0
      for _, event in ipairs(events) do
        if event.name == "train" then in_train = event.ts + event.dur end
        if event.cat == "op" and event.ts < in_train then macs = macs + (event.args.macs or 0) end
      end
      assert.equal(trial.summary(path).ledger.macs_train, macs)
      assert.is_true(macs_of(events) > macs) -- there is evaluation, too
    end)
  end)

  it("is asked for by run:profile in an experiment, which then goes on", function()
    program.in_directory(function(dir)
      local script = program.write(dir, "asks.lua", ([[
        local tiny = dofile(%q)
        local main = tiny.main
        tiny.main = function(cfg, run)
          run:profile { first = 2, last = 3 }
          return main(cfg, run)
        end
        return tiny]]):format(trial.TINY))
      local result = trial.run(dir .. "/runs", { "compare=naive,replay", "updates=3", "rooms=2" }, { script = script })
      assert.equal(0, result.code, result.err)
      assert.equal("done", trial.status(result.path).state)
      assert.equal(1, select(2, result.out:gsub("updates 2 to 3: 2 updates of", "")))
      assert.is_true(#events_of(result.path .. "/trace.json") > 200)
      assert.is_nil(fs.stat(result.path .. "/naive/trace.json"))
    end)
  end)

  it("profiles a plain script from beginning to end", function()
    program.in_directory(function(dir)
      local script = program.write(dir, "plain.lua", [[
        local asl = require "asl"
        for _ = 1, 3 do
          local update <close> = asl.profile.span "update"
          local y = asl.ones { 64, 64 }:matmul(asl.ones { 64, 64 })
        end]])
      local result = program.shell(("cd %s && %s profile %s"):format(dir, program.quote(program.path()), script))
      assert.equal(0, result.code, result.err)
      assert.matches("plain.lua: 3 updates of", result.out, 1, true)
      assert.matches("\n  matmul +", result.out)
      assert.matches("\ntrace: asl-trace.json", result.out, 1, true)
      assert.equal(3 * 64 ^ 3, macs_of(events_of(dir .. "/asl-trace.json")))
    end)
  end)

  it("refuses what it cannot do", function()
    assert.matches("asl: profile takes a script\n", program.run({ "profile" }).err, 1, true)
    for _, range in ipairs { "4", "5-4", "0-3", "a-b", "1-2-3" } do
      local result = program.run { "profile", trial.TINY, "--updates", range }
      assert.equal(64, result.code)
      assert.matches(('asl: --updates: "%s" is no range of updates'):format(range), result.err, 1, true)
    end
    assert.matches("--all is for asl profile", program.run({ trial.TINY, "--all" }).err, 1, true)
    assert.error_matches(function() profile.window { path = "x", first = 3, last = 2 } end, "there are no updates 3 to 2")
    assert.is_false(profile.on())
  end)
end)
