-- Batch norm and the fused block on the device: statistics as good as double, sizes that loop and have tails, bf16,
-- addresses that are not aligned, pending results.

local asl = require "asl"
local devices = require "spec.support.devices"

local ops = asl.ops

local function on_device(specs) return devices.body({ it = it, pending = pending }, specs) end

local HALF = 2 ^ -8 -- of a bf16: half the distance to its neighbour, relative

-- ---- helpers ----------------------------------------------------------------------------------

local function randn(shape, seed, scale, shift)
  return asl.randn(shape, { seed = seed }) * (scale or 1) + (shift or 0)
end

local function f64(t) return t:to("cpu"):to("f64") end
local ZERO = asl.tensor(0, { dtype = "f64" })

--- What bf16 holds of t, as f32; t itself for "f32".
local function rounded(t, dtype) return t:to(dtype):to("f32") end

--- Elements differ by at most `share` of the largest one, or of 1e-30.
local function close(want, got, share, what)
  want, got = f64(want), f64(got)
  assert.same(want:shape(), got:shape(), what)
  if want:count() == 0 then return end
  local scale, worst = math.max(want:abs():max():item(), 1e-30), (want - got):abs():max():item()
  assert.is_true(worst <= share * scale, ("%s differs by %g, the largest is %g"):format(what, worst, scale))
end

--- Every element differs by at most `share` of itself.
local function near(want, got, share, what)
  want, got = f64(want):totable(), f64(got):totable()
  assert.equal(#want, #got, what)
  for c, v in ipairs(want) do
    assert.is_true(math.abs(v - got[c]) <= share * math.abs(v), ("%s %d is %.9g, not %.9g"):format(what, c, got[c], v))
  end
end

--- The same values in memory whose address is a multiple of the element's size only.
local function unaligned(t)
  local n = t:count()
  local base = asl.zeros({ n + 1 }, { dtype = t:dtype(), device = t:device() })
  base:slice(1, 2, n + 1):copy_(t:reshape(n))
  return base:slice(1, 2, n + 1):reshape(t:shape())
end

local function rows(t)
  local shape = t:shape()
  return t:reshape(-1, shape[#shape])
end

--- gamma, beta, running mean and variance of C channels.
local function parameters(channels, seed)
  return { gamma = randn({ channels }, seed, 0.3, 1), beta = randn({ channels }, seed + 1),
    mean = randn({ channels }, seed + 2), var = asl.rand({ channels }, { seed = seed + 3 }) + 0.5 }
end

local function on(device, p)
  local moved = {}
  for name, t in pairs(p) do moved[name] = t:to(device) end
  return moved
end

--- Mean and unbiased variance of every channel, in double.
local function moments(x)
  x = f64(rows(x))
  local mean, n = x:mean(1), x:shape()[1]
  local d = x - mean
  d = d - d:mean(1)
  return mean, (d * d):sum(1) * (1 / (n - 1))
end

--- What the device finds: running statistics that move all the way.
local function device_moments(device, x, dtype)
  local shape = x:shape()
  local p = on(device, parameters(shape[#shape], 1))
  ops.batch_norm(x:to(dtype or "f32"):to(device), p.gamma, p.beta, p.mean, p.var, { momentum = 1 })
  return p.mean, p.var
end

local function fails(message, f)
  local ok, got = pcall(f)
  assert.is_false(ok)
  assert.equal(message, (got:gsub("^[^ ]*%.lua:%d+: ", "")))
end

-- ---- statistics -------------------------------------------------------------------------------

-- One block and many, one tile of channels and several with a rest, runs of one pixel and of several, 16 bytes at a
-- time and single values.
local SHAPES = { { 2, 1 }, { 2, 8 }, { 3, 19 }, { 5, 40 }, { 129, 3 }, { 700, 5 }, { 97, 96 }, { 67, 264 }, { 9, 1030 },
  { 300, 33 }, { 1100, 576 }, { 31000, 33 }, { 41001, 8 } }

describe("batch statistics on a device", on_device(function(device)
  for _, dtype in ipairs { "f32", "bf16" } do
    it("are those in double for sizes of every kind in " .. dtype, function()
      for seed, shape in ipairs(SHAPES) do
        local x = rounded(randn(shape, seed, 2, 3), dtype)
        local mean, var = moments(x)
        local got_mean, got_var = device_moments(device, x, dtype)
        local what = table.concat(shape, "x")
        close(mean, got_mean, 2e-7, "mean of " .. what)
        near(var, got_var, 4e-7, "variance of " .. what)
      end
    end)
  end

  it("are as good as double over 410 000 pixels", function()
    local x = randn({ 1, 640, 640, 4 }, 7, 2, 3)
    local mean, var = moments(x)
    local got_mean, got_var = device_moments(device, x)
    near(mean, got_mean, 1.2e-7, "mean")
    near(var, got_var, 1.2e-7, "variance")
    near(mean, (device_moments(device, unaligned(x))), 1.2e-7, "mean")
  end)

  it("lose no digits far from 0, after an outlier and along a slope", function()
    local n = 20000
    local slope = asl.range(1, n):to("f32"):reshape(n, 1)
    local outlier = asl.zeros({ n, 1 })
    outlier:slice(1, 1, 1):fill_(3e4)
    local x = ops.concat(randn({ n, 1 }, 1, 1, 4096), randn({ n, 1 }, 2) + outlier, slope,
      randn({ n, 1 }, 3, 1e-3, -8), { dim = 2 })
    local mean, var = moments(x)
    local got_mean, got_var = device_moments(device, x)
    near(mean, got_mean, 2e-6, "mean")
    near(var, got_var, 2e-6, "variance")
  end)

  it("of a constant are that and exactly 0", function()
    local x = asl.tensor({ 0, -3, 0.1, 1e30, 1e-30, 5, 7, 4096.5 }):reshape(1, 8) + asl.zeros({ 1024, 1 })
    local got_mean, got_var = device_moments(device, x)
    assert.is_true(got_mean:to("cpu"):bytes() == x:select(1, 1):bytes())
    assert.same({ 0, 0, 0, 0, 0, 0, 0, 0 }, got_var:totable())
  end)

  it("of other channels do not notice a NaN", function()
    local x = randn({ 3000, 9 }, 5)
    local mean, var = device_moments(device, x)
    x:slice(2, 4, 4):slice(1, 1500, 1500):fill_(0 / 0)
    local got_mean, got_var = device_moments(device, x)
    for c = 1, 9 do
      local same = mean:totable()[c] == got_mean:totable()[c] and var:totable()[c] == got_var:totable()[c]
      assert.equal(c ~= 4, same, "channel " .. c)
    end
    assert.is_true(got_mean:totable()[4] ~= got_mean:totable()[4] and got_var:totable()[4] ~= got_var:totable()[4])
  end)

  it("move the running ones by momentum, the variance without bias", function()
    local x, p = randn({ 5, 6 }, 1, 2, 3), parameters(6, 2)
    local mean, var = moments(x)
    local q = on(device, p)
    ops.batch_norm(x:to(device), q.gamma, q.beta, q.mean, q.var, { momentum = 0.3 })
    near(f64(p.mean) * 0.7 + mean * 0.3, q.mean, 2e-7, "mean")
    near(f64(p.var) * 0.7 + var * 0.3, q.var, 2e-7, "variance")
  end)

  it("of one value are refused, of none are nothing", function()
    local p = on(device, parameters(5, 1))
    local message = "training needs more than one value per channel; here 5 channels have one each: use more " ..
      "pictures, larger ones or training=0"
    local x, weight = randn({ 1, 1, 1, 2 }, 1):to(device), randn({ 5, 1, 1, 2 }, 1):to(device)
    fails("batch_norm: " .. message, function()
      ops.batch_norm(randn({ 1, 5 }, 1):to(device), p.gamma, p.beta, p.mean, p.var)
    end)
    fails("conv_bn_act: " .. message, function()
      ops.conv_bn_act(x, weight, nil, p.gamma, p.beta, p.mean, p.var)
    end)
    local y = ops.batch_norm(asl.zeros({ 0, 5 }, { device = device }), p.gamma, p.beta, p.mean, p.var)
    assert.same({ 0, 5 }, y:shape())
    y = ops.batch_norm(asl.zeros({ 0, 5 }, { device = device }), p.gamma, p.beta, p.mean, p.var, { training = false })
    assert.same({ 0, 5 }, y:shape())
  end)
end))

-- ---- y ----------------------------------------------------------------------------------------

--- act((z - mean) gamma rstd + beta + residual) in double.
local function normalised(z, p, mean, rstd, relu, residual)
  local y = (f64(z) - f64(mean)) * (f64(p.gamma) * f64(rstd)) + f64(p.beta)
  if residual then y = y + f64(residual) end
  return relu and ops.maximum(y, ZERO) or y
end

local function rstd_of(var, eps) return ops.div(asl.tensor(1, { dtype = "f64" }), (f64(var) + (eps or 1e-5)):sqrt()) end

describe("batch norm on a device", on_device(function(device)
  for _, dtype in ipairs { "f32", "bf16" } do
    local allowed = dtype == "f32" and 1e-6 or HALF

    it("is that of the oracle in sizes of every kind in " .. dtype, function()
      for seed, shape in ipairs(SHAPES) do
        local x, p = rounded(randn(shape, seed, 2, 3), dtype), parameters(shape[2], seed)
        local _, var = moments(x)
        local biased = var * ((shape[1] - 1) / shape[1])
        for _, relu in ipairs { true, false } do
          local q, given = on(device, p), x:to(dtype):to(device)
          local frozen = ops.batch_norm(given, q.gamma, q.beta, q.mean, q.var, { training = false, relu = relu })
          close(normalised(x, p, p.mean, rstd_of(p.var), relu), frozen, allowed, "frozen")
          local y = ops.batch_norm(given, q.gamma, q.beta, q.mean, q.var, { relu = relu, momentum = 1 })
          local what = table.concat(shape, "x")
          assert.equal(dtype, y:dtype())
          close(normalised(x, p, q.mean, rstd_of(biased), relu), y, allowed, what) -- q.mean: as f32 holds it
        end
      end
    end)

    it("does not mind where its inputs lie in memory, in " .. dtype, function()
      local x, p = randn({ 70, 24 }, 1):to(dtype), parameters(24, 2)
      local function y(f)
        local q = on(device, p)
        return ops.batch_norm(f(x:to(device)), f(q.gamma), f(q.beta), f(q.mean), f(q.var),
          { training = false, relu = true })
      end
      assert.is_true(y(function(t) return t end):bytes() == y(unaligned):bytes())
    end)
  end

  it("keeps NaN through ReLU", function()
    local x, p = randn({ 40, 8 }, 1), on(device, parameters(8, 2))
    x:slice(1, 3, 3):fill_(0 / 0)
    local y = ops.batch_norm(x:to(device), p.gamma, p.beta, p.mean, p.var, { training = false, relu = true }):totable()
    for i, row in ipairs(y) do
      for _, v in ipairs(row) do assert.equal(i == 3, v ~= v) end
    end
  end)
end))

-- ---- gradients --------------------------------------------------------------------------------

--- dz, dgamma, dbeta and g in double.
local function gradients(z, p, mean, rstd, dy, options)
  z, mean, rstd, dy = f64(rows(z)), f64(mean), f64(rstd), f64(rows(dy))
  local centred, scale = z - mean, f64(p.gamma) * rstd
  local g = dy
  if options.relu then
    local y = centred * scale + f64(p.beta)
    if options.residual then y = y + f64(rows(options.residual)) end
    g = ops.where(ops.greater(y, ZERO), dy, ZERO)
  end
  local xhat = centred * rstd
  local sum, xhat_sum, n = g:sum(1), (g * xhat):sum(1), 1 / z:shape()[1]
  local dz = options.training == false and g * scale or (g - sum * n - xhat * (xhat_sum * n)) * scale
  return { dz = dz, dgamma = xhat_sum, dbeta = sum, g = g }
end

describe("the gradient of batch norm on a device", on_device(function(device)
  for _, dtype in ipairs { "f32", "bf16" } do
    for _, relu in ipairs { true, false } do
      it(("is that of the oracle in %s%s"):format(dtype, relu and " with ReLU" or ""), function()
        for seed, shape in ipairs(SHAPES) do
          local x, p = rounded(randn(shape, seed, 2, 3), dtype), parameters(shape[2], seed)
          local dy = rounded(randn(shape, seed + 100), dtype)
          local mean, var = moments(x)
          mean, var = mean:to("f32"), rstd_of(var, 0.1):to("f32")
          for _, training in ipairs { true, false } do
            local want = gradients(x, p, mean, var, dy, { relu = relu, training = training })
            local dx, dgamma, dbeta = ops.batch_norm_backward(x:to(dtype):to(device), p.gamma:to(device),
              p.beta:to(device), mean:to(device), var:to(device), dy:to(dtype):to(device),
              { relu = relu, training = training })
            local what = table.concat(shape, "x") .. (training and "" or ", frozen")
            close(want.dz, dx, dtype == "f32" and 2e-6 or HALF, "dx of " .. what)
            close(want.dgamma, dgamma, 2e-6, "dgamma of " .. what)
            close(want.dbeta, dbeta, 2e-6, "dbeta of " .. what)
          end
        end
      end)
    end
  end

  it("does not mind where its inputs lie in memory", function()
    local p, x, dy = on(device, parameters(16, 1)), randn({ 8, 16 }, 2):to(device), randn({ 8, 16 }, 3):to(device)
    local function results(f)
      return ops.batch_norm_backward(f(x), f(p.gamma), f(p.beta), f(p.mean), f(p.var), f(dy), { relu = true })
    end
    local want, got = { results(function(t) return t end) }, { results(unaligned) }
    for k, t in ipairs(want) do close(t, got[k], 1e-6, "result " .. k) end
  end)
end))

-- ---- the fused block --------------------------------------------------------------------------

--- A 1x1 convolution that changes nothing: its dx is the block's dz.
local function identity(channels)
  local weight = asl.zeros({ channels, channels })
  for c = 1, channels do weight:select(1, c):slice(1, c, c):fill_(1) end
  return weight:reshape(channels, 1, 1, channels)
end

describe("the gradient of the fused block on a device", on_device(function(device)
  local SIZES = { { 2, 5, 7, 16 }, { 1, 9, 8, 19 }, { 3, 40, 31, 24 } }

  --- dz and the rest, in the order of the op's results; dy_sums may be given.
  local function run(z, p, mean, rstd, dy, dtype, options, dy_sums)
    local given = { need_dbias = true }
    for key, value in pairs(options) do given[key] = value end
    given.residual, given.need_dresidual = nil, options.residual ~= nil
    local function there(t) return t and t:to(dtype):to(device) end
    local q = on(device, p)
    return ops.conv_bn_act_backward(there(z), identity(z:shape()[4]):to(device), q.gamma, q.beta,
      there(options.residual), there(z), mean:to(device), rstd:to(device), there(dy), dy_sums, given)
  end

  for _, dtype in ipairs { "f32", "bf16" } do
    for number, relu in ipairs { true, false, true } do
      local residual = number == 3
      local ending = (relu and " with ReLU" or "") .. (residual and " and residual" or "")
      it("is that of the oracle in " .. dtype .. ending, function()
        for seed, shape in ipairs(SIZES) do
          local z, dy = rounded(randn(shape, seed, 2, 1), dtype), rounded(randn(shape, seed + 9), dtype)
          local p, mean, var = parameters(shape[4], seed), moments(z)
          mean, var = mean:to("f32"), rstd_of(var):to("f32")
          for _, training in ipairs { true, false } do
            local options = { relu = relu, training = training,
              residual = residual and rounded(randn(shape, seed + 20), dtype) or nil }
            local want = gradients(z, p, mean, var, dy, options)
            local dx, dweight, dbias, dgamma, dbeta, dresidual = run(z, p, mean, var, dy, dtype, options)
            local allowed = dtype == "f32" and 2e-6 or HALF
            close(want.dz, rows(dx), allowed, "dz")
            close(want.dz:to("f32"):permute(2, 1):matmul(rows(z)), rows(dweight), 4 * allowed, "dweight")
            close(want.dgamma, dgamma, 2e-6, "dgamma")
            close(want.dbeta, dbeta, 2e-6, "dbeta")
            if residual then close(want.g, rows(dresidual), 0, "dresidual") end
            if training then
              assert.same({ 0 }, { dbias:abs():max():item() })
            else
              close(want.dz:sum(1), dbias, 2e-6, "dbias")
            end
          end
        end
      end)
    end
  end

  it("takes the sums it is given", function()
    local z, dy, p = randn({ 1, 6, 5, 8 }, 1), randn({ 1, 6, 5, 8 }, 2), parameters(8, 3)
    local sums = asl.zeros({ 2, 8 }, { dtype = "f64" })
    sums:slice(1, 1, 1):fill_(3)
    sums:slice(1, 2, 2):fill_(-5)
    local _, _, _, dgamma, dbeta = run(z, p, p.mean, p.var, dy, "f32", { relu = true }, sums:to(device))
    assert.same({ 3, 3, 3, 3, 3, 3, 3, 3 }, dbeta:totable())
    near(f64(p.var) * -5, dgamma, 1e-7, "dgamma")
  end)
end))

--- A block's parameters on the device, as leaves.
local function leaves(device, inputs, outputs, kernel, groups, seed)
  local p = on(device, parameters(outputs, seed))
  p.weight = randn({ outputs, kernel, kernel, inputs // groups }, seed + 9, 0.4):to(device)
  p.residual = nil
  for _, name in ipairs { "weight", "gamma", "beta" } do p[name]:requires_grad_() end
  return p
end

local function block(x, p, options, residual)
  return ops.conv_bn_act(x, p.weight, nil, p.gamma, p.beta, p.mean, p.var, residual, options)
end

--- The same from ops that compute their results at once.
local function plain(x, p, options, residual)
  local z = ops.conv2d(x, p.weight, nil,
    { stride = options.stride, padding = options.padding, groups = options.groups })
  local y = ops.batch_norm(z, p.gamma, p.beta, p.mean, p.var,
    { relu = not residual and options.relu, training = options.training })
  if not residual then return y end
  return options.relu and (y + residual):relu() or y + residual
end

describe("the fused block on a device", on_device(function(device)
  -- what reads the pending result of the first block: channels, kernel, groups, options
  local CONSUMERS = {
    ["a 1x1 convolution"] = { 12, 1, 1, {} },
    ["a depthwise convolution"] = { 16, 3, 16, { padding = 1, groups = 16 } },
    ["a depthwise convolution with stride 2"] = { 16, 3, 16, { padding = 1, groups = 16, stride = 2 } },
    ["a dense 3x3 convolution"] = { 6, 3, 1, { padding = 1 } },
  }
  local names = {}
  for name in pairs(CONSUMERS) do names[#names + 1] = name end
  table.sort(names)

  --- Three blocks, the last with a residual; `look` sees the first one's result before the backward pass.
  local function chain(make, name, options, look)
    local outputs, kernel, groups, more = table.unpack(CONSUMERS[name])
    local x = randn({ 2, 13, 11, 5 }, 90):to(device):requires_grad_()
    local p, q = leaves(device, 5, 16, 3, 1, 10), leaves(device, 16, outputs, kernel, groups, 20)
    local r = leaves(device, outputs, outputs, 1, 1, 30)
    local first, second = { padding = 1 }, {}
    for key, value in pairs(more) do second[key] = value end
    for key, value in pairs(options) do first[key], second[key] = value, value end
    local a = make(x, p, first)
    if look then look(a) end
    local b = make(a, q, second)
    local y = make(b, r, options, b)
    ;(y * randn(y:shape(), 91):to(device)):sum():backward()
    return { y = y, dx = x:grad(), dweight = p.weight:grad(), dgamma = p.gamma:grad(), dbeta = p.beta:grad(),
      second_dweight = q.weight:grad(), second_dgamma = q.gamma:grad(), third_dbeta = r.beta:grad(),
      running_mean = p.mean, running_var = p.var }
  end

  for _, name in ipairs(names) do
    for _, options in ipairs { { relu = true }, { relu = false }, { relu = true, training = false } } do
      local frozen = options.training == false
      local title = name .. (options.relu and "" or ", without ReLU") .. (frozen and ", frozen" or "")

      it("read by " .. title .. " is what plain ops compute, and so are the gradients", function()
        local want, got = chain(plain, name, options), chain(block, name, options)
        for key, t in pairs(want) do close(t, got[key], 2e-5, key) end
      end)

      it("read by " .. title .. " has the same bits when somebody looks at it, and a second time", function()
        local want = chain(block, name, options)
        local seen = chain(block, name, options, function(y) y:bytes() end)
        local again = chain(block, name, options)
        for key, t in pairs(want) do
          assert.is_true(t:bytes() == seen[key]:bytes(), key)
          assert.is_true(t:bytes() == again[key]:bytes(), key)
        end
      end)
    end
  end

  it("without a gradient is the same within rounding, in both modes, with all endings", function()
    for _, dtype in ipairs { "f32", "bf16" } do
      local x = randn({ 2, 9, 7, 8 }, 1):to(dtype):to(device)
      for _, training in ipairs { true, false } do
        for _, relu in ipairs { true, false } do
          for _, residual in ipairs { false, randn({ 2, 9, 7, 24 }, 2):to(dtype):to(device) } do
            local options = { training = training, relu = relu }
            local p = leaves(device, 8, 24, 1, 1, 5)
            local want = block(x, p, options, residual or nil)
            p = leaves(device, 8, 24, 1, 1, 5)
            local y = asl.no_grad(function() return block(x, p, options, residual or nil) end)
            assert.equal(dtype, y:dtype())
            close(want:to("f32"), y:to("f32"), dtype == "f32" and 2e-6 or 3 * HALF, "y")
          end
        end
      end
    end
  end)

  it("in bf16 is that of f32 within the rounding of what is stored", function()
    local x, residual = randn({ 2, 17, 15, 16 }, 1):to("bf16"), randn({ 2, 17, 15, 24 }, 2):to("bf16")
    for _, options in ipairs { { relu = true }, { relu = false }, { relu = true, residual = true } } do
      local added = options.residual and residual
      local given = { relu = options.relu }
      local p, q = leaves(device, 16, 24, 1, 1, 5), leaves(device, 16, 24, 1, 1, 5)
      local want = block(x:to("f32"):to(device), p, given, added and added:to("f32"):to(device))
      local got = block(x:to(device), q, given, added and added:to(device))
      assert.equal("bf16", got:dtype())
      close(want, got:to("f32"), 4 * HALF, "y")
      close(p.mean, q.mean, 0.01, "running mean")
      close(p.var, q.var, 0.01, "running variance")
    end
  end)

  it("in bf16 takes its statistics from what it stores", function()
    local x, weight = randn({ 2, 17, 15, 16 }, 1):to("bf16"), identity(16)
    local p = leaves(device, 16, 16, 1, 1, 5)
    p.weight = weight:to(device):requires_grad_()
    block(x:to(device), p, { momentum = 1 })
    local mean, var = moments(x:to("f32"))
    close(mean, p.mean, 2e-7, "mean")
    near(var, p.var, 4e-7, "variance")
  end)
end))
