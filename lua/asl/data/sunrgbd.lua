--- SUN RGB-D (Song, Lichtenberg, Xiao, CVPR 2015): rooms seen by four kinds of RGB-D camera, a folder per scene, without
--- labels (the release has them in MATLAB files only).

local core = require "asl.core"
local dataset = require "asl.data.dataset"
local depth = require "asl.data.depth"
local files = require "asl.data.files"
local labels = require "asl.labels"
local options = require "asl.options"

local sunrgbd = {}

local WHERE = "asl.data.sunrgbd"
local DEEPEST = 8 -- SUNRGBD/kv2/kinect2data/000002_2014-05-26_14-23-37_260595134347_rgbf000103-resize
local DEPTH_FOLDERS = { filled = "depth_bfx", raw = "depth" }

--- The options of asl.data.sunrgbd.
sunrgbd.options = {
  root = options.require "string", list = options.optional "string", depth = options.one_of { "filled", "raw" },
  size = options.optional "table",
}

local function is_scene(path)
  return files.is_folder(path .. "/image") and core.fs.stat(path .. "/intrinsics.txt") ~= nil
end

--- Paths below root of all folders that are scenes, sorted; what lies in a scene is not looked at.
local function find_scenes(root, below, level, found)
  local path = below == "" and root or files.join(root, below)
  if is_scene(path) then
    found[#found + 1] = below
  elseif level < DEEPEST then
    for _, name in ipairs(core.fs.list(path)) do
      local inner = below == "" and name or below .. "/" .. name
      if files.is_folder(files.join(root, inner)) then find_scenes(root, inner, level + 1, found) end
    end
  end
  return found
end

local function listed_scenes(o)
  local scenes = {}
  for _, line in files.lines(o.list) do
    local scene = line:gsub("/+$", "")
    if scene ~= "" then
      if not is_scene(files.join(o.root, scene)) then
        files.bad("%s: %s, which %s names, is no scene (a folder with image and intrinsics.txt)", WHERE,
          files.join(o.root, scene), o.list)
      end
      scenes[#scenes + 1] = scene
    end
  end
  return scenes
end

--- The one file of a scene's folder.
local function only_file(folder, pattern)
  local found = files.is_folder(folder) and files.matching(folder, pattern) or {}
  if #found ~= 1 then files.bad("%s: %s holds %d files; expected one", WHERE, folder, #found) end
  return files.join(folder, found[1].name)
end

local function room_of(path)
  local info = core.fs.stat(path)
  local text = info and core.fs.read(path, 1 << 16):match "^%s*([^\r\n]-)%s*$"
  return text and text ~= "" and text or files.bad("%s: %s does not name the kind of room", WHERE, path)
end

local function add_scene(lists, o, scene)
  local path = files.join(o.root, scene)
  local i = #lists.ids + 1
  lists.ids[i] = "sunrgbd/" .. scene
  lists.images[i] = only_file(path .. "/image", "^(.+%.%w+)$")
  lists.depths[i] = only_file(files.join(path, DEPTH_FOLDERS[o.depth]), "^(.+%.png)$")
  local camera, kind = path .. "/intrinsics.txt", path .. "/scene.txt"
  lists.intrinsics[i] = depth.intrinsics(camera, 3)
  local room = room_of(kind)
  table.move({ camera, kind }, 1, 2, #lists.files + 1, lists.files)
  lists.counts[room] = (lists.counts[room] or 0) + 1
  lists.sequences[i], lists.frames[i] = room, lists.counts[room]
end

local function fingerprints(lists)
  local images, depths, prints = files.sizes(WHERE, lists.images), files.sizes(WHERE, lists.depths), {}
  for i = 1, #images do prints[i] = ("%d %d"):format(images[i], depths[i]) end
  return prints
end

--- See asl.data.sunrgbd.
function sunrgbd.new(given)
  local o = options.check(WHERE, given, sunrgbd.options)
  o.root = files.root(WHERE, o.root, "folders of scenes")
  local scenes = o.list and listed_scenes(o) or find_scenes(o.root, "", 0, {})
  if #scenes == 0 then
    files.bad("%s: %s holds no scenes (folders with image, %s and intrinsics.txt)", WHERE, o.list or o.root,
      DEPTH_FOLDERS[o.depth])
  end
  local lists = { ids = {}, images = {}, depths = {}, intrinsics = {}, sequences = {}, frames = {}, counts = {},
    files = { o.list } }
  for _, scene in ipairs(scenes) do add_scene(lists, o, scene) end
  return dataset.new {
    name = "sunrgbd", class_names = labels.nyu40.names, colours = labels.nyu40.colours, ids = lists.ids,
    sequences = lists.sequences, frames = lists.frames, fingerprint = fingerprints(lists),
    files = lists.files, source = core.source_frames {
      images = lists.images, depths = lists.depths, depth_coding = depth.coding "sunrgbd", intrinsics = lists.intrinsics,
      size = o.size,
    },
  }
end

return sunrgbd
