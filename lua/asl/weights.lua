--- Weights of other programs: PyTorch's checkpoints (.pth, .pt, .ckpt) and safetensors, in and out.
---
--- Reading runs nothing that a file says: a checkpoint is a pickle, a program of Python; here it is read as data, by a list of
--- what weights need. Names and layouts are PyTorch's: a convolution's weights are (O,I,kh,kw) in a file and (O,kh,kw,I) in a
--- network here; `load` and `save` convert.

local core = require "asl.core"
local file = require "asl.weights.file"
local listing = require "asl.weights.listing"
local network = require "asl.weights.network"
local options = require "asl.options"
local safetensors = require "asl.weights.safetensors"
local tensor = require "asl.tensor"

local weights = {}

--- Everything in a file. Dictionaries and lists in it are flattened: "state_dict.conv.weight", list positions counted from
--- 0; a file that is one tensor holds "tensor". f16 and bf16 become f32, i8, i16 and u16 i32, u32 and u64 i64, bool u8, all
--- exact; f64 stays f64.
---@param path string
---@param given { narrow?: boolean, objects?: string }|nil
---   narrow: rounds f64 to f32; objects: what is neither tensor nor plain data (classes, functions) is an error ("refuse"),
---   or only appears in the list ("skip")
---@return table<string, asl.Tensor|number|string|boolean> values
---@return table[] list  all entries in the file's order: { name, container, kind = "tensor", dtype (in the file), shape,
---   bytes (in the file), storage }, or { name, container, kind = "integer", "number", "string", "boolean", "none" or
---   "object", value }
---@error a file that is none of weights, damaged or hostile: path, place and what is wrong
function weights.read(path, given)
  given = options.check("asl.weights.read", given, { narrow = false, objects = options.one_of { "refuse", "skip" } })
  local f <close> = file.open(path, given.objects == "skip")
  local values, tensors = {}, {}
  for position, entry in ipairs(f.entries) do
    if entry.kind == "tensor" then
      tensors[#tensors + 1] = position
    elseif entry.kind ~= "object" then
      values[entry.name] = entry.value
    end
  end
  f:each_tensor(tensors, given.narrow, function(_, entry, t) values[entry.name] = t end)
  return values, f.entries
end

--- What is in a file, without its tensors' values: the list of `asl.weights.read`.
---@param path string
---@return table[] list
---@error a file that is none of weights, or damaged
function weights.list(path)
  local f <close> = file.open(path, true)
  return f.entries
end

--- What is in a file, as `asl weights FILE` prints it.
---@param path string
---@return string text
---@error a file that is none of weights, or damaged
function weights.text(path)
  return listing.text(path)
end

-- ---- writing ----------------------------------------------------------------------------------

local FORMATS = { safetensors = "safetensors", pth = "pytorch", pt = "pytorch" }

local function format_of(where, path, format)
  format = format or FORMATS[path:match("%.(%w+)$") or ""]
  if format == "safetensors" or format == "pytorch" then return format end
  error(("%s: %s"):format(where, format and ("the format %q is neither \"safetensors\" nor \"pytorch\""):format(format)
    or ("%q ends in none of .safetensors, .pth, .pt; say format = \"safetensors\" or \"pytorch\""):format(path)), 3)
end

local function check_name(where, name)
  if type(name) ~= "string" or name == "" or not utf8.len(name) or name:find("\0", 1, true) or name == "__metadata__" then
    error(("%s: %s cannot be a name: a name is UTF-8 text, not empty"):format(where, file.shown(tostring(name))), 3)
  end
end

local function write(path, format, names, tensors, metadata)
  if format == "pytorch" then
    core.torch_write(path, names, tensors)
  else
    local header, ordered = safetensors.encode(names, tensors, metadata)
    core.safetensors_write(path, header, ordered)
  end
end

--- Writes tensors under names; the file appears at once, whole, or not at all. The same tensors give the same bytes.
---@param path string  ends in .safetensors, .pth or .pt unless `format` says
---@param tensors table<string, asl.Tensor>
---@param given { format?: string, order?: string[], metadata?: table<string, string> }|nil
---   format: "safetensors" or "pytorch"; order: all names, in the order of the file (else sorted); metadata: strings by name,
---   for safetensors
---@error a name that is none, a value that is no tensor, what the disk refuses
function weights.write(path, tensors, given)
  local where = "asl.weights.write"
  given = options.check(where, given, {
    format = options.optional "string", order = options.optional "table", metadata = options.optional "table",
  })
  local format, names, list, seen = format_of(where, path, given.format), {}, {}, {}
  if given.metadata and format ~= "safetensors" then
    error(where .. ": only a safetensors file has metadata", 2)
  end
  for key, value in pairs(given.metadata or {}) do
    if type(key) ~= "string" or type(value) ~= "string" then error(where .. ": metadata holds strings by name", 2) end
  end
  for name, value in pairs(tensors) do
    check_name(where, name)
    if not tensor.is_tensor(value) then
      error(("%s: %s is a %s, not a tensor"):format(where, file.shown(name), type(value)), 2)
    end
    names[#names + 1] = name
  end
  table.sort(names)
  for i, name in ipairs(given.order or names) do
    if tensors[name] == nil or seen[name] then
      error(("%s: the order names %s, which is %s"):format(where, file.shown(tostring(name)),
        seen[name] and "there already" or "no tensor"), 2)
    end
    seen[name], list[i] = true, tensors[name]
  end
  if #list ~= #names then error(("%s: the order names %d of %d tensors"):format(where, #list, #names), 2) end
  write(path, format, given.order or names, list, given.metadata)
end

--- Writes the parameters and running statistics of a network under PyTorch's names and in its layouts: torch.load reads
--- the file (weights_only too) and load_state_dict takes it.
---@param path string  ends in .safetensors, .pth or .pt unless `format` says
---@param net asl.Module
---@param given { format?: string }|nil
function weights.save(path, net, given)
  local where = "asl.weights.save"
  given = options.check(where, given, { format = options.optional "string" })
  local format = format_of(where, path, given.format)
  local names, tensors = network.to_torch(net)
  write(path, format, names, tensors, { format = "pt" })
end

-- ---- networks ---------------------------------------------------------------------------------

local function to_stderr(message)
  io.stderr:write("asl: warning: ", message, "\n")
end

--- Gives a network the weights of a file: finds the dictionary and the wrappers ("state_dict", "module.", "model.",
--- "net."), converts layouts, and wants every tensor there with its shape. Heads for another number of classes keep their
--- initial values, with a warning that names them; batch norm's num_batches_tracked is ignored.
---@param net asl.Module
---@param path string
---@param given { narrow?: boolean, at?: string, warn?: fun(message: string) }|nil
---   narrow: rounds f64 to f32; at: the dictionary to take when the network is in several ("" is the top);
---   warn: takes what is to be said instead of standard error
---@return table report  { path, container, wrapper, loaded = number of tensors, skipped = names of heads' tensors,
---   foreign = names passed over, widened = number of tensors that were f16 or bf16 }
---@error missing, unexpected or unfit tensors, with their names; values that are not finite; then nothing has changed
function weights.load(net, path, given)
  given = options.check("asl.weights.load", given, {
    narrow = false, at = options.optional "string", warn = options.optional "function",
  })
  return network.load(net, path, given, given.warn or to_stderr)
end

return weights
