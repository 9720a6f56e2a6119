--- The table of tools/gpu-check: asl bench/gpu_table.lua FOLDER, with asl.json and, maybe, torch.json in it. Writes
--- gpu-check.json beside them: both, with the ratios.

local fs = require "asl.fs"
local json = require "asl.json"

local folder = arg[1]
local ours = json.read(fs.join(folder, "asl.json"))
local theirs = fs.stat(fs.join(folder, "torch.json")) and json.read(fs.join(folder, "torch.json")) or { rows = {} }

local function peer_of(case, compiled)
  for _, row in ipairs(theirs.rows) do
    if row.kind == case.kind and row.size[1] == case.size[1] and row.size[2] == case.size[2] and row.batch == case.batch
      and row.precision == case.precision and row.compiled == compiled then return row.result end
  end
end

local function ratio(case, compiled)
  local peer = peer_of(case, compiled)
  return peer and case.result.images_per_second / peer.images_per_second or nil
end

print("| what | batch | precision | graph | img/s | ms | of the ceiling | peak MiB | x eager | x compiled |")
print("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |")
for _, case in ipairs(ours.rows) do
  case.times_eager, case.times_compiled = ratio(case, false), ratio(case, true)
  local r = case.result
  local function number(format, value) return value and format:format(value) or "" end
  print(("| %s %dx%d | %d | %s | %s | %.0f | %.2f | %s | %s | %s | %s |"):format(case.kind, case.size[1], case.size[2],
    case.batch, case.precision, case.graph == nil and "" or case.graph and "yes" or "no", r.images_per_second, 1e3 * r.seconds,
    number("%.0f %%", r.of_ceiling and 100 * r.of_ceiling), number("%.0f", r.peak_bytes and r.peak_bytes / 2 ^ 20),
    number("%.2f", case.times_eager), number("%.2f", case.times_compiled)))
end
json.write(fs.join(folder, "gpu-check.json"), { asl = ours, torch = theirs.torch and theirs or nil })
