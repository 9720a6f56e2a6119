local asl = require "asl"
local core = require "asl.core"
local pictures = require "spec.support.pictures"

describe("asl.data.folder", function()
  local root
  local CLASSES = { "a", "b", "c" }

  before_each(function()
    root = core.fs.temp_dir()
    pictures.write_folder(root, 3, function() return pictures.pattern(4, 6) end,
      function(i) return pictures.label(4, 6, function(_, x) return (x + i) % 3 end) end)
  end)
  after_each(function() core.fs.remove_tree(root) end)

  local function open(more)
    local given = { root = root, list = root .. "/list.txt", classes = CLASSES }
    for key, value in pairs(more or {}) do
      given[key] = value
    end
    return asl.data.folder(given)
  end

  local function list(text)
    pictures.write(root .. "/other.txt", text)
    return { list = root .. "/other.txt" }
  end

  it("reads lists with tabs, with spaces, and with another machine's paths", function()
    local tabs = open()
    local spaces = open(list "image/1.png label/1.png\r\n\nimage/2.png   label/2.png\n")
    assert.same({ tabs.ids[1], tabs.ids[2] }, spaces.ids)
    local absolute = open(list("/SegNet/CamVid/image/1.png /SegNet/CamVid/label/1.png\n" ..
      "/SegNet/CamVid/image/3.png /SegNet/CamVid/label/3.png"))
    assert.same({ tabs.ids[1], tabs.ids[3] }, absolute.ids)
    assert.equal(tabs:sample(3).label:digest(), absolute:sample(2).label:digest())
  end)

  it("reads file names with spaces where tabs separate", function()
    pictures.write(root .. "/a b.png", core.png_encode(pictures.pattern(4, 6)))
    assert.equal("a b", open(list "a b.png\tlabel/1.png\n").ids[1]:match("/(.*)$"))
  end)

  it("without labels has no label plane", function()
    local set = open(list "image/1.png\nimage/2.png\n")
    assert.same({ "image" }, set.planes)
    assert.is_nil(set:sample(1).label)
  end)

  it("maps label values", function()
    local set = open { label_map = { [0] = 2, [1] = 255, [2] = 0 } }
    assert.same({ 255, 0, 2, 255, 0, 2 }, set:sample(1).label:totable()[1])
  end)

  it("a label outside the table is an error naming file, place, value and table", function()
    pictures.write(root .. "/label/2.png", core.png_encode(pictures.label(4, 6, function(y, x)
      return y == 2 and x == 3 and 9 or 0
    end)))
    local set = open { name = "mine" }
    set:sample(1)
    assert.error_matches(function() set:sample(2) end,
      "label/2%.png: the label value 9 %(row 3, column 4%) is not in the table mine")
    local loader <close> = asl.data.loader { threads = 1 }
    local ticket = loader:request { rows = { { dataset = set, position = 2 } }, size = { 4, 6 }, seed = 1, step = 1 }
    assert.error_matches(function() loader:wait(ticket) end, "label/2%.png: the label value 9")
  end)

  it("picture and label map of different sizes are an error with both sizes and names", function()
    pictures.write(root .. "/label/3.png", core.png_encode(pictures.label(6, 4, function() return 0 end)))
    assert.error_matches(function() open():sample(3) end,
      "image/3%.png is 6x4 but its label map .*label/3%.png is 4x6 %(width x height%)")
  end)

  it("a truncated picture is an error naming it", function()
    local path = root .. "/image/1.png"
    pictures.write(path, pictures.read(path):sub(1, 60))
    assert.error_matches(function() open():sample(1) end, "image/1%.png: PNG: truncated")
  end)

  it("missing root, list and listed files are named, with what was expected", function()
    assert.error_matches(function() open { root = "/no/such" } end,
      'root = "/no/such": not there; expected a folder of pictures')
    assert.error_matches(function() open { list = root .. "/train.txt" } end,
      "train%.txt\": not there; expected a text file with lines IMAGE")
    assert.error_matches(function() open { list = root } end, "the wrong kind of file; expected a text file")
    assert.error_matches(function() open(list "image/1.png label/9.png\n") end,
      "label/9%.png, which the list .*other%.txt names, is not there")
    assert.matches("other%.txt:1: neither /a/b/x%.png nor a part of it is below",
      pictures.error_of(function() open(list "/a/b/x.png /a/b/y.png\n") end))
  end)

  it("lines that cannot be read are named", function()
    local cases = {
      { "image/1.png label/1.png\na b c\n", "other%.txt:2: 3 fields; a line is IMAGE" },
      { "image/1.png label/1.png\nimage/2.png\n", "other%.txt:2: some lines have a label map and some have none" },
      { "image/1.png\nimage/2.png label/2.png\n", "other%.txt:2: some lines have a label map" },
    }
    for _, case in ipairs(cases) do
      assert.matches(case[2], pictures.error_of(function() open(list(case[1])) end))
    end
    assert.error_matches(function() open(list "\n\n") end, "other%.txt: the list is empty")
    assert.error_matches(function() open(list "image/1.png label/1.png\nimage/1.png label/1.png\n") end,
      "the samples 1 and 2 are both")
  end)

  it("checks its options", function()
    assert.error_matches(function() asl.data.folder { root = root } end, 'option "%a+" must be given')
    assert.error_matches(function() open { splits = 1 } end, 'unknown option "splits"')
    assert.error_matches(function() open { label_map = { [0] = 3 } } end,
      "label_map: %[0%] = 3; it takes file values 0 to 255 to class ids 0 to 2, or 255 = ignore")
    assert.error_matches(function() open { pattern = "x(%d+)y(%d+)" } end, 'does not match "image/1.png"')
    assert.error_matches(function() open { size = { 0, 4 } } end, "size is {height, width}, each from 1")
  end)
end)
