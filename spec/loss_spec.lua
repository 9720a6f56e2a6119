-- Losses against PyTorch's, and what their options promise.

local asl = require "asl"

local function scores(rows) return asl.tensor(rows):reshape(1, 2, 2, 3) end
local logits = scores { { 1.5, -0.25, 0.75 }, { -2, 0.5, 1 }, { 0.25, 0.125, -1 }, { 3, -1.5, 0.5 } }
local teacher = scores { { 0.5, 1, -1 }, { 0, 0.25, 2 }, { -0.5, 1.5, 0.75 }, { 2, 0, -2 } }

--- Value, valid pixels and gradient of f(a leaf with these values).
local function evaluate(values, f)
  local leaf = values:clone():requires_grad_()
  local value, valid = f(leaf)
  value:backward()
  return value:item(), valid:item(), leaf:grad()
end

local function assert_near(expected, got, tolerance)
  assert.is_true(math.abs(expected - got) <= (tolerance or 2e-6), ("%.9g, expected %.9g"):format(got, expected))
end

local function assert_all_near(expected, t)
  for k, value in ipairs(t:reshape(t:count()):totable()) do assert_near(expected[k], value) end
end

describe("asl.loss.cross_entropy", function()
  local labels = asl.tensor({ { { 0, 2 }, { 1, 255 } } }, { dtype = "u8" })

  -- z, y: the four rows above and labels; w = [0.5, 2, 1.25]:
  -- F.cross_entropy(z, y, w, label_smoothing=0.2, reduction='sum', ignore_index=255) in double precision.
  it("smooths labels with class weights as PyTorch does", function()
    local value, valid, gradient = evaluate(logits, function(z)
      return asl.loss.cross_entropy(z, labels,
        { class_weight = asl.tensor { 0.5, 2, 1.25 }, label_smoothing = 0.2, normaliser = 1 })
    end)
    assert.equal(3, valid)
    assert_near(3.170455185, value)
    assert_all_near({ -0.038470318, -0.064716430, 0.103186748, 0.004240276, 0.324406937, -0.328647213, 0.819593615,
      -0.980627943, 0.161034329, 0, 0, 0 }, gradient)
  end)

  it("lets pixel weights multiply the loss and leave the normaliser alone", function()
    local plain, _, gradient = evaluate(logits, function(z) return asl.loss.cross_entropy(z, labels) end)
    local twice, valid, doubled = evaluate(logits, function(z)
      return asl.loss.cross_entropy(z, labels, { pixel_weight = asl.full({ 1, 2, 2 }, 2) })
    end)
    assert.equal(3, valid)
    assert.equal(2 * plain, twice)
    assert.equal((gradient * 2):digest(), doubled:digest())
  end)

  it("divides logits by the temperature", function()
    local cool = evaluate(logits, function(z) return asl.loss.cross_entropy(z, labels, { temperature = 4 }) end)
    assert_near(evaluate(logits * 0.25, function(z) return asl.loss.cross_entropy(z, labels) end), cool)
  end)

  it("stays right between pixels whose greatest scores are far above those halfway", function()
    local z = asl.tensor { { { { 200, 0, -90 }, { -200, 0, -90 } } } }
    local value = evaluate(z, function(leaf)
      return asl.loss.cross_entropy(leaf, asl.tensor({ { { 255, 2, 255 } } }, { dtype = "u8" }))
    end)
    assert_near(90 + math.log(2), value, 5e-5)
  end)

  it("says which options it knows", function()
    assert.has_error(function() asl.loss.cross_entropy(logits, labels, { smoothing = 0.1 }) end,
      'asl.loss.cross_entropy: unknown option "smoothing" (known: class_weight, label_smoothing, normaliser, ' ..
      'pixel_weight, temperature); did you mean "label_smoothing"?')
  end)
end)

describe("asl.loss.distillation", function()
  -- z, t as above, T = 2: F.kl_div(F.log_softmax(z / T, 1), F.softmax(t / T, 1), reduction='batchmean') * T * T, and
  -- -(F.softmax(t / T, 1) * F.log_softmax(z / T, 1)).sum(1).mean() * T * T, in double precision.
  local GRADIENT = { 0.056228946, -0.133860739, 0.077631793, -0.047333655, 0.077727412, -0.030393757, 0.112545743,
    -0.053483648, -0.059062095, 0.026599693, -0.084502708, 0.057903015 }

  for divergence, expected in pairs { [false] = 4.416856731, [true] = 0.543929438 } do
    it("is PyTorch's, with divergence = " .. tostring(divergence), function()
      local value, valid, gradient = evaluate(logits, function(z)
        return asl.loss.distillation(z, teacher, { divergence = divergence })
      end)
      assert.equal(4, valid)
      assert_near(expected, value)
      assert_all_near(GRADIENT, gradient)
    end)
  end

  it("is 0 with hardly a gradient where student and teacher agree", function()
    local value, _, gradient = evaluate(teacher, function(z)
      return asl.loss.distillation(z, teacher, { divergence = true, size = { 7, 5 } })
    end)
    assert.equal(0, value)
    assert_near(0, gradient:abs():max():item(), 1e-8)
  end)

  it("counts only pixels whose label is not 255, whatever else the label is", function()
    local labels = asl.tensor({ { { 200, 255 }, { 255, 255 } } }, { dtype = "u8" })
    local value, valid, gradient = evaluate(logits, function(z)
      return asl.loss.distillation(z, teacher, { labels = labels, divergence = true })
    end)
    local alone = evaluate(logits:slice(2, 1):slice(3, 1), function(z)
      return asl.loss.distillation(z, teacher:slice(2, 1):slice(3, 1), { divergence = true })
    end)
    assert.equal(1, valid)
    assert_near(alone, value)
    assert.equal(0, gradient:slice(2, 2):abs():max():item())
  end)

  it("gives the teacher no gradient", function()
    local leaf = teacher:clone():requires_grad_()
    asl.loss.distillation(logits:clone():requires_grad_(), leaf):backward()
    assert.is_nil(leaf:grad())
  end)
end)
