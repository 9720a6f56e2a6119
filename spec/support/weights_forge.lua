--- Makes checkpoints byte by byte, right ones and wrong ones: opcodes of pickles, archives, the legacy stream.

local forge = {}

-- ---- pickles ------------------------------------------------------------------------------------

--- Opcodes by name, with their arguments where they have any: op.BININT1(7).
local op = {
  PROTO = function(n) return "\x80" .. string.char(n) end,
  FRAME = function(n) return "\x95" .. string.pack("<I8", n) end,
  BININT = function(n) return "J" .. string.pack("<i4", n) end,
  BININT1 = function(n) return "K" .. string.pack("<I1", n) end,
  BININT2 = function(n) return "M" .. string.pack("<I2", n) end,
  LONG1 = function(bytes) return "\x8a" .. string.pack("<s1", bytes) end,
  LONG4 = function(bytes) return "\x8b" .. string.pack("<s4", bytes) end,
  BINFLOAT = function(x) return "G" .. string.pack(">d", x) end,
  BINUNICODE = function(text) return "X" .. string.pack("<s4", text) end,
  SHORT_BINUNICODE = function(text) return "\x8c" .. string.pack("<s1", text) end,
  BINUNICODE8 = function(text) return "\x8d" .. string.pack("<s8", text) end,
  SHORT_BINSTRING = function(text) return "U" .. string.pack("<s1", text) end,
  BINSTRING = function(text) return "T" .. string.pack("<s4", text) end,
  SHORT_BINBYTES = function(text) return "C" .. string.pack("<s1", text) end,
  BINBYTES = function(text) return "B" .. string.pack("<s4", text) end,
  BINBYTES8 = function(text) return "\x8e" .. string.pack("<s8", text) end,
  BYTEARRAY8 = function(text) return "\x96" .. string.pack("<s8", text) end,
  GLOBAL = function(module, name) return "c" .. module .. "\n" .. name .. "\n" end,
  BINPUT = function(i) return "q" .. string.char(i) end,
  LONG_BINPUT = function(i) return "r" .. string.pack("<I4", i) end,
  BINGET = function(i) return "h" .. string.char(i) end,
  LONG_BINGET = function(i) return "j" .. string.pack("<I4", i) end,
  MARK = "(", STOP = ".", POP = "0", POP_MARK = "1", NONE = "N", NEWTRUE = "\x88", NEWFALSE = "\x89",
  EMPTY_TUPLE = ")", TUPLE1 = "\x85", TUPLE2 = "\x86", TUPLE3 = "\x87", TUPLE = "t",
  EMPTY_LIST = "]", APPEND = "a", APPENDS = "e", EMPTY_SET = "\x8f", ADDITEMS = "\x90", FROZENSET = "\x91",
  EMPTY_DICT = "}", SETITEM = "s", SETITEMS = "u", STACK_GLOBAL = "\x93", REDUCE = "R", NEWOBJ = "\x81",
  NEWOBJ_EX = "\x92", BUILD = "b", BINPERSID = "Q", MEMOIZE = "\x94",
}
forge.op = op

--- The codes of all opcodes that are read.
forge.known_codes = {}
for name, code in pairs(op) do
  if type(code) == "function" then
    code = code(name == "BINFLOAT" and 0.5 or (name:find "BIN[UGSB]" or name:find "LONG%d" or name == "BYTEARRAY8")
      and not name:find "GET" and "x" or name == "GLOBAL" and "m" or 1, "n")
  end
  forge.known_codes[code:byte()] = name
end

--- A whole pickle of protocol 2.
---@param ... string  opcodes of one value
---@return string
function forge.pickle(...)
  return op.PROTO(2) .. table.concat { ... } .. op.STOP
end

--- A dictionary: names and the opcodes of their values, in turn.
---@param ... string
---@return string
function forge.dict(...)
  local parts = { op.EMPTY_DICT, op.MARK }
  for i = 1, select("#", ...), 2 do
    local name, value = select(i, ...)
    parts[#parts + 1] = op.BINUNICODE(name) .. value
  end
  return table.concat(parts) .. op.SETITEMS
end

--- An integer; a float counts as 64 bits.
local function int(n)
  return n >= -2 ^ 31 and n < 2 ^ 31 and op.BININT(n) or op.LONG1(string.pack("<i8", n))
end
forge.int = int

local function sizes(list)
  local parts = { op.MARK }
  for i, n in ipairs(list) do parts[i + 1] = int(n) end
  return table.concat(parts) .. op.TUPLE
end

--- A storage: a persistent id.
---@param given { class?: string, module?: string, key?: string, count: integer, view?: string }
---@return string
function forge.storage(given)
  return op.MARK .. op.BINUNICODE "storage" .. op.GLOBAL(given.module or "torch", given.class or "FloatStorage")
    .. op.BINUNICODE(given.key or "0") .. op.BINUNICODE "cpu" .. int(given.count) .. (given.view or "") .. op.TUPLE
    .. op.BINPERSID
end

--- A tensor: _rebuild_tensor_v2 of a storage.
---@param given table  as of forge.storage, and offset, sizes, strides; metadata: opcodes; fn: another function; more: opcodes
---   of further arguments
---@return string
function forge.tensor(given)
  return op.GLOBAL("torch._utils", given.fn or "_rebuild_tensor_v2") .. op.MARK .. forge.storage(given)
    .. int(given.offset or 0) .. sizes(given.sizes or { given.count }) .. sizes(given.strides or { 1 })
    .. (given.arguments or op.NEWFALSE .. op.GLOBAL("collections", "OrderedDict") .. op.EMPTY_TUPLE .. op.REDUCE)
    .. (given.more or "") .. op.TUPLE .. op.REDUCE
end

-- ---- archives -----------------------------------------------------------------------------------

local crc_table = {}
for i = 0, 255 do
  local c = i
  for _ = 1, 8 do
    c = c & 1 == 1 and (c >> 1) ~ 0xEDB88320 or c >> 1
  end
  crc_table[i] = c
end

--- CRC-32 of zip archives.
---@param bytes string
---@return integer
function forge.crc32(bytes)
  local c = 0xFFFFFFFF
  for i = 1, #bytes do
    c = (c >> 8) ~ crc_table[(c ~ bytes:byte(i)) & 255]
  end
  return c ~ 0xFFFFFFFF
end

--- An archive of stored entries.
---@param entries table[]  { name, data } and fields that lie: crc, bytes, method, flags, at, packed, extra
---@param given table|nil  zip64 = true: with a 64-bit end record; comment; count, directory_bytes, directory_at: lies
---@return string
function forge.zip(entries, given)
  given = given or {}
  local parts, directory, at = {}, {}, 0
  for i, entry in ipairs(entries) do
    local name, data = entry[1], entry[2]
    local crc, bytes = entry.crc or forge.crc32(data), entry.bytes or #data
    local common = string.pack("<I2I2I2I2I2I4I4I4I2", 20, entry.flags or 0, entry.method or 0, 0, 33, crc,
      entry.packed or bytes, bytes, #name)
    parts[i] = "PK\3\4" .. common .. string.pack("<I2", 0) .. name .. data
    local extra = entry.extra or ""
    directory[i] = "PK\1\2" .. string.pack("<I2", 20) .. common .. string.pack("<I2I2I2I2I4I4", #extra, 0, 0, 0, 0,
      entry.at or at) .. name .. extra
    at = at + #parts[i]
  end
  local list = table.concat(directory)
  local count, bytes, from = given.count or #entries, given.directory_bytes or #list, given.directory_at or at
  local comment, tail = given.comment or "", ""
  if given.zip64 then
    tail = "PK\6\6" .. string.pack("<I8I2I2I4I4I8I8I8I8", 44, 45, 45, 0, 0, count, count, bytes, from)
      .. "PK\6\7" .. string.pack("<I4I8I4", 0, at + #list, 1)
  end
  return table.concat(parts) .. list .. tail .. "PK\5\6" .. string.pack("<I2I2I2I2I4I4s2", 0, 0,
    given.small_count or count, given.small_count or count, bytes, from, comment)
end

--- A checkpoint in an archive.
---@param pickle string
---@param storages table<string, string>|nil  bytes by key
---@param given table|nil  version, byteorder: texts, or false; entries: more of them; zip: as of forge.zip
---@return string
function forge.checkpoint(pickle, storages, given)
  given = given or {}
  local entries, keys = { { "a/data.pkl", pickle } }, {}
  if given.version ~= false then entries[#entries + 1] = { "a/version", given.version or "3\n" } end
  if given.byteorder then entries[#entries + 1] = { "a/byteorder", given.byteorder } end
  for key in pairs(storages or {}) do keys[#keys + 1] = key end
  table.sort(keys)
  for _, key in ipairs(keys) do entries[#entries + 1] = { "a/data/" .. key, storages[key] } end
  for _, entry in ipairs(given.entries or {}) do entries[#entries + 1] = entry end
  return forge.zip(entries, given.zip)
end

-- ---- the legacy stream --------------------------------------------------------------------------

forge.MAGIC = forge.pickle(op.LONG1 "\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19")

--- A checkpoint of PyTorch before 1.6.
---@param pickle string
---@param storages table[]|nil  { key, count, bytes }
---@param given table|nil  magic, protocol, system, keys: pickles in place of the right ones; tail: bytes behind
---@return string
function forge.legacy(pickle, storages, given)
  given = given or {}
  local keys, data = { op.EMPTY_LIST, op.MARK }, {}
  for i, storage in ipairs(storages or {}) do
    keys[i + 2] = op.BINUNICODE(storage[1])
    data[i] = string.pack("<i8", storage[2]) .. storage[3]
  end
  return (given.magic or forge.MAGIC) .. (given.protocol or forge.pickle(op.BININT2(1001)))
    .. (given.system or forge.pickle(forge.dict("protocol_version", op.BININT2(1001), "little_endian", op.NEWTRUE)))
    .. pickle .. (given.keys or forge.pickle(table.concat(keys) .. op.APPENDS)) .. table.concat(data) .. (given.tail or "")
end

--- f32 numbers as they lie in memory.
---@param ... number
---@return string
function forge.f32(...)
  return string.pack(("<" .. ("f"):rep(select("#", ...))), ...)
end

return forge
