--- What is in a file of weights, as a table for people.

local file = require "asl.weights.file"
local format = require "asl.format"
local progress = require "asl.progress"

local listing = {}

local KINDS = {
  torch_zip = "PyTorch checkpoint (zip archive, pickle protocol %d)",
  torch_legacy = "PyTorch checkpoint (legacy stream, pickle protocol %d)",
  safetensors = "safetensors",
}
local LONGEST = 60 -- characters of a name or value before it is cut

local function clip(text)
  if (utf8.len(text) or #text) <= LONGEST then return text end
  return text:sub(1, (utf8.offset(text, LONGEST) or LONGEST) - 1) .. "…"
end

local function value_text(entry)
  if entry.kind == "none" then return "None" end
  if entry.kind == "object" then return "of " .. file.shown(entry.value) .. ", not read" end
  return format.value(entry.value, { text = LONGEST })
end

local function row(entry)
  local name = clip(file.shown(entry.name))
  if entry.kind ~= "tensor" then return { name, entry.kind, clip(value_text(entry)) } end
  local shape = #entry.shape == 0 and "scalar" or table.concat(entry.shape, "x")
  return { name, entry.dtype, shape, ("%d"):format(entry.bytes) }
end

local function width_of(text)
  return utf8.len(text) or #text
end

--- Columns as wide as their longest text; values that are no tensors may reach over what is right of them.
local function append_rows(lines, rows)
  local widths = {}
  for _, cells in ipairs(rows) do
    for i, cell in ipairs(cells) do
      if i < 3 or #cells == 4 then widths[i] = math.max(widths[i] or 0, width_of(cell)) end
    end
  end
  for _, cells in ipairs(rows) do
    local parts = {}
    for i, cell in ipairs(cells) do
      local blanks = (" "):rep((widths[i] or 0) - width_of(cell))
      parts[i] = i == 4 and blanks .. cell or cell .. blanks
    end
    lines[#lines + 1] = ("  " .. table.concat(parts, "  ")):gsub("%s+$", "")
  end
end

local function count_of(shape)
  local n = 1
  for _, size in ipairs(shape) do n = n * size end
  return n
end

local function plural(n, word)
  return ("%d %s%s"):format(n, word, n == 1 and "" or "s")
end

local function total_text(entries)
  local tensors, values, bytes, others, storages, stored = 0, 0, 0, 0, {}, 0
  for _, entry in ipairs(entries) do
    if entry.kind == "tensor" then
      tensors, values, bytes = tensors + 1, values + count_of(entry.shape), bytes + entry.bytes
      if not storages[entry.storage] then
        storages[entry.storage], stored = true, stored + 1
      end
    else
      others = others + 1
    end
  end
  local text = ("%s of %s, %s"):format(plural(tensors, "tensor"), plural(values, "value"), progress.bytes(bytes))
  if stored < tensors then text = text .. (" in %s"):format(plural(stored, "storage")) end
  if others > 0 then text = text .. ("; %s"):format(plural(others, "other value")) end
  return text
end

--- The kind of the file, a line for each tensor and other value in the file's order, the total.
---@param path string
---@return string text  lines without a newline at the end
---@error a file that is none of weights, or damaged
function listing.text(path)
  local f <close> = file.open(path, true)
  local lines = { ("%s: %s"):format(path, KINDS[f.kind]:format(f.protocol)) }
  local rows, metadata = { { "name", "dtype", "shape", "bytes" } }, {}
  for _, entry in ipairs(f.entries) do rows[#rows + 1] = row(entry) end
  append_rows(lines, rows)
  for key in pairs(f.metadata) do metadata[#metadata + 1] = key end
  table.sort(metadata)
  for _, key in ipairs(metadata) do
    lines[#lines + 1] = ("  %s = %s"):format(file.shown(key), clip(format.value(f.metadata[key], { text = LONGEST })))
  end
  lines[#lines + 1] = total_text(f.entries)
  return table.concat(lines, "\n")
end

return listing
