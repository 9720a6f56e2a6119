--- Ops on a device against the CPU: what the specs of spec/cuda compare with.

local asl = require "asl"
local assert = require "luassert"

local on = {}

---@param shape integer[]
---@param seed integer
---@param dtype string|nil  "f32"
function on.randn(shape, seed, dtype) return asl.randn(shape, { seed = seed }):to(dtype or "f32") end
function on.bytes_tensor(values) return asl.tensor(values, { dtype = "u8" }) end
function on.ints(values) return asl.tensor(values, { dtype = "i64" }) end

--- Whole numbers from 0 to high.
---@param shape integer[]
---@param high integer
---@param seed integer
---@param dtype string
function on.whole(shape, high, seed, dtype)
  local count, numbers = 1, {}
  for _, n in ipairs(shape) do count = count * n end
  for k = 1, count do numbers[k] = asl.core.random(seed, 16, 1, k) % (high + 1) end
  return asl.tensor(numbers, { dtype = dtype }):reshape(shape)
end

--- The n-th result of an op with these inputs on a device; false stands for an input that is not there.
---@param device string
---@param name string  of the op
---@param inputs (asl.Tensor|false)[]
---@param options table|nil
---@param n integer|nil  1
---@return asl.Tensor
function on.run(device, name, inputs, options, n)
  local given = {}
  for k, t in ipairs(inputs) do given[k] = t and t:to(device) or nil end
  given[#inputs + 1] = options or {}
  return (select(n or 1, asl.ops[name](table.unpack(given, 1, #inputs + 1))))
end

--- The result has the CPU's bytes.
function on.same_bytes(device, name, inputs, options, n)
  local cpu, other = on.run("cpu", name, inputs, options, n), on.run(device, name, inputs, options, n)
  assert.same(cpu:shape(), other:shape())
  assert.equal(cpu:dtype(), other:dtype())
  assert.is_true(cpu:bytes() == other:bytes(), name .. " differs from the cpu's")
end

--- Elements differ by at most `share` of the largest one.
---@param want asl.Tensor
---@param got asl.Tensor
---@param share number
function on.close(want, got, share)
  assert.same(want:shape(), got:shape())
  local scale = math.max(want:to("f64"):abs():max():item(), 1e-30)
  local worst = (want:to("f64") - got:to("cpu"):to("f64")):abs():max():item()
  assert.is_true(worst <= share * scale, ("differs by %g, the largest is %g"):format(worst, scale))
end

--- The result is the CPU's but for roundings.
function on.near(device, name, inputs, options, n)
  on.close(on.run("cpu", name, inputs, options, n), on.run(device, name, inputs, options, n), 2e-6)
end

--- t with its dimensions in another order in memory.
function on.strided(t, ...)
  local order, back = { ... }, {}
  for k, d in ipairs(order) do back[d] = k end
  return t:permute(order):clone():permute(back)
end

--- A contiguous tensor that begins `skip` elements into its memory: not aligned.
function on.unaligned(t, skip)
  local n = t:count()
  local base = asl.zeros({ n + skip }, { dtype = t:dtype(), device = t:device() })
  base:slice(1, skip + 1, skip + n):copy_(t:reshape(n))
  return base:slice(1, skip + 1, skip + n)
end

--- f() fails with this message, wherever it was called.
function on.fails(message, f)
  local ok, got = pcall(f)
  assert.is_false(ok)
  assert.equal(message, (got:gsub("^[^ ]*%.lua:%d+: ", "")))
end

return on
