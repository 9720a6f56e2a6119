--- Optical flow files.

local core = require "asl.core"

local flow = {}

--- See asl.data.read_flow.
function flow.read(path)
  return core.flow_read(path)
end

return flow
