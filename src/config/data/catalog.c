/* catalog.c - reads datasets/catalog.lua.
 *
 * 1 fields   2 entries   3 loading   4 the catalog's names
 *
 * All strings and arrays belong to Lua. The catalog keeps its Lua state, whose registry keeps the
 * tables that hold the strings, and the arrays.
 */
#include "src/config/data/catalog.h"

#include <limits.h>
#include <lualib.h>
#include <stdlib.h>

#include "src/config/data/internal.h"

struct catalog {
    struct script script; /* of its Lua state: without files */
    lua_State *L;
    struct catalog_entry *entries;
    const char **names;
    size_t n;
    char path[PATH_MAX];
};

/* 1. Fields. A string belongs to its table. */

static const char *needed_text(const struct fields *f, const char *key)
{
    const char *text = fields_text(f, key, NULL);
    if (!text)
        fields_fail(f, key, "\"%s\" is missing", key);
    return text;
}

static size_t count(const struct fields *f, const char *key)
{
    return (size_t)fields_count(f, key, 0, 0, INT64_MAX);
}

/* Pushes and opens the list `key`; returns a zeroed array of *n items of `bytes` each, which lasts as
   long as the catalog. */
static void *open_list(const struct fields *f, const char *key, size_t bytes, struct fields *list,
                       size_t *n)
{
    *list = fields_table(f, key, "a list of tables");
    *n = (size_t)lua_rawlen(f->L, list->at);
    return script_keep_items(f->L, *n, bytes);
}

/* Pushes and opens item i of the list `key`, whose keys are these n names. */
static struct fields open_item(const struct fields *list, const char *key, size_t i,
                               const char *const *names, size_t n)
{
    lua_State *L = list->L;
    if (lua_rawgeti(L, list->at, (lua_Integer)i + 1) != LUA_TTABLE)
        fields_fail(list, key, "\"%s\" must be a list of tables", key);
    luaL_checkstack(L, 20, "catalog");
    const struct fields item = { L, lua_gettop(L), list->what, list->call, 0 };
    fields_only_names(&item, names, n, 0);
    return item;
}

/* 2. Entries */

#define N_NAMES(names) (sizeof(names) / sizeof *(names))

static void read_origin(const struct fields *f, struct dataset_origin *o)
{
    /* in the order of enum origin_kind */
    static const char *const kinds[] = { "url", "debian", "npm", "recipe" };
    int given = 0;
    for (int i = 0; i < 4; i++) {
        const char *address = fields_text(f, kinds[i], NULL);
        if (!address)
            continue;
        given++;
        o->kind = (enum origin_kind)i;
        o->address = address;
    }
    if (given != 1)
        fields_fail(f, NULL, "\"sources\" need exactly one of url, debian, npm and recipe each");
    const bool npm = o->kind == ORIGIN_NPM, packed = npm || o->kind == ORIGIN_DEBIAN;
    o->version = npm ? needed_text(f, "version") : fields_text(f, "version", NULL);
    o->member = packed ? needed_text(f, "path") : fields_text(f, "path", NULL);
    o->insecure = fields_bool(f, "insecure", false);
}

int lua_offset_field(const struct fields *f)
{
    const double add = fields_real(f, "add", 0, -1000, 1000);
    if (add != (double)(int)add)
        fields_fail(f, "add", "\"add\" must be a whole number");
    return (int)add;
}

static void read_part(const struct fields *f, struct dataset_part *p)
{
    static const char *const of_origin[] = { "url",     "debian", "npm",     "recipe",
                                             "version", "path",   "insecure" };
    lua_State *L = f->L;
    struct fields list;
    p->part = needed_text(f, "part");
    p->file = needed_text(f, "file");
    p->sha256 = fields_text(f, "sha256", NULL);
    p->format = fields_text(f, "format", NULL);
    p->dataset = fields_text(f, "dataset", NULL);
    p->element = fields_text(f, "element", NULL);
    p->rows = count(f, "rows");
    p->dim = count(f, "dim");
    p->add = lua_offset_field(f);
    p->bytes = count(f, "bytes");
    p->plain = fields_bool(f, "plain", false);
    p->first_only = fields_bool(f, "first_only", false);
    p->unpinned = fields_bool(f, "unpinned", false);
    struct dataset_origin *origins = open_list(f, "sources", sizeof *origins, &list, &p->n_origins);
    for (size_t i = 0; i < p->n_origins; i++) {
        const struct fields origin = open_item(&list, "sources", i, of_origin, N_NAMES(of_origin));
        read_origin(&origin, &origins[i]);
        lua_pop(L, 1);
    }
    p->origins = origins;
    lua_pop(L, 1);
    if (fetch_check_trust(p, script_error(L)))
        fields_fail(f, NULL, "part \"%s\": %s", p->part, script_of(L)->error.text);
}

/* Reads the table on top of the stack. */
static void read_entry(lua_State *L, const char *name, struct catalog_entry *out)
{
    static const char *const keys[] = { "about", "metric",  "licence", "note", "rows",
                                        "dim",   "element", "minutes", "files" },
                             *const of_part[] = { "part",     "file",    "sha256",     "format",
                                                  "rows",     "dataset", "element",    "dim",
                                                  "bytes",    "plain",   "first_only", "sources",
                                                  "unpinned", "add" };
    struct dataset_entry *e = &out->entry;
    struct fields f = { .L = L, .at = lua_gettop(L), .call = { "", 0 } }, list;
    bool rows = false;
    f.what = lua_pushfstring(L, "data set \"%s\"", name);
    if (!lua_istable(L, f.at))
        fields_fail(&f, NULL, "it must be a table, not %s", script_shown(L, f.at));
    fields_only_names(&f, keys, N_NAMES(keys), 0);
    e->name = name;
    e->about = needed_text(&f, "about");
    e->metric = fields_text(&f, "metric", NULL);
    e->licence = needed_text(&f, "licence");
    e->note = fields_text(&f, "note", NULL);
    e->element = fields_text(&f, "element", NULL);
    e->rows = count(&f, "rows");
    e->dim = count(&f, "dim");
    e->minutes = count(&f, "minutes");
    struct dataset_part *parts = open_list(&f, "files", sizeof *parts, &list, &e->n_parts);
    for (size_t i = 0; i < e->n_parts; i++) {
        const struct fields part = open_item(&list, "files", i, of_part, N_NAMES(of_part));
        read_part(&part, &parts[i]);
        rows |= !parts[i].plain;
        lua_pop(L, 1);
    }
    e->parts = parts;
    /* Parts without rows, such as runbooks, have no metric. */
    const int metric = fields_choice(&f, "metric", rows ? -1 : INDEX_L2SQ, index_metric_names);
    if (metric < 0)
        fields_fail(&f, NULL, "\"metric\" is missing");
    out->metric = (enum metric)metric;
    lua_pop(L, 2);
}

/* 3. Loading */

/* Runs the file and fills the catalog; the table it returned and the names stay in the registry. */
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
    const struct fields all = { L, lua_gettop(L), "the catalog", { "", 0 }, 0 };
    c->names = fields_names(&all, &c->n);
    (void)luaL_ref(L, LUA_REGISTRYINDEX);
    c->entries = script_keep_items(L, c->n, sizeof *c->entries);
    for (size_t i = 0; i < c->n; i++) {
        lua_getfield(L, all.at, c->names[i]);
        read_entry(L, c->names[i], &c->entries[i]);
        lua_pop(L, 1);
    }
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
    memcpy(lua_getextraspace(c->L), &(struct script *){ &c->script }, sizeof(struct script *));
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
