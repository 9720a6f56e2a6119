--- The CUDA emulator (csrc/cuda/emu), through a program of its own: emu_test*.cu, compiled with it as the kernels are.

local core = require "asl.core"
local program = require "spec.support.program"

local compiler = os.getenv "CXX" or "g++"
local flags = "-std=c++17 -O1 -Wall -Wextra -Wshadow -Werror -Wno-unknown-pragmas -ffp-contract=off -fno-math-errno "
  .. "-Icsrc/cuda/emu -Icsrc"

local all_tests, thread_tests = "spec/cuda/emu_test_*.cu", "spec/cuda/emu_test_threads.cu spec/cuda/emu_test_faults.cu"

local function has(command) return (os.execute("command -v " .. command .. " >/dev/null")) end

local function without_compiler()
  if has(compiler) then return false end
  pending("there is no C++ compiler")
  return true
end

--- Compiles the emulator and tests of it, in parallel, into dir and links them to dir/emu_test.
local function build(dir, tests, more)
  local quoted = program.quote(dir)
  return program.shell(string.format([[
    ls csrc/cuda/emu/*.cpp spec/cuda/emu_test.cu %s | xargs -P "$(nproc)" -I FILE sh -c \
      '%s %s %s -x c++ -c FILE -o "$0/$(basename FILE).o"' %s &&
    %s %s -O1 -Icsrc -x c -c csrc/base/parallel.c -o %s/parallel.o &&
    %s %s %s/*.o -ldl -pthread -o %s/emu_test]],
    tests, compiler, flags, more, quoted, os.getenv "CC" or "cc", more, quoted, compiler, more, quoted, quoted))
end

--- What the test says, on the error stream where it fails or ends the program.
local function run(dir, name, environment)
  return program.shell(string.format("exec env %s %s %s", environment or "", program.quote(dir .. "/emu_test"), name))
end

local function passes(dir, name, environment)
  local result = run(dir, name, environment)
  assert.equal(0, result.code, name .. ": " .. result.err)
  assert.equal("", result.err)
end

local function names_of(dir)
  local names = {}
  for name in run(dir, "").out:gmatch "%S+" do
    names[#names + 1] = name
  end
  assert(#names > 20)
  return names
end

-- These need an environment, print what they find, or fail as they should.
local apart = {
  memory_ends = true, several_devices = true, no_device = true, missing_barrier = true, order = true, product_bits = true,
}

local function is_plain(name) return not apart[name] and not name:find "^fault_" and not name:find "^race_" end

local function each_passes(dir, environment)
  for _, name in ipairs(names_of(dir)) do
    if is_plain(name) then passes(dir, name, environment) end
  end
end

describe("the CUDA emulator", function()
  local dir, built

  setup(function()
    dir = core.fs.temp_dir()
    if has(compiler) then built = build(dir, all_tests, "") end
  end)
  teardown(function() core.fs.remove_tree(dir) end)

  it("compiles without warnings", function()
    if without_compiler() then return end
    assert.equal("", built.err .. built.out)
    assert.equal(0, built.code)
  end)

  for _, environment in ipairs {
    "ASL_THREADS=1", "ASL_EMU_REVERSE=1", "ASL_THREADS=5",
  } do
    it("keeps CUDA's rules with " .. environment, function()
      if not without_compiler() then each_passes(dir, environment) end
    end)
  end

  it("keeps them where fibers change through the C library", function()
    if without_compiler() then return end
    program.in_directory(function(other)
      local result = program.shell(string.format([[
        %s %s -DASL_EMU_UCONTEXT -c csrc/cuda/emu/emu_fiber.cpp -o %s/fiber.o &&
        %s %s/fiber.o $(ls %s/*.o | grep -v emu_fiber) -ldl -pthread -o %s/emu_test]],
        compiler, flags, other, compiler, other, dir, other))
      assert.equal("", result.err .. result.out)
      each_passes(other, "ASL_EMU_REVERSE=1")
    end)
  end)

  it("has as many devices and as much memory as it is told", function()
    if without_compiler() then return end
    passes(dir, "memory_ends", "ASL_EMU_MEMORY=1000000 ASL_EMU_DEVICES=2")
    passes(dir, "several_devices", "ASL_EMU_DEVICES=3")
    passes(dir, "no_device", "ASL_EMU_DEVICES=0")
    local wrong = run(dir, "fault_setting", "ASL_EMU_DEVICES=two")
    assert.equal("ASL emulator: ASL_EMU_DEVICES=two must be a whole number from 0 to 16\n", wrong.err)
    assert.equal(134, wrong.code)
  end)

  it("runs threads and blocks in order, or in reverse", function()
    if without_compiler() then return end
    assert.equal("0 1 2 0 1 2 3 4 5 3 4 5 ", run(dir, "order", "ASL_THREADS=1").out)
    assert.equal("5 4 3 5 4 3 2 1 0 2 1 0 ", run(dir, "order", "ASL_THREADS=1 ASL_EMU_REVERSE=1").out)
  end)

  it("shows a missing barrier in reverse", function()
    if without_compiler() then return end
    assert.equal("right\n", run(dir, "missing_barrier").out)
    assert.equal("wrong\n", run(dir, "missing_barrier", "ASL_EMU_REVERSE=1").out)
  end)

  it("multiplies matrices to the same bits with any number of threads", function()
    if without_compiler() then return end
    local bits = run(dir, "product_bits", "ASL_THREADS=1").out
    assert.truthy(bits:find "^%x%x%x%x%x%x%x%x\n$")
    for _, threads in ipairs { 2, 3, 5 } do
      assert.equal(bits, run(dir, "product_bits", "ASL_THREADS=" .. threads).out)
    end
  end)

  -- What a GPU does there is not defined, or it hangs. FILE:n+k is the line k after the kernel's first.
  local faults = {
    fault_two_barriers = "kernel two_barriers, block (0,0,0) of (2,1,1): divergent barrier: 40 of its 64 threads wait at "
      .. "__syncthreads (FILE:1), thread 40 at another (FILE:2)",
    fault_return_before_barrier = "kernel return_before, block (0,0,0) of (2,1,1): divergent barrier: 63 of its 64 threads "
      .. "wait at __syncthreads (FILE:2), thread 63 has returned",
    fault_barrier_or_shuffle = "kernel barrier_or_shuffle, block (0,0,0) of (2,1,1): divergent barrier: 32 of its 64 threads "
      .. "wait at __syncthreads (FILE:1), thread 32 has returned",
    fault_lanes_missing = "kernel lanes_missing, block (0,0,0) of (2,1,1): its threads wait for each other for ever; 12 wait "
      .. "at __syncthreads (FILE:3); thread 0 waits at a vote of mask 0xffffffff (FILE:1); 0 have returned",
    fault_mixed_operations = "kernel mixed, block (0,0,0) of (2,1,1): thread 0 is at a vote (FILE:2) while thread 1 is at a "
      .. "shuffle (FILE:1), both of mask 0xffffffff",
    fault_not_in_mask = "kernel not_in_mask, block (0,0,0) of (2,1,1): thread 16, lane 16, is at a shuffle whose mask "
      .. "0x0000ffff does not name it (FILE:0)",
    fault_trap = "kernel stop, block (1,0,0) of (2,1,1), thread (7,0,0): __trap() (FILE:1)",
    fault_beyond_shared = "kernel beyond<int>, block (0,0,0) of (2,1,1): wrote byte 400 of its dynamic shared memory of 400 "
      .. "bytes",
    fault_written_after_the_end = "cudaFree: byte 1001 of an allocation of 1001 bytes was written",
    fault_written_before_the_start = "cudaFree: byte -3 of an allocation of 1001 bytes was written",
    fault_copy_over_itself = "a copy of 11 bytes overlaps itself",
  }

  local function line_of(kernel)
    local number = 0
    for line in io.lines "spec/cuda/emu_test_faults.cu" do
      number = number + 1
      if line:find("__global__ .*" .. kernel .. "%(") then return number end
    end
    error("there is no kernel " .. kernel)
  end

  it("ends the program where a GPU would hang or spoil memory, and says why", function()
    if without_compiler() then return end
    for name, message in pairs(faults) do
      local kernel = message:match "^kernel ([%w_]+)"
      message = message:gsub("FILE:(%d+)", function(after)
        return "spec/cuda/emu_test_faults.cu:" .. line_of(kernel) + tonumber(after)
      end)
      local result = run(dir, name, "ASL_THREADS=1")
      assert.equal("ASL emulator: " .. message .. "\n", result.err, name)
      assert.equal(134, result.code, name)
    end
  end)

  it("finds at exit what was written beyond memory that still lives", function()
    if without_compiler() then return end
    local result = run(dir, "fault_found_at_exit")
    local lines = "ASL emulator: byte 1256 of an allocation of 1001 bytes was written\n"
      .. "ASL emulator: byte 16 of an allocation of 16 bytes was written\n"
    assert.equal(lines .. lines, result.err)
    assert.equal("2\n", result.out)
    assert.equal(134, result.code)
  end)

  it("does not compile atomic sums of floats", function()
    if without_compiler() then return end
    for type, expected in pairs { int = true, float = false, double = false } do
      local source = string.format("#include <cuda_runtime.h>\n__global__ void f(%s *x) { atomicAdd(x, (%s)1); }", type, type)
      local result = program.shell(compiler .. " " .. flags .. " -x c++ -fsyntax-only -", source)
      assert.equal(expected, result.code == 0, type)
      if not expected then assert.truthy(result.err:find("use of deleted function", 1, true), result.err) end
    end
  end)

  it("takes sources that nvcc takes", function()
    if not has "nvcc" then
      pending "there is no nvcc"
      return
    end
    program.in_directory(function(other)
      local all = ""
      for path in program.shell("ls $PWD/spec/cuda/emu_test_*.cu").out:gmatch "%S+" do
        all = all .. '#include "' .. path .. '"\n'
      end
      local source = program.write(other, "all.cu", all)
      local result = program.shell(string.format("nvcc -std=c++17 -arch=sm_90 -c %s -o %s/all.o", source, other))
      assert.equal(0, result.code, result.err)
    end)
  end)
end)

-- A sanitizer that cannot run on this machine says so before the test's name is read.
local function sanitized(what, tests, option, options)
  local dir = core.fs.temp_dir()
  local result = build(dir, tests, "-g1 -fsanitize=" .. option)
  local reason
  if result.code ~= 0 and result.err:find "cannot find" then
    reason = "the library of " .. what .. " is not installed"
  else
    assert.equal("", result.err .. result.out)
    if run(dir, "", options).code ~= 0 then reason = what .. " does not run here" end
  end
  return dir, reason
end

describe("the CUDA emulator under", function()
  it("AddressSanitizer finds writes beyond memory where they happen", function()
    if without_compiler() then return end
    local options = "ASAN_OPTIONS=detect_leaks=1"
    local dir, reason = sanitized("AddressSanitizer", all_tests,
      "address,undefined -fno-sanitize-recover=undefined", options)
    if reason then
      pending(reason)
    else
      each_passes(dir, options)
      for kernel, name in pairs {
        ["beyond<int>"] = "fault_beyond_shared", write_at = "fault_written_after_the_end",
      } do
        local result = run(dir, name, options)
        assert.truthy(result.err:find("use%-after%-poison.*#0 %w+ in " .. kernel), result.err)
      end
    end
    core.fs.remove_tree(dir)
  end)

  it("ThreadSanitizer finds the races of kernels, and no others", function()
    if without_compiler() then return end
    local dir, reason = sanitized("ThreadSanitizer", thread_tests, "thread")
    if reason then
      pending(reason)
    else
      each_passes(dir)
      passes(dir, "race_that_is_none")
      passes(dir, "race_that_is_none", "ASL_EMU_REVERSE=1")
      for kernel, name in pairs {
        race_in_shared = "race_in_shared_memory", race_of_lanes = "race_across_a_shuffle",
        race_of_blocks = "race_of_blocks_in_memory", no_barrier = "missing_barrier",
      } do
        for _, reverse in ipairs { "0", "1" } do
          local result = run(dir, name, "ASL_EMU_REVERSE=" .. reverse)
          assert.truthy(result.err:find("data race [^\n]* in " .. kernel), name .. ": " .. result.err)
        end
      end
    end
    core.fs.remove_tree(dir)
  end)
end)
