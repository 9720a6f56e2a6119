--- Digests of everything the core computes, to compare between threads and instruction sets: results and
--- gradients of every op, and the weights after training steps. Run as a program, it prints them; its
--- arguments are lists of cases (large small).

if not package.path:find("./?.lua", 1, true) then package.path = "./?.lua;" .. package.path end

local asl = require "asl"
local cases = require "spec.support.cases"
local large = require "spec.ops.large_cases"
local small = require "spec.ops.cases"

local digests = {}

local function sorted_names(tensors)
  local names = {}
  for name in pairs(tensors) do names[#names + 1] = name end
  table.sort(names)
  return names
end

--- Adds "add 1 y: 0123..." for every result, input (it may be written in place) and gradient of a case.
local function add_case(lines, title, case, number, name)
  local scope <close> = asl.scope()
  local built = cases.build(name, case, number)
  local results, gradients, _
  if cases.has_gradient(name, case, number) then
    gradients, _, results = cases.gradients(built)
  else
    results, gradients = cases.call(built), {}
  end
  for what, tensors in ipairs { results, built.inputs, gradients } do
    for _, slot in ipairs(sorted_names(tensors)) do
      lines[#lines + 1] = ("%s %s %d %s %d: %s"):format(title, name, number, slot, what, tensors[slot]:digest())
    end
  end
end

--- Digest of Fast-SCNN after three training steps, with dropout, momentum and the auxiliary head.
---@return string
function digests.training()
  local scope <close> = asl.scope()
  local net = asl.models.fast_scnn { classes = 7, seed = 3, aux = true }
  local optim = asl.optim.sgd { lr = 0.05, momentum = 0.9, decay = 1e-4 }:bind(net)
  local image = asl.rand({ 2, 97, 131, 3 }, { seed = 1 }) * 2 - 1
  local label = asl.ops.cast(asl.rand({ 2, 97, 131 }, { seed = 2 }) * 6, { dtype = "u8" })
  for _ = 1, 3 do
    net:zero_gradients()
    local logits, auxiliary = net(image)
    local loss = asl.loss.cross_entropy(logits, label) + asl.loss.cross_entropy(auxiliary, label) * 0.4
    loss:backward()
    optim:step()
  end
  return net:digest()
end

local LISTS = { small = small, large = large }

--- All digests of the named lists of cases ("small", "large") and of the training, a line each.
---@param ... string
---@return string
function digests.of(...)
  local lines = {}
  for _, title in ipairs { ... } do
    cases.each(LISTS[title], function(...) add_case(lines, title, ...) end)
  end
  lines[#lines + 1] = "Fast-SCNN after three steps: " .. digests.training()
  return table.concat(lines, "\n") .. "\n"
end

if arg and arg[0] and arg[0]:find("spec/support/digests%.lua$") then
  io.write(digests.of(table.unpack(#arg > 0 and arg or { "large", "small" })))
end

return digests
