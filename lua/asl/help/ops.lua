--- Reads csrc/ops/ops.def: the operations, their inputs, outputs, parameters and what the comments say of them.

local ops = {}

local function comment_lines(text)
  local lines = {}
  for line in (text .. "\n"):gmatch("(.-)\n") do
    lines[#lines + 1] = (line:gsub("^%s*%*?%s?", ""):gsub("%s+$", ""))
  end
  while lines[#lines] == "" do
    lines[#lines] = nil
  end
  while lines[1] == "" do
    table.remove(lines, 1)
  end
  return lines
end

--- "x* weight* bias?" as { {name, optional, saved} }
local function slots_of(text)
  local slots = {}
  for name, marks in text:gmatch("([%w_]+)(%p*)") do
    slots[#slots + 1] = { name = name, optional = marks:find("?", 1, true) ~= nil, saved = marks:find("*", 1, true) ~= nil }
  end
  return slots
end

local function params_of(text)
  local params = {}
  for kind, name, default in text:gmatch("([IF])%(%s*([%w_]+)%s*,%s*([^)]-)%s*%)") do
    params[#params + 1] = { name = name, type = kind == "I" and "integer" or "number", default = default }
  end
  return params
end

local function public_outputs(slots)
  local names = {}
  for _, slot in ipairs(slots) do
    if not (slot.optional and slot.saved) then names[#names + 1] = slot.name end
  end
  return names
end

local function signature_of(name, inputs, params)
  local parts = {}
  for _, slot in ipairs(inputs) do
    parts[#parts + 1] = slot.optional and "[" .. slot.name .. "]" or slot.name
  end
  if #params > 0 then
    local given = {}
    for i, param in ipairs(params) do
      given[i] = param.name .. " = " .. param.default
    end
    parts[#parts + 1] = "{" .. table.concat(given, ", ") .. "}"
  end
  return "asl.ops." .. name .. "(" .. table.concat(parts, ", ") .. ")"
end

--- A comment that starts with a ruled line opens a topic; the rest of it speaks of all its ops.
local function topic_of(comment)
  local title, rest = comment:match("^%s*%-%-%-%-%s*(.-)%s*%-%-%-+[ \t]*(.*)$")
  if not title then return nil end
  return { title = title:match("^[^;]*"), text = comment_lines((title:match(";%s*(.*)$") or "") .. rest) }
end

local function row_entry(row, line, topic, before, after)
  local name, flags, inputs, outputs, params = row:match('^([%w_]+)%s*,%s*([%w_ |]-)%s*,%s*"(.-)"%s*,%s*"(.-)"%s*,(.*)$')
  if not name then return nil end
  local entry = { op = name, line = line, topic = topic.title, text = {} }
  entry.params = params_of(params)
  local input_slots = slots_of(inputs)
  entry.name = "asl.ops." .. name
  entry.signature = signature_of(name, input_slots, entry.params)
  entry.outputs = public_outputs(slots_of(outputs))
  entry.differentiable = flags:find("GRAD", 1, true) ~= nil
  entry.in_place = flags:find("INPLACE", 1, true) ~= nil
  for _, source in ipairs { before or "", after or "" } do
    if source ~= "" then table.move(comment_lines(source), 1, #comment_lines(source), #entry.text + 1, entry.text) end
  end
  entry.topic_text = topic.text
  return entry
end

--- All rows of the table.
---@param text string  content of ops.def
---@return table[] entries  { op, name, signature, topic, topic_text, text, params, outputs, differentiable, in_place, line }
function ops.parse(text)
  local entries, at, topic, before = {}, 1, nil, nil
  local function line_of(position)
    return select(2, text:sub(1, position):gsub("\n", "\n")) + 1
  end
  while true do
    local comment_at, comment_end = text:find("/%*.-%*/", at)
    local row_at, row_end = text:find("ASL_[VIEW_]*OP%b()", at)
    if not row_at then return entries end
    if comment_at and comment_at < row_at then
      local comment = text:sub(comment_at + 2, comment_end - 2)
      local opened = topic_of(comment)
      if opened then topic, before = opened, nil else before = comment end
      at = comment_end + 1
    else
      local row = text:sub(row_at, row_end):match("%((.*)%)$"):gsub("%s+", " ")
      local after_end, after = select(2, text:find("^[ \t]*/%*(.-)%*/", row_end + 1)), nil
      if after_end then after = text:match("^[ \t]*/%*(.-)%*/", row_end + 1) end
      local starts_line = row_at == 1 or text:sub(row_at - 1, row_at - 1) == "\n"
      local entry = starts_line and topic and row_entry(row, line_of(row_at), topic, before, after)
      if entry then entries[#entries + 1] = entry end
      before = nil
      at = (after_end or row_end) + 1
    end
  end
end

return ops
