-- Every row of csrc/ops/ops.def has what it needs; a row added without is named here.

local cases = require "spec.support.cases"
local large = require "spec.ops.large_cases"
local list = require "spec.ops.cases"
local oracle = require "spec.support.oracle"

--- The names of rows that fail.
local function failing(ok)
  local names = {}
  for _, op in ipairs(cases.ops) do
    if not ok(op) then names[#names + 1] = op.name end
  end
  return names
end

--- The names in `slots` that no case of the op gives.
local function never_given(op, slots)
  local missing = {}
  for _, slot in ipairs(slots) do
    local given = false
    for _, case in ipairs(list[op.name] or {}) do given = given or case[slot.name] ~= nil end
    if not given then missing[#missing + 1] = op.name .. " " .. slot.name end
  end
  return missing
end

local function all_never_given(field)
  local missing = {}
  for _, op in ipairs(cases.ops) do
    local names = never_given(op, op[field])
    table.move(names, 1, #names, #missing + 1, missing)
  end
  return missing
end

describe("the table of ops", function()
  it("has an oracle for every row", function()
    assert.same({}, failing(function(op) return oracle[op.name] end))
  end)

  it("has cases for every row", function()
    assert.same({}, failing(function(op) return list[op.name] and #list[op.name] > 0 end))
  end)

  it("has a case too large for one thread for every row that computes", function()
    assert.same({}, failing(function(op) return op.view or large[op.name] end))
  end)

  it("has a gradient rule for every differentiable row, and for no other", function()
    assert.same({}, failing(function(op) return op.has_rule == op.differentiable end))
  end)

  it("has a gradient case for every differentiable row", function()
    assert.same({}, failing(function(op)
      if not op.differentiable then return true end
      for number, case in ipairs(list[op.name]) do
        if cases.has_gradient(op.name, case, number) then return true end
      end
      return false
    end))
  end)

  it("has a case that gives every input, and one that gives every parameter", function()
    assert.same({}, all_never_given "inputs")
    assert.same({}, all_never_given "params")
  end)

  it("has a case without every optional input", function()
    local missing = {}
    for _, op in ipairs(cases.ops) do
      for _, slot in ipairs(op.inputs) do
        local without = not slot.optional
        for _, case in ipairs(list[op.name]) do without = without or case[slot.name] == nil end
        if not without then missing[#missing + 1] = op.name .. " " .. slot.name end
      end
    end
    assert.same({}, missing)
  end)

  it("has a case with an input that is not contiguous for every row", function()
    assert.same({}, failing(function(op)
      for number, case in ipairs(list[op.name]) do
        for _, t in pairs(cases.build(op.name, case, number).inputs) do
          if not t:is_contiguous() then return true end
        end
      end
      return op.in_place -- what is written must be contiguous; only copy and accumulate read another tensor
    end))
  end)

  it("has no cases and no oracle of something else", function()
    for name in pairs(list) do assert.is_truthy(cases.op[name], name) end
    for name in pairs(large) do assert.is_truthy(cases.op[name], name) end
  end)
end)

describe("Philox4x32-10", function()
  it("gives the known answers of Salmon et al.'s Random123", function()
    assert.same({ 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8 }, oracle.philox({ 0, 0, 0, 0 }, { 0, 0 }))
    local ones = 0xffffffff
    assert.same({ 0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd },
      oracle.philox({ ones, ones, ones, ones }, { ones, ones }))
    assert.same({ 0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1 },
      oracle.philox({ 0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344 }, { 0xa4093822, 0x299f31d0 }))
  end)

  it("is what core.random computes, with the purpose in the key", function()
    local asl = require "asl"
    assert.same({ 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8 }, { asl.core.random(0, 0, 0, 0) })
    assert.same({ 0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd }, { asl.core.random(-1, 0, -1, -1) })
    assert.same({ 0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1 },
      { asl.core.random(0x299f31d0a4093822, 0, 0x0370734413198a2e, 0x85a308d3243f6a88) })
    local purpose = 3
    assert.same(oracle.philox({ 5, 0, 9, 0 }, { 7, purpose * 0x9E3779B9 & 0xffffffff }),
      { asl.core.random(7, purpose, 9, 5) })
  end)
end)
