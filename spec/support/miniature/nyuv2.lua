--- NYU Depth V2 in small: nyu_depth_v2_labeled.mat of rooms (asl.data.rooms) as MATLAB v7.3 writes it, with a user block,
--- reversed dimensions and references, and nyuv2_frames.tsv beside it, which says what its frames are.

local asl = require "asl"
local core = require "asl.core"
local labels = require "asl.labels"
local miniature_hdf5 = require "spec.support.miniature.hdf5"
local pictures = require "spec.support.pictures"

local miniature_nyuv2 = {}

local DOMAINS = { "daylight", "evening", "lab", "studio" }
local SPLITS = { "train", "val", "test" }

--- The scenes of a release: one of each kind of room in each split.
---@param types string[]
---@return { name: string, type: string, split: string, domain: string }[]
function miniature_nyuv2.scenes(types)
  local scenes = {}
  for s, split in ipairs(SPLITS) do
    for t, kind in ipairs(types) do
      scenes[#scenes + 1] = { name = ("%s_%04d"):format(kind, s), type = kind, split = split,
        domain = DOMAINS[(t - 1) % #DOMAINS + 1] }
    end
  end
  return scenes
end

--- The least of the 894 classes that becomes each class of NYU-40; 0 for none.
---@return table<integer, integer>
function miniature_nyuv2.raw_ids()
  local raw = { [255] = 0 }
  for id, class in pairs(labels.map("nyu894", "nyu40")) do
    if id > 0 and class ~= 255 and (not raw[class] or id < raw[class]) then raw[class] = id end
  end
  return raw
end

--- Where the raw depth of a pixel (0-based) is not known.
---@return boolean
function miniature_nyuv2.is_hole(y, x) return (x + 2 * y) % 7 == 0 end

--- Appends the values of one frame, column by column, as strings.
local function add_frame(parts, sample, raw)
  local image, label, depth = sample.image:totable(), sample.label:totable(), sample.depth:totable()
  local height, width = #label, #label[1]
  for c = 1, 3 do
    for x = 1, width do
      local column = {}
      for y = 1, height do column[y] = string.char(image[y][x][c]) end
      table.insert(parts.images, table.concat(column))
    end
  end
  for x = 1, width do
    local ids, metres, holes = {}, {}, {}
    for y = 1, height do
      ids[y] = string.pack("<I2", raw[label[y][x]])
      metres[y] = string.pack("<f", depth[y][x])
      holes[y] = miniature_nyuv2.is_hole(y - 1, x - 1) and ("\0"):rep(4) or metres[y]
    end
    table.insert(parts.labels, table.concat(ids))
    table.insert(parts.depths, table.concat(metres))
    table.insert(parts.rawDepths, table.concat(holes))
  end
end

--- A cell array of strings: references and what they refer to.
local function add_cells(datasets, name, strings)
  local refs, known = {}, {}
  for i, text in ipairs(strings) do
    refs[i] = known[text] or ("#refs#/%s%d"):format(name, i)
    if not known[text] then datasets[#datasets + 1] = { name = refs[i], type = "char16", values = text } end
    known[text] = refs[i]
  end
  datasets[#datasets + 1] = { name = name, type = "reference", refs = refs }
end

local function names_of_classes()
  local names = {}
  for i, id in ipairs(labels.nyu894.ids) do
    if id > 0 then names[id] = labels.nyu894.names[i] end
  end
  return names
end

--- Datasets of the .mat, row by row of the table, and the samples they are of.
local function make(given)
  local scenes, raw = miniature_nyuv2.scenes(given.types), miniature_nyuv2.raw_ids()
  local parts, made = { images = {}, labels = {}, depths = {}, rawDepths = {} }, { samples = {}, rows = {} }
  for _, scene in ipairs(scenes) do
    local rooms = asl.data.rooms { domain = scene.domain, split = scene.split, size = { given.height, given.width },
      sequences = 1, frames = given.frames }
    for f = 1, given.frames do
      local sample = rooms:sample(f)
      add_frame(parts, sample, raw)
      table.insert(made.samples, sample)
      table.insert(made.rows, scene)
    end
  end
  local n, width, height = #made.rows, given.width, given.height
  made.datasets = {
    { name = "images", type = "u8", shape = { n, 3, width, height }, values = table.concat(parts.images),
      chunks = { 1, 1, width // 2, height // 2 }, deflate = true },
    { name = "labels", type = "u16", shape = { n, width, height }, values = table.concat(parts.labels),
      chunks = { 1, width // 2, height // 2 }, deflate = true },
    { name = "depths", type = "f32", shape = { n, width, height }, values = table.concat(parts.depths),
      chunks = { 1, width, height }, deflate = true },
    { name = "rawDepths", type = "f32", shape = { n, width, height }, values = table.concat(parts.rawDepths),
      chunks = { 1, width, height }, deflate = true },
  }
  return made
end

--- Writes a release below root: train, val and test with a scene of each kind of room.
---@param root string  made if it is not there
---@param given table|nil  frames (of each scene, default 2), height, width (48, 64), types (kinds of room, default bedroom and
---   kitchen), change = function(datasets): before they are written, names of classes and scenes being the last
---@return { path: string, samples: table[], rows: table[] } release  samples of rooms and scenes, by the number of the frame
function miniature_nyuv2.write(root, given)
  given = given or {}
  local made = make { frames = given.frames or 2, height = given.height or 48, width = given.width or 64,
    types = given.types or { "bedroom", "kitchen" } }
  local names, types, lines = {}, {}, { "index\tsplit\tscene_type\tscene" }
  for i, row in ipairs(made.rows) do
    names[i], types[i] = row.name, row.type
    lines[i + 1] = ("%d\t%s\t%s\t%s"):format(i, row.split, row.type, row.name)
  end
  add_cells(made.datasets, "names", names_of_classes())
  add_cells(made.datasets, "scenes", names)
  add_cells(made.datasets, "sceneTypes", types)
  if given.change then given.change(made.datasets) end
  core.fs.mkdirs(root)
  made.path = root .. "/nyu_depth_v2_labeled.mat"
  pictures.write(made.path, (miniature_hdf5.encode { user_block = 512, datasets = made.datasets }))
  pictures.write(root .. "/nyuv2_frames.tsv", table.concat(lines, "\n") .. "\n")
  return made
end

return miniature_nyuv2
