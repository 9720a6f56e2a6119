local asl = require "asl"
local feed = require "asl.feed"
local mix = require "asl.mix"
local shards = require "asl.shards"

local function data_of(n)
  local ids = {}
  for i = 1, n do ids[i] = "sample " .. i end
  return setmetatable({ ids = ids }, { __len = function() return n end })
end

-- Gives every batch the positions it was asked for as its image.
local function fake_loader()
  local loader = { requests = {} }
  function loader:request(given)
    self.requests[#self.requests + 1] = given
    return #self.requests
  end
  function loader:wait(ticket)
    local positions = {}
    for row, entry in ipairs(self.requests[ticket].rows) do positions[row] = entry.position end
    return { image = positions, label = positions }
  end
  return loader
end

local function make(more)
  local given = { loader = fake_loader(), data = data_of(10), rows = 4, size = { 8, 8 }, seed = 1, task = 1, updates = 20,
    replayed_before = function() return 0 end }
  for key, value in pairs(more or {}) do given[key] = value end
  return feed(given), given.loader
end

local function all_positions(source, updates)
  local all = {}
  for t = 1, updates do
    for _, position in ipairs(source:positions(t)) do all[#all + 1] = position end
  end
  return all
end

describe("the feed", function()
  it("goes through the data in one permutation per epoch", function()
    local all, epochs = all_positions(make(), 20), {}
    assert.equal(80, #all)
    for epoch = 1, 8 do
      local seen = {}
      for p = 10 * epoch - 9, 10 * epoch do
        assert.is_nil(seen[all[p]])
        seen[all[p]] = true
      end
      epochs[epoch] = table.concat(all, " ", 10 * epoch - 9, 10 * epoch)
      for earlier = 1, epoch - 1 do assert.not_equal(epochs[earlier], epochs[epoch]) end
    end
  end)

  it("has another order for another task and another seed", function()
    local order = table.concat(all_positions(make(), 20), " ")
    assert.equal(order, table.concat(all_positions(make(), 20), " "))
    assert.not_equal(order, table.concat(all_positions(make { task = 2 }, 20), " "))
    assert.not_equal(order, table.concat(all_positions(make { seed = 2 }, 20), " "))
  end)

  it("gives the same rows wherever it is begun", function()
    local whole = make()
    local batches = {}
    for t = 1, 20 do batches[t] = whole:next(t) end
    for _, first in ipairs { 2, 7, 20 } do
      local later = make()
      for t = first, 20 do
        local batch = later:next(t)
        assert.same(batches[t].ids, batch.ids)
        assert.same(batches[t].image, batch.image)
      end
    end
    for t = 1, 20 do
      for row, position in ipairs(batches[t].image) do assert.equal("sample " .. position, batches[t].ids[row]) end
    end
  end)

  it("does not load the rows that memory replaces, and loses none by it", function()
    local function replayed_before(t) return mix.replayed_before(t, 0.29, 4) end
    local without = all_positions(make(), 20)
    local with = all_positions(make { replayed_before = replayed_before }, 20)
    assert.equal(80 - 23, #with) -- floor(0.29 * 4 * 20) = 23
    for p, position in ipairs(with) do assert.equal(without[p], position) end
  end)

  it("asks for nothing where memory replaces the whole batch", function()
    local source, loader = make { replayed_before = function(t) return 4 * (t - 1) end }
    local batch = source:next(1)
    assert.same({ ids = {} }, batch)
    assert.equal(0, #loader.requests)
  end)

  it("asks two batches ahead and not beyond the end", function()
    local source, loader = make { updates = 4 }
    local asked = {}
    for t = 1, 4 do
      source:next(t)
      asked[t] = #loader.requests
    end
    assert.same({ 3, 4, 4, 4 }, asked)
    assert.is_true(loader.requests[1].step ~= loader.requests[2].step)
  end)
end)

describe("shards", function()
  it("are equal ranges of rows", function()
    assert.same({ { 1, 8 } }, shards.ranges(8, 1))
    assert.same({ { 1, 2 }, { 3, 4 }, { 5, 6 }, { 7, 8 } }, shards.ranges(8, 4))
    assert.error_matches(function() shards.ranges(8, 3) end, "a batch of 8 rows does not divide into 3 shards")
  end)

  -- The sum of the shards' gradients, each a single f32.
  local function sum_of(values)
    local net = { flat_gradient = asl.zeros { 1 } }
    function net:zero_gradients() self.flat_gradient:fill_(0) end
    shards.gradients(net, #values, function(s)
      assert.equal(0, net.flat_gradient:sum():item())
      net.flat_gradient:fill_(values[s])
    end)
    return net.flat_gradient:sum():item()
  end

  it("are summed by a fixed tree", function()
    local big = 1e8 -- big + 1 = big in f32, so the order shows
    assert.equal(7, sum_of { 7 })
    assert.equal(3, sum_of { 1, 2 })
    assert.equal(1, sum_of { big, -big, 1 }) -- (a + b) + c
    assert.equal(0, sum_of { big, 1, -big }) -- (a + b) + c
    assert.equal(0, sum_of { big, 1, -big, 1 }) -- (a + b) + (c + d)
    assert.equal(2, sum_of { big, -big, 1, 1 })
    assert.equal(5, sum_of { big, 1, -big, 1, 5 }) -- ((a + b) + (c + d)) + e
    assert.equal(21, sum_of { 1, 2, 3, 4, 5, 6 })
  end)
end)
