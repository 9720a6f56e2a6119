--- Tensors: making them, reading them, computing with them.
---
--- A tensor is a view of memory on a device, with a dtype ("f32", "f64", "u8", "i32", "i64") and a
--- shape. Pictures are channels-last: (N, H, W, C). Positions count from 1. Operators broadcast as
--- numbers and shapes do in NumPy.

local core = require "asl.core"
local ops = core.ops

local tensor = {}

---@class asl.Tensor
local methods = core.tensor_methods
local metatable = core.tensor_metatable

local PURPOSE_USER = 16 -- ASL_PURPOSE_USER of csrc/base/philox.h

-- ---- making -----------------------------------------------------------------------------------

local function keyed(where, given)
  for key in pairs(given or {}) do
    if key ~= "dtype" and key ~= "device" and key ~= "seed" and key ~= "stream" then
      error(("%s: unknown option %q (known: dtype, device, seed, stream)"):format(where, tostring(key)), 3)
    end
  end
  return given or {}
end

--- A tensor from a number or a nested table.
---@param values number|table  nested tables of equal lengths
---@param given { dtype?: string }|nil  dtype: "f32" (default), "f64", "u8", "i32", "i64"
---@return asl.Tensor
function tensor.tensor(values, given)
  return core.tensor(values, keyed("asl.tensor", given).dtype)
end

--- A tensor of zeros.
---@param shape integer[]  sizes, e.g. {8, 320, 640, 3}; {} is a scalar
---@param given { dtype?: string, device?: string }|nil
---@return asl.Tensor
function tensor.zeros(shape, given)
  given = keyed("asl.zeros", given)
  return core.zeros(shape, given.dtype, given.device)
end

--- A tensor filled with one value.
---@param shape integer[]
---@param value number
---@param given { dtype?: string, device?: string }|nil
---@return asl.Tensor
function tensor.full(shape, value, given)
  return tensor.zeros(shape, given):fill_(value)
end

--- A tensor of ones.
---@param shape integer[]
---@param given { dtype?: string, device?: string }|nil
---@return asl.Tensor
function tensor.ones(shape, given)
  return tensor.full(shape, 1, given)
end

--- Uniform random numbers in [0, 1): a pure function of seed, stream and position.
---@param shape integer[]
---@param given { seed?: integer, stream?: integer }|nil
---@return asl.Tensor  f32
function tensor.rand(shape, given)
  given = keyed("asl.rand", given)
  return core.uniform_(core.zeros(shape), given.seed or 0, PURPOSE_USER, given.stream or 0)
end

--- Standard normal random numbers: a pure function of seed, stream and position.
---@param shape integer[]
---@param given { seed?: integer, stream?: integer }|nil
---@return asl.Tensor  f32
function tensor.randn(shape, given)
  given = keyed("asl.randn", given)
  return core.normal_(core.zeros(shape), given.seed or 0, PURPOSE_USER, given.stream or 0)
end

--- first, first+1, ..., last.
---@param first integer
---@param last integer
---@return asl.Tensor  i64
function tensor.range(first, last)
  local values = {}
  for v = first, last do
    values[#values + 1] = v
  end
  return core.tensor(values, "i64")
end

--- The inverse of tensor:bytes().
---@param bytes string  contiguous elements, little-endian
---@param shape integer[]
---@param dtype string|nil  "f32"
---@return asl.Tensor
function tensor.frombytes(bytes, shape, dtype)
  return core.frombytes(bytes, shape, dtype)
end

--- Is this value a tensor?
---@param value any
---@return boolean
function tensor.is_tensor(value)
  return type(value) == "userdata" and getmetatable(value) == metatable
end

-- ---- shape ------------------------------------------------------------------------------------

local function sizes(first, ...)
  return type(first) == "table" and first or { first, ... }
end

--- The same elements in another shape; one size may be -1.
---@param ... integer|integer[]
---@return asl.Tensor  shares memory when contiguous
function methods:reshape(...)
  local shape, known, free = { table.unpack(sizes(...)) }, 1, nil
  for d, size in ipairs(shape) do
    if size == -1 then
      free = d
    else
      known = known * size
    end
  end
  if free then
    shape[free] = known > 0 and self:count() // known or 0
  end
  return ops.reshape(self, { rank = #shape, d1 = shape[1], d2 = shape[2], d3 = shape[3], d4 = shape[4], d5 = shape[5],
    d6 = shape[6] })
end

--- Dimensions in another order: permute(2, 1) transposes a matrix.
---@param ... integer|integer[]
---@return asl.Tensor  shares memory
function methods:permute(...)
  local p = sizes(...)
  if #p ~= #self:shape() then
    error(("permute: %d dimensions are named, the tensor has %d"):format(#p, #self:shape()), 2)
  end
  return ops.permute(self, { p1 = p[1], p2 = p[2], p3 = p[3], p4 = p[4], p5 = p[5], p6 = p[6] })
end

--- Positions first..last (both included) of one dimension; negative positions count from the end.
---@param dim integer
---@param first integer
---@param last integer|nil  default: first
---@return asl.Tensor  shares memory
function methods:slice(dim, first, last)
  local size = self:shape()[dim] or error(("slice: there is no dimension %s"):format(tostring(dim)), 2)
  last = last or first
  if first < 0 then first = size + 1 + first end
  if last < 0 then last = size + 1 + last end
  return ops.slice(self, { dim = dim, first = first, last = last })
end

--- One position of one dimension, which disappears.
---@param dim integer
---@param position integer
---@return asl.Tensor  shares memory when contiguous
function methods:select(dim, position)
  local shape = self:shape()
  table.remove(shape, dim)
  return self:slice(dim, position):reshape(shape)
end

--- Number of dimensions.
---@return integer
function methods:rank()
  return #self:shape()
end

--- Elements in row-major order without gaps: the tensor itself, or a copy.
---@return asl.Tensor
function methods:contiguous()
  return self:is_contiguous() and self or ops.cast(self, { dtype = self:dtype() })
end

local devices = { cpu = true, cuda = true, emu = true }

--- Converted to a dtype, or brought to a device. To u8: rounded; a value outside 0..255 is an error. No gradient goes
--- from device to device.
---@param what string  a dtype ("f32", "u8", ...) or a device ("cpu", "cuda")
---@return asl.Tensor  the tensor itself when it has that dtype, or is there
function methods:to(what)
  if devices[what] then return self:to_device(what) end
  return self:dtype() == what and self or ops.cast(self, { dtype = what })
end

--- A copy with memory of its own.
---@return asl.Tensor
function methods:clone()
  return ops.cast(self, { dtype = self:dtype() })
end

-- ---- in place ---------------------------------------------------------------------------------

--- Every element becomes `value`.
---@param value number
---@return asl.Tensor self
function methods:fill_(value)
  if not self:is_contiguous() then return self:copy_(core.tensor(value, self:dtype())) end
  return ops.fill(self, { value = value })
end

--- Elements copied from another tensor of the same dtype (broadcast).
---@param source asl.Tensor
---@return asl.Tensor self
function methods:copy_(source)
  return ops.copy(self, source:to_device(self:device()))
end

--- self := self + scale * other.
---@param other asl.Tensor
---@param scale number|nil  1
---@return asl.Tensor self
function methods:add_(other, scale)
  return ops.accumulate(self, other, { scale = scale or 1 })
end

-- ---- arithmetic -------------------------------------------------------------------------------

local function scalar(value, like)
  return core.tensor(value, like:dtype()):to_device(like:device())
end

--- An operator of a tensor and a tensor or number; `direct` handles a number on the right cheaply.
local function operator(op, direct)
  return function(a, b)
    if type(b) == "number" then
      return direct and direct(a, b) or op(a, scalar(b, a))
    elseif type(a) == "number" then
      return op(scalar(a, b), b)
    end
    return op(a, b)
  end
end

local function affine(scale_of, shift_of)
  return function(a, b)
    local dtype = a:dtype()
    if dtype ~= "f32" and dtype ~= "f64" then return nil end
    return ops.affine(a, { scale = scale_of(b), shift = shift_of(b) })
  end
end

local function one() return 1 end
local function zero() return 0 end
local function same(b) return b end

metatable.__add = operator(ops.add, affine(one, same))
metatable.__sub = operator(ops.sub, affine(one, function(b) return -b end))
metatable.__mul = operator(ops.mul, affine(same, zero))
metatable.__div = operator(ops.div)
metatable.__unm = function(a) return ops.affine(a, { scale = -1 }) end

methods.maximum = operator(ops.maximum)
methods.minimum = operator(ops.minimum)
methods.equal = operator(ops.equal)
methods.greater = operator(ops.greater)

for _, name in ipairs { "relu", "exp", "log", "sqrt", "abs", "sigmoid", "sign", "softmax", "log_softmax", "argmax",
  "matmul" } do
  methods[name] = ops[name]
end

--- A reduction over one dimension (counted from 1) or, without one, over all.
local function reduction(op)
  return function(self, dim, keep)
    return op(self, { dim = dim or 0, keep = keep or false })
  end
end

methods.sum = reduction(ops.sum)
methods.mean = reduction(ops.mean)
methods.max = reduction(ops.max)

--- Adds gradients of this scalar to the gradients of every leaf that requires one.
---@param seed number|nil  the gradient of the scalar itself, 1
function methods:backward(seed)
  core.backward(self, seed or 1)
end

--- A function of one tensor with a gradient rule of its own.
---@param forward fun(x: asl.Tensor): asl.Tensor  y, new and a float; not recorded
---@param gradient fun(dy: asl.Tensor, x: asl.Tensor): asl.Tensor|nil  dx of x's shape and dtype, nil = zero; it must not
---   hold on to y, which would never be freed
---@return fun(x: asl.Tensor): asl.Tensor
--- Errors: what the two raise; in backward, a dx of another shape or dtype.
function tensor.with_gradient(forward, gradient)
  return function(x)
    local before = core.grad_enable(false)
    local ok, y = pcall(forward, x)
    core.grad_enable(before)
    if not ok then error(y, 0) end
    core.record_custom(x, y, function(dy) return gradient(dy, x) end)
    return y
  end
end

-- ---- printing ---------------------------------------------------------------------------------

local EDGE = 3 -- elements shown at each end of a long dimension

local function number_text(value)
  return math.type(value) == "integer" and tostring(value) or ("%.4g"):format(value)
end

local function rows_text(t, shape, indent)
  if #shape == 0 then return number_text(t:item()) end
  local size, parts = shape[1], {}
  local inner = table.pack(table.unpack(shape, 2))
  for i = 1, size do
    if size > 2 * EDGE and i == EDGE + 1 then parts[#parts + 1] = "..." end
    if size <= 2 * EDGE or i <= EDGE or i > size - EDGE then
      parts[#parts + 1] = rows_text(t:select(1, i), inner, indent .. " ")
    end
  end
  local separator = #shape == 1 and ", " or ",\n" .. indent .. " "
  return "[" .. table.concat(parts, separator) .. "]"
end

--- "f32 2x3 [...]", or for large tensors dtype, shape, range and mean.
function metatable:__tostring()
  local ok, shape = pcall(methods.shape, self)
  if not ok then return "tensor (released)" end
  local title = ("%s %s"):format(self:dtype(), #shape == 0 and "scalar" or table.concat(shape, "x"))
  if #shape <= 2 and self:count() > 0 then
    local before = core.grad_enable(false)
    local text = rows_text(self, shape, (" "):rep(#title + 1))
    core.grad_enable(before)
    return title .. " " .. text
  end
  local low, mean, high, bad = self:summary()
  if self:count() == 0 then return title .. " (empty)" end
  return ("%s  min %.4g  mean %.4g  max %.4g%s"):format(title, low, mean, high,
    bad > 0 and ("  not finite: %d"):format(bad) or "")
end

return tensor
