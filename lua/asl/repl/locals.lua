--- Keeps the locals of a line for the lines after it.
---
--- Lua compiles each line of a session on its own, so `local x = 1` would be gone at the next prompt. Here the word
--- `local` of statements at the top level of a line is taken away: the name becomes a variable of the session, and
--- functions share it as they would a local. Inside blocks and functions nothing changes, nor where an attribute
--- says <close>. <const> is taken away with `local`.

local locals = {}

local opens = { ["function"] = true, ["do"] = true, ["then"] = true, ["repeat"] = true, ["else"] = true }
local closes = { ["end"] = true, ["until"] = true, ["elseif"] = true, ["else"] = true }

--- Where a string or comment that starts at `at` ends; nil where none starts there.
local function skip_quoted(text, at)
  local comment = text:match("^%-%-()", at)
  local level = text:match("^%[(=*)%[", comment or at)
  if level then
    local _, last = text:find("]" .. level .. "]", (comment or at) + #level + 2, true)
    return (last or #text) + 1
  end
  if comment then return text:match("^[^\n]*()", comment) end
  local quote = text:match("^[\"']", at)
  if not quote then return nil end
  local i = at + 1
  while i <= #text do
    local char = text:sub(i, i)
    if char == "\\" then i = i + 1
    elseif char == quote or char == "\n" then return i + 1 end
    i = i + 1
  end
  return #text + 1
end

--- Splits source into tokens { text, first, last }; comments and white space are left out.
local function tokens_of(text)
  local tokens, at = {}, 1
  while true do
    at = text:match("^%s*()", at)
    if at > #text then return tokens end
    local next_at = skip_quoted(text, at)
    if not (next_at and text:find("^%-%-", at)) then
      next_at = next_at or text:match("^[%a_][%w_]*()", at) or text:match("^%.?%d[%w.]*()", at) or at + 1
      tokens[#tokens + 1] = { text = text:sub(at, next_at - 1), first = at, last = next_at - 1 }
    end
    at = next_at
  end
end

--- The edit for `local names [= ...]` whose `local` is tokens[i], or nil when it must stay.
local function edit_of(tokens, i)
  local follows = tokens[i + 1]
  if not follows then return nil end
  local edits = { { first = tokens[i].first, last = follows.first - 1, text = "" } }
  if follows.text == "function" then return edits end
  local k = i + 1
  while tokens[k] and tokens[k].text:find("^[%a_]") do
    k = k + 1
    if tokens[k] and tokens[k].text == "<" then
      if not tokens[k + 2] or tokens[k + 1].text ~= "const" then return nil end
      edits[#edits + 1] = { first = tokens[k].first, last = tokens[k + 2].last, text = "" }
      k = k + 3
    end
    if not (tokens[k] and tokens[k].text == ",") then break end
    k = k + 1
  end
  if not (tokens[k] and tokens[k].text == "=") then
    local last = tokens[k - 1].last
    edits[#edits + 1] = { first = last + 1, last = last, text = " = nil;" }
  end
  return edits
end

--- Source with the top-level locals turned into variables of the session. Line numbers stay.
---@param text string  Lua source that compiles
---@return string text
function locals.keep(text)
  local tokens, depth, out, done = tokens_of(text), 0, {}, 1
  for i, token in ipairs(tokens) do
    if closes[token.text] then depth = depth - 1 end
    if opens[token.text] then depth = depth + 1 end
    if token.text == "local" and depth == 0 then
      for _, edit in ipairs(edit_of(tokens, i) or {}) do
        local replaced = text:sub(edit.first, edit.last)
        out[#out + 1] = text:sub(done, edit.first - 1) .. replaced:gsub("[^\n]", "") .. edit.text
        done = edit.last + 1
      end
    end
  end
  out[#out + 1] = text:sub(done)
  return table.concat(out)
end

return locals
