--- The report of a check as one HTML file: what there is, pictures of it, classes, what is wrong.

local core = require "asl.core"
local html = require "asl.html"
local progress = require "asl.progress"
local sheet = require "asl.data.check.sheet"
local style = require "asl.report.style"
local words = require "asl.data.check.words"

local page = {}

local tag = html.tag
local MOST_PROBLEMS = 2000

local own_style = [[
.bad { color: var(--c5); }
.strip figure img { image-rendering: auto; }
.samples { display: flex; flex-wrap: wrap; gap: 4px 24px; }
.strip .cells { grid-template-columns: repeat(var(--cells), minmax(120px, 230px)); }
ul.problems { padding-left: 1.2em; } ul.problems li { margin-bottom: 6px; overflow-wrap: anywhere; }
td.share { background: linear-gradient(to right, color-mix(in srgb, var(--c1) 26%, transparent) var(--part),
  transparent var(--part)); min-width: 110px; }
]]

local function section(title, ...)
  return tag("section", nil, tag("h2", nil, title), ...)
end

local function tile(name, value, unit, more)
  return tag("div", { class = "tile s1" }, tag("div", { class = "tile-name" }, name),
    tag("div", { class = "tile-value" }, value, unit and tag("span", nil, " " .. unit)), more and tag("div",
      { class = "tile-more" }, more))
end

local function head(input)
  local samples, bytes, sequences = 0, 0, {}
  for _, part in ipairs(input.parts) do
    samples = samples + part.tally.samples
    for _, name in ipairs(part.tally.sequences) do sequences[name] = true end
  end
  for _, file in ipairs(input.files) do bytes = bytes + file.bytes end
  local count = 0
  for _ in pairs(sequences) do count = count + 1 end
  local wrong = #input.problems
  return tag("header", nil,
    tag("p", { class = "kicker" }, "ASL data check"),
    tag("h1", nil, ("%s in %s"):format(input.kind, input.path)),
    tag("p", { class = "about" }, wrong == 0 and "Every sample was decoded; nothing is wrong."
      or tag("span", { class = "bad" }, ("%d problem%s; see below."):format(wrong, wrong == 1 and "" or "s"))),
    tag("div", { class = "tiles", style = "--tiles:4" },
      tile("Samples", words.number(samples), nil, ("in %d part%s"):format(#input.parts, #input.parts == 1 and "" or "s")),
      tile("Sequences", words.number(count)),
      tile("Files", words.number(#input.files), nil, progress.bytes(bytes) .. ", digested with SHA-256"),
      tile("Problems", words.number(wrong))))
end

local function parts_table(input)
  local rows = {}
  for i, part in ipairs(input.parts) do
    rows[i] = tag("tr", nil, tag("th", { scope = "row" }, part.title), tag("td", nil, words.number(part.tally.samples)),
      tag("td", nil, words.sequences(part.tally)), tag("td", nil, words.sizes(part.tally)),
      tag("td", nil, table.concat(part.set.planes, ", ")), tag("td", nil, words.ranges(part.tally)))
  end
  local names = {}
  for i, name in ipairs { "part", "samples", "sequences", "size (width x height)", "planes", "depth and flow" } do
    names[i] = tag("th", { scope = "col" }, name)
  end
  return tag("div", { class = "scroll" }, tag("table", { class = "left" }, tag("thead", nil, tag("tr", nil, names)),
    tag("tbody", nil, rows)))
end

local function chip(colour)
  return tag("i", { class = "chip", style = ("background:rgb(%d,%d,%d)"):format(table.unpack(colour)) })
end

local function pictures(group)
  local strips, keys = {}, {}
  for i, row in ipairs(group.rows) do
    local cells = {}
    for k, one in ipairs(row.tiles) do
      cells[k] = tag("figure", nil,
        tag("img", { src = "data:image/png;base64," .. core.base64(core.png_encode(one.rgb)), alt = one.caption }),
        tag("figcaption", nil, one.caption))
    end
    strips[i] = tag("div", { class = "strip" }, tag("h3", nil, row.id, tag("small", nil,
      ("  sequence %s, frame %d"):format(row.sequence, row.frame))),
      tag("div", { class = "cells", style = ("--cells:%d"):format(#cells) }, cells))
  end
  for i, entry in ipairs(sheet.legend(group.set, group.rows)) do
    keys[i] = tag("span", { class = "key" }, chip(entry.colour), entry.name)
  end
  return section("Pictures: " .. group.title, tag("div", { class = "legend" }, keys), tag("div", { class = "samples" }, strips))
end

local function share_cell(pixels, all, most)
  if all == 0 or pixels == 0 then return tag("td", nil, "–") end
  return tag("td", { class = "share", style = ("--part:%.1f%%"):format(100 * pixels / most) }, words.percent(pixels / all))
end

--- The classes of parts that have the same ones, each part a column.
local function class_table(parts)
  local set, head_cells, rows = parts[1].set, { tag("th", nil, "class") }, {}
  local most = {}
  for i, part in ipairs(parts) do
    head_cells[i + 1] = tag("th", { scope = "col" }, part.title)
    most[i] = math.max(part.tally.ignored, table.unpack(part.tally.labelled))
  end
  local function add(name, colour, pixels_of)
    local cells = { tag("th", { scope = "row" }, chip(colour), name) }
    for i, part in ipairs(parts) do
      cells[i + 1] = share_cell(pixels_of(part.tally), part.tally.pixels, most[i])
    end
    rows[#rows + 1] = tag("tr", nil, cells)
  end
  for class = 1, set.classes do
    local there = set.classes <= 60
    for _, part in ipairs(parts) do there = there or part.tally.labelled[class] > 0 end
    if there then add(set.class_names[class], set.colours[class], function(tally) return tally.labelled[class] end) end
  end
  add("ignored", { 0, 0, 0 }, function(tally) return tally.ignored end)
  return tag("div", { class = "scroll" }, tag("table", { class = "classes" },
    tag("thead", nil, tag("tr", nil, head_cells)), tag("tbody", nil, rows)))
end

local function classes(input)
  local tables = {}
  for i, parts in ipairs(words.by_classes(input.parts)) do tables[i] = class_table(parts) end
  if #tables == 0 then return nil end
  return section("Classes", tag("p", { class = "note" }, "Share of all pixels; bars compare the classes of a part."), tables)
end

local function list(title, note, items)
  if #items == 0 then return nil end
  local entries = {}
  for i = 1, math.min(#items, MOST_PROBLEMS) do entries[i] = tag("li", nil, items[i]) end
  if #items > MOST_PROBLEMS then entries[#entries + 1] = tag("li", nil, ("and %d more"):format(#items - MOST_PROBLEMS)) end
  return section(title, note and tag("p", { class = "note" }, note), tag("ul", { class = "problems" }, entries))
end

local function problems(input)
  local items = {}
  for i, problem in ipairs(input.problems) do
    items[i] = html.join(tag("strong", nil, problem.id or problem.set), " ", tag("code", nil, problem.message))
  end
  return list("What is wrong", nil, items)
end

local function repeat_it(input)
  return section("How to repeat it", tag("pre", nil, tag("code", nil, input.command)),
    tag("p", { class = "note" }, "manifest.tsv beside this file has the size and the SHA-256 of every file that was read; "
      .. "summary.json has the numbers."))
end

--- The report as text.
---@param input table  path, kind, command, parts ({title, set, tally}), groups (of sheet.png), problems, notes (string[]), files
---@return string
function page.html(input)
  local shown = {}
  for i, group in ipairs(input.groups) do shown[i] = pictures(group) end
  local body = tag("body", nil, tag("main", nil, head(input), problems(input), section("What there is", parts_table(input)),
    shown, classes(input), list("Notes", nil, input.notes), repeat_it(input)))
  return "<!DOCTYPE html>\n" .. tostring(tag("html", { lang = "en" }, tag("head", nil, tag("meta", { charset = "utf-8" }),
    tag("meta", { name = "viewport", content = "width=device-width, initial-scale=1" }),
    tag("title", nil, ("%s in %s"):format(input.kind, input.path)), tag("style", nil, html.raw(style .. own_style))), body))
    .. "\n"
end

return page
