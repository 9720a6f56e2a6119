-- Every op on the device against the CPU: results, inputs changed in place, gradients; twice the same bits.

local array = require "spec.support.oracle.array"
local cases = require "spec.support.cases"
local devices = require "spec.support.devices"
local list = require "spec.ops.cases"

-- A result may differ from the CPU's by so much of the largest value of the result. The devices add in another
-- order, and expf and logf of a GPU differ in the last bits.
local ALLOWED = { f32 = 4e-6, f64 = 1e-13, u8 = 0, i32 = 0, i64 = 0 }
-- With batch statistics over two values almost all of the gradient cancels: each side is held to 4e-6 of the oracle
-- (spec/ops/gradient_spec.lua), so they may differ by twice that.
local ALLOWED_TWO_VALUES = 8e-6
local SMALLEST = 2 ^ -126 -- smaller values may count as 0

local function scale_of(values)
  local scale = 0
  for _, v in ipairs(values) do
    if math.abs(v) < math.huge then scale = math.max(scale, math.abs(v)) end
  end
  return scale
end

local function compare(what, cpu, other, floor, allowed_f32)
  assert.equal(cpu:dtype(), other:dtype(), what)
  local want, got = array.of(cpu), array.of(other)
  assert.same(want.shape, got.shape, what)
  local share = cpu:dtype() == "f32" and allowed_f32 or ALLOWED[cpu:dtype()]
  local allowed = share * math.max(scale_of(want), floor or 0) + (share > 0 and SMALLEST or 0)
  for k, v in ipairs(want) do
    local agrees = got[k] == v or (got[k] ~= got[k] and v ~= v) or math.abs(got[k] - v) <= allowed
    if not agrees then
      error(("%s: element %d of %s is %.9g, on the cpu %.9g; %.3g is allowed"):format(what, k,
        table.concat(want.shape, "x"), got[k], v, allowed), 0)
    end
  end
end

local function results_of(name, case, number, device)
  local built = cases.build(name, case, number, device)
  return cases.call(built), built.inputs
end

local function compare_all(cpu, other, floor, allowed_f32)
  for name, t in pairs(cpu) do
    assert.is_truthy(other[name], name .. " is there")
    compare(name, t, other[name], floor, allowed_f32)
  end
end

local function has_two_values(name, built)
  local x = built.inputs.x
  return name == "conv_bn_act" and built.params.training == 1 and x:count() == 2 * x:shape()[4]
end

local function same_bits(a, b)
  for name, t in pairs(a) do assert.is_true(t:bytes() == b[name]:bytes(), name .. " has other bits the second time") end
end

local busted = { it = it, pending = pending }

describe("op on a device:", devices.body(busted, function(device)
  cases.each(list, function(case, number, name)
    it(cases.title(name, case, number), function()
      local results, inputs = results_of(name, case, number, device)
      local cpu, cpu_inputs = results_of(name, case, number, "cpu")
      compare_all(cpu, results)
      compare_all(cpu_inputs, inputs)
      same_bits(results, (results_of(name, case, number, device)))
    end)
  end)
end))

describe("gradient on a device:", devices.body(busted, function(device)
  cases.each(list, function(case, number, name)
    if not cases.has_gradient(name, case, number) then return end
    it(cases.title(name, case, number), function()
      local gradients, cpu = cases.gradients(cases.build(name, case, number, device)), cases.build(name, case, number)
      compare_all(cases.gradients(cpu), gradients, 0.1, has_two_values(name, cpu) and ALLOWED_TWO_VALUES or nil)
      same_bits(gradients, (cases.gradients(cases.build(name, case, number, device))))
    end)
  end)
end))
