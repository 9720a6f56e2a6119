--- Scores: one number per sample of a data set, to choose by which samples are worth keeping.

local core = require "asl.core"
local fault = require "asl.fault"
local loss = require "asl.loss"
local nearest = require "asl.nearest"
local options = require "asl.options"

local score = {}

local BATCH = 8
local LEAST_LOG = -104 -- exp of it is 0 in f32, so 0 log 0 is 0 and not a NaN

--- Score of one picture: logits f32 (1,h,w,C), label u8 (1,H,W).
local metric = {}

function metric.loss(logits, label)
  return loss.cross_entropy(logits, label):item()
end

function metric.confidence(logits)
  return logits:softmax():max(4):mean():item()
end

function metric.entropy(logits)
  local p, log_p = logits:softmax(), logits:log_softmax()
  return -(p * log_p:maximum(LEAST_LOG)):sum(4):mean():item()
end

local function metric_of(name)
  if metric[name] then return metric[name] end
  local known = {}
  for what in pairs(metric) do known[#known + 1] = what end
  table.sort(known)
  local guess = nearest.one(tostring(name), known)
  return error(("asl.score.dataset: there is no metric %q (known: %s)%s"):format(tostring(name), table.concat(known, ", "),
    guess and ("; did you mean %q?"):format(guess) or ""), 3)
end

local function request(loader, data, first, size)
  local rows = {}
  for position = first, math.min(first + BATCH - 1, #data) do
    rows[#rows + 1] = { dataset = data, position = position }
  end
  return #rows > 0 and loader:request { rows = rows, size = size, seed = 0, step = 0 } or nil
end

local function score_batch(net, data, first, batch, of, scores)
  local logits = net(batch.image)
  for row = 1, logits:shape()[1] do
    local id = data.ids[first + row - 1]
    local value = of(logits:slice(1, row), batch.label:slice(1, row))
    if value ~= value or math.abs(value) == math.huge then
      fault.raise(("the score of %q is %s"):format(id, tostring(value)), { level = 0, exit_code = fault.exit.not_finite })
    end
    scores[id] = value
  end
end

--- Scores every sample of a data set once, by a network in evaluation mode, on whole pictures without augmentation.
---@param net asl.Module
---@param data asl.Dataset
---@param name string
---   "loss": cross entropy, mean over the labelled pixels (nats), 0 where there is none;
---   "confidence": probability of the most probable class, mean over the network's output pixels, in [1/C, 1];
---   "entropy": -sum_c p_c log p_c (Shannon, nats), mean over the network's output pixels, in [0, log C]
---@param given { loader: asl.Loader, size: integer[] }  size: {H, W} at which pictures are scored
---@return table<string, number> scores  by sample id
---@error unknown metric; a sample that cannot be read; a score that is not finite, naming the sample (exit code 76)
function score.dataset(net, data, name, given)
  given = options.check("asl.score.dataset", given, { loader = options.required, size = options.require "table" })
  local of, scores = metric_of(name), {}
  net:inference(function()
    local ticket = request(given.loader, data, 1, given.size)
    for first = 1, #data, BATCH do
      local scope <close> = core.scope()
      local batch = given.loader:wait(ticket)
      ticket = request(given.loader, data, first + BATCH, given.size) -- decoded while this one is computed
      score_batch(net, data, first, batch, of, scores)
    end
  end)
  local scored = 0
  for _ in pairs(scores) do scored = scored + 1 end
  if scored ~= #data then error(("%s: %d of %d samples were scored"):format(data.name, scored, #data)) end
  return scores
end

local orders = {
  lowest = function(_, k) return k end,
  highest = function(_, k) return k end,
  evenly = function(total, k, n) return math.floor((k - 0.5) * total / n) + 1 end, -- the middle of each n-th part
}

--- Chooses samples by score; equal scores by id.
---@param scores table<string, number>  by sample id
---@param n integer  how many
---@param order "lowest"|"highest"|"evenly"  the n lowest from the lowest up, the n highest from the highest down, or n evenly
---   spread over all from the lowest up
---@return string[] ids
---@error unknown order; more than there are
function score.pick(scores, n, order)
  local at = orders[order]
  if not at then
    error(("asl.score.pick: the order is \"lowest\", \"highest\" or \"evenly\", not %q"):format(tostring(order)), 2)
  end
  local ids, sign = {}, order == "highest" and -1 or 1
  for id in pairs(scores) do ids[#ids + 1] = id end
  if math.type(n) ~= "integer" or n < 0 or n > #ids then
    error(("asl.score.pick: pick %s of %d samples"):format(tostring(n), #ids), 2)
  end
  table.sort(ids, function(a, b)
    if scores[a] ~= scores[b] then return sign * scores[a] < sign * scores[b] end
    return a < b
  end)
  local picked = {}
  for k = 1, n do picked[k] = ids[at(#ids, k, n)] end
  return picked
end

return score
