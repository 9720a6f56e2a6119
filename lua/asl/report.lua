--- The report: one HTML file that tells what was asked, what came out and how to repeat it.
---
--- It needs nothing else: style inside, pictures inside, no script, no network. Several runs stand side
--- by side: strategies are compared, runs of the same strategy with other seeds are averaged and shown
--- with their range.

local core = require "asl.core"
local fs = require "asl.fs"
local groups = require "asl.report.groups"
local html = require "asl.html"
local options = require "asl.options"
local story = require "asl.report.story"
local style = require "asl.report.style"
local tables = require "asl.report.tables"

local chart = require "asl.chart"

local report = {}

local tag = html.tag

---@class asl.report.run
---@field summary table  what is in summary.json: { strategy, seed, tasks, tests, classes, R = { { after,
---  test, miou, pixel_accuracy, class_iou, ... }, ... }, metrics, ledger, replay, digest }; shares are
---  fractions of 1, class_iou a list by class id + 1 (anything but a number: not defined), replay's
---  counts, planned_counts and memory_counts lists by task
---@field seconds table<string, number>?  where time went: { load, train, evaluate }
---@field latency {p50: number, p95: number}?  seconds of one picture
---@field log string?  path of the run's log: the learning curves

---@class asl.report.cell
---@field label string  "image", "truth", "replay", "replay: errors"
---@field png string?  the bytes of a PNG file
---@field file string?  or its path

---@class asl.report.input
---@field title string
---@field command string?  that gives all this again
---@field about string?  a sentence or two on the question, before the generated story
---@field runs asl.report.run[]  in the order in which they are shown
---@field classes {names: string[], colours: integer[][]?}?  by class id + 1; colours {r, g, b}
---@field curves table[]?  more charts, each what asl.chart.line takes
---@field strips {title: string, cells: asl.report.cell[]}[]?  rows of pictures of one size
---@field config table?  the resolved configuration
---@field environment table?  asl.manifest.environment()
---@field git table?  asl.manifest.git()
---@field datasets table<string, string>?  digests by name

-- ---- sections ---------------------------------------------------------------------------------

local function section(id, title, ...)
  return tag("section", { id = id }, tag("h2", nil, title), ...)
end

local function header(input, compared)
  return tag("header", nil,
    tag("p", { class = "kicker" }, "ASL report · continual learning of semantic segmentation"),
    tag("h1", nil, input.title),
    input.about and tag("p", { class = "about" }, input.about),
    tag("div", { class = "tiles", style = "--tiles:" .. #compared }, tables.tiles(compared)))
end

local function curves(input, compared)
  local figures = groups.curves(compared)
  for _, more in ipairs(input.curves or {}) do
    figures[#figures + 1] = more
  end
  if #figures == 0 then return nil end
  local drawn = {}
  for i, figure in ipairs(figures) do
    drawn[i] = chart.line(figure)
  end
  return section("curves", "Learning curves", tag("div", { class = "charts" }, drawn))
end

local function picture(cell)
  local png = cell.png or fs.read(cell.file)
  return tag("figure", nil,
    tag("img", { src = "data:image/png;base64," .. core.base64(png), alt = cell.label }),
    tag("figcaption", nil, cell.label))
end

local function class_keys(classes)
  if not classes then return nil end
  local keys = {}
  for i, name in ipairs(classes.names) do
    keys[i] = tag("span", { class = "key" }, tables.chip(classes, i), name)
  end
  return tag("div", { class = "legend" }, keys)
end

local function strips(input)
  if not input.strips or #input.strips == 0 then return nil end
  local rows = {}
  for i, strip in ipairs(input.strips) do
    local cells = {}
    for j, cell in ipairs(strip.cells) do
      cells[j] = picture(cell)
    end
    rows[i] = tag("div", { class = "strip" }, tag("h3", nil, strip.title),
      tag("div", { class = "cells", style = ("--cells:%d"):format(#cells) }, cells))
  end
  return section("pictures", "What the networks see", class_keys(input.classes), rows)
end

local function repeat_it(input)
  return section("repeat", "How to repeat it",
    input.command and tag("pre", nil, tag("code", nil, input.command)),
    tag("p", { class = "note" }, "The same command with the same build on the same kind of processor gives the same "
      .. "bits; the digests of the final weights say whether it did."),
    tables.digests(input.runs),
    input.config and tag("details", { open = true }, tag("summary", nil, "Configuration"),
      tables.pairs(input.config)),
    input.datasets and next(input.datasets) and tag("details", nil, tag("summary", nil, "Data sets"),
      tables.pairs(input.datasets)),
    (input.environment or input.git) and tag("details", nil, tag("summary", nil, "Build and machine"),
      tables.environment(input.environment or {}, input.git)))
end

--- The report as text.
---@param input asl.report.input
---@return string
function report.html(input)
  input = options.check("asl.report", input, {
    title = options.require("string"), command = options.optional("string"), about = options.optional("string"),
    runs = options.require("table"), classes = options.optional("table"), curves = options.optional("table"),
    strips = options.optional("table"), config = options.optional("table"), environment = options.optional("table"),
    git = options.optional("table"), datasets = options.optional("table"),
  })
  if #input.runs == 0 then error("asl.report: there is no run to report on", 2) end
  local compared = groups.of(input.runs)
  local body = tag("body", nil, tag("main", nil,
    header(input, compared),
    section("answer", "In words", story.paragraphs(compared)),
    section("matrix", "Every test after every task", tag("p", { class = "note" }, story.matrix_note(compared)),
      tag("div", { class = "side-by-side" }, tables.matrices(compared))),
    section("metrics", "Measures", tables.metrics(compared)),
    curves(input, compared),
    strips(input),
    input.classes and section("classes", "Classes", tag("p", { class = "note" },
      "Intersection over union after the last task, in percent; a dash where a class neither occurs nor is predicted."),
      tables.classes(compared, input.classes)),
    section("costs", "Costs", tables.costs(compared)),
    tables.has_replay(compared) and section("replay", "Replay: plan and reality", tables.replay(compared)),
    repeat_it(input)))
  return "<!DOCTYPE html>\n" .. tostring(tag("html", { lang = "en" },
    tag("head", nil,
      tag("meta", { charset = "utf-8" }),
      tag("meta", { ["http-equiv"] = "Content-Security-Policy",
        content = "default-src 'none'; img-src data:; style-src 'unsafe-inline'" }),
      tag("meta", { name = "viewport", content = "width=device-width, initial-scale=1" }),
      tag("title", nil, input.title),
      tag("style", nil, html.raw(style))),
    body)) .. "\n"
end

--- Writes the report.
---@param path string
---@param input asl.report.input
function report.write(path, input)
  fs.write(path, report.html(input), { durable = false })
end

return report
