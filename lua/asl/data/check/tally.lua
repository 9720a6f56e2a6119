--- What a data set holds, summed over its samples.

local tally = {}

---@class asl.check.tally
---@field samples integer
---@field sound integer
---@field sequences string[]
---@field counts table<string, integer>  samples by sequence
---@field sizes {height: integer, width: integer, samples: integer}[]  the most common first
---@field pixels integer  of all sound samples
---@field labelled integer[]  pixels[id + 1]
---@field ignored integer
---@field depth {low: number, high: number, known: integer}|nil
---@field flow {longest: number, known: integer}|nil

---@class asl.check.counter
local Counter = {}
Counter.__index = Counter

--- Begins to count.
---@param set asl.Dataset
---@return asl.check.counter
function tally.new(set)
  return setmetatable({ set = set, sound = 0, pixels = 0, by_size = {}, labels = {}, depth_known = 0, flow_known = 0,
    flow_longest = 0 }, Counter)
end

--- Adds a sample.
---@param found asl.check.found
function Counter:add(found)
  self.sound = self.sound + 1
  self.pixels = self.pixels + found.height * found.width
  local size = ("%d %d"):format(found.height, found.width)
  self.by_size[size] = (self.by_size[size] or 0) + 1
  for _, pair in ipairs(found.labels) do self.labels[pair[1]] = (self.labels[pair[1]] or 0) + pair[2] end
  if found.depth_known then
    self.depth_known = self.depth_known + found.depth_known
    self.depth_low = math.min(self.depth_low or math.huge, found.depth_low)
    self.depth_high = math.max(self.depth_high or 0, found.depth_high)
  end
  self.flow_known = self.flow_known + found.flow_known
  self.flow_longest = math.max(self.flow_longest, found.flow_longest)
end

local function has(set, plane)
  for _, name in ipairs(set.planes) do
    if name == plane then return true end
  end
  return false
end

--- The sum.
---@return asl.check.tally
function Counter:sum()
  local names, counts = self.set:sequence_names()
  local sizes, labelled = {}, {}
  for size, samples in pairs(self.by_size) do
    local height, width = size:match "(%d+) (%d+)"
    sizes[#sizes + 1] = { height = math.tointeger(tonumber(height)), width = math.tointeger(tonumber(width)), samples = samples }
  end
  table.sort(sizes, function(a, b)
    if a.samples ~= b.samples then return a.samples > b.samples end
    return a.height * 100000 + a.width < b.height * 100000 + b.width
  end)
  for class = 1, self.set.classes do labelled[class] = self.labels[class - 1] or 0 end
  return {
    samples = #self.set, sound = self.sound, sequences = names, counts = counts, sizes = sizes, pixels = self.pixels,
    labelled = has(self.set, "label") and labelled or nil, ignored = self.labels[255] or 0,
    depth = has(self.set, "depth") and { low = self.depth_low, high = self.depth_high, known = self.depth_known } or nil,
    flow = has(self.set, "flow") and { longest = self.flow_longest, known = self.flow_known } or nil,
  }
end

return tally
