/* attributes.c - reads the attributes of inserted rows. */
#include <math.h>
#include <string.h>

#include "src/config/data/data.h"
#include "src/config/workload/internal.h"

/* 1. Values */

struct field_table lua_field_open(const struct fields *f, const char *name)
{
    const struct fields sub = { f->L, lua_gettop(f->L), f->what, f->call, f->depth + 1 };

    luaL_checkstack(f->L, 20, "tables too deep");
    return (struct field_table){ f, sub, name };
}

void lua_field_wrong(const struct field_table *t, enum attribute_type type)
{
    static const char *const expected[] = { "a whole number", "a number", "a text" };

    fields_fail(t->f, t->name, "\"%s\" has %s; expected %s, not %s", t->name,
                op_field_type_name(type), expected[type], script_shown(t->f->L, -1));
}

/* Whether the value on top is one of the type. */
static bool is_of(lua_State *L, enum attribute_type type)
{
    const int lua = lua_type(L, -1);
    int whole = 0;

    if (type == FIELD_TEXT)
        return lua == LUA_TSTRING;
    if (lua == LUA_TNUMBER)
        (void)lua_tointegerx(L, -1, &whole);
    return lua == LUA_TNUMBER && (type == FIELD_REAL ? !isnan(lua_tonumber(L, -1)) : whole);
}

int64_t lua_field_number(const struct field_table *t, enum attribute_type type)
{
    lua_State *L = t->f->L;
    const int64_t number = !is_of(L, type)      ? INDEX_ATTRIBUTE_NONE
                           : type == FIELD_REAL ? index_attribute_of_real(lua_tonumber(L, -1))
                                                : (int64_t)lua_tointeger(L, -1);

    if (number == INDEX_ATTRIBUTE_NONE)
        lua_field_wrong(t, type);
    return number;
}

/* A type for the value on top; raises if no field can hold it. */
static enum attribute_type type_at(const struct field_table *t)
{
    lua_State *L = t->f->L;

    if (lua_type(L, -1) == LUA_TSTRING && script_is_plain(lua_tostring(L, -1)) &&
        strlen(lua_tostring(L, -1)) == lua_rawlen(L, -1))
        return FIELD_TEXT;
    if (lua_type(L, -1) != LUA_TNUMBER || !isfinite(lua_tonumber(L, -1)))
        fields_fail(t->f, t->name,
                    "\"%s\": a value is a finite number, a text without control characters, or "
                    "false for none, not %s",
                    t->name, script_shown(L, -1));
    return is_of(L, FIELD_INTEGER) ? FIELD_INTEGER : FIELD_REAL;
}

/* 2. w:insert { attributes = ... } */

/* The type of a list's values: the field's, if it has one and holds integers as reals. */
static enum attribute_type type_of_list(const struct field_table *t, int list, size_t n)
{
    lua_State *L = t->f->L;
    const struct attribute_field *known = op_list_field(recorder_list(lua_recorder(L)), t->name);
    enum attribute_type type = known ? known->type : FIELD_INTEGER;
    bool any = known;

    for (size_t i = 0; i < n; i++) {
        if (lua_rawgeti(L, list, (lua_Integer)i + 1) != LUA_TBOOLEAN || lua_toboolean(L, -1)) {
            const enum attribute_type here = type_at(t);

            if (any && (here == FIELD_TEXT) != (type == FIELD_TEXT))
                lua_field_wrong(t, type);
            type = any && here < type ? type : here;
            any = true;
        }
        lua_pop(L, 1);
    }
    return type;
}

/* Position of the text on top among the words; the table at `seen` has those so far. */
static int64_t word_at(const struct field_table *t, int seen, struct attribute_spec *spec,
                       const char **words)
{
    lua_State *L = t->f->L;

    lua_pushvalue(L, -1);
    if (lua_rawget(L, seen) == LUA_TNIL) {
        lua_pop(L, 1);
        lua_pushvalue(L, -1);
        lua_pushinteger(L, (lua_Integer)spec->n_words);
        lua_rawset(L, seen);
        words[spec->n_words++] = lua_tostring(L, -1);
        return (int64_t)spec->n_words - 1;
    }
    const int64_t at = lua_tointeger(L, -1);
    lua_pop(L, 1);
    return at;
}

/* Reads the list on top into the spec; it and the arrays stay on the stack. */
static void read_values(const struct field_table *t, struct attribute_spec *spec)
{
    lua_State *L = t->f->L;
    const int list = lua_gettop(L);
    const size_t n = (size_t)lua_rawlen(L, list);

    spec->type = type_of_list(t, list, n);
    int64_t *values = lua_newuserdatauv(L, (n + 1) * sizeof *values, 0);
    const char **words = lua_newuserdatauv(L, (n + 1) * sizeof *words, 0);
    lua_newtable(L);
    const int seen = lua_gettop(L);
    for (size_t i = 0; i < n; i++) {
        lua_rawgeti(L, list, (lua_Integer)i + 1);
        values[i] = lua_isboolean(L, -1)       ? INDEX_ATTRIBUTE_NONE
                    : spec->type == FIELD_TEXT ? word_at(t, seen, spec, words)
                                               : lua_field_number(t, spec->type);
        lua_pop(L, 1);
    }
    spec->values = values;
    spec->n_values = n;
    spec->words = words;
}

/* Reads names = { ... }, one for each class. */
static void read_names(const struct field_table *t, struct attribute_spec *spec)
{
    lua_State *L = t->f->L;
    struct attribute_spec names = { 0 };

    if (fields_push(&t->sub, "names") == LUA_TNIL)
        return;
    if (lua_istable(L, -1))
        read_values(t, &names);
    if (names.type != FIELD_TEXT || names.n_words != spec->classes ||
        names.n_values != spec->classes)
        fields_fail(t->f, t->name, "\"%s\": names must be a list of %zu different texts", t->name,
                    spec->classes);
    spec->type = FIELD_TEXT;
    spec->words = names.words;
    spec->n_words = names.n_words;
}

/* Reads uniform = { low, high }. */
static void read_uniform(const struct field_table *t, struct attribute_spec *spec)
{
    lua_State *L = t->f->L;
    double *bounds = lua_newuserdatauv(L, 2 * sizeof *bounds, 0);

    if (fields_push(&t->sub, "uniform") != LUA_TTABLE || lua_rawlen(L, -1) != 2)
        fields_fail(t->f, t->name, "\"%s\": uniform must be { low, high }, not %s", t->name,
                    script_shown(L, -1));
    for (int i = 0; i < 2; i++) {
        lua_rawgeti(L, -1, i + 1);
        (void)type_at(t);
        bounds[i] = index_attribute_to_real(lua_field_number(t, FIELD_REAL));
        lua_pop(L, 1);
    }
    if (!(bounds[0] <= bounds[1]) || !isfinite(bounds[1] - bounds[0]))
        fields_fail(t->f, t->name, "\"%s\": uniform = { %g, %g } is not a range", t->name,
                    bounds[0], bounds[1]);
    spec->type = FIELD_REAL;
    spec->uniform = bounds;
}

/* Reads part = "NAME", a part of the rows' data set with one number per row. */
static void read_part(const struct field_table *t, struct attribute_spec *spec)
{
    lua_State *L = t->f->L;
    lua_rawgeti(L, t->f->at, 1);
    const struct lua_view *rows = lua_view_at(L, -1);
    const struct attribute_field *known = op_list_field(recorder_list(lua_recorder(L)), t->name);

    if (!rows->set || rows->view->is_query)
        fields_fail(t->f, t->name,
                    "\"%s\": only rows of one data set have parts; insert those of others apart",
                    t->name);
    const size_t n = rows->view->n;
    int64_t *values = lua_newuserdatauv(L, (n + 1) * sizeof *values, 0);
    const bool whole = lua_data_numbers(L, rows, fields_text(&t->sub, "part", NULL), values);

    spec->type = whole && !(known && known->type == FIELD_REAL) ? FIELD_INTEGER : FIELD_REAL;
    for (size_t i = 0; whole && spec->type == FIELD_REAL && i < n; i++)
        values[i] = index_attribute_of_real((double)values[i]);
    spec->values = values;
    spec->n_values = n;
}

/* Reads the table on top; what it refers to stays on the stack. */
static void read_field(const struct fields *f, const char *name, struct attribute_spec *spec)
{
    lua_State *L = f->L;

    if (lua_type(L, -1) != LUA_TTABLE)
        fields_fail(f, name,
                    "\"%s\" must be { classes = n, skew = s }, { uniform = { low, high } }, "
                    "{ values = { ... } } or { part = \"NAME\" }, not %s",
                    name, script_shown(L, -1));
    const struct field_table t = lua_field_open(f, name);
    fields_only(&t.sub, CALL_ATTRIBUTE, 0);
    const bool classes = fields_has(&t.sub, "classes"), values = fields_has(&t.sub, "values"),
               uniform = fields_has(&t.sub, "uniform"), part = fields_has(&t.sub, "part");
    if (classes + values + uniform + part != 1 ||
        ((fields_has(&t.sub, "skew") || fields_has(&t.sub, "names")) && !classes))
        fields_fail(f, name,
                    "\"%s\" has either classes, with skew and names or without, or one of values, "
                    "uniform and part",
                    name);
    *spec = (struct attribute_spec){
        .name = name,
        .classes = (size_t)fields_count(&t.sub, "classes", 0, 1, UINT32_MAX - 1),
        .skew = fields_real(&t.sub, "skew", 0, 0, 20),
        .missing = fields_real(&t.sub, "missing", 0, 0, 1),
    };
    if (classes)
        read_names(&t, spec);
    else if (uniform)
        read_uniform(&t, spec);
    else if (part)
        read_part(&t, spec);
    else if (fields_push(&t.sub, "values") == LUA_TTABLE)
        read_values(&t, spec);
    else
        fields_fail(f, name, "\"%s\": values must be a list, not %s", name, script_shown(L, -1));
}

const struct attribute_spec *lua_step_attributes(const struct fields *f, size_t *n)
{
    lua_State *L = f->L;
    struct attribute_spec *specs = lua_newuserdatauv(L, INDEX_ATTRIBUTES_MAX * sizeof *specs, 0);
    const char **names = NULL;

    *n = 0;
    if (fields_has(f, "attribute") && fields_has(f, "attributes"))
        fields_fail(f, "attributes",
                    "attribute and attributes are both given; attribute = X is short for "
                    "attributes = { attribute = X }");
    if (fields_push(f, ONLY_FIELD) != LUA_TNIL) {
        read_field(f, ONLY_FIELD, specs);
        *n = 1;
        return specs;
    }
    if (!fields_has(f, "attributes"))
        return specs;
    const struct fields all = fields_table(f, "attributes", "{ NAME = { ... } }");
    names = fields_names(&all, n);
    if (*n > INDEX_ATTRIBUTES_MAX)
        fields_fail(f, "attributes", "%zu attributes are given; rows have at most %d", *n,
                    INDEX_ATTRIBUTES_MAX);
    for (size_t i = 0; i < *n; i++) {
        if (!script_is_plain(names[i]) || !*names[i])
            fields_fail(f, "attributes",
                        "the name of an attribute is a text without control characters");
        luaL_checkstack(L, 20, "attributes");
        (void)fields_push(&all, names[i]);
        read_field(f, names[i], &specs[i]);
    }
    return specs;
}
