--- One .sens file of ScanNet as a data set: frames are read from it one at a time.

local core = require "asl.core"
local dataset = require "asl.data.dataset"
local files = require "asl.data.files"
local labels = require "asl.labels"
local options = require "asl.options"

local sens = {}

--- The options of asl.data.sens.
sens.options = {
  file = options.require "string", labels = options.optional "string", label_ids = "scannet", every = 1, classes = "nyu40",
  tracked = false, size = options.optional "table",
}

local function is_finite(pose)
  for _, number in ipairs(pose) do
    if number - number ~= 0 then return false end
  end
  return true
end

--- The frames to take: every `every`th, those that have a label map where labels are wanted, those with a pose when asked.
local function choose_frames(o, file)
  local frames, maps = {}, o.labels and {}
  for frame = 0, file:info().frames - 1, o.every do
    if not o.tracked or is_finite(file:pose(frame)) then
      frames[#frames + 1] = frame
      if maps then maps[#frames] = files.join(o.labels, frame .. ".png") end
    end
  end
  return frames, maps
end

--- Makes the data set of checked options; `where` names the constructor in messages.
---@param where string
---@param o table  file, scan (leads the ids), name (of the data set), labels (folder or nil), label_ids (name of a table),
---   classes (asl.LabelTable), every, tracked, size, files (what was read besides the file)
---@return asl.Dataset
function sens.build(where, o)
  local file = core.sens_open(o.file)
  local frames, maps = choose_frames(o, file)
  if #frames == 0 then files.bad("%s: %s: no frame of it is left", where, o.file) end
  local bytes, map_bytes = core.fs.stat(o.file).size, maps and files.sizes(where, maps)
  local ids, sequences, prints = {}, {}, {}
  for i, frame in ipairs(frames) do
    ids[i] = ("scannet/%s/%06d"):format(o.scan, frame)
    sequences[i] = o.scan
    prints[i] = ("%d %d"):format(bytes, map_bytes and map_bytes[i] or 0)
  end
  return dataset.new {
    name = o.name, class_names = o.classes.names, colours = o.classes.colours, ids = ids, sequences = sequences,
    frames = frames, fingerprint = prints, files = o.files,
    source = core.source_sens {
      sens = file, frames = frames, labels = maps, label_map = labels.map(o.label_ids, o.classes),
      table = o.label_ids, size = o.size,
    },
  }
end

--- See asl.data.sens.
function sens.new(given)
  local where = "asl.data.sens"
  local o = options.check(where, given, sens.options)
  if o.every < 1 or math.type(o.every) ~= "integer" then
    error(("%s: option \"every\" must be a whole number from 1, not %s"):format(where, tostring(o.every)), 2)
  end
  o.files = files.tables(o.classes, o.label_ids)
  o.classes = labels.from(o.classes, "scannet")
  o.scan = o.file:match "([^/]+)%.sens$" or o.file:match "[^/]+$"
  o.name = o.scan
  if o.labels then files.root(where, o.labels, "label maps 0.png, 1.png, ...") end
  return sens.build(where, o)
end

return sens
