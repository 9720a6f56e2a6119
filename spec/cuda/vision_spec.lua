-- Resampling and the losses on resized logits on the device: tiles, strips and runs of every kind, numbers of classes on
-- both sides of every variant, bf16, addresses that are not aligned, faults in data, not-a-number.

local asl = require "asl"
local devices = require "spec.support.devices"

local ops = asl.ops
local HALF = 2 ^ -8 -- of a bf16: half the distance to its neighbour, relative
local NAN, INF = 0 / 0, math.huge

local function on_device(specs) return devices.body({ it = it, pending = pending }, specs) end

-- ---- helpers ----------------------------------------------------------------------------------

local function randn(shape, seed, scale) return asl.randn(shape, { seed = seed }) * (scale or 1) end
local function rand(shape, seed) return asl.rand(shape, { seed = seed }) end

--- What bf16 holds of t, as f32; t itself for "f32".
local function rounded(t, dtype) return t:to(dtype):to("f32") end

--- Class maps in which `ignored` of 16 pixels are to be ignored.
local function labels_of(shape, classes, seed, ignored)
  local n, numbers = shape[1] * shape[2] * shape[3], {}
  for k = 1, n do
    local class, chance = asl.core.random(seed, 16, 7, k)
    numbers[k] = chance % 16 < (ignored or 4) and asl.IGNORE or class % classes
  end
  return asl.tensor(numbers, { dtype = "u8" }):reshape(shape)
end

--- Elements differ by at most `share` of the largest one, or of `floor`, and by `each` of themselves.
local function close(want, got, share, each, what, floor)
  what = what or "result"
  got = got:to("cpu")
  assert.same(want:shape(), got:shape(), what)
  if want:count() == 0 then return end
  want, got = want:to("f64"), got:to("f64")
  local allowed = want:abs() * (each or 0) + math.max(want:abs():max():item(), floor or 1e-30) * share
  local excess = ((want - got):abs() - allowed):max():item()
  assert.is_true(excess <= 0, ("%s: an element differs by %g more than is allowed"):format(what, excess))
end

--- The same values in memory whose address is a multiple of the element's size only.
local function unaligned(t)
  local n = t:count()
  local base = asl.zeros({ n + 1 }, { dtype = t:dtype(), device = t:device() })
  base:slice(1, 2, n + 1):copy_(t:reshape(n))
  return base:slice(1, 2, n + 1):reshape(t:shape())
end

local function fails(message, f)
  local ok, got = pcall(f)
  assert.is_false(ok, "it fails")
  assert.equal(message, (tostring(got):gsub("^.-%.lua:%d+: ", "")))
end

--- Loss and gradient: f(logits, on) with on(t) a tensor on the device.
local function loss_and_gradient(device, logits, f)
  local function on(t) return t and t:to(device) end
  logits = on(logits):clone():requires_grad_(true)
  local loss, valid = f(logits, on)
  loss:backward()
  return { loss = loss, valid = valid, gradient = logits:grad() }
end

local function same_loss(device, logits, f, what, floor)
  local want, got = loss_and_gradient("cpu", logits, f), loss_and_gradient(device, logits, f)
  assert.equal(want.valid:item(), got.valid:item(), what)
  close(want.loss, got.loss, 2e-6, 0, what .. ", loss")
  close(want.gradient, got.gradient, 4e-6, 0, what .. ", gradient", floor)
  local again = loss_and_gradient(device, logits, f)
  assert.is_true(got.loss:bytes() == again.loss:bytes() and got.gradient:bytes() == again.gradient:bytes(),
    what .. ": the same bits again")
  local alone = f(logits:to(device), function(t) return t and t:to(device) end) -- no gradient is wanted
  assert.is_true(alone:bytes() == got.loss:bytes(), what .. ": the same loss without a gradient")
  return got
end

-- ---- resampling -------------------------------------------------------------------------------

--- { input pictures, height, width, channels, output height, width }
local SIZES = {
  { 2, 10, 20, 128, 40, 80 }, { 1, 13, 9, 8, 50, 71 }, { 2, 40, 30, 16, 7, 9 }, { 1, 5, 6, 40, 5, 6 }, { 3, 1, 7, 4, 6, 1 },
  { 1, 9, 1, 24, 2, 5 }, { 1, 3, 4, 19, 120, 3 }, { 1, 2, 2, 3, 90, 95 }, { 0, 3, 4, 8, 5, 6 }, { 1, 3, 4, 0, 5, 6 },
}

describe("resize on the device", on_device(function(device)
  local function each(f)
    for seed, s in ipairs(SIZES) do
      for _, align_corners in ipairs { true, false } do
        local what = table.concat(s, "x") .. (align_corners and ", corners aligned" or "")
        f({ s[1], s[2], s[3], s[4] }, { s[1], s[5], s[6], s[4] }, align_corners, seed, what)
      end
    end
  end

  it("has the bits of the cpu", function()
    each(function(x, y, align_corners, seed, what)
      local options = { height = y[2], width = y[3], align_corners = align_corners }
      local t = randn(x, seed)
      assert.is_true(ops.resize(t, options):bytes() == ops.resize(t:to(device), options):bytes(), what)
    end)
  end)

  it("in bf16 is that of f32, rounded", function()
    each(function(x, y, align_corners, seed, what)
      local options = { height = y[2], width = y[3], align_corners = align_corners }
      local t = randn(x, seed):to("bf16")
      local got = ops.resize(t:to(device), options)
      assert.equal("bf16", got:dtype())
      assert.is_true(ops.resize(t:to("f32"), options):to("bf16"):bytes() == got:bytes(), what)
    end)
  end)

  for _, dtype in ipairs { "f32", "bf16" } do
    it("has the gradient of the cpu in " .. dtype, function()
      each(function(x, y, align_corners, seed, what)
        local dy, like = rounded(randn(y, seed), dtype), asl.zeros(x)
        local want = ops.resize_backward(like, dy, { align_corners = align_corners })
        local got = ops.resize_backward(like:to(dtype):to(device), dy:to(dtype):to(device), { align_corners = align_corners })
        assert.equal(dtype, got:dtype())
        close(want, got, 2e-6, dtype == "bf16" and HALF or 0, what)
      end)
    end)
  end

  it("takes strips of several rows in the gradient of large pictures", function()
    local like, dy = asl.zeros { 1, 45, 1500, 32 }, randn({ 1, 50, 1503, 32 }, 1)
    close(ops.resize_backward(like, dy), ops.resize_backward(like:to(device), dy:to(device)), 2e-6)
  end)

  it("takes addresses that are not aligned", function()
    local x, dy = randn({ 2, 5, 6, 8 }, 1), randn({ 2, 9, 7, 8 }, 2)
    local options = { height = 9, width = 7 }
    assert.is_true(ops.resize(x, options):bytes() == ops.resize(unaligned(x:to(device)), options):bytes())
    close(ops.resize_backward(x, dy), ops.resize_backward(x:to(device), unaligned(dy:to(device))), 2e-6)
  end)
end))

describe("resize_concat on the device", on_device(function(device)
  local PARTS = {
    { { 2, 10, 20, 128 }, { 2, 1, 1, 32 }, { 2, 2, 2, 32 }, { 2, 3, 3, 32 }, { 2, 6, 6, 32 } },
    { { 1, 7, 5, 8 }, { 1, 3, 9, 16 } }, { { 1, 7, 5, 8 }, { 1, 3, 9, 12 }, { 1, 7, 5, 3 } }, { { 3, 1, 1, 5 }, { 3, 4, 2, 19 } },
    { { 1, 4, 3, 0 }, { 1, 2, 2, 8 } }, { { 0, 4, 3, 8 }, { 0, 2, 2, 8 } },
  }
  for _, dtype in ipairs { "f32", "bf16" } do
    it("has the bits of the cpu in " .. dtype, function()
      for k, shapes in ipairs(PARTS) do
        local host, there = {}, {}
        for i, shape in ipairs(shapes) do
          local t = randn(shape, 10 * k + i):to(dtype)
          host[i] = t:to("f32")
          there[i] = i == 2 and unaligned(t:to(device)) or t:to(device)
        end
        local got = ops.resize_concat(table.unpack(there))
        assert.equal(dtype, got:dtype())
        assert.is_true(ops.resize_concat(table.unpack(host)):to(dtype):bytes() == got:bytes(), "parts " .. k)
      end
    end)
  end

  it("refuses parts of another dtype than x", function()
    local x = randn({ 1, 2, 2, 8 }, 1):to(device)
    fails("resize_concat: a must be f32, it is bf16", function() ops.resize_concat(x, x:to("bf16")) end)
    fails("resize_concat: a must be bf16, it is f32", function() ops.resize_concat(x:to("bf16"), x) end)
  end)
end))

describe("adaptive average pooling on the device", on_device(function(device)
  local SHAPES = { { 2, 10, 20, 128 }, { 1, 7, 9, 5 }, { 3, 2, 2, 8 }, { 1, 1, 1, 40 }, { 1, 67, 53, 3 }, { 1, 90, 80, 12 },
    { 0, 5, 5, 8 }, { 2, 3, 4, 0 } }

  for _, dtype in ipairs { "f32", "bf16" } do
    local each = dtype == "bf16" and HALF or 0

    it("at four resolutions is that of the cpu in " .. dtype, function()
      for seed, shape in ipairs(SHAPES) do
        local x = rounded(randn(shape, seed), dtype)
        local want, got = { ops.pyramid_pool(x) }, { ops.pyramid_pool(x:to(dtype):to(device)) }
        local host, there = {}, {}
        for k = 1, 4 do
          assert.equal(dtype, got[k]:dtype())
          close(want[k], got[k], 1e-7, each, table.concat(shape, "x"))
          host[k] = rounded(randn(want[k]:shape(), seed + k), dtype)
          there[k] = host[k]:to(dtype):to(device)
        end
        close(ops.pyramid_pool_backward(x, table.unpack(host)),
          ops.pyramid_pool_backward(x:to(dtype):to(device), table.unpack(there)), 1e-6, each, table.concat(shape, "x"))
      end
    end)

    it("over windows of many parts, and with more windows than pixels, is that of the cpu in " .. dtype, function()
      for seed, s in ipairs { { 1, 1 }, { 3, 2 }, { 100, 7 }, { 64, 200 } } do
        local x = rounded(randn({ 2, 70, 90, 8 }, seed) + 3, dtype)
        local options = { height = s[1], width = s[2] }
        local want = ops.adaptive_avg_pool(x, options)
        close(want, ops.adaptive_avg_pool(x:to(dtype):to(device), options), 1e-7, each)
        local dy = rounded(randn(want:shape(), seed), dtype)
        close(ops.adaptive_avg_pool_backward(x, dy),
          ops.adaptive_avg_pool_backward(x:to(dtype):to(device), dy:to(dtype):to(device)), 1e-6, each)
      end
    end)
  end

  it("takes addresses that are not aligned", function()
    local x = randn({ 2, 9, 7, 8 }, 1)
    local y = ops.adaptive_avg_pool(x, { height = 4, width = 3 })
    close(y, ops.adaptive_avg_pool(unaligned(x:to(device)), { height = 4, width = 3 }), 1e-7)
    close(ops.adaptive_avg_pool_backward(x, y), ops.adaptive_avg_pool_backward(x:to(device), unaligned(y:to(device))), 1e-6)
  end)
end))

-- ---- losses -----------------------------------------------------------------------------------

--- { logits' pictures, height, width, classes, labels' height, width }
local LOSSES = {
  { 2, 6, 70, 40, 45, 560 }, -- several strips, the last one not full
  { 1, 5, 70, 19, 33, 281 },
  { 70, 60, 2, 3, 70, 5 }, -- tiles of two rows of cells, the last one of one
  { 140, 119, 2, 4, 119, 3 }, -- of eight
  { 1, 2, 2, 19, 3, 100 }, -- runs of several pieces
  { 1, 2, 3, 7, 70, 5 }, -- more label rows in a band than a warp has lanes
  { 1, 9, 40, 21, 4, 11 }, -- smaller than the logits
  { 2, 3, 1, 6, 40, 17 }, { 1, 1, 9, 6, 3, 61 }, { 1, 4, 5, 11, 4, 5 }, { 0, 3, 4, 5, 7, 9 }, { 1, 3, 4, 5, 0, 9 },
}

--- Classes on both sides of what each variant of the kernels takes.
local CLASSES = { 1, 2, 3, 4, 12, 13, 20, 21, 24, 25, 40, 41, 48, 49, 80, 81, 96, 97, 160, 161, 255 }

local function each_loss(f)
  for seed, s in ipairs(LOSSES) do
    for _, align_corners in ipairs { true, false } do
      local map = { s[1], s[5], s[6] }
      local what = table.concat(s, "x") .. (align_corners and ", corners aligned" or "")
      f(randn({ s[1], s[2], s[3], s[4] }, seed, 2), map, align_corners, seed, what)
    end
  end
end

describe("upsample_cross_entropy on the device", on_device(function(device)
  it("is that of the cpu for shapes of every kind", function()
    each_loss(function(logits, map, align_corners, seed, what)
      local truth = labels_of(map, logits:shape()[4], seed)
      same_loss(device, logits, function(z, on)
        return ops.upsample_cross_entropy(z, on(truth), nil, nil, { align_corners = align_corners })
      end, what)
    end)
  end)

  it("is that of the cpu for all numbers of classes, with all weights", function()
    for _, classes in ipairs(CLASSES) do
      local truth, pixel_weight = labels_of({ 2, 17, 21 }, classes, classes), rand({ 2, 17, 21 }, 2) - 0.2
      local class_weight = rand({ classes }, 3)
      for _, smoothing in ipairs { 0, 0.1, 1 } do
        same_loss(device, randn({ 2, 3, 4, classes }, classes, 3), function(z, on)
          return ops.upsample_cross_entropy(z, on(truth), on(class_weight), on(pixel_weight),
            { smoothing = smoothing, temperature = 0.7, normaliser = 50 })
        end, classes .. " classes, smoothing " .. smoothing, 0.02) -- with one class it is 0
      end
    end
  end)

  it("has weights that cancel out", function()
    local truth = asl.zeros({ 1, 7, 9 }, { dtype = "u8" })
    local class_weight = asl.tensor { 1, -3, 0, 0 } -- with a half for smoothing: 1/2 for the label, -1/4 for all
    for _, weight in ipairs { class_weight, asl.tensor { 1, -5, 0, 0 }, asl.zeros { 4 } } do
      same_loss(device, randn({ 1, 3, 3, 4 }, 1), function(z, on)
        return ops.upsample_cross_entropy(z, on(truth), on(weight), nil, { smoothing = 0.5 })
      end, "cancelling weights")
    end
  end)

  it("is that of the cpu where powers are too small, and for the largest numbers", function()
    local truth = labels_of({ 1, 20, 33 }, 40, 1)
    for _, scale in ipairs { 30, 300, 1e4, 1e19 } do
      local logits = randn({ 1, 3, 5, 40 }, 1, scale)
      local want = loss_and_gradient("cpu", logits, function(z) return ops.upsample_cross_entropy(z, truth) end)
      local got = loss_and_gradient(device, logits, function(z, on) return ops.upsample_cross_entropy(z, on(truth)) end)
      close(want.loss, got.loss, 2e-6)
      close(want.gradient, got.gradient, scale > 1000 and 2e-3 or 1e-5) -- a blend's rounding, times the scale
    end
    local got = loss_and_gradient(device, randn({ 1, 3, 5, 40 }, 1, 1e36), function(z, on)
      return ops.upsample_cross_entropy(z, on(truth))
    end)
    assert.is_true(got.loss:item() > 1e35 and got.loss:item() < INF and got.gradient:abs():max():item() < 1)
  end)

  it("is not touched by what is ignored, not even by not-a-number", function()
    local logits, truth = randn({ 2, 5, 6, 19 }, 1), labels_of({ 2, 33, 41 }, 19, 2)
    truth:slice(1, 1, 1):slice(2, 1, 20):fill_(asl.IGNORE)
    for _, wrong in ipairs { NAN, INF, -INF } do
      logits:slice(1, 1, 1):slice(2, 1, 1):slice(3, 2, 3):fill_(wrong) -- its pixels are ignored
      local got = same_loss(device, logits, function(z, on) return ops.upsample_cross_entropy(z, on(truth)) end, "wrong")
      assert.is_true(got.loss:item() < 10)
    end
    truth:slice(1, 1, 1):slice(2, 9, 9):fill_(3)
    logits:slice(1, 1, 1):slice(2, 2, 2):slice(3, 2, 2):fill_(NAN)
    local got = loss_and_gradient(device, logits, function(z, on) return ops.upsample_cross_entropy(z, on(truth)) end)
    assert.is_true(got.loss:item() ~= got.loss:item())
    local first = got.gradient:to("cpu"):slice(1, 2, 2):abs():max():item()
    assert.is_true(first == first, "the other picture has its gradient")
  end)

  it("counts valid pixels at any address", function()
    local big = labels_of({ 5, 67, 33 }, 3, 1)
    for first = 1, 5 do
      local truth = big:slice(1, first, 5)
      local logits = randn({ 6 - first, 2, 2, 3 }, 1)
      local _, valid = ops.upsample_cross_entropy(logits:to(device), big:to(device):slice(1, first, 5))
      assert.equal(ops.count_valid(truth):item(), valid:item())
    end
    for n = 1, 40 do
      local truth = labels_of({ 1, 1, n }, 2, n)
      local _, valid = ops.upsample_cross_entropy(randn({ 1, 2, 2, 2 }, 1):to(device), unaligned(truth:to(device)))
      assert.equal(ops.count_valid(truth):item(), valid:item())
    end
  end)

  it("names the first label outside its classes", function()
    local truth = asl.zeros({ 2, 40, 50 }, { dtype = "u8" })
    truth:slice(1, 2, 2):slice(2, 7, 7):slice(3, 9, 9):fill_(5)
    truth:slice(1, 2, 2):slice(2, 7, 7):slice(3, 12, 12):fill_(200)
    local logits = randn({ 2, 5, 6, 5 }, 1):to(device)
    local message = "%s: label 5 at picture 2, row 7, column 9: the classes are 0 to 4, label 255 is ignored"
    fails(message:format "upsample_cross_entropy", function()
      ops.upsample_cross_entropy(logits, truth:to(device)):item()
    end)
    fails(message:format "upsample_confusion", function() ops.upsample_confusion(logits, truth:to(device)):to("cpu") end)
    ops.upsample_soft_cross_entropy(logits, logits, truth:to(device), nil, { height = 40, width = 50 }):item() -- any
  end)
end))

describe("upsample_soft_cross_entropy on the device", on_device(function(device)
  it("is that of the cpu for shapes of every kind", function()
    each_loss(function(logits, map, align_corners, seed, what)
      if map[2] == 0 then return end -- refused
      local target, truth = randn(logits:shape(), seed + 50, 2), seed % 2 == 0 and labels_of(map, 3, seed) or nil
      for _, divergence in ipairs { true, false } do
        same_loss(device, logits, function(z, on)
          return ops.upsample_soft_cross_entropy(z, on(target), on(truth), nil, { height = map[2], width = map[3],
            align_corners = align_corners, divergence = divergence })
        end, what)
      end
    end)
  end)

  it("is that of the cpu for all numbers of classes, with weights", function()
    for _, classes in ipairs(CLASSES) do
      local target, pixel_weight = randn({ 2, 3, 4, classes }, classes + 1, 3), rand({ 2, 17, 21 }, 2) - 0.2
      for _, divergence in ipairs { true, false } do
        same_loss(device, randn({ 2, 3, 4, classes }, classes, 3), function(z, on)
          return ops.upsample_soft_cross_entropy(z, on(target), nil, on(pixel_weight), { height = 17, width = 21,
            temperature = 2, normaliser = 50, divergence = divergence })
        end, classes .. " classes", 0.02)
      end
    end
  end)

  it("is not touched by what is ignored, not even by not-a-number", function()
    local logits, target, truth = randn({ 1, 5, 6, 19 }, 1), randn({ 1, 5, 6, 19 }, 2), labels_of({ 1, 33, 41 }, 19, 2)
    truth:slice(2, 1, 20):fill_(asl.IGNORE)
    logits:slice(2, 1, 1):slice(3, 2, 2):fill_(NAN)
    target:slice(2, 1, 1):slice(3, 5, 5):fill_(INF)
    local got = same_loss(device, logits, function(z, on)
      return ops.upsample_soft_cross_entropy(z, on(target), on(truth), nil, { height = 33, width = 41 })
    end, "wrong")
    assert.is_true(got.loss:item() < 20)
  end)
end))

describe("losses on logits of bf16 on the device", on_device(function(device)
  it("are those of the rounded logits", function()
    local logits, target = randn({ 2, 6, 21, 40 }, 1, 2):to("bf16"), randn({ 2, 6, 21, 40 }, 2, 2):to("bf16")
    local truth = labels_of({ 2, 45, 160 }, 40, 3)
    local options = { height = 45, width = 160 }
    close(ops.upsample_cross_entropy(logits:to("f32"), truth),
      ops.upsample_cross_entropy(logits:to(device), truth:to(device)), 2e-6)
    local want = ops.upsample_soft_cross_entropy(logits:to("f32"), target:to("f32"), nil, nil, options)
    close(want, ops.upsample_soft_cross_entropy(logits:to(device), target:to(device), nil, nil, options), 2e-6)
    local mixed = ops.upsample_soft_cross_entropy(logits:to(device), target:to("f32"):to(device), nil, nil, options)
    close(want, mixed, 2e-6) -- a teacher may have another precision
  end)
end))

-- ---- evaluation -------------------------------------------------------------------------------

describe("upsample_argmax and upsample_confusion on the device", on_device(function(device)
  local function check(logits, height, width, align_corners, what)
    local options, classes = { height = height, width = width, align_corners = align_corners }, logits:shape()[4]
    local want = ops.upsample_argmax(logits, options)
    local got = ops.upsample_argmax(logits:to(device), options)
    assert.is_true(want:bytes() == got:bytes(), what .. ": the map")
    local truth = labels_of({ logits:shape()[1], height, width }, classes, 5)
    local counts = ops.upsample_confusion(logits:to(device), truth:to(device), { align_corners = align_corners })
    assert.is_true(ops.confusion(want, truth, { classes = classes }):bytes() == counts:bytes(), what .. ": the counts")
  end

  it("have the bits of the cpu for shapes of every kind", function()
    each_loss(function(logits, map, align_corners, _, what)
      if map[2] > 0 then check(logits, map[2], map[3], align_corners, what) end
    end)
  end)

  it("have the bits of the cpu for all numbers of classes, with ties", function()
    for _, classes in ipairs(CLASSES) do
      local noise = randn({ 2, 4, 37, classes }, classes)
      check(noise, 15, 143, true, classes .. " classes")
      local whole = ops.cast(ops.cast(noise * 2, { dtype = "i32" }), { dtype = "f32" })
      check(whole, 15, 143, false, classes .. " classes, ties")
    end
  end)

  it("in bf16 are those of the rounded logits", function()
    local logits = randn({ 2, 6, 21, 19 }, 1):to("bf16")
    local options = { height = 45, width = 160 }
    assert.is_true(ops.upsample_argmax(logits:to("f32"), options):bytes()
      == ops.upsample_argmax(logits:to(device), options):bytes())
  end)

  it("say that logits are not finite", function()
    local options = { height = 9, width = 9 }
    for _, wrong in ipairs { NAN, INF, -INF } do
      local logits = randn({ 2, 3, 4, 5 }, 1)
      logits:slice(1, 2, 2):slice(2, 3, 3):slice(3, 2, 2):slice(4, 4, 4):fill_(wrong)
      local ok, want = pcall(ops.upsample_argmax, logits, options)
      assert.is_false(ok)
      fails((want:gsub("^.-%.lua:%d+: ", "")), function() ops.upsample_argmax(logits:to(device), options):to("cpu") end)
    end
  end)
end))
