--- Configuration: defaults of an experiment, overridden by name and checked by type.

local fault = require "asl.fault"
local nearest = require "asl.nearest"

local config = {}

local function sorted_keys(t)
  local keys = {}
  for key in pairs(t) do keys[#keys + 1] = key end
  table.sort(keys)
  return keys
end

local function wrong(where, key, value, wanted)
  local shown = type(value) == "table" and "a list" or ("%s (a %s)"):format(tostring(value), type(value))
  fault.raise(("%s: %s must be %s, not %s"):format(where, key, wanted, shown),
    { level = 0, exit_code = fault.exit.usage })
end

--- `value` as the type of `default`: whole numbers pass as numbers, a single value as a list of one.
local function converted(where, key, value, default)
  if type(default) == "table" then
    local list = type(value) == "table" and value or { value }
    if value == "" then list = {} end
    for i, item in ipairs(list) do
      if default[1] ~= nil and type(item) ~= type(default[1]) then
        wrong(where, ("%s[%d]"):format(key, i), item, "a " .. type(default[1]))
      end
    end
    return list
  end
  if math.type(default) == "integer" then
    local whole = math.tointeger(value)
    if not whole or type(value) ~= "number" then wrong(where, key, value, "a whole number") end
    return whole
  end
  if type(default) == "number" and type(value) == "number" then return value + 0.0 end
  if type(default) == "string" and type(value) == "number" then return tostring(value) end
  if type(value) ~= type(default) then
    wrong(where, key, value, type(default) == "boolean" and "true or false" or "a " .. type(default))
  end
  return value
end

--- The configuration of a run.
---@param where string     the experiment, for messages
---@param defaults table<string, any>   every key there is, with its default; the default's type is the key's
---@param overrides table<string, any>|nil
---@return table resolved  a new table
---@error unknown key, with the nearest; a value of another type (exit code 64)
function config.resolve(where, defaults, overrides)
  local resolved = {}
  for key, default in pairs(defaults) do resolved[key] = default end
  for _, key in ipairs(sorted_keys(overrides or {})) do
    if defaults[key] == nil then
      local known = sorted_keys(defaults)
      local guess = nearest.one(key, known)
      fault.raise(("%s has no setting %q"):format(where, key), { level = 0, exit_code = fault.exit.usage,
        hint = (guess and ("did you mean %s? "):format(guess) or "") .. "settings: " .. table.concat(known, ", ") })
    end
    resolved[key] = converted(where, key, overrides[key], defaults[key])
  end
  return resolved
end

--- Two tables as one; the second wins.
---@param base table
---@param more table
---@return table
function config.merge(base, more)
  local merged = {}
  for key, value in pairs(base) do merged[key] = value end
  for key, value in pairs(more) do merged[key] = value end
  return merged
end

return config
