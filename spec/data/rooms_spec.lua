local asl = require "asl"
local core = require "asl.core"
local rooms = require "asl.data.rooms"

local DOMAINS = { "daylight", "evening", "lab", "studio" }
local H, W = 48, 64

local function open(given)
  given.size = given.size or { H, W }
  return asl.data.rooms(given)
end

--- The f32 values of a tensor, flat, 1-based.
local function floats(t)
  local bytes, list = t:bytes(), {}
  for i = 1, #bytes // 4 do
    list[i] = string.unpack("<f", bytes, 4 * i - 3)
  end
  return list
end

local function fingerprint(sample)
  return core.sha256(sample.image:bytes() .. sample.label:bytes())
end

--- Share of each class id among the pixels of a data set.
local function class_shares(set)
  local count, total = {}, 0
  for i = 1, #set do
    local label = set:sample(i, { "label" }).label:bytes()
    for at = 1, #label do
      local id = label:byte(at)
      count[id] = (count[id] or 0) + 1
    end
    total = total + #label
  end
  for id, n in pairs(count) do
    count[id] = n / total
  end
  return count
end

local function mean_colour(set)
  local sum, n = { 0, 0, 0 }, 0
  for i = 1, #set do
    local image = set:sample(i, { "image" }).image:bytes()
    for at = 1, #image, 3 do
      local r, g, b = image:byte(at, at + 2)
      sum[1], sum[2], sum[3], n = sum[1] + r, sum[2] + g, sum[3] + b, n + 1
    end
  end
  return { sum[1] / n, sum[2] / n, sum[3] / n }
end

--- Bilinear value of channel c (of n) of a flat picture at (x, y), 0-based, clamped to the picture.
local function bilinear(list, n, c, x, y)
  x, y = math.max(0, math.min(W - 1, x)), math.max(0, math.min(H - 1, y))
  local x0, y0 = math.min(W - 2, math.floor(x)), math.min(H - 2, math.floor(y))
  local fx, fy = x - x0, y - y0
  local function at(u, v) return list[(v * W + u) * n + c + 1] end
  return (at(x0, y0) * (1 - fx) + at(x0 + 1, y0) * fx) * (1 - fy) + (at(x0, y0 + 1) * (1 - fx) + at(x0 + 1, y0 + 1) * fx) * fy
end

local function each_visible(sample, f)
  local flow, hidden, n = floats(sample.flow), sample.occlusion:bytes(), 0
  for y = 0, H - 1 do
    for x = 0, W - 1 do
      local p = y * W + x
      if hidden:byte(p + 1) == 0 then
        f(p, x, y, x + flow[2 * p + 1], y + flow[2 * p + 2])
        n = n + 1
      end
    end
  end
  return n
end

describe("rooms", function()
  it("has NYU-40 classes, ids and sequences that tell what a sample is", function()
    local set = open { domain = "daylight", split = "train", sequences = 3, frames = 7 }
    assert.equal(21, #set)
    assert.equal(40, set.classes)
    assert.same({ "wall", "floor", "bed" }, { set.class_names[1], set.class_names[2], set.class_names[4] })
    assert.equal("rooms/daylight/train/003/0007", set.ids[21])
    assert.equal("rooms/daylight/train/003", set.sequences[21])
    assert.equal(7, set.frames[21])
    assert.equal("rooms/daylight@5/test/001/0001", open({ domain = "daylight", split = "test", seed = 5 }).ids[1])
  end)

  it("gives every plane with its size, type and range", function()
    local sample = open({ domain = "lab" }):sample(2)
    assert.same({ H, W, 3 }, sample.image:shape())
    assert.same({ H, W, 2 }, sample.flow:shape())
    assert.same({ H, W, 2 }, sample.flow_back:shape())
    for _, byte in ipairs { sample.label:bytes():byte(1, -1) } do
      assert.is_true(byte < 40)
    end
    for _, byte in ipairs { sample.occlusion:bytes():byte(1, -1) } do
      assert.is_true(byte <= 1)
    end
    for _, z in ipairs(floats(sample.depth)) do
      assert.is_true(z > 0.05 and z < 9, z)
    end
    local k = sample.intrinsics:totable()
    assert.near(W / 2 / math.tan(math.rad(36)), k[1][1], 1e-3)
    assert.same({ (W - 1) / 2, (H - 1) / 2 }, { k[1][3], k[2][3] })
  end)

  it("is a pure function: the same bytes in any order, cached or not, with any planes asked for", function()
    local once = open { domain = "evening", sequences = 2, frames = 2, cache = 0 }
    local again = open { domain = "evening", sequences = 2, frames = 2 }
    local want = {}
    for i = 1, #once do
      want[i] = fingerprint(once:sample(i))
    end
    for _ = 1, 2 do -- the second time from the cache
      for i = #again, 1, -1 do
        assert.equal(want[i], fingerprint(again:sample(i, { "image", "label" })))
      end
    end
    assert.equal(once:sample(3).label:digest(), again:sample(3, { "label" }).label:digest())
    local longer = open { domain = "evening", sequences = 3, frames = 5 }
    assert.equal(want[4], fingerprint(longer:sample(7))) -- room 2, frame 2
  end)

  it("gives the same bytes from several threads", function()
    local digests = {}
    for _, threads in ipairs { 0, 3 } do
      local set = open { domain = "daylight", sequences = 4, frames = 2 }
      local loader <close> = asl.data.loader { threads = threads }
      local rows = {}
      for i = 1, #set do
        rows[2 * i - 1], rows[2 * i] = { dataset = set, position = i }, { dataset = set, position = i }
      end
      local batch = loader:wait(loader:request { rows = rows, size = { H, W }, seed = 1, step = 1 })
      digests[#digests + 1] = batch.image:digest() .. batch.label:digest()
    end
    assert.equal(digests[1], digests[2])
  end)

  it("keeps its pictures from version to version of compiler and machine", function()
    local sample = open({ domain = "daylight", size = { 96, 128 } }):sample(1)
    assert.equal("8ed2106b365f74037aeeb2754fe4467fd1acde0b43cbc42d75a6b4f05d6c2d05", fingerprint(sample))
  end)

  it("smooths edges in the image only", function()
    local smooth, rough = open({ domain = "studio" }):sample(5), open({ domain = "studio", antialias = false }):sample(5)
    assert.not_equal(smooth.image:digest(), rough.image:digest())
    for _, plane in ipairs { "label", "depth", "flow", "flow_back", "occlusion", "pose" } do
      assert.equal(smooth[plane]:digest(), rough[plane]:digest())
    end
  end)

  it("makes no two rooms, frames, seeds or domains alike", function()
    local seen = {}
    local function add(sample)
      local print_of = sample.image:digest()
      assert.is_nil(seen[print_of], sample.id)
      seen[print_of] = sample.id
    end
    for _, domain in ipairs(DOMAINS) do
      local set = open { domain = domain, sequences = 3, frames = 2 }
      for i = 1, #set do
        add(set:sample(i))
      end
    end
    add(open({ domain = "studio", seed = 2 }):sample(1))
  end)

  it("has no room in two splits", function()
    local seen = {}
    for _, split in ipairs { "train", "val", "test" } do
      local set = open { domain = "daylight", split = split, sequences = 12, frames = 1 }
      for i = 1, #set do
        local shape = set:sample(i, { "depth" }).depth:digest()
        assert.is_nil(seen[shape], set.ids[i])
        seen[shape] = true
      end
    end
    asl.data.disjoint(open { domain = "lab", split = "train" }, open { domain = "lab", split = "test" })
  end)

  it("walks smoothly at the speed of the domain, at the height of a head, inside the room", function()
    local speed = 0.1
    local set = open { domain = { base = "daylight", camera = { speed = speed } }, sequences = 3, frames = 6 }
    local before
    for i = 1, #set do
      local pose = set:sample(i, { "pose" }).pose:totable()
      local x, y, z = pose[1][4], pose[2][4], pose[3][4]
      assert.is_true(z > 1.1 and z < 1.75, z)
      assert.is_true(math.abs(x) < 4 and math.abs(y) < 4)
      for a = 1, 3 do -- a rotation: orthonormal columns, forward = right x down
        for b = 1, 3 do
          local dot = pose[1][a] * pose[1][b] + pose[2][a] * pose[2][b] + pose[3][a] * pose[3][b]
          assert.near(a == b and 1 or 0, dot, 1e-5)
        end
      end
      assert.near(pose[3][3], pose[1][1] * pose[2][2] - pose[2][1] * pose[1][2], 1e-5)
      if set.frames[i] > 1 then
        local step = math.sqrt((x - before[1]) ^ 2 + (y - before[2]) ^ 2 + (z - before[3]) ^ 2)
        assert.is_true(step > 0.4 * speed and step < 1.6 * speed, step)
      end
      before = { x, y, z }
    end
  end)

  it("has flow that carries the next frame back onto this one, pixel for pixel", function()
    local set = open { domain = "studio", sequences = 3, frames = 2 }
    local warped, still, n = 0, 0, 0
    for s = 1, 3 do
      local here, there = set:sample(2 * s - 1), set:sample(2 * s)
      local image, target = { here.image:bytes():byte(1, -1) }, { there.image:bytes():byte(1, -1) }
      n = n + each_visible(here, function(p, x, y, u, v)
        for c = 0, 2 do
          local value = image[3 * p + c + 1]
          warped = warped + math.abs(bilinear(target, 3, c, u, v) - value)
          still = still + math.abs(bilinear(target, 3, c, x, y) - value)
        end
      end)
    end
    assert.is_true(warped / n < 15, warped / n) -- sum of three channels; noise and resampling remain
    assert.is_true(warped < 0.4 * still, warped / still)
  end)

  it("has depth, poses and flow that agree, and backward flow that undoes forward flow", function()
    local set = open { domain = "lab", sequences = 4, frames = 2 }
    local n, depth_agrees, flow_agrees, label_agrees = 0, 0, 0, 0
    for s = 1, 4 do
      local here, there = set:sample(2 * s - 1), set:sample(2 * s)
      local z, z_there, back = floats(here.depth), floats(there.depth), floats(there.flow_back)
      local flow = floats(here.flow)
      local k, pose, pose_there = here.intrinsics:totable(), here.pose:totable(), there.pose:totable()
      local label, label_there = here.label:bytes(), there.label:bytes()
      n = n + each_visible(here, function(p, x, y, u, v)
        local at = { (x - k[1][3]) / k[1][1] * z[p + 1], (y - k[2][3]) / k[2][2] * z[p + 1], z[p + 1] }
        local world, camera = {}, {}
        for i = 1, 3 do
          world[i] = pose[i][1] * at[1] + pose[i][2] * at[2] + pose[i][3] * at[3] + pose[i][4] - pose_there[i][4]
        end
        for i = 1, 3 do
          camera[i] = pose_there[1][i] * world[1] + pose_there[2][i] * world[2] + pose_there[3][i] * world[3]
        end
        assert.near(u, camera[1] / camera[3] * k[1][1] + k[1][3], 2e-3) -- flow = reprojection of depth
        assert.near(v, camera[2] / camera[3] * k[2][2] + k[2][3], 2e-3)
        if math.abs(bilinear(z_there, 1, 0, u, v) - camera[3]) < 0.03 * camera[3] then depth_agrees = depth_agrees + 1 end
        local du = bilinear(back, 2, 0, u, v) + flow[2 * p + 1]
        local dv = bilinear(back, 2, 1, u, v) + flow[2 * p + 2]
        if math.max(math.abs(du), math.abs(dv)) < 0.5 then flow_agrees = flow_agrees + 1 end
        local nearest = math.min(H - 1, math.floor(v + 0.5)) * W + math.min(W - 1, math.floor(u + 0.5))
        if label:byte(p + 1) == label_there:byte(nearest + 1) then label_agrees = label_agrees + 1 end
      end)
    end
    -- what remains are pixels at the edges of things, where bilinear depth mixes two surfaces
    assert.is_true(depth_agrees / n > 0.93, depth_agrees / n)
    assert.is_true(flow_agrees / n > 0.97, flow_agrees / n)
    assert.is_true(label_agrees / n > 0.93, label_agrees / n)
  end)

  it("marks as occluded what the next frame does not show", function()
    local set = open { domain = "studio", sequences = 4, frames = 2 }
    local hidden, n = 0, 0
    for s = 1, 4 do
      local here, there = set:sample(2 * s - 1), set:sample(2 * s)
      local flow, occlusion, z_there = floats(here.flow), here.occlusion:bytes(), floats(there.depth)
      local z = floats(here.depth)
      for p = 0, H * W - 1 do
        local u, v = p % W + flow[2 * p + 1], p // W + flow[2 * p + 2]
        local outside = u < -0.5 or v < -0.5 or u >= W - 0.5 or v >= H - 0.5
        if outside then assert.equal(1, occlusion:byte(p + 1)) end
        if not outside and occlusion:byte(p + 1) == 1 then -- something nearer is there
          hidden, n = hidden + (bilinear(z_there, 1, 0, u, v) < z[p + 1] and 1 or 0), n + 1
        end
      end
    end
    assert.is_true(n > 20, n)
    assert.is_true(hidden / n > 0.8, hidden / n)
  end)

  it("shows at least 13 classes often in the test set of every domain", function()
    for _, domain in ipairs(DOMAINS) do
      local shares = class_shares(open { domain = domain, split = "test", sequences = 24, frames = 1 })
      local often = 0
      for _, share in pairs(shares) do
        if share > 0.005 then often = often + 1 end
      end
      assert.is_true(often >= 13, domain .. ": " .. often)
      assert.is_true(shares[0] < 0.55, domain .. " is mostly wall: " .. shares[0])
    end
  end)

  it("has domains that differ in colour and in what is in the rooms", function()
    local colour, shares = {}, {}
    for _, domain in ipairs(DOMAINS) do
      local set = open { domain = domain, sequences = 16, frames = 1 }
      colour[domain], shares[domain] = mean_colour(set), class_shares(set)
    end
    local function distance(a, b)
      return math.abs(a[1] - b[1]) + math.abs(a[2] - b[2]) + math.abs(a[3] - b[3])
    end
    assert.is_true(distance(colour.studio, colour.evening) > 60)
    assert.is_true(distance(colour.daylight, colour.evening) > 60)
    assert.is_true(distance(colour.daylight, colour.lab) > 40)
    assert.is_true(colour.evening[1] > colour.evening[3] + 20) -- warm
    assert.is_true(colour.lab[3] > colour.lab[1]) -- cool
    assert.is_true((shares.daylight[3] or 0) > 0.01 and not shares.lab[3]) -- beds
    assert.is_true((shares.lab[14] or 0) > 0.01 and (shares.studio[14] or 0) < 0.01) -- shelves
  end)

  it("shows the same rooms in another light when only the light differs", function()
    local day = open { domain = "daylight", sequences = 2, frames = 1 }
    local dim = open { domain = { base = "daylight", light = { sky = 0.2, sun = 0 }, name = "dim" }, sequences = 2, frames = 1 }
    assert.equal("rooms/dim/train/001/0001", dim.ids[1])
    assert.not_equal(day:digest(), dim:digest())
    for i = 1, 2 do
      local a, b = day:sample(i), dim:sample(i)
      assert.equal(a.label:digest(), b.label:digest())
      assert.equal(a.depth:digest(), b.depth:digest())
      assert.not_equal(a.image:digest(), b.image:digest())
    end
    local brighter = open { domain = { base = "daylight", light = { sky = 2 }, wall = { value = 1 } } }
    assert.equal("rooms/daylight+light.sky=2+wall.value=1/train/001/0001", brighter.ids[1])
  end)

  describe("refuses", function()
    local function refused(given, message)
      local ok, err = pcall(asl.data.rooms, given)
      assert.is_false(ok)
      assert.equal(message, (err:gsub("^%S+:%d+: ", "")))
    end

    it("a domain that is not there", function()
      refused({ domain = "dayligt" }, 'asl.data.rooms: there is no domain "dayligt" (there are: daylight, evening, lab, studio)')
      refused({ domain = 3 }, "asl.data.rooms: domain is a name or a table, not a number")
    end)

    it("a parameter that is not there, of the wrong type or out of its limits", function()
      refused({ domain = { light = { lmp = 1 } } },
        "asl.data.rooms: no parameter light.lmp; known: lamp, warmth, side, sky, sun, ambient")
      refused({ domain = { ligt = { lamp = 1 } } },
        "asl.data.rooms: no parameter ligt.lamp; known: layout, wall, floor, wood, fabric, texture, light, sensor, camera")
      refused({ domain = { light = { lamp = 100 } } }, "asl.data.rooms: light.lamp is 100, must be between 0 and 10")
      refused({ domain = { light = { lamp = math.huge } } }, "asl.data.rooms: light.lamp is inf, must be between 0 and 10")
      refused({ domain = { light = { lamp = "x" } } }, "asl.data.rooms: light.lamp must be a number, not a string")
      refused({ domain = { light = 1 } }, "asl.data.rooms: domain.light must be a table of parameters, not a number")
      refused({ domain = { floor = { plain = 0, planks = 0, tiles = 0, carpet = 0 } } },
        "asl.data.rooms: floor: plain, planks, tiles, carpet are all 0, one must be more")
      refused({ domain = { layout = { family = 1.5 } } }, "asl.data.rooms: layout.family is 1.5, must be a whole number")
    end)

    it("sizes and counts out of range", function()
      refused({ size = { 0, 4 } },
        "asl.data.rooms: size is 0x4, must be between 1x1 and 16384x16384 and at most 268435456 pixels")
      refused({ size = 96 }, "asl.data.rooms: size is {height, width}, two integers")
      refused({ sequences = 0 }, "asl.data.rooms: sequences must be from 1 to 1048576, not 0")
      refused({ frames = -1 }, "asl.data.rooms: frames must be from 1 to 1048576, not -1")
    end)
  end)

  it("draws a picture of one pixel, and one that is wider than high", function()
    assert.same({ 1, 1, 3 }, open({ size = { 1, 1 } }):sample(1).image:shape())
    assert.same({ 5, 131 }, open({ size = { 5, 131 } }):sample(1).label:shape())
  end)

  it("lists its parameters with defaults within their limits, and domains that use no others", function()
    local known = {}
    for _, p in ipairs(rooms.parameters()) do
      assert.is_true(p.least <= p.default and p.default <= p.most, p.group .. "." .. p.name)
      known[p.group .. "." .. p.name] = true
    end
    for name, domain in pairs(rooms.domains) do
      for group, values in pairs(domain) do
        for parameter in pairs(values) do
          assert.is_true(known[group .. "." .. parameter], name .. ": " .. group .. "." .. parameter)
        end
      end
    end
  end)
end)
