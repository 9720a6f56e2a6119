--- A case or two per op that several threads share (kernels cut work into chunks of 32768 elements, blocks
--- of 96 pixels and the like), for tests that the bits do not depend on who computes them.

local asl = require "asl"
local cases = require "spec.support.cases"

local normal, uniform, whole, labels = cases.normal, cases.uniform, cases.whole, cases.labels
local strided = cases.strided

local list = {}

-- ---- elementwise, reductions, joining, in place -----------------------------------------------

local N = 100003 -- four chunks, the last not full

for _, name in ipairs { "add", "sub", "mul", "div", "maximum", "minimum", "equal", "greater" } do
  list[name] = { { a = normal { N }, b = normal { N } }, { a = strided(normal { 300, 200 }), b = normal { 1, 200 } } }
end
list.where = { { condition = whole { N, high = 1, dtype = "u8" }, a = normal { N }, b = normal { N } } }
for _, name in ipairs { "affine", "relu", "exp", "log", "sqrt", "abs", "sigmoid", "sign" } do
  list[name] = { { x = uniform { N, low = 0.1, high = 9 } }, { x = strided(uniform { 300, 201, low = 0.1, high = 2 }) } }
end
list.cast = { { x = normal { N }, dtype = "f64" }, { x = strided(uniform { 300, 201, high = 255 }), dtype = "u8",
  gradient = false } }

for _, name in ipairs { "sum", "mean", "max" } do
  list[name] = { { x = normal { N } }, { x = normal { 50, 40, 60 }, dim = 2 }, { x = normal { 40000, 3 }, dim = 1 },
    { x = normal { 3, 40000 }, dim = 2 } }
end
list.sum_to = { { x = normal { 60, 40, 50 }, like = normal { 40, 1 } }, { x = normal { N }, like = normal {} } }
list.argmax = { { x = normal { 5000, 19 } } }
list.concat = { { a = normal { 400, 100 }, b = normal { 400, 150 }, dim = 2 } }
list.matmul = { { a = normal { 301, 150 }, b = normal { 150, 203 } } }

list.fill = { { x = normal { N }, value = 0.1 } }
list.copy = { { x = normal { N }, source = normal { N } }, { x = normal { 300, 200 }, source = strided(normal { 300, 200 }) } }
list.accumulate = { { x = normal { N }, y = normal { N }, scale = 0.3 } }
local rows = whole { 500, high = 299, dtype = "i64" }
list.gather_rows = { { x = normal { 300, 150 }, index = rows } }
list.scatter_rows = { { x = normal { 300, 150 }, index = rows, rows = normal { 500, 150 } } }

-- ---- convolution and normalisation ------------------------------------------------------------

--- { x, weight, parameters, y }: first, depthwise, pointwise, dense.
local GEOMETRIES = {
  { { 2, 61, 47, 3 }, { 32, 3, 3, 3 }, { stride = 2 }, { 2, 30, 23, 32 } },
  { { 2, 33, 31, 48 }, { 48, 3, 3, 1 }, { groups = 48, padding = 1 }, { 2, 33, 31, 48 } },
  { { 2, 31, 30, 36 }, { 50, 1, 1, 36 }, {}, { 2, 31, 30, 50 } },
  { { 1, 41, 37, 10 }, { 20, 3, 3, 10 }, { padding = 1 }, { 1, 41, 37, 20 } },
}

local function each_geometry(f)
  local all = {}
  for k, g in ipairs(GEOMETRIES) do
    all[k] = f(normal(g[1]), normal { scale = 0.3, table.unpack(g[2]) }, g[4])
    for key, value in pairs(g[3]) do all[k][key] = value end
  end
  return all
end

local function mean(channels) return normal { channels, scale = 0.1 } end
local function positive(channels) return uniform { channels, low = 0.5, high = 2 } end

list.conv2d = each_geometry(function(x, weight, y) return { x = x, weight = weight, bias = normal { y[4] } } end)
list.conv2d_backward = each_geometry(function(x, weight, y)
  return { x = x, weight = weight, dy = normal(y), need_dbias = true }
end)
list.conv_bn_act = each_geometry(function(x, weight, y)
  return { x = x, weight = weight, bias = normal { y[4] }, gamma = positive(y[4]), beta = normal { y[4] },
    running_mean = mean(y[4]), running_var = positive(y[4]), residual = normal(y) }
end)
list.conv_bn_act_backward = each_geometry(function(x, weight, y)
  return { x = x, weight = weight, gamma = positive(y[4]), beta = normal { y[4] }, residual = normal(y), z = normal(y),
    mean = mean(y[4]), rstd = positive(y[4]), dy = normal(y), need_dbias = true, need_dresidual = true }
end)
list.batch_norm = { { x = normal { 3000, 40 }, gamma = positive(40), beta = normal { 40 }, running_mean = mean(40),
  running_var = positive(40) } }
list.batch_norm_backward = { { x = normal { 3000, 40 }, gamma = positive(40), beta = normal { 40 }, mean = mean(40),
  rstd = positive(40), dy = normal { 3000, 40 }, relu = true } }
list.dropout = { { x = normal { N }, p = 0.3, seed = 5, counter = 3 } }

-- ---- resampling -------------------------------------------------------------------------------

list.adaptive_avg_pool = { { x = normal { 2, 40, 50, 32 }, height = 7, width = 9 } }
list.adaptive_avg_pool_backward = { { x = normal { 2, 40, 50, 32 }, dy = normal { 2, 7, 9, 32 } } }
list.pyramid_pool = { { x = normal { 2, 40, 50, 32 } } }
list.pyramid_pool_backward = { { x = normal { 2, 40, 50, 32 }, dy1 = normal { 2, 1, 1, 32 }, dy2 = normal { 2, 2, 2, 32 },
  dy3 = normal { 2, 3, 3, 32 }, dy4 = normal { 2, 6, 6, 32 } } }
list.resize = { { x = normal { 2, 20, 30, 19 }, height = 61, width = 83, align_corners = false },
  { x = normal { 2, 61, 83, 19 }, height = 20, width = 30 } }
list.resize_backward = { { x = normal { 2, 20, 30, 19 }, dy = normal { 2, 61, 83, 19 } },
  { x = normal { 2, 61, 83, 19 }, dy = normal { 2, 20, 30, 19 } } }
list.resize_concat = { { x = normal { 2, 40, 50, 16 }, a = normal { 2, 6, 6, 8 }, b = normal { 2, 3, 3, 8 } } }

-- ---- losses, evaluation, optimisers -----------------------------------------------------------

list.softmax, list.log_softmax = { { x = normal { 5000, 19 } } }, { { x = normal { 5000, 19 } } }
list.cross_entropy = { { logits = normal { 2, 50, 60, 19 }, labels = labels { 2, 50, 60, classes = 19 } } }
list.cross_entropy_backward = { { logits = normal { 2, 50, 60, 19 }, labels = labels { 2, 50, 60, classes = 19 },
  dloss = normal {} } }
list.upsample_cross_entropy = { { logits = normal { 2, 20, 30, 19 }, labels = labels { 2, 157, 239, classes = 19 } } }
list.upsample_cross_entropy[2] = { logits = normal { 2, 20, 30, 41 }, labels = labels { 2, 157, 239, classes = 41 },
  class_weight = uniform { 41 }, pixel_weight = uniform { 2, 157, 239 }, smoothing = 0.1, temperature = 2 }
list.upsample_soft_cross_entropy = { { logits = normal { 2, 20, 30, 19 }, target = normal { 2, 20, 30, 19 }, height = 157,
  width = 239, labels = labels { 2, 157, 239, classes = 19 }, temperature = 2 } }
list.upsample_argmax = { { logits = normal { 2, 20, 30, 19 }, height = 157, width = 239 } }
list.upsample_confusion = { { logits = normal { 2, 20, 30, 19 }, labels = labels { 2, 157, 239, classes = 19 } } }
list.confusion = { { prediction = whole { 4, 150, 160, high = 18, dtype = "u8" },
  labels = labels { 4, 150, 160, classes = 19 }, classes = 19 } }
list.count_valid = { { labels = labels { 4, 150, 160, classes = 19 } } }
list.normalise = { { x = whole { 2, 150, 160, 3, high = 255, dtype = "u8" } } }
list.augment = { { x = whole { 3, 120, 160, 3, high = 255, dtype = "u8" }, labels = labels { 3, 120, 160, classes = 40 },
  index = cases.values({ 2, 1, 0, 2, 2 }, "i64"), height = 90, width = 100, transform = cases.derived(function()
    return asl.core.augment_draw { picture = { 120, 160 }, size = { 90, 100 }, rows = { 1, 2, 3, 4, 5 }, seed = 1, step = 1,
      augment = { scale = { 0.5, 2 }, crop = true, rotate = 30, contrast = 0.5 } }
  end) } }
list.sgd_step = { { weight = normal { N }, gradient = normal { N }, velocity = normal { N }, lr = 0.1, momentum = 0.9,
  decay = 0.01 } }
list.adam_step = { { weight = normal { N }, gradient = normal { N }, m = normal { N }, v = uniform { N, low = 0.1 },
  step = 3 } }

return list
