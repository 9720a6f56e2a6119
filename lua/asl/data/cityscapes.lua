--- Cityscapes (Cordts et al., CVPR 2016): street scenes of 50 cities with 19 classes.

local core = require "asl.core"
local dataset = require "asl.data.dataset"
local files = require "asl.data.files"
local labels = require "asl.labels"
local options = require "asl.options"

local cityscapes = {}

local WHERE = "asl.data.cityscapes"
local SPLITS = { "train", "val", "test" }
local PATTERN = "^((%a[%w-]*)_(%d+)_(%d+))_leftImg8bit%.png$"
local FRAMES_IN_SEQUENCE = 1000000

--- The options of asl.data.cityscapes.
cityscapes.options = {
  root = options.require "string", split = options.one_of(SPLITS), cities = options.optional "table", labels = true,
  video = false, size = options.optional "table",
}

--- The cities of a split, sorted; nothing when the split is not there.
local function cities_of(folder)
  local cities = {}
  for _, name in ipairs(files.is_folder(folder) and core.fs.list(folder) or {}) do
    if files.is_folder(files.join(folder, name)) then cities[#cities + 1] = name end
  end
  return cities
end

--- No city may be in two splits: that is how Cityscapes is cut.
local function check_splits(pictures)
  local lists = {}
  for _, split in ipairs(SPLITS) do lists[split] = cities_of(files.join(pictures, split)) end
  files.disjoint(WHERE, "city", lists)
end

--- The cities asked for, each of which must be there.
local function wanted_cities(o, folder)
  local there, known = cities_of(folder), {}
  if #there == 0 then files.bad("%s: %s holds no folders of cities", WHERE, folder) end
  if not o.cities then return there end
  for _, city in ipairs(there) do known[city] = true end
  for _, city in ipairs(o.cities) do
    if not known[city] then
      error(("%s: the split %q has no city %q (it has: %s)"):format(WHERE, o.split, tostring(city), table.concat(there, ", ")), 3)
    end
  end
  return o.cities
end

--- Pictures of a city by name, their sequence and frame. In a video each of the camera's sequences is one.
local function add_city(lists, o, folder, city)
  for _, found in ipairs(files.matching(files.join(folder, city), PATTERN)) do
    local i = #lists.images + 1
    local sequence, frame = math.tointeger(tonumber(found[3])), math.tointeger(tonumber(found[4]))
    lists.images[i] = files.join(folder, city, found.name)
    lists.ids[i] = ("cityscapes/%s/%s"):format(city, found[1])
    lists.sequences[i] = o.video and ("%s_%s"):format(city, found[3]) or city
    lists.frames[i] = o.video and frame or sequence * FRAMES_IN_SEQUENCE + frame
    if lists.labels then
      lists.labels[i] = files.join(o.root, "gtFine", o.split, city, found[1] .. "_gtFine_labelIds.png")
    end
  end
end

local function fingerprints(lists)
  local images, prints = files.sizes(WHERE, lists.images), {}
  local maps = lists.labels and files.sizes(WHERE, lists.labels)
  for i, size in ipairs(images) do prints[i] = ("%d %d"):format(size, maps and maps[i] or 0) end
  return prints
end

--- See asl.data.cityscapes.
function cityscapes.new(given)
  local o = options.check(WHERE, given, cityscapes.options)
  o.root = files.root(WHERE, o.root, "leftImg8bit and gtFine")
  if o.video and given.labels then
    error(WHERE .. ": a video (video = true) has no labels; leave labels out", 2)
  end
  local pictures = files.join(o.root, o.video and "leftImg8bit_sequence" or "leftImg8bit")
  check_splits(pictures)
  local folder = files.first(WHERE, "pictures", { files.join(pictures, o.split) })
  local lists = { images = {}, ids = {}, sequences = {}, frames = {}, labels = o.labels and not o.video and {} or nil }
  for _, city in ipairs(wanted_cities(o, folder)) do add_city(lists, o, folder, city) end
  if #lists.images == 0 then files.bad("%s: %s holds no CITY/CITY_SEQUENCE_FRAME_leftImg8bit.png", WHERE, folder) end
  return dataset.new {
    name = "cityscapes/" .. o.split, class_names = labels.cityscapes19.names, colours = labels.cityscapes19.colours,
    ids = lists.ids, sequences = lists.sequences, frames = lists.frames, fingerprint = fingerprints(lists),
    source = core.source_frames {
      images = lists.images, labels = lists.labels, label_map = labels.map("cityscapes", "cityscapes19"),
      table = "cityscapes", size = o.size,
    },
  }
end

return cityscapes
