--- Does learning work at all? All three CamVid training drives at once, tested on the validation video.
---
--- bench/camvid_joint.py trains PyTorch with the same recipe: the same network and initial distribution,
--- Adam with a polynomial schedule, pictures resized to 180x240 and mirrored half of the time, nothing else.
---
---     asl experiments/camvid_joint.lua data=CAMVID seed=1

local asl = require "asl"

return asl.experiment {
  name = "camvid_joint",
  config = asl.continual.config {
    data = "", -- the CamVid directory; else the environment's `camvid`
    strategy = "naive", size = { 180, 240 }, batch = 6, updates = 400, flip = 0.5,
    lr = 0.003, schedule = "polynomial",
  },
  main = function(cfg, run)
    local root = asl.env.path("camvid", cfg.data)
    local scenario = asl.scenario.domains {
      { "camvid", train = asl.data.camvid { root = root, split = "train" },
        test = asl.data.camvid { root = root, split = "val" } },
    }
    return asl.continual(run, scenario, asl.continual.learner(cfg, scenario.classes), cfg)
  end,
}
