--- Shows pictures: in the terminal, else as a PNG file.

local core = require "asl.core"
local options = require "asl.options"
local picture = require "asl.picture"

local show = {}

--- Size in pixels that fits a window and keeps the picture's proportions; never larger than the picture.
local function fit(height, width, columns, rows)
  local scale = math.min(1, columns / width, 2 * rows / height)
  return math.max(1, math.floor(height * scale)), math.max(1, math.floor(width * scale))
end

--- Mean colour of the source pixels under one target pixel.
local function mean_colour(bytes, width, top, bottom, left, right)
  local r, g, b, n = 0, 0, 0, (bottom - top) * (right - left)
  for y = top, bottom - 1 do
    for x = left, right - 1 do
      local r1, g1, b1 = bytes:byte((y * width + x) * 3 + 1, (y * width + x) * 3 + 3)
      r, g, b = r + r1, g + g1, b + b1
    end
  end
  return { (r + n // 2) // n, (g + n // 2) // n, (b + n // 2) // n }
end

--- Rows of { r, g, b } at the new size; `blend` false takes the middle pixel instead of the mean.
local function shrink(bytes, height, width, new_height, new_width, blend)
  local grid = {}
  for j = 0, new_height - 1 do
    local row, top = {}, j * height // new_height
    local bottom = math.max(top + 1, (j + 1) * height // new_height)
    for i = 0, new_width - 1 do
      local left = i * width // new_width
      local right = math.max(left + 1, (i + 1) * width // new_width)
      if blend then
        row[i + 1] = mean_colour(bytes, width, top, bottom, left, right)
      else
        local y, x = (top + bottom - 1) // 2, (left + right - 1) // 2
        row[i + 1] = mean_colour(bytes, width, y, y + 1, x, x + 1)
      end
    end
    grid[j + 1] = row
  end
  return grid
end

--- A picture as lines of half blocks in 24-bit colour: the upper pixel is the foreground, the lower the background.
---@param image asl.Tensor  as asl.picture.rgb takes it
---@param columns integer  width of the window
---@param rows integer  height of the window
---@param given table|nil  colours and range of asl.picture.rgb
---@return string text  lines, the last without a newline
function show.half_blocks(image, columns, rows, given)
  local rgb = picture.rgb(image, given)
  local height, width = table.unpack(rgb:shape())
  local new_height, new_width = fit(height, width, columns, rows)
  local grid = shrink(rgb:bytes(), height, width, new_height, new_width, picture.kind(image) ~= "labels")
  local lines = {}
  for j = 1, new_height, 2 do
    local cells, before = {}, nil
    for i = 1, new_width do
      local up, low = grid[j][i], grid[j + 1] and grid[j + 1][i]
      local code = string.format("\27[38;2;%d;%d;%dm", up[1], up[2], up[3])
        .. (low and string.format("\27[48;2;%d;%d;%dm", low[1], low[2], low[3]) or "\27[49m")
      cells[i] = (code == before and "" or code) .. "▀"
      before = code
    end
    lines[#lines + 1] = table.concat(cells) .. "\27[0m"
  end
  return table.concat(lines, "\n")
end

local function write_png(image, path, given)
  core.fs.write(path, core.png_encode(picture.rgb(image, given)))
  return path
end

--- A file name that is not taken yet.
local function free_path()
  local folder = os.getenv("TMPDIR") or "/tmp"
  for i = 1, math.huge do
    local path = string.format("%s/asl-%d-%d.png", folder, core.pid(), i)
    if not core.fs.stat(path) then return path end
  end
end

--- Draws an image in the terminal, or, with `path` or where standard output is no terminal, writes it as a PNG file and
--- prints the file's name.
---@param image asl.Tensor  u8 (H,W,3) picture, u8 (H,W) label map, f32 (H,W) depth in metres, f32 (H,W,2) flow in pixels
---@param given { path?: string, colours?: integer[][], range?: number[] }|nil  path: of the PNG file; colours: { {r,g,b}, ... }
---  for the classes 0, 1, ...; range: { lowest, highest } depth or flow length instead of the image's own
---@return string|nil path  of the file, where one was written
---@error another shape or dtype; a label without a colour; a file that cannot be written
function show.show(image, given)
  given = options.check("asl.show", given, { path = options.optional "string", colours = options.optional "table",
    range = options.optional "table" })
  local look = { colours = given.colours, range = given.range }
  local columns, rows = core.terminal_size()
  if not given.path and columns and core.isatty("stdout") then
    print(show.half_blocks(image, columns, rows - 2, look))
    return nil
  end
  local path = write_png(image, given.path or free_path(), look)
  print(path)
  return path
end

return show
