--- Line charts as SVG inside a figure. Colours come from the page's style sheet (classes s1..s6), so
--- they follow light and dark.

local html = require "asl.html"
local options = require "asl.options"

local chart = {}

local tag = html.tag
local margin = { left = 52, right = 14, top = 22, bottom = 40 }
local max_points = 240 -- of a series; longer ones are averaged in bins

--- Round positions for the marks of an axis: multiples of 1, 2 or 5 times a power of ten.
---@param low number
---@param high number
---@param count integer  about how many
---@return number[] ticks  at least two, from at or below `low` to at or above `high`
function chart.ticks(low, high, count)
  if high <= low then high = low + math.max(math.abs(low), 1) * 0.1 end
  local raw = (high - low) / count
  local power = 10 ^ math.floor(math.log(raw, 10))
  local step = 10 * power
  for _, factor in ipairs { 1, 2, 5 } do
    if factor * power >= raw * (1 - 1e-9) then
      step = factor * power
      break
    end
  end
  local ticks, first = {}, math.floor(low / step + 1e-9)
  local last = math.ceil(high / step - 1e-9)
  for i = first, last do
    ticks[#ticks + 1] = i * step
  end
  return ticks
end

local function tick_text(value, step)
  if math.abs(value) >= 1e5 then return ("%.4g"):format(value) end
  local digits = math.max(0, -math.floor(math.log(step, 10) + 1e-9))
  return ("%." .. math.min(digits, 8) .. "f"):format(value)
end

local function is_finite(value)
  return value == value and math.abs(value) < math.huge
end

--- Averages neighbours so that at most `most` points remain.
---@param points number[][]  {x, y}, x growing
---@param most integer
---@return number[][] points
---@return integer bin  how many became one
function chart.thin(points, most)
  local bin = math.ceil(#points / most)
  if bin <= 1 then return points, 1 end
  local out = {}
  for first = 1, #points, bin do
    local x, y, n = 0, 0, 0
    for i = first, math.min(first + bin - 1, #points) do
      if is_finite(points[i][2]) then x, y, n = x + points[i][1], y + points[i][2], n + 1 end
    end
    out[#out + 1] = n > 0 and { x / n, y / n } or { points[first][1], 0 / 0 }
  end
  return out, bin
end

local function extent(series, k)
  local low, high = math.huge, -math.huge
  for _, line in ipairs(series) do
    for _, point in ipairs(line.points) do
      if is_finite(point[k]) then low, high = math.min(low, point[k]), math.max(high, point[k]) end
    end
  end
  if low > high then return 0, 1 end
  return low, high
end

-- Pieces of a line between points that are not finite.
local function path_of(points, x, y)
  local parts, pen = {}, "M"
  for _, point in ipairs(points) do
    if is_finite(point[2]) then
      parts[#parts + 1] = ("%s%.1f %.1f"):format(pen, x(point[1]), y(point[2]))
      pen = "L"
    else
      pen = "M"
    end
  end
  return table.concat(parts)
end

local function text(x, y, class, content, more)
  local attributes = { x = ("%.1f"):format(x), y = ("%.1f"):format(y), class = class }
  for key, value in pairs(more or {}) do
    attributes[key] = value
  end
  return tag("text", attributes, content)
end

local function line(class, x1, y1, x2, y2)
  local function short(value) return ("%.1f"):format(value) end
  return tag("line", { class = class, x1 = short(x1), y1 = short(y1), x2 = short(x2), y2 = short(y2) })
end

local function draw_bands(bands, x, frame)
  local out = {}
  for i, band in ipairs(bands) do
    local left, right = math.max(x(band.from), frame.left), math.min(x(band.to), frame.right)
    if i % 2 == 1 then
      out[#out + 1] = tag("rect", { class = "band", x = ("%.1f"):format(left), y = frame.top,
        width = ("%.1f"):format(math.max(right - left, 0)), height = frame.bottom - frame.top })
    end
    out[#out + 1] = text((left + right) / 2, frame.top - 7, "band-label", band.label or "")
  end
  return out
end

local function draw_axes(given, frame, x, y, x_ticks, y_ticks)
  local out, x_step, y_step = {}, x_ticks[2] - x_ticks[1], y_ticks[2] - y_ticks[1]
  for _, value in ipairs(y_ticks) do
    out[#out + 1] = line("grid", frame.left, y(value), frame.right, y(value))
    out[#out + 1] = text(frame.left - 7, y(value) + 3.5, "tick end", tick_text(value, y_step))
  end
  for _, value in ipairs(x_ticks) do
    if x(value) >= frame.left - 0.5 and x(value) <= frame.right + 0.5 then
      out[#out + 1] = line("axis", x(value), frame.bottom, x(value), frame.bottom + 4)
      out[#out + 1] = text(x(value), frame.bottom + 16, "tick middle", tick_text(value, x_step))
    end
  end
  out[#out + 1] = line("axis", frame.left, frame.bottom, frame.right, frame.bottom)
  out[#out + 1] = text((frame.left + frame.right) / 2, frame.bottom + 33, "label middle", given.x_label)
  local middle = (frame.top + frame.bottom) / 2
  out[#out + 1] = text(13, middle, "label middle", given.y_label,
    { transform = ("rotate(-90 13 %.1f)"):format(middle) })
  return out
end

local function draw_series(series, x, y)
  local out = {}
  for i, one in ipairs(series) do
    local class = "s" .. ((one.colour or i) - 1) % 6 + 1
    out[#out + 1] = tag("path", { class = (one.dashed and "curve dashed " or "curve ") .. class,
      d = path_of(one.points, x, y) })
    if #one.points <= 16 and not one.dashed then
      for _, point in ipairs(one.points) do
        if is_finite(point[2]) then
          out[#out + 1] = tag("circle", { class = "dot " .. class, r = 3,
            cx = ("%.1f"):format(x(point[1])), cy = ("%.1f"):format(y(point[2])) })
        end
      end
    end
  end
  return out
end

local function legend(series)
  local items = {}
  for i, one in ipairs(series) do
    local class = (one.dashed and "dashed s" or "s") .. ((one.colour or i) - 1) % 6 + 1
    items[i] = tag("span", { class = "key" }, tag("i", { class = class }), one.name)
  end
  return tag("div", { class = "legend" }, items)
end

local function thinned(series)
  local out, largest = {}, 1
  for i, one in ipairs(series) do
    local points, bin = chart.thin(one.points, max_points)
    out[i] = { name = one.name, colour = one.colour, dashed = one.dashed, points = points }
    largest = math.max(largest, bin)
  end
  return out, largest
end

---@class asl.chart.series
---@field name string
---@field points number[][]  {x, y} with growing x; NaN breaks the line
---@field colour integer?  1..6, its place in the list unless given
---@field dashed boolean?  a value to compare with, not a course

---@class asl.chart.band  a stretch of the x axis
---@field from number
---@field to number
---@field label string?

--- A line chart with axes, legend and, behind the lines, the tasks. A series of more than 240 points is
--- drawn as means of neighbours; the caption then says of how many.
---@param given {title: string, x_label: string, y_label: string, series: asl.chart.series[],
---  bands: asl.chart.band[]?, x_step: number?, y_min: number?, y_max: number?, width: integer?,
---  height: integer?}  `x_step`: between the marks of the x axis, chosen when not given
---@return asl.html.node
function chart.line(given)
  given = options.check("asl.chart.line", given, {
    title = options.require("string"), x_label = options.require("string"), y_label = options.require("string"),
    series = options.require("table"), bands = {}, x_step = options.optional("number"),
    y_min = options.optional("number"), y_max = options.optional("number"), width = 620, height = 300,
  })
  local series, bin = thinned(given.series)
  local frame = {
    left = margin.left, right = given.width - margin.right, top = margin.top, bottom = given.height - margin.bottom,
  }
  local x_low, x_high = extent(given.series, 1)
  for _, band in ipairs(given.bands) do
    x_low, x_high = math.min(x_low, band.from), math.max(x_high, band.to)
  end
  if x_high <= x_low then x_high = x_low + 1 end
  local x_count = given.x_step and (x_high - x_low) / given.x_step or 6
  local y_low, y_high = extent(series, 2)
  local y_ticks = chart.ticks(given.y_min or y_low, given.y_max or y_high, 5)
  local y_first, y_last = y_ticks[1], y_ticks[#y_ticks]
  local function x(value) return frame.left + (value - x_low) / (x_high - x_low) * (frame.right - frame.left) end
  local function y(value)
    return frame.bottom - (value - y_first) / (y_last - y_first) * (frame.bottom - frame.top)
  end
  return tag("figure", { class = "chart" },
    tag("figcaption", nil, given.title,
      bin > 1 and tag("small", nil, (" each point is the mean of %d"):format(bin))),
    #series > 1 and legend(series),
    tag("svg", { viewBox = ("0 0 %d %d"):format(given.width, given.height), role = "img",
      ["aria-label"] = given.title },
      draw_bands(given.bands, x, frame),
      draw_axes(given, frame, x, y, chart.ticks(x_low, x_high, x_count), y_ticks),
      draw_series(series, x, y)))
end

return chart
