local asl = require "asl"
local core = require "asl.core"
local damage = require "spec.support.damage"
local labels = require "asl.labels"
local miniature = require "spec.support.miniature.nyuv2"
local miniature_png = require "spec.support.miniature.png"
local nyuv2 = require "asl.data.nyuv2"
local pictures = require "spec.support.pictures"

local K = { { 518.85790117450188, 0, 325.58244941119034 }, { 0, 519.46961112127485, 253.73616633400465 }, { 0, 0, 1 } }

local function near(expected, tensor, bound)
  for i, row in ipairs(tensor:totable()) do
    for j, value in ipairs(row) do
      assert.is_true(math.abs(value - expected[i][j]) <= bound, ("%d, %d: %g, not %g"):format(i, j, value, expected[i][j]))
    end
  end
end

local function counts_of(frames, key)
  local counts = {}
  for _, frame in ipairs(frames) do counts[frame[key]] = (counts[frame[key]] or 0) + 1 end
  return counts
end

--- The set of the values of a u8 tensor.
local function values_of(tensor)
  local bytes, set = tensor:bytes(), {}
  for value = 0, 255 do
    if bytes:find(string.char(value), 1, true) then set[value] = true end
  end
  return set
end

local function mean(tensor) return tensor:to("f64"):mean():item() end

--- The least and the greatest of the values of a f32 tensor, whose number 128 divides.
local function limits(tensor)
  local bytes, row, least, most = tensor:bytes(), "<" .. ("f"):rep(128), math.huge, -math.huge
  for at = 1, #bytes, 4 * 128 do
    local values = { string.unpack(row, bytes, at) }
    values[#values] = nil -- the next position
    least, most = math.min(least, table.unpack(values)), math.max(most, table.unpack(values))
  end
  return least, most
end

describe("the frames of NYUv2", function()
  it("have the official split, of which validation takes every tenth scene of train", function()
    local frames = nyuv2.frames()
    assert.same({ train = 718, val = 77, test = 654 }, counts_of(frames, "split"))
    local scenes, official, names = {}, {}, {}
    for _, frame in ipairs(frames) do
      assert.is_true(scenes[frame.scene] == nil or scenes[frame.scene] == frame.split, frame.scene)
      scenes[frame.scene] = frame.split
    end
    for name, split in pairs(scenes) do
      names[#names + 1] = name
      if split ~= "test" then official[#official + 1] = name end
    end
    table.sort(official)
    assert.equal(464, #names)
    assert.equal(249, #official)
    for i, name in ipairs(official) do assert.equal(i % 10 == 0 and "val" or "train", scenes[name], name) end
    assert.same({ "bathroom_0014", "bathroom_0039", "reception_room_0002" }, { official[10], official[20], official[240] })
  end)

  it("are those of the lists that come with the data", function()
    local facts = pictures.real "labels"
    if not facts then return pending "the lists (../shared/data/labels) are not here" end
    local frames = nyuv2.frames()
    local rows = pictures.tsv(facts .. "/nyuv2_frames.tsv")
    assert.equal(1449, #rows)
    for i, row in ipairs(rows) do
      assert.equal(tostring(i), row.index)
      assert.equal(row.scene, frames[i].scene)
      assert.equal(row.scene_type, frames[i].scene_type)
      assert.equal(row.split == "test", frames[i].split == "test")
      assert.equal(row.scene_type, row.scene:match "^(.*)_%d+%a*$") -- as scene_types() takes them to be
    end
  end)

  it("may come from another table, which is checked", function()
    local path = os.tmpname()
    local function read(...)
      pictures.write(path, table.concat({ "index\tsplit\tscene_type\tscene", ... }, "\n"))
      return nyuv2.frames(path)
    end
    assert.same({ "train", "val" }, { read("1\ttrain\toffice\toffice_1", "2\tval\toffice\toffice_2")[1].split, "val" })
    assert.error_matches(function() read("2\ttrain\toffice\toffice_1") end,
      ':2: index "2"; frames count 1, 2, 3, %.%.%., here 1 is expected')
    assert.error_matches(function() read("1\tdev\toffice\toffice_1") end,
      ':2: the split "dev"; expected "train", "val" or "test"')
    assert.error_matches(function() read("1\ttrain\toffice\toffice_1", "2\ttest\toffice\toffice_1") end,
      ":3: the scene office_1 is office in test here but office in train before")
    assert.error_matches(function() read("1\ttrain\t\toffice_1") end, ":2: no scene or no scene type")
    assert.error_matches(function() read("1\ttrain\toffice") end, ":2: 3 fields; there are 4 columns")
    pictures.write(path, "index\tsplit\tscene\n")
    assert.error_matches(function() nyuv2.frames(path) end, "has no column scene_type")
    pictures.write(path, "")
    assert.error_matches(function() nyuv2.frames(path) end, "has no column index")
    core.fs.remove(path)
  end)
end)

-- ---- the .mat ---------------------------------------------------------------------------------------------------------

describe("nyu_depth_v2_labeled.mat", function()
  local root
  before_each(function() root = core.fs.temp_dir() end)
  after_each(function() core.fs.remove_tree(root) end)

  local function open(more)
    local given = { root = root }
    for key, value in pairs(more or {}) do given[key] = value end
    return nyuv2.new(given)
  end

  local function small(change, more)
    local given = { frames = 1, height = 12, width = 16, change = change }
    for key, value in pairs(more or {}) do given[key] = value end
    return miniature.write(root, given)
  end

  --- A change of one dataset by its name.
  local function with(name, fields)
    return function(datasets)
      for i = #datasets, 1, -1 do
        if datasets[i].name == name then
          if not fields then return table.remove(datasets, i) end
          for key, value in pairs(fields) do datasets[i][key] = value end
        end
      end
    end
  end

  it("gives the rooms it was made of, transposed and mapped", function()
    local release = miniature.write(root)
    local set = open { split = "all" }
    assert.equal("nyuv2/all: 12 samples in 6 sequences (bedroom_0001 2, kitchen_0001 2, bedroom_0002 2, kitchen_0002 2, "
      .. "bedroom_0003 2, kitchen_0003 2), 40 classes, planes image, label, depth, intrinsics", set:describe())
    local raw = open { split = "all", depth = "raw" }
    for i, room in ipairs(release.samples) do
      local sample = set:sample(i)
      for _, plane in ipairs { "image", "label", "depth" } do
        assert.equal(room[plane]:digest(), sample[plane]:digest(), plane)
      end
      local expected = room.depth:totable()
      for y, row in ipairs(expected) do
        for x in ipairs(row) do
          if miniature.is_hole(y - 1, x - 1) then row[x] = 0 end
        end
      end
      assert.same(expected, raw:sample(i).depth:totable())
      assert.same({ ("nyuv2/%04d"):format(i), release.rows[i].name, i }, { sample.id, sample.sequence, sample.frame })
    end
    assert.is_true(set:digest() ~= raw:digest())
    local s = 0.1 -- 64 of 640 columns
    near({ { K[1][1] * s, 0, (K[1][3] + 0.5) * s - 0.5 }, { 0, K[2][2] * s, (K[2][3] + 0.5) * s - 0.5 }, K[3] },
      set:sample(1).intrinsics, 1e-5)
  end)

  it("has splits, scenes and kinds of room", function()
    miniature.write(root, { frames = 1, height = 12, width = 16, types = { "bedroom", "kitchen", "living_room" } })
    local train, val, test = open(), open { split = "val" }, open { split = "test" }
    assert.same({ { 1, 2, 3 }, { 4, 5, 6 }, { 7, 8, 9 } }, { train.frames, val.frames, test.frames })
    asl.data.disjoint(train, val)
    asl.data.disjoint(train, test)
    assert.same({ 3 }, open({ scene_types = { "living_room" } }).frames)
    assert.same({ 7, 8 }, open({ split = "test", scene_types = { "kitchen", "bedroom" } }).frames)
    assert.same({ 5 }, open({ split = "val", scenes = { "kitchen_0002" } }).frames)
    local names, counts = nyuv2.scene_types(train:join(test):subset { 1, 2, 3, 4, 6 })
    assert.same({ "bedroom", "living_room", "kitchen" }, names)
    assert.same({ bedroom = 2, living_room = 2, kitchen = 1 }, counts)
    assert.error_matches(function() open { scene_types = { "attic" } } end, 'scene_types: there is no "attic"$')
    assert.error_matches(function() open { scenes = { "kitchen_0002" } } end,
      'scenes: no frame of kitchen_0002 is in the split "train"$')
    assert.error_matches(function() open { scenes = { "kitchen_0001" }, scene_types = { "bedroom" } } end,
      'no frame of these is in the split "train"$')
  end)

  it("has other classes, and planes that can be left out", function()
    local release = small()
    local set, map = open { classes = "nyu13" }, labels.map("nyu40", "nyu13")
    local expected = release.samples[1].label:totable()
    for _, row in ipairs(expected) do
      for x, class in ipairs(row) do row[x] = map[class] end
    end
    assert.same(expected, set:sample(1).label:totable())
    assert.same({ "image" }, open({ labels = false, geometry = false }).planes)
    assert.same({ "image", "label" }, open({ geometry = false }).planes)
    assert.same({ "image", "depth", "intrinsics" }, open({ labels = false }).planes)
    assert.same({ "depth" }, (function()
      local planes = {}
      for _, plane in ipairs { "image", "label", "depth", "intrinsics" } do
        if set:sample(1, { "depth" })[plane] then planes[#planes + 1] = plane end
      end
      return planes
    end)())
  end)

  it("has its planes moved together when it is resized", function()
    small()
    local whole, half = open():sample(1), open({ size = { 6, 8 } }):sample(1)
    assert.same({ { 6, 8, 3 }, { 6, 8 }, { 6, 8 } }, { half.image:shape(), half.label:shape(), half.depth:shape() })
    local k = whole.intrinsics:totable()
    near({ { k[1][1] / 2, 0, (k[1][3] + 0.5) / 2 - 0.5 }, { 0, k[2][2] / 2, (k[2][3] + 0.5) / 2 - 0.5 }, k[3] },
      half.intrinsics, 1e-5)
  end)

  it("is read by loader threads that share it", function()
    miniature.write(root, { frames = 2, height = 12, width = 16 })
    local set = open { split = "all" }
    local loader <close> = asl.data.loader { threads = 4 }
    local rows = {}
    for i = 1, 36 do rows[i] = { dataset = set, position = i * 5 % 12 + 1 } end
    local batch = loader:wait(loader:request {
      rows = rows, size = { 12, 16 }, planes = { "image", "label", "depth" }, seed = 1, step = 1,
    })
    for i, row in ipairs(rows) do
      local sample = set:sample(row.position)
      for _, plane in ipairs { "image", "label", "depth" } do
        assert.same(sample[plane]:totable(), batch[plane]:totable()[i], plane)
      end
    end
  end)

  it("that says otherwise than the tables is an error", function()
    local function message(change, more)
      small(change)
      return pictures.error_of(function() open(more) end)
    end
    local function changed(name, text)
      return function(datasets)
        for _, dataset in ipairs(datasets) do
          if dataset.name == name then dataset.values = text end
        end
      end
    end
    assert.matches('labeled%.mat: names%[5%] is "stool"; expected "chair"$', message(changed("#refs#/names5", "stool")))
    assert.matches('labeled%.mat: scenes%[2%] is "kitchen_0009"; expected "kitchen_0001"$',
      message(changed("#refs#/scenes2", "kitchen_0009")))
    assert.matches('labeled%.mat: sceneTypes%[1%] is "attic"; expected "bedroom"$',
      message(changed("#refs#/sceneTypes1", "attic")))
    assert.matches("labeled%.mat has 2 names; expected 894$",
      message(with("names", { refs = { "#refs#/names1", "#refs#/names2" } })))
    assert.equal("no error", message(with "names"))
    assert.equal("no error", message(changed("#refs#/names5", "stool"), { labels = false }))
  end)

  it("with datasets that do not fit is an error", function()
    local n = 6
    local function message(change, more)
      small(change)
      return pictures.error_of(function() return open(more) end)
    end
    local function zeros(bytes) return ("\0"):rep(bytes) end
    assert.matches('labeled%.mat: "labels" has 6 frames of 16x11 but "images" 6 of 16x12 %(width x height%)$',
      message(with("labels", { shape = { n, 16, 11 }, values = zeros(n * 16 * 11 * 2), chunks = { 1, 16, 11 } })))
    assert.matches('labeled%.mat: "labels" is u8 %(6, 16, 12%); expected u16 %(frames, width, height%)$',
      message(with("labels", { type = "u8", values = zeros(n * 16 * 12) })))
    assert.matches('labeled%.mat: "rawDepths" is f64 %(6, 16, 12%); expected f32 %(frames, width, height%)$',
      message(with("rawDepths", { type = "f64", values = zeros(n * 16 * 12 * 8) }), { depth = "raw" }))
    assert.matches('labeled%.mat: "images" has 1 channels; expected 3$',
      message(with("images", { shape = { n, 1, 16, 12 }, values = zeros(n * 16 * 12) })))
    assert.matches('"depths"', message(with "depths"))
    assert.equal("no error", message(with "depths", { geometry = false }))
    assert.matches("labeled%.mat: pictures of 12x16 have no known intrinsics, which are for 640x480 %(width x height%); say "
      .. "geometry = false$", (function()
        small(nil, { height = 16, width = 12 })
        return pictures.error_of(open)
      end)())
  end)

  it("with values that cannot be names frame and place", function()
    local function message(name, at, bytes)
      small(function(datasets)
        for _, d in ipairs(datasets) do
          if d.name == name then d.values = d.values:sub(1, at - 1) .. bytes .. d.values:sub(at + #bytes) end
        end
      end)
      return pictures.error_of(function() open({ split = "all" }):sample(2) end)
    end
    -- frame 2, column 3, row 5 (from 0)
    local at = 16 * 12 + 3 * 12 + 5
    assert.matches("labeled%.mat: frame 2: its label: the label value 895 %(row 6, column 4%) is not in the table nyu894$",
      message("labels", 2 * at + 1, string.pack("<I2", 895)))
    assert.matches("labeled%.mat: frame 2: its depth: the depth %-1 %(row 6, column 4%); it must be finite and not negative$",
      message("depths", 4 * at + 1, string.pack("<f", -1)))
    assert.matches("frame 2: its depth: the depth %-?nan", message("depths", 4 * at + 1, string.pack("<f", 0 / 0)))
    assert.matches("frame 2: its depth: the depth inf", message("depths", 4 * at + 1, string.pack("<f", 1 / 0)))
  end)

  it("needs a table of its frames unless it has those of the release", function()
    small()
    local path = root .. "/nyu_depth_v2_labeled.mat"
    core.fs.rename(root .. "/nyuv2_frames.tsv", root .. "/mine.tsv")
    assert.error_matches(open, "labeled%.mat holds 6 frames, not the 1449 of the release; say with frames = FILE%.tsv "
      .. "%(index, split, scene_type, scene%), or a nyuv2_frames%.tsv beside it, what they are$")
    assert.same({ 1, 2 }, nyuv2.new({ root = path, frames = root .. "/mine.tsv" }).frames)
    pictures.write(root .. "/mine.tsv", "index\tsplit\tscene_type\tscene\n1\ttest\ta\ta_1\n")
    assert.error_matches(function() open { frames = root .. "/mine.tsv" } end,
      "labeled%.mat holds 6 frames but .*/mine%.tsv lists 1$")
  end)

  it("is named when it is missing, and so is what it cannot be told", function()
    assert.error_matches(function() nyuv2.new { root = "/no/nyu" } end,
      'root = "/no/nyu": not there; expected a folder that holds nyu_depth_v2_labeled%.mat or folders of frames')
    assert.error_matches(open, "holds neither nyu_depth_v2_labeled%.mat nor train/rgb, test/rgb, image/train, image/test or rgb$")
    pictures.write(root .. "/nyu_depth_v2_labeled.mat", "MATLAB 5.0 MAT-file")
    assert.error_matches(open, "nyu_depth_v2_labeled%.mat")
    small()
    for _, option in ipairs { "label_ids", "label_folder", "depth_coding" } do
      assert.error_matches(function() open { [option] = "mm" } end, ('option "%s" is for folders of files; '):format(option))
    end
    assert.error_matches(function() open { form = "flat" } end, 'does not have the form "flat" %(it has: mat%)$')
    assert.error_matches(function() open { classes = "camvid11" } end, "there is no mapping from nyu894 to camvid11")
  end)

  it("truncated or with a changed byte is an error or frames, never a crash", function()
    local release = small(function(datasets)
      with "names" (datasets)
      with "scenes" (datasets)
      with "sceneTypes" (datasets)
    end, { types = { "bedroom" } })
    local bytes = pictures.read(release.path)
    local function read_all(changed)
      pictures.write(release.path, changed)
      local set = open { split = "all" }
      for i = 1, #set do set:sample(i) end
    end
    read_all(bytes)
    damage.truncations(bytes, function(cut, length)
      local ok, message = pcall(read_all, cut)
      assert.is_false(ok, ("read from %d of %d bytes"):format(length, #bytes))
      assert.is_true(#tostring(message) > 10)
    end)
    local refused = 0
    damage.flips(bytes, 1000, function(changed)
      if not pcall(read_all, changed) then refused = refused + 1 end
    end)
    assert.is_true(refused > 20 and refused < 1000, refused)
  end)
end)

-- ---- folders ----------------------------------------------------------------------------------------------------------

describe("folders of NYUv2", function()
  local root
  before_each(function() root = core.fs.temp_dir() end)
  after_each(function() core.fs.remove_tree(root) end)

  local function open(more)
    local given = { root = root }
    for key, value in pairs(more or {}) do given[key] = value end
    return nyuv2.new(given)
  end

  local function png(path, kind, bits, f)
    core.fs.mkdirs(root .. "/" .. path:match "^(.*)/")
    pictures.write(root .. "/" .. path, miniature_png.encode(kind, bits, 6, 8, f))
  end

  local function picture(path) png(path, "rgb", 8, function(y, x) return y, x, 7 end) end
  local function map(path, values, bits) png(path, "grey", bits or 8, function(_, x) return values[x + 1] end) end

  -- Frames 1, 2 are of test (kitchen_0004), 3, 4 of train (office_0003).
  it("by split hold NYU ids and millimetres", function()
    for number, part in pairs { [1] = "test", [2] = "test", [3] = "train", [4] = "train" } do
      local name = ("%04d.png"):format(number)
      picture(part .. "/rgb/" .. name)
      map(part .. "/depth/" .. name, { 0, 1000, 2000, 3000, 4000, 5000, 6000, 65535 }, 16)
      map(part .. "/depth_raw/" .. name, { 0, 0, 2000, 3000, 4000, 5000, 6000, 7000 }, 16)
      map(part .. "/labels_40/" .. name, { 0, 1, 2, 3, 38, 39, 40, number })
      map(part .. "/labels_894/" .. name, { 0, 21, 11, 3, 894, 1, 2, 5 }, 16)
    end
    local set = open()
    assert.equal("nyuv2/train: 2 samples in 1 sequence (office_0003 2), 40 classes, planes image, label, depth, intrinsics",
      set:describe())
    assert.same({ "nyuv2/0003", "nyuv2/0004" }, set.ids)
    local sample = set:sample(2)
    assert.same({ 255, 0, 1, 2, 37, 38, 39, 3 }, sample.label:totable()[1])
    assert.equal(6, sample.depth:totable()[4][7])
    near({ { K[1][1] / 80, 0, (K[1][3] + 0.5) / 80 - 0.5 }, { 0, K[2][2] / 80, (K[2][3] + 0.5) / 80 - 0.5 }, K[3] },
      sample.intrinsics, 1e-6)
    assert.same({ 0, 0, 2, 3, 4, 5, 6, 7 }, open({ depth = "raw" }):sample(1).depth:totable()[1])
    assert.same({ 1, 2 }, open({ split = "test" }).frames)
    assert.same({ 1, 2, 3, 4 }, open({ split = "all" }).frames)
    local ids = labels.map("nyu894", "nyu40")
    assert.same({ 255, ids[21], ids[11], ids[3], ids[894], ids[1], ids[2], ids[5] },
      open({ label_folder = "labels_894" }):sample(1).label:totable()[3])
    core.fs.remove_tree(root .. "/train/labels_40") -- then the next kind that maps to the classes
    assert.same({ 255, ids[21], ids[11], ids[3], ids[894], ids[1], ids[2], ids[5] }, open():sample(1).label:totable()[3])
    assert.error_matches(function() open { label_folder = "mine" } end,
      'label_folder = "mine": say with label_ids what its values mean %("nyu40_file", %.%.%.%)$')
    core.fs.rename(root .. "/train/labels_894", root .. "/train/mine")
    assert.error_matches(open, "no label maps for the classes nyu40 in .*/train/labels_40, .*/train/labels_894, .*/labels_13$")
    assert.same({ 255, 0 }, (function()
      map("train/mine/0003.png", { 255, 0, 1, 2, 3, 4, 5, 39 })
      local row = open({ label_folder = "mine", label_ids = "nyu40" }):sample(1).label:totable()[1]
      return { row[1], row[2] }
    end)())
    core.fs.remove(root .. "/train/mine/0004.png")
    assert.error_matches(function() open { label_folder = "mine", label_ids = "nyu40" } end, "train/mine/0004%.png is not there$")
    core.fs.remove_tree(root .. "/train/depth")
    assert.error_matches(function() open { labels = false } end, "no depth: .*/train/depth is not there; say geometry = false$")
  end)

  it("numbered from 0 are found out", function()
    picture "test/rgb/0000.png"
    assert.error_matches(function() open { labels = false, geometry = false, split = "all" } end,
      "test/rgb/0000%.png: there is no frame 0; frames are 1 to 1449$")
    core.fs.remove(root .. "/test/rgb/0000.png")
    picture "train/rgb/0002.png"
    assert.error_matches(function() open { labels = false, geometry = false } end,
      "train/rgb/0002%.png: frame 2 is in the split test %(are the names counted from 0%?%)$")
  end)

  it("of images, seg40 and depth need to be told the unit of depth", function()
    for number, part in pairs { [1] = "test", [3] = "train" } do
      local name = ("%s/%05d.png"):format(part, number)
      picture("image/" .. name)
      map("depth/" .. name, { 0, 10000, 20000, 30000, 0, 0, 0, 0 }, 16)
      map("seg40/" .. name, { 0, 1, 2, 3, 4, 5, 6, 40 })
      map("seg13/" .. name, { 0, 1, 2, 3, 4, 5, 6, 13 })
    end
    assert.error_matches(open, '/depth/train: tools write it in different units; say depth_coding = "mm" or "0%.1mm", or '
      .. "geometry = false$")
    local set = open { depth_coding = "0.1mm" }
    assert.same({ "nyuv2/0003" }, set.ids)
    assert.same({ 0, 1, 2, 3, 0, 0, 0, 0 }, set:sample(1).depth:totable()[6])
    assert.same({ 255, 0, 1, 2, 3, 4, 5, 39 }, set:sample(1).label:totable()[6])
    assert.same({ 255, 0, 1, 2, 3, 4, 5, 12 },
      open({ geometry = false, classes = "nyu13", label_folder = "seg13" }):sample(1).label:totable()[1])
    assert.error_matches(function() open { depth = "raw" } end, 'the form "image" has no depth "raw"; say geometry = false$')
  end)

  it("that are several forms at once are refused", function()
    picture "rgb/0003.png"
    picture "train/rgb/0003.png"
    local given = { labels = false, geometry = false }
    assert.error_matches(function() open(given) end, "has several forms, flat, split; say which with form$")
    given.form = "split"
    assert.same({ 3 }, open(given).frames)
    given.form = "mat"
    assert.error_matches(function() open(given) end, 'does not have the form "mat" %(it has: flat, split%)$')
  end)

  it("with pictures of another shape have no known intrinsics", function()
    core.fs.mkdirs(root .. "/rgb")
    pictures.write(root .. "/rgb/0003.png", core.png_encode(pictures.pattern(6, 9)))
    map("depth_mm/0003.png", { 1, 2, 3, 4, 5, 6, 7, 8 }, 16)
    assert.error_matches(function() open { labels = false } end, "rgb/0003%.png: pictures of 9x6 have no known intrinsics")
    pictures.write(root .. "/rgb/0003.png", "no PNG")
    assert.error_matches(function() open { labels = false } end, "rgb/0003%.png is no PNG$")
  end)
end)

-- ---- real frames ------------------------------------------------------------------------------------------------------

describe("real frames of NYUv2", function()
  local real = pictures.real "nyuv2"
  local function skip() return pending "the real frames (../shared/data/nyuv2) are not here" end

  --- Rows of expected.tsv by folder and frame.
  local function expected()
    local rows = {}
    for _, row in ipairs(pictures.tsv(real .. "/expected.tsv")) do rows[row.dir .. "/" .. row.frame] = row end
    return rows
  end

  local function check_values(text, tensor)
    local set = values_of(tensor)
    for value in text:gmatch "%d+" do
      assert.is_true(set[tonumber(value)] ~= nil, value)
      set[tonumber(value)] = nil
    end
    assert.is_nil(next(set))
  end

  it("in folders have the values of expected.tsv", function()
    if not real then return skip() end
    local rows = expected()
    for _, split in ipairs { "train", "val", "test" } do
      local set = nyuv2.new { root = real .. "/frames", split = split, classes = "nyu13", labels = split == "test" }
      assert.equal(({ train = 6, val = 4, test = 5 })[split], #set)
      for i, frame in ipairs(set.frames) do
        local sample, name = set:sample(i), ("%04d"):format(frame)
        local rgb, millimetres = rows["frames/rgb/" .. name], rows["frames/depth_mm/" .. name]
        assert.is_true(math.abs(mean(sample.image) - tonumber(rgb.values_or_mean)) < 6e-5)
        local least, most = limits(sample.depth)
        assert.is_true(math.abs(1000 * mean(sample.depth) - tonumber(millimetres.values_or_mean)) < 1e-3)
        assert.equal(tonumber(millimetres.min), math.floor(least * 1000 + 0.5))
        assert.equal(tonumber(millimetres.max), math.floor(most * 1000 + 0.5))
        near(K, sample.intrinsics, 1e-4)
        if split == "test" then -- 0 = none, else class + 1
          local values = rows["frames/label13/" .. name].values_or_mean:gsub("%d+", function(value)
            return value == "0" and "255" or tostring(tonumber(value) - 1)
          end)
          check_values(values, sample.label)
        end
      end
    end
    assert.error_matches(function() nyuv2.new { root = real .. "/frames", split = "test" } end,
      "no label maps for the classes nyu40 in .*/frames/label40, .*/frames/label13$")
    assert.error_matches(function() nyuv2.new { root = real .. "/frames", classes = "nyu13" } end,
      "frames/label13/0003%.png is not there, and %d+ more of %d+ files")
  end)

  it("have the same NYU-13 labels by both ways", function()
    if not real then return skip() end
    local given = { root = real .. "/frames40", split = "test", classes = "nyu13" }
    local by_40 = nyuv2.new(given):sample(1)
    given.label_folder = "label13"
    local by_13 = nyuv2.new(given):sample(1)
    local m = core.ops.confusion(by_13.label, by_40.label, { classes = 13 }):totable()
    local labelled, equal = 0, 0
    for i, row in ipairs(m) do
      for j, n in ipairs(row) do
        labelled, equal = labelled + n, equal + (i == j and n or 0)
      end
    end
    assert.equal(core.ops.count_valid(by_40.label):item(), equal)
    assert.is_true(labelled == equal and equal > 250000)
    check_values(expected()["frames40/label40/0433"].values_or_mean,
      nyuv2.new({ root = real .. "/frames40", split = "test" }):sample(1).label)
  end)

  it("in the .mat are those of the folders", function()
    if not real then return skip() end
    local root = core.fs.temp_dir()
    pictures.write(root .. "/frames.tsv", "index\tsplit\tscene_type\tscene\n1\ttest\tplayroom\tplayroom_0005\n")
    local path = real .. "/nyu_depth_v2_labeled_mini.mat"
    local mat = nyuv2.new({ root = path, frames = root .. "/frames.tsv", split = "test" }):sample(1)
    local folder = nyuv2.new({ root = real .. "/frames40", split = "test" }):sample(1)
    core.fs.remove_tree(root)
    for _, plane in ipairs { "image", "label", "intrinsics" } do
      assert.equal(folder[plane]:digest(), mat[plane]:digest(), plane)
    end
    local least, most = limits(mat.depth - folder.depth)
    assert.is_true(least > -1e-6 and most < 1e-6)
    assert.error_matches(function() nyuv2.new { root = path } end, "mini%.mat holds 1 frames, not the 1449 of the release")
  end)
end)
