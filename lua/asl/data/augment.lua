--- Augmentation settings; the work is done in C, by the loader's threads (csrc/data/augment.h).

local core = require "asl.core"
local options = require "asl.options"

local augment = {}

--- See asl.data.augment.
function augment.new(given)
  local settings = options.check("asl.data.augment", given, {
    scale = { 1, 1 }, crop = true, flip = 0, rotate = 0, brightness = 0, contrast = 0, saturation = 0, hue = 0,
  })
  settings.scale = { settings.scale[1], settings.scale[2] }
  core.augment_check(settings)
  return settings
end

return augment
