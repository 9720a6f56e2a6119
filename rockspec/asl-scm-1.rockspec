rockspec_format = "3.0"
package = "asl"
version = "scm-1"
source = { url = "git+file://." }
description = {
  summary = "Continual learning of semantic segmentation: a C core, Lua experiments, the program asl.",
  detailed = "Build it in a clone with: luarocks --lua-version 5.4 make",
  license = "MIT",
}
dependencies = { "lua >= 5.4, < 5.5" }
build = {
  type = "cmake",
  variables = {
    CMAKE_BUILD_TYPE = "Release",
    CMAKE_INSTALL_PREFIX = "$(PREFIX)",
    ASL_BIN_DIR = "$(BINDIR)",
    ASL_LIB_DIR = "$(LIBDIR)",
    ASL_LUA_DIR = "$(LUADIR)",
  },
}
