--- The environment: where data lies and where runs go on this machine, one Lua file per machine:
---
---     return { runs = "/scratch/runs", camvid = "/data/camvid", nyuv2 = "/data/nyuv2" }
---
--- A data set may be an archive, which is unpacked to a local disk when it is first asked for (asl.staging):
---
---     return { scratch = "/local", nyuv2 = { archive = "/net/nyu.tar.gz", folder = "nyu", sha256 = "..." } }
---
--- Found by --env FILE, else $ASL_ENV; without either it is empty.

local fault = require "asl.fault"

local env = {}
local file, entries

--- Uses this file instead of $ASL_ENV.
---@param path string
function env.use(path)
  file, entries = path, nil
end

local function load_entries()
  file = file or os.getenv("ASL_ENV")
  if not file then return {} end
  local chunk, message = loadfile(file, "t", {})
  if not chunk then
    fault.raise("cannot read the environment: " .. message, { level = 0, exit_code = fault.exit.usage })
  end
  local values = chunk()
  if type(values) ~= "table" then
    fault.raise(("%s: an environment file returns a table, this one returns a %s"):format(file, type(values)),
      { level = 0, exit_code = fault.exit.usage })
  end
  return values
end

--- What the environment says of a name, or nil.
---@param name string
---@return any
function env.get(name)
  entries = entries or load_entries()
  return entries[name]
end

--- Where a data set lies: the given path if there is one, else the environment's entry, which may be an archive to unpack:
--- { archive, folder, scratch, sha256 }, see asl.staging.path.
---@param name string   "camvid"
---@param given string  from the configuration; "" = not given
---@param key string|nil  the configuration's key for it; default "data"
---@return string path
---@error neither is there, saying what to write where; what asl.staging.path raises
function env.path(name, given, key)
  if given ~= "" then return given end
  local entry = env.get(name)
  if type(entry) == "table" then return require("asl.staging").path(name, entry, env.get "scratch") end
  return entry or fault.raise(("where is %s?"):format(name), { level = 0, exit_code = fault.exit.usage,
    hint = ("write %s=DIRECTORY on the command line, or %s = \"DIRECTORY\" into %s"):format(key or "data", name,
      file or "an environment file (--env FILE or $ASL_ENV)") })
end

--- `asl.env()`: all entries.
return setmetatable(env, {
  __call = function()
    entries = entries or load_entries()
    return entries
  end,
})
