--- ML-Hypersim (Roberts et al., ICCV 2021): rendered indoor scenes with NYU-40 labels, distance and camera, 1024x768.
---
--- ROOT/ai_VVV_NNN/images/scene_cam_XX_{final_hdf5,final_preview,geometry_hdf5}/frame.IIII.* and ai_VVV_NNN/_detail, as
--- csrc/data/source_hypersim.h says. VVV is the volume; a sequence is a camera's trajectory, "ai_001_001/cam_00".
---
--- hypersim_scenes.tsv beside this file has the split v1 by scene (59543 train, 7386 val, 7690 test pictures) and what it
--- leaves out: pictures that were flagged, and trajectories outside of what the scene shows. split = "all" is whatever is on
--- disk, these too.
---
--- Cameras. hypersim_cameras.tsv has metadata_camera_parameters.csv's matrix M_cam_from_uv, which takes (u, v, 1) to a ray.
--- Where the lens is tilted (278 of 482 scenes) the picture is not at right angles to the z axis of Hypersim's camera, and no
--- matrix K exists there. Depth (along z), intrinsics and pose are those of the camera turned about its centre so that it is:
--- exact for every scene. The pixels come out square to 0.02 %; in 31 scenes K has a skew, of up to 16 pixels.

local core = require "asl.core"
local dataset = require "asl.data.dataset"
local files = require "asl.data.files"
local labels = require "asl.labels"
local options = require "asl.options"
local rows = require "asl.data.rows"

local hypersim = {}

local WHERE = "asl.data.hypersim"
local FOLDER = debug.getinfo(1, "S").source:match("^@(.*/)") or "./"
local CAMERAS = "metadata_camera_parameters.csv"
local SCALE = "settings_units_info_meters_scale"
local SPLITS = { "train", "val", "test", "all" }
local MOST_ROTATION_ERROR = 1e-3 -- how far R^T R of an orientation may be from 1

--- The options of asl.data.hypersim.
hypersim.options = {
  root = options.require "string", split = options.one_of(SPLITS), scenes = options.optional "table",
  volumes = options.optional "table", cameras = options.optional "table", scene_types = options.optional "table", every = 1,
  picture = options.one_of { "tonemapped", "preview" }, valid = options.one_of { "rendered", "all" }, labels = true,
  geometry = true, tracked = false, classes = "nyu40", camera_parameters = options.optional "string",
  size = options.optional "table",
}

-- What can be done where a kind of file is missing.
local HINTS = {
  ["render_entity_id.hdf5"] = '; tone mapping asks it which pixels count (valid = "all": all do)',
  ["depth_meters.hdf5"] = " (geometry = false does without)",
}

-- ---- tables -----------------------------------------------------------------------------------------------------------

--- Frame numbers of "36,61" or "0-99,120".
local function numbers_in(text)
  local set = {}
  for first, last in text:gmatch "(%d+)%-?(%d*)" do
    for number = tonumber(first), tonumber(last ~= "" and last or first) do set[math.tointeger(number)] = true end
  end
  return set
end

--- The trajectories of the release.
---@return table<string, {split: string, scene_type: string, left_out: table<integer, boolean>}> trajectories  by the name of
---   the sequence; split "train", "val", "test" or "-" (all of it is left out)
function hypersim.trajectories()
  local trajectories = {}
  rows.each(WHERE, FOLDER .. "hypersim_scenes.tsv", { "scene", "camera", "split", "scene_type", "left_out" }, function(row)
    trajectories[row.scene .. "/" .. row.camera] =
      { split = row.split, scene_type = row.scene_type, left_out = numbers_in(row.left_out) }
  end)
  return trajectories
end

--- Kinds of room of a data set's samples, the most frequent first, and how many samples each has.
---@param set asl.Dataset
---@return string[] names  "-" where a trajectory is not of the release
---@return table<string, integer> counts
function hypersim.scene_types(set)
  local trajectories, names, counts = hypersim.trajectories(), {}, {}
  for _, sequence in ipairs(set.sequences) do
    local name = trajectories[sequence] and trajectories[sequence].scene_type or "-"
    if not counts[name] then names[#names + 1] = name end
    counts[name] = (counts[name] or 0) + 1
  end
  table.sort(names, function(a, b)
    if counts[a] ~= counts[b] then return counts[a] > counts[b] end
    return a < b
  end)
  return names, counts
end

--- M_cam_from_uv (9 numbers) and metres per asset unit by scene: of the file that is given, that lies in root, or built in.
local function read_cameras(o)
  local beside = files.join(o.root, CAMERAS)
  local own = o.camera_parameters or core.fs.stat(beside) and beside or nil
  local path = own or FOLDER .. "hypersim_cameras.tsv"
  o.files[#o.files + 1] = own
  local columns, cameras = { "scene_name", SCALE }, { path = path }
  for i = 0, 2 do
    for j = 0, 2 do columns[#columns + 1] = ("M_cam_from_uv_%d%d"):format(i, j) end
  end
  rows.each(WHERE, path, columns, function(row, place)
    local numbers = {}
    for i = 2, #columns do
      numbers[i - 1] = tonumber(row[columns[i]])
        or files.bad("%s: %s: %s is %q, no number", WHERE, place, columns[i], row[columns[i]])
    end
    cameras[row.scene_name] = { metres = table.remove(numbers, 1), matrix = numbers }
  end)
  return cameras
end

-- ---- cameras ----------------------------------------------------------------------------------------------------------

local function dot(a, b) return a[1] * b[1] + a[2] * b[2] + a[3] * b[3] end

local function cross(a, b)
  return { a[2] * b[3] - a[3] * b[2], a[3] * b[1] - a[1] * b[3], a[1] * b[2] - a[2] * b[1] }
end

--- a - s b
local function less(a, s, b) return { a[1] - s * b[1], a[2] - s * b[2], a[3] - s * b[3] } end

local function unit(a)
  local length = math.sqrt(dot(a, a))
  return { a[1] / length, a[2] / length, a[3] / length }, length
end

--- M = Q R with axes as ASL has them: y and z of Hypersim's camera turned over, v turned over.
---@param m number[]  9 numbers, row by row
---@return number[][]|nil columns  of the rotation Q; nil when M is no camera's
---@return number[]|nil rays  R / R33, 9 numbers, row by row
local function turn_camera(m)
  local a, b, c = { m[1], -m[4], -m[7] }, { -m[2], m[5], m[8] }, { m[3], -m[6], -m[9] }
  local q1, r11 = unit(a)
  local r12 = dot(q1, b)
  local q2, r22 = unit(less(b, r12, q1))
  local q3 = cross(q1, q2)
  local r33 = dot(q3, c)
  local rays = { r11 / r33, r12 / r33, dot(q1, c) / r33, 0, r22 / r33, dot(q2, c) / r33, 0, 0, 1 }
  for i = 1, 9 do
    if rays[i] - rays[i] ~= 0 then return nil end
  end
  if r33 <= 0 then return nil end
  return { q1, q2, q3 }, rays
end

--- Metres per asset unit as the scene says itself; nil when it does not.
local function own_metres(folder)
  local path = files.join(folder, "_detail", "metadata_scene.csv")
  if not core.fs.stat(path) then return nil end
  local text = core.fs.read(path, 1 << 16):match "meters_per_asset_unit,%s*([^%s,]+)"
  return tonumber(text) or files.bad("%s: %s does not give meters_per_asset_unit", WHERE, path), path
end

--- How a scene's cameras see: columns of the rotation, rays, metres per asset unit.
local function camera_of(o, scene)
  local row = o.cameras_of[scene] or files.bad("%s: %s has no camera of the scene %s; say geometry = false", WHERE,
    o.cameras_of.path, scene)
  local turn, rays = turn_camera(row.matrix)
  if not turn then files.bad("%s: %s: the matrix of %s is not that of a camera", WHERE, o.cameras_of.path, scene) end
  local metres, path = own_metres(files.join(o.root, scene))
  o.files[#o.files + 1] = path
  if metres and math.abs(metres - row.metres) > 1e-6 * row.metres then
    files.bad("%s: %s says %g metres per asset unit, %s %g", WHERE, path, metres, o.cameras_of.path, row.metres)
  end
  return { turn = turn, rays = rays, metres = row.metres }
end

--- A table of keyframes: the dataset of a file, whose rows have `row` numbers.
local function keyframes(o, folder, name, row)
  local path = files.first(WHERE, "camera", { files.join(folder, "camera_keyframe_" .. name .. ".hdf5") })
  o.files[#o.files + 1] = path
  local file <close> = core.hdf5_open(path)
  local shape = file:describe("dataset").shape
  local numbers = 1
  for i = 2, #shape do numbers = numbers * shape[i] end
  if #shape < 1 or numbers ~= row then
    files.bad("%s: %s is (%s); expected (keyframes%s)", WHERE, path, table.concat(shape, ", "),
      row == 9 and ", 3, 3" or row == 3 and ", 3" or "")
  end
  return file:read("dataset"):reshape({ -1 }):totable(), shape[1], path
end

--- Keyframes of a trajectory: number of the keyframe by that of the frame, and what it says.
local function read_keyframes(o, scene, camera)
  local folder = files.join(o.root, scene, "_detail", camera)
  local indices, n, path = keyframes(o, folder, "frame_indices", 1)
  local found = { path = path, of = {} }
  local of_orientations, of_positions
  found.orientations, of_orientations = keyframes(o, folder, "orientations", 9)
  found.positions, of_positions = keyframes(o, folder, "positions", 3)
  if of_orientations ~= n or of_positions ~= n then
    files.bad("%s: %s: %d frame indices, %d orientations, %d positions", WHERE, folder, n, of_orientations, of_positions)
  end
  for k, frame in ipairs(indices) do found.of[math.tointeger(frame) or -1] = k end
  return found
end

--- Whether the columns of a matrix are at right angles, of length 1 and right-handed.
local function is_rotation(columns)
  for i = 1, 3 do
    for j = i, 3 do
      if not (math.abs(dot(columns[i], columns[j]) - (i == j and 1 or 0)) <= MOST_ROTATION_ERROR) then return false end
    end
  end
  return dot(cross(columns[1], columns[2]), columns[3]) > 0
end

--- Appends the 16 numbers of a frame's pose, in metres, to a list; NaN where the keyframe's orientation is no rotation.
---@return boolean valid
local function add_pose(poses, seen, camera, frame)
  local k = seen.of[frame] or files.bad("%s: %s has no keyframe of frame %d", WHERE, seen.path, frame)
  local r, columns, at = seen.orientations, {}, 9 * (k - 1)
  for j = 1, 3 do columns[j] = { r[at + j], r[at + 3 + j], r[at + 6 + j] } end
  local valid = is_rotation(columns)
  for i = 1, 3 do
    local row = { columns[1][i], -columns[2][i], -columns[3][i] } -- x right, y down, z forward
    for j = 1, 3 do poses[#poses + 1] = valid and dot(row, camera.turn[j]) or 0 / 0 end
    poses[#poses + 1] = valid and seen.positions[3 * (k - 1) + i] * camera.metres or 0 / 0
  end
  for j = 1, 4 do poses[#poses + 1] = j == 4 and 1 or 0 end
  return valid
end

-- ---- which frames -----------------------------------------------------------------------------------------------------

--- A set of what a list option asks for, each item brought to one form by `name_of` (nil: refused as `expected` says).
local function wanted_set(list, option, name_of, expected)
  if not list then return nil end
  local set = {}
  for _, item in ipairs(list) do
    local name = name_of(item)
    if not name then
      error(("%s: %s: %s; each is %s"):format(WHERE, option, type(item) == "string" and ("%q"):format(item) or tostring(item),
        expected), 3)
    end
    set[name] = true
  end
  return set
end

local function check_wanted(o)
  local function scene(item) return type(item) == "string" and item:match "^ai_%d%d%d_%d%d%d$" end
  local function volume(item) return math.type(item) == "integer" and item > 0 and ("%03d"):format(item) or nil end
  local function camera(item) return type(item) == "string" and item:match "^cam_%d%d$" end
  local function kind(item) return type(item) == "string" and item end
  return {
    scenes = wanted_set(o.scenes, "scenes", scene, 'a name like "ai_001_001"'),
    volumes = wanted_set(o.volumes, "volumes", volume, "a number from 1"),
    cameras = wanted_set(o.cameras, "cameras", camera, 'a name like "cam_00"'),
    scene_types = wanted_set(o.scene_types, "scene_types", kind, 'a name like "Kitchen"'),
  }
end

--- Raises for the first thing that was asked for and of which there is nothing.
local function check_found(o, wanted, found)
  for _, option in ipairs { "scenes", "volumes", "cameras", "scene_types" } do
    local names = {}
    for name in pairs(wanted[option] or {}) do
      if not found[option .. name] then names[#names + 1] = name end
    end
    table.sort(names)
    if names[1] then
      files.bad("%s: %s: nothing of the %s %s and the split %q is there", WHERE, o.root, option:sub(1, -2):gsub("_", " "),
        names[1], o.split)
    end
  end
end

--- The trajectories on disk that are of the split and asked for.
local function find_shots(o)
  local wanted, found, shots = check_wanted(o), {}, {}
  local pattern = "^scene_(cam_%d%d)_final_" .. (o.picture == "preview" and "preview" or "hdf5") .. "$"
  for _, entry in ipairs(files.matching(o.root, "^(ai_(%d%d%d)_%d%d%d)$")) do
    local scene, images = entry[1], files.join(o.root, entry[1], "images")
    local asked = (not wanted.scenes or wanted.scenes[scene]) and (not wanted.volumes or wanted.volumes[entry[2]])
    for _, match in ipairs(asked and files.is_folder(images) and files.matching(images, pattern) or {}) do
      local camera = match[1]
      local facts = o.trajectories[scene .. "/" .. camera] or { split = "-", scene_type = "-", left_out = {} }
      if (o.split == "all" or facts.split == o.split) and (not wanted.cameras or wanted.cameras[camera])
        and (not wanted.scene_types or wanted.scene_types[facts.scene_type]) then
        found["scenes" .. scene], found["volumes" .. entry[2]] = true, true
        found["cameras" .. camera], found["scene_types" .. facts.scene_type] = true, true
        shots[#shots + 1] = { scene = scene, camera = camera, left_out = o.split == "all" and {} or facts.left_out,
          folder = files.join(images, "scene_" .. camera) }
      end
    end
  end
  check_found(o, wanted, found)
  if #shots == 0 then files.bad("%s: %s holds nothing of the split %q", WHERE, o.root, o.split) end
  return shots
end

--- The kinds of file a frame has, of which the first `leading` say that there is one.
local function kinds_of(o)
  local preview = o.picture == "preview"
  local kinds = { preview and { "final_preview", "tonemap.jpg" } or { "final_hdf5", "color.hdf5" } }
  if o.labels then kinds[#kinds + 1] = { "geometry_hdf5", "semantic.hdf5" } end
  kinds.leading = #kinds
  if o.geometry then kinds[#kinds + 1] = { "geometry_hdf5", "depth_meters.hdf5" } end
  if not preview and o.valid == "rendered" then kinds[#kinds + 1] = { "geometry_hdf5", "render_entity_id.hdf5" } end
  return kinds
end

--- Frames of a trajectory, sorted. Each must have all kinds of file.
local function frames_of(o, shot)
  local there, frames, seen = {}, {}, {}
  for k, kind in ipairs(o.kinds) do
    local folder = ("%s_%s"):format(shot.folder, kind[1])
    there[k] = {}
    local pattern = "^frame%.(%d%d%d%d)%." .. kind[2]:gsub("%.", "%%.") .. "$"
    for _, found in ipairs(files.is_folder(folder) and files.matching(folder, pattern) or {}) do
      local number = math.tointeger(tonumber(found[1]))
      there[k][number] = true
      if k <= o.kinds.leading and number % o.every == 0 and not shot.left_out[number] and not seen[number] then
        seen[number] = true
        frames[#frames + 1] = number
      end
    end
  end
  table.sort(frames)
  for _, number in ipairs(frames) do
    for k, kind in ipairs(o.kinds) do
      if not there[k][number] then
        files.bad("%s: %s_%s/frame.%04d.%s is not there%s", WHERE, shot.folder, kind[1], number, kind[2],
          HINTS[kind[2]] or "")
      end
    end
  end
  return frames
end

-- ---- the data set -----------------------------------------------------------------------------------------------------

--- Adds a trajectory's frames to the parallel lists.
local function add_shot(lists, o, shot)
  local camera, seen
  if o.geometry then
    lists.by_scene[shot.scene] = lists.by_scene[shot.scene] or camera_of(o, shot.scene)
    camera = lists.by_scene[shot.scene]
  end
  lists.folders[#lists.folders + 1] = shot.folder
  if camera then table.move(camera.rays, 1, 9, #lists.rays + 1, lists.rays) end
  for _, number in ipairs(frames_of(o, shot)) do
    seen = seen or camera and read_keyframes(o, shot.scene, shot.camera)
    local before = camera and #lists.poses
    if not camera or add_pose(lists.poses, seen, camera, number) or not o.tracked then
      local i = #lists.ids + 1
      lists.sequences[i], lists.frames[i] = shot.scene .. "/" .. shot.camera, number
      lists.ids[i] = ("hypersim/%s/%04d"):format(lists.sequences[i], number)
      lists.shots[i] = #lists.folders - 1
    else
      for k = #lists.poses, before + 1, -1 do lists.poses[k] = nil end
    end
  end
end

--- What the pictures are made of besides the files: sizes of the files, kind of picture.
local function fingerprints(lists, o)
  local prints = {}
  local how = o.picture == "preview" and "preview" or "tonemapped " .. o.valid
  for _, kind in ipairs(o.kinds) do
    local paths = {}
    for i, number in ipairs(lists.frames) do
      paths[i] = ("%s_%s/frame.%04d.%s"):format(lists.folders[lists.shots[i] + 1], kind[1], number, kind[2])
    end
    for i, size in ipairs(files.sizes(WHERE, paths)) do prints[i] = (prints[i] or how) .. " " .. size end
  end
  return prints
end

--- The table of id + 1, in which -1 has a place.
local function map_of(classes)
  local map = {}
  for id, class in pairs(labels.map("hypersim", classes)) do map[id + 1] = class end
  return map
end

local function check_options(given)
  local o = options.check(WHERE, given, hypersim.options)
  if o.every < 1 or math.type(o.every) ~= "integer" then
    error(("%s: option \"every\" must be a whole number from 1, not %s"):format(WHERE, tostring(o.every)), 3)
  end
  if o.tracked and not o.geometry then
    error(WHERE .. ": tracked = true leaves out frames without a pose, which geometry = false does not read", 3)
  end
  return o
end

--- See asl.data.hypersim.
function hypersim.new(given)
  local o = check_options(given)
  o.root = files.root(WHERE, o.root, "folders ai_001_001, ai_001_002, ...")
  o.files = files.tables(o.classes)
  o.classes = labels.from(o.classes, "hypersim")
  o.trajectories, o.kinds = hypersim.trajectories(), kinds_of(o)
  o.cameras_of = o.geometry and read_cameras(o) or nil
  local lists = { ids = {}, sequences = {}, frames = {}, shots = {}, folders = {}, by_scene = {},
    rays = o.geometry and {} or nil, poses = o.geometry and {} or nil }
  for _, shot in ipairs(find_shots(o)) do add_shot(lists, o, shot) end
  if #lists.ids == 0 then files.bad("%s: %s: no frame of these trajectories is left", WHERE, o.root) end
  return dataset.new {
    name = "hypersim/" .. o.split, class_names = o.classes.names, colours = o.classes.colours, ids = lists.ids,
    sequences = lists.sequences, frames = lists.frames, fingerprint = fingerprints(lists, o),
    files = o.files, source = core.source_hypersim {
      folders = lists.folders, rays = lists.rays, shots = lists.shots, frames = lists.frames, poses = lists.poses,
      labels = o.labels, preview = o.picture == "preview", all_valid = o.valid == "all", label_map = map_of(o.classes),
      table = "hypersim", size = o.size,
    },
  }
end

return hypersim
