local asl = require "asl"

local function epoch_order(seed, epoch, n)
  local list = {}
  for position = 1, n do
    list[position] = asl.data.order(seed, epoch, n, position)
  end
  return list
end

local function same_places(a, b)
  local same = 0
  for i, value in ipairs(a) do
    if value == b[i] then same = same + 1 end
  end
  return same
end

describe("the order of samples", function()
  it("has every sample exactly once, for any number of samples", function()
    for _, n in ipairs { 1, 2, 3, 4, 5, 7, 8, 15, 16, 17, 31, 63, 64, 65, 90, 127, 255, 256, 257, 1000, 1025, 4097 } do
      local seen, count = {}, 0
      for _, sample in ipairs(epoch_order(11, 3, n)) do
        assert.is_true(sample >= 1 and sample <= n and not seen[sample])
        seen[sample] = true
        count = count + 1
      end
      assert.equal(n, count)
    end
  end)

  it("differs between epochs and seeds", function()
    local first = epoch_order(1, 1, 1000)
    assert.is_true(same_places(first, epoch_order(1, 2, 1000)) < 12)
    assert.is_true(same_places(first, epoch_order(2, 1, 1000)) < 12)
    assert.same(first, epoch_order(1, 1, 1000))
  end)

  it("is not a near copy of the listed order", function()
    local list = epoch_order(5, 1, 1000)
    local moved = 0
    for position, sample in ipairs(list) do
      moved = moved + math.abs(sample - position)
    end
    assert.is_true(math.abs(moved / 1000 - 333) < 30) -- n/3 for a random permutation
    local neighbours = 0
    for i = 2, 1000 do
      if math.abs(list[i] - list[i - 1]) == 1 then neighbours = neighbours + 1 end
    end
    assert.is_true(neighbours < 12)
  end)

  it("puts each of few samples everywhere about equally often", function()
    local counts = {}
    for epoch = 1, 2000 do
      local sample = asl.data.order(9, epoch, 5, 1)
      counts[sample] = (counts[sample] or 0) + 1
    end
    for sample = 1, 5 do
      assert.is_true(math.abs(counts[sample] - 400) < 90, counts[sample])
    end
  end)

  it("is addressed directly, in sets of any size", function()
    local sample = asl.data.order(1, 1, 1 << 32, 123456789)
    assert.is_true(sample >= 1 and sample <= 1 << 32)
    assert.error_matches(function() asl.data.order(1, 1, 10, 11) end, "a position is from 1 to n")
    assert.error_matches(function() asl.data.order(1, 1, 0, 1) end, "there are 1 to 2%^32 samples")
  end)
end)
