-- The experiments on real data sets, run by the program on miniature releases in their very formats.

local asl = require "asl"
local fs = require "asl.fs"
local json = require "asl.json"
local log = require "asl.log"
local program = require "spec.support.program"
local scannet_release = require "spec.support.miniature.scannet_release"
local trial = require "spec.support.trial"

local SMALL = { size = "32,64", batch = "4", updates = "3", pictures = "1", loaders = "1",
  memory = "128 KiB" } -- 16 pictures with their labels
local UPDATES, PIXELS = 3, 4 * 32 * 64

local dir

setup(function() dir = fs.temp_dir() end)
teardown(function() fs.remove_tree(dir) end)

-- Where a miniature release lies, which is written when it is first asked for.
local function release(name, ...)
  local root = table.concat({ dir .. "/" .. name, ... }, "-")
  if not fs.stat(root) then
    fs.mkdirs(root)
    require("spec.support.miniature." .. name).write(root, ...)
  end
  return root
end

local count = 0

-- Runs an experiment in a directory of its own, with settings on top of SMALL.
local function run(name, settings, env)
  local overrides = {}
  for key, value in pairs(asl.config.merge(SMALL, settings)) do overrides[#overrides + 1] = key .. "=" .. value end
  table.sort(overrides)
  count = count + 1
  return trial.run(("%s/runs/%d"):format(dir, count), overrides,
    { script = ("experiments/%s.lua"):format(name), env = env })
end

local function digests(result) return json.read(result.path .. "/manifest.json").datasets end

local function steps(result)
  local list = {}
  for _, entry in ipairs(log.read(result.path .. "/log")) do
    if entry.kind == "scalars" then list[#list + 1] = entry end
  end
  return list
end

-- The run is done, learnt all tasks in order with its budget, and tested before and after each on all tests.
local function check_run(result, expected)
  assert.equal(0, result.code, result.err)
  assert.equal("done", trial.status(result.path).state)
  local s = trial.summary(result.path)
  assert.same({ expected.strategy or "replay", expected.classes or 40 }, { s.strategy, s.classes })
  assert.same({ expected.tasks, expected.tests or expected.tasks }, { s.tasks, s.tests })
  local rows = { "before training", table.unpack(expected.tasks) }
  assert.equal(#rows * #s.tests, #s.R)
  for i, record in ipairs(s.R) do
    assert.equal(rows[(i - 1) // #s.tests + 1], record.after)
    assert.equal(s.tests[(i - 1) % #s.tests + 1], record.test)
    assert.equal(s.classes, #record.confusion)
  end
  local list = steps(result)
  assert.equal(#expected.tasks * UPDATES, #list)
  for i, entry in ipairs(list) do
    assert.equal(expected.tasks[(i - 1) // UPDATES + 1], entry.task)
    assert.is_true(entry.values.valid_pixels > 0.1 * PIXELS and entry.values.valid_pixels <= PIXELS)
  end
  assert.not_same(s.R[1].confusion, s.R[#s.R - #s.tests + 1].confusion) -- it has learnt something
  return s
end

-- How many test pixels the first row of R counted on a test.
local function tested_pixels(summary, test)
  local pixels = 0
  for _, row in ipairs(summary.R[test].confusion) do
    for _, n in ipairs(row) do pixels = pixels + n end
  end
  return pixels
end

-- A person sees one line of cause, and one of what to do where there is something.
local function check_error(result, code, pattern)
  assert.equal(code, result.code, result.err)
  assert.matches(pattern, result.err)
  assert.is_nil(result.err:find("traceback", 1, true), result.err)
end

describe("experiments/cityscapes_cities.lua", function()
  local CITIES, TESTS = { "aachen", "bochum", "zurich" }, { "aachen", "bochum", "zurich", "val" }
  local root
  setup(function() root = release "cityscapes" end)

  it("learns city by city, tests on held-out frames of each and on val, twice with the same bits", function()
    local more = { data = root, held_out = "0.25" }
    local result = run("cityscapes_cities", more)
    local s = check_run(result, { tasks = CITIES, tests = TESTS, classes = 19 })
    assert.equal(2 * UPDATES * 2, s.replay.realised_rows)
    for j, frames in ipairs { 2, 2, 2, 8 } do
      local share = tested_pixels(s, j) / (frames * 32 * 64)
      assert.is_true(share > 0.5 and share <= 1, share) -- the rest is not evaluated
    end
    assert.same(trial.truth(result.path), trial.truth(run("cityscapes_cities", more).path))
  end)

  it("never learns from a frame of a test set or of the gap before it", function()
    local result = run("cityscapes_cities", { data = root, held_out = "0.25", gap = "2", strategy = "naive",
      test_frames = "3" })
    check_run(result, { tasks = CITIES, tests = TESTS, classes = 19, strategy = "naive" })
    local found, expected = digests(result), {}
    for _, city in ipairs(CITIES) do
      local all = asl.data.cityscapes { root = root, split = "train", cities = { city } }
      expected[city .. "/train"] = all:take(4):digest()
      expected[city .. "/test"] = all:subset({ 7, 8 }):digest()
    end
    expected["val/test"] = asl.data.cityscapes({ root = root, split = "val" }):subset({ 2, 5, 7 }):digest()
    assert.same(expected, found)
  end)

  it("takes the cities that are asked for, in that order, from where the environment says", function()
    local env = program.write(dir, "env.lua", ("return { cityscapes = %q }"):format(root))
    check_run(run("cityscapes_cities", { cities = "zurich,aachen" }, "ASL_ENV=" .. env),
      { tasks = { "zurich", "aachen" }, tests = { "zurich", "aachen", "val" }, classes = 19 })
    check_error(run("cityscapes_cities", { data = root, cities = "paris" }), 70,
      'the split "train" has no city "paris" %(it has: aachen, bochum, zurich%)\n$')
  end)
end)

describe("experiments/scannet_rooms.lua", function()
  local ROOMS = { "scene0000", "scene0001", "scene0002" }

  local function learn(form, more)
    return run("scannet_rooms", asl.config.merge({ data = release("scannet_release", form), form = form, every = "1",
      gap = "1", rooms = "0,1,2" }, more or {}))
  end

  it("learns room by room, the same from all forms of the data", function()
    local first
    for _, form in ipairs { "frames_25k", "scans", "sens" } do
      local result = learn(form)
      local s = check_run(result, { tasks = ROOMS })
      for j, frames in ipairs { 2, 1, 1 } do assert.equal(frames * 32 * 64, tested_pixels(s, j)) end
      local losses = {}
      for i, entry in ipairs(steps(result)) do losses[i] = entry.values.loss end
      first = first or { s.R, losses }
      assert.same(first, { s.R, losses })
    end
  end)

  it("tests on the end of every scan of a room", function()
    local result = learn("scans", { rooms = "0", held_out = "2" })
    check_run(result, { tasks = { "scene0000" } })
    local frames = asl.data.scannet { root = release("scannet_release", "scans"), form = "scans", split = "all",
      scans = { 0 }, geometry = false }
    assert.same({ "scene0000_00", "scene0000_01" }, (frames:sequence_names()))
    assert.equal(2 * scannet_release.FRAMES, #frames)
    assert.same({ ["scene0000/train"] = frames:subset({ 1, 2, 3, 7, 8, 9 }):digest(),
      ["scene0000/test"] = frames:subset({ 5, 6, 11, 12 }):digest() }, digests(result))
  end)

  it("names a room that is not there, and a scan that is too short", function()
    check_error(learn("scans", { rooms = "0,7" }), 65, 'no scan of scene0007 and the split "all"\n$')
    check_error(learn("scans", { gap = "10" }), 70,
      'sequence "scene0000_00" has 6 frames, too few for 1 to test on and a gap of 10\n$')
  end)
end)

describe("experiments/hypersim_to_nyu.lua", function()
  local hypersim, nyuv2
  setup(function() hypersim, nyuv2 = release "hypersim", release "nyuv2" end)

  local function digest(name, root, split)
    return asl.data[name]({ root = root, split = split, geometry = false }):digest()
  end

  for _, strategy in ipairs { "naive", "replay" } do
    it("learns from both with " .. strategy .. " and tests on test", function()
      local result = run("hypersim_to_nyu", { hypersim = hypersim, nyuv2 = nyuv2, strategy = strategy })
      local s = check_run(result, { tasks = { "hypersim", "nyuv2" }, strategy = strategy })
      assert.same(strategy == "replay" and { UPDATES * 2, 0 } or nil, s.replay and s.replay.counts)
      assert.same({ ["hypersim/train"] = digest("hypersim", hypersim, "train"),
        ["hypersim/test"] = digest("hypersim", hypersim, "test"), ["nyuv2/train"] = digest("nyuv2", nyuv2, "train"),
        ["nyuv2/test"] = digest("nyuv2", nyuv2, "test") }, digests(result))
    end)
  end

  it("tests on val when settings are chosen, and on as many frames as are asked for", function()
    local result = run("hypersim_to_nyu", { hypersim = hypersim, nyuv2 = nyuv2, test_on = "val", test_frames = "1" })
    local s = check_run(result, { tasks = { "hypersim", "nyuv2" } })
    assert.equal(digest("nyuv2", nyuv2, "val"), digests(result)["nyuv2/test"])
    assert.equal(asl.data.hypersim({ root = hypersim, split = "val", geometry = false }):spread(1):digest(),
      digests(result)["hypersim/test"])
    assert.is_true(tested_pixels(s, 1) <= 32 * 64)
  end)

  it("is swept over strategies and seeds", function()
    local runs = dir .. "/swept"
    local env = program.write(dir, "sweep.lua",
      ("return { runs = %q, mlhypersim = %q, nyuv2 = %q }"):format(runs, hypersim, nyuv2))
    local result = program.run { "--env", env, "experiments/sweeps/hypersim_to_nyu.lua", "size=32,32", "batch=2",
      "updates=1", "pictures=0", "loaders=1", "test_frames=1", "memory=64 KiB" }
    assert.equal(0, result.code, result.err)
    for _, strategy in ipairs { "naive", "replay", "joint" } do
      assert.matches("\n +" .. strategy .. " +[%d.]+ %([%d.]+ to [%d.]+%) ", result.out)
      for seed = 1, 3 do
        local path = ("%s/hypersim_to_nyu/strategy-%s_seed-%d"):format(runs, strategy, seed)
        assert.equal("done", trial.status(path).state)
      end
    end
  end)
end)

describe("experiments/coco_to_nyu.lua", function()
  for _, year in ipairs { 2014, 2017 } do
    it("learns from the photographs of " .. year .. " and tests on those of val", function()
      local root, nyuv2 = release("coco_release", year), release "nyuv2"
      local result = run("coco_to_nyu", { coco = root, nyuv2 = nyuv2, year = tostring(year) })
      check_run(result, { tasks = { "coco", "nyuv2" } })
      for what, split in pairs { train = "train", test = "val" } do
        local set = asl.data.coco { root = root, split = split, year = year, classes = "nyu40", empty = "drop" }
        assert.equal(set:digest(), digests(result)["coco/" .. what])
      end
    end)
  end
end)

describe("experiments/nyu_scenes.lua", function()
  local root

  -- Bedrooms: 3 frames each of train, val and test; kitchens: 6 of train, 3 of test.
  setup(function()
    root = dir .. "/nyu_scenes"
    require("spec.support.miniature.nyuv2").write(root, { frames = 3 })
    local text, n = fs.read(root .. "/nyuv2_frames.tsv"):gsub("val\tkitchen", "train\tkitchen")
    assert.equal(3, n)
    program.write(root, "nyuv2_frames.tsv", text)
  end)

  local function frames(split, kind)
    return asl.data.nyuv2 { root = root, split = split, scene_types = { kind }, geometry = false }
  end

  it("learns scene type by scene type, the most frequent first", function()
    local result = run("nyu_scenes", { data = root, least = "3" })
    local s, expected = check_run(result, { tasks = { "kitchen", "bedroom" } }), {}
    for j, kind in ipairs { "kitchen", "bedroom" } do
      assert.is_true(tested_pixels(s, j) > 0.9 * 3 * 32 * 64)
      for _, split in ipairs { "train", "test" } do
        expected[kind .. "/" .. split] = frames(split, kind):digest()
      end
    end
    assert.equal(6, #frames("train", "kitchen"))
    assert.same(expected, digests(result))
  end)

  it("leaves out types with too few frames in either, and says when none is left", function()
    local result = run("nyu_scenes", { data = root, least = "3", test_on = "val" })
    check_run(result, { tasks = { "bedroom" } })
    assert.equal(frames("val", "bedroom"):digest(), digests(result)["bedroom/test"])
    check_error(run("nyu_scenes", { data = root, least = "4" }), 70,
      "^asl: no scene type has 4 frames in both train and test\n")
  end)
end)

describe("an experiment whose data", function()
  -- Experiment, the setting that says where its data is, the name in the environment, what was expected there; and the
  -- setting and release of the other data set, where there is one.
  local CASES = {
    { "cityscapes_cities", "data", "cityscapes", "asl.data.cityscapes", "leftImg8bit and gtFine" },
    { "scannet_rooms", "data", "scannet", "asl.data.scannet", "folders scene0000_00" },
    { "nyu_scenes", "data", "nyuv2", "asl.data.nyuv2", "nyu_depth_v2_labeled.mat" },
    { "hypersim_to_nyu", "hypersim", "mlhypersim", "asl.data.hypersim", "folders ai_001_001", "nyuv2", "nyuv2" },
    { "hypersim_to_nyu", "nyuv2", "nyuv2", "asl.data.nyuv2", "nyu_depth_v2_labeled.mat", "hypersim", "hypersim" },
    { "coco_to_nyu", "coco", "coco", "asl.data.coco", "train2017, val2017 and annotations", "nyuv2", "nyuv2" },
    { "coco_to_nyu", "nyuv2", "nyuv2", "asl.data.nyuv2", "nyu_depth_v2_labeled.mat", "coco", "coco_release" },
  }

  for _, case in ipairs(CASES) do
    local name, key, entry, loader, holds, other, other_release = table.unpack(case)

    local function run_with(settings, env)
      if other then settings[other] = release(other_release) end
      return run(name, settings, env)
    end

    it(("(%s of %s) is not known asks for it"):format(key, name), function()
      check_error(run_with({}, "env -u ASL_ENV"), 64, ("^asl: where is %s%%?\nhint: write %s=DIRECTORY on the command "
        .. 'line, or %s = "DIRECTORY" into '):format(entry, key, entry))
    end)

    it(("(%s of %s) is not at its place says what was expected there"):format(key, name), function()
      local result = run_with { [key] = "/nowhere" }
      check_error(result, 65, '^asl: ' .. loader .. ': root = "/nowhere": not there; expected ')
      assert.is_truthy(result.err:find(holds, 1, true), result.err)
    end)
  end
end)
