--- CamVid (Brostow, Fauqueur, Cipolla, "Semantic object classes in video", 2009), in two forms: 480x360 with the 11 classes of
--- the SegNet tutorial (Badrinarayanan et al., "SegNet", 2017), and 960x720 with all 32 classes as index maps.

local core = require "asl.core"
local dataset = require "asl.data.dataset"
local fault = require "asl.fault"
local files = require "asl.data.files"
local folder = require "asl.data.folder"
local labels = require "asl.labels"
local options = require "asl.options"

local camvid = {}

local WHERE = "asl.data.camvid"
local SEQUENCE_AND_FRAME = "([^/_]+)_f?(%d+)"

--- The options of asl.data.camvid.
camvid.options = {
  root = folder.options.root, split = options.one_of { "train", "val", "test", "all" }, sequences = options.optional "table",
  classes = options.any, size = folder.options.size,
}

-- ---- the SegNet tutorial's form ---------------------------------------------------------------------------------------

local function segnet(o)
  local list = o.root:gsub("/+$", "") .. "/" .. o.split .. ".txt"
  if o.split == "all" then
    error(WHERE .. ': split = "all" is for the form with codes.txt; here it is "train", "val" or "test"', 3)
  end
  if core.fs.stat(o.root) and not core.fs.stat(list) then
    fault.raise(("%s: the split list %s is not there; a CamVid root holds train.txt, val.txt, test.txt and the folders they "
      .. "name, or codes.txt, images and labels"):format(WHERE, list), { level = 3, exit_code = fault.exit.data })
  end
  return folder.build(WHERE, {
    root = o.root, list = list, classes = labels.from(o.classes or "camvid11", "camvid"),
    label_map = labels.map("camvid11_file", o.classes or "camvid11"), name = "camvid", title = "camvid/" .. o.split,
    pattern = SEQUENCE_AND_FRAME .. "%.%w+$", size = o.size, files = files.tables(o.classes),
  })
end

-- ---- all 32 classes ---------------------------------------------------------------------------------------------------

--- The lines of a file, which is added to those that were read.
local function lines_of(o, path)
  local lines = {}
  o.files[#o.files + 1] = path
  for _, line in files.lines(path) do
    if line ~= "" then lines[#lines + 1] = line end
  end
  return lines
end

--- codes.txt must name the classes in the order of the table: its line number is the value in the maps.
local function check_codes(o)
  local known, path = labels.camvid32.names, files.join(o.root, "codes.txt")
  local codes = lines_of(o, path)
  if #codes ~= #known then files.bad("%s: %d classes; there are %d", path, #codes, #known) end
  for i, name in ipairs(codes) do
    if name ~= known[i] then files.bad("%s:%d: the class %q; in the table camvid32 it is %q", path, i, name, known[i]) end
  end
end

--- The names of the pictures of a split: valid.txt lists those of "val", all others are "train".
local function names_of(o)
  local names, held_out, kept = {}, {}, {}
  for _, found in ipairs(files.matching(files.join(o.root, "images"), "^(.*)%.png$")) do names[#names + 1] = found[1] end
  if o.split == "all" then return names end
  local list = files.join(o.root, "valid.txt")
  if o.split == "test" or not core.fs.stat(list) then
    files.bad('%s: this form has the splits "train" and "val" where %s lists the latter, else only "all"', WHERE, list)
  end
  for _, line in ipairs(lines_of(o, list)) do held_out[line:gsub("%.png$", "")] = true end
  for _, name in ipairs(names) do
    if (held_out[name] == true) == (o.split == "val") then kept[#kept + 1] = name end
  end
  return kept
end

--- Values of the maps to classes; Void is not to be learnt.
local function full_map(classes)
  local map = {}
  for id, class in pairs(labels.map("camvid32", classes)) do map[id] = class end
  map[labels.camvid32.id_of.Void] = labels.IGNORE
  return map
end

local function full(o)
  local classes = labels.from(o.classes or "camvid32", "camvid")
  o.files = files.tables(o.classes)
  check_codes(o)
  local names, images, maps, ids, sequences, frames, prints = names_of(o), {}, {}, {}, {}, {}, {}
  if #names == 0 then files.bad("%s: %s/images holds no picture of the split %q", WHERE, o.root, o.split) end
  for i, name in ipairs(names) do
    images[i] = files.join(o.root, "images", name .. ".png")
    maps[i] = files.join(o.root, "labels", name .. "_P.png")
    ids[i] = "camvid_full/" .. name
    local sequence, frame = name:match("^" .. SEQUENCE_AND_FRAME .. "$")
    if not sequence then files.bad("%s: the picture %s is not called SEQUENCE_FRAME.png", WHERE, images[i]) end
    sequences[i], frames[i] = sequence, math.tointeger(tonumber(frame))
  end
  local image_bytes, map_bytes = files.sizes(WHERE, images), files.sizes(WHERE, maps)
  for i = 1, #names do prints[i] = ("%d %d"):format(image_bytes[i], map_bytes[i]) end
  return dataset.new {
    name = "camvid_full/" .. o.split, class_names = classes.names, colours = classes.colours, ids = ids,
    sequences = sequences, frames = frames, fingerprint = prints, files = o.files,
    source = core.source_frames {
      images = images, labels = maps, label_map = full_map(classes), table = "camvid32", size = o.size,
    },
  }
end

--- See asl.data.camvid.
function camvid.new(given)
  local o = options.check(WHERE, given, camvid.options)
  local has_codes = core.fs.stat(o.root:gsub("/+$", "") .. "/codes.txt")
  local all = has_codes and full(o) or segnet(o)
  return o.sequences and all:sequence(o.sequences) or all
end

return camvid
