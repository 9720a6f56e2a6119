--- Data sets: lists of samples with stable ids.
---
--- A data set is pure data: it knows where its samples come from (a C source and a position in it) and what they are called,
--- nothing of training or replay. `subset`, `sequence`, `take` and `join` give new ones that share the sources.

local core = require "asl.core"
local options = require "asl.options"

---@class asl.Dataset
---@field name string
---@field class_names string[]  class_names[id + 1]
---@field colours integer[][]  colours[id + 1] = {r, g, b}
---@field classes integer
---@field ids string[]  stable names of the samples; no two are equal
---@field sequences string[]  parallel to ids: the sequence (video, scene, room) of each sample
---@field frames integer[]  parallel to ids: its number in the sequence
---@field planes string[]  what every sample has: "image", "label", "depth", "flow", "flow_back", "occlusion", ...
---@field sources userdata[]  parallel to ids
---@field index integer[]  parallel to ids: 0-based position in the source
---@field fingerprints string[]  parallel to ids: what the digest says of a sample's content besides its id
---@field files string[]  what was read to make it, each once: lists, tables, cameras; not what its samples are read from, which
---   its sources know (source:files), nor what comes with ASL
local Dataset = {}
Dataset.__index = Dataset
Dataset.__name = "asl.Dataset"

local dataset = {}

local PARALLEL = { "ids", "sequences", "frames", "sources", "index", "fingerprints" }

local function check_parallel(where, fields)
  local n = #fields.ids
  for _, name in ipairs(PARALLEL) do
    if #fields[name] ~= n then
      error(("%s: %d ids but %d %s"):format(where, n, #fields[name], name), 3)
    end
  end
  local seen = {}
  for i, id in ipairs(fields.ids) do
    if seen[id] then error(("%s: the samples %d and %d are both %q"):format(where, seen[id], i, id), 3) end
    seen[id] = i
  end
end

local function repeated(value, n)
  local list = {}
  for i = 1, n do
    list[i] = value
  end
  return list
end

local function counting(n)
  local list = {}
  for i = 1, n do
    list[i] = i - 1
  end
  return list
end

--- The paths of both lists, each once.
local function union(a, b)
  local all, seen = {}, {}
  for _, paths in ipairs { a, b } do
    for _, path in ipairs(paths) do
      if not seen[path] then all[#all + 1] = path end
      seen[path] = true
    end
  end
  return all
end

local function check_files(where, paths)
  for i, path in ipairs(paths) do
    if type(path) ~= "string" then error(("%s: files[%d] is a %s, not a path"):format(where, i, type(path)), 3) end
  end
  return union(paths, {})
end

--- See asl.data.dataset.
function dataset.new(given)
  local where = "asl.data.dataset"
  local o = options.check(where, given, {
    name = options.require "string", class_names = options.require "table", colours = options.require "table",
    ids = options.require "table", source = options.require "userdata", sequences = options.optional "table",
    frames = options.optional "table", index = options.optional "table", fingerprint = options.any,
    files = options.optional "table",
  })
  local n = #o.ids
  local fields = {
    name = o.name, class_names = o.class_names, colours = o.colours, classes = #o.class_names,
    ids = o.ids, sequences = o.sequences or repeated(o.name, n), frames = o.frames or counting(n),
    sources = repeated(o.source, n), index = o.index or counting(n), planes = o.source:planes(),
    fingerprints = type(o.fingerprint) == "table" and o.fingerprint or repeated(o.fingerprint or "", n),
    files = check_files(where, o.files or {}),
  }
  if #o.colours ~= #o.class_names then
    error(("%s: %d classes but %d colours"):format(where, #o.class_names, #o.colours), 2)
  end
  check_parallel(where, fields)
  for i, position in ipairs(fields.index) do
    if position < 0 or position >= #o.source then
      error(("%s: sample %d is at position %d of a source of %d samples"):format(where, i, position, #o.source), 2)
    end
  end
  return setmetatable(fields, Dataset)
end

--- See asl.data.is_dataset.
function dataset.is(value)
  return getmetatable(value) == Dataset
end

--- Number of samples.
function Dataset:__len()
  return #self.ids
end

function Dataset:__tostring()
  return self:describe()
end

--- Raises unless there is a sample i.
---@param i integer  from 1
---@param level integer|nil  as in error(), counted from the caller; default 1
function Dataset:check_position(i, level)
  if math.type(i) ~= "integer" or i < 1 or i > #self.ids then
    error(("%s: there is no sample %s; it has %d"):format(self.name, tostring(i), #self.ids), (level or 1) + 2)
  end
end

--- One sample as it is, neither augmented nor resized.
---@param i integer  position in the data set, from 1
---@param planes string[]|nil  which planes; default: all it has
---@return table sample  a tensor per plane (image u8 HxWx3, label u8 HxW, depth f32 HxW, flow f32 HxWx2, ...), and id,
---   sequence, frame
--- Errors, naming the file: not to be read, damaged, a label value outside the table, sizes that differ.
function Dataset:sample(i, planes)
  self:check_position(i)
  local sample = self.sources[i]:sample(self.index[i] + 1, planes or self.planes)
  sample.id, sample.sequence, sample.frame = self.ids[i], self.sequences[i], self.frames[i]
  return sample
end

local function derive(self, fields)
  for _, name in ipairs { "name", "class_names", "colours", "classes", "planes", "files" } do
    if fields[name] == nil then fields[name] = self[name] end
  end
  return setmetatable(fields, Dataset)
end

--- The samples at these positions, in this order.
---@param positions integer[]  from 1, none twice
---@return asl.Dataset
function Dataset:subset(positions)
  local fields = {}
  for _, name in ipairs(PARALLEL) do
    local list = {}
    for at, i in ipairs(positions) do
      self:check_position(i)
      list[at] = self[name][i]
    end
    fields[name] = list
  end
  check_parallel(self.name, fields)
  return derive(self, fields)
end

--- The first n samples.
---@param n integer
---@return asl.Dataset
function Dataset:take(n)
  if math.type(n) ~= "integer" or n < 0 or n > #self.ids then
    error(("%s: take %s of %d samples"):format(self.name, tostring(n), #self.ids), 2)
  end
  local positions = {}
  for i = 1, n do
    positions[i] = i
  end
  return self:subset(positions)
end

--- At most n samples, evenly spread over the data set.
---@param n integer  0: all
---@return asl.Dataset
function Dataset:spread(n)
  if math.type(n) ~= "integer" or n < 0 then
    error(("%s: spread needs a whole number from 0, not %s"):format(self.name, tostring(n)), 2)
  end
  if n == 0 or n >= #self.ids then return self end
  local positions = {}
  for i = 1, n do positions[i] = (2 * i - 1) * #self.ids // (2 * n) + 1 end
  return self:subset(positions)
end

--- The names of the sequences, in order of appearance, and the number of samples of each.
---@return string[] names
---@return table<string, integer> counts
function Dataset:sequence_names()
  local names, counts = {}, {}
  for _, name in ipairs(self.sequences) do
    if not counts[name] then names[#names + 1] = name end
    counts[name] = (counts[name] or 0) + 1
  end
  return names, counts
end

--- The samples of some sequences, in the data set's order.
---@param names string|string[]
---@return asl.Dataset
--- Errors: a sequence that is not there, with those that are.
function Dataset:sequence(names)
  if type(names) == "string" then names = { names } end
  local known, counts = self:sequence_names()
  local wanted = {}
  for _, name in ipairs(names) do
    if not counts[name] then
      error(("%s has no sequence %q (it has: %s)"):format(self.name, tostring(name), table.concat(known, ", ")), 2)
    end
    wanted[name] = true
  end
  local positions = {}
  for i, name in ipairs(self.sequences) do
    if wanted[name] then positions[#positions + 1] = i end
  end
  return self:subset(positions)
end

-- Positions of the samples, sequence by sequence in order of appearance, within one by frame.
local function positions_by_sequence(self)
  local names, of = self:sequence_names(), {}
  for _, name in ipairs(names) do of[name] = {} end
  for i, name in ipairs(self.sequences) do table.insert(of[name], i) end
  for _, positions in pairs(of) do
    table.sort(positions, function(a, b)
      if self.frames[a] ~= self.frames[b] then return self.frames[a] < self.frames[b] end
      return a < b
    end)
  end
  return names, of
end

--- Cuts every sequence in time: its last frames to test on, the first ones to learn from, and between them a gap of frames
--- that are not used, so that no test frame has a training frame for its neighbour.
---@param given { test: number, gap?: integer }  test: frames per sequence, or, below 1, their share of each sequence, rounded
---   down, at least one; gap: frames per sequence, 1
---@return asl.Dataset train
---@return asl.Dataset test
--- Errors: a sequence too short to leave a frame to learn from.
function Dataset:split(given)
  local o = options.check(self.name .. ":split", given, { test = options.require "number", gap = 1 })
  if o.test <= 0 or o.test > 1 and o.test % 1 ~= 0 or o.gap < 0 then
    error(("%s: split needs test frames or a share below 1, and gap >= 0, not %s and %d"):format(self.name, o.test, o.gap), 2)
  end
  local names, of = positions_by_sequence(self)
  local train, test = {}, {}
  for _, name in ipairs(names) do
    local positions = of[name]
    local held_out = math.max(1, math.floor(o.test < 1 and o.test * #positions or o.test))
    local first_test = #positions - held_out + 1
    if first_test - o.gap < 2 then
      error(("%s: sequence %q has %d frames, too few for %d to test on and a gap of %d"):format(self.name, name, #positions,
        held_out, o.gap), 2)
    end
    table.move(positions, 1, first_test - o.gap - 1, #train + 1, train)
    table.move(positions, first_test, #positions, #test + 1, test)
  end
  return self:subset(train), self:subset(test)
end

--- Labelled pixels per class, counted in the label maps themselves.
---@return integer[] pixels  pixels[id + 1]
---@return integer ignored  pixels without a label (255)
--- Errors: what sample() raises; a data set without labels.
function Dataset:histogram()
  local pixels, ignored = {}, 0
  for c = 1, self.classes do pixels[c] = 0 end
  for i = 1, #self.ids do
    local scope <close> = core.scope()
    local label = self:sample(i, { "label" }).label
    local m = core.ops.confusion(label, label, { classes = self.classes }):totable()
    for c = 1, self.classes do pixels[c] = pixels[c] + m[c][c] end
    ignored = ignored + label:count() - core.ops.count_valid(label):item()
  end
  return pixels, ignored
end

local function same_classes(a, b)
  if a.classes ~= b.classes then return false end
  for i, name in ipairs(a.class_names) do
    if b.class_names[i] ~= name then return false end
  end
  return true
end

--- This data set's samples followed by the other's; the planes that both have.
---@param other asl.Dataset  with the same classes and no sample in common
---@return asl.Dataset
function Dataset:join(other)
  if not same_classes(self, other) then
    error(("%s and %s have different classes and cannot be joined"):format(self.name, other.name), 2)
  end
  local fields = { name = self.name .. "+" .. other.name, planes = {}, files = union(self.files, other.files) }
  for _, name in ipairs(PARALLEL) do
    local list = table.move(self[name], 1, #self[name], 1, {})
    fields[name] = table.move(other[name], 1, #other[name], #list + 1, list)
  end
  local has = {}
  for _, plane in ipairs(other.planes) do
    has[plane] = true
  end
  for _, plane in ipairs(self.planes) do
    if has[plane] then fields.planes[#fields.planes + 1] = plane end
  end
  check_parallel(fields.name, fields)
  return derive(self, fields)
end

--- What the data set is, in 64 hex digits: SHA-256 over its name, class names, planes, and per sample id, sequence, frame and
--- fingerprint. The fingerprint of a file is its size in bytes, not its content: hashing a data set of files would read all
--- of it. That of `rooms` is its parameters.
---@return string
function Dataset:digest()
  local lines = { "asl dataset 1", self.name, table.concat(self.class_names, "\t"), table.concat(self.planes, "\t") }
  for i, id in ipairs(self.ids) do
    lines[#lines + 1] = table.concat({ id, self.sequences[i], self.frames[i], self.fingerprints[i] }, "\t")
  end
  return core.sha256(table.concat(lines, "\n"))
end

--- One line for people: name, samples, sequences, classes, planes.
---@return string
function Dataset:describe()
  local names, counts = self:sequence_names()
  local shown = {}
  for i, name in ipairs(names) do
    if i > 6 then
      shown[i] = "..."
      break
    end
    shown[i] = ("%s %d"):format(name, counts[name])
  end
  return ("%s: %d samples in %d sequence%s (%s), %d classes, planes %s"):format(self.name, #self.ids, #names,
    #names == 1 and "" or "s", table.concat(shown, ", "), self.classes, table.concat(self.planes, ", "))
end

--- See asl.data.disjoint.
function dataset.disjoint(a, b)
  local seen = {}
  for _, id in ipairs(a.ids) do
    seen[id] = true
  end
  for _, id in ipairs(b.ids) do
    if seen[id] then error(("the sample %q is in both %s and %s"):format(id, a.name, b.name), 2) end
  end
end

return dataset
