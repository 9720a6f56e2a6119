local cli = require "asl.cli"
local core = require "asl.core"
local program = require "spec.support.program"

describe("the command line", function()
  it("prints help and version", function()
    local help = program.run { "--help" }
    assert.equal(0, help.code)
    assert.truthy(help.out:find("usage: asl FILE.lua", 1, true))
    local version = program.run { "--version" }
    assert.equal(0, version.code)
    assert.truthy(version.out:find("^asl %d+%.%d+%.%d+ %("))
    assert.truthy(version.out:find("libpng %d"))
    assert.truthy(version.out:find("device cpu: .* threads?, %w+ kernels"))
    assert.truthy(version.out:find "\ndevice cuda: %S")
  end)

  it("refuses kernels for an unknown instruction set", function()
    local result = program.run({ "-e", "print(1)" }, { env = "ASL_ISA=sse" })
    assert.equal('asl: ASL_ISA is "sse": it must be avx2 (where the machine has it) or portable\n', result.err)
    assert.equal("", result.out)
  end)

  it("refuses an unknown option and names the nearest", function()
    local result = program.run { "--verison" }
    assert.equal(64, result.code)
    assert.equal("asl: unknown option --verison\nhint: did you mean --version?\n", result.err)
    assert.equal("", result.out)
  end)

  it("says which file cannot be opened", function()
    local result = program.run { "nowhere.lua" }
    assert.equal(64, result.code)
    assert.equal("asl: cannot open nowhere.lua: No such file or directory\n", result.err)
    assert.truthy(program.run({ "hepl" }).err:find("did you mean asl help?", 1, true))
    assert.truthy(program.run({ "/" }).err:find("cannot read /", 1, true))
  end)

  it("wants a value where an option has one", function()
    assert.equal(64, program.run({ "--runs" }).code)
    assert.equal(64, program.run({ "-e" }).code)
    assert.equal(64, program.run({ "resume" }).code)
  end)

  it("runs code with asl there and arguments passed", function()
    local result = program.run { "-e", "print(asl.zeros{2}:count(), ...)", "a", "--b" }
    assert.equal("2\ta\t--b\n", result.out)
    assert.equal(0, result.code)
  end)

  it("runs a plain script with its arguments", function()
    program.in_directory(function(dir)
      local script = program.write(dir, "plain.lua", "#!/usr/bin/env asl\nprint(arg[0], #arg, ...)\nassert(asl == nil)")
      local result = program.run { script, "x=1", "--", "--own" }
      assert.equal("", result.err)
      assert.equal(script .. "\t2\tx=1\t--own\n", result.out)
    end)
  end)

  it("refuses precompiled chunks", function()
    program.in_directory(function(dir)
      local script = program.write(dir, "binary.lua", string.dump(load "print 'ran'"))
      local result = program.run { script }
      assert.not_equal(0, result.code)
      assert.equal("", result.out)
      assert.truthy(result.err:find("attempt to load a binary chunk", 1, true))
    end)
  end)

  it("exits with i/o where the output cannot be written", function()
    local result = program.shell(program.quote(program.path()) .. " --help >/dev/full")
    assert.equal(74, result.code)
    assert.truthy(result.err:find("cannot write to standard output: No space left", 1, true))
  end)

  it("is at its prompt within 100 ms", function()
    local fastest = math.huge
    for _ = 1, 8 do -- the best of them: the machine may be busy
      local began = core.monotonic()
      os.execute(program.quote(program.path()) .. " </dev/null")
      fastest = math.min(fastest, core.monotonic() - began)
    end
    assert.is_true(fastest < 0.1, fastest .. " s")
  end)
end)

describe("overrides", function()
  it("are numbers, booleans, lists and strings", function()
    local function is(expected, text)
      local value = cli.parse_value(text)
      assert.same(expected, value)
      assert.equal(math.type(expected), math.type(value))
    end
    is(30, "30")
    is(-2, "-2")
    is(1e-3, "1e-3")
    is(.5, ".5")
    is(true, "true")
    is(false, "false")
    is({ 96, 128 }, "96,128")
    is({ 96 }, "96,")
    is({ "a", 1.5, true }, "a,1.5,true")
    is("replay", "replay")
    is("64 MiB", "64 MiB")
    is("30", '"30"')
    is("a,b", '"a,b"')
    is("1.2.3", "1.2.3")
    is("0x10", "0x10")
    is("nan", "nan")
    is("", "")
    is("a=b", "a=b")
  end)

  it("are told from other arguments, and given once", function()
    local overrides, rest = cli.parse_overrides { "lr=1e-3", "name=x=y", "./a=b", "word" }
    assert.same({ lr = 1e-3, name = "x=y" }, overrides)
    assert.same({ "./a=b", "word" }, rest)
    local ok, problem = pcall(cli.parse_overrides, { "lr=1", "lr=2" })
    assert.is_false(ok)
    assert.equal("lr is given twice", problem.message)
    assert.equal(64, problem.exit_code)
  end)

  it("reach an experiment, with the options", function()
    program.in_directory(function(dir)
      local script = program.write(dir, "e.lua", [[
        return require("asl").experiment { name = "e", config = { n = 1, size = { 2, 3 } }, main = function(cfg, run)
          print("n", cfg.n, "size", cfg.size[1], cfg.size[2])
        end }]])
      local result = program.run { script, "n=5", "--runs", dir .. "/runs", "size=7,8" }
      assert.equal("", result.err)
      assert.equal(0, result.code)
      assert.truthy(result.out:find("n\t5\tsize\t7\t8", 1, true))
      assert.truthy(program.run({ "runs", dir .. "/runs" }).out:find("done", 1, true))
      local unknown = program.run { script, "m=5", "--runs", dir .. "/runs" }
      assert.equal(64, unknown.code)
      assert.truthy(unknown.err:find('"m"', 1, true))
      assert.equal(64, program.run({ script, "word", "--runs", dir .. "/runs" }).code)
    end)
  end)
end)
