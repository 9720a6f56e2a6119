/* core.ranks: processes that train together (csrc/dist/ranks.h); core.all_gather: their tensors. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "dist/ranks.h"
#include "lua/lua_util.h"

/* launched() -> rank, ranks, launcher or nil: as the launcher tells it; meets nobody */
static int launched(lua_State *L) {
  asl_launch launch;
  asl_lua_check(L, asl_launched(&launch));
  lua_pushinteger(L, launch.rank);
  lua_pushinteger(L, launch.ranks);
  lua_pushstring(L, launch.launcher); /* nil for NULL */
  return 3;
}

/* join() -> rank, ranks: meets the others, at the first call */
static int join(lua_State *L) {
  asl_lua_check(L, asl_ranks_join());
  lua_pushinteger(L, asl_rank());
  lua_pushinteger(L, asl_ranks());
  return 2;
}

static int is_joined(lua_State *L) {
  lua_pushboolean(L, asl_ranks_joined());
  return 1;
}

/* info(rank) -> host, process */
static int info(lua_State *L) {
  lua_Integer rank = luaL_checkinteger(L, 1);
  luaL_argcheck(L, asl_ranks_joined() && rank >= 0 && rank < asl_ranks(), 1,
                "there is no such rank");
  asl_rank_info found = asl_ranks_info((int)rank);
  lua_pushstring(L, found.host);
  lua_pushinteger(L, found.pid);
  return 2;
}

/* ---- bytes ----------------------------------------------------------------------------------- */
/* gather(bytes) -> { bytes of rank 0, of rank 1, ... }, of any lengths */
static int gather(lua_State *L) {
  size_t length;
  const char *mine = luaL_checklstring(L, 1, &length);
  luaL_argcheck(L, length <= INT_MAX, 1, "is too long");
  asl_lua_check(L, asl_ranks_join());
  size_t ranks = (size_t)asl_ranks(), most = 0;
  size_t *lengths = lua_newuserdatauv(L, ranks * sizeof *lengths, 0);
  asl_lua_check(L, asl_ranks_gather(&length, lengths, sizeof length));
  for (size_t r = 0; r < ranks; r++) most = lengths[r] > most ? lengths[r] : most;
  char *padded = lua_newuserdatauv(L, most, 0), *all = lua_newuserdatauv(L, ranks * most, 0);
  memset(padded, 0, most);
  memcpy(padded, mine, length);
  asl_lua_check(L, asl_ranks_gather(padded, all, most));
  lua_createtable(L, (int)ranks, 0);
  for (size_t r = 0; r < ranks; r++) {
    lua_pushlstring(L, all + r * most, lengths[r]);
    lua_rawseti(L, -2, (lua_Integer)r + 1);
  }
  return 1;
}

/* broadcast([bytes]) -> rank 0's bytes */
static int broadcast(lua_State *L) {
  size_t length = 0;
  asl_lua_check(L, asl_ranks_join());
  const char *mine = asl_rank() == 0 ? luaL_checklstring(L, 1, &length) : NULL;
  asl_lua_check(L, asl_ranks_broadcast(&length, sizeof length, 0));
  char *bytes = lua_newuserdatauv(L, length, 0);
  if (mine) memcpy(bytes, mine, length);
  asl_lua_check(L, asl_ranks_broadcast(bytes, length, 0));
  lua_pushlstring(L, bytes, length);
  return 1;
}

/* core.all_gather(t) -> (ranks, ...): all ranks' tensors, where t lies */
static int all_gather(lua_State *L) {
  asl_tensor *mine = asl_lua_check_tensor(L, 1), *all;
  asl_lua_check(L, asl_ranks_join());
  asl_lua_check(L, asl_ranks_gather_tensor(mine, &all));
  asl_lua_push_tensor(L, all);
  return 1;
}

/* ---- failing and leaving --------------------------------------------------------------------- */
/* failure() -> rank, exit code, text of what made another rank end; or nil */
static int failure(lua_State *L) {
  const asl_failure *found = asl_ranks_failure();
  if (!found) return 0;
  lua_pushinteger(L, found->rank);
  lua_pushinteger(L, found->code);
  lua_pushstring(L, found->text);
  return 3;
}

/* report(exit code, text) -> whether rank 0 has said so */
static int report(lua_State *L) {
  int code = (int)luaL_checkinteger(L, 1);
  lua_pushboolean(L, asl_ranks_report(code, luaL_checkstring(L, 2)));
  return 1;
}

/* leave(exit code, agreed) */
static int leave(lua_State *L) {
  if (asl_ranks_joined()) fflush(stdout); /* MPI ends the process without */
  asl_lua_check(L, asl_ranks_leave((int)luaL_checkinteger(L, 1), lua_toboolean(L, 2)));
  return 0;
}

/* mute(): what is written to standard output from now on goes nowhere */
static int mute(lua_State *L) {
  fflush(stdout);
  if (!freopen("/dev/null", "w", stdout)) return luaL_error(L, "cannot open /dev/null");
  return 0;
}

/* pause(seconds) */
static int pause_for(lua_State *L) {
  double seconds = luaL_checknumber(L, 1);
  luaL_argcheck(L, seconds >= 0 && seconds <= 3600, 1, "must be 0 to 3600 seconds");
  struct timespec t = {(time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9)};
  nanosleep(&t, NULL);
  return 0;
}

/* ---- starting -------------------------------------------------------------------------------- */
/* launch(words) -> exit code of the launcher */
static int launch(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_Integer n = luaL_len(L, 1);
  luaL_argcheck(L, n >= 1 && n < 1 << 20, 1, "must be a command");
  char **words = lua_newuserdatauv(L, ((size_t)n + 1) * sizeof *words, 0);
  luaL_checkstack(L, (int)n, "a long command");
  for (lua_Integer i = 0; i < n; i++) {
    lua_geti(L, 1, i + 1);
    words[i] = (char *)luaL_checkstring(L, -1); /* which exec does not change */
  }
  words[n] = NULL;
  int code;
  fflush(stdout);
  asl_lua_check(L, asl_launch_run(words, &code));
  lua_pushinteger(L, code);
  return 1;
}

/* available() -> true; or nil and why not */
static int available(lua_State *L) {
  if (asl_ranks_available() == ASL_OK) {
    lua_pushboolean(L, 1);
    return 1;
  }
  lua_pushnil(L);
  lua_pushstring(L, asl_message());
  return 2;
}

void asl_lua_open_dist(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"launched", launched},   {"join", join},       {"joined", is_joined},
      {"info", info},           {"gather", gather},   {"broadcast", broadcast},
      {"failure", failure},     {"report", report},   {"leave", leave},
      {"mute", mute},           {"pause", pause_for}, {"launch", launch},
      {"available", available}, {NULL, NULL}};
  static const luaL_Reg own[] = {{"all_gather", all_gather}, {NULL, NULL}};
  asl_lua_register(L, "ranks", functions);
  asl_lua_register(L, NULL, own);
}
