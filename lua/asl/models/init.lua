--- Networks.

return {
  fast_scnn = require "asl.models.fast_scnn",
}
