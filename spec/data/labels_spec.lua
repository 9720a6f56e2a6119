local asl = require "asl"
local labels = require "asl.labels"
local pictures = require "spec.support.pictures"
local program = require "spec.support.program"

local facts = pictures.real "labels"
local NONE = "the label tables (../shared/data/labels) are not here"

-- Names that the facts spell in another way.
local SPELT = { refrigerator = "refridgerator", floormat = "floor mat", otherprob = "otherprop" }

--- The name of the class that `map` sends `value` to, "-" for ignored.
local function class_of(map, to, value)
  local id = assert(map[value], value)
  return id == labels.IGNORE and "-" or to.names[id + 1]
end

local function rows(name)
  return pictures.tsv(("%s/%s.tsv"):format(facts, name))
end

describe("every table that comes with ASL", function()
  it("is read, has a version and says what it is", function()
    assert.equal(19, #labels.list())
    for _, name in ipairs(labels.list()) do
      local this = asl.labels[name]
      assert.equal(name, this.name)
      assert.equal(1, this.version, name)
      assert.is_true(#this.note > 20, name)
      assert.equal(#this.ids, #this.names, name)
      assert.equal(#this.ids, #this.colours, name)
      for i, id in ipairs(this.ids) do
        assert.equal(id, this.id_of[this.names[i]])
        for _, value in ipairs(this.colours[i]) do assert.is_true(value >= 0 and value <= 255) end
      end
    end
  end)

  it("is either a list of classes 0, 1, 2, ... or maps to one", function()
    for _, name in ipairs(labels.list()) do
      local this = asl.labels[name]
      if this.classes then
        for i, id in ipairs(this.ids) do assert.equal(i - 1, id) end
        assert.equal(#this.ids, this.classes)
      else
        assert.is_truthy(next(this.maps), name)
        assert.error_matches(function() labels.from(name, "x") end,
          ("the label table %s says what files hold and cannot be the classes of a network; it maps to "):format(name))
      end
    end
  end)

  it("maps to classes that are there, from every id", function()
    local count = 0
    for _, name in ipairs(labels.list()) do
      for target in pairs(asl.labels[name].maps) do
        local map, to = labels.map(name, target), asl.labels[target]
        for _, id in ipairs(asl.labels[name].ids) do
          assert.is_true(map[id] == 255 or math.type(map[id]) == "integer" and map[id] >= 0 and map[id] < to.classes)
        end
        count = count + 1
      end
    end
    assert.equal(16, count)
  end)

  it("is there by name, and names that are not are refused with the nearest", function()
    assert.equal("wall", asl.labels.nyu40.names[1])
    assert.error_matches(function() return asl.labels.nyu41 end,
      'asl.labels has no table "nyu41" %(it has: camvid11, .*did you mean "nyu40"')
  end)
end)

describe("asl.labels.map", function()
  it("gives classes for ids, 255 for what is ignored, nothing for other values", function()
    local map = labels.map("cityscapes", "cityscapes19")
    assert.same({ 255, 0, 1, 255, 2, 18 }, { map[6], map[7], map[8], map[10], map[11], map[33] })
    assert.is_nil(map[34])
    assert.is_nil(map[-1])
    assert.equal(255, labels.map("hypersim", "nyu40")[-1])
  end)

  it("goes through tables between", function()
    local direct, onwards = labels.map("nyu894", "nyu40"), labels.map("nyu40", "nyu13")
    local both = labels.map("nyu894", "nyu13")
    for value = 1, 894 do assert.equal(onwards[direct[value]], both[value]) end
    assert.equal(255, both[0])
    assert.equal("sofa", class_of(labels.map("coco91", "nyu40"), labels.nyu40, 63)) -- couch
    assert.equal("floor", class_of(labels.map("coco_panoptic", "nyu40"), labels.nyu40, 190))
  end)

  it("of a table to itself is the identity", function()
    local map = labels.map("nyu13", "nyu13")
    for id = 0, 12 do assert.equal(id, map[id]) end
    assert.is_nil(map[13])
  end)

  it("says where a table leads when there is no way", function()
    assert.error_matches(function() labels.map("nyu13", "nyu40") end,
      "there is no mapping from nyu13 to nyu40; nyu13 maps to no other table")
    assert.error_matches(function() labels.map("nyu40", "camvid11") end,
      "there is no mapping from nyu40 to camvid11; nyu40 maps to nyu13, scannet20")
    assert.error_matches(function() labels.map("coco80", "coco91") end, "coco91 says what files hold")
    assert.error_matches(function() labels.map("coco8", "nyu40") end, 'label table "coco8": neither a file nor .*"coco80"')
  end)
end)

describe("a table of one's own", function()
  local path
  before_each(function() path = os.tmpname() end)
  after_each(function() os.remove(path) end)

  it("maps to a table that comes with ASL and may have gaps", function()
    pictures.write(path, "# files, version 3: my own\nid\tname\tnyu13\n3\tDiele\tfloor\n300\tHimmel\t-\n")
    local own = labels.load(path)
    assert.same({ 3, "my own", { 3, 300 } }, { own.version, own.note, own.ids })
    assert.is_nil(own.classes)
    assert.same({ [3] = 4, [300] = 255 }, labels.map(path, "nyu13"))
  end)

  it("that maps to others is a list of classes when its ids are", function()
    pictures.write(path, "id\tname\tnyu13\n0\tDiele\tfloor\n1\tWand\twall\n")
    assert.equal(2, labels.from(path, "x").classes)
    pictures.write(path, "# files, version 1: x\nid\tname\tnyu13\n0\tDiele\tfloor\n1\tWand\twall\n")
    assert.is_nil(labels.load(path).classes)
  end)

  it("that is wrong is an error naming file and line", function()
    local cases = {
      { "id\tname\tnyu13\n3\tDiele\tflor\n", ':2: the table nyu13 has no class "flor"; did you mean "floor"?' },
      { "id\tname\tnyu13\n3\tDiele\tzzzzzzz\n", ':2: the table nyu13 has no class "zzzzzzz" ("-" = ignored)' },
      { "id\tname\tnyu13\n3\tDiele\n", ':2: the table nyu13 has no class ""' },
      { "id\tname\tnyu14\n",
        'the column "nyu14": neither id, name, r, g, b nor a table that comes with ASL; did you mean "nyu13"?' },
      { "id\tname\tnyu13\n3\tDiele\tfloor\n3\tWand\twall\n", ":3: the id 3 stands in line 2 already" },
      { "id\tname\tnyu13\n3\tDiele\tfloor\n4\tDiele\twall\n", ':3: ids 3 and 4 are both called "Diele"' },
      { "id\tname\tnyu13\n65536\tDiele\tfloor\n", ':2: id "65536"; an id is a whole number from -1 to 65535' },
      { "id\tname\tnyu13\n1.5\tDiele\tfloor\n", ':2: id "1.5"; an id is a whole number' },
      { "# classes, version 1: x\nid\tname\tnyu13\n3\tDiele\tfloor\n", ':3: id "3"; ids count 0, 1, 2, ..., here 0 is expected' },
      { "# floors\nid\tname\n",
        ':1: "# floors"; a comment says "# classes, version N: what it is" or "# files, version N: ..."' },
      { "", "the first line must name tab-separated columns id, name" },
    }
    for _, case in ipairs(cases) do
      pictures.write(path, case[1])
      assert.is_truthy(pictures.error_of(function() labels.load(path) end):find(path .. "", 1, true))
      assert.is_truthy(pictures.error_of(function() labels.load(path) end):find(case[2], 1, true),
        pictures.error_of(function() labels.load(path) end))
    end
  end)
end)

describe("the facts", function()
  local function check_names_and_colours(name, file, id_column, name_column, shift)
    local this = asl.labels[name]
    local at = {}
    for i, id in ipairs(this.ids) do at[id] = i end
    local checked = 0
    for _, row in ipairs(rows(file)) do
      local i = at[tonumber(row[id_column]) + (shift or 0)]
      if i then
        assert.equal(row[name_column], this.names[i], name)
        if row.r then
          assert.same({ tonumber(row.r), tonumber(row.g), tonumber(row.b) }, this.colours[i], name .. " " .. row[name_column])
        end
        checked = checked + 1
      end
    end
    return checked
  end

  it("agree with names and colours", function()
    if not facts then return pending(NONE) end
    assert.equal(40, check_names_and_colours("nyu40", "nyu40", "id", "name_nyu", -1))
    assert.equal(41, check_names_and_colours("nyu40_file", "nyu40", "id", "name_nyu"))
    assert.equal(40, check_names_and_colours("hypersim", "nyu40", "id", "name_hypersim"))
    assert.equal(13, check_names_and_colours("nyu13", "nyu13", "id", "name", -1))
    assert.equal(894, check_names_and_colours("nyu894", "nyu894", "id", "name"))
    assert.equal(80, check_names_and_colours("coco80", "coco_things", "index80", "name"))
    assert.equal(80, check_names_and_colours("coco91", "coco_things", "category_id", "name"))
    assert.equal(182, check_names_and_colours("coco182", "coco182_to_nyu40", "coco182_id", "coco_name", 1))
    assert.equal(133, check_names_and_colours("coco_panoptic", "coco_panoptic133", "id", "name"))
    assert.equal(34, check_names_and_colours("cityscapes", "cityscapes", "id", "name"))
    assert.equal(11, check_names_and_colours("camvid11", "camvid11", "id", "name"))
    assert.equal(32, check_names_and_colours("camvid32", "camvid32", "id", "name"))
    assert.equal(20, check_names_and_colours("scannet20", "scannet20", "benchmark_index", "name"))
    assert.equal(549, check_names_and_colours("scannet", "scannet_id_to_nyu40", "scannet_id", "category"))
  end)

  it("agree with the mappings", function()
    if not facts then return pending(NONE) end
    local function check(from, to, file, id_column, target_column, shift)
      local map, target, checked = labels.map(from, to), asl.labels[to], 0
      for _, row in ipairs(rows(file)) do
        local expected = row[target_column]
        if expected == "unlabeled" or expected == "void" then expected = "-" end
        assert.equal(SPELT[expected] or expected, class_of(map, target, tonumber(row[id_column]) + (shift or 0)),
          ("%s to %s, %s"):format(from, to, row[id_column]))
        checked = checked + 1
      end
      return checked
    end
    assert.equal(894, check("nyu894", "nyu40", "nyu894", "id", "nyu40_name"))
    assert.equal(894, check("nyu894", "nyu13", "nyu894", "id", "nyu13_name"))
    assert.equal(41, check("nyu40_file", "nyu13", "nyu40", "id", "nyu13_name"))
    assert.equal(80, check("coco80", "nyu40", "coco80_to_nyu40", "coco80_id", "nyu40_name"))
    assert.equal(80, check("coco91", "nyu40", "coco_things", "category_id", "asl_nyu40_name_coco2017"))
    local annotated, stuff_rows = labels.map("coco182", "coco171"), rows "coco182_to_nyu40"
    local to_nyu, kept = labels.map("coco182", "nyu40"), 0
    for _, row in ipairs(stuff_rows) do
      local id, expected = tonumber(row.coco182_id) + 1, row.nyu40_name
      if annotated[id] == 255 then
        expected = "-" -- shoe, mirror, window, desk, door and others: named, but in no annotation
        assert.is_true(id <= 91 and not labels.coco91.id_of[row.coco_name], row.coco_name)
      else
        kept = kept + 1
        assert.equal(row.coco_name, class_of(annotated, labels.coco171, id))
      end
      assert.equal(expected == "unlabeled" and "-" or SPELT[expected] or expected, class_of(to_nyu, labels.nyu40, id))
    end
    assert.equal(171, kept)
    local map, stuff = labels.map("coco_panoptic", "nyu40"), rows "coco200_to_nyu40"
    for _, id in ipairs(asl.labels.coco_panoptic.ids) do
      local expected = stuff[id].nyu40_name
      assert.equal(expected == "unlabeled" and "-" or SPELT[expected] or expected, class_of(map, labels.nyu40, id))
    end
  end)

  it("agree with the train ids of Cityscapes and the ids of ScanNet", function()
    if not facts then return pending(NONE) end
    local map = labels.map("cityscapes", "cityscapes19")
    for _, row in ipairs(rows "cityscapes") do
      local id = tonumber(row.id)
      if id >= 0 then assert.equal(tonumber(row.train_id), map[id], row.name) end
    end
    local scannet, benchmark = labels.map("scannet", "nyu40"), labels.map("scannet", "scannet20")
    local last = {}
    for _, row in ipairs(rows "scannetv2-labels.combined") do last[tonumber(row.id)] = tonumber(row.nyu40id) end
    for id, nyu_id in pairs(last) do assert.equal(nyu_id - 1, scannet[id], id) end
    for _, row in ipairs(rows "scannet20") do
      for id, class in pairs(scannet) do
        if class == tonumber(row.nyu40_id) - 1 then assert.equal(tonumber(row.benchmark_index), benchmark[id]) end
      end
    end
    assert.equal(255, scannet[0])
  end)
end)

describe("asl data labels", function()
  it("lists the tables, or shows one", function()
    local all = program.run { "data", "labels" }
    assert.equal("", all.err)
    assert.matches("\ncamvid11 +11 classes +CamVid%-11 of the SegNet", all.out)
    assert.matches("\nnyu894 +895 in files +nyu40 +the 894 raw classes", all.out)
    local one = program.run { "data", "labels", "nyu40" }
    assert.matches("^nyu40 %(version 1%): 40 classes\nNYU%-40 of Gupta", one.out)
    assert.matches("\nid  colour   name            %-> nyu13   %-> scannet20\n", one.out)
    assert.matches("\n0   #aec7e8  wall            wall       wall\n", one.out)
    assert.matches("\n39  #645590  otherprop       objects    %-\n$", one.out)
    assert.is_nil(one.out:find "\27")
  end)

  it("refuses other words with exit code 64", function()
    local result = program.run { "data", "lables" }
    assert.equal(64, result.code)
    assert.matches("data takes labels and at most the name of a table", result.err)
    assert.matches('label table "nyu4": neither a file nor .* did you mean "nyu40"',
      program.run({ "data", "labels", "nyu4" }).err)
  end)

  it("shows colours where the terminal has them", function()
    local text = labels.text(labels.nyu13, { colour = true })
    assert.matches("\n0   \27%[48;2;0;0;255m  \27%[0m #0000ff  bed\n", text)
    assert.equal(labels.text(labels.nyu13), (text:gsub("\27%[48[%d;]*m  \27%[0m ", ""):gsub("colour    ", "colour ")))
  end)
end)

describe("CamVid", function()
  it("groups its 32 classes as the SegNet tutorial does", function()
    local groups = {
      Sky = "Sky", Building = "Archway Bridge Building Tunnel Wall", Pole = "Column_Pole TrafficCone",
      Road = "LaneMkgsDriv LaneMkgsNonDriv Road", Pavement = "ParkingBlock RoadShoulder Sidewalk",
      Tree = "Tree VegetationMisc", SignSymbol = "Misc_Text SignSymbol TrafficLight", Fence = "Fence",
      Car = "Car OtherMoving SUVPickupTruck Train Truck_Bus", Pedestrian = "Animal CartLuggagePram Child Pedestrian",
      Bicyclist = "Bicyclist MotorcycleScooter", ["-"] = "Void",
    }
    local map, found = labels.map("camvid32", "camvid11"), {}
    for i, id in ipairs(labels.camvid32.ids) do
      local group = class_of(map, labels.camvid11, id)
      found[group] = (found[group] and found[group] .. " " or "") .. labels.camvid32.names[i]
    end
    for group, members in pairs(groups) do
      local a, b = {}, {}
      for name in members:gmatch "%S+" do a[#a + 1] = name end
      for name in found[group]:gmatch "%S+" do b[#b + 1] = name end
      table.sort(a)
      table.sort(b)
      assert.same(a, b, group)
    end
  end)
end)
