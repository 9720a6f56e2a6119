--- COCO instances in small, on disk as the release is: photographs as JPEG of several sizes (one of them grey, one
--- without annotations), and a JSON file per split with polygons, masks of crowds as lengths and masks as text.
---
--- The photographs are rooms (asl.data.rooms); what COCO knows of their things is annotated.

local asl = require "asl"
local core = require "asl.core"
local jpeg = require "spec.support.miniature.jpeg"
local json = require "asl.json"
local labels = require "asl.labels"
local pictures = require "spec.support.pictures"

local coco_release = {}

local SIZES = { { 48, 64 }, { 64, 48 }, { 45, 61 } }
local FRAMES = 2 -- per room

coco_release.ROOMS = { train = 5, val = 2 } -- of each size one after the other
coco_release.GREY, coco_release.BARE = 2, 4 -- the picture (from 1) that is grey, and the one without annotations

-- Which category of COCO a room's class is; the others it does not annotate.
local CATEGORY = {
  chair = "chair", bed = "bed", table = "dining table", desk = "dining table", television = "tv", sink = "sink",
  refridgerator = "refrigerator", sofa = "couch", bag = "backpack", books = "book", lamp = "vase", box = "suitcase",
}

local function category_ids()
  local ids, of = labels.load("coco91").id_of, {}
  for class, name in ipairs(labels.load("nyu40").names) do of[class - 1] = CATEGORY[name] and ids[CATEGORY[name]] end
  return of
end

-- ---- masks --------------------------------------------------------------------------------------

--- Rectangles { left, top, right, bottom } that tile the pixels of a class; right and bottom are past them.
local function rectangles_of(rows, class)
  local done, open = {}, {}
  for y = 1, #rows + 1 do
    local row, next_open, x = rows[y] or {}, {}, 1
    while x <= #row do
      local first = x
      while row[x] == class do x = x + 1 end
      if x > first then
        local key = first * 65536 + x
        next_open[key] = open[key] or { first - 1, y - 1, x - 1, y - 1 }
        next_open[key][4] = y
      end
      x = x + 1
    end
    for key, rectangle in pairs(open) do
      if not next_open[key] then done[#done + 1] = rectangle end
    end
    open = next_open
  end
  table.sort(done, function(a, b)
    if a[2] ~= b[2] then return a[2] < b[2] end
    return a[1] < b[1]
  end)
  return done
end

local function polygons_of(rows, class)
  local polygons = {}
  for i, r in ipairs(rectangles_of(rows, class)) do
    polygons[i] = { r[1], r[2], r[3], r[2], r[3], r[4], r[1], r[4] }
  end
  return polygons
end

--- Lengths of runs, column by column, of pixels outside and inside in turn.
local function runs_of(rows, class)
  local runs, inside, length = {}, false, 0
  for x = 1, #rows[1] do
    for y = 1, #rows do
      if (rows[y][x] == class) ~= inside then
        runs[#runs + 1], inside, length = length, not inside, 0
      end
      length = length + 1
    end
  end
  runs[#runs + 1] = length
  return runs
end

--- Lengths as COCO writes them as text: from the third on the difference to the one two before, 5 bits a character.
local function text_of(runs)
  local characters = {}
  for i, run in ipairs(runs) do
    local rest, more = i > 3 and run - runs[i - 2] or run, true
    while more do
      local bits = rest & 31
      rest = rest // 32
      more = not (rest == 0 and bits & 16 == 0 or rest == -1 and bits & 16 ~= 0)
      characters[#characters + 1] = string.char(48 + (more and bits | 32 or bits))
    end
  end
  return table.concat(characters)
end

local KINDS = {
  function(rows, class) return polygons_of(rows, class), 0 end,
  function(rows, class) return { size = { #rows, #rows[1] }, counts = runs_of(rows, class) }, 1 end,
  function(rows, class) return { size = { #rows, #rows[1] }, counts = text_of(runs_of(rows, class)) }, 0 end,
}

local function area_and_box(rows, class)
  local area, left, top, right, bottom = 0, math.huge, math.huge, 0, 0
  for _, r in ipairs(rectangles_of(rows, class)) do
    area = area + (r[3] - r[1]) * (r[4] - r[2])
    left, top, right, bottom = math.min(left, r[1]), math.min(top, r[2]), math.max(right, r[3]), math.max(bottom, r[4])
  end
  return area, { left, top, right - left, bottom - top }
end

--- Appends an annotation for every class of a label map that has a category; their kinds in turn.
local function annotate(list, image_id, rows, categories)
  local here = {}
  for _, row in ipairs(rows) do
    for _, class in ipairs(row) do here[class] = true end
  end
  for class = 0, 39 do
    if here[class] and categories[class] then
      local id = #list + 1
      local mask, is_crowd = KINDS[id % #KINDS + 1](rows, class)
      local area, box = area_and_box(rows, class)
      list[id] = { id = id, image_id = image_id, category_id = categories[class], iscrowd = is_crowd, area = area,
        bbox = box, segmentation = mask }
    end
  end
end

-- ---- the release --------------------------------------------------------------------------------

--- The samples that the pictures of a split are made of.
---@param split string  "train", "val"
---@return table[] samples  of asl.data.rooms
function coco_release.samples(split)
  local samples = {}
  for i = 1, coco_release.ROOMS[split] do
    local rooms = asl.data.rooms { domain = ({ "daylight", "lab", "studio" })[i % 3 + 1], split = split,
      size = SIZES[i % #SIZES + 1], sequences = 1, frames = FRAMES, seed = i }
    for frame = 1, FRAMES do samples[#samples + 1] = rooms:sample(frame, { "image", "label" }) end
  end
  return samples
end

--- Label maps of NYU-40 class ids as the annotations give them, as flat lists.
---@param samples table[]
---@return integer[][]
function coco_release.expected(samples)
  local ids, to_coco80, to_nyu40 = category_ids(), labels.map("coco91", "coco80"), labels.map("coco80", "nyu40")
  local maps = {}
  for i, sample in ipairs(samples) do
    maps[i] = {}
    for value in sample.label:contiguous():bytes():gmatch "." do
      local id = i ~= coco_release.BARE and ids[value:byte()]
      table.insert(maps[i], id and to_nyu40[to_coco80[id]] or labels.IGNORE)
    end
  end
  return maps
end

local function categories()
  local list = {}
  local ids = labels.load "coco91"
  for i, id in ipairs(ids.ids) do list[i] = { id = id, name = ids.names[i], supercategory = "thing" } end
  return list
end

--- The id of a picture: as in the release, neither dense nor in order.
---@param split string
---@param i integer  from 1
---@return integer
function coco_release.id(split, i) return (split == "val" and 500000 or 0) + i * 7919 % 1000 end

local function write_split(root, split, year)
  local folder, ids, images, annotations = split .. year, category_ids(), {}, {}
  core.fs.mkdirs(root .. "/" .. folder)
  for i, sample in ipairs(coco_release.samples(split)) do
    local id, shape = coco_release.id(split, i), sample.label:shape()
    local name = ("%s%012d.jpg"):format(year == 2014 and ("COCO_%s_"):format(folder) or "", id)
    images[i] = { id = id, file_name = name, height = shape[1], width = shape[2], license = 1 }
    local photograph = jpeg.encode(sample.image, { grey = i == coco_release.GREY })
    pictures.write(("%s/%s/%s"):format(root, folder, name), photograph)
    if i ~= coco_release.BARE then annotate(annotations, id, sample.label:totable(), ids) end
  end
  pictures.write(("%s/annotations/instances_%s.json"):format(root, folder), json.encode {
    info = { description = "made of rooms", year = year }, licenses = { { id = 1, name = "none" } }, images = images,
    annotations = annotations, categories = categories(),
  })
end

--- Writes the release below root: train and val, with their annotations.
---@param root string
---@param year integer|nil  2017 (the default) or 2014
function coco_release.write(root, year)
  core.fs.mkdirs(root .. "/annotations")
  for _, split in ipairs { "train", "val" } do write_split(root, split, year or 2017) end
end

return coco_release
