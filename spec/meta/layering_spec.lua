--- The house rules that a machine can check: who may include whom, headers that stand alone, sizes, forbidden words.

local core = require "asl.core"
local program = require "spec.support.program"

local function is_made(name)
  return name:find "^build" or name == "runs" or name == ".git" or name == "__pycache__"
end

local function walk(folder, files)
  for _, name in ipairs(core.fs.list(folder)) do
    local path = folder == "." and name or folder .. "/" .. name
    if not is_made(name) then
      if core.fs.stat(path).is_dir then
        walk(path, files)
      else
        files[#files + 1] = path
      end
    end
  end
  return files
end

local function matching(...)
  local found = {}
  for _, path in ipairs(walk(".", {})) do
    for _, pattern in ipairs { ... } do
      if path:find(pattern) then found[#found + 1] = path end
    end
  end
  assert(#found > 0)
  return found
end

local function read(path)
  local file <close> = assert(io.open(path, "r"))
  return file:read("a")
end

local function no_complaints(complaints)
  assert(#complaints == 0, "\n" .. table.concat(complaints, "\n"))
end

-- A folder may include itself and these. A backend includes the interface that ops/ declares for it.
local below = {
  base = {}, tensor = { "base" }, ops = { "tensor", "base" }, cpu = { "ops", "tensor", "base" },
  autograd = { "ops", "tensor", "base" }, io = { "tensor", "base" }, data = { "ops", "tensor", "base" },
  dist = { "ops", "tensor", "base" }, cuda = { "ops", "tensor", "base" },
  lua = { "autograd", "cpu", "data", "dist", "io", "ops", "tensor", "base" }, host = {},
}

local vendor_folder = {
  ["png%.h"] = "data", ["jpeglib%.h"] = "data", ["jerror%.h"] = "data", ["zlib%.h"] = "data", ["histedit%.h"] = "host",
  ["jansson%.h"] = "lua", ["openssl/"] = "base", ["hdf5"] = "data", ["mpi%.h"] = "dist", ["zmq%.h"] = "host",
  ["cuda"] = "cuda", ["cublas"] = "cuda", ["cudnn"] = "cuda", ["nccl"] = "cuda", ["immintrin%.h"] = "cpu",
}

local function includes_of(path)
  local text, found = read(path), {}
  for mark, name in ("\n" .. text):gmatch('\n%s*#%s*include%s*([<"])([^>"]+)') do
    found[#found + 1] = { name = name, own = mark == '"' }
  end
  return found
end

local function contains(list, wanted)
  for _, item in ipairs(list) do
    if item == wanted then return true end
  end
  return false
end

describe("C sources", function()
  it("include downwards only", function()
    local complaints = {}
    for _, path in ipairs(matching("^csrc/.*%.[ch]$", "^csrc/.*%.cu$", "^csrc/.*%.cpp$")) do
      local folder = path:match "^csrc/(%w+)/"
      for _, include in ipairs(includes_of(path)) do
        local target = include.own and include.name:match "^(%w+)/"
        if target and target ~= folder and not contains(assert(below[folder], folder), target) then
          complaints[#complaints + 1] = path .. " includes " .. include.name
        end
      end
    end
    no_complaints(complaints)
  end)

  it("include a library's headers in one folder", function()
    local complaints = {}
    for _, path in ipairs(matching("^csrc/.*%.[ch]$", "^csrc/.*%.cu$", "^csrc/.*%.cpp$")) do
      local folder = path:match "^csrc/(%w+)/"
      for _, include in ipairs(includes_of(path)) do
        for pattern, home in pairs(vendor_folder) do
          if not include.own and include.name:find("^" .. pattern) and folder ~= home then
            complaints[#complaints + 1] = path .. " includes " .. include.name .. ", which is for " .. home
          end
        end
        local is_lua = include.name:find "^lua" and include.name:find "%.h$" or include.name == "lauxlib.h"
        if is_lua and not include.own and folder ~= "lua" and folder ~= "host" then
          complaints[#complaints + 1] = path .. " includes " .. include.name .. ", which is for lua and host"
        end
      end
    end
    no_complaints(complaints)
  end)

  it("have headers that compile alone", function()
    local compiler = os.getenv "CC" or "cc"
    if not os.execute("command -v " .. compiler .. " >/dev/null") then
      pending "there is no C compiler"
      return
    end
    local all = "-Wall -Wextra -Werror -mavx2 -mfma -fsyntax-only -Icsrc "
    local c = all .. "-std=gnu11 -DASL_ISA=avx2 -x c "
      .. program.shell("pkg-config --cflags lua5.4 jansson libedit").out:gsub("\n", "")
    local cuda = all .. "-std=gnu++17 -DASL_EMULATED -Icsrc/cuda/emu -Wno-unknown-pragmas -Wno-unused-function -x c++"
    local words = {}
    for _, path in ipairs(matching "^csrc/.*%.h$") do
      words[#words + 1] = string.format("printf '#include \"%s\"\\n' | %s %s - || echo FAILED %s",
        path:sub(#"csrc/" + 1), compiler, path:find "^csrc/cuda/" and cuda or c, path)
    end
    local result = program.shell(table.concat(words, "\n"))
    assert.equal("", result.err .. result.out)
  end)

  it("never print, exit or assert below the bindings", function()
    local complaints = {}
    for _, path in ipairs(matching "^csrc/.*%.c$") do
      local folder = path:match "^csrc/(%w+)/"
      if folder ~= "host" then
        local text = read(path):gsub("/%*.-%*/", "")
        for _, call in ipairs { "exit", "abort", "printf", "puts", "assert", "longjmp" } do
          if text:find("%f[%w_]" .. call .. "%s*%(") and not (folder == "data" and call == "longjmp") then
            complaints[#complaints + 1] = path .. " calls " .. call
          end
        end
      end
    end
    no_complaints(complaints)
  end)
end)

describe("Lua modules", function()
  local function module_path(name)
    local base = "lua/" .. name:gsub("%.", "/")
    return core.fs.stat(base .. ".lua") and base .. ".lua" or core.fs.stat(base .. "/init.lua") and base .. "/init.lua"
  end

  it("require modules that exist", function()
    local complaints = {}
    for _, path in ipairs(matching "^lua/asl/.*%.lua$") do
      for name in read(path):gmatch "require%s*%(?%s*\"(asl%.[%w_.]+)\"" do
        if not module_path(name) and name ~= "asl.core" and name ~= "asl.edit" then
          complaints[#complaints + 1] = path .. " requires " .. name
        end
      end
    end
    no_complaints(complaints)
  end)

  it("do not require each other in a circle", function()
    local state, complaints = {}, {}
    local function visit(path, trail)
      if state[path] == "done" then return end
      if state[path] == "open" then
        complaints[#complaints + 1] = trail .. " -> " .. path
        return
      end
      state[path] = "open"
      for name in ("\n" .. read(path)):gmatch "\nlocal [%w_]+ = require%s*%(?%s*\"(asl[%w_.]*)\"" do
        local target = module_path(name)
        if target then visit(target, trail .. " -> " .. path) end
      end
      state[path] = "done"
    end
    for _, path in ipairs(matching "^lua/asl/.*%.lua$") do
      visit(path, "")
    end
    no_complaints(complaints)
  end)

  it("set no globals and print nothing when loaded", function()
    local result = program.run { "-e", [[
      local before = {}
      for name in pairs(_G) do before[name] = true end
      for _, name in ipairs(asl.names()) do local _ = asl[name] end
      for name in pairs(_G) do assert(before[name], name) end]] }
    assert.equal("", result.err .. result.out)
  end)
end)

describe("files", function()
  local sources = { "%.[ch]$", "%.cu$", "%.cpp$",
    "%.def$", "%.lua$", "%.py$", "^CMakeLists%.txt$", "^tools/", "%.md$", "%.cmake$" }

  it("have at most 600 lines", function()
    local complaints = {}
    for _, path in ipairs(matching(table.unpack(sources))) do
      local count = select(2, read(path):gsub("\n", "\n"))
      if count > 600 then complaints[#complaints + 1] = path .. " has " .. count .. " lines" end
    end
    no_complaints(complaints)
  end)

  it("have C lines of at most 120 columns, no tabs, no blanks at the end", function()
    local complaints = {}
    for _, path in ipairs(matching("^csrc/.*%.[ch]$", "^csrc/.*%.cu$", "^csrc/.*%.cpp$")) do
      local number = 0
      for line in io.lines(path) do
        number = number + 1
        local width = utf8.len(line) or #line
        if width > 120 or line:find "\t" or line:find "%s$" then
          complaints[#complaints + 1] = path .. ":" .. number
        end
      end
    end
    no_complaints(complaints)
  end)

  it("name no place of one machine and leave nothing to do", function()
    -- Written in two halves, so that this file does not find itself.
    local forbidden = { "/wo" .. "rk/", "/ro" .. "ot/", "/ho" .. "me/", "%f[%u]TO" .. "DO%f[%U]", "%f[%u]FIX" .. "ME%f[%U]" }
    local complaints = {}
    for _, path in ipairs(matching(table.unpack(sources))) do
      local text = read(path)
      for _, pattern in ipairs(forbidden) do
        local line = text:match("[^\n]*" .. pattern .. "[^\n]*")
        if line then complaints[#complaints + 1] = path .. " has " .. line end
      end
    end
    no_complaints(complaints)
  end)
end)
