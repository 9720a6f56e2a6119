local json = require "asl.json"

describe("asl.json", function()
  it("writes sorted keys and keeps integers and doubles apart", function()
    assert.equal('{"a":1,"b":1.0,"c":[1,2],"d":{},"e":[],"f":true,"g":null}',
      json.encode { g = json.null, f = true, e = json.array {}, d = {}, c = { 1, 2 }, b = 1.0, a = 1 })
  end)

  it("brings every double and integer back bit for bit", function()
    local values = { 0.1, -0.0, 1 / 3, 5e-324, 1.7976931348623157e308, 2 ^ 53, 1e22, 123456.789, math.pi }
    for _, value in ipairs(values) do
      local back = json.decode(json.encode(value))
      assert.equal("float", math.type(back))
      assert.equal(string.pack("<d", value), string.pack("<d", back))
    end
    for _, value in ipairs { 0, -1, math.maxinteger, math.mininteger, 9007199254740993 } do
      local back = json.decode(json.encode(value))
      assert.equal("integer", math.type(back))
      assert.equal(value, back)
    end
  end)

  it("writes the shortest number that is exact", function()
    assert.equal("[0.003,0.1,1e-07,0.3333333333333333]", json.encode { 0.003, 0.1, 1e-7, 1 / 3 })
  end)

  it("escapes strings and refuses bytes that are no text", function()
    local text = 'quote " backslash \\ line\n tab\t null\0 ä €'
    assert.equal(text, json.decode(json.encode(text)))
    for _, bad in ipairs { "\xff", "a\xc3", "\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\x80" } do
      assert.error_matches(function() json.encode { name = bad } end, "value.name is a string that is not UTF%-8")
    end
  end)

  it("names what it cannot write", function()
    local cases = {
      { { a = { b = { 1, 0 / 0 } } }, "value%.a%.b%[2%] is not a number" },
      { { a = math.huge }, "value%.a is infinite" },
      { { a = print }, "value%.a is a function" },
      { { [1] = 1, [3] = 1 }, "a list with holes" },
      { { 1, a = 1 }, "both names and positions" },
      { { [true] = 1 }, "neither strings nor 1%.%.n" },
    }
    for _, case in ipairs(cases) do
      assert.error_matches(function() json.encode(case[1]) end, case[2])
    end
    local loop = {}
    loop.loop = loop
    assert.error_matches(function() json.encode(loop) end, "contains itself")
  end)

  it("says what becomes of numbers JSON does not know", function()
    local values = { 0 / 0, math.huge, -math.huge }
    assert.equal("[null,null,null]", json.encode(values, { nonfinite = "null" }))
    assert.equal('["NaN","Infinity","-Infinity"]', json.encode(values, { nonfinite = "string" }))
    assert.has_error(function() json.encode(values, { nonfinite = "maybe" }) end)
  end)

  it("refuses broken text with line and column", function()
    assert.error_matches(function() json.decode('{"a": 1,\n}', "cfg.json") end, "^cfg%.json: line 2, column 1")
    for _, bad in ipairs { "", "[1", '{"a":1}x', '{"a":1,"a":2}', "[1e999]", "[99999999999999999999]", "nul", "[NaN]" } do
      assert.has_error(function() json.decode(bad) end)
    end
    assert.error_matches(function() json.decode(("["):rep(3000) .. ("]"):rep(3000)) end, "depth")
    assert.error_matches(function() json.decode(("["):rep(200) .. ("]"):rep(200)) end, "100 levels deep")
  end)

  it("keeps an empty list a list", function()
    assert.equal('{"a":[]}', json.encode(json.decode '{"a":[]}'))
  end)

  it("does not crash on damaged text", function()
    local text = json.encode { a = { 1, 2.5, "x\n", { b = true } }, c = json.null, d = "äöü" }
    for i = 1, #text do
      pcall(json.decode, text:sub(1, i))
      pcall(json.decode, text:sub(1, i - 1) .. string.char(text:byte(i) ~ 0x11) .. text:sub(i + 1))
    end
    assert.same({ 1 }, json.decode "[1]")
  end)
end)
