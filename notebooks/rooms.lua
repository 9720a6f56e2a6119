-- %% [markdown]
-- # A tour of `rooms`
-- Procedural indoor scenes with exact labels, depth, flow, occlusion and camera poses. Nothing is downloaded and nothing is
-- stored: a sample is computed from (seed, domain, split, sequence, frame) when it is asked for.
--
-- Run it cell by cell in a notebook, or whole: `asl notebooks/rooms.lua` (pictures become PNG files).

-- %%
local asl = require "asl"

--- Pictures side by side, as one.
local function strip(pictures)
  local joined = pictures[1]
  for i = 2, #pictures do
    joined = asl.ops.concat(joined, pictures[i], { dim = 2 })
  end
  return joined
end

local train = asl.data.rooms { domain = "daylight", split = "train", size = { 192, 256 }, sequences = 4, frames = 12 }
print(train)

-- %% [markdown]
-- ## Domains
-- A domain is a table of numbers: kinds of rooms, colours, textures, light, sensor. Four have a name.

-- %%
for _, name in ipairs { "studio", "daylight", "evening", "lab" } do
  local set = asl.data.rooms { domain = name, size = { 192, 256 }, sequences = 4, frames = 1 }
  local row = {}
  for i = 1, #set do
    row[i] = set:sample(i, { "image" }).image
  end
  asl.show(strip(row), { path = ("rooms-%s.png"):format(name) })
end

-- %% [markdown]
-- ## Planes
-- Every sample has the same planes; all describe the same instant exactly.

-- %%
local sample = train:sample(7)
asl.show(sample.image, { path = "rooms-image.png" })
asl.show(sample.label, { path = "rooms-label.png", colours = train.colours })
asl.show(sample.depth, { path = "rooms-depth.png" }) -- metres along the optical axis
asl.show(sample.flow, { path = "rooms-flow.png" })   -- where each pixel is in the next frame
print("camera matrix", sample.intrinsics)
print("camera to world", sample.pose)

-- %% [markdown]
-- ## What is in the rooms
-- The share of the pixels of each class; the ids are those of NYU-40 less one.

-- %%
local count, total = {}, 0
for i = 1, #train do
  local label = train:sample(i, { "label" }).label:bytes()
  for at = 1, #label do
    local id = label:byte(at)
    count[id] = (count[id] or 0) + 1
  end
  total = total + #label
end
local ids = {}
for id in pairs(count) do
  ids[#ids + 1] = id
end
table.sort(ids, function(a, b) return count[a] == count[b] and a < b or count[a] > count[b] end)
for _, id in ipairs(ids) do
  print(("%2d  %-16s %5.1f %%"):format(id, train.class_names[id + 1], 100 * count[id] / total))
end

-- %% [markdown]
-- ## One's own domain
-- On top of a named domain any parameter can be set. The rooms depend on the group `layout` only: here is one room by day, by
-- lamplight, and through a bad camera.

-- %%
local lights = {
  "daylight",
  { base = "daylight", name = "lamplight", light = { sky = 0.03, sun = 0, lamp = 0.6, warmth = 0.8, side = 0.6, ambient = 0.2 } },
  { base = "daylight", name = "bad camera", sensor = { exposure = 0.6, shot = 0.08, read = 0.03, saturation = 0.4 } },
}
local same_room = {}
for i, domain in ipairs(lights) do
  same_room[i] = asl.data.rooms { domain = domain, size = { 192, 256 } }:sample(25, { "image" }).image
end
asl.show(strip(same_room), { path = "rooms-same-room.png" })

-- %% [markdown]
-- All parameters, with their defaults and limits:

-- %%
for _, p in ipairs(require("asl.data.rooms").parameters()) do
  print(("%-20s %6g   from %g to %g"):format(p.group .. "." .. p.name, p.default, p.least, p.most))
end
