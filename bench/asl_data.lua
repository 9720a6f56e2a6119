--- ASL's side of the cases that read pictures: what torch_data.py does.

local asl = require "asl"
local feed = require "asl.feed"

local AUGMENT = { scale = { 1, 1.5 }, flip = 0.5, brightness = 0.2, contrast = 0.2, saturation = 0.2 }

local cases = {}

local function pictures(case, split)
  return asl.data.folder { root = case.folder, list = ("%s/%s.txt"):format(case.folder, split), classes = "nyu40" }
end

function cases.loader(case)
  local loader, data, round = asl.data.loader { threads = 2 }, pictures(case, "train"), 0
  local augment = asl.data.augment(AUGMENT)
  return function()
    round = round + 1
    local source, sum = feed { loader = loader, data = data, rows = case.batch, size = { case.height, case.width },
      augment = augment, seed = 1, task = round, updates = case.steps, replayed_before = function() return 0 end }, 0
    for t = 1, case.steps do
      local scope <close> = asl.scope()
      sum = sum + asl.ops.normalise(source:next(t).image):mean():item()
    end
    return sum / case.steps
  end
end

--- The photographs, or a pack of them.
local function photos_of(case)
  local given = { root = case.folder, list = case.folder .. "/photos.txt", classes = "nyu40" }
  if not case.packed then return asl.data.folder(given) end
  given.size = case.packed
  local out = ("%s/packs-%dx%d"):format(case.folder, table.unpack(case.packed))
  asl.data.pack { kind = "folder", options = given, out = out, quiet = true }
  given.root = out
  return asl.data.folder(given)
end

local AHEAD = 3 -- batches

--- Batches of pictures alone, 8 bit, which nothing is done with; the one that is checked is not timed.
function cases.photos(case)
  local loader, data, augment = asl.data.loader { threads = 2 }, photos_of(case), asl.data.augment(AUGMENT)
  local tickets, asked = {}, 0
  local function request()
    local rows = {}
    for row = 1, case.batch do
      local i = asked * case.batch + row - 1
      rows[row] = { dataset = data, position = asl.data.order(1, i // #data, #data, i % #data + 1), row = row }
    end
    asked = asked + 1
    tickets[asked] = loader:request { rows = rows, size = { case.height, case.width }, planes = { "image" },
      augment = augment, seed = 1, step = asked }
  end
  local made = 0
  local function batches(steps)
    local last = made + steps
    while made < last do
      while asked < math.min(made + AHEAD, last) do request() end
      made = made + 1
      local batch = loader:wait(tickets[made])
      tickets[made] = nil
      if made == last then return batch.image end
    end
  end
  batches(#data // case.batch) -- all once
  return function(clock)
    local value = batches(1):to("f32"):mean():item() / 255 -- of random windows of a few pictures: about a half
    clock.start()
    batches(case.steps)
    return value
  end
end

local MOST_ROUNDS = 99

--- One training set as many tasks, each of a round's length: nothing is decoded ahead beyond the end of a task.
local function scenario_of(case)
  local train, test, tasks = pictures(case, "train"), pictures(case, "test"), {}
  for i = 1, MOST_ROUNDS do
    tasks[i] = { name = tostring(i), train = train, test = test }
  end
  local scenario = asl.scenario.new { name = "replay", tasks = tasks }
  scenario.tests = { scenario.tests[1] } -- evaluation is not what is timed
  return scenario
end

--- The loop of asl.continual itself, with the replay strategy, its log and all; it pauses at the end of every
--- task, and the clock runs from the beginning of a task to its end.
function cases.replay(case)
  local cfg = asl.continual.config(AUGMENT)
  cfg.strategy, cfg.updates, cfg.batch, cfg.size = "replay", case.steps, case.batch, { case.height, case.width }
  cfg.share, cfg.memory, cfg.optimiser, cfg.lr, cfg.decay = case.share, "64 MiB", "sgd", 0.01, 4e-5
  cfg.draw, cfg.pictures = "rows", 0
  local learner, clock, loss = asl.continual.learner(cfg, case.classes), nil, nil
  local class = getmetatable(learner).__index
  function learner:before_task(...)
    clock.start()
    class.before_task(self, ...)
  end
  function learner:step(...)
    local result = class.step(self, ...)
    loss = result.loss
    return result
  end
  function learner.after_task() coroutine.yield() end
  local run = asl.run.create { name = "replay", runs = case.folder .. "/runs", config = cfg, quiet = true }
  local loop = coroutine.create(function() asl.continual.learn(run, scenario_of(case), learner, cfg) end)
  local function next_task(running)
    clock = running
    local ok, problem = coroutine.resume(loop)
    if not ok then error(problem, 0) end
    return loss
  end
  next_task { start = function() end } -- the first has nothing to replay
  return next_task
end

return cases
