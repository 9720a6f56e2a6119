-- The defects of ASL's predecessor that were found by reading its code, by their number in that list: each has a test here
-- that would have caught it.

local asl = require "asl"
local buffer = require "asl.buffer"
local checkpoint = require "asl.checkpoint"
local fs = require "asl.fs"
local json = require "asl.json"
local log = require "asl.log"
local metrics = require "asl.metrics"
local mix = require "asl.mix"
local pictures = require "spec.support.pictures"
local program = require "spec.support.program"
local score = require "asl.score"
local small_net = require "spec.support.small_net"
local strategy = require "asl.strategy"
local trial = require "spec.support.trial"

local function rooms(domain, split, more)
  local given = { domain = domain, split = split, size = { 24, 32 }, sequences = 3, frames = 5 }
  for key, value in pairs(more or {}) do given[key] = value end
  return asl.data.rooms(given)
end

-- A memory of one-pixel rows of `tasks` tasks, `each` rows of each.
local function filled_memory(tasks, each, more)
  local given = { bytes = 4 * tasks * each, size = { 1, 1 }, seed = 1 }
  for key, value in pairs(more or {}) do given[key] = value end
  local memory = buffer.new(given)
  for task = 1, tasks do
    local ids = {}
    for i = 1, each do ids[i] = task .. "/" .. i end
    memory:offer(task, asl.zeros({ each, 1, 1, 3 }, { dtype = "u8" }), asl.zeros({ each, 1, 1 }, { dtype = "u8" }), ids)
  end
  return memory
end

local function batch_of(rows)
  return { image = (asl.rand({ rows, 8, 8, 3 }, { seed = 3 }) * 255):to "u8",
    label = pictures.label(rows, 64, function(y, x) return (x + y) % 3 end):reshape(rows, 8, 8),
    replayed = mix.positions(rows, 0) }
end

local AT = { step = 1, updates = 10, before = 0, all = 10 }

local function learner(kind, more)
  local given = { net = small_net { classes = 3 }, optim = asl.optim.adam { lr = 0.01 } }
  for key, value in pairs(more or {}) do given[key] = value end
  local self = strategy[kind](given)
  self:begin { size = { 8, 8 }, seed = 1, rows = 4, tasks = 2 }
  return self
end

it("predecessor defect 2: scores of a data set must not survive for the last batch only", function()
  local set, loader <close> = rooms("studio", "train"), asl.data.loader { threads = 1 }
  local scores = score.dataset(small_net { classes = 40 }, set, "loss", { loader = loader, size = { 24, 32 } })
  local distinct, n = {}, 0
  for _, id in ipairs(set.ids) do
    assert.is_number(scores[id], id)
    if not distinct[scores[id]] then n, distinct[scores[id]] = n + 1, true end
  end
  assert.is_true(n > 10)
end)

it("predecessor defect 3: the highest must not be the lowest, and scores must not depend on augmentation", function()
  local set, loader <close> = rooms("studio", "train"), asl.data.loader { threads = 1 }
  local net = small_net { classes = 40 }:train()
  local function scores() return score.dataset(net, set, "loss", { loader = loader, size = { 24, 32 } }) end
  local first = scores()
  assert.same(first, scores())
  local low, high = score.pick(first, 5, "lowest"), score.pick(first, 5, "highest")
  for _, id in ipairs(low) do
    for _, other in ipairs(high) do assert.is_true(first[id] < first[other]) end
  end
end)

it("predecessor defect 4: the newest previous task must not be left out of replay", function()
  local memory, counts = filled_memory(4, 5), { 0, 0, 0, 0 }
  for step = 1, 1000 do
    local _, tasks = memory:choose(4, step, 4)
    for _, task in ipairs(tasks) do counts[task] = counts[task] + 1 end
  end
  for past = 1, 3 do assert.is_true(math.abs(counts[past] - 4000 / 3) < 130, table.concat(counts, " ")) end
  assert.equal(0, counts[4])
end)

it("predecessor defect 5: a share of 0.9 must not replay 10 %", function()
  local n = 0
  for t = 1, 100 do
    local replaced = 0
    for _, memory in ipairs(mix.positions(10, mix.replayed(t, 0.9, 10))) do replaced = replaced + (memory and 1 or 0) end
    n = n + replaced
  end
  assert.equal(900, n)
end)

it("predecessor defect 8: a teacher must not share batch-norm statistics, nor be put into training mode", function()
  local self, batch = learner "naive", batch_of(4)
  for _ = 1, 3 do self:step(batch, AT) end
  local teacher = asl.teacher.snapshot(self.net)
  assert.equal(self.net.flat_buffer:digest(), teacher.flat_buffer:digest())
  local digest, answer = teacher:digest(), teacher(batch.image):totable()
  for _ = 1, 3 do self:step(batch, AT) end
  teacher:train()
  assert.same(answer, teacher(batch.image):totable())
  assert.equal(digest, teacher:digest())
  local frozen = learner("freeze", { parts = { "body" } })
  frozen:before_task(1)
  frozen:before_task(2)
  local before = frozen.net.flat_buffer:digest()
  frozen:step(batch, AT)
  assert.equal(before, frozen.net.flat_buffer:digest())
end)

it("predecessor defect 9: corners that a rotation uncovers must not become class 0, nor unknown values any class", function()
  local dir = fs.temp_dir()
  pictures.write_folder(dir, 2, function() return pictures.pattern(32, 32) end, function(i)
    return pictures.label(32, 32, function() return i == 1 and 1 or 3 end)
  end)
  local set = asl.data.folder { root = dir, list = dir .. "/list.txt", classes = { "wall", "floor", "bed" } }
  local loader <close> = asl.data.loader { threads = 0 }
  local ignored = 0
  for step = 1, 20 do
    local label = loader:wait(loader:request { rows = { { dataset = set, position = 1 } }, size = { 32, 32 },
      augment = asl.data.augment { rotate = 30 }, seed = 1, step = step }).label
    label:bytes():gsub(".", function(value)
      local id = value:byte()
      if id ~= 1 and id ~= 255 then error("a pixel became class " .. id) end
      ignored = ignored + (id == 255 and 1 or 0)
    end)
  end
  assert.is_true(ignored > 200)
  assert.error_matches(function() set:sample(2) end, "the label value 3 .* is not in the table")
  fs.remove_tree(dir)
end)

it("predecessor defect 10: training and validation data must not change places or overlap", function()
  local train, val = rooms("studio", "train"), rooms("studio", "val")
  assert.not_equal(train:digest(), val:digest())
  for _, id in ipairs(train.ids) do assert.matches("/train/", id) end
  for _, id in ipairs(val.ids) do assert.matches("/val/", id) end
  assert.error_matches(function()
    asl.task.new { name = "t", train = train, val = rooms("studio", "train"):take(1), test = rooms("studio", "test") }
  end, 'the sample "rooms/studio/train/001/0001" is in both')
end)

it("predecessor defect 12: class counts must not be the index of a first occurrence", function()
  local dir = fs.temp_dir()
  pictures.write_folder(dir, 3, function() return pictures.pattern(4, 5) end, function(i)
    return pictures.label(4, 5, function(y, x) return y == 0 and 255 or x < i and 2 or 0 end)
  end)
  local set = asl.data.folder { root = dir, list = dir .. "/list.txt", classes = { "a", "b", "c" } }
  local pixels, ignored = set:histogram()
  assert.same({ 3 * (4 + 3 + 2), 0, 3 * (1 + 2 + 3) }, pixels)
  assert.equal(15, ignored)
  fs.remove_tree(dir)
end)

it("predecessor defect 13: the gradient's scale must not depend on how much of a picture is void", function()
  local logits = asl.randn { 2, 4, 4, 3 }
  local half = pictures.label(8, 4, function(y, x) return y % 4 < 2 and (x + y) % 3 or 255 end):reshape(2, 4, 4)
  local function gradient(labels, given)
    local leaf = logits:clone():requires_grad_(true)
    local value, valid = asl.loss.cross_entropy(leaf, labels, given)
    value:backward()
    return leaf:grad(), valid:item(), value:item()
  end
  local mean, valid, value = gradient(half)
  assert.equal(16, valid)
  local sum, _, total = gradient(half, { normaliser = 1.0 })
  assert.is_true((sum / asl.full({}, 16) - mean):abs():max():item() < 1e-6)
  assert.is_true(math.abs(total / 16 - value) < 1e-6)
  assert.equal(0, mean:slice(2, 3, 4):abs():sum():item())
end)

it("predecessor defect 14: mIoU must not be a mean over pictures, free of false positives, or drop a last batch", function()
  local dir = fs.temp_dir()
  -- Truth: class 0, in picture 3 also class 1. Prediction (red): class 2 in picture 1, else right.
  local truth = { { 0, 0 }, { 0, 0 }, { 0, 1 } }
  local predicted = { { 2, 2 }, { 0, 0 }, { 0, 1 } }
  pictures.write_folder(dir, 3, function(i)
    return pictures.painted(pictures.label(1, 2, function(_, x) return predicted[i][x + 1] end),
      { { 0, 0, 0 }, { 1, 0, 0 }, { 2, 0, 0 } })
  end, function(i) return pictures.label(1, 2, function(_, x) return truth[i][x + 1] end) end)
  local set = asl.data.folder { root = dir, list = dir .. "/list.txt", classes = { "a", "b", "c" } }
  local net = {}
  function net.scores(_, image)
    return asl.ops.equal(image:slice(4, 1), asl.tensor({ 0, 1, 2 }, { dtype = "u8" })):to "f32"
  end
  local loader <close> = asl.data.loader { threads = 0 }
  local m = asl.evaluator.new({ tests = {}, classes = 3, loader = loader, size = { 1, 2 }, batch = 2 }):confusion(net, set)
  assert.same({ { 3, 0, 2 }, { 0, 1, 0 }, { 0, 0, 0 } }, m)
  assert.equal((3 / 5 + 1) / 2, metrics.miou(m)) -- per picture it would be (0 + 1 + 1) / 3
  assert.is_nil(metrics.miou { { 0, 0 }, { 0, 0 } })
  fs.remove_tree(dir)
end)

it("predecessor defect 15: test frames must not have training frames for neighbours, nor be cut across sequences", function()
  local set = rooms("studio", "train", { sequences = 3, frames = 10 })
  local backwards = {}
  for i = #set, 1, -1 do backwards[#backwards + 1] = i end
  for _, data in ipairs { set, set:subset(backwards) } do
    local train, test = data:split { test = 3, gap = 2 }
    assert.same({ 15, 9 }, { #train, #test })
    asl.data.disjoint(train, test)
    local last, first = {}, {}
    for i, name in ipairs(train.sequences) do last[name] = math.max(last[name] or 0, train.frames[i]) end
    for i, name in ipairs(test.sequences) do first[name] = math.min(first[name] or math.huge, test.frames[i]) end
    for _, name in ipairs((set:sequence_names())) do assert.same({ 5, 8 }, { last[name], first[name] }) end
  end
  assert.error_matches(function() set:split { test = 9, gap = 1 } end,
    'sequence "rooms/studio/train/001" has 10 frames, too few for 9 to test on and a gap of 1')
end)

it("predecessor defect 17: forgetting must not go unlogged, nor an error be swallowed", function()
  program.in_directory(function(dir)
    local script = program.write(dir, "broken.lua", [[
      local asl = require "asl"
      local strategy = require "asl.strategy"
      local broken = strategy.define "broken"
      function broken:after_step() return self.nothing.there end
      local function rooms(split)
        return asl.data.rooms { domain = "studio", split = split, size = { 32, 48 }, sequences = 1, frames = 2 }
      end
      return asl.experiment { name = "broken", config = asl.continual.config { size = { 32, 48 }, updates = 2, batch = 2 },
        main = function(cfg, run)
          local scenario = asl.scenario.domains { { "studio", train = rooms "train", test = rooms "test" } }
          return asl.continual(run, scenario, broken { net = asl.models.fast_scnn { classes = 40 }, optim = asl.optim.sgd {} },
            cfg)
        end }]])
    local result = trial.run(dir .. "/runs", {}, { script = script })
    assert.equal(70, result.code)
    assert.matches("asl: .*broken%.lua:4: attempt to index a nil value %(field 'nothing'%)", result.err)
    assert.equal("failed", trial.status(result.path).state)
    local good = trial.run(dir .. "/good", { "strategy=naive", "updates=1" })
    for _, name in ipairs { "forgetting_rwalk", "bwt_gem", "fwt_0", "stability" } do
      assert.is_number(trial.summary(good.path).metrics[name])
    end
  end)
end)

it("predecessor defect 18: a score must not depend on the mode a network was left in, nor on who normalises", function()
  local net = asl.models.fast_scnn { classes = 5 }
  local image = (asl.rand { 2, 32, 48, 3 } * 255):to "u8"
  local trained, evaluated = net:train():predict(image), net:eval():predict(image)
  assert.equal(evaluated:digest(), trained:digest())
  assert.equal(evaluated:digest(), net:predict(asl.ops.normalise(image)):digest())
end)

it("predecessor defect 19: draws must not repeat from step to step or shrink the memory", function()
  local memory = filled_memory(1, 50)
  local reached, n, repeated = {}, 0, 0
  local previous = ""
  for step = 1, 100 do
    local slots = memory:choose(4, step, 2)
    local now = table.concat(slots, " ")
    repeated = repeated + (now == previous and 1 or 0)
    previous = now
    for _, slot in ipairs(slots) do
      if not reached[slot] then n, reached[slot] = n + 1, true end
    end
  end
  assert.same({ 50, 0 }, { n, repeated })
end)

it("predecessor defect 20: the memory must not belong to loader threads: one, whole in the checkpoint", function()
  local dir = fs.temp_dir()
  local states = {}
  for _, loaders in ipairs { 0, 3 } do
    local result = trial.run(dir .. "/" .. loaders, { "updates=3", "loaders=" .. loaders })
    local newest = checkpoint.generations(result.path .. "/ckpt")[1].path
    local state = checkpoint.load(newest).state.learner.memory.buffer
    assert.equal(10, #state.id)
    states[#states + 1] = table.concat(state.id, " ") .. state.image:digest() .. state.label:digest()
  end
  assert.equal(states[1], states[2])
  fs.remove_tree(dir)
end)

it("predecessor defect 22: replay must not change the number of updates, nor a clock end a task", function()
  local dir = fs.temp_dir()
  for _, share in ipairs { "0.25", "0.75" } do
    local steps, fresh = 0, 0
    local result = trial.run(dir .. "/" .. share, { "updates=4", "share=" .. share })
    log.each(result.path .. "/log", function(entry)
      if entry.kind == "scalars" then steps, fresh = steps + 1, fresh + 4 - entry.values.replayed end
    end)
    assert.equal(8, steps)
    assert.equal(16 + 16 * (1 - tonumber(share)), fresh)
    for name in pairs(json.read(result.path .. "/manifest.json").config) do
      assert.is_nil(name:find "minutes" or name:find "seconds" or name:find "time")
    end
  end
  fs.remove_tree(dir)
end)

it("predecessor defect 23: momentum must not be lost or kept without its being said", function()
  local everything = { "weights", "optimiser", "batch_norm", "schedule" }
  for _, carry in ipairs { everything, { "weights", "batch_norm" } } do
    local self = learner("naive", { carry = carry })
    self:before_task(1)
    self:step(batch_of(4), AT)
    self:before_task(2)
    assert.equal(carry == everything, self.optim.memory[1]:abs():sum():item() > 0)
  end
  assert.same(everything, asl.continual.defaults.carry)
end)

it("predecessor defect 25: settings must have a type and a unit, and the entropy of a certain answer is 0, not NaN", function()
  assert.error_matches(function() buffer.bytes "5 %" end, "is no memory size")
  assert.error_matches(function() learner("replay", { memory = "1 MiB", share = "5" }) end, 'option "share" must be a number')
  assert.error_matches(function() learner("replay", { memory = "1 MiB", share = 20.0 }) end, "share must be in %[0, 1%]")
  local certain = small_net { classes = 40, norm = false }
  certain.flat:fill_(0)
  certain.head.bias:detach():slice(1, 7):fill_(1e30)
  local loader <close> = asl.data.loader { threads = 0 }
  local set = rooms("studio", "train"):take(2)
  for _, entropy in pairs(score.dataset(certain, set, "entropy", { loader = loader, size = { 24, 32 } })) do
    assert.is_true(entropy >= 0 and entropy < 1e-6)
  end
end)
