--- Damaged copies of a file, and what reading them may do: fail with a message that names the file, or give a result; in
--- little time and memory.

local assert = require "luassert"
local core = require "asl.core"
local asl = require "asl"
local fault = require "asl.fault"

local hostile = {}

local FLIPS = 1000
local MOST_SECONDS = 2     -- for one file of some kilobytes
local MOST_GROWTH = 64     -- MiB of the process

local function resident()
  local status = assert(io.open("/proc/self/status")):read "a"
  return tonumber(status:match "VmHWM:%s*(%d+) kB") / 1024
end

--- What a file holds, as plain data.
---@param path string
---@return table
function hostile.content(path)
  local content, scope <close> = {}, asl.scope()
  local values, list = asl.weights.read(path)
  for i, entry in ipairs(list) do
    local value = values[entry.name]
    content[i] = { entry.name, entry.dtype or "", entry.shape and table.concat(entry.shape, "x") or "",
      type(value) == "userdata" and value:digest() or tostring(value) }
  end
  return content
end

--- Reads a damaged copy; complains unless the message names it.
---@return table|nil content  when it could be read
local function try(path, what)
  local began = core.monotonic()
  local ok, result = pcall(hostile.content, path)
  local seconds = core.monotonic() - began
  assert(seconds < MOST_SECONDS, ("%s: %.1f s"):format(what, seconds))
  if ok then return result end
  local message = fault.cause(result)
  assert(message:find(('"%s"'):format(path), 1, true), what .. ": " .. message)
  assert(not message:find "%.lua:%d", what .. ": " .. message)
  return nil
end

--- Every hundredth of a file's length as a copy's: all must be refused.
---@param path string  of the damaged copy
---@param bytes string  of the right file
---@param name string
function hostile.truncations(path, bytes, name)
  core.fs.write(path, bytes, { durable = false })
  local file = core.fs.append(path)
  for percent = 99, 0, -1 do
    local length = #bytes * percent // 100
    file:truncate(length)
    assert(not try(path, name), ("%s cut to %d bytes was read"):format(name, length))
  end
  file:close()
end

--- Copies with one byte changed, at places of a fixed sequence.
---@param path string  of the damaged copy
---@param bytes string  of the right file
---@param name string
---@param given { checked: boolean, stream: integer }  checked: what can be read must be the right content
---@return integer readable
function hostile.flips(path, bytes, name, given)
  core.fs.write(path, bytes, { durable = false })
  local right, before, readable = given.checked and hostile.content(path), resident(), 0
  local file <close> = assert(io.open(path, "r+b"))
  file:setvbuf "no"
  for i = 1, FLIPS do
    local word, change = core.random(17, 1000, given.stream, i)
    local at = word % #bytes
    local byte = bytes:byte(at + 1)
    local flipped = byte ~ (1 + change % 255)
    file:seek("set", at)
    file:write(string.char(flipped))
    local what = ("%s with byte %d = 0x%02x"):format(name, at, flipped)
    local content = try(path, what)
    if content then
      readable = readable + 1
      if right then assert.same(right, content, what) end
    end
    file:seek("set", at)
    file:write(string.char(byte))
  end
  assert(resident() - before < MOST_GROWTH, ("%s: %.0f MiB more"):format(name, resident() - before))
  return readable
end

return hostile
