-- The bits of a whole training do not depend on threads, loaders or the instruction set. tools/check digests shows
-- the same over 200 updates, and for other compilers and optimisation levels.

local whole_training = require "spec.support.whole_training"

describe("a training", function()
  local truth

  setup(function() truth = whole_training.truth({ "updates=6", "loaders=0" }, "ASL_THREADS=1") end)

  for _, variant in ipairs {
    { "ASL_THREADS=1", "loaders=0" }, { "ASL_THREADS=2", "loaders=1" }, { "ASL_THREADS=3", "loaders=2" },
    { "ASL_THREADS=5", "loaders=3" }, { "ASL_ISA=portable ASL_THREADS=2", "loaders=1" },
  } do
    it("has the same bits with " .. table.concat(variant, " "), function()
      assert.same(truth, whole_training.truth({ "updates=6", variant[2] }, variant[1]))
    end)
  end

  it("has others with another seed", function()
    local other = whole_training.truth { "updates=6", "seed=2" }
    for _, name in ipairs { "log", "summary", "checkpoint" } do assert.not_equal(truth[name], other[name]) end
  end)
end)
