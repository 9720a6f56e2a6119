--- Mixing: how the rows of a batch are shared between new data and memory.
---
--- With share s and b rows, step t (from 1) replays floor(t s b) - floor((t-1) s b) rows: the share is
--- exact in the long run and never off by a row (error diffusion). All functions are pure, so the
--- plan of a whole run is known before it starts and can be compared with what happened.

local core = require "asl.core"

local mix = {}

local PURPOSE_REPLAY = 5 -- ASL_PURPOSE_REPLAY of csrc/base/philox.h

--- Rows replayed in all steps before step t.
---@param t integer    step, from 1
---@param share number in [0, 1]
---@param rows integer rows of a batch
---@return integer
function mix.replayed_before(t, share, rows)
  return math.floor((t - 1) * share * rows + 1e-6) -- the term forgives rounding of share * rows
end

--- Rows replayed in step t.
---@param t integer
---@param share number
---@param rows integer
---@return integer
function mix.replayed(t, share, rows)
  return mix.replayed_before(t + 1, share, rows) - mix.replayed_before(t, share, rows)
end

--- Which rows of a batch memory replaces: `n` of `rows`, evenly spread, so that every shard of the
--- batch has its part.
---@param rows integer
---@param n integer
---@return boolean[] replaced  one per row
function mix.positions(rows, n)
  local replaced = {}
  for row = 1, rows do
    replaced[row] = row * n // rows > (row - 1) * n // rows
  end
  return replaced
end

--- From which task each of `n` replayed rows comes: independent categorical draws.
---@param seed integer
---@param step integer   of the run: another step, other draws
---@param n integer
---@param weights number[]  one per task, not negative; they need not sum to 1
---@return integer[] tasks  n positions in `weights`
function mix.draw_tasks(seed, step, n, weights)
  local total = 0
  for _, w in ipairs(weights) do total = total + w end
  if total <= 0 then error("mix.draw_tasks: no task has a positive weight", 2) end
  local tasks = {}
  for k = 1, n do
    local word = core.random(seed, PURPOSE_REPLAY, step, k)
    local left, chosen = word / 2 ^ 32 * total, nil
    for i, w in ipairs(weights) do
      if w > 0 then
        chosen = i
        if left < w then break end
        left = left - w
      end
    end
    tasks[k] = chosen
  end
  return tasks
end

return mix
