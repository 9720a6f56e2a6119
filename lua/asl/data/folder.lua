--- Data sets of files: pictures (PNG, JPEG) and label maps (PNG), listed in a text file.

local core = require "asl.core"
local dataset = require "asl.data.dataset"
local files = require "asl.data.files"
local labels = require "asl.labels"
local options = require "asl.options"


local function join_path(root, path)
  return (root:gsub("/+$", "")) .. "/" .. path
end

--- The fields of a list's line: two paths apart by a tab, or by spaces when there is no tab.
local function split_line(line)
  local fields = {}
  for field in line:gmatch(line:find("\t", 1, true) and "[^\t]+" or "%S+") do
    fields[#fields + 1] = field
  end
  return fields
end

--- How many leading names to drop from an absolute path of a list ("/SegNet/CamVid/val/X.png") to find it below root.
local function leading_names(root, path)
  local dropped, rest = 0, path:gsub("^/+", "")
  while rest do
    if core.fs.stat(join_path(root, rest)) then return dropped end
    dropped, rest = dropped + 1, rest:match("^[^/]+/+(.*)$")
  end
  return nil
end

local function drop_names(path, n)
  path = path:gsub("^/+", "")
  for _ = 1, n do
    path = path:match("^[^/]+/+(.*)$") or path
  end
  return path
end

--- Paths relative to root of the pictures and label maps of a list.
local function read_list(root, list)
  local images, label_maps, dropped = {}, {}, 0
  for number, line in files.lines(list) do
    local fields = split_line(line)
    if #fields > 2 then
      files.bad("%s:%d: %d fields; a line is IMAGE, a tab or space, LABEL: %q", list, number, #fields, line)
    end
    if #fields > 0 then
      if #images == 0 and fields[1]:sub(1, 1) == "/" then
        dropped = leading_names(root, fields[1])
        if not dropped then
          files.bad("%s:%d: neither %s nor a part of it is below %s", list, number, fields[1], root)
        end
      end
      images[#images + 1] = drop_names(fields[1], dropped)
      label_maps[#label_maps + 1] = fields[2] and drop_names(fields[2], dropped)
      if #label_maps ~= 0 and #label_maps ~= #images then
        files.bad("%s:%d: some lines have a label map and some have none", list, number)
      end
    end
  end
  if #images == 0 then files.bad("%s: the list is empty", list) end
  return images, #label_maps > 0 and label_maps or nil
end

--- Sizes in bytes of the files below root; each must be there.
local function file_sizes(root, paths, list)
  local sizes = {}
  for i, path in ipairs(paths) do
    local info = core.fs.stat(join_path(root, path))
    if not info then files.bad("%s: %s, which the list %s names, is not there", root, path, list) end
    sizes[i] = info.size
  end
  return sizes
end

local function absolute(root, paths)
  local list = {}
  for i, path in ipairs(paths) do
    list[i] = join_path(root, path)
  end
  return list
end

--- What a label file's values mean: each class itself and 255 = ignore, unless `given` says otherwise.
local function full_label_map(given, classes)
  local map = {}
  if not given then
    for id = 0, classes - 1 do
      map[id] = id
    end
    map[labels.IGNORE] = labels.IGNORE
    return map
  end
  for value, id in pairs(given) do
    local known = math.type(id) == "integer" and (id >= 0 and id < classes or id == labels.IGNORE)
    if math.type(value) ~= "integer" or value < 0 or value > 255 or not known then
      error(("label_map: [%s] = %s; it takes file values 0 to 255 to class ids 0 to %d, or 255 = ignore"):format(
        tostring(value), tostring(id), classes - 1), 0)
    end
    map[value] = id
  end
  return map
end

local function sequence_and_frame(path, pattern, counts)
  local sequence, frame = path:match(pattern or "^(.*)/[^/]*$")
  sequence = sequence or (pattern and error(("the pattern %q does not match %q"):format(pattern, path), 0)) or "."
  counts[sequence] = (counts[sequence] or 0) + 1
  return sequence, math.tointeger(tonumber(frame)) or counts[sequence]
end

local function check_place(where, what, path, expected)
  local info = core.fs.stat(path)
  if info and info.is_dir == (what == "root") then return end
  files.bad("%s: %s = %q: %s; expected %s", where, what, path, info and "the wrong kind of file" or "not there", expected)
end

local folder = {}

--- The options of asl.data.folder and what builds on it.
folder.options = {
  root = options.require "string", list = options.require "string", classes = options.required,
  label_map = options.optional "table", name = options.optional "string", pattern = options.optional "string",
  size = options.optional "table",
}

--- Makes the data set of checked options; `where` names the constructor in messages.
---@param where string
---@param o table  see folder.options; o.title (string, default o.name) is the data set's name, o.name leads the ids; o.files
---   (string[], default: none): what was read besides the list
---@return asl.Dataset
function folder.build(where, o)
  check_place(where, "root", o.root, "a folder of pictures")
  check_place(where, "list", o.list, "a text file with lines IMAGE, a tab or space, LABEL")
  local name = o.name or o.root:gsub("/+$", ""):match("[^/]+$") or "folder"
  local classes = labels.from(o.classes, name)
  local images, label_maps = read_list(o.root, o.list)
  local image_bytes = file_sizes(o.root, images, o.list)
  local label_bytes = label_maps and file_sizes(o.root, label_maps, o.list)

  local ids, sequences, frames, fingerprint, counts = {}, {}, {}, {}, {}
  for i, path in ipairs(images) do
    ids[i] = name .. "/" .. path:gsub("%.%w+$", "")
    sequences[i], frames[i] = sequence_and_frame(path, o.pattern, counts)
    fingerprint[i] = ("%d %d"):format(image_bytes[i], label_bytes and label_bytes[i] or 0)
  end
  return dataset.new {
    name = o.title or name, class_names = classes.names, colours = classes.colours, ids = ids, sequences = sequences,
    frames = frames, fingerprint = fingerprint, files = { o.list, table.unpack(o.files or {}) },
    source = core.source_files {
      images = absolute(o.root, images), labels = label_maps and absolute(o.root, label_maps),
      label_map = full_label_map(o.label_map, classes.classes), table = classes.name, size = o.size,
    },
  }
end

--- See asl.data.folder.
function folder.new(given)
  local o = options.check("asl.data.folder", given, folder.options)
  o.files = files.tables(o.classes)
  return folder.build("asl.data.folder", o)
end

return folder
