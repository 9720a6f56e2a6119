--- The runs below a directory, as their files tell it.

local fs = require "asl.fs"
local json = require "asl.json"
local progress = require "asl.progress"

local listing = {}

--- A time in UTC.
---@param time number  seconds since 1970
---@param format string  of os.date
---@return string
function listing.utc(time, format)
  return tostring(os.date("!" .. format, math.floor(time)))
end

local function describe(path)
  local read, description = pcall(json.read, fs.join(path, "manifest.json"))
  local told, status = pcall(json.read, fs.join(path, "status.json"))
  if not read or not tonumber(description.created) then return nil end -- no run
  if not told then status = { state = "unknown" } end
  local state = status.state
  -- Who is killed cannot say so, but its lock is gone.
  if state == "running" and not fs.locked(fs.join(path, "lock")) then state = "killed" end
  return {
    path = path, name = description.name, id = description.id, created = description.created, state = state,
    step = status.step, task = status.task, message = status.message,
  }
end

--- The runs below a directory, oldest first.
---@param dir string
---@return {path: string, name: string, id: string, created: number, state: string, step: integer?,
---  task: string?, message: string?}[]  `state`: "running", "done", "preempted", "failed", or "killed"
---  when the process is gone without a word
function listing.list(dir)
  local found = {}
  for _, name in ipairs(fs.stat(dir) and fs.list(dir) or {}) do
    local group = fs.join(dir, name)
    local info = fs.stat(group)
    for _, id in ipairs(info and info.is_dir and fs.list(group) or {}) do
      found[#found + 1] = describe(fs.join(group, id))
    end
  end
  table.sort(found, function(a, b)
    if a.created ~= b.created then return a.created < b.created end
    return a.path < b.path
  end)
  return found
end

--- The same as a table to read.
---@param dir string
---@return string
function listing.list_text(dir)
  local rows = {}
  for i, entry in ipairs(listing.list(dir)) do
    rows[i] = {
      entry.path, entry.state, entry.step and tostring(entry.step) or "", entry.task or "",
      listing.utc(entry.created, "%Y-%m-%d %H:%M UTC"), entry.message or "",
    }
  end
  if #rows == 0 then return ("no runs in %q"):format(dir) end
  return progress.table {
    header = { "run", "state", "step", "task", "began", "message" }, align = "llrlll", rows = rows,
  }
end

return listing
