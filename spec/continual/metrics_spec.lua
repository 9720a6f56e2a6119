local metrics = require "asl.metrics"

local function close(expected, value)
  assert.is_true(value ~= nil and math.abs(expected - value) < 1e-12, ("%s is not %s"):format(value, expected))
end

describe("metrics of one confusion matrix", function()
  it("leave out a class that neither occurs nor is predicted", function()
    local m = { { 5, 1, 0 }, { 2, 3, 0 }, { 0, 0, 0 } }
    local iou = metrics.class_iou(m)
    close(5 / 8, iou[1])
    close(3 / 6, iou[2])
    assert.is_nil(iou[3])
    close((5 / 8 + 1 / 2) / 2, metrics.miou(m))
    close(8 / 11, metrics.pixel_accuracy(m))
  end)

  it("charge a hallucinated class to the class it was taken for", function()
    local m = { { 5, 0, 1 }, { 0, 4, 0 }, { 0, 0, 0 } }
    local iou = metrics.class_iou(m)
    close(5 / 6, iou[1])
    close(1, iou[2])
    close(0, iou[3])
    close((5 / 6 + 1) / 2, metrics.miou(m))
  end)

  it("count a class that occurs and is never found as 0", function()
    close(0.3, metrics.miou { { 6, 0 }, { 4, 0 } })
    close(0.6, metrics.pixel_accuracy { { 6, 0 }, { 4, 0 } })
  end)

  it("do not exist when no pixel is labelled", function()
    local m = { { 0, 0 }, { 0, 0 } }
    assert.is_nil(metrics.miou(m))
    assert.is_nil(metrics.pixel_accuracy(m))
    assert.same({}, metrics.class_iou(m))
  end)

  it("hold whole pixels of the largest test sets", function()
    local many = 1 << 52
    close(0.5, metrics.pixel_accuracy { { many, many }, { 0, 0 } })
  end)
end)

describe("metrics of R", function()
  local R = { [0] = { 0.1, 0.2, 0.3 }, { 0.6, 0.25, 0.35 }, { 0.5, 0.7, 0.4 }, { 0.4, 0.8, 0.9 } }

  it("are what their papers say", function()
    close(0.7, metrics.acc_final(R, 3)) -- (0.4 + 0.8 + 0.9) / 3
    close(-0.05, metrics.bwt_gem(R, 3)) -- ((0.4 - 0.6) + (0.8 - 0.7)) / 2
    close(0.05, metrics.forgetting_rwalk(R, 3)) -- ((0.6 - 0.4) + (0.7 - 0.8)) / 2
    close(0.075, metrics.fwt_0(R, 3)) -- ((0.25 - 0.2) + (0.4 - 0.3)) / 2
    close(2.2 / 3, metrics.learning_accuracy(R, 3)) -- (0.6 + 0.7 + 0.9) / 3
    close((0.4 / 0.6 + 0.8 / 0.7) / 2, metrics.stability(R, 3))
    close(-10, metrics.delta_joint(R[3], { 0.5, 0.8, 1.0 })) -- 100 (-0.2 + 0 - 0.1) / 3
  end)

  it("look for the best of all rows before the last when they say what was forgotten", function()
    local rising = { [0] = { 0, 0, 0 }, { 0.3, 0, 0 }, { 0.8, 0.5, 0 }, { 0.4, 0.5, 0.5 } }
    close(0.2, metrics.forgetting_rwalk(rising, 3)) -- ((0.8 - 0.4) + (0.5 - 0.5)) / 2
    close(0.05, metrics.bwt_gem(rising, 3)) -- ((0.4 - 0.3) + 0) / 2
  end)

  it("use only the columns of tasks when there are more tests", function()
    local more = { [0] = { 0.1, 0.2, 0.9 }, { 0.6, 0.25, 0.9 }, { 0.5, 0.7, 0.9 } }
    close(0.6, metrics.acc_final(more, 2))
    close(-0.1, metrics.bwt_gem(more, 2))
  end)

  it("leave out what cannot be divided", function()
    local R0 = { [0] = { 0, 0 }, { 0, 0 }, { 0.5, 0.5 } }
    assert.is_nil(metrics.stability(R0, 2))
    close(-50, metrics.delta_joint({ 0.5, 0.4 }, { 0, 0.8 }))
  end)

  it("of one task are those that one task defines", function()
    assert.same({ acc_final = 0.6, learning_accuracy = 0.6 }, metrics.all({ [0] = { 0.1 }, { 0.6 } }, 1))
    local names = {}
    for name in pairs(metrics.all(R, 3)) do names[#names + 1] = name end
    table.sort(names)
    assert.same({ "acc_final", "bwt_gem", "forgetting_rwalk", "fwt_0", "learning_accuracy", "stability" }, names)
  end)

  it("over seeds are mean and range", function()
    local over = metrics.over_seeds { 0.2, 0.5, 0.2 }
    close(0.3, over.mean)
    assert.same({ 0.2, 0.5, 3 }, { over.low, over.high, over.n })
  end)
end)
