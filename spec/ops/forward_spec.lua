-- Every op against the oracle: results, inputs changed in place, and inputs that must not change.

local array = require "spec.support.oracle.array"
local cases = require "spec.support.cases"
local list = require "spec.ops.cases"
local oracle = require "spec.support.oracle"

-- A result may differ from the oracle's by so much of the largest value of the result ...
local OF_SCALE = { f32 = 1e-6, f64 = 1e-14, u8 = 0, i32 = 0, i64 = 0 }

-- ... or, for these ops, of the value itself.
local OF_VALUE = { f32 = 3e-7, f64 = 1e-15, u8 = 0, i32 = 0, i64 = 0 }
local ELEMENTWISE = {}
for _, name in ipairs { "add", "sub", "mul", "div", "maximum", "minimum", "where", "relu", "exp", "log", "sqrt", "abs",
  "sigmoid", "sign", "cast", "reshape", "permute", "slice", "fill", "copy", "gather_rows", "scatter_rows", "concat",
  "max", "dropout" } do
  ELEMENTWISE[name] = true
end
local SMALLEST = 2 ^ -126 -- smaller values may count as 0

local function to_f32(x) return (string.unpack("f", string.pack("f", x))) end

local function scale_of(values)
  local scale = 0
  for _, v in ipairs(values) do
    if math.abs(v) < math.huge then scale = math.max(scale, math.abs(v)) end
  end
  return scale
end

local function compare(op, name, tensor, expected)
  local dtype, got = tensor:dtype(), array.of(tensor)
  assert.same(expected.shape, got.shape, name)
  local elementwise = ELEMENTWISE[op.name]
  local share, scale = (elementwise and OF_VALUE or OF_SCALE)[dtype], scale_of(expected)
  for k, value in ipairs(expected) do
    local want = dtype == "f32" and to_f32(value) or value
    local allowed = share * (elementwise and math.abs(want) or scale) + (share > 0 and SMALLEST or 0)
    local agrees = got[k] == want or (got[k] ~= got[k] and want ~= want) or math.abs(got[k] - want) <= allowed
    if not agrees then
      error(("%s: element %d of %s is %.9g, the oracle says %.9g; %.3g is allowed"):format(name, k,
        table.concat(got.shape, "x"), got[k], want, allowed), 0)
    end
  end
end

describe("op", function()
  cases.each(list, function(case, number, name)
    it(cases.title(name, case, number), function()
      local built = cases.build(name, case, number)
      local before = {}
      for input, t in pairs(built.inputs) do before[input] = t:bytes() end
      local expected = oracle[name](cases.arrays(built), built.params)
      local results = cases.call(built)

      for _, slot in ipairs(built.op.outputs) do
        local result = results[slot.name]
        if not slot.hidden then
          assert.equal(expected[slot.name] ~= nil, result ~= nil, slot.name .. " is present")
          if result then compare(built.op, slot.name, result, expected[slot.name]) end
        end
      end
      for input, t in pairs(built.inputs) do
        if expected[input] then
          compare(built.op, input, t, expected[input])
        else
          assert.is_true(before[input] == t:bytes(), input .. " must not change")
        end
      end
    end)
  end)
end)
