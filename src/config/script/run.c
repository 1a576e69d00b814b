/* run.c - runs a config's Lua files and functions, each with a new budget, and
 * reports their errors. */
#include <stdio.h>
#include <string.h>

#include "src/config/script/script.h"

/* The message handler: records the place of an error, for messages of Lua without one. */
static int keep_place(lua_State *L)
{
    script_of(L)->last = script_place(L);
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
    const struct script_place begin = { s->n_files ? s->files[0].path : "config", 1 };
    const struct script_place at = *s->last.file ? s->last : begin;
    const char *text = lua_tostring(L, -1);
    if (status == LUA_ERRMEM)
        return script_fail_memory(s, at, err);
    if (text && s->error.code && strcmp(text, s->error.text) == 0)
        return fail(err, s->error.code, "%s", text);
    for (size_t i = 0; text && i < s->n_files; i++) {
        char shown[LUA_IDSIZE];
        shown_name(s->files[i].path, shown);
        const size_t n = strlen(shown);
        if (strncmp(text, shown, n) == 0 && text[n] == ':')
            return fail(err, ERR_CONFIG, "%s%s", s->files[i].path, text + n);
    }
    if (!text)
        return fail(err, ERR_CONFIG, "%s:%d: error() was called with %s, not a string", at.file,
                    at.line, luaL_typename(L, -1));
    return fail(err, ERR_CONFIG, "%s:%d: %s", at.file, at.line, text);
}

int script_call(struct script *s, int arguments, int results, struct error *err)
{
    lua_State *L = s->L;
    const int handler = lua_gettop(L) - arguments;
    s->last = (struct script_place){ "", 0 };
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
    s->last = (struct script_place){ "", 0 };
    script_budget(s);
    const int status = script_load_chunk(s, file);
    if (status != LUA_OK) {
        const int rc = give_failure(s, status, err);
        lua_settop(s->L, 0);
        return rc;
    }
    return script_call(s, 0, 0, err);
}
