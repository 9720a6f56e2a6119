--- Spans as a file that Perfetto (https://ui.perfetto.dev) and chrome://tracing open: the Trace Event Format, JSON
--- objects with "traceEvents", one complete event ("X") per span, times in microseconds.

local fs = require "asl.fs"
local json = require "asl.json"

local trace = {}

local AT_ONCE = 4096 -- events written together

--- The event of one span.
local function event(category, zero, name, at, start_ns, end_ns, macs, bytes)
  return {
    name = name, cat = category, ph = "X", pid = 1, tid = 1, ts = (start_ns - zero) / 1000, dur = (end_ns - start_ns) / 1000,
    args = { layer = at, macs = macs > 0 and macs or nil, bytes = bytes > 0 and bytes or nil },
  }
end

local function header(title)
  return {
    { name = "process_name", ph = "M", pid = 1, tid = 1, args = { name = title } },
    { name = "thread_name", ph = "M", pid = 1, tid = 1, args = { name = "script" } },
  }
end

--- Writes a trace in one step: until it is whole, what was there stays.
---@param path string
---@param each fun(): function  as of asl.profile.tally
---@param is_op fun(name: string): boolean
---@param title string  the name of the process
---@error the file cannot be written
function trace.write(path, each, is_op, title)
  local part = path .. ".part"
  fs.remove(part)
  local file <close>, lines, zero = fs.append(part), { '{"displayTimeUnit":"ms","traceEvents":[\n' }, nil
  local separator = ""
  local function put(value)
    lines[#lines + 1] = separator .. json.encode(value)
    separator = ",\n"
    if #lines < AT_ONCE then return end
    file:write(table.concat(lines))
    lines = {}
  end
  for _, value in ipairs(header(title)) do put(value) end
  for name, at, start_ns, end_ns, macs, bytes in each() do
    zero = zero or start_ns
    put(event(is_op(name) and "op" or "span", zero, name, at, start_ns, end_ns, macs, bytes))
  end
  lines[#lines + 1] = "\n]}\n"
  file:write(table.concat(lines))
  file:close()
  fs.rename(part, path)
end

return trace
