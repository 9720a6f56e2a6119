--- Errors as a person should meet them: the cause, at the line of the user's own script, and what would be right.
---
--- Any module may raise plain strings with error(). fault.raise adds a hint and an exit code. Whoever runs user code
--- calls it through fault.catch and prints fault.text.

local fault = {}

--- Exit codes of the program.
fault.exit = { profiled = 0, usage = 64, data = 65, internal = 70, io = 74, preempted = 75, not_finite = 76, mismatch = 77,
  interrupted = 130 }

local Fault = {}
Fault.__index = Fault
Fault.__name = "asl.fault"
Fault.__tostring = function(self)
  return self.hint and self.message .. "\nhint: " .. self.hint or self.message
end

-- Files in the folder of this one are the framework's; all others are the user's.
local own_folder = debug.getinfo(1, "S").source:match("^(@.*/)[^/]*$")

local function is_users(info)
  if info.what == "C" then return false end
  return info.source:sub(1, #own_folder) ~= own_folder
end

local function place(info)
  local file = info.source:match("^@(.*)$") or info.short_src
  return file .. ":" .. info.currentline
end

local function describe_function(info)
  if info.what == "main" then return "" end
  return info.name and " in function " .. info.name or " in a function"
end

--- Looks at the stack from `level` up to fault.catch: where the user's code is, and which frame the message names.
local function look(message, level)
  local frames, named = {}, nil
  while true do
    local info = debug.getinfo(level, "Slnf")
    if not info then break end
    local prefix = string.format("%s:%d: ", info.short_src, info.currentline)
    if not named and info.what ~= "C" and message:sub(1, #prefix) == prefix then
      named = { length = #prefix, info = info }
    end
    if info.func == fault.catch then break end
    if is_users(info) then frames[#frames + 1] = info end
    level = level + 1
  end
  return frames, named
end

--- Turns any error value into a fault; the message handler of fault.catch, and for xpcall elsewhere. A fault passes.
---@param value any  what error() was given
---@return table fault  { message, hint, exit_code, callers, trace }
function fault.handler(value)
  if getmetatable(value) == Fault and value.trace then return value end
  local raised = getmetatable(value) == Fault and value or nil
  local message = raised and raised.message or (type(value) == "string" and value or tostring(value))
  local frames, named = look(message, 3)
  if named then
    local at = is_users(named.info) and named.info or frames[1]
    message = (at and place(at) .. ": " or "") .. message:sub(named.length + 1)
  end
  local interrupted = message == "interrupted" and frames[1] ~= nil
  if interrupted then message = "interrupted at " .. place(frames[1]) end
  local callers = {}
  -- The first frame is in the message; one raised without a position is not about a place.
  for i = (named or interrupted) and 2 or 1, raised and not named and 0 or #frames do
    callers[#callers + 1] = place(frames[i]) .. describe_function(frames[i])
  end
  local text, hint = message:match("^(.-)\nhint: (.*)$")
  return setmetatable({
    message = text or message,
    hint = raised and raised.hint or hint,
    exit_code = raised and raised.exit_code or (interrupted and fault.exit.interrupted) or nil,
    callers = callers,
    trace = debug.traceback(nil, 2),
  }, Fault)
end

--- Calls f(...) and returns true and its results, or false and a fault.
---@param f function
---@param ... any
---@return boolean ok
---@return any ...  results, or the fault
function fault.catch(f, ...)
  local results = table.pack(xpcall(f, fault.handler, ...)) -- no tail call: this frame ends what `look` sees
  return table.unpack(results, 1, results.n)
end

--- Raises an error that knows what would be right and with which code the program should end.
---@param message string
---@param more table|nil  { hint = string, exit_code = integer, level = integer }; level as in error(), 0 = no position
function fault.raise(message, more)
  more = more or {}
  local level = more.level or 1
  if level > 0 then
    local info = debug.getinfo(level + 1, "Sl")
    if info and info.what ~= "C" then message = string.format("%s:%d: %s", info.short_src, info.currentline, message) end
  end
  error(setmetatable({ message = message, hint = more.hint, exit_code = more.exit_code }, Fault), 0)
end

--- The message of an error without the place in a Lua file where it was noticed.
---@param problem any  what pcall gave
---@return string
function fault.cause(problem)
  local message = getmetatable(problem) == Fault and problem.message or tostring(problem)
  return (message:gsub("^[^\n]-%.lua:%d+: ", ""))
end

--- For "attempt to call a nil value (field 'adamm')": the public name that is meant.
local function guess_hint(message)
  local name = message:match("a nil value %(%w+ '([%w_]+)'%)$")
  if not name then return nil end
  local ok, guess = pcall(function() return require("asl.help").nearest(name) end)
  return ok and guess and "did you mean " .. guess .. "?" or nil
end

--- What to print for a fault.
---@param this table  from fault.catch
---@param trace boolean|nil  the whole stack instead of the user's frames
---@return string text  lines without a newline at the end
function fault.text(this, trace)
  local lines = { "asl: " .. this.message }
  local hint = this.hint or guess_hint(this.message)
  if hint then lines[#lines + 1] = "hint: " .. hint end
  if trace then
    lines[#lines + 1] = this.trace
  else
    for i = 1, math.min(#this.callers, 8) do
      lines[#lines + 1] = "  called from " .. this.callers[i]
    end
  end
  return table.concat(lines, "\n")
end

return fault
