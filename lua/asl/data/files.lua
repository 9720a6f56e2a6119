--- What data sets of files share: looking at folders, naming what is missing.

local core = require "asl.core"
local fault = require "asl.fault"
local fs = require "asl.fs"
local labels = require "asl.labels"

local files = {}

local is_lenient = false

--- Raises: the data on disk is not as it must be (exit code 65).
---@param format string
---@param ... any
function files.bad(format, ...)
  return fault.raise(format:format(...), { level = 0, exit_code = fault.exit.data })
end

--- Whether there is a folder.
---@param path string
---@return boolean
function files.is_folder(path)
  local info = core.fs.stat(path)
  return info ~= nil and info.is_dir
end

--- Raises unless the data set's root is a folder.
---@param where string  the constructor
---@param root string
---@param holds string  what it should hold, for the message
---@return string root  without a slash at its end
function files.root(where, root, holds)
  local info = core.fs.stat(root)
  if info and info.is_dir then return (root:gsub("(.)/+$", "%1")) end
  return files.bad("%s: root = %q: %s; expected a folder that holds %s", where, root,
    info and "the wrong kind of file" or "not there", holds)
end

--- The first of some places that is there.
---@param where string  the constructor
---@param what string  for the message: "pictures", "the annotations"
---@param candidates string[]
---@return string path
--- Errors: none is there, naming them all.
function files.first(where, what, candidates)
  for _, path in ipairs(candidates) do
    if core.fs.stat(path) then return path end
  end
  return files.bad("%s: no %s: %s %s not there", where, what, table.concat(candidates, " and "),
    #candidates == 1 and "is" or "are")
end

--- Sizes in bytes of files, each of which must be there; what the fingerprints of samples are made of.
---@param where string  the constructor
---@param paths string[]
---@return integer[] sizes  0 of a file that is missing, under files.lenient
--- Errors: the first file that is missing, and how many more.
function files.sizes(where, paths)
  local sizes, missing = {}, {}
  for i, path in ipairs(paths) do
    local info = core.fs.stat(path)
    local there = info and not info.is_dir
    if not there then missing[#missing + 1] = path end
    sizes[i] = there and info.size or 0
  end
  if #missing > 0 and not is_lenient then
    files.bad("%s: %s is not there%s", where, missing[1], #missing == 1 and "" or
      (", and %d more of %d files, the last of them %s"):format(#missing - 1, #paths, missing[#missing]))
  end
  return sizes
end

--- Calls f(...) in a mode of this module in which files.sizes takes missing files for empty ones: a data set can then be made
--- without them, and each is met when its sample is decoded, not only the first. When f returns or raises, the mode is what it
--- was.
---@param f fun(...): any
---@param ... any
---@return any ...  what f returns
--- Errors: what f raises.
function files.lenient(f, ...)
  local before = is_lenient
  local _ <close> = setmetatable({}, { __close = function() is_lenient = before end })
  is_lenient = true
  return f(...)
end

--- Those of some names of label tables that are files, not tables that come with ASL.
---@param ... any  names as labels.load takes them; other values are none
---@return string[] paths  each once
function files.tables(...)
  local seen, paths = {}, {}
  for _, name in ipairs(labels.list()) do seen[name] = true end
  for i = 1, select("#", ...) do
    local name = select(i, ...)
    if type(name) == "string" and not seen[name] then
      seen[name] = true
      paths[#paths + 1] = name
    end
  end
  return paths
end

local MAX_TEXT_BYTES = 1 << 26

--- The lines of a text file: for number, line in files.lines(path).
---@param path string  of at most 64 MiB
---@return fun(): integer|nil, string|nil
--- Errors: what reading raises; a line with a NUL, which no text has.
function files.lines(path)
  local number, each = 0, (core.fs.read(path, MAX_TEXT_BYTES) .. "\n"):gmatch "(.-)\r?\n"
  return function()
    local line = each()
    if not line then return nil end
    number = number + 1
    if line:find("\0", 1, true) then files.bad("%s:%d: a NUL; this is no text file", path, number) end
    return number, line
  end
end

--- Names in a folder that match a pattern, sorted; with what the pattern's captures say of each.
---@param path string
---@param pattern string  Lua pattern with at least one capture
---@return table[] found  { name = string, captures... }
function files.matching(path, pattern)
  local found = {}
  for _, name in ipairs(core.fs.list(path)) do
    local captures = { name:match(pattern) }
    if captures[1] then
      captures.name = name
      found[#found + 1] = captures
    end
  end
  return found
end

--- Raises when something is in both of two lists (of scenes, cities) that make different splits.
---@param where string  the constructor
---@param what string  "city", "scan"
---@param lists table<string, string[]>  by the name of the split
function files.disjoint(where, what, lists)
  local names, seen = {}, {}
  for split in pairs(lists) do names[#names + 1] = split end
  table.sort(names)
  for _, split in ipairs(names) do
    for _, item in ipairs(lists[split]) do
      if seen[item] and seen[item] ~= split then
        files.bad("%s: the %s %s is in both splits %s and %s", where, what, item, seen[item], split)
      end
      seen[item] = split
    end
  end
end

files.join = fs.join

return files
