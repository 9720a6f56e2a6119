--- A task: data to learn from and data to be tested on. It knows nothing of training.

local options = require "asl.options"

local task = {}

---@class asl.Task
---@field name string
---@field train asl.Dataset
---@field val asl.Dataset|nil
---@field test asl.Dataset

--- A task from datasets; no sample may be in two of them.
---@param given { name: string, train: asl.Dataset, val?: asl.Dataset, test: asl.Dataset }
---@return asl.Task
---@error a sample that is in two of the sets; sets that disagree on classes
function task.new(given)
  local self = options.check("asl.task.new", given, {
    name = options.require "string", train = options.require "table", val = options.any, test = options.require "table",
  })
  local data = require "asl.data"
  local sets = { self.train, self.test, self.val }
  for i, set in ipairs(sets) do
    if #set == 0 then error(("task %q: dataset %q is empty"):format(self.name, set.name), 2) end
    for j = 1, i - 1 do data.disjoint(sets[j], set) end
    if set.classes ~= self.train.classes then
      error(("task %q: %q has %d classes, %q has %d"):format(self.name, set.name, set.classes, self.train.name,
        self.train.classes), 2)
    end
  end
  return self
end

return task
