-- Every format that is read from outside survives damage: a file cut after every hundredth of its length, or with one
-- byte changed (1000 times), gives an error with a reason or a result, soon and in little memory.
--
-- Formats whose own specs do that are only named here.

local asl = require "asl"
local core = require "asl.core"
local damage = require "spec.support.damage"
local json = require "asl.json"
local labels = require "asl.labels"
local miniature_coco = require "spec.support.miniature.coco"
local miniature_png = require "spec.support.miniature.png"
local pictures = require "spec.support.pictures"
local rows = require "asl.data.rows"

local ELSEWHERE = {
  [".flo, and flow in 16-bit PNG"] = "spec/data/flow_spec.lua",
  ["depth in PNG and PGM"] = "spec/data/depth_spec.lua",
  ["COCO instances, masks as text"] = "spec/data/coco_spec.lua",
  [".sens"] = "spec/data/scannet_spec.lua",
  ["HDF5, MATLAB 7.3"] = "spec/data/hdf5_hostile_spec.lua",
  ["nyu_depth_v2_labeled.mat"] = "spec/data/nyuv2_spec.lua",
  ["Hypersim's frames and keyframes"] = "spec/data/hypersim_spec.lua",
  ["packed data sets"] = "spec/data/pack_spec.lua",
  [".pth, zip and legacy"] = "spec/io/weights_spec.lua",
  ["safetensors"] = "spec/io/safetensors_spec.lua",
}

local MOST_SECONDS, MOST_GROWTH = 5, 256 << 20 -- of one damaged copy; of the process

local root
before_each(function() root = core.fs.temp_dir() end)
after_each(function() core.fs.remove_tree(root) end)

--- The most memory this process ever had, in bytes.
local function peak()
  return tonumber(pictures.read "/proc/self/status":match "VmHWM:%s*(%d+) kB") * 1024
end

--- Writes bytes to path and reads them; whether that went well. An error must have a reason and be none of Lua's own.
local function try(path, bytes, read)
  pictures.write(path, bytes)
  local start = os.clock()
  local ok, message = pcall(read, path)
  assert(os.clock() - start < MOST_SECONDS, "slow")
  if ok then return true end
  message = tostring(message)
  assert(#message > 10 and not message:find "attempt to" and not message:find "bad argument", message)
  return false
end

--- Both kinds of damage to the file at path. `strict`: all that is cut off must be refused.
local function check(path, read, strict)
  local bytes, before = pictures.read(path), peak()
  assert.is_true(try(path, bytes, read), path)
  damage.truncations(bytes, function(cut, length)
    local ok = try(path, cut, read)
    assert(not (ok and strict), ("read from %d of %d bytes"):format(length, #bytes))
  end)
  local refused = 0
  damage.flips(bytes, 1000, function(changed)
    if not try(path, changed, read) then refused = refused + 1 end
  end)
  pictures.write(path, bytes)
  assert.is_true(try(path, bytes, read), path)
  assert.is_true(peak() - before < MOST_GROWTH)
  return refused
end

local function put(name, bytes)
  pictures.write(root .. "/" .. name, bytes)
  return root .. "/" .. name
end

local function gradient(y, x) return 16 * y + x, 255 - x, 3 * y end

describe("damaged files", function()
  for name, spec in pairs(ELSEWHERE) do
    it(("(%s) are tried in %s"):format(name, spec), function()
      local text = pictures.read(spec)
      assert.is_truthy(text:find "%f[%w]truncations%(" and text:find "%f[%w]flips%(")
    end)
  end

  it("(PNG pictures) are errors or pictures", function()
    for name, bytes in pairs {
      rgb = core.png_encode(pictures.pattern(12, 16)), rgb16 = miniature_png.encode("rgb", 16, 6, 8, gradient),
      grey = miniature_png.encode("grey", 8, 6, 8, gradient),
      palette = miniature_png.encode("palette", 8, 6, 8, gradient),
      grey_alpha = miniature_png.encode("grey_alpha", 8, 6, 8, gradient),
      rgba = miniature_png.encode("rgba", 8, 6, 8, function(y, x) return x, y, x, 255 end),
    } do
      assert.is_true(check(put(name .. ".png", bytes), core.image_read, true) > 900)
    end
    local real = pictures.real "formats/png/pngsuite/basi6a16.png"
    if real then assert.is_true(check(put("interlaced.png", pictures.read(real)), core.image_read, true) > 900) end
  end)

  it("(PNG label maps) are errors or maps", function()
    for name, bytes in pairs {
      grey = miniature_png.encode("grey", 8, 6, 8, gradient), grey16 = miniature_png.encode("grey", 16, 6, 8, gradient),
      palette = miniature_png.encode("palette", 8, 6, 8, gradient),
    } do
      assert.is_true(check(put(name .. ".png", bytes), core.label_read, true) > 900)
    end
  end)

  it("(JPEG) are errors or pictures", function()
    for _, name in ipairs { "baseline", "progressive", "grey" } do
      local bytes = pictures.read("spec/fixtures/pictures/" .. name .. ".jpg")
      assert.is_true(check(put(name .. ".jpg", bytes), core.image_read, true) > 100)
    end
  end)

  it("(matrices in text) are errors or matrices", function()
    local numbers = { 1, 0, 0, 0.25, 0, 1, 0, -1.5, 0, 0, 1, 1e-3, 0, 0, 0, 1 }
    local path = put("pose.txt", ("%f %f %f %f\n"):rep(4):format(table.unpack(numbers)))
    assert.is_true(check(path, function() assert(#core.matrix_read(path, 4, 4) == 16) end) > 300)
  end)

  it("(COCO panoptic) are errors or samples", function()
    miniature_coco.write(root)
    local function read()
      local set = asl.data.coco { root = root, split = "val", kind = "panoptic" }
      for i = 1, #set do set:sample(i) end
    end
    assert.is_true(check(root .. "/annotations/panoptic_val2017.json", read, true) > 300)
    assert.is_true(check(root .. "/annotations/panoptic_val2017/000000000009.png", read, true) > 900)
  end)

  it("(label tables) are errors or tables", function()
    for _, name in ipairs { "nyu13", "camvid32", "cityscapes" } do
      local path = put(name .. ".tsv", pictures.read("lua/asl/labels/" .. name .. ".tsv"))
      assert.is_true(check(path, function() labels.load(path) end) > 50)
    end
  end)

  it("(codes.txt and valid.txt of CamVid) are errors or data sets", function()
    core.fs.mkdirs(root .. "/images")
    core.fs.mkdirs(root .. "/labels")
    for i = 1, 3 do
      put(("images/0001TP_%06d.png"):format(i), core.png_encode(pictures.pattern(4, 4)))
      put(("labels/0001TP_%06d_P.png"):format(i), core.png_encode(pictures.label(4, 4, function() return 1 end)))
    end
    local valid = put("valid.txt", "0001TP_000001.png\n0001TP_000003.png\n")
    local codes = put("codes.txt", table.concat(labels.load("camvid32").names, "\n") .. "\n")
    local function read() asl.data.camvid { root = root, split = "val" } end
    assert.is_true(check(codes, read) > 900)
    check(valid, read)
  end)

  it("(lists of pictures) are errors or data sets", function()
    pictures.write_folder(root, 6, function() return pictures.pattern(4, 4) end,
      function() return pictures.label(4, 4, function(_, x) return x end) end)
    local list = root .. "/list.txt"
    assert.is_true(check(list, function()
      asl.data.folder { root = root, list = list, classes = { "a", "b", "c", "d" } }
    end) > 500)
  end)

  it("(tables in text) are errors or rows", function()
    local line = 'ai_%03d_%03d,cam_%02d,"a ""word"", quoted",%.6f\n'
    local csv = "scene,camera,note,metres\n"
    for i = 1, 12 do csv = csv .. line:format(i, i + 1, i % 2, 0.0254 * i) end
    for name, text in pairs { ["x.csv"] = csv, ["x.tsv"] = (csv:gsub('"[^\n]*",', "word,"):gsub(",", "\t")) } do
      local path = put(name, text)
      assert.is_true(check(path, function()
        rows.each("spec", path, { "scene", "metres" }, function(row) assert(row.scene and row.metres) end)
      end) > 10)
    end
  end)

  it("(JSON) are errors or values", function()
    local value = { info = { year = 2017, text = "ä\n\"" }, list = { 1, -2.5e10, true, json.null, { 0, {} } } }
    local path = put("x.json", json.encode(value))
    assert.is_true(check(path, json.read, true) > 200)
  end)
end)
