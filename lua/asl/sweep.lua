--- Sweeps: one experiment at every point of a grid, and the table that says what differs by more than chance.
---
--- A point that was done before is not done again, one that was stopped goes on where it stopped.

local config = require "asl.config"
local experiment = require "asl.experiment"
local fault = require "asl.fault"
local fs = require "asl.fs"
local json = require "asl.json"
local metrics = require "asl.metrics"
local options = require "asl.options"
local progress = require "asl.progress"

local sweep = {}

---@class asl.SweepResult
---@field point table<string, any>  the grid's values here
---@field summary table             what is in summary.json

--- All points of a grid { { key, values }, ... }; the last key changes fastest.
local function points_of(grid)
  local points = { {} }
  for _, axis in ipairs(grid) do
    local longer = {}
    for _, point in ipairs(points) do
      for _, value in ipairs(axis[2]) do longer[#longer + 1] = config.merge(point, { [axis[1]] = value }) end
    end
    points = longer
  end
  return points
end

local function id_of(grid, point)
  local words = {}
  for i, axis in ipairs(grid) do words[i] = axis[1] .. "-" .. tostring(point[axis[1]]) end
  return fs.slug(table.concat(words, "_"))
end

local function finish_point(script, this, given, point, id)
  local path = fs.join(given.runs, this.name, id)
  if not fs.stat(fs.join(path, "summary.json")) then
    local code
    if fs.stat(fs.join(path, "manifest.json")) then
      code = experiment.resume(path, {})
    else
      code = experiment.execute(this, { overrides = config.merge(given.overrides, point), runs = given.runs, id = id,
        script = script })
    end
    if code ~= 0 then fault.raise("the sweep stops at " .. id, { level = 0, exit_code = code }) end
  end
  return json.read(fs.join(path, "summary.json"))
end

--- Runs an experiment at every point of a grid, one after the other.
---@param given { script: string, grid: table[], overrides?: table, runs?: string }
---   script: the experiment's file; grid: { { "strategy", { "naive", "replay" } }, { "seed", { 1, 2, 3 } } };
---   overrides: settings that are the same everywhere; runs: where runs go
---@return asl.SweepResult[]
function sweep.run(given)
  given = options.check("asl.sweep.run", given, {
    script = options.require "string", grid = options.require "table", overrides = {},
    runs = require("asl.env").get("runs") or "runs",
  })
  local results = {}
  for i, point in ipairs(points_of(given.grid)) do
    local this = assert(loadfile(given.script, "t"))()
    local id = id_of(given.grid, point)
    results[i] = { point = point, summary = finish_point(given.script, this, given, point, id) }
  end
  return results
end

--- Mean and range of columns over the points that agree on one key.
---@param results asl.SweepResult[]
---@param key string  "strategy": one line per value, in order of appearance
---@param columns { title: string, value: fun(summary: table): number|nil }[]
---@return string text
function sweep.table(results, key, columns)
  local order, groups, rows = {}, {}, {}
  for _, result in ipairs(results) do
    local value = tostring(result.point[key])
    if not groups[value] then
      order[#order + 1], groups[value] = value, {}
    end
    table.insert(groups[value], result.summary)
  end
  local header = { key }
  for c, column in ipairs(columns) do header[c + 1] = column.title end
  for r, value in ipairs(order) do
    rows[r] = { value }
    for c, column in ipairs(columns) do
      local values = {}
      for _, summary in ipairs(groups[value]) do values[#values + 1] = column.value(summary) end
      local over = #values > 0 and metrics.over_seeds(values)
      rows[r][c + 1] = over and ("%.1f (%.1f to %.1f)"):format(over.mean, over.low, over.high) or "-"
    end
  end
  return progress.table { header = header, rows = rows }
end

return sweep
