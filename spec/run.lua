--- Runs the specs under the program they test: build/asl spec/run.lua [-- options of busted, files]
---
--- Ends with a line "N passed, N failed, N skipped" and exits with 0 when nothing failed, else 1
--- (spec/support/output.lua).

package.path = "./?.lua;" .. package.path

-- busted forgets after each file what the file loaded; the core stays.
require "asl.core"

require "busted.runner" { standalone = false }
