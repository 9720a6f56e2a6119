--- What a constructor reads: the functions of the core that it calls are watched while it runs.
---
--- Files that are missing do not stop it: they count as empty, so that all of them, not the first, are met when samples are
--- decoded.

local core = require "asl.core"
local files = require "asl.data.files"

local watch = {}

local MAKES_SOURCE = { "source_files", "source_frames", "source_coco", "source_sens", "source_nyuv2", "source_hypersim" }
local READS = { "matrix_read", "sens_open", "json_elements", "pack_open", "hdf5_open" }

-- What comes with ASL is no part of a data set.
local OWN_FOLDER = core.fs.realpath((debug.getinfo(1, "S").source:match "^@(.*/)" or "./") .. "../..") .. "/"

---@class asl.check.reading
---@field shared string[]  files that all samples need: lists, annotations, calibrations
---@field lists table<userdata, string[][]>  of each source: lists of files, a file per position in the source
---@field sized string[][]  lists of files whose sizes were asked for

--- Keeps in `reading` what a source is made from: lists of paths as long as it is are files of its samples. Where it is given
--- none, and finds them by itself, those whose sizes the constructor has asked for.
local function note_source(reading, source, given)
  local lists = {}
  local keys = {}
  for key in pairs(given) do keys[#keys + 1] = key end
  table.sort(keys)
  for _, key in ipairs(keys) do
    local value = given[key]
    if type(value) == "table" and #value == #source and type(value[1]) == "string" then lists[#lists + 1] = value end
    if type(value) == "string" and key ~= "table" and core.fs.stat(value) then reading.note(value) end
  end
  for _, list in ipairs(#lists == 0 and reading.sized or {}) do
    if #list == #source then lists[#lists + 1] = list end
  end
  reading.lists[source] = lists
end

local function new_reading()
  local reading, seen = { shared = {}, lists = {}, sized = {} }, {}
  function reading.note(path)
    local info = not seen[path] and core.fs.stat(path)
    if info and not info.is_dir and core.fs.realpath(path):sub(1, #OWN_FOLDER) ~= OWN_FOLDER then
      seen[path] = true
      reading.shared[#reading.shared + 1] = path
    end
  end
  return reading
end

--- Replaces fields of tables while f runs.
local function replacing(changes, f)
  local before = {}
  for i, change in ipairs(changes) do
    before[i] = change[1][change[2]]
    change[1][change[2]] = change[3]
  end
  local results = table.pack(pcall(f))
  for i, change in ipairs(changes) do change[1][change[2]] = before[i] end
  return table.unpack(results, 1, results.n)
end

local function lenient_sizes(reading)
  return function(_, paths)
    local sizes = {}
    for i, path in ipairs(paths) do
      local info = core.fs.stat(path)
      sizes[i] = info and not info.is_dir and info.size or 0
    end
    table.insert(reading.sized, paths)
    return sizes
  end
end

--- Makes a data set, watching.
---@param make fun(): asl.Dataset
---@return boolean ok
---@return asl.Dataset|any set  or the problem
---@return asl.check.reading reading
function watch.run(make)
  local reading = new_reading()
  local changes = { { files, "sizes", lenient_sizes(reading) } }
  for _, name in ipairs(MAKES_SOURCE) do
    local original = core[name]
    if original then
      changes[#changes + 1] = { core, name, function(given, ...)
        local source = original(given, ...)
        note_source(reading, source, given)
        return source
      end }
    end
  end
  local function watched(original)
    return function(path, ...)
      reading.note(path)
      return original(path, ...)
    end
  end
  for _, name in ipairs(READS) do
    if core[name] then changes[#changes + 1] = { core, name, watched(core[name]) } end
  end
  changes[#changes + 1] = { core.fs, "read", watched(core.fs.read) }
  local ok, set = replacing(changes, make)
  return ok, set, reading
end

--- The files of a sample.
---@param reading asl.check.reading
---@param set asl.Dataset
---@param i integer  position in the data set
---@return string[] paths  each once
function watch.files_of(reading, set, i)
  local paths, seen = {}, {}
  for _, list in ipairs(reading.lists[set.sources[i]] or {}) do
    local path = list[set.index[i] + 1]
    if not seen[path] then
      seen[path] = true
      paths[#paths + 1] = path
    end
  end
  return paths
end

return watch
