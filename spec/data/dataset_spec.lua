local asl = require "asl"
local core = require "asl.core"
local dataset = require "asl.data.dataset"
local files = require "asl.data.files"
local fs = require "asl.fs"
local labels = require "asl.labels"
local miniature_coco = require "spec.support.miniature.coco"
local miniature_hypersim = require "spec.support.miniature.hypersim"
local miniature_nyuv2 = require "spec.support.miniature.nyuv2"
local miniature_png = require "spec.support.miniature.png"
local miniature_scannet = require "spec.support.miniature.scannet"
local pictures = require "spec.support.pictures"

describe("a data set", function()
  local root, set, source

  setup(function()
    root = core.fs.temp_dir()
    pictures.write_folder(root, 6, function() return pictures.pattern(4, 5) end,
      function(i) return pictures.label(4, 5, function() return i % 3 end) end)
    source = core.source_files {
      images = { root .. "/image/1.png", root .. "/image/2.png" }, label_map = {},
    }
  end)
  teardown(function() core.fs.remove_tree(root) end)

  before_each(function()
    set = asl.data.folder {
      root = root, list = root .. "/list.txt", classes = { "a", "b", "c" }, name = "set", pattern = "([^/]+)/(%d+)",
    }
  end)

  it("knows its samples", function()
    assert.equal(6, #set)
    assert.same({ "set/image/1", "set/image/2" }, { set.ids[1], set.ids[2] })
    assert.same({ "image", "label" }, set.planes)
    local sample = set:sample(2)
    assert.same({ "set/image/2", "image", 2 }, { sample.id, sample.sequence, sample.frame })
    assert.same({ 4, 5, 3 }, sample.image:shape())
    assert.is_nil(set:sample(2, { "label" }).image)
    assert.equal("set: 6 samples in 1 sequence (image 6), 3 classes, planes image, label", set:describe())
    assert.error_matches(function() set:sample(7) end, "set: there is no sample 7; it has 6")
  end)

  it("gives parts of itself by position, number and sequence", function()
    local part = set:subset { 5, 1 }
    assert.same({ "set/image/5", "set/image/1" }, part.ids)
    assert.equal(set:sample(5).label:digest(), part:sample(1).label:digest())
    assert.same({ "set/image/1", "set/image/2" }, set:take(2).ids)
    assert.equal(6, #set:sequence "image")
    assert.equal(6, #set)
    assert.error_matches(function() set:sequence "0006R0" end, 'set has no sequence "0006R0" %(it has: image%)')
    assert.error_matches(function() set:take(7) end, "take 7 of 6")
    assert.error_matches(function() set:subset { 1, 9 } end, "there is no sample 9")
    assert.error_matches(function() set:subset { 1, 1 } end, 'both "set/image/1"')
  end)

  it("gives samples that are evenly spread", function()
    assert.same({ 4 }, set:spread(1).frames)
    assert.same({ 2, 5 }, set:spread(2).frames)
    assert.same({ 1, 3, 4, 6 }, set:spread(4).frames)
    for n = 1, 5 do assert.equal(n, #set:spread(n)) end
    for _, n in ipairs { 0, 6, 7 } do assert.equal(set, set:spread(n)) end
    assert.error_matches(function() set:spread(-1) end, "set: spread needs a whole number from 0, not %-1")
    assert.error_matches(function() set:spread(0.5) end, "set: spread needs a whole number from 0, not 0%.5")
  end)

  it("is cut in time by frames or by their share", function()
    for _, case in ipairs { { 2, 1, 3, { 5, 6 } }, { 2.0, 0, 4, { 5, 6 } }, { 0.34, 1, 3, { 5, 6 } }, { 0.33, 1, 4, { 6 } },
      { 0.1, 2, 3, { 6 } } } do
      local train, test = set:split { test = case[1], gap = case[2] }
      assert.equal(case[3], #train)
      assert.same(case[4], test.frames)
    end
    for _, test in ipairs { 0, -1, 1.5 } do
      assert.error_matches(function() set:split { test = test } end,
        "set: split needs test frames or a share below 1, and gap >= 0, not " .. tostring(test):gsub("%p", "%%%0") .. " and 1")
    end
    assert.error_matches(function() set:split { test = 0.9, gap = 1 } end,
      'sequence "image" has 6 frames, too few for 5 to test on and a gap of 1')
  end)

  it("joins others, whose rows keep their source", function()
    local other = asl.data.folder { root = root, list = root .. "/list.txt", classes = { "a", "b", "c" }, name = "other" }
    local both = set:take(2):join(other:take(1))
    assert.same({ "set/image/1", "set/image/2", "other/image/1" }, both.ids)
    assert.equal(other:sample(1).label:digest(), both:sample(3).label:digest())
    assert.error_matches(function() set:join(set) end, 'both "set/image/1"')
    local different = asl.data.folder { root = root, list = root .. "/list.txt", classes = { "a", "b", "d" }, name = "x" }
    assert.error_matches(function() set:join(different) end, "set and x have different classes")
  end)

  it("has a digest of what it is", function()
    local digest = set:digest()
    assert.equal(64, #digest)
    assert.equal(digest, set:subset({ 1, 2, 3, 4, 5, 6 }):digest())
    assert.not_equal(digest, set:take(5):digest())
    assert.not_equal(digest, set:subset({ 2, 1, 3, 4, 5, 6 }):digest())
    pictures.write(root .. "/image/6.png", core.png_encode(pictures.pattern(40, 50)))
    local changed = asl.data.folder {
      root = root, list = root .. "/list.txt", classes = { "a", "b", "c" }, name = "set", pattern = "([^/]+)/(%d+)",
    }
    assert.not_equal(digest, changed:digest())
    pictures.write(root .. "/image/6.png", core.png_encode(pictures.pattern(4, 5)))
  end)

  it("train and test sets share no sample, or it is an error naming it (defect 15)", function()
    asl.data.disjoint(set:take(3), set:subset { 4, 5, 6 })
    assert.error_matches(function() asl.data.disjoint(set:take(3), set:subset { 3, 4 }) end,
      'the sample "set/image/3" is in both set and set')
  end)

  it("is checked when made", function()
    local function make(more)
      local given = { name = "n", class_names = { "a" }, colours = { { 0, 0, 0 } }, ids = { "1", "2" }, source = source }
      for key, value in pairs(more) do given[key] = value end
      return asl.data.dataset(given)
    end
    assert.equal(2, #make {})
    assert.is_true(dataset.is(make {}))
    assert.error_matches(function() make { ids = { "1", "1" } } end, 'the samples 1 and 2 are both "1"')
    assert.error_matches(function() make { index = { 0, 2 } } end, "sample 2 is at position 2 of a source of 2 samples")
    assert.error_matches(function() make { index = { 0 } } end, "2 ids but 1 index")
    assert.error_matches(function() make { colours = {} } end, "1 classes but 0 colours")
    assert.error_matches(function() make { id = {} } end, 'unknown option "id".*did you mean "ids"')
    assert.error_matches(function() make { files = { "a", 2 } } end, "files%[2%] is a number, not a path")
  end)

  it("keeps what it was made from, and so does what comes of it", function()
    local function make(name, paths)
      return asl.data.dataset { name = name, class_names = { "a" }, colours = { { 0, 0, 0 } }, ids = { name .. "1", name .. "2" },
        source = source, files = paths }
    end
    local a, b, none = make("a", { "list", "table", "list" }), make("b", { "other", "table" }), make "none"
    assert.same({ "list", "table" }, a.files)
    assert.same({}, none.files)
    assert.same({ "list", "table" }, a:take(1).files)
    assert.same({ "list", "table" }, a:sequence("a").files)
    assert.same({ "list", "table", "other" }, a:join(b).files)
    assert.same({ "list", "table" }, none:join(a):subset({ 3 }).files)
    assert.equal(make("a"):digest(), a:digest()) -- they are where it came from, not what it is
  end)
end)

-- ---- files of samples -------------------------------------------------------------------------------------------------

--- Paths below a folder, sorted.
local function files_below(folder)
  local found = {}
  local function walk(path)
    for _, name in ipairs(fs.list(folder .. path)) do
      local inner = path .. "/" .. name
      if fs.stat(folder .. inner).is_dir then walk(inner) else found[#found + 1] = folder .. inner end
    end
  end
  walk ""
  table.sort(found)
  return found
end

local function pattern() return core.png_encode(pictures.pattern(6, 8)) end
local function zeros() return core.png_encode(pictures.label(6, 8, function() return 0 end)) end

--- What writes a miniature that has nothing but files of one data set, and opens it: kind, options, and the names of the files
--- that are read before any sample is.
local MAKE = {
  folder = function(root)
    pictures.write_folder(root, 2, function() return pictures.pattern(4, 5) end,
      function(i) return pictures.label(4, 5, function() return i end) end)
    pictures.write(root .. "/classes.tsv", "id\tname\n0\ta\n1\tb\n2\tc\n")
    return "folder", { root = root, list = root .. "/list.txt", classes = root .. "/classes.tsv" },
      { "list.txt", "classes.tsv" }
  end,
  camvid = function(root)
    for _, name in ipairs { "val", "valannot" } do fs.mkdirs(root .. "/" .. name) end
    pictures.write(root .. "/val/0016E5_07959.png", pattern())
    pictures.write(root .. "/valannot/0016E5_07959.png", zeros())
    pictures.write(root .. "/val.txt", "val/0016E5_07959.png valannot/0016E5_07959.png\n")
    return "camvid", { root = root, split = "val" }, { "val.txt" }
  end,
  ["camvid with 32 classes"] = function(root)
    for _, name in ipairs { "images", "labels" } do fs.mkdirs(root .. "/" .. name) end
    pictures.write(root .. "/images/0001TP_006690.png", pattern())
    pictures.write(root .. "/labels/0001TP_006690_P.png", zeros())
    pictures.write(root .. "/codes.txt", table.concat(labels.camvid32.names, "\n"))
    pictures.write(root .. "/valid.txt", "0001TP_006690.png\n")
    return "camvid", { root = root, split = "val" }, { "codes.txt", "valid.txt" }
  end,
  cityscapes = function(root)
    for _, folder in ipairs { "leftImg8bit/val/ulm", "gtFine/val/ulm" } do fs.mkdirs(root .. "/" .. folder) end
    pictures.write(root .. "/leftImg8bit/val/ulm/ulm_000000_000019_leftImg8bit.png", pattern())
    pictures.write(root .. "/gtFine/val/ulm/ulm_000000_000019_gtFine_labelIds.png", zeros())
    return "cityscapes", { root = root, split = "val" }, {}
  end,
  sunrgbd = function(root)
    for _, folder in ipairs { "image", "depth_bfx" } do fs.mkdirs(root .. "/a/" .. folder) end
    pictures.write(root .. "/a/image/a.jpg", pattern())
    pictures.write(root .. "/a/depth_bfx/a.png", miniature_png.encode("grey", 16, 6, 8, function() return 8000 end))
    pictures.write(root .. "/a/intrinsics.txt", "520 0 3\n0 521 2\n0 0 1\n")
    pictures.write(root .. "/a/scene.txt", "office")
    pictures.write(root .. "/list.txt", "a\n")
    return "sunrgbd", { root = root, list = root .. "/list.txt" }, { "list.txt", "a/intrinsics.txt", "a/scene.txt" }
  end,
  ["coco's instances"] = function(root)
    miniature_coco.write(root)
    for _, name in ipairs { "val2017", "panoptic_val2017", "panoptic_val2017.json" } do
      fs.remove_tree(root .. "/annotations/" .. name)
    end
    return "coco", { root = root, split = "val" }, {}, { ["annotations/instances_val2017.json"] = true }
  end,
  ["coco's panoptic maps"] = function(root)
    miniature_coco.write(root)
    for _, name in ipairs { "val2017", "instances_val2017.json" } do fs.remove_tree(root .. "/annotations/" .. name) end
    for _, id in ipairs { 25, 30 } do fs.remove(("%s/val2017/%012d.jpg"):format(root, id)) end
    return "coco", { root = root, split = "val", kind = "panoptic" }, {}, { ["annotations/panoptic_val2017.json"] = true }
  end,
  ["scannet's frames"] = function(root)
    miniature_scannet.write(root, "scene0000_00", { form = "frames_25k", frames = { 0, 100 }, label = function() return 1 end })
    local scan = "scene0000_00/"
    return "scannet", { root = root }, { scan .. "intrinsics_color.txt", scan .. "intrinsics_depth.txt" }
  end,
  ["scannet's tracked frames"] = function(root)
    miniature_scannet.write(root, "scene0000_00", { form = "scans", frames = { 0 }, label = function() return 1 end })
    pictures.write(root .. "/scene0000_00/color/1.jpg", pattern())
    pictures.write(root .. "/scene0000_00/pose/1.txt", ("nan "):rep(16))
    local own = { "intrinsic/intrinsic_color.txt", "intrinsic/intrinsic_depth.txt", "pose/0.txt", "pose/1.txt" }
    for i, name in ipairs(own) do own[i] = "scene0000_00/" .. name end
    return "scannet", { root = root, form = "scans", tracked = true }, own, { left_out = "scene0000_00/color/1.jpg" }
  end,
  ["scannet's .sens files"] = function(root)
    for _, scan in ipairs { "scene0000_00", "scene0000_01" } do
      fs.mkdirs(("%s/%s/label-filt"):format(root, scan))
      pictures.write(("%s/%s/%s.sens"):format(root, scan, scan), miniature_scannet.sens(2))
      for frame = 0, 1 do
        pictures.write(("%s/%s/label-filt/%d.png"):format(root, scan, frame), miniature_png.encode("grey", 16,
          miniature_scannet.HEIGHT, miniature_scannet.WIDTH, function() return 1 end))
      end
    end
    return "scannet", { root = root, form = "sens" }, {}
  end,
  nyuv2 = function(root)
    miniature_nyuv2.write(root, { height = 12, width = 16, frames = 1, types = { "bedroom" } })
    return "nyuv2", { root = root, split = "all" }, { "nyuv2_frames.tsv" }, { ["nyu_depth_v2_labeled.mat"] = true }
  end,
  hypersim = function(root)
    miniature_hypersim.write(root, { height = 12, width = 16, frames = 2, only = 3 })
    local own = { "metadata_camera_parameters.csv", "ai_003_010/_detail/metadata_scene.csv" }
    for _, name in ipairs { "frame_indices", "orientations", "positions" } do
      own[#own + 1] = ("ai_003_010/_detail/cam_01/camera_keyframe_%s.hdf5"):format(name)
    end
    return "hypersim", { root = root, split = "all" }, own
  end,
  ["hypersim's previews"] = function(root)
    miniature_hypersim.write(root, { height = 12, width = 16, frames = 1, only = 3, preview = true })
    fs.remove_tree(root .. "/ai_003_010/_detail")
    fs.remove_tree(root .. "/ai_003_010/images/scene_cam_01_final_hdf5")
    fs.remove(root .. "/metadata_camera_parameters.csv")
    for _, name in ipairs { "render_entity_id", "depth_meters" } do
      fs.remove(("%s/ai_003_010/images/scene_cam_01_geometry_hdf5/frame.0000.%s.hdf5"):format(root, name))
    end
    return "hypersim", { root = root, split = "all", picture = "preview", geometry = false }, {}
  end,
}

local function sorted_keys(map)
  local keys = {}
  for key in pairs(map) do keys[#keys + 1] = key end
  table.sort(keys)
  return keys
end

local function below(root, names)
  local paths = {}
  for i, name in ipairs(names) do paths[i] = root .. "/" .. name end
  return paths
end

local function files_of(set, i) return set.sources[i]:files(set.index[i] + 1) end

local function digests_of(sample, planes)
  local digests = {}
  for i, plane in ipairs(planes) do digests[i] = sample[plane]:digest() end
  return digests
end

describe("the files of a sample", function()
  local root
  before_each(function() root = fs.temp_dir() end)
  after_each(function() fs.remove_tree(root) end)

  for _, name in ipairs(sorted_keys(MAKE)) do
    it("of " .. name .. " and those of its data set are all there are", function()
      local kind, given, own, more = MAKE[name](root)
      local set, all = asl.data[kind](given), {}
      assert.same(below(root, own), set.files)
      for _, path in ipairs(set.files) do all[path] = true end
      for i = 1, #set do
        for _, path in ipairs(files_of(set, i)) do all[path] = true end
      end
      if more and more.left_out then all[root .. "/" .. more.left_out] = true end
      assert.same(files_below(root), sorted_keys(all))
    end)

    it("of " .. name .. " are what it is decoded from, and each is needed", function()
      local kind, given, _, more = MAKE[name](root)
      local set = asl.data[kind](given)
      local last, its = #set, {}
      local expected = digests_of(set:sample(last), set.planes)
      for _, path in ipairs(files_of(set, last)) do its[path] = true end
      for _, path in ipairs(files_below(root)) do
        if not its[path] then fs.remove(path) end
      end
      assert.same(expected, digests_of(set:sample(last), set.planes))
      for _, path in ipairs(sorted_keys(its)) do
        if not (more and more[path:sub(#root + 2)]) then -- what is kept in memory, or open
          local bytes = fs.read(path)
          fs.remove(path)
          assert.truthy(pictures.error_of(function() set:sample(last) end):find(path, 1, true), path)
          pictures.write(path, bytes)
        end
      end
    end)
  end

  it("are those of all its planes, in the order of the planes", function()
    local function named(list) return { list .. 1, list .. 2 } end
    local source = core.source_frames {
      images = named "image", labels = named "label", depths = named "depth", flows = named "flow",
      flows_back = named "back", poses = named "pose", depth_coding = { per_metre = 1000 }, label_map = {},
    }
    assert.same({ "image2", "label2", "depth2", "flow2", "back2", "pose2" }, source:files(2))
    assert.same({ "image1" }, core.source_files({ images = { "image1" }, label_map = {} }):files(1))
    for _, position in ipairs { 0, 3 } do
      assert.error_matches(function() source:files(position) end,
        ("sample %d of a source of 2 samples"):format(position))
    end
  end)

  it("of hypersim have paths that can be opened", function()
    local function paths(folder)
      return core.source_hypersim({ folders = { folder }, shots = { 0 }, frames = { 7 }, preview = true, label_map = {},
        table = "t" }):files(1)
    end
    assert.same({ "a_final_preview/frame.0007.tonemap.jpg" }, paths "a")
    assert.equal(("x"):rep(4032) .. "_final_preview/frame.0007.tonemap.jpg", paths(("x"):rep(4032))[1])
    assert.error_matches(function() paths(("x"):rep(4033)) end, "^a path of 4033 bytes, at most 4032 can be opened: x+")
  end)

  it("are none where nothing is read, and the pack where it is in one", function()
    local given = { size = { 4, 4 }, sequences = 1, frames = 2 }
    local rooms = asl.data.rooms(given)
    assert.same({}, rooms.files)
    assert.same({}, files_of(rooms, 2))
    local path = asl.data.pack { kind = "rooms", options = given, out = root, quiet = true }
    given.root = root
    local packed = asl.data.rooms(given)
    assert.same({}, packed.files)
    assert.same({ path }, files_of(packed, 2))
  end)
end)

-- ---- what is missing --------------------------------------------------------------------------------------------------

describe("asl.data.files", function()
  local root
  before_each(function()
    root = fs.temp_dir()
    pictures.write(root .. "/there", "four")
  end)
  after_each(function() fs.remove_tree(root) end)

  local function sizes() return files.sizes("w", { root .. "/there", root .. "/gone", root }) end

  it("in its lenient mode takes missing files for empty ones", function()
    local message = ("w: %s/gone is not there, and 1 more of 3 files, the last of them %s"):format(root, root)
    assert.equal(message, tostring(pictures.error_of(sizes)))
    assert.same({ 4, 0, 0 }, files.lenient(sizes))
    assert.equal(message, tostring(pictures.error_of(sizes)))
  end)

  it("leaves that mode however it was left, and comes back to the one it was in", function()
    assert.same({ n = 3, 1, nil, 3 }, table.pack(files.lenient(function(...) return ... end, 1, nil, 3)))
    assert.equal("no", pictures.error_of(function() files.lenient(error, "no", 0) end))
    assert.is_false(pcall(sizes))
    local inner, outer = files.lenient(function()
      local within = pcall(files.lenient, error, "no")
      return within, sizes()
    end)
    assert.is_false(inner)
    assert.same({ 4, 0, 0 }, outer)
    assert.is_false(pcall(sizes))
  end)

  it("lets a data set be made whose samples then miss their files one by one", function()
    miniature_scannet.write(root, "scene0000_00", { form = "frames_25k", frames = { 0, 100 }, label = function() return 1 end })
    local depth = root .. "/scene0000_00/depth/000100.png"
    fs.remove(depth)
    local function open() return asl.data.scannet { root = root } end
    assert.equal(("asl.data.scannet: %s is not there"):format(depth), tostring(pictures.error_of(open)))
    local set = files.lenient(open)
    set:sample(1)
    assert.error_matches(function() set:sample(2) end, 'cannot open ".*/depth/000100%.png"')
  end)

  it("knows which label tables are files", function()
    assert.same({ "a.tsv", "b.tsv" }, files.tables("nyu40", "a.tsv", nil, { "c.tsv" }, "b.tsv", "a.tsv", "scannet"))
    assert.same({}, files.tables())
  end)
end)
