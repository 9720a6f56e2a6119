--- What the spans of a trace add up to: by phase, by op, by layer.
---
--- A span whose name is an op's, opened in no other op, is a call of that op; what is opened inside it is a part of
--- it; every other span is a phase of the script. The time of a call contains that of its parts, the time of a phase
--- that of the phases and calls in it, so no column counts anything twice.

local tally = {}

---@class asl.ProfileRow
---@field name string
---@field at string|nil      path of the layer, in `layers`
---@field calls integer
---@field seconds number
---@field macs integer       multiply-adds
---@field bytes integer      inputs and outputs of each call, once
---@field ideal number|nil   seconds by the roofline
---@field limit string|nil   "compute" or "memory": what sets most of `ideal`
---@field parts asl.ProfileRow[]|nil  of an op, the longest first

---@class asl.ProfilePhase
---@field name string
---@field depth integer      phases it lies in
---@field calls integer
---@field seconds number
---@field op_seconds number  of it in ops; the rest is Lua, waiting, garbage collection

---@class asl.ProfileSummary
---@field phases asl.ProfilePhase[]  each before those inside it, in the order they first came
---@field ops asl.ProfileRow[]       the longest first
---@field layers asl.ProfileRow[]    by op and layer, the longest first
---@field op_seconds number          in all ops
---@field macs integer               of all ops

--- Rows by name, in the order they first came.
local function new_rows()
  return { list = {}, by = {} }
end

local function row_of(rows, key, name, at)
  local row = rows.by[key]
  if not row then
    row = { name = name, at = at, calls = 0, seconds = 0, macs = 0, bytes = 0, compute = 0, memory = 0, children = new_rows() }
    rows.by[key] = row
    rows.list[#rows.list + 1] = row
    row.order = #rows.list
  end
  return row
end

--- Adds a call. Its least time is that of the roofline model (Williams et al., CACM 2009): the multiply-adds at the peak
--- rate or the bytes at the peak rate, whichever takes longer.
local function add(row, seconds, macs, bytes, peaks)
  row.calls, row.seconds = row.calls + 1, row.seconds + seconds
  row.macs, row.bytes = row.macs + macs, row.bytes + bytes
  local compute, memory = macs / peaks.macs, bytes / peaks.bytes
  if compute > memory then
    row.compute = row.compute + compute
  else
    row.memory = row.memory + memory
  end
end

local function by_time(a, b)
  if a.seconds ~= b.seconds then return a.seconds > b.seconds end
  return a.order < b.order
end

--- The finished rows, the longest first.
local function sorted(rows, known)
  local list = {}
  table.sort(rows.list, by_time)
  for i, row in ipairs(rows.list) do
    local ideal = row.compute + row.memory
    local parts = #row.children.list > 0 and sorted(row.children, known) or nil
    list[i] = { name = row.name, at = row.at, calls = row.calls, seconds = row.seconds, macs = row.macs, bytes = row.bytes,
      ideal = known and ideal > 0 and ideal or nil, parts = parts,
      limit = known and ideal > 0 and (row.compute > row.memory and "compute" or "memory") or nil }
  end
  return list
end

--- The phases in one list, each before those inside it.
local function flattened(phases, depth, list)
  for _, row in ipairs(phases.list) do
    list[#list + 1] = { name = row.name, depth = depth, calls = row.calls, seconds = row.seconds,
      op_seconds = row.op_seconds or 0 }
    flattened(row.children, depth + 1, list)
  end
  return list
end

local UNKNOWN = { macs = math.huge, bytes = math.huge }

--- Adds up spans.
---@param each fun(): fun(): string?, string?, integer, integer, integer, integer, integer  gives an iterator over
---   name, at, start and end (nanoseconds), macs, bytes, depth, in the order they were opened
---@param is_op fun(name: string): boolean
---@param peaks { macs: number, bytes: number }|nil  per second, at best; without them rows have no `ideal`
---@return asl.ProfileSummary
function tally.of(each, is_op, peaks)
  local phases, ops, layers = new_rows(), new_rows(), new_rows()
  local at_peak, total = peaks or UNKNOWN, { seconds = 0, macs = 0 }
  local open = {} -- by depth: { row, kind }
  for name, at, start_ns, end_ns, macs, bytes, depth in each() do
    local outer, seconds = open[depth - 1], (end_ns - start_ns) * 1e-9
    local kind = outer and outer.kind ~= "phase" and "part" or is_op(name) and "op" or "phase"
    local row
    if kind == "op" then
      row = row_of(ops, name, name)
      add(row_of(layers, name .. "\0" .. (at or ""), name, at), seconds, macs, bytes, at_peak)
      total.seconds, total.macs = total.seconds + seconds, total.macs + macs
      for d = 0, depth - 1 do open[d].row.op_seconds = (open[d].row.op_seconds or 0) + seconds end
    else
      row = row_of(outer and outer.row.children or phases, name, name)
    end
    add(row, seconds, macs, bytes, at_peak)
    open[depth] = { row = row, kind = kind }
  end
  return { phases = flattened(phases, 0, {}), ops = sorted(ops, peaks ~= nil), layers = sorted(layers, peaks ~= nil),
    op_seconds = total.seconds, macs = total.macs }
end

return tally
