local asl = require "asl"
local ledger = require "asl.ledger"
local small_net = require "spec.support.small_net"

describe("the ledger", function()
  it("books exact multiply-adds and the clock's seconds, and passes results on", function()
    local costs = ledger.new()
    local x, w = asl.ones { 1, 8, 8, 3 }, asl.ones { 5, 1, 1, 3 }
    local a, b = costs:book("train", function(n) return asl.ops.conv2d(x, w):count(), n end, 7)
    assert.same({ 8 * 8 * 5, 7 }, { a, b })
    assert.equal(8 * 8 * 5 * 3, costs.macs.train)
    costs:book("train", asl.ops.conv2d, x, w)
    assert.equal(2 * 8 * 8 * 5 * 3, costs.macs.train)
    assert.equal(0, costs.macs.evaluate)
    assert.is_true(costs.seconds.train > 0)
  end)

  it("notes the most memory that a step took", function()
    local costs = ledger.new()
    for _, rows in ipairs { 1, 4, 2 } do
      costs:step(function()
        local scope <close> = asl.scope()
        return asl.zeros { rows, 1 << 16 }:count()
      end)
    end
    assert.equal(4 * 4 << 16, costs.step_bytes)
  end)

  it("lets the collector go on after a step that failed", function()
    assert.error_matches(function() ledger.new():step(error, "broken", 0) end, "broken")
    assert.is_true(collectgarbage "isrunning")
  end)

  it("keeps its exact part in its state", function()
    local costs, again = ledger.new(), ledger.new()
    costs.macs, costs.step_bytes = { train = 5, evaluate = 7 }, 11
    again:restore(costs:state())
    assert.same({ costs.macs, costs.step_bytes }, { again.macs, again.step_bytes })
  end)

  it("measures latency: half are faster than p50, nineteen of twenty than p95", function()
    local latency = ledger.latency(small_net { classes = 3 }, { 8, 8 }, 20)
    assert.is_true(latency.p50 > 0 and latency.p95 >= latency.p50)
  end)
end)
