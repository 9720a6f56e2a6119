--- What every op of csrc/ops/ops.def should compute: plain Lua in double precision, written from the
--- definition of the op, slow.
---
---     oracle.NAME(inputs, params) -> results
---
--- inputs and results hold arrays (spec/support/oracle/array.lua) by the names of the table; params all
--- parameters, booleans as 0 and 1. results has the outputs, and under their own names the inputs that are
--- changed in place.

local oracle = {}

for _, part in ipairs { "elementwise", "convolution", "resampling", "losses", "augment" } do
  for name, definition in pairs(require("spec.support.oracle." .. part)) do
    assert(not oracle[name], name)
    oracle[name] = definition
  end
end

return oracle
