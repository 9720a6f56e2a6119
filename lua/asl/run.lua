--- A run: one execution of an experiment and the directory that tells everything about it.
---
---     runs/<name>/<id>/
---       manifest.json   what was run: config, code, build, machine, data; fixed before the first record
---       code/           a copy of every Lua file that took part
---       log             the truth: scalars, texts, events, pictures, in order; no clock in it
---       clock           when the records of the log were written, and where time went
---       status.json     how far it is
---       ckpt/           the newest two checkpoints
---       pictures/  tb/  report.html   views, can be made again from the log
---       summary.json    the answer
---
--- Two equal runs have the same bytes in log, ckpt/, pictures/ and summary.json, also when one of them
--- was killed and resumed. One process writes (of several ranks the first); others may read at any time.

local checkpoint = require "asl.checkpoint"
local core = require "asl.core"
local fault = require "asl.fault"
local follower = require "asl.run.follower"
local fs = require "asl.fs"
local json = require "asl.json"
local listing = require "asl.run.listing"
local log = require "asl.log"
local manifest = require "asl.manifest"
local options = require "asl.options"
local ranks = require "asl.ranks"
local tensorboard = require "asl.tensorboard"

---@class asl.run
---@field path string  the directory
---@field name string
---@field id string
---@field manifest table
local Run = {}
Run.__index = Run

local run = {}

local status_interval = 1 -- seconds between two writes of status.json

-- A failure of the disk ends the program with its own code: what was saved stays, and the run can be
-- resumed once there is room.
local function guard(path, action, ...)
  local ok, result = pcall(action, ...)
  if ok then return result end
  fault.raise(fault.cause(result), {
    level = 0, exit_code = fault.exit.io,
    hint = ("make room or mend the disk, then go on from the last checkpoint: asl resume %s"):format(path),
  })
end

function Run:warn(message)
  if not self.quiet then io.stderr:write("asl: warning: ", message, "\n") end
end

-- ---- clock ------------------------------------------------------------------------------------

-- Wall-clock time that never steps back within a session.
function Run:now()
  return self.began + (core.monotonic() - self.began_monotonic)
end

--- Keeps values that depend on the clock (rates, durations) apart from the log.
---@param values table  plain data
function Run:clock(values)
  local entry = { t = self:now() }
  for name, value in pairs(values) do
    entry[name] = value
  end
  guard(self.path, self.clocks.append, self.clocks, entry)
end

--- Seconds that all sessions of this run took together, from opening to the last record.
---@return number
function Run:seconds()
  local total, first, last = 0, nil, nil
  log.each(self:file("clock"), function(entry)
    if entry.session and first then total, first = total + last - first, nil end
    first, last = first or entry.t, entry.t
  end)
  return first and total + last - first or total
end

-- ---- records ----------------------------------------------------------------------------------

-- The manifest is complete when the first record comes.
function Run:seal()
  if self.sealed then return end
  self.sealed = true
  self.manifest.code = manifest.keep_code(manifest.code(self.manifest.script), self:file("code"))
  guard(self.path, json.write, self:file("manifest.json"), self.manifest, { nonfinite = "string" })
end

function Run:record(entry)
  self:seal()
  local offset, time = self.journal:size(), self:now()
  guard(self.path, self.journal.append, self.journal, entry)
  guard(self.path, self.clocks.append, self.clocks, { t = time, at = offset })
  guard(self.path, self.view.add, self.view, entry, time)
end

local record_options = { task = options.optional("string") }

--- Logs numbers of one step.
---@param step integer  of the whole run; must not fall within a task
---@param values table<string, number>
---@param given? {task: string?}
function Run:log(step, values, given)
  given = options.check("run:log", given, record_options)
  for name, value in pairs(values) do
    if type(name) ~= "string" or type(value) ~= "number" then
      error(("run:log: the value of %q must be a number, not a %s"):format(tostring(name), type(value)), 2)
    end
  end
  self:record { kind = "scalars", step = step, task = given.task, values = values }
end

--- Logs a text.
---@param step integer
---@param name string
---@param markdown string
---@param given? {task: string?}
function Run:text(step, name, markdown, given)
  given = options.check("run:text", given, record_options)
  self:record { kind = "text", step = step, task = given.task, name = name, text = markdown }
end

--- Logs that something happened.
---@param step integer
---@param name string  "task_begin"
---@param fields? table  plain data without clock values
function Run:event(step, name, fields)
  self:record { kind = "event", step = step, name = name, fields = fields }
end

--- Keeps a picture as pictures/<name>-<step>.png and logs it with its digest.
---@param step integer
---@param name string
---@param image asl.tensor  u8 (H,W,3), or (H,W) with a palette
---@param given? {task: string?, palette: integer[][]?}
---@return string path
function Run:picture(step, name, image, given)
  given = options.check("run:picture", given, {
    task = options.optional("string"), palette = options.optional("table"),
  })
  local png = core.png_encode(image, given.palette and { palette = given.palette })
  local file = ("pictures/%s-%06d.png"):format(fs.slug(name), step)
  guard(self.path, fs.mkdirs, self:file("pictures"))
  guard(self.path, fs.write, self:file(file), png, { durable = false })
  self:record {
    kind = "picture", step = step, task = given.task, name = name, file = file, sha256 = core.sha256(png),
  }
  return self:file(file)
end

-- ---- manifest and status ----------------------------------------------------------------------

--- Notes the identity of a data set, before the first record. In a resumed run it must be the same as
--- when the run began; otherwise it raises with exit code 77.
---@param name string
---@param digest string
function Run:dataset(name, digest)
  local known = self.manifest.datasets[name]
  if known == digest then return end
  if self.sealed then
    fault.raise(known
      and ("manifest mismatch: the data set %q is %s now and was %s when the run began"):format(name, digest, known)
      or ("manifest mismatch: the data set %q was not there when the run began"):format(name),
      { level = 0, exit_code = fault.exit.mismatch })
  end
  self.manifest.datasets[name] = digest
end

--- Says how far the run is. Written at most once a second, so it may be called at every step.
---@param fields {state: string?, step: integer?, task: string?, message: string?}
function Run:status(fields)
  fields = options.check("run:status", fields, {
    state = options.optional("string"), step = options.optional("integer"), task = options.optional("string"),
    message = options.optional("string"),
  })
  local changed = fields.state and fields.state ~= self.state.state
  for name, value in pairs(fields) do
    self.state[name] = value
  end
  local time = self:now()
  if not changed and time < self.status_due then return end
  self.status_due = time + status_interval
  self.state.time, self.state.pid, self.state.host = time, core.pid(), core.hostname()
  guard(self.path, json.write, self:file("status.json"), self.state, { durable = changed or false })
end

--- Writes the answer. NaN and infinities become null.
---@param summary table  plain data without clock values
function Run:summary(summary)
  guard(self.path, json.write, self:file("summary.json"), summary, { nonfinite = "null" })
end

--- The path of something in the run's directory.
---@param name string
---@return string
function Run:file(name)
  return fs.join(self.path, name)
end

-- ---- checkpoints ------------------------------------------------------------------------------

--- Saves a state from which the run can go on; the one before is kept too.
---@param step integer  of the whole run; must not fall
---@param state table  of asl.checkpoint
function Run:checkpoint(step, state)
  if step < self.last_step then
    error(("run:checkpoint: step %d comes after step %d"):format(step, self.last_step), 2)
  end
  self:seal()
  guard(self.path, self.journal.sync, self.journal)
  guard(self.path, checkpoint.save_generation, self:file("ckpt"), step, { log = self.journal:size(), state = state })
  self.last_step = step
end

--- The state to go on from, in a run that was opened; nil when it has to begin from the start. The
--- state is handed out once.
---@return table? state
---@return integer? step  of its checkpoint
function Run:restore()
  local restored = self.restored
  self.restored = nil
  if restored then return restored.state, self.last_step end
end

-- Back to the newest whole checkpoint: the log ends where it ended then, and no file is half-written.
local function go_back(self)
  for _, part in ipairs { ".", "code", "ckpt", "pictures" } do fs.remove_half_written(self:file(part)) end
  local dir = self:file("ckpt")
  local restored, step = checkpoint.load_newest(dir, function(message)
    self:warn(fault.cause(message) .. "; going on from the checkpoint before it")
  end)
  local offset = restored and restored.log or 0
  if offset > self.journal:size() then
    error(("%q has %d bytes, but the checkpoint of step %d was saved after %d: the log is damaged")
      :format(self.journal.path, self.journal:size(), step, offset), 0)
  end
  self.journal:truncate(offset)
  self.restored, self.last_step = restored, step or 0
end

-- ---- beginning and ending ---------------------------------------------------------------------

local function new(path, name, id, quiet, lock)
  local self = setmetatable({
    path = path, name = name, id = id, quiet = quiet, lock = lock, sealed = false, last_step = 0,
    children = {}, began = core.now(), began_monotonic = core.monotonic(), status_due = 0, state = { state = "new" },
  }, Run)
  self.journal = log.open(self:file("log"))
  self.clocks = log.open(self:file("clock"))
  return self
end

-- Takes a directory that is not there yet and its lock. Two processes that want the same name find
-- out by the lock; the second tries another.
local function take_directory(given, time)
  for attempt = 1, 100 do
    local salt = core.sha256(("%s %d %.9f %d"):format(core.hostname(), core.pid(), time, attempt))
    local id = given.id or listing.utc(time, "%Y%m%d-%H%M%S-") .. salt:sub(1, 4)
    local path = fs.join(given.runs, given.name, id)
    if not fs.stat(fs.join(path, "manifest.json")) then
      fs.mkdirs(path)
      local locked, lock = pcall(fs.lock, fs.join(path, "lock"))
      if locked then return path, id, lock end
      if given.id then error(lock, 0) end
    elseif given.id then
      fault.raise(("the run %q exists"):format(path),
        { level = 0, exit_code = fault.exit.usage, hint = "asl resume " .. path .. ", or choose another id" })
    end
  end
  error(("no free name for a run below %q"):format(given.runs), 0)
end

-- Gives the lock back when the action fails.
local function holding(lock, action, ...)
  local ok, result = pcall(action, ...)
  if ok then return result end
  lock:release()
  error(result, 0)
end

-- A run in an empty directory whose lock is held.
local function begin(path, lock, id, given, time)
  local self = guard(path, new, path, given.name, id, given.quiet, lock)
  guard(path, fs.mkdirs, self:file("ckpt"))
  self.manifest = {
    format = 1, name = given.name, id = id, created = time, created_utc = listing.utc(time, "%Y-%m-%dT%H:%M:%SZ"),
    script = given.script and fs.realpath(given.script), argv = json.array(given.argv), config = given.config,
    environment = manifest.environment(given.config.device),
    git = manifest.git(given.script and fs.dirname(given.script) or "."), datasets = {}, code = {},
  }
  self.manifest.code = manifest.keep_code(manifest.code(self.manifest.script), self:file("code"))
  guard(path, json.write, self:file("manifest.json"), self.manifest, { nonfinite = "string" })
  self.view = tensorboard.view(self:file("tb"), path, time)
  self:clock { session = 1, pid = core.pid(), host = core.hostname(), ranks = ranks.count() }
  self:status { state = "running" }
  return self
end

local function create(given)
  local time = core.now()
  local ok, path, id, lock = pcall(take_directory, given, time)
  if ok then return holding(lock, begin, path, lock, id, given, time) end
  if type(path) == "table" then error(path, 0) end
  fault.raise("cannot begin a run: " .. fault.cause(path), { level = 0, exit_code = fault.exit.io,
    hint = "--runs DIR names a directory that can be written" })
end

--- Begins a run: makes its directory and writes the manifest. Together with the other ranks, if there are any.
---@param given {name: string, runs: string?, id: string?, config: table?, script: string?, argv: string[]?,
---  quiet: boolean?}  `runs`: where runs go ("runs"); `id`: default is time and four random digits;
---  `script`: the experiment's file, `argv`: what followed it on the command line
---@return asl.run
---@error exit code 74 when the directory cannot be written
function run.create(given)
  given = options.check("asl.run.create", given, {
    name = options.require("string"), runs = "runs", id = options.optional("string"), config = {},
    script = options.optional("string"), argv = {}, quiet = false,
  })
  for _, what in ipairs { "name", "id" } do
    if given[what] and fs.slug(given[what]) ~= given[what] then
      error(("asl.run.create: the %s %q may hold letters, digits, '.', '_' and '-'"):format(what, given[what]), 2)
    end
  end
  return follower.of_first(create, given)
end

local function check_code(self, accept_changes)
  local changed = manifest.changed_code(self.manifest.code, self.manifest.script)
  if #changed == 0 then return end
  local message = ("manifest mismatch: code has changed since %q began: %s")
    :format(self.path, table.concat(changed, ", "))
  if not accept_changes then
    fault.raise(message, { level = 0, exit_code = fault.exit.mismatch,
      hint = "the code it began with is in " .. self:file("code") })
  end
  self:warn(message)
  self:clock { changed_code = json.array(changed) }
end

local function read_times(path)
  local times, sessions = {}, 0
  log.each(path, function(entry)
    if entry.at then times[entry.at] = entry.t end
    if entry.session then sessions = entry.session end
  end)
  return times, sessions
end

local function go_on(self, given)
  if self.journal.dropped > 0 then
    self:warn(("%q ended in a torn record; its %d bytes were cut off"):format(self.journal.path, self.journal.dropped))
  end
  check_code(self, given.accept_changes)
  self.sealed = self.journal:size() > 0
  go_back(self)
  local times, sessions = read_times(self:file("clock"))
  self.view = tensorboard.rebuild(self:file("tb"), self.journal.path, self.path, times,
    self.manifest.created + sessions)
  self:clock { session = sessions + 1, pid = core.pid(), host = core.hostname(), ranks = ranks.count() }
  self.state.step = self.last_step
  self:status { state = "running" }
end

local function reopen(path, given)
  local locked, lock = pcall(fs.lock, fs.join(path, "lock"))
  if not locked then
    fault.raise("the run is going on elsewhere: " .. fault.cause(lock), { level = 0, exit_code = fault.exit.usage })
  end
  return holding(lock, function()
    local description = json.read(fs.join(path, "manifest.json"))
    local self = new(path, description.name, description.id, given.quiet, lock)
    self.manifest, self.accept_changes = description, given.accept_changes
    go_on(self, given)
    return self
  end)
end

--- Opens a run to go on with it: the log is cut back to the newest whole checkpoint, whose state
--- `run:restore()` then gives. Together with the other ranks, if there are any.
---@param path string  the run's directory
---@param given? {quiet: boolean?, accept_changes: boolean?}  `accept_changes`: go on although the code
---  has changed
---@return asl.run
---@error another process is writing the run; it is none; its code has changed (exit code 77)
function run.open(path, given)
  given = options.check("asl.run.open", given, { quiet = false, accept_changes = false })
  path = path:gsub("(.)/+$", "%1")
  if not fs.stat(fs.join(path, "manifest.json")) then
    fault.raise(("there is no run in %q"):format(path),
      { level = 2, exit_code = fault.exit.usage, hint = "asl runs lists the runs" })
  end
  return follower.of_first(reopen, path, given)
end

--- Profiles updates of this run, or of the first of its children that makes them: prints where time went and writes
--- trace.json into the directory; see asl.profile. No result changes.
---@param given? {first: integer?, last: integer?, all: boolean?, stop: boolean?}  `first` (4) to `last` (13), counted
---  over all tasks; a run that makes fewer is profiled to its end; `all`: every layer, not only the slowest 25; `stop`:
---  save and end the run after `last`
function Run:profile(given)
  given = options.check("run:profile", given, { first = 4, last = 13, all = false, stop = false })
  given.path, given.quiet = self:file("trace.json"), self.quiet
  self.window, self.owns_window = require("asl.profile").window(given), true
end

local function make_child(self, name, config)
  local path = self:file(fs.slug(name))
  local child
  if not fs.stat(fs.join(path, "manifest.json")) then
    guard(path, fs.mkdirs, path)
    local lock = guard(path, fs.lock, fs.join(path, "lock"))
    child = holding(lock, begin, path, lock, name, {
      name = self.name, config = config, script = self.manifest.script, argv = self.manifest.argv, quiet = self.quiet,
    }, core.now())
  elseif json.read(fs.join(path, "status.json")).state == "done" then
    return setmetatable({
      path = path, name = self.name, id = name, quiet = self.quiet, closed = true,
      manifest = json.read(fs.join(path, "manifest.json")), done = json.read(fs.join(path, "summary.json")),
    }, Run)
  else
    child = reopen(path, { quiet = self.quiet, accept_changes = self.accept_changes })
  end
  self.children[#self.children + 1] = child
  child.window = self.window
  return child
end

--- A run inside this one, in the directory `name`: one of several strategies that are compared. It is
--- begun, or, when this run was resumed, opened again; when it had ended well, its answer is in `done`
--- and it takes no more records. Together with the other ranks, if there are any.
---@param name string
---@param config table
---@return asl.run child
function Run:child(name, config)
  return follower.of_first(make_child, self, name, config)
end

--- Ends the session: "done", "preempted" or "profiled" (saved, can be resumed) or "failed". Children that
--- are still open end likewise.
---@param state "done"|"preempted"|"profiled"|"failed"
---@param message? string
function Run:finish(state, message)
  if self.owns_window then guard(self.path, self.window.finish, self.window, state == "done") end
  for _, child in ipairs(self.children) do
    if not child.closed then child:finish(state, message) end
  end
  self:seal()
  self:clock { finish = state }
  guard(self.path, self.journal.sync, self.journal)
  self:status { state = state, message = message }
  self:close()
end

--- Gives files and lock back without saying how the run ended.
function Run:close()
  if self.closed then return end
  self.closed = true
  for _, child in ipairs(self.children) do
    child:close()
  end
  local ok, problem = pcall(self.view.close, self.view)
  if not ok then self:warn("the TensorBoard view ends early: " .. fault.cause(problem)) end
  self.journal:close()
  self.clocks:close()
  self.lock:release()
end

Run.__close = Run.close

run.list, run.list_text = listing.list, listing.list_text

return run
