--- What the specs of data share: made-up pictures, temporary folders, where the real pictures lie.

local asl = require "asl"
local core = require "asl.core"

local pictures = {}

--- The test pattern of spec/fixtures/pictures.py.
---@return asl.Tensor image  u8 HxWx3
function pictures.pattern(height, width)
  local bytes = {}
  for y = 0, height - 1 do
    for x = 0, width - 1 do
      bytes[#bytes + 1] = string.char((7 * x + 3 * y) % 256, x * y % 256, (5 * y + 11 * x) % 256)
    end
  end
  return asl.frombytes(table.concat(bytes), { height, width, 3 }, "u8")
end

--- A u8 label map with the value f(y, x) at 0-based row y, column x.
function pictures.label(height, width, f)
  local bytes = {}
  for y = 0, height - 1 do
    for x = 0, width - 1 do
      bytes[#bytes + 1] = string.char(f(y, x))
    end
  end
  return asl.frombytes(table.concat(bytes), { height, width }, "u8")
end

--- A picture whose colour at each pixel is that of its label.
function pictures.painted(label, colours)
  local shape = label:shape()
  local bytes = label:bytes():gsub(".", function(value)
    return string.char(table.unpack(colours[value:byte() + 1]))
  end)
  return asl.frombytes(bytes, { shape[1], shape[2], 3 }, "u8")
end

function pictures.write(path, bytes)
  local file <close> = assert(io.open(path, "wb"))
  assert(file:write(bytes))
end

function pictures.read(path)
  local file <close> = assert(io.open(path, "rb"))
  return file:read("a")
end

--- Writes n samples image/N.png, label/N.png of images(i), labels(i) and list.txt below root.
function pictures.write_folder(root, n, image, label)
  core.fs.mkdirs(root .. "/image")
  core.fs.mkdirs(root .. "/label")
  local list = {}
  for i = 1, n do
    pictures.write(("%s/image/%d.png"):format(root, i), core.png_encode(image(i)))
    pictures.write(("%s/label/%d.png"):format(root, i), core.png_encode(label(i)))
    list[i] = ("image/%d.png\tlabel/%d.png\n"):format(i, i)
  end
  pictures.write(root .. "/list.txt", table.concat(list))
end

--- The message of the error that f() raises, with file and line (busted's error_matches cuts them off).
function pictures.error_of(f)
  local ok, message = pcall(f)
  return not ok and message or "no error"
end

--- The folder of real samples, or nil where they are not.
function pictures.real(name)
  local path = "../shared/data/" .. name
  return core.fs.stat(path) and path or nil
end

--- Rows of a TSV file with a header, as tables by column.
function pictures.tsv(path)
  local header, rows = nil, {}
  for line in io.lines(path) do
    local fields = {}
    for field in (line .. "\t"):gmatch("([^\t]*)\t") do
      fields[#fields + 1] = field
    end
    if header then
      local row = {}
      for i, name in ipairs(header) do
        row[name] = fields[i]
      end
      rows[#rows + 1] = row
    else
      header = fields
    end
  end
  return rows
end

return pictures
