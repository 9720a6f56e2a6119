--- Oracle: softmax, losses, evaluation, normalisation of pictures, optimisers.

local array = require "spec.support.oracle.array"
local resampling = require "spec.support.oracle.resampling"

local oracle = {}
local IGNORE = 255

-- ---- softmax and cross entropy ----------------------------------------------------------------

--- log softmax of the n values after position p, divided by a temperature (1).
local function log_softmax(x, p, n, temperature)
  local top, sum, result, t = -math.huge, 0, {}, temperature or 1
  for c = 1, n do top = math.max(top, x[p + c]) end
  for c = 1, n do sum = sum + math.exp((x[p + c] - top) / t) end
  for c = 1, n do result[c] = (x[p + c] - top) / t - math.log(sum) end
  return result
end

function oracle.log_softmax(i)
  local y, n = array.new(i.x.shape, 0), i.x.shape[#i.x.shape]
  for p = 0, #i.x - 1, n do
    for c, value in ipairs(log_softmax(i.x, p, n)) do y[p + c] = value end
  end
  return { y = y }
end

function oracle.softmax(i)
  return { y = array.map(math.exp, oracle.log_softmax(i).y) }
end

--- f(position of the label, position before its logits) for every valid label.
local function each_valid(i, classes, f)
  for p, label in ipairs(i.labels) do
    if label ~= IGNORE then f(p, (p - 1) * classes) end
  end
end

local function count_valid(labels)
  local n = 0
  for _, label in ipairs(labels) do n = n + (label ~= IGNORE and 1 or 0) end
  return n
end

--- What a loss is divided by.
local function divisor(i, p, valid)
  if i.count then return math.max(i.count[1], 1) end
  return p.normaliser ~= 0 and p.normaliser or math.max(valid, 1)
end

--- How much of every class a pixel wants, so that its loss is -sum_c wanted_c log p_c: label smoothing of
--- Szegedy et al. 2016 as torch.nn.functional.cross_entropy has it, weights of classes and pixels.
local function wanted(i, p, at, classes)
  local q, label, v = {}, i.labels[at] + 1, i.pixel_weight and i.pixel_weight[at] or 1
  for c = 1, classes do
    local w = i.class_weight and i.class_weight[c] or 1
    q[c] = v * w * ((c == label and 1 - p.smoothing or 0) + p.smoothing / classes)
  end
  return q
end

function oracle.cross_entropy(i, p)
  local sum, valid, classes = 0, count_valid(i.labels), i.logits.shape[4]
  each_valid(i, classes, function(at, logits)
    local log_p = log_softmax(i.logits, logits, classes, p.temperature)
    for c, q in ipairs(wanted(i, p, at, classes)) do sum = sum - q * log_p[c] end
  end)
  local normaliser = divisor(i, p, valid)
  return { loss = array.new({}, valid > 0 and sum / normaliser or 0), valid = array.new({}, valid) }
end

function oracle.cross_entropy_backward(i, p)
  local classes, dlogits = i.logits.shape[4], array.new(i.logits.shape, 0)
  local normaliser = divisor(i, p, count_valid(i.labels))
  each_valid(i, classes, function(at, logits)
    local log_p, q, total = log_softmax(i.logits, logits, classes, p.temperature), wanted(i, p, at, classes), 0
    for c = 1, classes do total = total + q[c] end
    for c = 1, classes do
      dlogits[logits + c] = i.dloss[1] * (total * math.exp(log_p[c]) - q[c]) / normaliser / p.temperature
    end
  end)
  return { dlogits = dlogits }
end

local function upsampled(logits, height, width, p)
  return resampling.resized(logits, height, width, p.align_corners == 1)
end

function oracle.upsample_cross_entropy(i, p)
  local logits = upsampled(i.logits, i.labels.shape[2], i.labels.shape[3], p)
  return oracle.cross_entropy({ logits = logits, labels = i.labels, class_weight = i.class_weight,
    pixel_weight = i.pixel_weight, count = i.count }, p)
end

function oracle.upsample_soft_cross_entropy(i, p)
  local logits, target = upsampled(i.logits, p.height, p.width, p), upsampled(i.target, p.height, p.width, p)
  local labels = i.labels or array.new({ i.logits.shape[1], p.height, p.width }, 0)
  local sum, valid, classes = 0, count_valid(labels), i.logits.shape[4]
  each_valid({ labels = labels }, classes, function(at, first)
    local log_p = log_softmax(logits, first, classes, p.temperature)
    local v = i.pixel_weight and i.pixel_weight[at] or 1
    for c, log_q in ipairs(log_softmax(target, first, classes, p.temperature)) do
      sum = sum + v * math.exp(log_q) * ((p.divergence == 1 and log_q or 0) - log_p[c])
    end
  end)
  local normaliser = divisor(i, p, valid)
  return { loss = array.new({}, sum / normaliser), valid = array.new({}, valid) }
end

-- ---- evaluation -------------------------------------------------------------------------------

function oracle.upsample_argmax(i, p)
  local logits = upsampled(i.logits, p.height, p.width, p)
  local n, classes = #logits // logits.shape[4], logits.shape[4]
  return { y = array.new({ logits.shape[1], p.height, p.width }, function(pixel)
    assert(pixel <= n)
    local best, first = 1, (pixel - 1) * classes
    for c = 2, classes do
      if logits[first + c] > logits[first + best] then best = c end
    end
    return best - 1
  end) }
end

function oracle.confusion(i, p)
  local y = array.new({ p.classes, p.classes }, 0)
  each_valid(i, 1, function(at)
    local cell = i.labels[at] * p.classes + i.prediction[at] + 1
    y[cell] = y[cell] + 1
  end)
  return { y = y }
end

function oracle.upsample_confusion(i, p)
  local size = i.labels.shape
  local map = oracle.upsample_argmax({ logits = i.logits },
    { height = size[2], width = size[3], align_corners = p.align_corners })
  return oracle.confusion({ prediction = map.y, labels = i.labels }, { classes = i.logits.shape[4] })
end

function oracle.count_valid(i, p)
  local n = 0
  for _, label in ipairs(i.labels) do n = n + (label ~= p.ignore and 1 or 0) end
  return { y = array.new({}, n) }
end

function oracle.normalise(i, p)
  local mean, std = { p.mean1, p.mean2, p.mean3 }, { p.std1, p.std2, p.std3 }
  return { y = array.new(i.x.shape, function(k)
    local c = (k - 1) % 3 + 1
    return (i.x[k] / 255 - mean[c]) / std[c]
  end) }
end

-- ---- optimisers -------------------------------------------------------------------------------

--- A guard that is there and not finite stops the step.
local function stopped(guard)
  return guard and not (math.abs(guard[1]) < math.huge)
end

--- torch.optim.SGD: g += decay w; v = momentum v + g, in the first step g; w -= lr v, with Nesterov
--- lr (g + momentum v).
function oracle.sgd_step(i, p)
  if stopped(i.guard) then return { weight = i.weight, velocity = i.velocity } end
  local g = array.map(function(gradient, w) return gradient + p.decay * w end, i.gradient, i.weight)
  local velocity = array.map(function(v, d) return p.first == 1 and d or p.momentum * v + d end, i.velocity, g)
  return { velocity = velocity, weight = array.map(function(w, d, v)
    return w - p.lr * (p.nesterov == 1 and d + p.momentum * v or v)
  end, i.weight, g, velocity) }
end

--- torch.optim.Adam (decay is part of the gradient) and, decoupled, torch.optim.AdamW (decay shrinks the
--- weights first).
function oracle.adam_step(i, p)
  if stopped(i.guard) then return { weight = i.weight, m = i.m, v = i.v } end
  local coupled = p.decoupled == 1 and 0 or p.decay
  local shrink = p.decoupled == 1 and 1 - p.lr * p.decay or 1
  local w = array.map(function(weight) return weight * shrink end, i.weight)
  local g = array.map(function(gradient, weight) return gradient + coupled * weight end, i.gradient, w)
  local m = array.map(function(old, d) return p.beta1 * old + (1 - p.beta1) * d end, i.m, g)
  local v = array.map(function(old, d) return p.beta2 * old + (1 - p.beta2) * d * d end, i.v, g)
  return { m = m, v = v, weight = array.map(function(weight, m1, v1)
    local mhat, vhat = m1 / (1 - p.beta1 ^ p.step), v1 / (1 - p.beta2 ^ p.step)
    return weight - p.lr * mhat / (math.sqrt(vhat) + p.eps)
  end, w, m, v) }
end

return oracle
