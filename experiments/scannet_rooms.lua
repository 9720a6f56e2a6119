--- Does a network that moves from room to room get better in each, and not forget the rooms it has left?
---
--- Each of `rooms`, numbers of ScanNet's scenes, is a task of all its scans. Of every scan the last `held_out` of the
--- frames are the test set and the `gap` frames before them are not used, so that no test frame has a training frame
--- for its neighbour. Scenes of the official test split have no public labels.
---
---     asl experiments/scannet_rooms.lua data=SCANS strategy=replay seed=1
---     asl experiments/scannet_rooms.lua data=SCANNET_FRAMES_25K form=frames_25k every=1 gap=1
---
--- SCANS holds scene0000_00, scene0000_01, ...: as the SensReader extracts them (form=scans), or .sens files with
--- label-filt beside them (form=sens).

local asl = require "asl"

return asl.experiment {
  name = "scannet_rooms",
  config = asl.continual.config {
    data = "",                  -- the folder of the scans; else the environment's `scannet`
    form = "scans",             -- frames_25k, scans, sens
    rooms = { 0, 1, 2, 3 },     -- in the order of learning
    every = 10,                 -- of the frames of a video, three a second
    held_out = 0.2, gap = 10,   -- share, or number, of each scan's frames; frames
    size = { 384, 512 }, batch = 8, updates = 2000, lr = 0.003,
    scale = { 1.0, 1.5 }, flip = 0.5, brightness = 0.3, contrast = 0.3, saturation = 0.3, hue = 0.05,
    memory = "64 MiB",          -- 85 pictures of 384x512 with their labels
    share = 0.5, loaders = 8,
  },
  main = function(cfg, run)
    local root, rooms = asl.env.path("scannet", cfg.data), {}
    for i, number in ipairs(cfg.rooms) do
      local frames = asl.data.scannet { root = root, form = cfg.form, split = "all", scans = { number },
        every = cfg.every, geometry = false }
      local train, test = frames:split { test = cfg.held_out, gap = cfg.gap }
      rooms[i] = { ("scene%04d"):format(number), train = train, test = test }
    end
    local scenario = asl.scenario.domains(rooms)
    return asl.continual(run, scenario, asl.continual.learner(cfg, scenario.classes), cfg)
  end,
}
