local chart = require "asl.chart"
local fs = require "asl.fs"
local html = require "asl.html"
local json = require "asl.json"
local log = require "asl.log"
local report = require "asl.report"

local function record(after, test, miou)
  return { after = after, test = test, miou = miou, pixel_accuracy = miou + 0.2, class_iou = { miou, json.null } }
end

local function summary(strategy, seed, final)
  return {
    strategy = strategy, seed = seed, tasks = { "day", "dusk" }, tests = { "day", "dusk" }, classes = 2,
    R = {
      record("before training", "day", 0.02), record("before training", "dusk", 0.01),
      record("day", "day", 0.5), record("day", "dusk", 0.25),
      record("dusk", "day", final), record("dusk", "dusk", 0.45),
    },
    metrics = { acc_final = (final + 0.45) / 2, bwt_gem = final - 0.5, learning_accuracy = 0.475 },
    ledger = { parameters = 1140760, peak_bytes = 64 << 20 },
    replay = strategy == "replay" and { planned_share = 0.5, realised_share = 0.5, planned_counts = { 400, 0 },
      counts = { 400, 0 } } or nil,
    digest = ("ab"):rep(32),
  }
end

local function input(more)
  local given = {
    title = "camvid: day, then dusk", command = "asl experiments/camvid_dusk.lua seed=1",
    runs = { { summary = summary("naive", 1, 0.2) }, { summary = summary("replay", 1, 0.4) } },
    classes = { names = { "road", "sky" }, colours = { { 128, 64, 128 }, { 128, 128, 128 } } },
    config = { lr = 0.003, size = { 96, 128 } },
  }
  for key, value in pairs(more or {}) do
    given[key] = value
  end
  return given
end

-- A page is too long for assert.matches to show.
local function has(page, pattern)
  assert.is_true(page:find(pattern) ~= nil, "the page has no " .. pattern)
end

-- The tags of a page, checked to be nested as they must be.
local function check_nesting(page)
  local open = {}
  local void = { meta = true, img = true, br = true }
  for slash, name in page:gsub("<style>.-</style>", ""):gmatch("<(/?)(%a[%w]*)[^>]*>") do
    if slash == "/" then
      assert.equal(table.remove(open), name)
    elseif not void[name] then
      open[#open + 1] = name
    end
  end
  assert.same({}, open)
end

describe("asl.report", function()
  it("tells the figures in words", function()
    local page = report.html(input())
    has(page, "32%.5 %% with naive")
    has(page, "42%.5 %% with replay and 32%.5 %% with naive")
    has(page, "the earlier tasks lost 10%.0 points with replay and lost 30%.0 points with naive")
    has(page, "comes from a single seed")
  end)

  it("calls a difference noise that the seeds do not support", function()
    local page = report.html(input { runs = {
      { summary = summary("naive", 1, 0.20) }, { summary = summary("naive", 2, 0.40) },
      { summary = summary("replay", 1, 0.35) }, { summary = summary("replay", 2, 0.39) },
    } })
    has(page, "overlap, so the difference may be noise")
    has(page, "means over 2 seeds")
    local clear = report.html(input { runs = {
      { summary = summary("naive", 1, 0.20) }, { summary = summary("naive", 2, 0.21) },
      { summary = summary("replay", 1, 0.35) }, { summary = summary("replay", 2, 0.39) },
    } })
    has(clear, "do not overlap")
    assert.is_nil(clear:find("may be noise", 1, true))
  end)

  it("shows the matrix with the task just learnt outlined", function()
    local page = report.html(input())
    has(page, '<td class="heat just strong"[^>]*>50%.0<small>acc 70%.0</small></td>')
    has(page, '<td class="heat"[^>]*>20%.0<small>acc 40%.0</small></td>')
  end)

  it("is one file: no script, nothing fetched", function()
    local png = "\137PNG\r\n\26\n"
    local page = report.html(input { strips = { { title = "day", cells = { { label = "image", png = png } } } } })
    assert.is_nil(page:find("<script", 1, true))
    assert.is_nil(page:find("https?://"))
    assert.is_nil(page:find("@import", 1, true))
    assert.is_nil(page:find("url(", 1, true))
    has(page, 'src="data:image/png;base64,iVBORw0KGgo="')
    has(page, "default%-src &#39;none&#39;")
  end)

  it("escapes everything that comes from outside", function()
    local evil = [[<img src=x onerror="alert(1)">&']]
    local runs = { { summary = summary(evil, 1, 0.2) } }
    runs[1].summary.tests[1], runs[1].summary.R[1].test = evil, evil
    local page = report.html(input {
      title = evil, about = evil, command = evil, runs = runs, config = { [evil] = evil }, datasets = { [evil] = evil },
      classes = { names = { evil, evil } }, strips = { { title = evil, cells = { { label = evil, png = "" } } } },
      curves = { { title = evil, x_label = evil, y_label = evil, series = { { name = evil, points = { { 0, 0 } } },
        { name = evil, points = { { 0, 1 } } } }, bands = { { from = 0, to = 1, label = evil } } } },
    })
    assert.is_nil(page:find("<img src=x", 1, true))
    assert.is_nil(page:find('onerror="', 1, true))
    check_nesting(page)
  end)

  it("nests its elements and gives the same bytes again", function()
    local page = report.html(input())
    check_nesting(page)
    assert.equal(page, report.html(input()))
  end)

  it("shows plan and reality of the replay, and leaves the table out without one", function()
    has(report.html(input()), "Replay: plan and reality.*plan.*50%.0.*day 400, dusk 0.*reality.*50%.0.*day 400, dusk 0")
    assert.is_nil(report.html(input { runs = { { summary = summary("naive", 1, 0.2) } } }):find("Replay: plan", 1, true))
  end)

  it("draws the learning curve from a run's log", function()
    local dir = fs.temp_dir()
    local path = fs.join(dir, "log")
    local file = log.open(path)
    for step = 1, 20 do
      file:append { kind = "scalars", step = step, task = step <= 10 and "day" or "dusk", values = { loss = 1 / step } }
    end
    file:close()
    local page = report.html(input { runs = { { summary = summary("naive", 1, 0.2), log = path } } })
    fs.remove_tree(dir)
    has(page, "Training loss")
    has(page, '<text class="band%-label"[^>]*>dusk</text>')
  end)

  it("refuses what it does not know", function()
    assert.error_matches(function() report.html(input { tilte = "x" }) end, 'unknown option "tilte".*did you mean "title"')
    assert.error_matches(function() report.html(input { runs = {} }) end, "no run to report on")
  end)
end)

describe("asl.chart", function()
  it("chooses round marks around the data", function()
    assert.same({ 0, 20, 40, 60, 80, 100 }, chart.ticks(0, 100, 5))
    assert.same({ 0, 1, 2, 3 }, chart.ticks(0, 3, 3))
    local ticks = chart.ticks(0.137, 0.91, 5)
    assert.is_true(ticks[1] <= 0.137 and ticks[#ticks] >= 0.91)
    assert.is_true(#chart.ticks(5, 5, 5) >= 2)
    assert.is_true(#chart.ticks(0, 0, 5) >= 2)
  end)

  it("thins long series by means", function()
    local points = {}
    for i = 1, 10 do
      points[i] = { i, i * 10 }
    end
    local thin, bin = chart.thin(points, 5)
    assert.equal(2, bin)
    assert.same({ { 1.5, 15 }, { 3.5, 35 }, { 5.5, 55 }, { 7.5, 75 }, { 9.5, 95 } }, thin)
    assert.equal(points, (chart.thin(points, 10)))
  end)

  it("breaks a line where a value is missing", function()
    local figure = tostring(chart.line { title = "t", x_label = "x", y_label = "y",
      series = { { name = "a", points = { { 0, 0 }, { 1, 1 }, { 2, 0 / 0 }, { 3, 1 }, { 4, 0 } } } } })
    local path = figure:match('<path class="curve s1" d="([^"]*)"')
    assert.equal(2, select(2, path:gsub("M", "")))
    assert.is_nil(figure:find("nan"))
  end)

  it("draws also when there is nothing", function()
    assert.is_string(tostring(chart.line { title = "t", x_label = "x", y_label = "y", series = {} }))
  end)
end)

describe("asl.html", function()
  it("escapes text and attributes, and keeps its own", function()
    assert.equal('<p class="a&quot;b">1 &lt; 2 &amp; <br>x</p>',
      tostring(html.tag("p", { class = 'a"b' }, "1 < 2 & ", html.tag("br"), { "x", nil }, false)))
  end)
end)
