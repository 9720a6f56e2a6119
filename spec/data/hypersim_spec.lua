local asl = require "asl"
local core = require "asl.core"
local damage = require "spec.support.damage"
local hypersim = require "asl.data.hypersim"
local labels = require "asl.labels"
local miniature = require "spec.support.miniature.hypersim"
local miniature_hdf5 = require "spec.support.miniature.hdf5"
local pictures = require "spec.support.pictures"
local rows = require "asl.data.rows"

local M_COLUMNS = {}
for i = 0, 8 do M_COLUMNS[i + 1] = ("M_cam_from_uv_%d%d"):format(i // 3, i % 3) end

--- A file of one dataset, as h5py writes it.
local function write_dataset(path, kind, shape, values)
  core.fs.mkdirs(path:match "^(.*)/")
  pictures.write(path, (miniature_hdf5.encode {
    datasets = { { name = "dataset", type = kind, shape = shape, values = values } },
  }))
end

local function product(m, v)
  local out = {}
  for i = 1, 3 do out[i] = m[i][1] * v[1] + m[i][2] * v[2] + m[i][3] * v[3] end
  return out
end

--- Where the world is that a pixel shows, by depth, intrinsics and pose; x and y from 0.
local function seen_by_planes(planes, y, x)
  local k, pose, z = planes.intrinsics, planes.pose, planes.depth[y + 1][x + 1]
  local b = (y - k[2][3]) / k[2][2]
  local p = product(pose, { (x - k[1][3] - k[1][2] * b) / k[1][1] * z, b * z, z })
  for i = 1, 3 do p[i] = p[i] + pose[i][4] end
  return p
end

--- The same as Hypersim's own files say it: along the ray M (u, v, 1), turned by the orientation.
local function seen_by_rays(m, orientation, position, distance, size, y, x)
  local u, v = (2 * x + 1) / size[2] - 1, 1 - (2 * y + 1) / size[1]
  local ray = product({ { m[1], m[2], m[3] }, { m[4], m[5], m[6] }, { m[7], m[8], m[9] } }, { u, v, 1 })
  local length = math.sqrt(ray[1] ^ 2 + ray[2] ^ 2 + ray[3] ^ 2)
  local p = product(orientation, ray)
  for i = 1, 3 do p[i] = p[i] * distance / length + position[i] end
  return p
end

local function is_near(expected, found, bound, what)
  for i = 1, 3 do
    assert.is_true(math.abs(expected[i] - found[i]) <= bound, ("%s: %g, not %g"):format(what or "", found[i], expected[i]))
  end
end

local function tables_of(sample)
  local planes = {}
  for _, plane in ipairs { "depth", "intrinsics", "pose" } do planes[plane] = sample[plane]:totable() end
  return planes
end

-- ---- tables -----------------------------------------------------------------------------------------------------------

describe("the tables of Hypersim", function()
  it("have every scene in one split", function()
    local splits, n = {}, 0
    for name, facts in pairs(hypersim.trajectories()) do
      local scene = name:match "^(ai_%d%d%d_%d%d%d)/cam_%d%d$"
      assert.is_truthy(scene, name)
      if facts.split ~= "-" then
        assert.is_true(splits[scene] == nil or splits[scene] == facts.split, scene)
        splits[scene] = facts.split
      end
      n = n + 1
    end
    assert.equal(829, n)
    local counts = {}
    for _, split in pairs(splits) do counts[split] = (counts[split] or 0) + 1 end
    assert.same({ train = 365, val = 46, test = 46 }, counts)
  end)

  it("are those of the toolkit", function()
    local real = pictures.real "hypersim"
    if not real then return pending "the metadata (../shared/data/hypersim) is not here" end
    local trajectories, counts = hypersim.trajectories(), {}
    rows.each("spec", real .. "/meta/metadata_images_split_scene_v1.csv",
      { "scene_name", "camera_name", "frame_id", "split_partition_name" }, function(row)
        local facts, split = trajectories[row.scene_name .. "/" .. row.camera_name], row.split_partition_name
        local found = facts.left_out[tonumber(row.frame_id)] and "" or facts.split
        if found ~= split then error(row.scene_name .. " " .. row.frame_id .. ": " .. found .. ", not " .. split) end
        counts[split] = (counts[split] or 0) + 1
      end)
    assert.same({ train = 59543, val = 7386, test = 7690, [""] = 8281 }, counts)
    local columns, built_in = { "scene_name", "settings_units_info_meters_scale", table.unpack(M_COLUMNS) }, {}
    rows.each("spec", "lua/asl/data/hypersim_cameras.tsv", columns, function(row) built_in[row.scene_name] = row end)
    local n = 0
    rows.each("spec", real .. "/meta/metadata_camera_parameters.csv", columns, function(row)
      for _, name in ipairs(columns) do
        local value = tonumber(row[name]) or row[name]
        assert(value == (tonumber(built_in[row.scene_name][name]) or built_in[row.scene_name][name]), row.scene_name .. name)
      end
      n = n + 1
    end)
    assert.equal(482, n)
  end)
end)

-- ---- rooms in Hypersim's form -----------------------------------------------------------------------------------------

describe("asl.data.hypersim", function()
  local root
  local SIZE = { 12, 16 }
  before_each(function() root = core.fs.temp_dir() end)
  after_each(function() core.fs.remove_tree(root) end)

  local function open(more)
    local given = { root = root }
    for key, value in pairs(more or {}) do given[key] = value end
    return hypersim.new(given)
  end

  --- A small release; by default of the first trajectory alone.
  local function small(more)
    local given = { frames = 1, height = SIZE[1], width = SIZE[2], only = 1 }
    for key, value in pairs(more or {}) do given[key] = value end
    return miniature.write(root, given)
  end

  local IMAGES, DETAIL = "/ai_003_001/images/scene_cam_00", "/ai_003_001/_detail/cam_00/camera_keyframe_"

  local function file_of(part, kind) return ("%s%s_%s/frame.0000.%s.hdf5"):format(root, IMAGES, part, kind) end

  it("gives labels, depth, camera and pose of the rooms it was made of, with lenses shifted or not", function()
    local release = miniature.write(root, { frames = 2, height = 24, width = 32 })
    local set = open { split = "all" }
    assert.equal("hypersim/all: 14 samples in 7 sequences (ai_003_001/cam_00 2, ai_003_001/cam_01 2, ai_003_007/cam_00 2, "
      .. "ai_003_010/cam_01 2, ai_005_001/cam_00 2, ai_005_004/cam_00 2, ...), 40 classes, planes image, label, depth, "
      .. "intrinsics, pose", set:describe())
    for i, sequence in ipairs(set.sequences) do
      local sample, room = set:sample(i), release[sequence][set.frames[i] + 1]
      assert.equal(("hypersim/%s/%04d"):format(sequence, set.frames[i]), sample.id)
      assert.equal(room.label:digest(), sample.label:digest())
      for _, plane in ipairs { "intrinsics", "pose" } do
        local found = sample[plane]:totable()
        for y, row in ipairs(room[plane]:totable()) do
          for x, value in ipairs(row) do
            assert.is_true(math.abs(value - found[y][x]) < 1e-5 * (1 + math.abs(value)), plane)
          end
        end
      end
      local found = sample.depth:totable()
      for y, row in ipairs(room.depth:totable()) do
        for x, value in ipairs(row) do -- float16 has 11 bits
          assert.is_true(math.abs(value - found[y][x]) <= value / 2048 + 1e-6, "depth")
        end
      end
      local expected, planes = tables_of(room), tables_of(sample)
      for y = 0, 23, 7 do
        for x = 0, 31, 5 do
          is_near(seen_by_planes(expected, y, x), seen_by_planes(planes, y, x), expected.depth[y + 1][x + 1] / 900, sequence)
        end
      end
    end
  end)

  it("maps tones as the toolkit does", function()
    small()
    local light = {}
    local file <close> = core.hdf5_open(file_of("final_hdf5", "color"))
    for i, value in ipairs(file:read("dataset"):reshape({ -1 }):totable()) do light[i] = value end
    --- scale so that the percentile of the brightness of the pixels from `first` on becomes 0.8
    local function expected(first)
      local brightness = {}
      for i = first, SIZE[1] * SIZE[2] do
        brightness[#brightness + 1] = 0.3 * light[3 * i - 2] + 0.59 * light[3 * i - 1] + 0.11 * light[3 * i]
      end
      table.sort(brightness)
      local at = 0.9 * (#brightness - 1)
      local below = brightness[math.floor(at) + 1]
      local scale = 0.8 ^ 2.2 / (below + (brightness[math.floor(at) + 2] - below) * (at - math.floor(at)))
      local bytes = {}
      for i, value in ipairs(light) do
        bytes[i] = math.floor(math.min(math.max(scale * value, 0) ^ (1 / 2.2), 1) * 255 + 0.5)
      end
      return bytes
    end
    local rendered, all = open():sample(1).image, open({ valid = "all" }):sample(1).image
    assert.same(expected(SIZE[2] + 1), rendered:reshape({ -1 }):totable()) -- nothing was rendered in the first row
    assert.same(expected(1), all:reshape({ -1 }):totable())
    assert.is_true(rendered:digest() ~= all:digest())
    assert.is_true(open():digest() ~= open({ valid = "all" }):digest())
  end)

  it("maps tones of pictures without light, with infinite light and without a valid pixel", function()
    small()
    local n = SIZE[1] * SIZE[2]
    local function picture_of(values, entity)
      local light, entities = {}, {}
      for i = 1, 3 * n do light[i] = values[i] or values[1] end
      for i = 1, n do entities[i] = entity end
      write_dataset(file_of("final_hdf5", "color"), "f32", { SIZE[1], SIZE[2], 3 }, light)
      write_dataset(file_of("geometry_hdf5", "render_entity_id"), "i16", SIZE, entities)
      return open():sample(1, { "image" }).image:reshape({ -1 }):totable()
    end
    assert.equal(204, picture_of({ 0.5 }, 1)[100]) -- 0.8
    assert.equal(204, picture_of({ 1000 }, 1)[100])
    assert.equal(0, picture_of({ 9e-5 }, 1)[100])
    assert.equal(math.floor(255 * 0.5 ^ (1 / 2.2) + 0.5), picture_of({ 0.5 }, -1)[100]) -- as it is
    local extremes = picture_of({ 0.5, math.huge, -3, 0 }, 1)
    assert.same({ 204, 255, 0, 0, 204 }, table.move(extremes, 1, 5, 1, {}))
    assert.error_matches(function() picture_of({ 0.5, 0.5, 0.5, 0 / 0 }, 1) end,
      "frame%.0000%.color%.hdf5: the colour of row 1, column 2 is no number$")
  end)

  it("takes the toolkit's own picture when asked to", function()
    local release = small { preview = true }
    local set = open { picture = "preview" }
    local bytes = pictures.read(root .. IMAGES .. "_final_preview/frame.0000.tonemap.jpg")
    assert.equal(core.image_decode(bytes):digest(), set:sample(1).image:digest())
    assert.equal(release["ai_003_001/cam_00"][1].label:digest(), set:sample(1).label:digest())
    assert.same({ 3, 3 }, set:sample(1, { "intrinsics" }).intrinsics:shape())
    assert.is_true(set:digest() ~= open():digest())
    core.fs.remove_tree(root .. IMAGES .. "_final_hdf5") -- is not needed then
    assert.equal(1, #open { picture = "preview" })
    pictures.write(root .. IMAGES .. "_final_preview/frame.0000.tonemap.jpg", core.png_encode(pictures.pattern(6, 8)))
    assert.error_matches(function() open({ picture = "preview" }):sample(1) end,
      "semantic%.hdf5: it is 16x12 but .*frame%.0000%.tonemap%.jpg is 8x6 %(width x height%)$")
  end)

  it("takes scenes, volumes, cameras, kinds of room and every nth frame", function()
    miniature.write(root, { frames = 3, height = SIZE[1], width = SIZE[2] })
    local given = { geometry = false }
    local function names(more)
      for key, value in pairs(given) do more[key] = value end
      return (open(more):sequence_names())
    end
    assert.same({ "ai_003_001/cam_00", "ai_003_001/cam_01", "ai_005_004/cam_00" }, names {})
    assert.same({ "ai_003_010/cam_01", "ai_005_005/cam_00" }, names { split = "val" })
    assert.same({ "ai_003_007/cam_00", "ai_005_001/cam_00" }, names { split = "test" })
    assert.same({ "ai_005_004/cam_00" }, names { volumes = { 5 } })
    assert.same({ "ai_003_001/cam_01" }, names { volumes = { 3 }, cameras = { "cam_01" } })
    assert.same({ "ai_003_001/cam_00", "ai_003_001/cam_01" }, names { scenes = { "ai_003_001" } })
    assert.same({ "ai_005_004/cam_00" }, names { scene_types = { "Living room" } })
    local types, counts = hypersim.scene_types(open(given))
    assert.same({ "Bathroom", "Living room" }, types)
    assert.same({ Bathroom = 6, ["Living room"] = 3 }, counts)
    assert.same({ 0, 2 }, open({ geometry = false, every = 2, cameras = { "cam_01" } }).frames)
    asl.data.disjoint(open(given), open { geometry = false, split = "test" })
    assert.error_matches(function() names { scenes = { "ai_003_010" } } end,
      'nothing of the scene ai_003_010 and the split "train" is there$')
    assert.error_matches(function() names { volumes = { 3, 9 } } end, 'nothing of the volume 009 and the split "train" is there$')
    assert.error_matches(function() names { scene_types = { "Attic" } } end, "nothing of the scene type Attic and the split")
    assert.error_matches(function() names { scenes = { 3 } } end, 'scenes: 3; each is a name like "ai_001_001"$')
    assert.error_matches(function() names { volumes = { "ai_003" } } end, 'volumes: "ai_003"; each is a number from 1$')
    assert.error_matches(function() names { cameras = { 0 } } end, 'cameras: 0; each is a name like "cam_00"$')
    assert.error_matches(function() names { every = 0 } end, 'option "every" must be a whole number from 1, not 0')
  end)

  it("leaves out what the split leaves out", function()
    small()
    for _, part in ipairs { "final_hdf5", "geometry_hdf5" } do -- ai_001_001/cam_00 is of train but for frames 36 and 61
      core.fs.mkdirs(root .. "/ai_001_001/images/scene_cam_00_" .. part)
      for _, number in ipairs { 35, 36, 61 } do
        for _, kind in ipairs { "color", "semantic", "render_entity_id" } do
          local from = file_of(part, kind)
          if core.fs.stat(from) then
            pictures.write(("%s/ai_001_001/images/scene_cam_00_%s/frame.%04d.%s.hdf5"):format(root, part, number, kind),
              pictures.read(from))
          end
        end
      end
    end
    local given = { geometry = false, scenes = { "ai_001_001" } }
    assert.same({ 35 }, open(given).frames)
    given.split = "all"
    assert.same({ 35, 36, 61 }, open(given).frames)
  end)

  it("has other classes, and planes that can be left out", function()
    local release = small()
    local map, expected = labels.map("nyu40", "nyu13"), release["ai_003_001/cam_00"][1].label:totable()
    for _, row in ipairs(expected) do
      for x, class in ipairs(row) do row[x] = map[class] end
    end
    assert.same(expected, open({ classes = "nyu13" }):sample(1).label:totable())
    assert.same({ "image" }, open({ labels = false, geometry = false }).planes)
    assert.same({ "image", "depth", "intrinsics", "pose" }, open({ labels = false }).planes)
    local ids = {}
    for i = 1, SIZE[1] * SIZE[2] do ids[i] = i % 4 == 0 and -1 or 40 end
    write_dataset(file_of("geometry_hdf5", "semantic"), "i16", SIZE, ids)
    assert.same({ 39, 39, 39, 255 }, table.move(open():sample(1).label:totable()[3], 1, 4, 1, {}))
  end)

  it("has its planes moved together when it is resized", function()
    small()
    local whole, half = open():sample(1), open({ size = { 6, 8 } }):sample(1)
    assert.same({ { 6, 8, 3 }, { 6, 8 }, { 6, 8 } }, { half.image:shape(), half.label:shape(), half.depth:shape() })
    local k, found = whole.intrinsics:totable(), half.intrinsics:totable()
    for i = 1, 2 do
      assert.is_true(math.abs(found[i][i] - k[i][i] / 2) < 1e-5)
      assert.is_true(math.abs(found[i][3] - ((k[i][3] + 0.5) / 2 - 0.5)) < 1e-5)
    end
    assert.same(whole.pose:totable(), half.pose:totable())
  end)

  it("has the camera of lenses that are shifted both ways", function()
    small()
    local real, m = "lua/asl/data/hypersim_cameras.tsv", {}
    rows.each("spec", real, { "scene_name", table.unpack(M_COLUMNS) }, function(row)
      for i, name in ipairs(row.scene_name == "ai_019_007" and M_COLUMNS or {}) do m[i] = tonumber(row[name]) end
    end)
    assert.is_true(m[7] * m[8] ~= 0) -- tilted about both axes: the pixels are no rectangles
    pictures.write(root .. "/mine.tsv", ("scene_name\tsettings_units_info_meters_scale\t%s\nai_003_001\t0.0254\t%s\n"):format(
      table.concat(M_COLUMNS, "\t"), table.concat(m, "\t")))
    write_dataset(root .. DETAIL .. "orientations.hdf5", "f64", { 1, 3, 3 }, { 0.6, 0, 0.8, 0.8, 0, -0.6, 0, 1, 0 })
    write_dataset(root .. DETAIL .. "positions.hdf5", "f64", { 1, 3 }, { 100, -50, 25 })
    local distances = {}
    for i = 1, SIZE[1] * SIZE[2] do distances[i] = 1 + i / 64 end
    write_dataset(file_of("geometry_hdf5", "depth_meters"), "f16", SIZE, distances)
    local planes = tables_of(open({ camera_parameters = root .. "/mine.tsv" }):sample(1))
    assert.is_true(math.abs(planes.intrinsics[1][2]) > 0.2) -- of 16 columns; 16 of 1024
    assert.is_true(math.abs(planes.intrinsics[1][1] / planes.intrinsics[2][2] - 1) < 2e-4)
    local orientation = { { 0.6, 0, 0.8 }, { 0.8, 0, -0.6 }, { 0, 1, 0 } }
    for y = 0, SIZE[1] - 1 do
      for x = 0, SIZE[2] - 1 do
        local expected = seen_by_rays(m, orientation, { 2.54, -1.27, 0.635 }, distances[SIZE[2] * y + x + 1], SIZE, y, x)
        is_near(expected, seen_by_planes(planes, y, x), 1e-5)
      end
    end
  end)

  it("has no depth where the distance is no number", function()
    small()
    local distances = {}
    for i = 1, SIZE[1] * SIZE[2] do distances[i] = ({ 0 / 0, math.huge, 0, 2 })[(i - 1) % 4 + 1] end
    write_dataset(file_of("geometry_hdf5", "depth_meters"), "f16", SIZE, distances)
    local row = open():sample(1).depth:totable()[7]
    assert.same({ 0, 0, 0 }, table.move(row, 1, 3, 1, {}))
    assert.is_true(row[4] > 1.5 and row[4] < 2)
    distances[21] = -0.5
    write_dataset(file_of("geometry_hdf5", "depth_meters"), "f16", SIZE, distances)
    assert.error_matches(function() open():sample(1) end,
      "depth_meters%.hdf5: the distance %-0%.5 %(row 2, column 5%) is negative$")
  end)

  it("leaves out frames whose orientation is no rotation when asked to, else says so", function()
    small { frames = 4 }
    local turned = { 0.6, 0, 0.8, 0.8, 0, -0.6, 0, 1, 0 }
    local mirrored, skewed = { 0.6, 0, 0.8, 0.8, 0, -0.6, 0, -1, 0 }, { 0.6, 0, 0.9, 0.8, 0, -0.6, 0, 1, 0 }
    local numbers = {}
    for _, m in ipairs { turned, mirrored, skewed, { 0 / 0, 0, 0, 0, 1, 0, 0, 0, 1 } } do
      table.move(m, 1, 9, #numbers + 1, numbers)
    end
    write_dataset(root .. DETAIL .. "orientations.hdf5", "f64", { 4, 3, 3 }, numbers)
    local set = open()
    assert.equal(4, #set)
    set:sample(1)
    for i = 2, 4 do
      assert.error_matches(function() set:sample(i) end,
        ("scene_cam_00: frame %d has no pose: what its keyframe says is no rotation$"):format(i - 1))
      assert.same(SIZE, set:sample(i, { "label", "depth" }).label:shape())
    end
    assert.same({ 0 }, open({ tracked = true }).frames)
    assert.error_matches(function() open { tracked = true, geometry = false } end,
      "tracked = true leaves out frames without a pose, which geometry = false does not read")
    write_dataset(root .. DETAIL .. "orientations.hdf5", "f64", { 4, 3, 3 }, (("\0"):rep(8 * 36)))
    assert.error_matches(function() open { tracked = true } end, "no frame of these trajectories is left$")
  end)

  it("finds keyframes by the frames' indices", function()
    local samples = small({ frames = 3 })["ai_003_001/cam_00"]
    local function swap(name, width)
      local file <close> = core.hdf5_open(root .. DETAIL .. name .. ".hdf5")
      local old, new = file:read("dataset"):reshape({ -1 }):totable(), {}
      for k = 1, 3 do table.move(old, width * (k - 1) + 1, width * k, width * (3 - k) + 1, new) end
      write_dataset(root .. DETAIL .. name .. ".hdf5", width == 1 and "i64" or "f64",
        width == 9 and { 3, 3, 3 } or width == 3 and { 3, 3 } or { 3 }, new)
    end
    swap("frame_indices", 1)
    swap("orientations", 9)
    swap("positions", 3)
    local found, expected = open():sample(1).pose:totable(), samples[1].pose:totable()
    for i = 1, 3 do is_near(expected[i], found[i], 1e-5) end
    write_dataset(root .. DETAIL .. "frame_indices.hdf5", "i64", { 3 }, { 0, 1, 7 })
    assert.error_matches(open, "camera_keyframe_frame_indices%.hdf5 has no keyframe of frame 2$")
    write_dataset(root .. DETAIL .. "frame_indices.hdf5", "i64", { 2 }, { 0, 1 })
    assert.error_matches(open, "cam_00: 2 frame indices, 3 orientations, 3 positions$")
    write_dataset(root .. DETAIL .. "positions.hdf5", "f64", { 3, 2 }, { 1, 2, 3, 4, 5, 6 })
    assert.error_matches(open, "camera_keyframe_positions%.hdf5 is %(3, 2%); expected %(keyframes, 3%)$")
    core.fs.remove(root .. DETAIL .. "positions.hdf5")
    assert.error_matches(open, "no camera: .*/camera_keyframe_positions%.hdf5 is not there$")
    assert.equal(3, #open { geometry = false })
  end)

  it("with tables that do not fit is an error", function()
    small()
    local scene, cameras = root .. "/ai_003_001/_detail/metadata_scene.csv", root .. "/metadata_camera_parameters.csv"
    pictures.write(scene, "parameter_name,parameter_value\nmeters_per_asset_unit,0.0255\n")
    assert.error_matches(open,
      "metadata_scene%.csv says 0%.0255 metres per asset unit, .*/metadata_camera_parameters%.csv 0%.0254$")
    pictures.write(scene, "parameter_name,parameter_value\n")
    assert.error_matches(open, "metadata_scene%.csv does not give meters_per_asset_unit$")
    core.fs.remove(scene)
    open()
    local text = pictures.read(cameras)
    pictures.write(cameras, (text:gsub("ai_003_001", "ai_003_002")))
    assert.error_matches(open, "metadata_camera_parameters%.csv has no camera of the scene ai_003_001; say geometry = false$")
    pictures.write(cameras, (text:gsub(",0.0253", ",x")))
    assert.error_matches(open, ':2: settings_units_info_meters_scale is "x.*", no number$')
    pictures.write(cameras, (text:gsub(",M_cam_from_uv_22", "")))
    assert.error_matches(open, "has no column M_cam_from_uv_22$")
    local line = text:match "\n([^\n]*)"
    pictures.write(cameras, text:match "^[^\n]*\n" .. line:match '^ai_003_001,"a, b",[^,]*' .. (",0"):rep(9) .. "\n")
    assert.error_matches(open, "the matrix of ai_003_001 is not that of a camera$")
    assert.equal(1, #open { geometry = false })
    core.fs.remove(cameras) -- then the built-in table
    assert.error_matches(function() open { camera_parameters = "/no/table.tsv" } end, "/no/table%.tsv")
    assert.is_true(math.abs(open():sample(1).intrinsics:totable()[1][1] / (886.81 * 16 / 1024) - 1) < 0.05)
  end)

  it("names what is missing", function()
    assert.error_matches(function() hypersim.new { root = "/no/hypersim" } end,
      'root = "/no/hypersim": not there; expected a folder that holds folders ai_001_001, ai_001_002, %.%.%.$')
    assert.error_matches(open, 'holds nothing of the split "train"$')
    small()
    local function without(path, more)
      local bytes = pictures.read(path)
      core.fs.remove(path)
      local message = pictures.error_of(function() return open(more) end)
      pictures.write(path, bytes)
      return message
    end
    assert.matches("scene_cam_00_geometry_hdf5/frame%.0000%.semantic%.hdf5 is not there$",
      without(file_of("geometry_hdf5", "semantic")))
    assert.matches("scene_cam_00_final_hdf5/frame%.0000%.color%.hdf5 is not there$", without(file_of("final_hdf5", "color")))
    assert.matches('render_entity_id%.hdf5 is not there; tone mapping asks it which pixels count %(valid = "all": all do%)$',
      without(file_of("geometry_hdf5", "render_entity_id")))
    assert.equal("no error", without(file_of("geometry_hdf5", "render_entity_id"), { valid = "all" }))
    assert.matches("depth_meters%.hdf5 is not there %(geometry = false does without%)$",
      without(file_of("geometry_hdf5", "depth_meters")))
    assert.equal("no error", without(file_of("geometry_hdf5", "semantic"), { labels = false }))
  end)

  it("with files that do not fit names them", function()
    small()
    local n = SIZE[1] * SIZE[2]
    local function message(part, kind, given, size)
      local path = file_of(part, kind)
      local bytes = pictures.read(path)
      write_dataset(path, given, size, ("\0"):rep(8 * n * 3):sub(1, (function()
        local count = ({ u8 = 1, i16 = 2, f16 = 2, f32 = 4, i32 = 4 })[given]
        for _, side in ipairs(size) do count = count * side end
        return count
      end)()))
      local text = pictures.error_of(function() open():sample(1) end)
      pictures.write(path, bytes)
      return text
    end
    assert.matches('semantic%.hdf5: "dataset" is i32 %(12, 16%); expected i16 %(height, width%)$',
      message("geometry_hdf5", "semantic", "i32", SIZE))
    assert.matches('color%.hdf5: "dataset" is u8 %(12, 16, 3%); expected floats %(height, width, 3%)$',
      message("final_hdf5", "color", "u8", { 12, 16, 3 }))
    assert.matches("color%.hdf5: 4 channels; expected 3$", message("final_hdf5", "color", "f16", { 12, 16, 4 }))
    assert.matches("depth_meters%.hdf5: it is 8x12 but .*color%.hdf5 is 16x12 %(width x height%)$",
      message("geometry_hdf5", "depth_meters", "f16", { 12, 8 }))
    assert.matches("render_entity_id%.hdf5: it is 16x6 but .*color%.hdf5 is 16x12",
      message("geometry_hdf5", "render_entity_id", "i16", { 6, 16 }))
    local ids = {}
    for i = 1, n do ids[i] = i == 20 and 41 or 1 end
    write_dataset(file_of("geometry_hdf5", "semantic"), "i16", SIZE, ids)
    assert.error_matches(function() open():sample(1) end,
      "semantic%.hdf5: the label value 41 %(row 2, column 4%) is not in the table hypersim$")
    ids[20] = -2
    write_dataset(file_of("geometry_hdf5", "semantic"), "i16", SIZE, ids)
    assert.error_matches(function() open():sample(1) end, "the label value %-2 %(row 2, column 4%) is not in the table hypersim$")
  end)

  it("is read by loader threads", function()
    small { frames = 4 }
    local set = open()
    local loader <close> = asl.data.loader { threads = 3 }
    local list = {}
    for i = 1, 12 do list[i] = { dataset = set, position = (i - 1) % 4 + 1 } end
    local batch = loader:wait(loader:request {
      rows = list, size = SIZE, planes = { "image", "label", "depth", "pose" }, seed = 1, step = 1,
    })
    for i, row in ipairs(list) do
      local sample = set:sample(row.position)
      for _, plane in ipairs { "image", "label", "depth", "pose" } do
        assert.same(sample[plane]:totable(), batch[plane]:totable()[i], plane)
      end
    end
  end)

  it("with files truncated or with a changed byte is an error or samples, never a crash", function()
    small()
    for _, file in ipairs { { "final_hdf5", "color" }, { "geometry_hdf5", "semantic" }, { "geometry_hdf5", "depth_meters" },
      { "geometry_hdf5", "render_entity_id" } } do
      local path = file_of(file[1], file[2])
      local bytes, set, refused = pictures.read(path), open(), 0
      set:sample(1)
      local function read(changed)
        pictures.write(path, changed)
        return pcall(set.sample, set, 1)
      end
      damage.truncations(bytes, function(cut, length)
        local ok, message = read(cut)
        assert.is_false(ok, ("read from %d of %d bytes"):format(length, #bytes))
        assert.is_truthy(tostring(message):find(path, 1, true))
      end)
      damage.flips(bytes, 1000, function(changed)
        if not read(changed) then refused = refused + 1 end
      end)
      assert.is_true(refused > 50 and refused < 1000, refused)
      pictures.write(path, bytes)
    end
    for _, name in ipairs { "frame_indices", "orientations", "positions" } do
      local path = root .. DETAIL .. name .. ".hdf5"
      local bytes = pictures.read(path)
      damage.truncations(bytes, function(cut)
        pictures.write(path, cut)
        assert.is_false((pcall(open)))
      end)
      pictures.write(path, bytes)
    end
  end)
end)

-- ---- real files -------------------------------------------------------------------------------------------------------

describe("real files of Hypersim", function()
  local real = pictures.real "hypersim"
  local function skip() return pending "the real files (../shared/data/hypersim) are not here" end

  it("give the toolkit's picture and labels", function()
    if not real then return skip() end
    local set = hypersim.new { root = real .. "/derived", geometry = false, valid = "all" }
    assert.same({ "hypersim/ai_001_001/cam_00/0000" }, set.ids)
    local sample = set:sample(1)
    -- The light was made of the tone-mapped JPEG by its gamma, so mapping it again changes nothing.
    local jpeg = pictures.read(real .. "/example_01/ai_001_001/images/scene_cam_00_final_preview/_frame.0000.tonemap.jpg")
    assert.equal(core.image_decode(jpeg):digest(), sample.image:digest())
    local bytes, sum = sample.label:bytes(), 0
    for class = 0, 255 do
      local _, n = bytes:gsub(class == 37 and "%%" or string.char(class):gsub("%W", "%%%0"), "")
      sum = sum + n * (class == 255 and -1 or class + 1)
    end
    local expected = {}
    for _, row in ipairs(pictures.tsv(real .. "/expected.tsv")) do expected[row.file] = row end
    local row = expected["derived/ai_001_001/images/scene_cam_00_geometry_hdf5/frame.0000.semantic.hdf5"]
    assert.is_true(math.abs(sum / #bytes - tonumber(row.mean)) < 1e-7)
    assert.equal(tonumber(row.sample_value) - 1, bytes:byte(256 * 1024 + 341 + 1))
    assert.error_matches(function() hypersim.new { root = real .. "/derived", geometry = false } end,
      "render_entity_id%.hdf5 is not there")
  end)

  it("give distances along rays as depth, and a camera that agrees with them", function()
    if not real then return skip() end
    local root = core.fs.temp_dir()
    local function copy(from, to)
      core.fs.mkdirs(root .. "/ai_037_002/" .. to:match "^(.*)/")
      pictures.write(root .. "/ai_037_002/" .. to, pictures.read(real .. "/" .. from))
    end
    local scene, geometry = "scenes/ai_037_002/", "images/scene_cam_00_geometry_hdf5/frame.0000.depth_meters.hdf5"
    copy("derived/ai_001_001/images/scene_cam_00_final_hdf5/frame.0000.color.hdf5",
      "images/scene_cam_00_final_hdf5/frame.0000.color.hdf5")
    copy(scene .. geometry, geometry)
    for _, name in ipairs { "orientations", "positions" } do
      local path = ("_detail/cam_00/camera_keyframe_%s.hdf5"):format(name)
      copy(scene .. path, path)
    end
    local indices = {}
    for i = 1, 100 do indices[i] = i - 1 end
    write_dataset(root .. "/ai_037_002/_detail/cam_00/camera_keyframe_frame_indices.hdf5", "i64", { 100 }, indices)
    local sample = hypersim.new({ root = root, labels = false, valid = "all", split = "all" }):sample(1)
    local function read(path, name)
      local file <close> = core.hdf5_open(path)
      return file:read(name)
    end
    local distance = read(real .. "/" .. scene .. geometry, "dataset"):totable()
    local detail = root .. "/ai_037_002/_detail/cam_00/camera_keyframe_"
    local orientation = read(detail .. "orientations.hdf5", "dataset"):totable()[1]
    local position = read(detail .. "positions.hdf5", "dataset"):totable()[1]
    core.fs.remove_tree(root)
    local m, metres
    rows.each("spec", real .. "/meta/metadata_camera_parameters.csv",
      { "scene_name", "settings_units_info_meters_scale", table.unpack(M_COLUMNS) }, function(row)
        if row.scene_name ~= "ai_037_002" then return end
        m, metres = {}, tonumber(row.settings_units_info_meters_scale)
        for i, name in ipairs(M_COLUMNS) do m[i] = tonumber(row[name]) end
      end)
    for i = 1, 3 do position[i] = position[i] * metres end
    local planes = tables_of(sample)
    for y = 0, 767, 59 do
      for x = 0, 1023, 31 do
        is_near(seen_by_rays(m, orientation, position, distance[y + 1][x + 1], { 768, 1024 }, y, x),
          seen_by_planes(planes, y, x), 5e-6)
      end
    end
    assert.equal(12.59375, distance[257][342])
  end)
end)
