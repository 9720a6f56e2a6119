local asl = require "asl"
local core = require "asl.core"
local labels = require "asl.labels"
local pictures = require "spec.support.pictures"

describe("asl.data.cityscapes", function()
  local root
  before_each(function() root = core.fs.temp_dir() end)
  after_each(function() core.fs.remove_tree(root) end)

  --- Writes a frame; `value(y, x)` is its label id, nil for none.
  local function write(split, name, value, video)
    local city = name:match "^[^_]+"
    local folder = ("%s/%s/%s/%s"):format(root, video and "leftImg8bit_sequence" or "leftImg8bit", split, city)
    core.fs.mkdirs(folder)
    pictures.write(("%s/%s_leftImg8bit.png"):format(folder, name), core.png_encode(pictures.pattern(4, 8)))
    if not value then return end
    folder = ("%s/gtFine/%s/%s"):format(root, split, city)
    core.fs.mkdirs(folder)
    pictures.write(("%s/%s_gtFine_labelIds.png"):format(folder, name), core.png_encode(pictures.label(4, 8, value)))
  end

  local function open(more)
    local given = { root = root }
    for key, value in pairs(more or {}) do given[key] = value end
    return asl.data.cityscapes(given)
  end

  local function count(y, x) return 8 * y + x end

  it("maps label ids to train ids, city by city", function()
    write("train", "aachen_000001_000019", count)
    write("train", "aachen_000000_000019", count)
    write("train", "bad-honnef_000003_000019", count)
    write("val", "frankfurt_000000_000294", count)
    local set = open()
    assert.equal("cityscapes/train: 3 samples in 2 sequences (aachen 2, bad-honnef 1), 19 classes, planes image, label",
      set:describe())
    assert.same({ "cityscapes/aachen/aachen_000000_000019", "cityscapes/aachen/aachen_000001_000019",
      "cityscapes/bad-honnef/bad-honnef_000003_000019" }, set.ids)
    assert.same({ 19, 1000019, 3000019 }, set.frames)
    local map, flat = labels.map("cityscapes", "cityscapes19"), set:sample(1).label:totable()
    for y = 0, 3 do
      for x = 0, 7 do assert.equal(map[8 * y + x], flat[y + 1][x + 1]) end
    end
    assert.same({ "bad-honnef" }, (open({ cities = { "bad-honnef" } }):sequence_names()))
    assert.same({ 294 }, open({ split = "val" }).frames)
    assert.same({ 2, 4 }, open({ size = { 2, 4 } }):sample(1).label:shape())
  end)

  it("without labels has pictures only", function()
    write("test", "berlin_000000_000019")
    assert.same({ "image" }, open({ split = "test", labels = false }).planes)
    assert.error_matches(function() open { split = "test" } end,
      "gtFine/test/berlin/berlin_000000_000019_gtFine_labelIds%.png is not there$")
  end)

  it("has the snippets as video", function()
    write("train", "aachen_000000_000019", count)
    for frame = 0, 2 do write("train", ("aachen_000000_%06d"):format(frame), nil, true) end
    write("train", "aachen_000001_000007", nil, true)
    local set = open { video = true }
    assert.same({ "aachen_000000", "aachen_000001" }, (set:sequence_names()))
    assert.same({ 0, 1, 2, 7 }, set.frames)
    assert.error_matches(function() open { video = true, labels = true } end, "a video %(video = true%) has no labels")
  end)

  it("refuses labels that are no ids of Cityscapes, naming the file", function()
    write("train", "aachen_000000_000019", function() return 34 end)
    assert.error_matches(function() open():sample(1) end,
      "aachen_000000_000019_gtFine_labelIds%.png: the label value 34 %(row 1, column 1%) is not in the table cityscapes")
  end)

  it("refuses a city in two splits", function()
    write("train", "aachen_000000_000019", count)
    write("val", "aachen_000001_000019", count)
    assert.error_matches(open, "the city aachen is in both splits train and val")
  end)

  it("names what is missing and what is there", function()
    assert.error_matches(function() asl.data.cityscapes { root = "/no/city" } end,
      'root = "/no/city": not there; expected a folder that holds leftImg8bit and gtFine')
    assert.error_matches(open, "no pictures: .*/leftImg8bit/train is not there")
    core.fs.mkdirs(root .. "/leftImg8bit/train/aachen")
    assert.error_matches(open, "leftImg8bit/train holds no CITY/CITY_SEQUENCE_FRAME_leftImg8bit%.png")
    write("train", "aachen_000000_000019")
    write("train", "aachen_000001_000019")
    assert.error_matches(open,
      "aachen_000000_000019_gtFine_labelIds%.png is not there, and 1 more of 2 files, the last of them .*aachen_000001")
    assert.error_matches(function() open { cities = { "aachn" } } end,
      'the split "train" has no city "aachn" %(it has: aachen%)')
    assert.error_matches(function() open { splits = "val" } end, 'unknown option "splits"')
    assert.error_matches(function() open { split = "vall" } end, 'one of "train", "val", "test"')
  end)
end)

describe("real Cityscapes frames", function()
  local root = pictures.real "cityscapes"
  local NONE = "Cityscapes (../shared/data/cityscapes) is not here"

  it("have the label values that other readers find", function()
    if not root then return pending(NONE) end
    local map, checked = labels.map("cityscapes", "cityscapes19"), 0
    local sets = {
      train = asl.data.cityscapes { root = root }, val = asl.data.cityscapes { root = root, split = "val" },
    }
    asl.data.disjoint(sets.train, sets.val)
    assert.same({ "aachen" }, (sets.train:sequence_names()))
    for _, row in ipairs(pictures.tsv(root .. "/expected.tsv")) do
      local split, name = row.file:match "^gtFine/(%a+)/%a+/(.*)_gtFine_labelIds%.png$"
      if split then
        local set, expected = sets[split], {}
        for value in row.values:gmatch "%d+" do expected[map[tonumber(value)]] = true end
        for i, id in ipairs(set.ids) do
          if id:sub(-#name) == name then
            local sample = set:sample(i)
            assert.same({ 1024, 2048, 3 }, sample.image:shape())
            local found, counts = {}, asl.ops.confusion(sample.label, sample.label, { classes = 19 }):totable()
            for class = 0, 18 do found[class] = counts[class + 1][class + 1] > 0 or nil end
            found[255] = asl.ops.count_valid(sample.label):item() < 1024 * 2048 or nil
            assert.same(expected, found, name)
            checked = checked + 1
          end
        end
      end
    end
    assert.equal(5, checked)
  end)

  it("have nearly the train ids of the small version's labelTrainIds, which was shrunk by itself", function()
    if not root then return pending(NONE) end
    local folder = root .. "/mmseg_pseudo_small/gtFine/frankfurt_000000_000294_gtFine_"
    local map, same = labels.map("cityscapes", "cityscapes19"), 0
    local ids = core.label_read(folder .. "labelIds.png"):bytes()
    local expected = core.label_read(folder .. "labelTrainIds.png"):bytes()
    for i = 1, #ids do
      if map[ids:byte(i)] == expected:byte(i) then same = same + 1 end
    end
    assert.is_true(same / #ids > 0.99, ("%d of %d pixels"):format(same, #ids))
  end)
end)
