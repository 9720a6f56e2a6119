--- The table of the README: naive, replay and joint on CamVid at dusk, three seeds each.
---
---     asl experiments/sweeps/camvid_dusk.lua CAMVID [RUNS]

local asl = require "asl"

local results = asl.sweep.run {
  script = "experiments/camvid_dusk.lua",
  grid = { { "strategy", { "naive", "replay", "joint" } }, { "seed", { 1, 2, 3 } } },
  overrides = { data = arg[1] }, runs = arg[2],
}

--- A score on one test in the last row of R, in percent.
local function final(test, score)
  return function(summary)
    for i = #summary.R, 1, -1 do
      if summary.R[i].test == test then return 100 * summary.R[i][score] end
    end
  end
end

print "\nmean (range) over three seeds, in percent, after the last task"
print(asl.sweep.table(results, "strategy", {
  { title = "day mIoU", value = final("day", "miou") },
  { title = "dusk mIoU", value = final("dusk", "miou") },
  { title = "mean mIoU", value = function(s) return 100 * s.metrics.acc_final end },
  { title = "forgetting (RWalk)", value = function(s)
    return s.metrics.forgetting_rwalk and 100 * s.metrics.forgetting_rwalk
  end },
  { title = "day pixel acc.", value = final("day", "pixel_accuracy") },
  { title = "dusk pixel acc.", value = final("dusk", "pixel_accuracy") },
}))
