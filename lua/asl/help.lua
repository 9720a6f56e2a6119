--- Explains the public names of asl.
---
--- Everything comes from the sources themselves, which are installed with the program: the annotations of the Lua
--- modules and the comments of the table of operations.

local annotations = require "asl.help.annotations"
local core = require "asl.core"
local nearest = require "asl.nearest"
local op_table = require "asl.help.ops"

local help = {}

local own_folder = debug.getinfo(1, "S").source:match("^@(.*)/[^/]*$")

local function read(path)
  local file = io.open(path, "r")
  if not file then return nil end
  local text = file:read("a")
  file:close()
  return text
end

-- ---- the index --------------------------------------------------------------------------------------------------------

--- Adds the modules in a folder and below it.
local function add_modules(index, folder, prefix)
  for _, item in ipairs(core.fs.list(folder)) do
    local path = folder .. "/" .. item
    local name = item:match("^([%w_]+)%.lua$")
    if name then
      local module = name == "init" and prefix or prefix .. "." .. name
      local parsed = annotations.parse(read(path) or "", module)
      parsed.file = path
      index.modules[#index.modules + 1] = parsed
    elseif core.fs.stat(path).is_dir then
      add_modules(index, path, prefix .. "." .. item)
    end
  end
end

local function signature(entry)
  local arguments = entry.arguments
  if not arguments then return entry.name end
  local call = entry.name .. arguments
  -- A single parameter that is a table of named options is written with braces, as it is called.
  if #entry.params == 1 and entry.params[1].type:find("^{") then call = entry.name .. " {...}" end
  return call
end

local function add_words(index)
  for _, module in ipairs(index.modules) do
    index.words[#index.words + 1] = { name = module.module, kind = "module", module = module }
    for _, entry in ipairs(module.entries) do
      entry.signature = signature(entry)
      entry.kind = "function"
      entry.file = module.file
      index.words[#index.words + 1] = entry
    end
  end
  for _, op in ipairs(index.ops) do
    op.kind = "op"
    op.file = index.ops_file
    index.words[#index.words + 1] = op
  end
end

--- Functions of asl.tensor are reached as asl.NAME.
local function public_name(name)
  return (name:gsub("^asl%.tensor%.", "asl."))
end

local function build_index()
  local index = { modules = {}, ops = {}, words = {} }
  add_modules(index, own_folder, "asl")
  table.sort(index.modules, function(a, b) return a.module < b.module end)
  for _, path in ipairs { own_folder .. "/ops.def", own_folder .. "/../../csrc/ops/ops.def" } do
    local text = read(path)
    if text then
      index.ops, index.ops_file = op_table.parse(text), core.fs.realpath(path)
      break
    end
  end
  add_words(index)
  for _, word in ipairs(index.words) do
    if word.kind == "function" then
      word.signature = public_name(word.signature)
      word.name = public_name(word.name)
    end
  end
  return index
end

local index_made

local function the_index()
  index_made = index_made or build_index()
  return index_made
end

--- All public names, sorted.
---@return string[] names  "asl.optim", "asl.optim.adam", "asl.Tensor:item", "asl.ops.conv2d"
function help.words()
  local names = {}
  for i, word in ipairs(the_index().words) do
    names[i] = word.name
  end
  table.sort(names)
  return names
end

local function last_part(name)
  return name:match("[%w_]+$")
end

--- The public name nearest to a word, or nil.
---@param word string
---@return string|nil name
function help.nearest(word)
  local by_last, lasts = {}, {}
  for _, name in ipairs(help.words()) do
    local last = last_part(name)
    if not by_last[last] then
      by_last[last] = name
      lasts[#lasts + 1] = last
    end
  end
  local guess = nearest.one(last_part(word) or word, lasts)
  return guess and by_last[guess]
end

--- What is known under a word: the full name ("asl.optim.adam"), the same without "asl.", else the last part of it.
---@param word string
---@return table[] found
function help.lookup(word)
  local exact, last = {}, {}
  for _, entry in ipairs(the_index().words) do
    if entry.name == word or entry.name == "asl." .. word then
      exact[#exact + 1] = entry
    elseif last_part(entry.name) == word then
      last[#last + 1] = entry
    end
  end
  return #exact > 0 and exact or last
end

-- ---- text ---------------------------------------------------------------------------------------------------------------

local function append(lines, more, indent)
  for _, line in ipairs(more) do
    lines[#lines + 1] = line == "" and "" or indent .. line
  end
end

local function append_table(lines, title, rows)
  if #rows == 0 then return end
  local widest = 0
  for _, row in ipairs(rows) do
    widest = math.max(widest, #row[1])
  end
  lines[#lines + 1] = ""
  lines[#lines + 1] = title
  for _, row in ipairs(rows) do
    lines[#lines + 1] = ("  " .. row[1] .. string.rep(" ", widest - #row[1] + 2) .. row[2]):match("^(.-)%s*$")
  end
end

--- Where it stands, relative to the working directory where that is shorter.
local function place(entry)
  local here = core.fs.realpath(".") .. "/"
  local file = entry.file:sub(1, #here) == here and entry.file:sub(#here + 1) or entry.file
  return "  " .. file .. (entry.line and ":" .. entry.line or "")
end

local function function_text(entry)
  local lines = { entry.signature, "" }
  append(lines, entry.text, "  ")
  local params, returns, errors = {}, {}, {}
  for i, param in ipairs(entry.params) do
    params[i] = { param.name .. ": " .. param.type, param.text }
  end
  for i, value in ipairs(entry.returns) do
    returns[i] = { value.type, value.text }
  end
  for i, text in ipairs(entry.errors) do
    errors[i] = { text, "" }
  end
  append_table(lines, "parameters", params)
  append_table(lines, "returns", returns)
  append_table(lines, "errors", errors)
  lines[#lines + 1] = ""
  lines[#lines + 1] = place(entry)
  return table.concat(lines, "\n")
end

local function op_text(entry)
  local outputs = #entry.outputs > 0 and table.concat(entry.outputs, ", ") or "writes into its first input"
  local lines = { entry.signature .. " -> " .. outputs, "" }
  append(lines, entry.text, "  ")
  append(lines, entry.topic_text, "  ")
  lines[#lines + 1] = "  " .. (entry.in_place and "Works in place." or entry.differentiable and "Differentiable."
    or "Not differentiable.")
  local params = {}
  for i, param in ipairs(entry.params) do
    params[i] = { param.name .. ": " .. param.type, "default " .. param.default }
  end
  append_table(lines, "parameters", params)
  lines[#lines + 1] = ""
  lines[#lines + 1] = place(entry)
  return table.concat(lines, "\n")
end

local longest_summary = 78

--- The first sentence of a text, cut where it is long.
local function summary(lines)
  local text = table.concat(lines, "\n"):match("^%s*(.-)%s*$")
  text = (text:match("^(.-)\n%s*\n") or text):gsub("%s+", " ")
  text = text:match("^(.-%.)%s%u") or text
  if #text <= longest_summary then return text end
  return text:sub(1, longest_summary):match("^(.*)%s%S*$") .. " ..."
end

local function module_text(entry)
  local module = entry.module
  local lines = { module.module, "" }
  append(lines, module.text, "  ")
  local rows = {}
  for i, item in ipairs(module.entries) do
    rows[i] = { item.signature, summary(item.text) }
  end
  for _, other in ipairs(the_index().modules) do
    if other.module ~= module.module and other.module:match("^(.*)%.") == module.module then
      rows[#rows + 1] = { other.module, summary(other.text) }
    end
  end
  append_table(lines, "has", rows)
  lines[#lines + 1] = ""
  lines[#lines + 1] = place(module)
  return table.concat(lines, "\n")
end

local writers = { ["function"] = function_text, op = op_text, module = module_text }

--- Names of ops by topic, wrapped.
local function ops_overview(lines)
  local topics, names = {}, {}
  for _, op in ipairs(the_index().ops) do
    if not names[op.topic] then
      names[op.topic] = {}
      topics[#topics + 1] = op.topic
    end
    table.insert(names[op.topic], op.op)
  end
  for _, topic in ipairs(topics) do
    lines[#lines + 1] = "  " .. topic
    local line = "   "
    for _, name in ipairs(names[topic]) do
      if #line + #name + 1 > 100 then
        lines[#lines + 1] = line
        line = "   "
      end
      line = line .. " " .. name
    end
    lines[#lines + 1] = line
  end
end

-- Modules that are not for scripts.
local inner = { asl = true, ["asl.cli"] = true, ["asl.fault"] = true, ["asl.format"] = true, ["asl.nearest"] = true }

local function overview()
  local lines, rows = { "asl help WORD explains a word; a word is any name below, or a function of a module." }, {}
  for _, module in ipairs(the_index().modules) do
    local name = module.module
    if not inner[name] and not name:find("^asl%.help%.") and not name:find("^asl%.repl") then
      rows[#rows + 1] = { name, summary(module.text) }
    end
  end
  append_table(lines, "modules", rows)
  lines[#lines + 1] = ""
  lines[#lines + 1] = "operations (asl.ops)"
  ops_overview(lines)
  return table.concat(lines, "\n")
end

--- The text for a word, or the list of all words for "".
---@param word string
---@return boolean found
---@return string text  where nothing is found: the nearest names
function help.text(word)
  if word == "" then return true, overview() end
  local found = help.lookup(word)
  if #found == 0 then
    local guess = help.nearest(word)
    return false, string.format("asl: no help for %q\nhint: %s", word,
      guess and "did you mean " .. guess .. "?" or "asl help lists all words")
  end
  local texts = {}
  for i, entry in ipairs(found) do
    texts[i] = writers[entry.kind](entry)
  end
  return true, table.concat(texts, "\n\n")
end

--- `asl.help "word"` prints the help of a word.
return setmetatable(help, {
  __call = function(_, word)
    print((select(2, help.text(word or ""))))
  end,
})
