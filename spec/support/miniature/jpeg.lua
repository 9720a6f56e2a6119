--- Baseline JPEG files (ITU-T T.81, JFIF) in plain Lua, colour without subsampling or grey: what a data set of
--- photographs holds, of any size and made from any tensor.
---
--- All Huffman codes of a table have one length, which the format allows and which keeps this short.

local miniature_jpeg = {}

local N = 8 -- pixels of a block's side
local DC_BITS, DC_SYMBOLS = 4, {} -- sizes of differences, 0 to 11
local AC_BITS, AC_SYMBOLS = 8, { 0x00, 0xF0 } -- end of block, 16 zeros, and run << 4 | size

for size = 0, 11 do DC_SYMBOLS[#DC_SYMBOLS + 1] = size end
for run = 0, 15 do
  for size = 1, 10 do AC_SYMBOLS[#AC_SYMBOLS + 1] = run << 4 | size end
end

local function codes_of(symbols)
  local code = {}
  for i, symbol in ipairs(symbols) do code[symbol] = i - 1 end
  return code
end

local DC_CODE, AC_CODE = codes_of(DC_SYMBOLS), codes_of(AC_SYMBOLS)

local ZIGZAG, STEPS = {}, {} -- { row, column } and quantiser step of each coefficient, in the file's order
for diagonal = 0, 2 * N - 2 do
  for i = math.max(0, diagonal - N + 1), math.min(diagonal, N - 1) do
    local row = diagonal % 2 == 0 and diagonal - i or i
    ZIGZAG[#ZIGZAG + 1] = { row, diagonal - row }
    STEPS[#ZIGZAG] = 1 + diagonal // 2 -- fine, so that decoded pictures are near the originals
  end
end

local COSINE = {} -- COSINE[frequency][place]
for u = 0, N - 1 do
  COSINE[u] = {}
  for x = 0, N - 1 do
    COSINE[u][x] = (u == 0 and math.sqrt(0.5) or 1) / 2 * math.cos((2 * x + 1) * u * math.pi / (2 * N))
  end
end

-- ---- one block ----------------------------------------------------------------------------------

--- Quantised coefficients of the block whose value at row y, column x is block[y * 8 + x], in zigzag order.
local function transform(block)
  local rows, coefficients = {}, {}
  for y = 0, N - 1 do
    for u = 0, N - 1 do
      local sum, cosine = 0, COSINE[u]
      for x = 0, N - 1 do sum = sum + block[y * N + x] * cosine[x] end
      rows[y * N + u] = sum
    end
  end
  for k, at in ipairs(ZIGZAG) do
    local sum, cosine = 0, COSINE[at[1]]
    for y = 0, N - 1 do sum = sum + rows[y * N + at[2]] * cosine[y] end
    coefficients[k] = math.floor(sum / STEPS[k] + 0.5)
  end
  return coefficients
end

local function new_bits()
  return { bytes = {}, held = 0, count = 0 }
end

local function put(bits, value, count)
  bits.held, bits.count = bits.held << count | value, bits.count + count
  while bits.count >= 8 do
    bits.count = bits.count - 8
    local byte = bits.held >> bits.count & 255
    bits.bytes[#bits.bytes + 1] = byte == 255 and "\255\0" or string.char(byte)
    bits.held = bits.held & (1 << bits.count) - 1
  end
end

local function size_of(value)
  local size, rest = 0, math.abs(value)
  while rest > 0 do size, rest = size + 1, rest >> 1 end
  return size
end

local function put_value(bits, value, size)
  put(bits, value < 0 and value + (1 << size) - 1 or value, size)
end

local function put_block(bits, coefficients, last_dc)
  local difference = coefficients[1] - last_dc
  local size = size_of(difference)
  put(bits, DC_CODE[size], DC_BITS)
  put_value(bits, difference, size)
  local zeros = 0
  for k = 2, N * N do
    local value = coefficients[k]
    if value == 0 then
      zeros = zeros + 1
    else
      for _ = 1, zeros // 16 do put(bits, AC_CODE[0xF0], AC_BITS) end
      size = size_of(value)
      put(bits, AC_CODE[zeros % 16 << 4 | size], AC_BITS)
      put_value(bits, value, size)
      zeros = 0
    end
  end
  if zeros > 0 then put(bits, AC_CODE[0x00], AC_BITS) end
end

-- ---- the file -----------------------------------------------------------------------------------

--- Planes of values around 0: brightness, and for colour the two chroma, each at [y * width + x].
local function planes_of(bytes, pixels, grey)
  local luma, blue, red = {}, {}, {}
  for i = 0, pixels - 1 do
    local r, g, b = bytes:byte(3 * i + 1, 3 * i + 3)
    local y = 0.299 * r + 0.587 * g + 0.114 * b
    luma[i], blue[i], red[i] = y - 128, (b - y) / 1.772, (r - y) / 1.402
  end
  return grey and { luma } or { luma, blue, red }
end

--- The 8x8 values from row top, column left on; past the picture its border goes on.
local function block_of(plane, height, width, top, left)
  local block = {}
  for y = 0, N - 1 do
    local row = math.min(top + y, height - 1) * width
    for x = 0, N - 1 do block[y * N + x] = plane[row + math.min(left + x, width - 1)] end
  end
  return block
end

local function scan_of(planes, height, width)
  local bits, last_dc = new_bits(), { 0, 0, 0 }
  for top = 0, height - 1, N do
    for left = 0, width - 1, N do
      for c, plane in ipairs(planes) do
        local coefficients = transform(block_of(plane, height, width, top, left))
        put_block(bits, coefficients, last_dc[c])
        last_dc[c] = coefficients[1]
      end
    end
  end
  if bits.count > 0 then put(bits, (1 << 8 - bits.count) - 1, 8 - bits.count) end
  return table.concat(bits.bytes)
end

local function segment(marker, data)
  return string.pack(">BBI2", 255, marker, #data + 2) .. data -- the length counts itself
end

local function huffman_table(id, bits, symbols)
  local counts = {}
  for length = 1, 16 do counts[length] = string.char(length == bits and #symbols or 0) end
  return segment(0xC4, string.char(id) .. table.concat(counts) .. string.char(table.unpack(symbols)))
end

--- The bytes of a JPEG of a picture.
---@param image asl.Tensor  u8 HxWx3
---@param given { grey?: boolean }|nil  grey: one component, as of photographs without colour
---@return string bytes
function miniature_jpeg.encode(image, given)
  local shape, grey = image:shape(), given and given.grey
  local height, width = shape[1], shape[2]
  local planes = planes_of(image:contiguous():bytes(), height * width, grey)
  local frame, scan = {}, {}
  for c in ipairs(planes) do
    frame[c], scan[c] = string.char(c, 0x11, 0), string.char(c, 0x00)
  end
  return table.concat {
    "\xFF\xD8", segment(0xE0, "JFIF\0\1\1\0\0\1\0\1\0\0"), segment(0xDB, "\0" .. string.char(table.unpack(STEPS))),
    segment(0xC0, string.pack(">BI2I2B", 8, height, width, #planes) .. table.concat(frame)),
    huffman_table(0x00, DC_BITS, DC_SYMBOLS), huffman_table(0x10, AC_BITS, AC_SYMBOLS),
    segment(0xDA, string.char(#planes) .. table.concat(scan) .. "\0\63\0"), scan_of(planes, height, width), "\xFF\xD9",
  }
end

return miniature_jpeg
