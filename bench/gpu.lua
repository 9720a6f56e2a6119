--- Speed of training and inference on a GPU: asl bench/gpu.lua [device] [FILE.json]
---
--- Training is the whole update of a strategy: normalisation, forward, loss, backward, check, Adam; pictures and labels
--- are in the device's memory. Medians of batches of updates between two waits, after warm-up. Also the roofline: the
--- bytes an update must move when every activation is written and read once each way (6 N values per picture), over the
--- bandwidth of a copy measured here.

local asl = require "asl"
local core = asl.core
local json = require "asl.json"

local device, out = arg and arg[1] or "cuda", arg and arg[2]
local quick = device ~= "cuda" -- elsewhere only that it runs
local CLASSES, WARM, ROUNDS, PER_ROUND = 40, quick and 3 or 12, quick and 2 or 9, quick and 1 or 10

-- Values of all activations of Fast-SCNN at 320x640 with 40 classes, per pixel of the picture: convolutions, upsampled
-- and joined maps, sums.
local VALUES_PER_PIXEL = 11.70e6 / (320 * 640)
local PASSES = 6 -- forward: write, read; backward: dy, z, z of the input read, dx written

local function median(values)
  table.sort(values)
  return values[(#values + 1) // 2]
end

--- Seconds of one call of `work`, the median over rounds.
local function seconds_of(work)
  for _ = 1, WARM do work() end
  core.synchronise(device)
  local rounds = {}
  for r = 1, ROUNDS do
    local start = core.monotonic()
    for _ = 1, PER_ROUND do work() end
    core.synchronise(device)
    rounds[r] = (core.monotonic() - start) / PER_ROUND
  end
  return median(rounds)
end

local function pictures(rows, size)
  return core.uniform_(asl.zeros { rows, size[1], size[2], 3 }, 1, 16, 0, 0, 255):to("u8"):to(device)
end

local function labels(rows, size)
  return core.uniform_(asl.zeros { rows, size[1], size[2] }, 2, 16, 0, 0, CLASSES - 0.51):to("u8"):to(device)
end

local function training(case)
  local scope <close> = core.scope()
  local learner = asl.strategy.naive { optim = asl.optim.adam { lr = 1e-3 },
    net = asl.models.fast_scnn { classes = CLASSES, device = device, precision = case.precision } }
  learner.graph = case.graph
  local batch = { image = pictures(case.batch, case.size), label = labels(case.batch, case.size), replayed = {} }
  for row = 1, case.batch do batch.replayed[row] = false end
  local step, begun = 0, nil
  core.memory_trim(device)
  core.memory_reset_peak(device)
  local seconds = seconds_of(function()
    step = step + 1
    local before = begun
    begun = learner:begin_step(batch, { step = step, updates = 1 << 30, before = 0, all = 1 << 30 })
    if before then learner:end_step(before) end -- the host is one update ahead, as in asl.continual
  end)
  return { seconds = seconds, images_per_second = case.batch / seconds, peak_bytes = core.memory(device).peak }
end

local function inference(case)
  local scope <close> = core.scope()
  local net = asl.models.fast_scnn { classes = CLASSES, device = device, precision = case.precision }
  local image = pictures(1, case.size)
  local seconds = seconds_of(function()
    local _ <close> = core.scope()
    net:predict(image)
    core.synchronise(device)
  end)
  return { seconds = seconds, images_per_second = 1 / seconds }
end

local function ceiling(case, peaks)
  local bytes = case.size[1] * case.size[2] * VALUES_PER_PIXEL * PASSES * (case.precision == "bf16" and 2 or 4)
  return peaks.bytes / bytes
end

local results = { device = core.device_info(device), version = core.version(), peaks = core.measure_peaks(device), rows = {} }
local sizes = quick and { { 64, 96 } } or { { 320, 640 }, { 384, 384 } }

print(("%s; copies %.0f GB/s, f32 %.1f TFLOP/s"):format(results.device.name, results.peaks.bytes / 1e9,
  2 * results.peaks.macs / 1e12))
print("\ntraining            batch  precision  graph     img/s    ms/step   of ceiling     peak")
for _, size in ipairs(sizes) do
  for _, batch in ipairs(quick and { 2 } or { 8, 32 }) do
    for _, precision in ipairs { "fp32", "bf16" } do
      for _, graph in ipairs { true, false } do
        local case = { kind = "training", size = size, batch = batch, precision = precision, graph = graph }
        case.result = training(case)
        case.result.of_ceiling = case.result.images_per_second / ceiling(case, results.peaks)
        results.rows[#results.rows + 1] = case
        print(("%4dx%-4d  %14d  %9s  %5s  %8.0f  %9.2f  %10.0f %%  %5.0f MiB"):format(size[1], size[2], batch, precision,
          graph and "yes" or "no", case.result.images_per_second, 1e3 * case.result.seconds, 100 * case.result.of_ceiling,
          case.result.peak_bytes / 2 ^ 20))
      end
    end
  end
end
print("\ninference, one picture, to the class map")
for _, size in ipairs(quick and { { 64, 96 } } or { { 1024, 2048 }, { 320, 640 } }) do
  for _, precision in ipairs { "fp32", "bf16" } do
    local case = { kind = "inference", size = size, batch = 1, precision = precision }
    case.result = inference(case)
    results.rows[#results.rows + 1] = case
    print(("%4dx%-4d  %s  %8.2f ms  %6.0f img/s"):format(size[1], size[2], precision, 1e3 * case.result.seconds,
      case.result.images_per_second))
  end
end
if out then json.write(out, results) end
