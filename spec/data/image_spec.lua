local asl = require "asl"
local core = require "asl.core"
local pictures = require "spec.support.pictures"

local FIXTURES = "spec/fixtures/pictures/"

-- SHA-256 of the RGB bytes as Pillow decodes them; printed by spec/fixtures/pictures.py.
local DECODED = {
  baseline = "19c656280140867e476003c46643fc76ebd32188d71c709edd079f2c5168e6cb",
  progressive = "19c656280140867e476003c46643fc76ebd32188d71c709edd079f2c5168e6cb",
  grey = "440d6dad60fcab9f5cbf5f1bec16ea651d54bedc17fb07ea306f81423b973d05",
}

-- The CRC-32 of PNG.
local function crc32(bytes)
  local crc = 0xffffffff
  for i = 1, #bytes do
    crc = crc ~ bytes:byte(i)
    for _ = 1, 8 do
      crc = crc >> 1 ~ (crc & 1 == 1 and 0xedb88320 or 0)
    end
  end
  return crc ~ 0xffffffff
end

-- The PNG with another size in its header and everything else as it was.
local function with_size(png, width, height)
  local header = "IHDR" .. string.pack(">I4I4", width, height) .. png:sub(25, 29)
  return png:sub(1, 12) .. header .. string.pack(">I4", crc32(header)) .. png:sub(34)
end

describe("PNG", function()
  it("keeps RGB, grey and label values", function()
    local image = pictures.pattern(24, 40)
    assert.equal(image:digest(), core.image_decode(core.png_encode(image)):digest())
    local grey = pictures.label(5, 7, function(y, x) return 40 * y + x end)
    assert.equal(grey:digest(), core.label_decode(core.png_encode(grey)):digest())
    local as_picture = core.image_decode(core.png_encode(grey))
    assert.same({ 5, 7, 3 }, as_picture:shape())
    assert.equal(42, as_picture:totable()[2][3][3])
  end)

  it("encodes tensors that are not contiguous", function()
    local turned = pictures.label(2, 3, function(y, x) return 3 * y + x end):permute(2, 1)
    assert.same({ { 0, 3 }, { 1, 4 }, { 2, 5 } }, core.label_decode(core.png_encode(turned)):totable())
  end)

  it("of a label map with a palette holds indices and shows colours", function()
    local label = asl.tensor({ { 0, 1, 2 }, { 2, 255, 0 } }, { dtype = "u8" })
    local png = core.png_encode(label, { palette = { { 10, 20, 30 }, { 40, 50, 60 }, { 70, 80, 90 } } })
    assert.same(label:totable(), core.label_decode(png):totable())
    local colours = core.image_decode(png):totable()
    assert.same({ { 10, 20, 30 }, { 40, 50, 60 }, { 70, 80, 90 } }, colours[1])
    assert.same({ 0, 0, 0 }, colours[2][2])
  end)

  it("refuses a palette without a colour for a value, naming value and place", function()
    local label = asl.tensor({ { 0, 1 }, { 0, 7 } }, { dtype = "u8" })
    assert.error_matches(function() core.png_encode(label, { palette = { { 0, 0, 0 }, { 1, 1, 1 } } }) end,
      "the value 7 at row 2, column 2 has no colour %(2 colours%)")
    assert.error_matches(function() core.png_encode(asl.zeros { 2, 2 }) end, "needs a u8 tensor")
  end)

  it("reads 16-bit label maps whose values fit, and refuses others", function()
    assert.same({ { 0, 1, 2 }, { 3, 254, 255 } }, core.label_read(FIXTURES .. "label16.png"):totable())
    assert.error_matches(function() core.label_read(FIXTURES .. "label16_large.png") end,
      "label16_large%.png: the 16%-bit label map holds the value 300; values must be below 256")
  end)

  it("refuses colour pictures and JPEG as label maps", function()
    local colour = core.png_encode(pictures.pattern(4, 4))
    assert.error_matches(function() core.label_decode(colour) end, "a colour picture; a label map must be")
    assert.error_matches(function() core.label_read(FIXTURES .. "grey.jpg") end, "grey%.jpg: a JPEG file cannot hold a label")
  end)

  it("truncated anywhere is an error", function()
    local png = core.png_encode(pictures.pattern(40, 64))
    for percent = 1, 99 do
      local ok, message = pcall(core.image_decode, png:sub(1, #png * percent // 100))
      assert.is_false(ok, ("decoded from %d %% of its bytes"):format(percent))
      assert.matches("PNG: truncated", message)
    end
    for cut = 1, 12 do
      assert.is_false((pcall(core.image_decode, png:sub(1, -1 - cut))), "decoded without its end")
    end
  end)

  it("with a flipped bit is an error or the picture, never a crash", function()
    local image = pictures.pattern(16, 16)
    local png, same = core.png_encode(image), 0
    for i = 1, 300 do
      local at = i * 7919 % #png + 1
      local flipped = png:sub(1, at - 1) .. string.char(png:byte(at) ~ 1 << i % 8) .. png:sub(at + 1)
      local ok, result = pcall(core.image_decode, flipped)
      if ok then
        same = same + 1
        assert.equal(image:digest(), result:digest())
      end
    end
    assert.is_true(same < 30)
  end)

  it("of absurd size is refused before memory is taken", function()
    local png = core.png_encode(pictures.pattern(8, 8))
    assert.error_matches(function() core.image_decode(with_size(png, 100000, 3)) end,
      "a picture of 100000x3 pixels %(width x height%); sides must be 1 to 16384")
    assert.error_matches(function() core.image_decode(with_size(png, 16384, 16384 + 1)) end, "16384x16385")
    assert.error_matches(function() core.image_decode(with_size(png, 16384, 16384)) end, "truncated")
    assert.error_matches(function() core.image_decode(with_size(png, 0, 3)) end, "PNG: ")
  end)
end)

describe("JPEG", function()
  it("decodes to the bytes of libjpeg-turbo's accurate DCT", function()
    for name, expected in pairs(DECODED) do
      local image = core.image_read(FIXTURES .. name .. ".jpg")
      assert.same({ 24, 40, 3 }, image:shape())
      assert.equal(expected, image:digest(), name)
    end
  end)

  it("refuses CMYK with a reason", function()
    assert.error_matches(function() core.image_read(FIXTURES .. "cmyk.jpg") end, "cmyk%.jpg: JPEG: CMYK colours")
  end)

  it("truncated anywhere is an error", function()
    for _, name in ipairs { "baseline", "progressive", "grey" } do
      local jpeg = pictures.read(FIXTURES .. name .. ".jpg")
      for percent = 1, 99 do
        local ok, message = pcall(core.image_decode, jpeg:sub(1, #jpeg * percent // 100))
        assert.is_false(ok, ("%s decoded from %d %% of its bytes"):format(name, percent))
        if percent > 2 then assert.matches("JPEG: ", message) end
      end
      assert.is_false((pcall(core.image_decode, jpeg:sub(1, -3))), name .. " decoded without its end marker")
    end
  end)

  it("of absurd size is refused, at once", function()
    for name, marker in pairs { baseline = "\xff\xc0", progressive = "\xff\xc2" } do
      local jpeg = pictures.read(FIXTURES .. name .. ".jpg")
      local at = jpeg:find(marker, 1, true)
      local function resized(height, width)
        return jpeg:sub(1, at + 4) .. string.pack(">I2I2", height, width) .. jpeg:sub(at + 9)
      end
      assert.equal(DECODED[name], core.image_decode(resized(24, 40)):digest())
      assert.error_matches(function() core.image_decode(resized(2, 16385)) end, "a picture of 16385x2 pixels")
      assert.error_matches(function() core.image_decode(resized(16384, 16384)) end, "JPEG: ")
    end
  end)

  it("with a flipped bit is an error or a picture, never a crash", function()
    for _, name in ipairs { "baseline", "progressive" } do
      local jpeg = pictures.read(FIXTURES .. name .. ".jpg")
      for i = 1, 300 do
        local at = i * 7919 % #jpeg + 1
        pcall(core.image_decode, jpeg:sub(1, at - 1) .. string.char(jpeg:byte(at) ~ 1 << i % 8) .. jpeg:sub(at + 1))
      end
    end
  end)
end)

describe("picture files", function()
  it("that cannot be read are named with the cause", function()
    assert.error_matches(function() core.image_read "no/such.png" end, '"no/such%.png": No such file')
    assert.error_matches(function() core.image_read "spec" end, "\"spec\" is a directory, not a file")
    assert.error_matches(function() core.image_read "spec/data/image_spec.lua" end, "neither PNG nor JPEG %(first bytes 6c 6f")
    assert.error_matches(function() core.image_decode "" end, "empty %(0 bytes%)")
  end)
end)

describe("real files", function()
  local formats = pictures.real "formats"
  local NONE = "the format samples (../shared/data/formats) are not here"

  it("PngSuite: every primary file decodes to the reference pixels", function()
    if not formats then return pending(NONE) end
    local compared = 0
    for _, name in ipairs(core.fs.list(formats .. "/png/pngsuite_reference_rgba8")) do
      local file = formats .. "/png/pngsuite/" .. name
      if name:match("%.png$") and core.fs.stat(file) then
        local expected = core.image_read(formats .. "/png/pngsuite_reference_rgba8/" .. name)
        assert.equal(expected:digest(), core.image_read(file):digest(), name)
        compared = compared + 1
      end
    end
    assert.is_true(compared > 70, compared .. " files")
  end)

  it("PngSuite: label maps are palette indices and unscaled grey values", function()
    if not formats then return pending(NONE) end
    for bits, name in pairs { [1] = "basn0g01", [2] = "basn0g02", [4] = "basn0g04" } do
      local label = core.label_read(("%s/png/pngsuite/%s.png"):format(formats, name))
      local top = 0
      for value in label:bytes():gmatch "." do
        top = math.max(top, value:byte())
      end
      assert.is_true(top < 1 << bits and top >= 1 << (bits - 1), name)
    end
    local label = core.label_read(formats .. "/png/pngsuite/basn3p04.png")
    assert.is_true(label:bytes():byte(1) < 16)
  end)

  -- What Pillow lets pass and ASL refuses: data is missing or damaged, or the meaning is not known.
  local STRICTER = {
    ["jpeg/broken/dc-predictor-overflow.jpg"] = "premature end",
    ["jpeg/broken/imagetestsuite/1cbb1bb37d62c44f67374cd451643dc4.jpg"] = "CMYK",
    ["jpeg/broken/imagetestsuite/28c74d9284d9836017fd519f6932efd8.jpg"] = "215 extraneous bytes",
    ["jpeg/broken/imagetestsuite/4838ece0d3900220d33528ee027289bc.jpg"] = "extraneous bytes before marker 0xdb",
    ["jpeg/broken/imagetestsuite/5482a54657765056f1a94116a8dbffe7.jpg"] = "117 extraneous bytes",
    ["jpeg/broken/imagetestsuite/8a9cc8eeed66aeb423a91c44111d9450.jpg"] = "truncated",
    ["jpeg/broken/imagetestsuite/8e5e74dbf9b68a322fbb9512db837329.jpg"] = "193x31237",
    ["jpeg/broken/subtract-with-overflow.jpg"] = "956 extraneous bytes",
    ["jpeg/reftest/partial_progressive.jpg"] = "premature end",
    ["jpeg/reftest/progressive-missing-dc.jpg"] = "progression",
    ["jpeg/reftest_mozilla/jpg-cmyk-1.jpg"] = "CMYK",
    ["jpeg/reftest_mozilla/jpg-cmyk-2.jpg"] = "CMYK",
    ["png/bugfixes/x_interlaced_chck.png"] = "CRC error",
    ["png/pngsuite/xcsn0g01.png"] = "CRC error",
  }

  it("of all kinds decode as Pillow decodes them, or are refused with a reason", function()
    if not formats then return pending(NONE) end
    local decoded, refused = 0, 0
    for _, row in ipairs(pictures.tsv(formats .. "/images_expected.tsv")) do
      local ok, result = pcall(core.image_read, formats .. "/" .. row.file)
      local expect_ok = row.result_of_PIL == "ok" and not STRICTER[row.file]
      assert.equal(expect_ok, ok, row.file .. ": " .. tostring(result))
      if ok then
        decoded = decoded + 1
        assert.same({ tonumber(row.height), tonumber(row.width), 3 }, result:shape(), row.file)
        if row.mode == "RGB" then
          local mean = result:to("f64"):mean():item()
          assert.is_true(math.abs(mean - tonumber(row.mean)) < 0.01, row.file)
        end
      else
        refused = refused + 1
        assert.matches(row.file, result, 1, true)
        if STRICTER[row.file] then assert.matches(STRICTER[row.file], result, 1, true) end
      end
    end
    assert.is_true(decoded > 290 and refused > 60)
  end)

  it("JPEG: within 3 of the reference decoders' pixels where chroma is not subsampled oddly", function()
    if not formats then return pending(NONE) end
    local compared = 0
    for _, name in ipairs(core.fs.list(formats .. "/jpeg/reftest")) do
      local stem = name:match "^(.*)%.jpe?g$"
      local reference = stem and formats .. "/jpeg/reftest/" .. stem .. ".png"
      if reference and core.fs.stat(reference) and not STRICTER["jpeg/reftest/" .. name] then
        local ok, image = pcall(core.image_read, formats .. "/jpeg/reftest/" .. name)
        if ok then
          local expected = core.image_read(reference)
          assert.same(expected:shape(), image:shape(), name)
          local difference = (image:to("f32") - expected:to("f32")):mean():item()
          assert.is_true(math.abs(difference) < 3, ("%s: mean difference %g"):format(name, difference))
          compared = compared + 1
        end
      end
    end
    assert.is_true(compared > 10, compared .. " files")
  end)
end)
