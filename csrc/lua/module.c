/* asl.core: everything of the C core that Lua sees. */
#include <stdlib.h>
#include <string.h>

#include "cpu/backends.h"
#include "lua/lua_packed.h"
#include "lua/lua_staging.h"
#include "lua/lua_util.h"
#include "ops/ops.h"

__attribute__((visibility("default"))) int luaopen_asl_core(lua_State *L);

int luaopen_asl_core(lua_State *L) {
  const asl_backend *cpu = asl_cpu_best_backend();
  if (!cpu)
    return luaL_error(L, "ASL_ISA is \"%s\": it must be avx2 (where the machine has it) or portable",
                      getenv("ASL_ISA"));
  asl_backend_register(ASL_CPU, cpu);
  lua_createtable(L, 0, 64);
  asl_lua_open_tensor(L);
  asl_lua_open_device(L);
  asl_lua_open_ops(L);
  asl_lua_open_autograd(L);
  asl_lua_open_system(L);
  asl_lua_open_io(L);
  asl_lua_open_data(L);
  asl_lua_open_formats(L);
  asl_lua_open_hdf5(L);
  asl_lua_open_hdf5_sources(L);
  asl_lua_open_packed(L);
  asl_lua_open_survey(L);
  asl_lua_open_staging(L);
  asl_lua_open_rooms(L);
  asl_lua_open_profile(L);
  asl_lua_open_dist(L);
  asl_lua_open_weights(L);
  return 1;
}
