--- Ranks: processes that train one network together, each computing its part of every update.
---
---     asl --ranks 4 experiment.lua shards=4            on this machine
---     mpirun -n 4 asl experiment.lua shards=4          wherever mpirun starts them
---     srun -n 4 asl experiment.lua shards=4            in a Slurm job
---
--- An update has `shards` parts; of S shards each of R ranks computes S/R, one after the other (a power of two). Weights,
--- log, checkpoints and summary have the same bits for every R (with batch_norm=synchronised, where a rank holds all its
--- shards at once, all but the memory that took), so a run that 4 ranks began can be resumed by 1. Rank 0
--- alone writes the run's directory and speaks; every rank must be able to read it, the script and the data. Every rank
--- runs the same script to the same end: what it does must not depend on the clock or on which rank it is. A rank that
--- fails or dies ends all, with a message that names it. SIGTERM and SIGINT save and stop all (`asl --ranks` hands them
--- on; mpirun itself gives the ranks a second at SIGTERM, but hands on SIGUSR1, which is taken for it).
---
--- A script that is no experiment may use the functions below; the first call meets the other ranks. Those marked
--- "together" must be called by all ranks in the same order. Alone, a process is rank 0 of 1.

local core = require "asl.core"
local fault = require "asl.fault"
local json = require "asl.json"
local tensor = require "asl.tensor"

local ops = core.ops
local ranks = {}

--- The number of this rank, from 0.
---@return integer
function ranks.rank() return (core.ranks.join()) end

--- How many ranks there are.
---@return integer
function ranks.count() return (select(2, core.ranks.join())) end

--- Is this rank 0, which writes and speaks?
---@return boolean
function ranks.first() return ranks.rank() == 0 end

--- Which machine and process a rank is, for messages: "rank 2 on node17".
---@param rank integer
---@return string
function ranks.name(rank)
  local joined = core.ranks.joined()
  return ("rank %d on %s"):format(rank, joined and core.ranks.info(rank) or core.hostname())
end

-- ---- values -----------------------------------------------------------------------------------

--- Together: plain data of rank 0 on every rank, as JSON gives it back (NaN and infinities as strings).
---@param value any  only rank 0's counts
---@return any
function ranks.broadcast(value)
  if ranks.count() == 1 then return value end
  local text = ranks.first() and json.encode({ value = value }, { nonfinite = "string" }) or nil
  return json.decode(core.ranks.broadcast(text)).value
end

--- Together: what every rank gave, in order of ranks, as JSON would give it back.
---@param value any  plain data
---@return any[]  n = ranks
function ranks.gather(value)
  if ranks.count() == 1 then return { value, n = 1 } end
  local values = { n = ranks.count() }
  for r, text in ipairs(core.ranks.gather(json.encode { value = value })) do values[r] = json.decode(text).value end
  return values
end

--- Together: numbers of every rank, bit for bit, NaN too.
---@param list number[]  as many on every rank
---@return number[][]  one list per rank
function ranks.gather_numbers(list)
  if ranks.count() == 1 or #list == 0 then return { list } end
  local scope <close> = core.scope()
  return core.all_gather(tensor.tensor(list, { dtype = "f64" })):totable()
end

--- Together: the sums over ranks of integers.
---@param list integer[]  as many on every rank
---@return integer[]
function ranks.sum(list)
  if ranks.count() == 1 or #list == 0 then return list end
  local scope <close> = core.scope()
  return ops.sum(core.all_gather(tensor.tensor(list, { dtype = "i64" })), { dim = 1 }):totable()
end

--- Together: the greatest over ranks of an integer.
---@param value integer  of at most 53 bits
---@return integer
function ranks.max(value)
  if ranks.count() == 1 then return value end
  for _, other in ipairs(ranks.gather_numbers { value }) do value = math.max(value, math.tointeger(other[1])) end
  return value
end

local signals = { "INT", "TERM" }

--- Together: the signal by which a rank was asked to stop; the same answer everywhere.
---@return string|nil  "INT", "TERM"
function ranks.interrupted()
  local signal, most = core.interrupted(), 0
  if ranks.count() == 1 then return signal end
  for _, of_rank in ipairs(ranks.gather_numbers { signal == "TERM" and 2 or signal and 1 or 0 }) do
    most = math.max(most, of_rank[1])
  end
  return signals[math.tointeger(most)]
end

--- Together: makes sure that something is the same on all ranks.
---@param what string  what it is, for the message
---@param text string
---@error it differs (exit code 77)
function ranks.same(what, text)
  if ranks.count() == 1 then return end
  local digests = core.ranks.gather(core.sha256(text))
  for r, digest in ipairs(digests) do
    if digest ~= digests[1] then
      fault.raise(("%s is not the same on all ranks: %s has another than %s")
        :format(what, ranks.name(r - 1), ranks.name(0)), { level = 0, exit_code = fault.exit.mismatch })
    end
  end
end

-- ---- parts ------------------------------------------------------------------------------------

--- The part of 1..n that a rank has: contiguous, all within one of each other.
---@param n integer
---@param rank integer|nil  this one
---@return integer first
---@return integer last  first - 1 when there is none
function ranks.share(n, rank)
  local count = ranks.count()
  rank = rank or ranks.rank()
  return rank * n // count + 1, (rank + 1) * n // count
end

local function index_of(list, device)
  local index = tensor.tensor(list, { dtype = "i64" })
  return device == "cpu" and index or index:to_device(device)
end

--- Together: rows that lie on the ranks one after the other, counts[r + 1] of them on rank r. Only those that are
--- wanted are moved.
---@param own asl.Tensor|nil  this rank's (counts[rank + 1], ...); nil when it has none
---@param like asl.Tensor     (any, ...) of the same dtype and device, for ranks that have none
---@param counts integer[]|nil  nil: this rank has all
---@param wanted integer[]    row numbers over all ranks, from 1; at least one, the same on every rank
---@return asl.Tensor rows    (#wanted, ...)
function ranks.rows(own, like, counts, wanted)
  local device, place, sent, most = like:device(), {}, {}, 0
  local owner, before = 1, 0 -- of the row looked at, and rows on ranks before it
  if not counts then
    for i, row in ipairs(wanted) do place[i] = row - 1 end
    return ops.gather_rows(own, index_of(place, device))
  end
  local order = {}
  for i in ipairs(wanted) do order[i] = i end
  table.sort(order, function(a, b) return wanted[a] < wanted[b] or wanted[a] == wanted[b] and a < b end)
  for _, i in ipairs(order) do
    while wanted[i] > before + counts[owner] do before, owner = before + counts[owner], owner + 1 end
    sent[owner] = sent[owner] or {}
    table.insert(sent[owner], wanted[i] - before - 1)
    place[i], most = { owner, #sent[owner] }, math.max(most, #sent[owner])
  end
  local shape = like:shape()
  shape[1] = most
  local padded, mine = tensor.zeros(shape, { dtype = like:dtype(), device = device }), sent[ranks.rank() + 1]
  if mine then
    local to = {}
    for k in ipairs(mine) do to[k] = k - 1 end
    ops.scatter_rows(padded, index_of(to, device), ops.gather_rows(own, index_of(mine, device)))
  end
  for i, p in ipairs(place) do place[i] = (p[1] - 1) * most + p[2] - 1 end
  shape[1] = -1
  return ops.gather_rows(core.all_gather(padded):reshape(shape), index_of(place, device))
end

-- ---- failing and leaving ----------------------------------------------------------------------

local patience = 3 -- seconds that rank 0 has to meet the same failure, where ranks have not met

--- What ended another rank, as a failure of this one.
local function failure_of_another()
  local rank, code, text = core.ranks.failure()
  if not rank then return nil end
  local message, hint = text, nil
  if code == 0 then
    code, hint = fault.exit.io, "a run goes on from its last checkpoint: asl resume RUN"
  end
  return { message = message, hint = hint, exit_code = code, callers = {}, trace = "" }
end

local agreed = { [0] = true, [fault.exit.preempted] = true } -- codes that all ranks end with, or none

--- For whoever ends the program: says on standard error why it fails. Among several ranks one of them says so, naming
--- the rank it is about; the others are silent.
---@param this table  from fault.catch
---@param trace boolean|nil  with the whole stack
---@return table this  what was the cause: another rank's failure may have led to this one's
function ranks.announce(this, trace)
  local ok, rank, count = pcall(core.ranks.joined() and core.ranks.join or core.ranks.launched)
  if not ok then rank, count = 0, 1 end
  this = failure_of_another() or this
  local code = this.exit_code or fault.exit.internal
  local text = fault.text(this, trace)
  if count > 1 and not core.ranks.failure() and not agreed[code] and (code ~= fault.exit.usage or rank > 0) then
    text = text:gsub("^asl: ", function(prefix) return prefix .. ranks.name(rank) .. ": " end)
  end
  if count > 1 and agreed[code] and rank > 0 then return this end
  if core.ranks.joined() then
    if core.ranks.report(code, (text:gsub("^asl: ", ""))) then return this end
  elseif rank > 0 then
    core.ranks.pause(patience)
  end
  io.stdout:flush()
  io.stderr:write(text, "\n")
  return this
end

--- For whoever ends the program: this rank ends with an exit code. Waits for the others where all end well, else ends
--- them.
---@param code integer
---@error another rank failed meanwhile
function ranks.leave(code)
  core.ranks.leave(code, agreed[code] or false)
end

-- ---- starting ---------------------------------------------------------------------------------

--- Starts ranks of this program on this machine and waits for their end. SIGINT and SIGTERM reach them.
---@param count integer
---@param arguments string[]  of each
---@return integer code  exit code: of the rank that ended them all, 0
---@error there is no MPI
function ranks.launch(count, arguments)
  local there, why = core.ranks.available()
  local hint = "tools/install-deps --ranks installs it on Debian; then build asl again"
  if not there then
    fault.raise("--ranks: " .. why, { level = 0, exit_code = fault.exit.usage, hint = hint })
  end
  local words = { "mpirun", "-n", tostring(count), core.fs.realpath("/proc/self/exe") }
  table.move(arguments, 1, #arguments, #words + 1, words)
  local ok, result = pcall(core.ranks.launch, words)
  if ok then
    local asked = result == 130 or result == 143 -- by SIGINT or SIGTERM before there was anything to save
    if result > 128 and not asked then io.stderr:write(("asl: a rank was ended by signal %d\n"):format(result - 128)) end
    return result
  end
  return fault.raise("--ranks: " .. fault.cause(result), { level = 0, exit_code = fault.exit.usage, hint = hint })
end

return ranks
