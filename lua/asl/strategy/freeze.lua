--- Freeze: after the first task only parts of the network learn. The rest keeps its weights and, with
--- them, its batch-norm statistics.

local strategy = require "asl.strategy"

local freeze = strategy.define("freeze", {
  parts = { "learning_to_downsample", "global_feature_extractor" }, -- what is frozen from task 2 on
})

function freeze:before_task(i, task)
  strategy.Base.before_task(self, i, task)
  self.task = i
  self.net:freeze(i > 1 and self.parts or {})
end

function freeze:memory_state() return { task = self.task } end

function freeze:restore_memory(state)
  self.task = state.task
  self.net:freeze((self.task or 1) > 1 and self.parts or {})
end

return freeze
