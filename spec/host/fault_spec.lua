local fault = require "asl.fault"
local program = require "spec.support.program"

--- What asl prints for a script that fails.
local function stderr_of(text, options)
  local result
  program.in_directory(function(dir)
    local script = program.write(dir, "s.lua", text)
    local arguments = { script }
    table.move(options or {}, 1, #(options or {}), 1, arguments)
    arguments[#arguments + 1] = options and script or nil
    result = program.run(arguments)
    result.err = result.err:gsub(dir:gsub("%p", "%%%0") .. "/", "")
  end)
  assert.equal(70, result.code)
  return result.err
end

describe("errors", function()
  it("of the core stand at the script's line", function()
    local text = stderr_of [[
local asl = require "asl"
asl.ops.conv2d(asl.zeros{1, 8, 8, 3}, asl.zeros{4, 3, 3, 5})]]
    assert.equal("asl: s.lua:2: conv2d: weight expects 5 input channels, x has 3 (x 1x8x8x3, weight 4x3x3x5, groups 1)\n",
      text)
  end)

  it("of a module of asl stand at the script's line", function()
    local text = stderr_of [[
local asl = require "asl"
local function build()
  local net = asl.models.fast_scnn { classes = "forty" }
  return net
end
local net = build()
return net]]
    assert.truthy(text:find("^asl: s%.lua:3: "), text)
    assert.truthy(text:find("called from s.lua:6", 1, true), text)
    assert.falsy(text:find("lua/asl/", 1, true), text)
    assert.falsy(text:find("[C]", 1, true), text)
  end)

  it("show the whole stack with --trace", function()
    local text = stderr_of("error 'x'", { "--trace" })
    assert.truthy(text:find("stack traceback", 1, true))
    assert.truthy(text:find("cli.lua", 1, true))
  end)

  it("guess what a missing name should be", function()
    local text = stderr_of 'local asl = require "asl"\nasl.optim.adamm {}'
    assert.equal("asl: s.lua:2: attempt to call a nil value (field 'adamm')\nhint: did you mean asl.optim.adam?\n", text)
    assert.truthy(stderr_of('local x = require("asl").optimm'):find('did you mean "optim"', 1, true))
  end)

  it("of the syntax name file and line", function()
    assert.equal("asl: s.lua:2: unexpected symbol near '='\n", stderr_of "local x = 1\nx = = 2")
  end)

  it("may be any value", function()
    assert.truthy(stderr_of("error {}"):find("^asl: table"))
    assert.equal("asl: nil\n  called from s.lua:1\n", stderr_of "error()")
  end)

  it("carry a hint and an exit code", function()
    local ok, caught = fault.catch(fault.raise, "disk full", { hint = "free some", exit_code = 74, level = 0 })
    assert.is_false(ok)
    assert.equal("asl: disk full\nhint: free some", fault.text(caught))
    assert.equal(74, caught.exit_code)
    local _, again = fault.catch(error, caught)
    assert.equal(caught, again)
  end)

  it("take a hint from their text", function()
    local _, caught = fault.catch(error, "bad\nhint: do this", 0)
    assert.equal("do this", caught.hint)
    assert.equal("bad", caught.message)
  end)

  it("pass results through when there is none", function()
    assert.same({ true, 1, nil, 3 }, { fault.catch(function(...) return ... end, 1, nil, 3) })
  end)
end)
