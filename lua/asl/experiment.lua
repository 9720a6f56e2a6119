--- Experiments: a name, a configuration with defaults, and a main function.

local config = require "asl.config"
local fault = require "asl.fault"
local options = require "asl.options"
local ranks = require "asl.ranks"

local experiment = {}

---@class asl.Experiment
---@field name string
---@field config table<string, any>
---@field main fun(cfg: table, run: asl.run)

--- An experiment, to be returned by a script that `asl FILE.lua key=value ...` runs.
---@param given { name: string, config: table<string, any>, main: fun(cfg: table, run: asl.run) }
---   config: every key with its default; the default's type is the key's type
---@return asl.Experiment
function experiment.experiment(given)
  return options.check("asl.experiment", given, {
    name = options.require "string", config = {}, main = options.require "function",
  })
end

--- Calls main in a run, ends the run by how that ended, and gives the exit code.
local function supervise(this, cfg, run, trace)
  local ok, problem = fault.catch(this.main, cfg, run)
  require("asl.core").catch_interrupts("default")
  if ok then
    run:finish("done")
    return 0
  elseif problem.exit_code == fault.exit.profiled then
    run:finish("profiled", problem.message)
    print(("run:   %s (asl resume goes on with it)"):format(run.path))
    return 0
  end
  problem = ranks.announce(problem, trace)
  local preempted = problem.exit_code == fault.exit.preempted
  local finished, message = pcall(run.finish, run, preempted and "preempted" or "failed", problem.message)
  if not finished then io.stderr:write("asl: ", tostring(message), "\n") end
  return problem.exit_code or fault.exit.internal
end

-- Several ranks are of one mind, and the first speaks for all.
local function gather_ranks(this, cfg)
  if ranks.count() == 1 then return end
  local core = require "asl.core"
  if not ranks.first() then core.ranks.mute() end
  local version = core.version()
  ranks.same("asl", version.version .. version.commit)
  ranks.same("the config of " .. this.name, require("asl.json").encode(cfg, { nonfinite = "string" }))
end

--- Runs an experiment in a new run directory.
---@param this asl.Experiment
---@param given { overrides?: table, runs?: string, id?: string, script?: string, argv?: string[], trace?: boolean,
---   profile?: table }  id: name of the run's directory, default: time and four digits; profile: as of run:profile
---@return integer exit_code
function experiment.execute(this, given)
  local cfg = config.resolve(this.name, this.config, given.overrides)
  gather_ranks(this, cfg)
  local run = require("asl.run").create {
    name = this.name, id = given.id, config = cfg, script = given.script, argv = given.argv or {},
    runs = given.runs or require("asl.env").get("runs") or "runs",
  }
  if given.profile then run:profile(given.profile) end
  return supervise(this, cfg, run, given.trace)
end

--- Goes on with a run that was stopped, with the configuration it began with.
---@param path string  the run's directory
---@param given { env?: string, trace?: boolean }
---@return integer exit_code
function experiment.resume(path, given)
  local run = require("asl.run").open(path)
  local script = run.manifest.script
  if not script then
    fault.raise(("%q was not begun by a script and cannot be resumed"):format(path),
      { level = 0, exit_code = fault.exit.usage })
  end
  if given.env then require("asl.env").use(given.env) end
  local chunk, message = loadfile(script, "t")
  if not chunk then fault.raise(message, { level = 0 }) end
  local this = chunk()
  local cfg = config.resolve(this.name, this.config, run.manifest.config)
  gather_ranks(this, cfg)
  return supervise(this, cfg, run, given.trace)
end

return experiment
