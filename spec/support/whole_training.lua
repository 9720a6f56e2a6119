--- A whole training, to compare its bits: two domains of `rooms` in odd sizes, augmentation, loader threads,
--- replay, the auxiliary head, Adam, evaluation. What is compared is the log, the summary (with the digest of
--- the weights), the last checkpoint (weights, optimiser, statistics, replay memory) and the pictures.
---
--- Run as a program, takes 200 updates (updates=100 for each task) and prints a digest for each of them:
---
---     asl spec/support/whole_training.lua [key=value ...]

if not package.path:find("./?.lua", 1, true) then package.path = "./?.lua;" .. package.path end

local core = require "asl.core"
local fs = require "asl.fs"
local trial = require "spec.support.trial"

local whole_training = {}

local SETTINGS = { strategy = "replay", size = "37,53", batch = "3", aux = "true", updates = "100",
  checkpoint_every = "100", rotate = "10", contrast = "0.2", saturation = "0.2", hue = "0.05" }

local function sorted_keys(t)
  local keys = {}
  for key in pairs(t) do keys[#keys + 1] = key end
  table.sort(keys)
  return keys
end

local function words_of(overrides)
  local settings, words = {}, {}
  for key, value in pairs(SETTINGS) do settings[key] = value end
  for _, word in ipairs(overrides) do
    local key, value = word:match "^(.-)=(.*)$"
    settings[key] = value
  end
  for i, key in ipairs(sorted_keys(settings)) do words[i] = key .. "=" .. settings[key] end
  return words
end

--- Trains in a process of its own.
---@param overrides string[]  "key=value", settings of the tiny experiment
---@param env string|nil      assignments in front of the command
---@return table<string, string> truth  as trial.truth gives it
function whole_training.truth(overrides, env)
  local runs = fs.temp_dir()
  local result = trial.run(runs, words_of(overrides), { env = env })
  local truth = result.code == 0 and trial.truth(result.path)
  fs.remove_tree(runs)
  return truth or error(("the training ended with %d\n%s"):format(result.code, result.err), 0)
end

if arg and arg[0] and arg[0]:find("spec/support/whole_training%.lua$") then
  local truth = whole_training.truth(arg)
  for _, name in ipairs(sorted_keys(truth)) do
    print(("training, %s: %s"):format(name, core.sha256(truth[name])))
  end
end

return whole_training
