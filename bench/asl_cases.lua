--- ASL's side of the cases that compute: what torch_cases.py does. Each function prepares a case and returns
--- iterate(clock) -> value.

local asl = require "asl"

local cases = {}

local function random_labels(case)
  return (asl.rand { case.batch, case.height, case.width } * (case.classes - 1)):to "u8"
end

local function random_pictures(case)
  return (asl.rand { case.batch, case.height, case.width, 3 } * 255):to "u8"
end

local function coarse_scores(case)
  return asl.randn { case.batch, case.height // 8, case.width // 8, case.classes }
end

function cases.train(case)
  local net = asl.models.fast_scnn { classes = case.classes, seed = 1 }
  local optim = asl.optim.sgd { lr = 0.01, momentum = 0.9, decay = 4e-5 }:bind(net)
  local image, label = random_pictures(case), random_labels(case)
  return function()
    net:train():zero_gradients()
    local loss = asl.loss.cross_entropy(net(image), label)
    loss:backward()
    optim:step()
    return loss:item()
  end
end

function cases.infer(case)
  local net, image = asl.models.fast_scnn { classes = case.classes, seed = 1 }, random_pictures(case)
  return function() return net:predict(image):count() end
end

function cases.layer(case)
  local make = case.norm and asl.nn.conv_bn_act or asl.nn.conv2d
  local settings = { kernel = case.kernel, stride = case.stride, padding = case.padding, groups = case.groups }
  settings[case.norm and "relu" or "bias"] = not case.norm or case.relu
  local block = make(case.inputs, case.outputs, settings):materialise(1)
  local x = asl.randn { case.batch, case.height, case.width, case.inputs }
  x:requires_grad_(case.inputs > 3) -- nobody asks for the gradient of a picture
  return function(clock)
    block:zero_gradients()
    x:set_grad(nil)
    local loss = block(x):mean()
    clock.lap()
    loss:backward()
    return loss:item()
  end
end

function cases.loss(case)
  local scores, label = coarse_scores(case):requires_grad_(true), random_labels(case)
  return function()
    scores:set_grad(nil)
    local loss = asl.loss.cross_entropy(scores, label)
    loss:backward()
    return loss:item()
  end
end

function cases.evaluate(case)
  local scores, label = coarse_scores(case), random_labels(case)
  return function()
    local found = asl.ops.upsample_argmax(scores, { height = case.height, width = case.width })
    return asl.ops.confusion(found, label, { classes = case.classes }):sum():item()
  end
end

return cases
