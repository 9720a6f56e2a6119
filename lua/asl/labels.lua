--- Label tables: classes by id, with names and colours, and what they become in other tables.
---
--- A table file is TSV with a header line. Its columns `id` and `name` are needed, `r`, `g`, `b` are the colour. Any other
--- column is called as a table that comes with ASL and names, for each row, the class of that table which it becomes, or "-"
--- for none (ignored). A first line "# classes, version N: what it is" or "# files, version N: ..." says which kind it is:
---
--- A list of classes has ids 0, 1, 2, ... and is what a network learns (`nyu40`, `cityscapes19`, `coco80`, ...). A table of
--- what files hold (`nyu894`, `cityscapes`, `coco91`, `scannet`, ...) may have gaps in its ids and maps to a list of classes.
--- Without that line, a table that maps to no other is a list of classes, else what its ids say. NYU-40 class ids are NYU ids
--- minus 1.
---
---     asl.labels.nyu40.names[1]                          -- "wall"
---     asl.labels.map("nyu894", "nyu40")[21]              -- 0: "wall"
---     asl.labels.map("nyu894", "nyu40")[0]               -- 255: void is ignored

local core = require "asl.core"
local nearest = require "asl.nearest"

local labels = {}

labels.IGNORE = 255

local BUILT_IN = {
  "camvid11", "camvid11_file", "camvid32", "cityscapes", "cityscapes19", "coco133", "coco171", "coco182", "coco80",
  "coco91", "coco_panoptic", "hypersim", "nyu13", "nyu13_file", "nyu40", "nyu40_file", "nyu894", "scannet", "scannet20",
}
local MAX_CLASSES = 255
local MIN_ID, MAX_ID = -1, 65535
local NONE = "-"
local OWN_COLUMNS = { id = true, name = true, r = true, g = true, b = true }

-- The tables lie beside this file.
local FOLDER = debug.getinfo(1, "S").source:match("^@(.*/)") or "./"

---@class asl.LabelTable
---@field name string  for messages
---@field version integer|nil  of the file
---@field note string|nil  what the file says it is
---@field ids integer[]  0, 1, 2, ... of a list of classes
---@field names string[]  parallel to ids: names[id + 1] of a list of classes
---@field colours integer[][]  parallel to ids: {r, g, b}, 0..255
---@field classes integer|nil  how many, of a list of classes that a network can learn; else nil
---@field id_of table<string, integer>
---@field maps table<string, table<integer, integer>>  by the name of the other table: id here to class there, 255 = ignored

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

--- A list of classes from names.
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
  local id_of, ids = {}, {}
  for i, class_name in ipairs(names) do
    if type(class_name) ~= "string" then reject("the name of class %d is a %s", i - 1, type(class_name)) end
    if id_of[class_name] then reject("classes %d and %d are both called %q", id_of[class_name], i - 1, class_name) end
    id_of[class_name], ids[i] = i - 1, i - 1
  end
  if colours and #colours ~= #names then reject("%d classes but %d colours", #names, #colours) end
  local table_colours = {}
  for i = 1, #names do
    table_colours[i] = colours and colours[i] or labels.default_colour(i - 1)
  end
  return {
    name = name, classes = #names, ids = ids, names = { table.unpack(names) }, colours = table_colours, id_of = id_of, maps = {},
  }
end

-- ---- reading ----------------------------------------------------------------------------------------------------------

local function split(line)
  local fields = {}
  for field in (line .. "\t"):gmatch("([^\t]*)\t") do
    fields[#fields + 1] = field
  end
  return fields
end

local function read_first_line(self, line, path)
  local kind, version, note = line:match "^# (%a+), version (%d+): (.*)$"
  if kind ~= "classes" and kind ~= "files" then
    error(('%s:1: %q; a comment says "# classes, version N: what it is" or "# files, version N: ..."'):format(path, line), 0)
  end
  self.kind, self.version, self.note = kind, math.tointeger(version), note
end

--- Which field is which, and the names of the columns that map to other tables.
local function read_header(header, path)
  local column, targets = {}, {}
  for i, name in ipairs(split(header)) do
    column[name] = i
    if not OWN_COLUMNS[name] then targets[#targets + 1] = name end
  end
  if not (column.id and column.name) then
    error(("%s: the first line must name tab-separated columns id, name and may name r, g, b; it is %q"):format(path,
      header), 0)
  end
  return column, targets
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

--- The tables that columns map to, by name.
local function load_targets(targets, path)
  local tables = {}
  for _, name in ipairs(targets) do
    local known = false
    for _, built_in in ipairs(BUILT_IN) do
      known = known or built_in == name
    end
    if not known then
      local guess = nearest.one(name, BUILT_IN)
      error(("%s: the column %q: neither id, name, r, g, b nor a table that comes with ASL%s"):format(path, name,
        guess and ("; did you mean %q?"):format(guess) or ""), 0)
    end
    tables[name] = labels.load(name)
  end
  return tables
end

--- The class of another table that a field names.
local function target_id(target, name, where)
  if name == NONE then return labels.IGNORE end
  local id = name and target.id_of[name]
  if not id then
    local guess = name and nearest.one(name, target.names)
    error(("%s: the table %s has no class %q%s"):format(where, target.name, name or "",
      guess and ("; did you mean %q?"):format(guess) or (' ("%s" = ignored)'):format(NONE)), 0)
  end
  return id
end

local function check_id(self, text, where, dense)
  local id = math.tointeger(tonumber(text))
  if dense and id ~= #self.ids then
    error(("%s: id %q; ids count 0, 1, 2, ..., here %d is expected"):format(where, text or "", #self.ids), 0)
  end
  if not id or id < MIN_ID or id > MAX_ID then
    error(("%s: id %q; an id is a whole number from %d to %d"):format(where, text or "", MIN_ID, MAX_ID), 0)
  end
  return id
end

--- Adds a row; `seen` remembers the ids and what comes with the reading.
local function add_row(self, fields, reading, where)
  local dense = self.kind == "classes" or not self.kind and #reading.targets == 0
  local id = check_id(self, fields[reading.column.id], where, dense)
  local name = fields[reading.column.name] or ""
  if reading.seen[id] then
    error(("%s: the id %d stands in line %d already"):format(where, id, reading.seen[id]), 0)
  elseif self.id_of[name] and not dense then -- labels.new says it of classes
    error(("%s: ids %d and %d are both called %q"):format(where, self.id_of[name], id, name), 0)
  end
  reading.seen[id] = reading.number
  local i = #self.ids + 1
  self.ids[i], self.names[i], self.id_of[name] = id, name, id
  self.colours[i] = colour_of(fields, reading.column, where)
  for _, target in ipairs(reading.targets) do
    self.maps[target][id] = target_id(reading.tables[target], fields[reading.column[target]], where)
  end
end

local function is_class_list(self)
  if self.kind then return self.kind == "classes" end
  for i, id in ipairs(self.ids) do
    if id ~= i - 1 then return false end
  end
  return #self.ids <= MAX_CLASSES
end

--- What was read as a table: a list of classes is checked as such, the others get colours.
local function finish(self)
  if is_class_list(self) then
    local list = labels.new(self.name, self.names, #self.colours > 0 and self.colours or nil)
    list.maps, list.version, list.note = self.maps, self.version, self.note
    return list
  end
  for i, id in ipairs(self.ids) do
    self.colours[i] = self.colours[i] or labels.default_colour(id)
  end
  return self
end

local function parse(text, path)
  local self = { name = path, ids = {}, names = {}, colours = {}, id_of = {}, maps = {} }
  local reading = { number = 0, seen = {} }
  for line in (text .. "\n"):gmatch("(.-)\r?\n") do
    reading.number = reading.number + 1
    if reading.number == 1 and line:sub(1, 1) == "#" then
      read_first_line(self, line, path)
    elseif not reading.column then
      reading.column, reading.targets = read_header(line, path)
      reading.tables = load_targets(reading.targets, path)
      for _, target in ipairs(reading.targets) do self.maps[target] = {} end
    elseif line ~= "" then
      add_row(self, split(line), reading, ("%s:%d"):format(path, reading.number))
    end
  end
  if not reading.column then read_header("", path) end
  return finish(self)
end

local loaded = {} -- the tables that come with ASL, read once

local function is_built_in(name)
  for _, known in ipairs(BUILT_IN) do
    if name == known then return true end
  end
  return false
end

--- Reads a label table.
---@param name string  a table that comes with ASL (labels.list), or the path of a TSV file
---@return asl.LabelTable
--- Errors, naming file and line: not found, a column is missing or unknown, an id twice, ids with gaps in a list of classes, a
--- colour out of range, a class of another table that is not there.
function labels.load(name)
  if is_built_in(name) then
    loaded[name] = loaded[name] or parse(core.fs.read(FOLDER .. "labels/" .. name .. ".tsv"), name)
    return loaded[name]
  end
  if not core.fs.stat(name) then
    local guess = nearest.one(name, BUILT_IN)
    error(("label table %q: neither a file nor one of %s%s"):format(name, table.concat(BUILT_IN, ", "),
      guess and ("; did you mean %q?"):format(guess) or ""), 2)
  end
  return parse(core.fs.read(name, 1 << 20), name)
end

--- The names of the tables that come with ASL.
---@return string[]
function labels.list()
  return { table.unpack(BUILT_IN) }
end

--- Raises unless the table is a list of classes that a network can learn.
local function check_classes(self, level)
  if self.classes then return self end
  local known = {}
  for name in pairs(self.maps) do known[#known + 1] = name end
  table.sort(known)
  error(("the label table %s says what files hold and cannot be the classes of a network; it maps to %s"):format(self.name,
    #known > 0 and table.concat(known, ", ") or "none"), level + 1)
end

--- What `classes` options accept: a name or path (labels.load), a list of names, or a label table.
---@param given string|string[]|asl.LabelTable
---@param name string  for messages, when only names are given
---@return asl.LabelTable  a list of classes
function labels.from(given, name)
  if type(given) == "string" then return check_classes(labels.load(given), 2) end
  if type(given) ~= "table" then
    error(("classes: a label table's name, a path or a list of names, not a %s"):format(type(given)), 2)
  end
  if given.names then return check_classes(given, 2) end
  return labels.new(name, given)
end

-- ---- mapping ----------------------------------------------------------------------------------------------------------

local function identity(from)
  local map = {}
  for _, id in ipairs(from.ids) do map[id] = id end
  return map
end

--- One mapping after the other; what is ignored stays so. The first may be nil: then it is all of the second.
local function compose(first, second)
  if not first then return second end
  local map = {}
  for id, middle in pairs(first) do
    map[id] = middle == labels.IGNORE and labels.IGNORE or second[middle]
  end
  return map
end

local function sorted_keys(map)
  local keys = {}
  for key in pairs(map) do keys[#keys + 1] = key end
  table.sort(keys)
  return keys
end

--- The mapping along the fewest tables, nil when there is none.
local function find_map(from, to)
  if from.name == to.name then return identity(from) end
  local queue, seen = { { table = from } }, { [from.name] = true }
  for _, step in ipairs(queue) do -- grows as it goes
    if step.table.name == to.name then return step.map end
    for _, name in ipairs(sorted_keys(step.table.maps)) do
      if not seen[name] then
        seen[name] = true
        queue[#queue + 1] = { table = labels.load(name), map = compose(step.map, step.table.maps[name]) }
      end
    end
  end
  return nil
end

--- What the values of one table become in another, directly or through a table between (nyu894 to nyu40 to nyu13).
---@param from string|asl.LabelTable
---@param to string|asl.LabelTable  a list of classes
---@return table<integer, integer> map  every id of `from` to a class id of `to`, or 255 = ignored; other values are not in it
--- Errors: no such table; `to` is no list of classes; there is no way from one to the other.
function labels.map(from, to)
  from = type(from) == "table" and from or labels.load(from)
  to = labels.from(to, "to")
  local map = find_map(from, to)
  if map then return map end
  local known = sorted_keys(from.maps)
  error(("there is no mapping from %s to %s; %s"):format(from.name, to.name,
    #known > 0 and from.name .. " maps to " .. table.concat(known, ", ") or from.name .. " maps to no other table"), 2)
end

-- ---- showing ----------------------------------------------------------------------------------------------------------

local function swatch(colour, in_colour)
  local hex = ("#%02x%02x%02x"):format(table.unpack(colour))
  return in_colour and ("\27[48;2;%d;%d;%dm  \27[0m %s"):format(colour[1], colour[2], colour[3], hex) or hex
end

local function pad(text, width)
  return text .. (" "):rep(width - (utf8.len(text) or #text))
end

--- Rows of texts as lines with columns of equal width; a column may have a text of its own width (swatches).
local function align(rows, widths)
  local lines = {}
  for _, row in ipairs(rows) do
    local cells = {}
    for c, text in ipairs(row) do cells[c] = widths[c] and pad(text, widths[c]) or text end
    lines[#lines + 1] = (table.concat(cells, "  "):gsub("%s+$", ""))
  end
  return lines
end

local function target_name(target, id)
  return id == labels.IGNORE and NONE or target.names[id + 1]
end

--- A table for people: id, colour, name, and what each row becomes in other tables.
---@param table_ asl.LabelTable
---@param given { colour: boolean? }|nil  colour: with swatches, for a terminal that has 24-bit colours
---@return string text  lines without a newline at the end
function labels.text(table_, given)
  local in_colour = given and given.colour
  local targets = sorted_keys(table_.maps)
  local rows, widths = { { "id", in_colour and "colour    " or "colour ", "name" } }, { 2, false, 4 }
  for c, target in ipairs(targets) do
    rows[1][3 + c], widths[3 + c] = "-> " .. target, #target + 3
  end
  for i, id in ipairs(table_.ids) do
    local row = { tostring(id), swatch(table_.colours[i], in_colour), table_.names[i] }
    for c, target in ipairs(targets) do
      row[3 + c] = target_name(labels.load(target), table_.maps[target][id])
    end
    for c, text in ipairs(row) do
      widths[c] = widths[c] and math.max(widths[c], utf8.len(text) or #text)
    end
    rows[#rows + 1] = row
  end
  local head = ("%s%s: %s"):format(table_.name, table_.version and " (version " .. table_.version .. ")" or "",
    table_.classes and table_.classes .. " classes" or #table_.ids .. " ids in files")
  local lines = align(rows, widths)
  table.insert(lines, 1, head)
  if table_.note then table.insert(lines, 2, table_.note) end
  return table.concat(lines, "\n")
end

--- The tables that come with ASL, a line each.
---@return string text  lines without a newline at the end
function labels.list_text()
  local rows, widths = {}, { 0, 0, 0 }
  for i, name in ipairs(BUILT_IN) do
    local this = labels.load(name)
    local size = #this.ids .. (this.classes and " classes" or " in files")
    rows[i] = { name, size, table.concat(sorted_keys(this.maps), ", "), this.note or "" }
    for c = 1, 3 do widths[c] = math.max(widths[c], #rows[i][c]) end
  end
  table.insert(rows, 1, { "table", "size", "maps to", "what it is" })
  for c = 1, 3 do widths[c] = math.max(widths[c], #rows[1][c]) end
  return table.concat(align(rows, widths), "\n")
end

return setmetatable(labels, {
  __index = function(self, name)
    if is_built_in(name) then return self.load(name) end
    local guess = nearest.one(tostring(name), BUILT_IN)
    error(("asl.labels has no table %q (it has: %s)%s"):format(tostring(name), table.concat(BUILT_IN, ", "),
      guess and ("; did you mean %q?"):format(guess) or ""), 2)
  end,
})
