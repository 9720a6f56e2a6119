--- Naive: learn each task as it comes, do nothing about forgetting. The lower reference.

local strategy = require "asl.strategy"

return strategy.define("naive")
