-- Synchronised batch norm: shards that share statistics are one batch.

local asl = require "asl"
local lockstep = require "asl.lockstep"
local small_net = require "spec.support.small_net"
local strategy = require "asl.strategy"

local AT = { step = 1, updates = 10, before = 0, all = 10 }

-- Rows that differ much, so that statistics of a part are not those of all.
local function batch_of(rows, side)
  local image = asl.zeros({ rows, side, side, 3 }, { dtype = "u8" })
  for row = 1, rows do
    image:slice(1, row):copy_((asl.rand({ 1, side, side, 3 }, { seed = row }) * (17 * row)):to "u8")
  end
  local label = (asl.rand({ rows, side, side }, { seed = 99 }) * 2.4):to "u8"
  label:slice(1, 1):fill_(asl.IGNORE)
  return { image = image, label = label, replayed = asl.mix.positions(rows, 0) }
end

local function fast_scnn(given)
  local net = asl.models.fast_scnn { classes = 3, seed = 3, aux = given and given.aux or false }
  net.dropout = 0 -- its masks are those of the shards
  local clone = net.clone
  function net:clone()
    local copy = clone(self)
    copy.dropout = 0
    return copy
  end
  return net
end

local Blocks = asl.nn.class "Blocks"

--- Blocks with strides, groups, a residual and no ReLU, whose kinks would magnify rounding.
local function blocks()
  local self, conv = Blocks:new(), asl.nn.conv_bn_act
  self.first = self:add("first", conv(3, 8, { kernel = 3, stride = 2, padding = 1, relu = false }))
  self.depthwise = self:add("depthwise", conv(8, 8, { kernel = 3, padding = 1, groups = 8, relu = false, bias = true }))
  self.last = self:add("last", conv(8, 8, { relu = false }))
  self.head = self:add("head", asl.nn.conv2d(8, 3, { bias = true }))
  return self:materialise(2)
end

function Blocks:forward(image)
  local x = self.first(asl.ops.normalise(image))
  return self.head(self.last(self.depthwise(x), x))
end

function Blocks:clone()
  local copy = blocks()
  copy:restore(self:state())
  return copy
end

local function learner(net, given)
  local options = { net = net, optim = asl.optim.sgd { lr = 0.1 } }
  for key, value in pairs(given) do options[key] = value end
  return strategy.naive(options)
end

--- One update; what it leaves.
local function updated(make, batch, given)
  local net = make()
  local self = learner(net, given)
  local result = self:step(batch, AT)
  return { loss = result.loss, gradient = net.flat_gradient:clone(), buffers = net.flat_buffer:clone(),
    weights = net.flat:clone(), digest = net:digest(), net = net }
end

local function deviation(a, b)
  return ((a - b):abs():max() / b:abs():max()):item()
end

describe("synchronised batch norm", function()
  local cases = {
    { "of a small network", function() return small_net { classes = 3 } end, 8, 6e-6 },
    { "of blocks with a residual", blocks, 16, 6e-6 },
  }
  for _, case in ipairs(cases) do
    local name, make, side, tolerance = table.unpack(case)
    for _, n in ipairs { 2, 4 } do
      it(("%s in %d shards is that of the whole batch"):format(name, n), function()
        local batch = batch_of(4, side)
        local whole = updated(make, batch, { shards = 1 })
        local parts = updated(make, batch, { shards = n, batch_norm = "synchronised" })
        assert.near(whole.loss, parts.loss, 1e-6 * whole.loss)
        assert.is_true(deviation(parts.gradient, whole.gradient) < tolerance, deviation(parts.gradient, whole.gradient))
        assert.is_true(deviation(parts.buffers, whole.buffers) < 2e-6, deviation(parts.buffers, whole.buffers))
        local apart = n == 2 and updated(make, batch, { shards = n })
        if apart then assert.is_true(deviation(apart.gradient, whole.gradient) > 100 * tolerance) end
      end)
    end
  end

  it("of Fast-SCNN with two heads is that of the whole batch", function()
    local function make() return fast_scnn { aux = true } end
    local batch = batch_of(4, 64)
    local whole, parts = updated(make, batch, {}), updated(make, batch, { shards = 2, batch_norm = "synchronised" })
    assert.near(whole.loss, parts.loss, 1e-6 * whole.loss)
    assert.is_true(deviation(parts.buffers, whole.buffers) < 2e-6, deviation(parts.buffers, whole.buffers))
    -- Below the heads ReLU flips where a value lies within rounding of 0.
    for i, entry in ipairs(whole.net.parameters_) do
      if entry.path:find "^classifier%.conv" or entry.path:find "^auxlayer" then
        assert.is_true(deviation(parts.net.parameters_[i].gradient, entry.gradient) < 1e-4, entry.path)
      end
    end
  end)

  it("is the same in every update, with shards of seven", function() -- more than concat takes at once
    local function make() return small_net { classes = 3 } end
    local batch = batch_of(14, 8)
    local one, seven = learner(make(), { shards = 1 }), learner(make(), { shards = 7, batch_norm = "synchronised" })
    for step = 1, 5 do
      local at = { step = step, updates = 5, before = 0, all = 5 }
      assert.near(one:step(batch, at).loss, seven:step(batch, at).loss, 1e-5)
    end
    assert.is_true(deviation(seven.net.flat, one.net.flat) < 1e-5)
    assert.is_true(deviation(seven.net.flat_buffer, one.net.flat_buffer) < 1e-5)
  end)

  it("leaves frozen parts alone", function()
    local net = fast_scnn()
    local before = {}
    for path, view in net:buffers() do before[path] = view:digest() end
    net:freeze { "learning_to_downsample" }
    learner(net, { shards = 2, batch_norm = "synchronised" }):step(batch_of(2, 64), AT)
    for path, view in net:buffers() do
      assert.equal(path:find "^learning_to_downsample" ~= nil, before[path] == view:digest(), path)
    end
    for path, _, entry in net:parameters() do
      assert.equal(path:find "^learning_to_downsample" ~= nil, entry.gradient:abs():max():item() == 0, path)
    end
  end)

  it("moves the counter of dropout as shards do", function()
    local apart = updated(function() return asl.models.fast_scnn { classes = 3 } end, batch_of(4, 64), { shards = 2 })
    local together = updated(function() return asl.models.fast_scnn { classes = 3 } end, batch_of(4, 64),
      { shards = 2, batch_norm = "synchronised" })
    assert.equal(apart.net.counter, together.net.counter)
  end)

  it("is not for split passes", function()
    assert.has_error(function()
      learner(small_net { classes = 3 }, { shards = 2, batch_norm = "synchronised", forward = "split" })
    end, 'asl.strategy.naive: batch_norm = "synchronised" needs forward = "joint": a split pass is there to keep '
      .. "statistics apart")
  end)

  it("says when shards part company, or a scope stays open", function()
    local net = small_net { classes = 3 }
    local images = batch_of(2, 8).image
    local function loss(of, s, passes)
      local sum
      for _ = 1, passes do
        local value = of(images:slice(1, s)):mean()
        sum = sum and sum + value or value
      end
      return sum
    end
    assert.error_matches(function()
      lockstep.new(net, 2):gradients(function(of, s) return loss(of, s, s) end)
    end, "1 of 2 shards made one pass more through the network than the others", 1, true)
    assert.error_matches(function()
      lockstep.new(net, 2):gradients(function(of, s)
        local scope <close> = asl.scope()
        return scope:keep(loss(of, s, 1))
      end)
    end, "a scope is open across a pass through the network", 1, true)
  end)
end)
