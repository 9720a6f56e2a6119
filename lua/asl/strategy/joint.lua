--- Joint: all tasks at once, with the updates of all of them. The non-continual reference.

local scenario = require "asl.scenario"
local strategy = require "asl.strategy"

local joint = strategy.define("joint")

function joint:tasks(given)
  local all = scenario.joined(given)
  all.updates_of = #given.tasks -- as many updates as the tasks have together
  return { all }
end

return joint
