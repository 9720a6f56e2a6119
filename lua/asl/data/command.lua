--- `asl data ...`: label tables, checking what lies on disk, packing.

local core = require "asl.core"
local fault = require "asl.fault"
local nearest = require "asl.nearest"

local command = {}

local words = {}

local function bad_usage(message, hint)
  fault.raise(message, { hint = hint, exit_code = fault.exit.usage, level = 0 })
end

function words.labels(arguments, overrides)
  if #arguments > 1 or next(overrides) then
    bad_usage("data labels takes at most the name of a table", "asl data labels nyu40")
  end
  local labels, name = require "asl.labels", arguments[1]
  local depth = os.getenv "COLORTERM"
  local colour = core.isatty "stdout" and (os.getenv "NO_COLOR" or "") == "" and (depth == "truecolor" or depth == "24bit")
  print(name and labels.text(labels.load(name), { colour = colour }) or labels.list_text())
  return 0
end

function words.check(arguments, overrides, out)
  local samples = overrides.samples
  overrides.samples = nil
  if #arguments ~= 1 or next(overrides) then
    bad_usage("data check takes one file or folder, and samples=N of the contact sheet", "asl data check /data/cityscapes")
  end
  core.catch_interrupts "poll"
  return require("asl.data.check").run { path = arguments[1], out = out, samples = samples }
end

function words.pack(arguments, overrides)
  if #arguments ~= 2 then
    bad_usage("data pack takes the name of a data set, its options as key=value, and a folder for the pack",
      "asl data pack cityscapes root=/data/cityscapes split=train size=512,1024 /fast/packs")
  end
  core.catch_interrupts "poll"
  local path = require("asl.data").pack { kind = arguments[1], options = overrides, out = arguments[2] }
  print(path)
  return 0
end

--- Runs `asl data WORD ...`.
---@param parsed table  the command line as asl.cli reads it
---@return integer code  exit code
function command.run(parsed)
  local overrides, rest = require("asl.cli").parse_overrides(parsed.positional)
  local word = table.remove(rest, 1)
  if not words[word] then
    local guess = word and nearest.one(word, { "labels", "check", "pack" })
    bad_usage("data takes labels and at most the name of a table, check and a path, or pack and a data set",
      guess and ("did you mean asl data %s?"):format(guess) or "asl data labels; asl data labels nyu40; asl --help")
  end
  if parsed.out and word ~= "check" then bad_usage "--out is for asl data check" end
  return words[word](rest, overrides, parsed.out)
end

return command
