--- What a run was made from: code, build, machine and repository, so that it can be repeated and so
--- that a difference can be explained.

local core = require "asl.core"
local fs = require "asl.fs"

local manifest = {}

local function shell_quote(text)
  return "'" .. text:gsub("'", [['\'']]) .. "'"
end

-- A command's output, nil when it failed or there is no such program.
local function output_of(command)
  local pipe = io.popen(command .. " 2>/dev/null")
  if not pipe then return nil end
  local output = pipe:read("a")
  return pipe:close() and output or nil
end

--- The git state of the repository that holds a directory.
---@param dir string
---@return {commit: string, dirty: boolean, changes: string[]}?  nil where there is no repository;
---  `changes` are the lines of `git status --porcelain`
function manifest.git(dir)
  local git = "git -C " .. shell_quote(dir) .. " "
  local commit = output_of(git .. "rev-parse --verify HEAD")
  if not commit then return nil end
  local changes = {}
  for line in (output_of(git .. "status --porcelain") or ""):gmatch("[^\n]+") do
    changes[#changes + 1] = line
  end
  return {
    commit = commit:match("%x+"),
    dirty = #changes > 0,
    changes = setmetatable(changes, core.json_array),
  }
end

-- Modules that are part of an experiment: ASL's own, and what lies beside the script or below the
-- working directory. Lua libraries of the system are not.
local function belongs(name, path, script_dir)
  if name == "asl" or name:find("^asl%.") then return true end
  return path:sub(1, 1) ~= "/" or path:sub(1, #script_dir + 1) == script_dir .. "/"
end

local function source_of(name, path, as)
  local text = fs.read(path)
  return { name = name, file = as, sha256 = core.sha256(text), text = text }
end

--- Every Lua file that has been loaded and belongs to the experiment.
---@param script? string  the experiment's own file
---@return {name: string, file: string, sha256: string, text: string}[]  sorted by name; `file` is
---  where it goes below code/
function manifest.code(script)
  local found = {}
  local script_dir = script and fs.dirname(fs.realpath(script)) or "/"
  if script_dir == "/" then script_dir = "\0" end -- never "everything below the root"
  for name in pairs(package.loaded) do
    local path = package.searchpath(name, package.path)
    if path and belongs(name, path, script_dir) then
      local as = "lua/" .. name:gsub("%.", "/") .. (path:find("/init%.lua$") and "/init.lua" or ".lua")
      found[#found + 1] = source_of(name, path, as)
    end
  end
  table.sort(found, function(a, b) return a.name < b.name end)
  if script then
    table.insert(found, 1, source_of("script", script, fs.slug(fs.basename(script))))
  end
  return found
end

--- Copies code into a directory and returns the list without the texts, for the manifest.
---@param sources table[]  of manifest.code
---@param dir string
---@return {name: string, file: string, sha256: string}[]
function manifest.keep_code(sources, dir)
  local list = setmetatable({}, core.json_array)
  for i, source in ipairs(sources) do
    local path = fs.join(dir, source.file)
    fs.mkdirs(fs.dirname(path))
    fs.write(path, source.text, { durable = false })
    list[i] = { name = source.name, file = "code/" .. source.file, sha256 = source.sha256 }
  end
  return list
end

--- Which of the files that a run began with are others now, or gone; also those not yet loaded.
---@param before {name: string, sha256: string}[]
---@param script? string  where the experiment's own file is
---@return string[] names
function manifest.changed_code(before, script)
  local changed = {}
  for _, source in ipairs(before) do
    local path = source.name == "script" and script or package.searchpath(source.name, package.path)
    local there = path and fs.stat(path)
    if not there or core.sha256(fs.read(path)) ~= source.sha256 then changed[#changed + 1] = source.name end
  end
  return changed
end

--- Build and machine: core.version() with the host's name, and what a device beside the CPU is and uses.
---@param device string|nil
---@return table
function manifest.environment(device)
  local environment = core.version()
  environment.host = core.hostname()
  local gpu = device and device ~= "cpu" and core.device_info(device) or nil
  if gpu then
    gpu.device, gpu.algorithms = device, core.device_algorithms(device)
    table.insert(environment.devices, gpu)
  end
  return environment
end

return manifest
