--- The words of a report, made from its figures.

local groups = require "asl.report.groups"
local html = require "asl.html"

local story = {}

local tag = html.tag

local what_it_does = {
  naive = "trains on the new task only",
  replay = "mixes remembered pictures into every batch",
  joint = "sees all tasks at once; it is no continual learner but the mark to measure against",
  freeze = "keeps part of the network as the first task left it",
  cumulative = "trains on all tasks so far",
}

local function percent(value)
  return ("%.1f %%"):format(100 * value)
end

local function listed(items)
  if #items < 2 then return items[1] or "" end
  return table.concat(items, ", ", 1, #items - 1) .. " and " .. items[#items]
end

local function count(n, word)
  local names = { "one", "two", "three", "four", "five", "six", "seven", "eight", "nine" }
  return ("%s %s%s"):format(names[n] or n, word, n == 1 and "" or "s")
end

-- Best first; those without a figure are left out.
local function ranked(compared, fn)
  local list = {}
  for i, group in ipairs(compared) do
    local figure = fn(group)
    if figure then list[#list + 1] = { group = group, figure = figure, place = i } end
  end
  table.sort(list, function(a, b)
    if a.figure.mean ~= b.figure.mean then return a.figure.mean > b.figure.mean end
    return a.place < b.place
  end)
  return list
end

local function asked(compared)
  local tasks, tests = {}, compared[1].runs[1].summary.tests or {}
  for _, group in ipairs(compared) do
    local own = group.runs[1].summary.tasks or {}
    if #own > #tasks then tasks = own end
  end
  local how = {}
  for i, group in ipairs(compared) do
    local words = what_it_does[group.label]
    how[i] = words and ("%s (%s)"):format(group.label, words) or group.label
  end
  local order = #tasks > 1
    and ("learnt %s one after the other: %s"):format(count(#tasks, "task"), table.concat(tasks, ", then "))
    or ("learnt %s: %s"):format(count(1, "task"), tasks[1] or "?")
  local text = ("A network %s. Before training and after every task it was tested on %s (%s)."):format(
    order, count(#tests, "test set"), listed(tests))
  if #compared > 1 then
    text = text .. (" %s are compared: %s."):format(count(#compared, "strategy"):gsub("strategys", "strategies")
      :gsub("^%l", string.upper), listed(how))
  else
    text = text .. (" The strategy was %s."):format(how[1])
  end
  return text
end

local function found(compared)
  local parts = {}
  for i, entry in ipairs(ranked(compared, groups.final)) do
    parts[i] = ("%s with %s"):format(percent(entry.figure.mean), entry.group.label)
  end
  if #parts == 0 then return nil end
  return ("After the last task the mIoU, in the mean over all test sets, is %s."):format(listed(parts))
end

local function forgot(compared)
  local parts = {}
  for i, entry in ipairs(ranked(compared, function(group) return groups.metric(group, "bwt_gem") end)) do
    local points = 100 * entry.figure.mean
    local change = points < 0 and "lost" or "gained"
    parts[i] = ("%s %.1f points with %s"):format(change, math.abs(points), entry.group.label)
  end
  if #parts == 0 then return nil end
  return ("Since they were learnt, the earlier tasks %s (backward transfer)."):format(listed(parts))
end

local function learnt(compared)
  local parts = {}
  for i, entry in ipairs(ranked(compared, function(group)
    return groups.metric(group, "bwt_gem") and groups.metric(group, "learning_accuracy")
  end)) do
    parts[i] = ("%s with %s"):format(percent(entry.figure.mean), entry.group.label)
  end
  if #parts == 0 then return nil end
  return ("Right after learning a task, its own mIoU is on average %s."):format(listed(parts))
end

local function range(figure)
  return ("%.1f–%.1f %%"):format(100 * figure.low, 100 * figure.high)
end

-- Neighbours in the ranking: what the seeds support and what they do not.
local function over_seeds(list)
  local parts = {}
  for i = 1, #list - 1 do
    local a, b = list[i], list[i + 1]
    local apart = a.figure.low > b.figure.high
    parts[i] = ("%s (%s) and %s (%s) %s"):format(a.group.label, range(a.figure), b.group.label, range(b.figure),
      apart and "do not overlap" or "overlap, so the difference may be noise")
  end
  return parts
end

local function noise(compared)
  local fewest, most = math.huge, 0
  for _, group in ipairs(compared) do
    fewest, most = math.min(fewest, #group.runs), math.max(most, #group.runs)
  end
  if fewest == 1 then
    return "Every figure comes from a single seed. How much of a difference is chance cannot be told from that: "
      .. "repeat with other seeds before believing a small one."
  end
  local seeds = fewest == most and tostring(most) or ("%d to %d"):format(fewest, most)
  local parts = over_seeds(ranked(compared, groups.final))
  local text = ("Figures are means over %s seeds, ranges span the lowest and the highest."):format(seeds)
  if #parts == 0 then return text end
  return text .. (" The final ranges of %s."):format(table.concat(parts, "; those of "))
end

--- The answer in words: what was asked, what came out, how far it can be trusted.
---@param compared asl.report.group[]
---@return asl.html.node
function story.paragraphs(compared)
  local found_all = {}
  for _, sentence in ipairs { found(compared) or "", forgot(compared) or "", learnt(compared) or "" } do
    if sentence ~= "" then found_all[#found_all + 1] = sentence end
  end
  return html.join(
    tag("p", nil, asked(compared)),
    #found_all > 0 and tag("p", { class = "finding" }, table.concat(found_all, " ")),
    tag("p", { class = "note" }, noise(compared)))
end

--- How to read the matrices.
---@param compared asl.report.group[]
---@return string
function story.matrix_note(compared)
  local text = "mIoU in percent, pixel accuracy below it. A row is a moment, a column a test set; the outlined cell is "
    .. "the task just learnt, so what stands below an outline shows what later tasks did to it."
  for _, group in ipairs(compared) do
    if #group.runs > 1 then return text .. " Means over seeds, the range in small figures." end
  end
  return text
end

return story
