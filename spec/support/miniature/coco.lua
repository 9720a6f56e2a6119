--- A COCO folder of three small pictures with annotations of every kind.

local asl = require "asl"
local core = require "asl.core"
local json = require "asl.json"
local pictures = require "spec.support.pictures"

local miniature_coco = {}

local HEIGHT, WIDTH = 6, 8

local function image(id)
  return { id = id, file_name = ("%012d.jpg"):format(id), height = HEIGHT, width = WIDTH, license = 1 }
end

--- The value of instances_val2017.json: picture 9 with two polygons of which the later covers a part, 25 with a crowd as
--- lengths and a mask as text, 30 with nothing.
function miniature_coco.instances()
  return {
    info = { description = "made up, with \"quotes\", [brackets] and \\ in it" },
    images = { image(9), image(25), image(30) },
    annotations = {
      { id = 1, image_id = 9, category_id = 1, iscrowd = 0, segmentation = { { 0, 0, 4, 0, 4, 6, 0, 6 } } },
      { id = 2, image_id = 25, category_id = 63, iscrowd = 1,
        segmentation = { size = { HEIGHT, WIDTH }, counts = { 0, 6, 36, 6 } } },
      { id = 3, image_id = 9, category_id = 90, iscrowd = 0,
        segmentation = { { 2, 1, 6, 1, 6, 3, 2, 3 }, { 7, 5, 8, 5, 8, 6, 7, 6 } } },
      { id = 4, image_id = 25, category_id = 2, iscrowd = 0, segmentation = { size = { HEIGHT, WIDTH }, counts = "66T1" } },
    },
    categories = { { id = 1, name = "person" }, { id = 2, name = "bicycle" }, { id = 63, name = "couch" },
      { id = 90, name = "toothbrush" } },
  }
end

--- The label maps of instances() in coco80, as rows.
miniature_coco.labels = {
  [9] = {
    { 0, 0, 0, 0, 255, 255, 255, 255 },
    { 0, 0, 79, 79, 79, 79, 255, 255 },
    { 0, 0, 79, 79, 79, 79, 255, 255 },
    { 0, 0, 0, 0, 255, 255, 255, 255 },
    { 0, 0, 0, 0, 255, 255, 255, 255 },
    { 0, 0, 0, 0, 255, 255, 255, 79 },
  },
  [25] = {
    { 57, 1, 255, 255, 255, 255, 255, 57 },
    { 57, 1, 255, 255, 255, 255, 255, 57 },
    { 57, 1, 255, 255, 255, 255, 255, 57 },
    { 57, 1, 255, 255, 255, 255, 255, 57 },
    { 57, 1, 255, 255, 255, 255, 255, 57 },
    { 57, 1, 255, 255, 255, 255, 255, 57 },
  },
}

--- The value of panoptic_val2017.json for a map whose colours are ids 1 + 256 * column.
function miniature_coco.panoptic()
  local segments = {}
  for x = 0, WIDTH - 1 do
    segments[x + 1] = { id = 1 + 256 * x, category_id = x % 2 == 0 and 1 or 200, iscrowd = 0, area = HEIGHT }
  end
  return {
    images = { image(9) }, annotations = { { image_id = 9, file_name = "000000000009.png", segments_info = segments } },
    categories = { { id = 1, name = "person" }, { id = 200, name = "rug-merged" } },
  }
end

--- A panoptic map with the id f(y, x) at each pixel.
function miniature_coco.panoptic_map(f)
  local bytes = {}
  for y = 0, HEIGHT - 1 do
    for x = 0, WIDTH - 1 do bytes[#bytes + 1] = string.pack("<I3", f(y, x)) end
  end
  return core.png_encode(asl.frombytes(table.concat(bytes), { HEIGHT, WIDTH, 3 }, "u8"))
end

--- Writes all kinds below root.
function miniature_coco.write(root)
  for _, folder in ipairs { "val2017", "annotations/val2017", "annotations/panoptic_val2017" } do
    core.fs.mkdirs(root .. "/" .. folder)
  end
  for i, id in ipairs { 9, 25, 30 } do
    -- A PNG under the name of a JPEG is one all the same.
    pictures.write(("%s/val2017/%012d.jpg"):format(root, id), core.png_encode(pictures.pattern(HEIGHT, WIDTH)))
    if i < 3 then
      pictures.write(("%s/annotations/val2017/%012d.png"):format(root, id),
        core.png_encode(pictures.label(HEIGHT, WIDTH, function(_, x) return ({ 0, 91, 181, 255, 11, 90, 62, 1 })[x + 1] end)))
    end
  end
  pictures.write(root .. "/annotations/panoptic_val2017/000000000009.png",
    miniature_coco.panoptic_map(function(_, x) return 1 + 256 * x end))
  pictures.write(root .. "/annotations/instances_val2017.json", json.encode(miniature_coco.instances()))
  pictures.write(root .. "/annotations/panoptic_val2017.json", json.encode(miniature_coco.panoptic()))
end

return miniature_coco
