--- HTML from Lua: every string is escaped unless it was made by this module.

local html = {}

---@class asl.html.node  finished HTML
local Node = {}
Node.__index = Node
function Node:__tostring() return self.text end

local void = { br = true, hr = true, img = true, link = true, meta = true }
local entities = { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;", ["'"] = "&#39;" }

--- Text as it may stand in HTML, also in attributes.
---@param text any
---@return string
function html.escape(text)
  return (tostring(text):gsub("[&<>\"']", entities))
end

--- HTML that is trusted to be HTML. Never give it what came from outside.
---@param text string
---@return asl.html.node
function html.raw(text)
  return setmetatable({ text = text }, Node)
end

local function add(parts, child)
  if child == nil or child == false then return end
  if getmetatable(child) == Node then
    parts[#parts + 1] = child.text
  elseif type(child) == "table" then
    for i = 1, #child do
      add(parts, child[i])
    end
  else
    parts[#parts + 1] = html.escape(child)
  end
end

--- Children one after the other.
---@param ... any  text, nodes or lists of them; nil and false are skipped
---@return asl.html.node
function html.join(...)
  local parts = {}
  for i = 1, select("#", ...) do
    add(parts, (select(i, ...)))
  end
  return html.raw(table.concat(parts))
end

--- An element.
---@param name string
---@param attributes table<string, any>|nil  false leaves one out, true gives it no value
---@param ... any  children, as html.join takes them
---@return asl.html.node
function html.tag(name, attributes, ...)
  local names, parts = {}, { "<", name }
  for key, value in pairs(attributes or {}) do
    if value ~= false then names[#names + 1] = key end
  end
  table.sort(names)
  for _, key in ipairs(names) do
    local value = attributes[key]
    parts[#parts + 1] = value == true and " " .. key or (' %s="%s"'):format(key, html.escape(value))
  end
  parts[#parts + 1] = ">"
  if not void[name] then
    parts[#parts + 1] = html.join(...).text
    parts[#parts + 1] = "</" .. name .. ">"
  end
  return html.raw(table.concat(parts))
end

return html
