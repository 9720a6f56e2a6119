--- Weights of PyTorch and the parameters of a network here: names, layouts, what must fit.
---
--- A network's paths are PyTorch's names, so what differs is only what stands before them: the dictionary that holds the
--- weights ("state_dict"), and wrappers in the names ("module." of DataParallel, "model." or "net." of Lightning). What one
--- network knows besides, it says in `weight_names`:
---
---     aliases = { { "theirs", "ours" }, ... }   parts with another name
---     heads   = { "classifier.conv.1", ... }    layers whose outputs are the classes
---     foreign = { "_teacher", ... }             what checkpoints of it hold beside the network

local fault = require "asl.fault"
local file = require "asl.weights.file"

local network = {}

local WRAPPERS = { "module.", "model.", "net." }
local MAX_WRAPPERS = 3
local COUNTER = "num_batches_tracked" -- of PyTorch's batch norm; used there only without a momentum
local FLOATS = { f32 = true, f16 = true, bf16 = true }

-- ---- layout -----------------------------------------------------------------------------------

--- A shape here in PyTorch's order: (O,kh,kw,I) is (O,I,kh,kw) there, all others are the same.
local function torch_shape(shape)
  if #shape ~= 4 then return shape end
  return { shape[1], shape[4], shape[2], shape[3] }
end

--- Parameters and buffers as PyTorch orders and shapes them: module by module, (O,I,kh,kw).
---@param net asl.Module
---@return string[] names
---@return asl.Tensor[] tensors  views
function network.to_torch(net)
  local views, names, tensors = {}, {}, {}
  for path, view in net:parameters() do views[path] = view end
  for path, view in net:buffers() do views[path] = view end
  net:visit(function(module, path)
    for _, slots in ipairs { module.own_parameters, module.own_buffers } do
      for _, slot in ipairs(slots) do
        local name = path == "" and slot.key or path .. "." .. slot.key
        local view = views[name]:detach()
        names[#names + 1], tensors[#tensors + 1] = name, #slot.shape == 4 and view:permute(1, 4, 2, 3) or view
      end
    end
  end)
  return names, tensors
end

-- ---- names ------------------------------------------------------------------------------------

local function starts(name, part)
  return name == part or name:sub(1, #part + 1) == part .. "."
end

--- All chains of wrappers that a name begins with, the empty one too.
local function chains_of(name)
  local chains, at = { "" }, 1
  for _ = 1, MAX_WRAPPERS do
    local found
    for _, wrapper in ipairs(WRAPPERS) do
      if name:sub(at, at + #wrapper - 1) == wrapper then found = wrapper end
    end
    if not found then break end
    at = at + #found
    chains[#chains + 1] = name:sub(1, at - 1)
  end
  return chains
end

local function own_name(entry)
  return entry.container == "" and entry.name or entry.name:sub(#entry.container + 2)
end

local function canonical(name, known)
  for _, alias in ipairs(known.aliases or {}) do
    if starts(name, alias[1]) then return alias[2] .. name:sub(#alias[1] + 1) end
  end
  return name
end

--- How many names of the network lie in each dictionary under each chain of wrappers.
local function count_matches(entries, slots, known)
  local counts, order = {}, {}
  for _, entry in ipairs(entries) do
    if entry.kind == "tensor" then
      local name = own_name(entry)
      for _, chain in ipairs(chains_of(name)) do
        if slots[canonical(name:sub(#chain + 1), known)] then
          local there = counts[entry.container]
          if not there then
            there = {}
            counts[entry.container] = there
            order[#order + 1] = entry.container
          end
          there[chain] = (there[chain] or 0) + 1
        end
      end
    end
  end
  return counts, order
end

local function best_chain(counts)
  local best, most = nil, 0
  for chain, count in pairs(counts) do
    if count > most or (count == most and #chain < #best) then best, most = chain, count end
  end
  return best
end

local function named(container)
  return container == "" and "the top" or ("%q"):format(container)
end

--- Where the network is in the file: the dictionary and the wrappers.
local function locate(entries, slots, known, at, fail)
  local counts, order = count_matches(entries, slots, known)
  if at then
    if not counts[at] then fail("holds no part of this network in %s", named(at)) end
    return at, best_chain(counts[at])
  end
  if #order == 0 then
    for _, entry in ipairs(entries) do
      if entry.name == "value" and entry.kind == "object" then
        fail("is a pickled object of %s, a program; torch.save its state_dict() instead", file.shown(entry.value))
      end
    end
    fail("holds no tensor with a name of this network")
  end
  if #order > 1 then
    local places = {}
    for i, container in ipairs(order) do places[i] = named(container) end
    fail("holds parts of this network in %d places: %s; at = %q takes the first", #order, table.concat(places, ", "),
      order[1])
  end
  return order[1], best_chain(counts[order[1]])
end

local function is_foreign(name, known)
  for _, part in ipairs(known.foreign or {}) do
    if starts(name, part) then return true end
  end
  return false
end

--- Sorts the tensors of the dictionary: found[name here] = position, what is unexpected, what is passed over.
local function match(entries, slots, known, container, chain)
  local found, unexpected, foreign, double = {}, {}, {}, {}
  for position, entry in ipairs(entries) do
    if entry.kind == "tensor" and entry.container == container then
      local name = own_name(entry)
      local wrapped = name:sub(1, #chain) == chain
      local path = wrapped and canonical(name:sub(#chain + 1), known) or name
      local norm = path:match("^(.*)" .. COUNTER .. "$")
      if wrapped and slots[path] then
        if found[path] then double[#double + 1] = name end
        found[path] = position
      elseif is_foreign(name, known) then
        foreign[#foreign + 1] = name
      elseif not (wrapped and norm and slots[norm .. "running_mean"]) then
        unexpected[#unexpected + 1] = name
      end
    end
  end
  return found, unexpected, foreign, double
end

-- ---- what must fit ----------------------------------------------------------------------------

local function shape_text(shape)
  return #shape == 0 and "scalar" or table.concat(shape, "x")
end

--- "same", "classes" (only the first size differs) or "other".
local function compare(shape, expected)
  if #shape ~= #expected then return "other" end
  for d = 2, #expected do
    if shape[d] ~= expected[d] then return "other" end
  end
  return (#shape == 0 or shape[1] == expected[1]) and "same" or "classes"
end

local function head_of(path, known)
  for _, head in ipairs(known.heads or {}) do
    if starts(path, head) then return head end
  end
end

--- Heads that the file has for another number of classes, all of their tensors agreeing on it: head = number.
local function other_heads(entries, found, slots, known)
  local heads, odd = {}, {}
  for path, slot in pairs(slots) do
    local head = head_of(path, known)
    if head then
      local shape = found[path] and entries[found[path]].shape
      local same = shape and compare(shape, torch_shape(slot.shape))
      if same ~= "classes" or (heads[head] and heads[head] ~= shape[1]) then odd[head] = true end
      if same == "classes" then heads[head] = shape[1] end
    end
  end
  for head in pairs(odd) do heads[head] = nil end
  return heads
end

--- Why an entry cannot be the values of a slot, or nil.
local function misfit(entry, slot, narrow)
  local expected = torch_shape(slot.shape)
  if compare(entry.shape, expected) ~= "same" then
    return ("%s instead of %s"):format(shape_text(entry.shape), shape_text(expected))
  end
  if entry.dtype == "f64" and not narrow then return "f64; narrow = true rounds it to f32" end
  if entry.dtype ~= "f64" and not FLOATS[entry.dtype] then return entry.dtype .. " instead of f32" end
end

local MOST_NAMES = 20

--- "3 missing: a, b, c", cut where there are many.
local function listed(what, names)
  if #names == 0 then return nil end
  table.sort(names)
  local some = {}
  for i = 1, math.min(#names, MOST_NAMES) do some[i] = names[i] end
  if #names > MOST_NAMES then some[#some + 1] = ("and %d more"):format(#names - MOST_NAMES) end
  return ("%d %s: %s"):format(#names, what, table.concat(some, ", "))
end

local function shown_names(names)
  local list = {}
  for i, name in ipairs(names) do list[i] = file.shown(name) end
  return list
end

--- Compares everything; nothing has been changed when it fails.
local function check(f, slots, order, known, given, fail)
  local container, chain = locate(f.entries, slots, known, given.at, fail)
  local found, unexpected, foreign, double = match(f.entries, slots, known, container, chain)
  local heads = other_heads(f.entries, found, slots, known)
  local missing, wrong, skipped, taken = {}, {}, {}, {}
  for _, path in ipairs(order) do
    local position, slot = found[path], slots[path]
    if heads[head_of(path, known) or false] then
      skipped[#skipped + 1] = path
    elseif not position then
      missing[#missing + 1] = path
    else
      local why = misfit(f.entries[position], slot, given.narrow)
      if why then wrong[#wrong + 1] = ("%s (%s)"):format(path, why) end
      taken[#taken + 1] = { position = position, path = path, slot = slot }
    end
  end
  local faults = {}
  for _, line in ipairs {
    listed("missing", missing) or false, listed("not of this network", shown_names(unexpected)) or false,
    listed("that do not fit", wrong) or false, listed("there twice", shown_names(double)) or false,
  } do
    if line then faults[#faults + 1] = line end
  end
  if #faults > 0 then fail("does not fit this network:\n  %s", table.concat(faults, "\n  ")) end
  return { container = container, wrapper = chain, taken = taken, skipped = skipped, foreign = foreign, heads = heads }
end

-- ---- loading ----------------------------------------------------------------------------------

--- Parameters and buffers by path, and the paths in the network's order.
local function slots_of(net)
  local slots, order = {}, {}
  for _, list in ipairs { net.parameters_, net.buffers_ } do
    for _, entry in ipairs(list) do
      slots[entry.path] = { shape = entry.slot.shape, view = entry.view }
      order[#order + 1] = entry.path
    end
  end
  return slots, order
end

local function from_torch(tensor, slot)
  return #slot.shape == 4 and tensor:permute(1, 3, 4, 2):contiguous() or tensor
end

--- All tensors, in our layout, before the first is copied: a damaged file changes nothing.
local function read_all(f, plan, narrow, fail)
  local by_position, positions, values, widened = {}, {}, {}, 0
  for i, item in ipairs(plan.taken) do
    by_position[item.position], positions[i] = item, item.position
  end
  f:each_tensor(positions, narrow, function(position, entry, tensor)
    local item = by_position[position]
    local bad = select(4, tensor:summary())
    if bad > 0 then fail("has %d values in %s that are not finite", bad, file.shown(entry.name)) end
    if entry.dtype == "f16" or entry.dtype == "bf16" then widened = widened + 1 end
    values[item.path] = from_torch(tensor, item.slot)
  end)
  return values, widened
end

--- The tensors of one head.
local function of_head(head, names)
  local some = {}
  for _, name in ipairs(names) do
    if starts(name, head) then some[#some + 1] = name end
  end
  return some
end

local function say_all(report, slots, warn)
  local heads = {}
  for head in pairs(report.heads) do heads[#heads + 1] = head end
  table.sort(heads)
  for _, head in ipairs(heads) do
    local names = of_head(head, report.skipped)
    warn(("%s is for %d classes, this network for %d: %s keep their initial values"):format(report.path,
      report.heads[head], slots[names[1]].shape[1], table.concat(names, " and ")))
  end
  if #report.foreign > 0 then
    warn(("%s: %s, no part of the network, are not read"):format(report.path,
      listed("tensors", shown_names(report.foreign))))
  end
  if report.widened > 0 then
    warn(("%s: %d tensors of 16-bit numbers became f32, exactly"):format(report.path, report.widened))
  end
end

--- See asl.weights.load.
function network.load(net, path, given, warn)
  local f <close> = file.open(path, true)
  local function fail(what, ...)
    fault.raise(('"%s" ' .. what):format(path, ...), { level = 0, exit_code = fault.exit.data })
  end
  local slots, order = slots_of(net)
  local plan = check(f, slots, order, net.weight_names or {}, given, fail)
  local values
  values, plan.widened = read_all(f, plan, given.narrow, fail)
  local device = net.flat:device()
  for path_here, value in pairs(values) do
    local view = slots[path_here].view:detach()
    view:copy_(device == "cpu" and value or value:to(device))
  end
  plan.path, plan.loaded, plan.taken = path, #plan.taken, nil
  say_all(plan, slots, warn)
  return plan
end

return network
