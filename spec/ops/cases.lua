--- The cases every op is tested with; spec/support/cases.lua says how to read them.
---
--- Small ones go against the oracle, forward and gradient. Odd sizes, one picture, channel tails of every
--- kind (the kernels work on 8 at a time), maps of one pixel, views that are not contiguous.

local asl = require "asl"
local cases = require "spec.support.cases"

local normal, uniform, whole, labels = cases.normal, cases.uniform, cases.whole, cases.labels
local values, full, derived, doubles = cases.values, cases.full, cases.derived, cases.doubles
local strided, window = cases.strided, cases.window

local INF, NAN = math.huge, 0 / 0
local list = {}

-- ---- views ------------------------------------------------------------------------------------

list.reshape = {
  { x = normal { 2, 3, 4 }, rank = 2, d1 = 6, d2 = 4 },
  { x = strided(normal { 2, 3, 4 }), rank = 1, d1 = 24 },
  { x = window(normal { 1, 1 }), rank = 0 },
  { x = normal { 12 }, rank = 6, d1 = 1, d2 = 3, d3 = 1, d4 = 2, d5 = 2, d6 = 1 },
  { x = normal { 0, 3 }, rank = 3, d1 = 5, d2 = 0, d3 = 2 },
}
list.permute = {
  { x = normal { 2, 3, 4 }, p1 = 3, p2 = 1, p3 = 2 },
  { x = window(normal { 3, 5 }), p1 = 2, p2 = 1 },
  { x = whole { 2, 3, 2, 2, 1, 3, high = 255, dtype = "u8" }, p1 = 6, p2 = 4, p3 = 5, p4 = 1, p5 = 3, p6 = 2 },
}
list.slice = {
  { x = normal { 4, 5, 3 }, dim = 2, first = 2, last = 4 },
  { x = strided(normal { 4, 5 }), dim = 1, first = 4, last = 4 },
  { x = normal { 4, 5 }, dim = 2, first = 3, last = 2 }, -- nothing
}

-- ---- elementwise ------------------------------------------------------------------------------

local SPECIAL = { 0, -0.0, 1, -1, INF, -INF, NAN, 3e38, -3e38, 1e-40, 0.5, 100, -100, 88, -87.5, 1e-6 }

local function binary(shift)
  return {
    { a = normal { 2, 3, 19 }, b = normal { 2, 3, 19, shift = shift } },
    { a = normal { 40 }, b = normal { 5, 1, 40, shift = shift } },
    { a = normal { 4, 1, 3 }, b = normal { 1, 5, 1, shift = shift } },
    { a = normal {}, b = normal { 3, 5, shift = shift } },
    { a = strided(normal { 3, 4, 5 }), b = window(normal { 4, 1, shift = shift }) },
    { a = doubles(normal { 3, 7 }), b = strided(doubles(normal { 3, 7, shift = shift })) },
    { a = normal { 0, 3 }, b = normal { 3, shift = shift } },
  }
end

local function with_integers(cases_of_op)
  local more = {
    { a = whole { 2, 5, low = -99, high = 99, dtype = "i64" }, b = whole { 5, low = -9, high = 9, dtype = "i64" } },
    { a = whole { 17, low = -99, high = 99, dtype = "i32" }, b = whole { 17, low = -99, high = 99, dtype = "i32" } },
    { a = values({ math.maxinteger, math.mininteger, 1 << 60 }, "i64"), b = values({ 1, -1, 7 }, "i64") },
  }
  return table.move(more, 1, #more, #cases_of_op + 1, cases_of_op)
end

local function with_special(cases_of_op)
  cases_of_op[#cases_of_op + 1] = { a = values(SPECIAL), b = values { { 0 }, { 1 }, { NAN }, { INF } }, gradient = false }
  return cases_of_op
end

for _, name in ipairs { "add", "sub", "mul", "maximum", "minimum" } do
  list[name] = with_special(with_integers(binary(0)))
end
list.div = with_special(binary(5))

local function comparison()
  local all = with_special(with_integers(binary(0)))
  all[#all + 1] = { a = whole { 3, 40, high = 3, dtype = "u8" }, b = whole { 40, high = 3, dtype = "u8" } }
  all[#all + 1] = { a = whole { 50, high = 2, dtype = "i32" }, b = strided(whole { 2, 50, high = 2, dtype = "i32" }) }
  return all
end
list.equal, list.greater = comparison(), comparison()

local function mask(shape) return whole { high = 1, dtype = "u8", table.unpack(shape) } end
list.where = {
  { condition = mask { 4, 19 }, a = normal { 4, 19 }, b = normal { 4, 19 } },
  { condition = mask { 4, 1 }, a = normal {}, b = strided(normal { 2, 4, 5 }) },
  { condition = strided(mask { 3, 5 }), a = doubles(normal { 5 }), b = doubles(normal { 3, 1 }) },
  { condition = mask { 9 }, a = whole { 9, high = 255, dtype = "u8" }, b = whole { 9, high = 255, dtype = "u8" } },
  { condition = values({ 0, 2, 255 }, "u8"), a = values({ 1, 2, 3 }, "i64"), b = values(-1, "i64") },
}

local function unary(given)
  local all = {
    { x = uniform { 3, 5, 7, low = given.low, high = given.high } },
    { x = strided(uniform { 2, 3, 19, low = given.low, high = given.high }) },
    { x = window(uniform { 40, low = given.low, high = given.high }) },
    { x = uniform { low = given.low, high = given.high } },
    { x = doubles(uniform { 3, 5, low = given.low, high = given.high }) },
    { x = values(SPECIAL), gradient = false },
  }
  for _, case in ipairs(all) do
    for key, value in pairs(given.params or {}) do case[key] = value end
  end
  return all
end
list.affine = unary { low = -2, high = 2, params = { scale = -1.7, shift = 0.3 } }
list.affine[#list.affine + 1] = { x = normal { 9 } }
for _, name in ipairs { "relu", "exp", "abs", "sigmoid", "sign" } do list[name] = unary { low = -3, high = 3 } end
list.log, list.sqrt = unary { low = 0.05, high = 4 }, unary { low = 0.05, high = 4 }
list.exp[#list.exp + 1] = { x = uniform { 500, low = -80, high = 80 } }
list.log[#list.log + 1] = { x = uniform { 500, low = 0.99, high = 1.01 } }

list.cast = {
  { x = normal { 3, 5 }, dtype = "f64" },
  { x = doubles(normal { 3, 5 }), dtype = "f32" },
  { x = strided(normal { 3, 5, 2 }), dtype = "f32" },
  { x = values { 0.5, 1.5, 2.5, 254.5, 0.49, 7 }, dtype = "u8", gradient = false },
  { x = values { -0.5, -1.5, -2.5, 2.5, 2e9, -2147483648 }, dtype = "i32", gradient = false },
  { x = doubles(uniform { 30, low = -1e9, high = 1e9 }), dtype = "i64", gradient = false },
  { x = whole { 4, 9, high = 255, dtype = "u8" }, dtype = "f32" },
  { x = strided(whole { 4, 9, high = 255, dtype = "u8" }), dtype = "i64" },
  { x = whole { 20, low = -99, high = 99, dtype = "i64" }, dtype = "i32" },
  { x = whole { 20, low = -99, high = 99, dtype = "i32" }, dtype = "f64" },
  { x = window(whole { 3, 4, high = 255, dtype = "i64" }), dtype = "u8" },
}

-- ---- reductions and joining -------------------------------------------------------------------

local function reductions(integers)
  local all = {
    { x = normal { 3, 5, 7 } },
    { x = normal { 3, 5, 7 }, keep = true },
    { x = normal { 3, 5, 7 }, dim = 1 },
    { x = normal { 3, 5, 7 }, dim = 2, keep = true },
    { x = strided(normal { 3, 5, 19 }), dim = 3 },
    { x = window(normal { 4, 40 }), dim = 1 },
    { x = doubles(normal { 6, 4 }), dim = 2 },
    { x = normal {} },
    { x = normal { 1, 700 }, dim = 2 },
  }
  if integers then
    all[#all + 1] = { x = whole { 4, 11, low = -50, high = 50, dtype = "i64" }, dim = 1 }
    all[#all + 1] = { x = whole { 4, 11, low = -50, high = 50, dtype = "i64" } }
  end
  return all
end
list.sum, list.mean, list.max = reductions(true), reductions(false), reductions(true)
list.sum[#list.sum + 1] = { x = normal { 0, 3 }, dim = 1 }
list.sum[#list.sum + 1] = { x = normal { 0 } }
list.max[#list.max + 1] = { x = whole { 40, low = -9, high = -3, dtype = "i32" } }
list.sum_to = {
  { x = normal { 3, 5, 7 }, like = normal { 5, 1 } },
  { x = normal { 3, 5, 7 }, like = normal {} },
  { x = normal { 3, 5, 7 }, like = normal { 3, 5, 7 } },
  { x = strided(normal { 3, 5, 7 }), like = normal { 1, 1, 7 } },
  { x = doubles(normal { 2, 3, 4, 5 }), like = doubles(normal { 2, 1, 4, 1 }) },
  { x = normal { 2, 3, 4, 5 }, like = strided(normal { 3, 1, 5 }) },
}
list.argmax = {
  { x = normal { 3, 4, 19 } },
  { x = normal { 5, 1 } },
  { x = values { { 1, 3, 3 }, { 2, 2, 2 }, { -INF, -INF, -5 } } },
  { x = strided(doubles(normal { 4, 40 })) },
}
list.concat = {
  { a = normal { 2, 3, 4 }, b = normal { 2, 5, 4 }, dim = 2 },
  { a = normal { 3 } },
  { a = strided(normal { 2, 3 }), b = window(normal { 2, 1 }), c = normal { 2, 19 }, d = normal { 2, 0 },
    e = normal { 2, 2 }, f = normal { 2, 5 }, dim = 2 },
  { a = whole { 2, 3, high = 255, dtype = "u8" }, b = whole { 1, 3, high = 255, dtype = "u8" } },
}
list.matmul = {
  { a = normal { 3, 5 }, b = normal { 5, 7 } },
  { a = normal { 1, 1 }, b = normal { 1, 19 } },
  { a = strided(normal { 17, 40 }), b = strided(normal { 40, 9 }) },
  { a = normal { 13, 1 }, b = window(normal { 1, 3 }) },
  { a = normal { 2, 0 }, b = normal { 0, 3 } },
}

-- ---- in place ---------------------------------------------------------------------------------

list.fill = {
  { x = normal { 3, 19 }, value = -2.5 },
  { x = whole { 40, high = 255, dtype = "u8" }, value = 255 },
  { x = whole { 7, high = 255, dtype = "i64" }, value = -3 },
  { x = doubles(normal { 7 }), value = 0.1 },
}
list.copy = {
  { x = normal { 3, 19 }, source = normal { 3, 19 } },
  { x = window(normal { 3, 5, 4 }), source = normal { 5, 1 } },
  { x = strided(whole { 3, 5, high = 255, dtype = "u8" }), source = strided(whole { 3, 5, high = 255, dtype = "u8" }) },
  { x = strided(doubles(normal { 3, 5 })), source = doubles(normal {}) },
  { x = normal { 4, 6 }, source = derived(function(i) return i.x:slice(1, 2) end) }, -- x := a row of itself
}
list.accumulate = {
  { x = normal { 3, 19 }, y = normal { 3, 19 }, scale = -0.3 },
  { x = normal { 40 }, y = strided(normal { 40 }) },
  { x = doubles(normal { 5 }), y = doubles(normal { 5 }), scale = 1 / 3 },
  { x = whole { 9, high = 99, dtype = "i64" }, y = whole { 9, high = 99, dtype = "i64" }, scale = -2 },
}
list.gather_rows = {
  { x = normal { 5, 3, 2 }, index = values({ 4, 0, 0, 2 }, "i64") },
  { x = whole { 5, 19, high = 255, dtype = "u8" }, index = values({ 3 }, "i64") },
  { x = strided(normal { 5, 3 }), index = values({ 1, 2 }, "i64") },
  { x = whole { 6, high = 255, dtype = "i64" }, index = values({ 5, 5, 5 }, "i64") },
}
list.scatter_rows = {
  { x = normal { 5, 3, 2 }, index = values({ 4, 0, 2 }, "i64"), rows = normal { 3, 3, 2 } },
  { x = normal { 5, 3 }, index = values({ 1, 1 }, "i64"), rows = strided(normal { 2, 3 }) }, -- the last stays
  { x = whole { 5, 19, high = 255, dtype = "u8" }, index = values({ 3 }, "i64"),
    rows = whole { 1, 19, high = 255, dtype = "u8" } },
}

-- ---- convolution and normalisation ------------------------------------------------------------

--- Geometries: { x shape, weight shape, parameters }.
local GEOMETRIES = {
  { { 2, 5, 7, 3 }, { 5, 3, 3, 3 }, { padding = 1 } },
  { { 1, 7, 9, 3 }, { 8, 3, 3, 3 }, { stride = 2 } }, -- the network's first
  { { 2, 4, 3, 19 }, { 5, 1, 1, 19 }, {} },
  { { 1, 3, 2, 40 }, { 19, 1, 1, 40 }, {} },
  { { 1, 1, 1, 5 }, { 3, 1, 1, 5 }, {}, one_value = true },
  { { 2, 1, 1, 5 }, { 9, 3, 3, 5 }, { padding = 1 } },
  { { 1, 6, 7, 19 }, { 19, 3, 3, 1 }, { groups = 19, padding = 1, stride = 2 } }, -- depthwise
  { { 2, 5, 5, 40 }, { 40, 3, 3, 1 }, { groups = 40, padding = 1 } },
  { { 1, 7, 5, 5 }, { 5, 5, 3, 1 }, { groups = 5, padding = 2, dilation = 2 } },
  { { 1, 9, 8, 4 }, { 6, 3, 2, 2 }, { groups = 2, padding = 2, dilation = 2, stride = 3 } },
  { { 1, 4, 5, 3 }, { 6, 2, 3, 1 }, { groups = 3 } }, -- two outputs per channel
  { { 2, 5, 6, 1 }, { 1, 3, 3, 1 }, { padding = 1 } },
  { { 1, 6, 9, 8 }, { 16, 3, 3, 8 }, { padding = 1, stride = 2 } },
  { { 1, 5, 4, 6 }, { 4, 1, 1, 6 }, { stride = 2 } },
  { { 1, 3, 4, 2 }, { 3, 1, 1, 2 }, { padding = 2 } },
}

local function output_shape(x, weight, p)
  local function size(k)
    return (x[k] + 2 * (p.padding or 0) - (p.dilation or 1) * (weight[k] - 1) - 1) // (p.stride or 1) + 1
  end
  return { x[1], size(2), size(3), weight[1] }
end

--- A case per geometry: f(x, weight, y shape) adds the rest. Every fourth has strided inputs.
local function convolutions(f)
  local all = {}
  for k, g in ipairs(GEOMETRIES) do
    local x, weight = normal(g[1]), normal { scale = 0.5, table.unpack(g[2]) }
    if k % 4 == 0 then x, weight = strided(x), window(weight) end
    local case = f(x, weight, output_shape(table.unpack(g)), k, g)
    for key, value in pairs(case and g[3] or {}) do case[key] = value end
    all[#all + 1] = case
  end
  return all
end

list.conv2d = convolutions(function(x, weight, y, k)
  return { x = x, weight = weight, bias = k % 2 == 0 and normal { y[4] } or nil }
end)
list.conv2d_backward = convolutions(function(x, weight, y, k)
  return { x = x, weight = weight, dy = k % 3 == 0 and strided(normal(y)) or normal(y), need_dbias = k % 2 == 0,
    need_dx = k % 5 ~= 0, need_dweight = k % 7 ~= 0 }
end)

local function gamma(channels) return normal { channels, scale = 0.3, shift = 1 } end
local function running_var(channels) return uniform { channels, low = 0.5, high = 2 } end

local function channel_mean(z)
  local shape = z:shape()
  return z:reshape(-1, shape[#shape]):mean(1)
end

--- 1/sqrt(variance + eps) of every channel.
local function channel_rstd(z)
  local d = z - channel_mean(z)
  return asl.ops.div(asl.tensor(1), (channel_mean(d * d) + 1e-5):sqrt())
end

local NORM_SHAPES = { { 2, 3, 4, 5 }, { 1, 7, 5, 19 }, { 6, 40 }, { 2, 9, 3 }, { 3, 1, 1, 8 }, { 30, 1 } }
local function norms(f)
  local all = {}
  for k, shape in ipairs(NORM_SHAPES) do
    for _, training in ipairs { true, false } do
      local x = normal { scale = 2, shift = 0.5, table.unpack(shape) }
      local case = f(k % 3 == 0 and strided(x) or x, shape, shape[#shape])
      case.training, case.relu = training, k % 2 == 0
      all[#all + 1] = case
    end
  end
  return all
end

list.batch_norm = norms(function(x, _, channels)
  return { x = x, gamma = gamma(channels), beta = normal { channels }, running_mean = normal { channels },
    running_var = running_var(channels), momentum = 0.3, eps = channels == 5 and 0.1 or nil }
end)
list.batch_norm_backward = norms(function(x, shape, channels)
  return { x = x, gamma = gamma(channels), beta = normal { channels },
    mean = derived(function(i) return channel_mean(i.x) end), rstd = derived(function(i) return channel_rstd(i.x) end),
    dy = strided(normal(shape)), need_dx = channels ~= 8 }
end)

--- (2, C) f64: sums over pixels of g and g (z - mean), g = dy where the block's y is positive.
local function gradient_sums(relu)
  return derived(function(i)
    local centred = i.z - i.mean
    local y = centred * (i.gamma * i.rstd) + i.beta
    local g = relu and asl.ops.where(asl.ops.greater(y, asl.tensor(0)), i.dy, asl.tensor(0)) or i.dy
    local function sums(t) return t:to "f64":reshape(-1, i.z:shape()[4]):sum(1, true) end
    return asl.ops.concat(sums(g), sums(g * centred), { dim = 1 })
  end)
end

list.conv_bn_act = {}
for training = 0, 1 do
  local all = convolutions(function(x, weight, y, k, g)
    if training == 1 and g.one_value then return nil end
    return { x = x, weight = weight, bias = k % 3 == 0 and normal { y[4] } or nil, gamma = gamma(y[4]),
      beta = normal { y[4] }, running_mean = normal { y[4] }, running_var = running_var(y[4]),
      residual = k % 2 == 0 and normal(y) or k % 7 == 0 and strided(normal(y)) or nil, relu = k % 5 ~= 0,
      training = training, momentum = k % 2 == 1 and 0.25 or nil, eps = k % 4 == 1 and 1e-3 or nil }
  end)
  table.move(all, 1, #all, #list.conv_bn_act + 1, list.conv_bn_act)
end
list.conv_bn_act_backward = convolutions(function(x, weight, y, k, g)
  return { x = x, weight = weight, gamma = gamma(y[4]), beta = normal { y[4] },
    residual = k % 2 == 0 and normal(y) or nil,
    z = derived(function(i)
      return asl.ops.conv2d(i.x, i.weight, nil, { stride = g[3].stride, padding = g[3].padding,
        dilation = g[3].dilation, groups = g[3].groups })
    end),
    mean = derived(function(i) return channel_mean(i.z) end), rstd = derived(function(i) return channel_rstd(i.z) end),
    dy = normal(y), dy_sums = k % 2 == 1 and gradient_sums(k % 5 ~= 0) or nil,
    relu = k % 5 ~= 0, training = k % 3 ~= 0 and not g.one_value, need_dbias = k % 4 == 0,
    need_dx = k % 5 ~= 1, need_dweight = k % 6 ~= 1, need_dgamma = k % 4 ~= 1, need_dresidual = k % 2 == 0 }
end)

list.dropout = {
  { x = normal { 3, 7, 19 }, p = 0.3, seed = 7, counter = 12 },
  { x = strided(normal { 9, 5 }), p = 0, seed = 1 },
  { x = normal { 1000 }, p = 0.9, seed = (5 << 40) + 3, counter = (9 << 33) + 1 },
}

-- ---- resampling -------------------------------------------------------------------------------

list.adaptive_avg_pool = {
  { x = normal { 2, 5, 7, 3 }, height = 2, width = 3 },
  { x = normal { 1, 6, 6, 19 } },
  { x = strided(normal { 1, 3, 4, 5 }), height = 3, width = 4 },
  { x = normal { 1, 2, 3, 8 }, height = 5, width = 6 }, -- more windows than pixels
  { x = normal { 1, 1, 1, 40 }, height = 2 },
}
list.adaptive_avg_pool_backward = {
  { x = normal { 2, 5, 7, 3 }, dy = normal { 2, 2, 3, 3 } },
  { x = strided(normal { 1, 6, 5, 19 }), dy = strided(normal { 1, 1, 1, 19 }) },
  { x = normal { 1, 2, 3, 8 }, dy = normal { 1, 5, 6, 8 } },
}
list.pyramid_pool = {
  { x = normal { 1, 7, 9, 5 } },
  { x = strided(normal { 2, 4, 3, 19 }), b1 = 2, b2 = 1, b3 = 5, b4 = 3 },
  { x = normal { 1, 1, 1, 8 } },
}
list.pyramid_pool_backward = {
  { x = normal { 1, 7, 9, 5 }, dy1 = normal { 1, 1, 1, 5 }, dy2 = normal { 1, 2, 2, 5 }, dy3 = normal { 1, 3, 3, 5 },
    dy4 = strided(normal { 1, 6, 6, 5 }) },
  { x = normal { 2, 4, 3, 19 }, dy1 = normal { 2, 2, 2, 19 }, dy2 = normal { 2, 1, 1, 19 },
    dy3 = normal { 2, 5, 5, 19 }, dy4 = normal { 2, 3, 3, 19 } },
}

--- { input height, width, channels, output height, width }
local SIZES = {
  { 3, 4, 5, 7, 9 }, { 7, 9, 3, 3, 4 }, { 4, 4, 19, 4, 4 }, { 1, 1, 40, 3, 5 }, { 1, 5, 8, 4, 1 }, { 6, 2, 1, 1, 7 },
  { 5, 3, 3, 10, 12 },
}
local function resizes(f)
  local all = {}
  for k, s in ipairs(SIZES) do
    for align_corners = 0, 1 do
      local case = f({ k % 2 + 1, s[1], s[2], s[3] }, { k % 2 + 1, s[4], s[5], s[3] }, k % 3 == 0 and strided or nil)
      case.align_corners = align_corners
      all[#all + 1] = case
    end
  end
  return all
end
local function maybe(view, inner) return view and view(inner) or inner end

list.resize = resizes(function(x, y, view)
  return { x = maybe(view, normal(x)), height = y[2], width = y[3] }
end)
list.resize_backward = resizes(function(x, y, view)
  return { x = maybe(view, normal(x)), dy = maybe(view, normal(y)) }
end)
list.resize_concat = {
  { x = normal { 2, 5, 6, 3 }, a = normal { 2, 2, 3, 5 } },
  { x = normal { 1, 4, 7, 19 }, a = normal { 1, 1, 1, 5 }, b = normal { 1, 2, 2, 8 }, c = normal { 1, 3, 3, 1 },
    d = normal { 1, 6, 6, 4 } },
  { x = strided(normal { 1, 1, 1, 3 }), a = strided(normal { 1, 2, 3, 2 }) },
}

-- ---- losses and evaluation --------------------------------------------------------------------

local function softmaxes()
  return { { x = normal { 3, 19, scale = 3 } }, { x = strided(normal { 2, 3, 40 }) }, { x = normal { 7, 1 } },
    { x = normal { 5 } }, { x = values { { 1000, 999, -1000 }, { -500, -500, -500 } }, gradient = false },
    { x = normal { 4, 8, scale = 10 } } }
end
list.softmax, list.log_softmax = softmaxes(), softmaxes()

local function weights(classes) return uniform { classes, low = 0.2, high = 3 } end
list.cross_entropy = {
  { logits = normal { 2, 3, 5, 19, scale = 2 }, labels = labels { 2, 3, 5, classes = 19 } },
  { logits = normal { 1, 4, 3, 3 }, labels = labels { 1, 4, 3, classes = 3 }, class_weight = weights(3), normaliser = 7.5 },
  { logits = strided(normal { 1, 2, 4, 40 }), labels = strided(labels { 1, 2, 4, classes = 40 }),
    class_weight = weights(40), count = values(9, "i64") },
  { logits = normal { 1, 2, 3, 5 }, labels = full({ 1, 2, 3 }, 255, "u8") }, -- all ignored
  { logits = normal { 1, 2, 3, 5 }, labels = full({ 1, 2, 3 }, 255, "u8"), normaliser = 4 },
  { logits = normal { 1, 3, 3, 1 }, labels = labels { 1, 3, 3, classes = 1 }, smoothing = 0.2 },
  { logits = normal { 1, 2, 2, 255 }, labels = labels { 1, 2, 2, classes = 255 }, smoothing = 0.3, temperature = 0.5 },
  { logits = normal { 2, 3, 2, 41 }, labels = labels { 2, 3, 2, classes = 41 }, class_weight = weights(41),
    pixel_weight = uniform { 2, 3, 2 }, smoothing = 0.1, temperature = 3, normaliser = 5 },
  { logits = normal { 1, 2, 3, 6 }, labels = labels { 1, 2, 3, classes = 6 }, pixel_weight = full({ 1, 2, 3 }, 0) },
  { logits = normal { 1, 2, 3, 6 }, labels = labels { 1, 2, 3, classes = 6 }, smoothing = 1,
    pixel_weight = strided(uniform { 1, 2, 3, low = -1 }) },
}
list.cross_entropy_backward = {}
for k, case in ipairs(list.cross_entropy) do
  local backward = { dloss = values(-1.3) }
  for name, value in pairs(case) do backward[name] = value end
  if k == 4 then backward.normaliser = 3 end
  list.cross_entropy_backward[k] = backward
end

list.upsample_cross_entropy, list.upsample_soft_cross_entropy = {}, {}
list.upsample_argmax, list.upsample_confusion = {}, {}
for k, s in ipairs(SIZES) do
  local classes = ({ 5, 3, 19, 40, 8, 2, 255 })[k]
  local n, height, width = k % 2 + 1, s[4], s[5]
  for align_corners = 0, 1 do
    local more = align_corners == 1
    local logits = normal { n, s[1], s[2], classes, scale = 2 }
    if k % 3 == 0 then logits = strided(logits) end
    local truth = labels { n, height, width, classes = classes, every = k == 5 and 1 or 4 } -- 5: all ignored
    local pixel_weight = k % 3 == 1 and uniform { n, height, width } or nil
    table.insert(list.upsample_cross_entropy, { logits = logits, align_corners = align_corners, labels = truth,
      class_weight = k % 2 == 0 and weights(classes) or nil, normaliser = k == 3 and 11 or nil,
      count = k == 4 and values(more and 1000 or 0, "i64") or nil,
      pixel_weight = pixel_weight, smoothing = more and 0.05 * k or nil, temperature = more and k ~= 2 and 0.5 * k or nil })
    table.insert(list.upsample_soft_cross_entropy, { logits = logits, target = normal { n, s[1], s[2], classes, scale = 3 },
      height = height, width = width, align_corners = align_corners, labels = k % 2 == 1 and truth or nil,
      pixel_weight = pixel_weight, normaliser = k == 4 and 7 or nil, count = k == 2 and values(123, "i64") or nil,
      temperature = more and 0.5 * k or nil,
      divergence = more })
    table.insert(list.upsample_argmax, { logits = logits, height = height, width = width, align_corners = align_corners })
    table.insert(list.upsample_confusion, { logits = logits, labels = truth, align_corners = align_corners })
  end
end
-- Maps of one pixel, one class, classes one beyond whole vectors, a factor above the largest run, no weight at all.
local extreme = normal { 1, 2, 3, 41, scale = 300 } -- whose maximum between pixels is far below that at them
for _, case in ipairs {
  { logits = normal { 1, 1, 1, 1 }, labels = labels { 1, 1, 1, classes = 1, every = 1000 }, smoothing = 0.5 },
  { logits = normal { 2, 1, 1, 7 }, labels = labels { 2, 3, 2, classes = 7 } },
  { logits = normal { 1, 3, 1, 9 }, labels = labels { 1, 40, 3, classes = 9 }, smoothing = 0.1 },
  { logits = normal { 1, 1, 2, 41 }, labels = labels { 1, 2, 45, classes = 41 }, pixel_weight = uniform { 1, 2, 45 } },
  { logits = normal { 1, 5, 7, 19 }, labels = labels { 1, 2, 3, classes = 19 }, class_weight = full({ 19 }, 0) },
  { logits = extreme, labels = labels { 1, 9, 11, classes = 41 }, smoothing = 0.1, class_weight = weights(41) },
} do
  table.insert(list.upsample_cross_entropy, case)
  table.insert(list.upsample_confusion, { logits = case.logits, labels = case.labels })
end
table.insert(list.upsample_soft_cross_entropy, { logits = extreme, target = normal { 1, 2, 3, 41, scale = 300 },
  height = 9, width = 11, temperature = 2 })
table.insert(list.upsample_soft_cross_entropy, { logits = extreme, target = normal { 1, 2, 3, 41 }, height = 1, width = 1,
  divergence = true })

list.confusion = {
  { prediction = whole { 2, 5, 7, high = 18, dtype = "u8" }, labels = labels { 2, 5, 7, classes = 19 }, classes = 19 },
  { prediction = strided(whole { 4, 9, high = 2, dtype = "u8" }), labels = labels { 4, 9, classes = 3 }, classes = 3 },
  { prediction = full({ 6 }, 200, "u8"), labels = full({ 6 }, 255, "u8"), classes = 2 }, -- nothing counts
}
list.count_valid = {
  { labels = labels { 2, 5, 7, classes = 3 } },
  { labels = strided(labels { 5, 7, classes = 3 }), ignore = 1 },
  { labels = full({ 0 }, 0, "u8") },
}
list.normalise = {
  { x = whole { 2, 3, 5, 3, high = 255, dtype = "u8" } },
  { x = strided(whole { 1, 4, 3, 3, high = 255, dtype = "u8" }), mean1 = 0.1, mean2 = 0.2, mean3 = 0.3,
    std1 = 1.5, std2 = 2, std3 = 0.5, dtype = "f32" },
}

-- What the loader draws for these rows; and, by hand, what it never does.
local function drawn(picture, size, rows, augment)
  return derived(function()
    return asl.core.augment_draw { picture = picture, size = size, rows = rows, augment = augment, seed = 7, step = 3 }
  end)
end
local ALL = { scale = { 0.5, 2 }, crop = true, flip = 0.5, rotate = 40, brightness = 0.4, contrast = 0.4, saturation = 0.5,
  hue = 0.1 }
local WILD = { { NAN, 1e9 }, { -3, INF }, { 4.9, 0.1 }, { INF, 1 }, { 2, 3 }, { 9, 9 } }
for k, t in ipairs(WILD) do
  local map = ({ { 0.7, 0.1, -1, 0, 0.8, 0.3 }, { NAN, 0, 0, 0, 1, 0 }, { 1e300, 0, 0, 0, 1, 0 }, { 0, 0, INF, 0, 1, 0 },
    { -1, 0, 3, 0, 1e-300, 0 }, { 1, 0, 0, 0, 1, 0 } })[k]
  local colour, grey = { 1e300, -INF, NAN, 65536, k, -65536, 1e9, -1e9, 3 }, ({ NAN, 0, 1e300, -1e9, 0, 0.5 })[k]
  for _, more in ipairs { map, map, colour, { grey } } do table.move(more, 1, #more, #t + 1, t) end
end

local function pictures(n, height, width) return whole { n, height, width, 3, high = 255, dtype = "u8" } end
list.augment = {
  { x = pictures(2, 7, 5), index = values({ 1, 0, 1 }, "i64"), transform = drawn({ 7, 5 }, { 7, 5 }, { 1, 2, 3 }),
    height = 7, width = 5 },
  { x = strided(pictures(3, 9, 11)), labels = labels { 3, 9, 11, classes = 40 }, index = values({ 2, 0 }, "i64"),
    transform = drawn({ 9, 11 }, { 5, 6 }, { 1, 2 }), height = 5, width = 6 }, -- shrunk
  { x = pictures(3, 9, 13), labels = strided(labels { 3, 9, 13, classes = 40 }), index = values({ 2, 0, 1, 1, 0, 2 }, "i64"),
    transform = drawn({ 9, 13 }, { 7, 8 }, { 1, 2, 3, 4, 5, 6 }, ALL), height = 7, width = 8 },
  { x = window(pictures(2, 12, 8)), labels = window(labels { 2, 12, 8, classes = 3 }),
    index = window(values({ 1, 1, 0 }, "i64")), height = 6, width = 7,
    transform = strided(drawn({ 12, 8 }, { 6, 7 }, { 9, 8, 7 }, ALL)) },
  { x = pictures(1, 1, 1), labels = labels { 1, 1, 1, classes = 3, every = 99 }, index = values({ 0, 0 }, "i64"),
    transform = drawn({ 1, 1 }, { 3, 4 }, { 1, 2 }, ALL), height = 3, width = 4 },
  { x = pictures(1, 9, 12), index = values({ 0 }, "i64"), transform = drawn({ 9, 12 }, { 9, 4 }, { 1 }),
    height = 9, width = 4 },
  { x = pictures(1, 9, 12), index = values({ 0 }, "i64"), transform = drawn({ 9, 12 }, { 3, 12 }, { 1 }),
    height = 3, width = 12 },
  { x = pictures(1, 17, 40), index = values({ 0 }, "i64"), transform = drawn({ 17, 40 }, { 1, 1 }, { 1 }),
    height = 1, width = 1 },
  { x = pictures(2, 6, 9), index = values({ 0, 1 }, "i64"), height = 6, width = 8, -- colours without the mean grey
    transform = drawn({ 6, 9 }, { 6, 8 }, { 1, 2 }, { brightness = 0.5, hue = 0.5, saturation = 1 }) },
  { x = pictures(2, 4, 6), labels = labels { 2, 4, 6, classes = 9 }, index = values({ 0, 1, 0, 1, 0, 1 }, "i64"),
    transform = values(WILD, "f64"), height = 5, width = 8 },
  { x = pictures(2, 4, 6), labels = labels { 2, 4, 6, classes = 9 }, index = full({ 0 }, 0, "i64"),
    transform = full({ 0, 24 }, 0, "f64"), height = 5, width = 8 },
}

-- ---- optimisers -------------------------------------------------------------------------------

-- What a step went by is finite, or not: then nothing may change.
local GUARDS = { 0.5, INF, -INF, NAN }

local function guarded(steps, make)
  for _, guard in ipairs(GUARDS) do steps[#steps + 1] = make { guard = values(guard), lr = 0.1 } end
  return steps
end

local function sgd(more)
  more.weight, more.gradient, more.velocity = normal { 43 }, normal { 43 }, normal { 43 }
  more.lr = more.lr or 0.1
  return more
end
list.sgd_step = guarded({
  sgd {}, sgd { momentum = 0.9 }, sgd { momentum = 0.9, first = true }, sgd { decay = 0.01, lr = 1e-3 },
  sgd { momentum = 0.8, decay = 0.02, nesterov = true },
  sgd { momentum = 0.8, decay = 0.02, nesterov = true, first = true },
}, sgd)
local function adam(more)
  more.weight, more.gradient, more.m, more.v = normal { 43 }, normal { 43 }, normal { 43 }, uniform { 43, low = 0.01 }
  return more
end
list.adam_step = guarded({
  adam {}, adam { step = 7, lr = 0.01, decay = 0.1 }, adam { step = 7, lr = 0.01, decay = 0.1, decoupled = true },
  adam { step = 100000, beta1 = 0.8, beta2 = 0.99, eps = 1e-3 },
}, adam)

return list
