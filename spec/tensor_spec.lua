-- Tensors in Lua: making, reading, shaping, operators, printing.

local asl = require "asl"
local oracle = require "spec.support.oracle"

local USER = 16 -- the purpose in the generator's key for asl.rand and asl.randn

describe("a tensor is made", function()
  it("from numbers and nested tables, f32 unless told", function()
    local t = asl.tensor { { 1, 2, 3 }, { 4, 5, 6.5 } }
    assert.same({ 2, 3 }, t:shape())
    assert.equal("f32", t:dtype())
    assert.equal("cpu", t:device())
    assert.equal(6, t:count())
    assert.equal(2, t:rank())
    assert.same({ { 1, 2, 3 }, { 4, 5, 6.5 } }, t:totable())
    assert.equal(7, asl.tensor(7):item())
    assert.same({}, asl.tensor(7):shape())
    assert.same({ 0 }, asl.tensor({}):shape())
    assert.equal("u8", asl.tensor({ 255 }, { dtype = "u8" }):dtype())
  end)

  it("from whole numbers without losing any bit", function()
    local values = { math.maxinteger, math.mininteger, (1 << 53) + 1 }
    assert.same(values, asl.tensor(values, { dtype = "i64" }):totable())
  end)

  it("only from numbers that fit", function()
    local function fails(message, ...)
      local ok, text = pcall(asl.tensor, ...)
      assert.is_false(ok)
      assert.equal(message, (text:gsub("^[^ ]*:%d+: ", "")))
    end
    fails("256.0 does not fit into u8", { 256 }, { dtype = "u8" })
    fails("0.5 does not fit into i64", { 0.5 }, { dtype = "i64" })
    fails("2147483648.0 does not fit into i32", { 1 << 31 }, { dtype = "i32" })
    fails("the nested table is ragged at depth 2", { { 1, 2 }, { 3 } })
    fails("element 2 is a string, not a number", { 1, "x" })
    fails('dtype must be f32, f64, u8, i32, i64 or bf16, not "f16"', { 1 }, { dtype = "f16" })
    fails('asl.tensor: unknown option "type" (known: dtype, device, seed, stream)', { 1 }, { type = "u8" })
    fails("nested deeper than 6", { { { { { { { 1 } } } } } } })
  end)

  it("filled, counted, from bytes", function()
    assert.same({ { 0, 0 } }, asl.zeros({ 1, 2 }):totable())
    assert.same({ 1, 1 }, asl.ones({ 2 }, { dtype = "i32" }):totable())
    assert.same({ -2.5, -2.5 }, asl.full({ 2 }, -2.5):totable())
    assert.same({ 3, 4, 5 }, asl.range(3, 5):totable())
    assert.equal("i64", asl.range(3, 5):dtype())
    local t = asl.frombytes(string.pack("<fff", 1, -2, 0.5), { 3, 1 })
    assert.same({ { 1 }, { -2 }, { 0.5 } }, t:totable())
    assert.equal(string.pack("<fff", 1, -2, 0.5), t:bytes())
    assert.has_error(function() asl.frombytes("12345", { 1 }) end, "4 bytes are needed, the string has 5")
  end)

  it("only with a shape that is one, on a device there is", function()
    assert.has_error(function() asl.zeros { 2, -1 } end, "size 2 of the shape must be a whole number, at least 0")
    assert.has_error(function() asl.zeros { 1, 1, 1, 1, 1, 1, 1 } end, "a tensor has at most 6 dimensions, not 7")
    assert.has_error(function() asl.zeros { 1 << 40, 1 << 40 } end,
      "a tensor of shape 1099511627776x1099511627776 is too large")
    local gpu, why = asl.core.device_info "cuda"
    if not gpu then
      assert.matches('^device "cuda": ', why)
      assert.has_error(function() asl.zeros({ 1 }, { device = "cuda" }) end, why)
    end
    assert.has_error(function() asl.zeros({ 1 }, { device = "tpu" }) end, 'device must be "cpu" or "cuda", not "tpu"')
  end)
end)

describe("random numbers", function()
  it("are the generator's, by seed, stream and position", function()
    local got = asl.rand({ 7 }, { seed = 3, stream = 9 }):totable()
    for e = 0, 6 do
      local words = oracle.philox({ e // 4, 0, 9, 0 }, { 3, USER * 0x9E3779B9 & 0xFFFFFFFF })
      assert.equal((words[e % 4 + 1] >> 8) / 2 ^ 24, got[e + 1])
    end
  end)

  it("do not depend on the shape, but on seed and stream", function()
    local t = asl.randn({ 6 }, { seed = 1 })
    assert.equal(t:digest(), asl.randn({ 2, 3 }, { seed = 1 }):reshape(6):digest())
    assert.equal(t:digest(), asl.randn({ 8 }, { seed = 1 }):slice(1, 1, 6):digest())
    assert.not_equal(t:digest(), asl.randn({ 6 }, { seed = 2 }):digest())
    assert.not_equal(t:digest(), asl.randn({ 6 }, { seed = 1, stream = 1 }):digest())
  end)

  it("have the moments of their distributions", function()
    local n = 100000
    local u = asl.rand({ n }, { seed = 5 })
    assert.is_near(0.5, u:mean():item(), 4 / math.sqrt(12 * n))
    assert.is_near(1 / 3, (u * u):mean():item(), 4 * 0.3 / math.sqrt(n))
    assert.is_true(u:max():item() < 1)
    local z = asl.randn({ n }, { seed = 5 })
    assert.is_near(0, z:mean():item(), 4 / math.sqrt(n))
    assert.is_near(1, (z * z):mean():item(), 4 * math.sqrt(2 / n))
    assert.is_near(3, (z * z * z * z):mean():item(), 4 * math.sqrt(96 / n))
  end)
end)

describe("the shape of a tensor", function()
  local t = asl.tensor { { 1, 2, 3 }, { 4, 5, 6 } }

  it("changes", function()
    assert.same({ { 1, 2 }, { 3, 4 }, { 5, 6 } }, t:reshape(3, 2):totable())
    assert.same({ 3, 2 }, t:reshape({ -1, 2 }):shape())
    assert.same({ { 1, 4 }, { 2, 5 }, { 3, 6 } }, t:permute(2, 1):totable())
    assert.same({ 1, 4, 2, 5, 3, 6 }, t:permute(2, 1):reshape(-1):totable())
    assert.same({ { 2, 3 }, { 5, 6 } }, t:slice(2, 2, 3):totable())
    assert.same({ { 3 }, { 6 } }, t:slice(2, -1):totable())
    assert.same({ { 2, 3 }, { 5, 6 } }, t:slice(2, -2, -1):totable())
    assert.same({ 4, 5, 6 }, t:select(1, 2):totable())
    assert.same({ 2, 5 }, t:select(2, 2):totable())
  end)

  it("is a view: writing to it writes to the tensor", function()
    local x = asl.zeros { 2, 3 }
    x:slice(2, 2):fill_(7)
    x:permute(2, 1):slice(1, 3):copy_(asl.tensor { { 8, 9 } })
    assert.same({ { 0, 7, 8 }, { 0, 7, 9 } }, x:totable())
    local copy = x:clone()
    copy:fill_(1)
    assert.equal(9, x:slice(1, 2):slice(2, 3):item())
  end)

  it("tells whether its elements lie in a row", function()
    assert.is_true(t:is_contiguous())
    assert.is_true(t:slice(1, 2):is_contiguous())
    assert.is_false(t:permute(2, 1):is_contiguous())
    assert.is_false(t:slice(2, 1, 2):is_contiguous())
    assert.is_true(t:permute(2, 1):contiguous():is_contiguous())
    assert.same({ { 1, 4 }, { 2, 5 }, { 3, 6 } }, t:permute(2, 1):contiguous():totable())
  end)

  it("is refused when it does not fit", function()
    assert.has_error(function() t:reshape(4, -1) end, "reshape: 2x3 has 6 elements, 4x1 would have 4")
    assert.has_error(function() t:slice(3, 1) end)
    assert.has_error(function() t:slice(1, 1, 3) end, "slice: 1..3 is outside 1..2 of dimension 1")
    assert.has_error(function() t:slice(1, 0) end, "slice: 0..0 is outside 1..2 of dimension 1")
    assert.has_error(function() t:permute(1) end)
    assert.has_error(function() t:item() end, "item() reads one number, this is f32 2x3")
  end)
end)

describe("operators", function()
  local a, b = asl.tensor { 1, 2 }, asl.tensor { 4, 8 }

  it("take tensors and numbers on both sides", function()
    assert.same({ 5, 10 }, (a + b):totable())
    assert.same({ -3, -6 }, (a - b):totable())
    assert.same({ 4, 16 }, (a * b):totable())
    assert.same({ 0.25, 0.25 }, (a / b):totable())
    assert.same({ 3, 4 }, (a + 2):totable())
    assert.same({ 3, 4 }, (2 + a):totable())
    assert.same({ -1, 0 }, (a - 2):totable())
    assert.same({ 1, 0 }, (2 - a):totable())
    assert.same({ 2, 4 }, (a * 2):totable())
    assert.same({ 0.5, 1 }, (a / 2):totable())
    assert.same({ 2, 1 }, (2 / a):totable())
    assert.same({ -1, -2 }, (-a):totable())
  end)

  it("keep whole numbers whole", function()
    local i = asl.range(1, 3)
    assert.equal("i64", (i + 1):dtype())
    assert.same({ 3, 6, 9 }, (i * 3):totable())
    assert.same({ 9, 8, 7 }, (10 - i):totable())
    assert.has_error(function() return i + 0.5 end)
    assert.has_error(function() return i / 2 end, "div: a must be f32 or f64, it is i64")
  end)

  it("broadcast", function()
    assert.same({ { 5, 6 }, { 9, 10 } }, (a + b:reshape(2, 1)):totable())
  end)

  it("have words: compare, choose, reduce", function()
    assert.same({ 0, 1 }, a:greater(1.5):totable())
    assert.same({ 0, 1 }, a:equal(2):totable())
    assert.same({ 1.5, 2 }, a:maximum(1.5):totable())
    assert.same({ 1, 1.5 }, a:minimum(1.5):totable())
    local m = asl.tensor { { 1, 5 }, { 7, 3 } }
    assert.equal(16, m:sum():item())
    assert.same({ 8, 8 }, m:sum(1):totable())
    assert.same({ { 3 }, { 5 } }, m:mean(2, true):totable())
    assert.same({ 5, 7 }, m:max(2):totable())
    assert.same({ 1, 0 }, m:argmax():totable())
    assert.same({ { 36, 20 }, { 28, 44 } }, m:matmul(m):totable())
  end)

  it("work in place", function()
    local x = asl.ones { 2 }
    assert.equal(x, x:add_(b, 0.5))
    assert.same({ 3, 5 }, x:totable())
    assert.same({ 4, 8 }, x:copy_(b):totable())
    assert.same({ 2, 2 }, x:fill_(2):totable())
  end)

  it("convert", function()
    assert.same({ 0, 2, 4, 255 }, asl.tensor({ 0.5, 1.5, 3.7, 254.6 }):to("u8"):totable())
    assert.equal(a, a:to("f32"))
  end)
end)

describe("bytes and digests", function()
  it("are of the elements in a row", function()
    local t = asl.tensor({ { 1, 2 }, { 3, 4 } }, { dtype = "u8" })
    assert.equal("\1\3\2\4", t:permute(2, 1):bytes())
    assert.equal(asl.core.sha256("\1\2\3\4"), t:digest())
    assert.equal("9f64a747e1b97f131fabb6b447296c9b6f0201e79fb3c5356e6c77e89b6a806a", t:digest())
  end)
end)

describe("printing", function()
  it("shows all of small tensors and a summary of large ones", function()
    assert.equal("f32 scalar 1.5", tostring(asl.tensor(1.5)))
    assert.equal("i64 3 [1, 2, 3]", tostring(asl.range(1, 3)))
    assert.equal("u8 2x2 [[1, 2],\n        [3, 4]]", tostring(asl.tensor({ { 1, 2 }, { 3, 4 } }, { dtype = "u8" })))
    assert.equal("i64 9 [1, 2, 3, ..., 7, 8, 9]", tostring(asl.range(1, 9)))
    assert.equal("f32 1x2x2  min 0  mean 1.5  max 3",
      tostring(asl.tensor { { { 0, 1 }, { 2, 3 } } }))
    assert.equal("f32 1x1x2  min 1  mean 1  max 1  not finite: 1", tostring(asl.tensor { { { 1, 0 / 0 } } }))
    assert.equal("f32 0x1x2 (empty)", tostring(asl.zeros { 0, 1, 2 }))
  end)

  it("does not record for gradients", function()
    local x = asl.ones({ 2 }):requires_grad_()
    assert.equal("f32 2 [2, 2]", tostring(x * 2))
  end)
end)

describe("is_tensor", function()
  it("knows tensors from other values", function()
    assert.is_true(asl.is_tensor(asl.zeros {}))
    for _, other in ipairs { 1, "x", {}, print, io.stdout } do assert.is_false(asl.is_tensor(other)) end
    assert.is_false(asl.is_tensor(nil))
  end)
end)
