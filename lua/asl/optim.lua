--- Optimisers: update all parameters of a network in one call.

local core = require "asl.core"
local options = require "asl.options"
local tensor = require "asl.tensor"

local ops = core.ops
local optim = {}

---@class asl.Optimiser
---@field lr number  learning rate at full schedule
---@field steps integer  updates done
local Optimiser = {}
Optimiser.__index = Optimiser

local function new(kind, settings, slots, update)
  return setmetatable({ kind = kind, settings = settings, lr = settings.lr, slots = slots, update = update, steps = 0 },
    Optimiser)
end

--- Binds the optimiser to a network; its state starts at zero.
---@param net asl.Module
---@return asl.Optimiser self
function Optimiser:bind(net)
  self.net, self.steps, self.memory = net, 0, {}
  for i = 1, self.slots do
    self.memory[i] = tensor.zeros({ net:parameter_count() }, { device = net.flat:device() })
  end
  return self
end

--- One update from the network's gradients; frozen parts stay as they are.
---@param scale number|nil  factor on the learning rate, from a schedule; 1
---@param guard asl.Tensor|nil  f32 scalar: where it is not finite nothing changes but the number of steps
function Optimiser:step(scale, guard)
  if not self.net then error("this optimiser is not bound to a network: call :bind(net) first", 2) end
  self.steps = self.steps + 1
  for _, range in ipairs(self.net:learning_ranges()) do
    local function part(t) return t:slice(1, range[1], range[2]) end
    local memory = {}
    for i, m in ipairs(self.memory) do memory[i] = part(m) end
    self.update(self, part(self.net.flat), part(self.net.flat_gradient), memory, self.lr * (scale or 1), guard)
  end
end

--- For checkpoints.
---@return table state
function Optimiser:state()
  return { kind = self.kind, steps = self.steps, memory = self.memory }
end

--- Takes over a state.
---@param state table
function Optimiser:restore(state)
  if state.kind ~= self.kind then
    error(("the state is %s's, this is %s"):format(tostring(state.kind), self.kind), 2)
  end
  self.steps = state.steps
  for i, m in ipairs(self.memory) do m:copy_(state.memory[i]) end
end

--- Stochastic gradient descent with momentum (Sutskever et al., ICML 2013, in PyTorch's form).
---@param given { lr?: number, momentum?: number, decay?: number, nesterov?: boolean }|nil
---   lr 0.01; momentum 0; decay: L2, 0; nesterov false
---@return asl.Optimiser
function optim.sgd(given)
  local s = options.check("asl.optim.sgd", given, { lr = 0.01, momentum = 0.0, decay = 0.0, nesterov = false })
  return new("sgd", s, 1, function(self, weight, gradient, memory, lr, guard)
    ops.sgd_step(weight, gradient, memory[1], guard, { lr = lr, momentum = s.momentum, decay = s.decay, nesterov = s.nesterov,
      first = self.steps == 1 })
  end)
end

local adam_options = { lr = 0.001, beta1 = 0.9, beta2 = 0.999, eps = 1e-8, decay = 0.0 }

local function adam_family(kind, decoupled, s)
  return new(kind, s, 2, function(self, weight, gradient, memory, lr, guard)
    ops.adam_step(weight, gradient, memory[1], memory[2], guard, { lr = lr, beta1 = s.beta1, beta2 = s.beta2, eps = s.eps,
      decay = s.decay, decoupled = decoupled, step = self.steps })
  end)
end

--- Adam (Kingma & Ba, ICLR 2015, algorithm 1); decay is an L2 term in the gradient.
---@param given { lr?: number, beta1?: number, beta2?: number, eps?: number, decay?: number }|nil
---   0.001, 0.9, 0.999, 1e-8, 0
---@return asl.Optimiser
function optim.adam(given)
  return adam_family("adam", false, options.check("asl.optim.adam", given, adam_options))
end

--- AdamW (Loshchilov & Hutter, ICLR 2019): decay acts on the weights directly.
---@param given { lr?: number, beta1?: number, beta2?: number, eps?: number, decay?: number }|nil
---@return asl.Optimiser
function optim.adamw(given)
  return adam_family("adamw", true, options.check("asl.optim.adamw", given, adam_options))
end

return optim
