--- Cityscapes in small, on disk as the release is: three cities to learn from, one to validate on, one whose labels are
--- kept back. The streets are rooms (asl.data.rooms), their classes read as in STREET.

local asl = require "asl"
local core = require "asl.core"
local labels = require "asl.labels"
local pictures = require "spec.support.pictures"

local miniature_cityscapes = {}

local SEQUENCES, FRAMES, DOMAINS = 2, 4, { "daylight", "lab", "studio", "evening" }

miniature_cityscapes.CITIES = { train = { "aachen", "bochum", "zurich" }, val = { "frankfurt" }, test = { "berlin" } }

-- What a room's class is in the street; any other is "static", which is not evaluated.
local STREET = {
  wall = "building", floor = "road", ceiling = "sky", door = "fence", window = "vegetation", cabinet = "car",
  bookshelf = "truck", refridgerator = "bus", table = "sidewalk", desk = "sidewalk", chair = "person",
  curtain = "terrain", picture = "traffic sign", lamp = "pole",
}

--- Values of label maps for a room's classes, by the byte that stands for each.
local function label_ids()
  local bytes, ids = {}, labels.load("cityscapes").id_of
  for i, name in ipairs(labels.load("nyu40").names) do
    bytes[string.char(i - 1)] = string.char(ids[STREET[name] or "static"])
  end
  return bytes
end

--- Class ids of cityscapes19 where a room has its own, as a flat list.
---@param label asl.Tensor  u8 HxW, NYU-40 class ids
---@return integer[]
function miniature_cityscapes.expected(label)
  local class, ids, values = labels.map("cityscapes", "cityscapes19"), label_ids(), {}
  for value in label:contiguous():bytes():gmatch "." do values[#values + 1] = class[ids[value]:byte()] end
  return values
end

--- The rooms that a city is made of.
---@param city string
---@param size integer[]  height and width
---@return asl.Dataset  sequence after sequence, as the city's
function miniature_cityscapes.rooms(city, size)
  local split = { frankfurt = "val", berlin = "test" }
  local letter = city:byte() - ("a"):byte()
  return asl.data.rooms { domain = DOMAINS[letter % #DOMAINS + 1], split = split[city] or "train", size = size,
    sequences = SEQUENCES, frames = FRAMES, seed = letter + 1 }
end

local function write_city(root, split, city, size)
  local rooms, ids = miniature_cityscapes.rooms(city, size), label_ids()
  local folders = { ("%s/leftImg8bit/%s/%s"):format(root, split, city), ("%s/gtFine/%s/%s"):format(root, split, city) }
  for _, folder in ipairs(folders) do core.fs.mkdirs(folder) end
  for i = 1, #rooms do
    local name = ("%s_%06d_%06d"):format(city, (i - 1) // FRAMES, 19 + 30 * ((i - 1) % FRAMES))
    local sample = rooms:sample(i, { "image", "label" })
    pictures.write(("%s/%s_leftImg8bit.png"):format(folders[1], name), core.png_encode(sample.image))
    -- Of the test cities the release has maps without labels: "out of roi" everywhere.
    local map = sample.label:contiguous():bytes():gsub(".", split == "test" and function() return "\3" end or ids)
    pictures.write(("%s/%s_gtFine_labelIds.png"):format(folders[2], name),
      core.png_encode(asl.frombytes(map, size, "u8")))
  end
end

--- Writes the release below root.
---@param root string
---@param given { size?: integer[] }|nil  height and width, default {32, 64}
function miniature_cityscapes.write(root, given)
  local size = given and given.size or { 32, 64 }
  for split, cities in pairs(miniature_cityscapes.CITIES) do
    for _, city in ipairs(cities) do write_city(root, split, city, size) end
  end
end

return miniature_cityscapes
