std = "lua54"
max_line_length = 130
self = false -- methods keep their self even where they do not need it
ignore = {
  "211/scope", -- local scope <close> = asl.scope()
  "581", -- not (x <= y) is not x > y: x may not be a number
}
exclude_files = { "build*/", "runs/" }
files["spec/**/*_spec.lua"] = { std = "+busted" }
files["spec/support/*.lua"] = { std = "+busted" }
files["rockspec/*"] = { std = "+rockspec" }
