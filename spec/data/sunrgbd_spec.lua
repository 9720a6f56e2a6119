local asl = require "asl"
local core = require "asl.core"
local miniature_png = require "spec.support.miniature.png"
local pictures = require "spec.support.pictures"

describe("asl.data.sunrgbd", function()
  local root
  before_each(function() root = core.fs.temp_dir() end)
  after_each(function() core.fs.remove_tree(root) end)

  local function write(scene, room)
    local path = root .. "/" .. scene
    for _, folder in ipairs { "image", "depth", "depth_bfx", "extrinsics" } do core.fs.mkdirs(path .. "/" .. folder) end
    pictures.write(path .. "/image/a.jpg", core.png_encode(pictures.pattern(4, 6)))
    for i, folder in ipairs { "depth", "depth_bfx" } do
      pictures.write(("%s/%s/a.png"):format(path, folder), miniature_png.encode("grey", 16, 4, 6, function(y, x)
        return (i == 1 and x == 0) and 0 or 8 * (1000 * y + x) -- millimetres, rotated
      end))
    end
    pictures.write(path .. "/intrinsics.txt", "520 0 3\n0 521 2\n0 0 1\n")
    pictures.write(path .. "/scene.txt", room)
  end

  local function open(more)
    local given = { root = root }
    for key, value in pairs(more or {}) do given[key] = value end
    return asl.data.sunrgbd(given)
  end

  it("finds scenes at any depth and sorts them by room", function()
    write("kv1/NYUdata/NYU0001", "office")
    write("kv2/b/c", "kitchen\n")
    write("kv1/NYUdata/NYU0000", " office ")
    local set = open()
    assert.equal("sunrgbd: 3 samples in 2 sequences (office 2, kitchen 1), 40 classes, planes image, depth, intrinsics",
      set:describe())
    assert.same({ "sunrgbd/kv1/NYUdata/NYU0000", "sunrgbd/kv1/NYUdata/NYU0001", "sunrgbd/kv2/b/c" }, set.ids)
    assert.same({ 1, 2, 1 }, set.frames)
    local sample = set:sample(1)
    assert.same({ { 520, 0, 3 }, { 0, 521, 2 }, { 0, 0, 1 } }, sample.intrinsics:totable())
    local row = sample.depth:totable()[3]
    for x = 0, 5 do assert.is_true(math.abs(row[x + 1] - (2 + x / 1000)) < 1e-6) end
    assert.equal(0, open({ depth = "raw" }):sample(1).depth:totable()[3][1])
    assert.same({ 2, 3 }, open({ size = { 2, 3 } }):sample(1).depth:shape())
  end)

  it("takes the scenes of a list", function()
    write("a/1", "office")
    write("a/2", "office")
    pictures.write(root .. "/list.txt", "a/2\n\n")
    assert.same({ "sunrgbd/a/2" }, open({ list = root .. "/list.txt" }).ids)
    pictures.write(root .. "/list.txt", "a/2/\r\na/3\n")
    assert.error_matches(function() open { list = root .. "/list.txt" } end,
      "a/3, which .*list%.txt names, is no scene %(a folder with image and intrinsics%.txt%)")
  end)

  it("names what is missing", function()
    assert.error_matches(function() asl.data.sunrgbd { root = "/no/sun" } end, 'root = "/no/sun": not there; expected')
    assert.error_matches(open, "holds no scenes %(folders with image, depth_bfx and intrinsics%.txt%)")
    write("a/1", "")
    assert.error_matches(open, "a/1/scene%.txt does not name the kind of room")
    write("a/1", "office")
    core.fs.remove(root .. "/a/1/depth_bfx/a.png")
    assert.error_matches(open, "a/1/depth_bfx holds 0 files; expected one")
    assert.equal(1, #open { depth = "raw" })
    pictures.write(root .. "/a/1/image/b.jpg", "")
    assert.error_matches(function() open { depth = "raw" } end, "a/1/image holds 2 files; expected one")
    core.fs.remove(root .. "/a/1/image/b.jpg")
    pictures.write(root .. "/a/1/intrinsics.txt", "520 0 3 0 521 2 0 0")
    assert.error_matches(function() open { depth = "raw" } end, "a/1/intrinsics%.txt %(a 3x3 matrix%): 8 numbers; expected 9")
    assert.error_matches(function() open { depth = "bfx" } end, 'one of "filled", "raw"')
  end)
end)

describe("real SUN RGB-D scenes", function()
  it("are read", function()
    local root = pictures.real "sunrgbd"
    if not root then return pending "SUN RGB-D (../shared/data/sunrgbd) is not here" end
    local set = asl.data.sunrgbd { root = root }
    assert.same({ "sunrgbd/2014-12-18_11-31-54_260595134347", "sunrgbd/img_0063" }, set.ids)
    assert.same({ "office", "office" }, set.sequences)
    local sample = set:sample(2)
    assert.same({ 427, 561, 3 }, sample.image:shape())
    assert.same({ 427, 561 }, sample.depth:shape())
    assert.is_true(math.abs(sample.intrinsics:totable()[1][3] - 277.9258) < 1e-4)
    assert.same({ 530, 730 }, set:sample(1).depth:shape())
  end)
end)
