--- Packed data sets: every sample decoded once, in one file that is read at the speed of memory (csrc/data/packed.h).
---
---     asl data pack cityscapes root=/data/cityscapes split=train size=512,1024 /fast/packs
---     asl.data.cityscapes { root = "/fast/packs", split = "train" }
---
--- A pack is opened by the constructor it was made with: its `root` is then the pack or a folder of packs, and the other
--- options say which pack. They must be those it was made with, written out or left to their defaults; `size` may be left out.

local core = require "asl.core"
local fault = require "asl.fault"
local fs = require "asl.fs"
local json = require "asl.json"
local options = require "asl.options"
local progress = require "asl.progress"

local packed = {}

local FORMAT = "asl pack 1"
local SUFFIX = "%.pack$"
local CHUNK_BYTES = 128 << 20 -- decoded at a time
local MOST_ROWS = 64          -- of a chunk

--- The option that says where the data lies, by constructor.
packed.places = {
  camvid = "root", cityscapes = "root", coco = "root", folder = "root", hypersim = "root", nyuv2 = "root", rooms = "root",
  scannet = "root", sens = "file", sunrgbd = "root",
}

-- Options that name files: only the file's own name tells one data set from another, not where it lies.
local NAMES_A_FILE = { list = true, json = true, images = true, maps = true, frames = true }
-- Options that change nothing in the samples.
local WITHOUT_EFFECT = { cache = true, size = true }

local function bad(format, ...)
  return fault.raise(format:format(...), { level = 0, exit_code = fault.exit.data })
end

--- The constructors whose data sets can be packed.
---@return string[]
function packed.kinds()
  local kinds = {}
  for kind in pairs(packed.places) do kinds[#kinds + 1] = kind end
  table.sort(kinds)
  return kinds
end

-- ---- options ----------------------------------------------------------------------------------------------------------

--- The options of `rooms`, which has no place of its own, without that of its pack.
local function without_root(given)
  local copy = {}
  for name, value in pairs(given) do copy[name] = value end
  copy.root = nil
  return copy
end

--- The options of a constructor, checked and with its defaults, without making the data set.
---@param kind string  name of the constructor
---@param given table
---@return table merged
--- Errors, at the line outside this file that gave them: what options.check says of them.
function packed.merged(kind, given)
  local known = require("asl.data." .. kind).options
  -- In brackets, as a tail call would hide this file from options.check.
  return (options.check("asl.data." .. kind, kind == "rooms" and without_root(given) or given, known))
end

--- A value as JSON can hold it; of a label table only the names of its classes.
local function plain(value, where)
  local kind = type(value)
  if kind == "number" then return math.tointeger(value) or value end
  if kind == "string" or kind == "boolean" then return value end
  if kind ~= "table" then return bad("option %s: a %s cannot be written into a pack", where, kind) end
  if value.names and value.ids then return plain(value.names, where) end
  local copy = {}
  for key, item in pairs(value) do copy[key] = plain(item, ("%s.%s"):format(where, tostring(key))) end
  return copy
end

--- What of the options makes the samples what they are: the same for every way to write them.
---@param kind string  name of the constructor
---@param merged table  see packed.merged
---@return table
function packed.canonical(kind, merged)
  local kept = {}
  for name, value in pairs(merged) do
    if name ~= packed.places[kind] and not WITHOUT_EFFECT[name] then
      if NAMES_A_FILE[name] and type(value) == "string" then value = fs.basename(value) end
      kept[name] = plain(value, name)
    end
  end
  return kept
end

--- Options as they are written: split="train", every=2.
local function options_text(given)
  local names, parts = {}, {}
  for name in pairs(given) do names[#names + 1] = name end
  table.sort(names)
  for i, name in ipairs(names) do parts[i] = ("%s=%s"):format(name, json.encode(given[name])) end
  return #parts > 0 and table.concat(parts, ", ") or "no options"
end

-- ---- writing ----------------------------------------------------------------------------------------------------------

--- What the file says of the data set.
local function header_of(kind, canonical, set)
  return json.encode {
    format = FORMAT, constructor = kind, options = canonical, dataset = set.name, class_names = set.class_names,
    colours = set.colours, planes = set.planes, ids = set.ids, sequences = set.sequences, frames = set.frames,
    source_digest = set:digest(),
  }
end

--- Raises when the user wants to stop; what has been done is in a file.
function packed.stop_if_asked()
  local signal = core.interrupted()
  if signal then
    fault.raise("stopped by SIG" .. signal, { level = 0, exit_code = fault.exit.preempted,
      hint = "the same command goes on with what has been done" })
  end
end

--- Bytes that a sample takes in the file.
local function sample_bytes(set)
  local scope <close> = core.scope()
  local bytes, sample = 0, set:sample(1)
  for _, plane in ipairs(set.planes) do bytes = bytes + (#sample[plane]:bytes() + 63) // 64 * 64 end
  return bytes
end

--- Checks all samples of a pack.
local function verify(source, path, bar)
  local step = 256
  for first = 1, #source, step do
    local last = math.min(first + step - 1, #source)
    packed.stop_if_asked()
    local ok, problem = pcall(core.pack_verify, source, first, last)
    if not ok then bad("%s", fault.cause(problem)) end
    bar:update(last)
  end
  bar:finish()
  return path
end

local function add_all(writer, set, bar)
  local bytes = sample_bytes(set)
  local rows_at_once = math.max(1, math.min(CHUNK_BYTES // bytes, MOST_ROWS))
  writer:room((#set - writer:done()) * bytes)
  while writer:done() < #set do
    packed.stop_if_asked()
    local rows = {}
    for i = writer:done() + 1, math.min(writer:done() + rows_at_once, #set) do
      rows[#rows + 1] = { set.sources[i], set.index[i] + 1 }
    end
    local ok, problem = pcall(writer.add, writer, rows)
    if not ok then
      fault.raise(("%s: %s"):format(set.ids[writer:done() + 1], fault.cause(problem)), { level = 0,
        exit_code = fault.exit.data, hint = "asl data check lists all that is wrong; the same command then goes on" })
    end
    bar:update(writer:done())
  end
  bar:finish()
end

--- The pack at `path`, when it is one with this header; raises when it is another.
local function there_already(path, header)
  if not core.fs.stat(path) then return nil end
  local ok, source, found = pcall(core.pack_open, path)
  if not ok then bad("%s", fault.cause(source)) end
  if found == header then return source end
  return bad("%s is there already, with other options or of other data; remove it, or pack into another folder", path)
end

--- Packs a data set. What a killed run has done stays in NAME.pack.part, and the same call goes on with it; the bytes are
--- those of an undisturbed run.
---@param given table  see asl.data.pack; bar (fun(total, label, first): asl.progress): what shows how far it is
---@return string path  of the pack
function packed.write(given)
  local kind, folder = given.kind, given.out
  if not packed.places[kind] then
    fault.raise(("asl.data.pack: there is no data set %q to pack (there are: %s)"):format(kind,
      table.concat(packed.kinds(), ", ")), { level = 0, exit_code = fault.exit.usage })
  end
  local set = require("asl.data")[kind](given.options)
  local canonical = packed.canonical(kind, packed.merged(kind, given.options))
  if #set == 0 then bad("%s has no samples to pack", set.name) end
  local header, path = header_of(kind, canonical, set), fs.join(folder, fs.slug((set.name:gsub("/", "-"))) .. ".pack")
  local function bar(label, first)
    return progress.new { total = #set, label = label, unit = "sample", first = first or 0, quiet = given.quiet or false }
  end
  core.fs.mkdirs(folder)
  local source = there_already(path, header)
  if source then return verify(source, path, bar("checking " .. set.name)) end
  local writer <close> = core.pack_create {
    path = path, header = header, count = #set, planes = set.planes, classes = set.classes,
  }
  if writer:done() < #set then add_all(writer, set, bar("packing " .. set.name, writer:done())) end
  writer:finish()
  verify(core.pack_open(path .. ".part"), path, bar("checking " .. set.name))
  core.fs.rename(path .. ".part", path)
  return path
end

-- ---- reading ----------------------------------------------------------------------------------------------------------

--- Raises unless header[name] is a list of `count` values that `accepts`.
local function check_list(path, header, name, count, accepts)
  local list = header[name]
  if type(list) ~= "table" then bad('%s: its header has no list "%s"', path, name) end
  if #list ~= count then bad('%s: its header has %d "%s"; expected %d', path, #list, name, count) end
  for i = 1, count do
    if not accepts(list[i]) then bad('%s: its header: "%s"[%d] is not what it must be', path, name, i) end
  end
end

local function is_string(value) return type(value) == "string" end
local function is_integer(value) return math.type(value) == "integer" end

local function is_colour(value)
  if type(value) ~= "table" or #value ~= 3 then return false end
  for _, byte in ipairs(value) do
    if not is_integer(byte) or byte < 0 or byte > 255 then return false end
  end
  return true
end

--- The header of a file, every field of which is what it must be.
local function read_header(path, text, source, classes)
  local ok, header = pcall(json.decode, text, path)
  if not ok then bad("%s", fault.cause(header)) end
  if type(header) ~= "table" or header.format ~= FORMAT then bad('%s: its header does not say "%s"', path, FORMAT) end
  for _, name in ipairs { "constructor", "dataset", "source_digest" } do
    if not is_string(header[name]) then bad('%s: its header has no text "%s"', path, name) end
  end
  if type(header.options) ~= "table" then bad("%s: its header has no options", path) end
  check_list(path, header, "class_names", classes, is_string)
  check_list(path, header, "colours", classes, is_colour)
  local planes = source:planes()
  check_list(path, header, "planes", #planes, is_string)
  for i, plane in ipairs(planes) do
    if header.planes[i] ~= plane then bad("%s: its header names other planes than its head", path) end
  end
  check_list(path, header, "ids", #source, is_string)
  check_list(path, header, "sequences", #source, is_string)
  check_list(path, header, "frames", #source, is_integer)
  return header
end

---@class asl.Pack  an open pack
---@field path string
---@field header table
---@field source userdata
---@field bytes integer  of the file

--- Opens a pack, whatever it holds.
---@param path string
---@return asl.Pack
--- Errors: not to be read, not a pack, cut off, damaged: naming file and cause (exit code 65).
function packed.open(path)
  local ok, source, text, classes, bytes = pcall(core.pack_open, path)
  if not ok then bad("%s", fault.cause(source)) end
  return { path = path, source = source, header = read_header(path, text, source, classes), bytes = bytes }
end

--- The data set in a pack. Its fingerprints are the digests of the samples' content.
---@param pack asl.Pack
---@return asl.Dataset
function packed.dataset(pack)
  local header = pack.header
  local digests = core.pack_samples(pack.source)
  local ok, set = pcall(require("asl.data.dataset").new, {
    name = header.dataset, class_names = header.class_names, colours = header.colours, ids = header.ids,
    sequences = header.sequences, frames = header.frames, source = pack.source, fingerprint = digests,
  })
  return ok and set or bad("%s: %s", pack.path, fault.cause(set))
end

--- The packs at a place: itself, or those in a folder.
---@param path string
---@return string[] paths  empty when there is none
function packed.list(path)
  local info = core.fs.stat(path)
  if not info then return {} end
  if not info.is_dir then return path:find(SUFFIX) and { path } or {} end
  local paths = {}
  for _, name in ipairs(core.fs.list(path)) do
    if name:find(SUFFIX) then paths[#paths + 1] = fs.join(path, name) end
  end
  return paths
end

--- The one size of all samples: "320x640 (height x width)", or that there are several.
local function size_of(source)
  local _, heights, widths = core.pack_samples(source)
  for i = 2, #heights do
    if heights[i] ~= heights[1] or widths[i] ~= widths[1] then return nil, "of several sizes" end
  end
  return { heights[1], widths[1] }, ("%dx%d (height x width)"):format(heights[1], widths[1])
end

--- One line for people: what is in a pack.
---@param pack asl.Pack
---@return string
function packed.describe(pack)
  local header, _, size = pack.header, size_of(pack.source)
  return ("%s: %s with %s; %d samples, %s"):format(fs.basename(pack.path), header.constructor, options_text(header.options),
    #pack.source, size)
end

local function has_size(pack, size)
  if size == nil then return true end
  local own = size_of(pack.source)
  return own ~= nil and own[1] == size[1] and own[2] == size[2]
end

local function refuse(kind, place, wanted, given, packs, found)
  local lines = {}
  for i, pack in ipairs(packs) do lines[i] = "\n  " .. packed.describe(pack) end
  local size = given.size and (" and size %sx%s"):format(tostring(given.size[1]), tostring(given.size[2])) or ""
  return bad("asl.data.%s: %s: there %s of %s with %s%s; it holds:%s", kind, place,
    #found > 0 and "are several packs" or "is no pack", kind, options_text(wanted), size, table.concat(lines))
end

--- The data set of the pack that was made by this constructor with these options.
---@param kind string
---@param given table  its options; the place is a pack or a folder of packs
---@return asl.Dataset
--- Errors: options that the constructor does not take; no such pack, or several, listing those there are (exit code 65).
function packed.find(kind, given)
  local place, merged = given[packed.places[kind]], packed.merged(kind, given)
  local wanted = packed.canonical(kind, merged)
  local text, packs, found = json.encode(wanted), {}, {}
  for i, path in ipairs(packed.list(place)) do
    local pack = packed.open(path)
    packs[i] = pack
    local header = pack.header
    if header.constructor == kind and json.encode(header.options) == text and has_size(pack, merged.size) then
      found[#found + 1] = pack
    end
  end
  if #found ~= 1 then return refuse(kind, place, wanted, merged, packs, found) end
  return packed.dataset(found[1])
end

--- Makes the constructors of a table of asl.data open packs where their place is one.
---@param data table<string, fun(given: table): asl.Dataset>
function packed.hook(data)
  for kind, place in pairs(packed.places) do
    local construct = rawget(data, kind)
    if construct then
      data[kind] = function(given)
        local path = type(given) == "table" and given[place]
        if type(path) == "string" and #packed.list(path) > 0 then return packed.find(kind, given) end
        return construct(given)
      end
    end
  end
end

return packed
