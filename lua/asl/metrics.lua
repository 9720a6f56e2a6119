--- Metrics, all derived from confusion matrices and from R; every name carries its definition.
---
--- A confusion matrix m is a table of rows: m[truth + 1][prediction + 1] = pixels. R[i][j] is a score
--- on test j after training task i; R[0] is before training. The default score is mIoU.

local metrics = {}

-- ---- one test set -----------------------------------------------------------------------------

local function margins(m)
  local truth, predicted, total = {}, {}, 0
  for c = 1, #m do truth[c], predicted[c] = 0, 0 end
  for t, row in ipairs(m) do
    for p, n in ipairs(row) do
      truth[t], predicted[p], total = truth[t] + n, predicted[p] + n, total + n
    end
  end
  return truth, predicted, total
end

--- Intersection over union per class: n_cc / (truth_c + predicted_c - n_cc), pixels summed over the
--- whole test set.
---@param m integer[][]
---@return table<integer, number> iou  by class id + 1; nil where the class neither occurs nor is predicted
function metrics.class_iou(m)
  local truth, predicted = margins(m)
  local iou = {}
  for c = 1, #m do
    local union = truth[c] + predicted[c] - m[c][c]
    if union > 0 then iou[c] = m[c][c] / union end
  end
  return iou
end

--- Mean IoU over the classes that occur in the ground truth of the test set.
---@param m integer[][]
---@return number|nil miou  nil when no pixel is labelled
function metrics.miou(m)
  local truth, iou, sum, present = margins(m), metrics.class_iou(m), 0, 0
  for c = 1, #m do
    if truth[c] > 0 then sum, present = sum + iou[c], present + 1 end
  end
  return present > 0 and sum / present or nil
end

--- Pixels predicted right / pixels labelled.
---@param m integer[][]
---@return number|nil accuracy  nil when no pixel is labelled
function metrics.pixel_accuracy(m)
  local _, _, total = margins(m)
  local right = 0
  for c = 1, #m do right = right + m[c][c] end
  return total > 0 and right / total or nil
end

-- ---- the matrix R -----------------------------------------------------------------------------

local function mean(values)
  if #values == 0 then return nil end
  local sum = 0
  for _, v in ipairs(values) do sum = sum + v end
  return sum / #values
end

local function collect(first, last, fn)
  local values = {}
  for i = first, last do values[#values + 1] = fn(i) end
  return values
end

--- Mean of the last row: mean_j R[T][j] (Lopez-Paz & Ranzato, GEM, 2017).
---@param R number[][]  rows 0..T
---@param T integer     number of tasks
---@return number|nil
function metrics.acc_final(R, T)
  return mean(collect(1, T, function(j) return R[T][j] end))
end

--- Backward transfer: mean_{i<T} (R[T][i] - R[i][i]) (GEM); negative = forgetting.
function metrics.bwt_gem(R, T)
  return mean(collect(1, T - 1, function(i) return R[T][i] - R[i][i] end))
end

--- Forgetting: mean_{j<T} (max_{1<=l<T} R[l][j] - R[T][j]) (Chaudhry et al., RWalk, 2018); may be negative.
function metrics.forgetting_rwalk(R, T)
  return mean(collect(1, T - 1, function(j)
    local best = -math.huge
    for l = 1, T - 1 do best = math.max(best, R[l][j]) end
    return best - R[T][j]
  end))
end

--- Forward transfer against the network before training: mean_{i>=2} (R[i-1][i] - R[0][i]).
function metrics.fwt_0(R, T)
  return mean(collect(2, T, function(i) return R[i - 1][i] - R[0][i] end))
end

--- Learning accuracy (plasticity): mean_i R[i][i].
function metrics.learning_accuracy(R, T)
  return mean(collect(1, T, function(i) return R[i][i] end))
end

--- Stability: mean_{j<T} R[T][j] / R[j][j]; 1 = nothing lost.
function metrics.stability(R, T)
  return mean(collect(1, T - 1, function(j) return R[j][j] > 0 and R[T][j] / R[j][j] or nil end))
end

--- Relative difference to the joint reference in percent: 100 mean_j (R[T][j] - joint_j) / joint_j.
---@param final number[]  last row
---@param joint number[]  scores of the jointly trained network
---@return number|nil
function metrics.delta_joint(final, joint)
  return mean(collect(1, #joint, function(j) return joint[j] > 0 and 100 * (final[j] - joint[j]) / joint[j] or nil end))
end

--- All metrics of R that T tasks define.
---@param R number[][]
---@param T integer
---@return table<string, number>
function metrics.all(R, T)
  local all = { acc_final = metrics.acc_final(R, T), learning_accuracy = metrics.learning_accuracy(R, T) }
  if T > 1 then
    all.bwt_gem, all.forgetting_rwalk = metrics.bwt_gem(R, T), metrics.forgetting_rwalk(R, T)
    all.fwt_0, all.stability = metrics.fwt_0(R, T), metrics.stability(R, T)
  end
  return all
end

--- Mean and range of a list of runs, for tables over seeds.
---@param values number[]
---@return { mean: number, low: number, high: number, n: integer }
function metrics.over_seeds(values)
  local low, high = math.huge, -math.huge
  for _, v in ipairs(values) do low, high = math.min(low, v), math.max(high, v) end
  return { mean = mean(values), low = low, high = high, n = #values }
end

return metrics
