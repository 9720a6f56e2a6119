local asl = require "asl"
local core = require "asl.core"
local pictures = require "spec.support.pictures"

-- Takes the red channel of the picture for the class; counts what it was shown.
local function red_net(classes)
  local net, ids = { shown = 0 }, {}
  for c = 1, classes or 3 do ids[c] = c - 1 end
  function net:scores(image)
    self.shown = self.shown + image:shape()[1]
    return asl.ops.equal(image:slice(4, 1), asl.tensor(ids, { dtype = "u8" })):to "f32"
  end
  return net
end

describe("the evaluator", function()
  local root, set

  -- Truth: the left half is class 0, the right half 1, the first row has no label. Prediction of picture i: class 0 in the
  -- first i of 6 columns, else 2.
  setup(function()
    root = core.fs.temp_dir()
    pictures.write_folder(root, 5, function(i)
      return pictures.painted(pictures.label(4, 6, function(_, x) return x < i and 0 or 2 end),
        { { 0, 9, 9 }, { 1, 9, 9 }, { 2, 9, 9 } })
    end, function()
      return pictures.label(4, 6, function(y, x) return y == 0 and 255 or x < 3 and 0 or 1 end)
    end)
    set = asl.data.folder { root = root, list = root .. "/list.txt", classes = { "a", "b", "c" } }
  end)
  teardown(function() core.fs.remove_tree(root) end)

  local function new(loader, more)
    local given = { tests = { { name = "x", data = set }, { name = "y", data = set:take(2) } }, classes = 3, loader = loader,
      size = { 4, 6 }, batch = 2 }
    for key, value in pairs(more or {}) do given[key] = value end
    return asl.evaluator.new(given)
  end

  it("counts every pixel of every picture once, also those of a last batch that is not full", function()
    local loader <close> = asl.data.loader { threads = 1 }
    for _, batch in ipairs { 1, 2, 3, 5, 8 } do
      local net = red_net()
      local m = new(loader, { batch = batch }):confusion(net, set)
      -- Three labelled rows; columns right of i are taken for class 2.
      assert.same({ { 3 * (1 + 2 + 3 + 3 + 3), 0, 3 * (2 + 1) }, { 3 * (1 + 2), 0, 3 * (3 + 3 + 3 + 2 + 1) }, { 0, 0, 0 } }, m)
      assert.equal(5, net.shown)
    end
  end)

  it("appends rows and gives them as matrix and records", function()
    local loader <close> = asl.data.loader { threads = 0 }
    local e = new(loader)
    e:row(red_net(), "before training")
    e:row(red_net(), "x")
    local R = e:matrix()
    assert.equal(36 / 54 / 2, R[0][1]) -- class 0: 36 / (45 + 45 - 36), class 1: 0
    assert.equal(R[0][1], R[1][1])
    assert.equal((9 / 18) / 2, R[1][2])
    assert.equal(36 / 90, e:matrix(asl.metrics.pixel_accuracy)[0][1])
    local records = e:records()
    assert.equal(4, #records)
    assert.same({ "before training", "y", "x" }, { records[1].after, records[2].test, records[3].after })
    assert.equal(0, records[1].class_iou[2])
    assert.equal(36 / 54, records[1].class_iou[1])
    assert.same(e.rows[1].confusion[1], records[1].confusion)
  end)

  it("says null for the IoU of a class that is nowhere", function()
    local loader <close> = asl.data.loader { threads = 0 }
    local e = new(loader, { classes = 4 })
    e:row(red_net(4), "before training")
    assert.equal(core.json_null, e:records()[1].class_iou[4])
  end)

  it("refuses a network of other classes", function()
    local loader <close> = asl.data.loader { threads = 0 }
    local ok, message = pcall(function() new(loader):confusion(red_net(5), set) end)
    assert.is_false(ok)
    assert.is_truthy(message:find("the network scores 5 classes, the tests have 3", 1, true), message)
  end)

  it("refuses a test without a labelled pixel instead of scoring it", function()
    pictures.write(root .. "/label/1.png", core.png_encode(pictures.label(4, 6, function() return 255 end)))
    local loader <close> = asl.data.loader { threads = 0 }
    local e = new(loader, { tests = { { name = "dark", data = set:take(1) } } })
    local ok, problem = pcall(e.row, e, red_net(), "before training")
    assert.is_false(ok)
    assert.equal('test "dark": not one pixel of its 1 pictures is labelled', tostring(problem))
    assert.equal(65, problem.exit_code)
  end)
end)
