--- `rooms`: procedural indoor scenes with exact labels, depth, flow, occlusion and poses; nothing to download.
---
--- A sequence is one furnished room and a camera that walks through it. A domain is a table of numbers, group by group: what
--- rooms there are, how they are coloured, lit and photographed. The named domains differ in all of it, so that a network
--- trained in one does worse in the others. Every sample is a pure function of (seed, domain, split, sequence, frame, size).
---
---     local train = asl.data.rooms { domain = "studio", split = "train", size = { 96, 128 }, sequences = 8, frames = 12 }
---     local dusk  = asl.data.rooms { domain = { base = "daylight", light = { sky = 0.1, lamp = 0.4 } } }
---
--- Domains with the same `layout` group show the same rooms: `dusk` above is `daylight` in another light.

local core = require "asl.core"
local dataset = require "asl.data.dataset"
local labels = require "asl.labels"
local options = require "asl.options"

local rooms = {}

--- The named domains. Groups and parameters not listed have the defaults of `rooms.parameters()`.
rooms.domains = {
  -- A simulator's showroom: flat light, clean pictures, hardly a texture; mint walls, white lacquer, bright fabrics.
  studio = {
    layout = { family = 1, bedroom = 1, living = 1, kitchen = 0.7, office = 0.5, workshop = 0, clutter = 0.5 },
    wall = { hue = 0.45, spread = 0.1, saturation = 0.18, value = 0.85 },
    floor = { hue = 0.75, spread = 0.1, saturation = 0.15, value = 0.6, plain = 1, planks = 0, tiles = 0.5 },
    wood = { hue = 0.55, spread = 0.1, saturation = 0.08, value = 0.97 },
    fabric = { hue = 0.05, spread = 0.12, saturation = 0.8, value = 0.85 },
    texture = { contrast = 0.25 },
    light = { lamp = 0.5, warmth = 0, sky = 0.3, ambient = 1.2 },
    sensor = { exposure = 1.3, saturation = 1.15, vignette = 0, shot = 0, read = 0.002 },
  },
  -- Homes by day: light and sun come through the windows, oak and plaster.
  daylight = {
    layout = { family = 2, bedroom = 1, living = 1, kitchen = 1, office = 0.4, workshop = 0, clutter = 0.7 },
    wall = { hue = 0.1, saturation = 0.12, value = 0.88, plain = 1, stripes = 0.4 },
    floor = { hue = 0.075, saturation = 0.5, value = 0.62, planks = 1, tiles = 0.2 },
    wood = { hue = 0.075, saturation = 0.5, value = 0.65 },
    fabric = { hue = 0.58, spread = 0.2, saturation = 0.4, value = 0.6 },
    light = { lamp = 0, sky = 1.5, sun = 1.2, ambient = 0.6 },
    sensor = { exposure = 1.35, shot = 0.02, read = 0.006 },
  },
  -- Old homes at night: few warm lamps, dark wood, patterned walls, a noisy camera.
  evening = {
    layout = { family = 3, bedroom = 1, living = 1.2, kitchen = 0.7, office = 0.2, workshop = 0, clutter = 0.8 },
    wall = { hue = 0.06, spread = 0.1, saturation = 0.35, value = 0.68, plain = 0.5, stripes = 1, bricks = 0.3, panels = 0.7 },
    floor = { hue = 0.04, saturation = 0.6, value = 0.42, planks = 1, carpet = 1 },
    wood = { hue = 0.05, saturation = 0.65, value = 0.4 },
    fabric = { hue = 0.98, spread = 0.15, saturation = 0.5, value = 0.5 },
    light = { lamp = 0.5, warmth = 0.9, side = 0.8, sky = 0.03, ambient = 0.2 },
    sensor = { exposure = 0.75, balance = 0.2, vignette = 0.35, shot = 0.06, read = 0.02 },
  },
  -- Offices and workshops under cool panel lamps: desks, shelves, boxes, whiteboards, tiles.
  lab = {
    layout = { family = 4, bedroom = 0, living = 0, kitchen = 0.2, office = 1, workshop = 1, clutter = 0.9 },
    wall = { hue = 0.55, spread = 0.1, saturation = 0.08, value = 0.8, plain = 1, bricks = 0.25 },
    floor = { hue = 0.58, spread = 0.05, saturation = 0.15, value = 0.5, plain = 0.3, planks = 0, tiles = 1, carpet = 0.6 },
    wood = { hue = 0.1, spread = 0.05, saturation = 0.15, value = 0.7 },
    fabric = { hue = 0.62, spread = 0.1, saturation = 0.5, value = 0.4 },
    light = { lamp = 1.5, warmth = -0.6, sky = 0.2, ambient = 0.5 },
    sensor = { exposure = 1.1, saturation = 0.75, balance = -0.15, shot = 0.03, read = 0.012 },
    camera = { height = 1.35 },
  },
}

local FIRST_ROOM = { train = 0, val = 1 << 20, test = 2 << 20 } -- so no room is in two splits
local MOST_SEQUENCES = 1 << 20
local VERSION = 1 -- of the generator: another one gives other pictures

local function sorted_keys(t)
  local keys = {}
  for key in pairs(t) do
    keys[#keys + 1] = key
  end
  table.sort(keys, function(a, b) return tostring(a) < tostring(b) end)
  return keys
end

--- All parameters of a domain, with defaults and limits.
---@return {group: string, name: string, default: number, least: number, most: number}[]
function rooms.parameters()
  return core.rooms_parameters()
end

local function named_domain(where, name)
  if type(name) ~= "string" then
    error(("%s: domain is a name or a table, not a %s"):format(where, type(name)), 4)
  end
  local domain = rooms.domains[name]
  if not domain then
    error(("%s: there is no domain %q (there are: %s)"):format(where, tostring(name),
      table.concat(sorted_keys(rooms.domains), ", ")), 4)
  end
  return domain
end

-- What is given on top of the base: {"light.lamp=0.2", ...}, and into `flat`.
local function overlay(where, given, flat)
  local changes = {}
  for _, group in ipairs(sorted_keys(given)) do
    if group ~= "base" and group ~= "name" then
      if type(given[group]) ~= "table" then
        error(("%s: domain.%s must be a table of parameters, not a %s"):format(where, tostring(group), type(given[group])), 4)
      end
      for _, name in ipairs(sorted_keys(given[group])) do
        local value = given[group][name]
        flat[group .. "." .. name] = { group, name, value }
        changes[#changes + 1] = ("%s.%s=%s"):format(group, name, tostring(value))
      end
    end
  end
  return changes
end

-- The domain's name and its parameters as a sorted list of {group, name, value}.
local function resolve(where, domain)
  local flat, name = {}, domain
  if type(domain) == "table" then
    local base = domain.base or "studio"
    overlay(where, named_domain(where, base), flat)
    local changes = overlay(where, domain, flat)
    name = domain.name or table.concat({ base, table.unpack(changes) }, "+")
  else
    overlay(where, named_domain(where, domain), flat)
  end
  local list = {}
  for _, key in ipairs(sorted_keys(flat)) do
    list[#list + 1] = flat[key]
  end
  return name, list
end

local function check_count(where, name, value, most)
  if value < 1 or value > most then
    error(("%s: %s must be from 1 to %d, not %d"):format(where, name, most, value), 3)
  end
end

--- The options of rooms.new.
rooms.options = {
  domain = options.any, split = options.one_of { "train", "val", "test" }, size = options.any, sequences = 8, frames = 12,
  seed = 1, antialias = true, cache = 64,
}

--- Procedural rooms with the 40 classes of NYUv2 (Silberman et al. 2012; Gupta et al. 2013), class id = NYU id - 1. Every
--- pixel is labelled. Planes: image, label, depth (metres, planar), flow and flow_back (pixels, to the next and the previous
--- frame of the path, exact for the static scene), occlusion (1 = not to be seen in the next frame), intrinsics (3x3), pose
--- (4x4, camera to world, metres; world z is up).
---@param given table  named arguments:
---   domain (string or table): "studio", "daylight", "evening", "lab", or {base = one of these, name = optional, and groups of
---   parameters on top: light = {lamp = 0.2}, ...; rooms.parameters() lists them};
---   split ("train", "val", "test"): no room is in two; size (integer[2], default {96, 128}): height and width;
---   sequences (integer, default 8): rooms; frames (integer, default 12): per room; seed (integer, default 1);
---   antialias (boolean, default true): smooth edges in the image; cache (number, default 64): MiB for pictures rendered once,
---   so that later epochs cost no rendering
---@return asl.Dataset  sequence after sequence; ids like "rooms/daylight/train/003/0007" (room 3, frame 7, from 1)
--- Errors: unknown domain, unknown parameter or value out of its limits, sizes and counts out of range.
function rooms.new(given)
  local where = "asl.data.rooms"
  local o = options.check(where, given, rooms.options)
  local size = o.size or { 96, 128 }
  if type(size) ~= "table" or math.type(size[1]) ~= "integer" or math.type(size[2]) ~= "integer" then
    error(where .. ": size is {height, width}, two integers", 2)
  end
  check_count(where, "sequences", o.sequences, MOST_SEQUENCES)
  check_count(where, "frames", o.frames, 1 << 20)
  local domain_name, parameters = resolve(where, o.domain or "studio")
  if o.seed ~= 1 then domain_name = domain_name .. "@" .. o.seed end
  local made, source = pcall(core.rooms_source, {
    parameters = parameters, seed = o.seed, first_room = FIRST_ROOM[o.split], sequences = o.sequences, frames = o.frames,
    height = size[1], width = size[2], antialias = o.antialias, cache_bytes = math.floor(o.cache * (1 << 20)),
  })
  if not made then error((tostring(source):gsub("^rooms:", where .. ":")), 2) end
  local table_of_labels = labels.load "nyu40"
  local name = ("rooms/%s/%s"):format(domain_name, o.split)
  local ids, sequences, frames = {}, {}, {}
  for s = 1, o.sequences do
    local sequence = ("%s/%03d"):format(name, s)
    for f = 1, o.frames do
      ids[#ids + 1] = ("%s/%04d"):format(sequence, f)
      sequences[#sequences + 1] = sequence
      frames[#frames + 1] = f
    end
  end
  local facts = { ("rooms %d seed=%d size=%dx%d antialias=%s"):format(VERSION, o.seed, size[1], size[2], o.antialias) }
  for _, p in ipairs(parameters) do
    facts[#facts + 1] = ("%s.%s=%.9g"):format(p[1], p[2], p[3])
  end
  return dataset.new {
    name = name, class_names = table_of_labels.names, colours = table_of_labels.colours, ids = ids, sequences = sequences,
    frames = frames, source = source, fingerprint = table.concat(facts, " "),
  }
end

return rooms
