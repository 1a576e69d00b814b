/* lua_versions.c - the workload's transactions and snapshots, and attributes of rows. */
#include "harness/lua_script.h"

static int end_step(const struct fields *f, int rc, const struct error *err)
{
    if (rc)
        lua_step_fail(f, err);
    return 0;
}

typedef int record_call(struct recorder *, const struct step_note *, struct error *);
typedef int record_named(struct recorder *, const struct step_note *, const char *name,
                         struct error *);

static int plain(lua_State *L, const char *what, record_call *record)
{
    static const char *const keys[] = { "tag", NULL };
    const struct fields f = lua_open_step(L, what, keys, 0);
    const struct step_note note = lua_step_note(&f);
    struct error err = { 0 };
    return end_step(&f, record(lua_recorder(L), &note, &err), &err);
}

static int named(lua_State *L, const char *what, record_named *record)
{
    static const char *const keys[] = { "name", "tag", NULL };
    const struct fields f = lua_open_step(L, what, keys, 0);
    const struct step_note note = lua_step_note(&f);
    const char *name = fields_text(&f, "name", NULL);
    struct error err = { 0 };
    if (!name || !*name)
        fields_fail(&f, NULL, ERR_CONFIG, "name = \"...\" is missing");
    return end_step(&f, record(lua_recorder(L), &note, name, &err), &err);
}

int lua_w_begin(lua_State *L)
{
    return plain(L, "w:begin", record_begin);
}

int lua_w_commit(lua_State *L)
{
    return plain(L, "w:commit", record_commit);
}

int lua_w_rollback(lua_State *L)
{
    return plain(L, "w:rollback", record_rollback);
}

int lua_w_snapshot(lua_State *L)
{
    return named(L, "w:snapshot", record_snapshot);
}

int lua_w_release(lua_State *L)
{
    return named(L, "w:release", record_release);
}

/* A number below ATTRIBUTE_NONE on the top of the stack, which is taken off. */
static uint32_t take_attribute(const struct fields *f, const char *key)
{
    lua_State *L = f->L;
    int whole = 0;
    const lua_Integer value = lua_type(L, -1) == LUA_TNUMBER ? lua_tointegerx(L, -1, &whole) : 0;
    if (!whole || value < 0 || value >= (lua_Integer)ATTRIBUTE_NONE)
        fields_fail(f, key, ERR_CONFIG, "\"%s\": an attribute is a whole number 0 .. %u, not %s",
                    key, ATTRIBUTE_NONE - 1, value_shown(L, -1));
    lua_pop(L, 1);
    return (uint32_t)value;
}

/* The list under "values"; the array is a userdata left on the stack. */
static const uint32_t *values_of(const struct fields *f, size_t *n)
{
    lua_State *L = f->L;
    if (fields_push(f, "values") != LUA_TTABLE)
        fields_fail(f, "values", ERR_CONFIG, "\"values\" must be a list of numbers, not %s",
                    value_shown(L, -1));
    const int list = lua_gettop(L);
    *n = (size_t)lua_rawlen(L, list);
    uint32_t *values = lua_newuserdatauv(L, (*n + 1) * sizeof *values, 0);
    for (size_t i = 0; i < *n; i++) {
        lua_rawgeti(L, list, (lua_Integer)i + 1);
        values[i] = take_attribute(f, "values");
    }
    return values;
}

bool lua_step_attribute(const struct fields *f, struct attribute_spec *spec)
{
    static const char *const keys[] = { "classes", "skew", "values", NULL };
    lua_State *L = f->L;
    const int type = fields_push(f, "attribute");
    if (type == LUA_TNIL)
        return false;
    if (type != LUA_TTABLE)
        fields_fail(f, "attribute", ERR_CONFIG,
                    "\"attribute\" must be { classes = n, skew = s } or { values = { ... } }, "
                    "not %s",
                    value_shown(L, -1));
    const struct fields sub = { L, lua_gettop(L), f->what, f->call, f->depth + 1 };
    fields_only(&sub, keys, 0);
    if (fields_has(&sub, "classes") == fields_has(&sub, "values") ||
        (fields_has(&sub, "skew") && !fields_has(&sub, "classes")))
        fields_fail(f, "attribute", ERR_CONFIG,
                    "\"attribute\" has either classes, with skew or without, or values");
    *spec = (struct attribute_spec){ .classes = (size_t)fields_count(&sub, "classes", 0, 1,
                                                                     ATTRIBUTE_NONE - 1),
                                     .skew = fields_real(&sub, "skew", 0, 0, 20) };
    if (!spec->classes)
        spec->values = values_of(&sub, &spec->n_values);
    return true;
}

bool lua_step_where(const struct fields *f, struct allow *allow)
{
    lua_State *L = f->L;
    const int type = fields_push(f, "where");
    if (type == LUA_TNIL)
        return false;
    if (type != LUA_TTABLE || lua_rawlen(L, -1) != 2)
        fields_fail(f, "where", ERR_CONFIG, "\"where\" must be { low, high }, not %s",
                    value_shown(L, -1));
    *allow = (struct allow){ .where = true };
    lua_rawgeti(L, -1, 1);
    allow->low = take_attribute(f, "where");
    lua_rawgeti(L, -1, 2);
    allow->high = take_attribute(f, "where");
    if (allow->low > allow->high)
        fields_fail(f, "where", ERR_CONFIG, "\"where\": %u is above %u", allow->low, allow->high);
    return true;
}
