local asl = require "asl"
local core = require "asl.core"
local picture = require "asl.picture"
local program = require "spec.support.program"
local show = require "asl.show"

local function labels(rows)
  return asl.tensor(rows, { dtype = "u8" })
end

local function pixel(rgb, y, x)
  return rgb:select(1, y):select(1, x):totable()
end

describe("picture.rgb", function()
  it("leaves pictures as they are", function()
    local image = asl.tensor({ { { 1, 2, 3 }, { 4, 5, 6 } } }, { dtype = "u8" })
    assert.same(image:totable(), picture.rgb(image):totable())
  end)

  it("gives labels their colours, 255 black", function()
    local rgb = picture.rgb(labels { { 0, 1, 255 } }, { colours = { { 10, 20, 30 }, { 40, 50, 60 } } })
    assert.same({ { { 10, 20, 30 }, { 40, 50, 60 }, { 0, 0, 0 } } }, rgb:totable())
    assert.has_error(function() picture.rgb(labels { { 2 } }, { colours = { { 1, 1, 1 }, { 2, 2, 2 } } }) end,
      "label 2 has no colour: there are 2")
  end)

  it("has a distinct colour for every class, none black", function()
    local seen = {}
    for i, colour in ipairs(picture.palette(254)) do
      local key = table.concat(colour, ",")
      assert.is_nil(seen[key], "class " .. i)
      assert.not_equal("0,0,0", key)
      seen[key] = true
    end
    assert.same({ 128, 0, 0 }, picture.palette(1)[1])
  end)

  it("shows near depth bright, none black", function()
    local rgb = picture.rgb(asl.tensor { { 1, 5, 0, 0 / 0 } })
    assert.same({ 253, 231, 37 }, pixel(rgb, 1, 1))
    assert.same({ 68, 1, 84 }, pixel(rgb, 1, 2))
    assert.same({ 0, 0, 0 }, pixel(rgb, 1, 3))
    assert.same({ 0, 0, 0 }, pixel(rgb, 1, 4))
    assert.same({ 68, 1, 84 }, pixel(picture.rgb(asl.tensor { { 7.0 } }, { range = { 1, 5 } }), 1, 1))
  end)

  it("shows flow by the colour wheel: right red, left cyan, still white", function()
    local rgb = picture.rgb(asl.tensor { { { 2, 0 }, { -2, 0 }, { 0, 0 } } })
    assert.same({ 255, 0, 0 }, { pixel(rgb, 1, 1)[1], 0, 0 })
    assert.is_true(pixel(rgb, 1, 1)[2] < 60)
    assert.is_true(pixel(rgb, 1, 2)[1] < 40 and pixel(rgb, 1, 2)[2] > 180 and pixel(rgb, 1, 2)[3] > 180)
    assert.same({ 255, 255, 255 }, pixel(rgb, 1, 3))
  end)

  it("refuses anything else, with its shape", function()
    assert.has_error(function() picture.rgb(asl.zeros { 2, 2, 5 }) end)
    local _, message = pcall(picture.rgb, asl.zeros { 2, 2, 5 })
    assert.matches("not f32 %(2x2x5%)$", message)
  end)
end)

describe("asl.show", function()
  it("draws two rows of pixels per line", function()
    local image = asl.tensor({ { { 255, 0, 0 } }, { { 0, 255, 0 } }, { { 0, 0, 255 } } }, { dtype = "u8" })
    assert.equal("\27[38;2;255;0;0m\27[48;2;0;255;0m▀\27[0m\n\27[38;2;0;0;255m\27[49m▀\27[0m",
      show.half_blocks(image, 80, 24))
  end)

  it("fits the window and takes the mean", function()
    local text = show.half_blocks(asl.tensor({ { { 0, 0, 0 }, { 200, 100, 50 } }, { { 200, 100, 50 }, { 0, 0, 0 } } },
      { dtype = "u8" }), 1, 24)
    assert.equal("\27[38;2;100;50;25m\27[49m▀\27[0m", text)
    local wide = show.half_blocks(asl.zeros({ 100, 300, 3 }, { dtype = "u8" }), 60, 40)
    assert.equal(10, select(2, wide:gsub("[^\n]+", "")))
    assert.equal(600, select(2, wide:gsub("▀", "")))
  end)

  it("never mixes labels", function()
    local text = show.half_blocks(labels { { 0, 1 }, { 1, 0 } }, 1, 24, { colours = { { 1, 1, 1 }, { 3, 3, 3 } } })
    assert.equal("\27[38;2;1;1;1m\27[49m▀\27[0m", text)
  end)

  it("writes a PNG where there is no terminal, and says where", function()
    program.in_directory(function(dir)
      local result = program.run({ "-e", "asl.show(asl.zeros({4, 6}, {dtype = 'u8'}))" }, { env = "TMPDIR=" .. dir })
      assert.equal(0, result.code)
      local path = result.out:match("^(.*%.png)\n$")
      assert.equal("\137PNG", core.fs.read(path):sub(1, 4))
      local given = dir .. "/x.png"
      program.run({ "-e", "asl.show(asl.zeros{4, 6}, {path = ...})", given })
      assert.equal("\137PNG", core.fs.read(given):sub(1, 4))
    end)
  end)
end)
