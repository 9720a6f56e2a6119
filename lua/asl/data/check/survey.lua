--- Looks at every sample of some data sets, in threads: decodes it, counts what is in it, and digests its files.
---
--- What was found out of a sample stands in a line of the part file as soon as it is known. A check that was stopped takes it
--- from there, for samples whose files have the same names, sizes and times.

local core = require "asl.core"
local fault = require "asl.fault"
local json = require "asl.json"
local packed = require "asl.data.packed"

local survey = {}

local CHUNK = 16 -- samples between two lines of the part file

---@class asl.check.found  what is known of a sample
---@field files {path: string, bytes: integer, sha256: string, mtime: number}[]
---@field height integer
---@field width integer
---@field labels integer[][]  {value, pixels}
---@field depth_known integer?  pixels
---@field depth_low number?  metres
---@field depth_high number?
---@field flow_known integer
---@field flow_longest number  pixels

-- ---- the part file ----------------------------------------------------------------------------------------------------

---@class asl.check.memory
---@field path string
---@field samples table<string, asl.check.found>  by data set and id
---@field files table<string, table>  by path: what has been digested
---@field unreadable table<string, boolean>  by path: what this check could not digest, and does not try again
---@field problems {set: string, id: string?, message: string}[]
local Memory = {}
Memory.__index = Memory

local function key_of(set, i)
  return set.name .. "\n" .. set.ids[i]
end

local function read_lines(memory, text)
  local whole = 0
  for line, at in text:gmatch "([^\n]*)\n()" do
    local ok, record = pcall(json.decode, line, memory.path)
    if not ok or type(record) ~= "table" then break end -- the end of a write that was cut short
    if record.key then memory.samples[record.key] = record.found end
    for _, file in ipairs(record.found and record.found.files or { record.file }) do memory.files[file.path] = file end
    whole = at - 1
  end
  return whole
end

--- Opens the part file, with what an earlier check wrote into it.
---@param path string
---@return asl.check.memory
function survey.memory(path)
  local self = setmetatable({ path = path, samples = {}, files = {}, unreadable = {}, problems = {}, told = {} }, Memory)
  local whole = core.fs.stat(path) and read_lines(self, core.fs.read(path, 1 << 32)) or 0
  self.out = core.fs.append(path)
  self.out:truncate(whole)
  return self
end

function Memory:write(records)
  local lines = {}
  for i, record in ipairs(records) do lines[i] = json.encode(record) .. "\n" end
  if #lines > 0 then self.out:write(table.concat(lines)) end
end

function Memory:close()
  self.out:close()
end

--- Each problem once.
function Memory:problem(set, id, message)
  if self.told[message] then return end
  self.told[message] = true
  self.problems[#self.problems + 1] = { set = set, id = id, message = message }
end

-- ---- files ------------------------------------------------------------------------------------------------------------

--- What is known of a file, when it has not changed since.
local function known_file(memory, path)
  local known = memory.files[path]
  local info = known and core.fs.stat(path)
  return info and info.size == known.bytes and info.mtime == known.mtime and known or nil
end

--- Whether a file has still to be digested.
local function is_new(memory, path)
  return not memory.unreadable[path] and not known_file(memory, path)
end

--- Keeps that a file cannot be read.
local function give_up(memory, title, id, path, message)
  memory.files[path], memory.unreadable[path] = nil, true
  memory:problem(title, id, message)
end

--- Digests what a data set was made from, besides the files of its samples.
---@param memory asl.check.memory
---@param title string  of the data set, for problems
---@param set asl.Dataset
function survey.own_files(memory, title, set)
  for _, path in ipairs(set.files) do
    if is_new(memory, path) then
      local info = core.fs.stat(path)
      local ok, sha256, bytes = pcall(core.sha256_file, path)
      if ok and info then
        local file = { path = path, bytes = bytes, sha256 = sha256, mtime = info.mtime }
        memory.files[path] = file
        memory:write { { file = file } }
      else
        give_up(memory, title, nil, path, ok and path .. " is gone" or fault.cause(sha256))
      end
    end
  end
end

--- The files that a sample is read from.
---@param set asl.Dataset
---@param i integer  position in the data set
---@return string[] paths  each once
function survey.files_of(set, i)
  local paths, seen = {}, {}
  for _, path in ipairs(set.sources[i]:files(set.index[i] + 1)) do
    if not seen[path] then paths[#paths + 1] = path end
    seen[path] = true
  end
  return paths
end

-- ---- samples ----------------------------------------------------------------------------------------------------------

--- What an earlier check found out of a sample, when none of its files has changed since.
local function known_sample(memory, set, i, paths)
  local found = memory.samples[key_of(set, i)]
  if not found or #found.files ~= #paths then return nil end
  for f, path in ipairs(paths) do
    if found.files[f].path ~= path or not known_file(memory, path) then return nil end
  end
  return found
end

--- A sample that cannot be decoded: what is wrong with each of its planes.
local function look_closely(memory, title, set, i, message)
  memory:problem(title, set.ids[i], message)
  for _, plane in ipairs(set.planes) do
    local scope <close> = core.scope()
    local ok, problem = pcall(set.sample, set, i, { plane })
    if not ok then memory:problem(title, set.ids[i], fault.cause(problem)) end
  end
end

local function sorted_pairs(labels)
  local list = {}
  for value, pixels in pairs(labels) do list[#list + 1] = { value, pixels } end
  table.sort(list, function(a, b) return a[1] < b[1] end)
  return list
end

--- What became of one sample; nil when something is wrong with it.
local function take(memory, title, set, i, row, paths, times)
  for _, file in ipairs(row.files) do
    if file.error then
      give_up(memory, title, set.ids[i], file.path, file.error)
    else
      file.mtime = times[file.path]
      memory.files[file.path] = file
    end
  end
  if row.error then
    look_closely(memory, title, set, i, row.error)
    return nil
  end
  local found = { files = {} }
  for f, path in ipairs(paths) do
    if memory.unreadable[path] then return nil end
    found.files[f] = memory.files[path]
  end
  found.height, found.width, found.labels = row.height, row.width, sorted_pairs(row.labels)
  found.depth_known, found.depth_low, found.depth_high = row.depth_known, row.depth_low, row.depth_high
  found.flow_known, found.flow_longest = row.flow_known, row.flow_longest
  return found
end

--- The rows that core.survey takes, which digest each file that is not known in the first of them that needs it; and when
--- the files had last been written.
local function rows_of(memory, set, chunk)
  local rows, times = {}, {}
  for r, item in ipairs(chunk) do
    local new = {}
    for _, path in ipairs(item.paths) do
      if times[path] == nil and is_new(memory, path) then
        local info = core.fs.stat(path)
        times[path] = info and info.mtime or false
        new[#new + 1] = path
      end
    end
    rows[r] = { set.sources[item.i], set.index[item.i] + 1, new }
  end
  return rows, times
end

--- Decodes some samples; hands each that is sound to visit(i, found).
local function look_at(memory, title, set, chunk, visit)
  local rows, times = rows_of(memory, set, chunk)
  local records = {}
  for r, row in ipairs(#rows > 0 and core.survey(rows) or {}) do
    local item = chunk[r]
    local found = take(memory, title, set, item.i, row, item.paths, times)
    if found then
      records[#records + 1] = { key = key_of(set, item.i), found = found }
      visit(item.i, found)
    end
  end
  memory:write(records)
end

--- Looks at every sample of a data set.
---@param memory asl.check.memory
---@param title string  of the data set, for problems
---@param set asl.Dataset
---@param visit fun(i: integer, found: asl.check.found)  for each sample that is sound
---@param bar asl.progress
function survey.samples(memory, title, set, visit, bar)
  local chunk = {}
  for i = 1, #set do
    local paths = survey.files_of(set, i)
    local found = known_sample(memory, set, i, paths)
    if found then
      visit(i, found)
      bar:update(bar.done + 1)
    else
      chunk[#chunk + 1] = { i = i, paths = paths }
    end
    if #chunk == CHUNK or i == #set then
      packed.stop_if_asked()
      look_at(memory, title, set, chunk, visit)
      bar:update(bar.done + #chunk)
      chunk = {}
    end
  end
end

return survey
