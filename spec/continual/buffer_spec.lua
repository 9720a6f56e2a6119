local asl = require "asl"
local buffer = require "asl.buffer"
local checkpoint = require "asl.checkpoint"
local fs = require "asl.fs"

-- A memory of one-pixel rows: 4 bytes each.
local function memory(rows, more)
  local given = { bytes = 4 * rows, size = { 1, 1 }, seed = 1 }
  for key, value in pairs(more or {}) do given[key] = value end
  return buffer.new(given)
end

-- Offers rows first..last of a task; a row's pixel is its number modulo 256, its label its task.
local function offer(memory_, task, first, last)
  local image, label, ids = {}, {}, {}
  for row = first, last do
    local pixel = string.char(row % 256)
    image[#image + 1], label[#label + 1], ids[#ids + 1] = pixel:rep(3), string.char(task), tostring(row)
  end
  local n = last - first + 1
  return memory_:offer(task, asl.frombytes(table.concat(image), { n, 1, 1, 3 }, "u8"),
    asl.frombytes(table.concat(label), { n, 1, 1 }, "u8"), ids)
end

-- Every slot holds the row that its id says.
local function check_contents(memory_)
  local image, label = memory_.image:bytes(), memory_.label:bytes()
  for slot, task in ipairs(memory_.task) do
    if task > 0 then
      local pixel = string.char(tonumber(memory_.id[slot]) % 256)
      assert.equal(pixel:rep(3), image:sub(3 * slot - 2, 3 * slot))
      assert.equal(task, label:byte(slot))
    end
  end
end

describe("the size of a memory", function()
  it("is read from text and numbers", function()
    assert.equal(64 << 20, buffer.bytes "64 MiB")
    assert.equal(1500000000, buffer.bytes "1.5 GB")
    assert.equal(2000, buffer.bytes "2KB")
    assert.equal(3 << 10, buffer.bytes " 3 KiB ")
    assert.equal(1 << 30, buffer.bytes "1GiB")
    assert.equal(5000000, buffer.bytes "5 MB")
    assert.equal(1000, buffer.bytes "1000")
    assert.equal(12, buffer.bytes "12 B")
    assert.equal(1000, buffer.bytes(1000))
  end)

  it("that is none is refused", function()
    for _, text in ipairs { "64 mib", "MiB", "", "1.2.3 MiB", "64 MB/s", "-1 MiB", "10 %" } do
      assert.error_matches(function() buffer.bytes(text) end, "is no memory size: write for example \"64 MiB\"")
    end
  end)

  it("is a whole number of rows of picture and label", function()
    assert.equal(819200, memory(1, { bytes = "1 MiB", size = { 320, 640 }, }).row_bytes)
    assert.equal(1, memory(1, { bytes = "1 MiB", size = { 320, 640 } }).capacity)
    assert.equal(2, memory(1, { bytes = 11, size = { 1, 1 } }).capacity)
  end)

  it("must hold a row", function()
    assert.error_matches(function() memory(1, { bytes = "800 KB", size = { 320, 640 } }) end,
      "800000 bytes hold no row: one of 320x640 needs 819200 bytes")
  end)
end)

describe("a reservoir", function()
  it("keeps all rows while there is room, with their contents", function()
    local m = memory(10)
    assert.equal(4, offer(m, 1, 1, 4))
    assert.equal(6, offer(m, 2, 5, 10))
    assert.same({ 4, 6 }, m:counts(2))
    check_contents(m)
  end)

  it("keeps every row ever offered with the same probability", function()
    local kept, seeds, rows, capacity = {}, 400, 100, 20
    for row = 1, rows do kept[row] = 0 end
    for seed = 1, seeds do
      local m = memory(capacity, { seed = seed })
      for first = 1, rows, 5 do offer(m, 1, first, first + 4) end
      assert.equal(rows, m.offered)
      if seed % 50 == 0 then check_contents(m) end
      for _, id in ipairs(m.id) do kept[tonumber(id)] = kept[tonumber(id)] + 1 end
    end
    local p = capacity / rows
    local sum = 0
    for row = 1, rows do sum = sum + (kept[row] - seeds * p) ^ 2 / (seeds * p * (1 - p)) end
    -- chi-square with 99 degrees of freedom: 99.9 % below 148.2, 0.1 % below 60.0
    assert.is_true(sum < 148.2 and sum > 60, ("chi-square %.1f"):format(sum))
    local early, late = 0, 0
    for row = 1, 50 do early, late = early + kept[row], late + kept[row + 50] end
    assert.is_true(math.abs(early - late) < 4 * math.sqrt(2 * 50 * seeds * p * (1 - p)))
  end)

  it("lets a later row of a batch take the slot of an earlier one", function()
    local m = memory(1)
    for first = 1, 400, 40 do offer(m, 1, first, first + 39) end
    check_contents(m)
    assert.same({ 1 }, m:counts(1))
  end)
end)

describe("room per task", function()
  it("is equal: earlier tasks make room, the first ones keep the remainder", function()
    local m = memory(10, { select = "per_task" })
    local quotas = { { 10 }, { 5, 5 }, { 4, 3, 3 }, { 3, 3, 2, 2 } }
    for task, quota in ipairs(quotas) do
      m:begin_task(task)
      offer(m, task, 100 * task + 1, 100 * task + 30)
      assert.same(quota, m:counts(task))
      check_contents(m)
    end
  end)

  it("is given up by rows at random", function()
    local survivors = {}
    for seed = 1, 200 do
      local m = memory(10, { select = "per_task", seed = seed })
      m:begin_task(1)
      offer(m, 1, 1, 10)
      m:begin_task(2)
      for _, slot in ipairs(m:slots(1)) do survivors[m.id[slot]] = (survivors[m.id[slot]] or 0) + 1 end
    end
    for row = 1, 10 do -- binomial(200, 0.5): 4 standard deviations are 28
      assert.is_true(math.abs(survivors[tostring(row)] - 100) < 28, ("row %d: %d"):format(row, survivors[tostring(row)]))
    end
  end)

  it("is a reservoir within each task", function()
    local kept = {}
    for seed = 1, 300 do
      local m = memory(8, { select = "per_task", seed = seed })
      m:begin_task(1)
      offer(m, 1, 1, 4)
      m:begin_task(2)
      for first = 101, 140, 8 do offer(m, 2, first, first + 7) end
      for _, slot in ipairs(m:slots(2)) do kept[m.id[slot]] = (kept[m.id[slot]] or 0) + 1 end
    end
    local early, late = 0, 0
    for row = 101, 120 do early, late = early + (kept[tostring(row)] or 0), late + (kept[tostring(row + 20)] or 0) end
    assert.equal(4 * 300, early + late)
    assert.is_true(math.abs(early - late) < 4 * math.sqrt(1200))
  end)
end)

describe("a draw from memory", function()
  local function filled(more)
    local m = memory(24, more)
    offer(m, 1, 1, 12)
    offer(m, 2, 13, 18)
    offer(m, 3, 19, 24)
    return m
  end

  local function drawn(m, task, steps, n)
    local by_task, by_slot = {}, {}
    for step = 1, steps do
      local slots, tasks = m:choose(n, step, task)
      for k, slot in ipairs(slots) do
        if m.task[slot] ~= tasks[k] then error("a slot is not of the task it was drawn for") end
        by_task[tasks[k]], by_slot[slot] = (by_task[tasks[k]] or 0) + 1, (by_slot[slot] or 0) + 1
      end
    end
    return by_task, by_slot
  end

  it("is of past tasks only, each alike, the newest previous one too", function()
    local m = filled()
    assert.is_false(m:has_past(1))
    assert.is_true(m:has_past(2))
    assert.same({ [1] = 4000 }, (drawn(m, 2, 1000, 4)))
    local by_task = drawn(m, 3, 1000, 4)
    assert.is_nil(by_task[3])
    assert.is_true(math.abs(by_task[1] - 2000) < 130 and math.abs(by_task[2] - 2000) < 130)
    by_task = drawn(m, 4, 1500, 4)
    for task = 1, 3 do assert.is_true(math.abs(by_task[task] - 2000) < 150) end
  end)

  it("reaches every row of a task alike", function()
    local _, by_slot = drawn(filled(), 2, 3000, 4)
    for slot = 1, 12 do assert.is_true(math.abs(by_slot[slot] - 1000) < 120) end
  end)

  it("by rows follows how many rows a task has", function()
    local by_task = drawn(filled { draw = "rows" }, 4, 1500, 4)
    assert.is_true(math.abs(by_task[1] - 3000) < 170)
    assert.is_true(math.abs(by_task[2] - 1500) < 150 and math.abs(by_task[3] - 1500) < 150)
  end)

  it("repeats no row within a step while others remain", function()
    local m = filled()
    for step = 1, 100 do
      for _, n in ipairs { 5, 12, 17, 30 } do
        local times, most, least = {}, 0, math.huge
        for _, slot in ipairs((m:choose(n, step, 2))) do times[slot] = (times[slot] or 0) + 1 end
        for slot = 1, 12 do
          most, least = math.max(most, times[slot] or 0), math.min(least, times[slot] or 0)
        end
        assert.equal(math.ceil(n / 12), most)
        assert.equal(n // 12, least)
      end
    end
  end)

  it("is another one at every step, the same for the same step", function()
    local m = filled()
    assert.same(m:choose(8, 7, 3), m:choose(8, 7, 3))
    assert.not_same(m:choose(8, 7, 3), m:choose(8, 8, 3))
    assert.same({}, (m:choose(0, 7, 3)))
  end)

  it("brings pictures and labels of its slots", function()
    local m = filled()
    local image, label = m:gather { 3, 20 }
    assert.same({ 3, 20 }, { image:bytes():byte(1), image:bytes():byte(4) })
    assert.equal("\1\3", label:bytes())
  end)
end)

describe("the state of a memory", function()
  it("continues as if it had never been put away", function()
    for _, select in ipairs { "reservoir", "per_task" } do
      local dir = fs.temp_dir()
      local m, n = memory(12, { select = select }), memory(12, { select = select })
      m:begin_task(1)
      offer(m, 1, 1, 30)
      checkpoint.save(dir .. "/state", m:state())
      n:restore(checkpoint.load(dir .. "/state"))
      fs.remove_tree(dir)
      for _, it in ipairs { m, n } do
        it:begin_task(2)
        offer(it, 2, 31, 60)
      end
      assert.same({ m.task, m.id, m.offered }, { n.task, n.id, n.offered })
      assert.equal(m.image:digest(), n.image:digest())
      assert.equal(m.label:digest(), n.label:digest())
      assert.same(m:choose(6, 9, 2), n:choose(6, 9, 2))
      check_contents(n)
    end
  end)

  it("is refused by a memory of another size", function()
    assert.error_matches(function() memory(5):restore(memory(6):state()) end,
      "this memory holds 5 rows of 4 bytes, the checkpoint's held 6 of 4")
  end)
end)
