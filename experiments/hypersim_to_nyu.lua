--- What does a network that learnt in a simulator lose of it when it learns real rooms?
---
--- Task 1 is ML-Hypersim, 59,543 rendered pictures to learn from, task 2 NYU Depth V2, photographs of rooms; both in
--- the 40 classes of NYU. Nothing but "train" is learnt from; tested is on "test". "val" is where settings are chosen:
--- test_on=val leaves "test" unseen. Of Hypersim's 7,690 test pictures `test_frames`, evenly spread, are enough.
---
---     asl experiments/hypersim_to_nyu.lua hypersim=HYPERSIM nyuv2=NYU strategy=replay seed=1
---
--- HYPERSIM holds ai_001_001, ai_001_002, ...; NYU is nyu_depth_v2_labeled.mat or its folder.

local asl = require "asl"

return asl.experiment {
  name = "hypersim_to_nyu",
  config = asl.continual.config {
    hypersim = "", nyuv2 = "",  -- where they are; else the environment's `mlhypersim`, `nyuv2`
    test_on = "test",           -- or "val"
    test_frames = 1000,         -- of Hypersim; 0: all
    size = { 384, 512 }, batch = 16, updates = 20000, lr = 0.003, schedule = "polynomial",
    scale = { 1.0, 1.5 }, flip = 0.5, brightness = 0.3, contrast = 0.3, saturation = 0.3, hue = 0.05,
    memory = "256 MiB",         -- 341 pictures of 384x512 with their labels
    share = 0.5, loaders = 8,
  },
  main = function(cfg, run)
    local hypersim = asl.env.path("mlhypersim", cfg.hypersim, "hypersim")
    local nyuv2 = asl.env.path("nyuv2", cfg.nyuv2, "nyuv2")
    local scenario = asl.scenario.domains {
      { "hypersim", train = asl.data.hypersim { root = hypersim, split = "train", geometry = false },
        test = asl.data.hypersim({ root = hypersim, split = cfg.test_on, geometry = false }):spread(cfg.test_frames) },
      { "nyuv2", train = asl.data.nyuv2 { root = nyuv2, split = "train", geometry = false },
        test = asl.data.nyuv2 { root = nyuv2, split = cfg.test_on, geometry = false } },
    }
    return asl.continual(run, scenario, asl.continual.learner(cfg, scenario.classes), cfg)
  end,
}
