--- Synchronised batch norm: statistics over all shards of an update, on all ranks.
---
--- The shards of a rank go through the network side by side, each in a coroutine of its own, and meet at every batch
--- norm, where what they bring is added up over all shards by the tree of asl.shards; so do their gradients on the way
--- back. Each shard has its own view of the weights, so that its gradient stays apart until the tree adds it up. The
--- bits are the same for any number of ranks. All shards of a rank are in memory at once.

local core = require "asl.core"
local profile = require "asl.profile"
local shards = require "asl.shards"
local tensor = require "asl.tensor"

local ops = core.ops

---@class asl.Lockstep
local Lockstep = {}
Lockstep.__index = Lockstep

local lockstep = {}

--- For the shards of this rank.
---@param net asl.Module  a network with :clone()
---@param n integer  shards of an update
---@return asl.Lockstep
function lockstep.new(net, n)
  local self = setmetatable({ net = net, n = n, nets = {} }, Lockstep)
  local first, last = shards.own(n)
  for s = first, last do
    self.nets[#self.nets + 1] = { shard = s, net = net:clone():share(net) }
  end
  return self
end

-- ---- meeting ----------------------------------------------------------------------------------

local MOST = 6 -- tensors that concat takes

--- Tensors of one shape as the rows of one.
local function stack(list)
  local shape = list[1]:shape()
  local rows = {}
  for i, t in ipairs(list) do rows[i] = t:reshape(1, table.unpack(shape)) end
  while #rows > 1 do
    local joined = {}
    for i = 1, #rows, MOST do
      joined[#joined + 1] = i == #rows and rows[i]
        or ops.concat(rows[i], table.unpack(rows, i + 1, math.min(i + MOST - 1, #rows)))
    end
    rows = joined
  end
  return rows[1]
end

--- Together: in every row the sum over the rows of all ranks.
local function total(rows)
  local n, list = rows:shape()[1], {}
  for i = 1, n do list[i] = rows:select(1, i) end
  local sum, out = shards.sum(list), tensor.zeros(rows:shape(), { dtype = rows:dtype(), device = rows:device() })
  return out:copy_(sum)
end

-- What every shard gets depends on all shards alike, so the gradient is the same sum.
local sum_over_shards = tensor.with_gradient(total, total)

--- What each shard brought, added up over all shards; as many.
local function met(list)
  local sums, rows = sum_over_shards(stack(list)), {}
  for i = 1, #list do rows[i] = sums:select(1, i) end
  return rows
end

--- Lets every thread go on to where they meet next; what they brought there.
local function advance(threads, answers)
  local brought = {}
  for i, thread in ipairs(threads) do
    local scopes = core.open_scopes()
    local ok, value = coroutine.resume(thread, answers[i])
    if not ok then error(value, 0) end
    if coroutine.status(thread) == "suspended" then brought[#brought + 1] = value end
    if core.open_scopes() ~= scopes then
      error("synchronised batch norm: a scope is open across a pass through the network; close it before, or open it "
        .. "around the whole update", 0)
    end
  end
  if #brought > 0 and #brought < #threads then
    error(("synchronised batch norm: %d of %d shards made one pass more through the network than the others")
      :format(#brought, #threads), 0)
  end
  return brought
end

--- Calls fn(i) in a coroutine for every shard of this rank; what they yield when they meet comes back added up.
local function side_by_side(count, fn)
  local threads, answers = {}, {}
  for i = 1, count do threads[i], answers[i] = coroutine.create(fn), i end
  repeat
    local ok, brought = pcall(advance, threads, answers)
    if not ok then
      for _, thread in ipairs(threads) do coroutine.close(thread) end -- what they hold open is closed
      error(brought, 0)
    end
    if #brought > 0 then answers = met(brought) end
  until #brought == 0
end

-- ---- an update --------------------------------------------------------------------------------

--- Together: calls loss(net, s) for every shard s of this rank, side by side, where net is the network as that shard
--- sees it; leaves the gradient of the sum of all losses in the network, and its running statistics and counter as
--- one pass over the whole batch would.
---@param loss fun(net: asl.Module, s: integer): asl.Tensor
---@return table<integer, asl.Tensor> losses  of this rank's shards
---@return integer bytes  the most tensor memory that this took
function Lockstep:gradients(loss)
  local net, losses, sum = self.net, {}, nil
  local device = net.flat:device()
  core.memory_reset_peak(device)
  local live = core.memory(device).live
  for i, own in ipairs(self.nets) do
    own.net:mirror(net, self.n, coroutine.yield, i == 1)
    own.net.counter = shards.counter(net, own.shard)
  end
  profile.call("forward", side_by_side, #self.nets, function(i)
    local own = self.nets[i]
    losses[own.shard] = loss(own.net, own.shard)
  end)
  for _, own in ipairs(self.nets) do
    sum = sum and sum + losses[own.shard] or losses[own.shard]
  end
  profile.call("backward", sum.backward, sum)
  local gradients = {}
  for i, own in ipairs(self.nets) do
    gradients[i], losses[own.shard] = own.net.flat_gradient, losses[own.shard]:detach()
  end
  net.flat_gradient:copy_(shards.sum(gradients))
  net.counter = shards.counter(net, self.n + 1)
  return losses, core.memory(device).peak - live
end

return lockstep
