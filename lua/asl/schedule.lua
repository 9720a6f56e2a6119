--- Learning-rate schedules: a factor on the optimiser's learning rate for update t of T.
---
--- Constant is the default of ASL: with a falling rate, forgetting and the schedule cannot be told
--- apart.

local options = require "asl.options"

local schedule = {}

---@class asl.Schedule
---@field factor fun(update: integer, total: integer): number  update counts from 1

--- Always 1.
---@return asl.Schedule
function schedule.constant()
  return { name = "constant", factor = function() return 1 end }
end

--- (1 - (t-1)/T)^power, not below `floor` (Chen et al., DeepLab, 2016).
---@param given { power?: number, floor?: number }|nil  0.9, 0
---@return asl.Schedule
function schedule.polynomial(given)
  local s = options.check("asl.schedule.polynomial", given, { power = 0.9, floor = 0.0 })
  return { name = "polynomial", factor = function(update, total)
    return math.max(s.floor, (1 - (update - 1) / total) ^ s.power)
  end }
end

--- Linear warm-up from 1/start to 1 over the first `warmup` part of the updates, then a linear fall
--- to 1/(start * final) (Smith & Topin, 2018, with PyTorch's parameters div_factor, final_div_factor).
---@param given { warmup?: number, start?: number, final?: number }|nil  0.1, 25, 1e4
---@return asl.Schedule
function schedule.one_cycle(given)
  local s = options.check("asl.schedule.one_cycle", given, { warmup = 0.1, start = 25.0, final = 1e4 })
  local low, last = 1 / s.start, 1 / (s.start * s.final)
  return { name = "one_cycle", factor = function(update, total)
    local peak = s.warmup * total - 1 -- position of the highest rate, as PyTorch counts steps from 0
    local at = update - 1
    if at <= peak then return low + (1 - low) * (peak > 0 and at / peak or 1) end
    return 1 + (last - 1) * (at - peak) / (total - 1 - peak)
  end }
end

return schedule
