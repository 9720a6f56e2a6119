--- Which data set lies at a path: each kind by the folders and files it is made of.

local core = require "asl.core"
local data = require "asl.data"
local files = require "asl.data.files"
local labels = require "asl.labels"
local packed = require "asl.data.packed"

local recognise = {}

local SPLITS = { "train", "val", "test" }
local join = files.join

---@class asl.check.part  a data set to look at
---@field kind string     the constructor
---@field group string    parts of one group are its splits, which must have no sample in common
---@field title string
---@field make fun(): asl.Dataset
---@field given table     arguments of the constructor
---@field optional boolean?  where it cannot be made it is only said why
---@field instead table[]?  more arguments to try, one after the other, where it cannot be made without

local function part(kind, title, given, more)
  local this = { kind = kind, group = kind, title = title, given = given, make = function() return data[kind](given) end }
  for key, value in pairs(more or {}) do this[key] = value end
  return this
end

local function exists(...)
  return core.fs.stat(join(...)) ~= nil
end

local function is_folder(...)
  return files.is_folder(join(...))
end

local function folders_in(path)
  local found = {}
  for _, name in ipairs(is_folder(path) and core.fs.list(path) or {}) do
    if is_folder(path, name) then found[#found + 1] = name end
  end
  return found
end

-- ---- each kind --------------------------------------------------------------------------------------------------------

local function find_packs(path)
  local parts = {}
  for _, file in ipairs(packed.list(path)) do
    parts[#parts + 1] = part("pack", file:match "[^/]+$", { root = file }, {
      make = function() return packed.dataset(packed.open(file)) end,
    })
  end
  return parts
end

local function find_camvid(path)
  local parts = {}
  if exists(path, "codes.txt") and is_folder(path, "images") and is_folder(path, "labels") then
    for _, split in ipairs(exists(path, "valid.txt") and { "train", "val" } or { "all" }) do
      parts[#parts + 1] = part("camvid", split, { root = path, split = split })
    end
    return parts
  end
  for _, split in ipairs(SPLITS) do
    local list = join(path, split .. ".txt")
    if exists(list) and is_folder(path, split .. "annot") then
      parts[#parts + 1] = part("camvid", split, { root = path, split = split }, { list = list, lenient = {
        classes = "camvid11", label_map = labels.map("camvid11_file", "camvid11"), name = "camvid",
        pattern = "([^/_]+)_f?(%d+)%.%w+$",
      } })
    end
  end
  return parts
end

local function find_cityscapes(path)
  local parts = {}
  for _, split in ipairs(SPLITS) do
    if is_folder(path, "leftImg8bit", split) then
      local given = { root = path, split = split, labels = is_folder(path, "gtFine", split) }
      parts[#parts + 1] = part("cityscapes", split, given)
    end
  end
  for _, split in ipairs(SPLITS) do
    if is_folder(path, "leftImg8bit_sequence", split) then
      parts[#parts + 1] = part("cityscapes", split .. " video", { root = path, split = split, video = true },
        { group = "cityscapes video" })
    end
  end
  return parts
end

local function coco_part(path, kind, split, year)
  return part("coco", ("%s %s%d"):format(kind, split, year), { root = path, kind = kind, split = split, year = year },
    { group = ("coco %s %d"):format(kind, year) })
end

--- Annotations that are not called as the release calls them, with the one folder of pictures there is.
local function other_annotations(path, parts)
  local known, pictures = {}, {}
  for _, one in ipairs(parts) do known[("%s_%s%d.json"):format(one.given.kind, one.given.split, one.given.year)] = true end
  for _, name in ipairs(folders_in(path)) do
    if name:find "^train%d+$" or name:find "^val%d+$" then pictures[#pictures + 1] = name end
  end
  if #pictures ~= 1 then return end
  local split, year = pictures[1]:match "^(%a+)(%d+)$"
  for _, name in ipairs(core.fs.list(join(path, "annotations"))) do
    if name:find "%.json$" and not known[name] then
      local given = {
        root = path, split = split, year = math.tointeger(tonumber(year)), json = join(path, "annotations", name),
        images = join(path, pictures[1]),
      }
      parts[#parts + 1] = part("coco", name:gsub("%.json$", ""), given, { group = "coco " .. name, optional = true })
    end
  end
end

local function find_coco(path)
  local parts = {}
  if not is_folder(path, "annotations") then return parts end
  for _, year in ipairs { 2014, 2017 } do
    for _, kind in ipairs { "instances", "panoptic" } do
      for _, split in ipairs { "train", "val" } do
        if exists(path, "annotations", ("%s_%s%d.json"):format(kind, split, year)) then
          parts[#parts + 1] = coco_part(path, kind, split, year)
        end
      end
    end
    for _, split in ipairs { "train", "val" } do
      local name = split .. year
      if is_folder(path, "annotations", name) or is_folder(path, "stuffthingmaps", name) then
        parts[#parts + 1] = coco_part(path, "stuff", split, year)
      end
    end
  end
  other_annotations(path, parts)
  return parts
end

--- The form of a scan's folder, and whether label maps are in it; nil when it is none.
local function scan_form(path, scan)
  if is_folder(path, scan, "color") then
    local form = exists(path, scan, "intrinsics_color.txt") and "frames_25k" or "scans"
    return form, is_folder(path, scan, form == "scans" and "label-filt" or "label")
  end
  if exists(path, scan, scan .. ".sens") then return "sens", is_folder(path, scan, "label-filt") end
  return nil
end

local function find_scannet(path)
  local parts = {}
  local split_of = require("asl.data.scannet").splits()
  for _, root in ipairs { path, join(path, "scans"), join(path, "scannet_frames_25k") } do
    local form, has_labels, splits = nil, false, {}
    for _, name in ipairs(folders_in(root)) do
      if name:find "^scene%d%d%d%d_%d%d$" then
        if not form then form, has_labels = scan_form(root, name) end
        splits[split_of[name] or "all"] = true
      end
    end
    for _, split in ipairs(form and { "train", "val", "test", "all" } or {}) do
      if splits[split] then
        parts[#parts + 1] = part("scannet", ("%s %s"):format(form, split), { root = root, form = form, split = split,
          labels = has_labels }, { group = "scannet " .. form })
      end
    end
  end
  return parts
end

local function find_sens(path)
  if not path:find "%.sens$" then return {} end
  local maps = join(path:match "^(.*)/[^/]*$" or ".", "label-filt")
  return { part("sens", path:match "[^/]+$", { file = path, labels = is_folder(maps) and maps or nil }) }
end

--- Whether a folder that is a scene of SUN RGB-D lies below; looks at few folders only.
local function has_scene(path, depth)
  if is_folder(path, "image") and exists(path, "intrinsics.txt") and exists(path, "scene.txt") then return true end
  if depth == 0 then return false end
  for i, name in ipairs(folders_in(path)) do
    if i > 20 then break end
    if has_scene(join(path, name), depth - 1) then return true end
  end
  return false
end

local SUNRGBD_CAMERAS = { "kv1", "kv2", "realsense", "xtion" }

local function find_sunrgbd(path)
  local there = is_folder(path) and has_scene(path, 1)
  for _, camera in ipairs(SUNRGBD_CAMERAS) do
    there = there or is_folder(path, camera) and has_scene(join(path, camera), 3)
      or is_folder(path, "SUNRGBD", camera) and has_scene(join(path, "SUNRGBD", camera), 3)
  end
  return there and { part("sunrgbd", "all", { root = path }) } or {}
end

--- The splits, each with what to ask for instead where it cannot be had so.
local function each_split(kind, path, instead)
  local parts = {}
  for i, split in ipairs(SPLITS) do
    parts[i] = part(kind, split, { root = path, split = split }, { optional = true, instead = instead })
  end
  return parts
end

local function looks_like_nyuv2(path)
  if path:find "%.mat$" or exists(path, "nyu_depth_v2_labeled.mat") then return true end
  for _, name in ipairs { "train/rgb", "test/rgb", "image/train", "image/test" } do
    if is_folder(path, name) then return true end
  end
  return is_folder(path, "rgb") and (is_folder(path, "label40") or is_folder(path, "label13") or is_folder(path, "labels_40"))
end

local function find_nyuv2(path)
  return looks_like_nyuv2(path) and each_split("nyuv2", path, { { classes = "nyu13" }, { labels = false } }) or {}
end

local function find_hypersim(path)
  for _, name in ipairs(folders_in(path)) do
    if name:find "^ai_%d%d%d_%d%d%d$" then
      return each_split("hypersim", path, { { geometry = false }, { valid = "all", geometry = false },
        { picture = "preview" }, { picture = "preview", geometry = false },
        { picture = "preview", geometry = false, labels = false } })
    end
  end
  return {}
end

--- Whether the first line of a text file names a file that is there.
local function is_list(root, path)
  local ok, text = pcall(core.fs.read, path, 1 << 26)
  local first = ok and text:match "^%s*([^%s]+)[^\n]*"
  return first ~= nil and first:find "%.%w+$" ~= nil and exists(root, (first:gsub("^/+", "")))
end

local function numbered_classes()
  local names = {}
  for value = 0, 254 do names[value + 1] = ("value %d"):format(value) end
  return names
end

local function find_lists(path)
  local parts = {}
  local classes, own = numbered_classes(), join(path, "classes.tsv")
  if exists(own) and pcall(labels.load, own) then classes = own end
  for _, name in ipairs(is_folder(path) and core.fs.list(path) or {}) do
    local list = join(path, name)
    if name:find "%.txt$" and is_list(path, list) then
      parts[#parts + 1] = part("folder", name, { root = path, list = list, classes = classes },
        { list = list, lenient = { classes = classes } })
    end
  end
  return parts
end

-- ---- all of them ------------------------------------------------------------------------------------------------------

-- In this order; the first that finds something has it.
local KINDS = {
  { "pack", "a file NAME.pack, or a folder of them", find_packs },
  { "camvid", "train.txt and trainannot (11 classes), or codes.txt, images and labels (32 classes)", find_camvid },
  { "cityscapes", "leftImg8bit/train, val, test and gtFine; leftImg8bit_sequence", find_cityscapes },
  { "scannet", "folders scene0000_00 with color or a .sens file, here, in scans or in scannet_frames_25k", find_scannet },
  { "sens", "a file NAME.sens", find_sens },
  { "hypersim", "folders ai_001_001", find_hypersim },
  { "nyuv2", "nyu_depth_v2_labeled.mat (or another .mat), or train/rgb, image/train, rgb with label40", find_nyuv2 },
  { "coco", "annotations/instances_val2017.json and val2017 (2014; panoptic; maps of COCO-Stuff)", find_coco },
  { "sunrgbd", "folders of scenes with image, intrinsics.txt and scene.txt", find_sunrgbd },
  { "folder", "a list NAME.txt whose lines name pictures and label maps", find_lists },
}

--- What lies at a path.
---@param path string
---@return string|nil kind
---@return asl.check.part[]|string parts  or, where nothing was recognised, what was looked for
function recognise.at(path)
  local looked = {}
  for _, kind in ipairs(KINDS) do
    local parts = kind[3](path)
    if #parts > 0 then return kind[1], parts end
    looked[#looked + 1] = ("  %-11s %s"):format(kind[1], kind[2])
  end
  return nil, table.concat(looked, "\n")
end

return recognise
