--- Oracle: views, elementwise ops, reductions, joining, ops in place.

local array = require "spec.support.oracle.array"

local oracle = {}

-- ---- views ------------------------------------------------------------------------------------

function oracle.reshape(i, p)
  local y = array.map(function(v) return v end, i.x)
  y.shape = { table.unpack({ p.d1, p.d2, p.d3, p.d4, p.d5, p.d6 }, 1, p.rank) }
  return { y = y }
end

--- y[index] = x[index'], index'[p_d] = index[d].
function oracle.permute(i, p)
  local order, shape = { p.p1, p.p2, p.p3, p.p4, p.p5, p.p6 }, {}
  for d = 1, #i.x.shape do shape[d] = i.x.shape[order[d]] end
  return { y = array.new(shape, function(k)
    local index, from = array.index(shape, k), {}
    for d, axis in ipairs(index) do from[order[d]] = axis end
    return i.x[array.position(i.x.shape, from)]
  end) }
end

function oracle.slice(i, p)
  local shape = { table.unpack(i.x.shape) }
  shape[p.dim] = p.last - p.first + 1
  return { y = array.new(shape, function(k)
    local index = array.index(shape, k)
    index[p.dim] = index[p.dim] + p.first - 1
    return i.x[array.position(i.x.shape, index)]
  end) }
end

-- ---- elementwise ------------------------------------------------------------------------------

local function binary(f)
  return function(i) return { y = array.broadcast(f, i.a, i.b) } end
end

local function unary(f)
  return function(i, p) return { y = array.map(function(x) return f(x, p) end, i.x) } end
end

local function is_nan(x) return x ~= x end

oracle.add = binary(function(a, b) return a + b end)
oracle.sub = binary(function(a, b) return a - b end)
oracle.mul = binary(function(a, b) return a * b end)
oracle.div = binary(function(a, b) return a / b end)
oracle.maximum = binary(function(a, b) return (a > b or is_nan(a)) and a or b end)
oracle.minimum = binary(function(a, b) return (a < b or is_nan(a)) and a or b end)
oracle.equal = binary(function(a, b) return a == b and 1 or 0 end)
oracle.greater = binary(function(a, b) return a > b and 1 or 0 end)

function oracle.where(i)
  return { y = array.broadcast(function(c, a, b) return c ~= 0 and a or b end, i.condition, i.a, i.b) }
end

oracle.affine = unary(function(x, p) return p.scale * x + p.shift end)
oracle.relu = unary(function(x) return x <= 0 and 0.0 or x end)
oracle.exp = unary(function(x) return math.exp(x) end)
oracle.log = unary(function(x) return math.log(x) end)
oracle.sqrt = unary(function(x) return math.sqrt(x) end)
oracle.abs = unary(function(x) return math.abs(x) end)
oracle.sigmoid = unary(function(x) return 1 / (1 + math.exp(-x)) end)
oracle.sign = unary(function(x) return is_nan(x) and x or x > 0 and 1.0 or x < 0 and -1.0 or 0.0 end)

--- To nearest, ties to even.
local function round(x)
  local low = math.floor(x)
  local rest = x - low
  if rest > 0.5 or (rest == 0.5 and low % 2 == 1) then low = low + 1 end
  return math.tointeger(low)
end

oracle.cast = unary(function(x, p)
  local whole = p.dtype == "u8" or p.dtype == "i32" or p.dtype == "i64"
  return whole and round(x) or x
end)

-- ---- reductions and joining -------------------------------------------------------------------

--- fold(values) of the elements of x along p.dim (0: of all).
local function reduce(x, p, fold)
  local shape = {}
  for d, size in ipairs(x.shape) do
    if p.dim == 0 or d == p.dim then size = p.keep == 1 and 1 or nil end
    shape[#shape + 1] = size
  end
  local groups = array.new(shape, function() return {} end)
  for k = 1, array.count(x.shape) do
    local index = array.index(x.shape, k)
    if p.dim == 0 then
      index = {}
    elseif p.keep == 1 then
      index[p.dim] = 1
    else
      table.remove(index, p.dim)
    end
    local group = groups[p.dim == 0 and 1 or array.position(shape, index)]
    group[#group + 1] = x[k]
  end
  return { y = array.map(fold, groups) }
end

local function total(values)
  local sum = 0
  for _, v in ipairs(values) do sum = sum + v end
  return sum
end

function oracle.sum(i, p) return reduce(i.x, p, total) end
function oracle.mean(i, p) return reduce(i.x, p, function(values) return total(values) / #values end) end
function oracle.max(i, p) return reduce(i.x, p, function(values) return math.max(table.unpack(values)) end) end

function oracle.sum_to(i)
  local y = array.new(i.like.shape, 0)
  for k = 1, array.count(i.x.shape) do
    local to = array.position(y.shape, array.index(i.x.shape, k))
    y[to] = y[to] + i.x[k]
  end
  return { y = y }
end

function oracle.argmax(i)
  local shape = { table.unpack(i.x.shape) }
  local n = table.remove(shape)
  return { y = array.new(shape, function(row)
    local best = 1
    for c = 2, n do
      if i.x[(row - 1) * n + c] > i.x[(row - 1) * n + best] then best = c end
    end
    return best - 1
  end) }
end

function oracle.concat(i, p)
  local parts, shape = {}, { table.unpack(i.a.shape) }
  shape[p.dim] = 0
  for _, name in ipairs { "a", "b", "c", "d", "e", "f" } do
    if i[name] then
      parts[#parts + 1] = i[name]
      shape[p.dim] = shape[p.dim] + i[name].shape[p.dim]
    end
  end
  return { y = array.new(shape, function(k)
    local index, part = array.index(shape, k), 1
    while index[p.dim] > parts[part].shape[p.dim] do
      index[p.dim], part = index[p.dim] - parts[part].shape[p.dim], part + 1
    end
    return parts[part][array.position(parts[part].shape, index)]
  end) }
end

function oracle.matmul(i)
  local m, k, n = i.a.shape[1], i.a.shape[2], i.b.shape[2]
  return { y = array.new({ m, n }, function(p)
    local row, column, sum = (p - 1) // n, (p - 1) % n, 0
    for j = 0, k - 1 do sum = sum + i.a[row * k + j + 1] * i.b[j * n + column + 1] end
    return sum
  end) }
end

-- ---- in place ---------------------------------------------------------------------------------

function oracle.fill(i, p)
  return { x = array.new(i.x.shape, p.value) }
end

function oracle.copy(i)
  return { x = array.broadcast(function(_, v) return v end, i.x, i.source) }
end

function oracle.accumulate(i, p)
  return { x = array.map(function(x, y) return x + p.scale * y end, i.x, i.y) }
end

function oracle.gather_rows(i)
  local shape = { table.unpack(i.x.shape) }
  shape[1] = #i.index
  return { y = array.new(shape, function(k)
    local index = array.index(shape, k)
    index[1] = i.index[index[1]] + 1
    return i.x[array.position(i.x.shape, index)]
  end) }
end

function oracle.scatter_rows(i)
  local x = array.map(function(v) return v end, i.x)
  local width = array.count(x.shape) // x.shape[1]
  for row, to in ipairs(i.index) do
    for c = 1, width do x[to * width + c] = i.rows[(row - 1) * width + c] end
  end
  return { x = x }
end

return oracle
