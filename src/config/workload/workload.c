/* workload.c - the object w: records operations without running them; w.rng and w.live. */
#include <stdio.h>
#include <string.h>

#include "src/config/data/data.h"
#include "src/config/workload/internal.h"
#include "src/config/workload/workload.h"

#define RNG_NAME "driftline.generator"

static int lua_w_train(lua_State *L)
{
    const struct fields f = lua_open_step(L, CALL_W_TRAIN, 1);
    struct op_options o = lua_step_options(&f);
    o.rows = lua_step_view(&f, NULL);
    return lua_step_record(&f, OP_TRAIN, &o);
}

static int lua_w_insert(lua_State *L)
{
    const struct fields f = lua_open_step(L, CALL_W_INSERT, 1);
    struct op_options o = lua_step_options(&f);
    uint64_t first, last;
    o.rows = fields_has(&f, "stream") ? lua_step_stream(&f, &o) : lua_step_view(&f, NULL);
    o.specs = lua_step_attributes(&f, &o.n_specs);
    (void)lua_step_record(&f, OP_INSERT, &o);
    if (!recorder_inserted(lua_recorder(L), &first, &last))
        return 0;
    lua_pushinteger(L, (lua_Integer)first);
    lua_pushinteger(L, (lua_Integer)last);
    return 2;
}

static int lua_w_delete(lua_State *L)
{
    const struct fields f = lua_open_step(L, CALL_W_DELETE, 1);
    struct op_options o = lua_step_options(&f);
    o.which = lua_step_choice(&f);
    return lua_step_record(&f, OP_DELETE, &o);
}

static int lua_w_update(lua_State *L)
{
    const struct fields f = lua_open_step(L, CALL_W_UPDATE, 1);
    struct op_options o = lua_step_options(&f);
    o.which = lua_step_choice(&f);
    o.rows = lua_step_view(&f, "with");
    return lua_step_record(&f, OP_UPDATE, &o);
}

static int lua_w_search(lua_State *L)
{
    const struct fields f = lua_open_step(L, CALL_W_SEARCH, 1);
    struct op_options o = lua_step_options(&f);
    o.k = (size_t)fields_count(&f, "k", script_of(L)->experiment->k, 1, 1 << 20);
    o.rows = lua_step_view(&f, NULL);
    o.filter = lua_step_filter(&f);
    if (fields_has(&f, "filter") && fields_has(&f, "where"))
        fields_fail(&f, "where", "filter and where are both given; use one of them");
    lua_step_where(&f, &o);
    return lua_step_record(&f, OP_SEARCH, &o);
}

static int lua_w_range(lua_State *L)
{
    const struct fields f = lua_open_step(L, CALL_W_RANGE, 1);
    struct op_options o = lua_step_options(&f);
    if (!fields_has(&f, "radius"))
        fields_fail(&f, NULL, "radius = ... is missing");
    o.radius = fields_real(&f, "radius", 0, -1e30, 1e30);
    o.rows = lua_step_view(&f, NULL);
    o.filter = lua_step_filter(&f);
    return lua_step_record(&f, OP_RANGE, &o);
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

static int lua_w_cluster(lua_State *L)
{
    const struct fields f = lua_open_step(L, CALL_W_CLUSTER, 0);
    struct op_options o = lua_step_options(&f);
    o.level = (size_t)fields_count(&f, "level", 0, 0, UINT32_MAX);
    o.target = (size_t)fields_count(&f, "target_k", 0, 1, UINT32_MAX);
    o.rows = fields_has(&f, "queries") ? lua_step_view(&f, "queries") : NULL;
    if (fields_has(&f, "level") && o.target)
        fields_fail(&f, "level", "level and target_k are both given; use one of them");
    o.classes = read_labels(&f);
    return lua_step_record(&f, OP_CLUSTER, &o);
}

/* An operation that its options give; the upvalue is its call. */
static int record_given(lua_State *L)
{
    const enum lua_call call = (enum lua_call)lua_tointeger(L, lua_upvalueindex(1));
    const enum op_kind kind = op_named(lua_call_member(call));
    const struct fields f = lua_open_step(L, call, 0);
    struct op_options o = lua_step_options(&f);
    if ((kind == OP_SNAPSHOT || kind == OP_RELEASE) && !(o.name && *o.name))
        fields_fail(&f, NULL, "name = \"...\" is missing");
    if (kind == OP_INSPECT)
        o.with_ids = fields_bool(&f, "ids", false);
    return lua_step_record(&f, kind, &o);
}

static int lua_w_checkpoint(lua_State *L)
{
    if (lua_type(L, 2) != LUA_TSTRING)
        script_fail(L, ERR_CONFIG, "w:checkpoint: a name, as in w:checkpoint \"day 1\", not %s",
                    script_shown(L, 2));
    lua_settop(L, 2);
    lua_createtable(L, 0, 1);
    lua_insert(L, 2);
    lua_setfield(L, 2, "tag");
    return record_given(L);
}

static int lua_w_concurrent(lua_State *L)
{
    const struct fields f = lua_open_step(L, CALL_W_CONCURRENT, 1);
    struct op_options o = lua_step_options(&f);
    const bool writes = fields_has(&f, "writes"), replaces = fields_has(&f, "removes");
    o.rows = lua_step_view(&f, NULL);
    o.writes = writes ? lua_step_view(&f, "writes") : NULL;
    o.writers = (size_t)fields_count(&f, "writers", writes, 0, 256);
    o.readers = (size_t)fields_count(&f, "readers", 1, 0, 256);
    o.k = (size_t)fields_count(&f, "k", script_of(L)->experiment->k, 1, 1 << 20);
    o.seconds = fields_real(&f, "seconds", 5, 0, 86400);
    if (replaces)
        o.which = lua_step_removes(&f, writes ? o.writes->n : 0);
    if (o.alone && (o.seconds == 0 || o.readers == 0 || !writes))
        fields_fail(&f, "alone",
                    "searches that run alone first, and then beside changes, need readers, writes "
                    "and seconds = s");
    if (writes != (o.writers > 0))
        fields_fail(&f, "writers", "%zu writers%s", o.writers,
                    writes ? ", but there are rows to write"
                           : ", but no rows to write: writes = view is missing");
    if (o.seconds == 0 && !writes)
        fields_fail(&f, "seconds",
                    "seconds = 0 lasts until the writers are done, but there are no writers");
    if (replaces && !writes)
        fields_fail(
            &f, "removes",
            "\"removes\" removes one row for each that is written, but writes = view is missing");
    if (o.writers + o.readers == 0)
        fields_fail(&f, NULL, "there are neither readers nor writers; set one of the two");
    return lua_step_record(&f, OP_CONCURRENT, &o);
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

struct member {
    enum lua_call call;
    lua_CFunction func; /* NULL ends */
};

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

static void register_object(lua_State *L, const char *name, const char *shown, lua_CFunction index,
                            const struct member *functions)
{
    luaL_newmetatable(L, name);
    lua_newtable(L);
    for (; functions->func; functions++) {
        lua_pushinteger(L, functions->call);
        lua_pushcclosure(L, functions->func, 1);
        lua_setfield(L, -2, lua_call_member(functions->call));
    }
    lua_pushcclosure(L, index, 1);
    lua_setfield(L, -2, "__index");
    lua_pushstring(L, shown);
    lua_setfield(L, -2, "__metatable");
    lua_pop(L, 1);
}

void lua_workload_register(struct script *s)
{
    static const struct member of_rng[] = { { CALL_W_RNG_INT, rng_int },
                                            { CALL_W_RNG_REAL, rng_real },
                                            { CALL_W_RNG_SHUFFLE, rng_shuffle },
                                            { LUA_CALLS, NULL } };
    static const struct member of_w[] = {
        { CALL_W_TRAIN, lua_w_train },
        { CALL_W_INSERT, lua_w_insert },
        { CALL_W_DELETE, lua_w_delete },
        { CALL_W_UPDATE, lua_w_update },
        { CALL_W_SEARCH, lua_w_search },
        { CALL_W_RANGE, lua_w_range },
        { CALL_W_SET, lua_w_set },
        { CALL_W_CLUSTER, lua_w_cluster },
        { CALL_W_MAINTAIN, record_given },
        { CALL_W_SAVE, record_given },
        { CALL_W_RELOAD, record_given },
        { CALL_W_CONCURRENT, lua_w_concurrent },
        { CALL_W_MIX, lua_w_mix },
        { CALL_W_INSPECT, record_given },
        { CALL_W_CHECKPOINT, lua_w_checkpoint },
        { CALL_W_RECOVER, record_given },
        { CALL_W_BEGIN, record_given },
        { CALL_W_COMMIT, record_given },
        { CALL_W_ROLLBACK, record_given },
        { CALL_W_SNAPSHOT, record_given },
        { CALL_W_RELEASE, record_given },
        { CALL_W_RUNBOOK, lua_w_runbook },
        { LUA_CALLS, NULL },
    };
    _Static_assert(sizeof of_w / sizeof *of_w == OP_KINDS + 2, "one for each operation");
    register_object(s->L, WORKLOAD_NAME, "workload", w_index, of_w);
    register_object(s->L, RNG_NAME, "rng", rng_index, of_rng);
}
