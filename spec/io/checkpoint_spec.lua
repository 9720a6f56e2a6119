local asl = require "asl"
local checkpoint = require "asl.checkpoint"
local core = require "asl.core"
local fs = require "asl.fs"

local function sample_state()
  return {
    step = 17, lr = 0.003, name = "fast_scnn", flag = true, off = false, big = math.mininteger, one = 1.0,
    list = { 1, 2, { 3, { 4 } } }, empty = {}, sparse = { [3] = "c", [10] = "j", name = "x" },
    strange = { ["$"] = "tensor", [""] = 1 }, bytes = "\0\xff\x80", inf = math.huge, nan = 0 / 0,
    net = { weight = asl.tensor { { 1, 2, 3 }, { 4, 5, 6 } }, labels = asl.tensor({ 0, 255, 7 }, { dtype = "u8" }) },
    nothing = asl.zeros { 0, 4 },
  }
end

-- Tensors as plain data, NaN as a word, so that states can be compared.
local function plain(value)
  if type(value) == "userdata" then
    return { dtype = value:dtype(), shape = value:shape(), digest = value:digest() }
  elseif type(value) == "table" then
    local out = {}
    for key, item in pairs(value) do
      out[key] = plain(item)
    end
    return out
  elseif value ~= value then
    return "NaN"
  end
  return math.type(value) == "float" and { float = string.pack("<d", value) } or value
end

describe("asl.checkpoint", function()
  local dir, path

  before_each(function()
    dir = fs.temp_dir()
    path = fs.join(dir, "state.ckpt")
  end)
  after_each(function() fs.remove_tree(dir) end)

  it("gives back values, types and bits", function()
    local state = sample_state()
    checkpoint.save(path, state)
    assert.same(plain(state), plain(checkpoint.load(path)))
    assert.same({ "state.ckpt" }, fs.list(dir))
  end)

  it("writes the same bytes for the same state", function()
    checkpoint.save(path, sample_state())
    local first = fs.read(path)
    checkpoint.save(path, sample_state())
    assert.equal(first, fs.read(path))
    checkpoint.save(path, checkpoint.load(path))
    assert.equal(first, fs.read(path))
  end)

  it("stores a tensor once that the state holds twice", function()
    local tensor = asl.zeros { 1000 }
    checkpoint.save(path, { a = tensor, b = tensor })
    assert.is_true(fs.stat(path).size < 5000)
    local state = checkpoint.load(path)
    assert.equal(state.a, state.b)
  end)

  it("names what a state cannot hold", function()
    local loop = {}
    loop.loop = loop
    local cases = {
      { { a = { b = print } }, "state%.a%.b is a function" },
      { { a = setmetatable({}, { __index = {} }) }, "state%.a is a table with a metatable" },
      { { a = { [1.5] = 1 } }, "state%.a is a table with the key 1%.5" },
      { loop, "nested too deep, or inside itself" },
    }
    for _, case in ipairs(cases) do
      assert.error_matches(function() checkpoint.save(path, case[1]) end, case[2])
    end
    assert.is_nil(fs.stat(path))
  end)

  it("refuses a file cut off anywhere", function()
    checkpoint.save(path, sample_state())
    local bytes = fs.read(path)
    local broken = fs.join(dir, "broken.ckpt")
    for percent = 0, 99 do
      fs.write(broken, bytes:sub(1, #bytes * percent // 100), { durable = false })
      local ok, message = pcall(checkpoint.load, broken)
      assert.is_false(ok)
      assert.matches('broken%.ckpt" is no valid checkpoint: ', message)
    end
  end)

  it("refuses a file with any bit turned", function()
    checkpoint.save(path, sample_state())
    local bytes = fs.read(path)
    local broken = fs.join(dir, "broken.ckpt")
    for i = 1, 200 do
      local at = (i * 7919) % #bytes + 1
      local flipped = string.char(bytes:byte(at) ~ (1 << i % 8))
      fs.write(broken, bytes:sub(1, at - 1) .. flipped .. bytes:sub(at + 1), { durable = false })
      local ok, message = pcall(checkpoint.load, broken)
      assert.is_false(ok)
      assert.matches("is no valid checkpoint", message)
    end
  end)

  describe("with a right digest and a wrong header", function()
    -- A container as an attacker would make it: the frame is right, what it says is not.
    local function forge(header, data)
      local padded = "ASLCKPT1" .. string.pack("<I8", #header) .. header
      padded = padded .. ("\0"):rep(-#padded % 64) .. data
      padded = padded .. ("\0"):rep(-#padded % 64)
      local digest = core.sha256(padded):gsub("%x%x", function(hex) return string.char(tonumber(hex, 16)) end)
      fs.write(path, padded .. digest .. string.pack("<I8", #padded + 40))
    end

    local function described(dtype, shape)
      return ('{"state":{"$":"tensor","index":1},"tensors":[{"dtype":"%s","shape":%s}]}'):format(dtype, shape)
    end

    it("accepts it when all is right", function()
      forge(described("f32", "[2]"), string.pack("<ff", 1, 2))
      assert.same({ 1, 2 }, checkpoint.load(path):totable())
    end)

    local cases = {
      ["a tensor larger than the file"] = { described("f32", "[1000000000000]"), "reaches over the end" },
      ["sizes that overflow"] = { described("f32", "[4611686018427387904,4]"), "impossible shape" },
      ["sizes that overflow beside a zero"] =
        { described("f32", "[0,4611686018427387904,4611686018427387904]"), "impossible shape" },
      ["a negative size"] = { described("f32", "[-1]"), "impossible shape" },
      ["too many dimensions"] = { described("f32", "[1,1,1,1,1,1,1]"), "at most 6 dimensions" },
      ["a size that is no integer"] = { described("f32", "[1.5]"), "sizes must be integers" },
      ["an unknown dtype"] = { described("f16", "[2]"), "no such dtype" },
      ["fewer tensors than bytes"] = { '{"state":1,"tensors":[]}', "holds more than its header names" },
      ["a tensor that is not there"] =
        { '{"state":{"$":"tensor","index":2},"tensors":[{"dtype":"f32","shape":[2]}]}', "there is no tensor 2" },
      ["an unknown kind"] =
        { '{"state":{"$":"code"},"tensors":[{"dtype":"f32","shape":[2]}]}', 'unknown kind "code"' },
      ["a header that is no JSON"] = { "return os.exit()", "is no valid checkpoint" },
      ["a header without tensors"] = { "[]", "is no valid checkpoint" },
      ["a state of another shape"] =
        { '{"state":{"$":"map","keys":1},"tensors":[{"dtype":"f32","shape":[2]}]}', "is no valid checkpoint" },
    }
    for what, case in pairs(cases) do
      it("refuses " .. what, function()
        forge(case[1], string.pack("<ff", 1, 2))
        local ok, message = pcall(checkpoint.load, path)
        assert.is_false(ok)
        assert.matches("state%.ckpt\" is no valid checkpoint: ", message)
        assert.matches(case[2], message)
      end)
    end
  end)

  describe("generations", function()
    local function save(step) checkpoint.save_generation(dir, step, { step = step }) end
    local function damage(step)
      local file = fs.join(dir, ("step-%010d.ckpt"):format(step))
      local bytes = fs.read(file)
      fs.write(file, bytes:sub(1, 20) .. "X" .. bytes:sub(22))
    end
    local function no_warning(message) error("unexpected: " .. message) end

    it("keeps the newest two", function()
      for step = 10, 50, 10 do
        save(step)
      end
      assert.same({ "step-0000000040.ckpt", "step-0000000050.ckpt" }, fs.list(dir))
      local state, step = checkpoint.load_newest(dir, no_warning)
      assert.same({ step = 50 }, state)
      assert.equal(50, step)
    end)

    it("falls back to the one before, loudly", function()
      save(10)
      save(20)
      damage(20)
      local said = {}
      local state, step = checkpoint.load_newest(dir, function(message) said[#said + 1] = message end)
      assert.same({ step = 10 }, state)
      assert.equal(10, step)
      assert.equal(1, #said)
      assert.matches('step%-0000000020%.ckpt" is no valid checkpoint: its content does not match', said[1])
    end)

    it("does not begin anew when all are damaged", function()
      save(10)
      damage(10)
      assert.error_matches(function() checkpoint.load_newest(dir, function() end) end,
        "none of the 1 checkpoints in .* can be read")
    end)

    it("has nothing in an empty directory", function()
      assert.is_nil(checkpoint.load_newest(dir, no_warning))
    end)

    it("clears away what a killed process left half-written", function()
      fs.write(fs.join(dir, "step-0000000005.ckpt.tmp-123"), "half")
      save(10)
      assert.same({ "step-0000000010.ckpt" }, fs.list(dir))
    end)
  end)
end)
