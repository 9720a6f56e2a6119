--- Does a network that drives from city to city forget the ones it has left, and get better at those it has never seen?
---
--- Each of the 18 training cities is a task, by name, or as `cities` lists them. A city is tested on its own last
--- drives: the last `held_out` of its frames, by the camera's sequences, never learnt from; the `gap` frames before
--- them are not used. After every task all cities are tested, and as "val" the official validation set, three other
--- cities. Its test set has no public labels.
---
---     asl experiments/cityscapes_cities.lua data=CITYSCAPES strategy=replay seed=1     (cities=jena,ulm,zurich: these)
---
--- CITYSCAPES holds leftImg8bit and gtFine.

local asl = require "asl"

--- The cities' names, as asked for, else all in the order of the release.
local function cities_of(cfg, root)
  if #cfg.cities > 0 then return cfg.cities end
  return (asl.data.cityscapes({ root = root, split = "train" }):sequence_names())
end

return asl.experiment {
  name = "cityscapes_cities",
  config = asl.continual.config {
    data = "",                  -- the Cityscapes directory; else the environment's `cityscapes`
    cities = {},                -- in the order of learning; none: all by name
    held_out = 0.2, gap = 1,    -- share, or number, of each city's frames; frames
    test_frames = 0,            -- of the validation set, evenly spread; 0: all 500
    size = { 512, 1024 }, batch = 8, updates = 2000, lr = 0.003,
    scale = { 1.0, 2.0 }, flip = 0.5, brightness = 0.2, contrast = 0.2, saturation = 0.2,
    memory = "512 MiB",         -- 256 pictures of 512x1024 with their labels
    share = 0.5, loaders = 8,
  },
  main = function(cfg, run)
    local root = asl.env.path("cityscapes", cfg.data)
    local tasks = {}
    for i, city in ipairs(cities_of(cfg, root)) do
      local frames = asl.data.cityscapes { root = root, split = "train", cities = { city } }
      local train, test = frames:split { test = cfg.held_out, gap = cfg.gap }
      tasks[i] = asl.task.new { name = city, train = train, test = test }
    end
    local scenario = asl.scenario.new { name = "cities", tasks = tasks, extra_tests = {
      { name = "val", data = asl.data.cityscapes({ root = root, split = "val" }):spread(cfg.test_frames) },
    } }
    return asl.continual(run, scenario, asl.continual.learner(cfg, scenario.classes), cfg)
  end,
}
