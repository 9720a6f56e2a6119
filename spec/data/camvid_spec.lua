local asl = require "asl"
local core = require "asl.core"
local pictures = require "spec.support.pictures"

describe("asl.data.camvid", function()
  local root = pictures.real "camvid"
  local NONE = "CamVid (../shared/data/camvid) is not here"

  it("counts the pixels of each class as its classes.tsv does", function()
    if not root then return pending(NONE) end
    for split, column in pairs { train = "shared_train_pixels", val = "shared_val_pixels" } do
      local set = asl.data.camvid { root = root, split = split }
      local loader <close> = asl.data.loader { threads = 2 }
      local rows = {}
      for i = 1, #set do
        rows[i] = { dataset = set, position = i }
      end
      local label = loader:wait(loader:request {
        rows = rows, size = { 360, 480 }, planes = { "label" }, seed = 1, step = 1 }).label
      local confusion = asl.ops.confusion(label, label, { classes = 11 }):totable()
      local labelled = 0
      for _, row in ipairs(pictures.tsv(root .. "/classes.tsv")) do
        local id, expected = tonumber(row.id), tonumber(row[column])
        local counted = id < 11 and confusion[id + 1][id + 1] or #set * 360 * 480 - labelled
        labelled = labelled + counted
        assert.equal(expected, counted, ("%s, class %d"):format(split, id))
      end
    end
  end)

  it("knows sequences and frames by name", function()
    if not root then return pending(NONE) end
    local train = asl.data.camvid { root = root, split = "train" }
    assert.same({ "0001TP", "0006R0", "0016E5" }, (train:sequence_names()))
    local dusk = asl.data.camvid { root = root, split = "train", sequences = { "0001TP" } }
    assert.equal(30, #dusk)
    assert.equal(6690, dusk.frames[1])
    local day = train:sequence { "0006R0", "0016E5" }
    assert.equal(60, #day)
    assert.equal(930, day.frames[1])
    assert.equal("camvid/train/0006R0_f00930", day.ids[1])
    assert.equal("Sky", train.class_names[1])
    asl.data.disjoint(train, asl.data.camvid { root = root, split = "val" })
    assert.error_matches(function() train:sequence "Seq05VD" end, "has no sequence \"Seq05VD\"")
  end)

  it("resizes when loaded", function()
    if not root then return pending(NONE) end
    local sample = asl.data.camvid({ root = root, size = { 90, 120 } }):sample(1)
    assert.same({ 90, 120, 3 }, sample.image:shape())
    assert.same({ 90, 120 }, sample.label:shape())
  end)

  it("reads the tutorial's own lists", function()
    local folder = core.fs.temp_dir()
    for _, name in ipairs { "val", "valannot" } do
      core.fs.mkdirs(folder .. "/" .. name)
    end
    local lines = {}
    for i, name in ipairs { "0016E5_07959", "0016E5_07961" } do
      pictures.write(("%s/val/%s.png"):format(folder, name), core.png_encode(pictures.pattern(6, 8)))
      pictures.write(("%s/valannot/%s.png"):format(folder, name), core.png_encode(pictures.label(6, 8, function(y, x)
        return (y + x) % 12
      end)))
      lines[i] = ("/SegNet/CamVid/val/%s.png /SegNet/CamVid/valannot/%s.png\n"):format(name, name)
    end
    pictures.write(folder .. "/val.txt", table.concat(lines))
    local set = asl.data.camvid { root = folder, split = "val" }
    assert.same({ 7959, 7961 }, set.frames)
    assert.same({ "camvid/val/0016E5_07959", "camvid/val/0016E5_07961" }, set.ids)
    assert.equal(255, set:sample(1).label:totable()[6][7]) -- 11 in the file: ignore
    core.fs.remove_tree(folder)
  end)

  it("a missing split file is an error naming the path and what was expected", function()
    local folder = core.fs.temp_dir()
    assert.error_matches(function() asl.data.camvid { root = folder, split = "test" } end,
      "the split list .*/test%.txt is not there; a CamVid root holds train%.txt")
    assert.error_matches(function() asl.data.camvid { root = "/no/camvid" } end, 'root = "/no/camvid": not there')
    assert.error_matches(function() asl.data.camvid { root = folder, split = "tset" } end, 'one of "train", "val", "test"')
    core.fs.remove_tree(folder)
  end)
end)
