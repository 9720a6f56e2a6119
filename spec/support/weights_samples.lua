--- Sample files of weights with expected values, where they are (../shared/data/formats).

local assert = require "luassert"
local core = require "asl.core"
local pictures = require "spec.support.pictures"

local samples = {}

samples.NONE = "the format samples (../shared/data/formats) are not here"

--- The samples of one kind.
---@param kind string  "pytorch" or "safetensors"
---@return table[]|nil files  { name, bytes, rows = rows of expected.tsv, format = their column }, sorted by name
function samples.of(kind)
  local root = pictures.real("formats/" .. kind)
  if not root then return nil end
  local files, by_name = {}, {}
  for _, row in ipairs(pictures.tsv(root .. "/expected.tsv")) do
    local file = by_name[row.file]
    if not file then
      file = { name = row.file, bytes = core.fs.read(root .. "/" .. row.file), rows = {}, format = row.format }
      by_name[row.file], files[#files + 1] = file, file
    end
    file.rows[#file.rows + 1] = row
  end
  assert(#files > 0)
  return files
end

--- The numbers in a text.
local function numbers(text)
  local list = {}
  for word in text:gmatch "%S+" do
    list[#list + 1] = word == "nan" and 0 / 0 or word == "inf" and math.huge or word == "-inf" and -math.huge
      or tonumber(word)
  end
  return list
end

local function same_number(expected, value)
  return expected == value or (expected ~= expected and value ~= value)
end

--- Complains unless the tensor is what a row says: shape, first values (exact), sum.
---@param row table<string, string>
---@param t asl.Tensor
function samples.check(row, t)
  local what = row.file .. " " .. row.key
  assert.same(numbers(row.shape), t:shape(), what)
  local flat, sum = t:reshape(-1):totable(), 0
  for i, expected in ipairs(numbers(row.first_values)) do
    assert(same_number(expected, flat[i] + 0.0), ("%s: element %d is %s, not %s"):format(what, i, flat[i], expected))
  end
  local size = 0
  for _, x in ipairs(flat) do
    sum, size = sum + x, size + math.abs(x)
  end
  local expected = numbers(row.sum)[1]
  -- Written with 9 digits; added up in single precision.
  assert(same_number(expected, sum) or math.abs(sum - expected) <= 1e-6 * size,
    ("%s: the sum is %.9g, not %.9g"):format(what, sum, expected))
end

return samples
