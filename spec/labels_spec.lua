local asl = require "asl"
local core = require "asl.core"
local labels = require "asl.labels"
local pictures = require "spec.support.pictures"

describe("label tables", function()
  local path
  before_each(function() path = os.tmpname() end)
  after_each(function() os.remove(path) end)

  it("come with ASL", function()
    local camvid, nyu = labels.load "camvid11", asl.labels.load "nyu40"
    assert.same({ 11, "Sky", "Bicyclist" }, { camvid.classes, camvid.names[1], camvid.names[11] })
    assert.same({ 40, "wall", "otherprop" }, { nyu.classes, nyu.names[1], nyu.names[40] })
    assert.same({ 128, 64, 128 }, camvid.colours[4])
  end)

  it("agree with the tables of the data sets", function()
    local facts = pictures.real "labels"
    if not facts then return pending "the label tables (../shared/data/labels) are not here" end
    local nyu = labels.load "nyu40"
    for _, row in ipairs(pictures.tsv(facts .. "/nyu40.tsv")) do
      local id = tonumber(row.id)
      if id > 0 then
        assert.equal(row.name_nyu, nyu.names[id])
        assert.same({ tonumber(row.r), tonumber(row.g), tonumber(row.b) }, nyu.colours[id])
      end
    end
  end)

  it("are read from files, with colours or without", function()
    pictures.write(path, "name\tid\nfloor\t0\r\nwall\t1\n")
    local plain = labels.load(path)
    assert.same({ "floor", "wall" }, plain.names)
    assert.same({ { 128, 0, 0 }, { 0, 128, 0 } }, plain.colours) -- the palette of PASCAL VOC
    pictures.write(path, "id\tname\tr\tg\tb\n0\tfloor\t1\t2\t3\n")
    assert.same({ { 1, 2, 3 } }, labels.load(path).colours)
  end)

  it("that are wrong are errors naming file and line", function()
    local cases = {
      { "floor\n", "the first line must name tab%-separated columns" },
      { "id\tname\n0\tfloor\n2\twall\n", ":3: id \"2\"; ids count 0, 1, 2, ..., here 1 is expected" },
      { "id\tname\nx\tfloor\n", ":2: id \"x\"" },
      { "id\tname\tr\tg\tb\n0\tfloor\t1\t2\t256\n", ":2: b must be a whole number from 0 to 255, not \"256\"" },
      { "id\tname\n0\tfloor\n1\tfloor\n", "classes 0 and 1 are both called \"floor\"" },
      { "id\tname\n", "0 classes; there can be 1 to 255" },
    }
    for _, case in ipairs(cases) do
      pictures.write(path, case[1])
      assert.matches(case[2], pictures.error_of(function() labels.load(path) end))
    end
    assert.error_matches(function() labels.load "nyu4" end, 'label table "nyu4": neither a file nor .* did you mean "nyu40"')
    assert.error_matches(function() core.fs.read "no/such.tsv" end, "no/such")
  end)
end)
