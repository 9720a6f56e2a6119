-- Rows of a batch made on the device against those of the CPU: shapes with and without whole vectors, every way to
-- shrink, addresses that are not aligned, batches too large for one turn.

local asl = require "asl"
local core = require "asl.core"
local devices = require "spec.support.devices"

local ops = asl.ops

local function bytes(shape, stream)
  return ops.cast(asl.rand(shape, { seed = 3, stream = stream }) * 255, { dtype = "u8" })
end

-- Both devices' results for n pictures, each drawn for `rows` rows.
local function both(device, given)
  local n, h, w = table.unpack(given.from)
  local x, labels = given.x or bytes({ n, h, w, 3 }, 1), given.labels or bytes({ n, h, w }, 2)
  local index, rows = {}, {}
  for row = 1, given.rows do index[row], rows[row] = row * 7 % n, row end
  index = asl.tensor(index, { dtype = "i64" })
  local transform = core.augment_draw { rows = rows, picture = { h, w }, size = given.size, seed = given.seed or 1, step = 1,
    augment = given.augment and asl.data.augment(given.augment) }
  local options = { height = given.size[1], width = given.size[2] }
  local want = { ops.augment(x, labels, index, transform, options) }
  local put = given.put or function(t) return t:to(device) end
  local got = { ops.augment(put(x), put(labels), index:to(device), transform:to(device), options) }
  return want, got
end

local function check(device, given, what)
  local want, got = both(device, given)
  for k, plane in ipairs { "picture", "labels" } do
    assert.is_true(want[k]:bytes() == got[k]:bytes(), what .. ": " .. plane)
  end
end

-- The tensor at an address that no vector has.
local function unaligned(t, device)
  local n = t:count()
  local flat = asl.zeros({ n + 1 }, { dtype = "u8", device = device })
  local part = flat:slice(1, 2, n + 1)
  part:copy_(t:reshape(n):to(device))
  return part:reshape(t:shape())
end

describe("augment on the device", devices.body({ it = it, pending = pending }, function(device)
  local ALL = { scale = { 0.3, 2 }, flip = 0.5, rotate = 45, brightness = 0.3, contrast = 0.5, saturation = 0.3, hue = 0.1 }

  it("has the bytes of the cpu for sizes of every kind", function()
    for k, from in ipairs { { 2, 16, 24 }, { 3, 17, 23 }, { 1, 1, 9 }, { 2, 40, 1 }, { 2, 31, 36 } } do
      for l, size in ipairs { { 16, 24 }, { 8, 12 }, { 17, 23 }, { 5, 7 }, { 1, 1 }, { 60, 3 }, { 3, 64 } } do
        for m, settings in ipairs { false, ALL, { brightness = 0.5, flip = 1 }, { scale = { 0.1, 0.5 }, contrast = 1 } } do
          local what = ("%s to %s, settings %d"):format(table.concat(from, "x"), table.concat(size, "x"), m)
          check(device, { from = from, size = size, rows = 3, augment = settings or nil, seed = 100 * k + 10 * l + m }, what)
        end
      end
    end
  end)

  it("has them over several blocks, shrunk by much and by little", function()
    check(device, { from = { 2, 150, 164 }, size = { 60, 72 }, rows = 5, augment = ALL }, "blocks")
    check(device, { from = { 2, 151, 163 }, size = { 150, 161 }, rows = 2, augment = { contrast = 0.5 } }, "odd")
    check(device, { from = { 1, 5, 3001 }, size = { 2, 2 }, rows = 2 }, "long filters")
  end)

  it("has them at any address", function()
    for _, from in ipairs { { 2, 16, 24 }, { 2, 17, 23 } } do
      check(device, { from = from, size = { 9, 12 }, rows = 3, augment = ALL,
        put = function(t) return unaligned(t, device) end }, table.concat(from, "x"))
    end
  end)

  it("has them for batches that are made in several turns", function()
    local n, h, w = 2, 256, 16384 -- 25 MB for each row on its way: two rows a turn
    local x = asl.zeros({ n, h, w, 3 }, { dtype = "u8" }):copy_(bytes({ n, h, 1, 3 }, 1))
    local labels = asl.zeros({ n, h, w }, { dtype = "u8" }):copy_(bytes({ n, 1, w }, 2))
    check(device, { from = { n, h, w }, x = x, labels = labels, size = { 8, 12 }, rows = 5,
      augment = { scale = { 0.5, 20 }, flip = 0.5, contrast = 1 } }, "turns")
  end)

  it("names the first index that is outside, and makes the other rows", function()
    local x, labels = bytes({ 3, 8, 8, 3 }, 1):to(device), bytes({ 3, 8, 8 }, 2):to(device)
    local transform = core.augment_draw { rows = { 1, 2, 3, 4 }, picture = { 8, 8 }, size = { 4, 4 }, seed = 1, step = 1 }
    for _, wrong in ipairs { 3, -1, math.mininteger, math.maxinteger } do
      local index = asl.tensor({ 2, wrong, 0, wrong }, { dtype = "i64" }):to(device)
      local y = ops.augment(x, labels, index, transform:to(device), { height = 4, width = 4 })
      local ok, message = pcall(y.to, y, "cpu")
      assert.is_false(ok)
      assert.matches("augment: the index at element 2 is outside the 3 rows of x", message, 1, true)
      local want = ops.augment(x:to("cpu"), nil, asl.tensor({ 2, 0 }, { dtype = "i64" }),
        ops.gather_rows(transform, asl.tensor({ 0, 2 }, { dtype = "i64" })), { height = 4, width = 4 })
      assert.is_true(want:bytes() == ops.gather_rows(y, asl.tensor({ 0, 2 }, { dtype = "i64" }):to(device)):to("cpu"):bytes())
    end
  end)

  it("does not depend on what is in memory that was used before", function()
    local function once() return select(2, both(device, { from = { 2, 31, 36 }, size = { 20, 24 }, rows = 4, augment = ALL })) end
    local first = once()
    for _, value in ipairs { 0, 255 } do
      local rubbish = {}
      for k = 1, 8 do rubbish[k] = asl.full({ 1 << 10 + k }, value, { dtype = "u8", device = device }) end
      for _, t in ipairs(rubbish) do t:release() end
      local again = once()
      for k = 1, 2 do assert.is_true(first[k]:bytes() == again[k]:bytes()) end
    end
  end)
end))
