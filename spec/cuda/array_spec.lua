-- Kernels of arrays on the device: tails and broadcasts that the cases of spec/ops leave out, grids that loop,
-- long sums, faults in data.

local asl = require "asl"
local devices = require "spec.support.devices"
local on = require "spec.support.on_device"

local ops = asl.ops
local randn, bytes_tensor, ints, whole = on.randn, on.bytes_tensor, on.ints, on.whole
local run, same_bytes = on.run, on.same_bytes
local close, near, strided, unaligned, fails = on.close, on.near, on.strided, on.unaligned, on.fails
local INF, NAN = math.huge, 0 / 0

local function on_device(specs) return devices.body({ it = it, pending = pending }, specs) end

-- ---- elementwise ------------------------------------------------------------------------------

describe("elementwise ops on the device", on_device(function(device)
  it("broadcast in whole vectors, in part and by strides", function()
    for seed, shapes in ipairs {
      { { 4, 8, 16 }, { 16 } }, { { 4, 8, 16 }, { 8, 1 } }, { { 4, 1, 16 }, { 1, 8, 16 } }, { { 3, 5, 19 }, { 19 } },
      { { 2, 3, 2, 3, 2, 4 }, { 3, 1, 3, 1, 4 } }, { { 1 }, { 7, 1, 12 } }, { { 5, 4 }, { 5, 4 } }, { { 0, 4 }, { 4 } },
    } do
      same_bytes(device, "add", { randn(shapes[1], seed), randn(shapes[2], seed + 50) })
      same_bytes(device, "mul", { randn(shapes[1], seed, "f64"), randn(shapes[2], seed + 50, "f64") })
    end
    local x = strided(randn({ 3, 4, 5, 8 }, 3), 2, 4, 1, 3)
    same_bytes(device, "sub", { x, randn({ 5, 1 }, 4) })
    same_bytes(device, "greater", { x, randn({ 4, 1, 8 }, 5) })
  end)

  it("take every length and place of memory", function()
    for n = 1, 40 do
      local a, b, mask = randn({ n }, n), randn({ n }, 99), whole({ n }, 1, n, "u8")
      same_bytes(device, "add", { a, b })
      same_bytes(device, "where", { mask, a, b })
      for _, skip in ipairs { 1, 2, 4 } do
        local there = unaligned(a:to(device), skip)
        assert.is_true((there + b:to(device)):bytes() == (a + b):bytes())
        assert.is_true(ops.maximum(b:to(device), there):bytes() == ops.maximum(b, a):bytes())
      end
    end
  end)

  it("are exact where a thread takes several elements", function()
    local a, b = randn({ 1100, 1000 }, 1, "f64"), randn({ 1000 }, 2, "f64")
    same_bytes(device, "add", { a, b })
    local big = randn({ 4500000 }, 3)
    same_bytes(device, "affine", { big }, { scale = 2, shift = 0 })
    same_bytes(device, "cast", { big }, { dtype = "f64" })
  end)

  it("have exp, log and sigmoid at the ends of their range", function()
    local x = asl.tensor { -INF, -104, -90, -1e-30, 0, 1e-30, 80, 88.7, 89, INF, NAN }
    for _, name in ipairs { "exp", "sigmoid", "log" } do
      local cpu, other = run("cpu", name, { x }):totable(), run(device, name, { x }):totable()
      for k, want in ipairs(cpu) do
        local got, allowed = other[k], 1e-6 * math.abs(want) + 2 ^ -126
        assert.is_true(got == want or (got ~= got and want ~= want) or math.abs(got - want) <= allowed,
          ("%s of %g is %g, on the cpu %g"):format(name, x:totable()[k], got, want))
      end
    end
  end)
end))

-- ---- fill and copy ----------------------------------------------------------------------------

describe("writing in place on the device", on_device(function(device)
  it("fills every length and dtype, and nothing else", function()
    for _, dtype in ipairs { "f32", "f64", "u8", "i32", "i64", "bf16" } do
      for n = 0, 35 do
        local x = asl.zeros({ n + 6 }, { dtype = dtype, device = device })
        x:slice(1, 4, n + 3):fill_(3)
        local want = asl.zeros({ n + 6 }, { dtype = dtype })
        want:slice(1, 4, n + 3):fill_(3)
        assert.equal(want:bytes(), x:bytes())
      end
    end
    assert.equal(("\xff"):rep(72), asl.full({ 9 }, -1, { dtype = "i64", device = device }):bytes())
    fails("fill: 256 does not fit into u8", function() asl.full({ 2 }, 256, { dtype = "u8", device = device }) end)
  end)

  it("copies within one tensor as if all was read first", function()
    local x = randn({ 4, 12 }, 1)
    local function shifted(t)
      t:slice(2, 2, 12):copy_(t:slice(2, 1, 11))
      t:slice(1, 1, 4):copy_(t:slice(1, 2, 2))
      return t:bytes()
    end
    assert.equal(shifted(x:clone()), shifted(x:to(device)))
  end)

  it("makes any order of dimensions contiguous", function()
    for _, dtype in ipairs { "f32", "u8", "i64", "bf16" } do
      local x = whole({ 5, 7, 3, 8 }, 200, 1, dtype)
      for _, order in ipairs { { 4, 3, 2, 1 }, { 2, 1, 3, 4 }, { 1, 2, 4, 3 }, { 3, 4, 1, 2 } } do
        assert.equal(x:permute(order):contiguous():bytes(), x:to(device):permute(order):contiguous():bytes())
      end
    end
  end)
end))

-- ---- reductions -------------------------------------------------------------------------------

describe("reductions on the device", on_device(function(device)
  local SHAPES = { { 1, 300001 }, { 100003, 3 }, { 2, 40000, 19 }, { 3, 2, 5000 }, { 4000, 33 }, { 2100, 700 },
    { 5000, 2, 3 }, { 1, 100000, 1 }, { 3, 1, 4 }, { 7, 257 } }

  it("of any shape are as good as double", function()
    for seed, shape in ipairs(SHAPES) do
      local x = randn(shape, seed) + 3
      for dim = 0, #shape do
        for _, name in ipairs { "sum", "mean" } do
          local want = ops[name](x:to("f64"), { dim = dim }):to("f32")
          close(want, run(device, name, { x }, { dim = dim }), 1.2e-7)
        end
        same_bytes(device, "max", { x }, { dim = dim })
      end
    end
  end)

  it("add small numbers to a large one", function()
    local x = asl.full({ 200000 }, 1e-3)
    x:slice(1, 77, 77):fill_(2 ^ 24)
    local exact = x:to("f64"):sum():item()
    assert.is_true(math.abs(x:to(device):sum():item() - exact) <= 1)
    same_bytes(device, "sum", { whole({ 3, 70000 }, 1 << 40, 1, "i64") }, { dim = 2 })
    same_bytes(device, "sum", { ints { math.maxinteger, 1 } })
  end)

  it("keep NaN, wherever it is", function()
    for _, at in ipairs { 1, 2, 64, 257, 5000 } do
      local x = randn({ 5000 }, 1)
      x:slice(1, at, at):fill_(NAN)
      for _, shape in ipairs { { 5000 }, { 5000, 1 }, { 1, 5000 }, { 50, 100 } } do
        local y = ops.max(x:reshape(shape):to(device)):item()
        assert.is_true(y ~= y)
        y = ops.sum(x:reshape(shape):to(device)):item()
        assert.is_true(y ~= y)
      end
    end
    same_bytes(device, "max", { asl.full({ 3, 300 }, -INF) }, { dim = 2 })
  end)

  it("sum_to every part of a shape", function()
    local x = randn({ 3, 40, 5, 24 }, 1, "f64")
    for _, like in ipairs { { 24 }, { 5, 1 }, { 40, 1, 24 }, { 3, 1, 5, 1 }, { 1, 40, 1, 1 }, {}, { 3, 40, 5, 24 } } do
      local shape = asl.zeros(like, { dtype = "f64" })
      local want, got = ops.sum_to(x, shape), ops.sum_to(x:to(device), shape:to(device))
      close(want, got, 1e-14)
      local single = ops.sum_to(x:to("f32"):to(device), shape:to("f32"):to(device))
      close(ops.sum_to(x:to("f32"):to("f64"), shape):to("f32"), single, 1.2e-7)
    end
  end)

  it("have the CPU's words for what they do not take", function()
    local empty = asl.zeros({ 0, 3 }, { device = device })
    fails("mean: no elements have no mean", function() ops.mean(empty) end)
    fails("max: an empty tensor has no maximum", function() ops.max(empty) end)
    fails("sum: not supported for i32", function() ops.sum(asl.zeros({ 3 }, { dtype = "i32", device = device })) end)
    assert.same({ 0, 0, 0 }, ops.sum(empty, { dim = 1 }):totable())
    assert.same({ 0 }, ops.sum(empty, { dim = 2 }):shape())
  end)
end))

describe("argmax on the device", on_device(function(device)
  it("finds the first of the greatest", function()
    for seed, n in ipairs { 1, 2, 3, 19, 32, 33, 40, 200 } do
      same_bytes(device, "argmax", { whole({ 37, n }, 5, seed, "f32") })
      same_bytes(device, "argmax", { randn({ 37, n }, seed, "f64") })
    end
    same_bytes(device, "argmax", { asl.tensor { { -INF, -INF, -INF }, { INF, 1, INF } } })
    local x = randn({ 9, 50 }, 1):to("bf16")
    assert.equal(ops.argmax(x:to("f32")):bytes(), ops.argmax(x:to(device)):bytes())
  end)

  it("of a row with NaN is a fault", function()
    local x = randn({ 5, 19 }, 1)
    x:slice(1, 4, 4):slice(2, 18, 18):fill_(NAN)
    fails("argmax: NaN in row 4 of 5 has no maximum", function() ops.argmax(x:to(device)):totable() end)
  end)
end))

-- ---- rows -------------------------------------------------------------------------------------

describe("rows on the device", on_device(function(device)
  it("of every width move", function()
    for width = 1, 37 do
      local x = whole({ 11, width }, 255, width, "u8")
      same_bytes(device, "gather_rows", { x, ints { 10, 3, 3, 0, 7 } })
      same_bytes(device, "scatter_rows", { x, ints { 9, 0, 4 }, whole({ 3, width }, 255, 99, "u8") })
      same_bytes(device, "concat", { x, whole({ 11, 2 * width }, 255, 98, "u8"), x }, { dim = 2 })
    end
    same_bytes(device, "gather_rows", { randn({ 40, 33, 40 }, 1), whole({ 1000 }, 39, 1, "i64") })
    same_bytes(device, "gather_rows", { randn({ 4, 3 }, 1), asl.zeros({ 0 }, { dtype = "i64" }) })
    same_bytes(device, "concat",
      { randn({ 300, 24 }, 1), randn({ 300, 40 }, 2), randn({ 300, 0 }, 3), randn({ 300, 1 }, 4) }, { dim = 2 })
  end)

  it("written twice keep the last", function()
    local index = whole({ 500 }, 6, 3, "i64")
    same_bytes(device, "scatter_rows", { randn({ 9, 4 }, 1), index, randn({ 500, 4 }, 2) })
  end)

  it("outside the table are a fault, and the others are right", function()
    local x = randn({ 5, 3 }, 1)
    for _, bad in ipairs { 5, -1, math.maxinteger, math.mininteger } do
      local index = ints({ 0, bad, 4, bad }):to(device)
      fails("gather_rows: the index at element 2 is outside the 5 rows of x",
        function() ops.gather_rows(x:to(device), index):totable() end)
      local y = x:to(device)
      ops.scatter_rows(y, index, asl.ones { 4, 3 }:to(device))
      fails("scatter_rows: the index at element 2 is outside the 5 rows of x", function() y:totable() end)
      assert.same({ 1, 1, 1 }, y:select(1, 5):totable())
      assert.same(x:select(1, 2):totable(), y:select(1, 2):totable())
    end
  end)

  it("of x itself are refused", function()
    local x = randn({ 5, 3 }, 1):to(device)
    fails("scatter_rows: rows are part of x itself: copy them first",
      function() ops.scatter_rows(x, ints({ 0 }):to(device), x:slice(1, 2, 2)) end)
  end)
end))

describe("cast on the device", on_device(function(device)
  it("that does not fit is a fault at the first element", function()
    for _, case in ipairs {
      { asl.tensor { 1, 255.4, 255.6, -1 }, "u8", 3 }, { asl.tensor { 1, -0.6 }, "u8", 2 },
      { asl.tensor { NAN }, "i32", 1 },
      { asl.tensor { 0, 2147483648 }, "i32", 2 }, { ints { 0, 1, 1 << 32 }, "i32", 3 }, { ints { 300 }, "u8", 1 },
      { asl.tensor({ 9.3e18 }, { dtype = "f64" }), "i64", 1 },
      { strided(asl.tensor { { 1, 2 }, { 300, 4 } }, 2, 1), "u8", 3 },
    } do
      fails(("cast: the value at element %d does not fit into its new dtype"):format(case[3]),
        function() case[1]:to(device):to(case[2]):totable() end)
    end
    same_bytes(device, "cast", { asl.tensor { -0.5, 0.5, 1.5, 254.5, 255.4 } }, { dtype = "u8" })
  end)
end))

-- ---- dropout ----------------------------------------------------------------------------------

describe("dropout on the device", on_device(function(device)
  it("keeps what the CPU keeps", function()
    for seed, n in ipairs { 1, 3, 4, 31, 32, 33, 1000, 70001 } do
      same_bytes(device, "dropout", { randn({ n }, seed) }, { p = 0.3, seed = 1 << 40, counter = 7 + (seed << 33) })
    end
    same_bytes(device, "dropout", { asl.tensor { NAN, INF, 1 } }, { p = 0 })
    local x = randn({ 301 }, 1)
    local there = unaligned(x:to(device), 1)
    assert.equal(ops.dropout(x, { seed = 3 }):bytes(), ops.dropout(there, { seed = 3 }):bytes())
  end)

  it("normalises a pending input as it reads it", function()
    for _, channels in ipairs { 5, 8, 24 } do
      local function result(place)
        local function at(t) return t:to(place) end
        local weight = at(randn({ channels, 1, 1, 6 }, 2)):requires_grad_()
        local ones, zeros = asl.ones { channels }, asl.zeros { channels }
        local y = ops.conv_bn_act(at(randn({ 2, 5, 7, 6 }, 1)), weight, nil, at(ones), at(zeros), at(zeros:clone()),
          at(ones:clone()))
        local z = ops.dropout(y, { p = 0.4, seed = 5, counter = 2 })
        z:sum():backward()
        return z, weight:grad()
      end
      local want, want_gradient = result "cpu"
      local got, got_gradient = result(device)
      close(want, got, 4e-6)
      close(want_gradient, got_gradient, 4e-6)
    end
  end)
end))

-- ---- losses and evaluation --------------------------------------------------------------------

describe("softmax on the device", on_device(function(device)
  it("takes rows of every length", function()
    for seed, n in ipairs { 1, 2, 7, 8, 9, 64, 65, 255, 256, 257, 1000 } do
      near(device, "softmax", { randn({ 11, n }, seed) * 5 })
      near(device, "log_softmax", { randn({ 11, n }, seed) * 5 })
    end
    near(device, "softmax", { randn({ 3, 70000, 3 }, 1) })
  end)

  it("of infinities is the CPU's", function()
    for _, n in ipairs { 3, 300 } do
      for k, value in ipairs { INF, NAN, -INF } do
        local x = asl.full({ n }, k == 3 and -INF or 0)
        x:slice(1, 2, 2):fill_(value)
        assert.is_true(run(device, "softmax", { x }):sum():item() ~= 0)
        local cpu, other = run("cpu", "softmax", { x }):totable(), run(device, "softmax", { x }):totable()
        for i, v in ipairs(cpu) do assert.is_true(v == other[i] or (v ~= v and other[i] ~= other[i])) end
      end
    end
  end)
end))

describe("cross_entropy on the device", on_device(function(device)
  local function inputs(shape, classes, weighted)
    local logits = randn({ shape[1], shape[2], shape[3], classes }, 1) * 3
    local labels = whole(shape, classes - 1, 2, "u8")
    labels:slice(2, 1, 1):fill_(255)
    if not weighted then return { logits, labels, false, false } end
    return { logits, labels, asl.rand({ classes }, { seed = 3 }), asl.rand(shape, { seed = 4 }) }
  end

  it("and its gradient agree with the CPU's", function()
    for seed, classes in ipairs { 1, 2, 19, 40, 65, 255 } do
      local weighted = seed % 2 == 0
      local given = inputs({ 2, 9, 13 }, classes, weighted)
      local options = { smoothing = weighted and 0.1 or 0, temperature = 1.5 }
      near(device, "cross_entropy", given, options)
      same_bytes(device, "cross_entropy", given, options, 2)
      given[5], given[6] = false, asl.tensor(0.7)
      near(device, "cross_entropy_backward", given, options)
      options.normaliser = 77
      near(device, "cross_entropy_backward", given, options)
      given[5], given[6] = nil, nil
      near(device, "cross_entropy", given, options)
    end
  end)

  it("of many pixels is the mean of all", function()
    near(device, "cross_entropy", inputs({ 2, 260, 301 }, 3))
    local given = inputs({ 2, 260, 301 }, 3)
    given[5], given[6] = false, asl.tensor(1)
    near(device, "cross_entropy_backward", given)
  end)

  it("of no valid pixel is 0", function()
    local logits, labels = randn({ 1, 2, 3, 5 }, 1), asl.full({ 1, 2, 3 }, 255, { dtype = "u8" })
    local loss, valid = ops.cross_entropy(logits:to(device), labels:to(device))
    assert.equal(0, loss:item())
    assert.equal(0, valid:item())
    local dlogits = run(device, "cross_entropy_backward", { logits, labels, false, false, false, asl.tensor(1) })
    assert.equal(0, dlogits:abs():sum():item())
  end)

  it("of a label beyond the classes is a fault", function()
    local logits, labels = asl.zeros({ 2, 1, 3, 7 }), bytes_tensor { { { 0, 1, 255 } }, { { 6, 9, 7 } } }
    local message = "label 9 at picture 2, row 1, column 2: the classes are 0 to 6, label 255 is ignored"
    fails("cross_entropy: " .. message, function() run(device, "cross_entropy", { logits, labels }):item() end)
    fails("cross_entropy_backward: " .. message, function()
      run(device, "cross_entropy_backward", { logits, labels, false, false, false, asl.tensor(1) }):totable()
    end)
  end)
end))

describe("evaluation on the device", on_device(function(device)
  it("counts pixels as the CPU does", function()
    for seed, classes in ipairs { 1, 2, 19, 110, 111, 255 } do
      local labels = whole({ 3, 70, 71 }, classes - 1, seed, "u8")
      labels:slice(3, 3, 30):fill_(255)
      local prediction = whole({ 3, 70, 71 }, classes - 1, seed + 9, "u8")
      prediction:slice(2, 5, 60):fill_(0)
      same_bytes(device, "confusion", { prediction, labels }, { classes = classes })
      same_bytes(device, "count_valid", { labels })
    end
    for n = 0, 40 do same_bytes(device, "count_valid", { whole({ n }, 3, n, "u8") }, { ignore = 2 }) end
    same_bytes(device, "count_valid", { whole({ 400000 }, 255, 1, "u8") })
    local one = unaligned(asl.zeros({ 64 }, { dtype = "u8", device = device }), 1)
    assert.equal(64, ops.count_valid(one):item())
  end)

  it("of values beyond the classes is a fault", function()
    local function confusion(prediction, labels)
      return run(device, "confusion", { bytes_tensor(prediction), bytes_tensor(labels) }, { classes = 2 }):totable()
    end
    fails("confusion: prediction 2 at element 2: the classes are 0 to 1, label 255 is ignored",
      function() confusion({ 0, 2 }, { 1, 1 }) end)
    fails("confusion: label 5 at element 1: the classes are 0 to 1, label 255 is ignored",
      function() confusion({ 9 }, { 5 }) end)
  end)
end))

-- ---- pictures and optimisers ------------------------------------------------------------------

describe("normalise on the device", on_device(function(device)
  it("takes pictures of every width", function()
    for width = 1, 9 do
      local x = whole({ 1, 3, width, 3 }, 255, width, "u8")
      same_bytes(device, "normalise", { x })
      local there = unaligned(x:to(device), 1):reshape(1, 3, width, 3)
      assert.equal(ops.normalise(x):bytes(), ops.normalise(there):bytes())
      assert.equal(ops.normalise(x):to("bf16"):bytes(), ops.normalise(x:to(device), { dtype = "bf16" }):bytes())
    end
  end)
end))

describe("optimisers on the device", on_device(function(device)
  it("update every length and place", function()
    for _, n in ipairs { 1, 4, 5, 1024, 1027 } do
      local w, g, m, v = randn({ n }, 1), randn({ n }, 2), randn({ n }, 3), asl.rand({ n }, { seed = 4 })
      local function stepped(place, skip)
        local function at(t) return unaligned(t:to(place), skip) end
        local a, b, c, d, e = at(w), at(m), at(v), at(w), at(m)
        ops.adam_step(a, at(g), b, c, { lr = 0.01, decay = 0.1, step = 3 })
        ops.sgd_step(d, at(g), e, { lr = 0.1, momentum = 0.9, decay = 0.01 })
        return { a, b, c, d, e }
      end
      local want = stepped("cpu", 0)
      for skip = 0, 1 do
        for k, got in ipairs(stepped(device, skip)) do close(want[k], got, 1e-6) end
      end
    end
    local function guarded(guard)
      local w, g, v = randn({ 9 }, 1):to(device), randn({ 9 }, 2):to(device), randn({ 9 }, 3):to(device)
      ops.sgd_step(w, g, v, asl.tensor(guard):to(device), { lr = 1, momentum = 0.5 })
      return w:bytes() == randn({ 9 }, 1):bytes() and v:bytes() == randn({ 9 }, 3):bytes()
    end
    assert.is_false(guarded(3))
    assert.is_true(guarded(INF) and guarded(NAN))
    fails("adam_step: step counts from 1, it is 0", function()
      local x = asl.zeros({ 3 }, { device = device })
      ops.adam_step(x, x:clone(), x:clone(), x:clone(), { step = 0 })
    end)
  end)
end))
