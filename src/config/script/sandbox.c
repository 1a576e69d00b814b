/* sandbox.c - a Lua state without access to files, processes and the clock.
 *
 * xpcall's handler and __gc run without the hook of bounds.c, so configs do not have them. Library
 * functions that loop in C are wrapped: a call that could take long is refused, and the limits are
 * checked after each call.
 */
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/config/script/script.h"

/* Calls the wrapped function, the first upvalue, with the same arguments. */
static int call_original(lua_State *L)
{
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
    return lua_gettop(L);
}

/* An upper bound on the cost of matching a pattern at one position of the subject: the steps so
   far, and the number of ways in which the part read so far can match. */
struct pattern_cost {
    double steps, ways;
};

/* The end of the set [...] that begins at p, by the library's rules. */
static const char *past_set(const char *p, const char *end)
{
    p += p + 1 < end && p[1] == '^' ? 2 : 1;
    do {
        p += p < end && *p == '%' ? 2 : 1;
    } while (p < end && *p != ']');
    return p < end ? p + 1 : end;
}

/* Adds the cost of one pattern item with its repetition; returns its end. */
static const char *count_item(struct pattern_cost *c, const char *p, const char *end, double length)
{
    const char escaped = *p == '%' && p + 1 < end ? p[1] : '\0';
    if (*p == '(' || *p == ')')
        return p + 1;
    if (escaped == 'b' || (escaped >= '0' && escaped <= '9')) {
        c->steps += c->ways * length;
        return escaped == 'b' ? p + 4 : p + 2;
    }
    if (escaped == 'f') {
        c->steps += c->ways * (double)(end - p);
        return p + 2 < end ? past_set(p + 2, end) : end;
    }
    const char *after = escaped ? p + 2 : *p == '[' ? past_set(p, end) : p + 1;
    const double item = (double)(after - p); /* matching a set compares its characters one by one */
    const char repeat = after < end ? *after : '\0';
    const bool many = repeat && strchr("*+-", repeat);
    c->steps += c->ways * item * (many ? length : 1);
    c->ways *= many ? length : repeat == '?' ? 2 : 1;
    return many || repeat == '?' ? after + 1 : after;
}

/* An upper bound on the steps of a search for the pattern, all of them in C. */
static double pattern_steps(const char *pattern, size_t bytes, size_t length)
{
    const char *end = pattern + bytes, *p = pattern;
    const bool anchored = bytes && *p == '^';
    const double places = (double)length + 1;
    struct pattern_cost c = { 1, 1 };
    for (p += anchored; p < end;)
        p = count_item(&c, p, end, places);
    return (c.steps + c.ways) * (anchored ? 1 : places);
}

static int bounded_search(lua_State *L, bool plain)
{
    static const double most = 1e9;
    size_t length = 0, bytes = 0;
    luaL_checklstring(L, 1, &length);
    const char *pattern = luaL_checklstring(L, 2, &bytes);
    const double steps =
        plain ? (double)length * (double)bytes : pattern_steps(pattern, bytes, length);
    if (steps > most)
        script_fail(L, ERR_CONFIG,
                    "a search for this pattern in a string of %zu characters could take too long",
                    length);
    const int results = call_original(L);
    script_charge(L, steps / 4096);
    return results;
}

static int guarded_find(lua_State *L)
{
    return bounded_search(L, lua_toboolean(L, 4));
}

static int guarded_pattern(lua_State *L)
{
    return bounded_search(L, false);
}

/* In gmatch ^ does not anchor. The search runs later, while the iterator is called. */
static int guarded_gmatch(lua_State *L)
{
    size_t bytes = 0;
    const char *pattern = luaL_checklstring(L, 2, &bytes);
    if (bytes && *pattern == '^')
        script_fail(L, ERR_CONFIG, "string.gmatch: a pattern that begins with ^ has no meaning");
    return bounded_search(L, false);
}

static int guarded_rep(lua_State *L)
{
    size_t length = 0, separator = 0;
    luaL_checklstring(L, 1, &length);
    luaL_optlstring(L, 3, "", &separator);
    if (length + separator > 0)
        return call_original(L);
    lua_pushliteral(L, "");
    return 1;
}

/* __len could return any length, and the hook does not count the library's loops. */
static int guarded_table(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    if (lua_getmetatable(L, 1))
        script_fail(L, ERR_CONFIG,
                    "the functions of `table` take plain tables, without a metatable");
    script_charge(L, (double)lua_rawlen(L, 1) / 16);
    return call_original(L);
}

/* The default comparison of sort() runs in C, where the hook does not count it; this one counts. */
static int less_than(lua_State *L)
{
    script_charge(L, 1);
    lua_pushboolean(L, lua_compare(L, 1, 2, LUA_OPLT));
    return 1;
}

static int guarded_sort(lua_State *L)
{
    if (lua_isnoneornil(L, 2)) {
        lua_settop(L, 1);
        lua_pushcfunction(L, less_than);
    }
    return guarded_table(L);
}

static int guarded_setmetatable(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    if (lua_istable(L, 2)) {
        lua_pushliteral(L, "__gc");
        if (lua_rawget(L, 2) != LUA_TNIL)
            script_fail(L, ERR_CONFIG, "setmetatable: __gc is not available in configs");
        lua_pop(L, 1);
    }
    return call_original(L);
}

/* The hook's counter starts at 0 in each coroutine, so creating one counts as work. */
static int guarded_coroutine(lua_State *L)
{
    script_charge(L, 1000);
    return call_original(L);
}

static int text_load(lua_State *L)
{
    size_t bytes;
    const char *text = luaL_checklstring(L, 1, &bytes);
    const char *name = luaL_optstring(L, 2, "=(load)");
    const bool has_env = !lua_isnoneornil(L, 4);
    if (luaL_loadbufferx(L, text, bytes, name, "t") != LUA_OK) {
        luaL_pushfail(L);
        lua_insert(L, -2);
        return 2;
    }
    if (has_env) {
        lua_pushvalue(L, 4);
        if (!lua_setupvalue(L, -2, 1))
            lua_pop(L, 1);
    }
    return 1;
}

static int no_random(lua_State *L)
{
    script_fail(L, ERR_CONFIG,
                "math.random is not seeded by the experiment; use w.rng: w.rng:int(a, b), "
                "w.rng:real(), w.rng:shuffle(table)");
}

static int say_print(lua_State *L)
{
    const struct script *s = script_of(L);
    luaL_Buffer b;
    const int n = lua_gettop(L);
    luaL_buffinit(L, &b);
    for (int i = 1; i <= n; i++) {
        luaL_addstring(&b, i > 1 ? " " : "");
        luaL_tolstring(L, i, NULL);
        luaL_addvalue(&b);
    }
    luaL_pushresult(&b);
    if (s->options->say)
        s->options->say(s->options->say_to, lua_tostring(L, -1));
    return 0;
}

/* Replaces a function of the table on top of the stack by `with`, whose upvalue it becomes;
   NULL removes it. */
static void wrap(lua_State *L, const char *name, lua_CFunction with)
{
    if (!with) {
        lua_pushnil(L);
    } else {
        lua_getfield(L, -1, name);
        lua_pushcclosure(L, with, 1);
    }
    lua_setfield(L, -2, name);
}

static const struct guard {
    const char *library, *name;
    lua_CFunction with;
} guards[] = {
    { "_G", "collectgarbage", NULL },
    { "_G", "dofile", NULL },
    { "_G", "loadfile", NULL },
    { "_G", "warn", NULL },
    { "_G", "xpcall", NULL },
    { "_G", "load", text_load },
    { "_G", "print", say_print },
    { "_G", "setmetatable", guarded_setmetatable },
    { "coroutine", "create", guarded_coroutine },
    { "coroutine", "wrap", guarded_coroutine },
    { "math", "random", no_random },
    { "math", "randomseed", no_random },
    { "string", "dump", NULL },
    { "string", "find", guarded_find },
    { "string", "gmatch", guarded_gmatch },
    { "string", "gsub", guarded_pattern },
    { "string", "match", guarded_pattern },
    { "string", "rep", guarded_rep },
    { "table", "concat", guarded_table },
    { "table", "insert", guarded_table },
    { "table", "move", NULL },
    { "table", "remove", guarded_table },
    { "table", "sort", guarded_sort },
    { "table", "unpack", guarded_table },
};

/* The order of Lua's pairs() differs from run to run; this one sorts numbers, then strings. */
static const char ordered_pairs[] =
    "local next, type, sort, getmetatable = ...\n"
    "local rank = { number = 1, string = 2 }\n"
    "local function before(a, b)\n"
    "  local s, t = type(a), type(b)\n"
    "  if s == t then return a < b end\n"
    "  return rank[s] < rank[t]\n"
    "end\n"
    "return function(t)\n"
    "  local keys, others, i = {}, {}, 0\n"
    "  for k in next, t do\n"
    "    local to = rank[type(k)] and keys or others\n"
    "    to[#to + 1] = k\n"
    "  end\n"
    "  sort(keys, before)\n"
    "  for j = 1, #others do keys[#keys + 1] = others[j] end\n"
    "  return function()\n"
    "    repeat i = i + 1 until keys[i] == nil or t[keys[i]] ~= nil\n"
    "    return keys[i], t[keys[i]]\n"
    "  end, t, nil\n"
    "end\n";

static void order_pairs(lua_State *L)
{
    if (luaL_loadbufferx(L, ordered_pairs, sizeof ordered_pairs - 1, "=pairs", "t") != LUA_OK)
        lua_error(L);
    lua_getglobal(L, "next");
    lua_getglobal(L, "type");
    lua_getglobal(L, "table");
    lua_getfield(L, -1, "sort");
    lua_remove(L, -2);
    lua_getglobal(L, "getmetatable");
    lua_call(L, 4, 1);
    lua_setglobal(L, "pairs");
}

/* The metamethod __index of the table of globals, which is asked for those that do not exist. */
static int unknown_global(lua_State *L)
{
    enum { NAMES_MAX = 100 };
    const char *names[NAMES_MAX];
    size_t n = 0;
    if (lua_type(L, 2) != LUA_TSTRING)
        return 0;
    for (lua_pushnil(L); lua_next(L, 1); lua_pop(L, 1))
        if (lua_type(L, -2) == LUA_TSTRING && n < NAMES_MAX)
            names[n++] = lua_tostring(L, -2);
    const char *name = lua_tostring(L, 2);
    script_fail(L, ERR_CONFIG,
                "the variable \"%.60s\" has no value%s  (a string has quotes: \"%.60s\")", name,
                error_hint(name, names, n).text, name);
}

void script_refuse_unknown_globals(lua_State *L)
{
    lua_pushglobaltable(L);
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, unknown_global);
    lua_setfield(L, -2, "__index");
    lua_setmetatable(L, -2);
    lua_pop(L, 1);
}

void script_open_libraries(lua_State *L)
{
    static const luaL_Reg libraries[] = {
        { LUA_GNAME, luaopen_base },       { LUA_STRLIBNAME, luaopen_string },
        { LUA_TABLIBNAME, luaopen_table }, { LUA_MATHLIBNAME, luaopen_math },
        { LUA_UTF8LIBNAME, luaopen_utf8 }, { LUA_COLIBNAME, luaopen_coroutine },
    };
    for (size_t i = 0; i < sizeof libraries / sizeof *libraries; i++) {
        luaL_requiref(L, libraries[i].name, libraries[i].func, 1);
        lua_pop(L, 1);
    }
    for (size_t i = 0; i < sizeof guards / sizeof *guards; i++) {
        lua_getglobal(L, guards[i].library);
        wrap(L, guards[i].name, guards[i].with);
        lua_pop(L, 1);
    }
    order_pairs(L);
}
