/* workload.c - the object w: records operations without running them; w.rng and w.live.
 *
 * 1 options   2 operations   3 w.rng   4 the objects */
#include <stdio.h>
#include <string.h>

#include "src/config/data/data.h"
#include "src/config/workload/internal.h"
#include "src/config/workload/workload.h"

#define RNG_NAME "driftline.generator"

/* 1. The options that one operation has, beside those of lua_step_options() */

static void read_train(const struct fields *f, struct op_options *o)
{
    o->rows = lua_step_view(f, NULL);
}

static void read_insert(const struct fields *f, struct op_options *o)
{
    o->rows = fields_has(f, "stream") ? lua_step_stream(f, o) : lua_step_view(f, NULL);
    o->specs = lua_step_attributes(f, &o->n_specs);
}

static void read_delete(const struct fields *f, struct op_options *o)
{
    o->which = lua_step_choice(f);
}

static void read_update(const struct fields *f, struct op_options *o)
{
    o->which = lua_step_choice(f);
    o->rows = lua_step_view(f, "with");
}

static void read_search(const struct fields *f, struct op_options *o)
{
    o->rows = lua_step_view(f, NULL);
    if (fields_has(f, "filter") && fields_has(f, "where"))
        fields_fail(f, "where", "filter and where are both given; use one of them");
    lua_step_where(f, o);
}

static void read_range(const struct fields *f, struct op_options *o)
{
    if (!fields_has(f, "radius"))
        fields_fail(f, NULL, "radius = ... is missing");
    o->radius = fields_real(f, "radius", 0, -1e30, 1e30);
    o->rows = lua_step_view(f, NULL);
}

/* Reads labels = "PART" for each data set that has the part; part NULL: the key is not given. The list
   is a userdata that stays on the stack. */
static struct label_spec read_labels(const struct fields *f)
{
    lua_State *L = f->L;
    struct label_spec spec = { .part = fields_text(f, "labels", NULL) };
    const struct script *s = script_of(L);
    struct label_part *parts = lua_newuserdatauv(L, (s->n_sets + 1) * sizeof *parts, 0);
    for (struct data_set *set = s->sets; spec.part && set; set = set->next) {
        const struct source *labels = lua_data_find_part(L, set, spec.part);
        if (labels)
            parts[spec.n++] = (struct label_part){ set->base, labels };
    }
    spec.parts = parts;
    return spec;
}

static void read_cluster(const struct fields *f, struct op_options *o)
{
    o->rows = fields_has(f, "queries") ? lua_step_view(f, "queries") : NULL;
    if (fields_has(f, "level") && o->target)
        fields_fail(f, "level", "level and target_k are both given; use one of them");
    o->classes = read_labels(f);
}

static void read_concurrent(const struct fields *f, struct op_options *o)
{
    const bool writes = fields_has(f, "writes"), replaces = fields_has(f, "removes");
    o->rows = lua_step_view(f, NULL);
    o->writes = writes ? lua_step_view(f, "writes") : NULL;
    o->writers = (size_t)fields_count(f, "writers", writes, 0, 256);
    o->readers = (size_t)fields_count(f, "readers", 1, 0, 256);
    o->seconds = fields_real(f, "seconds", 5, 0, 86400);
    if (replaces)
        o->which = lua_step_removes(f, writes ? o->writes->n : 0);
    if (o->alone && (o->seconds == 0 || o->readers == 0 || !writes))
        fields_fail(f, "alone",
                    "searches that run alone first, and then beside changes, need readers, writes "
                    "and seconds = s");
    if (writes != (o->writers > 0))
        fields_fail(f, "writers", "%zu writers%s", o->writers,
                    writes ? ", but there are rows to write"
                           : ", but no rows to write: writes = view is missing");
    if (o->seconds == 0 && !writes)
        fields_fail(f, "seconds",
                    "seconds = 0 lasts until the writers are done, but there are no writers");
    if (replaces && !writes)
        fields_fail(
            f, "removes",
            "\"removes\" removes one row for each that is written, but writes = view is missing");
    if (o->writers + o->readers == 0)
        fields_fail(f, NULL, "there are neither readers nor writers; set one of the two");
}

static void read_inspect(const struct fields *f, struct op_options *o)
{
    o->with_ids = fields_bool(f, "ids", false);
}

static void check_name(const struct fields *f, struct op_options *o)
{
    if (!o->name || !*o->name)
        fields_fail(f, NULL, "name = \"...\" is missing");
}

/* 2. The operations */

static const struct step {
    enum lua_call call;
    size_t positions; /* of the call's table, without keys */
    void (*read)(const struct fields *, struct op_options *);
} steps[] = {
    { CALL_W_TRAIN, 1, read_train },
    { CALL_W_INSERT, 1, read_insert },
    { CALL_W_DELETE, 1, read_delete },
    { CALL_W_UPDATE, 1, read_update },
    { CALL_W_SEARCH, 1, read_search },
    { CALL_W_RANGE, 1, read_range },
    { CALL_W_CLUSTER, 0, read_cluster },
    { CALL_W_MAINTAIN, 0, NULL },
    { CALL_W_SAVE, 0, NULL },
    { CALL_W_RELOAD, 0, NULL },
    { CALL_W_CONCURRENT, 1, read_concurrent },
    { CALL_W_MIX, 1, lua_step_mix },
    { CALL_W_INSPECT, 0, read_inspect },
    { CALL_W_CHECKPOINT, 0, NULL },
    { CALL_W_RECOVER, 0, NULL },
    { CALL_W_BEGIN, 0, NULL },
    { CALL_W_COMMIT, 0, NULL },
    { CALL_W_ROLLBACK, 0, NULL },
    { CALL_W_SNAPSHOT, 0, check_name },
    { CALL_W_RELEASE, 0, check_name },
};
_Static_assert(sizeof steps / sizeof *steps == OP_KINDS - 1, "all operations but w:set");

/* Makes the name of w:checkpoint "NAME" the tag of a table. */
static void open_checkpoint(lua_State *L)
{
    if (lua_type(L, 2) != LUA_TSTRING)
        script_fail(L, ERR_CONFIG, "w:checkpoint: a name, as in w:checkpoint \"day 1\", not %s",
                    script_shown(L, 2));
    lua_settop(L, 2);
    lua_createtable(L, 0, 1);
    lua_insert(L, 2);
    lua_setfield(L, 2, "tag");
}

/* Records the operation of the upvalue, a struct step. An insert returns the ids of its rows. */
static int record_step(lua_State *L)
{
    const struct step *step = lua_touserdata(L, lua_upvalueindex(1));
    const enum op_kind kind = op_named(lua_call_member(step->call));
    uint64_t first, last;
    if (kind == OP_CHECKPOINT)
        open_checkpoint(L);
    const struct fields f = lua_open_step(L, step->call, step->positions);
    struct op_options o = lua_step_options(&f, step->call);
    if (step->read)
        step->read(&f, &o);
    if (record_operation(lua_recorder(L), kind, &o, script_error(L)))
        lua_step_fail(&f);
    if (kind != OP_INSERT || !recorder_inserted(lua_recorder(L), &first, &last))
        return 0;
    lua_pushinteger(L, (lua_Integer)first);
    lua_pushinteger(L, (lua_Integer)last);
    return 2;
}

/* 3. w.rng */

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
                    script_shown(L, 2), script_shown(L, 3));
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
        script_fail(L, ERR_CONFIG, "w.rng:shuffle(list) takes a list, not %s", script_shown(L, 2));
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

/* 4. The objects */

/* Pushes the function that `owner`, w or w.rng, has under the key; raises if there is none. The
   upvalue is the table of them. */
static int find_function(lua_State *L, const char *owner)
{
    const struct fields all = { .L = L, .at = lua_upvalueindex(1) };
    const char *key = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : "";
    size_t n;
    lua_pushvalue(L, 2);
    if (lua_rawget(L, all.at) == LUA_TFUNCTION)
        return 1;
    const char **names = fields_names(&all, &n);
    script_fail(L, ERR_CONFIG, "%s has no operation %s%s", owner, script_shown(L, 2),
                script_hint(L, key, names, n));
}

static int rng_index(lua_State *L)
{
    return find_function(L, "w.rng");
}

static int w_index(lua_State *L)
{
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
    return find_function(L, "w");
}

void lua_workload_push(lua_State *L)
{
    lua_newuserdatauv(L, 1, 0);
    luaL_setmetatable(L, WORKLOAD_NAME);
}

/* The function on top, of the table below it. */
static void set_function(lua_State *L, enum lua_call call)
{
    lua_setfield(L, -2, lua_call_member(call));
}

/* Makes the metatable of an object whose functions are in the table on top; pops it. */
static void register_object(lua_State *L, const char *name, const char *shown, lua_CFunction index)
{
    lua_pushcclosure(L, index, 1);
    luaL_newmetatable(L, name);
    lua_insert(L, -2);
    lua_setfield(L, -2, "__index");
    lua_pushstring(L, shown);
    lua_setfield(L, -2, "__metatable");
    lua_pop(L, 1);
}

void lua_workload_register(lua_State *L)
{
    lua_newtable(L);
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        lua_pushlightuserdata(L, (void *)(uintptr_t)&steps[i]);
        lua_pushcclosure(L, record_step, 1);
        set_function(L, steps[i].call);
    }
    lua_pushcfunction(L, lua_w_set);
    set_function(L, CALL_W_SET);
    lua_pushcfunction(L, lua_w_runbook);
    set_function(L, CALL_W_RUNBOOK);
    register_object(L, WORKLOAD_NAME, "workload", w_index);
    lua_newtable(L);
    lua_pushcfunction(L, rng_int);
    set_function(L, CALL_W_RNG_INT);
    lua_pushcfunction(L, rng_real);
    set_function(L, CALL_W_RNG_REAL);
    lua_pushcfunction(L, rng_shuffle);
    set_function(L, CALL_W_RNG_SHUFFLE);
    register_object(L, RNG_NAME, "rng", rng_index);
}
