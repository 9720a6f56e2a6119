--- ScanNet in small, on disk as its three forms are: scans of rooms (asl.data.rooms), JPEG pictures, depth of half
--- their size in millimetres, poses of which one is lost, labels as raw ids (NYU-40 ids in frames_25k).

local asl = require "asl"
local core = require "asl.core"
local jpeg = require "spec.support.miniature.jpeg"
local labels = require "asl.labels"
local miniature_png = require "spec.support.miniature.png"
local pictures = require "spec.support.pictures"

local scannet_release = {}

local SIZE, FRAMES = { 48, 64 }, 6 -- of the pictures; per scan
local MILLIMETRES = 1000

scannet_release.FRAMES = FRAMES
scannet_release.SCANS = { "scene0000_00", "scene0000_01", "scene0001_00", "scene0002_00" }
scannet_release.LOST = { scan = "scene0000_01", frame = 3 } -- which pose is not known; counted from 1

local IDENTITY = { 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1 }

-- What the forms call things; numbers of frames go up by `step`.
local FORMS = {
  frames_25k = { name = "%06d", step = 100, label = "label", camera = "" },
  scans = { name = "%d", step = 1, label = "label-filt", camera = "intrinsic/" },
  sens = { name = "%d", step = 1, label = "label-filt" },
}

--- The frames of a scan: a room that a camera walks through.
---@param scan string
---@return asl.Dataset
function scannet_release.rooms(scan)
  local number = tonumber(scan:sub(6, 9))
  return asl.data.rooms { domain = ({ "daylight", "lab", "evening" })[number % 3 + 1], split = "train", size = SIZE,
    sequences = 1, frames = FRAMES, seed = 1 + tonumber(scan:sub(-2)) }
end

--- 16 numbers of a camera's matrix, row by row; `scale`: of its pictures' pixels to ours, top left on top left.
local function camera_of(sample, scale)
  local k = sample.intrinsics:totable()
  return { k[1][1] * scale, 0, k[1][3] * scale, 0, 0, k[2][2] * scale, k[2][3] * scale, 0, 0, 0, 1, 0, 0, 0, 0, 1 }
end

--- 16 numbers of a pose, row by row; none of them finite where it is lost.
local function pose_of(sample, is_lost)
  local numbers = {}
  for _, row in ipairs(sample.pose:totable()) do
    for _, number in ipairs(row) do numbers[#numbers + 1] = is_lost and -math.huge or number end
  end
  return numbers
end

local function text_of(numbers)
  local words = {}
  for i, number in ipairs(numbers) do words[i] = ("%f"):format(number) .. (i % 4 == 0 and "\n" or " ") end
  return table.concat(words)
end

--- Calls f for every pixel of the depth map, which sees every other pixel of every other row.
local function millimetres_of(sample)
  local rows = sample.depth:totable()
  return function(y, x) return math.floor(rows[2 * y + 1][2 * x + 1] * MILLIMETRES + 0.5) end
end

--- What a room's class is in the files: the least raw id that means it, or its NYU-40 id.
local function file_ids(form)
  local of = {}
  for id, class in pairs(labels.map(form == "frames_25k" and "nyu40_file" or "scannet", "nyu40")) do
    if class ~= labels.IGNORE then of[class] = math.min(of[class] or id, id) end
  end
  return of
end

local function write_label(path, sample, form)
  local rows, ids = sample.label:totable(), file_ids(form)
  pictures.write(path, miniature_png.encode("grey", form == "frames_25k" and 8 or 16, SIZE[1], SIZE[2], function(y, x)
    return ids[rows[y + 1][x + 1]]
  end))
end

-- ---- .sens --------------------------------------------------------------------------------------

local function matrix(numbers) return string.pack("<" .. ("f"):rep(16), table.unpack(numbers)) end

local function raw_depth(sample)
  local at, values = millimetres_of(sample), {}
  for y = 0, SIZE[1] // 2 - 1 do
    for x = 0, SIZE[2] // 2 - 1 do values[#values + 1] = string.pack("<I2", at(y, x)) end
  end
  return table.concat(values)
end

--- The head of a file: JPEG pictures, deflated depth.
local function sens_head(sample)
  return table.concat {
    string.pack("<I4s8", 4, "StructureSensor"), matrix(camera_of(sample, 1)), matrix(IDENTITY),
    matrix(camera_of(sample, 0.5)), matrix(IDENTITY),
    string.pack("<i4i4I4I4I4I4fI8", 2, 1, SIZE[2], SIZE[1], SIZE[2] // 2, SIZE[1] // 2, MILLIMETRES, FRAMES),
  }
end

local function sens_frame(sample, i, is_lost)
  local picture, depth = jpeg.encode(sample.image), miniature_png.zlib(raw_depth(sample))
  return matrix(pose_of(sample, is_lost)) .. string.pack("<I8I8I8I8", i, i, #picture, #depth) .. picture .. depth
end

-- ---- folders of frames --------------------------------------------------------------------------

local function write_frame(folder, name, sample, is_lost)
  pictures.write(("%s/color/%s.jpg"):format(folder, name), jpeg.encode(sample.image))
  pictures.write(("%s/depth/%s.png"):format(folder, name),
    miniature_png.encode("grey", 16, SIZE[1] // 2, SIZE[2] // 2, millimetres_of(sample)))
  pictures.write(("%s/pose/%s.txt"):format(folder, name), text_of(pose_of(sample, is_lost)))
end

local function write_cameras(folder, camera, sample)
  pictures.write(folder .. "/" .. camera:format "color", text_of(camera_of(sample, 1)))
  pictures.write(folder .. "/" .. camera:format "depth", text_of(camera_of(sample, 0.5)))
end

local function write_scan(root, scan, form)
  local this, folder, rooms, parts = FORMS[form], root .. "/" .. scan, scannet_release.rooms(scan), {}
  local folders = { this.label }
  if this.camera then folders = { this.label, "color", "depth", "pose", this.camera } end
  for _, name in ipairs(folders) do core.fs.mkdirs(folder .. "/" .. name) end
  for i = 1, #rooms do
    local sample, name = rooms:sample(i), this.name:format((i - 1) * this.step)
    local is_lost = scan == scannet_release.LOST.scan and i == scannet_release.LOST.frame
    write_label(("%s/%s/%s.png"):format(folder, this.label, name), sample, form)
    if this.camera then write_frame(folder, name, sample, is_lost) end
    if not this.camera then parts[i] = sens_frame(sample, i - 1, is_lost) end
  end
  local first = rooms:sample(1, { "intrinsics" })
  if this.camera then
    write_cameras(folder, form == "scans" and "intrinsic/intrinsic_%s.txt" or "intrinsics_%s.txt", first)
  else
    local no_inertial_data = string.pack("<I8", 0)
    pictures.write(("%s/%s.sens"):format(folder, scan), sens_head(first) .. table.concat(parts) .. no_inertial_data)
  end
end

--- Writes the scans below root.
---@param root string
---@param form string  "frames_25k", "scans", "sens"
function scannet_release.write(root, form)
  for _, scan in ipairs(scannet_release.SCANS) do write_scan(root, scan, form) end
end

return scannet_release
