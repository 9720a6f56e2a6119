--- Replay memory: one slab of pictures and labels in device memory, sized in bytes.
---
--- Rows are u8 pictures and u8 labels of one size, so a row of 320x640 costs 819,200 bytes. What enters,
--- what leaves and what is drawn is a pure function of the seed and of what was offered, so memory is
--- part of a checkpoint and nothing else needs to be remembered.
---
--- Among several ranks each holds the whole memory: rows are drawn at every step but enter seldom, and every rank can
--- tell which will, so only those are moved.

local core = require "asl.core"
local mix = require "asl.mix"
local options = require "asl.options"
local ranks = require "asl.ranks"
local tensor = require "asl.tensor"

local ops = core.ops
local buffer = {}

local PURPOSE_REPLAY = 5 -- ASL_PURPOSE_REPLAY of csrc/base/philox.h
-- Streams of random numbers within the purpose; mix.draw_tasks uses plain step numbers.
local STREAM_SELECT, STREAM_SHRINK = 1 << 40, 1 << 41

---@class asl.Buffer
---@field capacity integer  rows that fit
---@field offered integer   rows offered so far
---@field task integer[]    task of each slot, 0 = empty
---@field id string[]       sample id of each slot
local Buffer = {}
Buffer.__index = Buffer

local units = { B = 1, KB = 1e3, MB = 1e6, GB = 1e9, KiB = 1 << 10, MiB = 1 << 20, GiB = 1 << 30 }

--- Bytes from "64 MiB", "1.5 GB" or a number.
---@param size string|number
---@return integer
function buffer.bytes(size)
  if type(size) == "number" then return math.floor(size) end
  local number, unit = tostring(size):match("^%s*([%d.]+)%s*(%a*)%s*$")
  local factor = units[unit == "" and "B" or unit]
  if not tonumber(number) or not factor then
    error(("%q is no memory size: write for example \"64 MiB\" (B, KB, MB, GB, KiB, MiB, GiB)"):format(tostring(size)), 2)
  end
  return math.floor(tonumber(number) * factor)
end

--- An empty memory.
---@param given { bytes: string|number, size: integer[], select?: string, draw?: string, seed?: integer, device?: string }
---   bytes: capacity, "64 MiB"; size: {H, W} of its rows;
---   select: "reservoir": every row ever offered is equally likely to be kept (Vitter, 1985);
---           "per_task": equal room for every task, a reservoir within each;
---   draw: "tasks": first a past task (all equally likely), then a row of it; "rows": any row of past tasks
---@return asl.Buffer
function buffer.new(given)
  local self = options.check("asl.buffer.new", given, {
    bytes = options.required, size = options.require "table", select = options.one_of { "reservoir", "per_task" },
    draw = options.one_of { "tasks", "rows" }, seed = 0, device = "cpu",
  })
  self.bytes = buffer.bytes(self.bytes)
  local height, width = self.size[1], self.size[2]
  self.row_bytes = height * width * 4
  self.capacity = self.bytes // self.row_bytes
  if self.capacity < 1 then
    error(("asl.buffer.new: %d bytes hold no row: one of %dx%d needs %d bytes"):format(self.bytes, height, width,
      self.row_bytes), 2)
  end
  self.image = tensor.zeros({ self.capacity, height, width, 3 }, { dtype = "u8", device = self.device })
  self.label = tensor.full({ self.capacity, height, width }, 255, { dtype = "u8", device = self.device })
  self.task, self.id, self.offered, self.offered_by_task = {}, {}, 0, {}
  for slot = 1, self.capacity do self.task[slot], self.id[slot] = 0, "" end
  return setmetatable(self, Buffer)
end

--- Slots that hold rows of a task, in order.
---@param task integer
---@return integer[]
function Buffer:slots(task)
  local slots = {}
  for slot, owner in ipairs(self.task) do
    if owner == task then slots[#slots + 1] = slot end
  end
  return slots
end

--- Rows held per task.
---@param tasks integer  number of tasks
---@return integer[]
function Buffer:counts(tasks)
  local counts = {}
  for task = 1, tasks do counts[task] = 0 end
  for _, task in ipairs(self.task) do
    if task > 0 then counts[task] = (counts[task] or 0) + 1 end
  end
  return counts
end

--- A uniform position in 1..n for the item-th decision.
local function pick(self, stream, item, n)
  local word = core.random(self.seed, PURPOSE_REPLAY, stream, item)
  return word * n // (1 << 32) + 1
end

--- Room for one task when `tasks` share the memory: the first ones get the remainder.
local function quota(self, task, tasks)
  return self.capacity // tasks + (task <= self.capacity % tasks and 1 or 0)
end

--- A task begins: under "per_task" the earlier ones make room, each giving up random rows.
---@param task integer
function Buffer:begin_task(task)
  if self.select ~= "per_task" then return end
  for past = 1, task - 1 do
    local slots, room = self:slots(past), quota(self, past, task)
    for k = 1, #slots - room do
      local i = pick(self, STREAM_SHRINK + task, past << 32 | k, #slots)
      self.task[slots[i]], self.id[slots[i]] = 0, ""
      table.remove(slots, i)
    end
  end
end

--- Which slot the next offered row of this task takes, or nil when it is not kept.
local function choose(self, task)
  if self.select == "reservoir" then
    local n = self.offered
    local slot = n <= self.capacity and n or pick(self, STREAM_SELECT, n, n)
    return slot <= self.capacity and slot or nil
  end
  local n, own, room = self.offered_by_task[task], self:slots(task), quota(self, task, task)
  if #own < room then
    for slot, owner in ipairs(self.task) do
      if owner == 0 then return slot end
    end
  end
  return own[pick(self, STREAM_SELECT, task << 32 | n, n)]
end

--- Offers rows of a task; the policy decides which are kept. Together with the other ranks, if there are any.
---@param task integer
---@param image asl.Tensor|nil  u8 (N,H,W,3), the rows that this rank has, if any
---@param label asl.Tensor|nil  u8 (N,H,W)
---@param ids string[]      sample ids of all rows
---@param counts integer[]|nil  how many of them each rank has; nil: this one has all
---@return integer kept     how many rows entered
function Buffer:offer(task, image, label, ids, counts)
  local taken, rows = {}, {}
  for row = 1, #ids do
    self.offered = self.offered + 1
    self.offered_by_task[task] = (self.offered_by_task[task] or 0) + 1
    local slot = choose(self, task)
    if slot then
      self.task[slot], self.id[slot] = task, ids[row]
      if not taken[slot] then rows[#rows + 1] = slot end
      taken[slot] = row -- a later row of this batch may take the slot of an earlier one
    end
  end
  if #rows == 0 then return 0 end
  local from, to = {}, {}
  for i, slot in ipairs(rows) do from[i], to[i] = taken[slot], slot - 1 end
  local target = tensor.tensor(to, { dtype = "i64" }):to(self.device)
  ops.scatter_rows(self.image, target, ranks.rows(image, self.image, counts, from))
  ops.scatter_rows(self.label, target, ranks.rows(label, self.label, counts, from))
  return #rows
end

--- Relative weights of the tasks before `task` in a draw.
---@param task integer  the current one
---@return number[] weights  zero for tasks without rows; empty when there is no past task
function Buffer:weights(task)
  local weights, counts = {}, self:counts(task)
  for past = 1, task - 1 do
    weights[past] = self.draw == "rows" and counts[past] or (counts[past] > 0 and 1 or 0)
  end
  return weights
end

--- Is there anything of the past to replay in this task?
---@param task integer
---@return boolean
function Buffer:has_past(task)
  for _, weight in ipairs(self:weights(task)) do
    if weight > 0 then return true end
  end
  return false
end

--- Draws rows of past tasks; within a step no row is drawn twice while others of its task remain.
---@param n integer     rows
---@param step integer  of the run: another step, other draws
---@param task integer  the current one: rows come from tasks before it
---@return integer[] slots
---@return integer[] tasks  task of each drawn row
function Buffer:choose(n, step, task)
  if n == 0 then return {}, {} end
  local tasks = mix.draw_tasks(self.seed, step, n, self:weights(task))
  local slots, own, drawn = {}, {}, {}
  for k, past in ipairs(tasks) do
    own[past] = own[past] or self:slots(past)
    drawn[past] = (drawn[past] or 0) + 1
    local count = #own[past]
    local round = (drawn[past] - 1) // count -- another permutation once all rows are used
    slots[k] = own[past][core.order(self.seed, step << 8 | round, count, (drawn[past] - 1) % count + 1)]
  end
  return slots, tasks
end

--- Pictures and labels of slots.
---@param slots integer[]
---@return asl.Tensor image  u8 (n,H,W,3)
---@return asl.Tensor label  u8 (n,H,W)
function Buffer:gather(slots)
  local index = {}
  for i, slot in ipairs(slots) do index[i] = slot - 1 end
  index = tensor.tensor(index, { dtype = "i64" }):to(self.device)
  return ops.gather_rows(self.image, index), ops.gather_rows(self.label, index)
end

--- For checkpoints.
---@return table state
function Buffer:state()
  return { image = self.image, label = self.label, task = self.task, id = self.id, offered = self.offered,
    offered_by_task = self.offered_by_task, row_bytes = self.row_bytes, capacity = self.capacity }
end

--- Takes over the state of a memory of the same capacity.
---@param state table
function Buffer:restore(state)
  if state.capacity ~= self.capacity or state.row_bytes ~= self.row_bytes then
    error(("this memory holds %d rows of %d bytes, the checkpoint's held %d of %d"):format(self.capacity, self.row_bytes,
      state.capacity, state.row_bytes), 2)
  end
  self.image:copy_(state.image)
  self.label:copy_(state.label)
  self.task, self.id, self.offered, self.offered_by_task = state.task, state.id, state.offered, state.offered_by_task
end

return buffer
