local progress = require "asl.progress"

-- A file that remembers, and a clock that is set.
local function bench(given)
  local written, time = {}, 0
  given.out = {
    write = function(_, ...) for _, part in ipairs { ... } do written[#written + 1] = part end end,
    flush = function() end,
  }
  given.clock = function() return time end
  local line = progress.new(given)
  return line, function(seconds) time = seconds end, function()
    local text = table.concat(written)
    written = {}
    return text
  end
end

local function plain(text)
  return (text:gsub("\27%[[%d;]*[mK]", ""))
end

describe("asl.progress", function()
  it("draws a bar with rate, time left and loss on a terminal", function()
    local line, at, seen = bench { total = 100, label = "day", unit = "img", scale = 8, tty = true, columns = 90 }
    at(10)
    line:update(25, { loss = 0.51234 })
    local text = plain(seen())
    assert.matches("^\rday  25 %% ████", text)
    assert.matches("25/100  20 img/s  30 s left  loss 0.5123$", text)
    assert.is_true(utf8.len(text) - 1 < 90)
  end)

  it("draws at most ten times a second, but always the end", function()
    local line, at, seen = bench { total = 100, tty = true, columns = 80 }
    at(1)
    line:update(1)
    seen()
    at(1.05)
    line:update(2)
    assert.equal("", seen())
    line:update(100)
    assert.matches("100 %%", plain(seen()))
    line:finish()
    assert.matches("\n$", seen())
  end)

  it("never takes more than the window", function()
    for columns = 10, 120, 5 do
      local line, at, seen = bench { total = 100000, label = "a label that is far too long to show", tty = true,
        columns = columns }
      at(10)
      line:update(4999, { loss = 0.5, miou = 0.25, accuracy = 0.75 })
      if columns >= 35 then assert.is_true(utf8.len(plain(seen())) - 1 <= columns) end
    end
  end)

  it("writes a line for every tenth in a file", function()
    local line, at, seen = bench { total = 1000, label = "day", tty = false }
    for step = 1, 1000 do
      at(step / 100)
      line:update(step, { loss = 1 })
    end
    line:finish()
    local text, lines = seen(), 0
    for _ in text:gmatch("\n") do
      lines = lines + 1
    end
    assert.equal(10, lines)
    assert.matches("^day: 100/1000 %(10 %%%)  1%.0 s  100 step/s  9%.0 s left  loss 1\n", text)
    assert.is_nil(text:find("\27"))
    assert.is_nil(text:find("\r"))
  end)

  it("writes a line at least once a minute in a file", function()
    local line, at, seen = bench { total = 1000000, tty = false }
    for minute = 1, 5 do
      at(60 * minute)
      line:update(minute)
    end
    assert.equal(5, select(2, seen():gsub("\n", "\n")))
  end)

  it("counts only what this session did", function()
    local line, at, seen = bench { total = 100, first = 50, tty = false }
    at(10)
    line:update(60)
    assert.matches("^60/100 %(60 %%%)  10 s  1 step/s  40 s left", seen())
  end)

  it("says nothing when quiet", function()
    local line, at, seen = bench { total = 10, tty = true, quiet = true }
    at(10)
    line:update(10)
    line:finish()
    assert.equal("", seen())
  end)

  it("writes durations, counts and sizes to read", function()
    assert.equal("0.8 s", progress.duration(0.8))
    assert.equal("42 s", progress.duration(42.3))
    assert.equal("1:00", progress.duration(59.7))
    assert.equal("1:02:45", progress.duration(3765))
    assert.equal("?", progress.duration(math.huge))
    assert.equal("7", progress.count(7))
    assert.equal("1.14 M", progress.count(1140760))
    assert.equal("12.3 TMAC", progress.count(1.23e13, "MAC"))
    assert.equal("512 B", progress.bytes(512))
    assert.equal("64 MiB", progress.bytes(64 << 20))
    assert.equal("1.5 GiB", progress.bytes(1.5 * 2 ^ 30))
  end)

  it("aligns tables, also with letters of two bytes", function()
    assert.equal(table.concat({
      "mIoU in %",
      "  strategy   day  dusk",
      "  ────────  ────  ────",
      "  naive     12.5  40.1",
      "  für       37.5",
      "  ────────  ────  ────",
      "  joint     41.0  42.0",
    }, "\n"), progress.table {
      title = "mIoU in %", header = { "strategy", "day", "dusk" },
      rows = { { "naive", "12.5", "40.1" }, { "für", "37.5" }, "-", { "joint", "41.0", "42.0" } },
    })
  end)
end)
