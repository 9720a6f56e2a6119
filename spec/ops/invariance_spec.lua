-- Bits do not depend on the number of threads or on the instruction set.

local asl = require "asl"
local digests = require "spec.support.digests"
local program = require "spec.support.program"

--- The lines in which two texts differ.
local function differences(expected, got)
  local lines, next_line = {}, got:gmatch("[^\n]*\n?")
  for line in expected:gmatch("[^\n]*\n?") do
    if line ~= next_line() then lines[#lines + 1] = line:match("^[^:]*") end
  end
  return lines
end

describe("bits of every op and of a training step", function()
  local before, one = asl.threads(), nil

  setup(function()
    asl.threads(1)
    one = digests.of "large"
  end)
  teardown(function() asl.threads(before) end)

  for _, threads in ipairs { 2, 3, 5 } do
    it("are those of one thread with " .. threads, function()
      asl.threads(threads)
      assert.same({}, differences(one, digests.of "large"))
    end)
  end

  it("are the same a second time", function()
    asl.threads(2)
    assert.equal(digests.training(), digests.training())
  end)

  it("are the same without the instructions of this machine (ASL_ISA=portable)", function()
    local portable = { env = "ASL_ISA=portable" }
    local backend = program.run({ "-e", "print(asl.core.version().devices[1].backend)" }, portable)
    assert.equal("portable\n", backend.out)
    local run = program.run({ "spec/support/digests.lua" }, portable)
    assert.equal(0, run.code, run.err)
    assert.same({}, differences(digests.of("large", "small"), run.out))
  end)
end)
