local asl = require "asl"
local core = require "asl.core"
local dataset = require "asl.data.dataset"
local pictures = require "spec.support.pictures"

describe("a data set", function()
  local root, set, source

  setup(function()
    root = core.fs.temp_dir()
    pictures.write_folder(root, 6, function() return pictures.pattern(4, 5) end,
      function(i) return pictures.label(4, 5, function() return i % 3 end) end)
    source = core.source_files {
      images = { root .. "/image/1.png", root .. "/image/2.png" }, label_map = {},
    }
  end)
  teardown(function() core.fs.remove_tree(root) end)

  before_each(function()
    set = asl.data.folder {
      root = root, list = root .. "/list.txt", classes = { "a", "b", "c" }, name = "set", pattern = "([^/]+)/(%d+)",
    }
  end)

  it("knows its samples", function()
    assert.equal(6, #set)
    assert.same({ "set/image/1", "set/image/2" }, { set.ids[1], set.ids[2] })
    assert.same({ "image", "label" }, set.planes)
    local sample = set:sample(2)
    assert.same({ "set/image/2", "image", 2 }, { sample.id, sample.sequence, sample.frame })
    assert.same({ 4, 5, 3 }, sample.image:shape())
    assert.is_nil(set:sample(2, { "label" }).image)
    assert.equal("set: 6 samples in 1 sequence (image 6), 3 classes, planes image, label", set:describe())
    assert.error_matches(function() set:sample(7) end, "set: there is no sample 7; it has 6")
  end)

  it("gives parts of itself by position, number and sequence", function()
    local part = set:subset { 5, 1 }
    assert.same({ "set/image/5", "set/image/1" }, part.ids)
    assert.equal(set:sample(5).label:digest(), part:sample(1).label:digest())
    assert.same({ "set/image/1", "set/image/2" }, set:take(2).ids)
    assert.equal(6, #set:sequence "image")
    assert.equal(6, #set)
    assert.error_matches(function() set:sequence "0006R0" end, 'set has no sequence "0006R0" %(it has: image%)')
    assert.error_matches(function() set:take(7) end, "take 7 of 6")
    assert.error_matches(function() set:subset { 1, 9 } end, "there is no sample 9")
    assert.error_matches(function() set:subset { 1, 1 } end, 'both "set/image/1"')
  end)

  it("gives samples that are evenly spread", function()
    assert.same({ 4 }, set:spread(1).frames)
    assert.same({ 2, 5 }, set:spread(2).frames)
    assert.same({ 1, 3, 4, 6 }, set:spread(4).frames)
    for n = 1, 5 do assert.equal(n, #set:spread(n)) end
    for _, n in ipairs { 0, 6, 7 } do assert.equal(set, set:spread(n)) end
    assert.error_matches(function() set:spread(-1) end, "set: spread needs a whole number from 0, not %-1")
    assert.error_matches(function() set:spread(0.5) end, "set: spread needs a whole number from 0, not 0%.5")
  end)

  it("is cut in time by frames or by their share", function()
    for _, case in ipairs { { 2, 1, 3, { 5, 6 } }, { 2.0, 0, 4, { 5, 6 } }, { 0.34, 1, 3, { 5, 6 } }, { 0.33, 1, 4, { 6 } },
      { 0.1, 2, 3, { 6 } } } do
      local train, test = set:split { test = case[1], gap = case[2] }
      assert.equal(case[3], #train)
      assert.same(case[4], test.frames)
    end
    for _, test in ipairs { 0, -1, 1.5 } do
      assert.error_matches(function() set:split { test = test } end,
        "set: split needs test frames or a share below 1, and gap >= 0, not " .. tostring(test):gsub("%p", "%%%0") .. " and 1")
    end
    assert.error_matches(function() set:split { test = 0.9, gap = 1 } end,
      'sequence "image" has 6 frames, too few for 5 to test on and a gap of 1')
  end)

  it("joins others, whose rows keep their source", function()
    local other = asl.data.folder { root = root, list = root .. "/list.txt", classes = { "a", "b", "c" }, name = "other" }
    local both = set:take(2):join(other:take(1))
    assert.same({ "set/image/1", "set/image/2", "other/image/1" }, both.ids)
    assert.equal(other:sample(1).label:digest(), both:sample(3).label:digest())
    assert.error_matches(function() set:join(set) end, 'both "set/image/1"')
    local different = asl.data.folder { root = root, list = root .. "/list.txt", classes = { "a", "b", "d" }, name = "x" }
    assert.error_matches(function() set:join(different) end, "set and x have different classes")
  end)

  it("has a digest of what it is", function()
    local digest = set:digest()
    assert.equal(64, #digest)
    assert.equal(digest, set:subset({ 1, 2, 3, 4, 5, 6 }):digest())
    assert.not_equal(digest, set:take(5):digest())
    assert.not_equal(digest, set:subset({ 2, 1, 3, 4, 5, 6 }):digest())
    pictures.write(root .. "/image/6.png", core.png_encode(pictures.pattern(40, 50)))
    local changed = asl.data.folder {
      root = root, list = root .. "/list.txt", classes = { "a", "b", "c" }, name = "set", pattern = "([^/]+)/(%d+)",
    }
    assert.not_equal(digest, changed:digest())
    pictures.write(root .. "/image/6.png", core.png_encode(pictures.pattern(4, 5)))
  end)

  it("train and test sets share no sample, or it is an error naming it (defect 15)", function()
    asl.data.disjoint(set:take(3), set:subset { 4, 5, 6 })
    assert.error_matches(function() asl.data.disjoint(set:take(3), set:subset { 3, 4 }) end,
      'the sample "set/image/3" is in both set and set')
  end)

  it("is checked when made", function()
    local function make(more)
      local given = { name = "n", class_names = { "a" }, colours = { { 0, 0, 0 } }, ids = { "1", "2" }, source = source }
      for key, value in pairs(more) do given[key] = value end
      return asl.data.dataset(given)
    end
    assert.equal(2, #make {})
    assert.is_true(dataset.is(make {}))
    assert.error_matches(function() make { ids = { "1", "1" } } end, 'the samples 1 and 2 are both "1"')
    assert.error_matches(function() make { index = { 0, 2 } } end, "sample 2 is at position 2 of a source of 2 samples")
    assert.error_matches(function() make { index = { 0 } } end, "2 ids but 1 index")
    assert.error_matches(function() make { colours = {} } end, "1 classes but 0 colours")
    assert.error_matches(function() make { id = {} } end, 'unknown option "id".*did you mean "ids"')
  end)
end)
