--- Oracle: pictures and label maps through their transforms.

local array = require "spec.support.oracle.array"

local oracle = {}

local MEAN = { 124, 116, 104 } -- where nothing covers the result

--- Row n of the input: size of the shrunk picture, two affine maps, a matrix of colours, what the mean grey counts.
local function transform_of(values, n)
  local t, at = {}, (n - 1) * 24
  local function take(count)
    at = at + count
    return { table.unpack(values, at - count + 1, at) }
  end
  t.size, t.to_source, t.to_shrunk, t.colour, t.grey = take(2), take(6), take(6), take(9), take(1)[1]
  return t
end

local function side(wanted, own)
  if not (wanted > 1) then return 1 end
  return math.floor(math.min(wanted, own))
end

-- ---- shrinking --------------------------------------------------------------------------------

--- Where output position `at` (from 0) of `to` takes its value from: the triangle filter, `scale` pixels wide to
--- either side of its centre, its weights in units of 2^-22.
local function weights_of(at, from, to)
  local scale, weights, sum = from / to, {}, 0
  local centre = (at + 0.5) * scale
  local first, last = math.max(centre - scale + 0.5, 0) // 1, math.min(centre + scale + 0.5, from) // 1 - 1
  for i = first, last do
    local w = math.max(1 - math.abs(i - centre + 0.5) * (1 / scale), 0)
    weights[#weights + 1], sum = w, sum + w
  end
  for k, w in ipairs(weights) do weights[k] = math.tointeger((0.5 + w / sum * (1 << 22)) // 1) end
  return math.tointeger(first), weights
end

--- pixels[y][x][c], all from 1, along one axis: get(line, i) is the pixel at i (from 0) of a line.
local function shrink_lines(lines, from, to, get, put)
  for at = 0, to - 1 do
    local first, weights = weights_of(at, from, to)
    for line = 1, lines do
      local pixel = {}
      for c = 1, 3 do
        local sum = 1 << 21
        for k, w in ipairs(weights) do sum = sum + w * get(line, first + k - 1)[c] end
        pixel[c] = math.min(sum >> 22, 255)
      end
      put(line, at, pixel)
    end
  end
end

local function shrunk(pixels, height, width)
  if width < #pixels[1] then
    local from = pixels
    pixels = {}
    for y = 1, #from do pixels[y] = {} end
    shrink_lines(#from, #from[1], width, function(y, x) return from[y][x + 1] end,
      function(y, x, pixel) pixels[y][x + 1] = pixel end)
  end
  if height < #pixels then
    local from = pixels
    pixels = {}
    for y = 1, height do pixels[y] = {} end
    shrink_lines(#from[1], #from, height, function(x, y) return from[y + 1][x] end,
      function(x, y, pixel) pixels[y + 1][x] = pixel end)
  end
  return pixels
end

-- ---- places -----------------------------------------------------------------------------------

--- Where pixel (x, y) of the result, from 0, comes from.
local function place(map, x, y)
  return map[1] * x + (map[2] * y + map[3]), map[4] * x + (map[5] * y + map[6])
end

local function is_inside(u, v, height, width)
  return u >= -0.5 and v >= -0.5 and u < width - 0.5 and v < height - 0.5
end

--- A position as a pixel (from 1), the next one, and how many 2048ths the place is beyond the first.
local function between(position, size)
  local fine = math.tointeger((math.max(math.min(position, size - 1), 0) * 2048 + 0.5) // 1)
  return (fine >> 11) + 1, math.min((fine >> 11) + 2, size), fine & 2047
end

local function bilinear(pixels, u, v)
  local x, right, a = between(u, #pixels[1])
  local y, below, b = between(v, #pixels)
  local result = {}
  for c = 1, 3 do
    local upper = pixels[y][x][c] * (2048 - a) + pixels[y][right][c] * a
    local lower = pixels[below][x][c] * (2048 - a) + pixels[below][right][c] * a
    result[c] = (upper * (2048 - b) + lower * b + (1 << 21)) >> 22
  end
  return result
end

-- ---- colours ----------------------------------------------------------------------------------

--- Towards 0, within +-most; what is not a number is the least.
local function whole(value, most)
  if not (value > -most) then return -most end
  value = math.min(value, most)
  return math.tointeger(value < 0 and math.ceil(value) or math.floor(value))
end

local function change_colours(t, pixels)
  local grey = 0
  for _, pixel in ipairs(pixels) do grey = grey + 299 * pixel[1] + 587 * pixel[2] + 114 * pixel[3] end
  local shift = t.grey * (#pixels > 0 and grey / #pixels or 0) / 1000
  shift = whole(shift * 65536 + (shift < 0 and -0.5 or 0.5), 4096 * 65536)
  for _, pixel in ipairs(pixels) do
    local r, g, b = table.unpack(pixel)
    for c = 1, 3 do
      local m = {}
      for k = 1, 3 do m[k] = whole(t.colour[3 * c - 3 + k], 32 * 65536) end
      pixel[c] = math.max(math.min((m[1] * r + m[2] * g + m[3] * b + shift + 32768) // 65536, 255), 0)
    end
  end
end

-- ---- the op -----------------------------------------------------------------------------------

--- Picture m (from 1) as pixels[y][x][c].
local function picture_of(x, m)
  local pixels = {}
  for row = 1, x.shape[2] do
    pixels[row] = {}
    for column = 1, x.shape[3] do
      local at = array.pixel(x.shape, m, row, column)
      pixels[row][column] = { x[at + 1], x[at + 2], x[at + 3] }
    end
  end
  return pixels
end

--- Row n of y.
local function draw_picture(t, pixels, y, n)
  local height, width = side(t.size[1], #pixels), side(t.size[2], #pixels[1])
  pixels = shrunk(pixels, height, width)
  local drawn, places = {}, {}
  for row = 1, y.shape[2] do
    for column = 1, y.shape[3] do
      local u, v = place(t.to_shrunk, column - 1, row - 1)
      local at = array.pixel(y.shape, n, row, column)
      if is_inside(u, v, height, width) then
        drawn[#drawn + 1], places[#places + 1] = bilinear(pixels, u, v), at
      else
        for c = 1, 3 do y[at + c] = MEAN[c] end
      end
    end
  end
  change_colours(t, drawn)
  for k, at in ipairs(places) do
    for c = 1, 3 do y[at + c] = drawn[k][c] end
  end
end

local function draw_labels(t, labels, m, y, n)
  local height, width = labels.shape[2], labels.shape[3]
  for row = 1, y.shape[2] do
    for column = 1, y.shape[3] do
      local u, v = place(t.to_source, column - 1, row - 1)
      local value = 255
      if is_inside(u, v, height, width) then
        local at_row, at_column = math.floor(v + 0.5) + 1, math.floor(u + 0.5) + 1 -- a sum may round up to the far edge
        value = labels[array.pixel(labels.shape, m, math.min(at_row, height), math.min(at_column, width)) + 1]
      end
      y[array.pixel(y.shape, n, row, column) + 1] = value
    end
  end
end

function oracle.augment(i, p)
  local n = #i.index
  local y = array.new({ n, p.height, p.width, 3 }, 0)
  local y_labels = i.labels and array.new({ n, p.height, p.width }, 0) or nil
  for row = 1, n do
    local t, m = transform_of(i.transform, row), i.index[row] + 1
    draw_picture(t, picture_of(i.x, m), y, row)
    if y_labels then draw_labels(t, i.labels, m, y_labels, row) end
  end
  return { y = y, y_labels = y_labels }
end

return oracle
