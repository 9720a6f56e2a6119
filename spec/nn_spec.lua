-- Modules: parameters, initial values, state, freezing; Fast-SCNN for any size of picture; teachers.

local asl = require "asl"
local nn = asl.nn

local function fast_scnn(given)
  given.classes = given.classes or 5
  return asl.models.fast_scnn(given)
end

describe("Fast-SCNN has the paper's number of parameters", function()
  for _, case in ipairs { { 19, false, 1138051 }, { 40, false, 1140760 }, { 19, true, 1157174 }, { 40, true, 1160576 } } do
    it(("%d classes%s: %d"):format(case[1], case[2] and " with the auxiliary head" or "", case[3]), function()
      assert.equal(case[3], asl.models.fast_scnn { classes = case[1], aux = case[2] }:parameter_count())
    end)
  end
end)

describe("initial values are PyTorch's:", function()
  local net = asl.models.fast_scnn { classes = 40, aux = true, seed = 3 }
  local fan_in = {} -- of the convolution a bias belongs to
  for path, view in net:parameters() do
    local shape = view:shape()
    if #shape == 4 then fan_in[path:gsub("weight$", "bias")] = shape[2] * shape[3] * shape[4] end
  end

  it("convolutions are uniform within 1/sqrt(fan in), and fill that range", function()
    local checked = 0
    for path, view in net:parameters() do
      local inputs = fan_in[(path:gsub("weight$", "bias"))]
      if inputs then
        local bound, n = 1 / math.sqrt(inputs), view:count()
        assert.is_true(view:abs():max():item() <= bound, path)
        assert.is_near(0, view:mean():item(), 5 * bound / math.sqrt(3 * n), path)
        if n > 200 then
          assert.is_true(view:abs():max():item() > 0.95 * bound, path)
          assert.is_near(bound ^ 2 / 3, (view * view):mean():item(), 5 * bound ^ 2 * 0.3 / math.sqrt(n), path)
        end
        checked = checked + 1
      end
    end
    assert.is_true(checked > 50)
  end)

  it("batch norms begin as the identity", function()
    local checked = 0
    for path, view in net:parameters() do
      if #view:shape() == 1 and not fan_in[path] then
        local value = path:find "weight$" and 1 or 0
        assert.equal(0, (view - value):abs():max():item(), path)
        checked = checked + 1
      end
    end
    for path, view in net:buffers() do
      assert.equal(0, (view - (path:find "running_var$" and 1 or 0)):abs():max():item(), path)
    end
    assert.is_true(checked > 80)
  end)

  it("are a function of the seed; no two parameters share them", function()
    local function first(given) return select(2, fast_scnn(given):parameters()()):digest() end
    assert.equal(fast_scnn({ seed = 1 }):digest(), fast_scnn({ seed = 1 }):digest())
    assert.not_equal(fast_scnn({ seed = 1 }):digest(), fast_scnn({ seed = 2 }):digest())
    assert.equal(first { seed = 1, classes = 3 }, first { seed = 1, classes = 7, aux = true })
    local seen = {}
    for path, view in net:parameters() do
      if #view:shape() == 4 then
        local digest = view:reshape(-1):slice(1, 1, 4):digest()
        assert.is_nil(seen[digest], path)
        seen[digest] = path
      end
    end
  end)
end)

-- ---- any size of picture ----------------------------------------------------------------------

--- Size after the three halving convolutions: 3x3 without padding, then twice 3x3 with padding 1.
local function skip_size(n)
  n = (n - 3) // 2 + 1
  return ((n - 1) // 2 + 1 - 1) // 2 + 1
end

describe("Fast-SCNN takes pictures of", function()
  local net = fast_scnn {}
  for _, size in ipairs { { 64, 64 }, { 97, 131 }, { 33, 47 }, { 128, 96 }, { 40, 200 }, { 11, 11 }, { 108, 192 } } do
    it(("%dx%d: scores of an eighth, classes of full size, gradients everywhere"):format(size[1], size[2]), function()
      local scope <close> = asl.scope()
      local h, w = size[1], size[2]
      local image = asl.ops.cast(asl.rand({ 2, h, w, 3 }, { seed = 1 }) * 255, { dtype = "u8" })
      net:train():zero_gradients()
      local logits = net(image)
      assert.same({ 2, skip_size(h), skip_size(w), 5 }, logits:shape())
      asl.loss.cross_entropy(logits, asl.zeros({ 2, h, w }, { dtype = "u8" })):backward()
      assert.is_true(net.flat_gradient:abs():max():item() > 0)
      local _, _, _, bad = net.flat_gradient:summary()
      assert.equal(0, bad)
      local classes = net:predict(image)
      assert.equal("u8", classes:dtype())
      assert.same({ 2, h, w }, classes:shape())
      assert.is_true(net.training)
    end)
  end

  it("one of 1080x1920, as they come", function()
    local scope <close> = asl.scope()
    local classes = net:predict(asl.zeros({ 1, 1080, 1920, 3 }, { dtype = "u8" }))
    assert.same({ 1, 1080, 1920 }, classes:shape())
  end)

  it("sizes where the fixed x4 of the paper fits, with exactly that", function()
    for _, size in ipairs { { 320, 640 }, { 1024, 2048 }, { 256, 512 }, { 480, 640 } } do
      for _, n in ipairs(size) do
        local skip = skip_size(n)
        local low = ((skip - 1) // 2 + 1 - 1) // 2 + 1
        assert.equal(skip, 4 * low, n)
      end
    end
  end)

  it("no size at which batch statistics make no sense, and says where", function()
    assert.has_error(function() net:train()(asl.zeros { 1, 64, 64, 3 }) end,
      "conv_bn_act (global_feature_extractor.ppm.conv1): training needs more than one value per channel; here 32 " ..
      "channels have one each: use more pictures, larger ones or training=0")
    net:eval()(asl.zeros { 1, 64, 64, 3 })
    assert.has_error(function() net(asl.zeros { 1, 2, 64, 3 }) end,
      "conv_bn_act (learning_to_downsample.conv): the 3x3 kernel is larger than the padded 2x64 picture")
    assert.has_error(function() net(asl.zeros { 1, 64, 64, 4 }) end, "conv_bn_act (learning_to_downsample.conv): " ..
      "weight expects 3 input channels, x has 4 (x 1x64x64x4, weight 32x3x3x3, groups 1)")
  end)
end)

describe("Fast-SCNN refuses", function()
  it("class counts that class maps cannot hold, and options it does not know", function()
    local function message(given) return select(2, pcall(asl.models.fast_scnn, given)) end
    assert.truthy(message({ classes = 256 }):find("classes must be 1 to 255, not 256", 1, true))
    assert.truthy(message({ classes = 0 }):find("classes must be 1 to 255, not 0", 1, true))
    assert.truthy(message({}):find('option "classes" must be given', 1, true))
    assert.truthy(message({ classes = 3, auxiliary = true }):find('unknown option "auxiliary"', 1, true))
  end)
end)

-- ---- modules ----------------------------------------------------------------------------------

local function small(bias)
  return nn.sequential {
    { "block", nn.conv_bn_act(3, 4, { kernel = 3, bias = bias }) },
    { "head", nn.sequential { { "conv", nn.conv2d(4, 2, { bias = true }) } } },
  }:materialise(1)
end

local function paths(iterator)
  local list = {}
  for path in iterator do list[#list + 1] = path end
  return list
end

local function step(net, seed)
  net:zero_gradients()
  local y = net(asl.randn({ 2, 6, 6, 3 }, { seed = seed }))
  ;(y * y):sum():backward()
  net.flat:add_(net.flat_gradient, -0.001)
end

describe("a module", function()
  it("names its parameters and buffers by path, in order of creation", function()
    local net = small(true)
    assert.same({ "block.0.weight", "block.0.bias", "block.1.weight", "block.1.bias", "head.conv.weight",
      "head.conv.bias" }, paths(net:parameters()))
    assert.same({ "block.1.running_mean", "block.1.running_var" }, paths(net:buffers()))
  end)

  it("has its parameters in one tensor and their gradients in another", function()
    local net = small()
    assert.equal(4 * 27 + 4 + 4 + 8 + 2, net:parameter_count())
    step(net, 1)
    local flat, gradient = {}, {}
    for _, view, entry in net:parameters() do
      for _, v in ipairs(view:reshape(-1):totable()) do flat[#flat + 1] = v end
      for _, v in ipairs(view:grad():reshape(-1):totable()) do gradient[#gradient + 1] = v end
      assert.equal(view:grad():digest(), entry.gradient:digest())
    end
    assert.same(net.flat:totable(), flat)
    assert.same(net.flat_gradient:totable(), gradient)
    net:zero_gradients()
    assert.equal(0, net.flat_gradient:abs():max():item())
  end)

  it("takes over a state and then computes the same", function()
    local a, b = small(), small()
    step(a, 1)
    assert.not_equal(a:digest(), b:digest())
    b:restore(a:state())
    assert.equal(a:digest(), b:digest())
    local x = asl.randn({ 1, 5, 5, 3 }, { seed = 2 })
    assert.equal(a:eval()(x):digest(), b:eval()(x):digest())
  end)

  it("refuses the state of another network", function()
    local net, other = fast_scnn { classes = 5 }, fast_scnn { classes = 6 }
    local before = net:digest()
    assert.has_error(function() net:restore(other:state()) end, ("this state is another network's: it has %d " ..
      "parameters in another layout, this FastSCNN has %d"):format(other:parameter_count(), net:parameter_count()))
    assert.equal(before, net:digest())
    -- The same number of parameters in another order is another network, too.
    local one = nn.sequential { { "a", nn.conv2d(2, 3) }, { "b", nn.conv2d(3, 2) } }:materialise(1)
    local two = nn.sequential { { "b", nn.conv2d(2, 3) }, { "a", nn.conv2d(3, 2) } }:materialise(1)
    assert.has_error(function() one:restore(two:state()) end)
  end)

  it("uses batch statistics in training mode, running ones otherwise", function()
    local net, x = small(), asl.randn({ 2, 6, 6, 3 }, { seed = 1 })
    local buffers = net.flat_buffer:digest()
    net:eval()(x)
    assert.equal(buffers, net.flat_buffer:digest())
    local evaluated = net(x):digest()
    net:train()
    assert.not_equal(evaluated, net(x):digest())
    assert.not_equal(buffers, net.flat_buffer:digest())
  end)

  it("says what it is", function()
    assert.equal("FastSCNN: 1140760 parameters in 136 tensors", tostring(fast_scnn { classes = 40 }))
  end)
end)

describe("freezing (predecessor defect 8)", function()
  it("keeps batch-norm statistics, gradients and weights of the part as they are, in training mode too", function()
    local net = small()
    net:freeze { "block" }
    net:train()
    local optim = asl.optim.sgd { lr = 0.1, decay = 0.1, momentum = 0.9 }:bind(net)
    local function part(first, last) return net.flat:slice(1, first, last):digest() end
    local block = 4 * 27 + 8
    local weights, head, buffers = part(1, block), part(block + 1, -1), net.flat_buffer:digest()
    for seed = 1, 3 do
      net:zero_gradients()
      local y = net(asl.randn({ 2, 6, 6, 3 }, { seed = seed }) + 3)
      ;(y * y):sum():backward()
      optim:step()
    end
    assert.equal(buffers, net.flat_buffer:digest())
    assert.equal(weights, part(1, block))
    assert.not_equal(head, part(block + 1, -1))
    assert.equal(0, net.flat_gradient:slice(1, 1, block):abs():max():item())
  end)

  it("of the batch norm alone keeps its statistics", function()
    local net = small()
    net:freeze { "block.1" }
    local buffers = net.flat_buffer:digest()
    step(net, 1)
    assert.equal(buffers, net.flat_buffer:digest())
    assert.is_true(net.flat_gradient:slice(1, 1, 4 * 27):abs():max():item() > 0)
  end)

  it("ends with the next call", function()
    local net = small()
    net:freeze { "block" }
    assert.same({ { 4 * 27 + 9, net:parameter_count() } }, net:learning_ranges())
    net:freeze { "head.conv" }
    assert.same({ { 1, 4 * 27 + 8 } }, net:learning_ranges())
    net:freeze { "" }
    assert.same({}, net:learning_ranges())
    net:freeze {}
    assert.same({ { 1, net:parameter_count() } }, net:learning_ranges())
  end)

  it("names parts, not beginnings of names, and refuses names of nothing", function()
    local net = small()
    assert.has_error(function() net:freeze { "bloc" } end, 'freeze: no part of this network is called "bloc"')
    net:freeze { "block.0", "head.conv.bias" }
    assert.same({ { 4 * 27 + 1, 4 * 27 + 16 } }, net:learning_ranges())
  end)

  it("that is refused changes nothing", function()
    local net = small()
    assert.is_false(pcall(net.freeze, net, { "block", "nothing" }))
    assert.same({ { 1, net:parameter_count() } }, net:learning_ranges())
  end)
end)

describe("teacher.snapshot (predecessor defect 8)", function()
  local function picture(seed)
    return asl.ops.cast(asl.rand({ 2, 64, 64, 3 }, { seed = seed }) * 255, { dtype = "u8" })
  end

  local function train(net, seed)
    local optim = asl.optim.sgd { lr = 0.1 }:bind(net)
    net:zero_gradients()
    asl.loss.cross_entropy(net(picture(seed)), asl.zeros({ 2, 64, 64 }, { dtype = "u8" })):backward()
    optim:step()
  end

  it("has weights and batch-norm statistics, and keeps them whatever the original does", function()
    local net = fast_scnn { aux = true }
    train(net, 1)
    local teacher = asl.teacher.snapshot(net)
    local digest, answer = net:digest(), net:eval()(picture(9)):digest()
    assert.equal(digest, teacher:digest())
    assert.equal(answer, teacher(picture(9)):digest())
    net:train()
    train(net, 2)
    assert.not_equal(digest, net:digest())
    assert.equal(digest, teacher:digest())
    assert.equal(answer, teacher(picture(9)):digest())
  end)

  it("is not changed by :train(), by use, or by predict", function()
    local teacher = asl.teacher.snapshot(fast_scnn {})
    local digest, answer = teacher:digest(), teacher(picture(9)):digest()
    assert.equal(teacher, teacher:train())
    assert.is_false(teacher.training)
    teacher(picture(1))
    teacher:predict(picture(2))
    assert.equal(digest, teacher:digest())
    assert.equal(answer, teacher(picture(9)):digest())
    assert.is_false(teacher(picture(1)):requires_grad())
  end)
end)

describe("dropout", function()
  it("goes on where it was: its counter is part of the state", function()
    local net = fast_scnn {}
    net.dropout = 0.5
    local x = asl.randn({ 2, 64, 64, 3 }, { seed = 1 })
    net(x)
    local copy = net:clone()
    copy.dropout = 0.5
    assert.equal(net(x):digest(), copy(x):digest())
    assert.not_equal(net(x):digest(), net(x):digest())
  end)
end)
