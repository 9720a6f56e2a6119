--- What a check found, in words for a terminal and for its report.

local progress = require "asl.progress"

local words = {}

local BAR = 20
local eighths = { "▏", "▎", "▍", "▌", "▋", "▊", "▉" }

--- A whole number with its thousands apart.
---@param n integer
---@return string
function words.number(n)
  local text = tostring(n):reverse():gsub("(%d%d%d)", "%1 "):reverse():gsub("^ ", "")
  return text
end

--- A share of 1 in per cent.
---@param share number
---@return string
function words.percent(share)
  if share ~= 0 and share < 0.0001 then return "< 0.01 %" end
  return ("%.2f %%"):format(100 * share)
end

--- "3: aachen 2, ulm 1".
---@param tally asl.check.tally
---@return string
function words.sequences(tally)
  local shown = {}
  for i, name in ipairs(tally.sequences) do
    if i > 3 then
      shown[i] = "..."
      break
    end
    shown[i] = ("%s %d"):format(name, tally.counts[name])
  end
  return ("%d: %s"):format(#tally.sequences, table.concat(shown, ", "))
end

--- "640x480", or the most common of several with the smallest and the largest.
---@param tally asl.check.tally
---@return string
function words.sizes(tally)
  local sizes = tally.sizes
  if #sizes == 0 then return "–" end
  local common = ("%dx%d"):format(sizes[1].width, sizes[1].height)
  if #sizes == 1 then return common end
  local function area(size) return size.width * size.height end
  local low, high = sizes[1], sizes[1]
  for _, size in ipairs(sizes) do
    if area(size) < area(low) then low = size end
    if area(size) > area(high) then high = size end
  end
  return ("%d sizes, %dx%d to %dx%d, most often %s (%d)"):format(#sizes, low.width, low.height, high.width, high.height,
    common, sizes[1].samples)
end

--- Range of depth and of flow, and how much of it is known.
---@param tally asl.check.tally
---@return string
function words.ranges(tally)
  local parts = {}
  local depth, flow = tally.depth, tally.flow
  if depth and depth.known > 0 then
    parts[#parts + 1] = ("depth %.3g to %.3g m, known at %s"):format(depth.low, depth.high,
      words.percent(depth.known / tally.pixels))
  elseif depth and tally.sound > 0 then
    parts[#parts + 1] = "depth known nowhere"
  end
  if flow and tally.sound > 0 then
    parts[#parts + 1] = ("flow up to %.3g px, known at %s"):format(flow.longest, words.percent(flow.known / tally.pixels))
  end
  return table.concat(parts, "; ")
end

--- Labelled parts, those of the same classes together.
---@param parts table[]
---@return table[][]
function words.by_classes(parts)
  local together, at = {}, {}
  for _, part in ipairs(parts) do
    if part.tally.labelled then
      local key = table.concat(part.set.class_names, "\t")
      if not at[key] then
        together[#together + 1] = {}
        at[key] = together[#together]
      end
      table.insert(at[key], part)
    end
  end
  return together
end

local function bar(share)
  local filled = share * BAR
  local whole = math.floor(filled)
  return ("█"):rep(whole) .. (eighths[math.floor((filled - whole) * 8)] or "")
end

--- Classes and their share in each part; the bar is of the first.
local function classes_text(parts)
  local set, header, rows = parts[1].set, { "id", "class" }, {}
  for i, part in ipairs(parts) do header[i + 2] = part.title end
  header[#header + 1] = ""
  local first = parts[1].tally
  local most = math.max(first.ignored, 1, table.unpack(first.labelled))
  local function add(id, name, pixels_of)
    local row, there = { id, name }, false
    for i, part in ipairs(parts) do
      local pixels = pixels_of(part.tally)
      there = there or pixels > 0
      row[i + 2] = pixels > 0 and words.percent(pixels / part.tally.pixels) or "–"
    end
    row[#row + 1] = bar(pixels_of(first) / most)
    if there then rows[#rows + 1] = row end
  end
  for class = 1, set.classes do
    add(tostring(class - 1), set.class_names[class], function(tally) return tally.labelled[class] end)
  end
  add("255", "ignored", function(tally) return tally.ignored end)
  local missing = set.classes - #rows + (rows[#rows] and rows[#rows][1] == "255" and 1 or 0)
  local text = progress.table { header = header, rows = rows, align = "rl" .. ("r"):rep(#parts) .. "l" }
  return missing > 0 and ("%s\n  %d of %d classes do not occur"):format(text, missing, set.classes) or text
end

--- The summary for a terminal.
---@param input table  as of page.html
---@return string
function words.text(input)
  local rows, lines = {}, {}
  for i, part in ipairs(input.parts) do
    local tally = part.tally
    rows[i] = { part.title, words.number(tally.samples), words.sequences(tally), words.sizes(tally),
      table.concat(part.set.planes, ", ") }
  end
  lines[1] = ("%s in %s"):format(input.kind, input.path)
  if #rows > 0 then
    lines[2] = progress.table { header = { "part", "samples", "sequences", "size (w x h)", "planes" }, rows = rows,
      align = "lrlll" }
  end
  for _, part in ipairs(input.parts) do
    local ranges = words.ranges(part.tally)
    if ranges ~= "" then lines[#lines + 1] = ("  %s: %s"):format(part.title, ranges) end
  end
  for _, parts in ipairs(words.by_classes(input.parts)) do lines[#lines + 1] = "\n" .. classes_text(parts) end
  for i, note in ipairs(input.notes) do lines[#lines + 1] = (i == 1 and "\n" or "") .. "note: " .. note end
  lines[#lines + 1] = ""
  if #input.problems == 0 then
    lines[#lines + 1] = "every sample was decoded; nothing is wrong"
  else
    lines[#lines + 1] = ("%d problem%s:"):format(#input.problems, #input.problems == 1 and "" or "s")
    for _, problem in ipairs(input.problems) do
      lines[#lines + 1] = ("  %s: %s"):format(problem.id or problem.set, problem.message)
    end
  end
  return table.concat(lines, "\n")
end

return words
