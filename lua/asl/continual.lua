--- The loop of continual learning: for every task, train; after every task, test on all.
---
--- Several ranks (asl.ranks) go through it together: each computes its shards of every update and its part of every
--- test, and the first writes.

local config = require "asl.config"
local core = require "asl.core"
local evaluator = require "asl.evaluator"
local fault = require "asl.fault"
local feed = require "asl.feed"
local ledger = require "asl.ledger"
local mix = require "asl.mix"
local profile = require "asl.profile"
local ranks = require "asl.ranks"
local shards = require "asl.shards"
local tensor = require "asl.tensor"

local ops = core.ops
local continual = {}

--- Settings every experiment has; see continual.config.
continual.defaults = {
  seed = 1,                   -- of weights, order, augmentation, memory: everything
  strategy = "replay",        -- naive, joint, freeze, replay
  updates = 1000,             -- updates per task: the budget is never time
  batch = 8,                  -- rows of a batch
  shards = 1,                 -- parts a batch is computed in; see asl.ranks
  batch_norm = "shard",       -- statistics of each shard, or synchronised: of all; each rank then holds all its shards
  size = { 320, 640 },        -- height, width of training pictures
  test_size = { 0, 0 },       -- of test pictures; 0,0: as size
  optimiser = "adam",         -- sgd, adam, adamw
  lr = 0.003, momentum = 0.9, decay = 0.0,
  schedule = "constant",      -- constant, polynomial, one_cycle
  carry = { "weights", "optimiser", "batch_norm", "schedule" }, -- what passes from task to task
  memory = "64 MiB",          -- replay memory
  share = 0.5,                -- part of a batch that is replayed
  select = "reservoir",       -- what stays in memory: reservoir, per_task
  draw = "tasks",             -- what is drawn: tasks (each past task alike), rows
  forward = "joint",          -- new and replayed rows through the network joint or split
  scale = { 1.0, 1.0 }, flip = 0.5, rotate = 0.0, brightness = 0.0, contrast = 0.0, saturation = 0.0, hue = 0.0,
  aux = false,                -- auxiliary head
  loaders = 2,                -- loader threads
  resident = false,           -- training pictures of a task stay in device memory, decoded once; all of one size
  checkpoint_every = 100,     -- updates
  pictures = 2,               -- test pictures per test set that the report shows
  device = "cpu",             -- cpu, cuda
  precision = "fp32",         -- fp32, or on a GPU bf16
  graph = true,               -- on a GPU: an update is one graph; results are the same
}

--- The settings of an experiment: continual.defaults, with some changed and others added.
---@param own table<string, any>
---@return table<string, any>
function continual.config(own)
  return config.merge(continual.defaults, own)
end

--- The learner that a configuration describes.
---@param cfg table
---@param classes integer
---@return asl.Strategy
function continual.learner(cfg, classes)
  local models, optim, schedule = require "asl.models", require "asl.optim", require "asl.schedule"
  local strategy = require "asl.strategy"
  local make = { adam = function() return optim.adam { lr = cfg.lr, decay = cfg.decay } end,
    adamw = function() return optim.adamw { lr = cfg.lr, decay = cfg.decay } end,
    sgd = function() return optim.sgd { lr = cfg.lr, decay = cfg.decay, momentum = cfg.momentum } end }
  for what, choice in pairs { optimiser = make, schedule = schedule } do
    if not choice[cfg[what]] then
      fault.raise(("there is no %s %q"):format(what, cfg[what]), { level = 0, exit_code = fault.exit.usage })
    end
  end
  local given = {
    net = models.fast_scnn { classes = classes, seed = cfg.seed, aux = cfg.aux, device = cfg.device,
      precision = cfg.precision },
    optim = make[cfg.optimiser](), schedule = schedule[cfg.schedule](), shards = cfg.shards, forward = cfg.forward,
    carry = cfg.carry, graph = cfg.graph, batch_norm = cfg.batch_norm,
  }
  if cfg.strategy == "replay" then
    given.memory, given.share, given.select, given.draw = cfg.memory, cfg.share, cfg.select, cfg.draw
  end
  return strategy[cfg.strategy](given)
end

local function augmentation(cfg)
  return require("asl.data").augment { scale = cfg.scale, flip = cfg.flip, rotate = cfg.rotate,
    brightness = cfg.brightness, contrast = cfg.contrast, saturation = cfg.saturation, hue = cfg.hue }
end

-- ---- one step ---------------------------------------------------------------------------------

local function index_of(rows, device)
  return tensor.tensor(rows, { dtype = "i64" }):to(device)
end

--- Puts fresh and replayed rows together on the network's device: those that this rank computes.
--- Batch = { image, label, replayed = of all rows, tasks = of all replayed rows, fresh }.
local function assemble(fresh, learner, n, step, rows)
  local device = learner.net.flat:device()
  if fresh.image then fresh.image, fresh.label = fresh.image:to(device), fresh.label:to(device) end
  local batch = { replayed = mix.positions(rows, n), tasks = {}, fresh = fresh, image = fresh.image, label = fresh.label }
  if n == 0 then return batch end
  local first, last = shards.rows(rows)
  local earlier, to_fresh, to_memory = 0, {}, {}
  for row = 1, last do
    local is_replayed = batch.replayed[row]
    if row >= first then table.insert(is_replayed and to_memory or to_fresh, row - first)
    elseif is_replayed then earlier = earlier + 1 end
  end
  local image, label
  image, label, batch.tasks = learner:recall(n, step, earlier + 1, earlier + #to_memory)
  local shape = image:shape()
  batch.image = tensor.zeros({ last - first + 1, shape[2], shape[3], 3 }, { dtype = "u8", device = device })
  batch.label = tensor.zeros({ last - first + 1, shape[2], shape[3] }, { dtype = "u8", device = device })
  for _, part in ipairs { { to_memory, image, label }, { to_fresh, fresh.image, fresh.label } } do
    local to = part[1]
    if #to > 0 then
      ops.scatter_rows(batch.image, index_of(to, device), part[2])
      ops.scatter_rows(batch.label, index_of(to, device), part[3])
    end
  end
  return batch
end

--- Repeats a step that went wrong with every op's result checked, to name the first one at fault.
local function blame(self, update)
  core.check_finite(true)
  local ok, message = pcall(self.learner.step, self.learner, update.batch, update)
  core.check_finite(false)
  local first = ok and "every op's result is finite: the loss or the gradient overflowed in their sum"
    or fault.cause(message)
  fault.raise(("training is not finite at step %d of task %q: %s"):format(update.step, update.task.name, first),
    { level = 0, exit_code = fault.exit.not_finite,
      hint = "a smaller lr is the usual cure; the last checkpoint is from before it happened" })
end

--- Waits for the update that was begun last, if it is not yet known what came of it, and logs it.
local function settle(self)
  local update = self.begun
  if not update then return end
  self.begun = nil
  local result = self.ledger:book("train", self.learner.end_step, self.learner, update.begun)
  if result.not_finite then blame(self, update) end
  for _, name in ipairs { "image", "label" } do update.batch[name]:release() end -- now, not when garbage is collected
  self.run:log(update.before + update.step, { loss = result.loss, lr = result.lr, valid_pixels = result.valid,
    replayed = update.replayed }, { task = update.task.name })
  self.loss = result.loss
end

--- Notes how the plan of replay was met.
local function note_replayed(self, batch)
  local realised = self.realised
  for _, task in ipairs(batch.tasks) do
    realised.rows = realised.rows + 1
    realised.counts[task] = (realised.counts[task] or 0) + 1
  end
  realised.batch_rows = realised.batch_rows + (self.learner.replaying and self.cfg.batch or 0)
end

--- One update of a task: load, mix, learn, remember. A GPU computes it while the next one is made ready: what came of
--- it is known when that one has been begun.
local function train_step(self, source, at)
  local scope <close> = core.scope()
  local learner, cfg = self.learner, self.cfg
  local fresh = self.ledger:book("load", source.next, source, at.step)
  local n = learner:replayed_before(at.step + 1) - learner:replayed_before(at.step)
  local batch = profile.call("mix", assemble, fresh, learner, n, at.before + at.step, cfg.batch)
  local bytes = self.ledger.step_bytes -- what shards take is the same for any number of ranks
  local begun = self.ledger:book("train", self.ledger.step, self.ledger, learner.begin_step, learner, batch, at)
  self.ledger.step_bytes = math.max(bytes, begun.bytes)
  settle(self)
  -- Views of its own, to repeat it if it went wrong: a hook may keep the batch's tensors for itself.
  local held = { replayed = batch.replayed, image = scope:keep(batch.image:detach()), label = scope:keep(batch.label:detach()) }
  self.begun = { begun = begun, batch = held, replayed = n, task = at.task, step = at.step, updates = at.updates,
    before = at.before, all = at.all }
  profile.call("remember", learner.after_step, learner, batch)
  note_replayed(self, batch)
  if self.at_once or self.run.window then settle(self) end
end

-- ---- checkpoints ------------------------------------------------------------------------------

--- The ledger's state with the multiply-adds of all ranks.
local function ledger_of_all(self)
  local state = self.ledger:state()
  state.macs_train, state.macs_evaluate = table.unpack(ranks.sum { state.macs_train, state.macs_evaluate })
  return state
end

local function save(self, position)
  settle(self)
  profile.call("checkpoint", self.run.checkpoint, self.run, position.done, {
    position = position, learner = self.learner:state(), rows = self.evaluator.rows, ledger = ledger_of_all(self),
    realised = self.realised,
  })
end

local function restore(self)
  local state = self.run:restore()
  if not state then return nil end
  local ok, problem = pcall(self.learner.restore, self.learner, state.learner)
  if not ok then
    fault.raise(("the checkpoint does not fit this run: %s"):format(fault.cause(problem)),
      { level = 0, exit_code = fault.exit.mismatch })
  end
  self.evaluator.rows, self.realised = state.rows, state.realised
  if not ranks.first() then state.ledger.macs_train, state.ledger.macs_evaluate = 0, 0 end
  self.ledger:restore(state.ledger)
  return state.position
end

local function stop_if_asked(self, position)
  local signal = ranks.interrupted()
  if not signal then return end
  save(self, position)
  fault.raise(("stopped by SIG%s; saved at update %d"):format(signal, position.done), { level = 0,
    exit_code = fault.exit.preempted, hint = "go on with: asl resume " .. self.run.path })
end

--- Reports the profile of updates that was asked for; with `asl profile` the run then ends.
local function report_profile(self, position, bar)
  local window = self.run.window
  if not window or not window:after(position.done) then return end
  bar:pause()
  window:report()
  if not window.stop then return end
  save(self, position)
  fault.raise(("saved at update %d"):format(position.done), { level = 0, exit_code = fault.exit.profiled })
end

-- ---- the loop ---------------------------------------------------------------------------------

local function updates_of(task, cfg) return cfg.updates * (task.updates_of or 1) end

local function train_task(self, i, task, position)
  local cfg, learner = self.cfg, self.learner
  local at = { task = task, updates = updates_of(task, cfg), before = position.before, all = self.all_updates }
  if position.step == 0 then learner:before_task(i, task) end
  local source = feed { loader = self.loader, data = task.train, rows = cfg.batch, size = cfg.size,
    augment = self.augment, seed = cfg.seed, task = i, updates = at.updates,
    replayed_before = function(t) return learner:replayed_before(t) end,
    held = self.resident and self.resident:hold(task.train) }
  local bar = self.progress(("%d/%d %s"):format(i, #self.tasks, task.name), at.updates, position.step)
  for t = position.step + 1, at.updates do
    at.step = t
    if self.run.window then self.run.window:before(at.before + t) end
    profile.call("update", train_step, self, source, at)
    position.step, position.done = t, position.before + t
    bar:update(t, { loss = self.loss })
    self.run:status { step = position.done, task = task.name }
    if t % cfg.checkpoint_every == 0 and t < at.updates then save(self, position) end
    report_profile(self, position, bar)
    stop_if_asked(self, position)
  end
  settle(self)
  bar:finish()
  learner:after_task(i, task)
end

local function evaluate(self, after, step)
  self.ledger:book("evaluate", function()
    self.evaluator:row(self.learner.net, after)
  end)
  if ranks.first() then require("asl.answer").keep_pictures(self, after, step) end
end

local function run_tasks(self)
  local position = restore(self)
  if not position then
    position = { task = 1, step = 0, done = 0, before = 0 }
    evaluate(self, "before training", 0)
    save(self, position)
  end
  for i = position.task, #self.tasks do
    local task = self.tasks[i]
    train_task(self, i, task, position)
    evaluate(self, task.name, position.done)
    position.task, position.step, position.before = i + 1, 0, position.done
    save(self, position)
  end
end

local function note_datasets(run, scenario)
  local function note(name, data)
    ranks.same(("the data set %q"):format(name), data:digest())
    run:dataset(name, data:digest())
  end
  for _, task in ipairs(scenario.tasks) do
    note(task.name .. "/train", task.train)
    if task.val then note(task.name .. "/val", task.val) end
  end
  for _, test in ipairs(scenario.tests) do note(test.name .. "/test", test.data) end
end

local function check(cfg)
  for _, key in ipairs { "updates", "batch", "checkpoint_every", "shards" } do
    if cfg[key] < 1 then
      fault.raise(("%s must be at least 1, not %d"):format(key, cfg[key]), { level = 0, exit_code = fault.exit.usage })
    end
  end
  if cfg.batch % cfg.shards ~= 0 then
    fault.raise(("a batch of %d rows does not divide into %d shards"):format(cfg.batch, cfg.shards),
      { level = 0, exit_code = fault.exit.usage })
  end
  shards.own(cfg.shards)
  if #cfg.size ~= 2 or cfg.size[1] < 32 or cfg.size[2] < 32 then
    fault.raise(("size must be height,width of at least 32,32, not %s"):format(table.concat(cfg.size, ",")),
      { level = 0, exit_code = fault.exit.usage })
  end
end

--- Learns the tasks of a scenario one after the other, tests on all of them before the first and after
--- each, and writes the answer: summary.json, report.html.
---@param run asl.run
---@param scenario asl.Scenario
---@param learner asl.Strategy
---@param cfg table  see continual.defaults
---@return table summary  what is in summary.json
---@error stopped by a signal and saved (exit code 75); loss or gradient not finite (76)
function continual.learn(run, scenario, learner, cfg)
  check(cfg)
  local data, progress = require "asl.data", require "asl.progress"
  local loader <close> = data.loader { threads = cfg.loaders }
  local test_size = cfg.test_size[1] > 0 and cfg.test_size or cfg.size
  local self = {
    run = run, scenario = scenario, learner = learner, cfg = cfg, loader = loader, ledger = ledger.new(),
    augment = augmentation(cfg), test_size = test_size, tasks = learner:tasks(scenario), all_updates = 0,
    evaluator = evaluator.new { tests = scenario.tests, classes = scenario.classes, loader = loader, size = test_size },
    realised = { rows = 0, batch_rows = 0, counts = {} }, at_once = learner.net.flat:device() == "cpu",
  }
  for _, task in ipairs(self.tasks) do self.all_updates = self.all_updates + updates_of(task, cfg) end
  self.progress = function(label, total, first)
    return progress.new { total = total, first = first, label = learner.name .. " " .. label, unit = "img",
      scale = cfg.batch, quiet = run.quiet }
  end
  if cfg.resident then
    self.resident = require("asl.resident").new { loader = loader, device = learner.net.flat:device(),
      progress = function(label, total)
        return progress.new { total = total, label = label, unit = "img", quiet = run.quiet }
      end }
  end
  note_datasets(run, scenario)
  learner:begin { size = cfg.size, seed = cfg.seed, rows = cfg.batch, tasks = #self.tasks }
  core.catch_interrupts("poll")
  run_tasks(self)
  self.ledger:restore(ledger_of_all(self))
  return ranks.broadcast(ranks.first() and require("asl.answer").finish(self) or nil)
end

--- Learns the same scenario with several strategies, each in a run of its own below this one, and
--- compares them.
---@param run asl.run
---@param scenario asl.Scenario
---@param cfg table
---@param strategies string[]
---@return table<string, table> summaries  by strategy
function continual.compare(run, scenario, cfg, strategies)
  local answer, summaries, runs = require "asl.answer", {}, {}
  for i, name in ipairs(strategies) do
    local own = config.merge(cfg, { strategy = name })
    runs[i] = run:child(name, own)
    summaries[name] = runs[i].done or continual.learn(runs[i], scenario, continual.learner(own, scenario.classes), own)
    if not runs[i].done then runs[i]:finish("done") end
  end
  if ranks.first() then answer.compare(run, scenario, cfg, strategies, summaries, runs) end
  return summaries
end

return setmetatable(continual, { __call = function(_, ...) return continual.learn(...) end })
