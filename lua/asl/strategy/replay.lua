--- Experience replay (Chaudhry et al., "On Tiny Episodic Memories in Continual Learning", 2019): rows of
--- past tasks, kept in a memory of fixed size, replace a fixed share of every batch.

local buffer = require "asl.buffer"
local mix = require "asl.mix"
local options = require "asl.options"
local strategy = require "asl.strategy"

local replay = strategy.define("replay", {
  memory = options.required, share = 0.5,
  select = options.one_of { "reservoir", "per_task" }, draw = options.one_of { "tasks", "rows" },
})
local Base = strategy.Base

function replay:begin(context)
  Base.begin(self, context)
  if self.share < 0 or self.share > 1 then
    error(("asl.strategy.replay: share must be in [0, 1], not %g"):format(self.share), 0)
  end
  self.buffer = buffer.new { bytes = self.memory, size = context.size, select = self.select, draw = self.draw,
    seed = context.seed, device = self.net.flat:device() }
end

function replay:before_task(i, task)
  Base.before_task(self, i, task)
  self.task = i
  self.buffer:begin_task(i)
  self.replaying = self.buffer:has_past(i)
end

function replay:replayed_before(t)
  return self.replaying and mix.replayed_before(t, self.share, self.context.rows) or 0
end

--- With draw = "tasks" every past task has its share of the draws, so each must still be in memory; with
--- draw = "rows" any row of the past will do.
local function check_memory(self)
  if self.draw == "rows" and self.buffer:has_past(self.task) then return end
  for past, weight in ipairs(self.buffer:weights(self.task)) do
    if weight == 0 then
      error(("replay memory has lost every row of task %d: it holds %d rows; give it more, or select = \"per_task\"")
        :format(past, self.buffer.capacity), 0)
    end
  end
end

function replay:recall(n, step, first, last)
  check_memory(self)
  local slots = self.buffer:choose(n, step, self.task)
  local image, label = self.buffer:gather { table.unpack(slots, first or 1, last or n) }
  local tasks = {}
  for k, slot in ipairs(slots) do tasks[k] = self.buffer.task[slot] end -- what the rows really are
  return image, label, tasks
end

function replay:after_step(batch)
  local fresh = batch.fresh
  self.buffer:offer(self.task, fresh.image, fresh.label, fresh.ids, fresh.counts)
end

--- Rows replayed per past task if every draw goes as planned: a pure function of the settings.
---@param tasks integer    number of tasks
---@param updates integer  of each task
---@return { rows: integer, batch_rows: integer, counts: integer[]|nil }  of the tasks that replay;
---   counts per task only with draw = "tasks"
function replay:plan(tasks, updates)
  local plan = { rows = 0, batch_rows = 0, counts = {} }
  for past = 1, tasks do plan.counts[past] = 0 end
  for i = 2, tasks do
    local weights = {}
    for past = 1, i - 1 do weights[past] = 1 end
    for t = 1, updates do
      local n = mix.replayed(t, self.share, self.context.rows)
      plan.rows, plan.batch_rows = plan.rows + n, plan.batch_rows + self.context.rows
      for _, past in ipairs(mix.draw_tasks(self.context.seed, (i - 1) * updates + t, n, weights)) do
        plan.counts[past] = plan.counts[past] + 1
      end
    end
  end
  if self.draw ~= "tasks" then plan.counts = nil end
  return plan
end

function replay:memory_state()
  return { buffer = self.buffer:state(), task = self.task, replaying = self.replaying }
end

function replay:restore_memory(state)
  self.buffer:restore(state.buffer)
  self.task, self.replaying = state.task, state.replaying
end

return replay
