local asl = require "asl"
local core = require "asl.core"
local damage = require "spec.support.damage"
local miniature_png = require "spec.support.miniature.png"
local pictures = require "spec.support.pictures"

local min, max, pack, unpack = math.min, math.max, string.pack, string.unpack -- globals are slow here

--- A .flo file with the vectors f(y, x) at 0-based row y, column x.
local function flo(height, width, f)
  local parts = { pack("<fi4i4", 202021.25, width, height) }
  for y = 0, height - 1 do
    for x = 0, width - 1 do parts[#parts + 1] = pack("<ff", f(y, x)) end
  end
  return table.concat(parts)
end

local function kitti(height, width, f)
  return miniature_png.encode("rgb", 16, height, width, f)
end

describe("flow in .flo files", function()
  it("is read as it stands", function()
    local flow, unknown = core.flow_decode(flo(3, 5, function(y, x) return x + y / 4, y * x - 100.5 end))
    assert.same({ 3, 5, 2 }, flow:shape())
    assert.same({ "f32", "u8" }, { flow:dtype(), unknown:dtype() })
    local values = flow:totable()
    for y = 0, 2 do
      for x = 0, 4 do assert.same({ x + y / 4, y * x - 100.5 }, values[y + 1][x + 1]) end
    end
    assert.equal(("\0"):rep(15), unknown:bytes())
  end)

  it("says where it is not known", function()
    local odd = { { 1.1e9, 0 }, { 0, -1.1e9 }, { 0 / 0, 0 }, { 0, 1 / 0 }, { 1e9, -1e9 } }
    local flow, unknown = core.flow_decode(flo(1, 5, function(_, x) return table.unpack(odd[x + 1]) end))
    assert.equal("\1\1\1\1\0", unknown:bytes())
    assert.same({ { 0, 0 }, { 0, 0 }, { 0, 0 }, { 0, 0 }, { 1e9, -1e9 } }, flow:totable()[1])
  end)

  it("of another length than its size says is refused before memory is taken", function()
    local header = function(width, height) return pack("<fi4i4", 202021.25, width, height) end
    assert.error_matches(function() core.flow_decode(header(16384, 16384)) end,
      "%.flo: 12 bytes; 16384 x 16384 vectors %(width x height%) take 2147483660 %(truncated%)")
    assert.error_matches(function() core.flow_decode(header(2, 1) .. ("\0"):rep(17)) end, "%.flo: 29 bytes; .* take 28$")
    assert.error_matches(function() core.flow_decode(header(-1, 1)) end, "%.flo: a picture of %-1x1 pixels")
    assert.error_matches(function() core.flow_decode(header(0x7fffffff, 0x7fffffff)) end, "2147483647x2147483647")
    assert.error_matches(function() core.flow_decode "PIEH" end, "%.flo: truncated %(4 bytes%)")
  end)
end)

describe("flow in 16-bit PNG files", function()
  it("is (value - 32768) / 64, where the third channel is not 0", function()
    local flow, unknown = core.flow_decode(kitti(2, 2, function(y, x)
      return 32768 + 64 * x + y, 32768 - 33 * y, y == 1 and x == 0 and 0 or 1 + x
    end))
    assert.same({ { { 0, 0 }, { 1, 0 } }, { { 0, 0 }, { 65 / 64, -33 / 64 } } }, flow:totable())
    assert.equal("\0\0\1\0", unknown:bytes())
    local ends = core.flow_decode(kitti(1, 2, function(_, x) return 65535 * x, 65535 * (1 - x), 1 end)):totable()
    assert.same({ { -512, 32767 / 64 }, { 32767 / 64, -512 } }, ends[1])
  end)

  it("of other kinds is refused", function()
    assert.error_matches(function() core.flow_decode(core.png_encode(pictures.pattern(3, 3))) end,
      "8%-bit values; flow in a PNG must have 16 bits")
    local function value() return 1, 1, 1, 1 end
    assert.error_matches(function() core.flow_decode(miniature_png.encode("grey", 16, 2, 2, value)) end, "PNG: not a RGB picture")
    assert.error_matches(function() core.flow_decode(miniature_png.encode("rgba", 16, 2, 2, value)) end, "PNG: not a RGB picture")
  end)
end)

describe("flow files", function()
  it("that are neither are refused, naming the file", function()
    assert.error_matches(function() core.flow_decode "" end, "empty %(0 bytes%)")
    assert.error_matches(function() core.flow_decode "HEIP1234" end, "neither %.flo nor PNG %(first bytes 48 45 49 50%)")
    assert.error_matches(function() asl.data.read_flow "no/such.flo" end, '"no/such%.flo": No such file')
    assert.error_matches(function() asl.data.read_flow "spec/data/flow_spec.lua" end,
      "spec/data/flow_spec%.lua: neither %.flo nor PNG")
  end)

  it("truncated anywhere are errors", function()
    for _, bytes in ipairs { flo(6, 8, function(y, x) return x, y end), kitti(6, 8, function() return 1, 2, 3 end) } do
      damage.truncations(bytes, function(cut, length)
        local ok, message = pcall(core.flow_decode, cut)
        assert.is_false(ok, ("decoded from %d of %d bytes"):format(length, #bytes))
        if length > 8 then assert.matches("truncated", message) end
      end)
    end
  end)

  it("with a changed byte are errors or flow of the same size", function()
    local damaged_header = 0
    for _, bytes in ipairs { flo(6, 8, function(y, x) return x, y end), kitti(6, 8, function() return 1, 2, 3 end) } do
      damage.flips(bytes, 1000, function(changed)
        local ok, flow, unknown = pcall(core.flow_decode, changed)
        if ok then
          assert.same({ 6, 8, 2 }, flow:shape())
          assert.equal(48, unknown:count())
        else
          damaged_header = damaged_header + 1
        end
      end)
    end
    assert.is_true(damaged_header > 900, damaged_header) -- every byte of a PNG is under a checksum
  end)
end)

describe("real flow files", function()
  local root = pictures.real "flow"

  local function statistics(flow, unknown)
    local bytes, hidden = flow:bytes(), unknown:bytes()
    local s = { n = 0, u = 0, v = 0, min_u = math.huge, max_u = -math.huge, min_v = math.huge, max_v = -math.huge }
    for i = 1, #hidden do
      if hidden:byte(i) == 0 then
        local u, v = unpack("<ff", bytes, 8 * i - 7)
        s.n, s.u, s.v = s.n + 1, s.u + u, s.v + v
        s.min_u, s.max_u = min(s.min_u, u), max(s.max_u, u)
        s.min_v, s.max_v = min(s.min_v, v), max(s.max_v, v)
      end
    end
    return s
  end

  it("hold what other readers find in them", function()
    if not root then return pending "the flow samples (../shared/data/flow) are not here" end
    for _, row in ipairs(pictures.tsv(root .. "/expected.tsv")) do
      local flow, unknown = asl.data.read_flow(root .. "/" .. row.file)
      local height, width = tonumber(row.height), tonumber(row.width)
      assert.same({ height, width, 2 }, flow:shape(), row.file)
      local s = statistics(flow, unknown)
      assert.equal(tonumber(row.valid_pixels), s.n, row.file)
      local function near(expected, value, tolerance)
        assert.is_true(math.abs(tonumber(expected) - value) <= tolerance, ("%s: %s, %.9g"):format(row.file, expected, value))
      end
      near(row.mean_u, s.u / s.n, 1e-6)
      near(row.mean_v, s.v / s.n, 1e-6)
      near(row.min_u, s.min_u, 1e-6)
      near(row.max_u, s.max_u, 1e-6)
      near(row.min_v, s.min_v, 1e-6)
      near(row.max_v, s.max_v, 1e-6)
      local at = (tonumber(row.sample_y) * width + tonumber(row.sample_x)) * 8 + 1
      local u, v = unpack("<ff", flow:bytes(), at)
      near(row.u, u, 1e-6)
      near(row.v, v, 1e-6)
    end
  end)
end)

describe("samples with flow", function()
  local root
  before_each(function() root = core.fs.temp_dir() end)
  after_each(function() core.fs.remove_tree(root) end)

  local function open(flow, more)
    pictures.write(root .. "/image.png", core.png_encode(pictures.pattern(4, 6)))
    pictures.write(root .. "/flow", flow)
    local given = { images = { root .. "/image.png" }, flows = { root .. "/flow" } }
    for key, value in pairs(more or {}) do given[key] = value end
    return core.source_frames(given)
  end

  it("have the planes flow and occlusion", function()
    local source = open(flo(4, 6, function(y, x) return x == 2 and 2e9 or 1.5, y end))
    assert.same({ "image", "flow", "occlusion" }, source:planes())
    local sample = source:sample(1)
    assert.same({ 1.5, 3 }, sample.flow:totable()[4][1])
    assert.same({ 0, 0, 1, 0, 0, 0 }, sample.occlusion:totable()[2])
    assert.same({ 4, 6 }, source:sample(1, { "occlusion" }).occlusion:shape())
  end)

  it("have flow_back beside it", function()
    local source = open(flo(4, 6, function() return 1, 2 end), { flows_back = { root .. "/flow" } })
    assert.same({ "image", "flow", "flow_back", "occlusion" }, source:planes())
    assert.same({ 1, 2 }, source:sample(1, { "flow_back" }).flow_back:totable()[1][1])
  end)

  it("are resized with their vectors", function()
    local sample = open(flo(4, 6, function() return 3, 2 end), { size = { 2, 2 } }):sample(1)
    assert.same({ 1, 1 }, sample.flow:totable()[1][1])
  end)

  it("of another size than the picture are errors naming both files", function()
    assert.error_matches(function() open(flo(4, 5, function() return 0, 0 end)):sample(1) end,
      "image%.png is 6x4 but its flow .*/flow is 5x4 %(width x height%)")
    assert.error_matches(function() open("PIEH"):sample(1) end, "/flow: %.flo: truncated")
  end)
end)
