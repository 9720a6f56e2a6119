local asl = require "asl"
local small_net = require "spec.support.small_net"
local strategy = require "asl.strategy"

local AT = { step = 1, updates = 10, before = 0, all = 20 }

-- A batch of random pictures; `void` labels of each picture are to be ignored.
local function batch_of(rows, given)
  given = given or {}
  local label = {}
  for row = 1, rows do
    local void = given.void and given.void[row] or 0
    for pixel = 1, 64 do label[#label + 1] = string.char(pixel <= void and 255 or (pixel * row) % 3) end
  end
  local image = (asl.rand({ rows, 8, 8, 3 }, { seed = given.seed or 7 }) * 255):to "u8"
  return { image = image, label = asl.frombytes(table.concat(label), { rows, 8, 8 }, "u8"),
    replayed = given.replayed or asl.mix.positions(rows, 0) }
end

local function learner(kind, more, net)
  local given = { net = net or small_net { classes = 3 }, optim = asl.optim.adam { lr = 0.01 } }
  for key, value in pairs(more or {}) do given[key] = value end
  local self = strategy[kind](given)
  self:begin { size = { 8, 8 }, seed = 1, rows = 4, tasks = 2 }
  return self
end

local function part_digest(net, list, part)
  local digests = {}
  for path, view in net[list](net) do
    if path:find("^" .. part) then digests[#digests + 1] = path .. view:digest() end
  end
  return table.concat(digests, "\n")
end

describe("naive", function()
  it("learns: the loss of a batch falls", function()
    local self, batch = learner "naive", batch_of(4)
    self:before_task(1)
    local first = self:step(batch, AT).loss
    local last
    for _ = 1, 30 do last = self:step(batch, AT).loss end
    assert.is_true(last < 0.9 * first, ("%g, then %g"):format(first, last))
  end)
end)

describe("joint", function()
  local function rooms(domain, split)
    return asl.data.rooms { domain = domain, split = split, size = { 32, 48 }, sequences = 2, frames = 3 }
  end

  it("learns all tasks as one, with the updates of all", function()
    local scenario = asl.scenario.domains {
      { "studio", train = rooms("studio", "train"), test = rooms("studio", "test") },
      { "lab", train = rooms("lab", "train"), test = rooms("lab", "test") },
    }
    local tasks = learner("joint"):tasks(scenario)
    assert.equal(1, #tasks)
    assert.equal(2, tasks[1].updates_of)
    assert.equal(12, #tasks[1].train)
    assert.equal("rooms/studio/train/001/0001", tasks[1].train.ids[1])
    assert.equal("rooms/lab/train/002/0003", tasks[1].train.ids[12])
    assert.equal(scenario.tasks, learner("naive"):tasks(scenario))
  end)
end)

describe("freeze", function()
  it("keeps weights and batch-norm statistics of the frozen parts bit for bit, from the second task on", function()
    local self = learner("freeze", { parts = { "body" } })
    local net, batch = self.net, batch_of(4)
    local function state() return part_digest(net, "parameters", "body"), part_digest(net, "buffers", "body") end
    self:before_task(1)
    local weights, statistics = state()
    self:step(batch, AT)
    local learnt, counted = state()
    assert.not_equal(weights, learnt)
    assert.not_equal(statistics, counted)
    self:before_task(2)
    local head = part_digest(net, "parameters", "head")
    for step = 1, 3 do self:step(batch_of(4, { seed = step }), AT) end
    local now, now_counted = state()
    assert.equal(learnt, now)
    assert.equal(counted, now_counted)
    assert.not_equal(head, part_digest(net, "parameters", "head"))
  end)

  it("is frozen again after a restart", function()
    local self = learner("freeze", { parts = { "body" } })
    self:before_task(1)
    self:before_task(2)
    local again = learner("freeze", { parts = { "body" } })
    again:restore(self:state())
    local body = part_digest(again.net, "parameters", "body")
    again:step(batch_of(4), AT)
    assert.equal(body, part_digest(again.net, "parameters", "body"))
  end)

  it("says when a part is not there", function()
    local self = learner("freeze", { parts = { "bod" } })
    self:before_task(1)
    assert.error_matches(function() self:before_task(2) end, 'no part of this network is called "bod"')
  end)
end)

describe("what is carried to the next task", function()
  local function after_a_task(carry)
    local self = learner("naive", { carry = carry })
    self:before_task(1)
    for step = 1, 3 do self:step(batch_of(4, { seed = step }), AT) end
    local before = { flat = self.net.flat:digest(), buffers = self.net.flat_buffer:digest() }
    self:before_task(2)
    return self, before
  end
  local fresh = small_net { classes = 3 }
  local EVERYTHING = { "weights", "optimiser", "batch_norm", "schedule" }

  local function all_but(word)
    local list = {}
    for _, other in ipairs(EVERYTHING) do
      if other ~= word then list[#list + 1] = other end
    end
    return list
  end

  it("is everything, unless said otherwise", function()
    for _, carry in ipairs { false, EVERYTHING } do
      local self, before = after_a_task(carry or nil)
      assert.same(before, { flat = self.net.flat:digest(), buffers = self.net.flat_buffer:digest() })
      assert.equal(3, self.optim.steps)
      assert.is_true(self.optim.memory[1]:abs():sum():item() > 0)
    end
  end)

  it("can leave out the weights", function()
    local self, before = after_a_task(all_but "weights")
    assert.equal(fresh.flat:digest(), self.net.flat:digest())
    assert.equal(before.buffers, self.net.flat_buffer:digest())
    assert.equal(3, self.optim.steps)
  end)

  it("can leave out the batch-norm statistics", function()
    local self, before = after_a_task(all_but "batch_norm")
    assert.equal(before.flat, self.net.flat:digest())
    assert.equal(fresh.flat_buffer:digest(), self.net.flat_buffer:digest())
  end)

  it("can leave out the optimiser's state", function()
    local self, before = after_a_task(all_but "optimiser")
    assert.equal(before.flat, self.net.flat:digest())
    assert.equal(0, self.optim.steps)
    for _, m in ipairs(self.optim.memory) do assert.equal(0, m:abs():sum():item()) end
  end)

  it("can begin the schedule anew with each task", function()
    local function rate(carry)
      local self = learner("naive", { carry = carry, schedule = asl.schedule.polynomial { power = 1.0 } })
      return self:step(batch_of(4), { step = 6, updates = 10, before = 10, all = 20 }).lr
    end
    assert.is_true(math.abs(rate(EVERYTHING) - 0.01 * (1 - 15 / 20)) < 1e-9)
    assert.is_true(math.abs(rate(all_but "schedule") - 0.01 * (1 - 5 / 10)) < 1e-9)
  end)

  it("is named in known words", function()
    assert.error_matches(function() learner("naive", { carry = { "wieghts" } }) end,
      'carry knows weights, optimiser, batch_norm and schedule, not "wieghts"')
  end)
end)

describe("one update", function()
  -- Loss and weights after one update of a network whose rows know nothing of each other.
  local function update(more, batch)
    local self = learner("naive", more, small_net { classes = 3, norm = false })
    self.optim = asl.optim.sgd { lr = 0.1 }:bind(self.net)
    local result = self:step(batch, AT)
    return result, self.net.flat
  end

  local function check_same(expected, weights, result, other)
    assert.is_true(math.abs(expected.loss - result.loss) < 1e-6 * expected.loss)
    assert.is_true((weights - other):abs():max():item() < 1e-6)
    assert.equal(expected.valid, result.valid)
  end

  it("divides by the valid pixels of the whole batch, in parts or not", function()
    local batch = batch_of(4, { void = { 0, 60, 31, 64 }, replayed = asl.mix.positions(4, 2) })
    local expected, weights = update({ forward = "joint" }, batch)
    assert.equal(256 - 60 - 31 - 64, expected.valid)
    for _, more in ipairs { { forward = "split" }, { shards = 2 }, { shards = 4 }, { shards = 2, forward = "split" } } do
      check_same(expected, weights, update(more, batch))
    end
  end)

  it("is the mean over valid pixels: it equals that of the batch without the void rows", function()
    local three, four = batch_of(3), batch_of(4, { void = { 0, 0, 0, 64 } })
    local expected, weights = update({}, three)
    check_same(expected, weights, update({}, four))
  end)

  it("of a batch without a valid pixel changes nothing", function()
    local before = small_net({ classes = 3, norm = false }).flat:digest()
    local result, weights = update({}, batch_of(2, { void = { 64, 64 } }))
    assert.same({ 0, 0 }, { result.loss, result.valid })
    assert.equal(before, weights:digest())
  end)

  it("has batch statistics of new and replayed rows together, or of each", function()
    local batch = batch_of(4, { replayed = asl.mix.positions(4, 2) })
    local function statistics(forward)
      local self = learner("naive", { forward = forward })
      self:step(batch, AT)
      return self.net.flat_buffer:digest()
    end
    assert.not_equal(statistics "joint", statistics "split")
    batch.replayed = asl.mix.positions(4, 0)
    assert.equal(statistics "joint", statistics "split")
  end)

  it("may be begun before the one before it is ended", function()
    local apart, ahead = learner "naive", learner "naive"
    local batches = { batch_of(4), batch_of(4, { seed = 8 }) }
    local expected = { apart:step(batches[1], AT), apart:step(batches[2], AT) }
    local first = ahead:begin_step(batches[1], AT)
    local second = ahead:begin_step(batches[2], AT)
    assert.same(expected, { ahead:end_step(first), ahead:end_step(second) })
    assert.equal(apart.net:digest(), ahead.net:digest())
  end)

  it("begun after one that is not finite changes nothing until that is known", function()
    local self = learner "naive"
    self:step(batch_of(4), AT)
    local before = self.net.flat:digest()
    local weight = self.net.flat:slice(1, 1, 1)
    local value = weight:item()
    weight:fill_(0 / 0)
    local bad = self:begin_step(batch_of(4), AT)
    weight:fill_(value)
    self:begin_step(batch_of(4), AT)
    assert.equal(before, self.net.flat:digest())
    assert.is_true(self:end_step(bad).not_finite)
    assert.is_nil(self:step(batch_of(4), AT).not_finite)
    assert.not_equal(before, self.net.flat:digest())
  end)

  it("that is not finite leaves weights and optimiser alone and says so", function()
    local self = learner "naive"
    self.net.flat:slice(1, 1):fill_(1 / 0)
    local before = self.net.flat:digest()
    local result = self:step(batch_of(4), AT)
    assert.is_true(result.not_finite)
    assert.equal(before, self.net.flat:digest())
    assert.equal(0, self.optim.steps)
  end)
end)

describe("replay", function()
  local function replaying(more)
    local given = { memory = 8 * 8 * 4 * 6, share = 0.5 }
    for key, value in pairs(more or {}) do given[key] = value end
    return learner("replay", given)
  end

  local function offer(self, task, ids)
    self.task = task
    local batch = batch_of(#ids, { seed = task })
    self:after_step { fresh = { image = batch.image, label = batch.label, ids = ids } }
  end

  it("replays nothing in the first task and its share in the others", function()
    local self = replaying { share = 0.75 }
    self:before_task(1)
    assert.equal(0, self:replayed_before(100))
    offer(self, 1, { "a", "b", "c" })
    self:before_task(2)
    assert.equal(300, self:replayed_before(101))
    local image, label, tasks = self:recall(3, 1)
    assert.same({ 3, 8, 8, 3 }, image:shape())
    assert.same({ 3, 8, 8 }, label:shape())
    assert.same({ 1, 1, 1 }, tasks)
  end)

  it("plans what will be drawn", function()
    local self = replaying { share = 0.29 }
    local plan = self:plan(3, 50)
    local counts, rows = { 0, 0, 0 }, 0
    self:before_task(1)
    offer(self, 1, { "a", "b" })
    for task = 2, 3 do
      self:before_task(task)
      for t = 1, 50 do
        local n = self:replayed_before(t + 1) - self:replayed_before(t)
        local _, tasks = self.buffer:choose(n, (task - 1) * 50 + t, task)
        rows = rows + #tasks
        for _, past in ipairs(tasks) do counts[past] = counts[past] + 1 end
      end
      offer(self, task, { "c" .. task, "d" .. task })
    end
    assert.equal(2 * 58, plan.rows) -- floor(0.29 * 4 * 50) per task
    assert.equal(400, plan.batch_rows)
    assert.same({ rows, counts }, { plan.rows, plan.counts })
  end)

  it("stops when memory has lost a task it has to draw from", function()
    local self = replaying {}
    offer(self, 1, { "a" })
    while self.buffer:counts(2)[1] > 0 and self.buffer.offered < 5000 do offer(self, 2, { "b", "c", "d", "e" }) end
    self:before_task(3)
    assert.error_matches(function() self:recall(2, 1) end,
      'replay memory has lost every row of task 1: it holds 6 rows; give it more, or select = "per_task"')
  end)

  it("keeps memory and place in its state", function()
    local self, again = replaying {}, replaying {}
    self:before_task(1)
    offer(self, 1, { "a", "b" })
    self:before_task(2)
    again:restore(self:state())
    assert.same({ 2, true }, { again.task, again.replaying })
    assert.equal((self:recall(2, 5)):digest(), (again:recall(2, 5)):digest())
  end)

  it("takes a share from 0 to 1", function()
    for _, share in ipairs { -0.1, 1.5, 50.0 } do
      assert.error_matches(function() replaying { share = share } end, "share must be in %[0, 1%], not")
    end
  end)
end)

describe("a strategy", function()
  it("is known by name", function()
    assert.error_matches(function() return strategy.naiv end,
      'there is no strategy "naiv" %(known: naive, joint, freeze, replay%); did you mean "naive"?')
  end)

  it("refuses what it does not know", function()
    assert.error_matches(function() learner("naive", { share = 0.5 }) end,
      'asl.strategy.naive: unknown option "share" %(known: batch_norm, carry, forward, graph, net, optim, schedule, shards%)')
    assert.error_matches(function() learner("naive", { forward = "both" }) end, 'one of "joint", "split"')
    assert.error_matches(function() strategy.replay { net = {}, optim = {} } end, 'option "memory" must be given')
  end)

  it("does not go on from another one's checkpoint, another network's, another optimiser's", function()
    local naive = learner "naive"
    assert.error_matches(function() learner("joint"):restore(naive:state()) end,
      'the checkpoint is of strategy "naive", this run\'s is "joint"')
    assert.error_matches(function() learner("naive", {}, small_net { classes = 4 }):restore(naive:state()) end,
      "this state is another network's: it has 131 parameters in another layout, this SmallNet has 136")
    assert.error_matches(function() learner("naive", { optim = asl.optim.sgd {} }):restore(naive:state()) end,
      "the state is adam's, this is sgd")
  end)

  it("can be defined in a few lines", function()
    local double = strategy.define("double", { weight = 2.0 })
    function double:loss(net, part) return strategy.Base.loss(self, net, part) * self.weight end
    local function loss_of(self) return self:step(batch_of(4), AT).loss end
    local mine = double { net = small_net { classes = 3 }, optim = asl.optim.sgd {} }
    assert.is_true(math.abs(loss_of(mine) - 2 * loss_of(learner "naive")) < 1e-5)
    assert.error_matches(function() double { net = {}, optim = {}, wieght = 1 } end, 'did you mean "weight"')
  end)
end)

describe("a teacher", function()
  it("is a copy of weights and statistics that nothing changes", function()
    local self, batch = learner "naive", batch_of(4)
    self:step(batch, AT)
    local snapshot = asl.teacher.snapshot(self.net)
    assert.equal(self.net:digest(), snapshot:digest())
    local digest, prediction = snapshot:digest(), snapshot:predict(batch.image):digest()
    for _ = 1, 5 do self:step(batch, AT) end
    snapshot:train()
    snapshot(batch.image)
    assert.is_false(snapshot.training)
    assert.equal(digest, snapshot:digest())
    assert.equal(prediction, snapshot:predict(batch.image):digest())
    assert.not_equal(digest, self.net:digest())
  end)
end)
