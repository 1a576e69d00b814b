/* fail.c - raises an error of a config: FILE:LINE of the running Lua, and one sentence. */

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/config/script/script.h"

struct script_place script_place(lua_State *L)
{
    lua_Debug ar;
    for (int level = 0; lua_getstack(L, level, &ar); level++) {
        lua_getinfo(L, "Sl", &ar);
        if (ar.currentline <= 0 || ar.source[0] != '@')
            continue;
        const struct script *s = script_of(L);
        for (size_t i = 0; i < s->n_files; i++)
            if (strcmp(s->files[i].path, ar.source + 1) == 0)
                return (struct script_place){ s->files[i].path, ar.currentline };
    }
    return (struct script_place){ "", 0 };
}

void script_fail_at(lua_State *L, struct script_place at, int code, const char *format, ...)
{
    struct script *s = script_of(L);
    char text[900];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    error_clear(&s->error);
    if (*at.file)
        fail(&s->error, code, "%s:%d: %s", at.file, at.line, text);
    else
        fail(&s->error, code, "%s", text);
    lua_pushstring(L, s->error.text);
    lua_error(L);
    abort(); /* lua_error() does not return, but is not declared so */
}

struct error *script_error(lua_State *L)
{
    struct script *s = script_of(L);
    error_clear(&s->error);
    return &s->error;
}

void script_raise(lua_State *L, struct script_place at, const char *what)
{
    const struct error *err = &script_of(L)->error;
    script_fail_at(L, at, err->code, "%s%s%s", what ? what : "", what ? ": " : "", err->text);
}

void *script_made(lua_State *L, void *made)
{
    if (!made)
        script_fail(L, ERR_NO_MEMORY, "out of memory");
    return made;
}

const char *script_kept(lua_State *L, int top)
{
    const char *text = lua_tostring(L, -1);
    (void)luaL_ref(L, LUA_REGISTRYINDEX);
    lua_settop(L, top);
    return text;
}

const char *script_keep(lua_State *L, const char *text)
{
    const int top = lua_gettop(L);
    lua_pushstring(L, text);
    return script_kept(L, top);
}

void *script_keep_items(lua_State *L, size_t n, size_t size)
{
    void *items = lua_newuserdatauv(L, n * size, 0);
    (void)luaL_ref(L, LUA_REGISTRYINDEX);
    return memset(items, 0, n * size);
}

json_t *script_keep_json(lua_State *L, json_t *take)
{
    struct script *s = script_of(L);
    if (!s->kept)
        s->kept = json_array();
    if (json_array_append_new(s->kept, take))
        script_fail(L, ERR_NO_MEMORY, "out of memory");
    return take;
}

const char *script_hint(lua_State *L, const char *given, const char *const *names, size_t n)
{
    const struct hint_text hint = error_hint(given, names, n);
    const int top = lua_gettop(L);
    luaL_Buffer b;
    luaL_buffinit(L, &b);
    luaL_addstring(&b, hint.text);
    if (!*hint.text && n > 0 && n <= 24) {
        luaL_addstring(&b, n == 1 ? "; there is: " : "; there are: ");
        for (size_t i = 0; i < n; i++) {
            luaL_addstring(&b, i ? ", " : "");
            luaL_addstring(&b, names[i]);
        }
    }
    luaL_pushresult(&b);
    return script_kept(L, top);
}
