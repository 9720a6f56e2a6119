--- The command line of `asl`.

local fault = require "asl.fault"
local nearest = require "asl.nearest"

local cli = {}

local usage = [[
usage: asl FILE.lua [key=value ...]   run an experiment or a script
       asl profile FILE.lua [key=value ...]
                                      where its time goes: by phase, op and layer, and in a trace file
       asl resume RUN                 go on with a run that was stopped
       asl runs [DIR]                 list runs
       asl -e CODE [ARGUMENT ...]     run CODE; asl is there as a global
       asl                            a prompt (or the lines of standard input)
       asl help [WORD]                what a word of asl means
       asl data labels [TABLE]        the label tables; one with its ids, colours and names
       asl data check PATH            what data set lies there, and whether every file of it is sound
       asl data pack KIND key=value ... DIR
                                      a data set decoded once, in one file in DIR that is read at the speed of memory
       asl weights FILE               what is in a file of weights (.pth, .pt, .ckpt, .safetensors)

options:
  --runs DIR     where runs go (else the env's `runs`, else ./runs)
  --env FILE     where data lies and runs go, instead of $ASL_ENV
  --trace        show the whole stack with an error
  --updates A-B  updates of an experiment to profile (4-13), after which it is saved and ends
  --all          all layers in the profile, not only the slowest 25
  --out DIR      where asl data check writes what it found (./check-NAME)
  --ranks N      train in N processes on this machine, each computing its part of every update (asl help ranks)
  --version      build, libraries, devices
  --help         this text
  --             what follows goes to the script unread

key=value replaces a value of the experiment's config: updates=30 lr=1e-3 flag=true size=96,128 name="a,b"
exit codes: 0 done, 64 usage, 65 bad data, 70 error, 74 i/o, 75 stopped and saved, 76 not finite, 77 manifest mismatch]]

local options = { "--runs", "--env", "--updates", "--all", "--out", "--ranks", "--trace", "--version", "--help", "-e", "-h" }
local with_value = {
  ["--runs"] = "runs", ["--env"] = "env", ["--updates"] = "updates", ["--ranks"] = "ranks", ["--out"] = "out",
}
local flags = { ["--trace"] = true, ["--version"] = true, ["--help"] = true, ["--all"] = true }
local commands = {}

local function bad_usage(message, hint)
  fault.raise(message, { hint = hint, exit_code = fault.exit.usage, level = 0 })
end

-- ---- overrides --------------------------------------------------------------------------------------------------------

local function parse_scalar(text)
  local quoted = text:match('^"(.*)"$')
  if quoted then return quoted end
  if text == "true" then return true end
  if text == "false" then return false end
  -- Decimal notation only: a run named 0x10 keeps its name.
  if text:find("^[+-]?%.?%d[%d.eE+-]*$") then return tonumber(text) or text end
  return text
end

--- Splits at commas that are not within double quotes.
local function split(text)
  local parts, part, quoted = {}, "", false
  for char in text:gmatch(".") do
    if char == '"' then quoted = not quoted end
    if char == "," and not quoted then
      parts[#parts + 1] = part
      part = ""
    else
      part = part .. char
    end
  end
  parts[#parts + 1] = part
  return parts
end

--- The value of key=value: a number, true or false, a list at commas (one comma at the end makes a list of one), else
--- a string; double quotes make any of them a string.
---@param text string
---@return number|boolean|string|any[] value
function cli.parse_value(text)
  local parts = split(text)
  if #parts == 1 then return parse_scalar(text) end
  if parts[#parts] == "" then parts[#parts] = nil end
  local list = {}
  for i, part in ipairs(parts) do
    list[i] = parse_scalar(part)
  end
  return list
end

--- The overrides among the arguments of a script.
---@param arguments string[]
---@return table<string, any> overrides
---@return string[] rest  arguments that are not key=value
function cli.parse_overrides(arguments)
  local overrides, rest = {}, {}
  for _, argument in ipairs(arguments) do
    local key, value = argument:match("^([%a_][%w_.]*)=(.*)$")
    if not key then
      rest[#rest + 1] = argument
    elseif overrides[key] ~= nil then
      bad_usage(string.format("%s is given twice", key), "leave one of them out")
    else
      overrides[key] = cli.parse_value(value)
    end
  end
  return overrides, rest
end

-- ---- arguments ----------------------------------------------------------------------------------------------------------

--- Reads the command line.
---@param arguments string[]
---@return table parsed  { command, positional = {...}, passed = after "--", code, runs, env, updates, ranks, out, trace, all,
---   version, help }
function cli.parse(arguments)
  local parsed, i = { positional = {}, passed = {} }, 1
  while i <= #arguments do
    local argument = arguments[i]
    local name, value = argument:match("^(%-%-[%w-]+)=(.*)$")
    name = name or argument
    if argument == "--" or parsed.code then
      table.move(arguments, argument == "--" and i + 1 or i, #arguments, 1, parsed.passed)
      break
    elseif argument == "-e" then
      parsed.code = arguments[i + 1] or bad_usage("-e needs code", "asl -e 'print(asl.memory())'")
      i = i + 1
    elseif with_value[name] then
      if not value then
        i = i + 1
        value = arguments[i]
      end
      if not value or value == "" then bad_usage(name .. " needs a value", "asl FILE.lua " .. name .. " PLACE") end
      parsed[with_value[name]] = value
    elseif flags[name] then
      parsed[name:sub(3)] = true
    elseif argument == "-h" then
      parsed.help = true
    elseif argument:find("^%-.") then
      local guess = nearest.one(name, options)
      bad_usage("unknown option " .. name, guess and "did you mean " .. guess .. "?" or "asl --help lists them")
    else
      parsed.positional[#parsed.positional + 1] = argument
    end
    i = i + 1
  end
  if commands[parsed.positional[1]] then parsed.command = table.remove(parsed.positional, 1) end
  return parsed
end

-- ---- scripts --------------------------------------------------------------------------------------------------------------

local function use_env(parsed)
  if parsed.env then require("asl.env").use(parsed.env) end
end

local function is_experiment(value)
  return type(value) == "table" and type(rawget(value, "main")) == "function"
end

local function load_script(path)
  local file, problem = io.open(path, "r")
  if not file then
    local guess = nearest.one(path, { "data", "help", "profile", "resume", "runs", "weights" })
    bad_usage("cannot open " .. problem, guess and "did you mean asl " .. guess .. "?" or nil)
  end
  local ok, text = pcall(file.read, file, "a")
  file:close()
  if not ok or not text then bad_usage("cannot read " .. path .. ": is it a file?") end
  local chunk, message = load(text:gsub("^#[^\n]*", "", 1), "@" .. path, "t")
  if not chunk then fault.raise(message, { level = 0 }) end
  return chunk
end

--- Runs a script; where it gives an experiment, executes that.
---@param parsed table
---@param profiled table|nil  what to profile, as of run:profile
local function run_file(parsed, profiled)
  local path = table.remove(parsed.positional, 1)
  local arguments = table.move(parsed.passed, 1, #parsed.passed, #parsed.positional + 1, parsed.positional)
  local overrides, rest = cli.parse_overrides(parsed.positional)
  local script_arg = table.move(arguments, 1, #arguments, 1, { [0] = path })
  local chunk = load_script(path)
  use_env(parsed)
  local core = require "asl.core"
  core.catch_interrupts("raise")
  _G.arg = script_arg
  local profile = profiled and require "asl.profile"
  if profiled then profile.start() end
  local result = chunk(table.unpack(arguments))
  if not is_experiment(result) then
    if profiled then profile.report { title = path, all = profiled.all } end
    return 0
  end
  if #rest > 0 then
    bad_usage(string.format("%s: unexpected argument %q", path, rest[1]), "overrides are written key=value")
  end
  return require("asl.experiment").execute(result, {
    overrides = overrides, runs = parsed.runs, env = parsed.env, script = path, argv = arguments, trace = parsed.trace,
    profile = profiled,
  })
end

local function run_code(parsed)
  local chunk, message = load(parsed.code, "=(command line)", "t")
  if not chunk then fault.raise(message, { level = 0, exit_code = fault.exit.usage }) end
  use_env(parsed)
  _G.asl = require "asl"
  _G.arg = table.move(parsed.passed, 1, #parsed.passed, 1, { [0] = "-e" })
  require("asl.core").catch_interrupts("raise")
  chunk(table.unpack(parsed.passed))
  return 0
end

local function run_prompt(parsed)
  use_env(parsed)
  local core, repl = require "asl.core", require "asl.repl"
  local session = repl.session { asl = require "asl" }
  if not (core.isatty("stdin") and core.isatty("stdout")) then
    core.catch_interrupts("raise")
    return repl.run_piped(session, io.stdin)
  end
  local version = core.version()
  print(string.format("asl %s on %s (%s). ?word explains a word, Tab completes, Ctrl-D leaves.",
    version.version, version.devices[1].device, version.devices[1].backend))
  return repl.run_terminal(session, core)
end

-- ---- commands -------------------------------------------------------------------------------------------------------------

function commands.help(parsed)
  if #parsed.positional > 1 then bad_usage("help takes one word, not " .. #parsed.positional) end
  local found, text = require("asl.help").text(parsed.positional[1] or "")
  local out = found and io.stdout or io.stderr
  out:write(text, "\n")
  return found and 0 or fault.exit.usage
end

function commands.resume(parsed)
  if #parsed.positional ~= 1 then
    bad_usage("resume takes the folder of one run", "asl resume runs/NAME/ID; asl runs lists them")
  end
  return require("asl.experiment").resume(parsed.positional[1], { env = parsed.env, trace = parsed.trace })
end

function commands.runs(parsed)
  if #parsed.positional > 1 then bad_usage("runs takes one folder, not " .. #parsed.positional) end
  use_env(parsed)
  local folder = parsed.positional[1] or parsed.runs or require("asl.env").get("runs") or "runs"
  print(require("asl.run").list_text(folder))
  return 0
end

function commands.data(parsed)
  use_env(parsed)
  return require("asl.data.command").run(parsed)
end

function commands.weights(parsed)
  if #parsed.positional ~= 1 then
    bad_usage("weights takes one file", "asl weights fast_scnn_citys.pth; it lists the tensors in it")
  end
  print(require("asl.weights").text(parsed.positional[1]))
  return 0
end

function commands.profile(parsed)
  if not parsed.positional[1] then bad_usage("profile takes a script", "asl profile FILE.lua [key=value ...]") end
  local profiled = { all = parsed.all, stop = true }
  if parsed.updates then
    local first, last = parsed.updates:match("^(%d+)%-(%d+)$")
    profiled.first, profiled.last = math.tointeger(first), math.tointeger(last)
    if not profiled.last or profiled.first < 1 or profiled.last < profiled.first then
      bad_usage(("--updates: %q is no range of updates"):format(parsed.updates), "asl profile FILE.lua --updates 4-13")
    end
  end
  return run_file(parsed, profiled)
end

-- What there is of CUDA: the GPU, or what is missing.
local function cuda_text(version)
  if version.cuda == "not built" then return version.cuda end
  local info, why = require("asl.core").device_info("cuda")
  if not info then return ("none (%s; CUDA %s)"):format(why:gsub('^device "cuda": ', ""), version.cuda) end
  local number = info.count > 1 and (" (one of %d)"):format(info.count) or ""
  return ("%s%s, %.0f GiB, %s"):format(info.name, number, info.total_bytes / 2 ^ 30, info.detail)
end

--- What `asl --version` prints.
---@return string text
function cli.version_text()
  local version = require("asl.core").version()
  local lines = {
    string.format("asl %s (%s, %s, %s)", version.version, version.commit, version.build, version.compiler),
  }
  local names = {}
  for name, number in pairs(version.libraries) do
    names[#names + 1] = name .. " " .. number
  end
  table.sort(names)
  lines[#lines + 1] = "libraries: " .. table.concat(names, ", ")
  for _, device in ipairs(version.devices) do
    lines[#lines + 1] = string.format("device %s: %s, %d thread%s, %s kernels", device.device, device.name, device.threads,
      device.threads == 1 and "" or "s", device.backend)
  end
  lines[#lines + 1] = "device cuda: " .. cuda_text(version)
  lines[#lines + 1] = "ranks: " .. (version.mpi == "no" and "none (built without MPI)" or "by " .. version.mpi)
  return table.concat(lines, "\n")
end

local without_ranks = { help = true, runs = true, data = true, weights = true }

-- Starts the ranks that --ranks asks for, each with this command line; nil where there is nothing to start, or where
-- this is one of them.
local function start_ranks(parsed, arguments)
  if not parsed.ranks then return nil end
  local count = math.tointeger(tonumber(parsed.ranks))
  if not count or count < 1 or count > 4096 then
    bad_usage(("--ranks: %q is no number of ranks"):format(parsed.ranks), "asl --ranks 4 FILE.lua shards=4")
  end
  local runs = parsed.code or parsed.positional[1]
  if not runs or without_ranks[parsed.command] or parsed.help or parsed.version then
    bad_usage("--ranks is for running a script")
  end
  local _, started, launcher = require("asl.core").ranks.launched()
  if launcher and started ~= count then
    bad_usage(("--ranks %d: this is one of %d ranks that %s has started"):format(count, started, launcher))
  end
  return count > 1 and not launcher and require("asl.ranks").launch(count, arguments) or nil
end

local function dispatch(parsed, arguments)
  if (parsed.updates or parsed.all) and parsed.command ~= "profile" then
    bad_usage((parsed.updates and "--updates" or "--all") .. " is for asl profile")
  end
  if parsed.out and parsed.command ~= "data" then bad_usage("--out is for asl data check") end
  local code = start_ranks(parsed, arguments)
  if code then
    return code
  elseif parsed.help then
    print(usage)
    return 0
  elseif parsed.version then
    print(cli.version_text())
    return 0
  elseif parsed.command then
    return commands[parsed.command](parsed)
  elseif parsed.code then
    return run_code(parsed)
  elseif parsed.positional[1] then
    return run_file(parsed)
  end
  return run_prompt(parsed)
end

--- Runs the program.
---@param arguments string[]  the command line without the program
---@return integer code  exit code
function cli.main(arguments)
  local trace, ranks
  local ok, result = fault.catch(function()
    local parsed = cli.parse(arguments)
    trace = parsed.trace
    ranks = not (parsed.help or parsed.version) and require "asl.ranks" or nil
    return dispatch(parsed, arguments)
  end)
  if ok and ranks then
    ok, result = fault.catch(function()
      ranks.leave(result)
      return result
    end)
  end
  if ok then return result end
  if ranks then
    result = ranks.announce(result, trace)
    ranks.leave(result.exit_code or fault.exit.internal)
  else
    io.stdout:flush()
    io.stderr:write(fault.text(result, trace), "\n")
  end
  return result.exit_code or fault.exit.internal
end

return cli
