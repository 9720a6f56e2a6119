--- The ASL side of bench/compare.py: reads lines "case batch height width classes" and answers each with the
--- seconds of one iteration; "memory" with the peak resident bytes of this process; see there.

local asl = require "asl"

local cases = {}

local function network(classes)
  local net = asl.models.fast_scnn { classes = classes, seed = 1 }
  return net, asl.optim.sgd { lr = 0.01, momentum = 0.9, decay = 4e-5 }:bind(net)
end

local function make(case, batch, height, width, classes)
  local net, optim = network(classes)
  local image = asl.zeros({ batch, height, width, 3 }, { dtype = "u8" })
  image:copy_((asl.rand { batch, height, width, 3 } * 255):to "u8")
  local label = (asl.rand { batch, height, width } * (classes - 1)):to "u8"
  if case == "infer" then
    return function() net:predict(image) end
  end
  return function()
    local scope <close> = asl.scope()
    net:train():zero_gradients()
    asl.loss.cross_entropy(net(image), label):backward()
    optim:step()
  end
end

local function peak_resident()
  for line in io.lines "/proc/self/status" do
    local kib = line:match "VmHWM:%s*(%d+)"
    if kib then return tonumber(kib) * 1024 end
  end
end

for line in io.lines() do
  if line == "memory" then
    print(peak_resident())
  else
    local case, batch, height, width, classes = line:match "(%a+) (%d+) (%d+) (%d+) (%d+)"
    cases[line] = cases[line] or make(case, batch + 0, height + 0, width + 0, classes + 0)
    local start = asl.core.monotonic()
    cases[line]()
    print(asl.core.monotonic() - start)
  end
  io.stdout:flush()
end
