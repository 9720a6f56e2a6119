--- TFRecord framing: the byte format of ASL's logs and of TensorBoard's event files.
---
--- A record is its length (u64), the masked CRC-32C of those 8 bytes, the data, and the masked CRC-32C
--- of the data, all little endian. A record that a crash or a full disk tore is recognised as such.

local core = require "asl.core"

local record = {}

local max_bytes = 256 << 20 -- of one record; more is taken for damage

local function masked_crc(bytes)
  local crc = core.crc32c(bytes)
  return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
end

--- The bytes of one record.
---@param data string
---@return string
function record.frame(data)
  local length = string.pack("<I8", #data)
  return string.pack("<c8I4", length, masked_crc(length))
    .. data .. string.pack("<I4", masked_crc(data))
end

-- The next record's data, or nil and what is wrong; nil alone at the end.
local function read_one(file, left)
  if left == 0 then return nil end
  local head = file:read(12)
  if not head or #head < 12 then return nil, "torn" end
  local length, crc = string.unpack("<i8I4", head)
  if crc ~= masked_crc(head:sub(1, 8)) then return nil, "damaged" end
  if length < 0 or length > max_bytes then return nil, "damaged" end
  if length + 16 > left then return nil, "torn" end
  local data, tail = length == 0 and "" or file:read(length), file:read(4)
  if not tail or #tail < 4 then return nil, "torn" end
  if string.unpack("<I4", tail) ~= masked_crc(data) then return nil, "damaged" end
  return data
end

--- Visits the records of a file in order, up to the first that is torn or damaged.
---@param path string
---@param visit fun(data: string, offset: integer)  `offset`: where the record begins, in bytes
---@return integer valid  bytes up to there
---@return integer rest  bytes after that
---@return "torn"|"damaged"|nil problem  nil when the file ends with a whole record
function record.each(path, visit)
  local info = core.fs.stat(path)
  if not info then return 0, 0, nil end
  local file <close> = assert(io.open(path, "rb"))
  local offset = 0
  while true do
    local data, problem = read_one(file, info.size - offset)
    if not data then return offset, info.size - offset, problem end
    visit(data, offset)
    offset = offset + #data + 16
  end
end

return record
