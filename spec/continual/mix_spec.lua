local mix = require "asl.mix"

describe("the plan of replayed rows", function()
  it("has the exact share in the long run and is never off by a row", function()
    for _, share in ipairs { 0, 0.1, 0.29, 1 / 3, 0.5, 0.9, 1.0 } do
      for _, rows in ipairs { 1, 2, 3, 6, 8, 16, 33 } do
        local sum, wrong = 0, nil
        for t = 1, 1000 do
          local n = mix.replayed(t, share, rows)
          local right = n >= math.floor(share * rows) and n <= math.ceil(share * rows)
            and sum == mix.replayed_before(t, share, rows)
          sum = sum + n
          right = right and math.abs(sum - t * share * rows) < 1 + 1e-5
          wrong = wrong or not right and t or nil
        end
        assert.is_nil(wrong, ("share %g of %d rows, step %s"):format(share, rows, wrong))
        assert.equal(math.floor(1000 * share * rows + 1e-6), sum)
      end
    end
  end)

  it("counts a share that binary numbers cannot hold as people write it", function()
    assert.equal(290000, mix.replayed_before(100001, 0.29, 10))
    assert.equal(100000, mix.replayed_before(1000001, 0.1, 1))
    assert.equal(800000, mix.replayed_before(300001, 1 / 3, 8))
  end)

  it("spreads replayed rows evenly: every part of a batch has its part", function()
    for rows = 1, 17 do
      for n = 0, rows do
        local replaced = mix.positions(rows, n)
        local uneven = #replaced ~= rows
        for first = 1, rows do
          local count = 0
          for last = first, rows do
            count = count + (replaced[last] and 1 or 0)
            local expected = (last - first + 1) * n / rows
            uneven = uneven or math.abs(count - expected) >= 1
          end
        end
        assert.is_false(uneven, ("%d of %d rows"):format(n, rows))
      end
    end
    assert.same({ false, true, false, true }, mix.positions(4, 2))
  end)
end)

describe("the draw of past tasks", function()
  -- 99.99 % quantiles of chi-square; the draws are fixed by the seed, so this either holds or does not.
  local CRITICAL = { 15.1, 18.4, 21.1 }

  local function chi_square(counts, weights)
    local total, n, sum, free = 0, 0, 0, -1
    for i, w in ipairs(weights) do total, n = total + w, n + counts[i] end
    for i, w in ipairs(weights) do
      if w > 0 then
        local expected = n * w / total
        sum, free = sum + (counts[i] - expected) ^ 2 / expected, free + 1
      end
    end
    return sum, CRITICAL[free]
  end

  local function counts_of(seed, weights, steps, n)
    local counts = {}
    for i in ipairs(weights) do counts[i] = 0 end
    for step = 1, steps do
      for _, task in ipairs(mix.draw_tasks(seed, step, n, weights)) do counts[task] = counts[task] + 1 end
    end
    return counts
  end

  it("is categorical: 20,000 draws match the weights", function()
    for seed, weights in ipairs { { 1, 1 }, { 1, 1, 1 }, { 10, 1, 1 }, { 1, 2, 0, 5 }, { 0.05, 0.2, 0.75 }, { 0, 3, 1, 0 } } do
      local counts = counts_of(seed, weights, 2500, 8)
      local sum, critical = chi_square(counts, weights)
      assert.is_true(sum < critical, ("weights %s: counts %s"):format(table.concat(weights, " "), table.concat(counts, " ")))
      for i, w in ipairs(weights) do
        if w == 0 then assert.equal(0, counts[i]) end
      end
    end
  end)

  it("has slots that are independent of each other", function()
    local pairs_of = { 0, 0, 0, 0 }
    for step = 1, 5000 do
      local tasks = mix.draw_tasks(3, step, 2, { 1, 1 })
      local cell = 2 * (tasks[1] - 1) + tasks[2]
      pairs_of[cell] = pairs_of[cell] + 1
    end
    local sum, critical = chi_square(pairs_of, { 1, 1, 1, 1 })
    assert.is_true(sum < critical)
  end)

  it("is a pure function of seed, step and weights", function()
    local weights = { 1, 2, 3 }
    assert.same(mix.draw_tasks(1, 5, 8, weights), mix.draw_tasks(1, 5, 8, weights))
    assert.same(mix.draw_tasks(1, 5, 8, weights), mix.draw_tasks(1, 5, 8, { 10, 20, 30 }))
    assert.same(mix.draw_tasks(1, 5, 3, weights), { table.unpack(mix.draw_tasks(1, 5, 8, weights), 1, 3) })
    assert.not_same(mix.draw_tasks(1, 5, 16, weights), mix.draw_tasks(1, 6, 16, weights))
    assert.not_same(mix.draw_tasks(1, 5, 16, weights), mix.draw_tasks(2, 5, 16, weights))
  end)

  it("needs a task to draw from", function()
    assert.error_matches(function() mix.draw_tasks(1, 1, 1, { 0, 0 }) end, "no task has a positive weight")
    assert.same({}, mix.draw_tasks(1, 1, 0, { 1 }))
  end)
end)
