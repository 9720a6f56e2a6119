--- A training step of a small network, written the plain way: nothing is released by hand.
---
--- Run as a program, takes 1000 steps and prints, of the first 100 and of the others, the peak of memory and
--- the last loss.

local asl = require "asl"

local small_training = {}

---@return fun(): asl.Tensor step  returns the loss
function small_training.new()
  local net = asl.nn.sequential {
    { "0", asl.nn.conv_bn_act(3, 8, { kernel = 3, padding = 1, stride = 2 }) },
    { "1", asl.nn.conv2d(8, 4, { bias = true }) },
  }
  net:materialise(1)
  local optim = asl.optim.adam { lr = 0.01 }:bind(net)
  local image, label = asl.rand({ 2, 24, 32, 3 }, { seed = 1 }), asl.zeros({ 2, 24, 32 }, { dtype = "u8" })
  label:slice(2, 1, 12):fill_(3)
  return function()
    net:zero_gradients()
    local loss = asl.loss.cross_entropy(net(image), label)
    loss:backward()
    optim:step()
    return loss
  end
end

if arg and arg[0] and arg[0]:find("spec/support/small_training%.lua$") then
  local step = small_training.new()
  for _, steps in ipairs { 100, 900 } do
    local loss
    asl.memory "reset"
    for _ = 1, steps do loss = step():item() end
    print(asl.memory().peak, loss)
  end
end

return small_training
