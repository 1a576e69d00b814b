/* lua_sandbox.c - a Lua state that can compute but not reach out, bounded in memory and in work.
 *
 * 1 memory   2 work   3 what the libraries are left with   4 running
 *
 * The bounds cannot be caught away: past the budget every instruction raises the error again, so that each pcall ends
 * one level further out. What would run without the hook is not offered: xpcall's handler, __gc, and functions of
 * C whose loops a config could make endless (table.move, patterns over long texts).
 */
#include <inttypes.h>
#include <lualib.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/lua_script.h"

enum { HOOK_STEP = 1000, BYTES_A_STEP = 8 };

#define WORK_LIMIT   UINT64_C(2000000000)
#define MEMORY_LIMIT ((size_t)256 << 20)

struct script *script_of(lua_State *L)
{
    struct script *s;
    memcpy(&s, lua_getextraspace(L), sizeof s);
    return s;
}

/* 1. Memory */

static void note_refusal(struct script *s)
{
    s->out_of_memory = true;
    if (!s->L)
        return;
    const struct place at = script_place(s->L);
    (void)snprintf(s->last_file, sizeof s->last_file, "%s", at.file);
    s->last_line = at.line;
}

static void *allocate(void *context, void *block, size_t old_bytes, size_t bytes)
{
    struct script *s = context;
    if (!block)
        old_bytes = 0; /* Lua passes the type of the new object there */
    if (!bytes) {
        free(block);
        s->used_bytes -= old_bytes;
        return NULL;
    }
    if (bytes > old_bytes && bytes - old_bytes > s->limit_bytes - s->used_bytes) {
        note_refusal(s);
        return NULL;
    }
    void *p = realloc(block, bytes);
    if (!p)
        return bytes <= old_bytes ? block : NULL;
    s->used_bytes += bytes - old_bytes;
    s->allocated_bytes += bytes;
    return p;
}

/* 2. Work */

static bool past_budget(const struct script *s)
{
    return s->over || s->work + s->allocated_bytes / BYTES_A_STEP > s->work_limit;
}

static void count_hook(lua_State *L, lua_Debug *ar)
{
    (void)ar;
    struct script *s = script_of(L);
    s->work += HOOK_STEP;
    if (!past_budget(s))
        return;
    s->over = true;
    lua_sethook(L, count_hook, LUA_MASKCOUNT, 1);
    script_fail(L, ERR_CONFIG, "config ran more than %" PRIu64 " instructions; an endless loop?",
                s->work_limit);
}

/* Work that the hook does not see. */
static void charge(lua_State *L, double work)
{
    struct script *s = script_of(L);
    s->work += work < 1e18 ? (uint64_t)work : (uint64_t)1e18;
    if (past_budget(s)) {
        s->over = true;
        lua_sethook(L, count_hook, LUA_MASKCOUNT, 1);
        script_fail(L, ERR_CONFIG,
                    "config ran more than %" PRIu64 " instructions; an endless loop?",
                    s->work_limit);
    }
}

static void fresh_budget(struct script *s)
{
    s->work = s->allocated_bytes = 0;
    s->over = s->out_of_memory = false;
    lua_sethook(s->L, count_hook, LUA_MASKCOUNT, HOOK_STEP);
}

/* 3. What the libraries are left with */

/* Calls the library's own function, the first upvalue, with the arguments as they are. */
static int call_original(lua_State *L)
{
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
    return lua_gettop(L);
}

/* A pattern's matching takes at most about length ^ (repetitions + 1) steps, all of them inside C. */
static int guarded_pattern(lua_State *L)
{
    size_t length = 0, pattern_bytes = 0, repetitions = 0;
    luaL_checklstring(L, 1, &length);
    const char *pattern = luaL_checklstring(L, 2, &pattern_bytes);
    for (size_t i = 0; i < pattern_bytes; i++)
        repetitions += pattern[i] && strchr("*+-", pattern[i]);
    const double steps = pow((double)length + 1, (double)repetitions + 1);
    if (steps > 1e9)
        script_fail(L, ERR_CONFIG,
                    "a pattern with %zu repetitions over a text of %zu characters "
                    "could take too long",
                    repetitions, length);
    charge(L, steps / 4096);
    return call_original(L);
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

/* A __len could promise any length; the library's loops over it are not counted. */
static int guarded_table(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    if (lua_getmetatable(L, 1))
        script_fail(L, ERR_CONFIG,
                    "the functions of `table` take plain tables, without a metatable");
    charge(L, (double)lua_rawlen(L, 1) / 16);
    return call_original(L);
}

static int guarded_setmetatable(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    if (lua_istable(L, 2)) {
        lua_pushliteral(L, "__gc");
        if (lua_rawget(L, 2) != LUA_TNIL)
            script_fail(L, ERR_CONFIG, "setmetatable: __gc is not for configs");
        lua_pop(L, 1);
    }
    return call_original(L);
}

/* A coroutine counts its instructions from 0. */
static int guarded_coroutine(lua_State *L)
{
    charge(L, HOOK_STEP);
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

/* Wraps or removes (with == NULL) a function of the table on top of the stack. */
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
    { "string", "find", guarded_pattern },
    { "string", "gmatch", guarded_pattern },
    { "string", "gsub", guarded_pattern },
    { "string", "match", guarded_pattern },
    { "string", "rep", guarded_rep },
    { "table", "concat", guarded_table },
    { "table", "insert", guarded_table },
    { "table", "move", NULL },
    { "table", "remove", guarded_table },
    { "table", "sort", guarded_table },
    { "table", "unpack", guarded_table },
};

/* Lua's own pairs() goes in an order that differs from run to run. */
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

static int open_libraries(lua_State *L)
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
    lua_register(L, "require", script_require);
    return 0;
}

/* 4. Running */

/* Runs where the error is: keeps its place, for messages that Lua gives without one. */
static int keep_place(lua_State *L)
{
    struct script *s = script_of(L);
    const struct place at = script_place(L);
    (void)snprintf(s->last_file, sizeof s->last_file, "%s", at.file);
    s->last_line = at.line;
    return 1;
}

/* Lua's luaO_chunkid: a name that is too long keeps its end. */
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
    if (status == LUA_ERRMEM) {
        const char *file = *s->last_file ? s->last_file : main_path;
        return fail(err, ERR_CONFIG, "%s:%d: the config's tables and texts take more than %zu MiB",
                    file, s->last_line ? s->last_line : 1, s->limit_bytes >> 20);
    }
    if (text && s->raised.code && strcmp(text, s->raised.text) == 0)
        return fail(err, s->raised.code, "%s", text);
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
        return fail(err, ERR_CONFIG, "%s:%d: error() was called with %s, not a text", file, line,
                    luaL_typename(L, -1));
    return fail(err, ERR_CONFIG, "%s:%d: %s", file, line, text);
}

int script_call(struct script *s, int arguments, int results, struct error *err)
{
    lua_State *L = s->L;
    const int handler = lua_gettop(L) - arguments;
    s->last_file[0] = '\0';
    s->last_line = 0;
    fresh_budget(s);
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
    fresh_budget(s);
    const int status = script_load_chunk(s, file);
    if (status != LUA_OK) {
        const int rc = give_failure(s, status, err);
        lua_settop(s->L, 0);
        return rc;
    }
    return script_call(s, 0, 0, err);
}

void script_global(struct script *s, const char *name, lua_CFunction function)
{
    lua_register(s->L, name, function);
}

static int register_all(lua_State *L)
{
    struct script *s = script_of(L);
    open_libraries(L);
    lua_view_register(s);
    lua_data_register(s);
    lua_hashes_register(s);
    lua_method_register(s);
    lua_workload_register(s);
    lua_experiment_register(s);
    return 0;
}

int script_new(struct script **out, struct run_options *options, const struct registry *registry,
               struct error *err)
{
    struct script *s = *out = calloc(1, sizeof *s);
    if (!s)
        return fail(err, ERR_NO_MEMORY, "out of memory");
    s->options = options;
    s->registry = registry;
    s->limit_bytes = options->script_bytes ? options->script_bytes : MEMORY_LIMIT;
    s->work_limit = options->script_instructions ? options->script_instructions : WORK_LIMIT;
    s->workload_ref = LUA_NOREF;
    lua_State *L = lua_newstate(allocate, s);
    if (!L) {
        script_free(s);
        *out = NULL;
        return fail(err, ERR_NO_MEMORY, "out of memory for Lua");
    }
    memcpy(lua_getextraspace(L), &s, sizeof s);
    s->L = L;
    lua_pushcfunction(L, register_all);
    const int rc = script_call(s, 0, 0, err);
    if (rc) {
        script_free(s);
        *out = NULL;
    }
    return rc;
}
