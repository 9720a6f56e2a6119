--- What is installed works with nothing set in the environment, from any directory.

local core = require "asl.core"
local program = require "spec.support.program"

local count_parameters = "print(asl.models.fast_scnn{classes=40}:parameter_count())"

local function works(bin, lua_path, lua_cpath)
  local asl = "cd / && env -i " .. program.quote(bin)
  local result = program.shell(asl .. " -e " .. program.quote(count_parameters))
  assert.equal("", result.err)
  assert.equal("1140760\n", result.out)
  assert.matches("asl%.ops%.conv2d%(", program.shell(asl .. " help conv2d").out)
  assert.equal("asl: (command line):1: x\n", program.shell(asl .. " -e 'error \"x\"'").err)

  if not os.execute "command -v lua5.4 >/dev/null" then return end
  local code = "local asl = require 'asl' " .. count_parameters
  result = program.shell(string.format("cd / && env -i LUA_PATH=%s LUA_CPATH=%s lua5.4 -e %s",
    program.quote(lua_path), program.quote(lua_cpath), program.quote(code)))
  assert.equal("", result.err)
  assert.equal("1140760\n", result.out)
end

describe("an installation", function()
  it("by cmake --install", function()
    local build = program.path():match "^(.*)/"
    if not core.fs.stat(build .. "/CMakeCache.txt") then
      pending "asl does not run from a build folder"
      return
    end
    program.in_directory(function(dir)
      local result = program.shell(string.format("cmake --install %s --prefix %s", program.quote(build), dir))
      assert.equal(0, result.code, result.err)
      works(dir .. "/bin/asl", dir .. "/share/lua/5.4/?.lua;" .. dir .. "/share/lua/5.4/?/init.lua",
        dir .. "/lib/lua/5.4/?.so")
    end)
  end)

  it("by luarocks make, offline #slow", function()
    if not os.execute "command -v luarocks >/dev/null" then
      pending "luarocks is not installed"
      return
    end
    -- Without a network where this user may have such a name space.
    local offline = os.execute "unshare -n true 2>/dev/null" and "unshare -n " or ""
    program.in_directory(function(dir)
      local tree, clone = dir .. "/tree", dir .. "/clone"
      local result = program.shell(string.format([[
        mkdir %s && tar cf - --exclude=./.git --exclude='./build*' --exclude=./runs . | tar xf - -C %s
        cd %s && CMAKE_BUILD_PARALLEL_LEVEL=2 %s luarocks --lua-version 5.4 make --tree %s]],
        clone, clone, clone, offline, tree))
      assert.equal(0, result.code, result.out .. result.err)
      works(tree .. "/bin/asl", tree .. "/share/lua/5.4/?.lua;" .. tree .. "/share/lua/5.4/?/init.lua",
        tree .. "/lib/lua/5.4/?.so")
    end)
  end)
end)
