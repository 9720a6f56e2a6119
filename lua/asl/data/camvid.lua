--- CamVid with the 11 classes of the SegNet tutorial (Brostow, Fauqueur, Cipolla, "Semantic object classes in video", 2009;
--- Badrinarayanan et al., "SegNet", 2017).

local core = require "asl.core"
local fault = require "asl.fault"
local folder = require "asl.data.folder"
local options = require "asl.options"

local UNLABELLED = 11 -- in the files

local function label_map()
  local map = { [UNLABELLED] = 255 }
  for id = 0, UNLABELLED - 1 do
    map[id] = id
  end
  return map
end

local camvid = {}

--- See asl.data.camvid.
function camvid.new(given)
  local where = "asl.data.camvid"
  local o = options.check(where, given, {
    root = options.require "string", split = options.one_of { "train", "val", "test" },
    sequences = options.optional "table", size = options.optional "table",
  })
  local list = o.root:gsub("/+$", "") .. "/" .. o.split .. ".txt"
  if core.fs.stat(o.root) and not core.fs.stat(list) then
    fault.raise(("%s: the split list %s is not there; a CamVid root holds train.txt, val.txt, test.txt and the folders they "
      .. "name"):format(where, list), { level = 2, exit_code = fault.exit.data })
  end
  local all = folder.build(where, {
    root = o.root, list = list, classes = "camvid11", label_map = label_map(), name = "camvid", title = "camvid/" .. o.split,
    pattern = "([^/_]+)_f?(%d+)%.%w+$", size = o.size,
  })
  return o.sequences and all:sequence(o.sequences) or all
end

return camvid
