local asl = require "asl"

local function rooms(domain, split, more)
  local given = { domain = domain, split = split, size = { 32, 48 }, sequences = 2, frames = 3 }
  for key, value in pairs(more or {}) do given[key] = value end
  return asl.data.rooms(given)
end

local function task(name, more)
  local given = { name = name, train = rooms(name, "train"), test = rooms(name, "test") }
  for key, value in pairs(more or {}) do given[key] = value end
  return asl.task.new(given)
end

local function with_classes(names)
  local source = rooms("evening", "val").sources[1]
  local colours = {}
  for i in ipairs(names) do colours[i] = { i, i, i } end
  return asl.data.dataset { name = "other", class_names = names, colours = colours, ids = { "o1", "o2" }, source = source }
end

describe("a task", function()
  it("is data by name", function()
    local t = task("studio", { val = rooms("studio", "val") })
    assert.same({ "studio", 6, 6, 6 }, { t.name, #t.train, #t.val, #t.test })
  end)

  it("refuses a sample that is in two of its sets", function()
    local train = rooms("studio", "train")
    assert.error_matches(function() task("studio", { train = train, test = train:take(1) }) end,
      'the sample "rooms/studio/train/001/0001" is in both rooms/studio/train and rooms/studio/train')
    assert.error_matches(function() task("studio", { val = rooms("studio", "train") }) end, "is in both")
    assert.error_matches(function() task("studio", { val = rooms("studio", "test") }) end, "is in both")
  end)

  it("refuses sets that are empty or of other classes", function()
    assert.error_matches(function() task("studio", { train = rooms("studio", "train"):take(0) }) end,
      'task "studio": dataset "rooms/studio/train" is empty')
    assert.error_matches(function() task("studio", { test = with_classes { "a", "b" } }) end,
      'task "studio": "other" has 2 classes, "rooms/studio/train" has 40')
  end)

  it("refuses what it does not know", function()
    assert.error_matches(function() task("studio", { tset = 1 }) end, 'unknown option "tset".*did you mean "test"')
    assert.error_matches(function() asl.task.new { name = "x" } end, 'option "test" must be given')
  end)
end)

describe("a scenario", function()
  it("has a column per task, in order, then the extra ones", function()
    local s = asl.scenario.new { tasks = { task "studio", task "lab" },
      extra_tests = { { name = "night", data = rooms("evening", "test") } } }
    local names = {}
    for j, test in ipairs(s.tests) do names[j] = test.name end
    assert.same({ "studio", "lab", "night" }, names)
    assert.equal(40, s.classes)
    assert.equal("wall", s.class_names[1])
  end)

  it("refuses a test sample that any task learns from", function()
    local leaky = task("lab", { train = rooms("lab", "train"):join(rooms("studio", "test"):take(1)) })
    assert.error_matches(function() asl.scenario.new { tasks = { task "studio", leaky } } end,
      'the sample "rooms/studio/test/001/0001" is in both')
    assert.error_matches(function()
      asl.scenario.new { tasks = { task "studio" }, extra_tests = { { name = "x", data = rooms("studio", "train") } } }
    end, "is in both")
  end)

  it("refuses no task, two of a name, a test of other classes", function()
    assert.error_matches(function() asl.scenario.new { tasks = {} } end, "a scenario has at least one task")
    assert.error_matches(function() asl.scenario.new { tasks = { task "studio", task "studio" } } end,
      'two tasks are called "studio"')
    assert.error_matches(function()
      asl.scenario.new { tasks = { task "studio" }, extra_tests = { { name = "x", data = with_classes { "a" } } } }
    end, 'test "x" has 1 classes, the tasks have 40')
    assert.error_matches(function() asl.scenario.domains { { train = 1 } } end, "domain 1 has no name")
  end)

  it("by scenes makes a task per group of sequences", function()
    local function named(split) return rooms("studio", split, { sequences = 3 }) end
    local function name(split, s) return ("rooms/studio/%s/%03d"):format(split, s) end
    local train, test = named "train", named "test"
    -- Scenes are known by name in both sets: here the test rooms carry the names of the training rooms.
    for i, sequence in ipairs(test.sequences) do test.sequences[i] = sequence:gsub("/test/", "/train/") end
    local s = asl.scenario.scenes { train = train, test = test,
      scenes = { { "first", name("train", 1), name("train", 3) }, { name("train", 2) } } }
    assert.same({ 2, 6, 3 }, { #s.tasks, #s.tasks[1].train, #s.tasks[2].train })
    assert.equal("rooms/studio/train/003/0001", s.tasks[1].train.ids[4])
    assert.error_matches(function()
      asl.scenario.scenes { train = train, test = test, scenes = { { "kitchen" } } }
    end, 'has no sequence "kitchen"')
  end)
end)
