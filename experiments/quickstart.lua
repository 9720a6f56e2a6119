--- Continual learning in four minutes, on nothing but a processor.
---
--- A network learns to segment rooms of a clean simulator, then homes by day, then a lab. Three ways: naively
--- (task after task), with a replay memory, and, as the reference, all at once. The table at the end says what
--- each still knows of all three, and report.html shows it.
---
---     asl experiments/quickstart.lua            (updates=30: a first look in half a minute)

local asl = require "asl"

--- Training and test rooms of one domain; no room is in both.
local function domain(name, cfg)
  local function rooms(split, sequences, frames)
    return asl.data.rooms { domain = name, split = split, size = cfg.size, sequences = sequences, frames = frames,
      seed = cfg.seed }
  end
  return { name, train = rooms("train", cfg.rooms, 6), test = rooms("test", 8, 2) }
end

return asl.experiment {
  name = "quickstart",
  config = asl.continual.config {
    domains = { "studio", "daylight", "lab" },
    rooms = 24,               -- training rooms per domain, six pictures of each
    strategies = { "naive", "replay", "joint" },
    size = { 96, 128 }, batch = 8, updates = 300, lr = 0.003,
    memory = "4 MiB",         -- 85 pictures of 96x128 with their labels
  },
  main = function(cfg, run)
    local domains = {}
    for i, name in ipairs(cfg.domains) do domains[i] = domain(name, cfg) end
    return asl.continual.compare(run, asl.scenario.domains(domains), cfg, cfg.strategies)
  end,
}
