--- ASL's side of compare.py; what it reads and answers stands in worker.py.

package.path = (arg[0]:match "^.*/" or "./") .. "?.lua;" .. package.path

local asl = require "asl"
local compute, data = require "asl_cases", require "asl_data"

local function new_clock()
  local clock, since = { laps = {} }, nil
  function clock.start()
    clock.laps, since = {}, asl.core.monotonic()
  end
  function clock.lap()
    local now = asl.core.monotonic()
    table.insert(clock.laps, now - since)
    since = now
  end
  return clock
end

local function peak_resident()
  for line in io.lines "/proc/self/status" do
    local kib = line:match "VmHWM:%s*(%d+)"
    if kib then return tonumber(kib) * 1024 end
  end
end

local function round_of(case, iterate)
  local times, seconds, value = case["repeat"] or 1, {}, nil
  for _ = 1, times do
    local scope <close>, clock = asl.scope(), new_clock()
    clock.start()
    value = iterate(clock)
    clock.lap()
    for i, lap in ipairs(clock.laps) do
      seconds[i] = (seconds[i] or 0) + lap / times / (case.steps or 1)
    end
  end
  return { seconds = seconds, value = value, peak = peak_resident() }
end

local prepared, iterate, case
for line in io.lines() do
  local ok, answer = pcall(function()
    if line ~= prepared then
      iterate = nil
      collectgarbage() -- its memory, before that of the next
      case = asl.json.decode(line)
      iterate = (compute[case.kind] or data[case.kind])(case)
      prepared = line
    end
    return round_of(case, iterate)
  end)
  print(asl.json.encode(ok and answer or { error = tostring(answer) }))
  io.stdout:flush()
end
