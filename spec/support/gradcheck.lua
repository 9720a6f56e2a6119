--- Gradients against central differences of the oracle, in double precision.

local array = require "spec.support.oracle.array"
local asl = require "asl"
local oracle = require "spec.support.oracle"

local gradcheck = {}

local STEP = 1e-5 -- differences are exact to about STEP^2; cases lie further than this from kinks
local ALL, SOME, DIRECTIONS = 16, 4, 4 -- elements checked alone, if there are more: how many; directions
local PURPOSE = 16

--- What is varied: every element alone, or some and random directions of +1 and -1 through all.
local function probes(n)
  local list = {}
  for k = 1, math.min(n, n <= ALL and ALL or SOME) do
    list[k] = { [n <= ALL and k or asl.core.random(k, PURPOSE, 0, n) % n + 1] = 1 }
  end
  for d = 1, n > ALL and DIRECTIONS or 0 do
    local direction = {}
    for e = 1, n do direction[e] = asl.core.random(d, PURPOSE, 1, e) % 2 * 2 - 1 end
    list[#list + 1] = direction
  end
  return list
end

--- The largest difference between an analytic gradient and central differences of f, over several directions:
--- relative to the length of the direction and the largest value of the gradient, or `floor` where that is less.
---@param f fun(): number  reads `values`
---@param values asl.Array  varied, and left as they were
---@param gradient asl.Array
---@param floor number
---@return number worst
---@return string where
function gradcheck.difference(f, values, gradient, floor)
  local scale, worst, where = floor, 0, ""
  for _, g in ipairs(gradient) do scale = math.max(scale, math.abs(g)) end
  for number, direction in ipairs(probes(#values)) do
    local analytic, squares, original = 0, 0, {}
    for e, v in pairs(direction) do original[e], squares = values[e], squares + v * v end
    for e = 1, #values do analytic = analytic + (direction[e] or 0) * gradient[e] end
    local function at(step)
      for e, v in pairs(direction) do values[e] = original[e] + step * v end
      return f()
    end
    local numeric = (at(STEP) - at(-STEP)) / (2 * STEP)
    at(0)
    local difference = math.abs(numeric - analytic) / (scale * math.sqrt(squares))
    if not (difference <= worst) then
      worst = difference
      where = ("direction %d: %.9g, differences of the oracle give %.9g"):format(number, analytic, numeric)
    end
  end
  return worst, where
end

--- The sum of the oracle's results times their upstream weights, for gradcheck.difference.
---@param built asl.Case
---@param arrays table<string, asl.Array>  the inputs
---@param upstream { name: string, weight: asl.Tensor }[]
---@return fun(): number
function gradcheck.loss(built, arrays, upstream)
  local weights = {}
  for k, u in ipairs(upstream) do weights[k] = array.of(u.weight) end
  return function()
    local results, sum = oracle[built.op.name](arrays, built.params), 0
    for k, u in ipairs(upstream) do
      for e, y in ipairs(results[u.name]) do sum = sum + y * weights[k][e] end
    end
    return sum
  end
end

return gradcheck
