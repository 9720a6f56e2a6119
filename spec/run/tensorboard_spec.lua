local asl = require "asl"
local fs = require "asl.fs"
local json = require "asl.json"
local record = require "asl.record"
local run = require "asl.run"
local tensorboard = require "asl.tensorboard"

-- Reads event directories with the real TensorBoard and prints them as JSON.
local reader = [[
import json, sys
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.util import tensor_util
runs = {}
for path in sys.argv[1:]:
    events = EventAccumulator(path, size_guidance={"tensors": 0})
    events.Reload()
    tags = {}
    for tag in events.Tags()["tensors"]:
        plugin = events.SummaryMetadata(tag).plugin_data.plugin_name
        points = []
        for event in events.Tensors(tag):
            array = tensor_util.make_ndarray(event.tensor_proto)
            if plugin == "scalars":
                points.append([event.step, float(array), event.wall_time])
            elif plugin == "images":
                points.append([event.step, int(array[0]), int(array[1]), array[2][:4].hex()])
            else:
                points.append([event.step, array.item().decode()])
        tags[tag] = {"plugin": plugin, "points": points}
    runs[path] = tags
print(json.dumps(runs))
]]

local function read_with_tensorboard(...)
  local script = os.tmpname()
  fs.write(script, reader)
  local pipe = io.popen(("env -u LD_PRELOAD python3 %s %s 2>%s.log"):format(script, table.concat({ ... }, " "), script))
  local output = pipe:read("a")
  local ok = pipe:close()
  local trouble = fs.read(script .. ".log")
  os.remove(script)
  os.remove(script .. ".log")
  if not ok then error(trouble) end
  return json.decode(output)
end

describe("asl.tensorboard", function()
  local dir

  before_each(function() dir = fs.temp_dir() end)
  after_each(function() fs.remove_tree(dir) end)

  it("begins a file with the version record, byte for byte", function()
    local path = fs.join(dir, "events.out.tfevents.0000000000.asl")
    tensorboard.writer(path, 0):close()
    local hex = fs.read(path):gsub(".", function(c) return ("%02x"):format(c:byte()) end)
    assert.equal("1800000000000000a37f4b220900000000000000001a0d627261696e2e4576656e743a32eedf28a3", hex)
  end)

  it("writes a scalar event byte for byte", function()
    local path = fs.join(dir, "events.out.tfevents.0000000000.asl")
    local writer = tensorboard.writer(path, 0)
    writer:scalars(300, { a = 1 }, 0)
    writer:close()
    local events = {}
    record.each(path, function(data) events[#events + 1] = data end)
    local value = "\10\1a" .. "\66\14" .. "\8\2\18\0\50\8" .. string.pack("<d", 1)
      .. "\74\13" .. "\10\9\10\7scalars" .. "\32\1"
    assert.equal("\9" .. ("\0"):rep(8) .. "\16\172\2" .. "\42" .. string.char(#value + 2) .. "\10"
      .. string.char(#value) .. value, events[2])
  end)

  describe("read with the real TensorBoard", function()
    local has_tensorboard = os.execute("env -u LD_PRELOAD python3 -c 'import tensorboard' 2>/dev/null")

    local function demo()
      return run.create { name = "demo", runs = dir, quiet = true }
    end

    it("shows scalars with all digits, texts and pictures, per task and joint", function()
      if not has_tensorboard then
        pending("python3 has no tensorboard package")
        return
      end
      local this = demo()
      this:log(1, { loss = 1 / 3, ["day/miou"] = 0.1 }, { task = "day" })
      this:log(2, { loss = 1e-300 }, { task = "dusk" })
      this:log(3, { loss = 1 }, { task = "joint" }) -- a task of the name of the view of all
      this:text(2, "note", "**ä**")
      this:picture(2, "strip", asl.zeros({ 4, 6, 3 }, { dtype = "u8" }), { task = "dusk" })
      this:close()
      local joint, day, dusk = this:file("tb/joint"), this:file("tb/day"), this:file("tb/dusk")
      local seen = read_with_tensorboard(joint, day, dusk)
      assert.equal(1, seen[joint].loss.points[1][1])
      assert.equal(1 / 3, seen[joint].loss.points[1][2])
      assert.equal(1e-300, seen[joint].loss.points[2][2])
      assert.equal(3, #seen[joint].loss.points)
      assert.equal("scalars", seen[joint].loss.plugin)
      assert.same({ 2, "**ä**" }, seen[joint].note.points[1])
      assert.same({ 2, 6, 4, "89504e47" }, seen[joint].strip.points[1])
      assert.equal(1, #seen[day].loss.points)
      assert.equal(0.1, seen[day]["day/miou"].points[1][2])
      assert.equal(2, seen[dusk].loss.points[1][1])
      assert.is_nil(seen[day].note)
    end)

    it("shows no step twice after a resume, and when each was", function()
      if not has_tensorboard then
        pending("python3 has no tensorboard package")
        return
      end
      local this = demo()
      for step = 1, 6 do
        this:log(step, { loss = step })
        if step == 4 then this:checkpoint(step, {}) end
      end
      this:close()
      local again = run.open(this.path, { quiet = true })
      for step = 5, 7 do
        again:log(step, { loss = step })
      end
      again:close()
      local joint = again:file("tb/joint")
      assert.equal(1, #fs.list(joint))
      local steps = {}
      for i, point in ipairs(read_with_tensorboard(joint)[joint].loss.points) do
        steps[i] = point[1]
        assert.is_true(math.abs(point[3] - asl.core.now()) < 60)
      end
      assert.same({ 1, 2, 3, 4, 5, 6, 7 }, steps)
    end)
  end)
end)
