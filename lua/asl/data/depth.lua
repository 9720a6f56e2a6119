--- Depth maps in 16-bit files, in the codings that data sets use, and camera matrices in text files.

local core = require "asl.core"
local nearest = require "asl.nearest"
local options = require "asl.options"

local depth = {}

--- metres = value / per_metre; 0, and `none` where given, mean not known. What else is done: csrc/data/depth_png.h.
local CODINGS = {
  mm = { per_metre = 1000 }, -- ScanNet, Open3D, slambook
  tum = { per_metre = 5000 }, -- TUM RGB-D (Sturm et al., IROS 2012)
  ["0.1mm"] = { per_metre = 10000 }, -- derived forms of NYUv2
  kitti = { per_metre = 256 }, -- KITTI depth (Uhrig et al., 3DV 2017)
  seven_scenes = { per_metre = 1000, none = 65535 }, -- 7-Scenes (Shotton et al., CVPR 2013)
  sunrgbd = { per_metre = 1000, rotated = true }, -- SUN RGB-D (Song et al., CVPR 2015)
  nyu_raw = { per_metre = 1, swapped = true, disparity = true }, -- raw frames of NYUv2 (Silberman et al., ECCV 2012)
}

local FIELDS = {
  per_metre = options.require "number", none = options.optional "integer", rotated = false, swapped = false, disparity = false,
}

--- The coding of a name or of its fields.
---@param given string|table  "mm", "tum", "0.1mm", "kitti", "seven_scenes", "sunrgbd", "nyu_raw", or { per_metre = number,
---   none = integer, rotated = boolean, swapped = boolean, disparity = boolean }
---@return table coding  with per_metre, and none, rotated, swapped, disparity where they are used
--- Errors: an unknown name, with the known ones; an unknown field.
function depth.coding(given)
  if type(given) == "table" then return options.check("depth coding", given, FIELDS) end
  if CODINGS[given] then return CODINGS[given] end
  local known = {}
  for name in pairs(CODINGS) do known[#known + 1] = name end
  table.sort(known)
  local guess = nearest.one(tostring(given), known)
  error(("depth coding %s: neither one of %s nor a table { per_metre = number, ... }%s"):format(
    type(given) == "string" and ("%q"):format(given) or tostring(given), table.concat(known, ", "),
    guess and ("; did you mean %q?"):format(guess) or ""), 2)
end

--- See asl.data.read_depth.
function depth.read(path, coding)
  return core.depth_read(path, depth.coding(coding))
end

--- The numbers of a matrix in a text file.
---@param path string
---@param rows integer
---@param columns integer
---@return number[] numbers  row by row
--- Errors, naming the file: not to be read, another number of numbers, what is no number.
function depth.matrix(path, rows, columns)
  return core.matrix_read(path, rows, columns)
end

--- The 3x3 camera matrix of a file that holds it, or the 4x4 matrix whose upper left part it is (ScanNet).
---@param path string
---@param side integer  3 or 4
---@return number[] intrinsics  9 numbers, row by row
function depth.intrinsics(path, side)
  local m = core.matrix_read(path, side, side)
  return { m[1], m[2], m[3], m[side + 1], m[side + 2], m[side + 3], m[2 * side + 1], m[2 * side + 2], m[2 * side + 3] }
end

return depth
