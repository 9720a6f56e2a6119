--- Whole runs in several ranks on this machine.

local core = require "asl.core"
local program = require "spec.support.program"
local trial = require "spec.support.trial"

local several = {}

--- Why there cannot be several ranks here; nil when there can.
---@return string|nil
function several.missing()
  local there, why = core.ranks.available()
  if not there then return why end
  if not os.execute("command -v mpirun >/dev/null 2>&1") then return "there is no mpirun" end
end

--- busted's `it`, which gives pending tests where there cannot be several ranks.
function several.it(it, pending)
  local why = several.missing()
  return function(name, test) it(name, why and function() pending(why) end or test) end
end

-- Four shards of the least rows that batch norm can be trained with.
local DEFAULTS = { shards = "4", batch = "8", updates = "4" }

local function words(ranks, runs, settings, script)
  local list = ranks > 1 and { "--ranks", tostring(ranks) } or {}
  for _, word in ipairs { script or trial.TINY, "--runs", runs } do list[#list + 1] = word end
  local given = {}
  for _, setting in ipairs(settings or {}) do
    list[#list + 1] = setting
    given[setting:match "^(.-)="] = true
  end
  for key, value in pairs(DEFAULTS) do
    if not given[key] then list[#list + 1] = key .. "=" .. value end
  end
  return list
end

--- Runs the tiny experiment in some ranks to its end.
---@param ranks integer
---@param runs string       where runs go; a new directory for every run
---@param settings string[]|nil "key=value", beside shards=4 batch=8 updates=4
---@param script string|nil
---@return { out: string, err: string, code: integer, path: string|nil, seconds: number }
function several.run(ranks, runs, settings, script)
  local began = core.monotonic()
  local result = program.run(words(ranks, runs, settings, script))
  result.path, result.seconds = trial.path(runs), core.monotonic() - began
  return result
end

--- Goes on with a run in some ranks.
function several.resume(ranks, path)
  return program.run(ranks > 1 and { "--ranks", tostring(ranks), "resume", path } or { "resume", path })
end

--- Starts the tiny experiment in some ranks and sends a signal to what was started once update 2 is saved.
---@return { out: string, err: string, code: integer }
function several.interrupt(ranks, runs, signal, settings)
  return trial.interrupt(words(ranks, runs, settings), signal, trial.until_there(runs .. "/tiny/*/ckpt/step-0000000002.ckpt"))
end

--- Runs a script's text in some ranks; what they print is on standard error.
---@param ranks integer
---@param text string
---@return { out: string, err: string, code: integer }
function several.script(ranks, text)
  local result
  program.in_directory(function(dir)
    result = program.run { "--ranks", tostring(ranks), program.write(dir, "script.lua", text) }
  end)
  return result
end

return several
