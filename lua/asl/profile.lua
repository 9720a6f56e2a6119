--- Where time goes: a profile of a script, by phase, by op and by layer.
---
---     asl profile FILE.lua [key=value ...] [--updates 4-13] [--all]
---
--- runs an experiment, profiles some of its updates, prints tables, writes `trace.json` into the run's directory (for
--- https://ui.perfetto.dev or chrome://tracing) and ends; the run is saved and can be resumed. Any other script is
--- profiled from its first line to its last; the trace goes to ./asl-trace.json. In an experiment's main,
--- `run:profile()` does the same and the run goes on. By hand:
---
---     asl.profile.start()
---     for step = 1, 10 do
---       local update <close> = asl.profile.span "update"       -- figures are then given per update
---       ...
---     end
---     asl.profile.report { path = "trace.json" }
---
--- A row's GFLOP/s counts 2 per multiply-add of convolutions and matrix products; its GB/s counts each input and
--- output of an op once, which is the least it has to move. `roofline` is the share of what the machine could do at
--- best (Williams et al., CACM 2009), and whether multiply-adds or memory set that limit; more than 100 % says that
--- operands came out of caches. A profile changes no result.

local core = require "asl.core"
local options = require "asl.options"

local profile = {}

local state = { on = false, began = 0, seconds = 0, peak_bytes = 0 }

local function is_op(name)
  return core.ops[name] ~= nil
end

--- Iterates over the recorded spans: name, at, start and end (nanoseconds), macs, bytes, depth.
local function each()
  local i, count = 0, core.trace.count()
  return function()
    i = i + 1
    if i <= count then return core.trace.span(i) end
  end
end

-- ---- recording --------------------------------------------------------------------------------

--- Begins a profile; what was recorded before is forgotten.
function profile.start()
  core.memory_reset_peak()
  state.on, state.peak_bytes, state.began = true, 0, core.monotonic()
  core.trace.start()
end

local function note_memory()
  state.peak_bytes = math.max(state.peak_bytes, core.memory().peak)
end

--- Ends the profile; what it recorded stays for report().
function profile.stop()
  if not state.on then return end
  core.trace.stop()
  note_memory()
  state.on, state.seconds = false, core.monotonic() - state.began
end

--- Is a profile being recorded?
---@return boolean
function profile.on()
  return state.on
end

local nothing = setmetatable({}, { __close = function() end })
local Span = {}
Span.__close = function(self)
  core.trace.close(self.handle)
  if state.on then note_memory() end
end

--- A phase of the script, to be closed: `local phase <close> = asl.profile.span "forward"`. Costs next to nothing while
--- no profile is recorded.
---@param name string  no op's; "update" makes the report give its figures per update
---@return table closable
---@error the name is an op's
function profile.span(name)
  if is_op(name) then error(("asl.profile.span: %q is the name of an op"):format(name), 2) end
  if not state.on then return nothing end
  return setmetatable({ handle = core.trace.open(name) }, Span)
end

--- Calls fn(...) as a phase.
---@param name string  as of span()
---@param fn function
---@param ... any
---@return any ...  what fn returns
function profile.call(name, fn, ...)
  local scope <close> = profile.span(name)
  return fn(...)
end

-- ---- the report -------------------------------------------------------------------------------

--- What was recorded, added up: by phase, op and layer. Measures what the machine can do at best, which takes about a
--- second.
---@return asl.ProfileSummary  also with seconds, updates, peaks, peak_bytes, device, backend, threads, dropped
function profile.summary()
  profile.stop()
  local device, peaks = core.version().devices[1], core.measure_peaks()
  local this = require("asl.profile.tally").of(each, is_op, peaks)
  for _, phase in ipairs(this.phases) do
    if phase.name == "update" and phase.depth == 0 then this.updates = phase.calls end
  end
  this.dropped = select(2, core.trace.count())
  this.seconds, this.peak_bytes, this.peaks = state.seconds, state.peak_bytes, peaks
  this.device, this.backend, this.threads = device.name, device.backend, device.threads
  return this
end

--- Columns for a table: the terminal's, within reason; 120 in a file.
local function columns_of_terminal()
  local columns = core.isatty("stdout") and core.terminal_size("stdout") or 120
  return math.max(80, math.min(columns, 120))
end

--- Ends the profile, prints it and writes the trace; what was recorded is forgotten.
---@param given { path?: string, title?: string, all?: boolean, columns?: integer, quiet?: boolean }|nil
---   path: of the trace, "asl-trace.json"; title: of what; all: every layer, not only the slowest 25; columns: of the
---   terminal; quiet: print nothing
---@return asl.ProfileSummary
---@error the trace cannot be written
function profile.report(given)
  given = options.check("asl.profile.report", given, {
    path = "asl-trace.json", title = "profile", all = false, columns = options.optional "integer", quiet = false,
  })
  local this = profile.summary()
  this.title, this.all, this.columns = given.title, given.all, given.columns or columns_of_terminal()
  require("asl.profile.trace").write(given.path, each, is_op, given.title)
  core.trace.clear()
  if not given.quiet then
    print(require("asl.profile.text").of(this))
    print(("\ntrace: %s (for https://ui.perfetto.dev or chrome://tracing)"):format(given.path))
  end
  return this
end

-- ---- updates of a run -------------------------------------------------------------------------

---@class asl.ProfileWindow
---@field stop boolean  the run ends after the last update
local Window = {}
Window.__index = Window

--- The profile of updates `first` to `last` of a run; for asl.run. Recording begins at once, so that a run without such
--- updates is profiled as a whole.
---@param given { path: string, first?: integer, last?: integer, all?: boolean, stop?: boolean, quiet?: boolean }
---   path: of the trace; updates 4 to 13; all: every layer; stop: end the run after the last one; quiet: print nothing
---@return asl.ProfileWindow
---@error the updates are none
function profile.window(given)
  local self = options.check("asl.profile.window", given, {
    path = options.require "string", first = 4, last = 13, all = false, stop = false, quiet = false,
  })
  if math.type(self.first) ~= "integer" or math.type(self.last) ~= "integer" or self.first < 1 or self.last < self.first then
    error(("asl.profile: there are no updates %s to %s"):format(self.first, self.last), 2)
  end
  profile.start()
  return setmetatable(self, Window)
end

--- Update `step` of the run is about to begin.
---@param step integer
function Window:before(step)
  if self.done or self.begun or step ~= self.first then return end
  self.begun = true
  profile.start()
end

--- Update `step` is done.
---@param step integer
---@return boolean last  it is time to report
function Window:after(step)
  if self.done or not self.begun then return false end
  self.newest = step
  if step < self.last then return false end
  profile.stop()
  return true
end

--- The run ends: reports what there is, unless that was done or the run failed.
---@param well boolean  the run did what it had to
function Window:finish(well)
  if well and not self.done then self:report() end
  profile.stop()
end

--- Prints the profile and writes the trace.
function Window:report()
  self.done = true
  local title = self.newest and ("updates %d to %d"):format(self.first, self.newest) or "the whole run"
  profile.report { path = self.path, title = title, all = self.all, quiet = self.quiet }
end

return profile
