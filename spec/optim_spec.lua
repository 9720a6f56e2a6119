-- Optimisers over several steps against their formulas in double precision (spec/support/oracle), their
-- state, and what is frozen.

local array = require "spec.support.oracle.array"
local asl = require "asl"
local oracle = require "spec.support.oracle"

local STEPS = 6
local ALLOWED = 3e-6 -- of the largest weight, after STEPS steps in f32

local function network()
  return asl.nn.sequential {
    { "first", asl.nn.conv2d(3, 5, { kernel = 3, bias = true }) },
    { "second", asl.nn.conv2d(5, 2, { bias = true }) },
  }:materialise(4)
end

local function random_gradient(net, step)
  net.flat_gradient:copy_(asl.randn({ net:parameter_count() }, { seed = 9, stream = step }))
end

local function factor(step) return 1 / step end

--- Takes STEPS steps with a falling factor on the learning rate; `follow(step, arrays, lr)` does the same.
local function compare(optim, slots, follow)
  local net = network()
  optim:bind(net)
  local n = net:parameter_count()
  local expected = { weight = array.of(net.flat) }
  for _, slot in ipairs(slots) do expected[slot] = array.new({ n }, 0) end
  for step = 1, STEPS do
    random_gradient(net, step)
    expected.gradient = array.of(net.flat_gradient)
    for name, values in pairs(follow(expected, step, optim.lr * factor(step))) do expected[name] = values end
    optim:step(factor(step))
  end
  assert.equal(STEPS, optim.steps)
  local scale, moved, start = 0, 0, array.of(network().flat)
  for k, w in ipairs(expected.weight) do
    scale, moved = math.max(scale, math.abs(w)), math.max(moved, math.abs(w - start[k]))
  end
  assert.is_true(moved > 0.01)
  for k, w in ipairs(array.of(net.flat)) do assert.is_near(expected.weight[k], w, ALLOWED * scale) end
end

local function sgd_formula(settings)
  return function(arrays, step, lr)
    return oracle.sgd_step(arrays, { lr = lr, momentum = settings.momentum or 0, decay = settings.decay or 0,
      nesterov = settings.nesterov and 1 or 0, first = step == 1 and 1 or 0 })
  end
end

local function adam_formula(settings, decoupled)
  return function(arrays, step, lr)
    return oracle.adam_step(arrays, { lr = lr, beta1 = settings.beta1 or 0.9, beta2 = settings.beta2 or 0.999,
      eps = settings.eps or 1e-8, decay = settings.decay or 0, decoupled = decoupled, step = step })
  end
end

describe("optimiser follows its formula:", function()
  local function sgd(name, settings)
    it(name, function() compare(asl.optim.sgd(settings), { "velocity" }, sgd_formula(settings)) end)
  end
  sgd("SGD", { lr = 0.1 })
  sgd("SGD with momentum", { lr = 0.1, momentum = 0.9 })
  sgd("SGD with momentum and weight decay", { lr = 0.05, momentum = 0.8, decay = 0.1 })
  sgd("SGD with Nesterov's momentum and weight decay", { lr = 0.05, momentum = 0.8, decay = 0.1, nesterov = true })

  local function adam(name, settings)
    it("Adam " .. name, function() compare(asl.optim.adam(settings), { "m", "v" }, adam_formula(settings, 0)) end)
    it("AdamW " .. name, function() compare(asl.optim.adamw(settings), { "m", "v" }, adam_formula(settings, 1)) end)
  end
  adam("with its defaults but the rate", { lr = 0.02 })
  adam("with other betas, eps and weight decay", { lr = 0.02, beta1 = 0.7, beta2 = 0.9, eps = 1e-3, decay = 0.3 })
end)

--- Steps first..last of an optimiser bound to a network.
local function run(net, optim, first, last)
  for step = first, last do
    random_gradient(net, step)
    optim:step()
  end
end

describe("optimiser", function()
  for _, kind in ipairs { "sgd", "adam", "adamw" } do
    local function new()
      return asl.optim[kind] { lr = 0.03, decay = 0.01, momentum = kind == "sgd" and 0.9 or nil }
    end

    it(kind .. " goes on from its state to the same bits", function()
      local whole, part, rest = network(), network(), network()
      run(whole, new():bind(whole), 1, 5)
      local before = new():bind(part)
      run(part, before, 1, 2)
      local after = new():bind(rest)
      rest:restore(part:state())
      after:restore(before:state())
      run(rest, after, 3, 5)
      assert.equal(whole:digest(), rest:digest())
      assert.not_equal(whole:digest(), part:digest())
    end)

    it(kind .. " leaves frozen parts and their state as they are, to the bit", function()
      local net = network()
      local optim = new():bind(net)
      run(net, optim, 1, 2)
      net:freeze { "first" }
      local bound = net:learning_ranges()[1][1]
      local function frozen(t) return t:slice(1, 1, bound - 1):digest() end
      local function learnt(t) return t:slice(1, bound, -1):digest() end
      local weights, others, memory = frozen(net.flat), learnt(net.flat), frozen(optim.memory[1])
      run(net, optim, 3, 4)
      assert.equal(weights, frozen(net.flat))
      assert.equal(memory, frozen(optim.memory[1]))
      assert.not_equal(others, learnt(net.flat))
    end)
  end

  it("starts anew when it is bound again", function()
    local net = network()
    local optim = asl.optim.adam { lr = 0.1 }:bind(net)
    run(net, optim, 1, 2)
    optim:bind(net)
    assert.equal(0, optim.steps)
    assert.equal(0, optim.memory[1]:abs():max():item())
  end)

  it("does nothing where the gradient is 0 and there is no decay", function()
    local net = network()
    local before = net:digest()
    for _, optim in ipairs { asl.optim.sgd { momentum = 0.9 }, asl.optim.adam(), asl.optim.adamw() } do
      net:zero_gradients()
      optim:bind(net):step()
    end
    assert.equal(before, net:digest())
  end)

  it("refuses what it cannot do", function()
    assert.has_error(function() asl.optim.sgd():step() end,
      "this optimiser is not bound to a network: call :bind(net) first")
    local state = asl.optim.sgd():bind(network()):state()
    assert.has_error(function() asl.optim.adam():bind(network()):restore(state) end, "the state is sgd's, this is adam")
    local ok, message = pcall(asl.optim.sgd, { rate = 1 })
    assert.is_false(ok)
    assert.truthy(message:find('asl.optim.sgd: unknown option "rate" (known: decay, lr, momentum, nesterov)', 1, true))
    ok, message = pcall(asl.optim.adam, { lr = "fast" })
    assert.is_false(ok)
    assert.truthy(message:find('asl.optim.adam: option "lr" must be a number, not the string "fast"', 1, true))
  end)
end)
