--- Strategies: how to learn a task given what came before.
---
--- A strategy is hooks, not a loop; the loop stands once, in asl/continual.lua. Defining one:
---
---     local mine = strategy.define("mine", { weight = 1.0 })       -- its own options and defaults
---     function mine:loss(net, part) ... return loss end
---
--- Hooks, in the order they are called (all optional):
---     tasks(scenario)          the tasks to train, default: the scenario's
---     begin(context)           once: context = { size, seed, rows, tasks }
---     before_task(i, task)     a task begins
---     replayed_before(t)       rows of the batches before step t of this task that come from memory
---     recall(n, step, a, b)    of those n rows: image and label of the a-th to the b-th, the tasks of all
---     loss(net, part)          of a part of the batch { image, label, normaliser }
---     after_step(batch)        the update is done
---     after_task(i, task)      a task ends, before it is evaluated
---     memory_state(), restore_memory(state)   what a checkpoint must hold beyond network and optimiser
---
--- Among several ranks all hooks are called on every rank, loss() for the parts that the rank computes. What a hook
--- keeps must be the same on all ranks: it may depend on the network, not on which parts came by.

local core = require "asl.core"
local lockstep = require "asl.lockstep"
local loss = require "asl.loss"
local options = require "asl.options"
local profile = require "asl.profile"
local ranks = require "asl.ranks"
local schedule = require "asl.schedule"
local shards = require "asl.shards"
local tensor = require "asl.tensor"

local ops = core.ops
local strategy = {}

local AUXILIARY_WEIGHT = 0.4 -- Fast-SCNN, section 4.1

---@class asl.Strategy
---@field net asl.Module
---@field optim asl.Optimiser
local Strategy = {}
Strategy.__index = Strategy
strategy.Base = Strategy -- for strategies that extend a hook: strategy.Base.before_task(self, i, task)

local common = {
  net = options.require "table", optim = options.require "table", schedule = options.any,
  forward = options.one_of { "joint", "split" }, shards = 1, graph = true,
  batch_norm = options.one_of { "shard", "synchronised" },
  carry = { "weights", "optimiser", "batch_norm", "schedule" },
}

local carriable = { weights = true, optimiser = true, batch_norm = true, schedule = true }

local function carry_set(where, list)
  local set = {}
  for _, word in ipairs(list) do
    if not carriable[word] then
      error(("%s: carry knows weights, optimiser, batch_norm and schedule, not %q"):format(where, tostring(word)), 3)
    end
    set[word] = true
  end
  return set
end

--- Defines a strategy. Options every strategy has: `net`, `optim`; `schedule` (constant); `forward`:
--- "joint": new and replayed rows go through the network together and share batch statistics, "split":
--- separately; `shards`: parts a batch is computed in (1); `batch_norm`: "shard": every shard is normalised with
--- its own statistics, "synchronised": with those of all (asl.lockstep), not with forward = "split"; `graph`: on a
--- GPU an update is given to the device as one graph (true), with the same results; `carry`: what passes from task to
--- task, a list out of "weights", "optimiser", "batch_norm", "schedule" (all).
---@param name string
---@param defaults table<string, any>|nil  its own options
---@return table class  callable: class { net = ..., optim = ..., ... } -> asl.Strategy
function strategy.define(name, defaults)
  local known = {}
  for key, value in pairs(common) do known[key] = value end
  for key, value in pairs(defaults or {}) do known[key] = value end
  local class = { name = name }
  class.__index = class
  return setmetatable(class, {
    __index = Strategy,
    __call = function(_, given)
      local self = options.check("asl.strategy." .. name, given, known)
      self.carry = carry_set("asl.strategy." .. name, self.carry)
      self.schedule = self.schedule or schedule.constant()
      if self.batch_norm == "synchronised" then
        if self.forward == "split" then
          error(('asl.strategy.%s: batch_norm = "synchronised" needs forward = "joint": a split pass is there to keep '
            .. "statistics apart"):format(name), 2)
        end
        self.lockstep = lockstep.new(self.net, self.shards)
      end
      self.optim:bind(self.net)
      self.failed = tensor.zeros({}, { device = self.net.flat:device() }) -- not finite once an update is not
      return setmetatable(self, class)
    end,
  })
end

-- ---- hooks' defaults --------------------------------------------------------------------------

function Strategy:tasks(scenario) return scenario.tasks end
function Strategy:begin(context) self.context = context end
function Strategy:after_step() end
function Strategy:after_task() end
function Strategy:replayed_before() return 0 end
function Strategy:recall() error("this strategy has no memory", 2) end
function Strategy:memory_state() return nil end
function Strategy:restore_memory() end

--- What is not carried over starts anew.
function Strategy:before_task(i)
  if i == 1 then return end
  local net = self.net
  local fresh = not (self.carry.weights and self.carry.batch_norm) and net:clone():materialise(self.context.seed) or nil
  if not self.carry.weights then net.flat:copy_(fresh.flat) end
  if not self.carry.batch_norm then net.flat_buffer:copy_(fresh.flat_buffer) end
  if not self.carry.optimiser then self.optim:bind(net) end
end

--- Cross entropy, plus 0.4 of the auxiliary head's where there is one.
---@param net asl.Module
---@param part { image: asl.Tensor, label: asl.Tensor, normaliser: integer }
---@return asl.Tensor loss
function Strategy:loss(net, part)
  local logits, auxiliary = net(part.image)
  local total = loss.cross_entropy(logits, part.label, { normaliser = part.normaliser })
  if auxiliary then
    total = total + loss.cross_entropy(auxiliary, part.label, { normaliser = part.normaliser }) * AUXILIARY_WEIGHT
  end
  return total
end

-- ---- one update -------------------------------------------------------------------------------

--- Rows of a tensor: a view where they lie together.
local function rows_of(t, list)
  if list[#list] - list[1] + 1 == #list then return t:slice(1, list[1], list[#list]) end
  local index = {}
  for i, row in ipairs(list) do index[i] = row - 1 end
  return ops.gather_rows(t, tensor.tensor(index, { dtype = "i64" }):to(t:device()))
end

--- The parts of a shard that go through the network separately; `first`: which row of the batch is the first here.
local function parts_of(self, batch, range, first)
  local fresh, replayed = {}, {}
  for row = range[1], range[2] do
    table.insert(self.forward == "split" and batch.replayed[row] and replayed or fresh, row - first + 1)
  end
  local parts = {}
  for _, list in ipairs { fresh, replayed } do
    if #list > 0 then parts[#parts + 1] = { image = rows_of(batch.image, list), label = rows_of(batch.label, list) } end
  end
  return parts
end

--- Learning-rate factor of update `t` of `total` in a task, of `before` updates in earlier tasks.
local function schedule_factor(self, at)
  if self.carry.schedule then return self.schedule.factor(at.before + at.step, at.all) end
  return self.schedule.factor(at.step, at.updates)
end

local MOST_PARTS = 2 -- of a shard

--- Together: the losses of all parts added up in the order of shards, given what reads this rank's.
local function total_of(losses)
  local list, total = {}, 0
  for _, of_shard in ipairs(losses) do
    list[#list + 1] = #of_shard
    for k = 1, MOST_PARTS do list[#list + 1] = of_shard[k] and of_shard[k]() or 0 end
  end
  for _, of_rank in ipairs(ranks.gather_numbers(list)) do
    for at = 1, #of_rank, MOST_PARTS + 1 do
      for k = 1, math.tointeger(of_rank[at]) do total = total + of_rank[at + k] end
    end
  end
  return total
end

--- Together: how many pixels of the batch count, as a tensor on its device.
local function valid_of(batch)
  local own = ops.count_valid(batch.label)
  return ranks.count() == 1 and own or ops.sum(core.all_gather(own), { dim = 1 })
end

local function is_finite(x) return x == x and math.abs(x) < math.huge end

--- Forward and backward of the parts of a shard; what they leave in memory is their losses.
local function losses_of(self, parts, valid)
  local scope <close>, losses = core.scope(), {}
  for k, part in ipairs(parts) do
    part.normaliser = valid
    local value = profile.call("forward", self.loss, self, self.net, part)
    profile.call("backward", value.backward, value)
    losses[k] = scope:keep(value:detach())
  end
  return losses
end

--- The gradient of all shards, one after the other. Returns the losses by shard and part, and the memory it took.
local function apart(self, parts, valid)
  local net, losses = self.net, {}
  local state = shards.state(net, self.shards)
  shards.gradients(net, self.shards, function(s)
    state:enter(s)
    losses[s] = losses_of(self, parts[s], valid)
    state:leave(s)
  end)
  return losses, state:finish()
end

--- The same of shards whose batch norm is synchronised.
local function together(self, parts, valid)
  local losses, bytes = self.lockstep:gradients(function(net, s)
    local part = parts[s][1]
    part.normaliser = valid
    return self:loss(net, part)
  end)
  for s, value in pairs(losses) do losses[s] = { value } end
  return losses, ranks.max(bytes)
end

--- Everything of an update that is computed on the device; nothing is read here, so that it may run later, as one graph.
--- Returns the losses by shard and part, and a number that is finite when all of them and the gradient are; when it is
--- not, the optimiser has left the weights as they were, and leaves them so in every update that is begun before somebody
--- has looked.
local function compute(self, parts, valid, factor)
  local net = self.net
  local losses, bytes = (self.batch_norm == "synchronised" and together or apart)(self, parts, valid)
  local guard = net.flat_gradient:sum() + self.failed * 0
  for _, of_shard in pairs(losses) do
    for _, value in ipairs(of_shard) do guard = guard + value end
  end
  profile.call("optimiser", self.optim.step, self.optim, factor, guard)
  self.failed:copy_(guard)
  return losses, guard, bytes
end

--- One update. Every part's loss is divided by the valid pixels of the whole batch, so that shards and
--- split forward passes change the statistics of batch norm and nothing else. Together with the other ranks, if there
--- are any.
---@param batch table  { image u8 (N,H,W,3), label u8 (N,H,W), replayed = boolean[] } on the network's device; image and
---   label have the rows of this rank, replayed all
---@param at { step: integer, updates: integer, before: integer, all: integer }
---@return { loss: number, valid: integer, lr: number, bytes: integer, not_finite: boolean? }  bytes: the most tensor
---   memory a shard took; not_finite: the loss or the gradient is not, and the weights are as they were
function Strategy:step(batch, at) return self:end_step(self:begin_step(batch, at)) end

--- The first half of step(): gives the update to the device and does not wait for it. The next may be begun before this
--- one is ended.
---@return table begun  for end_step()
function Strategy:begin_step(batch, at)
  local scope <close> = core.scope()
  local own, ranges = { shards.own(self.shards) }, shards.ranges(#batch.replayed, self.shards)
  local factor, parts, device = schedule_factor(self, at), {}, self.net:train().flat:device()
  for s = own[1], own[2] do parts[s] = parts_of(self, batch, ranges[s], ranges[own[1]][1]) end
  local valid = valid_of(batch)
  if device == "cpu" then collectgarbage() end -- so that what a shard takes does not depend on what was left before it
  if self.graph then core.graph_begin(device) end
  local losses, guard, bytes = compute(self, parts, valid, factor)
  if self.graph then core.graph_end(device) end
  local readers = {}
  for s = own[1], own[2] do
    local of_shard = {}
    for k, value in ipairs(losses[s]) do of_shard[k] = core.fetch(value) end
    readers[#readers + 1] = of_shard
  end
  return { losses = readers, guard = core.fetch(guard), valid = core.fetch(valid), lr = self.optim.lr * factor,
    bytes = bytes }
end

--- The second half: waits for an update, and says what came of it. In the order they were begun.
function Strategy:end_step(begun)
  local total = total_of(begun.losses)
  local not_finite = not (is_finite(total) and is_finite(begun.guard())) or nil
  if not_finite then
    self.optim.steps = self.optim.steps - 1
    self.failed:fill_(0)
  end
  return { loss = total, valid = begun.valid(), lr = begun.lr, bytes = begun.bytes, not_finite = not_finite }
end

-- ---- checkpoints ------------------------------------------------------------------------------

function Strategy:state()
  return { name = self.name, net = self.net:state(), optim = self.optim:state(), memory = self:memory_state() }
end

function Strategy:restore(state)
  if state.name ~= self.name then
    error(("the checkpoint is of strategy %q, this run's is %q"):format(state.name, self.name), 2)
  end
  self.net:restore(state.net)
  self.optim:restore(state.optim)
  self:restore_memory(state.memory)
end

-- ---- the strategies there are -----------------------------------------------------------------

--- Names of the built-in strategies.
strategy.names = { "naive", "joint", "freeze", "replay" }

return setmetatable(strategy, {
  __index = function(_, name)
    for _, known in ipairs(strategy.names) do
      if known == name then return require("asl.strategy." .. name) end
    end
    local guess = require("asl.nearest").one(tostring(name), strategy.names)
    error(("there is no strategy %q (known: %s)%s"):format(tostring(name), table.concat(strategy.names, ", "),
      guess and ("; did you mean %q?"):format(guess) or ""), 2)
  end,
})
