local nearest = require "asl.nearest"
local options = require "asl.options"

local source = [[
local options = require "asl.options"
return function(given)
  local merged = options.check("asl.thing", given, {
    lr = 1e-3, name = options.optional "string", mode = options.one_of { "joint", "split" }, extra = options.any,
    flag = false, size = options.require "table", steps = options.optional "integer" })
  return merged
end]]

local function thing(given)
  return load(source, "@lua/asl/thing.lua")()(given)
end

local function message_of(given)
  local ok, message = pcall(function()
    local made = thing(given)
    return made
  end)
  assert.is_false(ok)
  return message
end

describe("options", function()
  it("fills in defaults and leaves the given table alone", function()
    local given = { size = {} }
    assert.same({ lr = 1e-3, mode = "joint", flag = false, size = {} }, thing(given))
    assert.same({ size = {} }, given)
    assert.same({ lr = 2, mode = "split", flag = true, size = {}, name = "n", extra = 1 },
      thing { lr = 2, mode = "split", flag = true, size = {}, name = "n", extra = 1 })
  end)

  it("refuses what is unknown, of the wrong type or missing, at the caller's line", function()
    local here = "^spec/host/options_spec%.lua:%d+: asl%.thing: "
    assert.matches(here, message_of { size = {}, lrr = 1 })
    assert.matches('unknown option "lrr" (known: extra, flag, lr, mode, name, size, steps); did you mean "lr"?',
      message_of { size = {}, lrr = 1 }, 1, true)
    assert.matches('option "lr" must be a number, not the string "fast"', message_of { size = {}, lr = "fast" }, 1, true)
    assert.matches('option "size" must be given', message_of {}, 1, true)
    assert.matches('option "mode" must be one of "joint", "split", not the string "both"',
      message_of { size = {}, mode = "both" }, 1, true)
    assert.matches('option "steps" must be an integer, not the number 1.5', message_of { size = {}, steps = 1.5 }, 1, true)
    assert.matches('option "flag" must be a boolean, not the number 1', message_of { size = {}, flag = 1 }, 1, true)
    assert.matches("takes one table of named options, not the number 3", message_of(3), 1, true)
  end)

  it("names positional arguments as unknown", function()
    assert.matches('unknown option "1"', message_of { 5, size = {} }, 1, true)
  end)

  it("has each rule once", function()
    assert.has_no.errors(function() options.check("x", nil, { a = options.any }) end)
  end)
end)

describe("nearest", function()
  it("counts edits, swapped neighbours as one", function()
    assert.equal(0, nearest.distance("abc", "abc"))
    assert.equal(3, nearest.distance("", "abc"))
    assert.equal(1, nearest.distance("adam", "adma"))
    assert.equal(1, nearest.distance("adam", "adams"))
    assert.equal(2, nearest.distance("momentum", "mometnu"))
  end)

  it("finds slips and nothing far", function()
    assert.equal("momentum", nearest.one("momentun", { "lr", "momentum", "decay" }))
    assert.equal("updates", nearest.one("update", { "batch", "updates" }))
    assert.is_nil(nearest.one("zebra", { "lr", "momentum", "decay" }))
    assert.same({ "cat", "hat" }, nearest.some("bat", { "hat", "cat", "dog" }))
  end)
end)
