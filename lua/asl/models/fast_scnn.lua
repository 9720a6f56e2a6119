--- Fast-SCNN (Poudel, Liwicki & Cipolla, "Fast-SCNN: Fast Semantic Segmentation Network", BMVC 2019,
--- arXiv 1902.04502), in the form of the widely used PyTorch port: ReLU inside the separable
--- convolutions, no padding in the first convolution, pyramid bins 1, 2, 3, 6.
---
---     stage                      layers                                    output at 320x640
---     learning_to_downsample     conv 3->32 /2, ds 32->48 /2, ds 48->64 /2   40x80x64  (the skip)
---     global_feature_extractor   3 bottlenecks 64 /2                          20x40x64
---                                3 bottlenecks 96 /2                          10x20x96
---                                3 bottlenecks 128                            10x20x128
---                                pyramid pooling 1, 2, 3, 6                   10x20x128
---     feature_fusion             low resized to the skip, dw, 1x1; skip 1x1   40x80x128
---     classifier                 ds 128, ds 128, dropout, 1x1                 40x80xclasses

local core = require "asl.core"
local nn = require "asl.nn"
local options = require "asl.options"

local ops = core.ops

-- ---- blocks -----------------------------------------------------------------------------------

local function conv(inputs, outputs, given)
  given.keys = given.keys or { "conv.0", "conv.1" }
  return nn.conv_bn_act(inputs, outputs, given)
end

local function depthwise(channels, stride, keys)
  return conv(channels, channels, { kernel = 3, stride = stride, padding = 1, groups = channels, keys = keys })
end

--- Depthwise separable convolution.
local function ds(inputs, outputs, stride)
  return nn.sequential {
    { "", depthwise(inputs, stride) },
    { "", conv(inputs, outputs, { keys = { "conv.3", "conv.4" } }) },
  }
end

---@class asl.Bottleneck : asl.Module
local Bottleneck = nn.class "Bottleneck"
local EXPANSION = 6

--- Inverted bottleneck: expand 6x, depthwise, project without activation, add x where shapes agree.
local function bottleneck(inputs, outputs, stride)
  local self, wide = Bottleneck:new(), inputs * EXPANSION
  self.expand = self:add("block.0", conv(inputs, wide, {}))
  self.depthwise = self:add("block.1", depthwise(wide, stride))
  self.project = self:add("block", conv(wide, outputs, { relu = false, keys = { "2", "3" } }))
  self.has_skip = stride == 1 and inputs == outputs
  return self
end

function Bottleneck:forward(x)
  return self.project(self.depthwise(self.expand(x)), self.has_skip and x or nil)
end

local function stage(inputs, outputs, stride)
  return nn.sequential {
    { "0", bottleneck(inputs, outputs, stride) },
    { "1", bottleneck(outputs, outputs, 1) },
    { "2", bottleneck(outputs, outputs, 1) },
  }
end

---@class asl.PyramidPooling : asl.Module
local PyramidPooling = nn.class "PyramidPooling"

local function pyramid_pooling(channels)
  local self = PyramidPooling:new()
  self.branches = {}
  for i = 1, 4 do
    self.branches[i] = self:add("conv" .. i, conv(channels, channels // 4, {}))
  end
  self.out = self:add("out", conv(channels * 2, channels, {}))
  return self
end

function PyramidPooling:forward(x)
  local pooled = { ops.pyramid_pool(x, { b1 = 1, b2 = 2, b3 = 3, b4 = 6, at = self.path }) }
  for i, branch in ipairs(self.branches) do
    pooled[i] = branch(pooled[i])
  end
  return self.out(ops.resize_concat(x, table.unpack(pooled)))
end

---@class asl.FeatureFusion : asl.Module
local FeatureFusion = nn.class "FeatureFusion"

local function feature_fusion(high, low, outputs)
  local self = FeatureFusion:new()
  self.depthwise = self:add("dwconv", depthwise(low, 1))
  self.low = self:add("conv_lower_res", conv(low, outputs, { bias = true, relu = false, keys = { "0", "1" } }))
  self.high = self:add("conv_higher_res", conv(high, outputs, { bias = true, keys = { "0", "1" } }))
  return self
end

--- relu(high + low); low is resized to the skip's size, which is the paper's x4 wherever that fits.
function FeatureFusion:forward(high, low)
  local shape = high:shape()
  low = ops.resize(low, { height = shape[2], width = shape[3], at = self.path })
  return self.high(high, self.low(self.depthwise(low)))
end

-- ---- the network ------------------------------------------------------------------------------

---@class asl.FastSCNN : asl.Module
---@field classes integer
---@field dropout number  probability, 0.1
local FastSCNN = nn.class "FastSCNN"

-- Where weight files say something else (asl.weights.network): the predecessor of ASL kept the four parts in a ModuleDict,
-- and its checkpoints hold replay state and a teacher beside the network.
FastSCNN.weight_names = {
  aliases = {
    { "_md.learn_to_down", "learning_to_downsample" },
    { "_md.extractor", "global_feature_extractor" },
    { "_md.fusion", "feature_fusion" },
    { "_md.classifier", "classifier" },
  },
  heads = { "classifier.conv.1", "auxlayer.4" },
  foreign = { "_rssb", "_teacher" },
}

local DROPOUT = 0.1

-- How pictures are normalised: as for ImageNet, to the type the network then computes in.
local NORMALISE = {}
for precision, dtype in pairs { fp32 = "f32", bf16 = "bf16" } do
  NORMALISE[precision] = { mean1 = 0.485, mean2 = 0.456, mean3 = 0.406, std1 = 0.229, std2 = 0.224, std3 = 0.225,
    dtype = dtype }
end

--- Builds the network with PyTorch's initial distributions, or with the weights of a file.
---@param given { classes: integer, aux?: boolean, seed?: integer, device?: string, precision?: string, weights?: string }
---   classes 1..255; aux: also an auxiliary head on the skip; seed of the initial weights, 0; device:
---   "cpu", "cuda"; precision: "fp32", or on a GPU "bf16": activations are bf16, weights, statistics, losses and
---   gradients of weights stay f32; weights: a .pth, .ckpt or
---   .safetensors file as of asl.weights.load; heads that it has for another number of classes keep their initial weights
---@return asl.FastSCNN
---@error a file that does not fit: the names that are missing, unexpected or of another shape
local function fast_scnn(given)
  given = options.check("asl.models.fast_scnn", given, {
    classes = options.require "integer", aux = false, seed = 0, device = "cpu",
    precision = options.one_of { "fp32", "bf16" }, weights = options.optional "string",
  })
  if given.classes < 1 or given.classes > 255 then
    error(("asl.models.fast_scnn: classes must be 1 to 255, not %d"):format(given.classes), 2)
  end
  local self = FastSCNN:new()
  self.classes, self.precision = given.classes, given.precision

  self.downsample = self:add("learning_to_downsample", nn.sequential {
    { "conv", conv(3, 32, { kernel = 3, stride = 2 }) },
    { "dsconv1", ds(32, 48, 2) },
    { "dsconv2", ds(48, 64, 2) },
  })
  self.extract = self:add("global_feature_extractor", nn.sequential {
    { "bottleneck1", stage(64, 64, 2) },
    { "bottleneck2", stage(64, 96, 2) },
    { "bottleneck3", stage(96, 128, 1) },
    { "ppm", pyramid_pooling(128) },
  })
  self.fuse = self:add("feature_fusion", feature_fusion(64, 128, 128))
  self.features = self:add("classifier", nn.sequential {
    { "dsconv1", ds(128, 128, 1) },
    { "dsconv2", ds(128, 128, 1) },
  })
  self.classify = self:add("classifier.conv.1", nn.conv2d(128, given.classes, { bias = true }))
  if given.aux then
    self.aux_features = self:add("auxlayer", conv(64, 32, { kernel = 3, padding = 1, keys = { "0", "1" } }))
    self.aux_classify = self:add("auxlayer.4", nn.conv2d(32, given.classes, { bias = true }))
  end

  self.dropout, self.dropout_seed = DROPOUT, given.seed
  self:materialise(given.seed, given.device)
  if given.weights then require("asl.weights").load(self, given.weights) end
  return self
end

--- Dropout before a classifying convolution. The mask is a pure function of (seed, counter, head).
function FastSCNN:dropped(x, head)
  if not self.training or self.dropout == 0 then return x end
  return ops.dropout(x, { p = self.dropout, seed = self.dropout_seed, counter = 2 * self.counter + head })
end

--- Pictures to class scores at one eighth of their size.
---@param image asl.Tensor  u8 (N,H,W,3) RGB, brought to the network's device and normalised here; or normalised already
---@return asl.Tensor logits  of the network's precision (N,h,w,classes), h = about H/8
---@return asl.Tensor|nil auxiliary  logits of the auxiliary head
function FastSCNN:forward(image)
  local x = image:to(self.flat:device())
  if x:dtype() == "u8" then x = ops.normalise(x, NORMALISE[self.precision]) end
  local high = self.downsample(x)
  local low = self.extract(high)
  local logits = self.classify(self:dropped(self.features(self.fuse(high, low)), 0))
  local auxiliary = self.aux_features and self.aux_classify(self:dropped(self.aux_features(high), 1)) or nil
  if self.training then self.counter = self.counter + 1 end
  return logits, auxiliary
end

--- Class scores as they are used: in evaluation mode, without gradients.
---@param image asl.Tensor  u8 (N,H,W,3)
---@return asl.Tensor logits  f32 (N,h,w,classes), h = about H/8
function FastSCNN:scores(image)
  return self:inference(function() return (self:forward(image)) end)
end

--- The most probable class of every pixel, at the pictures' size. In evaluation mode, without gradients.
---@param image asl.Tensor  u8 (N,H,W,3)
---@return asl.Tensor labels  u8 (N,H,W)
function FastSCNN:predict(image)
  local shape = image:shape()
  return ops.upsample_argmax(self:scores(image), { height = shape[2], width = shape[3] })
end

--- The same network with its own memory and the same values.
---@return asl.FastSCNN
function FastSCNN:clone()
  local copy = fast_scnn { classes = self.classes, aux = self.aux_features ~= nil, seed = self.dropout_seed,
    device = self.flat:device(), precision = self.precision }
  copy:restore(self:state())
  return copy
end

return fast_scnn
