--- Cases of ops: how to write their inputs down, build them and call the op.
---
--- A case is a table with a recipe for every input and a value for every parameter that is not the
--- default: { x = normal { 2, 5, 7, 3 }, weight = normal { 4, 3, 3, 3 }, stride = 2 }; gradient = false where
--- the op has no derivative at these values. Values are a pure function of the case's number and of the
--- input's place.

local array = require "spec.support.oracle.array"
local asl = require "asl"

local cases = {}

-- ---- the table of ops -------------------------------------------------------------------------

cases.ops = asl.core.op_table()
cases.op = {}
for _, op in ipairs(cases.ops) do cases.op[op.name] = op end

-- ---- recipes ----------------------------------------------------------------------------------

--- make(seed, stream, inputs so far, device) returns the tensor; text describes it.
local function recipe(text, make)
  return { text = text, make = make }
end

--- A recipe whose values are made on the CPU and brought to the device.
local function leaf(text, make)
  return recipe(text, function(seed, stream, inputs, device) return make(seed, stream, inputs):to(device) end)
end

local function size_text(shape)
  return #shape == 0 and "scalar" or table.concat(shape, "x")
end

--- Normal numbers, times scale, plus shift.
---@param given integer[]|{ scale?: number, shift?: number }  a shape
function cases.normal(given)
  return leaf(size_text(given), function(seed, stream)
    return asl.randn(given, { seed = seed, stream = stream }) * (given.scale or 1) + (given.shift or 0)
  end)
end

--- Numbers between low (0) and high (1).
---@param given integer[]|{ low?: number, high?: number }  a shape
function cases.uniform(given)
  local low, high = given.low or 0, given.high or 1
  return leaf(size_text(given), function(seed, stream)
    return asl.rand(given, { seed = seed, stream = stream }) * (high - low) + low
  end)
end

--- Whole numbers between low (0) and high, both included.
---@param given integer[]|{ low?: integer, high: integer, dtype: string }  a shape
function cases.whole(given)
  local low = given.low or 0
  return leaf(given.dtype .. " " .. size_text(given), function(seed, stream)
    local n, numbers = array.count(given), {}
    for k = 1, n do
      numbers[k] = low + asl.core.random(seed, 16, stream, k) % (given.high - low + 1)
    end
    return asl.tensor(numbers, { dtype = given.dtype }):reshape({ table.unpack(given) })
  end)
end

--- Label maps: classes 0 .. classes - 1, one pixel in `every` (4) is ignored.
---@param given integer[]|{ classes: integer, every?: integer }  a shape
function cases.labels(given)
  local every = given.every or 4
  return leaf(size_text(given), function(seed, stream)
    local labels = {}
    for k = 1, array.count(given) do
      local class, chance = asl.core.random(seed, 16, stream, k)
      labels[k] = chance % every == 0 and asl.IGNORE or class % given.classes
    end
    return asl.tensor(labels, { dtype = "u8" }):reshape({ table.unpack(given) })
  end)
end

--- These values.
---@param values number|table  nested
---@param dtype string|nil  "f32"
function cases.values(values, dtype)
  return leaf((dtype and dtype .. " " or "") .. "values", function()
    return asl.tensor(values, { dtype = dtype })
  end)
end

--- One value everywhere.
---@param shape integer[]
---@param value number
---@param dtype string|nil  "f32"
function cases.full(shape, value, dtype)
  return leaf(size_text(shape), function() return asl.full(shape, value, { dtype = dtype }) end)
end

--- f(inputs so far) as a tensor.
---@param f fun(inputs: table<string, asl.Tensor>): asl.Tensor
function cases.derived(f)
  return leaf("derived", function(_, _, inputs)
    local host = {}
    for name, t in pairs(inputs) do host[name] = t:to("cpu") end
    return f(host)
  end)
end

--- A recipe's values in f64, with bits that f32 does not have.
function cases.doubles(inner)
  return recipe("f64 " .. inner.text, function(...) return inner.make(...):to("f64") / 3 end)
end

local function reversed(rank)
  local order = {}
  for d = 1, rank do order[d] = rank + 1 - d end
  return order
end

--- A recipe's values with strides that fall instead of rise: a permuted view.
function cases.strided(inner)
  return recipe(inner.text .. " strided", function(...)
    local t = inner.make(...)
    local order = reversed(t:rank())
    return t:permute(order):clone():permute(order)
  end)
end

--- A recipe's values as a part of a larger tensor: a sliced view.
function cases.window(inner)
  return recipe(inner.text .. " window", function(...)
    local t = inner.make(...)
    local size, larger = t:shape(), {}
    for d, n in ipairs(size) do larger[d] = n + 3 end
    local view = asl.full(larger, 77, { dtype = t:dtype(), device = t:device() })
    for d, n in ipairs(size) do view = view:slice(d, 2, n + 1) end
    return view:copy_(t)
  end)
end

-- ---- building and calling ---------------------------------------------------------------------

--- What a case is, in words: "conv2d 2: x 1x7x9x3, weight 8x3x3x3, bias 8, stride=2".
function cases.title(name, case, number)
  local op, words = cases.op[name], {}
  for _, slot in ipairs(op.inputs) do
    if case[slot.name] then words[#words + 1] = slot.name .. " " .. case[slot.name].text end
  end
  for _, param in ipairs(op.params) do
    local value = case[param.name]
    if value ~= nil then words[#words + 1] = param.name .. "=" .. tostring(value) end
  end
  return ("%s %d: %s"):format(name, number, table.concat(words, ", "))
end

local function check_keys(op, case, number)
  local known = { gradient = true }
  for _, slot in ipairs(op.inputs) do known[slot.name] = true end
  for _, param in ipairs(op.params) do known[param.name] = true end
  for key in pairs(case) do
    assert(known[key], ("case %d of %s: %s is no input or parameter"):format(number, op.name, key))
  end
end

---@class asl.Case
---@field op table  its row of core.op_table()
---@field inputs table<string, asl.Tensor>
---@field options table<string, any>  the parameters that were given
---@field params table<string, number|string>  all of them, booleans as 0 and 1

--- Inputs and parameters of a case; each call makes new tensors.
---@param name string  of the op
---@param case table
---@param number integer
---@param device string|nil  "cpu"
---@return asl.Case
function cases.build(name, case, number, device)
  local op = cases.op[name]
  local built = { op = op, inputs = {}, options = {}, params = {} }
  check_keys(op, case, number)
  for stream, slot in ipairs(op.inputs) do
    local r = case[slot.name]
    if r then built.inputs[slot.name] = r.make(number, stream, built.inputs, device or "cpu") end
  end
  for _, param in ipairs(op.params) do
    local value = case[param.name]
    built.options[param.name] = value
    if value == nil then value = param.default end
    if type(value) == "boolean" then value = value and 1 or 0 end
    built.params[param.name] = value
  end
  return built
end

--- Calls the op; the results by name, for an op in place its first input.
---@param built asl.Case
---@return table<string, asl.Tensor>
function cases.call(built)
  local inputs, op = {}, built.op
  for k, slot in ipairs(op.inputs) do inputs[k] = built.inputs[slot.name] end
  inputs[#op.inputs + 1] = built.options
  local values, results, at = table.pack(asl.ops[op.name](table.unpack(inputs, 1, #op.inputs + 1))), {}, 1
  if op.in_place then return { [op.inputs[1].name] = values[1] } end
  for _, slot in ipairs(op.outputs) do
    if not slot.hidden then
      results[slot.name] = values[at]
      at = at + 1
    end
  end
  return results
end

--- The inputs as arrays of the oracle.
---@param built asl.Case
---@return table<string, asl.Array>
function cases.arrays(built)
  local arrays = {}
  for name, t in pairs(built.inputs) do arrays[name] = array.of(t) end
  return arrays
end

--- Calls f(case, number, name) for every case of every op in a list of cases, in the order of the table.
---@param list table<string, table[]>
---@param f fun(case: table, number: integer, name: string)
function cases.each(list, f)
  for _, op in ipairs(cases.ops) do
    for number, case in ipairs(list[op.name] or {}) do f(case, number, op.name) end
  end
end

-- ---- gradients --------------------------------------------------------------------------------

local NO_GRADIENT = { -- inputs of differentiable ops that are constants to them
  running_mean = true, running_var = true, class_weight = true, pixel_weight = true, target = true, like = true,
}

--- Names of the inputs a gradient is for, in the order of the table.
---@param built asl.Case
---@return string[]
function cases.differentiable(built)
  local names = {}
  for _, slot in ipairs(built.op.differentiable and built.op.inputs or {}) do
    local t = built.inputs[slot.name]
    if t and (t:dtype() == "f32" or t:dtype() == "f64") and not NO_GRADIENT[slot.name] then
      names[#names + 1] = slot.name
    end
  end
  return names
end

--- Is there a gradient to check in this case?
function cases.has_gradient(name, case, number)
  return case.gradient ~= false and #cases.differentiable(cases.build(name, case, number)) > 0
end

--- Calls the op and takes the gradient of the sum of all outputs times `upstream` weights.
---@param built asl.Case
---@return table<string, asl.Tensor> gradients  by input
---@return { name: string, weight: asl.Tensor }[] upstream
---@return table<string, asl.Tensor> results
function cases.gradients(built)
  for _, name in ipairs(cases.differentiable(built)) do built.inputs[name]:requires_grad_() end
  local results, loss, upstream = cases.call(built), nil, {}
  for k, slot in ipairs(built.op.outputs) do
    local y = results[slot.name]
    if y and y:requires_grad() then
      local weight = asl.randn(y:shape(), { seed = 1, stream = k }):to(y:dtype()):to(y:device())
      upstream[#upstream + 1] = { name = slot.name, weight = weight }
      local term = (y * weight):sum()
      loss = loss and loss + term or term
    end
  end
  loss:backward()
  local gradients = {}
  for _, name in ipairs(cases.differentiable(built)) do gradients[name] = built.inputs[name]:grad() end
  return gradients, upstream, results
end

return cases
