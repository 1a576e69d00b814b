/* lua_workload.c - w: the operations a workload records, w.rng and w.live. Nothing runs here. */
#include <stdio.h>
#include <string.h>

#include "harness/lua_script.h"

#define WORKLOAD_NAME "driftline.workload"
#define RNG_NAME      "driftline.rng"

enum { TAG_BYTES_MAX = 60 };

struct recorder *lua_recorder(lua_State *L)
{
    const struct script *s = script_of(L);
    script_charge(L, 0);
    if (s->phase != PHASE_WORKLOAD)
        script_fail(L, ERR_CONFIG,
                    "the workload is recorded once, by workload = function(w) ... end; it is over");
    return s->recorder;
}

void lua_step_fail(const struct fields *f, const struct error *err)
{
    script_raise(f->L, f->call, f->what, err);
}

/* Opens the operation's table: the second argument, after w itself. */
struct fields lua_open_step(lua_State *L, const char *what, const char *const *keys,
                            size_t positions)
{
    (void)lua_recorder(L);
    if (!luaL_testudata(L, 1, WORKLOAD_NAME))
        script_fail(L, ERR_CONFIG, "%s is called with a colon: %s { ... }", what, what);
    if (lua_isnone(L, 2) && !positions)
        lua_newtable(L);
    const struct fields f = fields_open(L, 2, what);
    fields_only(&f, keys, positions);
    return f;
}

struct step_note lua_step_note(const struct fields *f)
{
    const char *tag = fields_text(f, "tag", NULL);
    const bool fine = !tag || (script_is_plain(tag) && *tag && strlen(tag) <= TAG_BYTES_MAX &&
                               !strpbrk(tag, "/#"));
    if (!fine)
        fields_fail(f, "tag", ERR_CONFIG,
                    "tag \"%.60s\" must be 1 to %d bytes of UTF-8 without / # and control "
                    "characters",
                    tag, TAG_BYTES_MAX);
    return (struct step_note){
        .tag = tag,
        .line = f->call.line,
        .batch = (size_t)fields_count(f, "batch", 0, 1, UINT32_MAX),
        .singles = (size_t)fields_count(f, "singles", 0, 0, UINT32_MAX),
        .allow_queries = fields_bool(f, "allow_queries", false),
    };
}

/* The view under `key`, or in the table's first place where key is NULL. */
static struct view *step_view(const struct fields *f, const char *key)
{
    lua_State *L = f->L;
    if (key)
        fields_push(f, key);
    else
        lua_rawgeti(L, f->at, 1);
    const struct lua_view *v = lua_view_at(L, -1);
    if (!v && key)
        fields_fail(f, key, ERR_CONFIG, "\"%s\" must be a view, as in mnist:rows(1, 1000), not %s",
                    key, value_shown(L, -1));
    if (!v)
        fields_fail(f, NULL, ERR_CONFIG,
                    "a view comes first, as in %s { mnist:rows(1, 1000) }, not %s", f->what,
                    value_shown(L, -1));
    lua_pop(L, 1);
    return v->view; /* the table keeps it alive */
}

/* A list of ids; the array is a userdata left on the stack. */
static const uint64_t *step_ids(const struct fields *f, const char *key, size_t *n)
{
    lua_State *L = f->L;
    if (fields_push(f, key) != LUA_TTABLE)
        fields_fail(f, key, ERR_CONFIG, "\"%s\" must be a list of ids, as in { 0, 5, 7 }, not %s",
                    key, value_shown(L, -1));
    const int list = lua_gettop(L);
    *n = (size_t)lua_rawlen(L, list);
    if (!*n)
        fields_fail(f, key, ERR_CONFIG, "\"%s\" is an empty list", key);
    uint64_t *ids = lua_newuserdatauv(L, *n * sizeof *ids, 0);
    for (size_t i = 0; i < *n; i++) {
        int whole = 0;
        lua_rawgeti(L, list, (lua_Integer)i + 1);
        const lua_Integer id = lua_type(L, -1) == LUA_TNUMBER ? lua_tointegerx(L, -1, &whole) : 0;
        if (!whole || id < 0)
            fields_fail(f, key, ERR_CONFIG, "\"%s\"[%zu] must be a whole number from 0, not %s",
                        key, i + 1, value_shown(L, -1));
        ids[i] = (uint64_t)id;
        lua_pop(L, 1);
    }
    return ids;
}

/* view | random = n | oldest = n | ids = { ... } */
static struct choice step_choice(const struct fields *f)
{
    lua_State *L = f->L;
    const bool view = lua_rawgeti(L, f->at, 1) != LUA_TNIL;
    lua_pop(L, 1);
    const int given =
        view + fields_has(f, "random") + fields_has(f, "oldest") + fields_has(f, "ids");
    if (given != 1)
        fields_fail(f, NULL, ERR_CONFIG,
                    "exactly one of a view, random = n, oldest = n and ids = { ... } says which "
                    "rows; %d are given",
                    given);
    struct choice c = { 0 };
    if (view)
        c.rows = step_view(f, NULL);
    else if (fields_has(f, "ids"))
        c.ids = step_ids(f, "ids", &c.n_ids);
    c.random = (size_t)fields_count(f, "random", 0, 1, UINT32_MAX);
    c.oldest = (size_t)fields_count(f, "oldest", 0, 1, UINT32_MAX);
    return c;
}

/* filter = { tag | fraction | ids }; false: none. */
static bool step_filter(const struct fields *f, struct allow *a)
{
    static const char *const keys[] = { "fraction", "ids", "tag", NULL };
    lua_State *L = f->L;
    const int type = fields_push(f, "filter");
    if (type == LUA_TNIL)
        return false;
    if (type != LUA_TTABLE)
        fields_fail(f, "filter", ERR_CONFIG,
                    "\"filter\" must be { tag = ... }, { fraction = ... } or { ids = ... }, "
                    "not %s",
                    value_shown(L, -1));
    const struct fields sub = { L, lua_gettop(L), f->what, f->call, f->depth + 1 };
    fields_only(&sub, keys, 0);
    if (fields_has(&sub, "fraction") + fields_has(&sub, "ids") + fields_has(&sub, "tag") != 1)
        fields_fail(f, "filter", ERR_CONFIG, "\"filter\" has exactly one of tag, fraction and ids");
    *a = (struct allow){ .tag = fields_text(&sub, "tag", NULL),
                         .fraction = fields_real(&sub, "fraction", 0, 1e-9, 1) };
    if (fields_has(&sub, "ids"))
        a->ids = step_ids(&sub, "ids", &a->n_ids);
    return true;
}

static int w_train(lua_State *L)
{
    static const char *const keys[] = { "allow_queries", "tag", NULL };
    const struct fields f = lua_open_step(L, "w:train", keys, 1);
    const struct step_note note = lua_step_note(&f);
    struct error err = { 0 };
    if (record_train(lua_recorder(L), &note, step_view(&f, NULL), &err))
        lua_step_fail(&f, &err);
    return 0;
}

static int w_insert(lua_State *L)
{
    static const char *const keys[] = { "allow_queries", "attribute", "batch",
                                        "singles",       "tag",       NULL };
    const struct fields f = lua_open_step(L, "w:insert", keys, 1);
    const struct step_note note = lua_step_note(&f);
    struct view *rows = step_view(&f, NULL);
    struct attribute_spec spec;
    const bool given = lua_step_attribute(&f, &spec);
    struct error err = { 0 };
    if (record_insert_with(lua_recorder(L), &note, rows, given ? &spec : NULL, &err))
        lua_step_fail(&f, &err);
    return 0;
}

static int w_delete(lua_State *L)
{
    static const char *const keys[] = {
        "batch", "ids", "oldest", "random", "singles", "tag", NULL
    };
    const struct fields f = lua_open_step(L, "w:delete", keys, 1);
    const struct step_note note = lua_step_note(&f);
    const struct choice choice = step_choice(&f);
    struct error err = { 0 };
    if (record_delete(lua_recorder(L), &note, &choice, &err))
        lua_step_fail(&f, &err);
    return 0;
}

static int w_update(lua_State *L)
{
    static const char *const keys[] = { "allow_queries", "batch", "ids",  "oldest", "random",
                                        "singles",       "tag",   "with", NULL };
    const struct fields f = lua_open_step(L, "w:update", keys, 1);
    const struct step_note note = lua_step_note(&f);
    const struct choice choice = step_choice(&f);
    struct view *with = step_view(&f, "with");
    struct error err = { 0 };
    if (record_update(lua_recorder(L), &note, &choice, with, &err))
        lua_step_fail(&f, &err);
    return 0;
}

static int w_search(lua_State *L)
{
    static const char *const keys[] = { "as_of",    "cold", "filter", "k",
                                        "repeated", "tag",  "where",  NULL };
    const struct fields f = lua_open_step(L, "w:search", keys, 1);
    struct step_note note = lua_step_note(&f);
    note.cold = fields_bool(&f, "cold", false);
    note.repeated = fields_bool(&f, "repeated", false);
    note.as_of = fields_text(&f, "as_of", NULL);
    const size_t k = (size_t)fields_count(&f, "k", script_of(L)->experiment->k, 1, 1 << 20);
    struct view *queries = step_view(&f, NULL);
    struct allow allow;
    bool filtered = step_filter(&f, &allow);
    if (filtered && fields_has(&f, "where"))
        fields_fail(&f, "where", ERR_CONFIG, "filter and where at once: one of them");
    filtered |= lua_step_where(&f, &allow);
    struct error err = { 0 };
    if (record_search(lua_recorder(L), &note, queries, k, filtered ? &allow : NULL, &err))
        lua_step_fail(&f, &err);
    return 0;
}

static int w_range(lua_State *L)
{
    static const char *const keys[] = { "filter", "planted", "radius", "repeated", "tag", NULL };
    const struct fields f = lua_open_step(L, "w:range", keys, 1);
    struct step_note note = lua_step_note(&f);
    note.repeated = fields_bool(&f, "repeated", false);
    note.planted = (size_t)fields_count(&f, "planted", 0, 1, UINT32_MAX);
    if (!fields_has(&f, "radius"))
        fields_fail(&f, NULL, ERR_CONFIG, "radius = ... is missing");
    const double radius = fields_real(&f, "radius", 0, -1e30, 1e30);
    struct view *queries = step_view(&f, NULL);
    struct allow allow;
    const bool filtered = step_filter(&f, &allow);
    struct error err = { 0 };
    if (record_range(lua_recorder(L), &note, queries, radius, filtered ? &allow : NULL, &err))
        lua_step_fail(&f, &err);
    return 0;
}

static int w_maintain(lua_State *L)
{
    static const char *const keys[] = { "budget", "tag", NULL };
    const struct fields f = lua_open_step(L, "w:maintain", keys, 0);
    const struct step_note note = lua_step_note(&f);
    struct error err = { 0 };
    if (record_maintain(lua_recorder(L), &note, fields_count(&f, "budget", 0, 0, INT64_MAX), &err))
        lua_step_fail(&f, &err);
    return 0;
}

static int mark(lua_State *L, const char *what, enum op_kind kind)
{
    static const char *const keys[] = { "tag", NULL };
    const struct fields f = lua_open_step(L, what, keys, 0);
    const struct step_note note = lua_step_note(&f);
    struct error err = { 0 };
    if (record_mark(lua_recorder(L), &note, kind, &err))
        lua_step_fail(&f, &err);
    return 0;
}

static int w_save(lua_State *L)
{
    return mark(L, "w:save", OP_SAVE);
}

static int w_reload(lua_State *L)
{
    return mark(L, "w:reload", OP_RELOAD);
}

static int w_recover(lua_State *L)
{
    return mark(L, "w:recover", OP_RECOVER);
}

static int w_checkpoint(lua_State *L)
{
    if (lua_type(L, 2) != LUA_TSTRING)
        script_fail(L, ERR_CONFIG, "w:checkpoint: a name, as in w:checkpoint \"day 1\", not %s",
                    value_shown(L, 2));
    lua_settop(L, 2);
    lua_createtable(L, 0, 1);
    lua_insert(L, 2);
    lua_setfield(L, 2, "tag");
    return mark(L, "w:checkpoint", OP_CHECKPOINT);
}

/* removes = "oldest" | "random" | view | { ids }: one for each row written. */
static struct choice step_removes(const struct fields *f, size_t n)
{
    lua_State *L = f->L;
    struct choice c = { 0 };
    const int type = fields_push(f, "removes");
    const char *how = type == LUA_TSTRING ? lua_tostring(L, -1) : "";
    if (strcmp(how, "oldest") == 0)
        c.oldest = n;
    else if (strcmp(how, "random") == 0)
        c.random = n;
    else if (type == LUA_TTABLE)
        c.ids = step_ids(f, "removes", &c.n_ids);
    else if (lua_view_at(L, -1))
        c.rows = step_view(f, "removes");
    else
        fields_fail(f, "removes", ERR_CONFIG,
                    "\"removes\" must be \"oldest\", \"random\", a view or a list of ids, not %s",
                    value_shown(L, -1));
    return c;
}

static int w_concurrent(lua_State *L)
{
    static const char *const keys[] = { "k",       "rate", "readers", "removes", "repeated",
                                        "seconds", "tag",  "writers", "writes",  NULL };
    const struct fields f = lua_open_step(L, "w:concurrent", keys, 1);
    struct step_note note = lua_step_note(&f);
    note.repeated = fields_bool(&f, "repeated", false);
    const bool writes = fields_has(&f, "writes");
    struct view *rows = writes ? step_view(&f, "writes") : NULL;
    const bool replaces = fields_has(&f, "removes");
    const struct choice removes =
        replaces ? step_removes(&f, rows ? rows->n : 0) : (struct choice){ 0 };
    const struct concurrent_request request = {
        .queries = step_view(&f, NULL),
        .writes = rows,
        .removes = replaces ? &removes : NULL,
        .writers = (size_t)fields_count(&f, "writers", writes, 0, 256),
        .readers = (size_t)fields_count(&f, "readers", 1, 0, 256),
        .k = (size_t)fields_count(&f, "k", script_of(L)->experiment->k, 1, 1 << 20),
        .seconds = fields_real(&f, "seconds", 5, 0, 86400),
        .rate = fields_real(&f, "rate", 0, 0, 1e9),
    };
    if (writes != (request.writers > 0))
        fields_fail(&f, "writers", ERR_CONFIG, "%zu writers%s", request.writers,
                    writes ? ", but there are rows to write"
                           : ", but no rows to write: writes = view is missing");
    if (request.seconds == 0 && !writes)
        fields_fail(&f, "seconds", ERR_CONFIG,
                    "seconds = 0 is until the writers are done, and there are none");
    if (replaces && !writes)
        fields_fail(&f, "removes", ERR_CONFIG,
                    "removes: one row for each that is written, and writes = view is missing");
    if (request.writers + request.readers == 0)
        fields_fail(&f, NULL, ERR_CONFIG, "neither readers nor writers");
    struct error err = { 0 };
    if (record_concurrent(lua_recorder(L), &note, &request, &err))
        lua_step_fail(&f, &err);
    return 0;
}

static int w_runbook(lua_State *L)
{
    (void)lua_recorder(L);
    lua_runbook(L);
    return 0;
}

/* w.rng */

static struct rng *check_rng(lua_State *L)
{
    if (!luaL_testudata(L, 1, RNG_NAME))
        script_fail(L, ERR_CONFIG,
                    "the functions of w.rng are called with a colon: w.rng:int(1, 10)");
    return &script_of(L)->rng;
}

static int rng_int(lua_State *L)
{
    struct rng *rng = check_rng(L);
    int whole_low = 0, whole_high = 0;
    const lua_Integer low = lua_tointegerx(L, 2, &whole_low),
                      high = lua_tointegerx(L, 3, &whole_high);
    if (!whole_low || !whole_high || low > high)
        script_fail(L, ERR_CONFIG, "w.rng:int(a, b) takes two whole numbers, a <= b, not %s and %s",
                    value_shown(L, 2), value_shown(L, 3));
    const uint64_t span = (uint64_t)high - (uint64_t)low;
    const uint64_t drawn = span == UINT64_MAX ? rng_u64(rng) : rng_below(rng, span + 1);
    lua_pushinteger(L, (lua_Integer)((uint64_t)low + drawn));
    return 1;
}

static int rng_real(lua_State *L)
{
    lua_pushnumber(L, rng_unit(check_rng(L)));
    return 1;
}

static int rng_shuffle(lua_State *L)
{
    struct rng *rng = check_rng(L);
    if (!lua_istable(L, 2))
        script_fail(L, ERR_CONFIG, "w.rng:shuffle(list) takes a list, not %s", value_shown(L, 2));
    for (lua_Integer i = (lua_Integer)lua_rawlen(L, 2); i > 1; i--) {
        const lua_Integer j = (lua_Integer)rng_below(rng, (uint64_t)i) + 1;
        lua_rawgeti(L, 2, i);
        lua_rawgeti(L, 2, j);
        lua_rawseti(L, 2, i);
        lua_rawseti(L, 2, j);
    }
    lua_settop(L, 2);
    return 1;
}

/* Both objects: a key is a function of the list, or w.rng, w.live. */
static int find_function(lua_State *L, const luaL_Reg *functions, const char *owner)
{
    const char *names[32];
    size_t n = 0;
    const char *key = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : "";
    for (const luaL_Reg *f = functions; f->name; f++) {
        if (strcmp(f->name, key) == 0) {
            lua_pushcfunction(L, f->func);
            return 1;
        }
        names[n++] = f->name;
    }
    script_fail(L, ERR_CONFIG, "%s has no operation %s%s", owner, value_shown(L, 2),
                script_hint(L, key, names, n));
}

static int rng_index(lua_State *L)
{
    static const luaL_Reg functions[] = {
        { "int", rng_int }, { "real", rng_real }, { "shuffle", rng_shuffle }, { NULL, NULL }
    };
    return find_function(L, functions, "w.rng");
}

static int w_index(lua_State *L)
{
    static const luaL_Reg functions[] = {
        { "begin", lua_w_begin },
        { "commit", lua_w_commit },
        { "release", lua_w_release },
        { "rollback", lua_w_rollback },
        { "snapshot", lua_w_snapshot },
        { "checkpoint", w_checkpoint },
        { "concurrent", w_concurrent },
        { "delete", w_delete },
        { "insert", w_insert },
        { "maintain", w_maintain },
        { "range", w_range },
        { "recover", w_recover },
        { "reload", w_reload },
        { "runbook", w_runbook },
        { "save", w_save },
        { "search", w_search },
        { "train", w_train },
        { "update", w_update },
        { NULL, NULL },
    };
    const char *key = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : "";
    if (strcmp(key, "live") == 0) {
        lua_pushinteger(L, (lua_Integer)recorder_live(lua_recorder(L)));
        return 1;
    }
    if (strcmp(key, "rng") == 0) {
        lua_newuserdatauv(L, 1, 0);
        luaL_setmetatable(L, RNG_NAME);
        return 1;
    }
    return find_function(L, functions, "w");
}

void lua_workload_push(lua_State *L)
{
    lua_newuserdatauv(L, 1, 0);
    luaL_setmetatable(L, WORKLOAD_NAME);
}

static void register_object(lua_State *L, const char *name, const char *shown, lua_CFunction index)
{
    luaL_newmetatable(L, name);
    lua_pushcfunction(L, index);
    lua_setfield(L, -2, "__index");
    lua_pushstring(L, shown);
    lua_setfield(L, -2, "__metatable");
    lua_pop(L, 1);
}

void lua_workload_register(struct script *s)
{
    register_object(s->L, WORKLOAD_NAME, "workload", w_index);
    register_object(s->L, RNG_NAME, "rng", rng_index);
}
