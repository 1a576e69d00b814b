/* fields.c - reads a config's tables: checks each key, and each value's type and range. */
#include "src/config/script/fields.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/config/script/script.h"
#include "src/core/order.h"

static const char *push_shown(lua_State *L, int index)
{
    switch (lua_type(L, index)) {
        case LUA_TNONE: /* an argument that is not given */
        case LUA_TNIL: return lua_pushstring(L, "nothing");
        case LUA_TBOOLEAN: return lua_pushstring(L, lua_toboolean(L, index) ? "true" : "false");
        case LUA_TNUMBER:
            if (lua_isinteger(L, index))
                return lua_pushfstring(L, "%I", (LUAI_UACINT)lua_tointeger(L, index));
            return lua_pushfstring(L, "%f", (LUAI_UACNUMBER)lua_tonumber(L, index));
        case LUA_TSTRING: {
            const char *text = lua_tostring(L, index);
            char shown[80];
            (void)snprintf(shown, sizeof shown, "\"%.60s\"%s", text,
                           strlen(text) > 60 ? "..." : "");
            return lua_pushstring(L, shown);
        }
        case LUA_TTABLE: return lua_pushstring(L, "a table");
        case LUA_TFUNCTION: return lua_pushstring(L, "a function");
        default:
            /* Our objects have types named "driftline.NAME". */
            if (luaL_getmetafield(L, index, "__name") != LUA_TSTRING)
                return lua_pushstring(L, "something else");
            return lua_pushfstring(L, "a %s", strchr(lua_tostring(L, -1), '.') + 1);
    }
}

const char *script_shown(lua_State *L, int index)
{
    const int top = lua_gettop(L);
    (void)push_shown(L, lua_absindex(L, index));
    return script_kept(L, top);
}

bool script_is_plain(const char *text)
{
    json_t *utf8 = json_string(text);
    json_decref(utf8);
    for (; utf8 && *text; text++) {
        const unsigned char c = (unsigned char)*text, next = (unsigned char)text[1];
        if (c < 0x20 || c == 0x7f || (c == 0xc2 && next < 0xa0)) /* C1 controls in UTF-8 */
            return false;
    }
    return utf8 != NULL;
}

struct fields fields_open(lua_State *L, int index, const char *what)
{
    struct fields f = { L, lua_absindex(L, index), what, script_place(L), 1 };
    if (!lua_istable(L, index))
        script_fail(L, ERR_CONFIG, "%s takes a table, as in %s { ... }, not %s", what, what,
                    script_shown(L, index));
    luaL_checkstack(L, 20, "tables too deep");
    return f;
}

struct script_place fields_place(const struct fields *f, const char *key)
{
    return script_key_place(f->L, f->call, f->depth, key);
}

void fields_fail(const struct fields *f, const char *key, const char *format, ...)
{
    char text[900];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    script_fail_at(f->L, key ? fields_place(f, key) : f->call, ERR_CONFIG, "%s: %s", f->what, text);
}

static void fail_key(const struct fields *f, const char *const *names, size_t n, size_t positions)
{
    lua_State *L = f->L;
    if (lua_type(L, -2) == LUA_TSTRING) {
        const char *key = lua_tostring(L, -2);
        fields_fail(f, key, "unknown key \"%.60s\"%s", key, script_hint(L, key, names, n));
    }
    if (positions)
        fields_fail(f, NULL, "its list has at most %zu item%s, but there is %s at [%s]%s",
                    positions, positions == 1 ? "" : "s", script_shown(L, -1), script_shown(L, -2),
                    strcmp(script_shown(L, -1), "a view") == 0 ? "; a .. b joins two views" : "");
    fields_fail(f, NULL, "every value has a name here, as in name = value; %s has none",
                script_shown(L, -1));
}

void fields_only(const struct fields *f, enum lua_call call, size_t positions)
{
    const char *names[LUA_KEYS_MAX + 1];
    fields_only_names(f, names, lua_keys(call, names), positions);
}

void fields_only_names(const struct fields *f, const char *const *names, size_t n, size_t positions)
{
    lua_State *L = f->L;
    for (lua_pushnil(L); lua_next(L, f->at); lua_pop(L, 1)) {
        bool known = false;
        if (lua_type(L, -2) == LUA_TSTRING) {
            for (size_t i = 0; i < n && !known; i++)
                known = strcmp(names[i], lua_tostring(L, -2)) == 0;
        } else if (lua_isinteger(L, -2)) {
            const lua_Integer i = lua_tointeger(L, -2);
            known = i >= 1 && (lua_Unsigned)i <= positions;
        }
        if (!known)
            fail_key(f, names, n, positions);
    }
}

int fields_push(const struct fields *f, const char *key)
{
    lua_pushstring(f->L, key);
    return lua_rawget(f->L, f->at);
}

struct fields fields_table(const struct fields *f, const char *key, const char *shape)
{
    if (fields_push(f, key) != LUA_TTABLE)
        fields_fail(f, key, "\"%s\" must be %s, not %s", key, shape, script_shown(f->L, -1));
    luaL_checkstack(f->L, 20, "tables too deep");
    return (struct fields){ f->L, lua_gettop(f->L), f->what, f->call, f->depth + 1 };
}

bool fields_has(const struct fields *f, const char *key)
{
    const bool has = fields_push(f, key) != LUA_TNIL;
    lua_pop(f->L, 1);
    return has;
}

double fields_real(const struct fields *f, const char *key, double otherwise, double min,
                   double max)
{
    const int type = fields_push(f, key);
    const double value = type == LUA_TNIL ? otherwise : lua_tonumber(f->L, -1);
    if (type != LUA_TNIL && (type != LUA_TNUMBER || !(value >= min && value <= max)))
        fields_fail(f, key, "\"%s\" must be a number %.15g .. %.15g, not %s", key, min, max,
                    script_shown(f->L, -1));
    lua_pop(f->L, 1);
    return value;
}

uint64_t fields_count(const struct fields *f, const char *key, uint64_t otherwise, uint64_t min,
                      uint64_t max)
{
    const int type = fields_push(f, key);
    uint64_t value = otherwise;
    int whole = 0;
    if (type == LUA_TNUMBER) {
        const lua_Integer i = lua_tointegerx(f->L, -1, &whole);
        value = (uint64_t)i;
        whole = whole && i >= 0 && value >= min && value <= max;
    }
    if (type != LUA_TNIL && !whole) {
        const char *given = script_shown(f->L, -1);
        if (max >= INT64_MAX)
            fields_fail(f, key, "\"%s\" must be a whole number, at least %llu, not %s", key,
                        (unsigned long long)min, given);
        fields_fail(f, key, "\"%s\" must be a whole number %llu .. %llu, not %s", key,
                    (unsigned long long)min, (unsigned long long)max, given);
    }
    lua_pop(f->L, 1);
    return value;
}

bool fields_bool(const struct fields *f, const char *key, bool otherwise)
{
    const int type = fields_push(f, key);
    if (type != LUA_TNIL && type != LUA_TBOOLEAN)
        fields_fail(f, key, "\"%s\" must be true or false, not %s", key, script_shown(f->L, -1));
    const bool value = type == LUA_TNIL ? otherwise : lua_toboolean(f->L, -1);
    lua_pop(f->L, 1);
    return value;
}

const char *fields_text(const struct fields *f, const char *key, const char *otherwise)
{
    const int type = fields_push(f, key);
    if (type != LUA_TNIL && type != LUA_TSTRING)
        fields_fail(f, key, "\"%s\" must be a string, not %s", key, script_shown(f->L, -1));
    const char *text = type == LUA_TNIL ? otherwise : lua_tostring(f->L, -1);
    if (type == LUA_TSTRING && strlen(text) != lua_rawlen(f->L, -1))
        fields_fail(f, key, "\"%s\" has a zero byte", key);
    lua_pop(f->L, 1);
    return text;
}

int fields_choice(const struct fields *f, const char *key, int otherwise, const char *const *names)
{
    const char *text = fields_text(f, key, NULL);
    if (!text)
        return otherwise;
    int n = 0;
    for (; names[n]; n++)
        if (strcmp(names[n], text) == 0)
            return n;
    fields_fail(f, key, "unknown %s \"%.60s\"%s", key, text,
                script_hint(f->L, text, names, (size_t)n));
}

const char **fields_names(const struct fields *f, size_t *n)
{
    lua_State *L = f->L;
    size_t count = 0;
    for (lua_pushnil(L); lua_next(L, f->at); lua_pop(L, 1)) {
        if (lua_type(L, -2) != LUA_TSTRING)
            fields_fail(f, NULL, "every value has a name here, as in name = value; %s has none",
                        script_shown(L, -1));
        count++;
    }
    const char **names = lua_newuserdatauv(L, (count + 1) * sizeof *names, 0);
    size_t i = 0;
    for (lua_pushnil(L); lua_next(L, f->at); lua_pop(L, 1))
        names[i++] = lua_tostring(L, -2);
    names[count] = NULL;
    qsort(names, count, sizeof *names, order_text);
    *n = count;
    return names;
}
