--- The feed: fresh rows of a task, step by step, decoded ahead of their use.
---
--- Which sample is row p of a task (counted over all its steps) is a keyed permutation of each epoch,
--- addressed directly: going to any step costs nothing. Rows that memory will replace are not loaded.

local core = require "asl.core"
local options = require "asl.options"

local AHEAD = 2 -- batches requested before they are needed

---@class asl.Feed
local Feed = {}
Feed.__index = Feed

--- A feed of one task.
---@param given table  { loader, data = dataset, rows = of a batch, size = {H,W}, augment, seed, task = number,
---   replayed_before = function(t): rows of memory before step t, updates = steps of the task }
---@return asl.Feed
local function new(given)
  local self = options.check("asl.feed", given, {
    loader = options.required, data = options.required, rows = options.require "integer", size = options.require "table",
    augment = options.any, seed = options.require "integer", task = options.require "integer",
    replayed_before = options.required, updates = options.require "integer",
  })
  self.tickets, self.requested = {}, nil
  return setmetatable(self, Feed)
end

--- Fresh rows before step t.
local function fresh_before(self, t)
  return (t - 1) * self.rows - self.replayed_before(t)
end

--- Sample positions of the fresh rows of step t.
---@param t integer
---@return integer[] positions
function Feed:positions(t)
  local positions, n = {}, #self.data
  for p = fresh_before(self, t), fresh_before(self, t + 1) - 1 do
    local epoch = self.task << 32 | p // n
    positions[#positions + 1] = core.order(self.seed, epoch, n, p % n + 1)
  end
  return positions
end

local function request(self, t)
  local positions, rows = self:positions(t), {}
  for row, position in ipairs(positions) do rows[row] = { dataset = self.data, position = position } end
  local ids = {}
  for row, position in ipairs(positions) do ids[row] = self.data.ids[position] end
  self.tickets[t] = { ids = ids, ticket = #rows > 0 and self.loader:request {
    rows = rows, size = self.size, planes = { "image", "label" }, augment = self.augment, seed = self.seed,
    step = self.task << 32 | t,
  } or nil }
end

--- The fresh rows of step t; steps must be asked for in order, from any first one.
---@param t integer
---@return { image: asl.Tensor|nil, label: asl.Tensor|nil, ids: string[] }
function Feed:next(t)
  self.requested = self.requested or t - 1
  while self.requested < math.min(t + AHEAD, self.updates) do
    self.requested = self.requested + 1
    request(self, self.requested)
  end
  local entry = self.tickets[t]
  self.tickets[t] = nil
  local batch = entry.ticket and self.loader:wait(entry.ticket) or {}
  return { image = batch.image, label = batch.label, ids = entry.ids }
end

return new
