-- The tape: what gradients go where, and when they do not.

local asl = require "asl"
local ops = asl.ops

local function backward(y) y:sum():backward() end

local function leaf(values) return asl.tensor(values):requires_grad_() end

describe("backward", function()
  it("adds to the gradients of leaves, call after call", function()
    local x = leaf { 1, 2, 3 }
    assert.is_nil(x:grad())
    for _ = 1, 2 do backward(x * x) end
    assert.same({ 4, 8, 12 }, x:grad():totable())
  end)

  it("adds the gradients of a tensor that is used several times", function()
    local x = leaf { 1, 2, 3 }
    local y = x * x
    backward(y * y + y + x + x) -- 4x^3 + 2x + 2
    assert.same({ 8, 38, 116 }, x:grad():totable())
  end)

  it("passes an op once, when all its uses have been seen", function()
    local x = leaf(2)
    local a = x * 3
    local b, c = a:exp(), a * 1
    local d = c * c
    backward(d + b) -- e^{3x} + 9x^2
    assert.is_true(math.abs(x:grad():item() - (3 * math.exp(6) + 36)) < 1e-3)
  end)

  it("starts from a given gradient", function()
    local x = leaf { 1, 2 }
    x:sum():backward(-3)
    assert.same({ -3, -3 }, x:grad():totable())
  end)

  it("goes through views, and into leaves that are views", function()
    local x = leaf { { 1, 2, 3 }, { 4, 5, 6 } }
    local y = x:permute(2, 1):slice(1, 2, 3):reshape(4) -- 2 5 3 6
    backward(y * asl.tensor { 1, 10, 100, 1000 })
    assert.same({ { 0, 1, 100 }, { 0, 10, 1000 } }, x:grad():totable())

    local base = asl.tensor { { 1, 2 }, { 3, 4 } }
    local column = base:slice(2, 2):requires_grad_()
    backward(column * column)
    assert.same({ { 4 }, { 8 } }, column:grad():totable())
    assert.is_nil(base:grad())
  end)

  it("needs only one of several outputs", function()
    local x = asl.ones({ 1, 2, 2, 1 }):requires_grad_()
    local _, y2 = ops.pyramid_pool(x, { b1 = 1, b2 = 2, b3 = 1, b4 = 1 })
    y2:sum():backward()
    assert.same({ { { { 1 }, { 1 } }, { { 1 }, { 1 } } } }, x:grad():totable())
  end)

  it("accumulates in the memory set_grad gave", function()
    local flat = asl.tensor { 1, 1, 1, 1 }
    local x = leaf { 5, 6 }:set_grad(flat:slice(1, 2, 3))
    backward(x * 2)
    assert.same({ 1, 3, 3, 1 }, flat:totable())
    assert.has_error(function() x:set_grad(asl.zeros { 3 }) end,
      "a gradient has its tensor's dtype and shape, and is contiguous")
  end)

  it("is in f64 where the leaf is", function()
    local x = asl.tensor({ 1 / 3 }, { dtype = "f64" }):requires_grad_()
    x:exp():sum():backward()
    assert.equal("f64", x:grad():dtype())
    assert.equal(math.exp(1 / 3), x:grad():item())
  end)

  it("through a cast has the dtype of the leaf", function()
    local x = leaf { 1, 2 }
    backward(x:to("f64") * x:to("f64"))
    assert.equal("f32", x:grad():dtype())
    assert.same({ 2, 4 }, x:grad():totable())
  end)

  it("goes through a chain of 100000 ops, and such a chain can be dropped", function()
    local x = leaf(1)
    local function chain()
      local y = x
      for _ = 1, 100000 do y = y + 1 end
      return y
    end
    chain():backward()
    assert.equal(1, x:grad():item())
    chain()
    collectgarbage()
  end)

  it("gives the same bits whatever the garbage collector does", function()
    local function gradient()
      local x = asl.randn({ 4, 9 }, { seed = 1 }):requires_grad_()
      local parts = {}
      for k = 1, 20 do parts[k] = (x * (k / 7)):sigmoid():sum() end
      local loss = parts[1]
      for k = 2, 20 do loss = loss + parts[k] end
      loss:backward()
      return x:grad():digest()
    end
    local first = gradient()
    collectgarbage "generational"
    local second = gradient()
    collectgarbage "incremental"
    assert.equal(first, second)
  end)
end)

describe("backward refuses", function()
  it("a graph that was used", function()
    local x = leaf { 1, 2 }
    local y = x * x
    local loss = y:sum()
    loss:backward()
    local message = "backward: this graph was used already; compute the loss anew"
    assert.has_error(function() loss:backward() end, message)
    assert.has_error(function() (y * 2):sum():backward() end, message)
    assert.same({ 2, 4 }, x:grad():totable())
  end)

  it("anything but one number", function()
    local x = leaf { 1, 2 }
    assert.has_error(function() (x * 2):backward() end, "backward starts from one number, not from f32 2")
  end)

  it("what no gradient goes through", function()
    local message = "backward: nothing to differentiate: no input required a gradient"
    assert.has_error(function() asl.ones({}):backward() end, message)
    assert.has_error(function() (asl.ones({}) * 2):backward() end, message)
    assert.has_error(function() leaf(1):backward() end, message)
    assert.has_error(function() asl.no_grad(function() return leaf(1) * 2 end):backward() end, message)
  end)

  it("values that were changed in place after their use", function()
    local x = leaf { 1, 2 }
    local factor = asl.tensor { 3, 4 }
    local loss = (x * factor):sum()
    factor:slice(1, 1):fill_(9) -- through a view
    assert.has_error(function() loss:backward() end,
      "gradient of mul: b was changed in place after the op: its gradient needs the value of then")

    local y = x:exp()
    local sum = y:sum()
    y:detach():fill_(0)
    assert.has_error(function() sum:backward() end,
      "gradient of exp: y was changed in place after the op: its gradient needs the value of then")
  end)

  it("not a change in place of values that the gradient does not need", function()
    local x, shift = leaf { 1, 2 }, asl.tensor { 3, 4 }
    local loss = (x + shift):sum()
    shift:fill_(0)
    loss:backward()
    assert.same({ 1, 1 }, x:grad():totable())
  end)
end)

describe("a tensor", function()
  it("does not end silently in a copy", function()
    local x, target = leaf { 1, 2 }, asl.zeros { 2 }
    assert.has_error(function() target:copy_(x) end, "copy: no gradient goes through a change in place: :detach() " ..
      "source, or compute without gradients (asl.no_grad)")
    target:copy_(x:detach())
    asl.no_grad(function() target:copy_(x) end)
    assert.same({ 1, 2 }, target:totable())
  end)

  it("that is a result cannot be changed in place", function()
    local x = leaf { 1, 2 }
    local y = x * 2
    assert.has_error(function() y:fill_(0) end, "fill: x is the result of an op a gradient goes through and cannot be " ..
      "changed in place: change its :clone() or :detach() it")
    asl.no_grad(function() return x * 2 end):fill_(0)
  end)

  it("knows whether it requires a gradient", function()
    local x = leaf { 1, 2 }
    assert.is_true(x:requires_grad())
    assert.is_true((x * 2):requires_grad())
    assert.is_false((asl.ones { 2 } * 2):requires_grad())
    assert.is_false(x:argmax():requires_grad())
    assert.is_false(x:greater(0):requires_grad())
    assert.is_false(x:sign():requires_grad())
    assert.is_false(x:to("i64"):requires_grad())
  end)

  it("is told so only when it is a real leaf", function()
    assert.has_error(function() (leaf { 1 } * 2):requires_grad_() end,
      "only leaves can be told whether they need a gradient")
    assert.has_error(function() asl.zeros({ 1 }, { dtype = "i64" }):requires_grad_() end, "i64 has no gradients")
  end)

  it("can be frozen", function()
    local a, b = leaf { 1, 2 }, leaf { 3, 4 }
    b:requires_grad_(false)
    local loss = (a * b):sum()
    loss:backward()
    assert.same({ 3, 4 }, a:grad():totable())
    assert.is_nil(b:grad())
  end)

  it("shares its memory with its detached self, which no gradient goes through", function()
    local x = leaf { 1, 2 }
    local y = x * 3
    local cut = y:detach()
    assert.same({ 3, 6 }, cut:totable())
    assert.is_false(cut:requires_grad())
    backward(y * cut)
    assert.same({ 9, 18 }, x:grad():totable()) -- not 2 * 9
  end)

  it("that is a constant to an op gets no gradient, also when it was computed from a leaf", function()
    local w = leaf { 1, 2 }
    local logits = asl.randn({ 1, 2, 2, 2 }, { seed = 1 }):requires_grad_()
    local labels = asl.zeros({ 1, 2, 2 }, { dtype = "u8" })
    local loss = ops.cross_entropy(logits, labels, w * 2)
    loss:backward()
    assert.is_truthy(logits:grad())
    assert.is_nil(w:grad())

    local x = leaf { { 1, 2 }, { 3, 4 } }
    ops.sum_to(x, w * 1):sum():backward()
    assert.same({ { 1, 1 }, { 1, 1 } }, x:grad():totable())
    assert.is_nil(w:grad())
  end)
end)

describe("no_grad", function()
  it("returns what the function returns, and does not record", function()
    local x = leaf { 1 }
    local y, n = asl.no_grad(function(a, k) return x * a, k, nil end, 2, 7)
    assert.equal(7, n)
    assert.is_false(y:requires_grad())
    assert.equal(3, select("#", asl.no_grad(function() return 1, nil, nil end)))
    assert.is_true((x * 2):requires_grad())
  end)

  it("ends when the function fails, with the function's error", function()
    assert.has_error(function() asl.no_grad(error, "mine", 0) end, "mine")
    assert.is_true((leaf { 1 } * 2):requires_grad())
  end)

  it("nests", function()
    asl.no_grad(function()
      asl.no_grad(function() end)
      assert.is_false((leaf { 1 } * 2):requires_grad())
    end)
  end)
end)

describe("with_gradient", function()
  --- Rounds, and lets the gradient pass as if it had not.
  local straight_through = asl.with_gradient(function(x) return asl.ops.cast(x:to "i32", { dtype = "f32" }) end,
    function(dy) return dy end)

  it("gives a function the gradient it is told", function()
    local x = asl.tensor { 0.4, 1.6, -2.7 }:requires_grad_(true)
    local y = straight_through(x * 2)
    assert.same({ 1, 3, -5 }, y:totable())
    ;(y * asl.tensor { 1, 10, 100 }):sum():backward()
    assert.same({ 2, 20, 200 }, x:grad():totable())
  end)

  it("gives the rule the input, and adds up what it returns", function()
    local square = asl.with_gradient(function(x) return x * x end, function(dy, x)
      assert.is_false(x:requires_grad() and (x * dy):requires_grad()) -- nothing is recorded
      return dy * x * 2
    end)
    local x = asl.tensor { 3, 5 }:requires_grad_(true)
    ;(square(x) + square(x)):sum():backward()
    assert.same({ 12, 20 }, x:grad():totable())
  end)

  it("takes nil for no gradient", function()
    local x = asl.tensor { 1 }:requires_grad_(true)
    local stopped = asl.with_gradient(function(v) return v * 7 end, function() end)
    ;(stopped(x) + x):sum():backward()
    assert.same({ 1 }, x:grad():totable())
  end)

  it("records nothing where nothing is wanted", function()
    assert.is_false(straight_through(asl.tensor { 1 }):requires_grad())
    local x = asl.tensor { 1 }:requires_grad_(true)
    assert.is_false(asl.no_grad(straight_through, x):requires_grad())
  end)

  it("raises what the rule raises, as it is, and goes on", function()
    local x, reason = asl.tensor { 1 }:requires_grad_(true), { "mine" }
    local failing = asl.with_gradient(function(v) return v * 1 end, function() error(reason) end)
    local ok, problem = pcall(function() failing(x):sum():backward() end)
    assert.is_false(ok)
    assert.equal(reason, problem)
    straight_through(x):sum():backward()
    assert.same({ 1 }, x:grad():totable())
  end)

  it("refuses a gradient that does not fit, and a result with a gradient of its own", function()
    local x = asl.tensor { 1, 2 }:requires_grad_(true)
    for _, wrong in ipairs { function() return asl.zeros { 3 } end, function() return asl.zeros({ 2 }, { dtype = "f64" }) end,
      function() return asl.zeros { 2, 1 } end } do
      assert.error_matches(function()
        asl.with_gradient(function(v) return v * 1 end, wrong)(x):sum():backward()
      end, "the gradient rule gave .* for an input of another shape or dtype")
    end
    assert.error_matches(function() asl.with_gradient(function(v) return v end, function() end)(x) end,
      "tensor with a gradient: it must be a float without a gradient of its own")
    assert.error_matches(function() asl.with_gradient(function() return asl.zeros({ 2 }, { dtype = "u8" }) end,
      function() end)(x) end, "u8: it must be a float without a gradient of its own")
  end)

  it("forgets its rule when backward has passed, or nothing holds the result", function()
    local held = setmetatable({}, { __mode = "k" })
    local x = asl.tensor { 1 }:requires_grad_(true)
    for use = 1, 2 do
      local rule = function(dy) return dy end
      held[rule] = true
      local y = asl.with_gradient(function(v) return v * 1 end, rule)(x)
      if use == 1 then y:sum():backward() end
    end
    collectgarbage()
    collectgarbage()
    assert.is_nil(next(held))
  end)
end)
