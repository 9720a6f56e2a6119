--- JSON with exact numbers: integers stay integers, doubles come back bit for bit, keys are sorted,
--- so the same value always gives the same text.

local core = require "asl.core"

local json = {}

--- What null is in Lua: a value of its own, because a table cannot hold nil.
json.null = core.json_null

--- Marks a list so that it is written as [] even when it is empty ({} is written otherwise).
---@generic T: table
---@param list T
---@return T list  the same table
function json.array(list)
  return setmetatable(list, core.json_array)
end

--- The text of a value. Tables with keys 1..n are arrays, tables with string keys are objects.
--- Raises for anything JSON cannot hold (functions, mixed keys, strings that are not UTF-8), naming
--- where in the value it is.
---@param value any
---@param options? {indent: boolean?, nonfinite: "error"|"null"|"string"?}  `nonfinite` says what
---  becomes of NaN and infinities: an error (default), null, or "NaN", "Infinity", "-Infinity"
---@return string
function json.encode(value, options)
  return core.json_encode(value, options)
end

--- The value of a text. Raises on anything that is not JSON (RFC 8259), on duplicate keys and on
--- integers beyond 64 bits, naming line and column.
---@param text string
---@param from? string  where the text is from, for messages
---@return any
function json.decode(text, from)
  return core.json_decode(text, from)
end

--- Reads a file of at most 256 MiB.
---@param path string
---@return any
function json.read(path)
  return core.json_decode(core.fs.read(path, 256 << 20), path)
end

--- Writes a value as indented text, replacing the file in one step.
---@param path string
---@param value any
---@param options? {nonfinite: "error"|"null"|"string"?, durable: boolean?}  `durable` (default
---  true): the bytes are on the disk when it returns
function json.write(path, value, options)
  options = options or {}
  local text = core.json_encode(value, { indent = true, nonfinite = options.nonfinite })
  core.fs.write(path, text, { durable = options.durable ~= false })
end

return json
