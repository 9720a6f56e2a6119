local asl = require "asl"
local core = require "asl.core"
local damage = require "spec.support.damage"
local fs = require "asl.fs"
local json = require "asl.json"
local miniature_coco = require "spec.support.miniature.coco"
local miniature_scannet = require "spec.support.miniature.scannet"
local packed = require "asl.data.packed"
local pictures = require "spec.support.pictures"
local program = require "spec.support.program"
local trial = require "spec.support.trial"

local ROOMS = { domain = "lab", sequences = 2, frames = 3, size = { 12, 16 } }
local NAMES = { "a", "b", "c" }

local function with(given, more)
  local copy = {}
  for key, value in pairs(given) do copy[key] = value end
  for key, value in pairs(more) do copy[key] = value end
  return copy
end

local function pack(kind, options, out)
  return asl.data.pack { kind = kind, options = options, out = out, quiet = true }
end

--- All samples and what they are called are the same, bit for bit.
local function assert_same_samples(expected, actual)
  for _, name in ipairs { "name", "ids", "sequences", "frames", "class_names", "colours", "classes", "planes" } do
    assert.same(expected[name], actual[name])
  end
  for i = 1, #expected do
    local a, b = expected:sample(i), actual:sample(i)
    for _, plane in ipairs(expected.planes) do
      assert.same(a[plane]:shape(), b[plane]:shape())
      assert.equal(a[plane]:bytes(), b[plane]:bytes(), plane .. " of " .. expected.ids[i])
    end
  end
end

describe("a pack", function()
  local root, out
  before_each(function()
    root, out = fs.temp_dir(), fs.temp_dir()
  end)
  after_each(function()
    fs.remove_tree(root)
    fs.remove_tree(out)
  end)

  --- A folder of n samples, each of another size unless told otherwise.
  local function write_folder(n, size)
    local function label(i)
      local height, width = table.unpack(size or { 4 + i, 9 - i })
      return pictures.label(height, width, function(y, x) return (y * i + x) % 3 end)
    end
    pictures.write_folder(root, n, function(i)
      local shape = label(i):shape()
      return pictures.pattern(shape[1], shape[2])
    end, label)
    return { root = root, list = root .. "/list.txt", classes = NAMES, name = "mine" }
  end

  -- ---- the same samples ------------------------------------------------------------------------------------------------

  it("has every plane of rooms, bit for bit", function()
    local path = pack("rooms", ROOMS, out)
    assert.equal(out .. "/rooms-lab-train.pack", path)
    local expected, set = asl.data.rooms(ROOMS), asl.data.rooms(with(ROOMS, { root = out }))
    assert.same({ "image", "label", "depth", "flow", "flow_back", "occlusion", "intrinsics", "pose" }, set.planes)
    assert_same_samples(expected, set)
    assert.same({ "depth", "frame", "id", "sequence" }, (function()
      local names = {}
      for name in pairs(set:sample(2, { "depth" })) do names[#names + 1] = name end
      table.sort(names)
      return names
    end)())
  end)

  it("has samples of several sizes, or of the size they are read with", function()
    local given = write_folder(4)
    pack("folder", given, out)
    local set = asl.data.folder(with(given, { root = out }))
    assert_same_samples(asl.data.folder(given), set)
    assert.same({ 8, 5 }, set:sample(4).label:shape())
    local small = out .. "/small"
    pack("folder", with(given, { size = { 6, 7 } }), small)
    local expected = asl.data.folder(with(given, { size = { 6, 7 } }))
    assert_same_samples(expected, asl.data.folder(with(given, { root = small, size = { 6, 7 } })))
    assert_same_samples(expected, asl.data.folder(with(given, { root = small })))
  end)

  it("is opened by every constructor that made one", function()
    miniature_coco.write(root .. "/coco")
    miniature_scannet.write(root .. "/scans", "scene0000_00", { form = "frames_25k", frames = { 0, 100 },
      label = function(y, x) return (y + x) % 41 end })
    pictures.write(root .. "/scene.sens", miniature_scannet.sens(3))
    local cases = {
      { "coco", "root", { root = root .. "/coco", split = "val" } },
      { "coco", "root", { root = root .. "/coco", split = "val", kind = "stuff" } },
      { "scannet", "root", { root = root .. "/scans", classes = "scannet20" } },
      { "sens", "file", { file = root .. "/scene.sens", every = 2 } },
    }
    for _, kind in ipairs { "nyuv2", "hypersim" } do
      if rawget(asl.data, kind) then
        require("spec.support.miniature." .. kind).write(root .. "/" .. kind, { height = 12, width = 16 })
        cases[#cases + 1] = { kind, "root", { root = root .. "/" .. kind, split = "test", size = { 9, 8 } } }
      end
    end
    for i, case in ipairs(cases) do
      local kind, place, given = table.unpack(case)
      local folder = ("%s/%d"):format(out, i)
      local path = pack(kind, given, folder)
      local expected = asl.data[kind](given)
      assert_same_samples(expected, asl.data[kind](with(given, { [place] = folder })))
      assert_same_samples(expected, asl.data[kind](with(given, { [place] = path })))
    end
  end)

  it("gives the loader the same batches, augmented too", function()
    pack("rooms", ROOMS, out)
    local expected, set = asl.data.rooms(ROOMS), asl.data.rooms(with(ROOMS, { root = out }))
    for _, threads in ipairs { 0, 3 } do
      local loader <close> = asl.data.loader { threads = threads }
      local function batch(of, augment)
        local rows = {}
        for i = 1, 8 do rows[i] = { dataset = of, position = (i * 5) % #of + 1 } end
        return loader:wait(loader:request { rows = rows, size = { 10, 11 }, planes = of.planes, seed = 3, step = 4,
          augment = augment and asl.data.augment { scale = { 0.5, 2 }, flip = 0.5, rotate = 10, hue = 0.1 } or nil })
      end
      for _, augment in ipairs { false, true } do
        local a, b = batch(expected, augment), batch(set, augment)
        for _, plane in ipairs(set.planes) do assert.equal(a[plane]:digest(), b[plane]:digest(), plane) end
      end
    end
  end)

  it("is known by its content", function()
    local given = write_folder(2, { 4, 5 })
    pack("folder", given, out)
    local set = asl.data.folder(with(given, { root = out }))
    assert.equal(64, #set.fingerprints[1])
    assert.not_equal(set.fingerprints[1], set.fingerprints[2])
    assert.equal(set:digest(), asl.data.folder(with(given, { root = out })):digest())
    -- One pixel is another: the file has the same size.
    local image = root .. "/image/2.png"
    local changed = pictures.pattern(4, 5):bytes()
    pictures.write(image, core.png_encode(core.frombytes("\1" .. changed:sub(2), { 4, 5, 3 }, "u8")))
    local other = out .. "/other"
    pack("folder", given, other)
    local second = asl.data.folder(with(given, { root = other }))
    assert.equal(set.fingerprints[1], second.fingerprints[1])
    assert.not_equal(set:digest(), second:digest())
  end)

  -- ---- which pack ------------------------------------------------------------------------------------------------------

  it("is the one with the options that are given", function()
    pack("rooms", ROOMS, out)
    pack("rooms", with(ROOMS, { split = "val" }), out)
    assert.equal("rooms/lab/val", asl.data.rooms(with(ROOMS, { root = out, split = "val" })).name)
    assert.equal("rooms/lab/train", asl.data.rooms(with(ROOMS, { root = out, split = "train", cache = 1 })).name)
    local message = pictures.error_of(function() asl.data.rooms(with(ROOMS, { root = out, split = "test" })) end)
    local options = 'antialias=true, domain="lab", frames=3, seed=1, sequences=2, split='
    assert.equal(("asl.data.rooms: %s: there is no pack of rooms with %s\"test\" and size 12x16; it holds:\n"
      .. "  rooms-lab-train.pack: rooms with %s\"train\"; 6 samples, 12x16 (height x width)\n"
      .. "  rooms-lab-val.pack: rooms with %s\"val\"; 6 samples, 12x16 (height x width)")
      :format(out, options, options, options), tostring(message))
    assert.error_matches(function() asl.data.rooms(with(ROOMS, { root = out, size = { 12, 17 } })) end,
      'no pack of rooms with .* and size 12x17; it holds:')
    assert.matches('pack_spec.lua:%d+: asl.data.rooms: unknown option "domian" .* did you mean "domain"',
      pictures.error_of(function() asl.data.rooms(with(ROOMS, { root = out, domian = "lab" })) end))
    assert.error_matches(function() asl.data.camvid { root = out } end, 'no pack of camvid with split="train"; it holds:')
    fs.write(out .. "/copy.pack", fs.read(out .. "/rooms-lab-val.pack"))
    assert.error_matches(function() asl.data.rooms(with(ROOMS, { root = out, split = "val" })) end,
      "there are several packs of rooms with")
  end)

  it("is asked for with the options of its constructor, which are checked as it does", function()
    for _, kind in ipairs(packed.kinds()) do
      local given = { nonsense = 1, [packed.places[kind]] = kind ~= "rooms" and "/no/where" or nil }
      local expected = pictures.error_of(function() asl.data[kind](given) end)
      local message = pictures.error_of(function() packed.merged(kind, given) end)
      assert.matches(('^.*pack_spec.lua:%%d+: asl.data.%s: unknown option "nonsense" %%(known: '):format(kind), message)
      assert.equal(expected:gsub(":%d+:", ""), message:gsub(":%d+:", ""))
    end
    local merged = packed.merged("sens", { file = "a.sens", every = 3 })
    assert.same({ file = "a.sens", every = 3, label_ids = "scannet", classes = "nyu40", tracked = false }, merged)
  end)

  it("knows a list by its name, wherever it lies", function()
    local given = write_folder(2)
    pack("folder", given, out)
    assert.equal(2, #asl.data.folder(with(given, { root = out, list = "/elsewhere/list.txt" })))
    assert.error_matches(function() asl.data.folder(with(given, { root = out, list = "/elsewhere/other.txt" })) end,
      'list="other.txt".* it holds:\n  mine.pack: folder with .*list="list.txt".* 2 samples, of several sizes')
  end)

  it("does not take the place of another", function()
    pack("rooms", ROOMS, out)
    assert.error_matches(function() pack("rooms", with(ROOMS, { frames = 2 }), out) end,
      "rooms%-lab%-train%.pack is there already, with other options or of other data; remove it")
    assert.error_matches(function() pack("romos", ROOMS, out) end, 'there is no data set "romos" to pack %(there are: camvid')
    assert.error_matches(function() pack("rooms", with(ROOMS, { frame = 2 }), out) end, 'unknown option "frame"')
  end)

  -- ---- the same bytes --------------------------------------------------------------------------------------------------

  it("has the same bytes for any number of threads", function()
    local before, digests = core.threads(), {}
    for i, threads in ipairs { 1, 2, 5 } do
      core.threads(threads)
      digests[i] = core.sha256(fs.read(pack("rooms", ROOMS, ("%s/%d"):format(out, threads))))
    end
    core.threads(before)
    assert.same({ digests[1], digests[1], digests[1] }, digests)
  end)

  it("made again is only checked", function()
    local path = pack("rooms", ROOMS, out)
    local bytes, time = fs.read(path), fs.stat(path).mtime
    assert.equal(path, pack("rooms", ROOMS, out))
    assert.equal(time, fs.stat(path).mtime)
    local at = #bytes - 1000
    fs.write(path, bytes:sub(1, at - 1) .. string.char(bytes:byte(at) ~ 1) .. bytes:sub(at + 1))
    assert.error_matches(function() pack("rooms", ROOMS, out) end,
      "rooms%-lab%-train%.pack: sample 6: its bytes do not match their checksum: the file is damaged")
  end)

  it("goes on from wherever it was cut, or was damaged, to the same bytes", function()
    local path = pack("rooms", ROOMS, out)
    local part, bytes = path .. ".part", fs.read(path)
    local function assert_made_from(beginning)
      fs.remove(path)
      fs.write(part, beginning, { durable = false })
      pack("rooms", ROOMS, out)
      assert.equal(core.sha256(bytes), core.sha256(fs.read(path)))
      assert.is_nil(fs.stat(part))
    end
    for percent = 0, 100, 10 do assert_made_from(bytes:sub(1, #bytes * percent // 100)) end
    for i = 1, 4 do -- in samples: what was before it is kept
      local at = #bytes - i * 999
      assert_made_from(bytes:sub(1, at - 1) .. string.char(bytes:byte(at) ~ 255) .. bytes:sub(at + 1))
    end
    assert_made_from(bytes .. ("\0"):rep(5000)) -- a sample that was not written to its end
  end)

  it("that was begun with other options, or by another process, is not gone on with", function()
    local path = pack("rooms", ROOMS, out)
    fs.rename(path, path .. ".part")
    assert.error_matches(function() pack("rooms", with(ROOMS, { seed = 1, frames = 2 }), out) end,
      'rooms%-lab%-train%.pack%.part" is the beginning of another pack .* remove it')
    local writer <close> = core.pack_create { path = out .. "/x", header = "{}", count = 1, planes = { "image" }, classes = 1 }
    assert.equal(0, writer:done())
    assert.error_matches(function()
      core.pack_create { path = out .. "/x", header = "{}", count = 1, planes = { "image" }, classes = 1 }
    end, 'x%.part" is being written by another process')
    assert.error_matches(function() writer:room(1 << 62) end, 'x.part" needs %d+%.%d MiB more, and its disk has %d+%.%d MiB free')
    assert.error_matches(function() writer:finish() end, 'x.part" has 0 of 1 samples')
  end)

  it("stops at a sample that cannot be decoded, and goes on when it can", function()
    local given = write_folder(5)
    local image = fs.read(root .. "/image/3.png")
    pictures.write(root .. "/image/3.png", image:sub(1, -20) .. ("x"):rep(19))
    assert.error_matches(function() pack("folder", given, out) end, "^mine/image/3: .*image/3%.png: ")
    assert.is_nil(fs.stat(out .. "/mine.pack"))
    pictures.write(root .. "/image/3.png", image)
    pack("folder", given, out)
    assert_same_samples(asl.data.folder(given), asl.data.folder(with(given, { root = out })))
  end)

  it("of nothing is refused", function()
    local message = "a pack of 0 samples, 1 classes and 2 bytes of header"
    assert.error_matches(function()
      core.pack_create { path = out .. "/x", header = "{}", count = 0, planes = { "image" }, classes = 1 }
    end, message)
  end)

  -- ---- files from outside ----------------------------------------------------------------------------------------------

  --- Opens these bytes as a pack and reads all of it.
  local function read_all(bytes)
    local path = out .. "/hostile.pack"
    fs.write(path, bytes, { durable = false })
    local set = packed.dataset(packed.open(path))
    local digests = {}
    for i = 1, #set do
      local sample = set:sample(i)
      for _, plane in ipairs(set.planes) do digests[#digests + 1] = sample[plane]:digest() end
    end
    return digests
  end

  local function small_pack()
    return fs.read(pack("rooms", with(ROOMS, { size = { 4, 6 }, sequences = 1, frames = 2 }), out .. "/small"))
  end

  it("truncated anywhere is an error", function()
    damage.truncations(small_pack(), function(cut, length)
      local ok, message = pcall(read_all, cut)
      assert.is_false(ok, "read from " .. length)
      assert.matches("hostile%.pack: ", tostring(message))
    end)
  end)

  it("with a changed byte is an error: each is part of a checksum", function()
    damage.flips(small_pack(), 1000, function(changed, at)
      local ok, message = pcall(read_all, changed)
      assert.is_false(ok, "byte " .. at)
      assert.matches("hostile%.pack: ", tostring(message))
    end)
  end)

  local function bytes_of_hex(hex)
    return (hex:gsub("..", function(pair) return string.char(tonumber(pair, 16)) end))
  end

  local function padded(bytes)
    return bytes .. ("\0"):rep(-#bytes % 64)
  end

  --- A file whose checksums are all right, whatever is in it: samples = { { height, width, bytes }, ... }.
  local function forge(given)
    local header = given.header or "{}"
    local index_at = #padded(("x"):rep(64) .. header)
    local count = given.count or #given.samples
    local at, entries, content = index_at + 64 * (given.entries or #given.samples), {}, {}
    for i, sample in ipairs(given.samples) do
      local height, width, bytes = table.unpack(sample)
      local entry = string.pack("<I8I8I4I4I4", at + (sample.shift or 0), #bytes, height, width, core.crc32c(bytes))
      entries[i] = entry .. string.pack("<I4", core.crc32c(entry)) .. bytes_of_hex(core.sha256(bytes))
      content[i] = bytes
      at = at + #bytes
    end
    local file_bytes = given.file_bytes or at + 32
    local head = (given.magic or "ASL PACK") .. string.pack("<I4I4I8I8I8I4", given.version or 1, given.planes or 2,
      given.header_bytes or #header, count, file_bytes, given.classes or 3) .. ("\0"):rep(20)
    local front = padded(head .. header) .. table.concat(entries)
    return front .. table.concat(content) .. bytes_of_hex(core.sha256(front))
  end

  local LABELS = padded "\0\1\2\255"

  local function header(changes)
    return json.encode(with({ format = "asl pack 1", constructor = "folder", options = { a = 1 }, dataset = "d",
      class_names = { "a", "b", "c" }, colours = { { 1, 2, 3 }, { 4, 5, 6 }, { 7, 8, 9 } }, planes = { "label" },
      ids = { "x" }, sequences = { "s" }, frames = { 0 }, source_digest = "0" }, changes or {}))
  end

  it("that is forged with right checksums is an error that says what cannot be", function()
    local good = { samples = { { 2, 2, LABELS } }, header = header() }
    assert.equal(1, #read_all(forge(good)))
    local cases = {
      { { magic = "ASL PACC" }, 'no pack: it does not begin with "ASL PACK"' },
      { { version = 2 }, "a pack of version 2; this program reads version 1" },
      { { file_bytes = 0 }, "it is not finished; the command that began it goes on with it" },
      { { file_bytes = 1 << 50 }, "it has %d+ bytes and says 1125899906842624: it is cut off or damaged" },
      { { count = 0 }, "0 samples and a header of %d+ bytes do not fit" },
      { { count = 1 << 58 }, "288230376151711744 samples and a header of %d+ bytes do not fit" },
      { { header_bytes = 1 << 62 }, "1 samples and a header of 4611686018427387904 bytes do not fit" },
      { { planes = 0 }, "planes 0 and 3 classes; planes are below 0x100" },
      { { planes = 1 << 20 }, "planes 0x100000 and 3 classes" },
      { { classes = 0 }, "planes 0x2 and 0 classes" },
      { { classes = 2 }, "its header has 3 \"class_names\"; expected 2" },
      { { samples = { { 1 << 20, 1 << 20, LABELS } } }, "sample 1: its index entry: a picture of 1048576x1048576" },
      { { samples = { { 0, 2, LABELS } } }, "sample 1: its index entry: a picture of 2x0" },
      { { samples = { { 16, 16, LABELS } } }, "sample 1: its index entry says 64 bytes at %d+; 16x16 pixels .* there are 256" },
      { { samples = { { 2, 2, LABELS, shift = 64 } } }, "sample 1: its index entry says 64 bytes at %d+; 2x2 pixels" },
      { { samples = { { 2, 2, padded "\0\1\3\255" } } }, "sample 1: the label 3 %(row 2, column 1%) of 3 classes" },
      { { header = "[" }, "hostile.pack" },
      { { header = "[]" }, 'its header does not say "asl pack 1"' },
      { { header = header { format = "asl pack 2" } }, 'its header does not say "asl pack 1"' },
      { { header = header { ids = { "x", "y" } } }, 'its header has 2 "ids"; expected 1' },
      { { header = header { ids = { 1 } } }, '"ids"%[1%] is not what it must be' },
      { { header = header { frames = { 0.5 } } }, '"frames"%[1%] is not what it must be' },
      { { header = header { colours = { { 1, 2, 3 }, { 4, 5, 6 }, { 7, 8, 900 } } } }, '"colours"%[3%] is not what it must be' },
      { { header = header { planes = { "image" } } }, "its header names other planes than its head" },
      { { header = header { sequences = false } }, 'its header has no list "sequences"' },
      { { header = header { options = 1 } }, "its header has no options" },
      { { header = header { dataset = 1 } }, 'its header has no text "dataset"' },
      { { samples = { { 2, 2, LABELS }, { 2, 2, LABELS } },
        header = header { ids = { "x", "x" }, sequences = { "s", "s" }, frames = { 0, 1 } } },
        'the samples 1 and 2 are both "x"' },
    }
    for _, case in ipairs(cases) do
      local message = pictures.error_of(function() read_all(forge(with(good, case[1]))) end)
      assert.matches(case[2], tostring(message))
      assert.matches("hostile%.pack", tostring(message))
    end
    for _, text in ipairs { "", "ASL PACK", ("x"):rep(500) } do
      assert.error_matches(function() read_all(text) end, "hostile%.pack: it is")
    end
    assert.error_matches(function() packed.open(out) end, "it is no file")
    assert.error_matches(function() packed.open(out .. "/none.pack") end, "none%.pack: cannot open it: No such file")
  end)

  it("that is cut after it was opened is an error", function()
    local path = pack("rooms", ROOMS, out)
    local set = asl.data.rooms(with(ROOMS, { root = out }))
    set:sample(6)
    local file = fs.append(path)
    local size = file:size()
    file:truncate(size - 4096)
    file:close()
    assert.error_matches(function() set:sample(6) end, ("it had %d bytes when it was opened and has %d now"):format(size,
      size - 4096))
  end)

  it("is compared with its checksums when a sample is first touched", function()
    local path = pack("rooms", ROOMS, out)
    local bytes = fs.read(path)
    local function change()
      local file <close> = assert(io.open(path, "r+b"))
      file:seek("set", #bytes - 100)
      file:write(string.char(bytes:byte(#bytes - 99) ~ 7))
    end
    local touched, untouched = asl.data.rooms(with(ROOMS, { root = out })), asl.data.rooms(with(ROOMS, { root = out }))
    touched:sample(6)
    change()
    touched:sample(6)
    untouched:sample(5)
    assert.error_matches(function() untouched:sample(6) end, "sample 6: its bytes do not match their checksum")
  end)

  -- ---- the command -----------------------------------------------------------------------------------------------------

  local COMMAND = { "data", "pack", "rooms", "domain=lab", "sequences=6", "frames=10", "size=96,128" }

  it("killed at any moment is gone on with by the same command, to the same bytes", function()
    local function command(folder) return table.move(COMMAND, 1, #COMMAND, 1, {}), folder end
    local function run(folder)
      local arguments = command()
      arguments[#arguments + 1] = folder
      return program.run(arguments)
    end
    local began = core.monotonic()
    local whole = run(out .. "/whole")
    local seconds = core.monotonic() - began
    assert.equal(0, whole.code, whole.err)
    assert.equal(out .. "/whole/rooms-lab-train.pack\n", whole.out)
    local killed = 0
    for i = 1, 6 do
      local arguments = command()
      arguments[#arguments + 1] = out .. "/killed"
      local result = trial.interrupt(arguments, i % 2 == 0 and "KILL" or "INT", ("sleep %.3f"):format(seconds * (0.2 + 0.1 * i)))
      if result.code ~= 0 then
        assert.is_true(result.code == 137 or result.code == 75, result.code .. result.err)
        killed = killed + 1
      end
    end
    local last = run(out .. "/killed")
    assert.equal(0, last.code, last.err)
    assert.is_true(killed > 0)
    assert.equal(core.sha256(fs.read(out .. "/whole/rooms-lab-train.pack")),
      core.sha256(fs.read(out .. "/killed/rooms-lab-train.pack")))
    assert.is_nil(fs.stat(out .. "/killed/rooms-lab-train.pack.part"))
  end)

  it("refuses what it cannot understand", function()
    local usage = program.run { "data", "pack", "rooms" }
    assert.equal(64, usage.code)
    assert.matches("data pack takes the name of a data set, its options as key=value, and a folder for the pack", usage.err)
    local kind = program.run { "data", "pack", "romos", out }
    assert.equal(64, kind.code)
    assert.matches('there is no data set "romos" to pack', kind.err)
    local option = program.run { "data", "pack", "rooms", "domian=lab", out }
    assert.matches('asl.data.rooms: unknown option "domian"', option.err)
    local missing = program.run { "data", "pack", "cityscapes", "root=/no/where", out }
    assert.equal(65, missing.code)
    assert.matches('root = "/no/where": not there', missing.err)
    assert.equal(64, program.run({ "data", "pack", "rooms", "--out", out, out }).code)
  end)
end)
