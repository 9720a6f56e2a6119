--- The device beside the CPU on which the specs of spec/cuda run: "emu", or what ASL_SPEC_DEVICE names ("cuda" on a
--- machine with a GPU).

local asl = require "asl"

local devices = {}

devices.name = os.getenv "ASL_SPEC_DEVICE" or "emu"

--- Why the device cannot be used; nil when it can.
---@return string|nil
function devices.missing()
  local ok, message = pcall(asl.zeros, { 1 }, { device = devices.name })
  return not ok and tostring(message) or nil
end

--- The body of a describe(): `specs(device)`, or where the device is missing one skipped spec that says why.
---@param busted table  { it = it, pending = pending } of the caller
---@param specs fun(device: string)
---@return fun()
function devices.body(busted, specs)
  local why = devices.missing()
  if not why then return function() specs(devices.name) end end
  return function() busted.it("are skipped", function() busted.pending(why) end) end
end

return devices
