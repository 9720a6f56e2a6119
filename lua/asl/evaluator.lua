--- The evaluator: whole confusion matrices of every test set after every task.

local core = require "asl.core"
local fault = require "asl.fault"
local metrics = require "asl.metrics"
local options = require "asl.options"
local ranks = require "asl.ranks"
local tensor = require "asl.tensor"

local ops = core.ops
local evaluator = {}

---@class asl.Evaluator
---@field rows { after: string, confusion: integer[][][] }[]  rows[1] is before training; confusion by test
local Evaluator = {}
Evaluator.__index = Evaluator

--- An evaluator of a scenario's test sets.
---@param given { tests: table[], classes: integer, loader: table, size: integer[], batch?: integer }
---   size: {H, W} at which pictures are segmented and labels compared
---@return asl.Evaluator
function evaluator.new(given)
  local self = options.check("asl.evaluator.new", given, {
    tests = options.require "table", classes = options.require "integer", loader = options.required,
    size = options.require "table", batch = 8,
  })
  self.rows = {}
  return setmetatable(self, Evaluator)
end

local function request(self, data, first, last)
  local rows = {}
  for position = first, math.min(first + self.batch - 1, last) do
    rows[#rows + 1] = { dataset = data, position = position }
  end
  return #rows > 0 and self.loader:request { rows = rows, size = self.size, planes = { "image", "label" },
    seed = 0, step = 0 } or nil
end

--- Sum of confusion matrices over the pictures first..last.
local function count(self, net, data, first, last)
  local total
  local ticket = request(self, data, first, last)
  for at = first, last, self.batch do
    local scope <close> = core.scope()
    local batch = self.loader:wait(ticket)
    ticket = request(self, data, at + self.batch, last) -- decoded while this one is computed
    local scores = net:scores(batch.image)
    local classes = scores:shape()[4]
    if classes ~= self.classes then
      error(("the network scores %d classes, the tests have %d"):format(classes, self.classes), 3)
    end
    local m = ops.upsample_confusion(scores, batch.label:to(scores:device()))
    total = scope:keep(total and total + m or m)
  end
  return total or tensor.zeros({ self.classes, self.classes }, { dtype = "i64", device = net.flat:device() })
end

--- Together: confusion matrix of a network on a dataset, in evaluation mode: whole pictures, no augmentation,
--- every picture once, each rank a part of them.
---@param net asl.Module  with :scores
---@param data asl.Dataset
---@return integer[][] confusion  [truth + 1][prediction + 1]
---@error a network that does not tell apart as many classes
function Evaluator:confusion(net, data)
  local scope <close> = core.scope()
  local total = count(self, net, data, ranks.share(#data))
  if ranks.count() > 1 then total = ops.sum(core.all_gather(total), { dim = 1 }) end
  return total:totable()
end

--- Evaluates all tests and appends a row to R.
---@param net asl.Module
---@param after string  "before training", or the task just learnt
---@return table row
---@error a test set without a single labelled pixel (exit code 65)
function Evaluator:row(net, after)
  local row = { after = after, confusion = {} }
  for j, test in ipairs(self.tests) do
    local m = self:confusion(net, test.data)
    if not metrics.miou(m) then
      fault.raise(("test %q: not one pixel of its %d pictures is labelled"):format(test.name, #test.data),
        { level = 0, exit_code = fault.exit.data })
    end
    row.confusion[j] = m
  end
  self.rows[#self.rows + 1] = row
  return row
end

--- R of a score: R[i][j], i = 0 before training.
---@param score nil|fun(m: integer[][]): number  default metrics.miou
---@return table<integer, number[]>
function Evaluator:matrix(score)
  score = score or metrics.miou
  local R = {}
  for i, row in ipairs(self.rows) do
    R[i - 1] = {}
    for j, m in ipairs(row.confusion) do R[i - 1][j] = score(m) end
  end
  return R
end

--- R as a list of records, for summary.json.
---@return table[]
function Evaluator:records()
  local records = {}
  for _, row in ipairs(self.rows) do
    for j, test in ipairs(self.tests) do
      local m, iou = row.confusion[j], {}
      local class_iou = metrics.class_iou(m)
      for c = 1, self.classes do iou[c] = class_iou[c] or core.json_null end
      records[#records + 1] = { after = row.after, test = test.name, miou = metrics.miou(m),
        pixel_accuracy = metrics.pixel_accuracy(m), class_iou = iou, confusion = m }
    end
  end
  return records
end

--- For checkpoints.
function Evaluator:state() return { rows = self.rows } end
function Evaluator:restore(state) self.rows = state.rows end

return evaluator
