-- Data that stays on the device: its batches have the loader's bytes.

local asl = require "asl"
local core = require "asl.core"
local devices = require "spec.support.devices"
local feed = require "asl.feed"
local mix = require "asl.mix"
local pictures = require "spec.support.pictures"
local resident = require "asl.resident"

local SIZE = { 23, 31 }

-- All pictures of a `rooms` of its own.
local function rooms(seed, size)
  return asl.data.rooms { domain = "studio", split = "train", size = size or SIZE, sequences = 2, frames = 3, seed = seed }
end

-- Passes everything on and counts the rows that are decoded.
local function counting(loader)
  local counter = { rows = 0 }
  function counter:request(given)
    self.rows = self.rows + #given.rows
    return loader:request(given)
  end
  function counter.wait(_, ticket) return loader:wait(ticket) end
  return counter
end

local EVERYTHING = { scale = { 0.3, 3 }, flip = 0.5, rotate = 30, brightness = 0.4, contrast = 0.4, saturation = 0.4,
  hue = 0.1 }
local SETTINGS = {
  { "nothing", {} },
  { "a random crop", { scale = { 1, 2 } } },
  { "a smaller picture, shrunk", { scale = { 0.05, 1 } } },
  { "a mirror and a turn", { flip = 0.5, rotate = 180 } },
  { "colours", { brightness = 1, saturation = 1, hue = 0.5 } },
  { "contrast", { contrast = 1 } },
  { "everything", EVERYTHING },
}

local function same_bytes(expected, batch)
  for _, plane in ipairs { "image", "label" } do
    assert.same(expected[plane]:shape(), batch[plane]:shape())
    assert.is_true(expected[plane]:bytes() == batch[plane]:to("cpu"):bytes(), plane)
  end
end

local function specs(device)
  local loader, data

  setup(function()
    loader = asl.data.loader { threads = 1 }
    data = rooms(3)
  end)
  teardown(function() loader:close() end)

  -- The batch as the loader makes it.
  local function loaded(given, set)
    local rows = {}
    for k, position in ipairs(given.positions) do
      rows[k] = { dataset = set or data, position = position, row = given.rows[k] }
    end
    return loader:wait(loader:request { rows = rows, size = given.size, augment = given.augment, seed = given.seed,
      step = given.step })
  end

  for _, case in ipairs(SETTINGS) do
    it("give the loader's bytes: " .. case[1], function()
      local held = resident.new { loader = loader, device = device }:hold(data)
      for step, size in ipairs { SIZE, { 40, 52 }, { 12, 16 }, { 5, 50 }, { 33, 7 }, { 1, 1 } } do
        local given = { positions = { 6, 1, 1, 4, 2 }, rows = { 1, 2, 3, 7, 1 << 20 }, size = size, seed = -5,
          step = step << 32 | 3, augment = asl.data.augment(case[2]) }
        local batch = held:batch(given)
        assert.equal(device, batch.image:device())
        same_bytes(loaded(given), batch)
      end
    end)
  end

  it("are plainly resized without settings", function()
    local held = resident.new { loader = loader, device = device }:hold(data)
    local given = { positions = { 2, 3 }, rows = { 1, 2 }, size = { 11, 40 }, seed = 1, step = 1 }
    same_bytes(loaded(given), held:batch(given))
  end)

  it("come through a feed as the loader's do, wherever it is begun", function()
    local held = resident.new { loader = loader, device = device }:hold(data)
    local function new(more)
      local given = { loader = loader, data = data, rows = 4, size = { 16, 20 }, seed = 9, task = 2, updates = 6,
        augment = asl.data.augment(EVERYTHING), held = more,
        replayed_before = function(t) return mix.replayed_before(t, 0.3, 4) end }
      return feed(given)
    end
    local plain, from_device, later = new(), new(held), new(held)
    for t = 1, 6 do
      local expected, batch = plain:next(t), from_device:next(t)
      assert.same(expected.ids, batch.ids)
      same_bytes(expected, batch)
      if t >= 4 then same_bytes(expected, later:next(t)) end
    end
  end)

  it("ask for nothing where memory replaces the whole batch", function()
    local source = feed { loader = loader, data = data, rows = 4, size = SIZE, seed = 1, task = 1, updates = 2,
      held = resident.new { loader = loader, device = device }:hold(data), replayed_before = function(t) return 4 * (t - 1) end }
    assert.same({ ids = {} }, source:next(1))
  end)

  it("are decoded once: a part is not decoded again, of a whole only the rest", function()
    local counter = counting(loader)
    local here = resident.new { loader = counter, device = device }
    local given = { positions = { 1, 4, 2, 3 }, rows = { 1, 2, 3, 4 }, size = { 15, 15 }, seed = 1, step = 1,
      augment = asl.data.augment(EVERYTHING) }
    here:hold(data)
    assert.equal(6, counter.rows)
    local part = data:subset { 5, 2, 6, 1 }
    same_bytes(loaded(given, part), here:hold(part):batch(given))
    assert.equal(6, counter.rows)
    local whole = part:join(rooms(4))
    given.positions = { 1, 10, 4, 5 }
    same_bytes(loaded(given, whole), here:hold(whole):batch(given))
    assert.equal(6 + 6, counter.rows)
    local other = rooms(5)
    given.positions = { 6, 5, 4, 1 }
    same_bytes(loaded(given, other), here:hold(other):batch(given))
    assert.equal(6 + 6 + 6, counter.rows)
  end)

  it("take 4 bytes for each pixel, and those of the last data set are let go", function()
    collectgarbage()
    local before, here = core.memory(device).live, resident.new { loader = loader, device = device }
    local held = here:hold(rooms(6, { 64, 64 }))
    collectgarbage()
    assert.equal(6 * 64 * 64 * 4, held.image:count() + held.label:count())
    local live = core.memory(device).live - before
    assert.is_true(live >= 6 * 64 * 64 * 4 and live < 7 * 64 * 64 * 4, live)
    here:hold(rooms(7, { 64, 64 }))
    collectgarbage()
    assert.equal(live, core.memory(device).live - before)
  end)

  it("must have one size, or the first two that differ are named", function()
    local mixed = rooms(3):join(rooms(4, { 23, 32 }))
    local problem = select(2, pcall(function() resident.new { loader = loader, device = device }:hold(mixed) end))
    assert.equal(("resident pictures must have one size: %s has 31x23 (width x height), %s has 32x23"):format(mixed.ids[1],
      mixed.ids[7]), problem.message)
    assert.equal("read the data set with a size, or set resident=false", problem.hint)
    assert.equal(64, problem.exit_code)
  end)

  it("say what they need where there is no room", function()
    -- Three pictures that no memory holds.
    local image = { shape = function() return { 1 << 20, 1 << 20, 3 } end }
    local huge = setmetatable({ name = "huge", sources = { "a", "a", "a" }, index = { 0, 1, 2 },
      sample = function() return { image = image } end }, { __len = function() return 3 end })
    local problem = select(2, pcall(function() resident.new { loader = loader, device = device }:hold(huge) end))
    local there = problem.message:match("^(.* on " .. device .. "), where .* are taken$")
    assert.equal("resident: the 3 pictures of huge (1048576x1048576, with labels) need 12 TiB on " .. device, there)
    assert.equal("read the data set with a smaller size, or set resident=false", problem.hint)
    assert.equal(64, problem.exit_code)
  end)

  it("are not there when a picture cannot be read, which is named", function()
    local root = core.fs.temp_dir()
    pictures.write_folder(root, 3, function() return pictures.pattern(8, 8) end,
      function() return pictures.label(8, 8, function() return 0 end) end)
    pictures.write(root .. "/image/3.png", "no picture")
    local set = asl.data.folder { root = root, list = root .. "/list.txt", classes = { "all" } }
    local problem = select(2, pcall(function() resident.new { loader = loader, device = device }:hold(set) end))
    core.fs.remove_tree(root)
    assert.matches("image/3%.png", tostring(problem))
  end)

  it("say how far decoding is", function()
    local told = {}
    local here = resident.new { loader = loader, device = device, progress = function(label, total)
      told[1] = label .. " " .. total
      return { update = function(_, done) told[#told + 1] = done end, finish = function() told[#told + 1] = "end" end }
    end }
    here:hold(data)
    here:hold(data)
    assert.same({ "decoding " .. data.name .. " 6", 6, "end" }, told)
  end)
end

describe("resident rows on the cpu", function() specs "cpu" end)
describe("resident rows on the device", devices.body({ it = it, pending = pending }, specs))

describe("core.augment_draw", function()
  local function draw(more)
    local given = { rows = { 1 }, picture = { 8, 8 }, size = { 8, 8 }, seed = 1, step = 1 }
    for key, value in pairs(more) do given[key] = value end
    return core.augment_draw(given)
  end

  it("gives the identity where nothing is to change", function()
    local identity = { 1, 0, 0, 0, 1, 0 }
    assert.same({ { 8, 8, 1, 0, 0, 0, 1, 0, 1, 0, 0, 0, 1, 0, 65536, 0, 0, 0, 65536, 0, 0, 0, 65536, 0 } },
      draw { augment = asl.data.augment() }:totable())
    assert.same(identity, { table.unpack(draw {}:totable()[1], 3, 8) })
  end)

  it("shrinks first where the picture becomes smaller", function()
    local row = draw { picture = { 20, 30 }, size = { 10, 60 } }:totable()[1]
    assert.same({ 10, 30 }, { row[1], row[2] })
    assert.same({ 0.5, 0, -0.25, 0, 2, 0.5 }, { table.unpack(row, 3, 8) })
    assert.same({ 0.5, 0, -0.25, 0, 1, 0 }, { table.unpack(row, 9, 14) })
  end)

  it("says what is wrong", function()
    assert.error_matches(function() draw { rows = {} } end, "a batch has 1 to 65536 rows, not 0")
    assert.error_matches(function() draw { size = { 0, 8 } } end, "size is {height, width}, each from 1 to 16384, not 0")
    assert.error_matches(function() core.augment_draw { rows = { 1 }, size = { 8, 8 } } end,
      "augment_draw: picture = {height, width} must be given")
    assert.error_matches(function() draw { augment = { flip = 2 } } end, "flip = 2; it must be from 0 to 1")
    assert.error_matches(function() draw { rows = { "x" } } end, "number expected")
  end)
end)
