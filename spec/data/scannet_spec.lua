local asl = require "asl"
local core = require "asl.core"
local damage = require "spec.support.damage"
local labels = require "asl.labels"
local miniature = require "spec.support.miniature.scannet"
local miniature_png = require "spec.support.miniature.png"
local pictures = require "spec.support.pictures"
local scannet = require "asl.data.scannet"

-- The depth of the pixels of a picture: columns 0..7 are seen by columns (x - 0.5) / 2 + 0.5 of the depth camera, ...
local function expected_depth()
  local k, d, rows = miniature.COLOUR_K, miniature.DEPTH_K, {}
  for y = 0, miniature.HEIGHT - 1 do
    rows[y + 1] = {}
    for x = 0, miniature.WIDTH - 1 do
      local u = math.floor(d[1] / k[1] * (x - k[3]) + d[3] + 0.5)
      local v = math.floor(d[5] / k[5] * (y - k[6]) + d[6] + 0.5)
      local inside = u >= 0 and u < miniature.WIDTH // 2 and v >= 0 and v < miniature.HEIGHT // 2
      rows[y + 1][x + 1] = inside and (string.unpack("<f", string.pack("<f", miniature.millimetres(v, u) / 1000))) or 0
    end
  end
  return rows
end

local function matrix_of(numbers, side)
  local rows = {}
  for i = 1, side do rows[i] = table.move(numbers, side * (i - 1) + 1, side * i, 1, {}) end
  return rows
end

--- Values that a table knows, by column, so that every row of the label map is the same.
local function columns(values)
  return function(_, x) return values[x + 1] end
end

describe("the splits of ScanNet", function()
  it("are those of the benchmark", function()
    local counts, scenes, splits = {}, {}, scannet.splits()
    for scan, split in pairs(splits) do
      counts[split] = (counts[split] or 0) + 1
      local scene = scan:sub(1, 9)
      assert.is_true(scenes[scene] == nil or scenes[scene] == split, scan)
      scenes[scene] = split
    end
    assert.same({ train = 1201, val = 312, test = 100 }, counts)
    local facts = pictures.real "labels"
    if not facts then return pending "the lists (../shared/data/labels) are not here" end
    for _, split in ipairs { "train", "val", "test" } do
      for scan in io.lines(("%s/scannetv2_%s.txt"):format(facts, split)) do
        if scan ~= "" then assert.equal(split, splits[scan] or "none", scan) end
      end
    end
  end)
end)

describe("asl.data.scannet", function()
  local root
  before_each(function() root = core.fs.temp_dir() end)
  after_each(function() core.fs.remove_tree(root) end)

  local function open(more)
    local given = { root = root }
    for key, value in pairs(more or {}) do given[key] = value end
    return asl.data.scannet(given)
  end

  -- scene0000_00 and _01 are of "train", scene0011_00 of "val", scene0707_00 of "test".
  local IDS = { 0, 1, 2, 5, 40, 39, 13, 34 }

  local function write_25k(scan, frames, more)
    local given = { form = "frames_25k", frames = frames, label = columns(IDS) }
    for key, value in pairs(more or {}) do given[key] = value end
    miniature.write(root, scan, given)
  end

  it("reads frames_25k with labels, depth, intrinsics and poses", function()
    write_25k("scene0000_00", { 0, 100 })
    write_25k("scene0000_01", { 0 })
    write_25k("scene0011_00", { 300 })
    local set = open()
    assert.equal("scannet/train: 3 samples in 2 sequences (scene0000_00 2, scene0000_01 1), 40 classes, planes image, label, "
      .. "depth, intrinsics, pose", set:describe())
    assert.same({ "scannet/scene0000_00/000000", "scannet/scene0000_00/000100", "scannet/scene0000_01/000000" }, set.ids)
    assert.same({ 0, 100, 0 }, set.frames)
    local sample = set:sample(2)
    assert.same({ 255, 0, 1, 4, 39, 38, 12, 33 }, sample.label:totable()[6])
    assert.same(expected_depth(), sample.depth:totable())
    assert.same(matrix_of(miniature.COLOUR_K, 3), sample.intrinsics:totable())
    assert.same(matrix_of(miniature.pose(100), 4), sample.pose:totable())
    assert.same({ 300 }, open({ split = "val" }).frames)
    assert.equal(4, #open { split = "all" })
    asl.data.disjoint(set, open { split = "val" })
    assert.same({ "image", "label" }, open({ geometry = false }).planes)
    assert.same({ "image" }, open({ geometry = false, labels = false }).planes)
    assert.same({ 3, 4 }, open({ size = { 3, 4 } }):sample(1).depth:shape())
  end)

  it("has other classes", function()
    write_25k("scene0000_00", { 0 })
    local set, map = open { classes = "scannet20" }, labels.map("nyu40_file", "scannet20")
    local expected = {}
    for i, id in ipairs(IDS) do expected[i] = map[id] end
    assert.same(expected, set:sample(1).label:totable()[1])
    assert.equal("otherfurniture", set.class_names[20])
  end)

  it("reads extracted scans with raw ids of 16 bits", function()
    local raw = { 0, 1, 2, 21, 1357, 107, 188, 385 }
    miniature.write(root, "scene0000_00", { form = "scans", frames = { 0, 1, 10, 2 }, label = columns(raw) })
    local set, map = open { form = "scans" }, labels.map("scannet", "nyu40")
    assert.same({ 0, 1, 2, 10 }, set.frames) -- by number, not by name
    local expected = {}
    for i, id in ipairs(raw) do expected[i] = map[id] end
    assert.same(expected, set:sample(4, { "label" }).label:totable()[1])
    assert.same(expected_depth(), set:sample(4).depth:totable())
    assert.same({ 0, 10 }, open({ form = "scans", every = 5 }).frames)
    pictures.write(root .. "/scene0000_00/label-filt/2.png", miniature_png.encode("grey", 16, 6, 8, function() return 9999 end))
    assert.error_matches(function() set:sample(3) end,
      "label%-filt/2%.png: the label value 9999 %(row 1, column 1%) is not in the table scannet")
  end)

  it("takes the scans that are asked for", function()
    write_25k("scene0000_00", { 0 })
    write_25k("scene0000_01", { 0 })
    write_25k("scene0011_00", { 0 })
    assert.same({ "scene0000_01" }, (open({ scans = { "scene0000_01" } }):sequence_names()))
    assert.same({ "scene0000_00", "scene0000_01" }, (open({ scans = { 0 } }):sequence_names()))
    assert.error_matches(function() open { scans = { "scene0011_00" } } end,
      'no scan of scene0011_00 and the split "train" %(it is in "val"%)')
    assert.error_matches(function() open { scans = { 11 } } end, 'no scan of scene0011 and the split "train" %(it is in "val"%)')
    assert.error_matches(function() open { scans = { 0, 7 } } end, 'no scan of scene0007 and the split "train"$')
    assert.error_matches(function() open { split = "all", scans = { 7 } } end, 'no scan of scene0007 and the split "all"$')
    assert.error_matches(function() open { scans = { "scene1" } } end,
      'scans: "scene1"; each is a name like "scene0000_00" or the number of a scene')
    assert.error_matches(function() open { split = "test" } end, 'holds no folder of a scan of the split "test"')
  end)

  it("leaves out frames without a pose when asked to, else says so", function()
    write_25k("scene0000_00", { 0, 100, 200 }, { lost = { [100] = true } })
    local set = open()
    assert.equal(3, #set)
    assert.error_matches(function() set:sample(2) end, "pose/000100%.txt: the pose is not finite %(tracking was lost")
    assert.same({ 6, 8 }, set:sample(2, { "label" }).label:shape())
    assert.same({ 0, 200 }, open({ tracked = true }).frames)
    write_25k("scene0000_00", { 0, 100, 200 }, { lost = { [0] = true, [100] = true, [200] = true } })
    assert.error_matches(function() open { tracked = true } end, "no frame of these scans is left")
  end)

  it("reads labels of another folder", function()
    write_25k("scene0000_00", { 0 })
    core.fs.rename(root .. "/scene0000_00/label", root .. "/scene0000_00/mine")
    assert.error_matches(open, "scene0000_00/label/000000%.png is not there$")
    assert.same({ 255, 0, 1, 4, 39, 38, 12, 33 }, open({ labels = "mine" }):sample(1).label:totable()[1])
  end)

  it("reads labels of other ids, as one's own pseudo-labels have", function()
    miniature.write(root, "scene0000_00", { form = "scans", frames = { 0 }, label = columns(IDS) })
    local set = open { form = "scans", label_ids = "nyu40_file" }
    assert.same({ 255, 0, 1, 4, 39, 38, 12, 33 }, set:sample(1).label:totable()[1])
    assert.error_matches(function() open { form = "scans", label_ids = "cityscapes" } end, "no mapping from cityscapes to nyu40")
  end)

  it("names what is missing", function()
    assert.error_matches(function() asl.data.scannet { root = "/no/scans" } end,
      'root = "/no/scans": not there; expected a folder that holds folders scene0000_00')
    write_25k("scene0000_00", { 0, 100 })
    core.fs.remove(root .. "/scene0000_00/depth/000100.png")
    assert.error_matches(open, "scene0000_00/depth/000100%.png is not there$")
    assert.equal(2, #open { geometry = false })
    core.fs.remove(root .. "/scene0000_00/intrinsics_depth.txt")
    assert.error_matches(open, "no intrinsics: .*/scene0000_00/intrinsics_depth%.txt is not there")
    core.fs.remove_tree(root .. "/scene0000_00/color")
    assert.error_matches(open, "no pictures: .*/scene0000_00/color is not there")
    assert.error_matches(function() open { every = 0 } end, 'option "every" must be a whole number from 1, not 0')
    assert.error_matches(function() open { labels = 3 } end, 'option "labels" must be true, false or the name of the folder')
    assert.error_matches(function() open { form = "zip" } end, 'one of "frames_25k", "scans", "sens"')
  end)
end)

-- ---- .sens ------------------------------------------------------------------------------------------------------------

describe(".sens files", function()
  local root, path
  before_each(function()
    root = core.fs.temp_dir()
    core.fs.mkdirs(root .. "/scene0000_00")
    path = root .. "/scene0000_00/scene0000_00.sens"
  end)
  after_each(function() core.fs.remove_tree(root) end)

  local function open(bytes, more)
    pictures.write(path, bytes)
    local given = { file = path }
    for key, value in pairs(more or {}) do given[key] = value end
    return asl.data.sens(given)
  end

  it("give pictures, depth, intrinsics and poses, frame by frame", function()
    local set = open(miniature.sens(3, { tail = "inertial data" }))
    assert.equal("scene0000_00: 3 samples in 1 sequence (scene0000_00 3), 40 classes, planes image, depth, intrinsics, pose",
      set:describe())
    assert.same({ "scannet/scene0000_00/000000", "scannet/scene0000_00/000001", "scannet/scene0000_00/000002" }, set.ids)
    for i = 3, 1, -1 do
      local sample = set:sample(i)
      assert.equal(pictures.pattern(6, 8):digest(), sample.image:digest())
      assert.same(expected_depth(), sample.depth:totable())
      assert.same(matrix_of(miniature.COLOUR_K, 3), sample.intrinsics:totable())
      assert.same(matrix_of(miniature.pose(i - 1), 4), sample.pose:totable())
    end
    assert.same({ 6, 8 }, set:sample(1, { "depth" }).depth:shape())
    assert.same({ 3, 4, 3 }, open(miniature.sens(1), { size = { 3, 4 } }):sample(1).image:shape())
  end)

  it("give the same as the extracted frames", function()
    local raw = columns { 0, 1, 2, 21, 1357, 107, 188, 385 }
    miniature.write(root, "scene0000_00", { form = "scans", frames = { 0, 1, 2, 3, 4 }, label = raw })
    pictures.write(path, miniature.sens(5))
    local sens = asl.data.scannet { root = root, form = "sens", every = 2 }
    local scans = asl.data.scannet { root = root, form = "scans", every = 2 }
    assert.same(scans.ids, sens.ids)
    assert.same(scans.planes, sens.planes)
    for i = 1, 3 do
      local a, b = sens:sample(i), scans:sample(i)
      for _, plane in ipairs(sens.planes) do assert.equal(b[plane]:digest(), a[plane]:digest(), plane) end
    end
  end)

  it("of many scans are one data set", function()
    for _, scan in ipairs { "scene0000_00", "scene0000_01", "scene0000_02", "scene0011_00" } do
      core.fs.mkdirs(root .. "/" .. scan)
      pictures.write(("%s/%s/%s.sens"):format(root, scan, scan), miniature.sens(2))
    end
    local set = asl.data.scannet { root = root, form = "sens", labels = false }
    assert.equal("scannet/train: 6 samples in 3 sequences (scene0000_00 2, scene0000_01 2, scene0000_02 2), 40 classes, "
      .. "planes image, depth, intrinsics, pose", set:describe())
    assert.same(matrix_of(miniature.pose(1), 4), set:sample(6).pose:totable())
    assert.error_matches(function() asl.data.scannet { root = root, form = "sens" } end,
      "no label maps: .*/scene0000_00/label%-filt is not there")
  end)

  it("may hold JPEG pictures and raw depth", function()
    local jpeg = pictures.read "spec/fixtures/pictures/baseline.jpg"
    local set = open(miniature.sens(1, { colour_kind = 2, picture = jpeg, size = { 24, 40 }, depth_kind = 0 }))
    assert.equal(core.image_decode(jpeg):digest(), set:sample(1).image:digest())
    assert.equal(1, set:sample(1).depth:totable()[2][2] > 0 and 1 or 0)
  end)

  it("have frames without a pose, which can be left out", function()
    local bytes = miniature.sens(3, { lost = { [1] = true } })
    assert.error_matches(function() open(bytes):sample(2) end,
      "scene0000_00%.sens: frame 1: the pose is not finite %(tracking was lost at this frame%)")
    assert.same({ 0, 2 }, open(bytes, { tracked = true }).frames)
    assert.error_matches(function() open(miniature.sens(1, { lost = { [0] = true } }), { tracked = true }) end,
      "no frame of it is left")
  end)

  it("that are wrong are errors naming file and frame", function()
    local huge = { 16385, 3 }
    local cases = {
      { miniature.sens(2, { version = 3 }), "version 3; %.sens files have version 4" },
      { miniature.sens(2, { colour_kind = 0 }), "pictures of kind 0; known are 1 %(PNG%) and 2 %(JPEG%)" },
      { miniature.sens(2, { depth_kind = 2 }), "depth of kind 2; known are 0 %(raw%) and 1 %(deflated%)" },
      { miniature.sens(2, { size = huge }), "pictures: a picture of 3x16385 pixels" },
      { miniature.sens(2, { depth_size = huge }), "depth: a picture of 3x16385 pixels" },
      { miniature.sens(2, { per_metre = 0 }), "depth: 0 units per metre" },
      { miniature.sens(2, { frames = 0 }), ": 0 frames" },
      { miniature.sens(2, { frames = 3 }), "frame 2: truncated %(%d+ bytes%)" },
      { miniature.sens(2, { frames = 1 << 40 }), "bytes cannot hold 1099511627776 frames%)" },
      { miniature.sens(2, { frames = -1 }), "18446744073709551615 frames" },
      { miniature.sens(2, { k = { 8, 1, 3.5, 0, 8, 2.5, 0, 0, 1 } }),
        "the intrinsics of the pictures are 8 1 3%.5, 0 8 2%.5, %.%.%.; expected fx 0 cx, 0 fy cy" },
      { miniature.sens(2, { picture = "" }), "frame 0: 0 bytes of picture and %d+ of depth" },
      { string.pack("<I4I8", 4, 1 << 40), "a sensor's name of 1099511627776 bytes" },
      { "", "truncated %(0 bytes%)" },
    }
    for _, case in ipairs(cases) do
      local message = pictures.error_of(function() open(case[1]) end)
      assert.matches(case[2], message)
      assert.is_truthy(message:find("scene0000_00.sens", 1, true))
    end
    assert.error_matches(function() asl.data.sens { file = root .. "/x.sens" } end, 'cannot open ".*/x%.sens": No such file')
    assert.error_matches(function() asl.data.sens { file = root } end, "is a directory, not a file")
    assert.error_matches(function() open(miniature.sens(2), { labels = root .. "/none" }) end,
      "none\": not there; expected a folder")
    assert.error_matches(function() open(miniature.sens(2), { every = -1 }) end, '"every" must be a whole number from 1')
  end)

  it("with frames that cannot be decoded say which", function()
    local cases = {
      { { picture = "no picture" }, "frame 0: neither PNG nor JPEG" },
      { { picture = core.png_encode(pictures.pattern(6, 7)) }, "frame 0: a picture of 7x6; the file says 8x6" },
      { { depth = "nonsense" }, "frame 0: its depth is damaged" },
      { { depth = miniature_png.zlib(("\0"):rep(23)) }, "frame 0: 23 bytes of depth; 4x3 take 24 %(width x height%)" },
      { { depth = miniature_png.zlib(("\0"):rep(25)) }, "frame 0: its depth is damaged" },
      { { depth_kind = 0, depth = ("\0"):rep(25) }, "frame 0: 25 bytes of depth; 4x3 take 24" },
    }
    for _, case in ipairs(cases) do
      assert.error_matches(function() open(miniature.sens(1, case[1])):sample(1) end, case[2])
    end
  end)

  it("that shrink after they were opened are errors", function()
    local bytes = miniature.sens(3)
    local set = open(bytes)
    pictures.write(path, bytes:sub(1, -10))
    set:sample(2)
    assert.error_matches(function() set:sample(3) end, "frame 2: truncated")
    core.fs.remove(path)
    assert.error_matches(function() set:sample(1) end, "cannot open .*scene0000_00%.sens")
  end)

  local function read_all(bytes)
    local set = open(bytes)
    for i = 1, #set do set:sample(i) end
  end

  it("truncated anywhere are errors", function()
    local bytes = miniature.sens(3)
    damage.truncations(bytes, function(cut, length)
      local ok, message = pcall(read_all, cut)
      assert.is_false(ok, ("read from %d of %d bytes"):format(length, #bytes))
      assert.matches("truncated", tostring(message))
    end)
  end)

  it("with a changed byte are errors or frames, never a crash", function()
    local refused = 0
    damage.flips(miniature.sens(2), 1000, function(changed)
      local ok, message = pcall(read_all, changed)
      if not ok then
        refused = refused + 1
        assert.is_true(#tostring(message) > 10)
      end
    end)
    assert.is_true(refused > 300 and refused < 1000, refused)
  end)

  it("are read by loader threads", function()
    local set = open(miniature.sens(4))
    local loader <close> = asl.data.loader { threads = 3 }
    local rows = {}
    for i = 1, 8 do rows[i] = { dataset = set, position = (i - 1) % 4 + 1 } end
    local batch = loader:wait(loader:request {
      rows = rows, size = { 6, 8 }, planes = { "image", "depth", "pose", "intrinsics" }, seed = 1, step = 1,
    })
    assert.same({ 8, 6, 8, 3 }, batch.image:shape())
    for i = 1, 8 do
      assert.same(matrix_of(miniature.pose((i - 1) % 4), 4), batch.pose:totable()[i])
      assert.same(expected_depth(), batch.depth:totable()[i])
    end
  end)
end)
