--- Nearest names, for "did you mean ...?".

local nearest = {}

--- Levenshtein distance with transposition of neighbours (optimal string alignment), in characters.
---@param a string
---@param b string
---@return integer distance
function nearest.distance(a, b)
  local before, previous = nil, {}
  for j = 0, #b do
    previous[j] = j
  end
  for i = 1, #a do
    local row = { [0] = i }
    for j = 1, #b do
      local same = a:byte(i) == b:byte(j)
      row[j] = math.min(previous[j] + 1, row[j - 1] + 1, previous[j - 1] + (same and 0 or 1))
      if before and j > 1 and a:byte(i) == b:byte(j - 1) and a:byte(i - 1) == b:byte(j) then
        row[j] = math.min(row[j], before[j - 2] + 1)
      end
    end
    before, previous = previous, row
  end
  return previous[#b]
end

--- The candidates close enough to `word` to be a slip of it, nearest first, ties by name.
---@param word string
---@param candidates string[]
---@param most integer|nil  at most this many (default 3)
---@return string[] names
function nearest.some(word, candidates, most)
  local lower = word:lower()
  local limit = math.max(1, #word // 3)
  local found = {}
  for _, candidate in ipairs(candidates) do
    local distance = nearest.distance(lower, candidate:lower())
    if distance > limit and #word >= 3 and candidate:lower():find(lower, 1, true) then distance = limit end
    if distance <= limit then found[#found + 1] = { name = candidate, distance = distance } end
  end
  table.sort(found, function(a, b)
    if a.distance ~= b.distance then return a.distance < b.distance end
    return a.name < b.name
  end)
  local names = {}
  for i = 1, math.min(most or 3, #found) do
    names[i] = found[i].name
  end
  return names
end

--- The nearest candidate, or nil when none is close.
---@param word string
---@param candidates string[]
---@return string|nil name
function nearest.one(word, candidates)
  return nearest.some(word, candidates, 1)[1]
end

return nearest
