-- Misuse of ops: an error that names the op, what is wrong, its value and what would be right.

local asl = require "asl"

local core, ops = asl.core, asl.ops

local function t(shape, dtype) return asl.zeros(shape, { dtype = dtype }) end
local function ints(values) return asl.tensor(values, { dtype = "i64" }) end
local function bytes(values) return asl.tensor(values, { dtype = "u8" }) end

--- { message, op, arguments ... }
local misuse = {
  -- arguments
  { "relu: input 1 (x) is missing", "relu" },
  { "conv2d: input 2 (weight) is missing", "conv2d", t { 1, 2, 2, 3 } },
  { "add takes 2 tensors, not 3", "add", t {}, t {}, t {} },
  { "add: b must be a tensor, not a number", "add", t {}, 3 },
  { "add: b must be a tensor, not a string", "add", t {}, "x" },
  { 'conv2d: unknown option "strides" (known: stride, padding, dilation, groups)', "conv2d", t { 1, 2, 2, 3 },
    t { 1, 1, 1, 3 }, { strides = 2 } },
  { 'relu: unknown option "inplace" (known: )', "relu", t {}, { inplace = true } },
  { 'conv2d: option "stride" must be a whole number, not 1.5', "conv2d", t { 1, 2, 2, 3 }, t { 1, 1, 1, 3 },
    { stride = 1.5 } },
  { 'dropout: option "p" must be a number, not half', "dropout", t {}, { p = "half" } },
  { 'cast: "f16" is no dtype (f32, f64, u8, i32, i64, bf16)', "cast", t {}, { dtype = "f16" } },
  { "cast: 9 is no dtype", "cast", t {}, { dtype = 9 } },

  -- views
  { "reshape: 2x3 has 6 elements, 4x2 would have 8", "reshape", t { 2, 3 }, { rank = 2, d1 = 4, d2 = 2 } },
  { "reshape: size -3 is negative", "reshape", t { 2, 3 }, { rank = 2, d1 = -3, d2 = -2 } },
  { "reshape: rank must be 0 to 6, not 7", "reshape", t { 2, 3 }, { rank = 7 } },
  { "reshape: size 4294967296 is too large", "reshape", t { 0 }, { rank = 2, d1 = 1 << 32, d2 = 1 << 32 } },
  { "permute: position 2: 1 is no new dimension of 1..2", "permute", t { 2, 3 }, { p1 = 1, p2 = 1 } },
  { "permute: position 1: 3 is no new dimension of 1..2", "permute", t { 2, 3 }, { p1 = 3, p2 = 1 } },
  { "slice: 2..4 is outside 1..3 of dimension 2", "slice", t { 2, 3 }, { dim = 2, first = 2, last = 4 } },
  { "slice: 0..1 is outside 1..2 of dimension 1", "slice", t { 2, 3 }, { first = 0, last = 1 } },
  { "slice: 3..1 is outside 1..3 of dimension 2", "slice", t { 2, 3 }, { dim = 2, first = 3, last = 1 } },
  { "slice: dim must be between 1 and 2, not 3", "slice", t { 2, 3 }, { dim = 3 } },

  -- elementwise
  { "add: shapes 2x3 and 2x4 do not broadcast", "add", t { 2, 3 }, t { 2, 4 } },
  { "mul: a is f32 but b is f64: convert one with :to()", "mul", t { 2 }, t({ 2 }, "f64") },
  { 'add: no arithmetic on u8: convert with :to("f32")', "add", t({ 2 }, "u8"), t({ 2 }, "u8") },
  { "div: a must be f32 or f64, it is i64", "div", ints { 1 }, ints { 2 } },
  { "exp: x must be f32 or f64, it is i32", "exp", t({ 2 }, "i32") },
  { "where: condition must be u8, it is f32", "where", t { 2 }, t { 2 }, t { 2 } },
  { "where: shapes 3 and 2 do not broadcast", "where", t({ 3 }, "u8"), t { 2 }, t { 2 } },
  { "cast: 255.6 (element 2) does not fit into u8", "cast", asl.tensor({ 255.4, 255.6 }, { dtype = "f64" }),
    { dtype = "u8" } },
  { "cast: -1 (element 1) does not fit into u8", "cast", asl.tensor { -1, -2 }, { dtype = "u8" } },
  { "cast: 4294967296 (element 3) does not fit into i32", "cast", ints { 0, 1, 1 << 32 }, { dtype = "i32" } },
  { "cast: nan (element 1) does not fit into i64", "cast", asl.tensor { -(0 / 0) }, { dtype = "i64" } },

  -- reductions and joining
  { "sum: dim must be between 1 and 2, not 3", "sum", t { 2, 3 }, { dim = 3 } },
  { 'sum: no arithmetic on u8: convert with :to("f32")', "sum", t({ 3 }, "u8") },
  { "mean: x must be f32 or f64, it is i64", "mean", ints { 1, 2 } },
  { "mean: no elements have no mean", "mean", t { 0, 3 } },
  { "max: an empty tensor has no maximum", "max", t { 0 } },
  { "sum_to: 2x3 is no broadcast of 2x1x1", "sum_to", t { 2, 3 }, t { 2, 1, 1 } },
  { "argmax: needs at least one element along the last dimension", "argmax", t { 3, 0 } },
  { "argmax: NaN in row 2 of 2 has no maximum", "argmax", asl.tensor { { 1, 2 }, { 0 / 0, 1 } } },
  { "concat: 2x3 and 3x3 differ in more than dimension 2", "concat", t { 2, 3 }, t { 3, 3 }, { dim = 2 } },
  { "concat: 2x3 and 2x3x1 differ in more than dimension 1", "concat", t { 2, 3 }, t { 2, 3, 1 } },
  { "concat: a is f32 but b is u8: convert one with :to()", "concat", t { 2 }, t({ 2 }, "u8") },
  { "matmul: inner sizes differ: 2x3 times 2x3", "matmul", t { 2, 3 }, t { 2, 3 } },
  { "matmul: b must have 2 dimensions (K,N), it is 3", "matmul", t { 2, 3 }, t { 3 } },

  -- in place
  { "fill: 256 does not fit into u8", "fill", t({ 2 }, "u8"), { value = 256 } },
  { "fill: 0.5 does not fit into i64", "fill", ints { 2 }, { value = 0.5 } },
  { "copy: shapes 2 and 3 do not broadcast", "copy", t { 2 }, t { 3 } },
  { "copy: 2x2 does not fit into 2", "copy", t { 2 }, t { 2, 2 } },
  { "copy: x is f32 but source is f64: convert one with :to()", "copy", t { 2 }, t({ 2 }, "f64") },
  { "accumulate: y must be 2x3, it is 3", "accumulate", t { 2, 3 }, t { 3 } },
  { "accumulate: scale 0.5 is no whole number, x is i64", "accumulate", ints { 2 }, ints { 3 }, { scale = 0.5 } },
  { "accumulate: x is written in place and must be contiguous", "accumulate", t { 2, 3 }:permute(2, 1), t { 3, 2 } },
  { "gather_rows: index must be i64, it is f32", "gather_rows", t { 2, 3 }, t { 1 } },
  { "gather_rows: index 2 (element 3 of 3) is outside the 2 rows of x", "gather_rows", t { 2, 3 }, ints { 0, 1, 2 } },
  { "gather_rows: index -1 (element 1 of 1) is outside the 2 rows of x", "gather_rows", t { 2, 3 }, ints { -1 } },
  { "gather_rows: x is a scalar: it has no rows", "gather_rows", t {}, ints { 0 } },
  { "scatter_rows: index 7 (element 1 of 1) is outside the 2 rows of x", "scatter_rows", t { 2, 3 }, ints { 7 },
    t { 1, 3 } },
  { "scatter_rows: rows must be 1x3, it is 2x3", "scatter_rows", t { 2, 3 }, ints { 1 }, t { 2, 3 } },

  -- convolution and normalisation
  { "conv2d: x must have 4 dimensions (N,H,W,C), it is 2x3", "conv2d", t { 2, 3 }, t { 1, 1, 1, 3 } },
  { "conv2d: x must be f32, it is u8", "conv2d", t({ 1, 2, 2, 3 }, "u8"), t { 1, 1, 1, 3 } },
  { "conv2d: weight expects 4 input channels, x has 3 (x 1x2x2x3, weight 8x1x1x4, groups 1)", "conv2d",
    t { 1, 2, 2, 3 }, t { 8, 1, 1, 4 } },
  { "conv2d: 3 output channels do not divide into 2 groups", "conv2d", t { 1, 2, 2, 4 }, t { 3, 1, 1, 2 },
    { groups = 2 } },
  { "conv2d: the 5x5 kernel is larger than the padded 4x6 picture", "conv2d", t { 1, 2, 4, 3 }, t { 8, 3, 3, 3 },
    { dilation = 2, padding = 1 } },
  { "conv2d: stride must be at least 1, not 0", "conv2d", t { 1, 2, 2, 3 }, t { 1, 1, 1, 3 }, { stride = 0 } },
  { "conv2d: padding must be 0 to 2147483647, not -1", "conv2d", t { 1, 2, 2, 3 }, t { 1, 1, 1, 3 }, { padding = -1 } },
  { "conv2d: stride 4294967296 is too large", "conv2d", t { 1, 2, 2, 3 }, t { 1, 1, 1, 3 }, { stride = 1 << 32 } },
  { "conv2d: x has no pixels: 2x0x8x3", "conv2d", t { 2, 0, 8, 3 }, t { 1, 1, 1, 3 } },
  { "conv2d: weight has no elements: 0x3x3x3", "conv2d", t { 1, 8, 8, 3 }, t { 0, 3, 3, 3 } },
  { "conv2d: bias must be 8, it is 3", "conv2d", t { 1, 2, 2, 3 }, t { 8, 1, 1, 3 }, t { 3 } },
  { "batch_norm: gamma must be 5, it is 4", "batch_norm", t { 2, 5 }, t { 4 }, t { 5 }, t { 5 }, t { 5 } },
  { "batch_norm: x needs at least 2 dimensions, channels last", "batch_norm", t { 5 }, t { 5 }, t { 5 }, t { 5 }, t { 5 } },
  { "batch_norm: training needs more than one value per channel; here 5 channels have one each: use more pictures, " ..
    "larger ones or training=0", "batch_norm", t { 1, 5 }, t { 5 }, t { 5 }, t { 5 }, t { 5 } },
  { "batch_norm: gamma has no elements: 0", "batch_norm", t { 2, 0 }, t { 0 }, t { 0 }, t { 0 }, t { 0 } },
  { "batch_norm_backward: x needs at least 2 dimensions, channels last", "batch_norm_backward", t {}, t { 1 }, t { 1 },
    t { 1 }, t { 1 }, t {} },
  { "dropout: p must be in [0, 1), not 1", "dropout", t { 3 }, { p = 1 } },
  { "dropout: p must be in [0, 1), not nan", "dropout", t { 3 }, { p = -(0 / 0) } },

  -- resampling
  { "resize: height must be at least 1, not 0", "resize", t { 1, 2, 2, 3 }, { width = 4 } },
  { "resize: x has no pixels: 1x0x2x3", "resize", t { 1, 0, 2, 3 }, { height = 4, width = 4 } },
  { "adaptive_avg_pool: width must be at least 1, not -2", "adaptive_avg_pool", t { 1, 2, 2, 3 }, { width = -2 } },
  { "resize_concat: x has 2 pictures, b has 1", "resize_concat", t { 2, 2, 2, 3 }, t { 2, 1, 1, 3 }, t { 1, 1, 1, 3 } },
  { "resize_backward: dy must be 1x4x4x3, it is 1x4x4x5", "resize_backward", t { 1, 2, 2, 3 }, t { 1, 4, 4, 5 } },

  -- losses and evaluation
  { "softmax: x is a scalar", "softmax", t {} },
  { "cross_entropy: labels must be u8, it is f32", "cross_entropy", t { 1, 2, 2, 3 }, t { 1, 2, 2 } },
  { "cross_entropy: labels must be 1x2x2, it is 1x4x4", "cross_entropy", t { 1, 2, 2, 3 }, t({ 1, 4, 4 }, "u8") },
  { "cross_entropy: class_weight must be 3, it is 4", "cross_entropy", t { 1, 2, 2, 3 }, t({ 1, 2, 2 }, "u8"), t { 4 } },
  { "cross_entropy: label 3 at picture 1, row 2, column 1: the classes are 0 to 2, label 255 is ignored",
    "cross_entropy", t { 1, 2, 2, 3 }, bytes { { { 0, 255 }, { 3, 9 } } } },
  { "upsample_cross_entropy: label 7 at picture 2, row 1, column 3: the classes are 0 to 6, label 255 is ignored",
    "upsample_cross_entropy", t { 2, 1, 1, 7 }, bytes { { { 0, 1, 255 } }, { { 6, 5, 7 } } } },
  { "upsample_cross_entropy: labels must be 2x1x3, it is 1x1x3", "upsample_cross_entropy", t { 2, 1, 1, 7 },
    bytes { { { 0, 1, 255 } } } },
  { "cross_entropy: logits have 256 classes; class maps hold 1 to 255", "cross_entropy", t { 1, 1, 1, 256 },
    t({ 1, 1, 1 }, "u8") },
  { "upsample_argmax: logits are not finite: inf at picture 1, row 1, column 2, class 1", "upsample_argmax",
    asl.tensor { { { { 0, 1 }, { 2, math.huge } } } }, { height = 2, width = 2 } },
  { "upsample_cross_entropy: pixel_weight must be 1x1x2, it is 1x2x1", "upsample_cross_entropy", t { 1, 1, 1, 7 },
    bytes { { { 0, 1 } } }, nil, t { 1, 2, 1 } },
  { "upsample_cross_entropy: smoothing must be in [0, 1], not 1.5", "upsample_cross_entropy", t { 1, 1, 1, 7 },
    bytes { { { 0, 1 } } }, { smoothing = 1.5 } },
  { "cross_entropy: smoothing must be in [0, 1], not nan", "cross_entropy", t { 1, 1, 1, 7 }, bytes { { { 0 } } },
    { smoothing = -(0 / 0) } },
  { "upsample_cross_entropy: temperature must be 0.001 to 1000, not 0", "upsample_cross_entropy", t { 1, 1, 1, 7 },
    bytes { { { 0, 1 } } }, { temperature = 0 } },
  { "upsample_soft_cross_entropy: target must be 1x2x2x7, it is 1x2x3x7", "upsample_soft_cross_entropy", t { 1, 2, 2, 7 },
    t { 1, 2, 3, 7 }, { height = 4, width = 4 } },
  { "upsample_soft_cross_entropy: height must be at least 1, not 0", "upsample_soft_cross_entropy", t { 1, 2, 2, 7 },
    t { 1, 2, 2, 7 } },
  { "upsample_soft_cross_entropy: labels must be 1x4x5, it is 1x4x4", "upsample_soft_cross_entropy", t { 1, 2, 2, 7 },
    t { 1, 2, 2, 7 }, t({ 1, 4, 4 }, "u8"), { height = 4, width = 5 } },
  { "upsample_confusion: label 7 at picture 2, row 1, column 3: the classes are 0 to 6, label 255 is ignored",
    "upsample_confusion", t { 2, 1, 1, 7 }, bytes { { { 0, 1, 255 } }, { { 6, 5, 7 } } } },
  { "upsample_confusion: logits are not finite: nan at picture 1, row 1, column 2, class 0", "upsample_confusion",
    asl.tensor { { { { 0, 1 }, { -(0 / 0), 2 } } } }, bytes { { { 0 } } } },
  { "confusion: prediction 2 at element 2: the classes are 0 to 1, label 255 is ignored", "confusion", bytes { 0, 2 },
    bytes { 1, 1 }, { classes = 2 } },
  { "confusion: label 5 at element 1: the classes are 0 to 1, label 255 is ignored", "confusion", bytes { 9 },
    bytes { 5 }, { classes = 2 } },
  { "confusion: classes must be 1 to 255, not 0", "confusion", bytes { 0 }, bytes { 0 } },
  { "confusion: labels must be 2, it is 3", "confusion", bytes { 0, 1 }, bytes { 0, 1, 2 }, { classes = 3 } },
  { "normalise: x must have 3 channels, it has 4", "normalise", t({ 1, 2, 2, 4 }, "u8") },
  { "augment: x must have 3 channels, it has 4", "augment", t({ 1, 2, 2, 4 }, "u8"), nil, ints { 0 }, t({ 1, 24 }, "f64"),
    { height = 2, width = 2 } },
  { "augment: x must be u8, it is f32", "augment", t { 1, 2, 2, 3 }, nil, ints { 0 }, t({ 1, 24 }, "f64") },
  { "augment: the width of x must be 1 to 16384, not 0", "augment", t({ 1, 2, 0, 3 }, "u8"), nil, ints { 0 },
    t({ 1, 24 }, "f64") },
  { "augment: labels must be 1x2x2, it is 1x2x3", "augment", t({ 1, 2, 2, 3 }, "u8"), t({ 1, 2, 3 }, "u8"), ints { 0 },
    t({ 1, 24 }, "f64"), { height = 2, width = 2 } },
  { "augment: index must be i64, it is f32", "augment", t({ 1, 2, 2, 3 }, "u8"), nil, t { 1 }, t({ 1, 24 }, "f64") },
  { "augment: transform must be f64, it is f32", "augment", t({ 1, 2, 2, 3 }, "u8"), nil, ints { 0 }, t { 1, 24 } },
  { "augment: transform must be 2x24, it is 1x24", "augment", t({ 1, 2, 2, 3 }, "u8"), nil, ints { 0, 0 },
    t({ 1, 24 }, "f64") },
  { "augment: height must be 1 to 16384, not 0", "augment", t({ 1, 2, 2, 3 }, "u8"), nil, ints { 0 },
    t({ 1, 24 }, "f64") },
  { "augment: index 2 (element 2 of 2) is outside the 2 rows of x", "augment", t({ 2, 2, 2, 3 }, "u8"), nil, ints { 0, 2 },
    t({ 2, 24 }, "f64"), { height = 2, width = 2 } },

  -- optimisers
  { "sgd_step: velocity must be 3, it is 2", "sgd_step", t { 3 }, t { 3 }, t { 2 } },
  { "sgd_step: velocity is written in place and must be contiguous", "sgd_step", t { 2, 3 }, t { 2, 3 },
    t { 3, 2 }:permute(2, 1) },
  { "adam_step: step counts from 1, it is 0", "adam_step", t { 3 }, t { 3 }, t { 3 }, t { 3 }, { step = 0 } },
}

describe("misuse:", function()
  for _, case in ipairs(misuse) do
    it(case[1], function()
      local ok, message = pcall(ops[case[2]], table.unpack(case, 3))
      assert.is_false(ok)
      assert.equal(case[1], message)
    end)
  end

  it("a failed op changes nothing: label >= classes", function()
    local logits = asl.randn({ 1, 2, 2, 3 }, { seed = 1 }):requires_grad_()
    local live = asl.memory().live
    assert.is_false(pcall(ops.cross_entropy, logits, bytes { { { 0, 1 }, { 2, 3 } } }))
    collectgarbage()
    assert.is_true(asl.memory().live <= live + 256)
    assert.is_nil(logits:grad())
  end)

  it("a failed op in place changes nothing: index out of range", function()
    local x = t { 2, 3 }
    assert.is_false(pcall(ops.scatter_rows, x, ints { 0, 2 }, asl.ones { 2, 3 }))
    assert.same({ { 0, 0, 0 }, { 0, 0, 0 } }, x:totable())
  end)

  it("names the layer (at)", function()
    assert.has_error(function() ops.relu(ints { 1 }, { at = "classifier.0" }) end,
      "relu (classifier.0): x must be f32 or f64, it is i64")
  end)
end)

describe("check_finite", function()
  after_each(function() core.check_finite(false) end)

  it("is off at first: infinities go through", function()
    assert.equal(math.huge, ops.exp(asl.tensor(1000)):item())
  end)

  it("names op, layer, output and element", function()
    core.check_finite(true)
    assert.has_error(function() ops.log(asl.tensor { 1, 2, 0 }, { at = "head" }) end,
      "log (head): y is not finite (-inf at element 3 of 3)")
    assert.has_error(function() ops.cross_entropy(asl.full({ 1, 1, 1, 2 }, math.huge), bytes { { { 0 } } }) end,
      "cross_entropy: loss is not finite (nan at element 1 of 1)")
    assert.equal(0, ops.log(asl.tensor(1)):item())
  end)

  it("finds a gradient that is not finite, by op and layer", function()
    core.check_finite(true)
    local x = asl.tensor({ 0, 4 }):requires_grad_()
    local loss = ops.sqrt(x, { at = "norm" }):sum()
    assert.has_error(function() loss:backward() end,
      "gradient of sqrt (norm): div (norm): y is not finite (inf at element 1 of 2)")
  end)
end)

describe("empty tensors", function()
  it("go through ops", function()
    local x = t { 0, 4, 5, 3 }
    assert.same({ 0, 2, 3, 7 }, ops.conv2d(x, t { 7, 3, 3, 3 }):shape())
    assert.same({ 0, 4, 5, 3 }, ops.relu(x):shape())
    assert.same({ 0, 8, 8, 3 }, ops.resize(x, { height = 8, width = 8 }):shape())
    assert.equal(0, ops.cross_entropy(x, t({ 0, 4, 5 }, "u8")):item())
    assert.same({ 0, 1, 1, 3 }, (ops.pyramid_pool(x)):shape())
    assert.same({ 4, 0 }, ops.softmax(t { 4, 0 }):shape())
  end)
end)
