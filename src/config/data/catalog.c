/* catalog.c - reads datasets/catalog.lua.
 *
 * 1 reading fields   2 entries   3 loading   4 the catalog's names
 *
 * All strings and arrays belong to Lua. The catalog keeps its Lua state, whose registry keeps the
 * tables that hold the strings, and the arrays.
 */
#include "src/config/data/catalog.h"

#include <lauxlib.h>
#include <limits.h>
#include <lua.h>
#include <lualib.h>
#include <stdlib.h>
#include <string.h>

#include "src/config/script/fail.h"
#include "src/core/order.h"

enum { ENTRIES_MAX = 10000 };

struct catalog {
    lua_State *L;
    struct catalog_entry *entries;
    const char **names;
    size_t n;
    const char *where; /* the entry being read, for messages */
    char path[PATH_MAX];
};

/* 1. Reading fields of the table on top of the stack, without metamethods */

static _Noreturn void refuse(lua_State *L, const struct catalog *c, const char *key,
                             const char *why)
{
    luaL_error(L, "data set \"%s\": \"%s\" %s", c->where, key, why);
    abort(); /* luaL_error() does not return, but is not declared so */
}

static const char *text_field(lua_State *L, const struct catalog *c, const char *key, bool needed)
{
    lua_pushstring(L, key);
    const int type = lua_rawget(L, -2);
    if (type != LUA_TSTRING && (type != LUA_TNIL || needed))
        refuse(L, c, key, "must be a string");
    const char *text = lua_tostring(L, -1); /* the table anchors it */
    lua_pop(L, 1);
    return text;
}

/* A whole number from least to most; 0: the key is missing. */
static lua_Integer whole_field(lua_State *L, const struct catalog *c, const char *key,
                               lua_Integer least, lua_Integer most, const char *must_be)
{
    lua_pushstring(L, key);
    const int type = lua_rawget(L, -2);
    int whole = 1;
    const lua_Integer value = type == LUA_TNIL ? 0 : lua_tointegerx(L, -1, &whole);
    if (!whole || value < least || value > most || type == LUA_TSTRING)
        refuse(L, c, key, must_be);
    lua_pop(L, 1);
    return value;
}

static size_t count_field(lua_State *L, const struct catalog *c, const char *key)
{
    return (size_t)whole_field(L, c, key, 0, INT64_MAX, "must be a whole number");
}

static bool bool_field(lua_State *L, const struct catalog *c, const char *key)
{
    lua_pushstring(L, key);
    const int type = lua_rawget(L, -2);
    if (type != LUA_TNIL && type != LUA_TBOOLEAN)
        refuse(L, c, key, "must be true or false");
    const bool value = lua_toboolean(L, -1);
    lua_pop(L, 1);
    return value;
}

static void only_fields(lua_State *L, const struct catalog *c, const char *const *keys)
{
    size_t n = 0;
    while (keys[n])
        n++;
    for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
        if (lua_type(L, -2) != LUA_TSTRING)
            refuse(L, c, keys[0], "is in a table with values that have no name");
        bool known = false;
        for (size_t i = 0; i < n && !known; i++)
            known = strcmp(keys[i], lua_tostring(L, -2)) == 0;
        if (!known) {
            const char *key = lua_tostring(L, -2);
            refuse(
                L, c, key,
                lua_pushfstring(L, "is not a field of a catalog%s", error_hint(key, keys, n).text));
        }
    }
}

/* Pushes the list `key`; returns a zeroed array of *n items of `bytes` each, owned
   by the catalog. */
static void *list_field(lua_State *L, const struct catalog *c, const char *key, size_t bytes,
                        size_t *n)
{
    lua_pushstring(L, key);
    if (lua_rawget(L, -2) != LUA_TTABLE)
        refuse(L, c, key, "must be a list");
    *n = (size_t)lua_rawlen(L, -1);
    if (*n > ENTRIES_MAX)
        refuse(L, c, key, "is too long");
    return script_keep_items(L, *n, bytes);
}

static void push_item(lua_State *L, const struct catalog *c, const char *key, size_t i)
{
    if (lua_rawgeti(L, -1, (lua_Integer)i + 1) != LUA_TTABLE)
        refuse(L, c, key, "must be a list of tables");
    luaL_checkstack(L, 10, "catalog");
}

/* 2. Entries */

static void read_origin(lua_State *L, const struct catalog *c, struct dataset_origin *o)
{
    /* in the order of enum origin_kind */
    static const char *const kinds[] = { "url", "debian", "npm", "recipe" };
    static const char *const keys[] = { "url",     "debian", "npm",      "recipe",
                                        "version", "path",   "insecure", NULL };
    only_fields(L, c, keys);
    int given = 0;
    for (int i = 0; i < 4; i++) {
        const char *address = text_field(L, c, kinds[i], false);
        if (!address)
            continue;
        given++;
        o->kind = (enum origin_kind)i;
        o->address = address;
    }
    if (given != 1)
        refuse(L, c, "sources", "need exactly one of url, debian, npm and recipe each");
    o->version = text_field(L, c, "version", o->kind == ORIGIN_NPM);
    o->member = text_field(L, c, "path", o->kind == ORIGIN_DEBIAN || o->kind == ORIGIN_NPM);
    o->insecure = bool_field(L, c, "insecure");
}

static void read_part(lua_State *L, struct catalog *c, struct dataset_part *p)
{
    static const char *const keys[] = { "part",       "file",    "sha256",   "format", "rows",
                                        "dataset",    "element", "dim",      "bytes",  "plain",
                                        "first_only", "sources", "unpinned", "add",    NULL };
    only_fields(L, c, keys);
    p->part = text_field(L, c, "part", true);
    p->file = text_field(L, c, "file", true);
    p->sha256 = text_field(L, c, "sha256", false);
    p->format = text_field(L, c, "format", false);
    p->dataset = text_field(L, c, "dataset", false);
    p->element = text_field(L, c, "element", false);
    p->rows = count_field(L, c, "rows");
    p->dim = count_field(L, c, "dim");
    p->add =
        (int)whole_field(L, c, "add", -1000, 1000, "must be a whole number from -1000 to 1000");
    p->bytes = count_field(L, c, "bytes");
    p->plain = bool_field(L, c, "plain");
    p->first_only = bool_field(L, c, "first_only");
    p->unpinned = bool_field(L, c, "unpinned");
    struct dataset_origin *origins = list_field(L, c, "sources", sizeof *origins, &p->n_origins);
    for (size_t i = 0; i < p->n_origins; i++) {
        push_item(L, c, "sources", i);
        read_origin(L, c, &origins[i]);
        lua_pop(L, 1);
    }
    p->origins = origins;
    lua_pop(L, 1);
    struct error err = { 0 };
    if (fetch_check_trust(p, &err))
        luaL_error(L, "data set \"%s\": part \"%s\": %s", c->where, p->part, err.text);
}

static enum metric read_metric(lua_State *L, const struct catalog *c, const struct dataset_entry *e)
{
    enum metric metric;
    if (e->metric && index_metric_named(e->metric, &metric))
        return metric;
    for (size_t i = 0; i < e->n_parts; i++)
        if (e->metric || !e->parts[i].plain)
            refuse(L, c, "metric", "must be \"l2\", \"ip\", \"cosine\" or \"hamming\"");
    return INDEX_L2SQ; /* only plain parts such as runbooks: not used */
}

static void read_entry(lua_State *L, struct catalog *c, struct catalog_entry *out)
{
    static const char *const keys[] = { "about", "metric",  "licence", "note",  "rows",
                                        "dim",   "element", "minutes", "files", NULL };
    struct dataset_entry *e = &out->entry;
    e->name = c->where;
    only_fields(L, c, keys);
    e->about = text_field(L, c, "about", true);
    e->metric = text_field(L, c, "metric", false);
    e->licence = text_field(L, c, "licence", true);
    e->note = text_field(L, c, "note", false);
    e->element = text_field(L, c, "element", false);
    e->rows = count_field(L, c, "rows");
    e->dim = count_field(L, c, "dim");
    e->minutes = count_field(L, c, "minutes");
    struct dataset_part *parts = list_field(L, c, "files", sizeof *parts, &e->n_parts);
    for (size_t i = 0; i < e->n_parts; i++) {
        push_item(L, c, "files", i);
        read_part(L, c, &parts[i]);
        lua_pop(L, 1);
    }
    e->parts = parts;
    lua_pop(L, 1);
    out->metric = read_metric(L, c, e);
}

/* 3. Loading */

/* Fills c->names with the sorted keys of the table on top of the stack; returns their number. */
static size_t name_entries(lua_State *L, struct catalog *c)
{
    size_t n = 0;
    c->names = script_keep_items(L, ENTRIES_MAX, sizeof *c->names);
    for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
        if (lua_type(L, -2) != LUA_TSTRING || n == ENTRIES_MAX)
            luaL_error(L, "it must return a table of at most %d data sets by name", ENTRIES_MAX);
        c->names[n++] = lua_tostring(L, -2);
    }
    qsort(c->names, n, sizeof *c->names, order_text);
    return n;
}

/* Runs the file and fills the catalog; the table it returned stays in the registry. */
static int load_catalog(lua_State *L)
{
    struct catalog *c = lua_touserdata(L, 1);
    const char *path = lua_tostring(L, 2);
    luaL_requiref(L, LUA_GNAME, luaopen_base, 1);
    luaL_requiref(L, LUA_STRLIBNAME, luaopen_string, 1);
    luaL_requiref(L, LUA_TABLIBNAME, luaopen_table, 1);
    lua_settop(L, 2);
    if (luaL_loadfilex(L, path, "t") != LUA_OK)
        return lua_error(L);
    lua_call(L, 0, 1);
    if (!lua_istable(L, -1))
        return luaL_error(L, "it must return a table of data sets by name");
    const size_t n = name_entries(L, c);
    c->entries = script_keep_items(L, n, sizeof *c->entries);
    for (size_t i = 0; i < n; i++) {
        c->where = c->names[i];
        lua_getfield(L, -1, c->names[i]);
        if (!lua_istable(L, -1))
            refuse(L, c, c->names[i], "must be a table");
        read_entry(L, c, &c->entries[i]);
        lua_pop(L, 1);
    }
    c->n = n;
    lua_setfield(L, LUA_REGISTRYINDEX, "driftline.catalog");
    return 0;
}

int catalog_open(struct catalog **out, const struct run_options *options, struct error *err)
{
    struct catalog *c = *out = calloc(1, sizeof *c);
    if (c)
        c->L = luaL_newstate();
    if (!c || !c->L) {
        free(c);
        *out = NULL;
        return fail(err, ERR_NO_MEMORY, "out of memory for the catalog");
    }
    (void)snprintf(c->path, sizeof c->path, "%s/datasets/catalog.lua",
                   options->root ? options->root : ".");
    lua_pushcfunction(c->L, load_catalog);
    lua_pushlightuserdata(c->L, c);
    lua_pushstring(c->L, c->path);
    if (lua_pcall(c->L, 2, 0, 0) == LUA_OK)
        return OK;
    const char *text = lua_tostring(c->L, -1);
    /* Lua's messages begin with FILE:LINE; ours do not name the file. */
    if (text && strstr(text, "catalog.lua"))
        fail(err, ERR_CONFIG, "%s", text);
    else
        fail(err, ERR_CONFIG, "%s: %s", c->path, text ? text : "an error without a message");
    catalog_close(c);
    *out = NULL;
    return err ? err->code : ERR_CONFIG;
}

void catalog_close(struct catalog *c)
{
    if (!c)
        return;
    if (c->L)
        lua_close(c->L);
    free(c);
}

/* 4. The catalog's names */

const char *catalog_path(const struct catalog *c)
{
    return c->path;
}

const char *const *catalog_names(const struct catalog *c, size_t *n)
{
    *n = c->n;
    return c->names;
}

struct catalog_entry *catalog_find(struct catalog *c, const char *name)
{
    for (size_t i = 0; i < c->n; i++)
        if (strcmp(c->names[i], name) == 0)
            return &c->entries[i];
    return NULL;
}
