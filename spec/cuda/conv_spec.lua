-- Convolutions on the device: every kernel at sizes that loop, have tails and are not aligned, in f32 and bf16, against
-- the CPU; long sums against double; chunks of the matrix products; pending values normalised on load.

local asl = require "asl"
local devices = require "spec.support.devices"

local ops = asl.ops
local busted = { it = it, pending = pending }
local HALF = 2 ^ -8 -- of a bf16: half the distance to its neighbour, relative

-- ---- helpers ----------------------------------------------------------------------------------

local function randn(shape, seed, scale) return asl.randn(shape, { seed = seed }) * (scale or 1) end
local function f64(t) return t:to("cpu"):to("f64") end
local function largest(t) return t:count() > 0 and t:abs():max():item() or 0 end

--- Elements differ by at most `share` of the largest one; `and_of_value`: or by so much of these values.
local function close(want, got, share, what, and_of_value, values)
  want, got = f64(want), f64(got)
  assert.same(want:shape(), got:shape(), what)
  if want:count() == 0 then return end
  local over = (want - got):abs()
  if and_of_value then over = over - f64(values):abs() * and_of_value end
  local allowed = share * math.max(largest(want), 1e-30)
  local worst = over:max():item()
  assert.is_true(worst <= allowed, ("%s differs by %g, %g is allowed"):format(what, worst, allowed))
end

--- The same values in memory whose address is a multiple of the element's size only.
local function unaligned(t)
  local n = t:count()
  local base = asl.zeros({ n + 1 }, { dtype = t:dtype(), device = t:device() })
  base:slice(1, 2, n + 1):copy_(t:reshape(n))
  return base:slice(1, 2, n + 1):reshape(t:shape())
end

local function output_shape(x, weight, o)
  local function size(k)
    return (x[k] + 2 * (o.padding or 0) - (o.dilation or 1) * (weight[k] - 1) - 1) // (o.stride or 1) + 1
  end
  return { x[1], size(2), size(3), weight[1] }
end

local function with(options, more)
  local all = {}
  for key, value in pairs(options) do all[key] = value end
  for key, value in pairs(more) do all[key] = value end
  return all
end

local function text(g)
  local words = { table.concat(g[1], "x"), "with " .. table.concat(g[2], "x") }
  for _, key in ipairs { "stride", "padding", "dilation", "groups" } do
    words[#words + 1] = g[3][key] and key .. " " .. g[3][key] or nil
  end
  return table.concat(words, ", ")
end

--- Inputs of a geometry, of values that bf16 holds exactly.
local function inputs_of(g)
  local x, weight = randn(g[1], 1), randn(g[2], 2, 0.5)
  local y = output_shape(g[1], g[2], g[3])
  local function rounded(t) return t:to("bf16"):to("f32") end
  return { x = rounded(x), weight = rounded(weight), bias = rounded(randn({ g[2][1] }, 3)), dy = rounded(randn(y, 4)) }
end

--- y, dx, dweight and dbias.
local function run(i, options, device, dtype, view)
  local function take(t)
    t = t:to(device):to(dtype)
    return view and view(t) or t
  end
  local x, dy, weight, bias = take(i.x), take(i.dy), i.weight:to(device), i.bias:to(device)
  if view then weight, bias = view(weight), view(bias) end
  local y = ops.conv2d(x, weight, bias, options)
  return y, ops.conv2d_backward(x, weight, dy, with(options, { need_dbias = true }))
end

--- Everything a device computes of a geometry against the CPU.
local function check(g, device, dtype, view)
  local i = inputs_of(g)
  local y, dx, dweight, dbias = run(i, g[3], "cpu", "f32")
  local got_y, got_dx, got_dweight, got_dbias = run(i, g[3], device, dtype, view)
  assert.same({ dtype, dtype, "f32", "f32" }, { got_y:dtype(), got_dx:dtype(), got_dweight:dtype(), got_dbias:dtype() })
  -- bf16: one rounding of dx; of y one of the product and one after the bias.
  local half = dtype == "bf16" and HALF or nil
  close(y, got_y, 4e-6, "y", half, y:abs() + (y - i.bias):abs())
  close(dx, got_dx, 4e-6, "dx", half, dx)
  close(dweight, got_dweight, 4e-6, "dweight")
  close(dbias, got_dbias, 2e-6, "dbias")
end

local function fails(message, f)
  local ok, got = pcall(f)
  assert.is_false(ok)
  assert.equal(message, (got:gsub("^[^ ]*%.lua:%d+: ", "")))
end

-- ---- geometries: x, weight, options -----------------------------------------------------------

local function depthwise(x, kernel, options)
  return { x, { x[4], kernel[1], kernel[2], 1 }, with({ groups = x[4] }, options) }
end

-- 3x3: whole and single channels, one tile of channels and several with idle lanes, odd and even sizes, all paddings.
local DEPTHWISE3 = {}
for stride = 1, 2 do
  for k, x in ipairs { { 1, 9, 8, 64 }, { 2, 6, 7, 20 }, { 3, 4, 5, 7 }, { 1, 5, 6, 140 }, { 1, 3, 2, 150 },
    { 1, 3, 3, 2 } } do
    for _, padding in ipairs { 1, k % 4 } do
      if x[3] + 2 * padding >= 3 then
        DEPTHWISE3[#DEPTHWISE3 + 1] = depthwise(x, { 3, 3 }, { stride = stride, padding = padding })
      end
    end
  end
end
DEPTHWISE3[#DEPTHWISE3 + 1] = depthwise({ 1, 1, 1, 8 }, { 3, 3 }, { padding = 1 })
DEPTHWISE3[#DEPTHWISE3 + 1] = depthwise({ 2, 1, 5, 8 }, { 3, 3 }, { padding = 1, stride = 2 })

-- So large that a thread walks down several rows, the last band of a picture being lower.
local WALKS = {
  depthwise({ 2, 61, 130, 140 }, { 3, 3 }, { padding = 1 }),
  depthwise({ 2, 121, 130, 140 }, { 3, 3 }, { padding = 1, stride = 2 }),
  depthwise({ 1, 499, 361, 3 }, { 3, 3 }, { padding = 1 }),
  depthwise({ 1, 499, 361, 3 }, { 3, 3 }, { padding = 2, stride = 2 }),
}

local DEPTHWISE = {
  depthwise({ 2, 9, 8, 20 }, { 3, 3 }, { padding = 2, dilation = 2 }),
  depthwise({ 1, 7, 9, 19 }, { 3, 3 }, { stride = 3 }),
  depthwise({ 1, 6, 9, 8 }, { 1, 1 }, {}),
  depthwise({ 1, 6, 9, 8 }, { 1, 1 }, { stride = 2, padding = 1 }),
  depthwise({ 2, 7, 6, 132 }, { 5, 2 }, { padding = 3, stride = 2 }),
  depthwise({ 1, 8, 9, 5 }, { 2, 4 }, { dilation = 2 }),
  depthwise({ 1, 300, 301, 4 }, { 7, 7 }, { padding = 3 }), -- runs of more than 32 pixels
}

-- Few input channels: strips of all lengths, tails of output channels, several of both; and one that shared memory does
-- not hold.
local FIRST = {
  { { 2, 9, 11, 3 }, { 32, 3, 3, 3 }, { stride = 2 } },
  { { 1, 5, 7, 1 }, { 5, 3, 3, 1 }, { padding = 1 } },
  { { 1, 6, 259, 3 }, { 40, 3, 3, 3 }, { padding = 1 } },
  { { 2, 8, 130, 2 }, { 33, 5, 4, 2 }, { padding = 2, stride = 3 } },
  { { 1, 12, 15, 4 }, { 64, 7, 7, 4 }, { padding = 6, dilation = 2 } },
  { { 1, 12, 9, 4 }, { 7, 11, 11, 4 }, { padding = 5 } },
  { { 2, 1101, 12, 3 }, { 8, 3, 3, 3 }, { padding = 1, stride = 2 } }, -- several strips a block
  { { 1, 5, 6, 3 }, { 8, 1, 1, 3 }, { stride = 2 } },
  { { 1, 40, 41, 4 }, { 2, 31, 33, 4 }, { padding = 15 } },
}

local DENSE = {
  { { 2, 5, 7, 16 }, { 24, 1, 1, 16 }, {} },
  { { 1, 9, 7, 19 }, { 5, 1, 1, 19 }, {} },
  { { 2, 5, 7, 16 }, { 24, 1, 1, 16 }, { stride = 2 } },
  { { 1, 4, 5, 6 }, { 7, 1, 1, 6 }, { padding = 1 } },
  { { 2, 5, 7, 16 }, { 12, 1, 1, 8 }, { groups = 2 } },
  { { 1, 6, 5, 18 }, { 12, 3, 3, 3 }, { groups = 6, padding = 1 } },
  { { 2, 6, 7, 16 }, { 8, 3, 3, 16 }, { padding = 1 } },
  { { 2, 7, 8, 24 }, { 9, 3, 2, 24 }, { padding = 2, stride = 2 } },
  { { 1, 9, 8, 5 }, { 6, 4, 3, 5 }, { padding = 1, dilation = 2, stride = 3 } },
  { { 1, 2, 9, 6 }, { 4, 2, 1, 6 }, { stride = 5 } },
  { { 1, 5, 5, 8 }, { 16, 3, 3, 2 }, { groups = 4, padding = 3 } },
  { { 1, 4, 4, 3 }, { 6, 3, 3, 1 }, { groups = 3, padding = 1 } },
}

-- Matrices of more than 64 MiB: pixels cut within a picture, with and without stride, and whole pictures.
local CHUNKS = {
  { { 1, 181, 180, 64 }, { 3, 3, 3, 64 }, { padding = 1 } },
  { { 1, 180, 181, 256 }, { 2, 3, 3, 256 }, { padding = 1, stride = 2 } },
  { { 20, 40, 40, 64 }, { 2, 3, 3, 64 }, { padding = 1 } },
}

-- ---- specs ------------------------------------------------------------------------------------

describe("the convolution", devices.body(busted, function(device)
  local kinds = { ["depthwise 3x3"] = DEPTHWISE3, depthwise = DEPTHWISE, first = FIRST, dense = DENSE }
  for _, kind in ipairs { "depthwise 3x3", "depthwise", "first", "dense" } do
    for _, dtype in ipairs { "f32", "bf16" } do
      for _, g in ipairs(kinds[kind]) do
        it(("(%s, %s) %s is that of the cpu"):format(kind, dtype, text(g)), function() check(g, device, dtype) end)
      end
    end
  end

  for _, g in ipairs(WALKS) do
    it("down the rows of " .. text(g) .. " is that of the cpu", function()
      check(g, device, "f32")
      check(g, device, "bf16")
    end)
  end

  for _, g in ipairs(CHUNKS) do
    it("in chunks of " .. text(g) .. " is that of the cpu", function() check(g, device, "f32") end)
  end

  it("takes memory that is aligned to single values only", function()
    for _, g in ipairs { DEPTHWISE3[1], DEPTHWISE[1], FIRST[1], DENSE[1], DENSE[7] } do
      check(g, device, "f32", unaligned)
      check(g, device, "bf16", unaligned)
    end
  end)

  it("rounds weights of matrix products to bf16, to nearest even", function()
    local weight = asl.tensor({ 1 + 1 / 256, 1 + 3 / 256, 1 + 1 / 256 + 1e-6, -3.14159 }):reshape(4, 1, 1, 1)
    local x = asl.ones({ 1, 1, 1, 1 }, { device = device, dtype = "bf16" })
    local y = ops.conv2d(x, weight:to(device)):to("cpu"):to("f32")
    assert.same({ { { { 1, 1 + 4 / 256, 1 + 2 / 256, -3.140625 } } } }, y:totable())
  end)

  it("of no pictures has no values, and gradients of 0", function()
    for _, g in ipairs { DEPTHWISE3[1], DEPTHWISE[1], FIRST[1], DENSE[1], DENSE[7] } do
      local shape = { 0, g[1][2], g[1][3], g[1][4] }
      local x, weight = asl.zeros(shape, { device = device }), asl.ones(g[2], { device = device })
      local bias, dy = asl.ones({ g[2][1] }, { device = device }), output_shape(shape, g[2], g[3])
      assert.same(dy, ops.conv2d(x, weight, bias, g[3]):shape())
      local dx, dweight, dbias = ops.conv2d_backward(x, weight, asl.zeros(dy, { device = device }),
        with(g[3], { need_dbias = true }))
      assert.same(shape, dx:shape())
      assert.equal(0, largest(dweight:to("cpu")))
      assert.equal(0, largest(dbias:to("cpu")))
    end
  end)

  it("passes NaN and infinity on, and on only where they reach", function()
    for _, g in ipairs { { { 1, 5, 6, 8 }, { 8, 3, 3, 1 }, { groups = 8, padding = 1 } },
      { { 1, 5, 6, 3 }, { 8, 3, 3, 3 }, { padding = 1 } } } do
      local x = asl.ones(g[1])
      x:slice(2, 3, 3):slice(3, 4, 4):slice(4, 2, 2):fill_(0 / 0)
      local weight = asl.ones(g[2])
      local cpu, other = ops.conv2d(x, weight, nil, g[3]), ops.conv2d(x:to(device), weight:to(device), nil, g[3])
      assert.is_true(ops.equal(cpu, cpu):bytes() == ops.equal(other, other):to("cpu"):bytes())
    end
  end)
end))

describe("gradients of a convolution", devices.body(busted, function(device)
  it("have the same bits alone and together", function()
    for _, g in ipairs { DEPTHWISE3[1], DEPTHWISE3[4], DEPTHWISE3[12], DEPTHWISE[1], FIRST[1], DENSE[1], DENSE[7] } do
      local i = inputs_of(g)
      local x, weight, dy = i.x:to(device), i.weight:to(device), i.dy:to(device)
      local dx, dweight = ops.conv2d_backward(x, weight, dy, g[3])
      local no_dx, dweight_alone = ops.conv2d_backward(x, weight, dy, with(g[3], { need_dx = false }))
      local dx_alone, no_dweight = ops.conv2d_backward(x, weight, dy, with(g[3], { need_dweight = false }))
      assert.is_nil(no_dx)
      assert.is_nil(no_dweight)
      assert.is_true(dx:bytes() == dx_alone:bytes(), text(g))
      assert.is_true(dweight:bytes() == dweight_alone:bytes(), text(g))
    end
  end)

  -- dy = 1, so that the centre tap of dweight and dbias are plain sums.
  it("are sums as good as double over many pixels", function()
    for _, g in ipairs { depthwise({ 1, 301, 400, 4 }, { 3, 3 }, { padding = 1 }),
      depthwise({ 1, 301, 400, 4 }, { 3, 3 }, { padding = 2, dilation = 2 }),
      { { 1, 301, 400, 3 }, { 2, 3, 3, 3 }, { padding = 1 } } } do
      local x = asl.randn(g[1], { seed = 9 }) * 2 + 3
      local channels, pixels = g[1][4], g[1][2] * g[1][3]
      local want = f64(x:reshape(pixels, channels)):sum(1)
      local dy = asl.ones(output_shape(g[1], g[2], g[3]), { device = device })
      local _, dweight, dbias = ops.conv2d_backward(x:to(device), asl.ones(g[2], { device = device }), dy,
        with(g[3], { need_dbias = true }))
      local centre = dweight:to("cpu"):slice(1, 1, g[3].groups or 1):slice(2, 2, 2):slice(3, 2, 2)
      centre = centre:clone():reshape(channels)
      close(want, centre, 1.2e-7, "dweight of " .. text(g))
      close(asl.full({ g[2][1] }, pixels), dbias, 0, "dbias")
    end
    local dy = asl.randn({ 410000, 3 }, { seed = 5 }) * 2 + 3
    local x = asl.zeros({ 1, 1, 410000, 3 }, { device = device })
    local _, _, dbias = ops.conv2d_backward(x, asl.zeros({ 3, 1, 1, 3 }, { device = device }),
      dy:reshape(1, 1, 410000, 3):to(device), { need_dx = false, need_dweight = false, need_dbias = true })
    close(f64(dy):sum(1), dbias, 1.2e-7, "dbias of 410000 pixels")
  end)
end))

-- ---- pending values ---------------------------------------------------------------------------

--- A block whose result is pending, and one that reads it.
local function chain(device, options, relu)
  local channels, kernel = 20, options.kernel
  local function leaf(shape, seed, scale, shift)
    return (randn(shape, seed, scale) + (shift or 0)):to(device):requires_grad_()
  end
  local function block(x, weight, seed, more)
    local gamma, beta = leaf({ channels }, seed, 0.2, 1), leaf({ channels }, seed + 1)
    return ops.conv_bn_act(x, weight, nil, gamma, beta, asl.zeros({ channels }, { device = device }),
      asl.ones({ channels }, { device = device }), more)
  end
  local x = leaf({ 2, 9, 11, 5 }, 1)
  local first, second = leaf({ channels, 1, 1, 5 }, 2, 0.5), leaf({ channels, kernel, kernel, 1 }, 3, 0.5)
  local y = block(block(x, first, 10, { relu = relu }), second, 20, { groups = channels, padding = options.padding,
    stride = options.stride, dilation = options.dilation })
  local loss = (y * randn(y:shape(), 4):to(device)):sum()
  loss:backward()
  return { y = y, x = x:grad(), first = first:grad(), second = second:grad() }
end

describe("a depthwise convolution of pending values", devices.body(busted, function(device)
  for _, options in ipairs { { kernel = 3, padding = 1 }, { kernel = 3, padding = 1, stride = 2 },
    { kernel = 3, padding = 2, dilation = 2 }, { kernel = 5, padding = 1, stride = 2 } } do
    for _, relu in ipairs { true, false } do
      it(("normalises on load: %dx%d, padding %d, stride %d, dilation %d%s"):format(options.kernel, options.kernel,
        options.padding, options.stride or 1, options.dilation or 1, relu and ", ReLU" or ""), function()
        local want, got = chain("cpu", options, relu), chain(device, options, relu)
        for name, t in pairs(want) do close(t, got[name], 1e-5, name) end
      end)
    end
  end
end))

describe("a matrix product of pending values", devices.body(busted, function(device)
  it("needs none of them for its data gradient alone", function()
    local function gradient(where)
      local function leaf(shape, seed) return randn(shape, seed, 0.5):to(where) end
      local function block(x, weight)
        local c = asl.ones({ weight:shape()[1] }, { device = where })
        return ops.conv_bn_act(x, weight, nil, c, c * 0, c * 0, c * 1)
      end
      local x = leaf({ 2, 5, 7, 6 }, 1):requires_grad_()
      local y = block(block(x, leaf({ 8, 1, 1, 6 }, 2)), leaf({ 4, 1, 1, 8 }, 3))
      local loss = (y * leaf(y:shape(), 4)):sum()
      loss:backward()
      return x:grad()
    end
    close(gradient "cpu", gradient(device), 1e-5, "dx")
  end)
end))

-- ---- refusals ---------------------------------------------------------------------------------

describe("a convolution refuses", devices.body(busted, function(device)
  local function zeros(shape, dtype, where) return asl.zeros(shape, { dtype = dtype, device = where or device }) end

  it("bf16 on the cpu", function()
    fails('conv2d: bf16 is not supported on the cpu: convert with :to("f32")', function()
      ops.conv2d(zeros({ 1, 2, 2, 3 }, "bf16", "cpu"), zeros({ 1, 1, 1, 3 }, "f32", "cpu"))
    end)
    fails('batch_norm: bf16 is not supported on the cpu: convert with :to("f32")', function()
      local c = zeros({ 3 }, "f32", "cpu")
      ops.batch_norm(zeros({ 2, 3 }, "bf16", "cpu"), c, c, c, c)
    end)
  end)

  it("weights in bf16 and gradients of another dtype", function()
    fails("conv2d: weight must be f32, it is bf16", function()
      ops.conv2d(zeros({ 1, 2, 2, 3 }, "bf16"), zeros({ 1, 1, 1, 3 }, "bf16"))
    end)
    fails("conv2d_backward: dy must be bf16, it is f32", function()
      ops.conv2d_backward(zeros({ 1, 2, 2, 3 }, "bf16"), zeros({ 1, 1, 1, 3 }), zeros { 1, 2, 2, 1 })
    end)
    fails("conv2d_backward: dy must be f32, it is bf16", function()
      ops.conv2d_backward(zeros { 1, 2, 2, 3 }, zeros { 1, 1, 1, 3 }, zeros({ 1, 2, 2, 1 }, "bf16"))
    end)
    fails("conv_bn_act: residual must be bf16, it is f32", function()
      local c = zeros { 4 }
      ops.conv_bn_act(zeros({ 1, 2, 2, 3 }, "bf16"), zeros { 4, 1, 1, 3 }, nil, c, c, c, c, zeros { 1, 2, 2, 4 })
    end)
  end)

  it("sizes beyond 31 bits", function()
    fails("conv2d: x 1x1x1x3 with padding 1073741824 is too large for this device: padded sides must be less than " ..
      "2^28, a picture's elements and the pixels of all pictures, also of the result, less than 2^31", function()
      ops.conv2d(zeros { 1, 1, 1, 3 }, zeros { 2, 1, 1, 3 }, { padding = 1 << 30, stride = 1 << 30 })
    end)
  end)
end))
