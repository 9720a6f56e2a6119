local program = require "spec.support.program"

--- Runs code and sends it signals, each when the code has called ready() once more; the code can call busy() to run
--- for long, yet not for ever.
local function interrupted(code, signals)
  local result
  program.in_directory(function(dir)
    local script = program.write(dir, "s.lua", string.format([[
local core, calls = require "asl.core", 0
local function ready()
  calls = calls + 1
  core.fs.write(%q .. calls, "", { durable = false })
end
local function busy()
  local began = core.monotonic()
  while core.monotonic() - began < 30 do end
end
%s]], dir .. "/ready", code))
    local words = { program.quote(program.path()) .. " " .. script .. " &", "pid=$!" }
    for i, signal in ipairs(signals) do
      words[#words + 1] = string.format("until [ -e %s/ready%d ] || ! kill -0 $pid; do sleep 0.02; done", dir, i)
      words[#words + 1] = "kill -" .. signal .. " $pid"
    end
    words[#words + 1] = "wait $pid"
    result = program.shell(table.concat(words, "\n"))
    result.err = result.err:gsub(dir:gsub("%p", "%%%0") .. "/", "")
  end)
  return result
end

describe("SIGINT", function()
  it("stops running Lua code, by its line", function()
    local result = interrupted("ready()\nbusy()", { "INT" })
    assert.matches("^asl: interrupted at s%.lua:%d+\n", result.err)
    assert.equal(130, result.code)
  end)

  it("can be caught, state intact", function()
    local result = interrupted([[
      local n = 0
      local ok, why = pcall(function()
        n = n + 1
        ready()
        busy()
      end)
      print(ok, why, n, core.interrupted())]], { "INT" })
    assert.equal("false\tinterrupted\t1\tINT\n", result.out)
    assert.equal(0, result.code)
  end)

  it("waits to be polled where that was asked for", function()
    local result = interrupted([[
      core.catch_interrupts "poll"
      ready()
      repeat until core.interrupted()
      print(core.interrupted())
      core.catch_interrupts "poll"
      print(core.interrupted())]], { "INT" })
    assert.equal("INT\nnil\n", result.out)
    assert.equal("", result.err)
  end)

  it("stops running code the second time", function()
    local result = interrupted([[
      core.catch_interrupts "poll"
      ready()
      repeat until core.interrupted()
      ready()
      busy()]], { "INT", "INT" })
    assert.equal(130, result.code)
    assert.matches("^asl: interrupted at ", result.err)
  end)
end)

describe("SIGTERM", function()
  it("is polled like SIGINT", function()
    local result = interrupted([[
      core.catch_interrupts "poll"
      ready()
      repeat until core.interrupted()
      print(core.interrupted())]], { "TERM" })
    assert.equal("TERM\n", result.out)
  end)

  it("ends a plain script", function()
    assert.equal(143, interrupted("ready()\nbusy()", { "TERM" }).code)
  end)
end)

it("an unknown way to catch is refused", function()
  assert.matches("invalid option 'sometimes'", program.run({ "-e", "asl.core.catch_interrupts 'sometimes'" }).err)
end)
