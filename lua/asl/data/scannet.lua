--- ScanNet v2 (Dai et al., CVPR 2017): scans of rooms with depth, poses and labels, in three forms on disk.
---
--- `frames_25k`: scannet_frames_25k/SCAN/{color,depth,label,pose}/000000.*, every 100th frame, labels NYU-40 ids.
--- `scans`: scans/SCAN/{color,depth,pose,label-filt}/0.*, all frames as the SensReader writes them, labels raw ScanNet ids.
--- `sens`: scans/SCAN/SCAN.sens, and label-filt beside it where labels are wanted.
---
--- Pictures and depth maps are aligned (the data set's authors say so; the files' extrinsics are not used), so that depth is
--- taken to the picture by the two cameras' intrinsics alone.

local core = require "asl.core"
local dataset = require "asl.data.dataset"
local depth = require "asl.data.depth"
local files = require "asl.data.files"
local labels = require "asl.labels"
local options = require "asl.options"
local sens = require "asl.data.sens"

local scannet = {}

local WHERE = "asl.data.scannet"
local SCAN = "^(scene%d%d%d%d_%d%d)$"
local FOLDER = debug.getinfo(1, "S").source:match("^@(.*/)") or "./"

-- What the forms call things.
local FORMS = {
  frames_25k = {
    labels = "label", ids = "nyu40_file", intrinsics = { "intrinsics_color.txt", "intrinsics_depth.txt" },
  },
  scans = {
    labels = "label-filt", ids = "scannet", intrinsics = { "intrinsic/intrinsic_color.txt", "intrinsic/intrinsic_depth.txt" },
  },
  sens = { labels = "label-filt", ids = "scannet" },
}

--- The options of asl.data.scannet.
scannet.options = {
  root = options.require "string", form = options.one_of { "frames_25k", "scans", "sens" },
  split = options.one_of { "train", "val", "test", "all" }, scans = options.optional "table", every = sens.options.every,
  classes = sens.options.classes, labels = options.any, label_ids = options.optional "string", geometry = true,
  tracked = sens.options.tracked, size = sens.options.size,
}

-- ---- which scans ------------------------------------------------------------------------------------------------------

--- The official split of every scan.
---@return table<string, string> split  "train", "val", "test" by the name of the scan
function scannet.splits()
  local splits = {}
  for line in core.fs.read(FOLDER .. "scannet_splits.tsv"):gmatch "[^\n]+" do
    local scan, split = line:match "^(scene[%d_]+)\t(%a+)$"
    if scan then splits[scan] = split end
  end
  return splits
end

--- Whether a scan is asked for by its name, or by the number of its scene.
local function wanted_set(scans)
  local set = {}
  for _, scan in ipairs(scans) do
    if math.type(scan) == "integer" then
      set[("scene%04d"):format(scan)] = true
    elseif type(scan) == "string" and scan:find(SCAN) then
      set[scan] = true
    else
      error(("%s: scans: %s; each is a name like \"scene0000_00\" or the number of a scene, of which all scans are taken")
        :format(WHERE, type(scan) == "string" and ("%q"):format(scan) or tostring(scan)), 4)
    end
  end
  return set
end

--- The scans on disk that are of the split and asked for. What is asked for by name must be there.
local function scans_of(o)
  local splits, scans, found = scannet.splits(), {}, {}
  local wanted = o.scans and wanted_set(o.scans)
  for _, entry in ipairs(files.matching(o.root, SCAN)) do
    local scan, scene = entry[1], entry[1]:sub(1, 9)
    local of_split = o.split == "all" or splits[scan] == o.split
    if of_split and (not wanted or wanted[scan] or wanted[scene]) then
      scans[#scans + 1] = scan
      found[scan], found[scene] = true, true
    end
  end
  for name in pairs(wanted or {}) do
    if not found[name] then
      local split = splits[#name == 9 and name .. "_00" or name]
      files.bad("%s: %s: no scan of %s and the split %q%s", WHERE, o.root, name, o.split,
        o.split ~= "all" and split and split ~= o.split and (" (it is in %q)"):format(split) or "")
    end
  end
  if #scans == 0 then files.bad("%s: %s holds no folder of a scan of the split %q", WHERE, o.root, o.split) end
  return scans
end

-- ---- extracted frames -------------------------------------------------------------------------------------------------

local function is_tracked(o, path)
  o.files[#o.files + 1] = path
  for _, number in ipairs(depth.matrix(path, 4, 4)) do
    if number - number ~= 0 then return false end
  end
  return true
end

local function intrinsics_of(o, folder, which)
  local path = files.first(WHERE, "intrinsics", { files.join(folder, o.form.intrinsics[which]) })
  o.files[#o.files + 1] = path
  return depth.intrinsics(path, 4)
end

--- The frames of a scan: the numbers of its pictures, in their order, every `every`th.
local function frames_of(o, folder)
  local frames = {}
  for _, found in ipairs(files.matching(files.join(folder, "color"), "^(%d+)%.jpg$")) do
    local number = math.tointeger(tonumber(found[1]))
    if number % o.every == 0 then frames[#frames + 1] = { number = number, name = found[1] } end
  end
  table.sort(frames, function(a, b) return a.number < b.number end)
  return frames
end

local function add_frame(lists, o, scan, folder, frame)
  local pose = files.join(folder, "pose", frame.name .. ".txt")
  if o.tracked and not is_tracked(o, pose) then return end
  local i = #lists.ids + 1
  lists.ids[i] = ("scannet/%s/%06d"):format(scan, frame.number)
  lists.sequences[i], lists.frames[i] = scan, frame.number
  lists.images[i] = files.join(folder, "color", frame.name .. ".jpg")
  if lists.labels then lists.labels[i] = files.join(folder, o.label_folder, frame.name .. ".png") end
  if lists.depths then
    lists.depths[i], lists.poses[i] = files.join(folder, "depth", frame.name .. ".png"), pose
    lists.intrinsics[i], lists.depth_intrinsics[i] = lists.camera[1], lists.camera[2]
  end
end

local function add_scan(lists, o, scan)
  local folder = files.join(o.root, scan)
  files.first(WHERE, "pictures", { files.join(folder, "color") })
  if lists.depths then lists.camera = { intrinsics_of(o, folder, 1), intrinsics_of(o, folder, 2) } end
  for _, frame in ipairs(frames_of(o, folder)) do add_frame(lists, o, scan, folder, frame) end
end

local function fingerprints(lists)
  local prints = {}
  for i, size in ipairs(files.sizes(WHERE, lists.images)) do prints[i] = tostring(size) end
  for _, key in ipairs { "labels", "depths", "poses" } do
    for i, size in ipairs(lists[key] and files.sizes(WHERE, lists[key]) or {}) do prints[i] = prints[i] .. " " .. size end
  end
  return prints
end

local function extracted(o, scans)
  local geometry = o.geometry
  local lists = {
    ids = {}, sequences = {}, frames = {}, images = {}, labels = o.labels and {} or nil, depths = geometry and {} or nil,
    poses = geometry and {} or nil, intrinsics = geometry and {} or nil, depth_intrinsics = geometry and {} or nil,
  }
  for _, scan in ipairs(scans) do add_scan(lists, o, scan) end
  if #lists.ids == 0 then files.bad("%s: %s: no frame of these scans is left", WHERE, o.root) end
  return dataset.new {
    name = "scannet/" .. o.split, class_names = o.classes.names, colours = o.classes.colours, ids = lists.ids,
    sequences = lists.sequences, frames = lists.frames, fingerprint = fingerprints(lists),
    files = o.files, source = core.source_frames {
      images = lists.images, labels = lists.labels, depths = lists.depths, poses = lists.poses,
      depth_coding = geometry and depth.coding "mm" or nil, intrinsics = lists.intrinsics,
      depth_intrinsics = lists.depth_intrinsics, label_map = labels.map(o.label_ids, o.classes), table = o.label_ids,
      size = o.size,
    },
  }
end

-- ---- .sens ------------------------------------------------------------------------------------------------------------

--- Joined in pairs, so that no sample is looked at more often than the logarithm of their number.
local function join_all(sets)
  while #sets > 1 do
    local pairs_of = {}
    for i = 1, #sets, 2 do pairs_of[#pairs_of + 1] = sets[i + 1] and sets[i]:join(sets[i + 1]) or sets[i] end
    sets = pairs_of
  end
  return sets[1]
end

local function from_sens(o, scans)
  local sets = {}
  for i, scan in ipairs(scans) do
    local folder = files.join(o.root, scan)
    sets[i] = sens.build(WHERE, {
      file = files.first(WHERE, "scan", { files.join(folder, scan .. ".sens") }), name = "scannet/" .. o.split, scan = scan,
      labels = o.labels and files.first(WHERE, "label maps", { files.join(folder, o.label_folder) }) or nil,
      label_ids = o.label_ids, classes = o.classes, every = o.every, tracked = o.tracked, size = o.size,
      files = o.files,
    })
  end
  local all = join_all(sets)
  all.name = "scannet/" .. o.split
  return all
end

--- See asl.data.scannet.
function scannet.new(given)
  local o = options.check(WHERE, given, scannet.options)
  if o.every < 1 or math.type(o.every) ~= "integer" then
    error(("%s: option \"every\" must be a whole number from 1, not %s"):format(WHERE, tostring(o.every)), 2)
  end
  if o.labels == nil then o.labels = o.split ~= "test" end
  if type(o.labels) ~= "boolean" and type(o.labels) ~= "string" then
    error(('%s: option "labels" must be true, false or the name of the folder they are in, not a %s'):format(WHERE,
      type(o.labels)), 2)
  end
  o.root = files.root(WHERE, o.root, "folders scene0000_00, scene0000_01, ...")
  o.files = files.tables(o.classes, o.label_ids)
  o.classes = labels.from(o.classes, "scannet")
  o.form_name, o.form = o.form, FORMS[o.form]
  o.label_ids = o.label_ids or o.form.ids
  o.label_folder = type(o.labels) == "string" and o.labels or o.form.labels
  local scans = scans_of(o)
  return o.form_name == "sens" and from_sens(o, scans) or extracted(o, scans)
end

return scannet
