--- Letters of 5x8 pixels, to write on pictures: of ASCII those that names are made of.

local letters = {}

letters.HEIGHT, letters.WIDTH = 8, 5

-- Each letter's rows from the top, five bits each, the left pixel the highest, as two hexadecimal digits.
local rows = {
  ["a"] = "00000e010f110f00", ["b"] = "1010161911111e00", ["c"] = "00000e1110110e00", ["d"] = "01010d1311110f00",
  ["e"] = "00000e111f100e00", ["f"] = "06081e0808080800", ["g"] = "00000f11110f010e", ["h"] = "1010161911111100",
  ["i"] = "04000c0404040e00", ["j"] = "020006020202120c", ["k"] = "1010121418141200", ["l"] = "0c04040404040e00",
  ["m"] = "00001a1515151100", ["n"] = "0000161911111100", ["o"] = "00000e1111110e00", ["p"] = "00001619111e1010",
  ["q"] = "00000d13110f0101", ["r"] = "0000161910101000", ["s"] = "00000f100e011e00", ["t"] = "08081e0808090600",
  ["u"] = "0000111111130d00", ["v"] = "00001111110a0400", ["w"] = "0000111115150a00", ["x"] = "0000110a040a1100",
  ["y"] = "00001111110f010e", ["z"] = "00001f0204081f00", ["0"] = "0e11131519110e00", ["1"] = "040c040404040e00",
  ["2"] = "0e11010608101f00", ["3"] = "0e11010601110e00", ["4"] = "02060a121f020200", ["5"] = "1f101e0101110e00",
  ["6"] = "0608101e11110e00", ["7"] = "1f01020408080800", ["8"] = "0e11110e11110e00", ["9"] = "0e11110f01020c00",
  ["."] = "0000000000060600", ["-"] = "0000000e00000000", ["_"] = "0000000000001f00", ["/"] = "0101020408101000",
  [":"] = "0000040000040000", [","] = "0000000000060608", ["("] = "0204080808040200", [")"] = "0804020202040800",
  ["%"] = "191a0204080b1300", ["+"] = "0004041f04040000", ["&"] = "0c12140815120d00", ["'"] = "0404000000000000",
  ["?"] = "0e11010204000400", ["="] = "00001f001f000000", ["<"] = "0204081008040200", [">"] = "0804020102040800",
  ["A"] = "0e11111f11111100", ["B"] = "1e11111e11111e00", ["C"] = "0e11101010110e00", ["D"] = "1e11111111111e00",
  ["E"] = "1f10101e10101f00", ["F"] = "1f10101e10101000", ["G"] = "0e11101711110e00", ["H"] = "1111111f11111100",
  ["I"] = "0e04040404040e00", ["J"] = "0702020202120c00", ["K"] = "1112141814121100", ["L"] = "1010101010101f00",
  ["M"] = "111b151511111100", ["N"] = "1119191513131100", ["O"] = "0e11111111110e00", ["P"] = "1e11111e10101000",
  ["Q"] = "0e11111115120d00", ["R"] = "1e11111e14121100", ["S"] = "0f10100e01011e00", ["T"] = "1f04040404040400",
  ["U"] = "1111111111110e00", ["V"] = "111111110a0a0400", ["W"] = "11111115151b1100", ["X"] = "11110a040a111100",
  ["Y"] = "11110a0404040400", ["Z"] = "1f01020408101f00",
}

--- The pixels of a letter: lit[row][column] of what is not paper. What has no letter is a box.
---@param char string
---@return boolean[][]
local function pixels_of(char)
  local code, lit = rows[char] or "1f1111111111111f", {}
  for y = 1, letters.HEIGHT do
    local bits = tonumber(code:sub(2 * y - 1, 2 * y), 16)
    lit[y] = {}
    for x = 1, letters.WIDTH do lit[y][x] = bits >> (letters.WIDTH - x) & 1 == 1 end
  end
  return lit
end

--- A line of text as rows of pixels.
---@param text string
---@param scale integer  pixels of the picture to a pixel of a letter
---@param ink string  three bytes: its colour
---@param paper string  three bytes
---@return string[] rows  of equal length
function letters.line(text, scale, ink, paper)
  local out, lit = {}, {}
  for i = 1, #text do lit[i] = text:sub(i, i) == " " and {} or pixels_of(text:sub(i, i)) end
  for y = 1, letters.HEIGHT do
    local parts = {}
    for i = 1, #lit do
      for x = 1, letters.WIDTH + 1 do
        parts[#parts + 1] = (lit[i][y] and lit[i][y][x] and ink or paper):rep(scale)
      end
    end
    local row = table.concat(parts)
    for _ = 1, scale do out[#out + 1] = row end
  end
  return out
end

--- Pixels a line of text is wide.
---@param text string
---@param scale integer
---@return integer
function letters.width(text, scale)
  return #text * (letters.WIDTH + 1) * scale
end

return letters
