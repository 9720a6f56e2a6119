local asl = require "asl"
local core = require "asl.core"
local damage = require "spec.support.damage"
local depth = require "asl.data.depth"
local miniature_png = require "spec.support.miniature.png"
local pictures = require "spec.support.pictures"

local min, max, pack, unpack = math.min, math.max, string.pack, string.unpack -- globals are slow here

local function png(height, width, f)
  return miniature_png.encode("grey", 16, height, width, f)
end

--- A PGM with the values f(y, x).
local function pgm(height, width, f, swapped, header)
  local parts = { header or ("P5\n%d %d\n65535\n"):format(width, height) }
  for y = 0, height - 1 do
    for x = 0, width - 1 do parts[#parts + 1] = pack(swapped and "<I2" or ">I2", f(y, x)) end
  end
  return table.concat(parts)
end

local function decode(bytes, coding)
  return core.depth_decode(bytes, depth.coding(coding))
end

local function f32(value)
  return (unpack("<f", pack("<f", value)))
end

describe("depth in 16-bit files", function()
  local VALUES = { 0, 1, 255, 256, 1000, 5000, 32768, 65535 }
  local function value(_, x) return VALUES[x + 1] end

  it("is metres in every unit", function()
    for name, per_metre in pairs { mm = 1000, tum = 5000, ["0.1mm"] = 10000, kitti = 256 } do
      for _, bytes in ipairs { png(2, 8, value), pgm(2, 8, value) } do
        local metres = decode(bytes, name)
        assert.same({ 2, 8 }, metres:shape())
        for x = 0, 7 do
          assert.equal(f32(VALUES[x + 1] / per_metre), metres:totable()[2][x + 1], name)
        end
      end
    end
    assert.equal(f32(1000 / 12.5), decode(png(1, 8, value), { per_metre = 12.5 }):totable()[1][5])
  end)

  it("is 0 where it is not known", function()
    assert.same({ 0, f32(65.534), 0 }, decode(png(1, 3, function(_, x) return (0xffff - x) * (x // 2 ~ 1) end),
      "seven_scenes"):totable()[1])
    assert.equal(f32(65.535), decode(png(1, 1, function() return 65535 end), "mm"):totable()[1][1])
  end)

  it("has SUN RGB-D's bits turned back", function()
    local metres = decode(png(1, 3, function(_, x) return ({ 8 * 1430, 1, 0xffff })[x + 1] end), "sunrgbd"):totable()[1]
    assert.same({ f32(1.430), f32(8.192), f32(65.535) }, metres)
  end)

  it("has NYU's swapped bytes and disparity", function()
    local codes = { 0, 400, 2047, 1092, 1093, 1060 }
    local metres = decode(pgm(1, 6, function(_, x) return codes[x + 1] end, true), "nyu_raw"):totable()[1]
    assert.same({ 0, f32(351.3 / 692.5), 0, 0, 0, 0 }, metres)
    local straight = decode(pgm(1, 6, function(_, x) return codes[x + 1] end), { per_metre = 1 }):totable()[1]
    assert.same(codes, straight)
  end)

  it("of an unknown coding is refused, with the known ones", function()
    assert.error_matches(function() depth.coding "milimetres" end,
      'depth coding "milimetres": neither one of 0%.1mm, kitti, mm, nyu_raw, seven_scenes, sunrgbd, tum nor a table')
    assert.error_matches(function() depth.coding "kiti" end, 'did you mean "kitti"')
    assert.error_matches(function() depth.coding { per_meter = 1 } end, 'unknown option "per_meter" .* did you mean "per_metre"')
    assert.error_matches(function() depth.coding {} end, 'option "per_metre" must be given')
    assert.error_matches(function() decode("", { per_metre = 0 }) end, "depth: 0 units per metre; it must be a positive number")
    assert.error_matches(function() decode("", { per_metre = 1 / 0 }) end, "depth: inf units per metre")
    assert.error_matches(function() decode("", { per_metre = 1, none = 65536 }) end,
      "none is a 16%-bit value, 0 to 65535, not 65536")
  end)

  it("refuses other kinds of file with a reason", function()
    local function one() return 1, 1, 1, 1 end
    local cases = {
      { miniature_png.encode("grey", 8, 2, 2, one), "8%-bit values; a depth map must have 16 bits" },
      { miniature_png.encode("rgb", 16, 2, 2, one), "PNG: a colour picture; it must be a grey or palette PNG" },
      { miniature_png.encode("grey_alpha", 16, 2, 2, one), "PNG: a grey picture with alpha; it must be a grey" },
      { miniature_png.encode("palette", 8, 2, 2, one), "8%-bit values" },
      { "P6\n1 1\n255\n\1\2\3", "not a binary PGM %(its first bytes must be P5%)" },
      { "P5\n1 1\n255\n\1", "PGM: the largest value is 255; 16%-bit values have 256 to 65535" },
      { "P5\n1 1\n65536\n\1\1", "PGM: the largest value is 65536" },
      { "P5\n1 x 65535\n", "PGM: the height is no number %(byte 5 is 0x78%)" },
      { "P5\n1234567890 1 65535\n", "PGM: the width has more than 9 digits" },
      { "P5\n16385 1 65535\n", "PGM: a picture of 16385x1 pixels" },
      { "P5\n0 1 65535\n", "PGM: a picture of 0x1 pixels" },
      { "P5\n16384 16384 65535\n\1\2", "PGM: 2 bytes of pixels; the header says 536870912 %(truncated%)" },
      { "P5\n1 1 65535\n\1\2\3", "PGM: 3 bytes of pixels; the header says 2$" },
      { "P5\n1 1 65535x\1\2", "PGM: after the header stands 0x78, not a blank" },
      { "P5\n1 1 1000\n\4\0", "PGM: holds the value 1024; the header says at most 1000" },
      { "\xff\xd8\xff\xe0", "neither PNG nor PGM %(first bytes ff d8%)" },
      { "", "empty %(0 bytes%)" },
    }
    for _, case in ipairs(cases) do
      assert.error_matches(function() decode(case[1], "mm") end, case[2])
    end
    assert.error_matches(function() asl.data.read_depth("no/such.png", "mm") end, '"no/such%.png": No such file')
    assert.error_matches(function() asl.data.read_depth("spec/data/depth_spec.lua", "mm") end,
      "spec/data/depth_spec%.lua: neither PNG nor PGM")
  end)

  it("reads PGM headers with comments", function()
    local header = "P5 # a comment\n# 7 7\n3\t2#x\n65535\n"
    assert.same({ { 1, 2, 3 }, { 2, 4, 6 } },
      decode(pgm(2, 3, function(y, x) return (y + 1) * (x + 1) end, false, header), { per_metre = 1 }):totable())
  end)

  it("truncated anywhere are errors", function()
    for _, bytes in ipairs { png(6, 8, function(y, x) return 8 * y + x end), pgm(6, 8, function(y, x) return 8 * y + x end) } do
      damage.truncations(bytes, function(cut, length)
        assert.is_false((pcall(decode, cut, "mm")), ("decoded from %d of %d bytes"):format(length, #bytes))
      end)
    end
  end)

  it("with a changed byte are errors or depth of some size, never a crash", function()
    local refused = 0
    for _, bytes in ipairs { png(6, 8, function(y, x) return 8 * y + x end), pgm(6, 8, function(y, x) return 8 * y + x end) } do
      damage.flips(bytes, 1000, function(changed)
        local ok, metres = pcall(decode, changed, "mm")
        if ok then assert.equal(48, metres:count()) else refused = refused + 1 end
      end)
    end
    assert.is_true(refused > 950, refused)
  end)
end)

describe("matrices in text files", function()
  local path
  before_each(function() path = os.tmpname() end)
  after_each(function() os.remove(path) end)

  it("are read row by row", function()
    pictures.write(path, " 1 2.5e0\t-3\r\n4 5 -inf ")
    assert.same({ 1, 2.5, -3, 4, 5, -math.huge }, depth.matrix(path, 2, 3))
    pictures.write(path, "1 2 3 0  4 5 6 0  7 8 9 0  0 0 0 1")
    assert.same({ 1, 2, 3, 4, 5, 6, 7, 8, 9 }, depth.intrinsics(path, 4))
  end)

  it("of another shape are errors naming the file", function()
    local cases = {
      { "1 2 3", " %(a 2x2 matrix%): 3 numbers; expected 4" }, { "1 2 3 4 5", "5 numbers; expected 4" },
      { "", "0 numbers; expected 4" }, { "1 2 3 x4", '"x4" is no number' }, { "1,2 3 4", '"1,2" is no number' },
      { "1 2 3 4\0", "a NUL byte; it must be text" }, { ("1 "):rep(40000), "80000 bytes; at most 65536" },
    }
    for _, case in ipairs(cases) do
      pictures.write(path, case[1])
      assert.error_matches(function() depth.matrix(path, 2, 2) end, case[2])
      assert.is_truthy(pictures.error_of(function() depth.matrix(path, 2, 2) end):find(path, 1, true))
    end
  end)
end)

describe("samples with depth and poses", function()
  local root
  before_each(function() root = core.fs.temp_dir() end)
  after_each(function() core.fs.remove_tree(root) end)

  local K = { 4, 0, 2, 0, 4, 1.5, 0, 0, 1 }

  local function open(depth_bytes, more)
    pictures.write(root .. "/image.png", core.png_encode(pictures.pattern(4, 6)))
    pictures.write(root .. "/depth", depth_bytes)
    local given = {
      images = { root .. "/image.png" }, depths = { root .. "/depth" }, depth_coding = { per_metre = 1 },
    }
    for key, value in pairs(more or {}) do given[key] = value end
    return core.source_frames(given)
  end

  local function count(y, x) return 1 + 10 * y + x end

  it("have depth of the picture's size, whatever the file's", function()
    local same = open(png(4, 6, count)):sample(1).depth:totable()
    for y = 0, 3 do
      for x = 0, 5 do assert.equal(count(y, x), same[y + 1][x + 1]) end
    end
    assert.same({ { 1, 1, 2, 2, 3, 3 }, { 1, 1, 2, 2, 3, 3 }, { 11, 11, 12, 12, 13, 13 }, { 11, 11, 12, 12, 13, 13 } },
      open(png(2, 3, count)):sample(1).depth:totable())
    -- Only depth is asked for: the size is still the picture's.
    assert.same({ 4, 6 }, open(png(2, 3, count)):sample(1, { "depth" }).depth:shape())
  end)

  it("have depth seen through another camera, 0 where that sees nothing", function()
    -- The depth camera has the same focal length and a principal point two pixels further right and one lower.
    local metres = open(png(4, 6, count), {
      intrinsics = { K }, depth_intrinsics = { { 4, 0, 4, 0, 4, 2.5, 0, 0, 1 } },
    }):sample(1).depth:totable()
    assert.same({ { 13, 14, 15, 16, 0, 0 }, { 23, 24, 25, 26, 0, 0 }, { 33, 34, 35, 36, 0, 0 }, { 0, 0, 0, 0, 0, 0 } }, metres)
  end)

  it("have intrinsics that follow a resize", function()
    local sample = open(png(4, 6, count), { intrinsics = { K }, size = { 2, 3 } }):sample(1)
    assert.same({ { 2, 0, 0.75 }, { 0, 2, 0.5 }, { 0, 0, 1 } }, sample.intrinsics:totable())
    assert.same({ 2, 3 }, sample.depth:shape())
    assert.same({ { 2, 0, 0.75 }, { 0, 2, 0.5 }, { 0, 0, 1 } },
      open(png(4, 6, count), { intrinsics = { K }, size = { 2, 3 } }):sample(1, { "intrinsics" }).intrinsics:totable())
  end)

  it("have poses, and say where tracking was lost", function()
    local function pose(text)
      pictures.write(root .. "/pose.txt", text)
      return open(png(4, 6, count), { poses = { root .. "/pose.txt" } })
    end
    local source = pose "1 0 0 0.5\n0 1 0 2\n0 0 1 3\n0 0 0 1\n"
    assert.same({ "image", "depth", "pose" }, source:planes())
    assert.same({ { 1, 0, 0, 0.5 }, { 0, 1, 0, 2 }, { 0, 0, 1, 3 }, { 0, 0, 0, 1 } }, source:sample(1).pose:totable())
    local lost = pose(("-inf "):rep(16))
    assert.error_matches(function() lost:sample(1) end, "pose%.txt: the pose is not finite %(tracking was lost at this frame%)")
    assert.same({ 4, 6, 3 }, lost:sample(1, { "image" }).image:shape())
    assert.error_matches(function() pose("1 0 0 0 0 1 0 0 0 0 1 0 0 0 1 1"):sample(1) end,
      "pose%.txt: the last row of a pose is 0 0 0 1, not 0 0 1 1")
    assert.error_matches(function() pose("1 2 3"):sample(1) end, "pose%.txt %(a 4x4 matrix%): 3 numbers; expected 16")
  end)

  it("check what they are given", function()
    assert.error_matches(function() open(png(4, 6, count), { depth_intrinsics = { K } }) end,
      "depth_intrinsics without the intrinsics of the pictures")
    assert.error_matches(function() open(png(4, 6, count), { intrinsics = { { 4, 1, 2, 0, 4, 1.5, 0, 0, 1 } } }) end,
      "the intrinsics of sample 1 are 4 1 2, 0 4 1%.5, 0 0 1; expected fx 0 cx, 0 fy cy, 0 0 1 with positive fx, fy")
    assert.error_matches(function() open(png(4, 6, count), { intrinsics = {} }) end, "source_frames: 0 intrinsics for 1 pictures")
    assert.error_matches(function() open(png(4, 6, count), { intrinsics = { { 1 } } }) end,
      "intrinsics%[1%] is no list of 9 numbers")
    assert.error_matches(function() open(png(4, 6, count), { poses = {} }) end, "source_frames: 0 poses for 1 pictures")
    assert.error_matches(function() open(png(4, 6, count), { label_map = { [70000] = 1 } }) end,
      "label_map%[70000%] = 1; values are 0 to 65535")
  end)

  it("have 16-bit label maps through tables of any length", function()
    pictures.write(root .. "/label.png", png(4, 6, function(y, x) return 300 * y + x end))
    local map = {}
    for y = 0, 3 do
      for x = 0, 5 do map[300 * y + x] = 10 * y + x end
    end
    local function with(label_map)
      return open(png(4, 6, count), { labels = { root .. "/label.png" }, label_map = label_map, table = "many" })
    end
    assert.same({ 30, 31, 32, 33, 34, 35 }, with(map):sample(1).label:totable()[4])
    map[603] = nil
    assert.error_matches(function() with(map):sample(1) end,
      "label%.png: the label value 603 %(row 3, column 4%) is not in the table many")
  end)
end)

describe("real depth files", function()
  it("of SUN RGB-D hold the expected millimetres", function()
    local root = pictures.real "sunrgbd"
    if not root then return pending "the SUN RGB-D samples (../shared/data/sunrgbd) are not here" end
    local checked = 0
    for _, row in ipairs(pictures.tsv(root .. "/expected.tsv")) do
      if row.mode == "I" then
        local bytes = asl.data.read_depth(root .. "/" .. row.file, "sunrgbd"):bytes()
        local least, most = math.huge, 0
        for i = 1, #bytes, 4 do
          local metres = unpack("<f", bytes, i)
          if metres > 0 then least, most = min(least, metres), max(most, metres) end
        end
        assert.equal(f32(tonumber(row.millimetres_min_nonzero) / 1000), least, row.file)
        assert.equal(f32(tonumber(row.millimetres_max) / 1000), most, row.file)
        assert.equal(4 * tonumber(row.width) * tonumber(row.height), #bytes)
        checked = checked + 1
      end
    end
    assert.equal(5, checked)
  end)

  local rgbd = pictures.real "rgbd_pose"
  local NONE = "the RGB-D samples (../shared/data/rgbd_pose) are not here"

  --- Share of known pixels within metres, and the mean of the known ones.
  local function known(path, coding)
    local bytes, n, sum = asl.data.read_depth(path, coding):bytes(), 0, 0
    for i = 1, #bytes - 35, 36 do -- every ninth
      local metres = unpack("<f", bytes, i)
      if metres > 0 then n, sum = n + 1, sum + metres end
    end
    return n / (#bytes // 36), sum / n
  end

  it("of other kinds hold plausible rooms", function()
    if not rgbd then return pending(NONE) end
    local others = rgbd .. "/open3d/other_formats/"
    for file, coding in pairs { ["NYU_depth.pgm"] = "nyu_raw", ["SUN_depth.png"] = "sunrgbd", ["TUM_depth.png"] = "tum" } do
      local share, mean = known(others .. file, coding)
      assert.is_true(share > 0.5 and mean > 0.8 and mean < 5, ("%s: %g known, %g m"):format(file, share, mean))
    end
    local share, mean = known(rgbd .. "/slambook/depth/1.pgm", "mm")
    assert.is_true(share > 0.5 and mean > 0.8 and mean < 5, ("%g known, %g m"):format(share, mean))
  end)

  --- Moves the depth of frame A into frame B: see README.md and expected.tsv of the samples.
  local function reproject(a, b)
    local za, zb = a.depth:bytes(), b.depth:bytes()
    local height, width = table.unpack(a.depth:shape())
    local k = a.intrinsics:totable()
    local fx, fy, cx, cy = k[1][1], k[2][2], k[1][3], k[2][3]
    local p, q = a.pose:totable(), b.pose:totable()
    local landed, seen, close = 0, 0, 0
    for y = 1, height - 1, 3 do -- a ninth of the pixels is enough
      for x = 1, width - 1, 3 do
        local z = unpack("<f", za, (y * width + x) * 4 + 1)
        if z > 0 then
          seen = seen + 1
          local c = { (x - cx) / fx * z, (y - cy) / fy * z, z }
          local w = {}
          for i = 1, 3 do w[i] = p[i][1] * c[1] + p[i][2] * c[2] + p[i][3] * c[3] + p[i][4] - q[i][4] end
          local m = {}
          for i = 1, 3 do m[i] = q[1][i] * w[1] + q[2][i] * w[2] + q[3][i] * w[3] end
          local u, v = math.floor(fx * m[1] / m[3] + cx + 0.5), math.floor(fy * m[2] / m[3] + cy + 0.5)
          if m[3] > 0 and u >= 0 and v >= 0 and u < width and v < height then
            local there = unpack("<f", zb, (v * width + u) * 4 + 1)
            if there > 0 then
              landed = landed + 1
              if math.abs(there - m[3]) <= 0.05 * m[3] then close = close + 1 end
            end
          end
        end
      end
    end
    return landed / seen, close / landed
  end

  it("of 7-Scenes land on each other through pose and intrinsics", function()
    if not rgbd then return pending(NONE) end
    local folder = rgbd .. "/seven_scenes/"
    local k = depth.intrinsics(folder .. "camera-intrinsics.txt", 3)
    local numbers = { 0, 5, 30 }
    local given = { images = {}, depths = {}, poses = {}, intrinsics = { k, k, k }, depth_coding = depth.coding "seven_scenes" }
    for i, number in ipairs(numbers) do
      given.images[i] = ("%sframe-%06d.color.jpg"):format(folder, number)
      given.depths[i] = ("%sframe-%06d.depth.png"):format(folder, number)
      given.poses[i] = ("%sframe-%06d.pose.txt"):format(folder, number)
    end
    local source = core.source_frames(given)
    local planes = { "depth", "pose", "intrinsics" }
    local first = source:sample(1, planes)
    local checked = 0
    for _, row in ipairs(pictures.tsv(rgbd .. "/expected.tsv")) do
      for i = 2, 3 do
        if row.sequence == "seven_scenes" and row.from == "0" and tonumber(row.to) == numbers[i] then
          local landed, close = reproject(first, source:sample(i, planes))
          assert.is_true(math.abs(landed - tonumber(row.fraction_of_depth_pixels_landing_on_depth)) < 0.005, landed)
          assert.is_true(math.abs(close - tonumber(row.fraction_within_5_percent)) < 0.005, close)
          checked = checked + 1
        end
      end
    end
    assert.equal(2, checked)
  end)
end)
