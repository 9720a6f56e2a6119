--- The header of a safetensors file: a JSON object name -> { dtype, shape, data_offsets = [begin, end) }, and
--- optionally "__metadata__", strings by name (https://github.com/huggingface/safetensors, its README).

local core = require "asl.core"
local format = require "asl.format"

local safetensors = {}

local METADATA = "__metadata__"
local MAX_RANK = 6
local MOST = 1 << 56 -- elements or bytes of one tensor
local ALIGN = 8      -- of the elements, by spaces behind the header

local function wrong(what, ...)
  error("header: " .. what:format(...), 0)
end

local shown = format.value

-- ---- reading ----------------------------------------------------------------------------------

--- A JSON array of integers that are not negative, at most `most` of them.
local function check_integers(name, key, list, most)
  local count = 0
  if type(list) ~= "table" or (next(list) == nil and getmetatable(list) ~= core.json_array) then
    wrong("the %s of %s is no list", key, shown(name))
  end
  for i, value in pairs(list) do
    count = count + 1
    if math.type(i) ~= "integer" or math.type(value) ~= "integer" or value < 0 or value > MOST then
      wrong("the %s of %s must be integers from 0 to 2^56", key, shown(name))
    end
  end
  if count > most then wrong("the %s of %s has %d numbers; at most %d are read", key, shown(name), count, most) end
  return count
end

local function check_keys(name, info)
  if type(info) ~= "table" then wrong("%s is no object", shown(name)) end
  for key in pairs(info) do
    if key ~= "dtype" and key ~= "shape" and key ~= "data_offsets" then
      wrong("%s has %s beside dtype, shape and data_offsets", shown(name), shown(tostring(key)))
    end
  end
end

local function element_count(name, shape)
  local count = 1
  for _, size in ipairs(shape) do
    if size > 0 and count > MOST // size then wrong("%s has more than 2^56 elements", shown(name)) end
    count = count * math.max(size, 1)
  end
  for _, size in ipairs(shape) do
    if size == 0 then return 0 end
  end
  return count
end

local function read_entry(name, info)
  check_keys(name, info)
  local dtype = type(info.dtype) == "string" and core.file_dtypes[info.dtype]
  if not dtype then wrong("%s has the dtype %s, which is not read", shown(name), shown(tostring(info.dtype))) end
  check_integers(name, "shape", info.shape, MAX_RANK)
  if check_integers(name, "data_offsets", info.data_offsets, 2) ~= 2 then
    wrong("%s needs two data_offsets", shown(name))
  end
  local first, last = info.data_offsets[1], info.data_offsets[2]
  local bytes = element_count(name, info.shape) * dtype.bytes
  if last - first ~= bytes then
    wrong("%s has the bytes %d to %d; its shape and dtype take %d", shown(name), first, last, bytes)
  end
  return { name = name, container = "", kind = "tensor", dtype = dtype.name, shape = info.shape, bytes = bytes,
    storage = 0, begin = first, code = info.dtype }
end

local function by_place(a, b)
  if a.begin ~= b.begin then return a.begin < b.begin end
  if a.bytes ~= b.bytes then return a.bytes < b.bytes end
  return a.name < b.name
end

--- The elements of the entries, in their order, are all that follows the header.
local function check_cover(entries, room)
  local at = 0
  for i, entry in ipairs(entries) do
    if entry.begin < at then wrong("%s overlaps what is before it", shown(entry.name)) end
    if entry.begin > at then wrong("%d bytes before %s belong to no tensor", entry.begin - at, shown(entry.name)) end
    at = entry.begin + entry.bytes
    entry.storage = i
  end
  if at > room then wrong("its tensors have %d bytes, behind it are %d", at, room) end
  if at < room then wrong("%d bytes behind the last tensor belong to none", room - at) end
end

local function check_metadata(metadata)
  if metadata == nil then return {} end
  if type(metadata) ~= "table" then wrong("__metadata__ is no object") end
  for key, value in pairs(metadata) do
    if type(key) ~= "string" or type(value) ~= "string" then wrong("__metadata__ must hold strings by name") end
  end
  return metadata
end

--- The tensors that a header names, in the order of their bytes.
---@param text string
---@param room integer  bytes behind the header
---@return table[] entries  { name, kind = "tensor", dtype, shape, bytes, begin, code = dtype in the format's words }
---@return table<string, string> metadata
---@error what the format forbids: JSON that is none, holes, overlaps, sizes that do not agree
function safetensors.decode(text, room)
  if text:sub(1, 1) ~= "{" then wrong("it must begin with {") end
  local ok, header = pcall(core.json_decode, text, "header")
  if not ok then error((header:gsub("^[^\n]-%.lua:%d+: ", "")), 0) end
  local metadata = check_metadata(header[METADATA])
  header[METADATA] = nil
  local entries = {}
  for name, info in pairs(header) do
    entries[#entries + 1] = read_entry(name, info)
  end
  table.sort(entries, by_place)
  check_cover(entries, room)
  return entries, metadata
end

-- ---- writing ----------------------------------------------------------------------------------

local codes = {} -- the format's word of each dtype here
for code, dtype in pairs(core.file_dtypes) do
  codes[dtype.name] = code
end

--- The header for tensors, and the order in which their elements follow: wide elements first, so that all are aligned.
---@param names string[]
---@param tensors asl.Tensor[]  parallel to names
---@param metadata table<string, string>|nil
---@return string text
---@return asl.Tensor[] ordered
function safetensors.encode(names, tensors, metadata)
  local order, header, ordered, at = {}, {}, {}, 0
  for i, t in ipairs(tensors) do
    order[i] = { name = names[i], tensor = t, position = i, code = codes[t:dtype()] }
    order[i].width = core.file_dtypes[order[i].code].bytes
  end
  table.sort(order, function(a, b)
    if a.width ~= b.width then return a.width > b.width end
    return a.position < b.position
  end)
  for i, item in ipairs(order) do
    local bytes = item.tensor:count() * item.width
    header[item.name] = { dtype = item.code, shape = setmetatable(item.tensor:shape(), core.json_array),
      data_offsets = { at, at + bytes } }
    ordered[i], at = item.tensor, at + bytes
  end
  if metadata then header[METADATA] = metadata end
  local text = core.json_encode(header)
  return text .. (" "):rep(-#text % ALIGN), ordered
end

return safetensors
