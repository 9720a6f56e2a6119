--- Tensors as pictures: colours for label maps, depth and flow.

local core = require "asl.core"
local options = require "asl.options"

local picture = {}

--- Distinct colours for n classes: the colour map of PASCAL VOC (bits of the class id spread over the channels), begun at
--- its second colour, so that class 0 is not black.
---@param n integer
---@return integer[][] colours  { {r, g, b}, ... }, position i for class i - 1
function picture.palette(n)
  local colours = {}
  for class = 1, n do
    local r, g, b, id = 0, 0, 0, class
    for shift = 7, 0, -1 do
      r = r | (id & 1) << shift
      g = g | (id >> 1 & 1) << shift
      b = b | (id >> 2 & 1) << shift
      id = id >> 3
    end
    colours[class] = { r, g, b }
  end
  return colours
end

local ignore_colour = string.char(0, 0, 0)

local function colour_labels(labels, colours)
  colours = colours or picture.palette(255)
  local rgb = { ["\255"] = ignore_colour }
  for i, colour in ipairs(colours) do
    rgb[string.char(i - 1)] = string.char(table.unpack(colour, 1, 3))
  end
  return (labels:bytes():gsub(".", function(char)
    return rgb[char] or error(string.format("label %d has no colour: there are %d", char:byte(), #colours), 0)
  end))
end

--- Viridis, at ninths (van der Walt & Smith, matplotlib).
local viridis = { { 68, 1, 84 }, { 71, 44, 122 }, { 59, 81, 139 }, { 44, 113, 142 }, { 33, 144, 141 }, { 39, 173, 129 },
  { 92, 200, 99 }, { 170, 220, 50 }, { 253, 231, 37 } }

local function viridis_at(t)
  local x = math.min(math.max(t, 0), 1) * (#viridis - 1)
  local i = math.min(math.floor(x), #viridis - 2)
  local a, b, f = viridis[i + 1], viridis[i + 2], x - i
  return string.char((a[1] + (b[1] - a[1]) * f + 0.5) // 1 | 0, (a[2] + (b[2] - a[2]) * f + 0.5) // 1 | 0,
    (a[3] + (b[3] - a[3]) * f + 0.5) // 1 | 0)
end

--- All values of an f32 or f64 tensor, in order.
local function numbers_of(tensor)
  local code = tensor:dtype() == "f64" and "<d" or "<f"
  local bytes, values = tensor:bytes(), {}
  local at, i = 1, 0
  while at <= #bytes do
    i = i + 1
    values[i], at = string.unpack(code, bytes, at)
  end
  return values
end

local function is_finite(x)
  return x == x and x ~= math.huge and x ~= -math.huge
end

--- Near is bright; what is not finite or not above 0 is black: no measurement.
local function colour_depth(depth, range)
  local values = numbers_of(depth)
  local low, high = math.huge, -math.huge
  for _, z in ipairs(values) do
    if is_finite(z) and z > 0 then
      low, high = math.min(low, z), math.max(high, z)
    end
  end
  if range then low, high = range[1], range[2] end
  local scale, shades, out = high > low and 255 / (high - low) or 0, {}, {}
  for i = 0, 255 do
    shades[i] = viridis_at(1 - i / 255)
  end
  for i, z in ipairs(values) do
    local valid = is_finite(z) and z > 0
    out[i] = valid and shades[math.floor(math.min(math.max((z - low) * scale, 0), 255))] or ignore_colour
  end
  return table.concat(out)
end

--- The colour wheel of Baker et al., "A Database and Evaluation Methodology for Optical Flow", IJCV 2011: 55 hues.
local function make_wheel()
  local wheel = {}
  local function arc(steps, from, channel, rising)
    for i = 0, steps - 1 do
      local colour = { table.unpack(from) }
      local part = math.floor(255 * i / steps)
      colour[channel] = rising and part or 255 - part
      wheel[#wheel + 1] = colour
    end
  end
  arc(15, { 255, 0, 0 }, 2, true)
  arc(6, { 255, 255, 0 }, 1, false)
  arc(4, { 0, 255, 0 }, 3, true)
  arc(11, { 0, 255, 255 }, 2, false)
  arc(13, { 0, 0, 255 }, 1, true)
  arc(6, { 255, 0, 255 }, 3, false)
  return wheel
end

local function colour_flow(flow, range)
  local values, wheel, out = numbers_of(flow), make_wheel(), {}
  local longest = range and range[2] or 0
  if not range then
    for i = 1, #values, 2 do
      local length = math.sqrt(values[i] ^ 2 + values[i + 1] ^ 2)
      if is_finite(length) then longest = math.max(longest, length) end
    end
  end
  local scale = longest > 0 and 1 / longest or 0
  for i = 1, #values, 2 do
    local u, v = values[i] * scale, values[i + 1] * scale
    local radius = math.sqrt(u * u + v * v)
    if not is_finite(radius) then
      out[#out + 1] = ignore_colour
    else
      local angle = (math.atan(-v, -u) / math.pi + 1) / 2 * (#wheel - 1)
      local first = math.floor(angle)
      local a, b, f = wheel[first + 1], wheel[(first + 1) % #wheel + 1], angle - first
      local rgb = {}
      for c = 1, 3 do
        local hue = ((1 - f) * a[c] + f * b[c]) / 255
        rgb[c] = math.floor(255 * (radius <= 1 and 1 - radius * (1 - hue) or hue * 0.75))
      end
      out[#out + 1] = string.char(rgb[1], rgb[2], rgb[3])
    end
  end
  return table.concat(out)
end

--- What a tensor shows: "picture", "labels", "depth" or "flow"; nil for anything else.
---@param image asl.Tensor
---@return string|nil kind
function picture.kind(image)
  local shape, dtype = image:shape(), image:dtype()
  local real = dtype == "f32" or dtype == "f64"
  if #shape == 3 and shape[3] == 3 and dtype == "u8" then return "picture" end
  if #shape == 3 and shape[3] == 2 and real then return "flow" end
  if #shape == 2 and dtype == "u8" then return "labels" end
  if #shape == 2 and real then return "depth" end
  return nil
end

--- Any image tensor as an RGB picture.
---@param image asl.Tensor  u8 (H,W,3) picture; u8 (H,W) label map, 255 black; f32 (H,W) depth, near is bright, not above 0
---  or not finite is black; f32 (H,W,2) flow, hue for direction, saturation for length
---@param given { colours?: integer[][], range?: number[] }|nil  colours: { {r,g,b}, ... } for the classes 0, 1, ...;
---  range: { lowest, highest } depth or flow length instead of the image's own
---@return asl.Tensor rgb  u8 (H,W,3)
---@error another shape or dtype; a label without a colour
function picture.rgb(image, given)
  given = options.check("asl.picture.rgb", given, { colours = options.optional "table", range = options.optional "table" })
  local kind, shape = picture.kind(image), image:shape()
  if kind == "picture" then return image:contiguous() end
  local bytes
  if kind == "labels" then bytes = colour_labels(image, given.colours)
  elseif kind == "depth" then bytes = colour_depth(image, given.range)
  elseif kind == "flow" then bytes = colour_flow(image, given.range)
  else
    error(string.format("an image is u8 (H,W,3), a u8 (H,W) label map, f32 (H,W) depth or f32 (H,W,2) flow, not %s (%s)",
      image:dtype(), table.concat(shape, "x")), 2)
  end
  return core.frombytes(bytes, { shape[1], shape[2], 3 }, "u8")
end

return picture
