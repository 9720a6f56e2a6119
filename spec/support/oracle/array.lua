--- Plain Lua arrays: the values of a tensor in row-major order, 1..n, beside their `shape`.

local array = {}

---@class asl.Array
---@field shape integer[]
---@field [integer] number

--- Number of elements of a shape.
function array.count(shape)
  local n = 1
  for _, size in ipairs(shape) do n = n * size end
  return n
end

--- An array of `shape` whose element at flat position p is f(p), or f itself if it is a number.
function array.new(shape, f)
  local a = { shape = { table.unpack(shape) } }
  for p = 1, array.count(shape) do a[p] = type(f) == "number" and f or f(p) end
  return a
end

--- f of the elements of arrays of one shape.
function array.map(f, a, ...)
  local others = { ... }
  return array.new(a.shape, function(p)
    local values = { a[p] }
    for k, other in ipairs(others) do values[k + 1] = other[p] end
    return f(table.unpack(values))
  end)
end

local function flatten(value, into)
  if type(value) ~= "table" then
    into[#into + 1] = value
  else
    for _, inner in ipairs(value) do flatten(inner, into) end
  end
end

--- The values of a tensor, exactly.
---@param tensor asl.Tensor
---@return asl.Array
function array.of(tensor)
  local a = { shape = tensor:shape() }
  flatten(tensor:totable(), a)
  return a
end

--- Steps between neighbours along every dimension.
function array.strides(shape)
  local strides, n = {}, 1
  for d = #shape, 1, -1 do strides[d], n = n, n * shape[d] end
  return strides
end

--- The index vector (from 1) of flat position p in a shape.
function array.index(shape, p)
  local index, rest = {}, p - 1
  for d = #shape, 1, -1 do index[d], rest = rest % shape[d] + 1, rest // shape[d] end
  return index
end

--- The flat position of an index vector; a dimension of size 1 takes any index, and an index with more
--- dimensions than the shape lines up at the end: broadcasting.
function array.position(shape, index)
  local p, step, extra = 1, 1, #index - #shape
  for d = #shape, 1, -1 do
    if shape[d] > 1 then p = p + (index[d + extra] - 1) * step end
    step = step * shape[d]
  end
  return p
end

--- The shape that arrays broadcast to.
function array.broadcast_shape(...)
  local shape = {}
  for _, a in ipairs { ... } do
    local rank = math.max(#shape, #a.shape)
    local joined = {}
    for k = 0, rank - 1 do
      local mine, theirs = shape[#shape - k] or 1, a.shape[#a.shape - k] or 1
      joined[rank - k] = mine == 1 and theirs or mine
    end
    shape = joined
  end
  return shape
end

--- f of the elements of arrays that broadcast.
function array.broadcast(f, ...)
  local arrays = { ... }
  local shape = array.broadcast_shape(...)
  return array.new(shape, function(p)
    local index, values = array.index(shape, p), {}
    for k, a in ipairs(arrays) do values[k] = a[array.position(a.shape, index)] end
    return f(table.unpack(values))
  end)
end

--- Calls f(n, y, x, p) for every pixel of an (N,H,W,C) array: p is the position before its first channel.
function array.each_pixel(shape, f)
  local p = 0
  for n = 1, shape[1] do
    for y = 1, shape[2] do
      for x = 1, shape[3] do
        f(n, y, x, p)
        p = p + (shape[4] or 1)
      end
    end
  end
end

--- The position before the first channel of pixel (n, y, x).
function array.pixel(shape, n, y, x)
  return (((n - 1) * shape[2] + y - 1) * shape[3] + x - 1) * (shape[4] or 1)
end

return array
