--- ML-Hypersim in small: scenes of volumes 3 and 5, which have all three splits, showing rooms (asl.data.rooms) in HDF5 files as
--- h5py writes them, with cameras, keyframes in asset units, and metadata_camera_parameters.csv.

local asl = require "asl"
local core = require "asl.core"
local jpeg = require "spec.support.miniature.jpeg"
local miniature_hdf5 = require "spec.support.miniature.hdf5"
local pictures = require "spec.support.pictures"

local miniature_hypersim = {}

--- Trajectories: what room each shows, and by how many degrees its camera is turned (about x, about y) against the picture.
miniature_hypersim.SHOTS = {
  { scene = "ai_003_001", camera = "cam_00", split = "train", domain = "studio", metres = 0.0254, turn = { 0, 0 } },
  { scene = "ai_003_001", camera = "cam_01", split = "train", domain = "studio", metres = 0.0254, turn = { 0, 0 } },
  { scene = "ai_003_010", camera = "cam_01", split = "val", domain = "studio", metres = 1, turn = { 7, 0 } },
  { scene = "ai_003_007", camera = "cam_00", split = "test", domain = "studio", metres = 1, turn = { 0, 0 } },
  { scene = "ai_005_004", camera = "cam_00", split = "train", domain = "daylight", metres = 0.01, turn = { 5, -9 } },
  { scene = "ai_005_005", camera = "cam_00", split = "val", domain = "daylight", metres = 0.01, turn = { 0, 0 } },
  { scene = "ai_005_001", camera = "cam_00", split = "test", domain = "daylight", metres = 0.01, turn = { -3, 4 } },
}

local BRIGHT = 3 -- the light of the pictures, so that tone mapping has to do

-- ---- cameras ----------------------------------------------------------------------------------------------------------

local function product(a, b)
  local c = {}
  for i = 1, 3 do
    c[i] = {}
    for j = 1, 3 do c[i][j] = a[i][1] * b[1][j] + a[i][2] * b[2][j] + a[i][3] * b[3][j] end
  end
  return c
end

local function transposed(a)
  return { { a[1][1], a[2][1], a[3][1] }, { a[1][2], a[2][2], a[3][2] }, { a[1][3], a[2][3], a[3][3] } }
end

local OVER = { { 1, 0, 0 }, { 0, -1, 0 }, { 0, 0, -1 } } -- between axes x right, y down and x right, y up

--- The rotation by which a shot's camera is turned.
local function turn_of(shot)
  local a, b = math.rad(shot.turn[1]), math.rad(shot.turn[2])
  return product({ { 1, 0, 0 }, { 0, math.cos(a), -math.sin(a) }, { 0, math.sin(a), math.cos(a) } },
    { { math.cos(b), 0, math.sin(b) }, { 0, 1, 0 }, { -math.sin(b), 0, math.cos(b) } })
end

--- Hypersim's matrix from (u, v, 1) to rays of a camera with the intrinsics k, turned.
local function matrix_of(k, height, width, shot)
  local to_pixel = { { width / 2, 0, (width - 1) / 2 }, { 0, -height / 2, (height - 1) / 2 }, { 0, 0, 1 } }
  local to_ray = { { 1 / k[1][1], 0, -k[1][3] / k[1][1] }, { 0, 1 / k[2][2], -k[2][3] / k[2][2] }, { 0, 0, 1 } }
  return product(OVER, product(turn_of(shot), product(to_ray, to_pixel)))
end

local function flat(matrix)
  local numbers = {}
  for _, row in ipairs(matrix) do table.move(row, 1, #row, #numbers + 1, numbers) end
  return numbers
end

--- Appends orientation and position of a sample's camera, in asset units.
local function add_keyframe(keyframes, sample, shot)
  local pose = sample.pose:totable()
  local axes = product(product(pose, transposed(turn_of(shot))), OVER)
  table.move(flat(axes), 1, 9, #keyframes.orientations + 1, keyframes.orientations)
  for i = 1, 3 do table.insert(keyframes.positions, pose[i][4] / shot.metres) end
  table.insert(keyframes.indices, #keyframes.indices)
end

-- ---- files ------------------------------------------------------------------------------------------------------------

local function write_dataset(path, kind, shape, values, chunks)
  pictures.write(path, (miniature_hdf5.encode { datasets = {
    { name = "dataset", type = kind, shape = shape, values = values, chunks = chunks, deflate = chunks ~= nil },
  } }))
end

--- The distances along the rays of what a sample shows.
local function distances_of(sample)
  local k, distances = sample.intrinsics:totable(), {}
  for y, row in ipairs(sample.depth:totable()) do
    for x, depth in ipairs(row) do
      local a, b = (x - 1 - k[1][3]) / k[1][1], (y - 1 - k[2][3]) / k[2][2]
      distances[#distances + 1] = depth * math.sqrt(a * a + b * b + 1)
    end
  end
  return distances
end

--- The light of a picture, and which pixels nothing was rendered at: those of its first row, which are brightest.
local function light_of(sample)
  local light, entities = {}, {}
  for y, row in ipairs(sample.image:totable()) do
    for _, pixel in ipairs(row) do
      entities[#entities + 1] = y == 1 and -1 or 7
      for c = 1, 3 do light[#light + 1] = y == 1 and 9 or BRIGHT * (pixel[c] / 255) ^ 2.2 end
    end
  end
  return light, entities
end

local function write_frame(folder, number, sample, preview)
  local height, width = table.unpack(sample.label:shape())
  local size, chunks = { height, width }, { height // 2, width // 2 }
  local light, entities = light_of(sample)
  local ids = {}
  for i, class in ipairs(sample.label:reshape({ -1 }):totable()) do ids[i] = class == 255 and -1 or class + 1 end
  local function path(part, kind) return ("%s_%s/frame.%04d.%s"):format(folder, part, number, kind) end
  write_dataset(path("final_hdf5", "color.hdf5"), "f16", { height, width, 3 }, light, { height // 2, width // 2, 1 })
  write_dataset(path("geometry_hdf5", "semantic.hdf5"), "i16", size, ids, chunks)
  write_dataset(path("geometry_hdf5", "render_entity_id.hdf5"), "i16", size, entities, chunks)
  write_dataset(path("geometry_hdf5", "depth_meters.hdf5"), "f16", size, distances_of(sample), chunks)
  if preview then pictures.write(path("final_preview", "tonemap.jpg"), jpeg.encode(sample.image)) end
end

--- What a trajectory shows.
---@param shot table  of SHOTS
---@param given { frames: integer, height: integer, width: integer }
---@return asl.Dataset
function miniature_hypersim.rooms(shot, given)
  return asl.data.rooms { domain = shot.domain, split = shot.split, size = { given.height, given.width }, sequences = 1,
    frames = given.frames, seed = 1 + tonumber(shot.camera:sub(-2)) }
end

local function write_shot(root, shot, given)
  local scene = root .. "/" .. shot.scene
  local images, detail = scene .. "/images/scene_" .. shot.camera, scene .. "/_detail/" .. shot.camera
  for _, part in ipairs { "_final_hdf5", "_geometry_hdf5", given.preview and "_final_preview" or nil } do
    core.fs.mkdirs(images .. part)
  end
  core.fs.mkdirs(detail)
  local rooms, keyframes, samples = miniature_hypersim.rooms(shot, given), { orientations = {}, positions = {}, indices = {} }, {}
  for f = 1, given.frames do
    samples[f] = rooms:sample(f)
    write_frame(images, f - 1, samples[f], given.preview)
    add_keyframe(keyframes, samples[f], shot)
  end
  local n = given.frames
  write_dataset(detail .. "/camera_keyframe_orientations.hdf5", "f64", { n, 3, 3 }, keyframes.orientations)
  write_dataset(detail .. "/camera_keyframe_positions.hdf5", "f64", { n, 3 }, keyframes.positions)
  write_dataset(detail .. "/camera_keyframe_frame_indices.hdf5", "i64", { n }, keyframes.indices)
  pictures.write(scene .. "/_detail/metadata_scene.csv",
    ("parameter_name,parameter_value\nmeters_per_asset_unit,%.17g\n"):format(shot.metres))
  return samples
end

--- A line of metadata_camera_parameters.csv.
local function camera_line(shot, sample, given)
  local numbers = { shot.metres, table.unpack(flat(matrix_of(sample.intrinsics:totable(), given.height, given.width, shot))) }
  for i, number in ipairs(numbers) do numbers[i] = ("%.17g"):format(number) end
  return ('%s,"a, b",%s'):format(shot.scene, table.concat(numbers, ","))
end

--- Writes a release below root: train, val and test in both volumes.
---@param root string  made if it is not there
---@param given table|nil  frames (of each trajectory, default 2), height, width (48, 64), preview (boolean: the JPEGs too), only
---   (a number of SHOTS: just that one)
---@return table<string, table[]> samples  of rooms, frame by frame, by the name of the sequence ("ai_003_001/cam_00")
function miniature_hypersim.write(root, given)
  given = given or {}
  given = { frames = given.frames or 2, height = given.height or 48, width = given.width or 64, preview = given.preview,
    only = given.only }
  local columns, lines, written = { "scene_name", "other", "settings_units_info_meters_scale" }, {}, {}
  for i = 0, 8 do columns[#columns + 1] = ("M_cam_from_uv_%d%d"):format(i // 3, i % 3) end
  lines[1] = table.concat(columns, ",")
  for s, shot in ipairs(miniature_hypersim.SHOTS) do
    if not given.only or given.only == s then
      local samples = write_shot(root, shot, given)
      if shot.camera == "cam_00" or shot.scene == "ai_003_010" then
        lines[#lines + 1] = camera_line(shot, samples[1], given)
      end
      written[shot.scene .. "/" .. shot.camera] = samples
    end
  end
  pictures.write(root .. "/metadata_camera_parameters.csv", table.concat(lines, "\n") .. "\n")
  return written
end

return miniature_hypersim
