--- The log of a run: JSON records in TFRecord framing, only ever appended to, and nothing in it that
--- depends on the clock. It is the truth that every view (TensorBoard, report) is made from.

local core = require "asl.core"
local json = require "asl.json"
local record = require "asl.record"

---@class asl.log
---@field path string
---@field dropped integer  bytes of a torn record that were cut off at open
local log = {}
log.__index = log

local numbers = { NaN = 0 / 0, Infinity = math.huge, ["-Infinity"] = -math.huge }

local function decode(data, path)
  local entry = json.decode(data, path)
  for name, value in pairs(type(entry) == "table" and entry.values or {}) do
    entry.values[name] = numbers[value] or value
  end
  return entry
end

--- Opens a log for appending and creates it when there is none. What a crash left of a last record is
--- cut off; `dropped` says how many bytes that was.
---@param path string
---@return asl.log
function log.open(path)
  local valid, rest = record.each(path, function() end)
  local self = setmetatable({ path = path, dropped = rest, file = core.fs.append(path) }, log)
  if rest > 0 then self.file:truncate(valid) end
  return self
end

--- Appends one record; when the disk is full it raises and the log keeps its last whole record.
---@param entry table  plain data; NaN and infinities may only stand in `entry.values`
function log:append(entry)
  self.file:write(record.frame(json.encode(entry, { nonfinite = "string" })))
end

--- Bytes in the log.
---@return integer
function log:size()
  return self.file:size()
end

--- Cuts the log back to `offset` bytes, where a record ended.
---@param offset integer
function log:truncate(offset)
  self.file:truncate(offset)
end

--- Returns when everything appended is on the disk.
function log:sync()
  self.file:sync()
end

function log:close()
  self.file:close()
end

--- Visits the records of a log in order.
---@param path string
---@param visit fun(entry: table, offset: integer)  `offset`: where the record begins, in bytes
---@return integer valid, integer rest, string? problem  as record.each
function log.each(path, visit)
  return record.each(path, function(data, offset)
    visit(decode(data, path), offset)
  end)
end

--- All records of a log.
---@param path string
---@return table[]
function log.read(path)
  local entries = {}
  log.each(path, function(entry)
    entries[#entries + 1] = entry
  end)
  return entries
end

return log
