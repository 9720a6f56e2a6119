/* asl.edit, libedit as a Lua module:
 *
 *   local editor = edit.open(complete)  complete(text before the cursor) returns a string to insert
 *                                       and, where there is a choice, a text that lists it
 *   editor:read(prompt)                 a line, or nil and "end" (Ctrl-D) or "interrupted" (Ctrl-C)
 *   editor:remember(text)               adds to what the up arrow brings back
 *   editor:close()                      gives the terminal back; also done by the collector
 *
 * stdin and stdout must be a terminal. Ctrl-C arrives as a key here, not as a signal. */
#include "host/edit.h"

#include <histedit.h>
#include <langinfo.h>
#include <lauxlib.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#define EDITOR "asl.editor"
enum { HISTORY_SIZE = 1000 };

typedef struct editor {
  EditLine *line; /* NULL when closed */
  History *history;
  lua_State *L; /* of the read in progress */
  const char *prompt;
  int complete; /* reference of the function in the registry */
  int interrupted;
} editor;

static editor *editor_of(EditLine *line) {
  void *data;
  el_get(line, EL_CLIENTDATA, &data);
  return data;
}

static char *show_prompt(EditLine *line) { return (char *)(size_t)editor_of(line)->prompt; }

/* Tab. Errors of the Lua function end here: they must not jump across libedit. */
static unsigned char on_complete(EditLine *line, int key) {
  (void)key;
  editor *e = editor_of(line);
  lua_State *L = e->L;
  unsigned char done = CC_REFRESH;
  int top = lua_gettop(L);
  const LineInfo *info = el_line(line);
  lua_rawgeti(L, LUA_REGISTRYINDEX, e->complete);
  lua_pushlstring(L, info->buffer, (size_t)(info->cursor - info->buffer));
  if (lua_pcall(L, 1, 2, 0) != LUA_OK) {
    done = CC_ERROR;
  } else {
    const char *insert = lua_tostring(L, top + 1), *choices = lua_tostring(L, top + 2);
    if (insert && *insert && el_insertstr(line, insert) != 0) done = CC_ERROR;
    if (choices) {
      fprintf(stdout, "\n%s\n", choices);
      fflush(stdout);
      done = CC_REDISPLAY;
    } else if (!insert || !*insert) {
      done = CC_REFRESH_BEEP;
    }
  }
  lua_settop(L, top);
  return done;
}

/* Ctrl-Z, as a key too; libedit's handler gives the terminal back and takes it again. */
static unsigned char on_suspend(EditLine *line, int key) {
  (void)line, (void)key;
  raise(SIGTSTP);
  return CC_REDISPLAY;
}

static unsigned char on_interrupt(EditLine *line, int key) {
  (void)key;
  editor_of(line)->interrupted = 1;
  fputs("^C\n", stdout);
  fflush(stdout);
  return CC_NEWLINE;
}

/* Characters are those of the user's locale where that is UTF-8; no other locale is let in, because
 * Lua's character classes follow it. */
static void use_utf8(void) {
  if (setlocale(LC_CTYPE, "") && strcmp(nl_langinfo(CODESET), "UTF-8") != 0)
    setlocale(LC_CTYPE, "C");
}

static int set_up(editor *e) {
  e->line = el_init("asl", stdin, stdout, stderr);
  e->history = history_init();
  if (!e->line || !e->history) return 0;
  HistEvent event;
  history(e->history, &event, H_SETSIZE, HISTORY_SIZE);
  history(e->history, &event, H_SETUNIQUE, 1);
  el_set(e->line, EL_CLIENTDATA, e);
  el_set(e->line, EL_PROMPT, show_prompt);
  el_set(e->line, EL_EDITOR, "emacs");
  el_set(e->line, EL_SIGNAL, 1);
  el_set(e->line, EL_HIST, history, e->history);
  el_set(e->line, EL_SETTY, "-d", "-isig", NULL); /* while editing only */
  el_set(e->line, EL_ADDFN, "asl-complete", "completes the word", on_complete);
  el_set(e->line, EL_ADDFN, "asl-interrupt", "gives the line up", on_interrupt);
  el_set(e->line, EL_ADDFN, "asl-suspend", "stops the program", on_suspend);
  el_set(e->line, EL_BIND, "^I", "asl-complete", NULL);
  el_set(e->line, EL_BIND, "^R", "em-inc-search-prev", NULL);
  el_source(e->line, NULL);
  el_set(e->line, EL_BIND, "^C", "asl-interrupt", NULL);
  el_set(e->line, EL_BIND, "^Z", "asl-suspend", NULL);
  return 1;
}

static int open_editor(lua_State *L) {
  luaL_checktype(L, 1, LUA_TFUNCTION);
  lua_settop(L, 1);
  editor *e = lua_newuserdatauv(L, sizeof *e, 0);
  memset(e, 0, sizeof *e);
  e->complete = LUA_NOREF;
  luaL_setmetatable(L, EDITOR);
  lua_pushvalue(L, 1);
  e->complete = luaL_ref(L, LUA_REGISTRYINDEX);
  use_utf8();
  if (!set_up(e)) return luaL_error(L, "cannot open the line editor on this terminal");
  return 1;
}

static editor *check_open(lua_State *L) {
  editor *e = luaL_checkudata(L, 1, EDITOR);
  luaL_argcheck(L, e->line != NULL, 1, "the editor is closed");
  return e;
}

static int read_line(lua_State *L) {
  editor *e = check_open(L);
  e->prompt = luaL_checkstring(L, 2);
  e->L = L;
  e->interrupted = 0;
  int length = 0;
  const char *text = el_gets(e->line, &length);
  if (e->interrupted || !text || length <= 0) {
    luaL_pushfail(L);
    lua_pushstring(L, e->interrupted ? "interrupted" : "end");
    return 2;
  }
  if (text[length - 1] == '\n') length--;
  lua_pushlstring(L, text, (size_t)length);
  return 1;
}

static int remember(lua_State *L) {
  editor *e = check_open(L);
  HistEvent event;
  history(e->history, &event, H_ENTER, luaL_checkstring(L, 2));
  return 0;
}

static int close_editor(lua_State *L) {
  editor *e = luaL_checkudata(L, 1, EDITOR);
  if (e->line) el_end(e->line);
  if (e->history) history_end(e->history);
  luaL_unref(L, LUA_REGISTRYINDEX, e->complete);
  e->line = NULL;
  e->history = NULL;
  e->complete = LUA_NOREF;
  return 0;
}

int asl_open_edit(lua_State *L) {
  static const luaL_Reg methods[] = {
      {"read", read_line}, {"remember", remember}, {"close", close_editor}, {NULL, NULL}};
  static const luaL_Reg meta[] = {
      {"__gc", close_editor}, {"__close", close_editor}, {NULL, NULL}};
  static const luaL_Reg functions[] = {{"open", open_editor}, {NULL, NULL}};
  luaL_newmetatable(L, EDITOR);
  luaL_setfuncs(L, meta, 0);
  luaL_newlib(L, methods);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
  luaL_newlib(L, functions);
  return 1;
}
