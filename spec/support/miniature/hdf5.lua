--- Small HDF5 files as h5py and MATLAB write them: superblock 0 (or 2), symbol tables, version 1 B-trees, filters.

local miniature_png = require "spec.support.miniature.png"

local miniature_hdf5 = {}

local NOWHERE = -1
local LEAF, FANOUT, CHUNK_FANOUT = 8, 32, 64 -- entries of a symbol table, of a group's B-tree, of a B-tree of chunks

-- ---- values -----------------------------------------------------------------------------------------------------------

local BYTES = {
  u8 = 1, i8 = 1, u16 = 2, i16 = 2, char16 = 2, u32 = 4, i32 = 4, u64 = 8, i64 = 8, f16 = 2, f32 = 4, f64 = 8,
  reference = 8,
}
local CODES = {
  u8 = "B", i8 = "b", u16 = "I2", i16 = "i2", char16 = "I2", u32 = "I4", i32 = "i4", u64 = "i8", i64 = "i8", f32 = "f",
  f64 = "d", reference = "i8",
}

--- The bits of the float16 next to a number (ties to even).
---@param x number
---@return integer
function miniature_hdf5.half(x)
  local sign = (x < 0 or 1 / x < 0) and 0x8000 or 0
  x = math.abs(x)
  if x ~= x then return 0x7e00 end
  if x == math.huge then return sign | 0x7c00 end
  local exponent = -14
  while x >= 2.0 ^ (exponent + 1) do exponent = exponent + 1 end
  local scaled = x / 2.0 ^ (exponent - 10)
  local whole = math.floor(scaled)
  local rest = scaled - whole
  if rest > 0.5 or rest == 0.5 and whole % 2 == 1 then whole = whole + 1 end
  local bits = whole + ((exponent + 14) << 10) -- a subnormal has no leading 1, which counts as an exponent
  return sign | math.min(math.tointeger(bits), 0x7c00)
end

local function pack_values(kind, order, values)
  local parts = {}
  if kind == "f16" then
    for i, value in ipairs(values) do parts[i] = string.pack(order .. "I2", miniature_hdf5.half(value)) end
    return table.concat(parts)
  end
  for from = 1, #values, 64 do
    local to = math.min(from + 63, #values)
    parts[#parts + 1] = string.pack(order .. CODES[kind]:rep(to - from + 1), table.unpack(values, from, to))
  end
  return table.concat(parts)
end

local function product(sizes)
  local n = 1
  for _, size in ipairs(sizes) do n = n * size end
  return n
end

local function bytes_of(d, places)
  local order, values = d.big_endian and ">" or "<", d.values
  if d.refs then
    values = {}
    for i, name in ipairs(d.refs) do values[i] = name and assert(places[name], name) or 0 end
  end
  if d.type == "char16" and type(values) == "string" then values = { values:byte(1, -1) } end
  if type(values) == "table" then values = pack_values(d.type, order, values) end
  assert(#values == product(d.shape) * BYTES[d.type], d.name .. ": another number of values than its shape says")
  return values
end

-- ---- checksums --------------------------------------------------------------------------------------------------------

--- Fletcher's sum of big-endian words of 16 bits.
---@param bytes string
---@return integer
function miniature_hdf5.fletcher32(bytes)
  local a, b = 0, 0
  for at = 1, #bytes, 2 do
    local high, low = bytes:byte(at, at + 1)
    a = (a + (high << 8 | (low or 0)))
    a = (a & 0xffff) + (a >> 16)
    b = b + a
    b = (b & 0xffff) + (b >> 16)
  end
  return b << 16 | a
end

local function rotate(x, k) return (x << k | x >> (32 - k)) & 0xffffffff end

--- Bob Jenkins' lookup3 (hashlittle) from 0.
---@param bytes string
---@return integer
function miniature_hdf5.lookup3(bytes)
  local start = (0xdeadbeef + #bytes) & 0xffffffff
  local s, n, at = { [0] = start, start, start }, #bytes, 1
  local function add(block)
    block = block .. ("\0"):rep(12 - #block)
    for i = 0, 2 do s[i] = (s[i] + string.unpack("<I4", block, 4 * i + 1)) & 0xffffffff end
  end
  while n > 12 do
    add(bytes:sub(at, at + 11))
    for i, turn in ipairs { 4, 6, 8, 16, 19, 4 } do
      local a, b, c = (i - 1) % 3, i % 3, (i + 1) % 3
      s[a] = ((s[a] - s[c]) & 0xffffffff) ~ rotate(s[c], turn)
      s[c] = (s[c] + s[b]) & 0xffffffff
    end
    n, at = n - 12, at + 12
  end
  if n == 0 then return s[2] end
  add(bytes:sub(at))
  for i, turn in ipairs { 14, 11, 25, 16, 4, 14, 24 } do
    local to, from = (i + 1) % 3, i % 3
    s[to] = ((s[to] ~ s[from]) - rotate(s[from], turn)) & 0xffffffff
  end
  return s[2]
end

-- ---- the file as it grows ---------------------------------------------------------------------------------------------

local function new_file(given)
  local file = { given = given, parts = {}, size = 0, latest = given.latest }

  --- Puts bytes (or, with a number, takes room for them) at the next address, which is a multiple of 8.
  function file:put(bytes)
    local address, length = self.size, type(bytes) == "number" and bytes or #bytes
    local there = type(bytes) == "string" and bytes or nil
    self.parts[#self.parts + 1] = { address = address, bytes = there, length = length }
    self.size = self.size + (length + 7) // 8 * 8
    return address
  end

  function file:fill(address, bytes)
    for _, part in ipairs(self.parts) do
      if part.address == address then
        assert(#bytes == part.length, "another length than room was taken for")
        part.bytes = bytes
        return
      end
    end
    error "no room was taken there"
  end

  function file:bytes()
    local all = { ("\0"):rep(self.given.user_block or 0) }
    for _, part in ipairs(self.parts) do all[#all + 1] = part.bytes .. ("\0"):rep(-part.length % 8) end
    return table.concat(all)
  end
  return file
end

--- Puts a B-tree: children with one key more than there are children. Returns the address of its root.
local function put_tree(file, kind, capacity, children, keys)
  local level, empty = 0, ("\0"):rep(#keys[1] + 8)
  repeat
    local parents, parent_keys, size = {}, {}, 24 + capacity * #empty + #keys[1]
    local first = file.size
    for from = 1, math.max(#children, 1), capacity do
      local to = math.min(from + capacity - 1, #children)
      local entries = {}
      for i = from, to do entries[#entries + 1] = keys[i] .. string.pack("<i8", children[i]) end
      local node, step = #parents, (size + 7) // 8 * 8
      local left = node > 0 and first + (node - 1) * step or NOWHERE
      local right = to < #children and first + (node + 1) * step or NOWHERE
      parents[#parents + 1] = file:put(string.pack("<c4BBI2i8i8", "TREE", kind, level, to - from + 1, left, right)
        .. table.concat(entries) .. keys[to + 1] .. empty:rep(capacity - (to - from + 1)))
      parent_keys[#parents], parent_keys[#parents + 1] = keys[from], keys[to + 1]
    end
    children, keys, level = parents, parent_keys, level + 1
  until #children == 1
  return children[1]
end

local function header(file, messages)
  local all = {}
  for i, message in ipairs(messages) do
    local kind, body = message[1], message[2]
    if file.latest then
      all[i] = string.pack("<BI2B", kind, #body, 0) .. body
    else
      body = body .. ("\0"):rep(-#body % 8)
      all[i] = string.pack("<I2I2Bc3", kind, #body, 0, "\0\0\0") .. body
    end
  end
  local bytes = table.concat(all)
  if not file.latest then return string.pack("<BBI2I4I4I4", 1, 0, #messages, 1, #bytes, 0) .. bytes end
  bytes = string.pack("<c4BBI4", "OHDR", 2, 2, #bytes) .. bytes
  return bytes .. string.pack("<I4", miniature_hdf5.lookup3(bytes))
end

-- ---- messages of a dataset --------------------------------------------------------------------------------------------

local FLOATS = { f16 = { 10, 5 }, f32 = { 23, 8 }, f64 = { 52, 11 } }

local function datatype(d)
  local n, order = BYTES[d.type], d.big_endian and 1 or 0
  if d.type == "reference" then return string.pack("<BBBBI4", 0x17, 0, 0, 0, 8) end
  local float = FLOATS[d.type]
  if float then
    return string.pack("<BBBBI4I2I2", 0x11, 0x20 | order, 8 * n - 1, 0, n, 0, 8 * n)
      .. string.pack("<BBBBI4", float[1], float[2], 0, float[1], (1 << (float[2] - 1)) - 1)
  end
  return string.pack("<BBBBI4I2I2", 0x10, order | (d.type:find "^i" and 8 or 0), 0, 0, n, 0, 8 * n)
end

local function dataspace(file, d)
  local shape = d.says and d.says.shape or d.shape
  local sizes = string.pack("<" .. ("I8"):rep(#shape), table.unpack(shape))
  if file.latest then return string.pack("<BBBB", 2, #shape, 0, #shape > 0 and 1 or 0) .. sizes end
  return string.pack("<BBBBI4", 1, #shape, 0, 0, 0) .. sizes
end

local function fill_value(file, d)
  local when = d.chunks and 3 or d.compact and 1 or 2
  local value = d.fill and pack_values(d.type, d.big_endian and ">" or "<", { d.fill })
  if file.latest then
    return string.pack("<BB", 3, when | 2 << 2 | (value and 0x20 or 0)) .. (value and ("<s4"):pack(value) or "")
  end
  return string.pack("<BBBBs4", 2, when, 2, 1, value or "")
end

local IDS = { deflate = 1, shuffle = 2, fletcher = 3 }

local function filters_of(d)
  if d.filters then return d.filters end
  local names = {}
  for _, name in ipairs { "shuffle", "deflate", "fletcher" } do
    if d[name] then names[#names + 1] = name end
  end
  return names
end

local function filter_list(file, d)
  local names = filters_of(d)
  local parts = { file.latest and string.pack("<BB", 2, #names) or string.pack("<BBc6", 1, #names, ("\0"):rep(6)) }
  for _, name in ipairs(names) do
    local value = name == "deflate" and 1 or name == "shuffle" and BYTES[d.type] or nil
    parts[#parts + 1] = string.pack(file.latest and "<I2" or "<I2I2", IDS[name] or name, 0)
      .. string.pack("<I2I2", name == "fletcher" and 0 or 1, value and 1 or 0) .. (value and ("<I4"):pack(value) or "")
      .. (value and not file.latest and ("<I4"):pack(0) or "")
  end
  return table.concat(parts)
end

-- ---- chunks -----------------------------------------------------------------------------------------------------------

local function shuffle(bytes, n)
  if n == 1 then return bytes end
  local planes, pattern, whole = {}, ("(.)"):rep(n), #bytes // n * n
  for i = 1, n do planes[i] = bytes:sub(1, whole):gsub(pattern, "%" .. i) end
  return table.concat(planes) .. bytes:sub(whole + 1)
end

local function filtered(d, bytes)
  for _, name in ipairs(filters_of(d)) do
    if name == "deflate" then bytes = miniature_png.zlib(bytes) end
    if name == "shuffle" then bytes = shuffle(bytes, BYTES[d.type]) end
    if name == "fletcher" then bytes = bytes .. string.pack("<I4", miniature_hdf5.fletcher32(bytes)) end
  end
  return bytes
end

--- The bytes of the chunk whose first value is at `at`; what lies outside the dataset is 0.
local function cut_chunk(d, bytes, at)
  local rank, n, rows = #d.shape, BYTES[d.type], {}
  local run = math.min(d.chunks[rank], d.shape[rank] - at[rank])
  local rest = ("\0"):rep((d.chunks[rank] - run) * n)
  local function walk(dimension, position, outside)
    if dimension == rank then
      local from = (position * d.shape[rank] + at[rank]) * n
      rows[#rows + 1] = outside and ("\0"):rep(d.chunks[rank] * n) or bytes:sub(from + 1, from + run * n) .. rest
      return
    end
    for i = at[dimension], at[dimension] + d.chunks[dimension] - 1 do
      walk(dimension + 1, position * d.shape[dimension] + i, outside or i >= d.shape[dimension])
    end
  end
  walk(1, 0, false)
  return table.concat(rows)
end

--- Calls f(at, number) for the first value of every chunk, in row-major order, numbers from 1.
local function each_chunk(d, f)
  local at, number = {}, 0
  local function walk(dimension)
    if dimension > #d.shape then
      number = number + 1
      return f(at, number)
    end
    for i = 0, d.shape[dimension] - 1, d.chunks[dimension] do
      at[dimension] = i
      walk(dimension + 1)
    end
  end
  walk(1)
end

local function put_chunks(file, d, bytes)
  local children, keys, rank = {}, {}, #d.shape
  local function key(size, mask, at)
    return string.pack("<I4I4" .. ("I8"):rep(rank + 1), size, mask, table.unpack(at))
  end
  each_chunk(d, function(at, number)
    if d.missing and d.missing[number] then return end
    local raw = cut_chunk(d, bytes, at)
    local plain = d.plain and d.plain[number]
    local stored = plain and raw or filtered(d, raw)
    children[#children + 1] = file:put(stored)
    at[rank + 1] = 0 -- the dimension of a value's bytes
    keys[#keys + 1] = key(#stored, plain and (1 << #filters_of(d)) - 1 or 0, at)
    at[rank + 1] = nil
  end)
  local behind = { [rank + 1] = BYTES[d.type] }
  for i, size in ipairs(d.shape) do behind[i] = (size + d.chunks[i] - 1) // d.chunks[i] * d.chunks[i] end
  keys[#keys + 1] = key(0, 0, behind)
  return put_tree(file, 1, file.given.fanout or CHUNK_FANOUT, children, keys)
end

local function layout(file, d, bytes, room)
  if d.compact then return string.pack("<BBs2", 3, 0, bytes) end
  local function put(f) return room and 0 or f() end
  if not d.chunks then
    return string.pack("<BBi8i8", 3, 1, d.unwritten and NOWHERE or put(function() return file:put(bytes) end), #bytes)
  end
  local n = BYTES[d.type]
  local chunks = d.says and d.says.chunks or d.chunks
  local sizes = table.move(chunks, 1, #chunks, 1, { [#chunks + 1] = n })
  if not d.index then
    local tree = d.unwritten and NOWHERE or put(function() return put_chunks(file, d, bytes) end)
    return string.pack("<BBBi8" .. ("I4"):rep(#sizes), 3, 2, #sizes, tree, table.unpack(sizes))
  end
  local width, stored = math.max(table.unpack(sizes)) < 256 and 1 or 2, {}
  local head = string.pack("<BBBBB" .. ("I" .. width):rep(#sizes), 4, 2, d.index == "single" and 2 or 0, #sizes, width,
    table.unpack(sizes))
  each_chunk(d, function(at, number) stored[number] = filtered(d, cut_chunk(d, bytes, at)) end)
  local address = put(function() return file:put(table.concat(stored)) end)
  if d.index == "implicit" then return head .. string.pack("<Bi8", 2, address) end
  assert(#stored == 1, "a single chunk")
  return head .. string.pack("<Bi8I4i8", 1, #stored[1], 0, address)
end

--- The header of a dataset; with `room`, one of that length, nothing else being put.
local function dataset_header(file, d, bytes, room)
  local messages = {
    { 1, dataspace(file, d) }, { 3, datatype(d) }, { 5, fill_value(file, d) }, { 8, layout(file, d, bytes, room) },
  }
  if #filters_of(d) > 0 then messages[#messages + 1] = { 11, filter_list(file, d) } end
  return header(file, messages)
end

-- ---- groups -----------------------------------------------------------------------------------------------------------

local function sorted_names(group)
  local names = {}
  for name in pairs(group) do names[#names + 1] = name end
  table.sort(names)
  return names
end

--- A group of symbol tables; links = addresses of object headers by name. Returns the address of its header.
local function put_old_group(file, links)
  local names, heap, offsets, at = sorted_names(links), { ("\0"):rep(8) }, {}, 8
  for _, name in ipairs(names) do
    offsets[name] = at
    heap[#heap + 1] = name .. ("\0"):rep(8 - #name % 8)
    at = at + #heap[#heap]
  end
  local data = file:put(table.concat(heap))
  local heap_address = file:put(string.pack("<c4BBBBi8i8i8", "HEAP", 0, 0, 0, 0, at, 1, data))
  local children, keys = {}, { string.pack("<i8", 0) }
  for from = 1, math.max(#names, 1), LEAF do
    local entries = {}
    for i = from, math.min(from + LEAF - 1, #names) do
      entries[#entries + 1] = string.pack("<i8i8I4I4c16", offsets[names[i]], links[names[i]], 0, 0, ("\0"):rep(16))
    end
    children[#children + 1] = file:put(string.pack("<c4BBI2", "SNOD", 1, 0, #entries) .. table.concat(entries)
      .. ("\0"):rep(40 * (LEAF - #entries)))
    keys[#keys + 1] = string.pack("<i8", offsets[names[from + #entries - 1]] or 0)
  end
  local tree = put_tree(file, 0, FANOUT, children, keys)
  return file:put(header(file, { { 17, string.pack("<i8i8", tree, heap_address) } }))
end

local function put_new_group(file, links)
  local messages = { { 2, string.pack("<BBi8i8", 0, 0, NOWHERE, NOWHERE) }, { 10, "\0\0" } }
  for _, name in ipairs(sorted_names(links)) do
    messages[#messages + 1] = { 6, string.pack("<BBs1i8", 1, 0, name, links[name]) }
  end
  return file:put(header(file, messages))
end

local function put_group(file, group)
  local links = {}
  for name, entry in pairs(group) do links[name] = type(entry) == "table" and put_group(file, entry) or entry end
  return (file.latest and put_new_group or put_old_group)(file, links)
end

--- The tree of groups that names ask for, with the addresses of datasets as leaves.
local function group_tree(given, places)
  local root = {}
  local function down(path)
    local group = root
    for name in path:gmatch "([^/]+)" do
      group[name] = group[name] or {}
      group = group[name]
    end
    return group
  end
  for _, path in ipairs(given.groups or {}) do down(path) end
  for _, d in ipairs(given.datasets) do
    local folder, name = d.name:match "^(.-)/?([^/]+)$"
    down(folder)[name] = places[d.name]
  end
  return root
end

-- ---- all of it --------------------------------------------------------------------------------------------------------

local SIGNATURE = "\x89HDF\r\n\x1a\n"

local function superblock(file, root)
  local base = file.given.user_block or 0
  if file.latest then
    local bytes = SIGNATURE .. string.pack("<BBBBi8i8i8i8", 2, 8, 8, 0, base, NOWHERE, file.size + base, root)
    return bytes .. string.pack("<I4", miniature_hdf5.lookup3(bytes))
  end
  local fanout = file.given.fanout
  return SIGNATURE .. string.pack("<BBBBBBBBI2I2I4", fanout and 1 or 0, 0, 0, 0, 0, 8, 8, 0, LEAF // 2, FANOUT // 2, 0)
    .. (fanout and string.pack("<I2I2", fanout // 2, 0) or "")
    .. string.pack("<i8i8i8i8", base, NOWHERE, file.size + base, NOWHERE)
    .. string.pack("<i8i8I4I4c16", 0, root, 0, 0, ("\0"):rep(16))
end

---@class miniature.hdf5.dataset
---@field name string         "images", "#refs#/a": groups are made as names ask for them
---@field type string         "u8", "i8", "u16", "i16", "u32", "i32", "u64", "i64", "f16", "f32", "f64", "char16",
---   "reference"
---@field shape? integer[]    default for char16 {#values, 1} (as MATLAB does) and for references {1, #refs}
---@field values? number[]|string  row-major, or their bytes; of char16 the text
---@field refs? (string|false)[]   of references: names of datasets, false = to nothing
---@field chunks? integer[]
---@field deflate? boolean    stored blocks of zlib
---@field shuffle? boolean
---@field fletcher? boolean
---@field filters? (string|integer)[]  instead of the three: in this order; a number is the id of another filter
---@field index? string       "single" or "implicit" instead of a B-tree
---@field missing? table<integer, boolean>  chunks (from 1, row-major) that are not written
---@field plain? table<integer, boolean>    chunks that are written without filters
---@field fill? number
---@field compact? boolean    values in the header
---@field unwritten? boolean  no values were ever written
---@field big_endian? boolean
---@field says? { shape?: integer[], chunks?: integer[] }  what the header says instead of the truth

--- The bytes of a file, and where the object header of each dataset stands in it.
---@param given table  datasets = miniature.hdf5.dataset[], groups = names of more of them, maybe empty, user_block = 0,
---   512, 1024, ... (0), latest = superblock 2, object headers 2, links in headers, fanout = entries of a node of a
---   B-tree of chunks (64)
---@return string bytes
---@return table<string, integer> places  0-based position by name
function miniature_hdf5.encode(given)
  local file, places, contents, headers = new_file(given), {}, {}, {}
  local super = file:put(#superblock(file, 0))
  local datasets = {}
  for i, d in ipairs(given.datasets) do
    d = setmetatable({ shape = d.shape or d.refs and { 1, #d.refs } or { #d.values, 1 } }, { __index = d })
    datasets[i] = d
    local zero = ("\0"):rep(product(d.shape) * BYTES[d.type])
    headers[i] = file:put(#dataset_header(file, d, zero, true))
    places[d.name] = headers[i]
  end
  for i, d in ipairs(datasets) do contents[i] = d.unwritten and "" or bytes_of(d, places) end
  for i, d in ipairs(datasets) do file:fill(headers[i], dataset_header(file, d, contents[i])) end
  local root = put_group(file, group_tree(given, places))
  file:fill(super, superblock(file, root))
  for name, place in pairs(places) do places[name] = place + (given.user_block or 0) end
  return file:bytes(), places
end

-- ---- reading back -----------------------------------------------------------------------------------------------------

--- All numbers of a tensor, row-major.
---@param tensor asl.Tensor
---@return number[]
function miniature_hdf5.flat(tensor)
  if #tensor:shape() == 0 then return { tensor:item() } end
  return tensor:reshape { -1 }:totable()
end

--- n numbers f(i) or i, from 1.
---@param n integer
---@param f? fun(i: integer): number
---@return number[]
function miniature_hdf5.numbers(n, f)
  local list = {}
  for i = 1, n do list[i] = f and f(i) or i end
  return list
end

--- Every link below a group of an open file: "path" of what is none, "path/" of a group.
---@return string[]
function miniature_hdf5.tree(file, group, into)
  into = into or {}
  for _, link in ipairs(file:list(group)) do
    local name = group and group .. "/" .. link.name or link.name
    into[#into + 1] = link.group and name .. "/" or name
    if link.group then miniature_hdf5.tree(file, name, into) end
  end
  return into
end

return miniature_hdf5
