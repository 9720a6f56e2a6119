-- Shards: a batch in parts, whose gradients are summed by a fixed tree.

local asl = require "asl"
local shards = require "asl.shards"

--- A network whose gradient is all that matters.
local function network() return asl.nn.conv2d(9, 11, { bias = true }):materialise(1) end

--- Shard s's gradient; sums of these depend on the order.
local function gradient(net, s)
  local r = asl.randn({ net:parameter_count() }, { seed = s })
  return (r * 3):exp() * r
end

describe("shards", function()
  it("cut a batch into equal ranges of rows", function()
    assert.same({ { 1, 2 }, { 3, 4 }, { 5, 6 } }, shards.ranges(6, 3))
    assert.same({ { 1, 5 } }, shards.ranges(5, 1))
    assert.has_error(function() shards.ranges(8, 3) end, "a batch of 8 rows does not divide into 3 shards")
  end)

  -- The tree over shard numbers, written out.
  local trees = {
    function(g) return g(1) end,
    function(g) return g(1) + g(2) end,
    function(g) return (g(1) + g(2)) + g(3) end,
    function(g) return (g(1) + g(2)) + (g(3) + g(4)) end,
    function(g) return ((g(1) + g(2)) + (g(3) + g(4))) + g(5) end,
    function(g) return ((g(1) + g(2)) + (g(3) + g(4))) + (g(5) + g(6)) end,
    function(g) return ((g(1) + g(2)) + (g(3) + g(4))) + ((g(5) + g(6)) + g(7)) end,
    function(g) return ((g(1) + g(2)) + (g(3) + g(4))) + ((g(5) + g(6)) + (g(7) + g(8))) end,
  }
  for n, tree in ipairs(trees) do
    it(("leave the sum of %d gradients by the tree, bit for bit"):format(n), function()
      local net, order = network(), {}
      shards.gradients(net, n, function(s)
        order[#order + 1] = s
        assert.equal(0, net.flat_gradient:abs():max():item())
        net.flat_gradient:add_(gradient(net, s))
      end)
      local expected = tree(function(s) return gradient(net, s) end)
      assert.equal(expected:digest(), net.flat_gradient:digest())
      assert.equal(n, #order)
    end)
  end

  it("matter: another order gives other bits", function()
    local net = network()
    local function g(s) return gradient(net, s) end
    assert.not_equal(trees[4](g):digest(), (((g(1) + g(2)) + g(3)) + g(4)):digest())
  end)

  it("of a real loss give the gradient of the whole batch", function()
    local net = asl.nn.conv2d(3, 4, { kernel = 3, bias = true }):materialise(2)
    local image = asl.randn({ 4, 9, 8, 3 }, { seed = 1 })
    local label = asl.ops.cast(asl.rand({ 4, 7, 6 }, { seed = 2 }) * 3, { dtype = "u8" })
    label:slice(1, 2):fill_(asl.IGNORE)
    local valid = asl.ops.count_valid(label):item()
    local function gradient_of(n)
      shards.gradients(net, n, function(s)
        local range = shards.ranges(4, n)[s]
        local part, truth = image:slice(1, range[1], range[2]), label:slice(1, range[1], range[2])
        asl.loss.cross_entropy(net(part), truth, { normaliser = valid }):backward()
      end)
      return net.flat_gradient:clone()
    end
    local whole, parts = gradient_of(1), gradient_of(4)
    assert.is_true((whole - parts):abs():max():item() <= 1e-6 * whole:abs():max():item())
  end)
end)
