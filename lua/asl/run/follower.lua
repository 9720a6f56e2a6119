--- The run as ranks other than the first see it: the same words, nothing is written.

local checkpoint = require "asl.checkpoint"
local fault = require "asl.fault"
local fs = require "asl.fs"
local profile = require "asl.profile"
local ranks = require "asl.ranks"

---@class asl.FollowerRun
---@field path string
---@field name string
---@field id string
---@field manifest table
local Follower = {}
Follower.__index = Follower

local follower = {}

local function nothing() end

for _, word in ipairs { "warn", "clock", "log", "text", "event", "dataset", "status", "summary", "checkpoint", "finish",
  "close" } do
  Follower[word] = nothing
end
Follower.__close = nothing

function Follower:file(name) return fs.join(self.path, name) end

function Follower:picture(step, name)
  return self:file(("pictures/%s-%06d.png"):format(fs.slug(name), step))
end

--- The state to go on from, read from the file that rank 0 has read.
---@return table? state
---@return integer? step
function Follower:restore()
  local step = self.restores
  self.restores = nil
  if not step then return nil end
  for _, generation in ipairs(checkpoint.generations(self:file("ckpt"))) do
    if generation.step == step then return checkpoint.load(generation.path).state, step end
  end
  fault.raise(("%q has no checkpoint of step %d here: all ranks must be able to read the run's directory")
    :format(self.path, step), { level = 0, exit_code = fault.exit.io })
end

--- A profile is of rank 0; this one only stops where that does.
function Follower:profile(given)
  self.window = profile.window { path = "", first = given and given.first, last = given and given.last,
    stop = given and given.stop, quiet = true }
  self.window.report = function(window)
    window.done = true
    profile.stop()
    require("asl.core").trace.clear()
  end
end

--- Together: the child that rank 0 has begun or opened.
function Follower:child()
  local child = follower.of(ranks.broadcast())
  child.window = self.window
  return child
end

--- What followers need to know of a run.
---@param run asl.run
---@return table  plain data
function follower.description(run)
  return { path = run.path, name = run.name, id = run.id, manifest = run.manifest, done = run.done,
    restores = run.restored and run.last_step }
end

--- The follower of a run that rank 0 has.
---@param description table
---@return asl.FollowerRun
function follower.of(description)
  description.quiet = true
  return setmetatable(description, Follower)
end

--- Together: rank 0 makes a run, the others follow it.
---@param make fun(...): asl.run  called on rank 0
---@return asl.run|asl.FollowerRun
function follower.of_first(make, ...)
  if ranks.count() == 1 then return make(...) end
  if not ranks.first() then return follower.of(ranks.broadcast()) end
  local run = make(...)
  ranks.broadcast(follower.description(run))
  return run
end

return follower
