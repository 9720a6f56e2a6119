-- asl.ranks: what ranks do together, who starts them, and what is wrong with how they were started.

local asl = require "asl"
local core = require "asl.core"
local fs = require "asl.fs"
local program = require "spec.support.program"
local several = require "spec.dist.several"

local ranks = asl.ranks
local it_in_ranks = several.it(it, pending)

describe("a process alone", function()
  it("is rank 0 of 1", function()
    assert.same({ 0, 1, true }, { ranks.rank(), ranks.count(), ranks.first() })
    assert.equal("rank 0 on " .. core.hostname(), ranks.name(0))
    assert.same({ 1, 7 }, { ranks.share(7) })
  end)

  it("does together what it does", function()
    local value = { a = { 1, 2.5, "x" } }
    assert.equal(value, ranks.broadcast(value))
    assert.same({ value, n = 1 }, ranks.gather(value))
    assert.same({ { 1.5, 2 } }, ranks.gather_numbers { 1.5, 2 })
    assert.same({ 3, 4 }, ranks.sum { 3, 4 })
    assert.equal(5, ranks.max(5))
    ranks.same("anything", "text")
    local t = asl.rand { 2, 3 }
    local all = core.all_gather(t)
    assert.same({ 1, 2, 3 }, all:shape())
    assert.equal(t:digest(), all:digest())
    assert.same({ { 3, 4 }, { 1, 2 } }, ranks.rows(asl.tensor { { 1, 2 }, { 3, 4 } }, t, nil, { 2, 1 }):totable())
    ranks.leave(0)
  end)

  it("gathers strided tensors and refuses those without room for one more dimension", function()
    local t = asl.rand { 3, 4 }
    assert.same({ t:permute(2, 1):totable() }, core.all_gather(t:permute(2, 1)):totable())
    assert.error_matches(function() core.all_gather(asl.zeros { 1, 1, 1, 1, 1, 2 }) end,
      "all_gather: f32 1x1x1x1x1x2 has no room for one more dimension")
  end)

  it("says which MPI it was built with", function()
    local built = core.version().mpi
    assert.equal(built == "no", core.ranks.available() == nil)
    local out = program.run({ "--version" }).out
    assert.truthy(out:find(built == "no" and "ranks: none (built without MPI)" or "ranks: by " .. built, 1, true), out)
  end)
end)

describe("ranks", function()
  it_in_ranks("move values and tensors bit for bit", function()
    local result = several.script(3, [[
      local asl = require "asl"
      local core, ranks = asl.core, asl.ranks
      local rank = ranks.rank()
      assert(ranks.count() == 3 and ranks.first() == (rank == 0))
      local function same(a, b) assert(asl.json.encode(a) == asl.json.encode(b), asl.json.encode(a)) end

      same(ranks.broadcast(rank == 0 and { a = 0.1, b = { "x", true }, c = asl.json.null } or nil),
        { a = 0.1, b = { "x", true }, c = asl.json.null })
      assert(ranks.broadcast(nil) == nil)
      same({ table.unpack(ranks.gather { rank, ("x"):rep(1000 * rank) }) },
        { { 0, "" }, { 1, ("x"):rep(1000) }, { 2, ("x"):rep(2000) } })
      assert(ranks.gather(rank == 1 and "one" or nil).n == 3)
      same(ranks.sum { rank, 1 << 60 }, { 3, 3 << 60 })
      assert(ranks.max(-rank) == 0)
      local numbers = ranks.gather_numbers { rank == 1 and 0 / 0 or rank / 3, -0.0 }
      assert(numbers[2][1] ~= numbers[2][1] and numbers[3][1] == 2 / 3 and 1 / numbers[1][2] == -math.huge)

      local first, last = ranks.share(7)
      same({ { 1, 2 }, { 3, 4 }, { 5, 7 } }, { table.unpack(ranks.gather { first, last }) })
      same({ ranks.share(7, 2) }, { 5, 7 })

      -- Of every dtype and of sizes on both sides of what is sent in one piece.
      for _, dtype in ipairs { "f32", "u8", "i64", "f64", "i32" } do
        for _, n in ipairs { 0, 1, 5, 70001 } do
          local t = asl.zeros({ n, 2 }, { dtype = dtype }):fill_(rank + 1)
          local all = core.all_gather(t)
          same(all:shape(), { 3, n, 2 })
          for r = 1, n > 0 and 3 or 0 do
            assert(all:select(1, r):contiguous():digest() == asl.zeros({ n, 2 }, { dtype = dtype }):fill_(r):digest())
          end
        end
      end

      -- Rows of a tensor that lies on three ranks are those of the whole, in any order, some twice.
      local whole = asl.rand({ 9, 5 }, { seed = 4 })
      for i, counts in ipairs { { 3, 3, 3 }, { 0, 9, 0 }, { 1, 0, 8 }, { 9, 0, 0 }, { 4, 5, 0 } } do
        local before = 0
        for r = 1, rank do before = before + counts[r] end
        local own = counts[rank + 1] > 0 and whole:slice(1, before + 1, before + counts[rank + 1]):contiguous() or nil
        for _, wanted in ipairs { { 1, 2, 3, 4, 5, 6, 7, 8, 9 }, { 9, 1, 5, 5, 3 }, { i }, { 9, 8, 7, 7, 7 } } do
          local index = {}
          for k, row in ipairs(wanted) do index[k] = row - 1 end
          local expected = asl.ops.gather_rows(whole, asl.tensor(index, { dtype = "i64" }))
          assert(ranks.rows(own, whole, counts, wanted):digest() == expected:digest())
        end
      end

      assert(ranks.name(2):find "^rank 2 on .")
      assert(asl.threads() >= 1 and asl.threads() <= 16)
      assert(select(2, core.ranks.launched()) == 3 or os.getenv "ASL_RANKS" == "1")
      io.stderr:write "good\n"]])
    assert.same({ 0, "good\ngood\ngood\n" }, { result.code, result.err })
  end)

  it_in_ranks("share the cores, unless ASL_THREADS says otherwise; what they start is alone", function()
    local script = [[
      local asl = require "asl"
      asl.ranks.rank()
      assert(os.getenv "ASL_RANKS" == "1")
      io.stderr:write(asl.threads() .. "\n")]]
    local cores = tonumber(program.shell("env -u ASL_THREADS " .. program.quote(program.path())
      .. " -e 'print(asl.threads())'").out)
    program.in_directory(function(dir)
      local path = program.write(dir, "script.lua", script)
      local command = ("%s --ranks 2 %s"):format(program.quote(program.path()), path)
      assert.equal((math.max(1, cores // 2) .. "\n"):rep(2), program.shell("env -u ASL_THREADS " .. command).err)
      assert.equal("3\n3\n", program.shell("ASL_THREADS=3 " .. command).err)
    end)
  end)

  it_in_ranks("that never meet end by themselves", function()
    local result = several.script(2, "print 'here'")
    assert.same({ 0, "here\nhere\n", "" }, { result.code, result.out, result.err })
  end)
end)

describe("the command line", function()
  local function check(code, message, arguments, given)
    local result = program.run(arguments, given)
    assert.equal(message, result.err)
    assert.equal(code, result.code)
  end

  it("refuses numbers of ranks that are none, and what cannot run in ranks", function()
    for _, number in ipairs { "0", "-1", "1.5", "four", "5000" } do
      check(64, ("asl: --ranks: %q is no number of ranks\nhint: asl --ranks 4 FILE.lua shards=4\n"):format(number),
        { "--ranks=" .. number, "x.lua" })
    end
    for _, arguments in ipairs { { "--help" }, { "--version" }, { "help", "nn" }, { "runs" }, {} } do
      check(64, "asl: --ranks is for running a script\n", { "--ranks", "2", table.unpack(arguments) })
    end
  end)

  it("with --ranks 1 starts nothing", function()
    assert.equal("1\n", program.run({ "--ranks", "1", "-e", "print(asl.ranks.count())" }).out)
  end)

  it("says that there is no mpirun", function()
    if not core.ranks.available() then return pending "this asl was built without MPI" end
    check(64, "asl: --ranks: cannot run mpirun: No such file or directory\n"
      .. "hint: tools/install-deps --ranks installs it on Debian; then build asl again\n", { "--ranks", "2", "-e", "" },
      { env = "PATH=/nowhere" })
  end)

  it("says that it was built without MPI", function()
    program.in_directory(function(dir)
      local here = fs.dirname(program.path())
      local lib = here .. (fs.stat(here .. "/lib/asl/core.so") and "/lib/asl" or "/../lib/lua/5.4/asl")
      local built = fs.stat(here .. "/lua/asl/cli.lua") ~= nil
      if not built then return pending "asl is installed" end
      local command = ("mkdir -p %s/lib/asl && cp %s %s/asl && cp %s/core.so %s/lib/asl && ln -s %s/lua %s/lua"):format(dir,
        program.quote(program.path()), dir, program.quote(lib), dir, program.quote(here), dir)
      assert.equal(0, program.shell(command).code)
      local without = ("this asl was built without MPI (%s/lib/asl/libasl_mpi.so is not there)"):format(dir)
      local result = program.shell(dir .. "/asl --ranks 2 -e ''")
      assert.equal(("asl: --ranks: %s\nhint: tools/install-deps --ranks installs it on Debian; then build asl again\n")
        :format(without), result.err)
      assert.equal(64, result.code)
      result = program.shell(("OMPI_COMM_WORLD_SIZE=2 OMPI_COMM_WORLD_RANK=0 %s/asl -e 'asl.ranks.rank()'"):format(dir))
      assert.truthy(result.err:find(without, 1, true), result.err)
      assert.equal("1\n", program.shell(dir .. "/asl -e 'print(asl.ranks.count())'").out)
    end)
  end)
end)

describe("what a launcher tells", function()
  local function run(env)
    return program.run({ "-e", "print(asl.core.ranks.launched())" }, { env = env })
  end

  it("says how many ranks there are", function()
    for env, expected in pairs {
      [""] = "0\t1\tnil\n", ["ASL_RANKS=1 PMI_SIZE=4 PMI_RANK=2"] = "0\t1\tnil\n",
      ["OMPI_COMM_WORLD_SIZE=4 OMPI_COMM_WORLD_RANK=3"] = "3\t4\tOpen MPI\n",
      ["PMI_SIZE=4 PMI_RANK=2"] = "2\t4\tPMI\n", ["SLURM_STEP_NUM_TASKS=8 SLURM_PROCID=7"] = "7\t8\tSlurm\n",
      ["SLURM_NTASKS=8 SLURM_PROCID=0"] = "0\t1\tnil\n", -- a batch script
      ["ASL_RANKS=2"] = "0\t2\tASL_RANKS\n",
    } do
      assert.equal(expected, run(env).out, env)
    end
  end)

  it("must make sense", function()
    for env, message in pairs {
      ["ASL_RANKS=x"] = 'ASL_RANKS is "x": it must be a number from 1 to 4096',
      ["ASL_RANKS=0"] = 'ASL_RANKS is "0": it must be a number from 1 to 4096',
      ["PMI_SIZE=2 PMI_RANK=-1"] = 'PMI_RANK is "-1": it must be a number from 0 to 4096',
      ["PMI_SIZE=99999 PMI_RANK=0"] = 'PMI_SIZE is "99999": it must be a number from 1 to 4096',
      ["PMI_SIZE=2 PMI_RANK=2"] = "PMI_RANK is 2, but PMI_SIZE is 2: there are ranks 0 to 1",
      ["ASL_RANKS=3 PMI_SIZE=2 PMI_RANK=0"] = "ASL_RANKS is 3, but PMI started 2 ranks",
    } do
      local result = run(env)
      assert.truthy(result.err:find(message, 1, true), result.err)
      assert.equal(70, result.code)
    end
  end)

  it_in_ranks("must be what MPI finds", function()
    local result = program.run({ "-e", "asl.ranks.rank()" }, { env = "PMI_SIZE=2 PMI_RANK=0" })
    assert.truthy(result.err:find("PMI started 2 ranks, but MPI knows of 1: is it another MPI than asl was built with ("
      .. core.version().mpi .. ")?", 1, true), result.err)
    assert.equal(70, result.code)
    result = program.run({ "--ranks", "3", "-e", "" }, { env = "PMI_SIZE=2 PMI_RANK=0" })
    assert.equal("asl: --ranks 3: this is one of 2 ranks that PMI has started\n", result.err)
  end)
end)
