local program = require "spec.support.program"

--- Runs code, sends signals (name, seconds to wait before) and returns what it printed.
local function interrupted(code, signals)
  local words = { program.quote(program.path()) .. " -e " .. program.quote(code) .. " &", "pid=$!" }
  for _, signal in ipairs(signals) do
    words[#words + 1] = "sleep 0.2; kill -" .. signal .. " $pid"
  end
  words[#words + 1] = "wait $pid"
  return program.shell(table.concat(words, "\n"))
end

describe("SIGINT", function()
  it("stops running Lua code", function()
    local result = interrupted("while true do end", { "INT" })
    assert.equal("asl: interrupted at (command line):1\n", result.err)
    assert.equal(130, result.code)
  end)

  it("can be caught, state intact", function()
    local result = interrupted([[
      local n = 0
      local ok, why = pcall(function() while true do n = n + 1 end end)
      print(ok, why, n > 0, asl.core.interrupted())]], { "INT" })
    assert.equal("false\tinterrupted\ttrue\tINT\n", result.out)
    assert.equal(0, result.code)
  end)

  it("waits to be polled where that was asked for", function()
    local result = interrupted([[
      asl.core.catch_interrupts "poll"
      while not asl.core.interrupted() do end
      print(asl.core.interrupted())
      asl.core.catch_interrupts "poll"
      print(asl.core.interrupted())]], { "INT" })
    assert.equal("INT\nnil\n", result.out)
    assert.equal("", result.err)
  end)

  it("stops running code the second time", function()
    local result = interrupted([[asl.core.catch_interrupts "poll"; while true do end]], { "INT", "INT" })
    assert.equal(130, result.code)
    assert.matches("^asl: interrupted at ", result.err)
  end)
end)

describe("SIGTERM", function()
  it("is polled like SIGINT", function()
    local result = interrupted([[
      asl.core.catch_interrupts "poll"
      while not asl.core.interrupted() do end
      print(asl.core.interrupted())]], { "TERM" })
    assert.equal("TERM\n", result.out)
  end)

  it("ends a plain script", function()
    assert.equal(143, interrupted("while true do end", { "TERM" }).code)
  end)
end)

it("an unknown way to catch is refused", function()
  assert.matches("invalid option 'sometimes'", program.run({ "-e", "asl.core.catch_interrupts 'sometimes'" }).err)
end)
