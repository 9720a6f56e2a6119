--- The ledger: what learning cost.
---
--- Counts (multiply-adds, bytes) are exact and the same on every machine; they go into summary.json.
--- Seconds depend on the clock and are kept apart.

local core = require "asl.core"
local profile = require "asl.profile"

local ledger = {}

---@class asl.Ledger
local Ledger = {}
Ledger.__index = Ledger

--- An empty ledger.
---@return asl.Ledger
function ledger.new()
  return setmetatable({
    macs = { train = 0, evaluate = 0 },
    step_bytes = 0, -- highest tensor memory a step took beyond what was there before it
    seconds = { load = 0, train = 0, evaluate = 0 },
  }, Ledger)
end

--- Runs fn(...) and books its multiply-adds and seconds under `what`.
---@param what string  "load", "train" or "evaluate"
---@param fn function
---@return any ...  what fn returns
function Ledger:book(what, fn, ...)
  local macs, start = core.macs(), core.now()
  local results = table.pack(profile.call(what, fn, ...))
  if self.macs[what] then self.macs[what] = self.macs[what] + core.macs() - macs end
  self.seconds[what] = self.seconds[what] + core.now() - start
  return table.unpack(results, 1, results.n)
end

--- Runs one training step and notes the memory it took. The collector rests meanwhile, so that the
--- figure does not depend on when it last ran.
---@param fn function
---@return any ...
function Ledger:step(fn, ...)
  core.memory_reset_peak()
  local before = core.memory().live
  collectgarbage("stop")
  local results = table.pack(pcall(fn, ...))
  collectgarbage("restart")
  self.step_bytes = math.max(self.step_bytes, core.memory().peak - before)
  if not results[1] then error(results[2], 0) end
  return table.unpack(results, 2, results.n)
end

--- The exact part, for summary.json.
---@param learner asl.Strategy
---@return table
function Ledger:summary(learner)
  local net, replay = learner.net, learner.buffer
  local weights = 4 * (net.flat:count() + net.flat_gradient:count() + net.flat_buffer:count())
  local moments = 4 * #learner.optim.memory * net.flat:count()
  local replay_bytes = replay and replay.capacity * replay.row_bytes or 0
  return {
    parameters = net:parameter_count(), macs_train = self.macs.train, macs_evaluate = self.macs.evaluate,
    step_bytes = self.step_bytes, state_bytes = weights + moments, replay_bytes = replay_bytes,
    peak_bytes = self.step_bytes + weights + moments + replay_bytes,
  }
end

--- Inference latency of one picture: seconds, percentiles 50 and 95 over `repeats` runs after warm-up.
---@param net asl.Module
---@param size integer[]  {H, W}
---@param repeats integer|nil  20
---@return { p50: number, p95: number }
function ledger.latency(net, size, repeats)
  local tensor = require "asl.tensor"
  repeats = repeats or 20
  local device = net.flat:device()
  local image, seconds = tensor.zeros({ 1, size[1], size[2], 3 }, { dtype = "u8", device = device }), {}
  for i = 1, repeats + 3 do
    local scope <close> = core.scope()
    local start = core.now()
    net:predict(image)
    core.synchronise(device)
    if i > 3 then seconds[#seconds + 1] = core.now() - start end
  end
  image:release()
  table.sort(seconds)
  return { p50 = seconds[math.ceil(0.5 * repeats)], p95 = seconds[math.ceil(0.95 * repeats)] }
end

function Ledger:state()
  return { macs_train = self.macs.train, macs_evaluate = self.macs.evaluate, step_bytes = self.step_bytes }
end

function Ledger:restore(state)
  self.macs = { train = state.macs_train, evaluate = state.macs_evaluate }
  self.step_bytes = state.step_bytes
end

return ledger
