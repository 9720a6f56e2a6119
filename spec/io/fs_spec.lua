local core = require "asl.core"
local fs = require "asl.fs"

-- Runs `check(dir)` on a file system of 64 KiB; pending when this user may not mount one.
local function on_small_disk(dir, check)
  local mounted = os.execute(("mount -t tmpfs -o size=64k tmpfs '%s' 2>/dev/null"):format(dir))
  if not mounted then
    pending("mounting a tmpfs is not allowed here, so the disk cannot be filled")
    return
  end
  local ok, message = pcall(check, dir)
  os.execute(("umount '%s'"):format(dir))
  if not ok then error(message, 0) end
end

describe("asl.fs", function()
  local dir

  before_each(function() dir = fs.temp_dir() end)
  after_each(function() fs.remove_tree(dir) end)

  it("makes directories with their parents, and again", function()
    local path = fs.join(dir, "a/b/c")
    fs.mkdirs(path)
    fs.mkdirs(path)
    assert.is_true(fs.stat(path).is_dir)
  end)

  it("says why a directory cannot be made", function()
    fs.write(fs.join(dir, "file"), "x")
    local ok, message = pcall(fs.mkdirs, fs.join(dir, "file/sub"))
    assert.is_false(ok)
    assert.matches('cannot create the directory ".*/file": Not a directory', message)
  end)

  it("lists names sorted by bytes", function()
    for _, name in ipairs { "b", "a", "B", "a.1", "ä" } do
      fs.write(fs.join(dir, name), name)
    end
    assert.same({ "B", "a", "a.1", "b", "ä" }, fs.list(dir))
  end)

  it("tells what is there", function()
    local path = fs.join(dir, "file")
    assert.is_nil(fs.stat(path))
    fs.write(path, "12345")
    local info = fs.stat(path)
    assert.equal(5, info.size)
    assert.is_false(info.is_dir)
    assert.is_true(math.abs(info.mtime - core.now()) < 60)
  end)

  it("reads back every byte it wrote", function()
    local bytes = {}
    for i = 0, 255 do
      bytes[#bytes + 1] = string.char(i)
    end
    local text = table.concat(bytes):rep(100)
    fs.write(fs.join(dir, "file"), text)
    assert.equal(text, fs.read(fs.join(dir, "file")))
  end)

  it("refuses to read more than the cap, directories and what is not there", function()
    fs.write(fs.join(dir, "file"), ("x"):rep(100))
    assert.error_matches(function() fs.read(fs.join(dir, "file"), 99) end, "has 100 bytes; at most 99 are read")
    assert.error_matches(function() fs.read(dir) end, "is a directory, not a file")
    assert.error_matches(function() fs.read(fs.join(dir, "none")) end, 'cannot open ".*none": No such file')
    assert.error_matches(function() fs.read("/dev/zero") end, "is a device or pipe, not a file")
    assert.error_matches(function() fs.read("a\0b") end, "no NUL")
  end)

  it("replaces a file in one step and leaves nothing beside it", function()
    local path = fs.join(dir, "file")
    fs.write(path, "old")
    fs.write(path, "new")
    assert.equal("new", fs.read(path))
    assert.same({ "file" }, fs.list(dir))
  end)

  it("keeps the old file when the disk is full, and says so", function()
    on_small_disk(dir, function()
      local path = fs.join(dir, "file")
      fs.write(path, "good")
      local ok, message = pcall(fs.write, path, ("x"):rep(100000))
      assert.is_false(ok)
      assert.matches('cannot write ".*/file": No space left on device %(100000 bytes', message)
      assert.equal("good", fs.read(path))
      assert.same({ "file" }, fs.list(dir))
    end)
  end)

  it("appends a record wholly or not at all when the disk is full", function()
    on_small_disk(dir, function()
      local file = fs.append(fs.join(dir, "log"))
      file:write("first")
      assert.error_matches(function() file:write(("x"):rep(100000)) end, "No space left on device")
      assert.equal(5, file:size())
      assert.equal("first", fs.read(fs.join(dir, "log")))
      file:write("second")
      file:close()
      assert.equal("firstsecond", fs.read(fs.join(dir, "log")))
    end)
  end)

  it("appends, cuts and goes on", function()
    local file = fs.append(fs.join(dir, "log"))
    file:write("hello")
    file:sync()
    file:truncate(2)
    file:write("y")
    assert.equal(3, file:size())
    assert.has_error(function() file:truncate(4) end)
    file:close()
    assert.has_error(function() file:write("x") end)
    assert.equal("hey", fs.read(fs.join(dir, "log")))
  end)

  it("gives a lock to one only, and names the owner", function()
    local path = fs.join(dir, "lock")
    assert.is_false(fs.locked(path))
    local lock = fs.lock(path)
    assert.is_true(fs.locked(path))
    local ok, message = pcall(fs.lock, path)
    assert.is_false(ok)
    assert.matches("is locked by process " .. core.pid() .. " on ", message)
    lock:release()
    assert.is_false(fs.locked(path))
    fs.lock(path):release()
  end)

  it("removes a tree without following links", function()
    fs.mkdirs(fs.join(dir, "outside"))
    fs.write(fs.join(dir, "outside/kept"), "x")
    fs.mkdirs(fs.join(dir, "tree/sub"))
    fs.write(fs.join(dir, "tree/sub/file"), "x")
    os.execute(("ln -s '%s/outside' '%s/tree/link'"):format(dir, dir))
    fs.remove_tree(fs.join(dir, "tree"))
    fs.remove_tree(fs.join(dir, "tree"))
    assert.same({ "outside" }, fs.list(dir))
    assert.equal("x", fs.read(fs.join(dir, "outside/kept")))
  end)

  it("takes paths apart and joins them", function()
    assert.equal("a/b", fs.join("a/", "b"))
    assert.equal("/b", fs.join("a", "/b"))
    assert.equal("c", fs.basename("/a/b/c"))
    assert.equal("/a/b", fs.dirname("/a/b/c"))
    assert.equal(".", fs.dirname("c"))
    assert.equal("/", fs.dirname("/c"))
    assert.equal("a_b_c.d", fs.slug("a/b c.d"))
    assert.equal("_.", fs.slug(".."))
  end)
end)
