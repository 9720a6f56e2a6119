--- Teachers: frozen copies of a network.

local teacher = {}

--- A frozen snapshot: weights and batch-norm statistics, always in evaluation mode, without
--- gradients. Training the original, or calling :train() on the copy, changes nothing in it.
---@param net asl.Module  a network with :clone()
---@return asl.Module snapshot
function teacher.snapshot(net)
  local copy = net:clone()
  copy:freeze { "" }
  copy:eval()
  function copy:train() return self end
  return copy
end

return teacher
