--- COCO (Lin et al., ECCV 2014): instances painted to label maps, COCO-Stuff (Caesar, Uijlings and Ferrari, CVPR 2018) and
--- panoptic maps (Kirillov et al., CVPR 2019).
---
--- The annotations' JSON is read element by element, twice (pictures and categories, then annotations), so that memory holds
--- no more of it than one element and what is painted from: 4 bytes for each number.

local core = require "asl.core"
local dataset = require "asl.data.dataset"
local fault = require "asl.fault"
local files = require "asl.data.files"
local json = require "asl.json"
local labels = require "asl.labels"
local options = require "asl.options"

local coco = {}

local WHERE = "asl.data.coco"
local FIRST_YEAR, LAST_YEAR = 2014, 2017

-- What kind of annotation: its ids, its classes unless others are asked for.
local KINDS = {
  instances = { ids = "coco91", classes = "coco80" },
  panoptic = { ids = "coco_panoptic", classes = "coco133" },
  stuff = { ids = "coco182", classes = "coco171" },
}

--- The options of asl.data.coco.
coco.options = {
  root = options.require "string", split = options.one_of { "train", "val" }, year = LAST_YEAR,
  kind = options.one_of { "instances", "panoptic", "stuff" }, classes = options.any, size = options.optional "table",
  empty = options.one_of { "keep", "drop" }, json = options.optional "string", images = options.optional "string",
  maps = options.optional "string",
}

-- ---- reading annotations ----------------------------------------------------------------------------------------------

--- A field of an element, of the right kind.
local function field(element, name, kind, where)
  local value = element[name]
  if kind == "integer" and math.type(value) == "integer" or kind ~= "integer" and type(value) == kind then return value end
  return files.bad("%s: %q is %s, not %s", where, name, value == nil and "not there" or "a " .. type(value),
    kind == "integer" and "a whole number" or "a " .. kind)
end

--- A name in a file, which must not lead out of its folder.
local function file_name(element, where)
  local name = field(element, "file_name", "string", where)
  if name == "" or name == "." or name == ".." or name:find "[/%z]" then
    files.bad("%s: the file name %q; expected a name without folders", where, name)
  end
  return name
end

local function read_picture(pictures, image, where)
  local id = field(image, "id", "integer", where)
  if pictures.at[id] then files.bad("%s: the picture %d is listed twice", where, id) end
  local i = #pictures.ids + 1
  pictures.at[id], pictures.ids[i], pictures.names[i] = i, id, file_name(image, where)
  pictures.heights[i] = field(image, "height", "integer", where)
  pictures.widths[i] = field(image, "width", "integer", where)
end

--- Ids mean what the table says, by name.
local function check_category(category, ids, where)
  local id, name = field(category, "id", "integer", where), field(category, "name", "string", where)
  if ids.id_of[name] == id then return end
  local known
  for i, known_id in ipairs(ids.ids) do
    if known_id == id then known = ids.names[i] end
  end
  files.bad("%s: the category %d is called %q; in the table %s it is %s", where, id, name, ids.name,
    known and ("%q"):format(known) or "not there")
end

--- Calls visit(element, where) for the elements of some lists of a JSON file.
local function each(path, names, visit)
  local counts = {}
  for key, text in core.json_elements(path, names) do
    counts[key] = (counts[key] or 0) + 1
    local where = ("%s: %s[%d]"):format(path, names[key], counts[key])
    local element = json.decode(text, where)
    if type(element) ~= "table" then files.bad("%s: a %s, not an object", where, type(element)) end
    visit(names[key], element, where)
  end
end

local function read_pictures(path, ids)
  local pictures = { at = {}, ids = {}, names = {}, heights = {}, widths = {} }
  each(path, { "images", "categories" }, function(list, element, where)
    if list == "images" then
      read_picture(pictures, element, where)
    else
      check_category(element, ids, where)
    end
  end)
  return pictures
end

--- The picture and class of an annotation or segment.
local function class_of(element, reading, where)
  local id = field(element, "category_id", "integer", where)
  return reading.class[id] or files.bad("%s: the category %d is not in the table %s", where, id, reading.ids.name)
end

local function picture_of(element, pictures, where)
  local id = field(element, "image_id", "integer", where)
  return pictures.at[id] or files.bad("%s: the picture %d is not among the images", where, id)
end

--- Runs f, naming the annotation when it fails.
local function named(where, f, ...)
  local ok, problem = pcall(f, ...)
  if not ok then files.bad("%s: %s", where, fault.cause(problem)) end
end

local function add_instance(annotation, reading, pictures, where)
  local picture, class = picture_of(annotation, pictures, where), class_of(annotation, reading, where)
  local mask = field(annotation, "segmentation", "table", where)
  reading.has[picture] = reading.has[picture] or class ~= labels.IGNORE
  if mask.counts == nil then
    if #mask == 0 then files.bad("%s: a segmentation without polygons and without counts", where) end
    for _, polygon in ipairs(mask) do named(where, reading.into.polygon, reading.into, picture, class, polygon) end
    return
  end
  local size = field(mask, "size", "table", where)
  if size[1] ~= pictures.heights[picture] or size[2] ~= pictures.widths[picture] then
    files.bad("%s: a mask of %sx%s in a picture of %dx%d (width x height)", where, tostring(size[2]), tostring(size[1]),
      pictures.widths[picture], pictures.heights[picture])
  end
  named(where, reading.into.runs, reading.into, picture, class, mask.counts)
end

local function add_segments(annotation, reading, pictures, where)
  local picture = picture_of(annotation, pictures, where)
  if reading.maps[picture] then
    files.bad("%s: the picture %d has an annotation already", where, pictures.ids[picture])
  end
  reading.maps[picture] = file_name(annotation, where)
  for i, segment in ipairs(field(annotation, "segments_info", "table", where)) do
    local here = ("%s.segments_info[%d]"):format(where, i)
    if type(segment) ~= "table" then files.bad("%s: a %s, not an object", here, type(segment)) end
    local class = class_of(segment, reading, here)
    reading.has[picture] = reading.has[picture] or class ~= labels.IGNORE
    named(here, reading.into.segment, reading.into, picture, class, field(segment, "id", "integer", here))
  end
end

--- The annotations of a file, by the numbers of its pictures.
---@param path string
---@param o { kind: string, classes: asl.LabelTable }
---@return table pictures  ids, names, heights, widths, parallel
---@return table reading   into (core annotations), has[i] (any class), maps[i] (file names of panoptic maps)
local function read_annotations(path, o)
  local ids = labels.load(KINDS[o.kind].ids)
  local pictures = read_pictures(path, ids)
  if #pictures.ids == 0 then files.bad("%s: it lists no pictures", path) end
  local ok, into = pcall(core.coco_new, pictures.heights, pictures.widths)
  if not ok then files.bad("%s: images: %s", path, fault.cause(into)) end
  local reading = { ids = ids, class = labels.map(ids, o.classes), into = into, has = {}, maps = {} }
  local add = o.kind == "panoptic" and add_segments or add_instance
  each(path, { "annotations" }, function(_, annotation, where) add(annotation, reading, pictures, where) end)
  return pictures, reading
end

-- ---- data sets --------------------------------------------------------------------------------------------------------

local function sample_ids(numbers)
  local ids = {}
  for i, number in ipairs(numbers) do ids[i] = ("coco/%012d"):format(number) end
  return ids
end

--- What all kinds have in common. Ids carry neither split nor year: a picture that is in two of them is found out.
local function make(o, fields)
  return dataset.new {
    name = ("coco/%s%d"):format(o.split, o.year), class_names = o.classes.names, colours = o.classes.colours,
    ids = sample_ids(fields.numbers), frames = fields.numbers, fingerprint = fields.fingerprint, source = fields.source,
    index = fields.index, files = o.files,
  }
end

local function split_name(o) return ("%s%d"):format(o.split, o.year) end

local function image_folder(o)
  if o.images then return files.root(WHERE, o.images, "pictures") end
  return files.first(WHERE, "pictures", {
    files.join(o.root, split_name(o)), files.join(o.root, "images", split_name(o)),
  })
end

local function paths_in(folder, names)
  local paths = {}
  for i, name in ipairs(names) do paths[i] = files.join(folder, name) end
  return paths
end

local function fingerprints(sizes, more)
  local prints = {}
  for i, size in ipairs(sizes) do prints[i] = ("%d %d"):format(size, type(more) == "table" and more[i] or more) end
  return prints
end

local function json_path(o)
  return o.json or files.first(WHERE, "annotations", {
    files.join(o.root, "annotations", ("%s_%s.json"):format(o.kind, split_name(o))),
  })
end

--- Positions of the pictures to keep, counted from 0.
local function kept(o, pictures, reading)
  local index = {}
  for i = 1, #pictures.ids do
    if o.empty == "keep" or reading.has[i] then index[#index + 1] = i - 1 end
  end
  if #index == 0 then files.bad("%s: no picture has an annotation of a class of %s", WHERE, o.classes.name) end
  return index
end

local function pick(list, index)
  local picked = {}
  for i, at in ipairs(index) do picked[i] = list[at + 1] end
  return picked
end

local function panoptic_maps(o, pictures, reading)
  local folder = o.maps and files.root(WHERE, o.maps, "panoptic PNG maps") or files.first(WHERE, "panoptic maps", {
    files.join(o.root, "annotations", "panoptic_" .. split_name(o)), files.join(o.root, "panoptic_" .. split_name(o)),
  })
  for i, id in ipairs(pictures.ids) do
    if not reading.maps[i] then files.bad("%s: the picture %d has no annotation", json_path(o), id) end
  end
  local paths = paths_in(folder, reading.maps)
  files.sizes(WHERE, paths)
  return paths
end

local function painted(o)
  local path = json_path(o)
  local pictures, reading = read_annotations(path, o)
  local images = paths_in(image_folder(o), pictures.names)
  local bytes = core.fs.stat(path).size
  local index = kept(o, pictures, reading)
  local set = make(o, {
    numbers = pick(pictures.ids, index), index = index,
    fingerprint = pick(fingerprints(files.sizes(WHERE, images), bytes), index),
    source = core.source_coco {
      annotations = reading.into, images = images, maps = o.kind == "panoptic" and panoptic_maps(o, pictures, reading) or nil,
      json = path, size = o.size,
    },
  })
  return set
end

--- The meaning of a COCO-Stuff map's values: id - 1, 255 = unlabelled.
local function stuff_map(classes)
  local map = { [labels.IGNORE] = labels.IGNORE }
  for id, class in pairs(labels.map("coco182", classes)) do map[id - 1] = class end
  return map
end

local function stuff(o)
  local folder = o.maps and files.root(WHERE, o.maps, "PNG maps") or files.first(WHERE, "COCO-Stuff maps", {
    files.join(o.root, "annotations", split_name(o)), files.join(o.root, "stuffthingmaps", split_name(o)),
  })
  local images, maps, numbers, pictures = {}, {}, {}, image_folder(o)
  for i, found in ipairs(files.matching(folder, "^([%w_]-(%d+))%.png$")) do
    maps[i] = files.join(folder, found.name)
    images[i] = files.join(pictures, found[1] .. ".jpg")
    numbers[i] = math.tointeger(tonumber(found[2]))
  end
  if #maps == 0 then files.bad("%s: %s holds no maps NUMBER.png", WHERE, folder) end
  return make(o, {
    numbers = numbers, fingerprint = fingerprints(files.sizes(WHERE, images), files.sizes(WHERE, maps)),
    source = core.source_frames {
      images = images, labels = maps, label_map = stuff_map(o.classes), table = "coco182 (less 1)", size = o.size,
    },
  })
end

--- See asl.data.coco.
function coco.new(given)
  local o = options.check(WHERE, given, coco.options)
  if o.year ~= FIRST_YEAR and o.year ~= LAST_YEAR then
    error(("%s: option \"year\" must be %d or %d, not %s"):format(WHERE, FIRST_YEAR, LAST_YEAR, tostring(o.year)), 2)
  end
  if o.kind == "stuff" and (o.json or o.empty == "drop") then
    error(WHERE .. ": COCO-Stuff has maps only: no json, and empty = \"keep\"", 2)
  end
  o.root = files.root(WHERE, o.root, "train2017, val2017 and annotations")
  o.files = files.tables(o.classes)
  o.classes = labels.from(o.classes or KINDS[o.kind].classes, "coco")
  return o.kind == "stuff" and stuff(o) or painted(o)
end

return coco
