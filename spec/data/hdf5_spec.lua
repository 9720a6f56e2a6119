local core = require "asl.core"
local hdf5 = require "spec.support.miniature.hdf5"
local pictures = require "spec.support.pictures"

local flat, numbers, tree = hdf5.flat, hdf5.numbers, hdf5.tree

local root, path
before_each(function()
  root = core.fs.temp_dir()
  path = root .. "/x.h5"
end)
after_each(function() core.fs.remove_tree(root) end)

local function open(bytes)
  pictures.write(path, bytes)
  return core.hdf5_open(path)
end

--- The file of these datasets, opened.
local function open_datasets(datasets, given)
  local all = { datasets = datasets }
  for key, value in pairs(given or {}) do all[key] = value end
  return open((hdf5.encode(all)))
end

local TYPES = { uint8 = "u8", int8 = "i8", uint16 = "u16", int16 = "i16", uint32 = "u32", int32 = "i32", uint64 = "u64",
  int64 = "i64", float16 = "f16", float32 = "f32", float64 = "f64", object = "reference",
  ["<f2"] = "f16", ["<f8"] = "f64", ["<i2"] = "i16", ["<i8"] = "i64" }
local DTYPES = { u8 = "u8", i8 = "i32", u16 = "i32", i16 = "i32", u32 = "i64", i32 = "i32", u64 = "i64", i64 = "i64",
  f16 = "f32", f32 = "f32", f64 = "f64", char16 = "i32", reference = "i64" }

local function list_of(text)
  local list = {}
  for word in text:gmatch "[^%s,()%[%]]+" do
    list[#list + 1] = word == "nan" and 0 / 0 or assert(tonumber(word), word)
  end
  return list
end

-- ---- real files -------------------------------------------------------------------------------------------------------

describe("MATLAB's files of version 7.3", function()
  local NONE = "the files (../shared/data/formats/mat73) are not here"
  local folder, rows = pictures.real "formats/mat73", {}
  for _, row in ipairs(folder and pictures.tsv(folder .. "/expected_tree.tsv") or {}) do
    rows[row.file] = rows[row.file] or {}
    table.insert(rows[row.file], row)
  end

  local function check(file, row)
    local where = row.file .. " " .. row.path
    if row.dtype:find "real" then
      return assert.equal(('%s/%s: "%s": compound values (structs) are not read'):format(folder, row.file, row.path),
        (pictures.error_of(function() file:read(row.path) end):gsub("^[^ ]+lua:%d+: ", "")))
    end
    local said = file:describe(row.path)
    assert.equal(TYPES[row.dtype], said.type, where)
    assert.same(list_of(row.shape), said.shape, where)
    local values = file:read(row.path)
    assert.same(said.shape, values:shape(), where)
    assert.equal(DTYPES[said.type], values:dtype(), where)
    values = flat(values)
    for i, expected in ipairs(list_of(row.first_values)) do
      assert.is_true(values[i] == expected or values[i] ~= values[i] and expected ~= expected, where)
    end
    if said.type ~= "reference" then return end
    for _, address in ipairs(values) do
      local ok, message = pcall(file.read_reference, file, address)
      assert.is_true(ok or message:find "the reference %d+: it is a group" ~= nil
        or message:find "compound values" ~= nil, where .. ": " .. tostring(message))
    end
  end

  it("hold what h5py finds in them", function()
    if not folder then return pending(NONE) end
    for name, expected in pairs(rows) do
      local file <close> = core.hdf5_open(folder .. "/" .. name)
      local there, wanted = tree(file), {}
      for i, row in ipairs(expected) do
        wanted[i] = row.path .. (row.kind == "group" and "/" or "")
        if row.kind ~= "group" then check(file, row) end
      end
      table.sort(there)
      table.sort(wanted)
      assert.same(wanted, there, name)
    end
  end)

  it("have text behind references", function()
    if not folder then return pending(NONE) end
    local file <close> = core.hdf5_open(folder .. "/testfile1.mat")
    local words = {}
    for i, address in ipairs(flat(file:read "data/struct2_/color")) do
      words[i] = string.char(table.unpack(flat(file:read_reference(address))))
    end
    assert.same({ "red", "red" }, words)
  end)
end)

describe("h5py's files", function()
  it("of Hypersim hold what h5py reads", function()
    local folder = pictures.real "hypersim"
    if not folder then return pending "the files (../shared/data/hypersim) are not here" end
    local rows = pictures.tsv(folder .. "/expected.tsv")
    assert.equal(18, #rows)
    for _, row in ipairs(rows) do
      local file <close> = core.hdf5_open(folder .. "/" .. row.file)
      assert.same({ { name = "dataset", group = false } }, file:list())
      local said, shape = file:describe "dataset", list_of(row.shape)
      assert.same({ shape = shape, type = TYPES[row.dtype] }, said, row.file)
      local values, sum, least, most = flat(file:read "dataset"), 0, math.huge, -math.huge
      for i = 1, #values do
        local value = values[i]
        sum = sum + value
        if value < least then least = value end
        if value > most then most = value end
      end
      assert.same({ tonumber(row.min), tonumber(row.max) }, { least, most }, row.file)
      assert.is_true(math.abs(sum / #values - tonumber(row.mean)) <= 1e-8 * math.abs(tonumber(row.mean)), row.file)
      local at, one = list_of(row.sample_index), {}
      for i in ipairs(at) do at[i], one[i] = at[i] + 1, 1 end
      assert.equal(tonumber(row.sample_value), flat(file:read("dataset", at, one))[1], row.file)
    end
  end)

  it("of NYU Depth hold the frame that the pictures show", function()
    local folder = pictures.real "nyuv2"
    if not folder then return pending "the frames (../shared/data/nyuv2) are not here" end
    local file <close> = core.hdf5_open(folder .. "/nyu_depth_v2_labeled_mini.mat")
    local image = file:read "images"
    assert.same({ 1, 3, 640, 480 }, image:shape())
    local picture = core.image_decode(pictures.read(folder .. "/frames40/rgb/0433.png"))
    assert.equal(picture:digest(), image:reshape({ 3, 640, 480 }):permute({ 3, 2, 1 }):contiguous():digest())
    local depth = core.depth_decode(pictures.read(folder .. "/frames40/depth_5000/0433.png"),
      { per_metre = 5000, none = 0, rotated = false, swapped = false, disparity = false })
    local there = file:read "depths":reshape({ 640, 480 }):permute({ 2, 1 }):contiguous()
    local a, b, most = flat(depth), flat(there), 0
    for i = 1, #a do most = math.max(most, math.abs(a[i] - b[i])) end
    assert.is_true(#a == #b and most < 1e-6, most)
    local names = flat(file:read("names", { 1, 1 }, { 1, 3 }))
    for i, name in ipairs { "book", "bottle", "cabinet" } do
      assert.equal(name, string.char(table.unpack(flat(file:read_reference(names[i])))))
    end
  end)
end)

-- ---- every type, layout, filter, rank ---------------------------------------------------------------------------------

local EXTREMES = {
  u8 = { 0, 255, 1, 128 }, i8 = { -128, 127, -1, 0 }, u16 = { 0, 65535, 1, 32768 }, i16 = { -32768, 32767, -1, 0 },
  u32 = { 0, 4294967295, 1, 2147483648 }, i32 = { -2147483648, 2147483647, -1, 0 },
  u64 = { 0, math.maxinteger, 1, 1 << 53 | 1 }, i64 = { math.mininteger, math.maxinteger, -1, 1 << 53 | 1 },
  f16 = { 65504, -2.0 ^ -24, 2.0 ^ -14 - 2.0 ^ -24, 0.333251953125 }, f32 = { 2.0 ^ 127, -2.0 ^ -149, 0.5, 16777215 },
  f64 = { 2.0 ^ 1023, -2.0 ^ -1074, 0.1, -1e300 }, char16 = { 65, 90, 955, 65535 },
}
local LAYOUTS = {
  {}, { compact = true }, { chunks = true }, { chunks = true, deflate = true }, { chunks = true, shuffle = true },
  { chunks = true, fletcher = true }, { chunks = true, deflate = true, shuffle = true, fletcher = true },
  { chunks = true, filters = { "fletcher", "deflate" } },
  { chunks = true, filters = { "fletcher", "shuffle", "deflate", "fletcher" } },
  { chunks = true, deflate = true, shuffle = true, plain = { [2] = true } },
}
local SHAPES = { {}, { 1 }, { 7 }, { 5, 7 }, { 3, 4, 5 }, { 2, 3, 2, 5 }, { 2, 1, 3, 2, 2 }, { 2, 3, 2, 1, 2, 3 } }

local function product(shape)
  local n = 1
  for _, size in ipairs(shape) do n = n * size end
  return n
end

local function chunks_of(shape)
  local chunks = {}
  for i, size in ipairs(shape) do chunks[i] = (size + 1) // 2 end
  return chunks
end

describe("the HDF5 reader", function()
  it("reads every type in every layout and byte order, of every rank", function()
    for _, given in ipairs { { user_block = 512 }, { latest = true, user_block = 4096 }, { fanout = 4 } } do
      local datasets, expected = {}, {}
      for kind, values in pairs(EXTREMES) do
        for i, layout in ipairs(LAYOUTS) do
          for rank, shape in ipairs(SHAPES) do
            if not (layout.chunks and #shape == 0) then
              local list = numbers(product(shape), function(k) return values[k % #values + 1] end)
              local d = { name = ("%s/%d/%d"):format(kind, i, rank), type = kind, shape = shape, values = list,
                big_endian = (i + rank) % 2 == 1 }
              for key, value in pairs(layout) do d[key] = value end
              d.chunks = layout.chunks and chunks_of(shape)
              datasets[#datasets + 1], expected[d.name] = d, list
            end
          end
        end
      end
      local file <close> = open_datasets(datasets, given)
      for _, d in ipairs(datasets) do
        local said, values = file:describe(d.name), file:read(d.name)
        assert.same({ shape = d.shape, type = d.type == "char16" and "u16" or d.type }, said, d.name)
        assert.equal(DTYPES[d.type], values:dtype())
        assert.same(expected[d.name], flat(values), d.name)
      end
    end
  end)

  it("reads float16 exactly", function()
    local bits, expected = {}, {}
    for code = 0, 65535 do
      bits[code + 1] = code
      local sign, exponent, fraction = code >> 15 == 1 and -1 or 1, code >> 10 & 31, code & 1023
      expected[code + 1] = sign * (exponent == 0 and fraction * 2.0 ^ -24
        or exponent == 31 and (fraction == 0 and math.huge or 0 / 0) or (1024 + fraction) * 2.0 ^ (exponent - 25))
    end
    local bytes = string.pack("<" .. ("I2"):rep(128), table.unpack(bits, 1, 128))
    for from = 129, 65536, 128 do
      bytes = bytes .. string.pack("<" .. ("I2"):rep(128), table.unpack(bits, from, from + 127))
    end
    local file <close> = open_datasets { { name = "x", type = "f16", shape = { 65536 }, values = bytes } }
    for i, value in ipairs(flat(file:read "x")) do
      local e = expected[i]
      if value == value then
        if value ~= e or 1 / value ~= 1 / e or hdf5.half(value) ~= i - 1 then error(i .. ": " .. value) end
      elseif e == e then
        error(i .. ": not a number")
      end
    end
  end)

  it("reads every type as f32, rounded", function()
    local datasets = {}
    for kind, values in pairs(EXTREMES) do
      if kind ~= "f64" then datasets[#datasets + 1] = { name = kind, type = kind, shape = { 4 }, values = values } end
    end
    datasets[#datasets + 1] = { name = "f64", type = "f64", shape = { 4 }, values = { 0.1, -1 / 0, 16777217, 1e-46 } }
    datasets[#datasets + 1] = { name = "large", type = "f64", shape = { 2 }, values = { 1, 1e39 } }
    datasets[#datasets + 1] = { name = "unsigned", type = "u64", shape = { 1 }, values = { -1 } }
    datasets[#datasets + 1] = { name = "reference", type = "reference", refs = { "u8" } }
    local file <close> = open_datasets(datasets)
    for _, d in ipairs(datasets) do
      if d.shape and d.shape[1] == 4 then
        local rounded = {}
        for i, value in ipairs(d.values) do rounded[i] = string.unpack("f", string.pack("f", value)) end
        assert.equal("f32", file:read_f32(d.name):dtype())
        assert.same(rounded, flat(file:read_f32(d.name)), d.name)
        assert.same({ rounded[2], rounded[3] }, flat(file:read_f32(d.name, { 2 }, { 2 })), d.name)
      end
    end
    assert.same({ 2.0 ^ 64 }, flat(file:read_f32 "unsigned"))
    assert.error_matches(function() file:read_f32 "large" end, "x%.h5: dataset at %d+: its value 1e%+39 does not fit into f32")
    assert.error_matches(function() file:read_f32 "reference" end, "x%.h5: dataset at %d+: references are no numbers")
  end)

  it("reads groups of any size, old and new", function()
    for _, given in ipairs { {}, { latest = true } } do
      local datasets, expected = {}, { "empty/", "many/" }
      for i = 1, 700 do
        local name = ("many/n%03d"):format(i * 311 % 700)
        datasets[i] = { name = name, type = "u16", shape = { 1 }, values = { i } }
        expected[#expected + 1] = name
      end
      datasets[701] = { name = "many/deep/er/x", type = "u8", shape = {}, values = { 3 } }
      for _, name in ipairs { "many/deep/", "many/deep/er/", "many/deep/er/x" } do expected[#expected + 1] = name end
      local file <close> = open_datasets(datasets, { groups = { "empty" }, latest = given.latest })
      local there = tree(file)
      table.sort(there)
      table.sort(expected)
      assert.same(expected, there)
      for i = 1, 700 do assert.equal(i, flat(file:read(datasets[i].name))[1]) end
      assert.same(3, flat(file:read "/many//deep/er/x/")[1])
      assert.same({}, file:list "empty")
    end
  end)

  it("follows references", function()
    local datasets = {
      { name = "#refs#/a", type = "char16", values = "lamp" }, { name = "#refs#/b", type = "char16", values = "chair" },
      { name = "names", type = "reference", refs = { "#refs#/b", false, "#refs#/a" } },
    }
    local file <close> = open_datasets(datasets, { user_block = 512 })
    local names = file:read "names"
    assert.same({ 1, 3 }, names:shape())
    local address = flat(names)
    assert.equal("chair", string.char(table.unpack(flat(file:read_reference(address[1])))))
    assert.equal("lamp", string.char(table.unpack(flat(file:read_reference(address[3])))))
    assert.equal(0, address[2])
    assert.error_matches(function() file:read_reference(0) end, "x%.h5: the reference 0: it refers to nothing")
    assert.error_matches(function() file:read_reference(-1) end, "reference 18446744073709551615: it refers to nothing")
    assert.error_matches(function() file:read_reference(1 << 40) end,
      "x%.h5: the reference 1099511627776: an object header %(6 bytes at 1099511627776%) lies outside the file of %d+")
    assert.error_matches(function() file:read_reference(address[1] + 8) end, "damaged: no object header at %d+")
  end)

  it("reads single chunks and chunks without an index", function()
    local file <close> = open_datasets({
      { name = "one", type = "u16", shape = { 4, 5 }, chunks = { 4, 5 }, values = numbers(20), deflate = true,
        index = "single" },
      { name = "row", type = "u16", shape = { 4, 5 }, chunks = { 3, 2 }, values = numbers(20), index = "implicit" },
    }, { latest = true })
    assert.same(numbers(20), flat(file:read "one"))
    assert.same(numbers(20), flat(file:read "row"))
    assert.same({ 8, 9, 13, 14 }, flat(file:read("row", { 2, 3 }, { 2, 2 })))
  end)
end)

-- ---- blocks -----------------------------------------------------------------------------------------------------------

--- The values of a block of row-major values.
local function block_of(values, shape, first, count)
  local block = {}
  local function walk(d, at)
    if d > #shape then
      block[#block + 1] = values[at + 1]
      return
    end
    for i = first[d], first[d] + count[d] - 1 do walk(d + 1, at * shape[d] + i - 1) end
  end
  walk(1, 0)
  return block
end

describe("blocks of HDF5 datasets", function()
  it("are those of the whole", function()
    local shapes = { { 61 }, { 9, 14 }, { 5, 6, 7 }, { 3, 4, 5, 6 }, { 2, 3, 2, 3, 2, 3 } }
    local chunks = { { 4 }, { 2, 5 }, { 2, 3, 7 }, { 1, 4, 2, 5 }, { 1, 2, 2, 1, 2, 2 } }
    local state = 7
    local function draw(n)
      state = state * 6364136223846793005 + 1442695040888963407
      return (state >> 33) % n
    end
    for i, shape in ipairs(shapes) do
      local values = numbers(product(shape), function(k) return k * 37 % 65536 end)
      local file <close> = open_datasets({
        { name = "piece", type = "u16", shape = shape, values = values },
        { name = "compact", type = "u16", shape = shape, values = values, compact = true, big_endian = true },
        { name = "chunks", type = "u16", shape = shape, values = values, chunks = chunks[i], deflate = true },
        { name = "f16", type = "f16", shape = shape, values = values, chunks = chunks[i], shuffle = true,
          big_endian = true },
        { name = "f64", type = "f64", shape = shape, values = values, chunks = chunks[i] },
      }, { fanout = 4 })
      local halves = flat(file:read "f16")
      for _ = 1, 40 do
        local first, count = {}, {}
        for d, size in ipairs(shape) do
          first[d] = draw(size) + 1
          count[d] = draw(size - first[d] + 1) + 1
        end
        local wanted = block_of(values, shape, first, count)
        for _, name in ipairs { "piece", "compact", "chunks", "f64" } do
          local block = file:read(name, first, count)
          assert.same(count, block:shape())
          assert.same(wanted, flat(block), name)
        end
        assert.same(block_of(halves, shape, first, count), flat(file:read("f16", first, count)))
      end
    end
  end)

  it("take chunks that were not written for the fill value", function()
    for _, given in ipairs { {}, { latest = true } } do
      local file <close> = open_datasets({
        { name = "fill", type = "i16", shape = { 4, 6 }, chunks = { 2, 4 }, values = numbers(24), big_endian = true,
          fill = -7, missing = { [2] = true, [3] = true } },
        { name = "zero", type = "f32", shape = { 4 }, chunks = { 2 }, values = numbers(4), missing = { [1] = true } },
        { name = "never", type = "f64", shape = { 3 }, fill = 1.5, unwritten = true },
        { name = "no_chunk", type = "u8", shape = { 3 }, chunks = { 2 }, unwritten = true, fill = 9 },
      }, given)
      assert.same({ 1, 2, 3, 4, -7, -7, 7, 8, 9, 10, -7, -7, -7, -7, -7, -7, 17, 18, -7, -7, -7, -7, 23, 24 },
        flat(file:read "fill"))
      assert.same({ 0, 0, 3, 4 }, flat(file:read "zero"))
      assert.same({ 1.5, 1.5, 1.5 }, flat(file:read "never"))
      assert.same({ 9, 9, 9 }, flat(file:read "no_chunk"))
    end
  end)

  it("may be empty", function()
    local file <close> = open_datasets {
      { name = "none", type = "f32", shape = { 0, 5 }, values = {} },
      { name = "x", type = "u8", shape = { 2 }, values = { 1, 2 } },
    }
    assert.same({ 0, 5 }, file:read("none"):shape())
    assert.same({ 0 }, file:read("x", { 3 }, { 0 }):shape())
  end)

  it("touch only the parts of a B-tree that lead to them", function()
    local n = 200
    local bytes = hdf5.encode { fanout = 4, datasets = {
      { name = "x", type = "u16", shape = { n, 4 }, chunks = { 1, 4 }, values = numbers(4 * n) },
    } }
    -- Every node but those from the root to row 100 is made unreadable: what is read shows which were needed.
    local function spoiled(keep)
      return (bytes:gsub("()TREE\1(.)", function(at, level)
        local entries = string.unpack("<I2", bytes, at + 6)
        local first = string.unpack("<I8", bytes, at + 24 + 8)
        local behind = first + entries * 4 ^ level:byte()
        return (first > keep or behind <= keep) and "XXXX\1" .. level or nil
      end))
    end
    for _, row in ipairs { 0, 99, n - 1 } do
      local file <close> = open(spoiled(row))
      assert.same(numbers(4, function(i) return 4 * row + i end), flat(file:read("x", { row + 1, 1 }, { 1, 4 })))
      assert.error_matches(function() file:read "x" end, "damaged: no B%-tree of chunks at %d+")
    end
  end)
end)

-- ---- what is refused --------------------------------------------------------------------------------------------------

local function message_of(f)
  return (tostring(pictures.error_of(f)):gsub("^[^ ]+%.lua:%d+: ", ""))
end

describe("an HDF5 file that is asked for what it has not", function()
  local file
  before_each(function()
    file = open_datasets({
      { name = "x", type = "u8", shape = { 3, 4 }, values = numbers(12) },
      { name = "g/y", type = "u64", shape = { 2 }, values = { 1, -1 } },
      { name = "rank7", type = "u8", shape = { 1, 1, 1, 1, 1, 1, 1 }, values = { 1 } },
      { name = "large", type = "f64", shape = { 1 << 20, 33 }, chunks = { 1, 33 }, unwritten = true },
    }, { groups = { "none" } })
  end)
  after_each(function() file:close() end)

  it("says what it has", function()
    local cases = {
      { function() file:read "z" end, '%s: "z": not there; there are g, large, none, rank7, x' },
      { function() file:read "none/z" end, '%s: "none/z": not there; there is nothing' },
      { function() file:read "g" end, '%s: "g": it is a group, not a dataset' },
      { function() file:read "/" end, '%s: "/": it is a group, not a dataset' },
      { function() file:read "x/y" end, '%s: "x/y": it is a dataset, not a group' },
      { function() file:list "x" end, '%s: "x": it is a dataset, not a group' },
      { function() file:list "g/no\1ne" end, '%s: "g/no?ne": not there; there are y' },
      { function() file:read("x", { 4, 1 }, { 1, 1 }) end,
        "%s: dataset at 96: 1 values from 3 on in dimension 0, which has 3" },
      { function() file:read("x", { 1, 2 }, { 1, 4 }) end,
        "%s: dataset at 96: 4 values from 1 on in dimension 1, which has 4" },
      { function() file:read("x", { 1, 0 }, { 1, 1 }) end, "number 2 must be a whole number from 1" },
      { function() file:read("x", { 1, 1 }, { 1, -1 }) end, "number 2 must be a whole number from 0" },
      { function() file:read("x", { 1 }, { 1, 1 }) end, "1 numbers for a dataset of 2 dimensions" },
      { function() file:read "g/y" end, "g/y: its value 18446744073709551615 does not fit into i64" },
      { function() file:read "rank7" end, "rank7: 7 dimensions; a tensor has at most 6" },
      { function() file:read "large" end, "large: more than 256 MiB at once; read it in blocks" },
    }
    for _, case in ipairs(cases) do assert.equal(case[2]:format(path), message_of(case[1])) end
    assert.same({ 0, 0 }, flat(file:read("large", { 1 << 20, 32 }, { 1, 2 })))
  end)

  it("is an error after it was closed", function()
    file:close()
    for _, f in ipairs { file.list, file.describe, file.read, file.read_reference } do
      assert.matches("the file is closed", message_of(function() f(file, "x") end))
    end
    file:close()
  end)
end)

--- Bytes with others in their place at a 0-based position.
local function put(bytes, at, new) return bytes:sub(1, at) .. new .. bytes:sub(at + #new + 1) end

describe("files that are no HDF5 files, or of another kind", function()
  it("are errors that say so", function()
    local datasets = { { name = "x", type = "u8", shape = { 2 }, values = { 1, 2 } } }
    local good, new = (hdf5.encode { datasets = datasets }), (hdf5.encode { datasets = datasets, latest = true })
    local cases = {
      { "", "no HDF5 file %(it has no signature%)" }, { ("x"):rep(5000), "no HDF5 file %(it has no signature%)" },
      { put(good, 8, "\4"), "a superblock of version 4; read are 0 to 3" },
      { put(good, 13, "\4"), "addresses of 4 bytes and sizes of 8; read are those of 8" },
      { good:sub(1, -2), "truncated %(%d+ bytes; its superblock says it ends at %d+%)" },
      { good:sub(1, 60), "the superblock %(96 bytes at 0%) lies outside the file of 60 bytes" },
      { put(new, 20, "\1"), "damaged: the superblock does not match its checksum" },
    }
    for _, case in ipairs(cases) do assert.error_matches(function() open(case[1]) end, "x%.h5: " .. case[2]) end
    assert.error_matches(function() core.hdf5_open(root) end, '".*" is a directory, not a file')
    assert.error_matches(function() core.hdf5_open(root .. "/none") end, 'cannot open ".*/none": No such file')
    assert.error_matches(function() core.hdf5_open "/dev/null" end, '"/dev/null" is a device or pipe, not a file')
  end)

  it("with filters, layouts and types that are not understood are refused by name", function()
    local d = { name = "x", type = "u16", shape = { 2, 3 }, chunks = { 2, 3 }, values = numbers(6) }
    local function with(filters)
      return hdf5.encode { datasets = { setmetatable({ filters = filters }, { __index = d }) } }
    end
    local bytes, places = hdf5.encode { datasets = { d } }
    -- The messages of a header of version 1: dataspace (8 + 8 rank), datatype, fill value, layout, each behind 8 bytes.
    local space = places.x + 16 + 8
    local kind = space + 24 + 8
    local layout = kind + 16 + 8 + 8 + 8
    local cases = {
      { with { 4 }, "filter 4 %(szip%); read are deflate %(gzip%), shuffle and fletcher32" },
      { with { 32000 }, "filter 32000 %(lzf%); read are" }, { with { 999 }, "filter 999 %(not known%); read are" },
      { with { "deflate", "deflate" }, "a chunk that is deflated twice is not read" },
      { put(bytes, space, "\3"), "a dataspace of version 3 is not read" },
      { put(bytes, space + 1, "\9"), "it has 9 dimensions; at most 8 are read" },
      { put(bytes, kind, "\x13"), "strings of fixed length are not read" },
      { put(bytes, kind, "\x18"), "enumerations are not read" },
      { put(bytes, kind, "\x1c"), "values of class 12 are not read" },
      { put(bytes, kind + 4, "\3"), "integers of 16 bits in 3 bytes; read are whole ones of 1, 2, 4, 8 bytes" },
      { put(bytes, kind + 10, "\12"), "integers of 12 bits in 2 bytes; read are whole ones" },
      { put(bytes, layout, "\5"), "a layout of version 5 is not read" },
      { put(bytes, layout + 1, "\3"), "a virtual dataset is not read" },
      { put(bytes, layout + 1, "\4"), "damaged: a layout of kind 4" },
      { put(bytes, space - 4, "\2"), "a header that shares messages %(type 1: .*%) is not read" },
    }
    for _, case in ipairs(cases) do
      local file <close> = open(case[1])
      assert.error_matches(function() file:read "x" end, "x%.h5: .*: " .. case[2])
    end
  end)
end)
