--- Runs the program under test as a person would.

local core = require "asl.core"

local program = {}

--- Path of the program: the one that runs this spec, else the one in ./build.
---@return string
function program.path()
  local this = core.fs.realpath("/proc/self/exe")
  return this:match("/asl$") and this or core.fs.realpath("build/asl")
end

--- A word as the shell reads it literally.
---@param word string
---@return string
function program.quote(word)
  return "'" .. word:gsub("'", "'\\''") .. "'"
end

local function take(path)
  local text = core.fs.read(path)
  core.fs.remove(path)
  return text
end

--- Runs a shell command.
---@param command string
---@param input string|nil  its standard input
---@return { out: string, err: string, code: integer }  code is 128 + n for signal n
function program.shell(command, input)
  local dir = core.fs.temp_dir()
  local inputs = dir .. "/in"
  core.fs.write(inputs, input or "", { durable = false })
  local _, kind, code = os.execute(string.format("{ %s\n} <%s >%s/out 2>%s/err", command, inputs, dir, dir))
  local result = { out = take(dir .. "/out"), err = take(dir .. "/err"), code = kind == "signal" and 128 + code or code }
  core.fs.remove_tree(dir)
  return result
end

--- Runs asl with these arguments.
---@param arguments string[]
---@param given { input?: string, env?: string }|nil  env: assignments in front of the command, "A=1 B=2"
---@return { out: string, err: string, code: integer }
function program.run(arguments, given)
  given = given or {}
  local words = { given.env or "", program.quote(program.path()) }
  for _, argument in ipairs(arguments) do
    words[#words + 1] = program.quote(argument)
  end
  return program.shell(table.concat(words, " "), given.input)
end

--- Calls f(dir) with a new directory that is removed afterwards, also when f fails.
---@param f fun(dir: string)
function program.in_directory(f)
  local dir = core.fs.temp_dir()
  local ok, problem = pcall(f, dir)
  core.fs.remove_tree(dir)
  if not ok then error(problem, 0) end
end

--- Writes a file and returns its path.
---@param dir string
---@param name string
---@param text string
---@return string path
function program.write(dir, name, text)
  core.fs.write(dir .. "/" .. name, text, { durable = false })
  return dir .. "/" .. name
end

return program
