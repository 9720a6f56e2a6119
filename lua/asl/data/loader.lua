--- Batches of samples, decoded and augmented ahead of their use by threads.
---
---     local loader <close> = asl.data.loader { threads = 2 }
---     local ticket = loader:request { rows = { { dataset = ds, position = 5 } }, size = { 96, 128 }, seed = 1, step = 1 }
---     local batch = loader:wait(ticket)                    -- batch.image: u8 1x96x128x3, batch.label: u8 1x96x128
---
--- A row is a pure function of (sample, seed, step, row number, settings): it does not depend on the number of threads, on
--- time, or on what else was asked for.

local core = require "asl.core"
local dataset = require "asl.data.dataset"
local fault = require "asl.fault"
local options = require "asl.options"

local loader = {}

---@class asl.Loader
local Loader = {}
Loader.__index = Loader
Loader.__name = "asl.Loader"

local REQUEST = {
  rows = options.require "table", size = options.require "table", planes = options.optional "table",
  augment = options.optional "table", seed = options.require "integer", step = options.require "integer",
}

local function core_row(row, i)
  local from, position = row.dataset, row.position
  if not dataset.is(from) then
    error(("loader:request: row %d needs dataset = a data set, not a %s"):format(i, type(from)), 3)
  end
  from:check_position(position, 2)
  return { from.sources[position], from.index[position] + 1, row.row or i }
end

--- Asks for a batch; returns at once.
---@param given table  named arguments:
---   rows ({ dataset, position, row }[]): position from 1; row (default: its place in the list) counts its random numbers;
---   size (integer[2]): height and width of the batch's pictures;
---   planes (string[], default {"image", "label"});
---   augment (settings of asl.data.augment; nil: the whole picture resized, antialiased, labels nearest);
---   seed, step (integer): which random numbers
---@return integer ticket
--- Errors: unknown name, a position or plane that is not there, a size or setting out of range.
function Loader:request(given)
  local o = options.check("loader:request", given, REQUEST)
  local rows = {}
  for i, row in ipairs(o.rows) do
    rows[i] = core_row(row, i)
  end
  local ticket = self.core:request {
    rows = rows, size = o.size, planes = o.planes or { "image", "label" }, augment = o.augment, seed = o.seed, step = o.step,
  }
  self.outstanding[ticket] = true
  return ticket
end

--- The batch of a ticket; blocks until it is made. Tickets may be waited for in any order, each once.
---@param ticket integer
---@return table<string, asl.Tensor> batch  image u8 NxHxWx3, label u8 NxHxW, depth f32 NxHxW, flow f32 NxHxWx2, ...
--- Errors: what the first row that failed met, naming the file (exit code 65); a ticket that does not exist or was waited
--- for.
function Loader:wait(ticket)
  if not self.outstanding[ticket] then return self.core:wait(ticket) end -- which says what is wrong with it
  self.outstanding[ticket] = nil
  local ok, batch = pcall(self.core.wait, self.core, ticket)
  if ok then return batch end
  return fault.raise(batch, { level = 0, exit_code = fault.exit.data })
end

--- Stops the threads and drops what was not waited for.
function Loader:close()
  self.outstanding = {}
  self.core:close()
end

Loader.__close = Loader.close

--- See asl.data.loader.
function loader.new(given)
  local o = options.check("asl.data.loader", given, { threads = 2 })
  return setmetatable({ core = core.loader(o.threads), threads = o.threads, outstanding = {} }, Loader)
end

return loader
