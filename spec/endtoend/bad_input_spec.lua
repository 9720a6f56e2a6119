-- What goes wrong outside: each a clear error with its exit code, and nothing lost.

local checkpoint = require "asl.checkpoint"
local core = require "asl.core"
local fs = require "asl.fs"
local pictures = require "spec.support.pictures"
local program = require "spec.support.program"
local trial = require "spec.support.trial"

local FOLDER = [[
local asl = require "asl"
return asl.experiment {
  name = "folder",
  config = asl.continual.config { root = "", classes = { "a", "b", "c" }, size = { 32, 48 }, batch = 2, updates = 4,
    checkpoint_every = 1, pictures = 1, strategy = "naive" },
  main = function(cfg, run)
    local function set(name)
      return asl.data.folder { root = cfg.root, list = cfg.root .. "/" .. name .. ".txt", classes = cfg.classes,
        name = name }
    end
    local scenario = asl.scenario.domains { { "mine", train = set "train", test = set "test" } }
    return asl.continual(run, scenario, asl.continual.learner(cfg, scenario.classes), cfg)
  end,
}
]]

local dir, script, root

before_each(function()
  dir = fs.temp_dir()
  script, root = program.write(dir, "folder.lua", FOLDER), dir .. "/data"
  pictures.write_folder(root, 6, function(i) return pictures.pattern(32 + i, 48) end, function(i)
    return pictures.label(32 + i, 48, function(y, x) return (y // 8 + x // 8 + i) % 3 end)
  end)
  local train, test = {}, {}
  for i = 1, 6 do
    table.insert(i <= 5 and train or test, ("image/%d.png label/%d.png\n"):format(i, i))
  end
  pictures.write(root .. "/train.txt", table.concat(train))
  pictures.write(root .. "/test.txt", table.concat(test))
end)
after_each(function() fs.remove_tree(dir) end)

local function run_folder(runs, more)
  return trial.run(dir .. "/" .. runs, { "root=" .. root, table.unpack(more or {}) }, { script = script })
end

-- A person sees the cause and nothing of the framework.
local function check_error(result, code, pattern)
  assert.equal(code, result.code, result.err)
  assert.matches(pattern, result.err)
  for _, frame in ipairs { "stack traceback", "%[C%]", "lua/asl/", "called from" } do
    assert.is_nil(result.err:find(frame), result.err)
  end
end

-- The run says that it failed and why, and its checkpoints are whole.
local function check_kept(result, pattern)
  local status = trial.status(result.path)
  assert.equal("failed", status.state)
  assert.matches(pattern, status.message)
  assert.is_nil(fs.stat(result.path .. "/summary.json"))
  local found = checkpoint.generations(result.path .. "/ckpt")
  assert.is_true(#found >= 1)
  for _, generation in ipairs(found) do checkpoint.load(generation.path) end
end

describe("during training", function()
  it("a truncated PNG stops the run with file and cause (65)", function()
    local path = root .. "/image/3.png"
    pictures.write(path, pictures.read(path):sub(1, -40))
    local result = run_folder "runs"
    check_error(result, 65, "asl: .*data/image/3%.png: PNG: truncated")
    check_kept(result, "image/3%.png: PNG: truncated")
  end)

  it("a truncated JPEG stops the run with file and cause (65)", function()
    local jpeg = pictures.read "spec/fixtures/pictures/baseline.jpg"
    local size = core.image_decode(jpeg):shape()
    pictures.write(root .. "/image/3.jpg", jpeg:sub(1, #jpeg // 2))
    pictures.write(root .. "/label/3.png", core.png_encode(pictures.label(size[1], size[2], function() return 0 end)))
    pictures.write(root .. "/train.txt", (pictures.read(root .. "/train.txt"):gsub("image/3%.png", "image/3.jpg")))
    local result = run_folder "runs"
    check_error(result, 65, "asl: .*data/image/3%.jpg: JPEG: ")
    check_kept(result, "image/3%.jpg: JPEG: ")
  end)

  it("a label value outside the table stops the run with file, place and value (65)", function()
    pictures.write(root .. "/label/2.png", core.png_encode(pictures.label(34, 48, function(y, x)
      return y == 20 and x == 10 and 7 or 0
    end)))
    local result = run_folder "runs"
    check_error(result, 65, "label/2%.png: the label value 7 %(row 21, column 11%) is not in the table train")
    check_kept(result, "the label value 7")
  end)

  it("a label map of another size stops the run with both sizes (65)", function()
    pictures.write(root .. "/label/5.png", core.png_encode(pictures.label(16, 48, function() return 0 end)))
    local result = run_folder "runs"
    check_error(result, 65, "image/5%.png is 48x37 but its label map .*label/5%.png is 48x16 %(width x height%)")
    check_kept(result, "is 48x37 but its label map")
  end)

  it("a file damaged on the disk stops the run, which goes on to the same end when it is mended", function()
    local whole = run_folder "whole"
    assert.equal(0, whole.code, whole.err)
    local path = root .. "/image/4.png"
    local good = pictures.read(path)
    pictures.write(path, good:sub(1, 60) .. ("\0"):rep(#good - 60))
    local result = run_folder "runs"
    check_error(result, 65, "image/4%.png: PNG: ")
    check_kept(result, "image/4%.png")
    pictures.write(path, good)
    local resumed = trial.resume(result.path)
    assert.equal(0, resumed.code, resumed.err)
    assert.same(trial.truth(whole.path), trial.truth(result.path))
  end)

  it("a file that was replaced since the run began keeps the run from going on (77)", function()
    local path = root .. "/label/3.png"
    local good = pictures.read(path)
    pictures.write(path, good:sub(1, 60) .. ("\0"):rep(#good - 60))
    local result = run_folder "runs"
    check_error(result, 65, "label/3%.png: PNG: ")
    pictures.write(path, core.png_encode(pictures.label(35, 48, function(y, x) return (7 * x + y * y) % 3 end)))
    check_error(trial.resume(result.path), 77, 'manifest mismatch: the data set "mine/train" is %x+ now and was %x+ when')
  end)

  it("a number that is not finite stops the run with step, task and the first op at fault (76)", function()
    local result = run_folder("runs", { "lr=1e30" })
    check_error(result, 76, 'asl: training is not finite at step 2 of task "mine": [%w_]+ %([%w_.]+%): %w+ is not finite %(')
    assert.matches("\nhint: a smaller lr is the usual cure", result.err)
    check_kept(result, "not finite at step")
  end)
end)

describe("before training", function()
  it("a split list that is not there is named, with what was expected (65)", function()
    fs.remove(root .. "/test.txt")
    check_error(run_folder "runs", 65, "list = \".*data/test%.txt\": not there; expected a text file with lines IMAGE")
    fs.remove(root .. "/train.txt")
    local camvid = trial.run(dir .. "/camvid", { "data=" .. root }, { script = "experiments/camvid_dusk.lua" })
    assert.equal(65, camvid.code)
    assert.matches("the split list .*data/train%.txt is not there; a CamVid root holds train%.txt, val%.txt", camvid.err)
  end)

  it("a listed file that is not there is named (65)", function()
    fs.remove(root .. "/label/1.png")
    check_error(run_folder "runs", 65, "label/1%.png, which the list .*train%.txt names, is not there")
  end)

  it("a test set without a label is refused (65)", function()
    pictures.write(root .. "/label/6.png", core.png_encode(pictures.label(38, 48, function() return 255 end)))
    check_error(run_folder "runs", 65, 'test "mine": not one pixel of its 1 pictures is labelled')
  end)

  it("an unknown setting is refused with the nearest, before there is a run (64)", function()
    local result = run_folder("runs", { "updats=3" })
    check_error(result, 64, '^asl: folder has no setting "updats"\nhint: did you mean updates%? settings: aux, batch, ')
    assert.is_nil(result.path)
  end)

  it("a setting of the wrong type is refused with its value, before there is a run (64)", function()
    local result = run_folder("runs", { "updates=many" })
    check_error(result, 64, "^asl: folder: updates must be a whole number, not many %(a string%)\n$")
    assert.is_nil(result.path)
    check_error(run_folder("r2", { "size=32" }), 64, "^asl: size must be height,width of at least 32,32, not 32\n")
    check_error(run_folder("r3", { "updates=0" }), 64, "^asl: updates must be at least 1, not 0\n")
    check_error(run_folder("r4", { "schedule=cosine" }), 64, '^asl: there is no schedule "cosine"\n')
  end)

  it("runs that cannot be written are refused with the system's reason (74)", function()
    fs.write(dir .. "/file", "")
    local result = program.run { script, "root=" .. root, "--runs", dir .. "/file/runs" }
    check_error(result, 74, "^asl: cannot begin a run: cannot create the directory \".*/file.*\": Not a directory\n"
      .. "hint: %-%-runs DIR names a directory that can be written\n$")
    check_error(program.run { script, "root=" .. root, "--runs", "/proc/runs" }, 74,
      "^asl: cannot begin a run: cannot create the directory \"/proc/runs\"")
  end)
end)

describe("a checkpoint", function()
  -- Puts the only checkpoint of one run in the place of another's.
  local function swap(from, to)
    local found = checkpoint.generations(from .. "/ckpt")
    for _, generation in ipairs(checkpoint.generations(to .. "/ckpt")) do fs.remove(generation.path) end
    fs.write(to .. "/ckpt/" .. fs.basename(found[#found].path), fs.read(found[#found].path))
  end

  it("of another network is refused (77)", function()
    local three, two = run_folder("three", { "updates=1" }), run_folder("two", { "updates=1", "classes=a,b,c,d" })
    assert.equal(0, three.code + two.code, three.err .. two.err)
    swap(two.path, three.path)
    check_error(trial.resume(three.path), 77, "asl: the checkpoint does not fit this run: this state is another network's: "
      .. "it has 1136116 parameters in another layout, this FastSCNN has 1135987")
  end)

  it("of another strategy is refused (77)", function()
    local naive, joint = run_folder("naive", { "updates=1" }), run_folder("joint", { "updates=1", "strategy=joint" })
    assert.equal(0, naive.code + joint.code, naive.err .. joint.err)
    swap(joint.path, naive.path)
    check_error(trial.resume(naive.path), 77,
      'asl: the checkpoint does not fit this run: the checkpoint is of strategy "joint", this run\'s is "naive"')
  end)

  it("that is damaged is passed over, and the run ends with the same bytes from the one before it", function()
    local result = run_folder "runs"
    assert.equal(0, result.code, result.err)
    local truth, newest = trial.truth(result.path), checkpoint.generations(result.path .. "/ckpt")[1].path
    fs.write(newest, fs.read(newest):sub(1, -1000))
    local resumed = trial.resume(result.path)
    assert.equal(0, resumed.code, resumed.err)
    assert.matches("step%-0000000004%.ckpt\" is no valid checkpoint: .*going on from the checkpoint before it", resumed.err)
    assert.same(truth, trial.truth(result.path))
  end)
end)

describe("a full disk", function()
  it("stops the run (74); it keeps its last checkpoint and ends with the same bytes once there is room", function()
    local small = dir .. "/small"
    fs.mkdirs(small)
    -- Two checkpoints of 13 MB fit; the third needs its place while the first is still there.
    if not os.execute(("mount -t tmpfs -o size=30m tmpfs '%s' 2>/dev/null"):format(small)) then
      return pending "mounting a tmpfs is not allowed here, so the disk cannot be filled"
    end
    local ok, problem = pcall(function()
      local result = run_folder "small"
      check_error(result, 74, 'asl: cannot write ".*/ckpt/step%-0000000002%.ckpt": No space left on device .*\n'
        .. "hint: make room or mend the disk, then go on from the last checkpoint: asl resume ")
      check_kept(result, "No space left on device")
      os.execute(("mount -o remount,size=100m '%s'"):format(small))
      local resumed = trial.resume(result.path)
      assert.equal(0, resumed.code, resumed.err)
      local whole = run_folder "whole"
      assert.same(trial.truth(whole.path), trial.truth(result.path))
    end)
    os.execute(("umount '%s'"):format(small))
    if not ok then error(problem, 0) end
  end)
end)
