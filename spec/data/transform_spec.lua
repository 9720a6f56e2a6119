-- Pictures and label maps through transforms of all kinds and sizes, byte by byte against the oracle: blocks of eight rows
-- and sixteen bytes with what is left over, windows of a shrunk picture, copies, mirrors, turns, and maps that lead nowhere.

local array = require "spec.support.oracle.array"
local asl = require "asl"
local core = require "asl.core"
local oracle = require "spec.support.oracle"

local ops = core.ops

local function picture(height, width)
  local bytes, state = {}, 97 * height + width
  for i = 1, height * width * 3 do
    state = (state * 1103515245 + 12345) % 2147483648
    bytes[i] = string.char(state >> 16 & 255)
  end
  return asl.frombytes(table.concat(bytes), { 1, height, width, 3 }, "u8")
end

local function labels_of(x)
  local shape = x:shape()
  return asl.frombytes(x:bytes():sub(1, shape[2] * shape[3]), { 1, shape[2], shape[3] }, "u8")
end

local function check(x, transform, height, width, what)
  local scope <close> = asl.scope()
  local labels, index = labels_of(x), {}
  for row = 1, transform:shape()[1] do index[row] = 0 end
  index = asl.tensor(index, { dtype = "i64" })
  local params = { height = height, width = width }
  local y, y_labels = ops.augment(x, labels, index, transform, params)
  local want = oracle.augment({ x = array.of(x), labels = array.of(labels), index = array.of(index),
    transform = array.of(transform) }, params)
  for name, pair in pairs { image = { y, want.y }, labels = { y_labels, want.y_labels } } do
    local got = array.of(pair[1])
    for k, value in ipairs(pair[2]) do
      if got[k] ~= value then
        error(("%s: element %d of the %s is %d, the oracle says %d"):format(what, k, name, got[k], value), 0)
      end
    end
  end
end

local KINDS = {
  resize = {}, crop = { scale = { 1, 1.5 }, flip = 0.5 }, smaller = { scale = { 0.05, 0.9 }, flip = 0.5 },
  mirror = { flip = 1, crop = false }, larger = { scale = { 2, 20 }, contrast = 0.5 },
  turn = { scale = { 0.3, 3 }, rotate = 180, brightness = 0.3, contrast = 0.5, saturation = 1, hue = 0.5 },
  colours = { flip = 0.5, brightness = 1, contrast = 1, saturation = 1, hue = 0.5 },
}

describe("a transform gives the oracle's bytes", function()
  for name, settings in pairs(KINDS) do
    it("of " .. name, function()
      for _, size in ipairs { { 1, 1 }, { 2, 3 }, { 7, 5 }, { 8, 16 }, { 17, 33 }, { 40, 61 } } do
        local x = picture(size[1], size[2])
        for _, to in ipairs { { 1, 1 }, { 3, 2 }, { 8, 8 }, { 9, 31 }, { 40, 61 } } do
          local transform = core.augment_draw { rows = { 1, 2 }, picture = size, size = to, seed = 3, step = size[2] + to[1],
            augment = asl.data.augment(settings) }
          check(x, transform, to[1], to[2], ("%s of %dx%d to %dx%d"):format(name, size[1], size[2], to[1], to[2]))
        end
      end
    end)
  end

  -- height, width; to the source; to the shrunk picture; colours; grey
  local SAME = { 65536, 0, 0, 0, 65536, 0, 0, 0, 65536, 0 }
  local function values(side, map)
    return table.move(SAME, 1, 10, 15, table.move(map, 1, 6, 9, table.move(map, 1, 6, 3, { side[1], side[2] })))
  end
  local INFINITE, NAN = math.huge, 0 / 0

  it("of maps that lead nowhere", function()
    local x = picture(20, 30)
    for i, map in ipairs {
      { NAN, 0, 0, 0, 1, 0 }, { 1, 0, NAN, 0, 1, 0 }, { 1, NAN, 0, 0, 1, 0 }, { INFINITE, 0, 0, 0, 1, 0 },
      { 1, 0, INFINITE, 0, 1, 0 }, { 1, 0, 0, 0, 1, -INFINITE }, { 1e300, 0, 0, 0, 1e300, 0 }, { 1, 0, -1e9, 0, 1, 0 },
      { 1, 0, 1e9, 0, 1, 1e9 }, { 0, 0, 4, 0, 0, 5 }, { 0, 1, 0, 1, 0, 0 }, { -1, 0, 29, 0, -1, 19 }, { 1, 0, -0.5, 0, 1, 19.5 },
      { 0.25, 0.001, 20, -0.001, 0.25, 14 }, { 1, 1, 0, -1, 1, 10 },
    } do
      for _, side in ipairs { { 20, 30 }, { 7, 30 }, { 20, 11 }, { 6, 7 }, { NAN, 1e9 }, { -1, 0 } } do
        check(x, asl.tensor({ values(side, map) }, { dtype = "f64" }), 19, 23, ("map %d, side %g"):format(i, side[1]))
      end
    end
  end)
end)
