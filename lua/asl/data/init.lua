--- Data: data sets, loader threads, augmentation, the order of samples.
---
--- The root of every data set may also be a pack of it, or a folder of packs (asl.data.pack, `asl data pack`); rooms, which needs
--- no root, takes one for that.

local core = require "asl.core"
local nearest = require "asl.nearest"
local options = require "asl.options"

local data = {}

--- Pictures with label maps, from a list file.
---@param given table  named arguments:
---   root (string): the folder the list's paths are in;
---   list (string): a text file, a line per sample: IMAGE, a tab or space, LABEL; absolute paths of another machine
---     ("/SegNet/CamVid/val/X.png") are found by the part that exists below root; lines without LABEL give a data set
---     without labels;
---   classes: "camvid11", "nyu40", the path of a TSV file (asl.labels), or a list of names;
---   label_map (table<integer, integer>): value in the file to class id, 255 = ignore; a value that is not in it is an error
---     when met (default: each class id itself, and 255);
---   name (string, default: the folder's name): leads the ids;
---   pattern (string): Lua pattern on the picture's path with captures SEQUENCE and FRAME (default: its folder, its place);
---   size (integer[2]): height and width every sample is resized to when loaded (default: as they are)
---@return asl.Dataset
--- Errors, naming the path and what was expected: no root, list or listed file, a line that cannot be read.
function data.folder(given)
  return require("asl.data.folder").new(given)
end

--- CamVid in the SegNet layout: train.txt, val.txt, test.txt beside train, trainannot, val, ...; pictures 480x360, 11 classes.
--- Or, where root has a codes.txt, all 32 classes: images/NAME.png, labels/NAME_P.png, valid.txt with the names of "val";
--- pictures 960x720, Void is ignored.
--- A list's lines may be relative ("train/X.png<TAB>trainannot/X.png") or those of the tutorial ("/SegNet/CamVid/train/X.png
--- /SegNet/CamVid/trainannot/X.png"). Sequences are known by name (0001TP is dusk; 0006R0, 0016E5, Seq05VD are day), frames
--- are those of the 30 Hz video.
---@param given table  named arguments:
---   root (string); split ("train", "val", "test"; "all" of the 32 classes); sequences (string[]): only these;
---   classes: "camvid11", or "camvid32" (the default of that form), or another list they map to;
---   size (integer[2]): height and width every sample is resized to when loaded
---@return asl.Dataset
--- Errors: what asl.data.folder raises; a sequence the split does not have, with those it has; a codes.txt that is not that of
--- the 32 classes.
function data.camvid(given)
  return require("asl.data.camvid").new(given)
end

--- Procedural indoor scenes with labels, depth, flow, occlusion and poses, all exact; nothing to download. The options are
--- those of asl.data.rooms.new.
---@param given table  named arguments: domain, split, size, sequences, frames, seed, ...
---@return asl.Dataset
function data.rooms(given)
  return require("asl.data.rooms").new(given)
end

--- NYU Depth V2: the 1449 labelled frames, from nyu_depth_v2_labeled.mat or folders of PNGs (forms: asl.data.nyuv2's module).
--- Sequences are the scenes, frames count from 1. "val" is cut from the official train by scene: 718, 77, 654 frames.
--- require("asl.data.nyuv2").scene_types(set) lists kinds of room with their counts.
---@param given table  named arguments:
---   root (string): the .mat, or a folder; form ("mat", "split", "image", "flat"): where a folder has several;
---   split ("train", "val", "test", "all"); scenes, scene_types (string[]): only these; classes: "nyu40", "nyu13";
---   depth ("filled", "raw"); labels, geometry (boolean, default true): label; depth and intrinsics;
---   frames (string): TSV with index, split, scene_type, scene (default: nyuv2_frames.tsv beside the data, else built in);
---   label_folder, label_ids (string), depth_coding: of folders, where they are not what the form says;
---   size (integer[2]): height and width every sample is resized to when loaded
---@return asl.Dataset
--- Errors: several forms; names or scenes in the file that are not the tables'; a file that is missing; a scene that is not in
--- the split; when decoding, a label that is not in the table, a depth that is negative or not finite.
function data.nyuv2(given)
  return require("asl.data.nyuv2").new(given)
end

--- ML-Hypersim. Sequences are the trajectories ("ai_001_001/cam_00"); splits are the official v1, by scene, without what it
--- leaves out. Depth is along z, from distances; K may have a skew (31 scenes); see asl.data.hypersim's module.
---@param given table  named arguments:
---   root (string): the folder of ai_001_001, ...; split ("train", "val", "test", "all": whatever is there);
---   scenes, cameras, scene_types (string[]), volumes (integer[]): only these; every (integer, default 1);
---   picture ("tonemapped": of color.hdf5 by the toolkit's rule; "preview": frame.*.tonemap.jpg); valid ("rendered": its scale
---     is that of pixels with a render_entity_id; "all"); classes: "nyu40", "nyu13";
---   labels, geometry (boolean, default true): label; depth, intrinsics, pose; tracked (boolean, default false): only frames
---     whose orientation is a rotation; camera_parameters (string): a table instead of metadata_camera_parameters.csv in root
---     or the built-in one; size (integer[2]): height and width every sample is resized to when loaded
---@return asl.Dataset
--- Errors: a file that is missing; metres per unit that disagree; what was asked for and is not there; when decoding, sizes
--- that differ, an unknown id, a negative distance, a colour that is no number, a pose that is none.
function data.hypersim(given)
  return require("asl.data.hypersim").new(given)
end

--- Cityscapes with its 19 classes: leftImg8bit/SPLIT/CITY/..._leftImg8bit.png and gtFine/SPLIT/CITY/..._gtFine_labelIds.png,
--- 2048x1024. Sequences are the cities, frames count 1000000 times the camera's sequence plus its frame.
---@param given table  named arguments:
---   root (string); split ("train", "val", "test"); cities (string[]): only these; labels (boolean, default true);
---   video (boolean, default false): the unlabelled snippets of leftImg8bit_sequence; sequences are then "CITY_SEQUENCE";
---   size (integer[2]): height and width every sample is resized to when loaded
---@return asl.Dataset
--- Errors: a city that is not there, or in two splits; a picture without its label map, naming it.
function data.cityscapes(given)
  return require("asl.data.cityscapes").new(given)
end

--- SUN RGB-D: folders of scenes with image, depth, depth_bfx, intrinsics.txt, scene.txt, at any depth below root. Planes image,
--- depth, intrinsics; no labels (the release keeps them in MATLAB files). Sequences are the kinds of room.
---@param given table  named arguments:
---   root (string); list (string): a text file with a scene per line, its folder below root (default: all there are);
---   depth ("filled": depth_bfx, "raw": depth); size (integer[2]): height and width every sample is resized to when loaded
---@return asl.Dataset
--- Errors: a folder that is no scene; a scene without picture, depth, intrinsics or the kind of its room, naming it.
function data.sunrgbd(given)
  return require("asl.data.sunrgbd").new(given)
end

--- ScanNet v2. Sequences are the scans, frames their numbers in the video; depth is that of the picture's pixels, from the
--- intrinsics of both cameras, which are aligned.
---@param given table  named arguments:
---   root (string): the folder of the scans' folders; form ("frames_25k", "scans", "sens"): what lies in them (see
---     asl.data.scannet's module);
---   split ("train", "val", "test": the benchmark's; "all": whatever is there);
---   scans (string|integer[]): only these, by name ("scene0000_00") or by the number of the scene;
---   every (integer, default 1): only frames whose number it divides; tracked (boolean, default false): only frames with a
---     finite pose, for which all poses are read now;
---   classes: "nyu40", "scannet20", "nyu13"; labels (boolean or string, default true but for "test"): whether to read them, or
---     the name of the folder they are in (default label or label-filt); label_ids (string): the table of the values in them
---     ("nyu40_file" of frames_25k, else "scannet");
---   geometry (boolean, default true): the planes depth, intrinsics, pose; not for "sens", which has them always;
---   size (integer[2]): height and width every sample is resized to when loaded
---@return asl.Dataset
--- Errors: a scan that is not there or in another split; a file that is missing; when decoding, a raw id that is not in the
--- table, a pose that is not finite.
function data.scannet(given)
  return require("asl.data.scannet").new(given)
end

--- One .sens file: planes image, depth, intrinsics, pose, and label where label maps are beside it. Only an index of it is kept
--- in memory.
---@param given table  named arguments:
---   file (string); labels (string): the folder of label maps 0.png, 1.png, ...; label_ids (string, default "scannet"): the
---   table of the values in them; every, tracked, classes, size: as of asl.data.scannet
---@return asl.Dataset
--- Errors: a file that is damaged or ends too early, naming the frame; a label map that is missing.
function data.sens(given)
  return require("asl.data.sens").new(given)
end

--- COCO: instances painted to label maps (later annotations over earlier ones, as pycocotools rasterises them), panoptic
--- maps, COCO-Stuff maps. Pixels of no annotation, or of a class that the table ignores, are 255.
---@param given table  named arguments:
---   root (string): a folder with train2017, val2017 (or images/train2017, ...) and annotations;
---   split ("train", "val"); year (2017, 2014);
---   kind ("instances": annotations/instances_val2017.json; "panoptic": annotations/panoptic_val2017.json and the folder of PNG
---     maps of that name; "stuff": PNG maps in annotations/val2017 or stuffthingmaps/val2017);
---   classes: a table the kind's ids map to: "coco80", "nyu40" (instances), "coco133", "nyu40" (panoptic), "coco171", "nyu40"
---     (stuff); the first is the default;
---   empty ("keep", "drop"): what to do with pictures that have no annotation of these classes;
---   size (integer[2]): height and width every sample is resized to when loaded;
---   json, images, maps (string): the annotations' file, the folders of pictures and of maps, where they lie elsewhere
---@return asl.Dataset
--- Errors: a file that is missing or damaged; a category that is called otherwise than in the table; a polygon or mask that
--- cannot be; a picture that is listed twice.
function data.coco(given)
  return require("asl.data.coco").new(given)
end

--- Reads an optical flow file: Middlebury .flo (Baker et al., IJCV 2011) or KITTI's 16-bit RGB PNG (Menze and Geiger, CVPR
--- 2015), told apart by content.
---@param path string
---@return asl.Tensor flow  f32 HxWx2, pixels (x, y): the point at (x, y) is at (x + u, y + v) in the other picture; 0, 0 where
---   not known
---@return asl.Tensor unknown  u8 HxW, 1 where the flow is not known
--- Errors, naming the file: not to be read, damaged, neither format, a size that is not that of its bytes.
function data.read_flow(path)
  return require("asl.data.flow").read(path)
end

--- Reads a depth map: 16-bit grey PNG or 16-bit PGM, told apart by content.
---@param path string
---@param coding string|table  "mm" (ScanNet, ...), "tum" (1/5000 m), "0.1mm", "kitti" (1/256 m), "seven_scenes" (mm, 65535 =
---   none), "sunrgbd" (mm, bits rotated), "nyu_raw" (disparity codes, bytes swapped), or { per_metre = number, none = integer,
---   rotated = boolean, swapped = boolean, disparity = boolean }
---@return asl.Tensor depth  f32 HxW, metres, 0 = not known
--- Errors, naming the file: not to be read, damaged, 8-bit values; an unknown coding.
function data.read_depth(path, coding)
  return require("asl.data.depth").read(path, coding)
end

--- A data set over one source.
---@param given table  named arguments:
---   name (string); class_names (string[]); colours (integer[][]); ids (string[]); source (userdata);
---   sequences (string[], default: the name for all); frames (integer[], default 0, 1, 2, ...);
---   index (integer[], 0-based positions in the source, default 0, 1, 2, ...);
---   fingerprint (string or string[]): what, besides the ids, tells this content from another (parameters, file sizes);
---   files (string[], default: none): what has been read to make it, besides what the source reads samples from
---@return asl.Dataset
--- Errors: lists of different lengths, an id twice, a position outside the source, a file that is no path.
function data.dataset(given)
  return require("asl.data.dataset").new(given)
end

--- Whether a value is a data set.
---@param value any
---@return boolean
function data.is_dataset(value)
  return require("asl.data.dataset").is(value)
end

--- Checks that no sample is in both, as train and test sets must be.
---@param a asl.Dataset
---@param b asl.Dataset
--- Errors: a shared id, naming it and both data sets.
function data.disjoint(a, b)
  return require("asl.data.dataset").disjoint(a, b)
end

--- Loader threads: batches of samples, decoded and augmented ahead of their use; see loader:request and loader:wait. Results
--- do not depend on the number of threads.
---@param given { threads?: integer }|nil  0..64 threads, default 2; 0: rows are made by whoever waits
---@return asl.Loader
function data.loader(given)
  return require("asl.data.loader").new(given)
end

--- Settings of the random changes a loader makes to each row of a batch. All planes move together by one affine map; label
--- pixels that nothing covers become 255 (ignore), picture pixels the mean colour. What a row gets is a pure function of
--- (seed, step, row).
---@param given table|nil  named arguments:
---   scale (number[2], default {1, 1}): size relative to the whole picture resized to the batch's size, uniform between;
---   crop (boolean, default true): the window lies at random, else centred;
---   flip (probability 0..1, default 0): left-right mirror;
---   rotate (degrees 0..180, default 0): turn by a uniform angle in [-rotate, rotate] about the centre;
---   brightness, contrast, saturation (0..1, default 0): factor uniform in [1 - x, 1 + x];
---   hue (turns 0..0.5, default 0): the chroma is turned by a uniform angle in [-hue, hue]
---@return table settings  for loader:request{ augment = settings }
--- Errors: unknown name, wrong type, out of range with the range.
function data.augment(given)
  return require("asl.data.augment").new(given)
end

--- Which sample comes at a position of an epoch: a keyed permutation of 1..n, addressed directly, so that going to any step
--- costs nothing.
---@param seed integer
---@param epoch integer
---@param n integer  number of samples, 1..2^32
---@param position integer  from 1 to n
---@return integer sample  from 1 to n
function data.order(seed, epoch, n, position)
  return core.order(seed, epoch, n, position)
end

--- Decodes every sample of a data set once and writes them to one file, which is read at the speed of memory. The
--- constructor opens it: its root (file, of sens) is then the pack or a folder of packs, its other options those given here;
--- size may be left out. Samples have the same bits as those that are decoded. A call that was killed is gone on with by the
--- same call, to the same bytes.
---@param given table  named arguments:
---   kind (string): the constructor, "cityscapes"; options (table): its arguments;
---   out (string): the folder for the pack, which is called after the data set; quiet (boolean, default false)
---@return string path  of the pack
--- Errors: what the constructor raises; a sample that cannot be decoded, naming it; a disk without room; a pack of other options
--- in its place.
function data.pack(given)
  local packed = require "asl.data.packed"
  return packed.write(options.check("asl.data.pack", given, {
    kind = options.require "string", options = options.require "table", out = options.require "string", quiet = false,
  }))
end

--- Finds out what data set lies at a path and whether every file of it is sound, prints it, and writes manifest.tsv,
--- summary.json, sheet.png and report.html: `asl data check` (asl.data.check's module).
---@param given table  named arguments:
---   path (string); out (string, default "./check-NAME"): the folder to write into; samples (integer, default 12): on the
---   contact sheet; quiet (boolean, default false): print nothing
---@return integer code  0, or 65 where something is wrong
--- Errors: nothing there, or nothing that is known, saying what was looked for.
function data.check(given)
  return require("asl.data.check").run(given)
end

require("asl.data.packed").hook(data)

return setmetatable(data, {
  __index = function(self, name)
    local names = {}
    for known in pairs(self) do
      names[#names + 1] = known
    end
    table.sort(names)
    local guess = nearest.one(tostring(name), names)
    error(("asl.data has no %q (it has: %s)%s"):format(tostring(name), table.concat(names, ", "),
      guess and ("; did you mean %q?"):format(guess) or ""), 2)
  end,
})
