--- Data: data sets, loader threads, augmentation, the order of samples.

local core = require "asl.core"
local dataset = require "asl.data.dataset"

local data = {
  dataset = dataset.new,
  is_dataset = dataset.is,
  disjoint = dataset.disjoint,
}

--- Which sample comes at a position of an epoch: a keyed permutation of 1..n, addressed directly, so that going to any step
--- costs nothing.
---@param seed integer
---@param epoch integer
---@param n integer  number of samples, 1..2^32
---@param position integer  from 1 to n
---@return integer sample  from 1 to n
function data.order(seed, epoch, n, position)
  return core.order(seed, epoch, n, position)
end

-- Constructors, loaded when first used.
local constructors = {
  folder = function() return require("asl.data.folder").new end,
  camvid = function() return require("asl.data.camvid").new end,
  rooms = function() return require("asl.data.rooms").new end,
  loader = function() return require("asl.data.loader") end,
  augment = function() return require("asl.data.augment") end,
}

return setmetatable(data, {
  __index = function(self, name)
    local load = constructors[name]
    if not load then
      error(("asl.data has no %q (it has: augment, camvid, dataset, disjoint, folder, is_dataset, loader, order, rooms)")
        :format(tostring(name)), 2)
    end
    local value = load()
    rawset(self, name, value)
    return value
  end,
})
