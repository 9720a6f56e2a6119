local asl = require "asl"
local core = require "asl.core"
local labels = require "asl.labels"
local pictures = require "spec.support.pictures"

describe("asl.data.camvid with 32 classes", function()
  local root
  before_each(function()
    root = core.fs.temp_dir()
    core.fs.mkdirs(root .. "/images")
    core.fs.mkdirs(root .. "/labels")
    pictures.write(root .. "/codes.txt", table.concat(labels.camvid32.names, "\n"))
    for i, name in ipairs { "0006R0_f00930", "0006R0_f00960", "Seq05VD_f00000" } do
      pictures.write(("%s/images/%s.png"):format(root, name), core.png_encode(pictures.pattern(4, 8)))
      pictures.write(("%s/labels/%s_P.png"):format(root, name),
        core.png_encode(pictures.label(4, 8, function(y, x) return (8 * y + x + i - 1) % 32 end)))
    end
  end)
  after_each(function() core.fs.remove_tree(root) end)

  local function open(more)
    local given = { root = root, split = "all" }
    for key, value in pairs(more or {}) do given[key] = value end
    return asl.data.camvid(given)
  end

  it("reads the maps of indices, Void ignored", function()
    local set = open()
    assert.equal("camvid_full/all: 3 samples in 2 sequences (0006R0 2, Seq05VD 1), 32 classes, planes image, label",
      set:describe())
    assert.same({ 930, 960, 0 }, set.frames)
    assert.same({ 24, 25, 26, 27, 28, 29, 255, 31 }, set:sample(1).label:totable()[4])
    assert.same({ 25, 26, 27, 28, 29, 255, 31, 0 }, set:sample(2).label:totable()[4])
    assert.same({ "Seq05VD" }, (open({ sequences = { "Seq05VD" } }):sequence_names()))
  end)

  it("groups them to the 11 classes of the tutorial", function()
    local set, map = open { classes = "camvid11" }, labels.map("camvid32", "camvid11")
    assert.equal(11, set.classes)
    local row = set:sample(1).label:totable()[4]
    for x = 0, 7 do assert.equal(map[24 + x], row[x + 1]) end
  end)

  it("has the splits of valid.txt", function()
    pictures.write(root .. "/valid.txt", "0006R0_f00960.png\r\n")
    assert.same({ "camvid_full/0006R0_f00960" }, open({ split = "val" }).ids)
    assert.same({ "camvid_full/0006R0_f00930", "camvid_full/Seq05VD_f00000" }, open({ split = "train" }).ids)
    asl.data.disjoint(open { split = "val" }, open { split = "train" })
    assert.error_matches(function() open { split = "test" } end, 'this form has the splits "train" and "val" where .*valid%.txt')
  end)

  it("names what is wrong", function()
    assert.error_matches(function() open { split = "train" } end, 'has the splits "train" and "val" where .*/valid%.txt lists')
    pictures.write(root .. "/labels/0006R0_f00960_P.png", core.png_encode(pictures.label(4, 8, function() return 32 end)))
    assert.error_matches(function() open():sample(2) end,
      "0006R0_f00960_P%.png: the label value 32 %(row 1, column 1%) is not in the table camvid32")
    core.fs.remove(root .. "/labels/0006R0_f00960_P.png")
    assert.error_matches(open, "labels/0006R0_f00960_P%.png is not there$")
    pictures.write(root .. "/labels/0006R0_f00960_P.png", "")
    assert.error_matches(function() open { classes = "nyu40" } end,
      "no mapping from camvid32 to nyu40; camvid32 maps to camvid11")
    pictures.write(root .. "/codes.txt", (table.concat(labels.camvid32.names, "\n"):gsub("Bridge", "Brigde")))
    assert.error_matches(open, 'codes%.txt:4: the class "Brigde"; in the table camvid32 it is "Bridge"')
    pictures.write(root .. "/codes.txt", "Animal\nArchway\n")
    assert.error_matches(open, "codes%.txt: 2 classes; there are 32")
    core.fs.remove(root .. "/codes.txt")
    assert.error_matches(open, 'split = "all" is for the form with codes%.txt')
  end)
end)

describe("real CamVid frames with 32 classes", function()
  local root = pictures.real "camvid_full"

  it("are read", function()
    if not root then return pending "CamVid with 32 classes (../shared/data/camvid_full) is not here" end
    local set = asl.data.camvid { root = root, split = "all" }
    assert.same({ 2280, 2310, 2340 }, set.frames)
    assert.same({ "0006R0" }, (set:sequence_names()))
    for i = 1, 3 do
      local sample = set:sample(i)
      assert.same({ 720, 960, 3 }, sample.image:shape())
      local raw = core.label_read(("%s/labels/0006R0_f%05d_P.png"):format(root, set.frames[i])):bytes()
      assert.equal(core.sha256((raw:gsub("\30", "\255"))), core.sha256(sample.label:bytes()))
    end
    local pixels = set:histogram()
    local function share(name) return pixels[labels.camvid32.id_of[name] + 1] / (3 * 720 * 960) end
    assert.is_true(share "Road" > 0.1 and share "Tree" > 0.1 and share "Sky" > 0.05 and share "Tunnel" == 0)
  end)
end)
