-- Learning-rate schedules against their closed forms, and one_cycle against PyTorch's.

local asl = require "asl"

describe("schedule", function()
  it("constant is 1", function()
    local s = asl.schedule.constant()
    for _, update in ipairs { 1, 7, 100, 1000 } do assert.equal(1, s.factor(update, 100)) end
  end)

  it("polynomial is (1 - (t-1)/T)^power", function()
    local s = asl.schedule.polynomial()
    assert.equal(1, s.factor(1, 50))
    for update = 1, 50 do assert.is_near((1 - (update - 1) / 50) ^ 0.9, s.factor(update, 50), 1e-15) end
    assert.is_near(0.25, asl.schedule.polynomial { power = 2 }.factor(51, 100), 1e-15)
  end)

  it("polynomial does not fall below its floor, also after the last update", function()
    local s = asl.schedule.polynomial { floor = 0.1 }
    assert.equal(0.1, s.factor(100, 100))
    for update = 100, 105 do
      assert.equal(0.1, s.factor(update, 100))
      assert.is_near(update <= 100 and 0.01 ^ 0.9 or 0, asl.schedule.polynomial().factor(update, 100), 1e-15)
    end
  end)

  -- torch.optim.lr_scheduler.OneCycleLR(max_lr=1, total_steps, pct_start, div_factor, final_div_factor,
  -- anneal_strategy='linear') of PyTorch 1.13: { update, rate }
  for _, case in ipairs {
    { total = 20, given = {}, { 1, 0.04 }, { 2, 1.0 }, { 3, 0.9444446666666667 }, { 4, 0.8888893333333333 },
      { 11, 0.5000020000000001 }, { 19, 0.055559333333333405 }, { 20, 4.000000000004e-06 } },
    { total = 7, given = { warmup = 0.3, start = 10.0, final = 100.0 }, { 1, 0.1 }, { 2, 0.9181818181818181 },
      { 3, 0.8165102040816327 }, { 4, 0.6126326530612245 }, { 6, 0.20487755102040828 }, { 7, 0.0010000000000000009 } },
    { total = 100, given = { warmup = 0.5 }, { 1, 0.04 }, { 2, 0.05959183673469388 }, { 3, 0.07918367346938776 },
      { 51, 0.98000008 }, { 99, 0.020003920000000064 }, { 100, 4.000000000004e-06 } },
  } do
    it(("one_cycle over %d updates is PyTorch's"):format(case.total), function()
      local s = asl.schedule.one_cycle(case.given)
      for _, point in ipairs(case) do assert.is_near(point[2], s.factor(point[1], case.total), 1e-12) end
    end)
  end

  it("one_cycle is a positive number for any number of updates", function()
    for _, warmup in ipairs { 0.0, 0.1, 0.9, 1.0 } do
      for total = 1, 30 do
        for update = 1, total do
          local factor = asl.schedule.one_cycle { warmup = warmup }.factor(update, total)
          assert.is_true(factor > 0 and factor <= 1, ("%g at %d of %d"):format(factor, update, total))
        end
      end
    end
  end)

  it("scales the rate of an optimiser", function()
    local net = asl.nn.conv2d(1, 1):materialise(1)
    local optim = asl.optim.sgd { lr = 0.5 }:bind(net)
    local before = net.flat:item()
    net.flat_gradient:fill_(1)
    optim:step(asl.schedule.polynomial { power = 1 }.factor(3, 4))
    assert.is_near(before - 0.25, net.flat:item(), 1e-7)
  end)

  it("refuses options it does not know", function()
    local ok, message = pcall(asl.schedule.polynomial, { exponent = 2 })
    assert.is_false(ok)
    assert.truthy(message:find('asl.schedule.polynomial: unknown option "exponent" (known: floor, power)', 1, true))
  end)
end)
