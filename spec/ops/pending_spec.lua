-- Blocks whose result is normalised where it is read: the same values as when it is computed at once, in memory
-- only when somebody looks, and a gradient that does not notice whether anybody did.

local array = require "spec.support.oracle.array"
local asl = require "asl"
local ops = asl.ops

local function normal(shape, stream, scale) return asl.randn(shape, { seed = 7, stream = stream }) * (scale or 1) end

--- A block's parameters, as leaves.
local function parameters(inputs, outputs, kernel, groups, stream)
  local p = { weight = normal({ outputs, kernel, kernel, inputs // groups }, stream, 0.4),
    gamma = normal({ outputs }, stream + 1, 0.2) + 1, beta = normal({ outputs }, stream + 2) }
  for _, leaf in pairs(p) do leaf:requires_grad_() end
  p.mean, p.var = asl.zeros { outputs }, asl.ones { outputs }
  return p
end

local function block(x, p, options)
  return ops.conv_bn_act(x, p.weight, nil, p.gamma, p.beta, p.mean, p.var, options)
end

--- The same from ops that compute their results at once.
local function plain(x, p, options)
  local z = ops.conv2d(x, p.weight, nil, { stride = options.stride, padding = options.padding,
    dilation = options.dilation, groups = options.groups })
  return ops.batch_norm(z, p.gamma, p.beta, p.mean, p.var, { relu = options.relu, training = options.training })
end

-- What reads the pending result of the first block: channels, kernel, groups and the rest.
local CONSUMERS = {
  ["a 1x1 convolution"] = { 11, 1, 1, {} },
  ["a wide 1x1 convolution"] = { 75, 1, 1, { relu = false } },
  ["a depthwise convolution"] = { 19, 3, 19, { padding = 1, groups = 19 } },
  ["a depthwise convolution with stride 2"] = { 19, 3, 19, { padding = 1, groups = 19, stride = 2 } },
  ["a depthwise convolution, 5x5, dilated"] = { 19, 5, 19, { padding = 3, groups = 19, dilation = 2 } },
  ["a depthwise convolution with a stride beyond its kernel"] = { 19, 2, 19, { groups = 19, stride = 3 } },
  ["a dense 3x3 convolution"] = { 6, 3, 1, { padding = 1 } },
  ["a 1x1 convolution with stride 2"] = { 6, 1, 1, { stride = 2 } },
}
local NAMES = {}
for name in pairs(CONSUMERS) do NAMES[#NAMES + 1] = name end
table.sort(NAMES)

--- Two blocks; `look` sees the first one's result before the backward pass.
local function chain(first, second, name, relu, look)
  local outputs, kernel, groups, options = table.unpack(CONSUMERS[name])
  local given = { relu = options.relu ~= false }
  for key, value in pairs(options) do given[key] = value end
  local x = normal({ 2, 9, 7, 5 }, 90):requires_grad_()
  local p, q = parameters(5, 19, 3, 1, 10), parameters(19, outputs, kernel, groups, 20)
  local y = first(x, p, { padding = 1, relu = relu })
  local result = second(y, q, given)
  if look then look(y) end
  local loss = (result * normal(result:shape(), 91)):sum()
  loss:backward()
  return { y = y, result = result, x = x:grad(), weight = p.weight:grad(), gamma = p.gamma:grad(),
    beta = p.beta:grad(), second_weight = q.weight:grad(), second_gamma = q.gamma:grad() }
end

local function assert_close(expected, got, allowed, what)
  local a, b, scale = array.of(expected), array.of(got), 1 -- of the smallest sums
  assert.same(a.shape, b.shape, what)
  for _, v in ipairs(a) do scale = math.max(scale, math.abs(v)) end
  for k, v in ipairs(a) do
    assert.near(v, b[k], allowed * scale, what .. " " .. k)
  end
end

describe("the pending result of a block", function()
  for _, name in ipairs(NAMES) do
    for _, relu in ipairs { true, false } do
      local title = name .. (relu and "" or ", without ReLU")

      it("read by " .. title .. ", is what plain ops compute, and so are the gradients", function()
        local fused, expected = chain(block, block, name, relu), chain(plain, plain, name, relu)
        for key, value in pairs(expected) do assert_close(value, fused[key], 1e-5, key) end
      end)

      it("read by " .. title .. ", gives the same bits when somebody has looked at it", function()
        local unseen = chain(block, block, name, relu)
        local seen = chain(block, block, name, relu, function(y) y:totable() end)
        for key, value in pairs(unseen) do assert.equal(value:digest(), seen[key]:digest(), key) end
      end)
    end
  end

  it("takes no memory until it is read", function()
    local p = parameters(5, 64, 1, 1, 30)
    local x = normal({ 1, 64, 64, 5 }, 92)
    block(x, p, {}) -- scratch memory is there
    collectgarbage()
    local before = asl.memory().live
    local y = block(x, p, {})
    local pending = asl.memory().live - before
    y:digest()
    local read = asl.memory().live - before
    local bytes = y:count() * 4
    assert.is_true(pending >= bytes and pending < 1.2 * bytes, ("%d bytes for z of %d"):format(pending, bytes))
    assert.equal(bytes, read - pending)
  end)

  it("is not affected by what later happens to the parameters", function()
    local p = parameters(5, 8, 1, 1, 40)
    local x = normal({ 1, 6, 6, 5 }, 93)
    local expected = block(x, p, {}):digest()
    local y = block(x, p, {})
    asl.no_grad(function()
      p.gamma:fill_(3)
      p.beta:fill_(-1)
    end)
    assert.equal(expected, y:digest())
  end)

  it("can be viewed, detached and changed", function()
    local p = parameters(5, 8, 1, 1, 50)
    local x = normal({ 2, 6, 6, 5 }, 94)
    local expected = block(x, p, {}):totable()
    assert.same(expected[2], block(x, p, {}):select(1, 2):totable())
    assert.same(expected[1][3], block(x, p, {}):reshape(12, 6, 8):select(1, 3):totable())
    local y = block(x, p, {}):detach()
    y:fill_(2)
    assert.equal(2 * y:count(), y:sum():item())
    assert.equal(2 * 8, ops.conv2d(y, asl.ones { 1, 1, 1, 8 }):totable()[1][1][1][1])
    local q = parameters(8, 3, 1, 1, 60)
    local from_values = asl.full({ 2, 6, 6, 8 }, 2)
    assert.equal(block(from_values, q, { training = false }):digest(), block(y, q, { training = false }):digest())
  end)

  it("is complete where gradients end in it and in two blocks", function()
    local function both(first, second)
      local x = normal({ 2, 8, 8, 5 }, 95):requires_grad_()
      local p = parameters(5, 16, 1, 1, 70)
      local a, b = parameters(16, 7, 1, 1, 75), parameters(16, 16, 3, 16, 80)
      local y = first(x, p, { relu = true })
      local one = second(y, a, { relu = true })
      local two = second(y, b, { relu = true, padding = 1, groups = 16 })
      ;((one * normal(one:shape(), 96)):sum() + (two * normal(two:shape(), 97)):sum() + y:sum()):backward()
      return { x = x:grad(), gamma = p.gamma:grad(), beta = p.beta:grad() }
    end
    local fused, expected = both(block, block), both(plain, plain)
    for key, value in pairs(expected) do assert_close(value, fused[key], 1e-5, key) end
  end)

  it("is normalised with running statistics, too", function()
    local function frozen(first)
      local x = normal({ 2, 8, 8, 5 }, 98):requires_grad_()
      local p, q = parameters(5, 16, 1, 1, 100), parameters(16, 7, 1, 1, 105)
      p.mean:fill_(0.3)
      q.var:fill_(2)
      local y = first(first(x, p, { relu = true, training = false }), q, { relu = true, training = false })
      ;(y * normal(y:shape(), 99)):sum():backward()
      return { x = x:grad(), gamma = p.gamma:grad(), weight = q.weight:grad(), y = y }
    end
    local fused, expected = frozen(block), frozen(plain)
    for key, value in pairs(expected) do assert_close(value, fused[key], 1e-5, key) end
  end)
end)
