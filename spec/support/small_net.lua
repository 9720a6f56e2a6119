--- A network of two convolutions that learns in milliseconds: "body" (convolution, batch norm, ReLU) and "head".

local asl = require "asl"
local nn = require "asl.nn"

local SmallNet = nn.class "SmallNet"

--- given.norm = false: without batch norm, so that the rows of a batch know nothing of each other.
local function small_net(given)
  local self = SmallNet:new()
  self.given = given
  self.body = self:add("body", given.norm == false and nn.conv2d(3, 4, { kernel = 3, padding = 1 })
    or nn.conv_bn_act(3, 4, { kernel = 3, padding = 1 }))
  self.head = self:add("head", nn.conv2d(4, given.classes, { bias = true }))
  return self:materialise(given.seed or 1)
end

function SmallNet:forward(image)
  return self.head(self.body(asl.ops.normalise(image)))
end

function SmallNet:scores(image)
  return self:inference(function() return self:forward(image) end)
end

function SmallNet:predict(image)
  local shape = image:shape()
  return asl.ops.upsample_argmax(self:scores(image), { height = shape[2], width = shape[3] })
end

function SmallNet:clone()
  local copy = small_net(self.given)
  copy:restore(self:state())
  return copy
end

return small_net
