--- The answer of a run: pictures, summary.json, report.html, and a table on the terminal.

local core = require "asl.core"
local ledger = require "asl.ledger"
local metrics = require "asl.metrics"
local picture = require "asl.picture"
local progress = require "asl.progress"
local report = require "asl.report"

local answer = {}

-- ---- pictures ---------------------------------------------------------------------------------

--- The test pictures that are shown, evenly spread.
local function shown_samples(data, n) return n == 0 and data:take(0) or data:spread(n) end

local function picture_name(j, k, what)
  return ("test%d-%d-%s"):format(j, k, what)
end

--- Keeps the predictions for the shown test pictures, and once the pictures and the truth.
---@param self table  of continual.learn
---@param after string
---@param step integer
function answer.keep_pictures(self, after, step)
  local net, colours = self.learner.net, self.scenario.colours
  for j, test in ipairs(self.scenario.tests) do
    local shown = shown_samples(test.data, self.cfg.pictures)
    for k = 1, #shown do
      local scope <close> = core.scope()
      local sample = self.loader:wait(self.loader:request { rows = { { dataset = shown, position = k } },
        size = self.test_size, planes = { "image", "label" }, seed = 0, step = 0 })
      local function keep(what, image) self.run:picture(step, picture_name(j, k, what), image, { task = after }) end
      if step == 0 then
        keep("image", sample.image:select(1, 1):contiguous())
        keep("truth", picture.rgb(sample.label:select(1, 1):contiguous(), { colours = colours }))
      end
      keep("prediction", picture.rgb(net:predict(sample.image):select(1, 1):contiguous(), { colours = colours }))
    end
  end
end

local function picture_file(run, j, k, what, step)
  return run:file(("pictures/%s-%06d.png"):format(picture_name(j, k, what), step))
end

--- Rows of pictures: image, truth, then one prediction per column { label, run, step }.
local function strips(run, scenario, cfg, columns)
  local rows = {}
  for j, test in ipairs(scenario.tests) do
    for k = 1, #shown_samples(test.data, cfg.pictures) do
      local cells = { { label = "image", file = picture_file(run, j, k, "image", 0) },
        { label = "truth", file = picture_file(run, j, k, "truth", 0) } }
      for _, column in ipairs(columns) do
        cells[#cells + 1] = { label = column.label,
          file = picture_file(column.run, j, k, "prediction", column.step) }
      end
      rows[#rows + 1] = { title = ("%s, picture %d"):format(test.name, k), cells = cells }
    end
  end
  return rows
end

-- ---- summary ----------------------------------------------------------------------------------

local function names(list)
  local out = {}
  for i, item in ipairs(list) do out[i] = item.name end
  return out
end

local function scores(self, score)
  local R = self.evaluator:matrix(score)
  if #self.tasks == #self.scenario.tasks then return metrics.all(R, #self.tasks) end
  return { acc_final = metrics.acc_final({ [#self.scenario.tasks] = R[#self.tasks] }, #self.scenario.tasks) }
end

--- What was replayed is what was planned, or the run is not what its configuration says.
local function check_plan(plan, rows, counts)
  local same = rows == plan.rows
  for task, planned in ipairs(plan.counts or {}) do same = same and counts[task] == planned end
  if not same then
    error(("replay missed its plan: %d rows (per task %s) instead of %d (%s)"):format(rows, table.concat(counts, ", "),
      plan.rows, table.concat(plan.counts or {}, ", ")), 0)
  end
end

local function replay_record(self)
  if not self.learner.plan then return nil end
  local plan, realised, counts = self.learner:plan(#self.tasks, self.cfg.updates), self.realised, {}
  for task = 1, #self.tasks do counts[task] = realised.counts[task] or 0 end
  check_plan(plan, realised.rows, counts)
  return {
    planned_rows = plan.rows, realised_rows = realised.rows, planned_counts = plan.counts, counts = counts,
    planned_share = plan.batch_rows > 0 and plan.rows / plan.batch_rows or 0,
    realised_share = realised.batch_rows > 0 and realised.rows / realised.batch_rows or 0,
    memory_rows = self.learner.buffer.capacity, memory_counts = self.learner.buffer:counts(#self.tasks),
  }
end

local function summarise(self)
  return {
    status = "done", experiment = self.run.name, strategy = self.learner.name, seed = self.cfg.seed,
    tasks = names(self.tasks), tests = names(self.scenario.tests), classes = self.scenario.classes,
    R = self.evaluator:records(), metrics = scores(self, metrics.miou),
    metrics_pixel_accuracy = scores(self, metrics.pixel_accuracy), ledger = self.ledger:summary(self.learner),
    replay = replay_record(self), digest = self.learner.net:digest(),
  }
end

-- ---- terminal ---------------------------------------------------------------------------------

local function percent(value)
  return value and ("%.1f"):format(100 * value) or "-"
end

--- The records of the last row of R, by test.
local function last_row(summary)
  local row = {}
  for _, record in ipairs(summary.R) do row[record.test] = record end -- later ones replace earlier ones
  return row
end

local function matrix_table(summary)
  local header, rows, row = { "mIoU % after" }, {}, nil
  for _, test in ipairs(summary.tests) do header[#header + 1] = test end
  for i, record in ipairs(summary.R) do
    if (i - 1) % #summary.tests == 0 then
      row = { record.after }
      rows[#rows + 1] = row
    end
    row[#row + 1] = percent(record.miou)
  end
  return progress.table { header = header, rows = rows }
end

local function cost_line(summary)
  local costs = summary.ledger
  return ("%s parameters, %s to train, %s at most, of it %s of memory to replay"):format(
    progress.count(costs.parameters), progress.count(costs.macs_train, "MAC"), progress.bytes(costs.peak_bytes),
    progress.bytes(costs.replay_bytes))
end

local function print_answer(self, summary)
  if self.run.quiet then return end
  local m = summary.metrics
  print(("\n%s, seed %d"):format(summary.strategy, summary.seed))
  print(matrix_table(summary))
  local parts = { "mean of the last row " .. percent(m.acc_final) }
  if m.bwt_gem then
    parts[#parts + 1] = "BWT (GEM) " .. percent(m.bwt_gem)
    parts[#parts + 1] = "forgetting (RWalk) " .. percent(m.forgetting_rwalk)
    parts[#parts + 1] = "learning accuracy " .. percent(m.learning_accuracy)
  end
  print(table.concat(parts, ", "))
  print(cost_line(summary))
end

-- ---- report -----------------------------------------------------------------------------------

local function command_of(run)
  local words = { "asl", run.manifest.script or "SCRIPT" }
  for _, argument in ipairs(run.manifest.argv or {}) do
    words[#words + 1] = argument:find("[^%w_./=,:+-]") and ("'%s'"):format(argument:gsub("'", [['\'']])) or argument
  end
  return table.concat(words, " ")
end

local function write_report(run, scenario, cfg, entries, columns)
  report.write(run:file("report.html"), {
    title = run.name, command = command_of(run), runs = entries, config = cfg,
    classes = { names = scenario.class_names, colours = scenario.colours },
    strips = strips(columns[1].run, scenario, cfg, columns),
    environment = run.manifest.environment, git = run.manifest.git, datasets = run.manifest.datasets,
  })
end

--- A run's part of a report; seconds and latency were noted by the clock.
local function entry_of(run, summary)
  local entry = { summary = summary, log = run:file("log") }
  require("asl.log").each(run:file("clock"), function(record)
    entry.seconds, entry.latency = record.seconds or entry.seconds, record.latency or entry.latency
  end)
  return entry
end

--- Ends a run: summary, report, table.
---@param self table  of continual.learn
---@return table summary
function answer.finish(self)
  local summary = summarise(self)
  self.run:summary(summary)
  self.run:clock { seconds = self.ledger.seconds, latency = ledger.latency(self.learner.net, self.test_size) }
  local columns, step = { { label = "before training", run = self.run, step = 0 } }, 0
  for _, task in ipairs(self.tasks) do
    step = step + self.cfg.updates * (task.updates_of or 1)
    columns[#columns + 1] = { label = "after " .. task.name, run = self.run, step = step }
  end
  write_report(self.run, self.scenario, self.cfg, { entry_of(self.run, summary) }, columns)
  print_answer(self, summary)
  if not self.run.quiet then print("report: " .. self.run:file("report.html")) end
  return summary
end

-- ---- comparing strategies ---------------------------------------------------------------------

--- How far the last row is from the joint reference's, in percent of that; nil without one.
local function delta_joint(summary, joint)
  if not joint then return nil end
  local ours, theirs, final, reference = {}, {}, last_row(summary), last_row(joint)
  for j, test in ipairs(summary.tests) do ours[j], theirs[j] = final[test].miou, reference[test].miou end
  return metrics.delta_joint(ours, theirs)
end

local function comparison_row(name, summary, delta)
  local row, final = { name }, last_row(summary)
  for _, test in ipairs(summary.tests) do row[#row + 1] = percent(final[test].miou) end
  row[#row + 1] = percent(summary.metrics.acc_final)
  row[#row + 1] = percent(summary.metrics.forgetting_rwalk)
  row[#row + 1] = delta and ("%+.1f"):format(delta) or "-"
  row[#row + 1] = progress.bytes(summary.ledger.replay_bytes)
  row[#row + 1] = progress.count(summary.ledger.macs_train)
  return row
end

--- Ends a run that compared strategies.
---@param run asl.run
---@param scenario asl.Scenario
---@param cfg table
---@param strategies string[]
---@param summaries table<string, table>
---@param runs asl.run[]  one per strategy
function answer.compare(run, scenario, cfg, strategies, summaries, runs)
  local entries, columns, rows, deltas = {}, {}, {}, {}
  for i, name in ipairs(strategies) do
    local summary = summaries[name]
    entries[i] = entry_of(runs[i], summary)
    columns[i] = { label = name, run = runs[i], step = cfg.updates * #scenario.tasks }
    deltas[name] = delta_joint(summary, summaries.joint)
    rows[i] = comparison_row(name, summary, deltas[name])
  end
  run:summary { status = "done", experiment = run.name, strategies = summaries, delta_joint = deltas }
  write_report(run, scenario, cfg, entries, columns)
  if run.quiet then return end
  local header = { "mIoU % at the end" }
  for _, test in ipairs(scenario.tests) do header[#header + 1] = test.name end
  for _, title in ipairs { "mean", "forgetting", "% of joint", "memory", "MAC" } do header[#header + 1] = title end
  print("\n" .. progress.table { header = header, rows = rows })
  print("report: " .. run:file("report.html"))
end

return answer
