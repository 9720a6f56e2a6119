--- A profile as tables for a terminal of 80 to 120 columns.

local progress = require "asl.progress"

local text = {}

local LAYERS = 25   -- rows of the table of layers, unless all are asked for
local NARROW = 100  -- columns below which the rarer figures are left out

-- ---- figures ----------------------------------------------------------------------------------

local function milliseconds(seconds)
  local ms = 1000 * seconds
  return (ms < 0.0995 and "%.3f" or ms < 9.995 and "%.2f" or ms < 999.5 and "%.1f" or "%.0f"):format(ms)
end

local function percent(part, whole)
  return whole > 0 and ("%.1f"):format(100 * part / whole) or "-"
end

--- Giga-somethings per second; "-" where there are none.
local function rate(amount, seconds)
  if amount == 0 or seconds <= 0 then return "-" end
  return ("%.1f"):format(amount / seconds * 1e-9)
end

local function roofline(row)
  if not row.ideal or row.seconds <= 0 then return "-" end
  return ("%.0f %% %s"):format(100 * row.ideal / row.seconds, row.limit)
end

--- Calls of one update, or all of them: whole where they are whole.
local function calls(row, updates)
  local n = row.calls / updates
  return n == math.floor(n) and ("%d"):format(n) or ("%.1f"):format(n)
end

--- A text cut to a width: the end of a path tells more than its beginning.
local function clip(value, width)
  local length = utf8.len(value) or #value
  if length <= width then return value end
  return "…" .. value:sub(utf8.offset(value, -(width - 1)))
end

-- ---- columns ----------------------------------------------------------------------------------

--- The columns of figures: title, and the value of a row; `wide`: only where there is room. `names`: columns of names
--- beside them.
local function figures(this, names)
  local updates = this.updates or 1
  local all = {
    { this.updates and "ms/update" or "ms", function(row) return milliseconds(row.seconds / updates) end },
    { "%", function(row) return percent(row.seconds, this.seconds) end },
    { "calls", function(row) return calls(row, updates) end, wide = names > 1 },
    { "ms/call", function(row) return milliseconds(row.seconds / row.calls) end, wide = true },
    { "GFLOP/s", function(row) return rate(2 * row.macs, row.seconds) end },
    { "GB/s", function(row) return rate(row.bytes, row.seconds) end, wide = names > 1 },
    { "roofline", roofline },
  }
  local kept = {}
  for _, column in ipairs(all) do
    if this.columns >= NARROW or not column.wide then kept[#kept + 1] = column end
  end
  return kept
end

--- Columns that the figures of rows take, with two between them.
local function width_of(columns, rows)
  local total = 0
  for _, column in ipairs(columns) do
    local width = #column[1]
    for _, row in ipairs(rows) do width = math.max(width, #column[2](row)) end
    total = total + width + 2
  end
  return total
end

local function cells(names, columns, row)
  for _, column in ipairs(columns) do names[#names + 1] = column[2](row) end
  return names
end

local function header(names, columns)
  for _, column in ipairs(columns) do names[#names + 1] = column[1] end
  return names
end

-- ---- tables -----------------------------------------------------------------------------------

--- The ops and, below each, its parts.
local function indented(rows, depth, list)
  for _, row in ipairs(rows) do
    list[#list + 1] = { row = row, depth = depth }
    indented(row.parts or {}, depth + 1, list)
  end
  return list
end

local function op_table(this)
  local list, rows, columns = indented(this.ops, 0, {}), {}, figures(this, 1)
  local all = {}
  for i, item in ipairs(list) do all[i] = item.row end
  local room = this.columns - 2 - width_of(columns, all)
  for i, item in ipairs(list) do
    rows[i] = cells({ clip(("  "):rep(item.depth) .. item.row.name, room) }, columns, item.row)
  end
  return progress.table { header = header({ "op" }, columns), rows = rows }
end

--- What the rows from `first` on come to, in one line.
local function remainder(this, first)
  local seconds = 0
  for i = first, #this.layers do seconds = seconds + this.layers[i].seconds end
  return ("  and %d more of %s ms together; --all shows them"):format(#this.layers - first + 1,
    milliseconds(seconds / (this.updates or 1)))
end

local function layer_table(this)
  local shown = this.all and #this.layers or math.min(LAYERS, #this.layers)
  local list, rows, columns = table.move(this.layers, 1, shown, 1, {}), {}, figures(this, 2)
  local room = this.columns - 4 - width_of(columns, list)
  local longest = 0
  for _, row in ipairs(list) do longest = math.max(longest, #row.name) end
  local op_room = math.min(longest, room // 2)
  for i, row in ipairs(list) do
    rows[i] = cells({ clip(row.at or "-", room - op_room), clip(row.name, op_room) }, columns, row)
  end
  local lines = progress.table { header = header({ "layer", "op" }, columns), rows = rows, align = "ll" }
  return shown < #this.layers and lines .. "\n" .. remainder(this, shown + 1) or lines
end

local function phase_table(this)
  local rows, updates, covered = {}, this.updates or 1, 0
  local function row(name, seconds, op_seconds, count)
    rows[#rows + 1] = { name, milliseconds(seconds / updates), percent(seconds, this.seconds), count,
      milliseconds(op_seconds / updates), milliseconds((seconds - op_seconds) / updates) }
  end
  local in_phases = 0
  for _, phase in ipairs(this.phases) do
    row(("  "):rep(phase.depth) .. phase.name, phase.seconds, phase.op_seconds, calls(phase, updates))
    if phase.depth == 0 then covered, in_phases = covered + phase.seconds, in_phases + phase.op_seconds end
  end
  row("(outside)", this.seconds - covered, this.op_seconds - in_phases, "")
  return progress.table { header = { "phase", this.updates and "ms/update" or "ms", "%", "calls", "in ops", "in Lua, waiting" },
    rows = rows }
end

--- How long: an update by itself, and with what lies between two of them.
local function duration(this)
  if not this.updates then return progress.duration(this.seconds) end
  local own = 0
  for _, phase in ipairs(this.phases) do
    if phase.name == "update" and phase.depth == 0 then own = phase.seconds end
  end
  return ("%d updates of %s ms, %s ms with what lies between"):format(this.updates, milliseconds(own / this.updates),
    milliseconds(this.seconds / this.updates))
end

local function head(this)
  local peaks = this.peaks
  local lines = {
    this.title .. ": " .. duration(this),
    ("  %s GFLOP/s, %s %% of the time in ops, tensor memory at most %s"):format(rate(2 * this.macs, this.seconds),
      percent(this.op_seconds, this.seconds), progress.bytes(this.peak_bytes)),
    ("  %s, %s kernels, %d thread%s"):format(this.device, this.backend, this.threads, this.threads == 1 and "" or "s"),
  }
  if peaks then
    lines[#lines + 1] = ("  at best %s GFLOP/s and %s GB/s, measured just now"):format(rate(2 * peaks.macs, 1),
      rate(peaks.bytes, 1))
  end
  if this.dropped > 0 then
    lines[#lines + 1] = ("  the trace is full: the last %d spans are not in it"):format(this.dropped)
  end
  return table.concat(lines, "\n")
end

--- The profile as a person reads it.
---@param this table  an asl.ProfileSummary with title, seconds, updates (nil: none), peaks, peak_bytes, device, backend,
---   threads, dropped, columns (of the terminal) and all (layers)
---@return string
function text.of(this)
  local parts = { head(this) }
  if #this.phases > 0 then parts[#parts + 1] = phase_table(this) end
  if #this.ops > 0 then
    parts[#parts + 1] = op_table(this)
    parts[#parts + 1] = layer_table(this)
  end
  return table.concat(parts, "\n\n")
end

return text
