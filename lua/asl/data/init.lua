--- Data: data sets, loader threads, augmentation, the order of samples.

local core = require "asl.core"
local nearest = require "asl.nearest"

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

--- CamVid in the SegNet layout: train.txt, val.txt, test.txt beside train, trainannot, val, ...; pictures 480x360.
--- A list's lines may be relative ("train/X.png<TAB>trainannot/X.png") or those of the tutorial ("/SegNet/CamVid/train/X.png
--- /SegNet/CamVid/trainannot/X.png"). Sequences are known by name (0001TP is dusk; 0006R0, 0016E5, Seq05VD are day), frames
--- are those of the 30 Hz video.
---@param given table  named arguments:
---   root (string); split ("train", "val", "test"); sequences (string[]): only these; size (integer[2]): height and width
---   every sample is resized to when loaded
---@return asl.Dataset
--- Errors: what asl.data.folder raises; a sequence the split does not have, with those it has.
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

--- A data set over one source.
---@param given table  named arguments:
---   name (string); class_names (string[]); colours (integer[][]); ids (string[]); source (userdata);
---   sequences (string[], default: the name for all); frames (integer[], default 0, 1, 2, ...);
---   index (integer[], 0-based positions in the source, default 0, 1, 2, ...);
---   fingerprint (string or string[]): what, besides the ids, tells this content from another (parameters, file sizes)
---@return asl.Dataset
--- Errors: lists of different lengths, an id twice, a position outside the source.
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
