-- A run whose data stays on the device is the run whose data comes from the loader, bit for bit.

local core = require "asl.core"
local trial = require "spec.support.trial"

describe("a run with resident data", function()
  local root

  setup(function() root = core.fs.temp_dir() end)
  teardown(function() core.fs.remove_tree(root) end)

  local function truth(name, settings)
    local overrides = { "updates=4", "rotate=20", "contrast=0.3", "flip=0.5" }
    local result = trial.run(root .. "/" .. name, table.move(settings, 1, #settings, #overrides + 1, overrides))
    assert.equal(0, result.code, result.err)
    return trial.truth(result.path)
  end

  for _, strategy in ipairs { "replay", "joint" } do
    it("has the log, checkpoint, summary and pictures of one without: " .. strategy, function()
      local plain = truth(strategy .. "-plain", { "strategy=" .. strategy })
      local resident = truth(strategy .. "-resident", { "strategy=" .. strategy, "resident=true" })
      assert.same(plain, resident)
    end)
  end

  it("goes on where it was stopped", function()
    local runs = root .. "/stopped"
    local settings = { "strategy=naive", "resident=true", "updates=5", "checkpoint_every=2" }
    local whole = trial.run(root .. "/whole", settings)
    assert.equal(0, whole.code, whole.err)
    local words = { trial.TINY, "--runs", runs, table.unpack(settings) }
    trial.interrupt(words, "KILL", trial.until_there(runs .. "/tiny/*/ckpt/*7*"))
    local resumed = trial.resume(trial.path(runs))
    assert.equal(0, resumed.code, resumed.err)
    assert.same(trial.truth(whole.path), trial.truth(trial.path(runs)))
  end)
end)
