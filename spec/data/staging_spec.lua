local core = require "asl.core"
local damage = require "spec.support.damage"
local env = require "asl.env"
local fault = require "asl.fault"
local fs = require "asl.fs"
local program = require "spec.support.program"
local staging = require "asl.staging"

-- ---- tar files, made by hand so that they can be bad ----------------------------------------------

local function octal(value, n) return ("%0" .. n - 1 .. "o\0"):format(value) end

--- A header block. more: type ("0"), size (of the content), prefix, link, size_field, magic ("ustar\0" .. "00").
local function header(name, more)
  local function block(sum)
    local text = name .. ("\0"):rep(100 - #name) .. octal(420, 8) .. octal(0, 8) .. octal(0, 8)
      .. (more.size_field or octal(more.size or 0, 12)) .. octal(0, 12) .. sum .. (more.type or "0")
    local link = more.link or ""
    text = text .. link .. ("\0"):rep(100 - #link) .. (more.magic or "ustar\0" .. "00") .. ("\0"):rep(80)
    return text .. (more.prefix or "") .. ("\0"):rep(512 - #text - #(more.prefix or ""))
  end
  local sum = 0
  for _, byte in ipairs { block((" "):rep(8)):byte(1, 512) } do sum = sum + byte end
  return block(("%06o\0 "):format(sum))
end

local function padded(content) return content .. ("\0"):rep(-#content % 512) end

local function file(name, content, more)
  more = more or {}
  more.size = #content
  return header(name, more) .. padded(content)
end

local function folder(name) return header(name, { type = "5" }) end
local function pax(key, value, kind)
  local record = (" %s=%s\n"):format(key, value)
  local length = #record + #tostring(#record)
  if #tostring(length) > #tostring(#record) then length = length + 1 end
  return file("pax", length .. record, { type = kind or "x" })
end
local END = ("\0"):rep(1024)

describe("unpacking", function()
  local dir
  before_each(function() dir = fs.temp_dir() end)
  after_each(function() fs.remove_tree(dir) end)

  local function write(bytes, name)
    local path = fs.join(dir, name or "a.tar")
    fs.write(path, bytes, { durable = false })
    return path
  end

  --- Unpacks into a fresh folder; the last state and the folder.
  local function unpack(bytes, digest)
    local out = fs.join(dir, "out")
    fs.remove_tree(out)
    fs.mkdirs(out)
    local untar <close> = core.untar(write(bytes), out, digest)
    local state
    repeat state = untar:step(1 << 16) until state.done
    return state, out, digest and untar:digest()
  end

  local function cause_of(bytes)
    local ok, problem = pcall(unpack, bytes)
    return not ok and fault.cause(problem) or "no error"
  end

  --- path -> content of all files below a folder.
  local function tree(root, at, found)
    found = found or {}
    for _, name in ipairs(fs.list(at or root)) do
      local path = fs.join(at or root, name)
      if fs.stat(path).is_dir then tree(root, path, found) else found[path:sub(#root + 2)] = fs.read(path) end
    end
    return found
  end

  local long = ("d"):rep(60) .. "/" .. ("e"):rep(80) .. "/" .. ("f"):rep(90)
  local sample = folder "top/" .. file("top/empty", "") .. file("top/one.txt", "one") .. file("./top//./two", ("2"):rep(512))
    .. file("b", ("b"):rep(1300), { prefix = "top/deep/er" }) .. pax("path", long) .. file("short", "by pax")
    .. file("././@LongLink", long .. "2\0", { type = "L" }) .. file("short", "by GNU", { magic = "ustar  \0" })
    .. file("old", "v7", { type = "\0", magic = ("\0"):rep(8) })
  local content = { ["top/empty"] = "", ["top/one.txt"] = "one", ["top/two"] = ("2"):rep(512),
    ["top/deep/er/b"] = ("b"):rep(1300), [long] = "by pax", [long .. "2"] = "by GNU", old = "v7" }

  it("takes ustar, pax, GNU's and old names", function()
    local state, out = unpack(sample .. END)
    assert.same(content, tree(out))
    assert.equal(7, state.files)
    assert.equal(3 + 512 + 1300 + 6 + 6 + 2, state.bytes)
    assert.same({ 7, state.bytes }, { core.tree_size(out) })
    assert.equal(6 * 4096, state.room)
  end)

  it("counts the same without unpacking", function()
    local state = unpack(sample .. END)
    local untar <close> = core.untar(write(sample .. END))
    assert.is_true(untar:counts_fast())
    local counted = untar:step(1 << 30)
    assert.same({ state.files, state.bytes, state.room, true }, { counted.files, counted.bytes, counted.room, counted.done })
  end)

  it("takes what tar and gzip make", function()
    for _, format in ipairs { "ustar", "pax", "gnu" } do
      local source = fs.join(dir, "source-" .. format)
      local deep = ("n"):rep(90) .. "/" .. ("m"):rep(format == "ustar" and 50 or 120)
      local files = { ["a"] = "A", [deep .. "/z"] = ("z"):rep(70000) }
      fs.mkdirs(fs.join(source, deep))
      for name, bytes in pairs(files) do fs.write(fs.join(source, name), bytes, { durable = false }) end
      local made = program.shell(("tar --format=%s -C %s -cf %s/t.tar . && gzip -k -f %s/t.tar"):format(format, source, dir, dir))
      if made.code ~= 0 then
        pending("tar and gzip are not there: " .. made.err)
        return
      end
      for _, name in ipairs { "t.tar", "t.tar.gz" } do
        local bytes = fs.read(fs.join(dir, name))
        local _, out, digest = unpack(bytes, true)
        assert.same(files, tree(out))
        assert.equal(core.sha256(bytes), digest)
      end
    end
  end)

  it("refuses what leads out of the folder or is no file", function()
    for name, expected in pairs {
      ["/etc/passwd"] = "the name /etc/passwd is absolute", ["../x"] = "the name ../x leads out of the folder",
      ["a/../../x"] = "the name a/../../x leads out of the folder", ["a/.."] = "the name a/.. leads out of the folder",
      ["."] = "a file without a name",
    } do
      assert.equal(expected, cause_of(file(name, "x") .. END))
      if name ~= "." then assert.equal(expected, cause_of(folder(name) .. END)) end
    end
    assert.equal("the name ../x leads out of the folder", cause_of(pax("path", "../x") .. file("x", "x") .. END))
    assert.equal("the name /x is absolute", cause_of(file("l", "/x\0", { type = "L" }) .. file("x", "x") .. END))
    for kind, what in pairs { ["1"] = "a hard link", ["2"] = "a symbolic link", ["3"] = "a device", ["4"] = "a device",
      ["6"] = "a pipe", S = "a sparse file", M = "a part of a file", ["9"] = "of an unknown kind" } do
      assert.equal(("a/x is %s; only files and folders are taken"):format(what),
        cause_of(header("a/x", { type = kind, link = "/etc" }) .. END))
    end
    assert.equal("a sparse file, which is not taken; make the archive without them",
      cause_of(pax("GNU.sparse.major", "1") .. file("x", "x") .. END))
    assert.equal("one name or size for all entries", cause_of(pax("path", "x", "g") .. file("x", "x") .. END))
  end)

  it("refuses names that meet", function()
    assert.equal("x is in it twice", cause_of(file("x", "1") .. file("./x", "2") .. END))
    assert.equal("x is a file and also a folder", cause_of(file("x", "1") .. file("x/y", "2") .. END))
    assert.equal("x is in it twice", cause_of(folder "x" .. file("x", "1") .. END))
  end)

  it("refuses what is damaged, naming where", function()
    assert.equal("it is empty", cause_of "")
    assert.equal("it is no tar file", cause_of(("x"):rep(2000)))
    assert.equal("it is zip; a tar file is read, plain or compressed by gzip", cause_of "PK\3\4")
    assert.equal("it is xz; a tar file is read, plain or compressed by gzip", cause_of "\xfd7zXZ\0")
    local twice = file("one", "1") .. file("two", "2")
    assert.equal("the header after one does not match its checksum: it is damaged",
      cause_of(twice:sub(1, 1024) .. "x" .. twice:sub(1026) .. END))
    assert.equal("it ends too early, within or after two: it is cut off", cause_of(twice))
    assert.equal("a block of zeros stands after one", cause_of(twice:sub(1, 1024) .. ("\0"):rep(512) .. twice:sub(1025) .. END))
    assert.equal("its size is no octal number", cause_of(header("x", { size_field = "abcdefghijk\0" }) .. END))
    assert.equal("its size is too large", cause_of(header("x", { size_field = ("\xff"):rep(12) }) .. END))
    assert.equal("the folder x has 5 bytes", cause_of(header("x", { type = "5", size = 5 }) .. padded "12345" .. END))
    assert.equal("a pax header is damaged", cause_of(file("p", "99 path=x\n", { type = "x" }) .. file("x", "") .. END))
    assert.equal("a pax header is damaged", cause_of(file("p", "9path=xy\n", { type = "x" }) .. file("x", "") .. END))
    assert.equal("a name or pax header of 1048577 bytes", cause_of(header("p", { type = "x", size = (1 << 20) + 1 }) .. END))
    assert.equal("its last header belongs to nothing", cause_of(file("x", "") .. pax("path", "y") .. END))
  end)

  it("asks for room before it writes", function()
    local huge = header("huge", { size_field = "\x80" .. ("\0"):rep(5) .. "\x10" .. ("\0"):rep(5) })
    assert.matches("^huge has 17592186044416 bytes and the disk has room for %d+$", cause_of(huge .. END))
    assert.same({}, tree(fs.join(dir, "out")))
  end)

  local function gzipped(bytes)
    local made = program.shell("gzip -n <" .. program.quote(write(bytes, "plain")))
    return made.code == 0 and made.out or nil
  end

  it("is hostile-proof: cut anywhere it is an error", function()
    for _, bytes in ipairs { sample .. END, gzipped(sample .. END) } do
      damage.truncations(bytes, function(cut, length)
        assert.is_false((pcall(unpack, cut)), ("%d of %d bytes"):format(length, #bytes))
      end)
    end
  end)

  -- Of a plain archive, bytes of files may change unnoticed; everything else is an error, and nothing is written elsewhere.
  it("is hostile-proof: with bytes changed it is an error, or names and sizes are those of the archive", function()
    local bytes, errors = sample .. END, 0
    damage.flips(bytes, 1000, function(changed)
      local ok, state, out = pcall(unpack, changed)
      if ok then
        assert.same({ state.files, state.bytes }, { core.tree_size(out) })
      else
        errors = errors + 1
      end
    end)
    assert.is_true(errors > 300, errors)
    assert.same({ "a.tar", "out" }, fs.list(dir))
  end)

  it("is hostile-proof: compressed, changed bytes give an error or the same content", function()
    local bytes = gzipped(sample .. END)
    if not bytes then
      pending "gzip is not there"
      return
    end
    damage.flips(bytes, 1000, function(changed)
      local ok, _, out = pcall(unpack, changed)
      if ok then assert.same(content, tree(out)) end
    end)
  end)
end)

describe("staging", function()
  local dir, err
  before_each(function()
    dir, err = fs.temp_dir(), io.stderr
    fs.mkdirs(dir .. "/scratch")
    io.stderr = assert(io.open(dir .. "/err", "w")) -- luacheck: ignore 122
  end)
  after_each(function()
    io.stderr:close()
    io.stderr = err -- luacheck: ignore 122
    fs.write(dir .. "/none.lua", "return {}")
    env.use(dir .. "/none.lua") -- nobody after this reads a file of ours
    env.get "x"
    fs.remove_tree(dir)
  end)

  local function said()
    io.stderr:flush()
    return fs.read(dir .. "/err")
  end

  --- Written once, as its time counts.
  local function archive()
    local path = dir .. "/a.tar"
    local bytes = folder "nyu" .. file("nyu/a", "A") .. file("nyu/b/c", "C") .. END
    if not fs.stat(path) then fs.write(path, bytes, { durable = false }) end
    return path
  end

  local function entry(more)
    local given = { archive = archive(), scratch = dir .. "/scratch" }
    for key, value in pairs(more or {}) do given[key] = value end
    return given
  end

  local function problem_of(...)
    local ok, problem = fault.catch(...)
    assert.is_false(ok)
    return problem
  end

  it("unpacks once and finds it again", function()
    local path = staging.path("nyuv2", entry())
    assert.matches("^" .. dir:gsub("%p", "%%%0") .. "/scratch/asl%-staged/nyuv2%-%x+$", path)
    assert.equal("C", fs.read(path .. "/nyu/b/c"))
    assert.equal(path .. "/nyu", staging.path("nyuv2", entry { folder = "nyu" }))
    assert.is_nil(fs.stat(path .. ".part"))
    assert.equal(1, select(2, said():gsub("unpacking a.tar", "")))
  end)

  it("is what asl.env.path gives of an entry that is a table", function()
    fs.write(dir .. "/env.lua", ('return { scratch = %q, nyuv2 = { archive = %q, folder = "nyu" } }'):format(dir .. "/scratch",
      archive()))
    env.use(dir .. "/env.lua")
    assert.equal("A", fs.read(env.path("nyuv2", "") .. "/a"))
    assert.equal("/else", env.path("nyuv2", "/else"))
  end)

  -- Another process, as this one remembers what it found.
  local function again(given)
    local words = {}
    for key, value in pairs(given) do words[#words + 1] = ("%s = %q"):format(key, value) end
    return program.run({ "-e", ('print(require("asl.staging").path("nyuv2", { %s }))'):format(table.concat(words, ", ")) },
      { env = "TERM=dumb" })
  end

  it("is found by other processes, and made again where files are gone", function()
    local given = entry()
    local path = staging.path("nyuv2", given)
    local second = again(given)
    assert.same({ path .. "\n", "", 0 }, { second.out, second.err, second.code })
    fs.remove(path .. "/nyu/a")
    second = again(given)
    assert.equal(path .. "\n", second.out)
    assert.matches("asl: .* has 1 files with 1 bytes instead of 2 with 2: it is unpacked again", second.err)
    assert.equal("A", fs.read(path .. "/nyu/a"))
    fs.remove(path .. ".stamp") -- as if killed before the end
    fs.mkdirs(path .. ".part/half")
    assert.equal(0, again(given).code)
    assert.is_nil(fs.stat(path .. ".part"))
    assert.is_truthy(fs.stat(path .. ".stamp"))
  end)

  it("puts another version beside it", function()
    local first = staging.path("nyuv2", entry())
    local given = entry()
    fs.write(given.archive, file("other", "content") .. END, { durable = false })
    local second = staging.path("nyuv2", given)
    assert.not_equal(first, second)
    assert.same({ "other" }, fs.list(second))
    assert.same({ "nyu" }, fs.list(first))
  end)

  it("lets others wait while one unpacks", function()
    local given = entry()
    local script = ([[
      local core, staging = require "asl.core", require "asl.staging"
      local untar, count = core.untar, 0
      core.untar = function(...)
        if select("#", ...) > 1 then count = 1; core.ranks.pause(0.5) end -- slow, so that the others meet the lock
        return untar(...)
      end
      staging.path("nyuv2", { archive = %q, scratch = %q })
      print("unpacked", count)]]):format(given.archive, given.scratch)
    fs.write(dir .. "/one.lua", script)
    local one = ("%s %s/one.lua & "):format(program.quote(program.path()), dir)
    local result = program.shell(one .. one .. one .. "wait")
    local counts = {}
    for count in result.out:gmatch "unpacked%s(%d)" do counts[#counts + 1] = count end
    table.sort(counts)
    assert.same({ "0", "0", "1" }, counts, result.err)
    assert.matches("asl: waiting for process %d+ on [^\n]*, which unpacks [^\n]*a%.tar\n", result.err)
    assert.equal(1, select(2, result.err:gsub("100 %%", "")), result.err)
  end)

  it("takes over from a process that was killed", function()
    local given = entry()
    fs.write(dir .. "/killed.lua", ([[
      local core, staging = require "asl.core", require "asl.staging"
      local size = core.tree_size
      core.tree_size = function(path) os.execute("kill -9 $PPID"); return size(path) end
      staging.path("nyuv2", { archive = %q, scratch = %q })]]):format(given.archive, given.scratch))
    local killed = program.run { dir .. "/killed.lua" }
    assert.equal(137, killed.code)
    local left = fs.list(given.scratch .. "/asl-staged")
    assert.matches("%.part$", table.concat(left, "\n"):match "%S+%.part")
    local path = staging.path("nyuv2", given)
    assert.equal("A", fs.read(path .. "/nyu/a"))
    assert.is_nil(fs.stat(path .. ".part"))
  end)

  it("leaves nothing half when it fails or is interrupted", function()
    local function left() return table.concat(fs.list(dir .. "/scratch/asl-staged"), " ") end
    local bad = entry { archive = dir .. "/bad.tar" }
    fs.write(bad.archive, file("x", "x") .. header("l", { type = "2", link = "x" }) .. END, { durable = false })
    local problem = problem_of(staging.path, "nyuv2", bad)
    assert.equal(bad.archive .. ": l is a symbolic link; only files and folders are taken", problem.message)
    assert.equal(65, problem.exit_code)
    assert.matches("^%S+%.lock$", left())
    fs.remove_tree(dir .. "/scratch/asl-staged")
    local untar = core.untar
    core.untar = function(...)
      if select("#", ...) > 1 then error("interrupted", 0) end
      return untar(...)
    end
    local ok, what = pcall(staging.path, "nyuv2", entry())
    core.untar = untar
    assert.same({ false, "interrupted" }, { ok, what })
    assert.matches("^%S+%.lock$", left())
    assert.is_string(staging.path("nyuv2", entry()))
  end)

  it("compares the digest", function()
    local given = entry()
    local digest = core.sha256(fs.read(given.archive))
    assert.is_string(staging.path("nyuv2", entry { sha256 = digest:upper() }))
    local wrong = ("0"):rep(64)
    local problem = problem_of(staging.path, "nyuv2", entry { sha256 = wrong })
    assert.equal(("%s: its SHA-256 is %s, not %s"):format(given.archive, digest, wrong), problem.message)
    assert.equal(65, problem.exit_code)
  end)

  it("says what is missing", function()
    local problem = problem_of(staging.path, "nyuv2", entry { archive = dir .. "/nowhere.tar" })
    assert.equal(("nyuv2: the archive %s/nowhere.tar is not there"):format(dir), problem.message)
    assert.equal(74, problem.exit_code)
    problem = problem_of(staging.path, "nyuv2", entry { archive = dir })
    assert.equal("nyuv2: the archive " .. dir .. " is a folder", problem.message)
    problem = problem_of(staging.path, "nyuv2", entry { folder = "coco" })
    assert.equal(("nyuv2: there is no folder \"coco\" in %s/a.tar (there are: nyu)"):format(dir), problem.message)
    assert.equal(64, problem.exit_code)
    problem = problem_of(staging.path, "nyuv2", { archive = archive(), scratch = "" })
    assert.equal(("nyuv2: where is %s/a.tar to be unpacked?"):format(dir), problem.message)
    assert.matches('^nyuv2: unknown option "archiv"', problem_of(staging.path, "nyuv2", { archiv = "x" }).message)
    assert.equal('nyuv2: sha256 has 64 hex digits, not "12"', problem_of(staging.path, "nyuv2", entry { sha256 = "12" }).message)
  end)

  it("asks for room before", function()
    local free = core.free_bytes
    core.free_bytes = function() return 8191 end
    local problem = problem_of(staging.path, "nyuv2", entry())
    core.free_bytes = free
    assert.equal(("%s/a.tar needs 8 KiB; %s/scratch/asl-staged has 8 KiB"):format(dir, dir), problem.message)
    assert.equal(74, problem.exit_code)
  end)
end)
