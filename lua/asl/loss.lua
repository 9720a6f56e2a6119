--- Losses on class scores, written over ops. Scores are resized to the labels' size on the way (bilinear,
--- corners aligned; fused, so full-size scores are never built).

local core = require "asl.core"
local options = require "asl.options"

local ops = core.ops
local loss = {}

--- A normaliser as the ops take it: a number (0: the valid pixels here), or an i64 scalar that is on the device.
local function divisor(normaliser)
  if type(normaliser) == "userdata" then return 0, normaliser end
  return normaliser or 0, nil
end

--- Softmax cross entropy against a label map: the mean over pixels whose label is not 255, the one
--- definition of a masked mean in ASL. With p = softmax(logits / temperature), s the label smoothing (Szegedy
--- et al. 2016, section 7), w the class weights and v the pixel weights, a pixel labelled y has the loss
---
---     v ((1 - s) w_y (-log p_y) + s/C sum_c w_c (-log p_c))
---
--- as in torch.nn.functional.cross_entropy, whose mean, however, divides by the sum of the weights w_y.
---@param logits asl.Tensor  f32 (N,h,w,C)
---@param labels asl.Tensor  u8 (N,H,W), class ids from 0, 255 = ignore
---@param given { normaliser?: number|asl.Tensor, class_weight?: asl.Tensor, pixel_weight?: asl.Tensor, label_smoothing?: number,
---   temperature?: number }|nil  normaliser: divide by this instead of the number of valid pixels here (for a batch
---   that is computed in parts, or the sum of the weights); class_weight f32 (C); pixel_weight f32 (N,H,W);
---   label_smoothing 0 to 1 (0); temperature 0.001 to 1000 (1)
---@return asl.Tensor loss  f32 scalar, 0 when no pixel is valid
---@return asl.Tensor valid  i64 scalar: how many pixels counted
function loss.cross_entropy(logits, labels, given)
  given = options.check("asl.loss.cross_entropy", given, { normaliser = options.any, class_weight = options.any,
    pixel_weight = options.any, label_smoothing = 0.0, temperature = 1.0 })
  local number, count = divisor(given.normaliser)
  return ops.upsample_cross_entropy(logits, labels, given.class_weight, given.pixel_weight, count,
    { normaliser = number, smoothing = given.label_smoothing, temperature = given.temperature })
end

--- Knowledge distillation: softened class probabilities q of a teacher as targets, q = softmax(target / T) and
--- p = softmax(logits / T), T the temperature. The mean over valid pixels of
---
---     T^2 v sum_c q_c (-log p_c)
---
--- (LwF: Li & Hoiem 2016, equation 2). T^2 keeps the size of the gradient when T changes (Hinton et al. 2015,
--- section 2). With divergence it is T^2 v KL(q || p), which is 0 where the two agree and has the same gradient.
---@param logits asl.Tensor  f32 (N,h,w,C)
---@param target asl.Tensor  f32 (N,h,w,C), the teacher's logits; no gradient goes to them
---@param given { size?: integer[], labels?: asl.Tensor, pixel_weight?: asl.Tensor, temperature?: number,
---   divergence?: boolean, normaliser?: number|asl.Tensor }|nil  labels u8 (N,H,W): only pixels where they are not 255 count;
---   size {H, W}: where the loss is taken, by default the labels' or else the logits' own; pixel_weight v, f32 (N,H,W);
---   temperature 0.001 to 1000 (2); normaliser: divide by this instead of the number of valid pixels here
---@return asl.Tensor loss  f32 scalar, 0 when no pixel is valid
---@return asl.Tensor valid  i64 scalar: how many pixels counted
function loss.distillation(logits, target, given)
  given = options.check("asl.loss.distillation", given, { size = options.optional "table", labels = options.any,
    pixel_weight = options.any, temperature = 2.0, divergence = false, normaliser = options.any })
  local shape, T = (given.labels or logits):shape(), given.temperature
  local size = given.size or { shape[2], shape[3] }
  local number, count = divisor(given.normaliser)
  local value, valid = ops.upsample_soft_cross_entropy(logits, target, given.labels, given.pixel_weight, count,
    { height = size[1], width = size[2], normaliser = number, temperature = T, divergence = given.divergence })
  return value * (T * T), valid
end

return loss
