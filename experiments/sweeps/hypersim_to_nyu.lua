--- Naive, replay and joint from Hypersim to NYU Depth V2, three seeds each.
---
---     asl --env FILE experiments/sweeps/hypersim_to_nyu.lua [hypersim=HYPERSIM nyuv2=NYU updates=20000 ...]

local asl = require "asl"

local results = asl.sweep.run {
  script = "experiments/hypersim_to_nyu.lua",
  grid = { { "strategy", { "naive", "replay", "joint" } }, { "seed", { 1, 2, 3 } } },
  overrides = (require("asl.cli").parse_overrides(arg)),
}

--- A metric of R, in percent; joint has no more than the mean of the last row.
local function percent(of, metric)
  return function(summary) return summary[of][metric] and 100 * summary[of][metric] end
end

print "\nmean (range) over three seeds, in percent, of both tests"
print(asl.sweep.table(results, "strategy", {
  { title = "mean mIoU at the end", value = percent("metrics", "acc_final") },
  { title = "mIoU after its task", value = percent("metrics", "learning_accuracy") },
  { title = "BWT (GEM)", value = percent("metrics", "bwt_gem") },
  { title = "forgetting (RWalk)", value = percent("metrics", "forgetting_rwalk") },
  { title = "mean pixel acc. at the end", value = percent("metrics_pixel_accuracy", "acc_final") },
}))
