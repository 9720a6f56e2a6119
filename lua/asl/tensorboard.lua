--- TensorBoard event files, written without TensorBoard: protobuf messages in TFRecord framing.
---
--- Field numbers are those of tensorboard/compat/proto (event, summary, tensor, types). Scalars are
--- double tensors of the "scalars" plug-in, not the old float field, so that no digit is lost. The
--- files are a view: they are made from a run's log and can be deleted and made again.

local fs = require "asl.fs"
local log = require "asl.log"
local record = require "asl.record"

local tensorboard = {}

-- ---- protobuf ---------------------------------------------------------------------------------

local function varint(n)
  local bytes = {}
  while n > 127 or n < 0 do
    bytes[#bytes + 1] = string.char(n & 127 | 128)
    n = n >> 7
  end
  bytes[#bytes + 1] = string.char(n)
  return table.concat(bytes)
end

-- Wire types: 0 varint, 1 eight bytes, 2 length and bytes.
local function integer(field, value) return varint(field << 3) .. varint(value) end
local function double(field, value) return varint(field << 3 | 1) .. string.pack("<d", value) end
local function bytes(field, value)
  return varint(field << 3 | 2) .. varint(#value) .. value
end

-- ---- messages -----------------------------------------------------------------------------------

local dtype = { double = 2, string = 7 }
local class = { scalar = 1, tensor = 2, blob_sequence = 3 }

local function tensor_shape(sizes)
  local dims = {}
  for i, size in ipairs(sizes) do
    dims[i] = bytes(2, integer(1, size))
  end
  return bytes(2, table.concat(dims))
end

local function metadata(plugin, data_class)
  return bytes(9, bytes(1, bytes(1, plugin)) .. integer(4, class[data_class]))
end

local function summary_value(tag, tensor, plugin, data_class)
  return bytes(1, bytes(1, tag) .. bytes(8, tensor) .. metadata(plugin, data_class))
end

local function scalar_value(tag, value)
  local tensor = integer(1, dtype.double) .. tensor_shape {} .. bytes(6, string.pack("<d", value))
  return summary_value(tag, tensor, "scalars", "scalar")
end

local function string_tensor(strings, sizes)
  local values = {}
  for i, text in ipairs(strings) do
    values[i] = bytes(8, text)
  end
  return integer(1, dtype.string) .. tensor_shape(sizes) .. table.concat(values)
end

local function event(time, step, body)
  return double(1, time) .. integer(2, step) .. body
end

-- ---- one event file -------------------------------------------------------------------------------

---@class asl.tensorboard.writer
local writer = {}
writer.__index = writer

--- Starts an event file.
---@param path string  its name must contain "tfevents"
---@param time number  seconds since 1970
---@return asl.tensorboard.writer
function tensorboard.writer(path, time)
  fs.remove(path)
  local self = setmetatable({ file = fs.append(path), pending = {}, flushed = time }, writer)
  self:put(double(1, time) .. bytes(3, "brain.Event:2"), time)
  return self
end

-- Events wait for a second, so that logging a step costs no write for them.
function writer:put(message, time)
  self.pending[#self.pending + 1] = record.frame(message)
  if time - self.flushed >= 1 then
    self.flushed = time
    self:flush()
  end
end

function writer:flush()
  if #self.pending == 0 then return end
  self.file:write(table.concat(self.pending))
  self.pending = {}
end

--- Numbers of one step. Steps of a tag must grow.
---@param step integer
---@param values table<string, number>  by tag
---@param time number  seconds since 1970
function writer:scalars(step, values, time)
  local tags, summary = {}, {}
  for tag in pairs(values) do
    tags[#tags + 1] = tag
  end
  table.sort(tags)
  for i, tag in ipairs(tags) do
    summary[i] = scalar_value(tag, values[tag])
  end
  self:put(event(time, step, bytes(5, table.concat(summary))), time)
end

--- A picture.
---@param step integer
---@param tag string
---@param png string  the bytes of a PNG file
---@param time number
function writer:image(step, tag, png, time)
  local width, height = string.unpack(">I4I4", png, 17)
  local tensor = string_tensor({ tostring(width), tostring(height), png }, { 3 })
  self:put(event(time, step, bytes(5, summary_value(tag, tensor, "images", "blob_sequence"))), time)
end

--- A text.
---@param step integer
---@param tag string
---@param markdown string
---@param time number
function writer:text(step, tag, markdown, time)
  local tensor = string_tensor({ markdown }, {})
  self:put(event(time, step, bytes(5, summary_value(tag, tensor, "text", "tensor"))), time)
end

function writer:close()
  local ok, problem = pcall(self.flush, self)
  self.file:close()
  if not ok then error(problem, 0) end
end

-- ---- the view of a run ----------------------------------------------------------------------------

---@class asl.tensorboard.view
local view = {}
view.__index = view

--- A directory of event files with one sub-directory per task and one, `joint`, with everything.
--- What an earlier view left in `dir` is removed: a reader that has an old file open must not meet
--- steps twice.
---@param dir string
---@param root string  directory that pictures are named relative to
---@param time number  seconds since 1970, part of the files' names
---@return asl.tensorboard.view
function tensorboard.view(dir, root, time)
  fs.remove_tree(dir)
  return setmetatable({ dir = dir, root = root, time = time, writers = {} }, view)
end

function view:writer(name)
  if not self.writers[name] then
    local dir = fs.join(self.dir, fs.slug(name))
    fs.mkdirs(dir)
    local file = ("events.out.tfevents.%010d.asl"):format(math.floor(self.time))
    self.writers[name] = tensorboard.writer(fs.join(dir, file), self.time)
  end
  return self.writers[name]
end

local add = {}

function add.scalars(writer_, entry, time)
  writer_:scalars(entry.step, entry.values, time)
end

function add.text(writer_, entry, time)
  writer_:text(entry.step, entry.name, entry.text, time)
end

function add.picture(writer_, entry, time, root)
  local path = fs.join(root, entry.file)
  if fs.stat(path) then writer_:image(entry.step, entry.name, fs.read(path), time) end
end

--- Shows one record of a run's log.
---@param entry table
---@param time number  when it was logged
function view:add(entry, time)
  local show = add[entry.kind]
  if not show then return end
  show(self:writer("joint"), entry, time, self.root)
  if entry.task and entry.task ~= "joint" then show(self:writer(entry.task), entry, time, self.root) end
end

--- Closes all files, also when one of them cannot be finished; then it raises why.
function view:close()
  local problem
  for _, open in pairs(self.writers) do
    local ok, message = pcall(open.close, open)
    problem = problem or not ok and message
  end
  self.writers = {}
  if problem then error(problem, 0) end
end

--- Makes the view of a log from its beginning.
---@param dir string  of the view
---@param log_path string
---@param root string  directory that pictures are named relative to
---@param times table<integer, number>  when the record at an offset of the log was written
---@param time number  for the files' names and for records without a time
---@return asl.tensorboard.view  open, for records to come
function tensorboard.rebuild(dir, log_path, root, times, time)
  local self = tensorboard.view(dir, root, time)
  log.each(log_path, function(entry, offset)
    self:add(entry, times[offset] or time)
  end)
  return self
end

return tensorboard
