--- Rows of tables in text files: tab-separated (.tsv) or comma-separated (.csv) values under a line of column names.

local files = require "asl.data.files"

local rows = {}


--- The fields of a line. In CSV one may stand in quotes, in which "" is a quote.
local function fields_of(line, separator)
  local fields, at = {}, 1
  while at <= #line + 1 do
    local text, next_at
    if separator == "," and line:sub(at, at) == '"' then
      local first, last = line:find('^"[^"]*"', at)
      while first and line:sub(last + 1, last + 1) == '"' do first, last = line:find('^"[^"]*"', last + 1) end
      last = first and last or #line
      text, next_at = line:sub(at + 1, last - 1):gsub('""', '"'), last + 2
    else
      local last = line:find(separator, at, true) or #line + 1
      text, next_at = line:sub(at, last - 1), last + 1
    end
    fields[#fields + 1] = text
    at = next_at
  end
  return fields
end

--- The places of the wanted columns in a line of names.
local function places_of(where, path, fields, columns)
  local place, places = {}, {}
  for i, name in ipairs(fields) do place[name] = i end
  for i, name in ipairs(columns) do
    places[i] = place[name] or files.bad("%s: %s has no column %s", where, path, name)
  end
  return places
end

--- Calls f for every row of a table; lines that start with # are comments.
---@param where string  the constructor, for messages
---@param path string  .csv: commas, else tabs
---@param columns string[]  names of the wanted columns; there may be others
---@param f fun(row: table<string, string>, place: string)  by column; where the row stands, for messages
--- Errors: the file cannot be read; a column that is missing; a row with another number of fields than there are columns.
function rows.each(where, path, columns, f)
  local separator = path:find "%.csv$" and "," or "\t"
  local places, width = nil, 0
  for number, line in files.lines(path) do
    if line ~= "" and line:sub(1, 1) ~= "#" then
      local fields, place = fields_of(line, separator), ("%s:%d"):format(path, number)
      if not places then
        places, width = places_of(where, path, fields, columns), #fields
      elseif #fields ~= width then
        files.bad("%s: %s: %d fields; there are %d columns", where, place, #fields, width)
      else
        local row = {}
        for i, name in ipairs(columns) do row[name] = fields[places[i]] end
        f(row, place)
      end
    end
  end
  if not places then places_of(where, path, {}, columns) end
end

return rows
