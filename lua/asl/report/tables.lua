--- The tables of a report.

local groups = require "asl.report.groups"
local html = require "asl.html"
local progress = require "asl.progress"

local tables = {}

local tag = html.tag
local dash = "–"

local function signed(value) return (("%+.1f"):format(value):gsub("^%-", "−")) end
local function points(value) return signed(100 * value) end

local function percent(value)
  return value and ("%.1f"):format(100 * value) or dash
end

-- "41.2" and, over several seeds, its range in small figures where it is seen.
local function with_range(figure, show)
  if not figure then return dash end
  local low, high = show(figure.low), show(figure.high)
  return html.join(show(figure.mean), low ~= high and tag("small", { class = "range" }, low, " to ", high))
end

local function name_of(group)
  return html.join(tag("i", { class = "mark s" .. group.colour }), group.label)
end

local function grid(class, head, rows)
  local head_cells, body = {}, {}
  for i, cell in ipairs(head) do
    head_cells[i] = tag("th", { scope = "col" }, cell)
  end
  for i, row in ipairs(rows) do
    local cells = { tag("th", { scope = "row" }, row[1]) }
    for j = 2, #head do
      local cell = row[j] == nil and dash or row[j]
      cells[j] = tag("td", nil, cell)
    end
    body[i] = tag("tr", nil, cells)
  end
  return tag("div", { class = "scroll" }, tag("table", { class = class },
    tag("thead", nil, tag("tr", nil, head_cells)), tag("tbody", nil, body)))
end

-- One column for each strategy; a row is { title, function(group) → cell }; rows of dashes are left out.
local function by_strategy(compared, rows)
  local head, body = { "" }, {}
  for i, group in ipairs(compared) do
    head[i + 1] = name_of(group)
  end
  for _, row in ipairs(rows) do
    local cells, filled = { row[1] }, false
    for i, group in ipairs(compared) do
      cells[i + 1] = row[2](group)
      filled = filled or cells[i + 1] ~= dash
    end
    if filled then body[#body + 1] = cells end
  end
  return grid("by-strategy", head, body)
end

-- ---- the head ---------------------------------------------------------------------------------

--- The final score of every strategy, large.
---@param compared asl.report.group[]
---@return asl.html.node[]
function tables.tiles(compared)
  local tiles = {}
  for i, group in ipairs(compared) do
    local final, backward = groups.final(group), groups.metric(group, "bwt_gem")
    tiles[i] = tag("div", { class = "tile s" .. group.colour },
      tag("div", { class = "tile-name" }, name_of(group)),
      tag("div", { class = "tile-value" }, percent(final and final.mean), tag("span", nil, " % mIoU")),
      final and final.n > 1 and tag("div", { class = "tile-more" },
        ("%s–%s over %d seeds"):format(percent(final.low), percent(final.high), final.n)),
      tag("div", { class = "tile-more" }, backward and points(backward.mean)
        .. " points on earlier tasks since learnt" or "all test sets, after the last task"))
  end
  return tiles
end

-- ---- R ------------------------------------------------------------------------------------------

local function highest(compared)
  local best = 1e-9
  for _, group in ipairs(compared) do
    for _, run in ipairs(group.runs) do
      for _, record in ipairs(run.summary.R or {}) do
        if type(record.miou) == "number" then best = math.max(best, record.miou) end
      end
    end
  end
  return best
end

local function matrix_cell(group, after, test, scale)
  local miou, accuracy = groups.score(group, after, test), groups.score(group, after, test, "pixel_accuracy")
  if not miou then return tag("td", { class = "heat" }, dash) end
  local heat = math.min(miou.mean / scale, 1) * 0.85
  return tag("td", {
    class = "heat" .. (after == test and " just" or "") .. (heat > 0.5 and " strong" or ""),
    style = ("--heat:%.3f"):format(heat),
  }, with_range(miou, percent), tag("small", nil, "acc ", percent(accuracy and accuracy.mean)))
end

local function matrix(group, scale)
  local tests = group.runs[1].summary.tests
  local head, rows = { tag("th", { class = "corner" }, "after ↓  tested on →") }, {}
  for i, test in ipairs(tests) do
    head[i + 1] = tag("th", { scope = "col" }, test)
  end
  head[#head + 1] = tag("th", { scope = "col", class = "mean" }, "mean")
  for i, after in ipairs(groups.rows(group)) do
    local cells = { tag("th", { scope = "row" }, after) }
    for j, test in ipairs(tests) do
      cells[j + 1] = matrix_cell(group, after, test, scale)
    end
    cells[#cells + 1] = tag("td", { class = "mean" }, with_range(groups.score(group, after), percent))
    rows[i] = tag("tr", nil, cells)
  end
  return tag("figure", { class = "matrix" }, tag("figcaption", nil, name_of(group)),
    tag("div", { class = "scroll" },
      tag("table", nil, tag("thead", nil, tag("tr", nil, head)), tag("tbody", nil, rows))))
end

--- R of every strategy as a coloured table; the same colour is the same score in all of them.
---@param compared asl.report.group[]
---@return asl.html.node[]
function tables.matrices(compared)
  local figures, scale = {}, highest(compared)
  for i, group in ipairs(compared) do
    figures[i] = matrix(group, scale)
  end
  return figures
end

-- ---- measures -----------------------------------------------------------------------------------

local function plain(value) return ("%.3f"):format(value) end

local measures = {
  { "acc_final", "Final mIoU, %", "mean over the tasks after the last one", percent },
  { "learning_accuracy", "Learning accuracy, %", "mIoU on each task right after learning it", percent },
  { "bwt_gem", "Backward transfer, points", "change on earlier tasks since each was learnt; negative is forgetting",
    points },
  { "forgetting_rwalk", "Forgetting, points", "best earlier score on a task minus its final one", points },
  { "fwt_0", "Forward transfer, points", "on a task just before learning it, against before training", points },
  { "stability", "Stability", "final score over the score right after learning; 1 is nothing lost", plain },
  { "delta_joint", "Against joint, %", "relative difference to learning everything at once", signed },
}

--- The measures of every strategy with their definitions.
---@param compared asl.report.group[]
---@return asl.html.node
function tables.metrics(compared)
  local rows, known = {}, {}
  local function add(name, title, meaning, show)
    known[name] = true
    rows[#rows + 1] = { html.join(title, meaning and tag("small", { class = "meaning" }, meaning)), function(group)
      local figure = groups.metric(group, name)
      return figure and with_range(figure, show) or dash
    end }
  end
  for _, measure in ipairs(measures) do
    add(table.unpack(measure))
  end
  local others = {}
  for name in pairs(compared[1].runs[1].summary.metrics or {}) do
    if not known[name] then others[#others + 1] = name end
  end
  table.sort(others)
  for _, name in ipairs(others) do
    add(name, name, nil, plain)
  end
  return by_strategy(compared, rows)
end

-- ---- classes ------------------------------------------------------------------------------------

--- A square of a class's colour.
---@param classes {names: string[], colours: integer[][]?}
---@param i integer  class id + 1
---@return asl.html.node?
function tables.chip(classes, i)
  local colour = classes.colours and classes.colours[i]
  if not colour then return nil end
  return tag("i", { class = "chip", style = ("background:rgb(%d,%d,%d)"):format(colour[1], colour[2], colour[3]) })
end

local function class_cell(group, test, class)
  local rows = groups.rows(group)
  local figure = groups.figure(group, function(run)
    local record = groups.record(run, rows[#rows], test)
    return record and record.class_iou and record.class_iou[class]
  end)
  if not figure then return tag("td", nil, dash) end
  return tag("td", { class = "bar s" .. group.colour, style = ("--part:%.1f%%"):format(100 * figure.mean) },
    percent(figure.mean))
end

local function class_row(compared, classes, tests, i)
  local cells, filled = { tag("th", { scope = "row" }, tables.chip(classes, i), classes.names[i]) }, false
  for _, test in ipairs(tests) do
    for _, group in ipairs(compared) do
      local cell = class_cell(group, test, i)
      filled = filled or cell.text:find("bar", 1, true) ~= nil
      cells[#cells + 1] = cell
    end
  end
  return filled and tag("tr", nil, cells) or nil
end

--- IoU of every class on every test after the last task. Classes that occur nowhere are left out.
---@param compared asl.report.group[]
---@param classes {names: string[], colours: integer[][]?}
---@return asl.html.node
function tables.classes(compared, classes)
  local tests = compared[1].runs[1].summary.tests
  local top, second, body = { tag("th", { rowspan = 2 }, "class") }, {}, {}
  for j, test in ipairs(tests) do
    top[j + 1] = tag("th", { colspan = #compared, scope = "colgroup", class = "group" }, test)
    for _, group in ipairs(compared) do
      second[#second + 1] = tag("th", { scope = "col" }, name_of(group))
    end
  end
  for i = 1, #classes.names do
    body[#body + 1] = class_row(compared, classes, tests, i)
  end
  return tag("div", { class = "scroll" }, tag("table", { class = "classes" },
    tag("thead", nil, tag("tr", nil, top), tag("tr", nil, second)), tag("tbody", nil, body)))
end

-- ---- costs and replay -----------------------------------------------------------------------------

local function of_ledger(name, show)
  return function(group)
    return with_range(groups.figure(group, function(run) return (run.summary.ledger or {})[name] end), show)
  end
end

local function of_run(part, name, show)
  return function(group)
    return with_range(groups.figure(group, function(run) return (run[part] or {})[name] end), show)
  end
end

local function macs(value) return progress.count(value, "MAC") end
local function milliseconds(value) return ("%.1f ms"):format(1000 * value) end

--- What learning cost: exact counts, then what depends on the clock.
---@param compared asl.report.group[]
---@return asl.html.node
function tables.costs(compared)
  return by_strategy(compared, {
    { "Parameters", of_ledger("parameters", progress.count) },
    { "Multiply-adds of training", of_ledger("macs_train", macs) },
    { "Multiply-adds of evaluation", of_ledger("macs_evaluate", macs) },
    { "Peak memory", of_ledger("peak_bytes", progress.bytes) },
    { "… of it a training step", of_ledger("step_bytes", progress.bytes) },
    { "… weights and optimiser", of_ledger("state_bytes", progress.bytes) },
    { "… replay memory", of_ledger("replay_bytes", progress.bytes) },
    { "Time in training", of_run("seconds", "train", progress.duration) },
    { "Time waiting for data", of_run("seconds", "load", progress.duration) },
    { "Time in evaluation", of_run("seconds", "evaluate", progress.duration) },
    { "Inference of one picture, median", of_run("latency", "p50", milliseconds) },
    { "Inference of one picture, 95th percentile", of_run("latency", "p95", milliseconds) },
  })
end

---@param compared asl.report.group[]
---@return boolean
function tables.has_replay(compared)
  for _, group in ipairs(compared) do
    if (group.runs[1].summary.replay or {}).planned_share then return true end
  end
  return false
end

local function by_task(summary, counts)
  local parts = {}
  for i, task in ipairs(summary.tasks) do
    local count = counts and counts[i]
    if count then parts[#parts + 1] = ("%s %d"):format(task, count) end
  end
  return #parts > 0 and table.concat(parts, ", ") or dash
end

--- Planned and realised share of replayed rows, from which tasks they came, and what was in memory at
--- the end.
---@param compared asl.report.group[]
---@return asl.html.node
function tables.replay(compared)
  local rows = {}
  for _, group in ipairs(compared) do
    for _, run in ipairs(group.runs) do
      local summary = run.summary
      local replay = summary.replay
      if replay and replay.planned_share then
        local seed = #group.runs > 1 and (", seed %s"):format(summary.seed) or ""
        rows[#rows + 1] = { html.join(name_of(group), seed, ": plan"), percent(replay.planned_share),
          by_task(summary, replay.planned_counts) }
        rows[#rows + 1] = { html.join(name_of(group), seed, ": reality"), percent(replay.realised_share),
          by_task(summary, replay.counts), by_task(summary, replay.memory_counts) }
      end
    end
  end
  return grid("left", { "", "share of rows, %", "replayed rows by task", "in memory at the end" }, rows)
end

-- ---- how to repeat --------------------------------------------------------------------------------

--- Digests of the final weights.
---@param runs asl.report.run[]
---@return asl.html.node?
function tables.digests(runs)
  local rows = {}
  for _, run in ipairs(runs) do
    if run.summary.digest then
      rows[#rows + 1] = { run.summary.strategy or "run", tostring(run.summary.seed or dash),
        tag("code", nil, run.summary.digest) }
    end
  end
  return #rows > 0 and grid("left", { "strategy", "seed", "digest of the final weights (SHA-256)" }, rows) or nil
end

local function value_text(value)
  if type(value) ~= "table" then return tostring(value) end
  local parts = {}
  for i, item in ipairs(value) do
    parts[i] = value_text(item)
  end
  return "{" .. table.concat(parts, ", ") .. "}"
end

--- A table of names and values, sorted by name.
---@param values table<string, any>
---@return asl.html.node
function tables.pairs(values)
  local names, rows = {}, {}
  for name in pairs(values) do
    names[#names + 1] = name
  end
  table.sort(names)
  for i, name in ipairs(names) do
    rows[i] = { name, tag("code", nil, value_text(values[name])) }
  end
  return grid("left pairs", { "name", "value" }, rows)
end

local function flatten(into, prefix, values)
  for name, value in pairs(values) do
    local full = prefix .. tostring(name)
    if type(value) == "table" then flatten(into, full .. ".", value) else into[full] = value end
  end
  return into
end

--- Build, machine and repository.
---@param environment table
---@param git? table
---@return asl.html.node
function tables.environment(environment, git)
  local all = flatten({}, "", environment)
  if git then
    all["git.commit"] = git.commit .. (git.dirty and (" with %d changed files"):format(#git.changes) or "")
  end
  return tables.pairs(all)
end

return tables
