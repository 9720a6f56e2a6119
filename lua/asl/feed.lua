--- The feed: fresh rows of a task, step by step, decoded ahead of their use.
---
--- Which sample is row p of a task (counted over all its steps) is a keyed permutation of each epoch,
--- addressed directly: going to any step costs nothing. Rows that memory will replace are not loaded, nor those of
--- shards that other ranks compute.
---
--- With resident data (asl.resident) nothing is loaded: rows are gathered and augmented on the device when they are
--- asked for, with the same bytes.

local core = require "asl.core"
local mix = require "asl.mix"
local options = require "asl.options"
local ranks = require "asl.ranks"
local shards = require "asl.shards"

local AHEAD = 2 -- batches requested before they are needed

---@class asl.Feed
local Feed = {}
Feed.__index = Feed

--- A feed of one task.
---@param given table  { loader, data = dataset, rows = of a batch, size = {H,W}, augment, seed, task = number,
---   replayed_before = function(t): rows of memory before step t, updates = steps of the task,
---   held = asl.Held of the data or nil }
---@return asl.Feed
local function new(given)
  local self = options.check("asl.feed", given, {
    loader = options.required, data = options.required, rows = options.require "integer", size = options.require "table",
    augment = options.any, seed = options.require "integer", task = options.require "integer",
    replayed_before = options.required, updates = options.require "integer", held = options.optional "table",
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

--- How many of the fresh rows of step t each rank loads; nil alone.
local function counts_of(self, t)
  if ranks.count() == 1 then return nil end
  local replayed, counts = mix.positions(self.rows, self.replayed_before(t + 1) - self.replayed_before(t)), {}
  for rank = 0, ranks.count() - 1 do
    local first, last = shards.rows(self.rows, rank)
    counts[rank + 1] = 0
    for row = first, last do
      if not replayed[row] then counts[rank + 1] = counts[rank + 1] + 1 end
    end
  end
  return counts
end

--- The first and last of the fresh rows that this rank loads.
local function own_rows(counts, all)
  if not counts then return 1, all end
  local before = 0
  for rank = 1, ranks.rank() do before = before + counts[rank] end
  return before + 1, before + counts[ranks.rank() + 1]
end

--- Asks for rows of the data set: of the loader, ahead of their use; of held data when they are needed.
local function ask(self, rows, t)
  local given = { size = self.size, augment = self.augment, seed = self.seed, step = self.task << 32 | t }
  if not self.held then
    given.rows, given.planes = rows, { "image", "label" }
    local ticket = self.loader:request(given)
    return function() return self.loader:wait(ticket) end
  end
  given.positions, given.rows = {}, {}
  for k, row in ipairs(rows) do given.positions[k], given.rows[k] = row.position, row.row end
  return function() return self.held:batch(given) end
end

local function request(self, t)
  local positions, counts, rows, ids = self:positions(t), counts_of(self, t), {}, {}
  local first, last = own_rows(counts, #positions)
  for row, position in ipairs(positions) do
    ids[row] = self.data.ids[position]
    if row >= first and row <= last then rows[#rows + 1] = { dataset = self.data, position = position, row = row } end
  end
  self.tickets[t] = { ids = ids, counts = counts, batch = #rows > 0 and ask(self, rows, t) or nil }
end

--- The fresh rows of step t; steps must be asked for in order, from any first one.
---@param t integer
---@return { image: asl.Tensor|nil, label: asl.Tensor|nil, ids: string[], counts: integer[]|nil }  image and label: of
---   the rows this rank loads; ids: of all; counts: how many each rank loads, nil: this one loads all
function Feed:next(t)
  self.requested = self.requested or t - 1
  while self.requested < math.min(t + AHEAD, self.updates) do
    self.requested = self.requested + 1
    request(self, self.requested)
  end
  local entry = self.tickets[t]
  self.tickets[t] = nil
  local batch = entry.batch and entry.batch() or {}
  return { image = batch.image, label = batch.label, ids = entry.ids, counts = entry.counts }
end

return new
