--- Completion of names at the prompt: variables, fields, methods, keywords.
---
--- Nothing is called: fields are looked up raw, and through __index where that is a table.

local complete = {}

local keywords = { "and", "break", "do", "else", "elseif", "end", "false", "for", "function", "goto", "if", "in", "local",
  "nil", "not", "or", "repeat", "return", "then", "true", "until", "while" }

local longest_chain = 16

--- The tables in which the fields of a value are looked up, nearest first.
local function chain_of(value)
  local chain = {}
  while value ~= nil and #chain < longest_chain do
    if type(value) == "table" then chain[#chain + 1] = value end
    local meta = debug.getmetatable(value)
    value = type(meta) == "table" and rawget(meta, "__index") or nil
    if type(value) ~= "table" then break end
  end
  return chain
end

local function field_of(value, name)
  for _, holder in ipairs(chain_of(value)) do
    local field = rawget(holder, name)
    if field ~= nil then return field end
  end
  return nil
end

local function callable(value)
  if type(value) == "function" then return true end
  local meta = debug.getmetatable(value)
  return type(meta) == "table" and rawget(meta, "__call") ~= nil
end

--- Names in the word's context that start with `prefix`, sorted.
local function names_of(value, prefix, methods_only)
  local seen, names = {}, {}
  local hidden = prefix:sub(1, 1) ~= "_"
  for _, holder in ipairs(chain_of(value)) do
    for name, field in next, holder do
      if type(name) == "string" and not seen[name] and name:find("^[%a_][%w_]*$") and name:sub(1, #prefix) == prefix
        and not (hidden and name:sub(1, 1) == "_") and (not methods_only or callable(field)) then
        seen[name] = true
        names[#names + 1] = name
      end
    end
  end
  return names, seen
end

local function common_prefix(names)
  local first, last = names[1], names[#names] -- sorted: all others lie between
  local n = 0
  while n < #first and first:byte(n + 1) == last:byte(n + 1) do
    n = n + 1
  end
  return first:sub(1, n)
end

local function in_columns(names, width)
  local longest = 0
  for _, name in ipairs(names) do
    longest = math.max(longest, #name)
  end
  local columns = math.max(1, width // (longest + 2))
  local rows = (#names + columns - 1) // columns
  local lines = {}
  for row = 1, rows do
    local cells = {}
    for i = row, #names, rows do
      cells[#cells + 1] = names[i] .. string.rep(" ", longest + 2 - #names[i])
    end
    lines[row] = table.concat(cells):match("^(.-)%s*$")
  end
  return table.concat(lines, "\n")
end

--- The candidates for the word before the cursor.
---@param before string  the line up to the cursor
---@param env table  where variables are looked up
---@param vocabulary string[]|nil  dotted public names that need not be loaded yet: "asl.optim.adam"
---@return string prefix  what of the last name is typed already
---@return string[] names  sorted
function complete.candidates(before, env, vocabulary)
  local word = before:match("[%a_][%w_.:]*$") or ""
  local path, separator, prefix = word:match("^(.*)([.:])([%w_]*)$")
  if not path then path, prefix = "", word end
  local value = env
  for name in path:gmatch("[^.:]+") do
    value = field_of(value, name)
    if value == nil then break end
  end
  local names, seen = names_of(value, prefix, separator == ":")
  if path == "" then
    for _, keyword in ipairs(keywords) do
      if keyword:sub(1, #prefix) == prefix then names[#names + 1] = keyword end
    end
  elseif separator == "." then
    for _, known in ipairs(vocabulary or {}) do
      local name = known:sub(1, #path + 1) == path .. "." and known:match("^[%w_]+", #path + 2)
      if name and not seen[name] and name:sub(1, #prefix) == prefix then
        seen[name] = true
        names[#names + 1] = name
      end
    end
  end
  table.sort(names)
  return prefix, names
end

--- What Tab does.
---@param before string
---@param env table
---@param vocabulary string[]|nil
---@param width integer  columns of the terminal
---@return string insert  what to insert at the cursor, "" for nothing
---@return string|nil choices  text that lists the candidates where there is a choice
function complete.tab(before, env, vocabulary, width)
  if before:find("^%s*$") then return "  " end
  local prefix, names = complete.candidates(before, env, vocabulary)
  if #names == 0 then return "" end
  local insert = common_prefix(names):sub(#prefix + 1)
  if #names == 1 or insert ~= "" then return insert end
  return "", in_columns(names, width)
end

return complete
