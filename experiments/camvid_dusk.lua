--- Does a network that learnt to drive by day forget the day when it learns the dusk?
---
--- Real frames: CamVid's day sequences 0006R0 and 0016E5, then 0001TP at dusk; 11 classes. Of every
--- sequence the last `held_out` frames are the test set and the `gap` frames before them are not used, so
--- that no test frame has a training frame for its neighbour.
---
---     asl experiments/camvid_dusk.lua data=CAMVID strategy=replay seed=1

local asl = require "asl"

local DAY, DUSK = { "0006R0", "0016E5" }, { "0001TP" }

return asl.experiment {
  name = "camvid_dusk",
  config = asl.continual.config {
    data = "",                  -- the CamVid directory; else the environment's `camvid`
    held_out = 7, gap = 1,      -- frames of each of the sequences
    size = { 180, 240 }, batch = 6, updates = 300, lr = 0.003,
    scale = { 1.0, 1.5 }, flip = 0.5, brightness = 0.2, contrast = 0.2, saturation = 0.2,
    memory = "4 MiB", share = 0.5,
  },
  main = function(cfg, run)
    local frames = asl.data.camvid { root = asl.env.path("camvid", cfg.data), split = "train" }
    local day_train, day_test = frames:sequence(DAY):split { test = cfg.held_out, gap = cfg.gap }
    local dusk_train, dusk_test = frames:sequence(DUSK):split { test = cfg.held_out, gap = cfg.gap }
    local scenario = asl.scenario.domains {
      { "day", train = day_train, test = day_test },
      { "dusk", train = dusk_train, test = dusk_test },
    }
    return asl.continual(run, scenario, asl.continual.learner(cfg, scenario.classes), cfg)
  end,
}
