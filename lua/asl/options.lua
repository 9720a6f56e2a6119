--- Named arguments: one table, checked against what is known.
---
--- A constructor describes its options by their defaults and gets back a complete table:
---
---     local given = options.check("asl.optim.adam", ..., {
---       params = options.required,               -- must be given, any type
---       lr     = 1e-3,                           -- a number
---       name   = options.optional("string"),     -- may be left out (nil)
---       mode   = options.one_of{"joint", "split"}, -- the first is the default
---       extra  = options.any,                    -- anything, nil when left out
---     })

local nearest = require "asl.nearest"

local options = {}

local rule = {}
rule.__index = rule

--- `accepts(value)` returns true, or false and what would be right.
local function new_rule(fields)
  return setmetatable(fields, rule)
end

local function anything()
  return true
end

local function of_type(expected)
  local article = expected:find("^[aeiou]") and "an " or "a "
  return function(value)
    if expected == "integer" then
      return math.type(value) == "integer", "an integer"
    end
    return type(value) == expected, article .. expected
  end
end

--- The option must be given; of any type.
options.required = new_rule { required = true, accepts = anything }

--- The option may have any value and may be left out.
options.any = new_rule { accepts = anything }

--- The option must be given and have this type.
---@param kind string  a Lua type name, or "integer"
---@return table rule
function options.require(kind)
  return new_rule { required = true, accepts = of_type(kind) }
end

--- The option may be left out (nil), else it must have this type.
---@param kind string  a Lua type name, or "integer"
---@return table rule
function options.optional(kind)
  return new_rule { accepts = of_type(kind) }
end

--- The option must be one of these values; the first is the default.
---@param values any[]
---@return table rule
function options.one_of(values)
  local shown = {}
  for i, value in ipairs(values) do
    shown[i] = type(value) == "string" and string.format("%q", value) or tostring(value)
  end
  local what = "one of " .. table.concat(shown, ", ")
  return new_rule {
    default = values[1],
    accepts = function(value)
      for _, allowed in ipairs(values) do
        if value == allowed then return true end
      end
      return false, what
    end,
  }
end

local function describe(value)
  local kind = type(value)
  if kind == "string" then return string.format("the string %q", value) end
  if kind == "number" or kind == "boolean" then return "the " .. kind .. " " .. tostring(value) end
  return "a " .. kind
end

local function rule_of(default)
  if getmetatable(default) == rule then return default end
  return new_rule { default = default, accepts = of_type(type(default)) }
end

--- The level, as error() counts it in `reject` below, of the code that called the constructor: the first frame outside the
--- constructor's own file.
local function caller_level()
  local check = 3 -- this function, reject, options.check
  if debug.getinfo(check, "t").istailcall then return check end
  local constructor = debug.getinfo(check + 1, "S")
  local level = check + 2
  while true do
    local info = debug.getinfo(level, "S")
    if not info then return check end
    if info.what ~= "C" and info.source ~= constructor.source then return level - 1 end
    level = level + 1
  end
end

--- Checks the options given to a constructor and fills in the defaults.
---@param where string  name of the constructor, for messages: "asl.optim.adam"
---@param given table|nil  what the caller passed
---@param defaults table<string, any>  default value (its type is the required type) or a rule per option
---@return table merged  a new table; tables inside it are the caller's own
---@error at the line that called the constructor: unknown option (with the known ones and the nearest), wrong type, missing
function options.check(where, given, defaults)
  local function reject(format, ...)
    error(string.format("%s: " .. format, where, ...), caller_level())
  end

  if given ~= nil and type(given) ~= "table" then
    reject("takes one table of named options, not %s", describe(given))
  end
  given = given or {}

  local known = {}
  for name in pairs(defaults) do
    known[#known + 1] = name
  end
  table.sort(known)

  local unknown = {}
  for name in pairs(given) do
    if defaults[name] == nil then unknown[#unknown + 1] = tostring(name) end
  end
  if #unknown > 0 then
    table.sort(unknown)
    local guess = nearest.one(unknown[1], known)
    reject("unknown option %q (known: %s)%s", unknown[1], table.concat(known, ", "),
      guess and string.format("; did you mean %q?", guess) or "")
  end

  local merged = {}
  for _, name in ipairs(known) do
    local this, value = rule_of(defaults[name]), given[name]
    if value == nil then
      if this.required then reject("option %q must be given", name) end
      merged[name] = this.default
    else
      local accepted, what = this.accepts(value)
      if not accepted then reject("option %q must be %s, not %s", name, what, describe(value)) end
      merged[name] = value
    end
  end
  return merged
end

return options
