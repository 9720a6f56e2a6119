local annotations = require "asl.help.annotations"
local asl = require "asl"
local core = require "asl.core"
local help = require "asl.help"
local ops = require "asl.help.ops"
local program = require "spec.support.program"

describe("annotations", function()
  local parsed = annotations.parse([[
--- Things: what they are.
---
--- More of it.

local thing = {}

--- A hidden one.
local function inner() end

--- Makes a thing. It is good.
---
---     thing.make { size = {96, 128} }
---@param given { size: integer[], name?: string }|nil  size: rows, columns;
---   name: what it is called
---@param more table<string, any>
---@return asl.Thing made  the thing
---@return integer
---@error a negative size
function thing.make(given, more) end

---@class asl.Thing
local Thing = {}

--- Runs it.
function Thing:run(x) end

function Thing:_private() end

return thing
]], "asl.thing")

  it("give a module's text", function()
    assert.same({ "Things: what they are.", "", "More of it." }, parsed.text)
  end)

  it("give a function's text, parameters, results and errors", function()
    local entry = parsed.entries[1]
    assert.equal("asl.thing.make", entry.name)
    assert.equal("(given, more)", entry.arguments)
    assert.equal(19, entry.line)
    assert.same({ "Makes a thing. It is good.", "", "    thing.make { size = {96, 128} }" }, entry.text)
    assert.same({
      { name = "given", type = "{ size: integer[], name?: string }|nil",
        text = "size: rows, columns; name: what it is called" },
      { name = "more", type = "table<string, any>", text = "" },
    }, entry.params)
    assert.same({ { type = "asl.Thing", text = "made  the thing" }, { type = "integer", text = "" } }, entry.returns)
    assert.same({ "a negative size" }, entry.errors)
  end)

  it("name methods by their class, and leave out what is private", function()
    assert.equal("asl.Thing:run", parsed.entries[2].name)
    assert.equal(2, #parsed.entries)
  end)
end)

describe("the table of operations", function()
  it("is read with its comments", function()
    local entries = ops.parse [[
/* A header. ASL_OP(name, flags, ...) */
/* ---- some; of any shape ---- */
ASL_OP(add, GRAD | STRIDED, "a b", "y", NOTHING)
ASL_OP(cut, NONE, "x* like~ bias?", "y z*? w?", /* not seen */
       I(dim, 1) F(eps, 1e-5)) /* cuts */
/* ---- more ----
 * N pictures. */
/* Fills. */
ASL_OP(fill, NONE | INPLACE, "x", "", F(value, 0))
]]
    assert.equal(3, #entries)
    assert.equal("asl.ops.add(a, b)", entries[1].signature)
    assert.equal("some", entries[1].topic)
    assert.same({ "of any shape" }, entries[1].topic_text)
    assert.is_true(entries[1].differentiable)
    assert.equal("asl.ops.cut(x, like, [bias], {dim = 1, eps = 1e-5})", entries[2].signature)
    assert.same({ "y", "w" }, entries[2].outputs)
    assert.equal("more", entries[3].topic)
    assert.same({ "Fills." }, entries[3].text)
    assert.same({ "N pictures." }, entries[3].topic_text)
    assert.is_true(entries[3].in_place)
    assert.equal(9, entries[3].line)
  end)

  it("names just the operations the core has", function()
    local _, text = help.text ""
    for name in pairs(core.ops) do
      assert.truthy(text:find("[ \n]" .. name .. "[ \n]") or text:find("[ \n]" .. name .. "$"), name)
      assert.equal("asl.ops." .. name, help.lookup("ops." .. name)[1].name)
    end
    local count = 0
    for _, word in ipairs(help.words()) do
      if word:find("^asl%.ops%.") then
        count = count + 1
        assert.is_not_nil(core.ops[word:match("[%w_]+$")], word)
      end
    end
    assert.is_true(count > 40)
  end)
end)

describe("asl help", function()
  it("explains a function", function()
    local result = program.run { "help", "zeros" }
    assert.equal(0, result.code)
    assert.matches("^asl%.zeros%(shape, given%)\n", result.out)
    assert.matches("A tensor of zeros%.", result.out)
    assert.matches("shape: integer%[%]", result.out)
    assert.matches("lua/asl/tensor%.lua:%d+\n$", result.out)
  end)

  it("explains an operation and a module", function()
    assert.matches("^asl%.ops%.relu%(x%) %-> y\n", program.run({ "help", "ops.relu" }).out)
    assert.matches("asl%.optim%.adam", program.run({ "help", "optim" }).out)
  end)

  it("knows the nearest word", function()
    local result = program.run { "help", "zeross" }
    assert.equal(64, result.code)
    assert.equal('asl: no help for "zeross"\nhint: did you mean asl.zeros?\n', result.err)
  end)

  it("has a text for every public module, and for every function of it", function()
    local known = {}
    for _, word in ipairs(help.words()) do
      known[word] = true
    end
    for _, name in ipairs(asl.names()) do
      local ok, value = pcall(function() return asl[name] end)
      assert.is_true(ok, name .. ": " .. tostring(value))
      if type(value) == "function" and not core[name] then
        assert.is_true(known["asl." .. name] or #help.lookup(name) > 0, "asl." .. name .. " is not annotated")
      end
    end
  end)

  it("has the parameters of a function under their names", function()
    for _, word in ipairs(help.words()) do
      for _, entry in ipairs(help.lookup(word)) do
        if entry.kind == "function" and entry.arguments then
          for _, param in ipairs(entry.params) do
            local name = param.name:gsub("%?$", ""):gsub("%.%.%.", "%%.%%.%%.")
            assert.is_truthy(entry.arguments:find("%f[%w_.]" .. name .. "%f[^%w_.]"),
              string.format("%s:%d: %s has no parameter %s", entry.file, entry.line, entry.name, param.name))
          end
        end
      end
    end
  end)
end)
