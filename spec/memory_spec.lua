-- Tensor memory: flat over long loops, freed by scopes, counted exactly.

local asl = require "asl"
local program = require "spec.support.program"
local small_training = require "spec.support.small_training"

local ops = asl.ops

describe("memory", function()
  before_each(function()
    collectgarbage()
    asl.memory "reset"
  end)

  it("is flat over 1000 training steps without a collectgarbage", function()
    local run = program.run { "spec/support/small_training.lua" }
    assert.equal(0, run.code, run.err)
    local early, before, late, after = run.out:match "^(%d+)%s+(%S+)%s+(%d+)%s+(%S+)%s*$"
    assert.is_true(tonumber(late) <= 1.05 * early, ("%s bytes at first, %s later"):format(early, late))
    assert.is_true(tonumber(after) < 0.5 * before) -- and it did learn
  end)

  it("is flat over a loop without backward", function()
    local x = asl.ones { 64, 1024 } -- a quarter MiB
    local before = asl.memory().live
    for _ = 1, 4000 do x = (x * 1.0001):sigmoid() end
    assert.is_true(asl.memory().peak - before < 300 << 20) -- Lua is asked to collect from 256 MiB on
  end)

  it("of a training step has the same peak every time and for any number of threads", function()
    local threads, peaks = asl.threads(), {}
    local step = small_training.new()
    step()
    for k = 1, 6 do
      asl.threads(k % 3 + 1)
      collectgarbage()
      asl.memory "reset"
      step()
      peaks[k] = asl.memory().peak
    end
    asl.threads(threads)
    for k = 2, 6 do assert.equal(peaks[1], peaks[k]) end
  end)

  it("falls as backward passes: what an op saved is dropped", function()
    local x = asl.ones({ 1 << 18 }):requires_grad_() -- 1 MiB
    local y = x
    for _ = 1, 20 do y = y:exp() * 0.1 end
    local loss = y:sum()
    y = nil -- luacheck: ignore
    local before = asl.memory().live
    asl.memory "reset"
    loss:backward()
    assert.is_true(asl.memory().peak <= before + (6 << 20))
    assert.is_true(asl.memory().live <= before - (18 << 20))
  end)

  it("of a graph that is dropped is free again", function()
    local x = asl.ones({ 1 << 18 }):requires_grad_()
    local before = asl.memory().live
    for _ = 1, 3 do
      do
        local y = (x:exp():log() * 2):sum()
        assert.is_true(y:item() > 0 and asl.memory().live > before)
      end
      collectgarbage()
      assert.equal(before, asl.memory().live)
    end
  end)

  it("is counted in bytes, rounded up by at most an eighth", function()
    local before = asl.memory().live
    local t = asl.zeros { 1000, 1000 }
    local taken = asl.memory().live - before
    assert.is_true(taken >= 4000000 and taken <= 4500000)
    t:release()
    assert.equal(before, asl.memory().live)
    assert.is_true(asl.memory().cached >= taken)
    asl.memory "trim"
    assert.equal(0, asl.memory().cached)
  end)

  it("cannot be asked for without bounds", function()
    assert.has_error(function() asl.zeros { 1 << 40, 1 << 10 } end, "a tensor of shape 1099511627776x1024 is too large")
    local before = asl.memory().live
    local ok, message = pcall(asl.zeros, { 1 << 43 })
    assert.is_false(ok)
    assert.truthy(message:find("out of memory on cpu: asked for 35184372088832 bytes %(f32 8796093022208%); "
      .. "tensors hold %d+, at most %d+ were held$"), message)
    assert.equal(before, asl.memory().live)
  end)

  it("refuses words it does not know", function()
    assert.has_error(function() asl.memory "free" end)
  end)
end)

describe("a scope", function()
  it("frees what was made in it, not what was kept", function()
    collectgarbage()
    local before = asl.memory().live
    local inside, kept
    do
      local scope <close> = asl.scope()
      inside = asl.zeros { 1 << 16 }
      kept = asl.ones { 8 } + inside:slice(1, 1, 8)
      scope:keep(kept)
    end
    assert.is_true(asl.memory().live < before + 4096)
    assert.same({ 1, 1, 1, 1, 1, 1, 1, 1 }, kept:totable())
    assert.has_error(function() inside:shape() end,
      "calling 'shape' on bad self (this tensor was released (by the scope that made it, or by :release()))")
    assert.has_error(function() return ops.relu(inside) end)
    assert.equal("tensor (released)", tostring(inside))
  end)

  it("nests: what is kept belongs to the scope around", function()
    local t
    do
      local outer <close> = asl.scope()
      do
        local inner <close> = asl.scope()
        t = inner:keep(asl.ones { 2 })
      end
      assert.same({ 1, 1 }, t:totable())
      assert.is_truthy(outer)
    end
    assert.has_error(function() t:totable() end)
  end)

  it("frees also when an error passes through", function()
    collectgarbage()
    local before = asl.memory().live
    pcall(function()
      local scope <close> = asl.scope()
      local t = asl.zeros { 1 << 16 }
      error(scope and t)
    end)
    assert.is_true(asl.memory().live < before + 4096)
  end)

  it("leaves the graph what it needs", function()
    local x = asl.tensor({ 1, 2 }):requires_grad_()
    local loss
    do
      local scope <close> = asl.scope()
      loss = scope:keep((x:exp() * 2):sum())
    end
    loss:backward()
    assert.is_near(2 * math.exp(1), x:grad():totable()[1], 1e-5)
  end)

  it("can be closed by hand, once", function()
    local scope = asl.scope()
    local t = asl.ones { 2 }
    scope:close()
    scope:close()
    assert.has_error(function() t:item() end)
    assert.same({ 1 }, asl.ones({ 1 }):totable())
  end)
end)

describe("release", function()
  it("frees at once; the tensor says so", function()
    local t = asl.ones { 2 }
    local view = t:slice(1, 1)
    t:release()
    t:release()
    assert.same({ 1 }, view:totable()) -- views keep the memory
    assert.has_error(function() return t + 1 end)
  end)
end)
