--- Shards: a batch computed in parts whose gradients are summed by a fixed tree, so that the bits do not
--- depend on who computes which part.

local shards = {}

--- Row ranges of `n` shards of `rows` rows.
---@param rows integer
---@param n integer
---@return integer[][] ranges  {first, last}
---@error rows do not divide into n
function shards.ranges(rows, n)
  if rows % n ~= 0 then error(("a batch of %d rows does not divide into %d shards"):format(rows, n), 2) end
  local size, ranges = rows // n, {}
  for s = 1, n do ranges[s] = { (s - 1) * size + 1, s * size } end
  return ranges
end

--- Calls compute(s) for s = 1..n, each adding to the network's gradient from zero, and leaves their sum
--- there: ((1+2)+(3+4))+..., a binary tree over the shard number.
---@param net asl.Module
---@param n integer
---@param compute fun(s: integer)
function shards.gradients(net, n, compute)
  local partial = {} -- partial[k]: the sum of 2^(k-1) neighbouring shards, or nil
  for s = 1, n do
    net:zero_gradients()
    compute(s)
    if n > 1 then
      local carry, k = net.flat_gradient:clone(), 1
      while partial[k] do
        carry, partial[k] = partial[k]:add_(carry), nil
        k = k + 1
      end
      partial[k] = carry
    end
  end
  if n == 1 then return end
  local levels, total = {}, nil
  for k in pairs(partial) do levels[#levels + 1] = k end
  table.sort(levels)
  for _, k in ipairs(levels) do total = total and partial[k]:add_(total) or partial[k] end
  net.flat_gradient:copy_(total)
end

return shards
