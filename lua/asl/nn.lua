--- Building blocks of networks.
---
--- A module owns parameters (learnt), buffers (running statistics) and sub-modules, each under a
--- key; the path of keys names a parameter ("classifier.dsconv1.conv.0.weight"), so that weight files
--- of other frameworks map one to one. Order is the order of creation, always.

local core = require "asl.core"
local options = require "asl.options"
local tensor = require "asl.tensor"

local ops = core.ops
local PURPOSE_INIT = 1 -- ASL_PURPOSE_INIT of csrc/base/philox.h

local nn = {}

-- ---- module -----------------------------------------------------------------------------------

---@class asl.Module
---@field training boolean  batch statistics and dropout (true), or running statistics (false)
---@field frozen boolean    no gradients, and batch norm in evaluation mode whatever `training` says
local Module = {}
Module.__index = Module
nn.Module = Module

--- A class of modules: `local Net = nn.class("Net")`; then define Net:forward(...).
---@param name string
---@return table class
function nn.class(name)
  local class = setmetatable({ class_name = name }, Module)
  class.__index = class
  class.__call = function(self, ...) return self:forward(...) end
  class.__tostring = Module.__tostring
  return class
end

--- An empty module of a class.
---@return asl.Module
function Module:new()
  return setmetatable({ children = {}, own_parameters = {}, own_buffers = {}, training = true, frozen = false }, self)
end

--- Adds a sub-module under a key; the key "" adds nothing to the path.
---@param key string
---@param child asl.Module
---@return asl.Module child
function Module:add(key, child)
  self.children[#self.children + 1] = { key = key, module = child }
  return child
end

local function add_slot(module, list, kind, key, shape, initial)
  local slot = { kind = kind, key = key, shape = shape, initial = initial, owner = module }
  list[#list + 1] = slot
  return slot
end

--- Declares a parameter: memory and values come when the root is materialised.
---@param key string
---@param shape integer[]
---@param initial table  { bound = b }: uniform in [-b, b]; { value = v }
function Module:parameter(key, shape, initial)
  return add_slot(self, self.own_parameters, "parameter", key, shape, initial)
end

--- Declares a buffer: state that is not learnt.
function Module:buffer(key, shape, initial)
  return add_slot(self, self.own_buffers, "buffer", key, shape, initial)
end

local function join(prefix, key)
  if prefix == "" then return key end
  return key == "" and prefix or prefix .. "." .. key
end

local function visit(module, prefix, fn)
  fn(module, prefix)
  for _, child in ipairs(module.children) do
    visit(child.module, join(prefix, child.key), fn)
  end
end

--- Calls fn(module, path) for the module and all below it, in order.
---@param fn fun(module: asl.Module, path: string)
function Module:visit(fn)
  visit(self, "", fn)
end

local function slots_of(root, field)
  local slots = {}
  root:visit(function(module, path)
    for _, slot in ipairs(module[field]) do
      slots[#slots + 1] = { path = join(path, slot.key), slot = slot }
    end
  end)
  return slots
end

local function count_of(shape)
  local n = 1
  for _, size in ipairs(shape) do n = n * size end
  return n
end

--- One flat tensor for all slots, and a view of it per slot.
local function allocate(slots, device)
  local total = 0
  for _, entry in ipairs(slots) do total = total + count_of(entry.slot.shape) end
  local flat, at = tensor.zeros({ total }, { device = device }), 0
  for _, entry in ipairs(slots) do
    local n = count_of(entry.slot.shape)
    entry.first, entry.last = at + 1, at + n
    entry.view = flat:slice(1, at + 1, at + n):reshape(entry.slot.shape)
    at = at + n
  end
  return flat
end

local function initialise(entry, seed, stream)
  local initial = entry.slot.initial
  if initial.bound then
    core.uniform_(entry.view, seed, PURPOSE_INIT, stream, -initial.bound, initial.bound)
  else
    entry.view:fill_(initial.value)
  end
end

--- Gives the whole network its memory: all parameters lie in one tensor (`flat`), their gradients in
--- another (`flat_gradient`), all buffers in a third (`flat_buffer`), so that an optimiser step, a
--- checkpoint or a digest is one operation.
---@param seed integer  initial values are a pure function of seed and parameter number
---@param device string|nil
---@return asl.Module self
function Module:materialise(seed, device)
  self.parameters_, self.buffers_ = slots_of(self, "own_parameters"), slots_of(self, "own_buffers")
  self.flat = allocate(self.parameters_, device)
  self.flat_gradient = tensor.zeros({ self.flat:count() }, { device = device })
  self.flat_buffer = allocate(self.buffers_, device)
  for stream, entry in ipairs(self.parameters_) do
    initialise(entry, seed, stream)
    local gradient = self.flat_gradient:slice(1, entry.first, entry.last):reshape(entry.slot.shape)
    entry.view:requires_grad_(true):set_grad(gradient)
    entry.slot.owner[entry.slot.key] = entry.view
    entry.gradient = gradient
  end
  for _, entry in ipairs(self.buffers_) do
    initialise(entry)
    entry.slot.owner[entry.slot.key] = entry.view
  end
  self:visit(function(module, path) module.path = path end)
  self.counter = 0
  return self
end

local function each(list)
  local i = 0
  return function()
    i = i + 1
    local entry = list[i]
    if entry then return entry.path, entry.view, entry end
  end
end

--- Iterates over path, tensor of all parameters.
---@return fun(): string, asl.Tensor
function Module:parameters() return each(self.parameters_) end

--- Iterates over path, tensor of all buffers.
---@return fun(): string, asl.Tensor
function Module:buffers() return each(self.buffers_) end

--- Number of learnt values.
---@return integer
function Module:parameter_count() return self.flat:count() end

--- SHA-256 of all parameters and buffers: two networks with one digest compute the same.
---@return string hex
function Module:digest()
  return core.sha256(self.flat:digest() .. self.flat_buffer:digest())
end

--- Everything that training changes: for checkpoints.
---@return table state
function Module:state()
  return { parameters = self.flat, buffers = self.flat_buffer, counter = self.counter, layout = self:layout() }
end

--- SHA-256 of names and shapes: which network this is.
---@return string hex
function Module:layout()
  local lines = {}
  for _, list in ipairs { self.parameters_, self.buffers_ } do
    for _, entry in ipairs(list) do
      lines[#lines + 1] = entry.path .. " " .. table.concat(entry.slot.shape, "x")
    end
  end
  return core.sha256(table.concat(lines, "\n"))
end

--- Takes over a state made by a network of the same layout.
---@param state table
---@error the state is another network's
function Module:restore(state)
  if state.layout ~= self:layout() then
    error(("this state is another network's: it has %d parameters in another layout, this %s has %d"):format(
      state.parameters:count(), self.class_name or "network", self:parameter_count()), 2)
  end
  self.flat:copy_(state.parameters)
  self.flat_buffer:copy_(state.buffers)
  self.counter = state.counter
end

--- Makes this network, a clone, another view of a network's memory: parameters and buffers are the same ones, gradients
--- are its own.
---@param other asl.Module  of the same layout
---@return asl.Module self
function Module:share(other)
  self.flat, self.flat_buffer = other.flat, other.flat_buffer
  for _, list in ipairs { "parameters_", "buffers_" } do
    for i, entry in ipairs(self[list]) do
      entry.view = other[list][i].view:detach()
      if entry.gradient then entry.view:set_grad(entry.gradient) end
      entry.slot.owner[entry.slot.key] = entry.view
    end
  end
  return self
end

--- Brings a network that shares another's memory to the other's mode, for one pass of a shard: what is frozen there is
--- here, and gradients are 0.
---@param other asl.Module
---@param n integer  shards that meet at every batch norm
---@param meet fun(t: asl.Tensor): asl.Tensor  gives the sum over all of them
---@param keeps boolean  whether this one keeps the running statistics
function Module:mirror(other, n, meet, keeps)
  self:zero_gradients()
  local modules = {}
  other:visit(function(module, path) modules[path] = module end)
  self:visit(function(module, path)
    module.training, module.frozen = modules[path].training, modules[path].frozen
    module.synchronised = { shards = n, meet = meet, keeps = keeps }
  end)
  for i, entry in ipairs(self.parameters_) do
    entry.frozen = other.parameters_[i].frozen
    entry.view:requires_grad_(not entry.frozen)
  end
end

--- All gradients become 0.
function Module:zero_gradients()
  self.flat_gradient:fill_(0)
end

--- Training mode: batch statistics and dropout. Frozen parts stay in evaluation mode.
---@param on boolean|nil  true
---@return asl.Module self
function Module:train(on)
  on = on == nil or on
  self:visit(function(module) module.training = on end)
  return self
end

--- Evaluation mode: running statistics, no dropout.
---@return asl.Module self
function Module:eval() return self:train(false) end

--- Calls fn(...) in evaluation mode and without recording for gradients; afterwards all is as before.
---@param fn function
---@return any ...  what fn returns
function Module:inference(fn, ...)
  local was_training, recording = self.training, core.grad_enable(false)
  self:eval()
  local results = table.pack(pcall(fn, ...))
  self:train(was_training)
  core.grad_enable(recording)
  if not results[1] then error(results[2], 0) end
  return table.unpack(results, 2, results.n)
end

local function lies_in(path, prefix)
  return prefix == "" or path == prefix or path:sub(1, #prefix + 1) == prefix .. "."
end

--- Is there a parameter under the prefix?
local function names_part(module, prefix)
  for path in module:parameters() do
    if lies_in(path, prefix) then return true end
  end
  return false
end

--- Freezes every part whose path starts with one of the prefixes: no gradients, no updates, and its
--- batch norm keeps its running statistics untouched. Other parts are thawed.
---@param prefixes string[]  {} thaws all; {""} freezes all
---@error a prefix that names nothing; then nothing changes
function Module:freeze(prefixes)
  for _, prefix in ipairs(prefixes) do
    if not names_part(self, prefix) then error(("freeze: no part of this network is called %q"):format(prefix), 2) end
  end
  local function is_frozen(path)
    for _, prefix in ipairs(prefixes) do
      if lies_in(path, prefix) then return true end
    end
    return false
  end
  self:visit(function(module, path) module.frozen = is_frozen(path) end)
  for path, view, entry in self:parameters() do
    entry.frozen = is_frozen(path)
    view:requires_grad_(not entry.frozen)
  end
end

--- The contiguous ranges {first, last} of `flat` that learn.
---@return integer[][]
function Module:learning_ranges()
  local ranges = {}
  for _, entry in ipairs(self.parameters_) do
    local previous = ranges[#ranges]
    if not entry.frozen and previous and previous[2] + 1 == entry.first then
      previous[2] = entry.last
    elseif not entry.frozen then
      ranges[#ranges + 1] = { entry.first, entry.last }
    end
  end
  return ranges
end

function Module:__tostring()
  return ("%s: %d parameters in %d tensors"):format(self.class_name or "module", self:parameter_count(),
    #self.parameters_)
end

-- ---- layers -----------------------------------------------------------------------------------

--- Initial bound of PyTorch's convolutions: uniform +-1/sqrt(fan_in) (Kaiming uniform with a = sqrt 5).
local function conv_bound(conv)
  return { bound = 1 / math.sqrt(conv.inputs // conv.groups * conv.kernel * conv.kernel) }
end

local function conv_weight_shape(conv)
  return { conv.outputs, conv.kernel, conv.kernel, conv.inputs // conv.groups }
end

local conv_options = {
  kernel = 1, stride = 1, padding = 0, dilation = 1, groups = 1, bias = false, relu = true, keys = options.any,
}

local function conv_settings(where, inputs, outputs, given)
  local conv = options.check(where, given, conv_options)
  conv.inputs, conv.outputs = inputs, outputs
  if inputs % conv.groups ~= 0 or outputs % conv.groups ~= 0 then
    error(("%s: %d to %d channels do not divide into %d groups"):format(where, inputs, outputs, conv.groups), 3)
  end
  return conv
end

---@class asl.ConvBnAct : asl.Module
local ConvBnAct = nn.class "ConvBnAct"

--- Convolution, batch norm and ReLU as one fused block; y = act(bn(conv(x) + bias) + residual).
---@param inputs integer   channels of x
---@param outputs integer  channels of y
---@param given table|nil  kernel, stride, padding, dilation, groups, bias (of the convolution), relu,
---   keys = { key of the convolution, key of the batch norm }
---@return asl.ConvBnAct  call: block(x (N,H,W,C) [, residual]) -> (N,Ho,Wo,O)
function nn.conv_bn_act(inputs, outputs, given)
  local self = ConvBnAct:new()
  local conv = conv_settings("nn.conv_bn_act", inputs, outputs, given)
  local keys = conv.keys or { "0", "1" }
  self.conv, self.norm = Module.new(Module), Module.new(Module)
  self:add(keys[1], self.conv)
  self:add(keys[2], self.norm)
  self.conv:parameter("weight", conv_weight_shape(conv), conv_bound(conv))
  if conv.bias then self.conv:parameter("bias", { outputs }, conv_bound(conv)) end
  self.norm:parameter("weight", { outputs }, { value = 1 })
  self.norm:parameter("bias", { outputs }, { value = 0 })
  self.norm:buffer("running_mean", { outputs }, { value = 0 })
  self.norm:buffer("running_var", { outputs }, { value = 1 })
  self.call = { stride = conv.stride, padding = conv.padding, dilation = conv.dilation, groups = conv.groups,
    relu = conv.relu, training = true }
  return self
end

local MOMENTUM, EPS = 0.1, 1e-5 -- the op's own defaults, as of PyTorch

--- running := (1 - momentum) running + momentum value.
local function move(running, value)
  running:copy_(running * (1 - MOMENTUM) + value * MOMENTUM)
end

--- Batch norm of z with the statistics of all shards, which have as many pixels each: two passes, as mean((z - mean)^2)
--- loses no digits where the mean is large.
local function synchronised_norm(norm, z, together)
  local n, meet, shape = together.shards, together.meet, z:shape()
  local rows = z:to("f32"):reshape(-1, shape[4])
  local mean = meet(rows:mean(1)) * (1 / n)
  local centred = rows - mean
  local var = meet((centred * centred):mean(1)) * (1 / n)
  if together.keeps then
    local count = n * rows:shape()[1]
    move(norm.running_mean, mean:detach())
    move(norm.running_var, var:detach() * (count / (count - 1)))
  end
  return (centred * (norm.weight / (var + EPS):sqrt()) + norm.bias):reshape(shape):to(z:dtype())
end

--- The same block where shards meet: of ops that record one by one.
local function synchronised_forward(self, x, residual)
  local conv, call = self.conv, self.call
  local z = ops.conv2d(x, conv.weight, conv.bias, { stride = call.stride, padding = call.padding,
    dilation = call.dilation, groups = call.groups, at = self.path })
  local y = synchronised_norm(self.norm, z, self.synchronised)
  if residual then y = y + residual end
  return call.relu and y:relu() or y
end

function ConvBnAct:forward(x, residual)
  local conv, norm, call = self.conv, self.norm, self.call
  call.training = self.training and not norm.frozen
  call.at = self.path
  if call.training and self.synchronised then return synchronised_forward(self, x, residual) end
  return ops.conv_bn_act(x, conv.weight, conv.bias, norm.weight, norm.bias, norm.running_mean, norm.running_var, residual,
    call)
end

---@class asl.Conv2d : asl.Module
local Conv2d = nn.class "Conv2d"

--- A plain convolution.
---@param inputs integer
---@param outputs integer
---@param given table|nil  kernel, stride, padding, dilation, groups, bias
---@return asl.Conv2d  call: conv(x (N,H,W,C)) -> (N,Ho,Wo,O)
function nn.conv2d(inputs, outputs, given)
  local self = Conv2d:new()
  local conv = conv_settings("nn.conv2d", inputs, outputs, given)
  self:parameter("weight", conv_weight_shape(conv), conv_bound(conv))
  if conv.bias then self:parameter("bias", { outputs }, conv_bound(conv)) end
  self.call = { stride = conv.stride, padding = conv.padding, dilation = conv.dilation, groups = conv.groups }
  return self
end

function Conv2d:forward(x)
  self.call.at = self.path
  return ops.conv2d(x, self.weight, self.bias, self.call)
end

---@class asl.Sequential : asl.Module
local Sequential = nn.class "Sequential"

--- Modules applied one after the other: nn.sequential { {"key", module}, ... }.
---@param list table[]
---@return asl.Sequential
function nn.sequential(list)
  local self = Sequential:new()
  for _, item in ipairs(list) do self:add(item[1], item[2]) end
  return self
end

function Sequential:forward(x)
  for _, child in ipairs(self.children) do x = child.module(x) end
  return x
end

return nn
