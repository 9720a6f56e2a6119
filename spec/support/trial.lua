--- Whole runs of an experiment by the program under test, and what came of them.

local core = require "asl.core"
local fs = require "asl.fs"
local json = require "asl.json"
local program = require "spec.support.program"

local trial = {}

trial.TINY = "spec/support/tiny.lua"

local function words_of(arguments)
  local words = { program.quote(program.path()) }
  for _, argument in ipairs(arguments) do words[#words + 1] = program.quote(argument) end
  return table.concat(words, " ")
end

--- The directory of the run below `runs`, whose experiment ran once; nil when it never began.
---@param runs string
---@return string|nil
function trial.path(runs)
  for _, name in ipairs(fs.stat(runs) and fs.list(runs) or {}) do
    for _, id in ipairs(fs.list(runs .. "/" .. name)) do
      local path = ("%s/%s/%s"):format(runs, name, id)
      if fs.stat(path .. "/manifest.json") then return path end
    end
  end
end

--- Runs an experiment to its end.
---@param runs string       where runs go; a new directory for every run
---@param overrides string[] "key=value"
---@param given { script?: string, env?: string }|nil
---@return { out: string, err: string, code: integer, path: string|nil }
function trial.run(runs, overrides, given)
  given = given or {}
  local result = program.run({ given.script or trial.TINY, "--runs", runs, table.unpack(overrides) }, { env = given.env })
  result.path = trial.path(runs)
  return result
end

--- Goes on with a run to its end.
function trial.resume(path)
  return program.run { "resume", path }
end

--- Starts the program and sends it a signal.
---@param arguments string[]
---@param signal string  "KILL", "TERM", "INT"
---@param when string    shell command that returns when it is time
---@return { out: string, err: string, code: integer }  the program's; 137 = killed
function trial.interrupt(arguments, signal, when)
  return program.shell(table.concat({ words_of(arguments) .. " &", "pid=$!", when, "kill -" .. signal .. " $pid 2>/dev/null",
    "wait $pid" }, "\n"))
end

--- Shell command that returns when a file is there, at the latest after about a minute.
---@param pattern string  of the shell
---@return string
function trial.until_there(pattern)
  return ('n=0; set -- %s; until [ -e "$1" ] || [ $n -ge 6000 ]; do n=$((n + 1)); sleep 0.01; set -- %s; done')
    :format(pattern, pattern)
end

--- What must be the same in equal runs: log, summary, the last checkpoint and pictures.
---@param path string
---@return table<string, string>
function trial.truth(path)
  local checkpoints = fs.list(path .. "/ckpt")
  local truth = { log = core.sha256(fs.read(path .. "/log")), summary = fs.read(path .. "/summary.json"),
    last = checkpoints[#checkpoints], checkpoint = core.sha256(fs.read(path .. "/ckpt/" .. checkpoints[#checkpoints])) }
  for _, name in ipairs(fs.list(path .. "/pictures")) do
    truth[name] = core.sha256(fs.read(path .. "/pictures/" .. name))
  end
  return truth
end

function trial.summary(path) return json.read(path .. "/summary.json") end
function trial.status(path) return json.read(path .. "/status.json") end

return trial
