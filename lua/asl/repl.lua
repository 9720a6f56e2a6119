--- The prompt: reads Lua, runs it, prints what it gives.
---
--- A session's variables live in a table of their own behind which the globals stand. A line is tried as an
--- expression first; locals at the top level of a line stay visible (asl.repl.locals); `_` is the last value;
--- `?word` shows the help of a word.

local complete = require "asl.repl.complete"
local fault = require "asl.fault"
local format = require "asl.format"
local locals = require "asl.repl.locals"

local repl = {}

local Session = {}
Session.__index = Session

--- A session without a terminal: text goes in, text comes out.
---@param preload table<string, any>  variables that are there from the start
---@return table session
function repl.session(preload)
  local env = setmetatable({}, { __index = _G })
  for name, value in pairs(preload) do
    env[name] = value
  end
  return setmetatable({ env = env, width = 100 }, Session)
end

local function is_incomplete(message)
  return message:sub(-5) == "<eof>"
end

--- Compiles text: as an expression, else as statements.
---@param text string
---@return function|nil chunk
---@return string|nil problem  "incomplete", or the syntax error
function Session:compile(text)
  local name = "=stdin"
  local chunk = load("return " .. text, name, "t", self.env)
  if chunk then return chunk end
  local statements, message = load(text, name, "t", self.env)
  if statements then return load(locals.keep(text), name, "t", self.env) end
  if is_incomplete(message) then return nil, "incomplete" end
  return nil, message
end

--- Runs a compiled line.
---@param chunk function
---@return boolean ok
---@return string|nil text  the values as text, or the error; nil where there is nothing to show
function Session:run(chunk)
  local results = table.pack(fault.catch(chunk))
  if not results[1] then return false, fault.text(results[2]) end
  if results.n == 1 then return true end
  local shown = {}
  for i = 2, results.n do
    shown[#shown + 1] = format.value(results[i], { width = self.width })
  end
  self.env._ = results[results.n]
  return true, table.concat(shown, "\n")
end

local function help_text(word)
  return require("asl.help").text(word:match("^%s*(.-)%s*$"))
end

--- Runs what one prompt gave.
---@param text string  a line, or several
---@return string outcome  "incomplete", "ok" or "error"
---@return string|nil shown  text to print
function Session:feed(text)
  local word = text:match("^%s*%?(.*)$")
  if word then
    local found, shown = help_text(word)
    return found and "ok" or "error", shown
  end
  if text:find("^%s*$") then return "ok" end
  local chunk, problem = self:compile(text)
  if problem == "incomplete" then return "incomplete" end
  if not chunk then return "error", "asl: " .. problem end
  local ok, shown = self:run(chunk)
  return ok and "ok" or "error", shown
end

-- ---- without a terminal ---------------------------------------------------------------------------------------------

--- Runs lines from a file without any prompt; stops at the first error.
---@param session table
---@param input file*
---@return integer code  exit code
function repl.run_piped(session, input)
  local pending
  for line in input:lines() do
    pending = pending and pending .. "\n" .. line or line
    local outcome, shown = session:feed(pending)
    if outcome == "error" then
      io.stderr:write(shown, "\n")
      return fault.exit.internal
    end
    if outcome == "ok" then
      if shown then print(shown) end
      pending = nil
    end
  end
  if pending then
    io.stderr:write("asl: the input ends within a statement: ", pending:match("^[^\n]*"), "\n")
    return fault.exit.internal
  end
  return 0
end

-- ---- history --------------------------------------------------------------------------------------------------------

local history_lines = 1000

local function history_folder()
  local state = os.getenv("XDG_STATE_HOME")
  if not state or state == "" then
    local home = os.getenv("HOME")
    if not home or home == "" then return nil end
    state = home .. "/.local/state"
  end
  return state .. "/asl"
end

--- An entry is a line of the file; line breaks within it are written \n, backslashes \\.
local function escape(entry)
  return (entry:gsub("\\", "\\\\"):gsub("\n", "\\n"))
end

local function unescape(line)
  return (line:gsub("\\(.)", function(char) return char == "n" and "\n" or char end))
end

--- Reads the history and opens it for appending; a file that has grown is cut to its newest lines.
local function open_history(editor, core)
  local folder = history_folder()
  if not folder then return nil end
  local path, entries = folder .. "/history", {}
  local file = io.open(path, "r")
  if file then
    for line in file:lines() do
      entries[#entries + 1] = line
    end
    file:close()
  end
  for i = math.max(1, #entries - history_lines + 1), #entries do
    editor:remember(unescape(entries[i]))
  end
  if not pcall(core.fs.mkdirs, folder) then return nil end
  if #entries > 2 * history_lines then
    local kept = table.concat(entries, "\n", #entries - history_lines + 1) .. "\n"
    if not pcall(core.fs.write, path, kept) then return nil end
  end
  return io.open(path, "a")
end

-- ---- on a terminal --------------------------------------------------------------------------------------------------

local function vocabulary()
  local ok, words = pcall(function() return require("asl.help").words() end)
  return ok and words or {}
end

--- Reads until a statement is whole; nil at the end of input, "" where it was given up.
local function read_statement(session, editor)
  local pending
  while true do
    local line, why = editor:read(pending and "...> " or "asl> ")
    if not line then
      if why == "interrupted" then return "" end
      return nil
    end
    pending = pending and pending .. "\n" .. line or line
    local _, problem = session:compile(pending)
    if problem ~= "incomplete" or pending:find("^%s*%?") then return pending end
  end
end

--- The prompt on a terminal, with history, completion and Ctrl-C.
---@param session table
---@param core table  asl.core
---@return integer code  exit code
function repl.run_terminal(session, core)
  local words
  local editor <close> = require("asl.edit").open(function(before)
    words = words or vocabulary()
    return complete.tab(before, session.env, words, core.terminal_size() or 80)
  end)
  local history = open_history(editor, core)
  while true do
    local text = read_statement(session, editor)
    if not text then break end
    if text:find("%S") then
      editor:remember(text)
      if history then history:write(escape(text), "\n"):flush() end
      session.width = core.terminal_size() or session.width
      core.catch_interrupts("raise")
      local _, shown = session:feed(text)
      core.catch_interrupts(nil)
      if shown then print(shown) end
    end
  end
  if history then history:close() end
  print()
  return 0
end

return repl
