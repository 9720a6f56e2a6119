--- ASL: continual learning of semantic segmentation.
---
--- `local asl = require "asl"`. Modules load when they are first used.

local core = require "asl.core"
local tensor = require "asl.tensor"

---@class asl
local asl = {
  core = core,
  ops = core.ops,
  scope = core.scope,
  IGNORE = 255, -- the label of pixels that are not to be learnt or scored
}

for name, fn in pairs(tensor) do
  asl[name] = fn
end

--- Runs `fn(...)` without recording for gradients; returns its results.
---@param fn function
---@param ... any
---@return any ...
function asl.no_grad(fn, ...)
  local before = core.grad_enable(false)
  local results = table.pack(pcall(fn, ...))
  core.grad_enable(before)
  if not results[1] then error(results[2], 0) end
  return table.unpack(results, 2, results.n)
end

--- Tensor memory of a device in bytes: `live` now, `peak` since the last reset, `cached` for reuse.
---@param what string|nil  "reset" sets the peak to what is live; "trim" returns cached memory to the system
---@param device string|nil  "cpu"
---@return { live: integer, peak: integer, cached: integer }
function asl.memory(what, device)
  if what == "reset" then
    core.memory_reset_peak(device)
  elseif what == "trim" then
    core.memory_trim(device)
  elseif what ~= nil then
    error(('asl.memory: "reset" or "trim", not %q'):format(tostring(what)), 2)
  end
  return core.memory(device)
end

--- Number of threads of the CPU kernels; results do not depend on it.
---@param n integer|nil  sets it
---@return integer
function asl.threads(n)
  return core.threads(n)
end

local modules = {
  "buffer", "checkpoint", "config", "continual", "data", "env", "evaluator", "fs", "help", "json", "labels",
  "ledger", "log", "loss", "metrics", "mix", "models", "nn", "optim", "options", "profile", "ranks", "report", "run",
  "scenario", "schedule", "score", "staging", "strategy", "sweep", "task", "teacher",
  "weights",
}
local is_module = {}
for _, name in ipairs(modules) do
  is_module[name] = true
end

local functions = { -- name = module that has the function
  experiment = "asl.experiment", show = "asl.show",
}

--- The public names of asl, for completion and help.
---@return string[]
function asl.names()
  local names = { table.unpack(modules) }
  for name in pairs(asl) do names[#names + 1] = name end
  for name in pairs(functions) do names[#names + 1] = name end
  table.sort(names)
  return names
end

return setmetatable(asl, {
  __index = function(self, name)
    local value
    if is_module[name] then
      value = require("asl." .. name)
    elseif functions[name] then
      value = require(functions[name])[name]
    else
      local guess = require("asl.nearest").one(tostring(name), self.names())
      error(("asl has no %q%s"):format(tostring(name), guess and ("; did you mean %q?"):format(guess) or ""), 2)
    end
    rawset(self, name, value)
    return value
  end,
})
