local asl = require "asl"
local score = require "asl.score"
local small_net = require "spec.support.small_net"

-- A network with the same logits everywhere.
local function constant_net(logits)
  local net = small_net { classes = #logits, norm = false }
  net.flat:fill_(0)
  net.head.bias:detach():copy_(asl.tensor(logits))
  return net
end

describe("scores of a data set", function()
  local set = asl.data.rooms { domain = "studio", size = { 24, 32 }, sequences = 3, frames = 5 }
  local loader

  setup(function() loader = asl.data.loader { threads = 1 } end)
  teardown(function() loader:close() end)

  local function of(net, name, data)
    return score.dataset(net, data or set, name, { loader = loader, size = { 24, 32 } })
  end

  it("are one per sample, by its id", function()
    local scores = of(small_net { classes = 40 }, "loss")
    local ids = {}
    for id, value in pairs(scores) do
      ids[#ids + 1] = id
      assert.is_true(value > 0 and value < 20)
    end
    table.sort(ids)
    assert.same(set.ids, ids)
  end)

  it("do not depend on what a sample is scored with, nor on the network's mode, and change nothing", function()
    local net = small_net { classes = 40 }
    net:train()
    local before, scores = net:digest(), of(net, "loss")
    assert.is_true(net.training)
    assert.equal(before, net:digest())
    for _, positions in ipairs { { 15 }, { 9, 3, 1 }, { 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1 } } do
      for id, value in pairs(of(net:eval(), "loss", set:subset(positions))) do assert.equal(scores[id], value) end
    end
  end)

  it("are what their names say", function()
    local function first(logits, name)
      return of(constant_net(logits), name, set:take(1))[set.ids[1]]
    end
    local logits, sum = {}, 0
    for c = 1, 40 do
      logits[c] = c % 7 / 3
      sum = sum + math.exp(logits[c])
    end
    local entropy, confidence = 0, 0
    for c = 1, 40 do
      local p = math.exp(logits[c]) / sum
      entropy, confidence = entropy - p * math.log(p), math.max(confidence, p)
    end
    assert.is_true(math.abs(entropy - first(logits, "entropy")) < 1e-5)
    assert.is_true(math.abs(confidence - first(logits, "confidence")) < 1e-6)
    local loss, pixels = 0, set:take(1):histogram()
    for c = 1, 40 do loss = loss + pixels[c] / (24 * 32) * (math.log(sum) - logits[c]) end
    assert.is_true(math.abs(loss - first(logits, "loss")) < 1e-5)
  end)

  it("that are not finite are an error naming the sample", function()
    local not_a_number = constant_net { 0, 0, 0 }
    not_a_number.flat:fill_(0 / 0)
    local ok, problem = pcall(of, not_a_number, "entropy", set:take(2))
    assert.is_false(ok)
    assert.matches('the score of "rooms/studio/train/001/0001" is %-?nan', tostring(problem))
  end)

  it("have a known metric", function()
    assert.error_matches(function() of(small_net { classes = 40 }, "entropie") end,
      'there is no metric "entropie" %(known: confidence, entropy, loss%); did you mean "entropy"?')
  end)
end)

describe("picking by score", function()
  local scores = { a = 5, b = 1, c = 3, d = 1, e = 4, f = 2 }

  it("takes the lowest, the highest, or evenly; equal ones by id", function()
    assert.same({ "b", "d", "f" }, score.pick(scores, 3, "lowest"))
    assert.same({ "a", "e", "c" }, score.pick(scores, 3, "highest"))
    assert.same({ "a", "e", "c", "f", "b", "d" }, score.pick(scores, 6, "highest"))
    assert.same({ "d", "c", "a" }, score.pick(scores, 3, "evenly")) -- of b d | f c | e a
    assert.same({ "b", "d", "f", "c", "e", "a" }, score.pick(scores, 6, "evenly"))
    assert.same({}, score.pick(scores, 0, "lowest"))
  end)

  it("refuses more than there are and unknown orders", function()
    assert.error_matches(function() score.pick(scores, 7, "lowest") end, "pick 7 of 6 samples")
    assert.error_matches(function() score.pick(scores, 2, "max") end, 'the order is "lowest", "highest" or "evenly", not "max"')
  end)
end)
