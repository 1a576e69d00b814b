/* run.c - runs a config's Lua files and functions, each with a new budget, and
 * reports their errors. */
#include <stdio.h>
#include <string.h>

#include "src/config/script/bounds.h"
#include "src/config/script/fail.h"
#include "src/config/script/require.h"
#include "src/config/script/script.h"

/* The message handler: records the place of an error, for messages of Lua without one. */
static int keep_place(lua_State *L)
{
    struct script *s = script_of(L);
    const struct script_place at = script_place(L);
    (void)snprintf(s->last_file, sizeof s->last_file, "%s", at.file);
    s->last_line = at.line;
    return 1;
}

/* The name that Lua's messages give the file: a long path keeps its end, as in luaO_chunkid(). */
static void shown_name(const char *path, char shown[LUA_IDSIZE])
{
    const size_t n = strlen(path);
    if (n < LUA_IDSIZE)
        (void)snprintf(shown, LUA_IDSIZE, "%s", path);
    else
        (void)snprintf(shown, LUA_IDSIZE, "...%s", path + n - (LUA_IDSIZE - 4));
}

static int give_failure(struct script *s, int status, struct error *err)
{
    lua_State *L = s->L;
    const char *main_path = s->n_files ? s->files[0].path : "config";
    const char *text = lua_tostring(L, -1);
    if (status == LUA_ERRMEM)
        return script_fail_memory(s, *s->last_file ? s->last_file : main_path,
                                  s->last_line ? s->last_line : 1, err);
    if (text && s->error.code && strcmp(text, s->error.text) == 0)
        return fail(err, s->error.code, "%s", text);
    for (size_t i = 0; text && i < s->n_files; i++) {
        char shown[LUA_IDSIZE];
        shown_name(s->files[i].path, shown);
        const size_t n = strlen(shown);
        if (strncmp(text, shown, n) == 0 && text[n] == ':')
            return fail(err, ERR_CONFIG, "%s%s", s->files[i].path, text + n);
    }
    const char *file = *s->last_file ? s->last_file : main_path;
    const int line = *s->last_file ? s->last_line : 1;
    if (!text)
        return fail(err, ERR_CONFIG, "%s:%d: error() was called with %s, not a string", file, line,
                    luaL_typename(L, -1));
    return fail(err, ERR_CONFIG, "%s:%d: %s", file, line, text);
}

int script_call(struct script *s, int arguments, int results, struct error *err)
{
    lua_State *L = s->L;
    const int handler = lua_gettop(L) - arguments;
    s->last_file[0] = '\0';
    s->last_line = 0;
    script_budget(s);
    lua_pushcfunction(L, keep_place);
    lua_insert(L, handler);
    const int status = lua_pcall(L, arguments, results, handler);
    lua_remove(L, handler);
    if (status == LUA_OK)
        return OK;
    const int rc = give_failure(s, status, err);
    lua_settop(L, handler - 1);
    return rc;
}

int script_run_file(struct script *s, const char *path, struct error *err)
{
    const struct script_file *file = script_read_file(s, path, err);
    if (!file)
        return err->code;
    s->last_file[0] = '\0';
    script_budget(s);
    const int status = script_load_chunk(s, file);
    if (status != LUA_OK) {
        const int rc = give_failure(s, status, err);
        lua_settop(s->L, 0);
        return rc;
    }
    return script_call(s, 0, 0, err);
}

void script_global(struct script *s, enum lua_call call, lua_CFunction function)
{
    lua_register(s->L, lua_call_name(call), function);
}
