-- bf16: stored and converted on the CPU; on devices that compute with it, in f32 and rounded once.

local asl = require "asl"
local devices = require "spec.support.devices"
local on = require "spec.support.on_device"

local ops = asl.ops
local randn, bytes_tensor, ints, whole = on.randn, on.bytes_tensor, on.ints, on.whole
local run, same_bytes = on.run, on.same_bytes
local close, strided, unaligned, fails = on.close, on.strided, on.unaligned, on.fails
local INF, NAN = math.huge, 0 / 0

local function on_device(specs) return devices.body({ it = it, pending = pending }, specs) end

--- The bytes of x as bf16, to nearest, ties to even.
local function bf16_bytes(x)
  local bits = string.unpack("<I4", string.pack("<f", x))
  if bits & 0x7fffffff > 0x7f800000 then return "\xff\x7f" end
  return string.pack("<I2", (bits + 0x7fff + (bits >> 16 & 1)) >> 16 & 0xffff)
end

describe("bf16 on the cpu", function()
  it("is converted from f32 to nearest, ties to even", function()
    local values = { 0, -0.0, 1, 1 + 2 ^ -8, 1 + 3 * 2 ^ -8, 1 + 2 ^ -8 + 2 ^ -20, -1 - 2 ^ -8, 3.4e38, -3.3895e38,
      1e-40, INF, -INF, NAN, 0.1, 1 / 3, 65535, 2 ^ -133, 2 ^ -134, 3 * 2 ^ -134 }
    local want = {}
    for k, v in ipairs(values) do want[k] = bf16_bytes(v) end
    assert.equal(table.concat(want), asl.tensor(values):to("bf16"):bytes())
  end)

  it("goes to f32 and back unchanged", function()
    local all = {}
    for bits = 0, 65535 do
      local nan = bits & 0x7fff > 0x7f80
      all[#all + 1] = string.pack("<I2", nan and 0x7fff or bits)
    end
    all = table.concat(all)
    local x = asl.frombytes(all, { 65536 }, "bf16")
    assert.is_true(x:to("f32"):to("bf16"):bytes() == all)
    assert.is_true(x:to("f64"):to("bf16"):bytes() == all)
  end)

  it("becomes whole numbers and comes from them", function()
    local x = asl.tensor({ 0.5, 1.5, 2.5, -3.5, 200 }):to("bf16")
    assert.same({ 0, 2, 2, -4, 200 }, x:to("i32"):totable())
    assert.same({ 0, 2, 2, -4, 200 }, x:to("i64"):totable())
    assert.same({ 7, 254, 255 }, bytes_tensor({ 7, 254, 255 }):to("bf16"):to("f32"):totable())
    assert.same({ -7, 256, 260, 65536 }, ints({ -7, 257, 259, 65535 }):to("bf16"):to("f32"):totable())
    fails("cast: -3.5 (element 4) does not fit into u8", function() x:to("u8") end)
  end)

  it("is filled, copied and moved by rows", function()
    local x = asl.full({ 3, 5 }, 0.1, { dtype = "bf16" })
    assert.equal(bf16_bytes(0.1):rep(15), x:bytes())
    x:slice(2, 2, 3):copy_(asl.full({ 3, 1 }, 2, { dtype = "bf16" }))
    assert.same({ 0.10009765625, 2, 2, 0.10009765625, 0.10009765625 }, x:to("f32"):select(1, 3):totable())
    assert.equal(x:bytes(), ops.gather_rows(x, ints { 1, 0, 2 }):select(1, 2):bytes():rep(3))
    assert.same({ 5, 3 }, x:permute(2, 1):contiguous():shape())
  end)

  it("does not compute", function()
    local x, message = asl.zeros({ 2 }, { dtype = "bf16" }), 'bf16 is not supported on the cpu: convert with :to("f32")'
    for _, name in ipairs { "add", "sub", "mul", "div", "maximum", "minimum", "equal", "greater", "accumulate" } do
      fails(name .. ": " .. message, function() ops[name](x, x) end)
    end
    for _, name in ipairs { "affine", "relu", "abs", "exp", "sign", "sum", "mean", "max", "argmax" } do
      fails(name .. ": " .. message, function() ops[name](x) end)
    end
    fails("sum_to: " .. message, function() ops.sum_to(x, x) end)
    fails("where: " .. message, function() ops.where(bytes_tensor { 0, 1 }, x, x) end)
  end)
end)

describe("bf16 on the device", on_device(function(device)
  --- The op in f32 on the cpu, of inputs that bf16 holds, rounded to bf16; and the op in bf16 on the device.
  local function both(name, inputs, options)
    local rounded, given = {}, {}
    for k, t in ipairs(inputs) do
      given[k] = t:dtype() == "f32" and t:to("bf16") or t
      rounded[k] = t:dtype() == "f32" and given[k]:to("f32") or t
    end
    local want, got = run("cpu", name, rounded, options), run(device, name, given, options)
    return want:dtype() == "f32" and want:to("bf16") or want, got
  end

  it("is converted as on the cpu", function()
    local values = asl.tensor { 1 + 2 ^ -8, 1 + 3 * 2 ^ -8, -1e-40, 3.4e38, INF, -INF, NAN, 0.1 }
    same_bytes(device, "cast", { values }, { dtype = "bf16" })
    same_bytes(device, "cast", { values:to("f64") }, { dtype = "bf16" })
    same_bytes(device, "cast", { randn({ 3, 41 }, 1):to("bf16") }, { dtype = "f32" })
    same_bytes(device, "cast", { strided(randn({ 3, 41 }, 1):to("bf16"), 2, 1) }, { dtype = "f64" })
    same_bytes(device, "cast", { strided(randn({ 3, 41 }, 1):to("bf16"), 2, 1) }, { dtype = "bf16" })
    same_bytes(device, "cast", { whole({ 99 }, 255, 1, "u8") }, { dtype = "bf16" })
    same_bytes(device, "cast", { randn({ 99 }, 1):to("bf16") }, { dtype = "i64" })
  end)

  it("is computed in f32 and rounded once", function()
    local a, b, mask = randn({ 3, 5, 24 }, 1), randn({ 3, 5, 24 }, 2), whole({ 3, 5, 24 }, 1, 3, "u8")
    for _, second in ipairs { b, randn({ 24 }, 4), randn({ 5, 1 }, 5), strided(b, 3, 1, 2) } do
      for _, name in ipairs { "add", "sub", "mul", "div", "maximum", "minimum", "greater", "equal" } do
        local want, got = both(name, { a, second })
        assert.is_true(want:bytes() == got:bytes(), name)
      end
      local want, got = both("where", { mask, a, second })
      assert.is_true(want:bytes() == got:bytes(), "where")
    end
    for _, name in ipairs { "relu", "abs", "sign", "concat" } do
      local want, got = both(name, { a })
      assert.is_true(want:bytes() == got:bytes(), name)
    end
    for _, name in ipairs { "exp", "sigmoid", "affine" } do
      local want, got = both(name, { a }, name == "affine" and { scale = 1.7, shift = 0.3 } or nil)
      close(want:to("f32"), got:to("f32"), 2 ^ -8)
    end
  end)

  it("has tails and places of every kind", function()
    for n = 1, 40 do
      local x = randn({ n }, n):to("bf16")
      local want = (x:to("f32") * 2):to("bf16"):bytes()
      assert.equal(want, ops.affine(x:to(device), { scale = 2 }):bytes())
      assert.equal(want, ops.affine(unaligned(x:to(device), 3), { scale = 2 }):bytes())
    end
  end)

  it("is summed in double", function()
    local x = randn({ 7, 300, 20 }, 1):to("bf16")
    local exact = x:to("f64")
    for dim = 0, 3 do
      local want = ops.sum(exact, { dim = dim }):to("f32"):to("bf16")
      assert.equal(want:bytes(), ops.sum(x:to(device), { dim = dim }):bytes())
    end
    local want = ops.mean(exact, { dim = 2 }):to("f32"):to("bf16")
    assert.equal(want:bytes(), ops.mean(x:to(device), { dim = 2 }):bytes())
    want = ops.sum_to(exact, asl.zeros({ 300, 1 }, { dtype = "f64" })):to("f32"):to("bf16")
    local like = asl.zeros({ 300, 1 }, { dtype = "bf16", device = device })
    assert.equal(want:bytes(), ops.sum_to(x:to(device), like):bytes())
  end)

  it("is what dropout and softmax take, and logits are", function()
    for seed, n in ipairs { 5, 32, 1001 } do
      local want, got = both("dropout", { randn({ n }, seed) }, { p = 0.3, seed = 3 })
      assert.equal(want:bytes(), got:bytes())
      for _, name in ipairs { "softmax", "log_softmax" } do
        want, got = both(name, { randn({ 4, n }, seed) })
        close(want, got, 2 ^ -7)
      end
    end
    local logits, labels = randn({ 2, 5, 6, 19 }, 1):to("bf16"), whole({ 2, 5, 6 }, 18, 2, "u8")
    local want = ops.cross_entropy(logits:to("f32"), labels)
    close(want, ops.cross_entropy(logits:to(device), labels:to(device)), 2e-6)
    local dloss = asl.tensor(1)
    want = run("cpu", "cross_entropy_backward", { logits:to("f32"), labels, false, false, false, dloss })
    close(want, run(device, "cross_entropy_backward", { logits, labels, false, false, false, dloss }), 2 ^ -8)
  end)

  it("is filled, copied, accumulated and moved by rows", function()
    local x = asl.full({ 5, 24 }, 0.1, { dtype = "bf16", device = device })
    assert.equal(bf16_bytes(0.1):rep(120), x:bytes())
    x:slice(2, 3, 7):copy_(randn({ 5, 5 }, 1):to("bf16"):to(device))
    local y = randn({ 5, 24 }, 2):to("bf16")
    local want = (x:to("cpu"):to("f32") + y:to("f32") * 0.5):to("bf16")
    assert.equal(want:bytes(), x:add_(y:to(device), 0.5):bytes())
    same_bytes(device, "gather_rows", { y, ints { 4, 0, 0 } })
    same_bytes(device, "scatter_rows", { y, ints { 4, 1 }, randn({ 2, 24 }, 3):to("bf16") })
    same_bytes(device, "concat", { y, randn({ 5, 3 }, 3):to("bf16") }, { dim = 2 })
  end)
end))
