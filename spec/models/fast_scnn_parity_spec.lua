-- Fast-SCNN against PyTorch: the same weights, pictures and labels (a formula both evaluate), three
-- training steps. spec/fixtures/fast_scnn_parity.py made the results, in double precision, and says how
-- far PyTorch's own float32 is from them; a step amplifies rounding (batch statistics, ReLUs that flip), so
-- that is the yardstick.

local asl = require "asl"

local SLACK = 4 -- a difference may be this many times that of PyTorch's float32 ...
local FINEST = 1e-6 -- ... or this, relative

--- n numbers in [-1, 1): noise() of the fixture script.
local function noise(n, stream)
  local values, base = {}, stream * 0x9E3779B9
  for i = 0, n - 1 do
    local k = ((i + base) * 2654435761) & 0xFFFFFFFF
    k = ((k ~ (k >> 15)) * 2246822519) & 0xFFFFFFFF
    k = k ~ (k >> 13)
    values[i + 1] = (k >> 8) / 2 ^ 23 - 1
  end
  return values
end

local signs = { {}, {} }
local function projection(x, k)
  signs[k][#x] = signs[k][#x] or noise(#x, 999 + k)
  local sum, s = 0, signs[k][#x]
  for i, v in ipairs(x) do sum = sum + (s[i] < 0 and -v or v) end
  return sum
end

--- Largest difference between a tensor and its description, relative to the norm described.
local function difference(t, expected, floor)
  local x, squares = t:reshape(-1):totable(), 0
  assert.equal(expected.n, #x)
  for _, v in ipairs(x) do squares = squares + v * v end
  local worst = math.abs(math.sqrt(squares) - expected.norm)
  for k = 1, 2 do -- a projection of a difference of norm d is about d in size
    worst = math.max(worst, math.abs(projection(x, k) - expected.projections[k]))
  end
  for i, e in ipairs(expected.elements) do
    worst = math.max(worst, math.abs(x[((i - 1) * 7919 + 13) % #x + 1] - e))
  end
  return worst / math.max(expected.norm, floor)
end

describe("Fast-SCNN and PyTorch", function()
  local file = assert(io.open("spec/fixtures/fast_scnn_parity.json"))
  local fixture = asl.core.json_decode(file:read "a")
  file:close()

  local net = asl.models.fast_scnn { classes = fixture.classes }
  net.dropout = 0
  local parameter, gradient = {}, {}
  for path, view, entry in net:parameters() do parameter[path], gradient[path] = view, entry.gradient end
  for number, path in ipairs(fixture.order) do
    local p = assert(parameter[path], path)
    local shape = p:shape()
    local scale, shift = 0.1, path:find "bias$" and 0 or 1
    if #shape == 4 then scale, shift = (shape[2] * shape[3] * shape[4]) ^ -0.5, 0 end
    p:copy_((asl.tensor(noise(p:count(), number)) * scale + shift):reshape(shape))
  end

  local n, h, w = table.unpack(fixture.shape)
  local colour, grain = noise(n * h // 16 * w // 16 * 3, 500), noise(n * h * w * 3, 501)
  local pixels, classes = {}, {}
  for p = 0, n * h * w - 1 do
    local square = (p // (h * w) * (h // 16) + p % (h * w) // w // 16) * (w // 16) + p % w // 16
    for c = 1, 3 do pixels[3 * p + c] = 2 * colour[3 * square + c] + 0.25 * grain[3 * p + c] end
    local class = math.floor((colour[3 * square + 1] + 1) / 2 * (fixture.classes + 1))
    classes[p + 1] = class == fixture.classes and 255 or class
  end
  local image = asl.tensor(pixels):reshape(n, h, w, 3)
  local label = asl.tensor(classes, { dtype = "u8" }):reshape(n, h, w)
  local optim = asl.optim.sgd { lr = 1e-4, momentum = 0.9, decay = 1e-4 }:bind(net)

  local function agree(group, tensors, step)
    local allowed = math.max(SLACK * group.float32, FINEST)
    for path, expected in pairs(group.tensors) do
      local d = difference(tensors[path], expected, fixture.floor)
      if not (d <= allowed) then
        error(("step %d, %s: differs by %.3g of its norm, %.3g is allowed"):format(step, path, d, allowed))
      end
    end
  end

  it("have the same parameters", function()
    local ours, theirs = {}, { table.unpack(fixture.order) }
    for path in net:parameters() do ours[#ours + 1] = path end
    table.sort(ours)
    table.sort(theirs)
    assert.same(theirs, ours)
  end)

  for step = 1, 3 do
    local expected = fixture.steps[step]
    it("agree in step " .. step .. ": logits, loss, every gradient, running statistics", function()
      net:train():zero_gradients()
      local logits = net(image)
      local loss = asl.loss.cross_entropy(logits, label)
      loss:backward()
      local buffers = {}
      for path, buffer in net:buffers() do buffers[path] = buffer end
      agree(expected.loss, { loss = loss }, step)
      agree(expected.logits, { logits = logits }, step)
      agree(expected.gradients, gradient, step)
      agree(expected.buffers, buffers, step)
      optim:step()
    end)
  end

  it("agree in evaluation mode after three steps", function()
    net:eval()
    agree(fixture.steps[4].evaluation, { logits = asl.no_grad(net, image) }, 4)
  end)
end)
