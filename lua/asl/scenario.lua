--- Scenarios: ordered lists of tasks.

local options = require "asl.options"
local task = require "asl.task"

local scenario = {}

---@class asl.Scenario
---@field name string
---@field tasks asl.Task[]          in the order they are learnt
---@field tests { name: string, data: asl.Dataset }[]  columns of R: one per task, in order, then extra ones
---@field classes integer
---@field class_names string[]
---@field colours integer[][]

local function check_tests(self)
  local data = require "asl.data"
  for _, test in ipairs(self.tests) do
    for _, t in ipairs(self.tasks) do
      data.disjoint(t.train, test.data)
      if test.data.classes ~= self.classes then
        error(("scenario %q: test %q has %d classes, the tasks have %d"):format(self.name, test.name, test.data.classes,
          self.classes), 3)
      end
    end
  end
end

--- A scenario from tasks. No test sample may be in any task's training data.
---@param given { name?: string, tasks: asl.Task[], extra_tests?: { name: string, data: asl.Dataset }[] }
---@return asl.Scenario
function scenario.new(given)
  local self = options.check("asl.scenario.new", given, {
    name = "scenario", tasks = options.require "table", extra_tests = {},
  })
  if #self.tasks == 0 then error("asl.scenario.new: a scenario has at least one task", 2) end
  local first, names = self.tasks[1].train, {}
  self.classes, self.class_names, self.colours, self.tests = first.classes, first.class_names, first.colours, {}
  for _, t in ipairs(self.tasks) do
    if names[t.name] then error(("asl.scenario.new: two tasks are called %q"):format(t.name), 2) end
    names[t.name] = true
    self.tests[#self.tests + 1] = { name = t.name, data = t.test }
  end
  for _, test in ipairs(self.extra_tests) do self.tests[#self.tests + 1] = test end
  self.extra_tests = nil
  check_tests(self)
  return self
end

--- One task per domain, in this order: the same classes, another look.
---@param domains table[]  { name, train = dataset, test = dataset [, val = dataset] }
---@return asl.Scenario
function scenario.domains(domains)
  local tasks = {}
  for i, domain in ipairs(domains) do
    if type(domain[1]) ~= "string" then error(("asl.scenario.domains: domain %d has no name"):format(i), 2) end
    tasks[i] = task.new { name = domain[1], train = domain.train, val = domain.val, test = domain.test }
  end
  return scenario.new { name = "domains", tasks = tasks }
end

--- One task per group of sequences (scenes, rooms, drives) of a training set.
---@param given { train: asl.Dataset, test: asl.Dataset, scenes: table[] }
---   scenes: { name, sequences... }; each is a task on those sequences of `train`, tested on those of `test`
---@return asl.Scenario
function scenario.scenes(given)
  given = options.check("asl.scenario.scenes", given, {
    train = options.require "table", test = options.require "table", scenes = options.require "table",
  })
  local tasks = {}
  for i, scene in ipairs(given.scenes) do
    local sequences = { table.unpack(scene, 2) }
    if #sequences == 0 then sequences = { scene[1] } end
    tasks[i] = task.new { name = scene[1], train = given.train:sequence(sequences), test = given.test:sequence(sequences) }
  end
  return scenario.new { name = "scenes", tasks = tasks }
end

--- All tasks as one: what the non-continual reference learns.
---@param self asl.Scenario
---@return asl.Task  train = all training data in order; test = the first task's (R has all tests anyway)
function scenario.joined(self)
  local train = self.tasks[1].train
  for i = 2, #self.tasks do train = train:join(self.tasks[i].train) end
  return { name = "all tasks", train = train, test = self.tasks[1].test }
end

return scenario
