--- Oracle: adaptive pooling and bilinear resampling.

local array = require "spec.support.oracle.array"

local oracle = {}

-- Each of these maps is linear: y = A x. It is described once, by its terms (to, from, weight), and both
-- the op and its gradient (x = A' y) read that description.

--- y[to] += weight x[from] for every term of every channel.
local function apply(each_term, x, shape)
  local y = array.new(shape, 0)
  each_term(x.shape, shape, function(to, from, weight)
    for c = 1, shape[4] do y[to + c] = y[to + c] + weight * x[from + c] end
  end)
  return y
end

local function apply_transposed(each_term, dy, shape, dx)
  dx = dx or array.new(shape, 0)
  each_term(shape, dy.shape, function(to, from, weight)
    for c = 1, shape[4] do dx[from + c] = dx[from + c] + weight * dy[to + c] end
  end)
  return dx
end

-- ---- pooling ----------------------------------------------------------------------------------

--- Window i (from 1) of b over n positions: floor((i-1) n/b) + 1 .. ceil(i n/b).
local function window(i, n, b)
  return (i - 1) * n // b + 1, (i * n + b - 1) // b
end

local function pool_terms(x_shape, y_shape, f)
  array.each_pixel(y_shape, function(n, row, column, to)
    local top, bottom = window(row, x_shape[2], y_shape[2])
    local left, right = window(column, x_shape[3], y_shape[3])
    local weight = 1 / ((bottom - top + 1) * (right - left + 1))
    for y = top, bottom do
      for x = left, right do f(to, array.pixel(x_shape, n, y, x), weight) end
    end
  end)
end

local function pool(x, height, width)
  return apply(pool_terms, x, { x.shape[1], height, width, x.shape[4] })
end

function oracle.adaptive_avg_pool(i, p) return { y = pool(i.x, p.height, p.width) } end

function oracle.adaptive_avg_pool_backward(i)
  return { dx = apply_transposed(pool_terms, i.dy, i.x.shape) }
end

function oracle.pyramid_pool(i, p)
  local result = {}
  for k = 1, 4 do result["y" .. k] = pool(i.x, p["b" .. k], p["b" .. k]) end
  return result
end

function oracle.pyramid_pool_backward(i)
  local dx
  for k = 1, 4 do dx = apply_transposed(pool_terms, i["dy" .. k], i.x.shape, dx) end
  return { dx = dx }
end

-- ---- bilinear resampling ----------------------------------------------------------------------

--- The two source positions (from 1) and their weights for target position t (from 1).
local function taps(t, inputs, outputs, align_corners)
  local source
  if align_corners then
    source = outputs > 1 and (t - 1) * (inputs - 1) / (outputs - 1) or 0
  else
    source = math.min(math.max((t - 0.5) * inputs / outputs - 0.5, 0), inputs - 1)
  end
  local low = math.floor(source)
  return low + 1, math.min(low + 2, inputs), source - low
end

local function resize_terms(align_corners)
  return function(x_shape, y_shape, f)
    array.each_pixel(y_shape, function(n, row, column, to)
      local top, bottom, v = taps(row, x_shape[2], y_shape[2], align_corners)
      local left, right, u = taps(column, x_shape[3], y_shape[3], align_corners)
      f(to, array.pixel(x_shape, n, top, left), (1 - v) * (1 - u))
      f(to, array.pixel(x_shape, n, top, right), (1 - v) * u)
      f(to, array.pixel(x_shape, n, bottom, left), v * (1 - u))
      f(to, array.pixel(x_shape, n, bottom, right), v * u)
    end)
  end
end

--- x resized to a height and width.
function oracle.resized(x, height, width, align_corners)
  return apply(resize_terms(align_corners), x, { x.shape[1], height, width, x.shape[4] })
end

function oracle.resize(i, p) return { y = oracle.resized(i.x, p.height, p.width, p.align_corners == 1) } end

function oracle.resize_backward(i, p)
  return { dx = apply_transposed(resize_terms(p.align_corners == 1), i.dy, i.x.shape) }
end

function oracle.resize_concat(i)
  local n, height, width = table.unpack(i.x.shape)
  local parts, channels = { i.x }, i.x.shape[4]
  for _, name in ipairs { "a", "b", "c", "d" } do
    if i[name] then
      parts[#parts + 1] = oracle.resized(i[name], height, width, true)
      channels = channels + i[name].shape[4]
    end
  end
  local y = array.new({ n, height, width, channels }, 0)
  array.each_pixel(y.shape, function(picture, row, column, to)
    for _, part in ipairs(parts) do
      local from = array.pixel(part.shape, picture, row, column)
      for c = 1, part.shape[4] do y[to + c] = part[from + c] end
      to = to + part.shape[4]
    end
  end)
  return { y = y }
end

return oracle
