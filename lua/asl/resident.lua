--- Resident data: the pictures and label maps of a task lie in device memory, decoded once, and batches are gathered and
--- augmented there by one op. It draws what the loader draws and computes what the loader computes, so that rows have the
--- same bytes; what a step brings to the device is a row number and 24 numbers for each row.
---
--- All pictures must have one size; a data set that is read with a `size` has. Among several ranks each holds all of
--- them, as the order of an epoch goes through all.

local core = require "asl.core"
local fault = require "asl.fault"
local options = require "asl.options"
local progress = require "asl.progress"
local tensor = require "asl.tensor"

local ops = core.ops
local resident = {}

local CHUNK_BYTES = 64 << 20 -- decoded and brought to the device at a time; a chunk is decoded while another is moved
local MOST_ROWS = 256        -- of a chunk

--- The samples of a data set in device memory.
---@class asl.Held
---@field device string
---@field image asl.Tensor  u8 (M,H,W,3)
---@field label asl.Tensor  u8 (M,H,W)
---@field picture integer[]  {H, W}
---@field slots integer[]  of the data set's samples: where each is, from 0
---@field private slot_of table<userdata, table<integer, integer>>  by source and position in it
local Held = {}
Held.__index = Held

---@class asl.Resident
---@field device string
local Resident = {}
Resident.__index = Resident

--- Room for the data of one task after the other. What the next one has in common with the last is not decoded again.
---@param given { loader: asl.Loader, device?: string, progress?: fun(label: string, total: integer): asl.progress }
---@return asl.Resident
function resident.new(given)
  local self = options.check("asl.resident.new", given, {
    loader = options.required, device = "cpu", progress = options.optional "function",
  })
  return setmetatable(self, Resident)
end

-- ---- errors -----------------------------------------------------------------------------------

local function size_text(size) return ("%dx%d"):format(size[2], size[1]) end

--- Raises when one of the pictures first..last has another size than the first of all.
local function check_sizes(data, picture, first, last)
  for i = first, last do
    local scope <close> = core.scope()
    local shape = data:sample(i, { "image" }).image:shape()
    if shape[1] ~= picture[1] or shape[2] ~= picture[2] then
      fault.raise(("resident pictures must have one size: %s has %s (width x height), %s has %s"):format(data.ids[1],
        size_text(picture), data.ids[i], size_text(shape)), { level = 0, exit_code = fault.exit.usage,
        hint = "read the data set with a size, or set resident=false" })
    end
  end
end

local function no_room(data, picture, bytes, device)
  local live, total = core.memory(device).live, core.device_info(device).total_bytes
  local there = total > 0 and (" of %s"):format(progress.bytes(total)) or ""
  fault.raise(("resident: the %d pictures of %s (%s, with labels) need %s on %s, where %s%s are taken"):format(#data,
    data.name, size_text(picture), progress.bytes(bytes), device, progress.bytes(live), there),
    { level = 0, exit_code = fault.exit.usage, hint = "read the data set with a smaller size, or set resident=false" })
end

-- ---- filling ----------------------------------------------------------------------------------

--- Where each sample of a data set will be, and how many they are; what several ids name is held once.
local function places(data)
  local slot_of, slots, n = {}, {}, 0
  for i, source in ipairs(data.sources) do
    local of_source = slot_of[source] or {}
    slot_of[source] = of_source
    if not of_source[data.index[i]] then
      of_source[data.index[i]], n = n, n + 1
    end
    slots[i] = of_source[data.index[i]]
  end
  return slot_of, slots, n
end

--- Slots of a data set's samples where all are held already; nil where not.
local function slots_in(held, data)
  local slots = {}
  for i, source in ipairs(data.sources) do
    local of_source = held.slot_of[source]
    slots[i] = of_source and of_source[data.index[i]]
    if not slots[i] then return nil end
  end
  return slots
end

local function index_of(rows, device)
  return tensor.tensor(rows, { dtype = "i64" }):to(device)
end

--- Samples of `data` that are to be decoded, having copied those that `old` has.
local function missing_after_copy(self, new, old, data, chunk)
  local missing, from, to = {}, {}, {}
  local function copy()
    if #from == 0 then return end
    local scope <close> = core.scope()
    local sources, targets = index_of(from, self.device), index_of(to, self.device)
    ops.scatter_rows(new.image, targets, ops.gather_rows(old.image, sources))
    ops.scatter_rows(new.label, targets, ops.gather_rows(old.label, sources))
    from, to = {}, {}
  end
  for i, source in ipairs(data.sources) do
    local slot = old and old.slot_of[source] and old.slot_of[source][data.index[i]]
    if slot then
      from[#from + 1], to[#to + 1] = slot, new.slots[i]
      if #from == chunk then copy() end
    else
      missing[#missing + 1] = i
    end
  end
  copy()
  return missing
end

--- Decodes samples of `data` by the loader's threads and puts each into its slot.
local function decode(self, new, data, missing, chunk)
  local bar = #missing > 0 and self.progress and self.progress("decoding " .. data.name, #missing) or nil
  local function request(first)
    local rows = {}
    for k = first, math.min(first + chunk - 1, #missing) do rows[#rows + 1] = { dataset = data, position = missing[k] } end
    return #rows > 0 and self.loader:request { rows = rows, size = new.picture, planes = { "image", "label" },
      augment = { exact = true }, seed = 0, step = 0 } or nil
  end
  local ticket = request(1)
  for first = 1, #missing, chunk do
    local scope <close> = core.scope()
    local last, following = math.min(first + chunk - 1, #missing), request(first + chunk)
    local ok, batch = pcall(self.loader.wait, self.loader, ticket)
    if not ok then
      check_sizes(data, new.picture, missing[first], missing[last])
      error(batch, 0)
    end
    local slots = {}
    for k = first, last do slots[#slots + 1] = new.slots[missing[k]] end
    local target = index_of(slots, self.device)
    ops.scatter_rows(new.image, target, batch.image:to(self.device))
    ops.scatter_rows(new.label, target, batch.label:to(self.device))
    if bar then bar:update(last) end
    ticket = following
  end
  if bar then bar:finish() end
end

--- Takes memory for `count` samples; false where there is not enough.
local function take(new, count)
  local height, width = new.picture[1], new.picture[2]
  local ok, problem = pcall(function()
    new.image = tensor.zeros({ count, height, width, 3 }, { dtype = "u8", device = new.device })
    new.label = tensor.zeros({ count, height, width }, { dtype = "u8", device = new.device })
  end)
  if ok then return true end
  if new.image then new.image:release() end
  if not tostring(problem):find("out of memory", 1, true) then error(problem, 0) end
  return false
end

local function let_go(self)
  if not self.held then return end
  self.held.image:release()
  self.held.label:release()
  self.held = nil
end

local function shares_samples(held, new)
  if not held or held.picture[1] ~= new.picture[1] or held.picture[2] ~= new.picture[2] then return false end
  for source, indices in pairs(new.slot_of) do
    for index in pairs(indices) do
      if held.slot_of[source] and held.slot_of[source][index] then return true end
    end
  end
  return false
end

local function picture_size(data)
  local scope <close> = core.scope()
  local shape = data:sample(1, { "image" }).image:shape()
  return { shape[1], shape[2] }
end

--- Brings a data set to the device, unless its samples are there; what was held before and is not in it is let go.
---@param data asl.Dataset  with image and label
---@return asl.Held
---@error two pictures of different sizes, naming them; no room (exit code 64); what decoding raises
function Resident:hold(data)
  local held = self.held
  local slots = held and slots_in(held, data)
  if slots then
    return setmetatable({ device = held.device, picture = held.picture, image = held.image, label = held.label,
      slot_of = held.slot_of, slots = slots }, Held)
  end
  local scope <close> = core.scope()
  local slot_of, new_slots, count = places(data)
  local new = setmetatable({ device = self.device, picture = picture_size(data), slot_of = slot_of, slots = new_slots }, Held)
  local picture_bytes = new.picture[1] * new.picture[2] * 4
  local chunk = math.max(1, math.min(CHUNK_BYTES // picture_bytes, MOST_ROWS))
  if not shares_samples(self.held, new) then let_go(self) end
  if not take(new, count) then
    let_go(self) -- there is no room for both
    if not take(new, count) then no_room(data, new.picture, count * picture_bytes, self.device) end
  end
  decode(self, new, data, missing_after_copy(self, new, self.held, data, chunk), chunk)
  let_go(self)
  scope:keep(new.image, new.label)
  self.held = new
  return new
end

-- ---- batches ----------------------------------------------------------------------------------

--- The rows of a batch: the bytes that loader:wait gives for the same request.
---@param given { positions: integer[], rows: integer[], size: integer[], augment?: table, seed: integer, step: integer }
---   positions: in the data set, from 1; rows: which count their random numbers; the rest as for loader:request
---@return { image: asl.Tensor, label: asl.Tensor } batch  u8 (N,H,W,3) and (N,H,W), on the device
function Held:batch(given)
  local scope <close> = core.scope()
  local index = {}
  for k, position in ipairs(given.positions) do index[k] = self.slots[position] end
  local transform = core.augment_draw { rows = given.rows, picture = self.picture, size = given.size,
    augment = given.augment, seed = given.seed, step = given.step }
  local image, label = ops.augment(self.image, self.label, index_of(index, self.device), transform:to(self.device),
    { height = given.size[1], width = given.size[2] })
  scope:keep(image, label)
  return { image = image, label = label }
end

return resident
