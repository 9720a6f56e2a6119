-- upsample_argmax and upsample_confusion skip what is clear: they must not differ in a single pixel from the plain
-- ops, least of all where classes are nearly equal.

local asl = require "asl"

local ops = asl.ops

local function normal(shape, seed) return asl.randn(shape, { seed = seed }) end

--- Whole numbers: many equal scores.
local function rounded(z) return ops.cast(ops.cast(z * 4, { dtype = "i32" }), { dtype = "f32" }) end

--- Slowly changing scores of h x w pixels.
local function smooth(shape, seed)
  return ops.resize(normal({ shape[1], 2, 2, shape[4] }, seed), { height = shape[2], width = shape[3] })
end

local KINDS = {
  { "noise", normal },
  { "ties", function(shape, seed) return rounded(normal(shape, seed)) end },
  { "smooth scores", smooth },
  { "scores that differ in their last bits", function(shape, seed) return smooth(shape, seed) * 1e-5 + 100 end },
  { "scores near the largest numbers", function(shape, seed) return smooth(shape, seed) * 1e37 - 2e38 end },
}
local CLASSES = { 1, 2, 5, 8, 19, 40, 41, 255 }

local function plain(logits, height, width, align_corners)
  return ops.cast(ops.argmax(ops.resize(logits, { height = height, width = width, align_corners = align_corners })),
    { dtype = "u8" })
end

describe("upsample_argmax and upsample_confusion are the plain ops, for", function()
  for _, kind in ipairs(KINDS) do
    it(kind[1], function()
      for seed = 1, 24 do
        local function draw(k, n) return asl.core.random(seed, 16, k, 0) % n + 1 end
        local classes, height, width = CLASSES[(seed - 1) % #CLASSES + 1], draw(1, 30), draw(2, 40)
        local logits = kind[2]({ draw(3, 2), draw(4, 7), draw(5, 7), classes }, seed)
        local align_corners = seed % 2 == 0
        local expected = plain(logits, height, width, align_corners)
        local map = ops.upsample_argmax(logits, { height = height, width = width, align_corners = align_corners })
        assert.equal(expected:digest(), map:digest(), "seed " .. seed)

        local labels = plain(kind[2](logits:shape(), seed + 100), height, width, align_corners)
        assert.equal(ops.confusion(expected, labels, { classes = classes }):digest(),
          ops.upsample_confusion(logits, labels, { align_corners = align_corners }):digest(), "seed " .. seed)
      end
    end)
  end
end)
