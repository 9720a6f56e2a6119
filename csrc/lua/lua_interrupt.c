/* SIGINT and SIGTERM: a flag that training loops poll, and a hook that stops running Lua code. */
#include <pthread.h>
#include <signal.h>
#include <string.h>

#include "lua/lua_util.h"

/* What a signal does: raise an error in the running Lua code at once, or wait to be polled and
 * raise only when SIGINT comes again. */
enum { MODE_DEFAULT, MODE_RAISE, MODE_POLL };

static volatile sig_atomic_t received, mode;
static lua_State *running;
static pthread_t lua_thread;
static const int caught[] = {SIGINT, SIGTERM};
static struct sigaction before[2];

static void raise_interrupted(lua_State *L, lua_Debug *event) {
  (void)event;
  lua_sethook(L, NULL, 0, 0);
  lua_pushliteral(L, "interrupted");
  lua_error(L);
}

/* lua_sethook may be called from a signal handler, but only in the thread that runs Lua. */
static void on_signal(int number) {
  if (!pthread_equal(pthread_self(), lua_thread)) {
    pthread_kill(lua_thread, number);
    return;
  }
  int again = received != 0;
  received = number;
  if (number == SIGINT && (mode == MODE_RAISE || again))
    lua_sethook(running, raise_interrupted,
                LUA_MASKCALL | LUA_MASKRET | LUA_MASKLINE | LUA_MASKCOUNT, 1);
}

static void restore_handlers(void) {
  if (mode == MODE_DEFAULT) return;
  for (int i = 0; i < 2; i++) sigaction(caught[i], &before[i], NULL);
  mode = MODE_DEFAULT;
}

static void install_handler(int i) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = on_signal;
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  sigaction(caught[i], &action, NULL);
}

/* core.catch_interrupts(how): "raise", "poll" or nil; forgets what was received. "raise" leaves
 * SIGTERM as it was. */
static int catch_interrupts(lua_State *L) {
  static const char *const names[] = {"default", "raise", "poll", NULL};
  int wanted = luaL_checkoption(L, 1, "default", names);
  restore_handlers();
  lua_sethook(L, NULL, 0, 0);
  received = 0;
  if (wanted == MODE_DEFAULT) return 0;
  lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_MAINTHREAD);
  running = lua_tothread(L, -1);
  lua_thread = pthread_self();
  for (int i = 0; i < 2; i++) sigaction(caught[i], NULL, &before[i]);
  mode = wanted;
  install_handler(0);
  if (wanted == MODE_POLL) install_handler(1);
  return 0;
}

/* core.interrupted(): "INT", "TERM" or nil. */
static int interrupted(lua_State *L) {
  if (!received) lua_pushnil(L);
  else lua_pushstring(L, received == SIGINT ? "INT" : "TERM");
  return 1;
}

void asl_lua_open_interrupt(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"catch_interrupts", catch_interrupts}, {"interrupted", interrupted}, {NULL, NULL}};
  asl_lua_register(L, NULL, functions);
}
