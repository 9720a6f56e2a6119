--- One way into files of weights, whatever their kind. Opening reads what is in a file, but no tensor.

local core = require "asl.core"
local fault = require "asl.fault"
local format = require "asl.format"
local safetensors = require "asl.weights.safetensors"

local file = {}

--- A name of a file as it can be printed: quoted where it has anything but plain text.
---@param name string
---@return string
function file.shown(name)
  return (name == "" or name:find "[%c\127]" or not utf8.len(name)) and format.value(name) or name
end

--- An open file of weights; `local f <close> = file.open(path)` closes it.
---@class asl.WeightFile
---@field path string
---@field kind string  "safetensors", "torch_zip" or "torch_legacy"
---@field entries table[]  in the file's order: { name, container, kind, value }, and of tensors { name, container,
---   kind = "tensor", dtype (in the file), shape, bytes (in the file), storage (a number; tensors may share one) }
---@field metadata table<string, string>  of a safetensors file
---@field protocol integer|nil  of the pickle of a PyTorch file
local WeightFile = {}
WeightFile.__index = WeightFile

local UNLISTED = "none of the names that weights need"

--- Calls fn(...); its errors say that data are wrong.
local function guarded(fn, ...)
  local results = table.pack(pcall(fn, ...))
  if results[1] then return table.unpack(results, 2, results.n) end
  local cause = fault.cause(results[2])
  return fault.raise(cause, { level = 0, exit_code = fault.exit.data,
    hint = cause:find(UNLISTED, 1, true) and 'objects = "skip" passes over what is neither tensor nor plain data' or nil })
end

local function open_safetensors(self)
  self.handle = core.safetensors_open(self.path)
  local ok, entries, metadata = pcall(safetensors.decode, self.handle:header(), self.handle:room())
  if not ok then
    self.handle:close()
    error(('"%s": %s'):format(self.path, tostring(entries)), 0)
  end
  self.entries, self.metadata = entries, metadata
end

local function open_torch(self, keep_objects)
  self.handle = core.torch_open(self.path, keep_objects)
  self.entries, self.metadata, self.protocol = self.handle:entries(), {}, self.handle:protocol()
end

local function open(path, keep_objects)
  local self = setmetatable({ path = path, kind = core.weights_kind(path) }, WeightFile)
  if self.kind == "safetensors" then
    open_safetensors(self)
  elseif self.kind then
    open_torch(self, keep_objects)
  else
    error(('"%s" holds no weights: it begins like no PyTorch checkpoint and no safetensors file'):format(path), 0)
  end
  return self
end

--- Opens a file of weights and checks what it says of itself.
---@param path string
---@param keep_objects boolean|nil  what a PyTorch file holds beside plain data is listed as an object; else it is an error
---@return asl.WeightFile
---@error a file that is none of weights, damaged or hostile, with path and place
function file.open(path, keep_objects)
  return guarded(open, path, keep_objects or false)
end

--- The tensor of one entry, row-major, with memory of its own: f16 and bf16 widened to f32, i8, i16 and u16 to i32,
--- u32 and u64 to i64, bool to u8, all exact.
---@param position integer  in `entries`
---@param narrow boolean|nil  f64 rounded to f32
---@return asl.Tensor
function WeightFile:tensor(position, narrow)
  local entry = self.entries[position]
  if self.kind ~= "safetensors" then return guarded(self.handle.tensor, self.handle, position, narrow) end
  local ok, t = pcall(self.handle.tensor, self.handle, entry.code, entry.shape, entry.begin, narrow)
  if ok then return t end
  local cause = fault.cause(t):sub(#self.path + 5) -- behind "path":
  return fault.raise(('"%s": %s: %s'):format(self.path, file.shown(entry.name), cause),
    { level = 0, exit_code = fault.exit.data })
end

--- Calls fn(position, entry, tensor) for the entries at these positions, storage by storage, so that each is read once.
---@param positions integer[]
---@param narrow boolean|nil
---@param fn fun(position: integer, entry: table, tensor: asl.Tensor)
function WeightFile:each_tensor(positions, narrow, fn)
  local order = table.move(positions, 1, #positions, 1, {})
  table.sort(order, function(a, b)
    local storage_a, storage_b = self.entries[a].storage, self.entries[b].storage
    if storage_a ~= storage_b then return storage_a < storage_b end
    return a < b
  end)
  for _, position in ipairs(order) do
    fn(position, self.entries[position], self:tensor(position, narrow))
  end
end

--- Closes the file.
function WeightFile:close()
  self.handle:close()
end

WeightFile.__close = WeightFile.close

return file
