--- Augmentation settings; the work is done in C, by the loader's threads (csrc/data/augment.h).

local core = require "asl.core"
local options = require "asl.options"

--- Settings of the random changes a loader makes to each row of a batch. All planes move together by one affine map; label
--- pixels that nothing covers become 255 (ignore), picture pixels the mean colour. What a row gets is a pure function of
--- (seed, step, row).
---@param given table|nil  named arguments:
---   scale (number[2], default {1, 1}): size relative to the whole picture resized to the batch's size, uniform between;
---   crop (boolean, default true): the window lies at random, else centred;
---   flip (probability 0..1, default 0): left-right mirror;
---   rotate (degrees 0..180, default 0): turn by a uniform angle in [-rotate, rotate] about the centre;
---   brightness, contrast, saturation (0..1, default 0): factor uniform in [1 - x, 1 + x];
---   hue (turns 0..0.5, default 0): the chroma is turned by a uniform angle in [-hue, hue]
---@return table settings  for loader:request{ augment = settings }
--- Errors: unknown name, wrong type, out of range with the range.
return function(given)
  local settings = options.check("asl.data.augment", given, {
    scale = { 1, 1 }, crop = true, flip = 0, rotate = 0, brightness = 0, contrast = 0, saturation = 0, hue = 0,
  })
  settings.scale = { settings.scale[1], settings.scale[2] }
  core.augment_check(settings)
  return settings
end
