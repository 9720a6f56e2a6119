-- Every differentiable op: the gradient of a weighted sum of its results, for every input, against central
-- differences of the oracle. And the fused blocks against the plain ops they are made of.

local array = require "spec.support.oracle.array"
local asl = require "asl"
local cases = require "spec.support.cases"
local gradcheck = require "spec.support.gradcheck"
local list = require "spec.ops.cases"

-- Relative; the gradients are f32, or f64 where the inputs are.
local ALLOWED = { f32 = 4e-6, f64 = 1e-8 }

local function check_gradients(built)
  local arrays = cases.arrays(built) -- before the op moves running statistics
  local gradients, upstream = cases.gradients(built)
  local f = gradcheck.loss(built, arrays, upstream)
  for _, name in ipairs(cases.differentiable(built)) do
    local t = built.inputs[name]
    assert.is_truthy(gradients[name], name .. " has a gradient")
    assert.same(t:shape(), gradients[name]:shape())
    local worst, where = gradcheck.difference(f, arrays[name], array.of(gradients[name]), 0.1)
    if not (worst <= ALLOWED[t:dtype()]) then
      error(("gradient of %s, %s: differs by %.3g, %.3g is allowed"):format(name, where, worst, ALLOWED[t:dtype()]), 0)
    end
  end
end

describe("gradient of", function()
  cases.each(list, function(case, number, name)
    if not cases.has_gradient(name, case, number) then return end
    it(cases.title(name, case, number), function() check_gradients(cases.build(name, case, number)) end)
  end)
end)

-- ---- fused against plain ----------------------------------------------------------------------

local FUSED_ALLOWED = 2e-6 -- of the largest value

-- With batch statistics over two values almost all of the gradient cancels, and what is left is the rounding of
-- 1 / std, which may differ in its last bit; each side alone is held to the oracle's bound above.
local FUSED_ALLOWED_TWO_VALUES = 8e-6

local function allowed_of(name, fused, results)
  local y = results.y and results.y:shape()
  local two = name == "conv_bn_act" and fused.params.training == 1 and y[1] * y[2] * y[3] == 2
  return two and FUSED_ALLOWED_TWO_VALUES or FUSED_ALLOWED
end

local function assert_close(a, b, what, allowed)
  local x, y = array.of(a), array.of(b)
  assert.same(x.shape, y.shape, what)
  local scale = 0.1
  for _, v in ipairs(x) do scale = math.max(scale, math.abs(v)) end
  for k, v in ipairs(x) do
    if not (math.abs(v - y[k]) <= (allowed or FUSED_ALLOWED) * scale) then
      error(("%s: element %d is %.9g fused and %.9g in plain ops"):format(what, k, v, y[k]), 0)
    end
  end
end

--- conv_bn_act in plain ops.
local function plain_block(i, p)
  local z = asl.ops.conv2d(i.x, i.weight, i.bias,
    { stride = p.stride, padding = p.padding, dilation = p.dilation, groups = p.groups })
  local y = asl.ops.batch_norm(z, i.gamma, i.beta, i.running_mean, i.running_var,
    { training = p.training, momentum = p.momentum, eps = p.eps, relu = p.relu == 1 and not i.residual })
  if not i.residual then return { y = y } end
  return { y = p.relu == 1 and (y + i.residual):relu() or y + i.residual }
end

local function plain_loss(i, p)
  local labels = i.labels:shape()
  local full = asl.ops.resize(i.logits, { height = labels[2], width = labels[3], align_corners = p.align_corners })
  local loss, valid = asl.ops.cross_entropy(full, i.labels, i.class_weight, i.pixel_weight, i.count,
    { normaliser = p.normaliser, smoothing = p.smoothing, temperature = p.temperature })
  return { loss = loss, valid = valid }
end

local function plain_soft_loss(i, p)
  local function log_softmax(logits)
    local full = asl.ops.resize(logits, { height = p.height, width = p.width, align_corners = p.align_corners })
    return asl.ops.log_softmax(full * (1 / p.temperature))
  end
  local log_p, log_q = log_softmax(i.logits), log_softmax(i.target)
  local size = { log_p:shape()[1], p.height, p.width }
  local weight = i.labels and asl.ops.where(asl.ops.equal(i.labels, asl.full({}, 255, { dtype = "u8" })),
    asl.zeros(size), asl.ones(size)) or asl.ones(size)
  local valid = weight:sum()
  weight = i.pixel_weight and weight * i.pixel_weight or weight
  local per_pixel = (log_q:exp() * ((p.divergence == 1 and log_q or log_q * 0) - log_p)):sum(4)
  local normaliser = i.count and math.max(i.count:item(), 1) or p.normaliser ~= 0 and p.normaliser
    or math.max(valid:item(), 1)
  return { loss = (per_pixel * weight):sum() * (1 / normaliser), valid = valid:to "i64" }
end

local function plain_resize_concat(i)
  local size, parts = i.x:shape(), { i.x }
  for _, name in ipairs { "a", "b", "c", "d" } do
    parts[#parts + 1] = i[name] and asl.ops.resize(i[name], { height = size[2], width = size[3] }) or nil
  end
  parts[#parts + 1] = { dim = 4 }
  return { y = asl.ops.concat(table.unpack(parts)) }
end

local function plain_pyramid(i, p)
  local results = {}
  for k = 1, 4 do
    results["y" .. k] = asl.ops.adaptive_avg_pool(i.x, { height = p["b" .. k], width = p["b" .. k] })
  end
  return results
end

local FUSED = { conv_bn_act = plain_block, upsample_cross_entropy = plain_loss,
  upsample_soft_cross_entropy = plain_soft_loss, resize_concat = plain_resize_concat,
  pyramid_pool = plain_pyramid }

describe("fused equals plain:", function()
  local fused_cases = {}
  for name in pairs(FUSED) do fused_cases[name] = list[name] end
  cases.each(fused_cases, function(case, number, name)
    it(cases.title(name, case, number), function()
      local fused, plain = cases.build(name, case, number), cases.build(name, case, number)
      local gradients, upstream, results = cases.gradients(fused)
      for _, input in ipairs(cases.differentiable(plain)) do plain.inputs[input]:requires_grad_() end
      local others, loss = FUSED[name](plain.inputs, plain.params), nil
      for _, u in ipairs(upstream) do
        local term = (others[u.name] * u.weight):sum()
        loss = loss and loss + term or term
      end
      loss:backward()
      local allowed = allowed_of(name, fused, results)
      for output, result in pairs(results) do assert_close(result, others[output], output) end
      for input, gradient in pairs(gradients) do
        local other = plain.inputs[input]:grad()
        -- A bias before batch statistics has no effect; plain ops find this up to rounding, the block knows.
        if input == "bias" and fused.params.training == 1 then other:fill_(0) end
        assert_close(gradient, other, "gradient of " .. input, allowed)
      end
      for _, buffer in ipairs { "running_mean", "running_var" } do
        if fused.inputs[buffer] then assert_close(fused.inputs[buffer], plain.inputs[buffer], buffer) end
      end
    end)
  end)
end)
