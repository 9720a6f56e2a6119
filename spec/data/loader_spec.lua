local asl = require "asl"
local core = require "asl.core"
local pictures = require "spec.support.pictures"

local function stripes(i)
  return pictures.label(12, 16, function(y, x) return (y + x * i) % 3 end)
end

local COLOURS = { { 200, 30, 30 }, { 30, 200, 30 }, { 30, 30, 200 } }

describe("the loader", function()
  local root, set

  setup(function()
    root = core.fs.temp_dir()
    pictures.write_folder(root, 6, function(i) return pictures.painted(stripes(i), COLOURS) end, stripes)
    set = asl.data.folder { root = root, list = root .. "/list.txt", classes = { "a", "b", "c" } }
  end)
  teardown(function() core.fs.remove_tree(root) end)

  local function rows_of(positions)
    local rows = {}
    for i, position in ipairs(positions) do
      rows[i] = { dataset = set, position = position }
    end
    return rows
  end

  local function request(loader, positions, more)
    local given = { rows = rows_of(positions), size = { 12, 16 }, seed = 1, step = 1 }
    for key, value in pairs(more or {}) do
      given[key] = value
    end
    return loader:request(given)
  end

  it("gives the rows asked for, in order, as one tensor per plane", function()
    local loader <close> = asl.data.loader {}
    local batch = loader:wait(request(loader, { 5, 2, 2 }))
    assert.same({ 3, 12, 16, 3 }, batch.image:shape())
    assert.same({ 3, 12, 16 }, batch.label:shape())
    for row, position in ipairs { 5, 2, 2 } do
      assert.equal(set:sample(position).image:digest(), batch.image:select(1, row):contiguous():digest())
      assert.equal(stripes(position):digest(), batch.label:select(1, row):contiguous():digest())
    end
  end)

  it("gives only the planes asked for", function()
    local loader <close> = asl.data.loader {}
    local batch = loader:wait(request(loader, { 1 }, { planes = { "label" } }))
    assert.is_nil(batch.image)
    assert.same(stripes(1):totable(), batch.label:totable()[1])
  end)

  it("lets tickets be waited for in any order, with any number of threads", function()
    for _, threads in ipairs { 0, 1, 3 } do
      local loader <close> = asl.data.loader { threads = threads }
      local tickets = {}
      for i = 1, 6 do
        tickets[i] = request(loader, { i, 7 - i })
      end
      for _, i in ipairs { 4, 1, 6, 5, 2, 3 } do
        local batch = loader:wait(tickets[i])
        assert.equal(stripes(i):digest(), batch.label:select(1, 1):contiguous():digest())
      end
      assert.error_matches(function() loader:wait(tickets[1]) end, "no batch with ticket 1 to wait for")
      assert.error_matches(function() loader:wait(99) end, "no batch with ticket 99")
    end
  end)

  it("mixes data sets in a batch", function()
    local other = asl.data.folder { root = root, list = root .. "/list.txt", classes = { "a", "b", "c" }, name = "other",
      size = { 6, 8 } }
    local loader <close> = asl.data.loader {}
    local batch = loader:wait(loader:request {
      rows = { { dataset = set, position = 1 }, { dataset = other, position = 2 } }, size = { 12, 16 }, seed = 1, step = 1,
    })
    assert.equal(stripes(1):digest(), batch.label:select(1, 1):contiguous():digest())
  end)

  it("reports the first row that fails, whatever the number of threads, and goes on", function()
    pictures.write(root .. "/broken.txt", "image/1.png label/1.png\nimage/b1.png label/1.png\nimage/b2.png label/1.png\n")
    local png = pictures.read(root .. "/image/1.png")
    pictures.write(root .. "/image/b1.png", png:sub(1, #png // 2))
    pictures.write(root .. "/image/b2.png", "not a picture")
    local broken = asl.data.folder { root = root, list = root .. "/broken.txt", classes = { "a", "b", "c" } }
    for _, threads in ipairs { 0, 1, 3 } do
      local loader <close> = asl.data.loader { threads = threads }
      for _ = 1, 10 do
        local ticket = loader:request {
          rows = { { dataset = broken, position = 1 }, { dataset = broken, position = 2 },
            { dataset = broken, position = 3 }, { dataset = broken, position = 2 } },
          size = { 12, 16 }, seed = 1, step = 1,
        }
        assert.error_matches(function() loader:wait(ticket) end, "image/b1%.png: PNG: truncated")
      end
      assert.equal(stripes(3):digest(), loader:wait(request(loader, { 3 })).label:select(1, 1):contiguous():digest())
    end
  end)

  it("closes with requests outstanding, and says so afterwards", function()
    for _, threads in ipairs { 0, 2 } do
      local loader = asl.data.loader { threads = threads }
      for _ = 1, 50 do
        request(loader, { 1, 2, 3, 4, 5, 6 })
      end
      loader:close()
      loader:close()
      assert.error_matches(function() loader:wait(1) end, "the loader is closed")
    end
  end)

  it("is collected with requests outstanding", function()
    do
      local loader = asl.data.loader { threads = 2 }
      for _ = 1, 20 do
        request(loader, { 1, 2, 3 })
      end
    end
    collectgarbage()
    collectgarbage()
    assert.is_true(asl.memory().live >= 0)
  end)

  it("holds no memory after its batches are gone", function()
    local loader <close> = asl.data.loader { threads = 1 }
    loader:wait(request(loader, { 1, 2 }))
    collectgarbage()
    local before = asl.memory().live
    for _ = 1, 20 do
      loader:wait(request(loader, { 1, 2, 3, 4 }))
    end
    collectgarbage()
    assert.equal(before, asl.memory().live)
  end)

  it("checks what it is asked for", function()
    local loader <close> = asl.data.loader { threads = 1 }
    assert.error_matches(function() request(loader, { 7 }) end, "there is no sample 7; it has 6")
    assert.error_matches(function() request(loader, {}) end, "a batch has 1 to 65536 rows, not 0")
    assert.error_matches(function() request(loader, { 1 }, { planes = { "depth" } }) end,
      'row 1: the source "files" has no plane "depth"')
    assert.error_matches(function() request(loader, { 1 }, { planes = { "colour" } }) end, 'there is no plane "colour"')
    assert.error_matches(function() request(loader, { 1 }, { size = { 0, 5 } }) end, "size is {height, width}")
    assert.error_matches(function() request(loader, { 1 }, { sise = 1 }) end, 'unknown option "sise".*did you mean "size"')
    assert.error_matches(function() loader:request { rows = { { position = 1 } }, size = { 4, 4 }, seed = 1, step = 1 } end,
      "row 1 needs dataset = a data set, not a nil")
    assert.error_matches(function() asl.data.loader { threads = 65 } end, "65 loader threads; there can be 0 to 64")
  end)
end)
