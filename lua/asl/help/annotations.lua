--- Reads what Lua modules say of themselves: the comment at the top of a file and the LuaLS annotations of its
--- functions. The files are read as text, not run.

local annotations = {}

local function trim(text)
  return (text:match("^%s*(.-)%s*$"))
end

--- Splits "name type text" of @param and "type name text" of @return: a type may hold spaces within {}, <>, () and
--- after a comma, a colon or a bar.
local function split_type(text)
  local depth, i = 0, 1
  while i <= #text do
    local char = text:sub(i, i)
    if char:find("[{<(%[]") then depth = depth + 1
    elseif char:find("[}>)%]]") then depth = depth - 1
    elseif char == " " and depth == 0 and not text:sub(1, i - 1):find("[,:|]$") then break end
    i = i + 1
  end
  return text:sub(1, i - 1), trim(text:sub(i))
end

local function add_tag(doc, tag, text)
  if tag == "param" then
    local name, rest = text:match("^(%S+)%s*(.*)$")
    local kind, about = split_type(rest or "")
    if name then doc.params[#doc.params + 1] = { name = name, type = kind, text = about } end
  elseif tag == "return" then
    local kind, about = split_type(text)
    doc.returns[#doc.returns + 1] = { type = kind, text = about }
  elseif tag == "error" then
    doc.errors[#doc.errors + 1] = text
  elseif tag == "class" then
    doc.class = text:match("^[%w_.]+")
  elseif tag == "field" then
    local name, rest = text:match("^(%S+)%s*(.*)$")
    local kind, about = split_type(rest or "")
    if name then doc.fields[#doc.fields + 1] = { name = name, type = kind, text = about } end
  elseif tag == "source" or tag == "see" then
    doc.text[#doc.text + 1] = (tag == "see" and "see " or "source: ") .. text
  end
end

--- A block of `---` lines as a table.
local function parse_block(lines)
  local doc = { text = {}, params = {}, returns = {}, errors = {}, fields = {} }
  local last
  for _, line in ipairs(lines) do
    local tag, text = line:match("^%s*@(%w+)%s*(.*)$")
    if tag then
      add_tag(doc, tag, text)
      last = (tag == "param" and doc.params) or (tag == "return" and doc.returns) or (tag == "field" and doc.fields) or nil
    elseif last and line:find("^%s%s+%S") then -- a tag's text goes on, indented
      last[#last].text = trim(last[#last].text .. " " .. trim(line))
    else
      last = nil
      doc.text[#doc.text + 1] = (line:gsub("^ ", ""))
    end
  end
  while doc.text[#doc.text] and doc.text[#doc.text]:find("^%s*$") do
    doc.text[#doc.text] = nil
  end
  return doc
end

--- What a line of code defines: the holder's variable, the separator, the name and the arguments.
local function definition_of(line)
  local holder, separator, name, arguments = line:match("^function ([%w_]+)([.:])([%w_]+)%s*(%b())")
  if holder then return holder, separator, name, arguments end
  holder, name, arguments = line:match("^([%w_]+)%.([%w_]+)%s*=%s*function%s*(%b())")
  if holder then return holder, ".", name, arguments end
  holder, name = line:match("^([%w_]+)%.([%w_]+)%s*=")
  if holder then return holder, ".", name end
end

--- The variable the file returns.
local function returned_variable(lines)
  for i = #lines, 1, -1 do
    local name = lines[i]:match("^return ([%a_][%w_]*)%s*$") or lines[i]:match("^return setmetatable%(([%a_][%w_]*)")
    if name then return name end
  end
  return nil
end

local function split_lines(text)
  local lines = {}
  for line in (text .. "\n"):gmatch("(.-)\r?\n") do
    lines[#lines + 1] = line
  end
  return lines
end

local function head_of(lines)
  local head = {}
  for _, line in ipairs(lines) do
    local comment = line:match("^%-%-%-?%s?(.*)$")
    if not comment or comment:find("^@") then break end
    head[#head + 1] = comment
  end
  return head
end

--- Everything a file documents.
---@param text string  the file's content
---@param module string  its name: "asl.optim"
---@return table parsed  { module, text = lines, entries = { {name, signature, line, text, params, returns, errors} } }
function annotations.parse(text, module)
  local lines = split_lines(text)
  local result = { module = module, text = head_of(lines), entries = {} }
  local names = {} -- of variables that hold public functions
  local returned = returned_variable(lines)
  if returned then names[returned] = module end
  local block = {}
  for number, line in ipairs(lines) do
    local comment = line:match("^%-%-%-(.*)$")
    if comment then
      block[#block + 1] = comment
    else
      local doc = #block > 0 and parse_block(block) or nil
      local variable = line:match("^local ([%a_][%w_]*)%s*=")
      if variable and doc and doc.class and variable ~= returned then names[variable] = doc.class end
      local holder, separator, name, arguments = definition_of(line)
      if holder and names[holder] and (doc or arguments) and not name:find("^_") then
        doc = doc or parse_block {}
        doc.name = names[holder] .. separator .. name
        doc.arguments = arguments
        doc.line = number
        if #doc.text > 0 or #doc.params > 0 or #doc.returns > 0 then result.entries[#result.entries + 1] = doc end
      end
      block = {}
    end
  end
  return result
end

return annotations
