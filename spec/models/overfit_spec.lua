-- Learning works at all: a network that is shown the same pictures again and again knows them by heart.

local asl = require "asl"

local function train(frames, size, updates)
  local net = asl.models.fast_scnn { classes = frames.classes, seed = 1 }
  local optim = asl.optim.adam { lr = 0.003 }:bind(net)
  local loader <close> = asl.data.loader { threads = 0 }
  local rows = {}
  for i = 1, #frames do rows[i] = { dataset = frames, position = i } end
  local batch = loader:wait(loader:request { rows = rows, size = size, seed = 1, step = 1 })
  for _ = 1, updates do
    local scope <close> = asl.scope()
    net:train():zero_gradients()
    asl.loss.cross_entropy(net(batch.image), batch.label):backward()
    optim:step()
  end
  local m = asl.ops.confusion(net:predict(batch.image), batch.label, { classes = frames.classes }):totable()
  return asl.metrics.pixel_accuracy(m)
end

describe("Fast-SCNN", function()
  it("overfits four rooms", function()
    local rooms = asl.data.rooms { domain = "studio", split = "train", size = { 96, 128 }, sequences = 4, frames = 1 }
    assert.is_true(train(rooms, { 96, 128 }, 120) > 0.95)
  end)

  it("overfits eight real frames: over 95 % pixel accuracy after 300 updates #slow", function()
    local root = "../shared/data/camvid"
    if not asl.fs.stat(root) then return pending("no CamVid at " .. root) end
    local frames = asl.data.camvid { root = root, split = "train" }
    local positions = {}
    for k = 1, 8 do positions[k] = (k - 1) * 11 + 1 end -- of all three drives
    assert.is_true(train(frames:subset(positions), { 180, 240 }, 300) > 0.95)
  end)
end)
