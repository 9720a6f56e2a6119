local asl = require "asl"
local check = require "asl.data.check"
local core = require "asl.core"
local fs = require "asl.fs"
local json = require "asl.json"
local labels = require "asl.labels"
local letters = require "asl.data.check.letters"
local miniature_coco = require "spec.support.miniature.coco"
local miniature_png = require "spec.support.miniature.png"
local miniature_scannet = require "spec.support.miniature.scannet"
local pictures = require "spec.support.pictures"
local program = require "spec.support.program"
local recognise = require "asl.data.check.recognise"
local sheet = require "asl.data.check.sheet"
local survey = require "asl.data.check.survey"
local tally = require "asl.data.check.tally"
local trial = require "spec.support.trial"

local root, out

--- CamVid in the SegNet form: the samples of each split are its sequences' frames.
local function write_camvid(splits)
  for split, frames in pairs(splits) do
    fs.mkdirs(("%s/%s"):format(root, split))
    fs.mkdirs(("%s/%sannot"):format(root, split))
    local list = {}
    for i, name in ipairs(frames) do
      pictures.write(("%s/%s/%s.png"):format(root, split, name), core.png_encode(pictures.pattern(6, 8)))
      pictures.write(("%s/%sannot/%s.png"):format(root, split, name), core.png_encode(pictures.label(6, 8, function(y, x)
        return (x + i) % 12 == 0 and 11 or (y + x) % 3
      end)))
      list[i] = ("/SegNet/CamVid/%s/%s.png /SegNet/CamVid/%sannot/%s.png\n"):format(split, name, split, name)
    end
    pictures.write(("%s/%s.txt"):format(root, split), table.concat(list))
  end
end

local function pack_rooms(given, folder)
  return asl.data.pack { kind = "rooms", options = given, out = folder, quiet = true }
end

local function run(...)
  return program.run { "data", "check", root, "--out", out, ... }
end

local function summary() return json.read(out .. "/summary.json") end

describe("asl data check", function()
  before_each(function() root, out = fs.temp_dir(), fs.temp_dir() end)
  after_each(function()
    fs.remove_tree(root)
    fs.remove_tree(out)
  end)

  -- ---- what there is ---------------------------------------------------------------------------------------------------

  it("says what a data set holds", function()
    write_camvid { train = { "0001TP_000030", "0001TP_000060", "0006R0_f00930" }, val = { "0016E5_07959" } }
    local result = run()
    assert.equal(0, result.code, result.err)
    assert.matches("^camvid in " .. root:gsub("%p", "%%%0"), result.out)
    assert.matches("\n  train        3  2: 0001TP 2, 0006R0 1  8x6           image, label\n", result.out)
    assert.matches("\n  val          1  1: 0016E5 1            8x6           image, label\n", result.out)
    assert.matches("\n  8 of 11 classes do not occur\n", result.out)
    assert.matches("every sample was decoded; nothing is wrong\n", result.out)
    local found = summary()
    assert.equal(4, found.parts[1].samples + found.parts[2].samples)
    assert.same({ { height = 6, width = 8, samples = 3 } }, found.parts[1].sizes)
    assert.equal(asl.data.camvid({ root = root, split = "train" }):digest(), found.parts[1].digest)
    local pixels, ignored = asl.data.camvid({ root = root, split = "train" }):histogram()
    assert.equal(ignored, found.parts[1].ignored)
    for i, class in ipairs(found.parts[1].classes) do
      assert.same({ name = labels.camvid11.names[i], pixels = pixels[i] }, class)
    end
  end)

  it("writes size and digest of every file it read, and of no other", function()
    write_camvid { train = { "0001TP_000030", "0001TP_000060" } }
    pictures.write(root .. "/README.md", "not of the data set")
    assert.equal(0, run().code)
    local rows, lines = pictures.tsv(out .. "/manifest.tsv"), {}
    for i, row in ipairs(rows) do
      local bytes = fs.read(root .. "/" .. row.path)
      assert.equal(core.sha256(bytes), row.sha256)
      assert.equal(tostring(#bytes), row.bytes)
      lines[i] = row.path
    end
    assert.same({ "train.txt", "train/0001TP_000030.png", "train/0001TP_000060.png", "trainannot/0001TP_000030.png",
      "trainannot/0001TP_000060.png" }, lines)
    assert.is_nil(fs.stat(out .. "/manifest.tsv.part"))
    assert.is_nil(fs.stat(out .. "/complete.txt"))
  end)

  it("writes a report that needs nothing else, and a contact sheet", function()
    write_camvid { train = { "0001TP_000030" } }
    fs.mkdirs(root .. "/<b>")
    assert.equal(0, run().code)
    local page = fs.read(out .. "/report.html")
    assert.matches("^<!DOCTYPE html>\n<html lang=\"en\">", page)
    for address in page:gmatch 'src="([^"]*)"' do assert.matches("^data:image/png;base64,", address) end
    assert.is_nil(page:find "https?:")
    assert.is_nil(page:find "<script")
    assert.matches("SignSymbol", page)
    assert.matches("How to repeat it", page)
    local png = core.image_decode(fs.read(out .. "/sheet.png")):shape()
    assert.is_true(png[1] > 200 and png[2] >= 500)
  end)

  it("says the ranges of depth and flow", function()
    local given = { size = { 24, 32 }, sequences = 2, frames = 3 }
    local path = pack_rooms(given, root)
    local set = asl.data.rooms(given)
    local low, high = math.huge, 0
    for i = 1, #set do
      for _, row in ipairs(set:sample(i, { "depth" }).depth:totable()) do
        for _, z in ipairs(row) do low, high = math.min(low, z), math.max(high, z) end
      end
    end
    local result = run()
    assert.equal(0, result.code, result.err)
    local found = summary()
    assert.equal("pack", found.kind)
    assert.same({ low = low, high = high, known = 6 * 24 * 32 }, found.parts[1].depth)
    assert.is_true(found.parts[1].flow.longest > 0)
    assert.matches(("depth %.3g to %.3g m, known at 100.00 %%"):format(low, high):gsub("%%", "%%%%"), result.out)
    assert.equal(fs.basename(path), pictures.tsv(out .. "/manifest.tsv")[1].path)
  end)

  -- ---- what is wrong ---------------------------------------------------------------------------------------------------

  it("tells all that is missing or broken, each once, and ends with 65", function()
    write_camvid { train = { "0001TP_000030", "0001TP_000060", "0006R0_f00930", "0006R0_f00960" }, val = { "0016E5_07959" } }
    fs.remove(root .. "/train/0001TP_000030.png")
    fs.remove(root .. "/trainannot/0006R0_f00930.png")
    pictures.write(root .. "/train/0001TP_000060.png", "no picture")
    pictures.write(root .. "/valannot/0016E5_07959.png", core.png_encode(pictures.label(6, 8, function() return 77 end)))
    local result = run()
    assert.equal(65, result.code)
    assert.matches("\n4 problems:\n", result.out)
    local messages = {}
    for i, problem in ipairs(summary().problems) do messages[i] = problem.message end
    table.sort(messages)
    assert.equal(4, #messages)
    local list = root .. "/train.txt"
    assert.same({
      ("/SegNet/CamVid/train/0001TP_000030.png, which the list %s names, is not there"):format(list),
      ("/SegNet/CamVid/trainannot/0006R0_f00930.png, which the list %s names, is not there"):format(list),
      root .. "/train/0001TP_000060.png: neither PNG nor JPEG (first bytes 6e 6f 20 70)",
      root .. "/valannot/0016E5_07959.png: the label value 77 (row 1, column 1) is not in the table camvid11",
    }, messages)
    assert.matches("4 problems", fs.read(out .. "/report.html"))
    assert.equal(1, summary().parts[1].sound) -- of the two whose files are there
  end)

  it("tells every file that is missing in folders without lists", function()
    miniature_scannet.write(root, "scene0000_00", { form = "frames_25k", frames = { 0, 100, 200 },
      label = function() return 1 end })
    local scan = root .. "/scene0000_00"
    for _, name in ipairs { "depth/000000.png", "label/000000.png", "pose/000200.txt" } do fs.remove(scan .. "/" .. name) end
    local result = run()
    assert.equal(65, result.code)
    assert.matches("\n3 problems:\n", result.out)
    for _, name in ipairs { "depth/000000.png", "label/000000.png", "pose/000200.txt" } do
      assert.truthy(result.out:find(('cannot open "%s/%s"'):format(scan, name), 1, true), name)
    end
    assert.equal(1, summary().parts[1].sound)
  end)

  it("finds samples that are in two splits, and tells of shared sequences", function()
    miniature_coco.write(root)
    fs.mkdirs(root .. "/train2017")
    for _, id in ipairs { 9, 25, 30 } do
      fs.write(("%s/train2017/%012d.jpg"):format(root, id), fs.read(("%s/val2017/%012d.jpg"):format(root, id)))
    end
    fs.write(root .. "/annotations/instances_train2017.json", fs.read(root .. "/annotations/instances_val2017.json"))
    local result = run()
    assert.equal(65, result.code)
    assert.matches("instances train2017: 3 samples of it are in instances val2017 too: coco/000000000009, %.%.%.\n", result.out)
    fs.remove_tree(root)
    write_camvid { train = { "0001TP_000030", "0016E5_00390" }, val = { "0016E5_07959" } }
    result = run()
    assert.equal(0, result.code, result.out)
    assert.matches("note: train and val have 1 sequence in common: 0016E5\n", result.out)
  end)

  it("says what it looked for where it knows nothing", function()
    pictures.write(root .. "/a.txt", "words\n")
    local result = run()
    assert.equal(65, result.code)
    assert.matches("no data set that asl knows lies there; it looked for\n  pack        a file NAME.pack", result.err)
    assert.matches("\n  cityscapes  leftImg8bit/train, val, test and gtFine", result.err)
    fs.mkdirs(root .. "/below")
    pictures.write_folder(root .. "/below", 1, function() return pictures.pattern(4, 4) end,
      function() return pictures.label(4, 4, function() return 0 end) end)
    assert.matches("\nhint: asl data check " .. root:gsub("%p", "%%%0") .. "/below %(folder%)", run().err)
    local missing = program.run { "data", "check", root .. "/none" }
    assert.equal(65, missing.code)
    assert.matches("/none is not there\n", missing.err)
    assert.equal(64, program.run({ "data", "check" }).code)
    assert.matches("data check takes one file or folder", program.run({ "data", "check", root, "size=1,2" }).err)
    assert.matches("%-%-out is for asl data check", program.run({ "runs", "--out", out }).err)
  end)

  it("of what cannot be opened at all is an error", function()
    fs.mkdirs(root .. "/annotations")
    fs.mkdirs(root .. "/val2017")
    pictures.write(root .. "/annotations/mine.json", "{}")
    local result = run()
    assert.equal(65, result.code)
    assert.matches('\n1 problem:\n  coco: .*mine.json: it has no "images"', result.out)
  end)

  -- ---- going on --------------------------------------------------------------------------------------------------------

  it("does not read again what an earlier check read, unless it has changed", function()
    write_camvid { train = { "0001TP_000030", "0001TP_000060", "0006R0_f00930" } }
    local decoded, real = {}, core.survey
    core.survey = function(rows)
      for _, row in ipairs(rows) do decoded[#decoded + 1] = row[2] end
      return real(rows)
    end
    local function look()
      decoded = {}
      local memory = survey.memory(out .. "/part")
      local set = asl.data.camvid { root = root }
      survey.own_files(memory, "train", set)
      local counter = tally.new(set)
      local bar = { done = 0, update = function() end }
      survey.samples(memory, "train", set, function(_, found) counter:add(found) end, bar)
      memory:close()
      return counter:sum(), decoded
    end
    local first, all = look()
    assert.same({ 1, 2, 3 }, all)
    local second, none = look()
    assert.same({}, none)
    assert.same(first, second)
    local text = fs.read(out .. "/part") -- killed while it wrote the last line
    fs.write(out .. "/part", text:sub(1, -9))
    local third, last = look()
    assert.same({ 3 }, last)
    assert.same(first, third)
    pictures.write(root .. "/train/0001TP_000060.png", core.png_encode(pictures.pattern(6, 8)) .. "")
    os.execute("touch -d @1000000000 " .. root .. "/train/0001TP_000060.png")
    assert.same({ 2 }, select(2, look()))
    fs.write(out .. "/part", "not\njson\n")
    assert.same({ 1, 2, 3 }, select(2, look()))
    core.survey = real
  end)

  --- Calls f(count), count being how often core.survey was told to digest a path by then.
  local function counting_digests(f)
    local times, real <const> = {}, core.survey
    local _ <close> = setmetatable({}, { __close = function() core.survey = real end })
    core.survey = function(rows)
      for _, row in ipairs(rows) do
        for _, path in ipairs(row[3]) do times[path] = (times[path] or 0) + 1 end
      end
      return real(rows)
    end
    return f(function(path) return times[path] or 0 end)
  end

  local function survey_all(memory, set)
    local sound = 0
    survey.own_files(memory, "all", set)
    survey.samples(memory, "all", set, function() sound = sound + 1 end, { done = 0, update = function() end })
    return sound
  end

  it("digests a file that samples share once", function()
    local given = { size = { 4, 6 }, sequences = 4, frames = 10 }
    local path = pack_rooms(given, root)
    given.root = root
    local set = asl.data.rooms(given)
    counting_digests(function(count)
      local memory = survey.memory(out .. "/part")
      assert.equal(40, survey_all(memory, set))
      memory:close()
      assert.equal(1, count(path))
      assert.equal(core.sha256(fs.read(path)), memory.files[path].sha256)
      memory = survey.memory(out .. "/part")
      assert.equal(40, survey_all(memory, set))
      memory:close()
      assert.equal(1, count(path))
    end)
  end)

  it("tells once of a shared file that cannot be read, and does not try again", function()
    pictures.write_folder(root, 40, function() return pictures.pattern(4, 6) end,
      function() return pictures.label(4, 6, function() return 0 end) end)
    local lines = {}
    for i = 1, 40 do lines[i] = ("image/%d.png label/1.png\n"):format(i) end
    pictures.write(root .. "/list.txt", table.concat(lines))
    local set = asl.data.folder { root = root, list = root .. "/list.txt", classes = { "a" } }
    local path = root .. "/label/1.png"
    fs.remove(path)
    counting_digests(function(count)
      local memory = survey.memory(out .. "/part")
      assert.equal(0, survey_all(memory, set))
      memory:close()
      assert.equal(1, count(path))
      assert.equal(1, #memory.problems)
      assert.matches("cannot open .*/label/1%.png", memory.problems[1].message)
    end)
  end)

  it("decodes a sample again when a file that it shares has changed", function()
    miniature_coco.write(root)
    local json_path = root .. "/annotations/instances_val2017.json"
    local function sound_again()
      local decoded, real <const> = 0, core.survey
      local _ <close> = setmetatable({}, { __close = function() core.survey = real end })
      core.survey = function(rows)
        decoded = decoded + #rows
        return real(rows)
      end
      local memory = survey.memory(out .. "/part")
      assert.equal(3, survey_all(memory, asl.data.coco { root = root, split = "val" }))
      memory:close()
      return decoded
    end
    assert.equal(3, sound_again())
    assert.equal(0, sound_again())
    fs.write(json_path, fs.read(json_path) .. "\n")
    assert.equal(3, sound_again())
  end)

  it("stopped by SIGINT leaves what it has found, and is gone on with", function()
    pack_rooms({ size = { 192, 256 }, sequences = 6, frames = 10 }, root)
    local whole = run()
    assert.equal(0, whole.code, whole.err)
    local truth = { fs.read(out .. "/manifest.tsv"), fs.read(out .. "/summary.json") }
    fs.remove_tree(out)
    local arguments = { "data", "check", root, "--out", out }
    local stopped = trial.interrupt(arguments, "INT", trial.until_there(out .. "/manifest.tsv.part"))
    assert.equal(75, stopped.code, stopped.err)
    assert.matches("stopped by SIGINT\nhint: the same command goes on", stopped.err)
    assert.is_truthy(fs.stat(out .. "/manifest.tsv.part"))
    assert.is_nil(fs.stat(out .. "/report.html"))
    assert.equal(0, run().code)
    assert.same(truth, { fs.read(out .. "/manifest.tsv"), fs.read(out .. "/summary.json") })
  end)

  -- ---- parts -----------------------------------------------------------------------------------------------------------

  it("recognises each kind", function()
    local function kind_of(path)
      local kind, parts = recognise.at(path)
      local titles = {}
      for i, part in ipairs(kind and parts or {}) do titles[i] = part.title end
      return kind, table.concat(titles, ", ")
    end
    local function is(expected, titles, path)
      local kind, found = kind_of(path)
      assert.equal(expected, kind)
      assert.equal(titles, found)
    end
    miniature_coco.write(root .. "/coco")
    is("coco", "instances val2017, panoptic val2017, stuff val2017", root .. "/coco")
    for _, folder in ipairs { "leftImg8bit/train", "leftImg8bit/test", "gtFine/train", "leftImg8bit_sequence/val" } do
      fs.mkdirs(root .. "/cityscapes/" .. folder)
    end
    is("cityscapes", "train, test, val video", root .. "/cityscapes")
    local given = { frames = { 0 }, label = function() return 1 end }
    for _, scan in ipairs { "scene0000_00", "scene0011_00" } do
      given.form = "scans"
      miniature_scannet.write(root .. "/scannet/scans", scan, given)
      given.form = "frames_25k"
      miniature_scannet.write(root .. "/scannet/scannet_frames_25k", scan, given)
    end
    is("scannet", "scans train, scans val, frames_25k train, frames_25k val", root .. "/scannet")
    is("scannet", "scans train, scans val", root .. "/scannet/scans")
    fs.mkdirs(root .. "/s/scene0000_00")
    pictures.write(root .. "/s/scene0000_00/scene0000_00.sens", miniature_scannet.sens(1))
    is("scannet", "sens train", root .. "/s")
    is("sens", "scene0000_00.sens", root .. "/s/scene0000_00/scene0000_00.sens")
    fs.mkdirs(root .. "/sun/office/image")
    for _, name in ipairs { "intrinsics.txt", "scene.txt" } do pictures.write(root .. "/sun/office/" .. name, "") end
    is("sunrgbd", "all", root .. "/sun")
    is(nil, "", root)
    fs.mkdirs(root .. "/full/images")
    fs.mkdirs(root .. "/full/labels")
    pictures.write(root .. "/full/codes.txt", "")
    is("camvid", "all", root .. "/full")
    pack_rooms({ size = { 4, 4 }, sequences = 1, frames = 1 }, root .. "/packs")
    is("pack", "rooms-studio-train.pack", root .. "/packs")
    is("pack", "rooms-studio-train.pack", root .. "/packs/rooms-studio-train.pack")
  end)

  it("checks every part of a miniature of each kind", function()
    miniature_coco.write(root .. "/coco")
    miniature_scannet.write(root .. "/scans", "scene0000_00", { form = "scans", frames = { 0, 5 },
      label = function() return 21 end })
    pictures.write(root .. "/scene.sens", miniature_scannet.sens(3))
    for path, samples in pairs { coco = 6, scans = 2, ["scene.sens"] = 3 } do
      local result = program.run { "data", "check", root .. "/" .. path, "--out", out }
      assert.equal(0, result.code, result.out .. result.err)
      local count = 0
      for _, part in ipairs(summary().parts) do count = count + part.sound end
      assert.equal(samples, count)
    end
  end)

  -- Files below a folder, sorted.
  local function files_below(folder)
    local found = {}
    local function walk(path)
      for _, name in ipairs(fs.list(folder .. "/" .. path)) do
        local inner = path == "" and name or path .. "/" .. name
        if fs.stat(folder .. "/" .. inner).is_dir then walk(inner) else found[#found + 1] = inner end
      end
    end
    walk("")
    table.sort(found)
    return found
  end

  for _, kind in ipairs { "nyuv2", "hypersim" } do
    it("reads every file of a miniature of " .. kind, function()
      if not rawget(asl.data, kind) then return pending("there is no asl.data." .. kind) end
      require("spec.support.miniature." .. kind).write(root, { height = 12, width = 16 })
      assert.equal(kind, (recognise.at(root)))
      assert.equal(0, check.run { path = root, out = out, samples = 3, quiet = true })
      local titles, listed = {}, {}
      for i, part in ipairs(summary().parts) do
        titles[i] = part.title
        assert.equal(part.samples, part.sound)
      end
      assert.same({ "train", "val", "test" }, titles)
      for i, row in ipairs(pictures.tsv(out .. "/manifest.tsv")) do listed[i] = row.path end
      assert.same(files_below(root), listed)
    end)
  end

  it("looks at samples of all sequences", function()
    local set = asl.data.rooms { size = { 4, 4 }, sequences = 4, frames = 5 }
    local chosen, seen = sheet.choose(set, 8), {}
    for _, i in ipairs(chosen) do seen[set.sequences[i]] = (seen[set.sequences[i]] or 0) + 1 end
    for _, count in pairs(seen) do assert.equal(2, count) end
    assert.same({ 1, 2, 3 }, sheet.choose(set:take(3), 12))
    local loader <close> = sheet.loader()
    local row = sheet.row(set, 7, loader)
    local captions = {}
    for i, tile in ipairs(row.tiles) do captions[i] = tile.caption:gsub("%d+%.%d+", "N") end
    local longest = 0
    for _, line in ipairs(set:sample(7, { "flow" }).flow:totable()) do
      for _, uv in ipairs(line) do longest = math.max(longest, math.sqrt(uv[1] ^ 2 + uv[2] ^ 2)) end
    end
    -- In pixels of the sample, as far as the resampling keeps the longest.
    assert.near(longest, tonumber(row.tiles[4].caption:match "%d+%.%d+"), 0.1 * longest + 0.1)
    assert.same({ "image", "label", "depth N - N m", "flow to N px", "back flow to N px", "occluded" }, captions)
  end)

  it("can write every name there is", function()
    local seen = {}
    for _, name in ipairs(labels.list()) do
      for _, class in ipairs(labels.load(name).names) do
        for char in class:gmatch "%S" do seen[char] = true end
      end
    end
    for code = 48, 57 do seen[string.char(code)] = true end
    local box = table.concat(letters.line("\1", 1, "#", "."))
    local pictures_of = {}
    for char in pairs(seen) do
      local drawn = table.concat(letters.line(char, 1, "#", "."))
      assert.not_equal(box, drawn, "no letter " .. char)
      assert.is_nil(pictures_of[drawn], char)
      pictures_of[drawn] = char
    end
    assert.equal(letters.width("abc", 2), #letters.line("abc", 2, "#", ".")[1])
  end)

  it("digests files as a stream", function()
    local bytes = ("0123456789"):rep(60000)
    pictures.write(root .. "/file", bytes)
    assert.same({ core.sha256(bytes), #bytes }, { core.sha256_file(root .. "/file") })
    pictures.write(root .. "/file", "")
    assert.same({ core.sha256 "", 0 }, { core.sha256_file(root .. "/file") })
    assert.error_matches(function() core.sha256_file(root) end, "is a directory, not a file")
    assert.error_matches(function() core.sha256_file(root .. "/none") end, 'cannot open ".*/none": No such file')
  end)

  it("takes any label map for what it is: 16 bits, a palette, a picture", function()
    write_camvid { train = { "0001TP_000030", "0001TP_000060", "0001TP_000090" } }
    local function encode(kind, bits, ...)
      local values = { ... }
      return miniature_png.encode(kind, bits, 6, 8, function() return table.unpack(values) end)
    end
    pictures.write(root .. "/trainannot/0001TP_000030.png", encode("grey", 16, 5))
    pictures.write(root .. "/trainannot/0001TP_000060.png", encode("palette", 8, 4))
    pictures.write(root .. "/trainannot/0001TP_000090.png", encode("rgb", 8, 1, 2, 3))
    assert.equal(65, run().code)
    assert.equal(2, summary().parts[1].sound)
    assert.equal(48, summary().parts[1].classes[6].pixels)
    assert.equal(1, #summary().problems)
  end)

  -- ---- real samples ----------------------------------------------------------------------------------------------------

  for name, expected in pairs {
    camvid = { samples = 130, parts = 2 }, camvid_full = { samples = 3, parts = 1 }, cityscapes = { samples = 5, parts = 2 },
    sunrgbd = { samples = 2, parts = 1 }, coco = { samples = 4, parts = 1 },
  } do
    it("finds the real samples of " .. name .. " sound", function()
      local path = pictures.real(name)
      if not path then return pending("the real samples are not here: ../shared/data/" .. name) end
      assert.equal(0, check.run { path = path, out = out, samples = 2, quiet = true })
      local samples = 0
      for _, part in ipairs(summary().parts) do
        assert.equal(part.samples, part.sound)
        samples = samples + part.samples
      end
      assert.equal(expected.samples, samples)
      assert.equal(expected.parts, #summary().parts)
      local digests = {} -- in the README: digest, bytes, path
      for line in io.lines(path .. "/README.md") do
        local digest, bytes, file = line:match "^(%x+)%s+(%d+)%s+(%S+)"
        if digest and #digest == 64 then digests[file] = { digest, bytes } end
      end
      for _, row in ipairs(pictures.tsv(out .. "/manifest.tsv")) do
        assert.same(digests[row.path], { row.sha256, row.bytes }, row.path)
      end
    end)
  end
end)
