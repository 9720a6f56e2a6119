local asl = require "asl"
local core = require "asl.core"
local damage = require "spec.support.damage"
local json = require "asl.json"
local labels = require "asl.labels"
local miniature_coco = require "spec.support.miniature.coco"
local pictures = require "spec.support.pictures"

local abs, floor, min, max = math.abs, math.floor, math.min, math.max -- globals are slow here

-- ---- masks ------------------------------------------------------------------------------------------------------------

--- As C makes an int of a double.
local function truncate(x)
  return x < 0 and -floor(-x) or floor(x)
end

--- All points of a polygon's boundary, in fifths of a pixel, in order.
local function boundary(polygon)
  local corners, points = {}, {}
  for i, value in ipairs(polygon) do corners[i] = truncate(5 * value + 0.5) end
  local n = #corners // 2
  for i = 0, n - 1 do
    local j = (i + 1) % n
    local xs, ys, xe, ye = corners[2 * i + 1], corners[2 * i + 2], corners[2 * j + 1], corners[2 * j + 2]
    local dx, dy = abs(xe - xs), abs(ye - ys)
    local turned = dx >= dy and xs > xe or dx < dy and ys > ye
    if turned then xs, ys, xe, ye = xe, ye, xs, ys end
    local steps = max(dx, dy)
    for step = 0, steps do
      local t = turned and steps - step or step
      if steps > 0 then
        points[#points + 1] = dx >= dy and { xs + t, truncate(ys + (ye - ys) / dx * t + 0.5) }
          or { truncate(xs + (xe - xs) / dy * t + 0.5), ys + t }
      end
    end
  end
  return points
end

--- The mask of a polygon by the definition in csrc/data/mask.h, point by point.
local function oracle_mask(polygon, height, width)
  local turned = {}
  local points = boundary(polygon)
  for i = 2, #points do
    local a, b = points[i - 1], points[i]
    local u = min(a[1], b[1])
    if a[1] ~= b[1] and u % 5 == 2 and u >= 2 and (u - 2) // 5 < width then
      local y = max(0, min(height, -((2 - min(a[2], b[2])) // 5)))
      local at = (u - 2) // 5 * height + y
      turned[at] = not turned[at]
    end
  end
  local columns, inside = {}, false
  for at = 0, height * width - 1 do
    if turned[at] then inside = not inside end
    columns[at] = inside and 1 or 0
  end
  return pictures.label(height, width, function(y, x) return columns[x * height + y] end)
end

describe("a polygon's mask", function()
  it("of whole pixels is those pixels", function()
    local mask = core.polygon_mask({ { 1, 2, 5, 2, 5, 4, 1, 4 } }, 5, 7):totable()
    for y = 0, 4 do
      for x = 0, 6 do
        assert.equal(x >= 1 and x < 5 and y >= 2 and y < 4 and 1 or 0, mask[y + 1][x + 1])
      end
    end
  end)

  it("of several polygons is all of them", function()
    assert.same({ { 1, 0, 1 } }, core.polygon_mask({ { 0, 0, 1, 0, 1, 1, 0, 1 }, { 2, 0, 3, 0, 3, 1, 2, 1 } }, 1, 3):totable())
    assert.same({ { 0, 0 } }, core.polygon_mask({}, 1, 2):totable())
  end)

  it("is that of the definition, whatever the polygon", function()
    local state = 1
    local function draw(range)
      state = (state * 6364136223846793005 + 1442695040888963407)
      return (state >> 33) % range
    end
    for case = 1, 400 do
      local height, width, polygon = 1 + draw(20), 1 + draw(20), {}
      local reach = ({ 100, 100, 300, 2000 })[case % 4 + 1] -- hundredths of a pixel that corners may lie outside
      for i = 1, 2 * (3 + draw(8)) do
        local side = i % 2 == 1 and width or height
        polygon[i] = (draw(100 * side + 2 * reach) - reach) / 100
        if case % 3 == 0 then polygon[i] = floor(polygon[i]) end -- many corners, middles and edges coincide
      end
      if case % 5 == 0 then polygon[#polygon + 1], polygon[#polygon + 2] = polygon[1], polygon[2] end -- closed
      local expected, mask = oracle_mask(polygon, height, width), core.polygon_mask({ polygon }, height, width)
      assert.equal(expected:digest(), mask:digest(), json.encode { polygon, height, width })
    end
  end)

  it("needs three corners that are numbers within reach", function()
    local function message(polygon) return pictures.error_of(function() core.polygon_mask({ polygon }, 4, 4) end) end
    assert.matches("a polygon of 2 corners; it needs 3", message { 0, 0, 1, 1 })
    assert.matches("a polygon of 5 numbers; it needs pairs x, y", message { 0, 0, 1, 1, 2 })
    assert.matches("corner 2 of a polygon is at x = inf", message { 0, 0, 1 / 0, 1, 2, 2 })
    assert.matches("corner 3 of a polygon is at y = 1e%+09", message { 0, 0, 1, 1, 2, 1e9 })
    assert.matches("corner 1 of a polygon is at x = %-?nan", message { 0 / 0, 0, 1, 1, 2, 2 })
    assert.matches("number 2 of a list of 6 is a string", message { 0, "0", 1, 1, 2, 2 })
    assert.error_matches(function() core.polygon_mask({ {} }, 0, 4) end, "a picture of 4x0 pixels")
  end)

  it("far outside costs no more than its columns", function()
    local far = 16000000
    assert.equal(4, core.polygon_mask({ { -far, -far, far, -far, far, far, -far, far } }, 2, 2):to("f32"):sum():item())
    assert.equal(0, core.polygon_mask({ { far, 0, far - 1, far, far, far } }, 2, 2):to("f32"):sum():item())
  end)
end)

describe("a run-length mask", function()
  it("goes down the columns, 0s first", function()
    assert.same({ { 0, 1, 0 }, { 1, 1, 0 } }, core.rle_mask({ 1, 3, 2 }, 2, 3):totable())
    assert.same({ { 1, 1 }, { 1, 1 } }, core.rle_mask({ 0, 4 }, 2, 2):totable())
    assert.same({ { 0 } }, core.rle_mask({ 1 }, 1, 1):totable())
  end)

  it("has a text that comes back the same", function()
    local cases = { { 1, 3, 2 }, { 0, 6 }, { 6 }, { 2, 1, 1, 1, 1 } }
    for _, runs in ipairs(cases) do
      local mask = core.rle_mask(runs, 2, 3)
      assert.equal(mask:digest(), core.rle_mask(core.mask_rle(mask), 2, 3):digest())
    end
    assert.equal("66T1", core.mask_rle(core.rle_mask({ 6, 6, 36 }, 6, 8)))
    local large = core.rle_mask({ 123456, 1, 876543 }, 1000, 1000)
    assert.equal(large:digest(), core.rle_mask(core.mask_rle(large), 1000, 1000):digest())
  end)

  it("of other pixels than the picture has is an error", function()
    assert.error_matches(function() core.rle_mask({ 1, 3, 3 }, 2, 3) end,
      "the runs of the mask sum to 7 pixels; it has 3x2 = 6 %(width x height%)")
    assert.error_matches(function() core.rle_mask({}, 2, 3) end, "sum to 0 pixels")
    assert.error_matches(function() core.rle_mask({ 1, -1 }, 2, 3) end, "run 2 of the mask has %-1 pixels")
    assert.error_matches(function() core.rle_mask({ 1.5 }, 2, 3) end, "run 1 of the mask has 1%.5 pixels")
    assert.error_matches(function() core.rle_mask({ 4294967295, 4294967295, 8 }, 2, 3) end, "sum to 8589934598 pixels")
  end)

  it("in a text that is none is an error", function()
    assert.error_matches(function() core.rle_mask("1 2", 2, 3) end, "the runs of the mask hold the byte 0x20 at 1")
    assert.error_matches(function() core.rle_mask("11p", 2, 3) end, "hold the byte 0x70 at 2")
    assert.error_matches(function() core.rle_mask("11o", 2, 3) end, "cut off after 3 characters")
    assert.error_matches(function() core.rle_mask("oooooooooooo", 2, 3) end, "a run of the mask has more than 8 characters")
    assert.error_matches(function() core.rle_mask("11OO", 2, 3) end, "run 3 of the mask has %-1 pixels")
  end)

  it("with any text is an error or a mask, never a crash", function()
    local text = core.mask_rle(core.polygon_mask({ { 3, 3, 60, 20, 40, 50 } }, 64, 64))
    damage.flips(text, 1000, function(changed)
      local ok, mask = pcall(core.rle_mask, changed, 64, 64)
      if ok then assert.same({ 64, 64 }, mask:shape()) end
    end)
    damage.truncations(text, function(cut) pcall(core.rle_mask, cut, 64, 64) end)
  end)
end)

describe("real annotations", function()
  local root = pictures.real "coco"
  local NONE = "the COCO samples (../shared/data/coco) are not here"

  it("give the masks of pycocotools, to the pixel", function()
    if not root then return pending(NONE) end
    local annotations, checked = {}, { polygon = 0, rle_string = 0 }
    for _, row in ipairs(pictures.tsv(root .. "/expected_masks.tsv")) do
      if not annotations[row.json] then
        annotations[row.json] = {}
        for _, annotation in ipairs(json.read(root .. "/" .. row.json).annotations) do
          annotations[row.json][annotation.id .. "/" .. annotation.image_id] = annotation
        end
      end
      local segmentation = annotations[row.json][row.ann_id .. "/" .. row.image_id].segmentation
      local height, width = tonumber(row.height), tonumber(row.width)
      local mask = row.kind == "polygon" and core.polygon_mask(segmentation, height, width)
        or core.rle_mask(segmentation.counts, height, width)
      assert.equal(row.rle_counts_string, core.mask_rle(mask), row.json .. " " .. row.ann_id)
      assert.equal(row.mask_area_px, ("%d"):format(mask:to("f32"):sum():item()))
      checked[row.kind] = checked[row.kind] + 1
    end
    assert.same({ polygon = 991, rle_string = 50 }, checked)
  end)

  it("give the reference label maps", function()
    if not root then return pending(NONE) end
    local set = asl.data.coco { root = root, split = "val", json = root .. "/annotations/person_keypoints_4.json" }
    assert.same({ 785, 40083, 196141, 197388 }, (function()
      local sorted = { table.unpack(set.frames) }
      table.sort(sorted)
      return sorted
    end)())
    local class = {}
    for id = 0, 255 do class[string.char(id)] = "\255" end
    for id, to in pairs(labels.map("coco91", "coco80")) do class[string.char(id)] = string.char(to) end
    for i, frame in ipairs(set.frames) do
      local expected = core.label_read(("%s/expected_label/%012d.png"):format(root, frame))
      assert.equal(core.sha256((expected:bytes():gsub(".", class))), core.sha256(set:sample(i, { "label" }).label:bytes()))
      assert.same(expected:shape(), { table.unpack(set:sample(i).image:shape(), 1, 2) })
    end
  end)

  it("of panoptic maps agree with their masks", function()
    if not root then return pending(NONE) end
    local folder = root .. "/panoptic/"
    local set = asl.data.coco {
      root = root, split = "val", kind = "panoptic", json = folder .. "panoptic_examples.json",
      images = folder .. "input_images", maps = folder .. "panoptic_examples",
    }
    assert.equal(2, #set)
    local ids, label, pixels = labels.map("coco_panoptic", "coco133"), {}, { 0, 0 }
    for i = 1, 2 do label[set.frames[i]] = set:sample(i, { "label" }).label:bytes() end
    local seen = 0
    for _, annotation in ipairs(json.read(folder .. "panoptic_coco_detection_format.json").annotations) do
      local class, bytes = ids[annotation.category_id], label[annotation.image_id]
      local size = annotation.segmentation.size
      local mask = core.rle_mask(annotation.segmentation.counts, size[1], size[2]):bytes()
      local at = mask:find("\1", 1, true)
      while at do
        local last = mask:find("[^\1]", at) or #mask + 1
        assert.equal(string.char(class):rep(last - at), bytes:sub(at, last - 1))
        pixels[1] = pixels[1] + last - at
        at = mask:find("\1", last, true)
      end
      seen = seen + 1
    end
    assert.equal(50, seen)
    for _, bytes in pairs(label) do pixels[2] = pixels[2] + select(2, bytes:gsub("[^\255]", "")) end
    assert.equal(pixels[1], pixels[2]) -- and nothing else is labelled
  end)
end)

-- ---- the data set -----------------------------------------------------------------------------------------------------

describe("asl.data.coco", function()
  local root
  before_each(function()
    root = core.fs.temp_dir()
    miniature_coco.write(root)
  end)
  after_each(function() core.fs.remove_tree(root) end)

  local function open(more)
    local given = { root = root, split = "val" }
    for key, value in pairs(more or {}) do given[key] = value end
    return asl.data.coco(given)
  end

  local function with(change, kind)
    local value = miniature_coco[kind or "instances"]()
    change(value)
    pictures.write(("%s/annotations/%s_val2017.json"):format(root, kind or "instances"), json.encode(value))
    return pictures.error_of(function() open { kind = kind } end)
  end

  it("paints polygons, lengths and texts, later ones over earlier ones", function()
    local set = open()
    assert.equal("coco/val2017: 3 samples in 1 sequence (coco/val2017 3), 80 classes, planes image, label", set:describe())
    assert.same({ "coco/000000000009", "coco/000000000025", "coco/000000000030" }, set.ids)
    assert.same({ 9, 25, 30 }, set.frames)
    assert.same(miniature_coco.labels[9], set:sample(1).label:totable())
    assert.same(miniature_coco.labels[25], set:sample(2).label:totable())
    assert.equal(("\255"):rep(48), set:sample(3).label:bytes())
    assert.equal(pictures.pattern(6, 8):digest(), set:sample(2).image:digest())
    assert.same({ 3, 4 }, open({ size = { 3, 4 } }):sample(1).label:shape())
  end)

  it("has the classes of another table, what it ignores painted over what was there", function()
    local set = open { classes = "nyu40" }
    assert.equal("nyu40", set.class_names[1] == "wall" and set.classes == 40 and "nyu40")
    local person, other = labels.nyu40.id_of.person, labels.nyu40.id_of.otherprop
    assert.same({ person, person, other, other, other, other, 255, 255 }, set:sample(1).label:totable()[2])
    local bicycle = miniature_coco.instances()
    bicycle.annotations[3].category_id = 2 -- ignored in NYU-40
    pictures.write(root .. "/annotations/instances_val2017.json", json.encode(bicycle))
    assert.same({ person, person, 255, 255, 255, 255, 255, 255 }, open({ classes = "nyu40" }):sample(1).label:totable()[2])
  end)

  it("drops pictures without labels when asked to", function()
    local set = open { empty = "drop" }
    assert.same({ 9, 25 }, set.frames)
    assert.same(miniature_coco.labels[25], set:sample(2).label:totable())
    -- The bicycle of picture 25 is ignored in NYU-40, its couch is not.
    assert.same({ 9, 25 }, open({ empty = "drop", classes = "nyu40" }).frames)
    assert.matches("no picture has an annotation of a class of coco80", pictures.error_of(function()
      local value = miniature_coco.instances()
      value.annotations = json.array {}
      pictures.write(root .. "/annotations/instances_val2017.json", json.encode(value))
      open { empty = "drop" }
    end))
  end)

  it("of panoptic maps looks their colours up", function()
    local set = open { kind = "panoptic" }
    assert.same({ 133, { 9 } }, { set.classes, set.frames })
    assert.same({ 0, 132, 0, 132, 0, 132, 0, 132 }, set:sample(1).label:totable()[6])
    local path = root .. "/annotations/panoptic_val2017/000000000009.png"
    pictures.write(path, miniature_coco.panoptic_map(function(y, x) return y == 0 and 0 or 1 + 256 * x end))
    assert.same({ 255, 255, 255, 255, 255, 255, 255, 255 }, set:sample(1).label:totable()[1])
    pictures.write(path, miniature_coco.panoptic_map(function(y, x) return y == 2 and x == 3 and 77777 or 1 end))
    assert.matches("000000000009%.png: the segment 77777 %(row 3, column 4%) is not in its annotation",
      pictures.error_of(function() set:sample(1) end))
    pictures.write(path, core.png_encode(pictures.pattern(6, 7)))
    assert.matches("000000000009%.png is 7x6; its annotation says 8x6 %(width x height%)",
      pictures.error_of(function() set:sample(1) end))
  end)

  it("of COCO-Stuff maps takes id - 1 and 255", function()
    local set = open { kind = "stuff" }
    assert.same({ 171, { 9, 25 } }, { set.classes, set.frames })
    local row = set:sample(1).label:totable()[1]
    local function name(value) return value == 255 and 255 or set.class_names[value + 1] end
    -- 11 and 90 are "street sign" and "hair brush", which no annotation has.
    assert.same({ "person", "banner", "wood", 255, 255, 255, "couch", "bicycle" },
      { name(row[1]), name(row[2]), name(row[3]), name(row[4]), name(row[5]), name(row[6]), name(row[7]), name(row[8]) })
    pictures.write(root .. "/annotations/val2017/000000000025.png", core.png_encode(pictures.label(6, 8, function()
      return 200
    end)))
    assert.matches("000000000025%.png: the label value 200 %(row 1, column 1%) is not in the table coco182",
      pictures.error_of(function() set:sample(2) end))
  end)

  it("finds a picture that is in two splits, whatever their years", function()
    core.fs.mkdirs(root .. "/train2014")
    local value = miniature_coco.instances()
    value.images, value.annotations = { value.images[2] }, json.array {}
    value.images[1].file_name = "COCO_train2014_000000000025.jpg"
    pictures.write(root .. "/train2014/COCO_train2014_000000000025.jpg", core.png_encode(pictures.pattern(6, 8)))
    pictures.write(root .. "/annotations/instances_train2014.json", json.encode(value))
    local train = open { split = "train", year = 2014 }
    assert.error_matches(function() asl.data.disjoint(train, open()) end,
      'the sample "coco/000000000025" is in both coco/train2014 and coco/val2017')
  end)

  it("names what is wrong in the annotations", function()
    local cases = {
      { function(v) v.annotations[2].category_id = 12 end, "annotations%[2%]: the category 12 is not in the table coco91" },
      { function(v) v.annotations[2].image_id = 77 end, "annotations%[2%]: the picture 77 is not among the images" },
      { function(v) v.annotations[2].image_id = "9" end, 'annotations%[2%]: "image_id" is a string, not a whole number' },
      { function(v) v.annotations[1].segmentation = nil end, 'annotations%[1%]: "segmentation" is not there, not a table' },
      { function(v) v.annotations[1].segmentation = {} end, "annotations%[1%]: a segmentation without polygons" },
      { function(v) v.annotations[1].segmentation = { { 1, 2, 3, 4 } } end,
        "annotations%[1%]: a polygon of 2 corners; it needs 3" },
      { function(v) v.annotations[1].segmentation = { { 1, 2, 3, 4, 5, "6" } } end, "annotations%[1%]: number 6 of a list of 6" },
      { function(v) v.annotations[1].segmentation = { 1, 2, 3, 4, 5, 6 } end, "annotations%[1%]: .*table expected, got number" },
      { function(v) v.annotations[2].segmentation.size = { 8, 6 } end,
        "annotations%[2%]: a mask of 6x8 in a picture of 8x6 %(width x height%)" },
      { function(v) v.annotations[2].segmentation.counts[2] = 7 end,
        "annotations%[2%]: the runs of the mask sum to 49 pixels; it has 8x6 = 48" },
      { function(v) v.annotations[2].segmentation.counts = true end, "annotations%[2%]: .*table expected, got boolean" },
      { function(v) v.annotations[4].segmentation.counts = "6" end, "annotations%[4%]: the runs of the mask sum to 6 pixels" },
      { function(v) v.images[2].id = 9 end, "images%[2%]: the picture 9 is listed twice" },
      { function(v) v.images[2].height = 0 end, "images: picture 2: a picture of 8x0 pixels" },
      { function(v) v.images[2].file_name = "../../etc/passwd" end,
        'images%[2%]: the file name "../../etc/passwd"; expected a name without folders' },
      { function(v) v.images[2].file_name = "x.jpg" end, "/val2017/x%.jpg is not there$" },
      { function(v) v.images = json.array {} end, "instances_val2017%.json: it lists no pictures" },
      { function(v) v.images = nil end, 'instances_val2017%.json: it has no "images"' },
      { function(v) v.annotations = { a = 1 } end, 'instances_val2017%.json: "annotations" is no list' },
      { function(v) v.annotations[1] = 5 end, "annotations%[1%]: a number, not an object" },
      { function(v) v.categories[2].name = "bike" end,
        'categories%[2%]: the category 2 is called "bike"; in the table coco91 it is "bicycle"' },
      { function(v) v.categories[2].id = 12 end,
        'categories%[2%]: the category 12 is called "bicycle"; in the table coco91 it is not there' },
    }
    for _, case in ipairs(cases) do assert.matches(case[2], with(case[1])) end
  end)

  it("names what is wrong in panoptic annotations", function()
    local cases = {
      { function(v) v.annotations[1].segments_info[2].category_id = 3000 end,
        "annotations%[1%]%.segments_info%[2%]: the category 3000 is not in the table coco_panoptic" },
      { function(v) v.annotations[1].segments_info[2].id = 1 << 24 end,
        "segments_info%[2%]: .*id of a segment is 1 to 2^24 %- 1" },
      { function(v) v.annotations[2] = v.annotations[1] end, "annotations%[2%]: the picture 9 has an annotation already" },
      { function(v) v.annotations = json.array {} end, "the picture 9 has no annotation" },
      { function(v) v.annotations[1].file_name = "a/b.png" end, 'the file name "a/b.png"; expected a name without folders' },
    }
    for _, case in ipairs(cases) do assert.matches(case[2], with(case[1], "panoptic")) end
    assert.equal("no error", with(function(v) v.annotations[1].segments_info[2].id = 1 end, "panoptic"))
    assert.matches("its annotation has the segment 1 twice",
      pictures.error_of(function() open({ kind = "panoptic" }):sample(1) end))
  end)

  it("names a picture of another size than its annotation says", function()
    pictures.write(root .. "/val2017/000000000025.jpg", core.png_encode(pictures.pattern(6, 7)))
    assert.matches("000000000025%.jpg is 7x6; its annotation says 8x6 %(width x height%)",
      pictures.error_of(function() open():sample(2) end))
  end)

  it("names missing places and unknown options", function()
    assert.matches('root = "/no/coco": not there; expected a folder that holds train2017',
      pictures.error_of(function() asl.data.coco { root = "/no/coco" } end))
    assert.matches("no annotations: .*/annotations/instances_train2017%.json is not there",
      pictures.error_of(function() open { split = "train" } end))
    assert.matches("no pictures: .*/train2017 and .*/images/train2017 are not there", pictures.error_of(function()
      open { split = "train", json = root .. "/annotations/instances_val2017.json" }
    end))
    assert.error_matches(function() open { year = 2015 } end, 'option "year" must be 2014 or 2017, not 2015')
    assert.error_matches(function() open { splt = "val" } end, 'unknown option "splt"')
    assert.error_matches(function() open { kind = "stuff", empty = "drop" } end, "COCO%-Stuff has maps only")
    assert.error_matches(function() open { classes = "cityscapes19" } end,
      "there is no mapping from coco91 to cityscapes19; coco91 maps to coco80")
  end)
end)

-- ---- broken JSON ------------------------------------------------------------------------------------------------------

describe("elements of JSON files", function()
  local path
  before_each(function() path = os.tmpname() end)
  after_each(function() os.remove(path) end)

  local function elements(text, names)
    pictures.write(path, text)
    local found = {}
    for key, element in core.json_elements(path, names) do found[#found + 1] = { key, element } end
    return found
  end

  it("come in the order of the file, as they stand there", function()
    assert.same({ { 2, '{"x":[1,{"y":"]}"}]}' }, { 2, "7 " }, { 1, '"a,\\"]b\\\\"' }, { 1, "[1,2]" }, { 1, "-1e5" } },
      elements(' {"n":null,"b" :\n[{"x":[1,{"y":"]}"}]}, 7 ],"o":{"a":[1]},"a":["a,\\"]b\\\\",[1,2],-1e5],"z":""}\n',
        { "a", "b" }))
    assert.same({}, elements('{"a":[]}', { "a" }))
    assert.same({ { 1, "1" } }, elements('{"a":[1]}', { "a" }))
  end)

  it("that are wrong are errors with the place", function()
    local cases = {
      { "", "truncated: the JSON text goes on behind its 0 bytes" }, { "[1]", "byte 0: expected a JSON object" },
      { '{"a":[1}', "byte 7: expected , or %]" }, { '{"a":[[1}]]}', "byte 8: a bracket closes that was not opened" },
      { '{"a":[1,]}', "byte 8: a value is missing" }, { '{"a":[,]}', "byte 6: a value is missing" },
      { '{"a":[1],}', "byte 9: expected the name of a member" }, { '{"a" [1]}', "byte 5: expected a colon" },
      { '{"a":[1] "b":1}', "byte 9: expected , or }" }, { '{"a":[1]}x', "byte 9: something stands behind the end" },
      { '{"b":[1]}', 'it has no "a"' }, { '{"a":[1],"a":[2]}', 'it has "a" twice' }, { '{"a":{}}', '"a" is no list' },
      { '{"a":' .. ("["):rep(102) .. "1", "nested more than 100 levels deep" },
    }
    for _, case in ipairs(cases) do
      local message = pictures.error_of(function() elements(case[1], { "a" }) end)
      assert.matches(case[2], message)
      assert.is_truthy(message:find(path, 1, true))
    end
    assert.error_matches(function() core.json_elements("no/such.json", { "a" }) end, 'cannot open "no/such%.json"')
    assert.error_matches(function() core.json_elements("spec", { "a" }) end, '"spec" is a directory, not a file')
    assert.error_matches(function() core.json_elements(path, {}) end, "1 to 8 names of lists")
  end)

  it("may be longer than what is read at once", function()
    local long = '"' .. ("x\\\""):rep(700000) .. '"'
    local found = elements('{"skip":[' .. long .. '],"a":[' .. long .. ",1]}", { "a" })
    assert.equal(2, #found)
    assert.equal(core.sha256(long), core.sha256(found[1][2]))
  end)
end)

describe("damaged annotations", function()
  local root, path, text
  before_each(function()
    root = core.fs.temp_dir()
    miniature_coco.write(root)
    path = root .. "/annotations/instances_val2017.json"
    text = pictures.read(path)
  end)
  after_each(function() core.fs.remove_tree(root) end)

  local function open(changed)
    pictures.write(path, changed)
    local set = asl.data.coco { root = root, split = "val" }
    for i = 1, #set do set:sample(i) end
  end

  it("truncated anywhere are errors naming the file", function()
    damage.truncations(text, function(cut, length)
      local ok, message = pcall(open, cut)
      assert.is_false(ok, ("read from %d of %d bytes"):format(length, #text))
      assert.is_truthy(tostring(message):find("instances_val2017.json", 1, true), tostring(message))
    end)
  end)

  it("with a changed byte are errors with a reason or other annotations, never a crash", function()
    local refused = 0
    damage.flips(text, 1000, function(changed)
      local ok, message = pcall(open, changed)
      if not ok then
        refused = refused + 1
        assert.is_true(#tostring(message) > 10)
      end
    end)
    assert.is_true(refused > 300 and refused < 1000, refused)
  end)
end)
