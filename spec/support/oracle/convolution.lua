--- Oracle: convolution, batch normalisation, the fused block, dropout.

local array = require "spec.support.oracle.array"

local oracle = {}

-- ---- convolution ------------------------------------------------------------------------------

local function output_size(size, kernel, p)
  return (size + 2 * p.padding - p.dilation * (kernel - 1) - 1) // p.stride + 1
end

local function output_shape(x, weight, p)
  return { x.shape[1], output_size(x.shape[2], weight.shape[2], p), output_size(x.shape[3], weight.shape[3], p),
    weight.shape[1] }
end

--- Calls f(y, x, w) with the positions of every term of y[y] = sum of x[x] w[w].
local function each_term(i, p, f)
  local x_shape, w_shape = i.x.shape, i.weight.shape
  local outputs, kh, kw, depth = table.unpack(w_shape)
  array.each_pixel(output_shape(i.x, i.weight, p), function(n, row, column, y)
    for ky = 1, kh do
      for kx = 1, kw do
        local sy = (row - 1) * p.stride - p.padding + (ky - 1) * p.dilation + 1
        local sx = (column - 1) * p.stride - p.padding + (kx - 1) * p.dilation + 1
        if sy >= 1 and sy <= x_shape[2] and sx >= 1 and sx <= x_shape[3] then
          local pixel = array.pixel(x_shape, n, sy, sx)
          for o = 1, outputs do
            local group = (o - 1) // (outputs // p.groups)
            local tap = array.pixel(w_shape, o, ky, kx)
            for c = 1, depth do f(y + o, pixel + group * depth + c, tap + c) end
          end
        end
      end
    end
  end)
end

function oracle.conv2d(i, p)
  local shape = output_shape(i.x, i.weight, p)
  local y = array.new(shape, function(k) return i.bias and i.bias[(k - 1) % shape[4] + 1] or 0 end)
  each_term(i, p, function(to, x, w) y[to] = y[to] + i.x[x] * i.weight[w] end)
  return { y = y }
end

local function column_sums(x, f)
  local channels = x.shape[#x.shape]
  local sums = array.new({ channels }, 0)
  for k, value in ipairs(x) do
    local c = (k - 1) % channels + 1
    sums[c] = sums[c] + (f and f(value, c, k) or value)
  end
  return sums
end

function oracle.conv2d_backward(i, p)
  local dx, dweight = array.new(i.x.shape, 0), array.new(i.weight.shape, 0)
  each_term(i, p, function(y, x, w)
    dx[x] = dx[x] + i.dy[y] * i.weight[w]
    dweight[w] = dweight[w] + i.dy[y] * i.x[x]
  end)
  return { dx = p.need_dx == 1 and dx or nil, dweight = p.need_dweight == 1 and dweight or nil,
    dbias = p.need_dbias == 1 and column_sums(i.dy) or nil }
end

-- ---- batch normalisation ----------------------------------------------------------------------

--- Mean and (biased) variance of every channel, and the number of values they are of.
local function statistics(x)
  local count = #x // x.shape[#x.shape]
  local mean = column_sums(x)
  for c in ipairs(mean) do mean[c] = mean[c] / count end
  local variance = column_sums(x, function(value, c) return (value - mean[c]) ^ 2 end)
  for c in ipairs(variance) do variance[c] = variance[c] / count end
  return mean, variance, count
end

--- act(gamma (x - mean) / sqrt(variance + eps) + beta + residual), with the running statistics afterwards.
local function normalised(x, i, p)
  local channels, result = x.shape[#x.shape], {}
  local mean, variance = i.running_mean, i.running_var
  if p.training == 1 then
    local count
    mean, variance, count = statistics(x)
    local function moved(running, towards, factor)
      return array.map(function(r, v) return (1 - p.momentum) * r + p.momentum * v * factor end, running, towards)
    end
    result.running_mean = moved(i.running_mean, mean, 1)
    result.running_var = moved(i.running_var, variance, count / (count - 1))
  end
  result.y = array.new(x.shape, function(k)
    local c = (k - 1) % channels + 1
    local y = i.gamma[c] * (x[k] - mean[c]) / math.sqrt(variance[c] + p.eps) + i.beta[c]
    y = y + (i.residual and i.residual[k] or 0)
    return p.relu == 1 and math.max(y, 0) or y
  end)
  return result
end

function oracle.batch_norm(i, p) return normalised(i.x, i, p) end

--- g (dy where the output is positive), dz, dgamma, dbeta of y = act(gamma xhat + beta + residual),
--- xhat = (z - mean) rstd: Ioffe & Szegedy 2015, section 3.
local function normalised_backward(z, i, p)
  local channels, count = z.shape[#z.shape], #z // z.shape[#z.shape]
  local function xhat(k)
    local c = (k - 1) % channels + 1
    return (z[k] - i.mean[c]) * i.rstd[c]
  end
  local g = array.map(function(dy) return dy end, i.dy)
  for k in ipairs(g) do
    local c = (k - 1) % channels + 1
    local y = i.gamma[c] * xhat(k) + i.beta[c] + (i.residual and i.residual[k] or 0)
    if p.relu == 1 and y <= 0 then g[k] = 0 end
  end
  local dbeta = column_sums(g)
  local dgamma = column_sums(g, function(value, _, k) return value * xhat(k) end)
  local dz = array.new(z.shape, function(k)
    local c = (k - 1) % channels + 1
    local centred = p.training == 1 and (dbeta[c] + xhat(k) * dgamma[c]) / count or 0
    return i.gamma[c] * i.rstd[c] * (g[k] - centred)
  end)
  return g, dz, dgamma, dbeta
end

function oracle.batch_norm_backward(i, p)
  local _, dx, dgamma, dbeta = normalised_backward(i.x, i, p)
  return { dx = p.need_dx == 1 and dx or nil, dgamma = dgamma, dbeta = dbeta }
end

-- ---- the fused block: the composition of the above --------------------------------------------

function oracle.conv_bn_act(i, p)
  return normalised(oracle.conv2d(i, p).y, i, p)
end

function oracle.conv_bn_act_backward(i, p)
  local g, dz, dgamma, dbeta = normalised_backward(i.z, i, p)
  local result = oracle.conv2d_backward({ x = i.x, weight = i.weight, dy = dz }, p)
  if p.need_dbias == 1 and p.training == 1 then -- the bias shifts z and its mean alike
    result.dbias = array.new({ i.weight.shape[1] }, 0)
  end
  if p.need_dgamma == 1 then result.dgamma, result.dbeta = dgamma, dbeta end
  result.dresidual = p.need_dresidual == 1 and g or nil
  return result
end

-- ---- dropout ----------------------------------------------------------------------------------

local DROPOUT = 4 -- the purpose in the generator's key

--- Philox4x32-10 (Salmon et al., SC 2011): four words from a counter of four and a key of two.
---@param counter integer[]  least significant first
---@param key integer[]
---@return integer[] words
function oracle.philox(counter, key)
  local c0, c1, c2, c3 = table.unpack(counter)
  local k0, k1 = table.unpack(key)
  for _ = 1, 10 do
    local a, b = 0xD2511F53 * c0, 0xCD9E8D57 * c2
    c0, c1, c2, c3 = (b >> 32) ~ c1 ~ k0, b & 0xFFFFFFFF, (a >> 32) ~ c3 ~ k1, a & 0xFFFFFFFF
    k0, k1 = (k0 + 0x9E3779B9) & 0xFFFFFFFF, (k1 + 0xBB67AE85) & 0xFFFFFFFF
  end
  return { c0, c1, c2, c3 }
end

--- Word e % 4 of the generator at (seed, dropout; counter, e // 4), as a number in [0, 1) of 24 bits.
local function uniform(seed, counter, e)
  local quad = e // 4
  local words = oracle.philox({ quad & 0xFFFFFFFF, quad >> 32, counter & 0xFFFFFFFF, counter >> 32 },
    { seed & 0xFFFFFFFF, (seed >> 32) ~ (DROPOUT * 0x9E3779B9 & 0xFFFFFFFF) })
  return (words[e % 4 + 1] >> 8) / 2 ^ 24
end

function oracle.dropout(i, p)
  return { y = array.new(i.x.shape, function(k)
    return uniform(p.seed, p.counter, k - 1) < p.p and 0 or i.x[k] / (1 - p.p)
  end) }
end

return oracle
