-- Weights of other programs in our networks, and ours in PyTorch.

local asl = require "asl"
local core = require "asl.core"
local fault = require "asl.fault"
local pictures = require "spec.support.pictures"
local program = require "spec.support.program"

local CLASSES, HEIGHT, WIDTH = 7, 96, 128

--- The largest difference of two tensors, relative to the largest value.
local function difference(a, b)
  local low, _, high = a:summary()
  return (a - b):abs():max():item() / math.max(math.abs(low), math.abs(high))
end

local function fast_scnn(given)
  given.classes = given.classes or CLASSES
  return asl.models.fast_scnn(given)
end

--- A network whose running statistics are not those it starts with.
local function lived(given)
  local net = fast_scnn(given or { seed = 3 })
  core.uniform_(net.flat_buffer, 9, 99, 0, 0.5, 1.5)
  return net
end

describe("weights of a network", function()
  local dir, path

  before_each(function()
    dir = core.fs.temp_dir()
    path = dir .. "/net.pth"
  end)
  after_each(function() core.fs.remove_tree(dir) end)

  --- Loads and returns what was said.
  local function load(net, from, given)
    local said = {}
    given = given or {}
    given.warn = function(message) said[#said + 1] = message end
    return asl.weights.load(net, from or path, given), said
  end

  local function refusal(net, given)
    local before = net:digest()
    local ok, problem = pcall(load, net, path, given)
    assert.is_false(ok)
    assert.equal(before, net:digest())
    assert.equal(fault.exit.data, problem.exit_code)
    local message, prefix = fault.cause(problem), ('"%s" '):format(path)
    assert.equal(prefix, message:sub(1, #prefix))
    return message:sub(#prefix + 1)
  end

  --- The tensors that asl.weights.save would write, renamed or changed.
  local function tensors_of(net, change)
    local file = dir .. "/whole.safetensors"
    asl.weights.save(file, net)
    local values, changed = asl.weights.read(file), {}
    for name, t in pairs(values) do
      local new_name, new_t = name, t
      if change then new_name, new_t = change(name, t) end
      if new_name then changed[new_name] = new_t or t end
    end
    return changed
  end

  it("are PyTorch's names and shapes, in PyTorch's order", function()
    local facts = "../shared/research/fast_scnn_state_dict.tsv"
    if not core.fs.stat(facts) then return pending "the list of names (../shared/research) is not here" end
    asl.weights.save(path, fast_scnn { classes = 19, aux = true })
    local list, position = asl.weights.list(path), 0
    for _, row in ipairs(pictures.tsv(facts)) do
      if not row.key:find "num_batches_tracked$" then
        position = position + 1
        local entry = list[position]
        assert.same({ row.key, row.shape, row.dtype }, { entry.name, "[" .. table.concat(entry.shape, ",") .. "]",
          entry.dtype == "f32" and "float32" })
      end
    end
    assert.equal(#list, position)
  end)

  it("come back, from either format", function()
    local net = lived()
    for _, name in ipairs { "/a.pth", "/a.pt", "/a.safetensors" } do
      asl.weights.save(dir .. name, net)
      local other = fast_scnn { seed = 4 }
      assert.not_equal(net:digest(), other:digest())
      local report, said = load(other, dir .. name)
      assert.equal(net:digest(), other:digest())
      assert.same({}, said)
      assert.same({ 224, "", "", {}, {}, 0 }, { report.loaded, report.container, report.wrapper, report.skipped,
        report.foreign, report.widened })
    end
    assert.equal("pt", core.json_decode(core.fs.read(dir .. "/a.safetensors"):sub(9, 8 + string.unpack("<I8",
      core.fs.read(dir .. "/a.safetensors")))).__metadata__.format)
    asl.weights.save(dir .. "/odd", net, { format = "pytorch" })
    assert.equal(core.fs.read(dir .. "/a.pth"), core.fs.read(dir .. "/odd"))
  end)

  it("are an option of the model", function()
    local net = lived()
    asl.weights.save(path, net)
    local other = fast_scnn { weights = path, seed = 8 }
    assert.equal(net:digest(), other:digest())
    assert.equal(net:digest(), other:clone():digest())
    assert.error_matches(function() fast_scnn { weights = dir .. "/none.pth" } end, "none.pth\": No such file or directory$")
    assert.error_matches(function() fast_scnn { weights = 7 } end, 'option "weights" must be a string, not the number 7')
  end)

  it("may be wrapped", function()
    local net = lived()
    for _, wrapper in ipairs { "module.", "model.", "net.", "model.module.", "module.model.net." } do
      asl.weights.write(path, tensors_of(net, function(name) return wrapper .. name end))
      local other = fast_scnn { seed = 4 }
      assert.equal(wrapper, load(other).wrapper)
      assert.equal(net:digest(), other:digest())
    end
  end)

  it("may be the predecessor's, with what it kept beside them", function()
    local net = lived { seed = 3, aux = true }
    local parts = { learning_to_downsample = "learn_to_down", global_feature_extractor = "extractor",
      feature_fusion = "fusion", classifier = "classifier" }
    local tensors = tensors_of(net, function(name)
      return "model." .. name:gsub("^([%w_]+)", function(part) return parts[part] and "_md." .. parts[part] end)
    end)
    tensors["_rssb.bins"] = asl.zeros({ 2, 5 }, { dtype = "i64" })
    tensors["_teacher.model._md.classifier.conv.1.bias"] = asl.zeros { 7 }
    asl.weights.write(path, tensors)
    local other = fast_scnn { seed = 4, aux = true }
    local report, said = load(other)
    assert.equal(net:digest(), other:digest())
    assert.same({ path .. ": 2 tensors: _rssb.bins, _teacher.model._md.classifier.conv.1.bias, no part of the network, "
      .. "are not read" }, said)
    assert.equal(231, report.loaded)
    tensors["_other.x"] = asl.zeros { 1 }
    asl.weights.write(path, tensors)
    assert.equal("does not fit this network:\n  1 not of this network: _other.x", refusal(other))
  end)

  it("for another number of classes leave the classifier as it was, and say so", function()
    asl.weights.save(path, lived { classes = 19, aux = true, seed = 3 })
    local net = fast_scnn { seed = 4, aux = true }
    local fresh, bias = {}, "classifier.conv.1.bias"
    for name, view in net:parameters() do fresh[name] = view:digest() end
    local report, said = load(net)
    local skipped = { "classifier.conv.1.weight", bias, "auxlayer.4.weight", "auxlayer.4.bias" }
    assert.same(skipped, report.skipped)
    assert.same({
      path .. " is for 19 classes, this network for 7: auxlayer.4.weight and auxlayer.4.bias keep their initial values",
      path .. " is for 19 classes, this network for 7: classifier.conv.1.weight and classifier.conv.1.bias keep their "
        .. "initial values" }, said)
    local kept = {}
    for name, view in net:parameters() do
      if view:digest() == fresh[name] then kept[name] = true end
    end
    for _, name in ipairs(skipped) do
      assert.is_true(kept[name])
      kept[name] = nil
    end
    -- Two networks start with the same weights of batch norm (1) and biases (0).
    for name in pairs(kept) do assert.matches("%.%d%.%a+$", name) end
    assert.equal(227, report.loaded)
  end)

  it("print their warning on standard error", function()
    asl.weights.save(path, fast_scnn { classes = 19 })
    local result = program.run { "-e", ("asl.models.fast_scnn { classes = 7, weights = %q }"):format(path) }
    assert.equal(0, result.code)
    assert.equal("", result.out)
    assert.equal("asl: warning: " .. path .. " is for 19 classes, this network for 7: classifier.conv.1.weight and "
      .. "classifier.conv.1.bias keep their initial values\n", result.err)
  end)

  it("must fit in everything else, and change nothing otherwise", function()
    local net = lived()
    local other = fast_scnn { seed = 4 }
    local cases = {
      { function(name) return name ~= "feature_fusion.dwconv.conv.0.weight" and name end,
        "does not fit this network:\n  1 missing: feature_fusion.dwconv.conv.0.weight" },
      { function(name) return name == "classifier.conv.1.bias" and "classifier.conv.2.bias" or name end,
        "does not fit this network:\n  1 missing: classifier.conv.1.bias\n"
          .. "  1 not of this network: classifier.conv.2.bias" },
      { function(name, t) return name, name == "feature_fusion.dwconv.conv.0.weight" and t:permute(1, 3, 4, 2) end,
        "does not fit this network:\n"
          .. "  1 that do not fit: feature_fusion.dwconv.conv.0.weight (128x3x3x1 instead of 128x1x3x3)" },
      { function(name, t) return name, name:find "^classifier.conv.1.bias" and asl.zeros { 8 } or t end,
        "does not fit this network:\n  1 that do not fit: classifier.conv.1.bias (8 instead of 7)" },
      { function(name, t) return name, name:find "^classifier.conv.1" and asl.zeros(name:find "bias" and { 8 }
          or { 9, 128, 1, 1 }) or t end,
        "does not fit this network:\n  2 that do not fit: classifier.conv.1.bias (8 instead of 7), "
          .. "classifier.conv.1.weight (9x128x1x1 instead of 7x128x1x1)" },
      { function(name, t) return name, name:find "^classifier.conv.1.bias" and t:to "f64" or t end,
        "does not fit this network:\n  1 that do not fit: classifier.conv.1.bias (f64; narrow = true rounds it to f32)" },
      { function(name, t)
          return name, name:find "^classifier.conv.1.bias" and asl.zeros({ 7 }, { dtype = "i64" }) or t
        end, "does not fit this network:\n  1 that do not fit: classifier.conv.1.bias (i64 instead of f32)" },
      { function(name, t) return name, name:find "^classifier.conv.1.bias" and asl.tensor { 1, 2, 0 / 0, 4, 5, 6, 1 / 0 } or t
        end, "has 2 values in classifier.conv.1.bias that are not finite" },
      { function(name, t) return "x." .. name, t end, "holds no tensor with a name of this network" },
      { function(name, t) return "model.net.net.net." .. name, t end, "holds no tensor with a name of this network" },
    }
    for i, case in ipairs(cases) do
      asl.weights.write(path, tensors_of(net, case[1]))
      assert.equal(case[2], refusal(other), "case " .. i)
    end
  end)

  it("with an auxiliary head are for networks with one", function()
    asl.weights.save(path, fast_scnn { aux = true })
    assert.matches("\n  7 not of this network: auxlayer%.0%.weight, auxlayer%.1%.bias, ", refusal(fast_scnn {}))
    asl.weights.save(path, fast_scnn {})
    assert.matches("\n  7 missing: auxlayer%.0%.weight, auxlayer%.1%.bias, ", refusal(fast_scnn { aux = true }))
  end)

  it("name twenty of many", function()
    asl.weights.write(path, { ["classifier.conv.1.bias"] = asl.zeros { 7 } })
    assert.matches("^does not fit this network:\n  223 missing: classifier%.conv%.1%.weight, .*, and 203 more$",
      refusal(fast_scnn {}))
  end)

  it("of any network can be kept", function()
    local net = asl.nn.sequential { { "a", asl.nn.conv_bn_act(2, 3, { kernel = 3 }) }, { "b", asl.nn.conv2d(3, 1) } }
    net:materialise(1)
    asl.weights.save(path, net)
    local same = asl.nn.sequential { { "a", asl.nn.conv_bn_act(2, 3, { kernel = 3 }) }, { "b", asl.nn.conv2d(3, 1) } }
    same:materialise(2)
    load(same)
    assert.equal(net:digest(), same:digest())
    assert.same({ 3, 2, 3, 3 }, asl.weights.list(path)[1].shape)
  end)

  it("are listed by asl weights FILE", function()
    asl.weights.write(path, { ["a.weight"] = asl.zeros { 2, 3 }, b = asl.tensor(7, { dtype = "i64" }),
      ["bad\27[2Jname"] = asl.zeros { 1 } })
    local result = program.run { "weights", path }
    assert.equal("", result.err)
    assert.equal(path .. [[: PyTorch checkpoint (zip archive, pickle protocol 2)
  name              dtype  shape   bytes
  a.weight          f32    2x3        24
  b                 i64    scalar      8
  "bad\x1b[2Jname"  f32    1           4
3 tensors of 8 values, 36 B
]], result.out)
    local broken = program.write(dir, "broken.pth", "abc")
    result = program.run { "weights", broken }
    assert.equal(65, result.code)
    assert.equal(('asl: "%s" holds no weights: it begins like no PyTorch checkpoint and no safetensors file\n'):format(
      broken), result.err)
    assert.equal(64, program.run({ "weights" }).code)
  end)

  -- ---- with PyTorch -----------------------------------------------------------------------------

  local python = "/usr/bin/python3"
  local NO_TORCH = python .. " has no PyTorch"

  -- Asking takes a second: only when a test wants to know, and once.
  local torch_is_there
  local function has_torch()
    if torch_is_there == nil then torch_is_there = program.shell(python .. " -c 'import torch'").code == 0 end
    return torch_is_there
  end

  local image = asl.zeros { 1, HEIGHT, WIDTH, 3 }
  core.normal_(image, 1, 99, 0)

  --- What PyTorch's side prints.
  local function run_torch(...)
    local words = { python, "spec/support/weights_torch.py", ... }
    local result = program.shell(table.concat(words, " ") .. (" %d %d %d"):format(HEIGHT, WIDTH, CLASSES))
    assert(result.code == 0, result.err)
    return result.out
  end

  --- Runs PyTorch; returns the logits it computed in `folder`.
  local function torch(what, folder, ...)
    core.fs.write(folder .. "/image.f32", image:bytes(), { durable = false })
    run_torch(what, folder, ...)
    local size = { 1, (HEIGHT - 1) // 2, (WIDTH - 1) // 2, CLASSES }
    size[2], size[3] = ((size[2] + 1) // 2 + 1) // 2, ((size[3] + 1) // 2 + 1) // 2
    return asl.frombytes(core.fs.read(folder .. "/logits.f32"), size)
  end

  -- What PyTorch made, for the tests that read it.
  local made, theirs
  local function make()
    if not made then
      made = core.fs.temp_dir()
      theirs = torch("make", made)
    end
    return made
  end
  teardown(function()
    if made then core.fs.remove_tree(made) end
  end)

  it("saved here compute the same in PyTorch", function()
    if not has_torch() then return pending(NO_TORCH) end
    for _, aux in ipairs { false, true } do
      local net = lived { aux = aux, seed = 3 }
      asl.weights.save(path, net)
      local d = difference(torch("use", dir, path), net:scores(image))
      assert(d < 1e-5, d)
    end
  end)

  it("written here are the same tensors in PyTorch", function()
    if not has_torch() then return pending(NO_TORCH) end
    asl.weights.write(path, { a = asl.tensor { { 1.5, -2, 3 }, { 4, 5, 0.1 } }, b = asl.tensor({ 0.1 }, { dtype = "f64" }),
      c = asl.tensor({ 0, 255 }, { dtype = "u8" }), d = asl.tensor({ -2147483648, 7 }, { dtype = "i32" }),
      e = asl.tensor({ math.mininteger, math.maxinteger }, { dtype = "i64" }), f = asl.tensor(42), g = asl.zeros { 3, 0, 2 },
      ["h.näme"] = asl.tensor({ { 1, 2, 3 }, { 4, 5, 6 } }):permute(2, 1) })
    assert.equal([[
a torch.float32 [2, 3] [1.5, -2.0, 3.0, 4.0, 5.0, 0.10000000149011612]
b torch.float64 [1] [0.1]
c torch.uint8 [2] [0, 255]
d torch.int32 [2] [-2147483648, 7]
e torch.int64 [2] [-9223372036854775808, 9223372036854775807]
f torch.float32 [] [42.0]
g torch.float32 [3, 0, 2] []
h.näme torch.float32 [3, 2] [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]
]], run_torch("show", path))
  end)

  it("saved by PyTorch compute the same here, in all the ways it saves them", function()
    if not has_torch() then return pending(NO_TORCH) end
    local from = make()
    local function agrees(name, given, bound)
      local net = fast_scnn { seed = 4 }
      local report, said = load(net, from .. "/" .. name, given)
      local d = difference(theirs, net:scores(image))
      assert(d < (bound or 1e-5), ("%s: %g"):format(name, d))
      assert.equal(224, report.loaded, name)
      return report, said
    end
    for _, name in ipairs { "plain.pth", "legacy.pth", "protocol3.pth", "protocol4.pth", "legacy3.pth", "legacy4.pth",
      "uncounted.pth", "channels_last.pth", "one_storage.pth", "parameters.pth" } do
      assert.same({}, (select(2, agrees(name))), name)
    end
    assert.equal("module.", agrees("parallel.pth").wrapper)
    assert.same({ "model", "module." }, { agrees("wrapped.pth").container, agrees("wrapped.pth").wrapper })
    assert.same({ "state_dict", "net." }, { agrees("net.ckpt").container, agrees("net.ckpt").wrapper })
    local report, said = agrees "predecessor.ckpt"
    assert.same({ "state_dict", "model.", 3 }, { report.container, report.wrapper, #report.foreign })
    assert.matches("_rssb.bins, _rssb.valid, _teacher.model._md.classifier.conv.1.weight, no part of", said[1])
    agrees("double.pth", { narrow = true })
    -- 11 and 8 bits of every weight are left.
    report, said = agrees("half.pth", nil, 0.01)
    assert.equal(224, report.widened)
    assert.same({ from .. "/half.pth: 224 tensors of 16-bit numbers became f32, exactly" }, said)
    assert.equal(224, agrees("bfloat16.pth", nil, 0.1).widened)
    agrees("twice.pth", { at = "ema" })

    local net = fast_scnn { seed = 4 }
    path = from .. "/twice.pth"
    assert.equal('holds parts of this network in 2 places: "state_dict", "ema"; at = "state_dict" takes the first',
      refusal(net))
    assert.equal('holds no part of this network in "optimiser"', refusal(net, { at = "optimiser" }))
    path = from .. "/double.pth"
    assert.matches("that do not fit: classifier%.conv%.1%.bias %(f64; narrow = true rounds it to f32%), ", refusal(net))
    path = from .. "/module.pth"
    assert.equal("is a pickled object of __main__.Net, a program; torch.save its state_dict() instead", refusal(net))
    local _, problem = pcall(asl.weights.read, path)
    assert.matches("data.pkl: byte %d+ %(GLOBAL%): __main__.Net is none of the names that weights need; nothing was run$",
      fault.cause(problem))
    load(fast_scnn { seed = 4, aux = true }, from .. "/aux.pth")
  end)

  it("saved by PyTorch are the numbers it saved", function()
    if not has_torch() then return pending(NO_TORCH) end
    local values = asl.weights.read(make() .. "/values.pth")
    local function list(name) return values[name]:totable() end
    local f16 = list "f16"
    assert.same({ 0.0, 2.0 ^ -24, 65504.0, math.huge }, table.move(f16, 1, 4, 1, {}))
    assert.is_true(f16[5] ~= f16[5] and 1 / f16[6] == -math.huge)
    local bf16 = list "bf16"
    assert.is_true(bf16[1] == 2.0 ^ -133 and math.abs(bf16[2] / 3e38 - 1) < 2 ^ -8 and bf16[3] == -math.huge)
    assert.equal(0.333984375, bf16[4])
    assert.same({ { 1, 1, 1 }, { 2, 2, 2 } }, list "expanded")
    assert.same({ { 0, 3 }, { 1, 4 }, { 2, 5 } }, list "t")
    assert.same({ 1, 4, 7 }, list "step")
    assert.same({ 0, 3 }, values.none:shape())
    assert.same({ 1, 0 }, list "bool")
    assert.same({ -128, 127 }, list "i8")
    assert.same({ 2, 3, "torch.float16", "cuda:1" }, { values["size.0"], values["size.1"], values.dtype, values.device })
  end)
end)
