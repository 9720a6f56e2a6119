--- Small ScanNet scans in every form.

local core = require "asl.core"
local miniature_png = require "spec.support.miniature.png"
local pictures = require "spec.support.pictures"

local miniature_scannet = {}

miniature_scannet.HEIGHT, miniature_scannet.WIDTH = 6, 8
local HEIGHT, WIDTH = miniature_scannet.HEIGHT, miniature_scannet.WIDTH

-- The depth camera has half the resolution and the same middle.
miniature_scannet.COLOUR_K = { 8, 0, 3.5, 0, 8, 2.5, 0, 0, 1 }
miniature_scannet.DEPTH_K = { 4, 0, 1.5, 0, 4, 1, 0, 0, 1 }

--- 16 numbers of a matrix, row by row.
local function four_by_four(k)
  return { k[1], k[2], k[3], 0, k[4], k[5], k[6], 0, k[7], k[8], k[9], 0, 0, 0, 0, 1 }
end

--- Camera to world of a frame: it moves to the right.
function miniature_scannet.pose(frame)
  return { 1, 0, 0, frame / 4, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1 }
end

local function lost()
  local pose = {}
  for i = 1, 16 do pose[i] = -math.huge end
  return pose
end

local function text(numbers)
  local words = {}
  for i, number in ipairs(numbers) do words[i] = ("%f"):format(number) .. (i % 4 == 0 and "\n" or " ") end
  return table.concat(words)
end

--- Millimetres of the depth map at row y, column x of 3x4.
function miniature_scannet.millimetres(y, x) return 1000 + 100 * y + x end

local function depth_png()
  return miniature_png.encode("grey", 16, HEIGHT // 2, WIDTH // 2, miniature_scannet.millimetres)
end

--- Writes SCAN below root as the SensReader does, or as scannet_frames_25k.
---@param root string
---@param scan string
---@param given { form: string, frames: integer[], lost?: table<integer, boolean>, label: fun(y, x): integer }
function miniature_scannet.write(root, scan, given)
  local folder, few = root .. "/" .. scan, given.form == "frames_25k"
  for _, name in ipairs { "color", "depth", "pose", "intrinsic", few and "label" or "label-filt" } do
    core.fs.mkdirs(folder .. "/" .. name)
  end
  local camera = few and { "intrinsics_color.txt", "intrinsics_depth.txt" }
    or { "intrinsic/intrinsic_color.txt", "intrinsic/intrinsic_depth.txt" }
  pictures.write(folder .. "/" .. camera[1], text(four_by_four(miniature_scannet.COLOUR_K)))
  pictures.write(folder .. "/" .. camera[2], text(four_by_four(miniature_scannet.DEPTH_K)))
  for _, frame in ipairs(given.frames) do
    local name = few and ("%06d"):format(frame) or tostring(frame)
    pictures.write(("%s/color/%s.jpg"):format(folder, name), core.png_encode(pictures.pattern(HEIGHT, WIDTH)))
    pictures.write(("%s/depth/%s.png"):format(folder, name), depth_png())
    local pose = given.lost and given.lost[frame] and lost() or miniature_scannet.pose(frame)
    pictures.write(("%s/pose/%s.txt"):format(folder, name), text(pose))
    pictures.write(("%s/%s/%s.png"):format(folder, few and "label" or "label-filt", name),
      miniature_png.encode("grey", few and 8 or 16, HEIGHT, WIDTH, given.label))
  end
end

-- ---- .sens ------------------------------------------------------------------------------------------------------------

local function matrix(numbers) return string.pack("<" .. ("f"):rep(16), table.unpack(numbers)) end

local function raw_depth()
  local values = {}
  for y = 0, HEIGHT // 2 - 1 do
    for x = 0, WIDTH // 2 - 1 do values[#values + 1] = string.pack("<I2", miniature_scannet.millimetres(y, x)) end
  end
  return table.concat(values)
end

local IDENTITY = { 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1 }

--- The bytes of a .sens file of n frames.
---@param n integer
---@param given table|nil  version, colour_kind (1), depth_kind (1), picture (bytes), depth (bytes), lost[frame], per_metre,
---   frames (the number it says), k (intrinsics), size, depth_size ({height, width}), tail
---@return string
function miniature_scannet.sens(n, given)
  given = given or {}
  local size, depth_size = given.size or { HEIGHT, WIDTH }, given.depth_size or { HEIGHT // 2, WIDTH // 2 }
  local picture = given.picture or core.png_encode(pictures.pattern(HEIGHT, WIDTH))
  local kind = given.depth_kind or 1
  local depth = given.depth or (kind == 1 and miniature_png.zlib(raw_depth()) or raw_depth())
  local parts = {
    string.pack("<I4s8", given.version or 4, "StructureSensor"), matrix(four_by_four(given.k or miniature_scannet.COLOUR_K)),
    matrix(IDENTITY), matrix(four_by_four(miniature_scannet.DEPTH_K)), matrix(IDENTITY),
    string.pack("<i4i4I4I4I4I4fI8", given.colour_kind or 1, kind, size[2], size[1], depth_size[2], depth_size[1],
      given.per_metre or 1000, given.frames or n),
  }
  for frame = 0, n - 1 do
    local pose = given.lost and given.lost[frame] and lost() or miniature_scannet.pose(frame)
    parts[#parts + 1] = matrix(pose) .. string.pack("<I8I8I8I8", frame, frame, #picture, #depth) .. picture .. depth
  end
  return table.concat(parts) .. (given.tail or "")
end

return miniature_scannet
