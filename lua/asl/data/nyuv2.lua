--- NYU Depth V2 (Silberman, Hoiem, Kohli, Fergus, ECCV 2012): 1449 labelled frames of 464 scenes of 27 kinds, 640x480, from a
--- Kinect, in one of four forms on disk.
---
--- `mat`: nyu_depth_v2_labeled.mat. Labels are its 894 classes; depth is `depths` ("filled") or `rawDepths` ("raw").
--- `split`: {train,test}/{rgb,depth,depth_raw,labels_40,labels_13,labels_894}/0003.png. Depth in mm; labels NYU ids, 0 none.
--- `image`: image/{train,test}/00003.png and depth, seg40, seg13 with the same folders. Labels NYU ids, 0 none; depth in
---   units that differ from tool to tool.
--- `flat`: rgb/0003.png and depth_mm or depth_5000 (1/5000 m), label40 (class id, 255 none), label13 (NYU-13 ids, 0 none).
---
--- A frame's number is its place in the .mat, from 1. The table nyuv2_frames.tsv beside this file says its scene and the
--- official split (795 train, 654 test; no scene is in both). The validation part is cut from train by scene: of its 249
--- scenes, sorted by name, every tenth. That makes 718 train, 77 val, 654 test.
---
--- Intrinsics are those of the RGB camera in the authors' toolbox. They come from a calibration that counts from the middle of
--- the top-left pixel, as ASL does, so they stand as published (the toolbox itself counts pixels from 1 when it uses them).

local core = require "asl.core"
local dataset = require "asl.data.dataset"
local depth = require "asl.data.depth"
local files = require "asl.data.files"
local labels = require "asl.labels"
local options = require "asl.options"
local rows = require "asl.data.rows"

local nyuv2 = {}

local WHERE = "asl.data.nyuv2"
local FOLDER = debug.getinfo(1, "S").source:match("^@(.*/)") or "./"
local MAT, TABLE = "nyu_depth_v2_labeled.mat", "nyuv2_frames.tsv"
local SPLITS = { "train", "val", "test", "all" }
local EVERY_SCENE = 10 -- of train is for validation
local FX, FY, CX, CY = 518.85790117450188, 519.46961112127485, 325.58244941119034, 253.73616633400465
local HEIGHT, WIDTH = 480, 640

--- The options of asl.data.nyuv2.
nyuv2.options = {
  root = options.require "string", form = options.any, split = options.one_of(SPLITS), classes = "nyu40",
  scenes = options.optional "table", scene_types = options.optional "table", depth = options.one_of { "filled", "raw" },
  labels = true, geometry = true, frames = options.optional "string", label_folder = options.optional "string",
  label_ids = options.optional "string", depth_coding = options.any, size = options.optional "table",
}

-- What the folders of a form hold, in the order in which they are looked for.
local FORMS = {
  split = {
    pictures = "PART/rgb", beside = "PART/NAME",
    labels = { { "labels_40", "nyu40_file" }, { "labels_894", "nyu894" }, { "labels_13", "nyu13_file" } },
    depth = { filled = { { "depth", "mm" } }, raw = { { "depth_raw", "mm" } } },
  },
  image = {
    pictures = "image/PART", beside = "NAME/PART",
    labels = { { "seg40", "nyu40_file" }, { "seg13", "nyu13_file" } },
    depth = { filled = { { "depth", nil } }, raw = {} },
  },
  flat = {
    pictures = "rgb", beside = "NAME",
    labels = { { "label40", "nyu40" }, { "label13", "nyu13_file" } },
    depth = { filled = { { "depth_mm", "mm" }, { "depth_5000", "tum" } }, raw = {} },
  },
}

--- The folder of a form's pattern, for a part ("train", "test"; nil of the flat form) and the name of a folder.
local function folder_of(o, pattern, part, name)
  return files.join(o.root, (pattern:gsub("%u+", { PART = part, NAME = name })))
end

-- ---- which frames -----------------------------------------------------------------------------------------------------

--- Cuts the validation part from train, unless the table has one.
local function cut_validation(frames)
  local scenes, seen, chosen = {}, {}, {}
  for _, frame in ipairs(frames) do
    if frame.split == "val" then return end
    if frame.split == "train" and not seen[frame.scene] then
      seen[frame.scene] = true
      scenes[#scenes + 1] = frame.scene
    end
  end
  table.sort(scenes)
  for i = EVERY_SCENE, #scenes, EVERY_SCENE do chosen[scenes[i]] = true end
  for _, frame in ipairs(frames) do
    if chosen[frame.scene] then frame.split = "val" end
  end
end

local function add_row(reading, row, place)
  local index = math.tointeger(tonumber(row.index))
  if index ~= #reading.frames + 1 then
    files.bad("%s: %s: index %q; frames count 1, 2, 3, ..., here %d is expected", WHERE, place, row.index, #reading.frames + 1)
  end
  if row.split ~= "train" and row.split ~= "val" and row.split ~= "test" then
    files.bad('%s: %s: the split %q; expected "train", "val" or "test"', WHERE, place, row.split)
  end
  if row.scene == "" or row.scene_type == "" then files.bad("%s: %s: no scene or no scene type", WHERE, place) end
  local before = reading.scenes[row.scene]
  if before and (before.split ~= row.split or before.scene_type ~= row.scene_type) then
    files.bad("%s: %s: the scene %s is %s in %s here but %s in %s before", WHERE, place, row.scene, row.scene_type, row.split,
      before.scene_type, before.split)
  end
  reading.scenes[row.scene] = before or row
  reading.frames[index] = row
end

--- The table of frames: split ("train", "val", "test"), scene and scene_type by a frame's number.
---@param path string|nil  a TSV file with the columns index, split, scene_type, scene; default: that of the 1449 frames
---@return {split: string, scene: string, scene_type: string}[]
--- Errors: a file that cannot be read, an index that is out of order, an unknown split, a scene in two splits.
function nyuv2.frames(path)
  local reading = { frames = {}, scenes = {} }
  rows.each(WHERE, path or FOLDER .. TABLE, { "index", "split", "scene_type", "scene" }, function(row, place)
    add_row(reading, row, place)
  end)
  cut_validation(reading.frames)
  return reading.frames
end

--- The kinds of room of a data set's samples, the most frequent first, and how many samples each has. A scene is called
--- after its kind ("living_room_0012" is a living_room), so that this holds of subsets and joined sets too.
---@param set asl.Dataset
---@return string[] names
---@return table<string, integer> counts
function nyuv2.scene_types(set)
  local names, counts = {}, {}
  for _, scene in ipairs(set.sequences) do
    local name = scene:match "^(.*)_%d+%a*$" or scene
    if not counts[name] then names[#names + 1] = name end
    counts[name] = (counts[name] or 0) + 1
  end
  table.sort(names, function(a, b)
    if counts[a] ~= counts[b] then return counts[a] > counts[b] end
    return a < b
  end)
  return names, counts
end

--- A set of the names in a list option, each of which some frame of the split must have.
local function wanted_set(o, frames, option, key)
  if not o[option] then return nil end
  local splits, set = {}, {}
  for _, frame in ipairs(frames) do
    local of = splits[frame[key]] or {}
    of[frame.split], splits[frame[key]] = true, of
  end
  for _, name in ipairs(o[option]) do
    local of = splits[name]
    if not of then
      error(("%s: %s: there is no %q"):format(WHERE, option, tostring(name)), 0)
    elseif o.split ~= "all" and not of[o.split] then
      error(("%s: %s: no frame of %s is in the split %q"):format(WHERE, option, name, o.split), 0)
    end
    set[name] = true
  end
  return set
end

--- Numbers of the frames of the split that are asked for.
local function chosen_frames(o, frames)
  local scenes = wanted_set(o, frames, "scenes", "scene")
  local types = wanted_set(o, frames, "scene_types", "scene_type")
  local chosen = {}
  for i, frame in ipairs(frames) do
    if (o.split == "all" or frame.split == o.split) and (not scenes or scenes[frame.scene])
      and (not types or types[frame.scene_type]) then
      chosen[#chosen + 1] = i
    end
  end
  return chosen
end

--- The table for a folder: the one that is given, that lies there, or the built-in one.
local function frames_for(o, folder)
  local beside = files.join(folder, TABLE)
  o.table_path = o.frames or core.fs.stat(beside) and beside or nil
  o.files[#o.files + 1] = o.table_path
  return nyuv2.frames(o.table_path)
end

--- The camera matrix of pictures of a size: the published one is for 640x480.
local function intrinsics_of(path, height, width)
  if width * HEIGHT ~= height * WIDTH then
    files.bad("%s: %s: pictures of %dx%d have no known intrinsics, which are for %dx%d (width x height); say geometry = false",
      WHERE, path, width, height, WIDTH, HEIGHT)
  end
  local s = width / WIDTH
  return { FX * s, 0, (CX + 0.5) * s - 0.5, 0, FY * s, (CY + 0.5) * s - 0.5, 0, 0, 1 }
end

local function build(o, frames, chosen, prints, source)
  if #chosen == 0 then files.bad("%s: %s: no frame of these is in the split %q", WHERE, o.root, o.split) end
  local ids, sequences = {}, {}
  for i, number in ipairs(chosen) do ids[i], sequences[i] = ("nyuv2/%04d"):format(number), frames[number].scene end
  return dataset.new {
    name = "nyuv2/" .. o.split, class_names = o.classes.names, colours = o.classes.colours, ids = ids, sequences = sequences,
    frames = chosen, fingerprint = prints, source = source, files = o.files,
  }
end

-- ---- the .mat ---------------------------------------------------------------------------------------------------------

--- The strings of a cell array.
local function strings_of(file, name)
  local strings = {}
  for i, address in ipairs(file:read(name):reshape({ -1 }):totable()) do
    local codes = file:read_reference(address):reshape({ -1 }):totable()
    for k, code in ipairs(codes) do codes[k] = utf8.char(code) end
    strings[i] = table.concat(codes)
  end
  return strings
end

-- The cells of the file that was opened last: they are thousands of small pieces, and tasks open a file many times.
local last = { key = "", cells = {} }

--- The cell arrays of a file that are there, as strings by name.
local function cells_of(file, path, names)
  local info = core.fs.stat(path)
  local key = ("%s %d %.17g"):format(core.fs.realpath(path), info.size, info.mtime)
  if last.key ~= key then last = { key = key, cells = {} } end
  local found = {}
  for _, link in ipairs(file:list "/") do
    if names[link.name] then
      last.cells[link.name] = last.cells[link.name] or strings_of(file, link.name)
      found[link.name] = last.cells[link.name]
    end
  end
  return found
end

local function check_strings(path, what, found, expected)
  if #found ~= #expected then files.bad("%s: %s has %d %s; expected %d", WHERE, path, #found, what, #expected) end
  for i, text in ipairs(found) do
    if text ~= expected[i] then files.bad("%s: %s: %s[%d] is %q; expected %q", WHERE, path, what, i, text, expected[i]) end
  end
end

--- What the file says itself must agree with the tables: names of classes, scenes, their kinds.
local function check_contents(o, file, path, frames)
  local cells = cells_of(file, path, { names = o.labels, scenes = true, sceneTypes = true })
  local names, scenes, types = {}, {}, {}
  for i, id in ipairs(labels.nyu894.ids) do
    if id > 0 then names[id] = labels.nyu894.names[i] end
  end
  for i, frame in ipairs(frames) do scenes[i], types[i] = frame.scene, frame.scene_type end
  for _, pair in ipairs { { "names", names }, { "scenes", scenes }, { "sceneTypes", types } } do
    local name, expected = table.unpack(pair)
    if cells[name] then check_strings(path, name, cells[name], expected) end
  end
end

local function check_count(o, path, frames, count)
  if count == #frames then return end
  if o.table_path then
    files.bad("%s: %s holds %d frames but %s lists %d", WHERE, path, count, o.table_path, #frames)
  end
  files.bad("%s: %s holds %d frames, not the %d of the release; say with frames = FILE.tsv (index, split, scene_type, scene), or "
    .. "a %s beside it, what they are", WHERE, path, count, #frames, TABLE)
end

local function from_mat(o, path)
  for _, key in ipairs { "label_ids", "label_folder", "depth_coding" } do
    if o[key] then error(("%s: option %q is for folders of files; %s says it itself"):format(WHERE, key, path), 3) end
  end
  local frames = frames_for(o, path:match "^(.*)/[^/]*$" or ".")
  local file = core.hdf5_open(path)
  local shape = file:describe("images").shape
  check_count(o, path, frames, shape[1])
  check_contents(o, file, path, frames)
  file:close()
  local chosen, zero_based, prints = chosen_frames(o, frames), {}, {}
  local print = ("%d %s"):format(core.fs.stat(path).size, o.geometry and o.depth or "")
  for i, number in ipairs(chosen) do zero_based[i], prints[i] = number - 1, print end
  return build(o, frames, chosen, prints, core.source_nyuv2 {
    path = path, frames = zero_based, labels = o.labels,
    depth = o.geometry and (o.depth == "raw" and "rawDepths" or "depths") or nil,
    intrinsics = o.geometry and intrinsics_of(path, shape[4], shape[3]) or nil,
    label_map = labels.map("nyu894", o.classes), table = "nyu894", size = o.size,
  })
end

-- ---- folders ----------------------------------------------------------------------------------------------------------

--- The folder of label maps and what their values mean: as asked for, else the first that is there and maps to the classes.
local function choose_labels(o, part)
  local places = {}
  for _, candidate in ipairs(o.form.labels) do
    local name, ids = table.unpack(candidate)
    local path = folder_of(o, o.form.beside, part, name)
    places[#places + 1] = path
    if o.label_folder == name or not o.label_folder and files.is_folder(path)
      and pcall(labels.map, o.label_ids or ids, o.classes) then
      return name, o.label_ids or ids
    end
  end
  if o.label_folder then
    if not o.label_ids then
      error(("%s: label_folder = %q: say with label_ids what its values mean (%q, ...)"):format(WHERE, o.label_folder,
        "nyu40_file"), 0)
    end
    return o.label_folder, o.label_ids
  end
  return files.bad("%s: no label maps for the classes %s in %s", WHERE, o.classes.name, table.concat(places, ", "))
end

local function choose_depth(o, part)
  local places = {}
  for _, candidate in ipairs(o.form.depth[o.depth]) do
    local name, coding = table.unpack(candidate, 1, 2)
    places[#places + 1] = folder_of(o, o.form.beside, part, name)
    if files.is_folder(places[#places]) then
      if not (o.depth_coding or coding) then
        error(('%s: %s: tools write it in different units; say depth_coding = "mm" or "0.1mm", or geometry = false'):format(WHERE,
          places[#places]), 0)
      end
      return name, o.depth_coding or coding
    end
  end
  if #places == 0 then
    error(("%s: the form %q has no depth %q; say geometry = false"):format(WHERE, o.form_name, o.depth), 0)
  end
  return files.bad("%s: no depth: %s %s not there; say geometry = false", WHERE, table.concat(places, " and "),
    #places == 1 and "is" or "are")
end

--- A value of a class list's map also means nothing where it is 255.
local function map_of(ids, classes)
  local map = {}
  for value, class in pairs(labels.map(ids, classes)) do map[value] = class end
  if labels.load(ids).classes then map[labels.IGNORE] = labels.IGNORE end
  return map
end

--- Height and width of a PNG, from its head.
local function png_size(path)
  local file <close> = assert(io.open(path, "rb"))
  local head = file:read(24) or ""
  if #head < 24 or head:sub(1, 8) ~= "\x89PNG\r\n\x1a\n" then files.bad("%s: %s is no PNG", WHERE, path) end
  local width, height = string.unpack(">I4I4", head, 17)
  return height, width
end

--- Numbers and places of the pictures of a part, which must be frames of it by the table.
local function add_part(o, lists, frames, wanted, part)
  local folder = folder_of(o, o.form.pictures, part)
  if not files.is_folder(folder) then return end
  for _, found in ipairs(files.matching(folder, "^(%d+)%.png$")) do
    local number = math.tointeger(tonumber(found[1]))
    local path, frame = files.join(folder, found.name), frames[number]
    if not frame then files.bad("%s: %s: there is no frame %d; frames are 1 to %d", WHERE, path, number, #frames) end
    if part and (frame.split == "test") ~= (part == "test") then
      files.bad("%s: %s: frame %d is in the split %s (are the names counted from 0?)", WHERE, path, number, frame.split)
    end
    if wanted[number] then
      lists[#lists + 1] = { number = number, part = part, name = found.name, image = path }
    end
  end
end

local function find_pictures(o, frames)
  local wanted, lists = {}, {}
  for _, number in ipairs(chosen_frames(o, frames)) do wanted[number] = true end
  if o.form_name == "flat" then
    add_part(o, lists, frames, wanted, nil)
  else
    for _, part in ipairs { "train", "test" } do add_part(o, lists, frames, wanted, part) end
  end
  table.sort(lists, function(a, b) return a.number < b.number end)
  return lists
end

--- Parallel lists of what the pictures' folders hold.
local function lists_of(o, pictures)
  local part = pictures[1].part
  local lists = { chosen = {}, images = {}, labels = o.labels and {} or nil, depths = o.geometry and {} or nil,
    intrinsics = o.geometry and {} or nil }
  local label_folder, ids, depth_folder, coding
  if o.labels then label_folder, ids = choose_labels(o, part) end
  if o.geometry then depth_folder, coding = choose_depth(o, part) end
  for i, picture in ipairs(pictures) do
    lists.chosen[i], lists.images[i] = picture.number, picture.image
    if o.labels then
      lists.labels[i] = files.join(folder_of(o, o.form.beside, picture.part, label_folder), picture.name)
    end
    if o.geometry then
      lists.depths[i] = files.join(folder_of(o, o.form.beside, picture.part, depth_folder), picture.name)
      lists.intrinsics[i] = intrinsics_of(picture.image, png_size(picture.image))
    end
  end
  return lists, ids, coding
end

local function fingerprints(lists)
  local prints = {}
  for _, key in ipairs { "images", "labels", "depths" } do
    for i, size in ipairs(lists[key] and files.sizes(WHERE, lists[key]) or {}) do
      prints[i] = (prints[i] and prints[i] .. " " or "") .. size
    end
  end
  return prints
end

local function from_folders(o)
  local frames = frames_for(o, o.root)
  local pictures = find_pictures(o, frames)
  if #pictures == 0 then files.bad("%s: %s: no picture of these is in the split %q", WHERE, o.root, o.split) end
  local lists, ids, coding = lists_of(o, pictures)
  return build(o, frames, lists.chosen, fingerprints(lists), core.source_frames {
    images = lists.images, labels = lists.labels, depths = lists.depths, intrinsics = lists.intrinsics,
    depth_coding = coding and depth.coding(coding) or nil, label_map = ids and map_of(ids, o.classes) or nil,
    table = ids, size = o.size,
  })
end

-- ---- which form -------------------------------------------------------------------------------------------------------

--- The forms that a folder has, sorted.
local function forms_in(root)
  local found = {}
  local function is(name) return files.is_folder(files.join(root, name)) end
  if is "image/train" or is "image/test" then found[#found + 1] = "image" end
  if is "rgb" then found[#found + 1] = "flat" end
  if core.fs.stat(files.join(root, MAT)) then found[#found + 1] = "mat" end
  if is "train/rgb" or is "test/rgb" then found[#found + 1] = "split" end
  return found
end

local function find_form(o)
  local found = forms_in(o.root)
  for _, form in ipairs(found) do
    if form == o.form then return form end
  end
  if o.form then
    files.bad("%s: %s does not have the form %q (it has: %s)", WHERE, o.root, o.form,
      #found > 0 and table.concat(found, ", ") or "none")
  elseif #found > 1 then
    files.bad("%s: %s has several forms, %s; say which with form", WHERE, o.root, table.concat(found, ", "))
  end
  return found[1] or files.bad("%s: %s holds neither %s nor train/rgb, test/rgb, image/train, image/test or rgb", WHERE, o.root,
    MAT)
end

--- See asl.data.nyuv2.
function nyuv2.new(given)
  local o = options.check(WHERE, given, nyuv2.options)
  o.files = files.tables(o.classes, o.label_ids)
  o.classes = labels.from(o.classes, "nyuv2")
  local info = core.fs.stat(o.root)
  if info and not info.is_dir then return from_mat(o, o.root) end
  o.root = files.root(WHERE, o.root, MAT .. " or folders of frames")
  o.form_name = find_form(o)
  o.form = FORMS[o.form_name]
  if o.form_name == "mat" then return from_mat(o, files.join(o.root, MAT)) end
  return from_folders(o)
end

return nyuv2
