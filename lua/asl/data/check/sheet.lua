--- The contact sheet: samples from all over a data set, each with all its planes, as one picture.

local core = require "asl.core"
local data = require "asl.data"
local letters = require "asl.data.check.letters"
local picture = require "asl.picture"

local sheet = {}

local TILE = 256      -- pixels of a picture's width
local GAP = 6         -- between pictures
local MARGIN = 16
local WIDEST = 1640   -- where several samples stand in a row
local SCALE = 2       -- of letters
local LINE = letters.HEIGHT * SCALE + 4
local PAPER, INK, SOFT = "\255\255\255", "\28\30\33", "\110\118\128"

--- Planes that can be seen, in this order.
local SHOWN = { "image", "label", "depth", "flow", "flow_back", "occlusion" }

---@class asl.check.row  a sample as pictures
---@field id string
---@field sequence string
---@field frame integer
---@field tiles {plane: string, caption: string, rgb: asl.Tensor}[]
---@field classes table<integer, boolean>  that are in it; 255 = ignored

-- ---- choosing ---------------------------------------------------------------------------------------------------------

--- Positions of n samples spread evenly over the sequences, one after the other.
---@param set asl.Dataset
---@param n integer
---@return integer[]
function sheet.choose(set, n)
  local names, of = set:sequence_names(), {}
  for _, name in ipairs(names) do of[name] = {} end
  for i, name in ipairs(set.sequences) do table.insert(of[name], i) end
  local ordered, chosen = {}, {}
  for _, name in ipairs(names) do table.move(of[name], 1, #of[name], #ordered + 1, ordered) end
  n = math.min(n, #ordered)
  for k = 1, n do chosen[k] = ordered[(2 * k - 1) * #ordered // (2 * n) + 1] end
  return chosen
end

-- ---- one sample -------------------------------------------------------------------------------------------------------

local function shown_planes(set)
  local has, planes = {}, {}
  for _, plane in ipairs(set.planes) do has[plane] = true end
  for _, plane in ipairs(SHOWN) do
    if has[plane] then planes[#planes + 1] = plane end
  end
  return planes
end

local function range_of(tensor)
  local low, high = math.huge, 0
  for value in tensor:bytes():gmatch "...." do
    local z = string.unpack("<f", value)
    if z > 0 and z < math.huge then low, high = math.min(low, z), math.max(high, z) end
  end
  return low, high
end

local function longest_of(tensor)
  local longest = 0
  for value in tensor:bytes():gmatch "........" do
    local u, v = string.unpack("<ff", value)
    local length = math.sqrt(u * u + v * v)
    if length < math.huge then longest = math.max(longest, length) end
  end
  return longest
end

--- A map of 0 and 1 in grey and white.
local function two_tone(mask)
  local shape = mask:shape()
  local bytes = mask:bytes():gsub(".", { ["\0"] = "\60\60\60", ["\1"] = "\250\250\250" })
  return core.frombytes(bytes, { shape[1], shape[2], 3 }, "u8")
end

--- The caption and the colours of a plane; `scale`: pixels of the sample to one of the small picture.
local function tile_of(set, plane, tensor, scale)
  if plane == "occlusion" then return "occluded", two_tone(tensor) end
  local rgb = picture.rgb(tensor, { colours = plane == "label" and set.colours or nil })
  if plane == "depth" then
    local low, high = range_of(tensor)
    return high > 0 and ("depth %.2f - %.2f m"):format(low, high) or "depth: none", rgb
  elseif plane == "flow" or plane == "flow_back" then
    return ("%s to %.1f px"):format(plane == "flow" and "flow" or "back flow", scale * longest_of(tensor)), rgb
  end
  return plane, rgb
end

--- The one row of a batch.
local function first_of(batch)
  local shape = batch:shape()
  return core.frombytes(batch:bytes(), { table.unpack(shape, 2) }, batch:dtype())
end

local function classes_in(label)
  local there = {}
  for byte in label:bytes():gmatch "." do there[byte:byte()] = true end
  return there
end

--- A sample as small pictures of all its planes.
---@param set asl.Dataset
---@param i integer  position
---@param loader asl.Loader
---@return asl.check.row
function sheet.row(set, i, loader)
  local scope <close> = core.scope()
  local planes = shown_planes(set)
  local shape = set:sample(i, { planes[1] })[planes[1]]:shape()
  local size = { math.max(1, math.floor(TILE * shape[1] / shape[2] + 0.5)), TILE }
  if size[1] > 2 * TILE then size = { 2 * TILE, math.max(1, math.floor(2 * TILE * shape[2] / shape[1] + 0.5)) } end
  local batch = loader:wait(loader:request {
    rows = { { dataset = set, position = i } }, size = size, planes = planes, seed = 0, step = 0,
  })
  local row = { id = set.ids[i], sequence = set.sequences[i], frame = set.frames[i], tiles = {}, classes = {} }
  for k, plane in ipairs(planes) do
    local tensor = first_of(batch[plane])
    local caption, rgb = tile_of(set, plane, tensor, shape[2] / size[2])
    if plane == "label" then row.classes = classes_in(tensor) end
    row.tiles[k] = { plane = plane, caption = caption, rgb = rgb }
    scope:keep(rgb)
  end
  return row
end

-- ---- putting together -------------------------------------------------------------------------------------------------

local function pad(row, width)
  local missing = width - #row // 3
  return missing > 0 and row .. PAPER:rep(missing) or row:sub(1, 3 * width)
end

--- A line of text, cut to the room it has.
local function text_rows(text, width, ink)
  local room = width // ((letters.WIDTH + 1) * SCALE)
  if #text > room then text = text:sub(1, math.max(room - 3, 0)) .. "..." end
  local rows = letters.line(text, SCALE, ink, PAPER)
  for y, row in ipairs(rows) do rows[y] = pad(row, width) end
  return rows
end

local function append(lines, rows)
  table.move(rows, 1, #rows, #lines + 1, lines)
end

local function add_space(lines, width, rows)
  local blank = PAPER:rep(width)
  for _ = 1, rows do lines[#lines + 1] = blank end
end

local function add_text(lines, width, text, ink)
  for _, row in ipairs(text_rows(text, width - 2 * MARGIN, ink)) do lines[#lines + 1] = pad(PAPER:rep(MARGIN) .. row, width) end
end

--- Lists of rows of pixels beside each other, each as wide as its first row; shorter ones end in paper.
local function beside(columns)
  local height, rows, blank = 0, {}, {}
  for k, column in ipairs(columns) do
    height = math.max(height, #column)
    blank[k] = PAPER:rep(#column[1] // 3)
  end
  for y = 1, height do
    local parts = {}
    for k, column in ipairs(columns) do parts[k] = column[y] or blank[k] end
    rows[y] = table.concat(parts)
  end
  return rows
end

--- A small picture below its caption.
local function tile_rows(tile)
  local shape, bytes = tile.rgb:shape(), tile.rgb:bytes()
  local width = shape[2]
  local rows = text_rows(tile.caption, width, INK)
  for y, row in ipairs(rows) do rows[y] = pad(row, width + GAP) end
  add_space(rows, width + GAP, 2)
  for y = 0, shape[1] - 1 do
    rows[#rows + 1] = pad(bytes:sub(3 * y * width + 1, 3 * (y + 1) * width), width + GAP)
  end
  return rows
end

--- A sample: its id above the pictures of its planes.
local function sample_rows(row)
  local columns = {}
  for k, tile in ipairs(row.tiles) do columns[k] = tile_rows(tile) end
  local tiles = beside(columns)
  local width = #tiles[1] // 3
  local rows = text_rows(row.id, width - GAP, SOFT)
  for y, line in ipairs(rows) do rows[y] = pad(line, width) end
  add_space(rows, width, 4)
  append(rows, tiles)
  add_space(rows, width, 2 * GAP)
  for y, line in ipairs(rows) do rows[y] = pad(line, width + MARGIN) end
  return rows
end

--- Samples beside each other as far as there is room.
local function add_samples(lines, width, rows)
  local line, used = {}, 2 * MARGIN
  local function flush()
    for _, row in ipairs(#line > 0 and beside(line) or {}) do lines[#lines + 1] = pad(PAPER:rep(MARGIN) .. row, width) end
    line, used = {}, 2 * MARGIN
  end
  for _, row in ipairs(rows) do
    local block = sample_rows(row)
    local own = #block[1] // 3
    if used + own - MARGIN > width then flush() end
    line[#line + 1], used = block, used + own
  end
  flush()
end

local function chip(colour)
  return string.char(table.unpack(colour)):rep(letters.HEIGHT * SCALE)
end

--- The classes that are in the pictures, in columns, each behind a square of its colour.
local function add_legend(lines, width, entries)
  local longest = 0
  for _, entry in ipairs(entries) do longest = math.max(longest, letters.width(entry.name, SCALE)) end
  local column = LINE + longest + 2 * GAP
  local columns = math.max(1, (width - 2 * MARGIN) // column)
  for first = 1, #entries, columns do
    local rows = {}
    for y = 1, letters.HEIGHT * SCALE do rows[y] = { PAPER:rep(MARGIN) } end
    for i = first, math.min(first + columns - 1, #entries) do
      for y, row in ipairs(letters.line(entries[i].name, SCALE, INK, PAPER)) do
        table.insert(rows[y], pad(chip(entries[i].colour) .. PAPER:rep(GAP) .. row, column))
      end
    end
    for _, row in ipairs(rows) do lines[#lines + 1] = pad(table.concat(row), width) end
    add_space(lines, width, 4)
  end
end

--- The classes of some rows, by id, with their colours.
---@param set asl.Dataset
---@param rows asl.check.row[]
---@return {name: string, colour: integer[]}[]
function sheet.legend(set, rows)
  local there, entries = {}, {}
  for _, row in ipairs(rows) do
    for id in pairs(row.classes) do there[id] = true end
  end
  for id = 0, set.classes - 1 do
    if there[id] then entries[#entries + 1] = { name = set.class_names[id + 1], colour = set.colours[id + 1] } end
  end
  if there[255] then entries[#entries + 1] = { name = "ignored", colour = { 0, 0, 0 } } end
  return entries
end

--- Wide enough for the widest sample, and for several of small ones.
local function width_of(groups)
  local widest, most = 0, 1
  for _, group in ipairs(groups) do
    most = math.max(most, #group.rows)
    for _, row in ipairs(group.rows) do
      local own = MARGIN
      for _, tile in ipairs(row.tiles) do own = own + tile.rgb:shape()[2] + GAP end
      widest = math.max(widest, own)
    end
  end
  return MARGIN + widest * math.max(1, math.min(WIDEST // widest, most))
end

--- All rows of all data sets as one picture.
---@param title string
---@param groups {title: string, set: asl.Dataset, rows: asl.check.row[]}[]
---@return string png
function sheet.png(title, groups)
  local lines, width = {}, width_of(groups)
  add_space(lines, width, MARGIN)
  add_text(lines, width, title, INK)
  add_space(lines, width, MARGIN // 2)
  for _, group in ipairs(groups) do
    add_space(lines, width, MARGIN // 2)
    add_text(lines, width, group.title, INK)
    add_space(lines, width, GAP)
    add_samples(lines, width, group.rows)
    add_legend(lines, width, sheet.legend(group.set, group.rows))
  end
  add_space(lines, width, MARGIN // 2)
  return core.png_encode(core.frombytes(table.concat(lines), { #lines, width, 3 }, "u8"))
end

--- A loader for sheet.row.
---@return asl.Loader
function sheet.loader()
  return data.loader { threads = 0 }
end

return sheet
