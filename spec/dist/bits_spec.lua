-- 1 = 2 = 4 ranks: the same bits in weights, log, checkpoints, pictures and summary, resumed or not.

local fs = require "asl.fs"
local log = require "asl.log"
local program = require "spec.support.program"
local several = require "spec.dist.several"
local trial = require "spec.support.trial"

local it = several.it(it, pending)

describe("a run in ranks", function()
  local dir, alone, truth
  local count = 0

  local function new_runs()
    count = count + 1
    return ("%s/%d"):format(dir, count)
  end

  setup(function()
    dir = fs.temp_dir()
    if several.missing() then return end
    alone = several.run(1, new_runs())
    assert(alone.code == 0, alone.err)
    truth = trial.truth(alone.path)
  end)
  teardown(function() fs.remove_tree(dir) end)

  local function check(ranks, settings, expected)
    local result = several.run(ranks, new_runs(), settings)
    assert.equal(0, result.code, result.err)
    assert.same(expected, trial.truth(result.path))
    return result
  end

  it("has the same bits in two", function()
    local result = check(2, {}, truth)
    local function lines_of(text) return select(2, text:gsub("\n", "\n")) end
    assert.equal(lines_of(alone.out), lines_of(result.out)) -- one of them speaks
    assert.equal(2, log.read(result.path .. "/clock")[1].ranks)
  end)

  it("has the same bits in four that mpirun has started", function()
    local runs = new_runs()
    local result = program.shell(("OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 "
      .. "OMPI_MCA_rmaps_base_oversubscribe=1 mpirun -n 4 %s %s --runs %s shards=4 batch=8 updates=4")
      :format(program.quote(program.path()), trial.TINY, runs))
    assert.equal(0, result.code, result.err)
    assert.same(truth, trial.truth(trial.path(runs)))
  end)

  for _, settings in ipairs {
    { "strategy=freeze", "optimiser=sgd", "checkpoint_every=1" },
    { "strategy=joint", "aux=true" },
    -- Four rows a shard, two of them from memory from the second task on, which go through the network by themselves.
    { "batch=16", "forward=split", "select=per_task", "memory=128 KiB" },
    { "share=1.0", "draw=rows" }, -- steps in which nothing is loaded
    { "share=0.3" }, -- shards with and without rows from memory
  } do
    it("has the same bits with " .. table.concat(settings, " "), function()
      table.insert(settings, "updates=2")
      local one = several.run(1, new_runs(), settings)
      assert.equal(0, one.code, one.err)
      check(2, settings, trial.truth(one.path))
    end)
  end

  it("that compares strategies has the same bits", function()
    local settings = { "compare=naive,replay", "updates=2" }
    local one, two = several.run(1, new_runs(), settings), several.run(2, new_runs(), settings)
    assert.equal(0, one.code, one.err)
    assert.equal(0, two.code, two.err)
    assert.equal(fs.read(one.path .. "/summary.json"), fs.read(two.path .. "/summary.json"))
    for _, name in ipairs { "naive", "replay" } do
      assert.same(trial.truth(one.path .. "/" .. name), trial.truth(two.path .. "/" .. name))
    end
  end)

  -- A rank then holds all its shards at once: summary and checkpoint say how much memory that took, which differs.
  it("with synchronised batch norm has the same log and pictures, resumed or not", function()
    local function seen(path)
      local files = trial.truth(path)
      files.summary, files.checkpoint = trial.summary(path).metrics_pixel_accuracy, nil
      return files
    end
    local settings = { "batch_norm=synchronised", "updates=2" }
    local one = several.run(1, new_runs(), settings)
    assert.equal(0, one.code, one.err)
    local expected = seen(one.path)
    assert.not_equal(truth.log, expected.log)
    for _, ranks in ipairs { 2, 4 } do
      local result = several.run(ranks, new_runs(), settings)
      assert.equal(0, result.code, result.err)
      assert.same(expected, seen(result.path))
    end
    local runs = new_runs()
    several.interrupt(2, runs, "TERM", settings)
    local resumed = several.resume(1, trial.path(runs))
    assert.equal(0, resumed.code, resumed.err)
    assert.same(expected, seen(trial.path(runs)))
  end)

  -- Stopped in `from` ranks and gone on with in `to`.
  for _, case in ipairs { { from = 4, to = 1, signal = "TERM" }, { from = 1, to = 2, signal = "INT" } } do
    it(("stopped in %d by SIG%s saves, exits with 75, and ends in %d with the same bytes"):format(case.from, case.signal,
      case.to), function()
      local runs = new_runs()
      local stopped = several.interrupt(case.from, runs, case.signal)
      assert.equal(75, stopped.code, stopped.err)
      local path = trial.path(runs)
      assert.equal("preempted", trial.status(path).state)
      assert.matches("asl: stopped by SIG" .. case.signal .. "; saved at update %d+\nhint: go on with: asl resume "
        .. path:gsub("%p", "%%%0") .. "\n$", stopped.err)
      local resumed = several.resume(case.to, path)
      assert.equal(0, resumed.code, resumed.err)
      assert.same(truth, trial.truth(path))
    end)
  end
end)
