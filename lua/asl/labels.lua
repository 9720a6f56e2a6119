--- Label tables: the classes of a data set by id, with names and colours.
---
--- A table file is TSV with a header line; its columns `id` and `name` are needed, `r`, `g`, `b` are the colour. Ids are the
--- class ids of the network: 0, 1, ... without gaps. `camvid11` and `nyu40` come with ASL (NYU-40: NYU id minus 1).

local core = require "asl.core"
local nearest = require "asl.nearest"

local labels = {}

labels.IGNORE = 255

local BUILT_IN = { "camvid11", "nyu40" }
local MAX_CLASSES = 255

-- The tables lie beside this file.
local FOLDER = debug.getinfo(1, "S").source:match("^@(.*/)") or "./"

---@class asl.LabelTable
---@field name string  for messages
---@field classes integer
---@field names string[]  names[id + 1]
---@field colours integer[][]  colours[id + 1] = {r, g, b}, 0..255

--- A colour for every id that keeps neighbours apart: the bits of the id dealt out to r, g, b from the top (the palette of
--- PASCAL VOC), shifted by one so that no class is black.
---@param id integer  class id, from 0
---@return integer[] colour  {r, g, b}
function labels.default_colour(id)
  local colour, rest = { 0, 0, 0 }, id + 1
  for bit = 7, 0, -1 do
    for channel = 1, 3 do
      colour[channel] = colour[channel] | (rest & 1) << bit
      rest = rest >> 1
    end
  end
  return colour
end

--- A label table from names.
---@param name string  for messages
---@param names string[]  names[id + 1]
---@param colours integer[][]|nil  colours[id + 1] = {r, g, b}; default: labels.default_colour
---@return asl.LabelTable
--- Errors: no class, more than 255, a name that is no string or comes twice, a number of colours that differs.
function labels.new(name, names, colours)
  local function reject(format, ...)
    error(string.format("label table %s: " .. format, name, ...), 3)
  end
  if #names < 1 or #names > MAX_CLASSES then reject("%d classes; there can be 1 to %d", #names, MAX_CLASSES) end
  local id_of = {}
  for i, class_name in ipairs(names) do
    if type(class_name) ~= "string" then reject("the name of class %d is a %s", i - 1, type(class_name)) end
    if id_of[class_name] then reject("classes %d and %d are both called %q", id_of[class_name], i - 1, class_name) end
    id_of[class_name] = i - 1
  end
  if colours and #colours ~= #names then reject("%d classes but %d colours", #names, #colours) end
  local table_colours = {}
  for i = 1, #names do
    table_colours[i] = colours and colours[i] or labels.default_colour(i - 1)
  end
  return { name = name, classes = #names, names = { table.unpack(names) }, colours = table_colours }
end

local function split(line)
  local fields = {}
  for field in (line .. "\t"):gmatch("([^\t]*)\t") do
    fields[#fields + 1] = field
  end
  return fields
end

local function column_of(header, path)
  local column = {}
  for i, name in ipairs(split(header)) do
    column[name] = i
  end
  if not (column.id and column.name) then
    error(("%s: the first line must name tab-separated columns id, name and may name r, g, b; it is %q"):format(path,
      header), 0)
  end
  return column
end

local function colour_of(fields, column, where)
  if not (column.r and column.g and column.b) then return nil end
  local colour = {}
  for i, key in ipairs { "r", "g", "b" } do
    local value = math.tointeger(tonumber(fields[column[key]]))
    if not value or value < 0 or value > 255 then
      error(("%s: %s must be a whole number from 0 to 255, not %q"):format(where, key, fields[column[key]] or ""), 0)
    end
    colour[i] = value
  end
  return colour
end

local function parse(text, path)
  local column, names, colours, number = nil, {}, {}, 0
  for line in (text .. "\n"):gmatch("(.-)\r?\n") do
    number = number + 1
    if not column then
      column = column_of(line, path)
    elseif line ~= "" then
      local fields, where = split(line), ("%s:%d"):format(path, number)
      local id = math.tointeger(tonumber(fields[column.id]))
      if id ~= #names then
        error(("%s: id %q; ids count 0, 1, 2, ..., here %d is expected"):format(where, fields[column.id], #names), 0)
      end
      names[id + 1] = fields[column.name]
      colours[id + 1] = colour_of(fields, column, where)
    end
  end
  return labels.new(path, names, #colours > 0 and colours or nil)
end

--- Reads a label table.
---@param name string  "camvid11", "nyu40", or the path of a TSV file
---@return asl.LabelTable
--- Errors, naming file and line: not found, a column is missing, ids with gaps, a colour out of range.
function labels.load(name)
  for _, known in ipairs(BUILT_IN) do
    if name == known then
      local loaded = parse(core.fs.read(FOLDER .. "labels/" .. name .. ".tsv"), name)
      return loaded
    end
  end
  if not core.fs.stat(name) then
    local guess = nearest.one(name, BUILT_IN)
    error(("label table %q: neither a file nor one of %s%s"):format(name, table.concat(BUILT_IN, ", "),
      guess and ("; did you mean %q?"):format(guess) or ""), 2)
  end
  return parse(core.fs.read(name, 1 << 20), name)
end

--- What `classes` options accept: a name or path (labels.load), a list of names, or a label table.
---@param given string|string[]|asl.LabelTable
---@param name string  for messages, when only names are given
---@return asl.LabelTable
function labels.from(given, name)
  if type(given) == "string" then return labels.load(given) end
  if type(given) ~= "table" then
    error(("classes: a label table's name, a path or a list of names, not a %s"):format(type(given)), 2)
  end
  if given.names then return given end
  return labels.new(name, given)
end

return labels
