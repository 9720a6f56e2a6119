-- HDF5 files that are damaged or made to do harm: an error or values, in bounded time and memory.

local core = require "asl.core"
local damage = require "spec.support.damage"
local hdf5 = require "spec.support.miniature.hdf5"
local miniature_png = require "spec.support.miniature.png"
local pictures = require "spec.support.pictures"

local flat, numbers, zlib = hdf5.flat, hdf5.numbers, miniature_png.zlib

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

-- A group may be reached through itself: names this long are not gone into.
local DEEP = 60

--- Every name below a group; groups that cannot be listed count as refused.
local function walk(file, group, names, refused)
  local ok, links = pcall(file.list, file, group)
  if not ok then
    refused[#refused + 1] = tostring(links)
    return
  end
  for _, link in ipairs(links) do
    local name = group and group .. "/" .. link.name or link.name
    if not link.group then
      names[#names + 1] = name
    elseif #name < DEEP and #names < 1000 then
      walk(file, name, names, refused)
    end
  end
end

--- Reads all that is there, what references lead to as well; the messages of what was refused.
local function read_all(file)
  local names, refused = {}, {}
  walk(file, nil, names, refused)
  for _, name in ipairs(names) do
    local ok, message = pcall(function()
      local values = file:read(name)
      if file:describe(name).type ~= "reference" then return end
      for _, address in ipairs(flat(values)) do
        if address ~= 0 then file:read_reference(address) end
      end
    end)
    if not ok then refused[#refused + 1] = tostring(message) end
  end
  return refused
end

--- How much was refused: math.huge when it could not be opened.
local function refusals(bytes)
  local refused
  local ok, message = pcall(function()
    local file <close> = open(bytes)
    refused = read_all(file)
  end)
  for _, text in ipairs(ok and refused or { tostring(message) }) do
    assert(text:find("x.h5", 1, true) or text:find("MiB at once", 1, true) or text:find("a tensor has at most", 1, true)
      or text:find("fit into i64", 1, true), text)
  end
  return ok and #refused or math.huge
end

local function small(given)
  given.datasets = {
    { name = "#refs#/a", type = "char16", values = "lamp" },
    { name = "names", type = "reference", refs = { "#refs#/a" } },
    { name = "image", type = "u8", shape = { 2, 3, 8, 6 }, chunks = { 1, 2, 5, 3 }, deflate = true,
      values = ("picture!"):rep(36) },
    { name = "depth", type = "f16", shape = { 12, 10 }, chunks = { 4, 5 }, shuffle = true, fletcher = true,
      values = numbers(120) },
    { name = "pose", type = "f64", shape = { 3, 4 }, values = numbers(12) },
    { name = "compact", type = "i32", shape = { 5 }, values = numbers(5), compact = true },
  }
  return (hdf5.encode(given))
end

local MAT73, SCENES = "formats/mat73/", "hypersim/scenes/ai_037_002/"
local REAL = {
  MAT73 .. "testfile1.mat", MAT73 .. "testfile5.mat", MAT73 .. "testfile16.mat", MAT73 .. "testhdf5_7.4_GLNX86.mat",
  SCENES .. "images/scene_cam_00_geometry_hdf5/frame.0000.depth_meters.hdf5",
  SCENES .. "_detail/cam_00/camera_keyframe_positions.hdf5",
}

--- Runs `f(bytes)` as one test for each sample.
local function each_sample(what, f)
  for name, given in pairs { ["a small file"] = {}, ["a small file with a user block"] = { user_block = 512 },
    ["a small file of the new kind"] = { latest = true }, ["a small file with deep trees"] = { fanout = 4 } } do
    it(name .. " " .. what, function() f(small(given)) end)
  end
  for _, name in ipairs(REAL) do
    it(name:match "[^/]+$" .. " " .. what, function()
      local there = pictures.real(name)
      if not there then return pending("../shared/data/" .. name .. " is not here") end
      f(pictures.read(there))
    end)
  end
end

describe("of damaged HDF5 files", function()
  each_sample("is an error wherever it is cut off", function(bytes)
    damage.truncations(bytes, function(cut, length)
      local message = pictures.error_of(function() open(cut) end)
      local headless = length < 1024 and (message:find "no signature" or message:find "lies outside")
      assert(headless or message:find "truncated", message)
    end)
  end)

  each_sample("with a changed byte is errors or values, never a crash", function(bytes)
    local before, worse, slowest = refusals(bytes), 0, 0
    damage.flips(bytes, 1000, function(changed)
      local start = os.clock()
      if refusals(changed) > before then worse = worse + 1 end
      slowest = math.max(slowest, os.clock() - start)
    end)
    assert.is_true(worse > 0 and worse < 1000, worse)
    assert.is_true(slowest < 20, slowest)
  end)
end)

-- ---- forged by hand ---------------------------------------------------------------------------------------------------

--- Bytes with others in their place at a 0-based position.
local function put(bytes, at, new) return bytes:sub(1, at) .. new .. bytes:sub(at + #new + 1) end

--- A zlib stream of some 400 kB that decompresses to zeros of 64 MiB: after one 0 ever again "the last byte 258 times"
--- (RFC 1951, fixed codes: 11000101 00000), whose bits repeat after 13 bytes.
local function bomb()
  local bits, bytes = "110" .. "00110000" .. ("1100010100000"):rep(16), {}
  for i = 0, 14 do
    local byte = 0
    for bit = 0, 7 do byte = byte | tonumber(bits:sub(8 * i + bit + 1, 8 * i + bit + 1)) << bit end
    bytes[i + 1] = string.char(byte)
  end
  return "\x78\x01" .. table.concat(bytes, "", 1, 2) .. table.concat(bytes, "", 3):rep((64 << 20) // (258 * 8))
end

--- The most memory this process ever had, in bytes.
local function peak()
  return tonumber(pictures.read "/proc/self/status":match "VmHWM:%s*(%d+) kB") * 1024
end

--- Asserts that reading `name` (or, with nil, listing the root) fails with a message, soon and in little memory.
local function check(bytes, name, message)
  local before, start = peak(), os.clock()
  local file <close> = open(bytes)
  local said = pictures.error_of(function()
    if name then file:read(name) else file:list() end
  end)
  assert.matches(message, said)
  assert.is_true(os.clock() - start < 10)
  assert.is_true(peak() - before < 600 << 20)
end

describe("of HDF5 files made to do harm", function()
  it("a B-tree of chunks that leads to itself is an error", function()
    local bytes = hdf5.encode { fanout = 4, datasets = {
      { name = "x", type = "u8", shape = { 64 }, chunks = { 1 }, values = numbers(64) },
    } }
    local root_node = bytes:find("TREE\1\2", 1, true) - 1
    local child = string.unpack("<i8", bytes, root_node + 24 + 24 + 1)
    local first = root_node + 24 + 24
    check(put(bytes, first, string.pack("<i8", root_node)), "x", "damaged: no B%-tree of chunks at " .. root_node)
    -- All children the same: their chunks are not where the keys say.
    check(put(bytes, first + 32, string.pack("<i8", child)), "x", "damaged: the chunks of a B%-tree are not in order")
    -- Keys out of order, and off the grid.
    check(put(bytes, first - 16, string.pack("<i8", 63)), "x", "damaged: the chunks of a B%-tree are not in order")
    check(put(bytes, first - 8, string.pack("<i8", 1)), "x", "damaged: a chunk at 1 in dimension 1, where none begins")
    check(put(bytes, root_node + 5, "\17"), "x", "damaged: no B%-tree of chunks")
  end)

  it("a tree of symbol tables that fans out to the same ones is an error", function()
    local bytes = hdf5.encode { datasets = { { name = "x", type = "u8", shape = { 1 }, values = { 1 } } } }
    local node = bytes:find("TREE\0\0", 1, true) - 1
    -- Four levels of 32 children, all the same: 32^4 symbol tables in a file of a few kB.
    local size, nodes, child = 24 + 32 * 16 + 8, {}, node
    for level = 1, 4 do
      nodes[level] = string.pack("<c4BBI2i8i8", "TREE", 0, level, 32, -1, -1) .. string.pack("<i8i8", 0, child):rep(32)
        .. ("\0"):rep(8)
      child = #bytes + (level - 1) * size
    end
    local full = put(bytes, node + 6, "\32\0")
    full = put(full, node + 24, string.pack("<i8i8", 0, string.unpack("<i8", bytes, node + 24 + 8 + 1)):rep(32))
    full = full .. table.concat(nodes)
    full = put(full, 40, string.pack("<i8", #full))
    local table_message = bytes:find("\17\0\16\0", 1, true) - 1 + 8
    check(put(full, table_message, string.pack("<i8", child)), nil, "its parts refer to each other in a circle")
    check(put(full, table_message, string.pack("<i8", child)), "x", "its parts refer to each other in a circle")
  end)

  it("a group that holds itself can be listed and read", function()
    local bytes, places = hdf5.encode { datasets = {
      { name = "x", type = "u8", shape = { 1 }, values = { 7 } },
      { name = "y", type = "u8", shape = { 1 }, values = { 8 } },
    } }
    local root_group = string.unpack("<i8", bytes, 56 + 8 + 1)
    local link = bytes:find(string.pack("<i8", places.y), bytes:find("SNOD", 1, true), true) - 1
    local file <close> = open(put(bytes, link, string.pack("<i8", root_group)))
    assert.same({ { name = "x", group = false }, { name = "y", group = true } }, file:list())
    assert.same({ 7 }, flat(file:read(("y/"):rep(200) .. "x")))
    assert.equal(0, #read_all(file))
  end)

  it("a header that goes on in itself is an error", function()
    local bytes, places = hdf5.encode { datasets = {
      { name = "x", type = "u8", shape = { 1, 1, 1 }, values = { 7 } },
    } }
    local function going_on(at, n)
      return put(bytes, places.x + 16, string.pack("<I2I2Bc3i8i8", 16, 32, 0, "\0\0\0", at, n))
    end
    check(going_on(places.x + 16, 40), "x", "its parts refer to each other in a circle")
    check(going_on(1 << 40, 40), "x", "an object header %(40 bytes at 1099511627776%) lies outside the file")
    check(going_on(-8, 40), "x", "an object header %(40 bytes at 18446744073709551608%) lies outside the file")
    check(going_on(0, -1), "x", "an object header of more than 16 MiB")
    check(put(bytes, places.x + 16 + 2, "\xff\xff"), "x", "damaged: a header message of 65535 bytes where %d+ are left")
    check(put(bytes, places.x, "\2"), "x", "damaged: no object header at %d+")
    -- A block that is all continuation messages, to blocks with nothing in them.
    local long = bytes .. string.pack("<I2I2Bc3i8i8", 16, 16, 0, "\0\0\0", #bytes, 4):rep(1200)
    long = put(long, places.x + 16, string.pack("<I2I2Bc3i8i8", 16, 32, 0, "\0\0\0", #bytes, 24 * 1200))
    check(put(long, 40, string.pack("<i8", #long)), "x", "damaged: an object header of more than 1024 blocks")
  end)

  it("chunks of many bytes, and shapes that overflow, are errors before memory is taken", function()
    local function lying(says, given)
      local d = { name = "x", type = "f64", shape = { 4, 4 }, chunks = { 2, 2 }, values = numbers(16), says = says }
      for key, value in pairs(given or {}) do d[key] = value end
      return (hdf5.encode { datasets = { d } })
    end
    check(lying { chunks = { 1 << 20, 1 << 20 } }, "x", "its chunks have more than 256 MiB")
    check(lying { chunks = { 1 << 31, 1 } }, "x", "a chunk of size 2147483648 in dimension 0; 1 to 2%^28 are read")
    check(lying { chunks = { 0, 2 } }, "x", "a chunk of size 0 in dimension 0")
    check(lying { shape = { 1 << 40, 1 << 40 } }, "x", "damaged: it has more than 2%^62 bytes")
    check(lying { shape = { -1, 1 } }, "x", "damaged: dimension 0 has size 18446744073709551615")
    check(lying { shape = { 1 << 30, 1 << 20 } }, "x", "x: more than 256 MiB at once")
    check(lying { shape = { 0, 1 << 62 } }, "x", "damaged: it has more than 2%^62 bytes")
    check(lying { shape = { 4 } }, "x", "damaged: its chunks have 2 dimensions; its values 1 of 8 bytes")
    local whole = { chunks = false }
    check(lying({ shape = { 1 << 20, 4 } }, whole), "x", "damaged: 128 bytes are stored of 33554432")
    check(lying({ shape = { 1 << 30, 1 << 29 } }, whole), "x", "damaged: 128 bytes are stored of 4611686018427387904")
    check(lying({ shape = { 5, 4 } }, { chunks = false, compact = true }), "x", "damaged: 128 bytes are stored of 160")
  end)

  it("values that lie elsewhere are errors", function()
    local bytes = hdf5.encode { datasets = { { name = "x", type = "u8", shape = { 16 }, values = numbers(16) } } }
    local layout = bytes:find(string.pack("<BB", 3, 1) .. "........" .. string.pack("<i8", 16)) - 1
    local function moved(address) return put(bytes, layout + 2, string.pack("<i8", address)) end
    check(moved(#bytes - 15), "x", "what it holds %(16 bytes at %d+%) lies outside the file of %d+ bytes")
    check(moved(-2), "x", "what it holds %(16 bytes at 18446744073709551614%) lies outside")
    local chunked = hdf5.encode { datasets = {
      { name = "x", type = "u8", shape = { 16 }, chunks = { 16 }, deflate = true, values = numbers(16) },
    } }
    local key = chunked:find("TREE\1\0", 1, true) - 1 + 24
    check(put(chunked, key + 24, string.pack("<i8", 1 << 50)), "x",
      "a chunk %(27 bytes at 1125899906842624%) lies outside the file")
    check(put(chunked, key, string.pack("<i4", -1)), "x", "a chunk %(4294967295 bytes at %d+%) lies outside the file")
    check(put(chunked, key, string.pack("<i4", 26)), "x", "damaged: a chunk does not decompress %(it ends too early%)")
    check(put(chunked, key + 4, "\1"), "x", "damaged: a chunk of 27 bytes, not 16")
  end)

  it("names that lie elsewhere are errors", function()
    local bytes = hdf5.encode { datasets = { { name = "x", type = "u8", shape = { 1 }, values = { 1 } } } }
    local entry, heap = bytes:find("SNOD", 1, true) - 1 + 8, bytes:find("HEAP", 1, true) - 1
    check(put(bytes, entry, string.pack("<i8", 16)), nil, "the name of a link lies outside the heap of names")
    check(put(bytes, entry, string.pack("<i8", -1)), nil, "the name of a link lies outside the heap of names")
    check(put(bytes, entry, string.pack("<i8", 0)), nil, "damaged: a link without a name")
    check(put(bytes, heap + 8, string.pack("<i8", 1 << 50)), nil,
      "a group with names of 1125899906842624 bytes; at most 64 MiB are read")
    check(put(bytes, heap + 8, string.pack("<i8", 1 << 20)), nil,
      "a group's names %(1048576 bytes at %d+%) lies outside the file")
    check(put(bytes, entry - 2, "\xff\xff"), nil, "a symbol table %(2621400 bytes at %d+%) lies outside the file")
  end)

  it("chunks that decompress to more or less than they should are errors", function()
    local function with(stream, shape)
      local bytes = hdf5.encode { datasets = {
        { name = "x", type = "u8", shape = shape, chunks = shape, deflate = true, values = ("\0"):rep(shape[1]) },
      } }
      local key = bytes:find("TREE\1\0", 1, true) - 1 + 24
      bytes = put(put(bytes, key, string.pack("<I4", #stream)), key + 24, string.pack("<i8", #bytes)) .. stream
      return put(bytes, 40, string.pack("<i8", #bytes))
    end
    check(with(zlib(("\0"):rep(1001)), { 1000 }), "x", "a chunk decompresses to more than 1000 bytes, not 1000")
    check(with(zlib(("\0"):rep(999)), { 1000 }), "x", "damaged: a chunk decompresses to 999 bytes, not 1000")
    check(with(zlib "", { 1000 }), "x", "damaged: a chunk decompresses to 0 bytes, not 1000")
    check(with("no stream", { 1000 }), "x", "damaged: a chunk does not decompress %(incorrect header check%)")
    check(with(bomb(), { 1000 }), "x", "damaged: a chunk decompresses to more than 1000 bytes, not 1000")
    check(with(bomb(), { 1 << 20 }), "x", "damaged: a chunk decompresses to more than 1048576 bytes, not 1048576")
    local file <close> = open(with(zlib(("\7"):rep(1000)), { 1000 }))
    assert.equal(("\7"):rep(1000), file:read("x"):bytes())
  end)

  it("many large chunks for few values are an error", function()
    -- 300 keys that all lead to one stream of zeros of 1 MiB, of which one byte each is wanted.
    local n, large = 300, 1 << 20
    local bytes = hdf5.encode { datasets = {
      { name = "x", type = "u8", shape = { n, 1 }, chunks = { 1, 1 }, values = ("\0"):rep(n),
        says = { chunks = { 1, large } } },
    } }
    local at, node = #bytes, bytes:find("TREE\1\0", 1, true)
    while node do
      for i = 0, string.unpack("<I2", bytes, node + 6) - 1 do
        local key = node - 1 + 24 + 40 * i
        bytes = put(put(bytes, key, string.pack("<I4", large)), key + 32, string.pack("<i8", at))
      end
      node = bytes:find("TREE\1\0", node + 1, true)
    end
    bytes = put(bytes .. ("\0"):rep(large), 40, string.pack("<i8", #bytes + large))
    check(bytes, "x", "chunks of 1048576 bytes each are too large for the 300 bytes wanted")
  end)
end)
