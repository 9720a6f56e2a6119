local asl = require "asl"
local core = require "asl.core"
local fault = require "asl.fault"
local hostile = require "spec.support.weights_hostile"
local samples = require "spec.support.weights_samples"

describe("safetensors", function()
  local dir, path

  before_each(function()
    dir = core.fs.temp_dir()
    path = dir .. "/w.safetensors"
  end)
  after_each(function() core.fs.remove_tree(dir) end)

  it("hold what the samples' descriptions say", function()
    local files = samples.of "safetensors"
    if not files then return pending(samples.NONE) end
    for _, file in ipairs(files) do
      core.fs.write(path, file.bytes, { durable = false })
      local values, list = asl.weights.read(path)
      assert.equal(#file.rows, #list)
      for _, row in ipairs(file.rows) do
        samples.check(row, values[row.key])
      end
      for _, entry in ipairs(list) do
        assert.equal(values[entry.name]:dtype(), entry.dtype)
        assert.same(values[entry.name]:shape(), entry.shape)
      end
    end
  end)

  it("are refused when cut off anywhere, and read within bounds when damaged", function()
    local files = samples.of "safetensors"
    if not files then return pending(samples.NONE) end
    for i, file in ipairs(files) do
      hostile.truncations(path, file.bytes, file.name)
      hostile.flips(path, file.bytes, file.name, { checked = false, stream = 500 + i })
      -- Where the header is: nothing else is said of the elements.
      local small = file.bytes:sub(1, 8 + string.unpack("<I8", file.bytes))
      hostile.flips(path, small .. ("\0"):rep(#file.bytes - #small), file.name, { checked = false, stream = 600 + i })
    end
  end)

  -- ---- writing ----------------------------------------------------------------------------------

  local function every_dtype()
    return {
      f32 = asl.tensor { { 1.5, -0.0, math.huge }, { -1e-45, 3.4e38, 0 / 0 } },
      f64 = asl.tensor({ 0.1, -1e300 }, { dtype = "f64" }),
      u8 = asl.tensor({ 0, 255, 7 }, { dtype = "u8" }),
      i32 = asl.tensor({ -2147483648, 2147483647 }, { dtype = "i32" }),
      i64 = asl.tensor({ math.mininteger, math.maxinteger }, { dtype = "i64" }),
      scalar = asl.tensor(42), empty = asl.zeros { 3, 0, 2 }, ["dotted.näme\n\""] = asl.zeros { 1, 1, 1, 1, 1, 2 },
    }
  end

  it("come back with the same bits", function()
    local tensors = every_dtype()
    asl.weights.write(path, tensors)
    local values, list = asl.weights.read(path)
    assert.equal(8, #list)
    for name, t in pairs(tensors) do
      assert.equal(t:dtype(), values[name]:dtype(), name)
      assert.same(t:shape(), values[name]:shape(), name)
      assert.equal(t:bytes(), values[name]:bytes(), name)
    end
  end)

  it("are written as the format says, the same bytes each time", function()
    asl.weights.write(path, { a = asl.tensor({ 1, 2, 3 }, { dtype = "u8" }), b = asl.tensor { { 1, 2 } } },
      { metadata = { by = "asl" } })
    local header = '{"__metadata__":{"by":"asl"},"a":{"data_offsets":[8,11],"dtype":"U8","shape":[3]},'
      .. '"b":{"data_offsets":[0,8],"dtype":"F32","shape":[1,2]}}'
    header = header .. (" "):rep(-#header % 8)
    assert.equal(string.pack("<s8", header) .. string.pack("<ff", 1, 2) .. "\1\2\3", core.fs.read(path))
    asl.weights.write(path, every_dtype())
    local first = core.fs.read(path)
    asl.weights.write(path, every_dtype())
    assert.equal(first, core.fs.read(path))
    asl.weights.write(path, {})
    assert.equal(string.pack("<s8", "{}      "), core.fs.read(path))
    assert.same({}, (asl.weights.read(path)))
  end)

  it("are written from any strides", function()
    local t = asl.tensor { { 1, 2, 3 }, { 4, 5, 6 } }
    asl.weights.write(path, { t = t:permute(2, 1), slice = t:slice(2, 2, 3) })
    local values = asl.weights.read(path)
    assert.same({ { 1, 4 }, { 2, 5 }, { 3, 6 } }, values.t:totable())
    assert.same({ { 2, 3 }, { 5, 6 } }, values.slice:totable())
  end)

  -- ---- hostile headers --------------------------------------------------------------------------

  --- A file with this header (unless `length` lies) and `room` bytes behind it.
  local function forged(header, room, length)
    core.fs.write(path, string.pack("<I8", length or #header) .. header .. ("\1"):rep(room or 0), { durable = false })
  end

  --- The message behind the path.
  local function refusal(header, room, length)
    forged(header, room, length)
    local ok, problem = pcall(asl.weights.read, path)
    assert.is_false(ok, header)
    local message, prefix = fault.cause(problem), ('"%s": '):format(path)
    assert.equal(prefix, message:sub(1, #prefix))
    assert.equal(fault.exit.data, problem.exit_code)
    return message:sub(#prefix + 1)
  end

  local function entry(name, dtype, shape, first, last)
    return ('"%s":{"dtype":"%s","shape":%s,"data_offsets":[%s,%s]}'):format(name, dtype, shape, first, last)
  end

  it("read every dtype of the format that has a tensor here", function()
    local cases = {
      { "F64", "<d", 0.1, "f64" }, { "F32", "<f", 0.5, "f32" }, { "I64", "<i8", -5, "i64" }, { "I32", "<i4", -5, "i32" },
      { "I16", "<i2", -32768, "i32" }, { "I8", "<i1", -128, "i32" }, { "U8", "<I1", 200, "u8" }, { "BOOL", "<I1", 1, "u8" },
      { "U16", "<I2", 65535, "i32" }, { "U32", "<I4", 4294967295, "i64" }, { "U64", "<i8", math.maxinteger, "i64" },
    }
    for _, case in ipairs(cases) do
      local bytes = string.pack(case[2], case[3])
      forged("{" .. entry("x", case[1], "[1]", 0, #bytes) .. "}")
      core.fs.write(path, core.fs.read(path) .. bytes, { durable = false })
      local values, list = asl.weights.read(path)
      assert.equal(case[4], values.x:dtype(), case[1])
      assert.equal(case[3], values.x:item(), case[1])
      assert.equal(#bytes, list[1].bytes)
    end
    forged("{" .. entry("x", "U64", "[1]", 0, 8) .. "}")
    core.fs.write(path, core.fs.read(path) .. ("\xff"):rep(8), { durable = false })
    local _, problem = pcall(asl.weights.read, path)
    assert.equal(('"%s": x: its value 18446744073709551615 does not fit into i64'):format(path), fault.cause(problem))
    assert.equal("x: it has the bool 2; a bool is 0 or 1", (function()
      forged("{" .. entry("x", "BOOL", "[2]", 0, 2) .. "}")
      core.fs.write(path, core.fs.read(path) .. "\1\2", { durable = false })
      return (fault.cause(select(2, pcall(asl.weights.read, path))):gsub("^.-: ", ""))
    end)())
  end)

  it("tell what is known but not read, and list it", function()
    forged("{" .. entry("c", "C64", "[1]", 0, 8) .. "," .. entry("f", "F8_E4M3", "[2]", 8, 10) .. "}", 10)
    local _, problem = pcall(asl.weights.read, path)
    assert.equal(('"%s": c: it is c64, for which there is no tensor here'):format(path), fault.cause(problem))
    assert.equal("c64", asl.weights.list(path)[1].dtype)
    assert.equal("f8_e4m3", asl.weights.list(path)[2].dtype)
  end)

  it("round f64 to f32 when asked, unless a value would become infinite", function()
    asl.weights.write(path, { x = asl.tensor({ 0.1, math.huge }, { dtype = "f64" }) })
    assert.equal("f64", asl.weights.read(path).x:dtype())
    local x = asl.weights.read(path, { narrow = true }).x
    assert.equal("f32", x:dtype())
    assert.same({ string.unpack("<f", string.pack("<f", 0.1)), math.huge }, x:totable())
    asl.weights.write(path, { x = asl.tensor({ 1, 1e300 }, { dtype = "f64" }) })
    local _, problem = pcall(asl.weights.read, path, { narrow = true })
    assert.equal(('"%s": x: its value 1e+300 does not fit into f32'):format(path), fault.cause(problem))
  end)

  it("need a length and a header", function()
    core.fs.write(path, "")
    local _, problem = pcall(asl.weights.read, path)
    assert.equal(('"%s" holds no weights: it begins like no PyTorch checkpoint and no safetensors file'):format(path),
      fault.cause(problem))
    assert.equal(fault.exit.data, problem.exit_code)
    for _, case in ipairs {
      { "12345", "it has 5 bytes; the length of its header takes 8" },
      { string.pack("<I8", 10) .. "{}", "its header is to have 10 bytes, behind its length are 2" },
      { ("\xff"):rep(8) .. "{}", "its header is to have 18446744073709551615 bytes, behind its length are 2" },
      { string.pack("<I8", 17 << 20) .. ("{"):rep(17 << 20), "its header has 17825792 bytes; at most 16777216 are read" },
    } do
      core.fs.write(path, case[1], { durable = false })
      local ok, message = pcall(core.safetensors_open, path)
      assert.is_false(ok)
      assert.equal(('"%s": %s'):format(path, case[2]), message)
    end
  end)

  it("refuse a header that is not as the format says", function()
    local F = entry("a", "F32", "[1]", 0, 4)
    for _, case in ipairs {
      { "{", 0, "header: line 1, column 1: string or '}' expected near end of file" },
      { "{" .. F .. "}x", 4, "header: line 1, column 55: end of file expected near 'x'" },
      { "{" .. F .. "," .. F .. "}", 4, 'header: line 1, column 57: duplicate object key near \'"a"\'' },
      { '{"a":1}', 0, 'header: "a" is no object' },
      { '{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"x":0}}', 4,
        'header: "a" has "x" beside dtype, shape and data_offsets' },
      { "{" .. entry("a", "F7", "[1]", 0, 4) .. "}", 4, 'header: "a" has the dtype "F7", which is not read' },
      { '{"a":{"dtype":7,"shape":[1],"data_offsets":[0,4]}}', 4, 'header: "a" has the dtype "7", which is not read' },
      { '{"a":{"shape":[1],"data_offsets":[0,4]}}', 4, 'header: "a" has the dtype "nil", which is not read' },
      { "{" .. entry("a", "F32", "{}", 0, 4) .. "}", 4, 'header: the shape of "a" is no list' },
      { "{" .. entry("a", "F32", '{"1":1}', 0, 4) .. "}", 4,
        'header: the shape of "a" must be integers from 0 to 2^56' },
      { "{" .. entry("a", "F32", "4", 0, 4) .. "}", 4, 'header: the shape of "a" is no list' },
      { "{" .. entry("a", "F32", "[1.0]", 0, 4) .. "}", 4, 'header: the shape of "a" must be integers from 0 to 2^56' },
      { "{" .. entry("a", "F32", "[-1]", 0, 4) .. "}", 4, 'header: the shape of "a" must be integers from 0 to 2^56' },
      { "{" .. entry("a", "F32", "[1,1,1,1,1,1,1]", 0, 4) .. "}", 4,
        'header: the shape of "a" has 7 numbers; at most 6 are read' },
      { "{" .. entry("a", "F32", "[4294967296,4294967296,4294967296,4294967296]", 0, 4) .. "}", 4,
        'header: "a" has more than 2^56 elements' },
      { "{" .. entry("a", "F32", "[0,4294967296,4294967296]", 0, 0) .. "}", 0,
        'header: "a" has more than 2^56 elements' },
      { '{"a":{"dtype":"F32","shape":[1],"data_offsets":[0]}}', 4, 'header: "a" needs two data_offsets' },
      { '{"a":{"dtype":"F32","shape":[1]}}', 4, 'header: the data_offsets of "a" is no list' },
      { "{" .. entry("a", "F32", "[2]", 0, 4) .. "}", 4,
        'header: "a" has the bytes 0 to 4; its shape and dtype take 8' },
      { "{" .. entry("a", "F32", "[1]", 4, 0) .. "}", 4,
        'header: "a" has the bytes 4 to 0; its shape and dtype take 4' },
      { "{" .. entry("a", "F32", "[1]", 4, 8) .. "}", 8, 'header: 4 bytes before "a" belong to no tensor' },
      { "{" .. F .. "," .. entry("b", "F32", "[1]", 2, 6) .. "}", 6, 'header: "b" overlaps what is before it' },
      { "{" .. F .. "," .. entry("b", "F32", "[1]", 0, 4) .. "}", 4, 'header: "b" overlaps what is before it' },
      { "{" .. F .. "," .. entry("b", "F32", "[1]", 8, 12) .. "}", 12, 'header: 4 bytes before "b" belong to no tensor' },
      { "{" .. F .. "}", 3, "header: its tensors have 4 bytes, behind it are 3" },
      { "{" .. F .. "}", 6, "header: 2 bytes behind the last tensor belong to none" },
      { "{}", 1, "header: 1 bytes behind the last tensor belong to none" },
      { '{"__metadata__":[],' .. F .. "}", 4, nil },
      { '{"__metadata__":{"a":1},' .. F .. "}", 4, "header: __metadata__ must hold strings by name" },
      { '{"__metadata__":"x",' .. F .. "}", 4, "header: __metadata__ is no object" },
    } do
      if case[3] then assert.equal(case[3], refusal(case[1], case[2])) end
    end
    forged('{"__metadata__":{"format":"pt"},' .. F .. "}  ", 4)
    assert.same({ 1 }, asl.weights.list(path)[1].shape)
    assert.matches("\n  format = \"pt\"\n1 tensor of 1 value, 4 B$", asl.weights.text(path))
  end)

  it("are not written under a wrong name, order or kind", function()
    local t = asl.zeros { 1 }
    for _, case in ipairs {
      { { { [""] = t } }, 'asl.weights.write: "" cannot be a name: a name is UTF-8 text, not empty' },
      { { { [7] = t } }, "asl.weights.write: 7 cannot be a name: a name is UTF-8 text, not empty" },
      { { { ["\xff"] = t } }, 'asl.weights.write: "\\xff" cannot be a name: a name is UTF-8 text, not empty' },
      { { { __metadata__ = t } }, "asl.weights.write: __metadata__ cannot be a name: a name is UTF-8 text, not empty" },
      { { { a = 1 } }, "asl.weights.write: a is a number, not a tensor" },
      { { { a = t }, { order = { "b" } } }, "asl.weights.write: the order names b, which is no tensor" },
      { { { a = t, b = t }, { order = { "a", "a" } } }, "asl.weights.write: the order names a, which is there already" },
      { { { a = t, b = t }, { order = { "a" } } }, "asl.weights.write: the order names 1 of 2 tensors" },
      { { { a = t }, { format = "onnx" } },
        'asl.weights.write: the format "onnx" is neither "safetensors" nor "pytorch"' },
      { { { a = t }, { format = "pytorch", metadata = {} } }, "asl.weights.write: only a safetensors file has metadata" },
      { { { a = t }, { metadata = { a = 1 } } }, "asl.weights.write: metadata holds strings by name" },
    } do
      local ok, problem = pcall(asl.weights.write, path, case[1][1], case[1][2])
      assert.is_false(ok)
      assert.equal(case[2], fault.cause(problem))
    end
    assert.same({}, core.fs.list(dir))
    local _, problem = pcall(asl.weights.write, dir .. "/w.bin", { a = t })
    assert.equal(('asl.weights.write: "%s/w.bin" ends in none of .safetensors, .pth, .pt; say format = "safetensors" or '
      .. '"pytorch"'):format(dir), fault.cause(problem))
  end)
end)
