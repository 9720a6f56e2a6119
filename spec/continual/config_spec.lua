local asl = require "asl"
local config = require "asl.config"
local env = require "asl.env"
local fs = require "asl.fs"

local DEFAULTS = { lr = 0.003, updates = 100, flag = false, strategy = "replay", size = { 96, 128 }, names = {} }

local function problem_of(f, ...)
  local ok, problem = pcall(f, ...)
  assert.is_false(ok)
  return problem
end

describe("a configuration", function()
  it("is its defaults, with some overridden", function()
    local cfg = config.resolve("e", DEFAULTS, { updates = 5, size = { 32, 48 }, strategy = "naive", flag = true })
    assert.same({ lr = 0.003, updates = 5, flag = true, strategy = "naive", size = { 32, 48 }, names = {} }, cfg)
    assert.equal(100, DEFAULTS.updates)
    assert.same(DEFAULTS, config.resolve("e", DEFAULTS))
  end)

  it("takes what can be meant: whole numbers for numbers, one value for a list, numbers as names", function()
    local cfg = config.resolve("e", DEFAULTS, { lr = 1, size = 64, strategy = 3, names = "" })
    assert.equal("float", math.type(cfg.lr))
    assert.same({ 1.0, { 64 }, "3", {} }, { cfg.lr, cfg.size, cfg.strategy, cfg.names })
    assert.equal("integer", math.type(config.resolve("e", DEFAULTS, { updates = 5.0 }).updates))
  end)

  it("refuses an unknown key, naming the nearest and all there are", function()
    local problem = problem_of(config.resolve, "e", DEFAULTS, { updats = 5 })
    assert.equal('e has no setting "updats"', problem.message)
    assert.equal("did you mean updates? settings: flag, lr, names, size, strategy, updates", problem.hint)
    assert.equal(64, problem.exit_code)
  end)

  it("refuses a value of another type, with value and what would be right", function()
    local cases = {
      { { updates = "many" }, "e: updates must be a whole number, not many (a string)" },
      { { updates = 1.5 }, "e: updates must be a whole number, not 1.5 (a number)" },
      { { updates = { 1, 2 } }, "e: updates must be a whole number, not a list" },
      { { lr = "0,1" }, "e: lr must be a number, not 0,1 (a string)" },
      { { lr = true }, "e: lr must be a number, not true (a boolean)" },
      { { flag = "yes" }, "e: flag must be true or false, not yes (a string)" },
      { { flag = 1 }, "e: flag must be true or false, not 1 (a number)" },
      { { strategy = true }, "e: strategy must be a string, not true (a boolean)" },
      { { size = { 96, "wide" } }, "e: size[2] must be a number, not wide (a string)" },
    }
    for _, case in ipairs(cases) do
      local problem = problem_of(config.resolve, "e", DEFAULTS, case[1])
      assert.equal(case[2], problem.message)
      assert.equal(64, problem.exit_code)
    end
  end)

  it("of continual learning takes more settings", function()
    local cfg = asl.continual.config { rooms = 3, updates = 7 }
    assert.same({ 3, 7, "replay" }, { cfg.rooms, cfg.updates, cfg.strategy })
    assert.equal(1000, asl.continual.defaults.updates)
    assert.is_nil(asl.continual.defaults.rooms)
  end)

  it("that names what is not there makes no learner", function()
    local function learner(more)
      return problem_of(asl.continual.learner, config.resolve("e", asl.continual.defaults, more), 3)
    end
    assert.equal('there is no optimiser "adamm"', learner({ optimiser = "adamm" }).message)
    assert.equal('there is no schedule "cosine"', learner({ schedule = "cosine" }).message)
    assert.matches('there is no strategy "replai"', tostring(learner { strategy = "replai" }))
  end)
end)

describe("the environment", function()
  local dir

  before_each(function() dir = fs.temp_dir() end)
  after_each(function()
    env.use(dir .. "/none.lua") -- nobody after this reads a file of ours
    fs.write(dir .. "/none.lua", "return {}")
    env.get "x"
    fs.remove_tree(dir)
  end)

  local function use(text)
    fs.write(dir .. "/env.lua", text)
    env.use(dir .. "/env.lua")
  end

  it("says where data lies", function()
    use 'return { camvid = "/data/camvid" }'
    assert.equal("/data/camvid", env.path("camvid", ""))
    assert.equal("/elsewhere", env.path("camvid", "/elsewhere"))
    assert.is_nil(env.get "nyuv2")
  end)

  it("asks for what it does not know", function()
    use "return {}"
    local problem = problem_of(env.path, "camvid", "")
    assert.equal("where is camvid?", problem.message)
    assert.equal(('write data=DIRECTORY on the command line, or camvid = "DIRECTORY" into %s/env.lua'):format(dir),
      problem.hint)
    assert.equal(64, problem.exit_code)
    assert.matches("^write hypersim=DIRECTORY on the command line, or mlhypersim = ",
      problem_of(env.path, "mlhypersim", "", "hypersim").hint)
  end)

  it("must be a file that returns a table", function()
    use "return 5"
    assert.equal(dir .. "/env.lua: an environment file returns a table, this one returns a number",
      problem_of(env.get, "x").message)
    use "return {"
    local problem = problem_of(env.get, "x")
    assert.matches("^cannot read the environment: .*env.lua:1: ", problem.message)
    assert.equal(64, problem.exit_code)
    env.use(dir .. "/nowhere.lua")
    assert.matches("cannot read the environment: .*No such file", problem_of(env.get, "x").message)
  end)

  it("is data: it sees no globals", function()
    use "return { home = os.getenv 'HOME' }"
    assert.error_matches(function() env.get "home" end, "attempt to index a nil value %(global 'os'%)")
  end)
end)
