local complete = require "asl.repl.complete"
local locals = require "asl.repl.locals"
local program = require "spec.support.program"
local repl = require "asl.repl"

--- Feeds lines as a terminal would and returns what is shown, one text per statement.
local function transcript(lines, preload)
  local session, shown, pending = repl.session(preload or {}), {}, nil
  for _, line in ipairs(lines) do
    pending = pending and pending .. "\n" .. line or line
    local outcome, text = session:feed(pending)
    if outcome ~= "incomplete" then
      shown[#shown + 1] = text or ""
      pending = nil
    end
  end
  assert.is_nil(pending)
  return shown, session
end

describe("the prompt", function()
  it("prints the values of expressions, several and nil too", function()
    assert.same({ "3", '1\nnil\n"s"', "", "nil" }, transcript { "1 + 2", "1, nil, 's'", "x = 5", "nil" })
  end)

  it("keeps the last value in _", function()
    assert.same({ "6", "7", "", "7" }, transcript { "2 * 3", "_ + 1", "x = 1", "_" })
  end)

  it("reads statements of several lines", function()
    assert.same({ "", "5" }, transcript { "function f(n)", "  return n + 1", "end", "f(", "4)" })
    assert.same({ '"a\\nb"' }, transcript { "[[a", "b]]" })
  end)

  it("goes on after an error with its variables intact", function()
    local shown = transcript { "x = 1", "error 'boom'", "x = = 2", "x" }
    assert.same({ "", "asl: stdin:1: boom", "asl: stdin:1: unexpected symbol near '='", "1" }, shown)
  end)

  it("keeps locals for the next lines, shared with functions", function()
    assert.same({ "", "", "", "2" },
      transcript { "local n = 0", "local function more() n = n + 1 end", "more() more()", "n" })
    assert.same({ "", "1\nnil" }, transcript { "local a <const>, b = 1", "a, b" })
    assert.same({ "", "nil" }, transcript { "local empty", "empty" })
  end)

  it("does not touch the globals", function()
    local _, session = transcript { "local print = 5", "leaked = 1" }
    assert.equal(5, session.env.print)
    assert.equal("function", type(print))
    assert.is_nil(rawget(_G, "leaked"))
  end)

  it("explains ?words", function()
    assert.truthy(transcript({ "?options.check" })[1]:find("asl.options.check(where, given, defaults)", 1, true))
    assert.truthy(transcript({ "? spraed" })[1]:find("did you mean asl.Dataset:spread?", 1, true))
  end)
end)

describe("locals.keep", function()
  local function keeps(expected, text)
    assert.equal(expected, locals.keep(text))
  end

  it("takes away local at the top level only", function()
    keeps("x = 1", "local x = 1")
    keeps("function f() local y = 2 end", "local function f() local y = 2 end")
    keeps("do local x = 1 end y = 2", "do local x = 1 end local y = 2")
    keeps("if a then local b = 1 elseif c then local d else local e end f = 1",
      "if a then local b = 1 elseif c then local d else local e end local f = 1")
    keeps("for i = 1, 2 do local a = i end b = 1", "for i = 1, 2 do local a = i end local b = 1")
    keeps("repeat local a = 1 until a b = 1", "repeat local a = 1 until a local b = 1")
    keeps("x = function() local y end z = 1", "local x = function() local y end local z = 1")
  end)

  it("assigns nil where there is no value", function()
    keeps("x = nil;", "local x")
    keeps("x, y = nil; z = 1", "local x, y local z = 1")
  end)

  it("takes const along and leaves close", function()
    keeps("x  = 1", "local x <const> = 1")
    keeps("local x <close> = f()", "local x <close> = f()")
  end)

  it("leaves strings, comments and names alone", function()
    for _, text in ipairs { "x = 'local y'", 'x = "a\\"local y"', "x = [==[ local y = 1 ]] ]==]", "-- local x",
      "--[[ local x ]] y = 1", "localx = 1", "x = { local_ = 1 }", "x = 1 .. '' -- do local" } do
      keeps(text, text)
    end
  end)

  it("keeps line numbers", function()
    keeps("\nx = 1\ny = 2", "local\nx = 1\nlocal y = 2")
  end)
end)

describe("completion", function()
  local touched
  local lazy = setmetatable({ alpha = 1 }, { __index = function() touched = true end })
  local class = { forward = function() end, fields = 1 }
  class.__index = class
  local env = setmetatable({ net = setmetatable({ width = 3 }, class), lazy = lazy, text = "s" }, { __index = _G })

  local function names(before, vocabulary)
    return select(2, complete.candidates(before, env, vocabulary))
  end

  before_each(function() touched = false end)

  it("finds variables, globals and keywords", function()
    assert.same({ "net", "next" }, names "x = ne")
    assert.same({ "while" }, names "whi")
  end)

  it("finds fields along metatables, methods after a colon", function()
    assert.same({ "fields", "forward", "width" }, names "net.")
    assert.same({ "forward" }, names "print(net:")
    assert.same({ "upper" }, names "text:up")
    assert.same({ "huge" }, names "math.hu")
    assert.same({}, names "net.width.")
  end)

  it("calls nothing", function()
    assert.same({ "alpha" }, names "lazy.")
    assert.same({}, names "lazy.missing.x")
    assert.is_false(touched)
  end)

  it("knows public names that are not loaded yet", function()
    local vocabulary = { "lazy.beta", "lazy.beta.one", "lazy.gamma", "other.x" }
    assert.same({ "alpha", "beta", "gamma" }, names("lazy.", vocabulary))
    assert.same({ "one" }, names("lazy.beta.", vocabulary))
  end)

  it("inserts what is common and lists what is not", function()
    assert.equal("ward", (complete.tab("net.for", env, {}, 80)))
    assert.equal("f", (complete.tab("net.", { net = { fa = 1, fb = 2 } }, {}, 80)))
    local insert, choices = complete.tab("net.f", { net = { fa = 1, fb = 2, fcc = 3 } }, {}, 12)
    assert.equal("", insert)
    assert.equal("fa   fcc\nfb", choices)
    assert.equal("  ", (complete.tab("  ", env, {}, 80)))
    assert.equal("", (complete.tab("zzz", env, {}, 80)))
  end)
end)

describe("asl without a terminal", function()
  it("runs the lines of its input without any prompt", function()
    local result = program.run({}, { input = "local x = 20\nfor i = 1, 2 do\n  x = x + i\nend\nx\nasl.zeros{2}:count()" })
    assert.equal("23\n2\n", result.out)
    assert.equal("", result.err)
    assert.equal(0, result.code)
  end)

  it("stops at an error", function()
    local result = program.run({}, { input = "print 'a'\nerror 'boom'\nprint 'b'" })
    assert.equal("a\n", result.out)
    assert.equal("asl: stdin:1: boom\n", result.err)
    assert.equal(70, result.code)
  end)

  it("says where the input ends within a statement", function()
    local result = program.run({}, { input = "for i = 1, 2 do\nprint(i)" })
    assert.equal(70, result.code)
    assert.equal("asl: the input ends within a statement: for i = 1, 2 do\n", result.err)
  end)
end)
