--- The runs of a report by strategy, and figures over their seeds.

local log = require "asl.log"

local groups = {}

---@class asl.report.group
---@field label string  the strategy
---@field colour integer  1..6
---@field runs asl.report.run[]  one for each seed

---@class asl.report.figure
---@field mean number
---@field low number
---@field high number
---@field n integer

--- Runs of the same strategy together, strategies in the order in which they come.
---@param runs asl.report.run[]
---@return asl.report.group[]
function groups.of(runs)
  local list, by_label = {}, {}
  for _, run in ipairs(runs) do
    local label = run.summary.strategy or "run"
    if not by_label[label] then
      by_label[label] = { label = label, colour = #list % 6 + 1, runs = {} }
      list[#list + 1] = by_label[label]
    end
    table.insert(by_label[label].runs, run)
  end
  return list
end

local function is_number(value)
  return type(value) == "number" and value == value
end

--- Mean and range over a group's runs of what `fn(run)` gives; nil when it gives no number.
---@param group asl.report.group
---@param fn fun(run: asl.report.run): number?
---@return asl.report.figure?
function groups.figure(group, fn)
  local sum, low, high, n = 0, math.huge, -math.huge, 0
  for _, run in ipairs(group.runs) do
    local value = fn(run)
    if is_number(value) then
      sum, low, high, n = sum + value, math.min(low, value), math.max(high, value), n + 1
    end
  end
  if n == 0 then return nil end
  return { mean = sum / n, low = low, high = high, n = n }
end

--- The names of R's rows in order: "before training", then what was learnt.
---@param group asl.report.group
---@return string[]
function groups.rows(group)
  local names, seen = {}, {}
  for _, record in ipairs(group.runs[1].summary.R or {}) do
    if not seen[record.after] then
      seen[record.after] = true
      names[#names + 1] = record.after
    end
  end
  return names
end

--- The record of a run for a test after a row.
---@param run asl.report.run
---@param after string
---@param test string
---@return table?
function groups.record(run, after, test)
  for _, record in ipairs(run.summary.R or {}) do
    if record.after == after and record.test == test then return record end
  end
end

--- A score of a row: of one test, or the mean over all tests when `test` is nil.
---@param group asl.report.group
---@param after string
---@param test string?
---@param field? string  "miou" (default) or "pixel_accuracy"
---@return asl.report.figure?
function groups.score(group, after, test, field)
  return groups.figure(group, function(run)
    local sum, n = 0, 0
    for _, name in ipairs(test and { test } or run.summary.tests) do
      local record = groups.record(run, after, name)
      if record and is_number(record[field or "miou"]) then
        sum, n = sum + record[field or "miou"], n + 1
      end
    end
    return n > 0 and sum / n or nil
  end)
end

--- The mean mIoU over all tests after the last task.
---@param group asl.report.group
---@return asl.report.figure?
function groups.final(group)
  local rows = groups.rows(group)
  return #rows > 0 and groups.score(group, rows[#rows]) or nil
end

--- A measure of summary.metrics.
---@param group asl.report.group
---@param name string
---@return asl.report.figure?
function groups.metric(group, name)
  return groups.figure(group, function(run) return (run.summary.metrics or {})[name] end)
end

-- ---- curves -----------------------------------------------------------------------------------

-- Loss by step, and from which step to which every task was learnt.
local function read_log(path)
  local points, bands = {}, {}
  log.each(path, function(entry)
    if entry.kind ~= "scalars" or not is_number(entry.values.loss) then return end
    points[#points + 1] = { entry.step, entry.values.loss }
    local band = bands[#bands]
    if not band or band.label ~= entry.task then
      band = { label = entry.task, from = entry.step - 1 }
      bands[#bands + 1] = band
    end
    band.to = entry.step
  end)
  return points, bands
end

local function loss_chart(compared)
  local series, bands = {}, {}
  for _, group in ipairs(compared) do
    local run = group.runs[1]
    if run.log then
      local points, own = read_log(run.log)
      series[#series + 1] = { name = group.label, colour = group.colour, points = points }
      if #own > #bands then bands = own end
    end
  end
  if #series == 0 then return nil end
  local seed = #compared[1].runs > 1 and (" (seed %s)"):format(compared[1].runs[1].summary.seed) or ""
  return { title = "Training loss" .. seed, x_label = "update", y_label = "loss", series = series, bands = bands,
    y_min = 0 }
end

-- A score against the number of tasks learnt. Who learns all at once is a dashed line: its final score.
local function task_chart(compared, title, test)
  local longest, series = 0, {}
  for _, group in ipairs(compared) do
    longest = math.max(longest, #groups.rows(group) - 1)
  end
  for i, group in ipairs(compared) do
    local rows, points = groups.rows(group), {}
    for k, after in ipairs(rows) do
      local score = groups.score(group, after, test)
      points[k] = { k - 1, score and 100 * score.mean or 0 / 0 }
    end
    local reference = #rows - 1 < longest
    if reference then points = { { 0, points[#rows][2] }, { longest, points[#rows][2] } } end
    series[i] = { name = group.label, colour = group.colour, points = points, dashed = reference }
  end
  if longest < 1 then return nil end
  return { title = title, x_label = "tasks learnt", y_label = "mIoU, %", series = series, x_step = 1, y_min = 0 }
end

--- The charts that runs speak for by themselves: loss, mean score, score on the first task.
---@param compared asl.report.group[]
---@return table[] charts  for asl.chart.line
function groups.curves(compared)
  local summary = compared[1].runs[1].summary
  local first = (summary.tests or {})[1]
  local charts = {}
  charts[1] = task_chart(compared, "Mean over all test sets")
  if first and #summary.tests > 1 then
    charts[#charts + 1] = task_chart(compared, ("What is kept of the first: %s"):format(first), first)
  end
  charts[#charts + 1] = loss_chart(compared)
  return charts
end

return groups
