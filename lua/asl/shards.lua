--- Shards: a batch computed in parts whose gradients are summed by a fixed tree, so that the bits do not
--- depend on who computes which part.
---
--- Among several ranks each computes a contiguous run of the shards (asl.ranks).

local core = require "asl.core"
local fault = require "asl.fault"
local ranks = require "asl.ranks"

local shards = {}

--- Row ranges of `n` shards of `rows` rows.
---@param rows integer
---@param n integer
---@return integer[][] ranges  {first, last}
---@error rows do not divide into n
function shards.ranges(rows, n)
  if rows % n ~= 0 then error(("a batch of %d rows does not divide into %d shards"):format(rows, n), 2) end
  local size, ranges = rows // n, {}
  for s = 1, n do ranges[s] = { (s - 1) * size + 1, s * size } end
  return ranges
end

--- The shards that this rank computes. Each rank has as many, a power of two, so that the sum of its own is a branch of
--- the tree over all.
---@param n integer  shards of an update
---@return integer first
---@return integer last
---@error the shards do not divide so (exit code 64)
function shards.own(n)
  local count = ranks.count()
  local each = n // count
  if count > 1 and (n % count ~= 0 or each & (each - 1) ~= 0) then
    fault.raise(("%d shards do not divide among %d ranks: each rank must have the same power of two"):format(n, count),
      { level = 0, exit_code = fault.exit.usage, hint = ("shards=%d, or another number of ranks"):format(count) })
  end
  return ranks.share(n)
end

--- The rows of a batch of `rows` rows that a rank computes.
---@param rows integer
---@param rank integer|nil  this one
---@return integer first
---@return integer last
function shards.rows(rows, rank) return ranks.share(rows, rank) end

-- ---- the tree ---------------------------------------------------------------------------------

--- Puts one more tensor into a sum ((1+2)+(3+4))+...; partial[k] is the sum of 2^(k-1) neighbours, or nil. Tensors are
--- overwritten.
local function push(partial, carry)
  local k = 1
  while partial[k] do
    carry, partial[k] = partial[k]:add_(carry), nil
    k = k + 1
  end
  partial[k] = carry
end

--- The sum of what was put in, at least one.
local function total_of(partial)
  local levels, total = {}, nil
  for k in pairs(partial) do levels[#levels + 1] = k end
  table.sort(levels)
  for _, k in ipairs(levels) do total = total and partial[k]:add_(total) or partial[k] end
  return total
end

--- Together: the tree over all shards, on every rank, given this rank's branch of it.
local function over_ranks(branch)
  if ranks.count() == 1 then return branch end
  local all, partial = core.all_gather(branch), {}
  for r = 1, ranks.count() do push(partial, all:select(1, r)) end
  return total_of(partial)
end

--- Together: the sum over all shards by that tree, on every rank.
---@param own asl.Tensor[]  of this rank's shards, in order; they keep their values
---@return asl.Tensor sum
function shards.sum(own)
  local partial = {}
  for _, t in ipairs(own) do push(partial, t:clone()) end
  return over_ranks(total_of(partial))
end

--- Together: calls compute(s) for the shards of this rank, in order, each adding to the network's gradient from zero,
--- and leaves the sum over all of s = 1..n there, on every rank: ((1+2)+(3+4))+..., a binary tree over the shard number.
---@param net asl.Module
---@param n integer
---@param compute fun(s: integer)
function shards.gradients(net, n, compute)
  local first, last = shards.own(n)
  local partial = {}
  for s = first, last do
    net:zero_gradients()
    compute(s)
    if n > 1 then push(partial, net.flat_gradient:clone()) end
  end
  if n > 1 then net.flat_gradient:copy_(over_ranks(total_of(partial))) end
end

-- ---- what a forward pass changes --------------------------------------------------------------

local FORWARDS = 256 -- passes through a network that a shard may make

--- Where the counter of dropout stands for shard s of an update.
---@param net { counter: integer }  as it was before the update
---@param s integer
---@return integer
function shards.counter(net, s) return net.counter + (s - 1) * FORWARDS end

---@class asl.ShardState
local State = {}
State.__index = State

--- What computing shards changes in a network beside its gradient: running statistics and the counter of dropout. Every
--- shard begins from what they were before the update; its changes of the statistics are averaged over the shards, by
--- the same tree. So the statistics move once per update, by `momentum`, however many shards it has.
---
--- Also notes how much memory a shard takes.
---@param net asl.Module
---@param n integer  shards of an update
---@return asl.ShardState
function shards.state(net, n)
  return setmetatable({ net = net, n = n, counter = net.counter, bytes = 0, partial = {},
    before = n > 1 and net.flat_buffer:clone() or nil }, State)
end

--- Shard s begins.
---@param s integer
function State:enter(s)
  local net, device = self.net, self.net.flat:device()
  if self.n > 1 then
    net.counter = shards.counter(self, s)
    net.flat_buffer:copy_(self.before)
  end
  -- backward() collects on the CPU: what was garbage before must not count as memory that the shard gave back.
  if device == "cpu" then collectgarbage() end
  core.memory_reset_peak(device)
  self.live = core.memory(device).live
end

--- Shard s is done.
---@param s integer
function State:leave(s)
  local net = self.net
  self.bytes = math.max(self.bytes, core.memory(net.flat:device()).peak - self.live)
  if self.n == 1 then return end
  if net.counter - self.counter > s * FORWARDS then
    error(("a shard made %d passes through the network, at most %d are possible")
      :format(net.counter - self.counter - (s - 1) * FORWARDS, FORWARDS), 0)
  end
  push(self.partial, net.flat_buffer - self.before)
end

--- Together: all shards are done; the network is as all of them have left it.
---@return integer bytes  the most tensor memory a shard took beyond what was there before it
function State:finish()
  local net = self.net
  if self.n > 1 then
    net.flat_buffer:copy_(self.before + over_ranks(total_of(self.partial)) * (1 / self.n))
    net.counter = shards.counter(self, self.n + 1)
  end
  return ranks.max(self.bytes)
end

return shards
