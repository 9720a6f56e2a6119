local asl = require "asl"
local core = require "asl.core"
local pictures = require "spec.support.pictures"

local COLOURS = { { 220, 220, 40 }, { 200, 30, 30 }, { 30, 200, 30 }, { 30, 30, 200 } } -- all but the first 340 apart
local H, W = 48, 64

-- Large blocks of the classes 1, 2 and 3: class 0 is nowhere in the source.
local function blocks(i)
  return pictures.label(H, W, function(y, x) return (y // 12 + x // 16 + i) % 3 + 1 end)
end

describe("augmentation", function()
  local root, set, loader

  setup(function()
    root = core.fs.temp_dir()
    pictures.write_folder(root, 4, function(i) return pictures.painted(blocks(i), COLOURS) end, blocks)
    set = asl.data.folder { root = root, list = root .. "/list.txt", classes = { "void", "red", "green", "blue" } }
    loader = asl.data.loader { threads = 1 }
  end)

  teardown(function()
    loader:close()
    core.fs.remove_tree(root)
  end)

  local function batch(given, settings)
    local rows = {}
    for i = 1, given.rows or 4 do
      rows[i] = { dataset = set, position = given.position or (i - 1) % 4 + 1, row = given.first_row and given.first_row + i }
    end
    local by = given.loader or loader
    return by:wait(by:request {
      rows = rows, size = given.size or { H, W }, seed = given.seed or 1, step = given.step or 1,
      augment = settings and asl.data.augment(settings),
    })
  end

  local function count(label, value)
    return select(2, label:bytes():gsub(string.char(value):gsub("%W", "%%%0"), ""))
  end

  it("none, at the picture's own size, changes nothing", function()
    local sample = set:sample(1)
    local same = batch { rows = 1 }
    assert.equal(sample.image:digest(), same.image:digest())
    assert.equal(sample.label:digest(), same.label:digest())
    local centred = batch({ rows = 1 }, { crop = true })
    assert.equal(sample.image:digest(), centred.image:digest())
  end)

  it("rotation never yields class 0 where uncovered: it yields ignore (defect 9)", function()
    for step = 1, 10 do
      local out = batch({ step = step, rows = 8 }, { rotate = 45, scale = { 0.5, 1 } })
      assert.equal(0, count(out.label, 0))
      assert.is_true(count(out.label, 255) > 0)
    end
  end)

  it("fills what nothing covers with the mean colour, exactly where the label is ignore", function()
    local out = batch({ rows = 8 }, { rotate = 30, scale = { 0.4, 0.8 }, brightness = 0.5, hue = 0.5 })
    local image, label = out.image:bytes(), out.label:bytes()
    for i = 1, #label do
      local filled = image:sub(3 * i - 2, 3 * i) == "\124\116\104"
      if label:byte(i) == 255 then assert.is_true(filled) end
    end
  end)

  -- Shares of the pixels that have exactly their label's colour, and that are further from it than bilinear interpolation
  -- at a corner of blocks (a quarter of the nearest pixel's colour) can be.
  local function agreement(out)
    local image, label = out.image:bytes(), out.label:bytes()
    local covered, exact, wrong = 0, 0, 0
    for i = 1, #label do
      local class, r, g, b = label:byte(i), image:byte(3 * i - 2, 3 * i)
      if class ~= 255 then
        local colour = COLOURS[class + 1]
        local far = math.abs(r - colour[1]) + math.abs(g - colour[2]) + math.abs(b - colour[3])
        covered = covered + 1
        if far == 0 then exact = exact + 1 end
        if far > 0.76 * 340 then wrong = wrong + 1 end
      end
    end
    return exact / covered, wrong / covered
  end

  it("moves picture and label together", function()
    for step = 1, 5 do
      local exact, wrong = agreement(batch({ step = step, rows = 8 }, { rotate = 20, scale = { 1, 2 }, flip = 0.5 }))
      assert.is_true(exact > 0.85, exact)
      assert.equal(0, wrong)
      exact, wrong = agreement(batch({ step = step, rows = 8 }, { rotate = 20, scale = { 0.5, 1 }, flip = 0.5 }))
      assert.is_true(exact > 0.6, exact)
      assert.is_true(wrong < 0.01, wrong) -- antialiasing mixes more than two pixels
    end
  end)

  it("mirrors exactly", function()
    local sample, out = set:sample(2), batch({ rows = 1, position = 2 }, { flip = 1 })
    local expected, got = sample.image:totable(), out.image:totable()[1]
    for y = 1, H do
      for x = 1, W do
        assert.same(expected[y][W + 1 - x], got[y][x])
      end
    end
  end)

  it("mirrors half of the rows at flip = 0.5", function()
    local flipped = 0
    local plain = set:sample(1).image:digest()
    local out = batch({ rows = 200, position = 1 }, { flip = 0.5 })
    for i = 1, 200 do
      if out.image:select(1, i):contiguous():digest() ~= plain then flipped = flipped + 1 end
    end
    assert.is_true(flipped > 75 and flipped < 125, flipped)
  end)

  it("differs between rows, steps and seeds, and repeats for the same (defect 19)", function()
    local settings = { scale = { 0.5, 2 }, flip = 0.5, rotate = 10, brightness = 0.3 }
    local seen = {}
    local function collect(given)
      given.position, given.rows = 1, 4 -- the same sample in every row
      local out = batch(given, settings)
      for i = 1, 4 do
        local digest = out.image:select(1, i):contiguous():digest()
        assert.is_nil(seen[digest], "two rows got the same draws")
        seen[digest] = true
      end
      return out.image:digest()
    end
    local first = collect {}
    collect { step = 2 }
    collect { seed = 2 }
    collect { first_row = 4 }
    seen = {}
    assert.equal(first, collect {})
  end)

  it("does not depend on the number of loader threads", function()
    local settings = { scale = { 0.5, 2 }, flip = 0.5, rotate = 10, brightness = 0.3, contrast = 0.3, hue = 0.1 }
    local expected
    for _, threads in ipairs { 0, 1, 3 } do
      local other <close> = asl.data.loader { threads = threads }
      local out = batch({ rows = 16, loader = other }, settings)
      local digest = out.image:digest() .. out.label:digest()
      expected = expected or digest
      assert.equal(expected, digest)
    end
  end)

  it("crops at random places, or in the centre", function()
    local places = {}
    local out = batch({ rows = 20, position = 1 }, { scale = { 2, 2 } })
    for i = 1, 20 do
      places[out.label:select(1, i):contiguous():digest()] = true
    end
    local n = 0
    for _ in pairs(places) do n = n + 1 end
    assert.is_true(n > 15)
    local centred = batch({ rows = 2, position = 1 }, { scale = { 2, 2 }, crop = false })
    assert.equal(centred.label:select(1, 1):contiguous():digest(), centred.label:select(1, 2):contiguous():digest())
    assert.equal(0, count(centred.label, 255))
  end)

  it("jitters colours within the range and leaves labels alone", function()
    local plain = batch { rows = 1 }
    local out = batch({ rows = 50, position = 1 }, { brightness = 0.4 })
    local low, high = 1, 1
    for i = 1, 50 do
      local red = out.image:select(1, i):contiguous():bytes():byte(1) -- of a green block: 30
      low, high = math.min(low, red / 30), math.max(high, red / 30)
    end
    assert.is_true(low > 0.57 and low < 0.75 and high < 1.43 and high > 1.25)
    assert.equal(plain.label:digest(), out.label:select(1, 1):contiguous():digest())
  end)

  it("keeps grey pixels and brightness when hue and saturation change", function()
    local label = pictures.label(8, 8, function(y, x) return 8 * y + x + 90 end)
    pictures.write_folder(root .. "/grey", 1, function()
      return pictures.painted(label, setmetatable({}, { __index = function(_, i) return { i - 1, i - 1, i - 1 } end }))
    end, function() return pictures.label(8, 8, function() return 0 end) end)
    local grey = asl.data.folder { root = root .. "/grey", list = root .. "/grey/list.txt", classes = { "all" } }
    local out = loader:wait(loader:request {
      rows = { { dataset = grey, position = 1 } }, size = { 8, 8 }, seed = 1, step = 1,
      augment = asl.data.augment { hue = 0.5, saturation = 1 },
    })
    assert.equal(grey:sample(1).image:digest(), out.image:digest())
  end)

  it("settings are checked: names, types, ranges", function()
    assert.error_matches(function() asl.data.augment { flips = 0.5 } end, 'unknown option "flips".*did you mean "flip"')
    assert.error_matches(function() asl.data.augment { flip = "often" } end, 'option "flip" must be a number')
    assert.error_matches(function() asl.data.augment { flip = 1.5 } end, "flip = 1.5; it must be from 0 to 1")
    assert.error_matches(function() asl.data.augment { scale = { 2, 0.5 } } end, "scale%[2%] = 0.5; it must be from 2 to 20")
    assert.error_matches(function() asl.data.augment { scale = 2 } end, 'option "scale" must be a table')
    assert.error_matches(function() asl.data.augment { rotate = 0 / 0 } end, "rotate = %-?nan; it must be from 0 to 180")
  end)
end)

describe("the plain resize", function()
  -- SHA-256 of Pillow's resize(..., BILINEAR) of the same pattern; printed by spec/fixtures/pictures.py.
  local SHRUNK = {
    { 12, 20, "2bcc6ff69669a923846219c42b197e08cf38bed0d2f624e9c1b909eca533f4ad" },
    { 24, 13, "8067bc9ef370e672a3944a995424cf82d551a01c0aa0c92bff20425fab47709a" },
    { 7, 40, "1664de4e0f14457df36572270461717b825d1e9311af768fb2a092e01d9bf57a" },
    { 17, 31, "51810d2c4cb2eb11ac71f49b0aa386909275a0f35a894354215ae966483c2cef" },
  }
  local root, loader

  setup(function()
    root = core.fs.temp_dir()
    loader = asl.data.loader { threads = 0 }
    pictures.write_folder(root, 1, function() return pictures.pattern(24, 40) end,
      function() return pictures.label(24, 40, function(y, x) return y // 8 * 5 + x // 8 end) end)
  end)
  teardown(function()
    loader:close()
    core.fs.remove_tree(root)
  end)

  local function open(size)
    local names = {}
    for i = 1, 15 do names[i] = "c" .. i end
    return asl.data.folder { root = root, list = root .. "/list.txt", classes = names, size = size }
  end

  it("shrinks with antialiasing: the bytes of Pillow", function()
    for _, case in ipairs(SHRUNK) do
      local out = loader:wait(loader:request {
        rows = { { dataset = open(), position = 1 } }, size = { case[1], case[2] }, seed = 1, step = 1 })
      assert.equal(case[3], out.image:digest())
      assert.equal(case[3], open({ case[1], case[2] }):sample(1).image:digest())
    end
  end)

  it("takes the label at the centre of each output pixel", function()
    local out = open({ 3, 5 }):sample(1).label:totable()
    assert.same({ { 0, 1, 2, 3, 4 }, { 5, 6, 7, 8, 9 }, { 10, 11, 12, 13, 14 } }, out)
  end)

  it("enlarges by interpolation between pixel centres", function()
    local small = asl.tensor({ { { 0, 0, 0 }, { 100, 200, 40 } } }, { dtype = "u8" })
    pictures.write(root .. "/small.png", core.png_encode(small))
    pictures.write(root .. "/small.txt", "small.png\n")
    local set = asl.data.folder { root = root, list = root .. "/small.txt", classes = { "x" }, size = { 1, 4 } }
    assert.same({ { { 0, 0, 0 }, { 25, 50, 10 }, { 75, 150, 30 }, { 100, 200, 40 } } }, set:sample(1).image:totable())
  end)
end)

-- `rooms` has every plane, exactly; see it augmented.
describe("augmentation of depth, flow, occlusion and camera", function()
  local SIZE = { 30, 40 }
  local set, loader

  setup(function()
    set = asl.data.rooms { domain = "studio", split = "train", size = SIZE, sequences = 1, frames = 3, seed = 3 }
    loader = asl.data.loader { threads = 1 }
  end)
  teardown(function() loader:close() end)

  local PLANES = { "image", "label", "depth", "flow", "flow_back", "occlusion", "intrinsics", "pose" }

  local function row(settings, step)
    local out = loader:wait(loader:request {
      rows = { { dataset = set, position = 2 } }, size = SIZE, planes = PLANES, seed = 5, step = step,
      augment = settings and asl.data.augment(settings),
    })
    local plain = {}
    for name, plane in pairs(out) do
      plain[name] = plane:totable()[1]
    end
    return plain
  end

  local function times(a, b)
    local c = {}
    for i = 1, 3 do
      c[i] = {}
      for j = 1, 3 do
        c[i][j] = a[i][1] * b[1][j] + a[i][2] * b[2][j] + a[i][3] * b[3][j]
      end
    end
    return c
  end

  local function inverse(m)
    local out, determinant = {}, 0
    local function minor(i, j) -- cyclic, so the sign is right
      local a, b, c, d = i % 3 + 1, (i + 1) % 3 + 1, j % 3 + 1, (j + 1) % 3 + 1
      return m[a][c] * m[b][d] - m[a][d] * m[b][c]
    end
    for j = 1, 3 do determinant = determinant + m[1][j] * minor(1, j) end
    for i = 1, 3 do
      out[i] = {}
      for j = 1, 3 do out[i][j] = minor(j, i) / determinant end
    end
    return out
  end

  local SETTINGS = { scale = { 0.7, 1.6 }, flip = 0.5, rotate = 20 }

  it("none leaves every plane as the source has it", function()
    local out, sample = row(nil, 1), set:sample(2)
    for _, name in ipairs(PLANES) do
      assert.same(sample[name]:totable(), out[name], name)
    end
  end)

  -- K' K^-1 is the map from source to output pixels, so all planes can be checked against it.
  it("gives intrinsics that say where each pixel comes from; depth and flow follow them", function()
    local source = row(nil, 1)
    for step = 1, 3 do
      local out = row(SETTINGS, step)
      local to_output = times(out.intrinsics, inverse(source.intrinsics))
      local to_source = inverse(to_output)
      assert.same(source.pose, out.pose)
      local checked = 0
      for y = 1, SIZE[1] do
        for x = 1, SIZE[2] do
          local u = to_source[1][1] * (x - 1) + to_source[1][2] * (y - 1) + to_source[1][3]
          local v = to_source[2][1] * (x - 1) + to_source[2][2] * (y - 1) + to_source[2][3]
          local i, j = math.floor(v + 0.5) + 1, math.floor(u + 0.5) + 1
          local inside = i >= 1 and i <= SIZE[1] and j >= 1 and j <= SIZE[2]
          local margin = math.min(math.abs(u + 0.5 - math.floor(u + 0.5)), math.abs(v + 0.5 - math.floor(v + 0.5)))
          local between = margin < 1e-3 or margin > 1 - 1e-3 -- two pixels are equally near
          if not between and not inside then
            assert.same({ 255, 0, 1 }, { out.label[y][x], out.depth[y][x], out.occlusion[y][x] })
            assert.same({ 0, 0 }, out.flow[y][x])
          elseif not between then
            checked = checked + 1
            assert.equal(source.depth[i][j], out.depth[y][x])
            assert.equal(source.label[i][j], out.label[y][x])
            for _, name in ipairs { "flow", "flow_back" } do
              local fx, fy = source[name][i][j][1], source[name][i][j][2]
              assert.near(to_output[1][1] * fx + to_output[1][2] * fy, out[name][y][x][1], 1e-3)
              assert.near(to_output[2][1] * fx + to_output[2][2] * fy, out[name][y][x][2], 1e-3)
            end
            local to_x, to_y = x - 1 + out.flow[y][x][1], y - 1 + out.flow[y][x][2]
            local leaves = to_x < -0.5 or to_y < -0.5 or to_x >= SIZE[2] - 0.5 or to_y >= SIZE[1] - 0.5
            assert.equal((leaves or source.occlusion[i][j] == 1) and 1 or 0, out.occlusion[y][x])
          end
        end
      end
      assert.is_true(checked > 400, checked)
    end
  end)

  it("makes a mirror a negative focal length, and a crop a shift of the centre", function()
    local source = row(nil, 1).intrinsics
    local mirrored = row({ flip = 1 }, 1).intrinsics
    assert.near(-source[1][1], mirrored[1][1], 1e-4)
    assert.near(SIZE[2] - 1 - source[1][3], mirrored[1][3], 1e-4)
    local near = row({ scale = { 2, 2 }, crop = false }, 1).intrinsics
    assert.near(2 * source[1][1], near[1][1], 1e-4)
    assert.near(2 * (source[1][3] + 0.5) - 0.5 - SIZE[2] / 2, near[1][3], 1e-4)
  end)

  it("decodes flow for occlusion even when only occlusion is asked for", function()
    local function occlusion(planes)
      return loader:wait(loader:request { rows = { { dataset = set, position = 2 } }, size = SIZE, planes = planes, seed = 5,
        step = 2, augment = asl.data.augment(SETTINGS) }).occlusion:digest()
    end
    assert.equal(occlusion { "occlusion", "flow" }, occlusion { "occlusion" })
  end)
end)
