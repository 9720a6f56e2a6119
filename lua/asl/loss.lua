--- Supervised losses, written over ops.

local core = require "asl.core"
local options = require "asl.options"

local ops = core.ops
local loss = {}

--- Softmax cross entropy of class scores against a label map, with the scores resized to the labels'
--- size on the way (bilinear, corners aligned; fused, so full-size scores are never built).
--- The mean over pixels whose label is not 255: the one definition of a masked mean in ASL.
---@param logits asl.Tensor  f32 (N,h,w,C)
---@param labels asl.Tensor  u8 (N,H,W), class ids from 0, 255 = ignore
---@param given { normaliser?: number, class_weight?: asl.Tensor }|nil  normaliser: divide by this
---   instead of the number of valid pixels here (for a batch that is computed in parts); class_weight f32 (C)
---@return asl.Tensor loss  f32 scalar, 0 when no pixel is valid
---@return asl.Tensor valid  i64 scalar: how many pixels counted
function loss.cross_entropy(logits, labels, given)
  given = options.check("asl.loss.cross_entropy", given, { normaliser = 0.0, class_weight = options.any })
  return ops.upsample_cross_entropy(logits, labels, given.class_weight, { normaliser = given.normaliser })
end

return loss
