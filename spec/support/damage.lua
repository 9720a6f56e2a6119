--- Damaged files: what every decoder must survive.

local damage = {}

--- Calls f(bytes) with the file cut after every hundredth of its length, and without its last byte.
---@param bytes string
---@param f fun(cut: string, length: integer)
function damage.truncations(bytes, f)
  for percent = 0, 99 do
    local length = #bytes * percent // 100
    f(bytes:sub(1, length), length)
  end
  f(bytes:sub(1, -2), #bytes - 1)
end

--- Calls f(bytes) n times with one byte, at a place and of a value that follow from a fixed seed, changed.
---@param bytes string
---@param n integer
---@param f fun(damaged: string, at: integer)
function damage.flips(bytes, n, f)
  local state = 0x2545f4914f6cdd1d
  local function draw(range)
    state = state ~ state << 13
    state = state ~ (state >> 7)
    state = state ~ state << 17
    return (state >> 11) % range
  end
  for _ = 1, n do
    local at = draw(#bytes) + 1
    local value = (bytes:byte(at) + 1 + draw(255)) % 256
    f(bytes:sub(1, at - 1) .. string.char(value) .. bytes:sub(at + 1), at)
  end
end

return damage
