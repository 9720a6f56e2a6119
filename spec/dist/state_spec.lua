-- What computing shards changes in a network beside its gradient.

local asl = require "asl"
local shards = require "asl.shards"
local small_net = require "spec.support.small_net"

local function picture(s) return asl.rand({ 2, 4, 4, 3 }, { seed = s }) end

-- Running statistics after shard s alone, from those of `net`.
local function after_shard(net, s)
  local copy = net:clone():train()
  copy.body(picture(s))
  return copy.flat_buffer
end

local function in_shards(net, n, compute)
  local state = shards.state(net:train(), n)
  for s = 1, n do
    state:enter(s)
    compute(s)
    state:leave(s)
  end
  return state:finish()
end

describe("running statistics", function()
  it("of one shard are as the shard left them", function()
    local net = small_net { classes = 3 }
    local expected = after_shard(net, 1)
    in_shards(net, 1, function(s) net.body(picture(s)) end)
    assert.equal(expected:digest(), net.flat_buffer:digest())
  end)

  it("of several are the mean of what each would have left alone, by the tree", function()
    for _, n in ipairs { 2, 3, 4, 8 } do
      local net = small_net { classes = 3 }
      net.flat_buffer:copy_(asl.rand({ net.flat_buffer:count() }, { seed = 9 }))
      local before, changes = net.flat_buffer:clone(), {}
      for s = 1, n do changes[s] = after_shard(net, s) - before end
      while #changes > 1 do -- neighbours in pairs, level by level; of three or less the last is left over
        local level = {}
        for k = 1, #changes, 2 do level[#level + 1] = changes[k + 1] and changes[k] + changes[k + 1] or changes[k] end
        changes = level
      end
      in_shards(net, n, function(s) net.body(picture(s)) end)
      assert.equal((before + changes[1] * (1 / n)):digest(), net.flat_buffer:digest())
    end
  end)

  it("move by momentum once per update: of equal shards as of one", function()
    local one, four = small_net { classes = 3 }, small_net { classes = 3 }
    in_shards(one, 1, function() one.body(picture(1)) end)
    in_shards(four, 4, function() four.body(picture(1)) end)
    assert.is_true((one.flat_buffer - four.flat_buffer):abs():max():item() < 1e-6)
  end)

  it("of a frozen part stay as they are, bit for bit", function()
    local net = small_net { classes = 3 }
    net.flat_buffer:copy_(asl.rand({ net.flat_buffer:count() }, { seed = 9 }))
    local before = net.flat_buffer:digest()
    net:freeze { "body" }
    in_shards(net, 3, function(s) net.body(picture(s)) end)
    assert.equal(before, net.flat_buffer:digest())
  end)
end)

describe("the counter of dropout", function()
  it("of a shard does not depend on what the shards before it did", function()
    local net, seen = small_net { classes = 3 }, {}
    net.counter = 10
    in_shards(net, 4, function(s)
      seen[s] = net.counter
      net.counter = net.counter + s
    end)
    assert.same({ 10, 266, 522, 778 }, seen)
    assert.equal(10 + 4 * 256, net.counter)
  end)

  it("of one shard counts its passes", function()
    local net = small_net { classes = 3 }
    in_shards(net, 1, function() net.counter = net.counter + 3 end)
    assert.equal(3, net.counter)
  end)

  it("has room for 256 passes of a shard", function()
    local net = small_net { classes = 3 }
    in_shards(net, 2, function() net.counter = net.counter + 256 end)
    assert.error_matches(function() in_shards(net, 2, function() net.counter = net.counter + 257 end) end,
      "a shard made 257 passes through the network, at most 256 are possible")
  end)
end)

describe("the memory of a shard", function()
  it("is the most that one took beyond what was there before it", function()
    local net, kept = small_net { classes = 3 }, {} -- kept: so that the collector leaves them
    local bytes = in_shards(net, 3, function(s)
      kept[s] = asl.zeros { s * 1024 } -- stays
      asl.zeros({ 5 * 1024 }):release()
    end)
    assert.equal(4 * (3 + 5) * 1024, bytes)
    assert.equal(3, #kept)
  end)
end)
