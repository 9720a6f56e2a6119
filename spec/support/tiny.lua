--- An experiment of seconds: two domains of `rooms`, pictures of 32x48, for the specs of whole runs.
---
---     asl spec/support/tiny.lua strategy=replay updates=6 --runs DIR

local asl = require "asl"

local function domain(name, cfg)
  local function rooms(split, sequences)
    return asl.data.rooms { domain = name, split = split, size = cfg.size, sequences = sequences, frames = 2, seed = cfg.seed }
  end
  return { name, train = rooms("train", cfg.rooms), test = rooms("test", 2) }
end

return asl.experiment {
  name = "tiny",
  config = asl.continual.config {
    domains = { "studio", "lab" }, rooms = 3, compare = { "" },
    size = { 32, 48 }, batch = 4, updates = 6, checkpoint_every = 2, pictures = 1, loaders = 1,
    memory = "64 KiB", -- ten pictures of 32x48
    brightness = 0.2, scale = { 1.0, 1.5 },
  },
  main = function(cfg, run)
    local domains = {}
    for i, name in ipairs(cfg.domains) do domains[i] = domain(name, cfg) end
    local scenario = asl.scenario.domains(domains)
    if cfg.compare[1] ~= "" then return asl.continual.compare(run, scenario, cfg, cfg.compare) end
    return asl.continual(run, scenario, asl.continual.learner(cfg, scenario.classes), cfg)
  end,
}
