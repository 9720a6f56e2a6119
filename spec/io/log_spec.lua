local core = require "asl.core"
local fs = require "asl.fs"
local log = require "asl.log"
local record = require "asl.record"

local function from_hex(hex)
  return (hex:gsub("%x%x", function(byte) return string.char(tonumber(byte, 16)) end))
end

describe("asl.record", function()
  it("frames as TensorBoard's own vectors have it", function()
    local framed = record.frame(from_hex "0900000000000000001a0d627261696e2e4576656e743a32")
    assert.equal(
      from_hex "1800000000000000a37f4b220900000000000000001a0d627261696e2e4576656e743a32eedf28a3", framed)
    local crc = string.unpack("<I4", record.frame(from_hex "1a11" .. "CRC test, one two"):sub(-4))
    assert.equal(0x5794D08A, crc)
  end)
end)

describe("asl.log", function()
  local dir, path

  before_each(function()
    dir = fs.temp_dir()
    path = fs.join(dir, "log")
  end)
  after_each(function() fs.remove_tree(dir) end)

  local function filled()
    local file = log.open(path)
    for step = 1, 5 do
      file:append { kind = "scalars", step = step, values = { loss = 1 / step } }
    end
    file:close()
    return fs.read(path)
  end

  it("gives back what was appended, doubles in full", function()
    local file = log.open(path)
    file:append { kind = "scalars", step = 1, values = { a = 0.1, b = 0 / 0, c = math.huge, d = -math.huge } }
    file:append { kind = "text", step = 2, text = "ä\n" }
    file:close()
    local entries = log.read(path)
    assert.equal(2, #entries)
    assert.equal(0.1, entries[1].values.a)
    assert.is_true(entries[1].values.b ~= entries[1].values.b)
    assert.equal(math.huge, entries[1].values.c)
    assert.equal(-math.huge, entries[1].values.d)
    assert.same({ kind = "text", step = 2, text = "ä\n" }, entries[2])
  end)

  it("cuts off a torn record at open, wherever it was torn, and goes on", function()
    local bytes = filled()
    local last = #bytes - (select(2, record.each(path, function() end)))
    local starts = {}
    record.each(path, function(_, offset) starts[#starts + 1] = offset end)
    for cut = starts[5] + 1, last - 1 do
      fs.write(path, bytes:sub(1, cut), { durable = false })
      local file = log.open(path)
      assert.equal(cut - starts[5], file.dropped)
      file:append { kind = "event", step = 6 }
      file:close()
      assert.equal(6, log.read(path)[5].step)
    end
  end)

  it("stops before a damaged record", function()
    local bytes = filled()
    local starts = {}
    record.each(path, function(_, offset) starts[#starts + 1] = offset end)
    for position = starts[3] + 1, starts[4] do
      local damaged = bytes:sub(1, position - 1) .. string.char(bytes:byte(position) ~ 0x40) .. bytes:sub(position + 1)
      fs.write(path, damaged, { durable = false })
      local valid, rest, problem = record.each(path, function() end)
      assert.equal(starts[3], valid)
      assert.equal(#bytes - starts[3], rest)
      assert.is_not_nil(problem)
    end
  end)

  it("does not believe a length that a record cannot have", function()
    local length = string.pack("<i8", 1 << 60)
    local crc = core.crc32c(length)
    crc = ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
    fs.write(path, length .. string.pack("<I4", crc) .. ("x"):rep(100))
    local valid, _, problem = record.each(path, function() end)
    assert.equal(0, valid)
    assert.equal("damaged", problem)
  end)
end)
