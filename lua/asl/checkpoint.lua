--- Checkpoints: a table of plain data and tensors in one file that is either whole and unaltered or
--- refused.
---
--- A state holds tables, strings, integers, doubles (NaN and infinities too), booleans and tensors, and
--- comes back with the same values, types and bits. The same state gives the same bytes. In the file
--- it is JSON, with an object {"$": kind, ...} for what JSON cannot say, followed by the tensors'
--- elements (csrc/io/container.h). Reading a file never runs code.

local core = require "asl.core"
local fs = require "asl.fs"

local checkpoint = {}

local max_depth = 40 -- a table may become three levels of JSON

-- ---- state → JSON ------------------------------------------------------------------------------

local function is_tensor(value)
  return type(value) == "userdata" and getmetatable(value) == core.tensor_metatable
end

local function wrong(where, what)
  error(("checkpoint: %s is %s; a state holds tables, strings, numbers, booleans and tensors")
    :format(where, what), 0)
end

-- Integers before strings, each in its own order.
local function key_order(a, b)
  local kind_a, kind_b = type(a), type(b)
  if kind_a ~= kind_b then return kind_a == "number" end
  return a < b
end

local function sorted_keys(value, where)
  local keys, plain = {}, true
  for key in pairs(value) do
    if type(key) == "string" then
      plain = plain and utf8.len(key) and not key:find("^%$") and not key:find("\0", 1, true)
    elseif math.type(key) == "integer" then
      plain = false
    else
      wrong(where, ("a table with the key %s (a %s)"):format(tostring(key), type(key)))
    end
    keys[#keys + 1] = key
  end
  table.sort(keys, key_order)
  return keys, plain
end

local pack

local function pack_list(list, where, depth, tensors)
  local out = setmetatable({}, core.json_array)
  for i = 1, #list do
    out[i] = pack(list[i], ("%s[%d]"):format(where, i), depth, tensors)
  end
  return out
end

local function pack_table(value, where, depth, tensors)
  local meta = getmetatable(value)
  if meta ~= nil and meta ~= core.json_array then wrong(where, "a table with a metatable") end
  if depth > max_depth then wrong(where:sub(1, 40) .. "...", "nested too deep, or inside itself") end
  local keys, plain = sorted_keys(value, where)
  if #keys > 0 and #keys == #value then return pack_list(value, where, depth + 1, tensors) end
  local out = {}
  if plain then
    for _, key in ipairs(keys) do
      out[key] = pack(value[key], where .. "." .. key, depth + 1, tensors)
    end
    return out
  end
  local values = {}
  for i, key in ipairs(keys) do
    values[i] = value[key]
  end
  return {
    ["$"] = "map",
    keys = pack_list(keys, where, depth + 1, tensors),
    values = pack_list(values, where, depth + 1, tensors),
  }
end

-- A tensor that the state holds twice is stored once.
local function pack_tensor(value, tensors)
  if not tensors.index[value] then
    tensors.list[#tensors.list + 1] = value
    tensors.index[value] = #tensors.list
  end
  return { ["$"] = "tensor", index = tensors.index[value] }
end

local function pack_string(value)
  if utf8.len(value) then return value end
  local hex = value:gsub(".", function(c) return ("%02x"):format(c:byte()) end)
  return { ["$"] = "bytes", hex = hex }
end

function pack(value, where, depth, tensors)
  local kind = type(value)
  if kind == "table" then return pack_table(value, where, depth, tensors) end
  if is_tensor(value) then return pack_tensor(value, tensors) end
  if kind == "string" then return pack_string(value) end
  if kind == "boolean" or math.type(value) == "integer" then return value end
  if kind == "number" then
    if value == value and math.abs(value) < math.huge then return value end
    -- All bits: the payload of a NaN is part of the state.
    return { ["$"] = "double", bits = string.unpack("<i8", string.pack("<d", value)) }
  end
  return wrong(where, "a " .. kind)
end

-- ---- JSON → state ------------------------------------------------------------------------------

local unpack_value

local function unpack_tagged(entry, tensors)
  local kind = entry["$"]
  if kind == "tensor" then
    return tensors[entry.index] or error("there is no tensor " .. tostring(entry.index), 0)
  elseif kind == "bytes" then
    return (entry.hex:gsub("%x%x", function(hex) return string.char(tonumber(hex, 16)) end))
  elseif kind == "double" then
    return (string.unpack("<d", string.pack("<i8", entry.bits)))
  elseif kind == "map" then
    local out = {}
    for i, key in ipairs(entry.keys) do
      out[unpack_value(key, tensors)] = unpack_value(entry.values[i], tensors)
    end
    return out
  end
  error(("unknown kind %q"):format(tostring(kind)), 0)
end

function unpack_value(entry, tensors)
  if type(entry) ~= "table" then return entry end
  if entry["$"] ~= nil then return unpack_tagged(entry, tensors) end
  local out = {}
  for key, value in pairs(entry) do
    out[key] = unpack_value(value, tensors)
  end
  return out
end

local function read_tensors(container, descriptions)
  local tensors = {}
  for i, description in ipairs(descriptions) do
    tensors[i] = container:tensor(description.dtype, description.shape)
  end
  container:finish()
  return tensors
end

-- ---- files ------------------------------------------------------------------------------------

--- Writes a state to one file, in place of what is there only once it is safely on the disk.
--- Raises when the state holds what it cannot keep (naming where), or when the file cannot be written
--- (the old one stays).
---@param path string
---@param state table
function checkpoint.save(path, state)
  local tensors = { list = {}, index = {} }
  local header = {
    state = pack(state, "state", 0, tensors),
    tensors = setmetatable({}, core.json_array),
  }
  for i, tensor in ipairs(tensors.list) do
    local shape = setmetatable(tensor:shape(), core.json_array)
    header.tensors[i] = { dtype = tensor:dtype(), shape = shape }
  end
  core.container_write(path, core.json_encode(header), tensors.list)
end

--- Reads a state. Tensors come back contiguous, without gradient. Raises when the file is cut off,
--- altered or otherwise broken, naming file and cause.
---@param path string
---@return table state
function checkpoint.load(path)
  local opened, container = pcall(core.container_open, path)
  if not opened then error(container, 2) end
  local read, result = pcall(function()
    local header = core.json_decode(container:header(), "header")
    return unpack_value(header.state, read_tensors(container, header.tensors))
  end)
  container:close()
  if read then return result end
  local why = tostring(result):gsub('^.*is no valid checkpoint: ', "")
  error(("%q is no valid checkpoint: %s"):format(path, why), 2)
end

-- ---- generations ------------------------------------------------------------------------------

local kept = 2 -- generations

local function file_of(dir, step)
  return fs.join(dir, ("step-%010d.ckpt"):format(step))
end

--- The checkpoints in a directory, newest first.
---@param dir string
---@return {path: string, step: integer}[]
function checkpoint.generations(dir)
  local found = {}
  for _, name in ipairs(fs.stat(dir) and fs.list(dir) or {}) do
    local step = name:match("^step%-(%d+)%.ckpt$")
    if step then found[#found + 1] = { path = fs.join(dir, name), step = math.tointeger(step) } end
  end
  table.sort(found, function(a, b) return a.step > b.step end)
  return found
end

-- What a killed process left half-written, and all but the newest generations up to `step`.
local function clean(dir, step)
  fs.remove_half_written(dir)
  local older = 0
  for _, generation in ipairs(checkpoint.generations(dir)) do
    if generation.step <= step then
      older = older + 1
      if older > kept then fs.remove(generation.path) end
    end
  end
end

--- Saves the generation of a step and removes all but the newest two. Only one process may do so in
--- a directory.
---@param dir string
---@param step integer
---@param state table
function checkpoint.save_generation(dir, step, state)
  checkpoint.save(file_of(dir, step), state)
  clean(dir, step)
end

--- The newest generation that can be read. Damaged ones are passed over, with a word to `warn` for
--- each; when none of those there is whole it raises.
---@param dir string
---@param warn fun(message: string)
---@return table? state  nil when the directory has no checkpoint
---@return integer? step
function checkpoint.load_newest(dir, warn)
  local generations = checkpoint.generations(dir)
  for _, generation in ipairs(generations) do
    local ok, result = pcall(checkpoint.load, generation.path)
    if ok then return result, generation.step end
    warn(tostring(result))
  end
  if #generations > 0 then
    error(("none of the %d checkpoints in %q can be read"):format(#generations, dir), 2)
  end
end

return checkpoint
