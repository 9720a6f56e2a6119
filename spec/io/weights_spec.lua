-- PyTorch's checkpoints in and out: samples, forged files, the container formats, the networks.

local asl = require "asl"
local core = require "asl.core"
local fault = require "asl.fault"
local forge = require "spec.support.weights_forge"
local hostile = require "spec.support.weights_hostile"
local samples = require "spec.support.weights_samples"

local op = forge.op

describe("PyTorch's checkpoints", function()
  local dir, path

  before_each(function()
    dir = core.fs.temp_dir()
    path = dir .. "/w.pth"
  end)
  after_each(function() core.fs.remove_tree(dir) end)

  local function put(bytes)
    core.fs.write(path, bytes, { durable = false })
  end

  --- The message behind the path of reading these bytes.
  local function refusal(bytes)
    put(bytes)
    local ok, problem = pcall(asl.weights.read, path)
    assert.is_false(ok)
    local message, prefix = fault.cause(problem), ('"%s": '):format(path)
    assert.equal(prefix, message:sub(1, #prefix))
    assert.equal(fault.exit.data, problem.exit_code)
    return message:sub(#prefix + 1)
  end

  -- ---- samples ----------------------------------------------------------------------------------

  it("hold what the samples' descriptions say", function()
    local files = samples.of "pytorch"
    if not files then return pending(samples.NONE) end
    local kinds = { int = "integer", float = "number", str = "string" }
    for _, file in ipairs(files) do
      put(file.bytes)
      if file.format == "invalid" then
        assert.is_false(pcall(asl.weights.read, path))
      else
        local values, list = asl.weights.read(path)
        assert.equal(#file.rows, #list, file.name)
        for i, row in ipairs(file.rows) do
          assert.equal(row.key, list[i].name)
          if row.kind == "tensor" then
            samples.check(row, values[row.key])
          else
            assert.equal(kinds[row.kind], list[i].kind)
            local value = values[row.key]
            assert.equal(row.first_values, type(value) == "string" and "'" .. value .. "'" or tostring(value))
          end
        end
      end
    end
  end)

  it("come as the dtype that holds their values", function()
    local files = samples.of "pytorch"
    if not files then return pending(samples.NONE) end
    local dtypes = { ["<f4"] = "f32", ["<f8"] = "f64", ["<f2"] = "f16", bf16 = "bf16", ["<i8"] = "i64", ["<i4"] = "i32",
      ["<i2"] = "i16", i1 = "i8", u1 = "u8", ["?"] = "bool" }
    local here = { f16 = "f32", bf16 = "f32", i16 = "i32", i8 = "i32", bool = "u8" }
    local seen = {}
    for _, file in ipairs(files) do
      put(file.bytes)
      for i, row in ipairs(file.rows) do
        if row.kind == "tensor" then
          local values, list = asl.weights.read(path)
          local dtype = dtypes[row.dtype]
          assert.equal(dtype, list[i].dtype)
          assert.equal(here[dtype] or dtype, values[row.key]:dtype())
          assert.is_true(values[row.key]:is_contiguous())
          seen[dtype] = true
        end
      end
    end
    for _, dtype in pairs(dtypes) do assert.is_true(seen[dtype], dtype) end
  end)

  it("are refused when cut off anywhere", function()
    local files = samples.of "pytorch"
    if not files then return pending(samples.NONE) end
    for _, file in ipairs(files) do
      if file.format ~= "invalid" then hostile.truncations(path, file.bytes, file.name) end
    end
  end)

  it("give an error or the right content when a byte of an archive is wrong, and stay within bounds in a stream", function()
    local files = samples.of "pytorch"
    if not files then return pending(samples.NONE) end
    for i, file in ipairs(files) do
      -- A stream has no checksums: its numbers may come out wrong.
      if file.format ~= "invalid" then
        hostile.flips(path, file.bytes, file.name, { checked = file.format == "zip", stream = i })
      end
    end
  end)

  -- ---- archives ---------------------------------------------------------------------------------

  local one = forge.pickle(forge.dict("x", forge.tensor { count = 2 }))
  local numbers = forge.f32(1.5, -2)

  it("in archives need their entries", function()
    put(forge.checkpoint(one, { ["0"] = numbers }, { byteorder = "little" }))
    assert.same({ 1.5, -2 }, asl.weights.read(path).x:totable())
    put(forge.checkpoint(one, { ["0"] = numbers }, { zip = { zip64 = true, comment = "a comment" } }))
    assert.same({ 1.5, -2 }, asl.weights.read(path).x:totable())
    local good = { ["0"] = numbers }
    local cases = {
      { forge.checkpoint(one, {}), 'the archive has no entry for the storage "0"' },
      { forge.checkpoint(one, { ["0"] = "123" }),
        'the storage "0" has 3 bytes; its 2 elements of f32 take 8' },
      { forge.checkpoint(one, good, { version = false }), 'its format version is "missing"; 1 to 10 are read' },
      { forge.checkpoint(one, good, { version = "11\n" }), 'its format version is "11"; 1 to 10 are read' },
      { forge.checkpoint(one, good, { version = ("1"):rep(17) }), "its entry version has 17 bytes" },
      { forge.checkpoint(one, good, { byteorder = "big" }), 'its byte order is "big"; little is read' },
      { forge.zip { { "a/version", "3" } }, "0 of its 1 entries are a data.pkl; PyTorch writes one" },
      { forge.zip { { "data.pkl", one } }, "0 of its 1 entries are a data.pkl; PyTorch writes one" },
      { forge.checkpoint(one, good, { entries = { { "b/data.pkl", "" } } }),
        "2 of its 4 entries are a data.pkl; PyTorch writes one" },
      { forge.checkpoint(one, good, { entries = { { "a/constants.pkl", "" } } }),
        "it is a TorchScript archive, a program; torch.save the state_dict() instead" },
    }
    for _, case in ipairs(cases) do assert.equal(case[2], refusal(case[1])) end
  end)

  it("in archives lie nowhere about their places", function()
    local function changed(change, zip)
      local entry = { "a/data/0", numbers }
      for key, value in pairs(change) do entry[key] = value end
      return forge.zip({ { "a/data.pkl", one }, { "a/version", "3" }, entry }, zip)
    end
    local cases = {
      { changed { crc = 7 },
        'x: zip: entry "a/data/0": its content is damaged: its CRC%-32 is %x+, should be 00000007' },
      { changed { method = 8 }, 'x: zip: entry "a/data/0": it is compressed; PyTorch only stores' },
      { changed { flags = 1 }, 'x: zip: entry "a/data/0": it is encrypted; PyTorch only stores' },
      { changed { at = 0 }, 'zip: entry "a/data%.?%a*/?0?" reaches into what follows it' },
      { changed { at = 1 << 30 }, 'zip: entry "a/data/0" lies outside' },
      { changed { packed = 4 }, 'zip: entry "a/data/0" lies outside' },
      { changed { bytes = 1 << 30 }, 'zip: entry "a/data/0" lies outside' },
      { changed { bytes = 9 }, 'zip: entry "a/data/0" reaches into what follows it' },
      { changed { "a/version" }, 'zip: two entries are called "a/version"' },
      { changed({}, { count = 2 }), "zip: its directory has more than its entries" },
      { changed({}, { count = 4 }), "zip: its directory is too short for its entries" },
      { changed({}, { directory_at = 1 << 30 }), "zip: its directory reaches outside" },
      { changed({}, { directory_bytes = 1 << 20 }), "zip: its directory reaches outside" },
      { changed({}, { directory_at = 1 }), "zip: an entry of its directory is none" },
      { changed({}, { zip64 = true, small_count = 2 }), "zip: its two end records disagree" },
      { changed({}, { zip64 = true, count = 1 << 40, small_count = 65535 }),
        "zip: 1099511627776 entries in a directory of %d+ bytes; at most 1048576 in 268435456 are read" },
      { changed { extra = "\1\0\9\0x" }, "zip: an extra field reaches outside its entry" },
      { changed { at = 0xFFFFFFFF, extra = "\1\0\4\0\0\0\0\0" }, "zip: a 64%-bit size is missing" },
      { changed { at = 0xFFFFFFFF, extra = "\1\0\8\0" .. ("\xff"):rep(8) }, 'zip: entry "a/data/0" lies outside' },
      { changed({}):sub(1, -2), "zip: it has no end record: it is cut off, or no archive" },
    }
    for i, case in ipairs(cases) do assert.matches("^" .. case[2] .. "$", refusal(case[1]), "case " .. i) end
  end)

  it("cannot use one part of an archive many times", function()
    -- A thousand directory entries for the same bytes would read them a thousand times.
    local entries = { { "a/data.pkl", one }, { "a/version", "3" }, { "a/data/0", numbers } }
    for i = 1, 3 do entries[#entries + 1] = { "a/data/again" .. i, "", at = 40 + #one, bytes = 8 } end
    assert.matches('^zip: entry "a/.*" reaches into what follows it$', refusal(forge.zip(entries)))
    -- A thousand tensors of one storage are a thousand times its memory.
    local list = { op.EMPTY_LIST, op.MARK }
    for i = 1, 3000 do list[i + 2] = forge.tensor { count = 4096 } end
    local shared = forge.checkpoint(forge.pickle(table.concat(list) .. op.APPENDS), { ["0"] = ("\0"):rep(16384) })
    assert.matches("^its tensors have more than %d+ bytes, 16 times the file's: they share storages too often$",
      refusal(shared))
    -- So is one tensor that repeats one element.
    assert.matches("^its tensors have more than %d+ bytes, 16 times", refusal(forge.checkpoint(forge.pickle(forge.tensor {
      count = 1, sizes = { 1 << 20, 1 << 20 }, strides = { 0, 0 } }), { ["0"] = forge.f32(1) })))
    put(forge.checkpoint(forge.pickle(forge.tensor { count = 1, sizes = { 2, 3 }, strides = { 0, 0 } }),
      { ["0"] = forge.f32(7) }))
    assert.same({ { 7, 7, 7 }, { 7, 7, 7 } }, asl.weights.read(path).tensor:totable())
  end)

  -- ---- tensors ----------------------------------------------------------------------------------

  --- What is wrong with this tensor of the storage 1, 2, 3, 4, 5, 6.
  local function tensor_refusal(given)
    given.count = given.count or 6
    local message = refusal(forge.checkpoint(forge.pickle(forge.tensor(given)), { ["0"] = forge.f32(1, 2, 3, 4, 5, 6) }))
    return (message:gsub("^data.pkl: byte %d+ ", ""))
  end

  local function tensor(given)
    given.count = 6
    put(forge.checkpoint(forge.pickle(forge.tensor(given)), { ["0"] = forge.f32(1, 2, 3, 4, 5, 6) }))
    return asl.weights.read(path).tensor:totable()
  end

  it("are views of storages with any strides", function()
    assert.same({ { 1, 2, 3 }, { 4, 5, 6 } }, tensor { sizes = { 2, 3 }, strides = { 3, 1 } })
    assert.same({ { 1, 4 }, { 2, 5 }, { 3, 6 } }, tensor { sizes = { 3, 2 }, strides = { 1, 3 } })
    assert.same({ 2, 4, 6 }, tensor { offset = 1, sizes = { 3 }, strides = { 2 } })
    assert.same({ { { { { { 6 } } } } } }, tensor { offset = 5, sizes = { 1, 1, 1, 1, 1, 1 },
      strides = { 9, 9, 1 << 50, 9, 9, 9 } })
    assert.same({ { {}, {} } }, tensor { offset = 6, sizes = { 1, 2, 0 }, strides = { 1 << 40, 1 << 40, 1 } })
    assert.equal(3, tensor { offset = 2, sizes = {}, strides = {} })
    -- Every layout of three dimensions against the sum that strides are.
    for _, order in ipairs { { 6, 3, 1 }, { 3, 1, 2 }, { 1, 1, 1 }, { 0, 2, 1 }, { 2, 0, 3 } } do
      local got = tensor { sizes = { 1, 2, 2 }, strides = order }
      for j = 0, 1 do
        for k = 0, 1 do assert.equal(1 + j * order[2] + k * order[3], got[1][j + 1][k + 1]) end
      end
    end
  end)

  it("lie within their storages", function()
    local cases = {
      { { sizes = { 7 } }, "a tensor from element 0 to 7 of a storage of 6" },
      { { sizes = { 6 }, offset = 1 }, "a tensor from element 1 to 7 of a storage of 6" },
      { { sizes = { 2, 3 }, strides = { 4, 1 } }, "a tensor from element 0 to 7 of a storage of 6" },
      { { sizes = { 0 }, offset = 7 }, "a tensor from element 7 to 7 of a storage of 6" },
      { { sizes = { 2, 2 }, strides = { 1 << 56, 1 << 56 } }, "its strides reach further than 2^56 elements" },
      { { sizes = { 1 << 30, 1 << 30 }, strides = { 0, 0 } }, "its shape has more than 2^56 elements" },
      { { sizes = { 0, 1 << 40, 1 << 40 }, strides = { 0, 0, 0 } }, "its shape has more than 2^56 elements" },
      { { sizes = { -1 } }, "a size is -1; it must be 0 to 2^56" },
      { { strides = { -1 } }, "a stride is -1; it must be 0 to 2^56" },
      { { offset = -1 }, "its offset is -1; it must be 0 to 2^56" },
      { { offset = math.maxinteger }, "its offset is 9223372036854775807; it must be 0 to 2^56" },
      { { sizes = { 1, 2 } }, "2 sizes and 1 strides" },
    }
    for _, case in ipairs(cases) do
      assert.equal("(REDUCE): torch._utils._rebuild_tensor_v2: " .. case[2], tensor_refusal(case[1]))
    end
    assert.equal("(REDUCE): torch._utils._rebuild_tensor_v2: a tensor of 7 dimensions; at most 6 are read",
      tensor_refusal { sizes = { 1, 1, 1, 1, 1, 1, 1 } })
    assert.equal("(BINPERSID): the number of elements of a storage is -1; it must be 0 to 2^56",
      tensor_refusal { count = -1 })
    assert.equal("(BINPERSID): the number of elements of a storage is 144115188075855872; it must be 0 to 2^56",
      tensor_refusal { count = 1 << 57 })
    assert.equal("(BINPERSID): the class of a storage is torch.float32", tensor_refusal { class = "float32" })
  end)

  it("are rebuilt by the functions that PyTorch has had for it", function()
    local storages = { ["0"] = forge.f32(1, 2, 3, 4, 5, 6) }
    local function read(value)
      put(forge.checkpoint(forge.pickle(value), storages))
      return asl.weights.read(path).tensor:totable()
    end
    local hooks = op.GLOBAL("collections", "OrderedDict") .. op.EMPTY_TUPLE .. op.REDUCE
    assert.same({ 1, 2, 3, 4, 5, 6 }, read(forge.tensor { fn = "_rebuild_tensor", count = 6, arguments = "" }))
    assert.same({ 1, 2, 3, 4, 5, 6 }, read(forge.tensor { count = 6, more = op.EMPTY_DICT }))
    for _, name in ipairs { "_rebuild_parameter", "_rebuild_parameter_with_state" } do
      assert.same({ 1, 2, 3, 4, 5, 6 }, read(op.GLOBAL("torch._utils", name) .. forge.tensor { count = 6 } .. op.NEWTRUE
        .. hooks .. op.TUPLE3 .. op.REDUCE))
    end
    assert.matches("%(REDUCE%): torch._utils._rebuild_parameter: its tensor is None$", refusal(forge.checkpoint(forge.pickle(
      op.GLOBAL("torch._utils", "_rebuild_parameter") .. op.NONE .. op.NEWTRUE .. hooks .. op.TUPLE3 .. op.REDUCE))))
    assert.matches("its storage is a string$", refusal(forge.checkpoint(forge.pickle(op.GLOBAL("torch._utils",
      "_rebuild_tensor") .. op.MARK .. op.BINUNICODE "" .. op.BININT1(0) .. op.EMPTY_TUPLE .. op.EMPTY_TUPLE .. op.TUPLE
      .. op.REDUCE))))
    assert.equal("(REDUCE): torch._utils._rebuild_tensor_v2: it has 4 arguments, not 6 to 7",
      tensor_refusal { arguments = "" })
    assert.equal("(REDUCE): torch._utils._rebuild_tensor_v2: a tensor with metadata (negated or conjugated); save a copy of it",
      tensor_refusal { more = forge.dict("neg", op.NEWTRUE) })
  end)

  it("may have the dtypes of later versions, in storages of bytes", function()
    local function read(dtype, bytes, count)
      put(forge.checkpoint(forge.pickle(forge.tensor { fn = "_rebuild_tensor_v3", module = "torch.storage",
        class = "UntypedStorage", count = #bytes, sizes = { count }, more = op.GLOBAL("torch", dtype) }), { ["0"] = bytes }))
      local values, list = asl.weights.read(path)
      return values.tensor, list[1]
    end
    local t, entry = read("uint16", string.pack("<I2I2", 1, 65535), 2)
    assert.same({ 1, 65535 }, t:totable())
    assert.same({ "u16", "i32", 4 }, { entry.dtype, t:dtype(), entry.bytes })
    assert.same({ 4294967295 }, read("uint32", ("\xff"):rep(4), 1):totable())
    assert.same({ 7 }, read("uint64", string.pack("<I8", 7), 1):totable())
    assert.error_matches(function() read("float8_e5m2", "x", 1) end, "it is f8_e5m2, for which there is no tensor here")
    assert.error_matches(function() read("uint32", ("\xff"):rep(7), 2) end, "a tensor from element 0 to 2 of a storage of 1$")
    assert.error_matches(function() read("device", "x", 1) end, "its dtype is torch.device$")
  end)

  it("widen f16 and bf16 exactly: every one of their 65536 values", function()
    local all = {}
    for i = 0, 65535 do all[i + 1] = string.pack("<I2", i) end
    local bytes = table.concat(all)
    local function read(class)
      put(forge.checkpoint(forge.pickle(forge.tensor { class = class, count = 65536 }), { ["0"] = bytes }))
      return asl.weights.read(path).tensor:totable()
    end
    local f16, bf16 = read "HalfStorage", read "BFloat16Storage"
    for i = 0, 65535 do
      -- IEEE 754: sign, 5 bits of exponent, 10 of fraction.
      local sign, exponent, fraction = i >> 15 == 1 and -1.0 or 1.0, i >> 10 & 31, i & 1023
      local expected = exponent == 0 and sign * fraction * 2.0 ^ -24
        or exponent < 31 and sign * (1 + fraction / 1024) * 2.0 ^ (exponent - 15) or fraction == 0 and sign * math.huge
      local wide = string.unpack("<f", string.pack("<I4", i << 16))
      if expected then assert(f16[i + 1] == expected, i) else assert(f16[i + 1] ~= f16[i + 1], i) end
      if expected == 0 then assert(1 / f16[i + 1] == 1 / expected, i) end
      assert(bf16[i + 1] == wide or (wide ~= wide and bf16[i + 1] ~= bf16[i + 1]), i)
    end
  end)

  -- ---- the legacy stream ------------------------------------------------------------------------

  it("in streams hold storages and views of them", function()
    local view = op.BINUNICODE "v" .. op.BININT1(1) .. op.BININT1(2) .. op.TUPLE3
    put(forge.legacy(forge.pickle(forge.dict("a", forge.tensor { key = "7", count = 2 }, "b", forge.tensor { key = "8",
      count = 3, sizes = { 2 }, view = view }, "c", forge.tensor { key = "7", count = 2, offset = 1, sizes = { 1 } },
      "none", forge.tensor { key = "7", count = 2, sizes = { 1 }, view = op.NONE })),
      { { "8", 3, forge.f32(3, 4, 5) }, { "7", 2, forge.f32(1, 2) } }))
    local values, list = asl.weights.read(path)
    assert.same({ 1, 2 }, values.a:totable())
    assert.same({ 4, 5 }, values.b:totable())
    assert.same({ 2 }, values.c:totable())
    assert.same({ 1 }, values.none:totable())
    assert.equal(list[1].storage, list[3].storage)
    assert.not_equal(list[1].storage, list[2].storage)
  end)

  it("in streams say what is wrong with them", function()
    local x, good = forge.pickle(forge.tensor { key = "7", count = 2 }), { { "7", 2, forge.f32(1, 2) } }
    local function view(...)
      return forge.legacy(forge.pickle(forge.tensor { key = "7", count = 2, view = table.concat { ... } }), good)
    end
    local function system(value) return { system = forge.pickle(value) } end
    local prefix = "the pickle of the object, from byte N on: byte N "
    local cases = {
      { forge.legacy(x, good, { magic = forge.pickle(op.BININT1(7)) }),
        "it begins like a pickle, but not with PyTorch's magic number" },
      { forge.legacy(x, good, { magic = "\x80\x02garbage" }),
        "the pickle of the magic number, from byte N on: byte N (0x67): no opcode that data needs" },
      { forge.legacy(x, good, { protocol = forge.pickle(op.BININT2(1002)) }), "its protocol is another integer, not 1001" },
      { forge.legacy(x, good, { protocol = forge.pickle(op.NONE) }), "its protocol is None, not 1001" },
      { forge.legacy(x, good, system(forge.dict("little_endian", op.NEWFALSE))), "its numbers are big endian" },
      { forge.legacy(x, good, system(op.EMPTY_DICT)), 'its system does not say "little_endian"' },
      { forge.legacy(x, good, system(op.EMPTY_LIST)), "its system is a list" },
      { forge.legacy(forge.pickle(op.GLOBAL("os", "system")), good),
        prefix .. "(GLOBAL): os.system is none of the names that weights need; nothing was run" },
      { forge.legacy(x, good, { keys = forge.pickle(op.EMPTY_DICT) }), "its list of storages is a dictionary" },
      { forge.legacy(x, good, { keys = forge.pickle(op.EMPTY_LIST .. op.NONE .. op.APPEND) }),
        "the key of storage 1 is None" },
      { forge.legacy(x, {}), 'the storage "7" is not in its list of storages' },
      { forge.legacy(x, { { "8", 2, forge.f32(1, 2) } }), "storage 1 belongs to no tensor" },
      { forge.legacy(x, { good[1], good[1] }), "storage 2 is there twice" },
      { forge.legacy(x, { { "7", 3, forge.f32(1, 2) } }), "storage 1 has 3 elements, its tensors say 2" },
      { forge.legacy(x, { { "7", -1, forge.f32(1, 2) } }), "storage 1 has -1 elements, its tensors say 2" },
      { forge.legacy(x, { { "7", 2, forge.f32(1) } }), "it ends within storage 1" },
      { forge.legacy(x, good):sub(1, -10), "it ends before storage 1" },
      { forge.legacy(x, good, { tail = "xyz" }), "3 bytes follow its last storage" },
      { forge.legacy(forge.pickle(forge.dict("a", forge.tensor { key = "7", count = 2 }, "b", forge.tensor { key = "7",
        count = 1 })), good), "storage 1 is said to have two types or sizes" },
      { view(op.BINUNICODE "v", op.BININT1(1), op.BININT1(2), op.TUPLE3),
        prefix .. "(BINPERSID): a view of 2 elements from 1 on, in a storage of 2" },
      { view(op.BININT1(1), op.TUPLE1), prefix .. "(BINPERSID): the view of a storage has 1 parts, not 3" },
      { view(op.BININT1(1)), prefix .. "(BINPERSID): the view of a storage is an integer" },
    }
    for i, case in ipairs(cases) do
      assert.equal(case[2], (refusal(case[1]):gsub("byte %d+", "byte N")), "case " .. i)
    end
  end)

  it("of other kinds are named", function()
    local tar = ("x"):rep(257) .. "ustar" .. ("\0"):rep(250)
    assert.equal("it is a tar file of PyTorch before 0.1.10; load and save it with a later one", refusal(tar))
    for _, bytes in ipairs { "", "\x7fELF", "abc", ("\0"):rep(100) } do
      put(bytes)
      local _, problem = pcall(asl.weights.read, path)
      assert.equal(('"%s" holds no weights: it begins like no PyTorch checkpoint and no safetensors file'):format(path),
        fault.cause(problem))
    end
    local _, problem = pcall(asl.weights.read, dir)
    assert.equal(('"%s" is a directory, not a file'):format(dir), fault.cause(problem))
    _, problem = pcall(asl.weights.read, dir .. "/none.pth")
    assert.equal(('cannot open "%s/none.pth": No such file or directory'):format(dir), fault.cause(problem))
  end)

  -- ---- writing ----------------------------------------------------------------------------------

  it("come back with the same bits, and are the same bytes each time", function()
    local tensors = {
      f32 = asl.tensor { { 1.5, -0.0, math.huge }, { -1e-45, 3.4e38, 0 / 0 } },
      f64 = asl.tensor({ 0.1, -1e300 }, { dtype = "f64" }), u8 = asl.tensor({ 0, 255, 7 }, { dtype = "u8" }),
      i32 = asl.tensor({ -2147483648, 2147483647 }, { dtype = "i32" }),
      i64 = asl.tensor({ math.mininteger, math.maxinteger }, { dtype = "i64" }),
      scalar = asl.tensor(42), empty = asl.zeros { 3, 0, 2 }, ["a.dotted.näme"] = asl.zeros { 70000 },
      turned = asl.tensor({ { 1, 2, 3 }, { 4, 5, 6 } }):permute(2, 1),
    }
    asl.weights.write(path, tensors)
    local first, values, list = core.fs.read(path), asl.weights.read(path)
    assert.equal(9, #list)
    for name, t in pairs(tensors) do
      assert.equal(t:dtype(), values[name]:dtype(), name)
      assert.same(t:shape(), values[name]:shape(), name)
      assert.equal(t:bytes(), values[name]:bytes(), name)
    end
    asl.weights.write(path, values)
    assert.equal(first, core.fs.read(path))
    -- The stride of a size of 1 is not part of a tensor.
    local t = asl.tensor { { { 1 }, { 2 } }, { { 3 }, { 4 } } }
    asl.weights.write(path, { t = t:permute(1, 3, 2) })
    first = core.fs.read(path)
    asl.weights.write(path, { t = asl.tensor { { { 1, 2 } }, { { 3, 4 } } } })
    assert.equal(first, core.fs.read(path))
    asl.weights.write(path, {}, { format = "pytorch" })
    assert.same({}, (asl.weights.read(path)))
  end)

  it("are in the order that is asked for", function()
    local t = asl.zeros { 1 }
    asl.weights.write(path, { a = t, b = t, c = t }, { order = { "c", "a", "b" } })
    local names = {}
    for i, entry in ipairs(asl.weights.list(path)) do names[i] = entry.name end
    assert.same({ "c", "a", "b" }, names)
  end)

  it("leave what is there when they cannot be written", function()
    put("old")
    local unread = asl.tensor { 1 }
    unread:release()
    assert.is_false(pcall(asl.weights.write, path, { a = unread }))
    assert.equal("old", core.fs.read(path))
    assert.same({ "w.pth" }, core.fs.list(dir))
    local _, problem = pcall(asl.weights.write, dir .. "/no/w.pth", { a = asl.zeros { 1 } })
    assert.equal(('cannot create "%s/no/w.pth": No such file or directory'):format(dir), fault.cause(problem))
  end)

  it("closed are closed", function()
    asl.weights.write(path, { a = asl.zeros { 1 } })
    local file = core.torch_open(path)
    file:close()
    assert.error_matches(function() file:entries() end, "the file is closed")
    file = core.torch_open(path)
    assert.error_matches(function() file:tensor(2) end, "there is no such entry")
    file:close()
  end)
end)
