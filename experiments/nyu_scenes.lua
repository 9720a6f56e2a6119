--- Does a network that learns kind of room after kind of room forget bedrooms over kitchens?
---
--- The tasks are the scene types of NYU Depth V2 (of 27: bedroom, kitchen, ...) with at least `least` frames to learn
--- from and to test on, the most frequent first. Learnt from is "train" (the official one less the scenes of "val"),
--- tested is on "test", or where settings are chosen on "val" (test_on=val least=3: it is small).
---
---     asl experiments/nyu_scenes.lua data=NYU strategy=replay seed=1
---
--- NYU is nyu_depth_v2_labeled.mat or its folder.

local asl = require "asl"
local nyuv2 = require "asl.data.nyuv2"

--- The frames of a split, all or those of a scene type.
local function frames(root, split, kind)
  return asl.data.nyuv2 { root = root, split = split, scene_types = kind and { kind }, geometry = false }
end

return asl.experiment {
  name = "nyu_scenes",
  config = asl.continual.config {
    data = "",                  -- the .mat or its folder; else the environment's `nyuv2`
    least = 20,                 -- frames of a scene type to learn from, and to test on
    test_on = "test",           -- or "val"
    size = { 384, 512 }, batch = 8, updates = 2000, lr = 0.003,
    scale = { 1.0, 1.5 }, flip = 0.5, brightness = 0.3, contrast = 0.3, saturation = 0.3, hue = 0.05,
    memory = "64 MiB",          -- 85 pictures of 384x512 with their labels
    share = 0.5, loaders = 8,
  },
  main = function(cfg, run)
    local root, tasks = asl.env.path("nyuv2", cfg.data), {}
    local kinds, to_learn = nyuv2.scene_types(frames(root, "train"))
    local _, to_test = nyuv2.scene_types(frames(root, cfg.test_on))
    for _, kind in ipairs(kinds) do
      if to_learn[kind] >= cfg.least and (to_test[kind] or 0) >= cfg.least then
        tasks[#tasks + 1] = { kind, train = frames(root, "train", kind), test = frames(root, cfg.test_on, kind) }
      end
    end
    if #tasks == 0 then
      error(("no scene type has %d frames in both train and %s"):format(cfg.least, cfg.test_on), 0)
    end
    local scenario = asl.scenario.domains(tasks)
    return asl.continual(run, scenario, asl.continual.learner(cfg, scenario.classes), cfg)
  end,
}
