--- Does it help real rooms to have seen photographs of everything, and what is left of those afterwards?
---
--- Task 1 is COCO, its annotations in the 40 classes of NYU as far as they are rooms' (asl.labels.coco80; what is not
--- annotated is not learnt, pictures without any of these classes are left out), task 2 NYU Depth V2. Nothing but
--- "train" is learnt from. COCO is tested on "val", as its test labels are not public; NYU on "test", or where settings
--- are chosen on "val" (test_on=val).
---
---     asl experiments/coco_to_nyu.lua coco=COCO nyuv2=NYU strategy=replay seed=1     (year=2014: the older release)
---
--- COCO holds train2017, val2017 and annotations; NYU is nyu_depth_v2_labeled.mat or its folder. kind=panoptic or
--- kind=stuff has walls and floors too.

local asl = require "asl"

local function coco(cfg, root, split)
  return asl.data.coco { root = root, split = split, year = cfg.year, kind = cfg.kind, classes = "nyu40",
    empty = cfg.kind == "stuff" and "keep" or "drop" }
end

return asl.experiment {
  name = "coco_to_nyu",
  config = asl.continual.config {
    coco = "", nyuv2 = "",      -- where they are; else the environment's `coco`, `nyuv2`
    year = 2017, kind = "instances",
    test_on = "test",           -- of NYU; or "val"
    test_frames = 1000,         -- of COCO; 0: all
    size = { 384, 512 }, batch = 16, updates = 20000, lr = 0.003, schedule = "polynomial",
    scale = { 1.0, 1.5 }, flip = 0.5, brightness = 0.3, contrast = 0.3, saturation = 0.3, hue = 0.05,
    memory = "256 MiB",         -- 341 pictures of 384x512 with their labels
    share = 0.5, loaders = 8,
  },
  main = function(cfg, run)
    local photographs = asl.env.path("coco", cfg.coco, "coco")
    local nyuv2 = asl.env.path("nyuv2", cfg.nyuv2, "nyuv2")
    local scenario = asl.scenario.domains {
      { "coco", train = coco(cfg, photographs, "train"), test = coco(cfg, photographs, "val"):spread(cfg.test_frames) },
      { "nyuv2", train = asl.data.nyuv2 { root = nyuv2, split = "train", geometry = false },
        test = asl.data.nyuv2 { root = nyuv2, split = cfg.test_on, geometry = false } },
    }
    return asl.continual(run, scenario, asl.continual.learner(cfg, scenario.classes), cfg)
  end,
}
