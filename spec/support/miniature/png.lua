--- PNG files of any kind, written in plain Lua without compression: what core.png_encode does not write.

local miniature_png = {}

local crc_table = {}
for i = 0, 255 do
  local crc = i
  for _ = 1, 8 do crc = crc >> 1 ~ (crc & 1 == 1 and 0xedb88320 or 0) end
  crc_table[i] = crc
end

--- The CRC-32 of PNG.
---@param bytes string
---@return integer
function miniature_png.crc32(bytes)
  local crc = 0xffffffff
  for i = 1, #bytes do
    crc = crc >> 8 ~ crc_table[(crc ~ bytes:byte(i)) & 255]
  end
  return crc ~ 0xffffffff
end

local function adler32(bytes)
  local a, b = 1, 0
  for i = 1, #bytes do
    a = (a + bytes:byte(i)) % 65521
    b = (b + a) % 65521
  end
  return b << 16 | a
end

--- A zlib stream of stored blocks.
---@param bytes string
---@return string
function miniature_png.zlib(bytes)
  local parts = { "\x78\x01" }
  for at = 1, math.max(#bytes, 1), 65535 do
    local block = bytes:sub(at, at + 65534)
    parts[#parts + 1] = string.pack("<BI2I2", at + 65535 > #bytes and 1 or 0, #block, ~#block & 0xffff) .. block
  end
  return table.concat(parts) .. string.pack(">I4", adler32(bytes))
end

local function chunk(kind, data)
  return string.pack(">I4", #data) .. kind .. data .. string.pack(">I4", miniature_png.crc32(kind .. data))
end

local COLOUR_TYPES = { grey = 0, rgb = 2, palette = 3, grey_alpha = 4, rgba = 6 }
local CHANNELS = { grey = 1, rgb = 3, palette = 1, grey_alpha = 2, rgba = 4 }

--- A PNG with the values f(y, x) (a number for one channel, else that many numbers) at 0-based row y, column x.
---@param kind string  "grey", "rgb", "palette", "grey_alpha", "rgba"
---@param bits integer  8 or 16
---@param height integer
---@param width integer
---@param f fun(y: integer, x: integer): integer, integer?, integer?, integer?
---@return string bytes
function miniature_png.encode(kind, bits, height, width, f)
  local code = ">" .. (bits == 16 and "I2" or "B"):rep(CHANNELS[kind])
  local rows = {}
  for y = 0, height - 1 do
    local row = { "\0" } -- no filter
    for x = 0, width - 1 do row[#row + 1] = code:pack(f(y, x)) end
    rows[#rows + 1] = table.concat(row)
  end
  local palette = kind == "palette" and chunk("PLTE", ("\1\2\3"):rep(256)) or ""
  return "\x89PNG\r\n\x1a\n" .. chunk("IHDR", string.pack(">I4I4BBBBB", width, height, bits, COLOUR_TYPES[kind], 0, 0, 0))
    .. palette .. chunk("IDAT", miniature_png.zlib(table.concat(rows))) .. chunk("IEND", "")
end

return miniature_png
