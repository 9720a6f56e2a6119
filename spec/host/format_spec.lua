local format = require "asl.format"

describe("format.value", function()
  it("writes plain values as Lua does, strings quoted", function()
    assert.equal("nil", format.value(nil))
    assert.equal("1", format.value(1))
    assert.equal("1.0", format.value(1.0))
    assert.equal("true", format.value(true))
    assert.equal([["a\"b\\c\n\0"]], (format.value 'a"b\\c\n\0':gsub("\\x00", "\\0")))
    assert.equal('"héllo"', format.value "héllo")
    assert.equal('"\\xff"', format.value "\xff")
  end)

  it("sorts keys and puts the list part first", function()
    assert.equal('{1, 2, a = 1, b = {}, ["c d"] = 3, [true] = 4}',
      format.value { b = {}, a = 1, ["c d"] = 3, [true] = 4, 1, 2 })
    assert.equal("{[0] = 1, [2.5] = 2}", format.value { [2.5] = 2, [0] = 1 })
  end)

  it("breaks what does not fit a line", function()
    assert.equal('{\n  a = {1, 2},\n  b = "xxxxxxxxxx"\n}', format.value({ a = { 1, 2 }, b = "xxxxxxxxxx" }, { width = 20 }))
  end)

  it("ends at cycles, depth, length and long strings", function()
    local t = { 1 }
    t.self = t
    assert.equal("{1, self = (cycle)}", format.value(t))
    local shared = { 1 }
    assert.equal("{{1}, {1}}", format.value { shared, shared })
    assert.equal("{{{{...}}}}", format.value({ { { { 1 } } } }, { depth = 3 }))
    assert.equal("{1, 2, 3, ... 2 more}", format.value({ 1, 2, 3, 4, 5 }, { items = 3 }))
    assert.equal("{1, 2, 3, ... 1 more}", format.value({ 1, 2, 3, a = 4 }, { items = 3 }))
    assert.equal('"aaa"...', format.value(("a"):rep(10), { text = 3 }))
    assert.equal('"é"...', format.value("ééé", { text = 3 }))
  end)

  it("uses __tostring and survives a failing one", function()
    assert.equal("<thing>", format.value(setmetatable({}, { __tostring = function() return "<thing>" end })))
    assert.truthy(format.value(setmetatable({}, { __tostring = function() error "no" end })):find("__tostring fails"))
  end)

  it("says where a function is defined", function()
    assert.matches("^function %(spec/host/format_spec%.lua:%d+%)$", format.value(function() end))
    assert.equal("function (built in)", format.value(print))
  end)

  it("runs no metamethods of tables", function()
    local trap = setmetatable({ 1 }, {
      __index = function() error "read" end, __pairs = function() error "walked" end, __len = function() error "len" end,
    })
    assert.equal("{1}", format.value(trap))
  end)
end)
