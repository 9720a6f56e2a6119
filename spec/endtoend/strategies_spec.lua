-- What the program makes of a tiny experiment, strategy by strategy.

local asl = require "asl"
local checkpoint = require "asl.checkpoint"
local core = require "asl.core"
local fs = require "asl.fs"
local json = require "asl.json"
local log = require "asl.log"
local metrics = require "asl.metrics"
local trial = require "spec.support.trial"

describe("a run of", function()
  local dir, runs = nil, {}

  setup(function()
    dir = fs.temp_dir()
    for _, name in ipairs { "naive", "joint", "freeze", "replay" } do
      runs[name] = trial.run(dir .. "/" .. name, { "strategy=" .. name, "share=0.75" })
    end
  end)
  teardown(function() fs.remove_tree(dir) end)

  local function summary(name) return trial.summary(runs[name].path) end

  -- The scalars of the log.
  local function steps(name)
    local list = {}
    for _, entry in ipairs(log.read(runs[name].path .. "/log")) do
      if entry.kind == "scalars" then list[#list + 1] = entry end
    end
    return list
  end

  for _, name in ipairs { "naive", "joint", "freeze", "replay" } do
    it(name .. " ends well and says so everywhere", function()
      assert.equal(0, runs[name].code, runs[name].err)
      assert.equal("done", trial.status(runs[name].path).state)
      assert.matches(name .. ", seed 1\n", runs[name].out)
      assert.matches("mIoU %% after +studio +lab\n", runs[name].out)
      assert.matches("report: .*report%.html", runs[name].out)
      assert.is_true(fs.stat(runs[name].path .. "/report.html").size > 1000)
      local s = summary(name)
      assert.same({ "done", "tiny", name, 1, 40 }, { s.status, s.experiment, s.strategy, s.seed, s.classes })
      assert.same({ "studio", "lab" }, s.tests)
    end)

    it(name .. " has R with a row before training and one per task, from whole confusion matrices", function()
      local s = summary(name)
      local rows = { "before training", table.unpack(s.tasks) }
      assert.equal(#rows * 2, #s.R)
      for i, record in ipairs(s.R) do
        assert.equal(rows[(i + 1) // 2], record.after)
        assert.equal(s.tests[(i - 1) % 2 + 1], record.test)
        local pixels = 0
        for _, row in ipairs(record.confusion) do
          for _, n in ipairs(row) do pixels = pixels + n end
        end
        assert.equal(2 * 2 * 32 * 48, pixels) -- two rooms, two pictures each, all labelled
        assert.equal(metrics.miou(record.confusion), record.miou)
        assert.equal(metrics.pixel_accuracy(record.confusion), record.pixel_accuracy)
        assert.equal(40, #record.class_iou)
      end
    end)

    it(name .. " has a summary without anything of the clock or the machine", function()
      local text = fs.read(runs[name].path .. "/summary.json")
      for _, word in ipairs { "second", "time", "latency", "/tmp", "/work", core.hostname() } do
        assert.is_nil(text:find(word, 1, true), word)
      end
      assert.matches("^%x+$", summary(name).digest)
      assert.equal(64, #summary(name).digest)
    end)
  end

  it("naive, freeze and replay has all metrics of R", function()
    for _, name in ipairs { "naive", "freeze", "replay" } do
      local s = summary(name)
      local R = { [0] = { s.R[1].miou, s.R[2].miou }, { s.R[3].miou, s.R[4].miou }, { s.R[5].miou, s.R[6].miou } }
      assert.same(metrics.all(R, 2), s.metrics)
      for _, metric in ipairs { "acc_final", "bwt_gem", "forgetting_rwalk", "fwt_0", "learning_accuracy", "stability" } do
        assert.is_number(s.metrics_pixel_accuracy[metric])
      end
    end
  end)

  it("joint learns all at once: one row, as many updates as the tasks have together", function()
    local s = summary "joint"
    assert.same({ "all tasks" }, s.tasks)
    assert.same({ acc_final = (s.R[3].miou + s.R[4].miou) / 2 }, s.metrics)
    assert.equal(12, #steps "joint")
  end)

  it("every strategy has its budget in updates, whatever is replayed", function()
    for _, name in ipairs { "naive", "freeze", "replay" } do
      local list = steps(name)
      assert.equal(12, #list)
      for i, entry in ipairs(list) do
        assert.equal(i, entry.step)
        assert.equal(i <= 6 and "studio" or "lab", entry.task)
        assert.is_true(entry.values.loss > 0)
        assert.equal(4 * 32 * 48, entry.values.valid_pixels)
      end
    end
  end)

  it("naive and replay is the same in the first task and then not", function()
    local naive, replay = steps "naive", steps "replay"
    for i = 1, 6 do assert.equal(naive[i].values.loss, replay[i].values.loss) end
    assert.not_equal(naive[7].values.loss, replay[7].values.loss)
  end)

  it("replay replays what was planned", function()
    local r = summary("replay").replay
    assert.same({ 18, 18 }, { r.planned_rows, r.realised_rows }) -- 0.75 of 4 rows, 6 updates of the second task
    assert.same({ 0.75, 0.75 }, { r.planned_share, r.realised_share })
    assert.same({ 18, 0 }, r.planned_counts)
    assert.same({ 18, 0 }, r.counts)
    assert.equal(10, r.memory_rows)
    assert.equal(10, r.memory_counts[1] + r.memory_counts[2])
    assert.is_nil(summary("naive").replay)
    local logged = 0
    for _, entry in ipairs(steps "replay") do logged = logged + entry.values.replayed end
    assert.equal(18, logged)
  end)

  it("freeze keeps the frozen parts and their statistics bit for bit in the second task", function()
    local found = checkpoint.generations(runs.freeze.path .. "/ckpt")
    assert.same({ 12, 10 }, { found[1].step, found[2].step })
    local nets = {}
    for i, generation in ipairs(found) do
      nets[i] = asl.models.fast_scnn { classes = 40 }
      nets[i]:restore(checkpoint.load(generation.path).state.learner.net)
    end
    local frozen = { learning_to_downsample = true, global_feature_extractor = true }
    for _, list in ipairs { "parameters", "buffers" } do
      local moved = 0
      local others = {}
      for path, view in nets[2][list](nets[2]) do others[path] = view:digest() end
      for path, view in nets[1][list](nets[1]) do
        local same = view:digest() == others[path]
        if frozen[path:match "^[%w_]+"] then
          assert.is_true(same, path)
        elseif not same then
          moved = moved + 1
        end
      end
      assert.is_true(moved > 5)
    end
  end)

  it("replay costs memory and nothing else", function()
    local naive, replay = summary("naive").ledger, summary("replay").ledger
    assert.equal(10 * 32 * 48 * 4, replay.replay_bytes)
    assert.equal(0, naive.replay_bytes)
    assert.equal(naive.macs_train, replay.macs_train)
    assert.equal(naive.macs_evaluate, replay.macs_evaluate)
    assert.equal(1140760, replay.parameters)
    assert.is_true(summary("freeze").ledger.macs_train < naive.macs_train)
  end)

  it("replay keeps seconds and latency apart", function()
    local seconds, latency
    log.each(runs.replay.path .. "/clock", function(entry)
      seconds, latency = entry.seconds or seconds, entry.latency or latency
    end)
    assert.is_true(seconds.train > 0 and seconds.evaluate > 0)
    assert.is_true(latency.p50 > 0 and latency.p95 >= latency.p50)
  end)

  it("every strategy notes the data it learnt from", function()
    local datasets = json.read(runs.naive.path .. "/manifest.json").datasets
    local rooms = asl.data.rooms { domain = "lab", split = "train", size = { 32, 48 }, sequences = 3, frames = 2 }
    assert.equal(rooms:digest(), datasets["lab/train"])
    for _, name in ipairs { "studio/train", "studio/test", "lab/test" } do assert.equal(64, #datasets[name]) end
  end)

  it("two seeds differs", function()
    local other = trial.run(dir .. "/seed2", { "strategy=naive", "seed=2", "updates=1" })
    local one = trial.run(dir .. "/seed1", { "strategy=naive", "updates=1" })
    assert.equal(0, other.code, other.err)
    assert.not_equal(trial.summary(one.path).digest, trial.summary(other.path).digest)
    assert.not_equal(trial.truth(one.path).log, trial.truth(other.path).log)
  end)
end)

describe("a comparison of strategies", function()
  it("is a run per strategy below one, and a table", function()
    local dir = fs.temp_dir()
    local result = trial.run(dir, { "compare=naive,replay,joint", "updates=2" })
    assert.equal(0, result.code, result.err)
    assert.matches("mIoU %% at the end +studio +lab +mean", result.out)
    local summary = trial.summary(result.path)
    for _, name in ipairs { "naive", "replay", "joint" } do
      assert.matches("\n +" .. name .. " ", result.out)
      assert.same(trial.summary(result.path .. "/" .. name), summary.strategies[name])
      assert.equal("done", trial.status(result.path .. "/" .. name).state)
    end
    assert.is_true(fs.stat(result.path .. "/report.html").size > 1000)
    fs.remove_tree(dir)
  end)
end)

describe("experiments/camvid_dusk.lua", function()
  it("learns day and dusk from real frames", function()
    local root = "../shared/data/camvid"
    if not fs.stat(root) then return pending("CamVid (" .. root .. ") is not here") end
    local dir = fs.temp_dir()
    local result = trial.run(dir, { "data=" .. root, "updates=4", "size=64,96", "strategy=replay" },
      { script = "experiments/camvid_dusk.lua" })
    assert.equal(0, result.code, result.err)
    local s = trial.summary(result.path)
    assert.same({ { "day", "dusk" }, 11, 6 }, { s.tests, s.classes, #s.R })
    assert.same({ 12, 0 }, s.replay.counts)
    local pixels = 0
    for _, row in ipairs(s.R[1].confusion) do
      for _, n in ipairs(row) do pixels = pixels + n end
    end
    assert.is_true(pixels > 0.8 * 14 * 64 * 96 and pixels < 14 * 64 * 96) -- seven frames of two drives, less the void
    fs.remove_tree(dir)
  end)
end)
