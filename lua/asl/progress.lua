--- What a person sees while a run goes on and when it is done: a progress line and tables.
---
--- On a terminal the line is drawn over and over; in a file a new line comes every tenth of the way
--- and at least once a minute, so that a log stays readable. Both go to standard error.

local core = require "asl.core"
local options = require "asl.options"

---@class asl.progress
local Progress = {}
Progress.__index = Progress

local progress = {}

local redraw = 0.1  -- seconds between two drawings on a terminal
local share = 0.1   -- of the way between two lines in a file
local silence = 60  -- seconds after which a line comes anyway

-- ---- text --------------------------------------------------------------------------------------

--- A duration to read: "0.8 s", "42 s", "3:07", "1:02:45".
---@param seconds number
---@return string
function progress.duration(seconds)
  if seconds ~= seconds or seconds == math.huge then return "?" end
  if seconds < 9.95 then return ("%.1f s"):format(seconds) end
  local whole = math.floor(seconds + 0.5)
  if whole < 60 then return whole .. " s" end
  if whole < 3600 then return ("%d:%02d"):format(whole // 60, whole % 60) end
  return ("%d:%02d:%02d"):format(whole // 3600, whole // 60 % 60, whole % 60)
end

local prefixes = { "", "k", "M", "G", "T", "P" }
local binary = { "B", "KiB", "MiB", "GiB", "TiB" }

--- A number with three digits and a prefix: "1.14 M".
---@param value number
---@param unit? string
---@return string
function progress.count(value, unit)
  local i = 1
  while math.abs(value) >= 999.5 and i < #prefixes do
    value, i = value / 1000, i + 1
  end
  local digits = (i == 1 and math.floor(value) == value) and "%d" or "%.3g"
  local text = digits:format(value)
  local suffix = prefixes[i] .. (unit or "")
  return suffix == "" and text or text .. " " .. suffix
end

--- A size in bytes: "268 MiB".
---@param value number
---@return string
function progress.bytes(value)
  local i = 1
  while value >= 1023.5 and i < #binary do
    value, i = value / 1024, i + 1
  end
  return ((i == 1 or value >= 99.95) and "%.0f %s" or "%.3g %s"):format(value, binary[i])
end

-- Columns a text takes on a terminal; every UTF-8 character counts as one.
local function width_of(text)
  return utf8.len(text) or #text
end

local function clip(text, width)
  if width_of(text) <= width then return text end
  if width < 1 then return "" end
  return text:sub(1, utf8.offset(text, width) - 1) .. "…"
end

-- ---- the line ----------------------------------------------------------------------------------

local eighths = { "▏", "▎", "▍", "▌", "▋", "▊", "▉" }

local function bar(done, width)
  local filled = done * width
  local whole = math.floor(filled)
  local part = eighths[math.floor((filled - whole) * 8)] or ""
  return ("█"):rep(whole) .. part .. (" "):rep(width - whole - (part ~= "" and 1 or 0))
end

local function values_text(values)
  local names, parts = {}, {}
  for name in pairs(values or {}) do
    names[#names + 1] = name
  end
  table.sort(names)
  for i, name in ipairs(names) do
    local value = values[name]
    parts[i] = name .. " " .. (type(value) == "number" and ("%.4g"):format(value) or tostring(value))
  end
  return table.concat(parts, "  ")
end

--- Starts a progress line.
---@param given {total: integer, label: string?, unit: string?, scale: number?, out: file*?, quiet: boolean?,
---  tty: boolean?, columns: integer?, clock: (fun(): number)?, first: integer?}  `total`: of steps; `unit`
---  ("step") and `scale` (1): what the rate counts, e.g. "img" and the batch size; `first`: steps that
---  an earlier session did; `tty`, `columns` and `clock` (seconds) are found out when not given
---@return asl.progress
function progress.new(given)
  given = options.check("asl.progress.new", given, {
    total = options.require("integer"), label = "", unit = "step", scale = 1, out = options.any, quiet = false,
    tty = options.optional("boolean"), columns = options.optional("integer"),
    clock = options.optional("function"), first = 0,
  })
  local self = setmetatable(given, Progress)
  self.out = self.out or io.stderr
  self.clock = self.clock or core.monotonic
  if self.tty == nil then self.tty = core.isatty("stderr") and os.getenv("TERM") ~= "dumb" end
  self.colour = self.tty and (os.getenv("NO_COLOR") or "") == ""
  self.began = self.clock()
  self.drawn, self.told, self.done = -math.huge, self.began, self.first
  self.next_line = self.first + self.total * share
  return self
end

function Progress:figures()
  local elapsed = self.clock() - self.began
  local did = self.done - self.first
  local rate = elapsed > 0 and did / elapsed or 0
  local left = rate > 0 and (self.total - self.done) / rate or math.huge
  return elapsed, rate * self.scale, left
end

function Progress:tail(values)
  local _, rate, left = self:figures()
  local text = ("%s/s"):format(progress.count(tonumber(("%.3g"):format(rate)), self.unit))
  if self.done < self.total then text = text .. "  " .. progress.duration(left) .. " left" end
  local shown = values_text(values)
  return shown == "" and text or text .. "  " .. shown
end

function Progress:draw(values)
  local columns = self.columns or core.terminal_size("stderr") or 80
  local part = self.total > 0 and math.min(self.done / self.total, 1) or 1
  local label = clip(self.label, 24)
  local head = ("%s%s%3d %% "):format(label, label == "" and "" or " ", math.floor(part * 100))
  local tail = (" %d/%d  %s"):format(self.done, self.total, self:tail(values))
  local room = math.max(math.min(columns - width_of(head) - width_of(tail) - 1, 32), 0)
  local picture = room >= 4 and bar(part, room) or ""
  tail = clip(tail, columns - width_of(head) - width_of(picture) - 1)
  if self.colour and picture ~= "" then picture = "\27[36m" .. picture .. "\27[0m" end
  self.out:write("\r", head, picture, tail, "\27[K")
  self.out:flush()
end

function Progress:line(values)
  local elapsed = self:figures()
  local part = self.total > 0 and self.done / self.total or 1
  self.out:write(("%s%s%d/%d (%d %%)  %s  %s\n"):format(self.label, self.label == "" and "" or ": ", self.done,
    self.total, math.floor(part * 100), progress.duration(elapsed), self:tail(values)))
  self.out:flush()
end

--- Says how many steps are done. Cheap: draws only when it is time.
---@param done integer
---@param values? table<string, number|string>  shown behind the rate, e.g. {loss = 0.31}
function Progress:update(done, values)
  self.done, self.values = done, values
  if self.quiet then return end
  local time = self.clock()
  if self.tty then
    if time - self.drawn < redraw and done < self.total then return end
    self.drawn = time
    self:draw(values)
  elseif done >= self.next_line or time - self.told >= silence then
    self.told = time
    while self.next_line <= done do
      self.next_line = self.next_line + math.max(self.total * share, 1)
    end
    self:line(values)
  end
end

--- Something else is to be printed: on a terminal what follows begins on a line of its own.
function Progress:pause()
  if self.tty and not self.quiet then
    self.out:write("\n")
    self.out:flush()
  end
end

--- Ends the line; on a terminal it stays as it was last.
function Progress:finish()
  if self.quiet or self.finished then return end
  self.finished = true
  if self.tty then
    self:draw(self.values)
    self.out:write("\n")
    self.out:flush()
  end
end

-- ---- tables -----------------------------------------------------------------------------------

local function pad(text, width, side)
  local space = (" "):rep(width - width_of(text))
  if side == "r" then return space .. text end
  return text .. space
end

local function columns_of(given)
  local widths = {}
  for _, row in ipairs { given.header, table.unpack(given.rows) } do
    for i = 1, #given.header do
      widths[i] = math.max(widths[i] or 0, width_of(tostring(row[i] or "")))
    end
  end
  return widths
end

--- A table as text, without a line end after the last row.
---@param given {header: string[], rows: any[][], align: string?, title: string?}  `align`: one letter a
---  column, "l" or "r" (default: the first "l", others "r"); a row may be the string "-": a rule
---@return string
function progress.table(given)
  given = options.check("asl.progress.table", given, {
    header = options.require("table"), rows = options.require("table"), align = "", title = options.optional("string"),
  })
  local widths, lines = columns_of { header = given.header, rows = given.rows }, {}
  local function put(row)
    local cells = {}
    for i, width in ipairs(widths) do
      local side = given.align:sub(i, i)
      if side == "" then side = i == 1 and "l" or "r" end
      cells[i] = pad(tostring(row[i] or ""), width, side)
    end
    lines[#lines + 1] = ("  " .. table.concat(cells, "  ")):gsub("%s+$", "")
  end
  local rule = {}
  for i, width in ipairs(widths) do
    rule[i] = ("─"):rep(width)
  end
  if given.title then lines[1] = given.title end
  put(given.header)
  put(rule)
  for _, row in ipairs(given.rows) do
    put(row == "-" and rule or row)
  end
  return table.concat(lines, "\n")
end

return progress
