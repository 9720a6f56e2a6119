-- The miniature releases are what the loaders make of them: what went in comes out.

local asl = require "asl"
local core = require "asl.core"
local cityscapes = require "spec.support.miniature.cityscapes"
local coco_release = require "spec.support.miniature.coco_release"
local jpeg = require "spec.support.miniature.jpeg"
local scannet_release = require "spec.support.miniature.scannet_release"

local root

before_each(function() root = core.fs.temp_dir() end)
after_each(function() core.fs.remove_tree(root) end)

local function flat(tensor)
  local values = {}
  for byte in tensor:contiguous():bytes():gmatch "." do values[#values + 1] = byte:byte() end
  return values
end

-- Mean and greatest difference of two lists of numbers.
local function difference(a, b)
  assert.equal(#a, #b)
  local sum, most = 0, 0
  for i, value in ipairs(a) do
    sum, most = sum + math.abs(value - b[i]), math.max(most, math.abs(value - b[i]))
  end
  return sum / #a, most
end

local function check_near(image, decoded)
  assert.same(image:shape(), decoded:shape())
  assert.is_true(difference(flat(image), flat(decoded)) < 2.5)
end

describe("a JPEG of ours", function()
  for _, size in ipairs { { 8, 8 }, { 16, 24 }, { 45, 61 }, { 1, 1 }, { 7, 130 } } do
    it(("of %dx%d is decoded to nearly what it was"):format(size[1], size[2]), function()
      local bytes = {}
      for y = 0, size[1] - 1 do
        for x = 0, size[2] - 1 do
          local wave = math.sin(x / 7) * math.cos(y / 9)
          bytes[#bytes + 1] = string.char(128 + wave * 120 // 1 | 0, 90 + y % 64, 255 - x)
        end
      end
      local image = asl.frombytes(table.concat(bytes), { size[1], size[2], 3 }, "u8")
      local mean, most = difference(flat(image), flat(core.image_decode(jpeg.encode(image))))
      assert.is_true(mean < 1.5 and most <= 12, ("%g %g"):format(mean, most))
    end)
  end

  it("of black and white stripes has coefficients of every size", function()
    local image = asl.frombytes((("\0"):rep(3) .. ("\255"):rep(3)):rep(32 * 16), { 32, 32, 3 }, "u8")
    local _, most = difference(flat(image), flat(core.image_decode(jpeg.encode(image))))
    assert.is_true(most <= 6, most)
  end)

  it("without colour is decoded to its brightness", function()
    local image = asl.data.rooms({ size = { 24, 32 }, sequences = 1, frames = 1 }):sample(1).image
    local grey, decoded = {}, flat(core.image_decode(jpeg.encode(image, { grey = true })))
    for r, g, b in image:contiguous():bytes():gmatch "(.)(.)(.)" do
      local y = 0.299 * r:byte() + 0.587 * g:byte() + 0.114 * b:byte()
      for _ = 1, 3 do grey[#grey + 1] = y end
    end
    local mean, most = difference(grey, decoded)
    assert.is_true(mean < 2 and most < 16, ("%g %g"):format(mean, most))
  end)
end)

describe("miniature Cityscapes", function()
  it("has its pictures and, of its streets, the labels", function()
    cityscapes.write(root)
    local set = asl.data.cityscapes { root = root, split = "train" }
    assert.equal("cityscapes/train: 24 samples in 3 sequences (aachen 8, bochum 8, zurich 8), 19 classes, "
      .. "planes image, label", set:describe())
    for i = 1, #set, 5 do
      local original, sample = cityscapes.rooms(set.sequences[i], { 32, 64 }):sample((i - 1) % 8 + 1), set:sample(i)
      assert.equal(original.image:digest(), sample.image:digest())
      assert.same(cityscapes.expected(original.label), flat(sample.label))
    end
    assert.same({ "frankfurt" }, (asl.data.cityscapes({ root = root, split = "val" }):sequence_names()))
    local _, ignored = asl.data.cityscapes({ root = root, split = "test" }):histogram()
    assert.equal(8 * 32 * 64, ignored)
    local pixels = set:histogram()
    for _, name in ipairs { 0, 2, 8, 11, 13 } do assert.is_true(pixels[name + 1] > 0, name) end
  end)
end)

describe("miniature COCO", function()
  for _, year in ipairs { 2014, 2017 } do
    it("of " .. year .. " has its photographs and the labels of its annotations", function()
      coco_release.write(root, year)
      for split, n in pairs { train = 10, val = 4 } do
        local set = asl.data.coco { root = root, split = split, year = year, classes = "nyu40" }
        local samples, labelled = coco_release.samples(split), 0
        local expected = coco_release.expected(samples)
        assert.equal(n, #set)
        for i = 1, n do
          assert.equal(("coco/%012d"):format(coco_release.id(split, i)), set.ids[i])
          local sample = set:sample(i)
          local label = flat(sample.label)
          assert.same(samples[i].label:shape(), sample.label:shape())
          assert.same(expected[i], label)
          if i ~= coco_release.GREY then check_near(samples[i].image, sample.image) end
          for _, class in ipairs(label) do labelled = labelled + (class ~= 255 and 1 or 0) end
        end
        assert.is_true(labelled > 0.1 * n * 48 * 64)
        set = asl.data.coco { root = root, split = split, year = year, classes = "nyu40", empty = "drop" }
        assert.equal(n - 1, #set)
      end
    end)
  end

  it("has polygons, lengths and text among its masks, and a grey photograph", function()
    coco_release.write(root)
    local kinds = {}
    for _, annotation in ipairs(asl.json.read(root .. "/annotations/instances_train2017.json").annotations) do
      local counts = annotation.segmentation.counts
      kinds[type(counts)] = (kinds[type(counts)] or 0) + 1
      assert.equal(type(counts) == "table" and 1 or 0, annotation.iscrowd)
    end
    for _, kind in ipairs { "nil", "table", "string" } do assert.is_true(kinds[kind] > 5, kind) end
    local image = asl.data.coco({ root = root, split = "train" }):sample(coco_release.GREY).image
    for r, g, b in image:contiguous():bytes():gmatch "(.)(.)(.)" do assert.is_true(r == g and g == b) end
  end)
end)

describe("miniature ScanNet", function()
  for _, form in ipairs { "frames_25k", "scans", "sens" } do
    it("as " .. form .. " has pictures, labels, depth, intrinsics and poses of its rooms", function()
      scannet_release.write(root, form)
      local set = asl.data.scannet { root = root, form = form, split = "all" }
      local names = set:sequence_names()
      assert.same(scannet_release.SCANS, names)
      assert.equal(#names * scannet_release.FRAMES, #set)
      for s, scan in ipairs(names) do
        local i = (s - 1) * scannet_release.FRAMES + 2 -- of each scan the second frame
        local original, sample = scannet_release.rooms(scan):sample(2), set:sample(i)
        assert.equal(form == "frames_25k" and 100 or 1, sample.frame)
        assert.equal(original.label:digest(), sample.label:digest())
        check_near(original.image, sample.image)
        for _, plane in ipairs { "pose", "intrinsics" } do
          for r, row in ipairs(original[plane]:totable()) do
            local _, most = difference(row, sample[plane]:totable()[r])
            assert.is_true(most < 1e-4, plane)
          end
        end
        -- The depth map's pixels are every other one of the picture's.
        local before, after = original.depth:totable(), sample.depth:totable()
        for y = 1, 47, 2 do
          for x = 1, 63, 2 do assert.is_true(math.abs(before[y][x] - after[y][x]) < 6e-4) end
        end
      end
      local lost = asl.data.scannet { root = root, form = form, split = "all", tracked = true }
      assert.equal(#set - 1, #lost)
    end)
  end
end)
