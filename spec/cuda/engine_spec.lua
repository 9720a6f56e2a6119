-- The device itself: transfers, memory, faults in data, steps as graphs.

local asl = require "asl"
local devices = require "spec.support.devices"
local program = require "spec.support.program"

local core, ops = asl.core, asl.ops
local busted = { it = it, pending = pending }

describe("a tensor on a device", devices.body(busted, function(device)
  it("comes back with the same bits, of every dtype", function()
    for _, dtype in ipairs { "f32", "f64", "u8", "i32", "i64" } do
      local t = asl.tensor({ { 1, 2, 3 }, { 4, 5, 250 } }, { dtype = dtype })
      local there = t:to(device)
      assert.equal(device, there:device())
      assert.equal(dtype, there:dtype())
      assert.equal(t:bytes(), there:bytes())
      assert.same(t:totable(), there:to("cpu"):totable())
      assert.equal(t:digest(), there:digest())
    end
  end)

  it("is brought there from a view, and from there as one", function()
    local t = asl.randn({ 4, 5, 3 })
    local view = t:permute(3, 1, 2):slice(2, 2, 4)
    assert.equal(view:bytes(), view:to(device):bytes())
    assert.equal(view:bytes(), t:to(device):permute(3, 1, 2):slice(2, 2, 4):bytes())
  end)

  it("may be empty, or a scalar", function()
    assert.same({ 0, 3 }, asl.zeros({ 0, 3 }):to(device):shape())
    assert.equal(7, asl.tensor(7):to(device):item())
  end)

  it("is itself where it lies already", function()
    local t = asl.ones({ 2 }, { device = device })
    t:to(device):fill_(3)
    assert.same({ 3, 3 }, t:totable())
  end)

  it("gets the same random numbers as on the cpu", function()
    local net = asl.models.fast_scnn { classes = 3, seed = 5 }
    local there = asl.models.fast_scnn { classes = 3, seed = 5, device = device }
    assert.equal(net:digest(), there:digest())
  end)

  it("does not mix with the cpu's", function()
    assert.has_error(function() return asl.ones { 2 } + asl.ones({ 2 }, { device = device }) end,
      ("add: a is on cpu, b on %s"):format(device))
  end)

  it("is brought there in pieces, and many in a row, each with its own bytes", function()
    local large = asl.rand({ 35 * 2 ^ 20 // 1 }, { seed = 3 }) -- more than is staged at once
    assert.equal(large:digest(), large:to(device):digest())
    local there, here = {}, {}
    for i = 1, 40 do
      here[i] = asl.rand({ 1 << 20 }, { seed = i })
      there[i] = here[i]:to(device)
    end
    for i = 1, 40 do assert.equal(here[i]:digest(), there[i]:digest()) end
  end)

  it("that is one number can be asked for now and read later", function()
    for _, dtype in ipairs { "f32", "f64", "i64" } do
      local t = asl.tensor({ 7 }, { dtype = dtype }):to(device)
      local before = core.fetch(t)
      t:fill_(9)
      local after = core.fetch(t)
      t:fill_(11)
      assert.same({ 7, 9, 11 }, { before(), after(), t:item() })
      assert.equal(dtype == "i64" and "integer" or "float", math.type(before()))
    end
    assert.has_error(function() core.fetch(asl.zeros({ 2 }, { device = device })) end,
      "fetch takes one number, f32, f64 or i64, not f32 2")
  end)

  it("asked for is forgotten when many others were", function()
    local t = asl.tensor(1):to(device)
    local first = core.fetch(t)
    local last
    for _ = 1, 4096 do last = core.fetch(t) end
    assert.equal(1, last())
    assert.error_matches(first, "fetch %d+ is forgotten: only the newest 4096 are kept")
  end)

  it("holds bf16, rounded to nearest even", function()
    local t = asl.tensor { 1, 1 + 2 ^ -8, 1 + 3 * 2 ^ -8, -2.5, 1e38, 0 / 0 }
    local there = t:to(device):to("bf16")
    local got = there:totable()
    assert.same({ 1, 1, 1 + 2 ^ -6, -2.5 }, { table.unpack(got, 1, 4) })
    assert.is_true(got[6] ~= got[6])
    assert.equal("bf16", there:to("cpu"):dtype())
  end)
end))

describe("memory of a device", devices.body(busted, function(device)
  it("is counted, kept for reuse and given back", function()
    collectgarbage()
    core.memory_trim(device)
    local before = core.memory(device)
    assert.equal(0, before.cached)
    local t = asl.zeros({ 1 << 18 }, { device = device })
    assert.equal(before.live + (1 << 20), core.memory(device).live)
    t:release()
    assert.equal(before.live, core.memory(device).live)
    assert.is_true(core.memory(device).cached >= 1 << 20)
    assert.is_true(core.memory(device).peak >= before.live + (1 << 20))
    core.memory_trim(device)
    assert.equal(0, core.memory(device).cached)
  end)

  it("is collected before it is said to be out", function()
    if device ~= "emu" then return pending("only the emulator's memory can be made small") end
    local script = [[
      collectgarbage("stop")
      for i = 1, 12 do local t = asl.zeros({ 1 << 22 }, { device = "emu" }) end -- 16 MiB each, all garbage
      local live = asl.memory(nil, "emu").live
      local ok, message = pcall(asl.zeros, { 1 << 25 }, { device = "emu" })
      print(live <= 64 << 20, ok, message)
      print(asl.zeros({ 1 << 22 }, { device = "emu" }):sum():item())
    ]]
    local result = program.run({ "-e", script }, { env = "ASL_EMU_MEMORY=100663296" })
    assert.equal(0, result.code, result.err)
    assert.matches("^true\tfalse\t.*out of memory on emu: asked for 134217728 bytes %(f32 33554432%); tensors hold %d+, "
      .. "at most %d+ were held\n0", result.out)
  end)
end))

describe("what is wrong in data on a device", devices.body(busted, function(device)
  local function label_map(value)
    return asl.tensor({ { { 0, 1 }, { value, 255 } } }, { dtype = "u8" }):to(device)
  end

  it("is said by the next that waits, and only once", function()
    local logits = asl.randn({ 1, 2, 2, 3 }):to(device)
    local loss = ops.cross_entropy(logits, label_map(3), nil, nil, { at = "head" })
    local ok, message = pcall(loss.item, loss)
    assert.is_false(ok)
    assert.matches("cross_entropy %(head%): label 3 at picture 1, row 2, column 1: the classes are 0 to 2, "
      .. "label 255 is ignored", tostring(message))
    assert.equal(2, ops.count_valid(asl.tensor({ 1, 2, 255 }, { dtype = "u8" }):to(device)):item())
  end)

  it("has the words of the cpu in fused losses and evaluation", function()
    local logits, labels = asl.randn({ 1, 1, 1, 3 }), asl.tensor({ { { 0, 1 }, { 9, 255 } } }, { dtype = "u8" })
    for _, call in ipairs {
      function(l, m) return (ops.upsample_cross_entropy(l, m)):item() end,
      function(l, m) return ops.upsample_confusion(l, m):totable() end,
    } do
      local ok, on_cpu = pcall(call, logits, labels)
      local ok_there, there = pcall(call, logits:to(device), labels:to(device))
      assert.is_false(ok or ok_there)
      assert.equal(tostring(on_cpu), tostring(there))
    end
  end)

  it("is an index outside its rows", function()
    local x, index = asl.randn({ 4, 2 }):to(device), asl.tensor({ 1, 4 }, { dtype = "i64" }):to(device)
    local rows = ops.gather_rows(x, index)
    assert.has_error(function() rows:totable() end, "gather_rows: the index at element 2 is outside the 4 rows of x")
  end)
end))

describe("a step as a graph", devices.body(busted, function(device)
  local SIZE, CLASSES = { 32, 48 }, 4

  local function make_batch(rows, seed)
    return {
      image = core.uniform_(asl.zeros { rows, SIZE[1], SIZE[2], 3 }, seed, 16, 0, 0, 255):to("u8"):to(device),
      label = core.uniform_(asl.zeros { rows, SIZE[1], SIZE[2] }, seed, 16, 1, 0, CLASSES - 0.6):to("u8"):to(device),
    }
  end

  --- Trains some steps; `during(step, loss)` runs inside every step.
  local function train(graph, steps, during)
    local net = asl.models.fast_scnn { classes = CLASSES, seed = 2, device = device }:train()
    local optimiser = asl.optim.adam { lr = 0.01 }
    optimiser:bind(net)
    local losses = {}
    for step = 1, steps do
      local scope <close> = core.scope()
      local batch = make_batch(step == 5 and 3 or 2, step)
      if graph then core.graph_begin(device) end
      net:zero_gradients()
      local loss = asl.loss.cross_entropy(net(batch.image), batch.label)
      loss:backward()
      if during then during(step, loss) end
      optimiser:step(1 / step)
      if graph then core.graph_end(device) end
      losses[step] = loss:item()
    end
    return net:digest(), losses
  end

  it("has the bits of one that is none", function()
    local plain, plain_losses = train(false, 7)
    local graph, graph_losses = train(true, 7)
    assert.same(plain_losses, graph_losses)
    assert.equal(plain, graph)
  end)

  it("may be looked into on the way", function()
    local seen = {}
    local plain = train(false, 4)
    assert.equal(plain, (train(true, 4, function(step, loss) if step == 3 then seen[1] = loss:item() end end)))
    assert.equal(1, #seen)
  end)
end))
