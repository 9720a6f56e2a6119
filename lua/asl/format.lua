--- Values as readable text, for the prompt.

local format = {}

local rank_of_type = { number = 1, string = 2, boolean = 3 }

local function key_before(a, b)
  local rank_a, rank_b = rank_of_type[type(a)] or 4, rank_of_type[type(b)] or 4
  if rank_a ~= rank_b then return rank_a < rank_b end
  if rank_a <= 2 then return a < b end
  return tostring(a) < tostring(b)
end

local escapes = { ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t", ['"'] = '\\"', ["\\"] = "\\\\" }

local function escape(char)
  return escapes[char] or string.format("\\x%02x", char:byte())
end

local function quote(text, longest)
  local cut = #text > longest
  if cut then
    -- Not in the middle of a character.
    local last = longest
    while last > 0 and (text:byte(last + 1) & 0xC0) == 0x80 do
      last = last - 1
    end
    text = text:sub(1, last)
  end
  local class = utf8.len(text) and '[%c"\\\127]' or '[%c"\\\127-\255]'
  return '"' .. text:gsub(class, escape) .. (cut and '"...' or '"')
end

local function function_text(value)
  local info = debug.getinfo(value, "S")
  if info.what == "C" then return "function (built in)" end
  return string.format("function (%s:%d)", info.short_src, info.linedefined)
end

local function has_tostring(value)
  local meta = debug.getmetatable(value)
  return type(meta) == "table" and rawget(meta, "__tostring") ~= nil
end

local function safe_tostring(value)
  local ok, text = pcall(tostring, value)
  return ok and text or string.format("%s (its __tostring fails: %s)", type(value), tostring(text))
end

local function key_text(key)
  if type(key) == "string" and key:find("^[%a_][%w_]*$") then return key end
  if type(key) == "string" then return "[" .. quote(key, 60) .. "]" end
  return "[" .. safe_tostring(key) .. "]"
end

local render

--- The entries of a table as texts: positions 1..n without keys, then the other keys in order.
local function entries_of(value, state, depth)
  local entries, count = {}, 0
  local length = rawlen(value)
  local function add(text)
    count = count + 1
    if count <= state.items then entries[count] = text end
  end
  for i = 1, length do
    if count >= state.items then
      count = count + length - i + 1
      break
    end
    add(render(rawget(value, i), state, depth + 1))
  end
  local keys = {}
  for key in next, value do
    if not (math.type(key) == "integer" and key >= 1 and key <= length) then keys[#keys + 1] = key end
  end
  table.sort(keys, key_before)
  for _, key in ipairs(keys) do
    add(count < state.items and key_text(key) .. " = " .. render(rawget(value, key), state, depth + 1) or "")
  end
  if count > state.items then entries[#entries + 1] = string.format("... %d more", count - state.items) end
  return entries
end

local function render_table(value, state, depth)
  if state.open[value] then return "(cycle)" end
  if next(value) == nil then return "{}" end
  if depth >= state.depth then return "{...}" end
  state.open[value] = true
  local entries = entries_of(value, state, depth)
  state.open[value] = nil
  local inline = "{" .. table.concat(entries, ", ") .. "}"
  if #inline + 2 * depth <= state.width and not inline:find("\n", 1, true) then return inline end
  local indent = string.rep("  ", depth + 1)
  return "{\n" .. indent .. table.concat(entries, ",\n" .. indent) .. "\n" .. string.rep("  ", depth) .. "}"
end

function render(value, state, depth)
  local kind = type(value)
  if kind == "string" then return quote(value, state.text) end
  if kind == "function" then return function_text(value) end
  if kind == "table" and not has_tostring(value) then return render_table(value, state, depth) end
  return safe_tostring(value)
end

--- A value as text: tables with sorted keys, nested ones indented where they do not fit a line; strings quoted;
--- anything with a __tostring by that.
---@param value any
---@param limits table|nil  { width = 100 columns, depth = 4 levels, items = 60 entries per table, text = 2000 bytes }
---@return string text
function format.value(value, limits)
  limits = limits or {}
  return render(value, {
    width = limits.width or 100,
    depth = limits.depth or 4,
    items = limits.items or 60,
    text = limits.text or 2000,
    open = {},
  }, 0)
end

return format
