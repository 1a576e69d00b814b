/* where.c - reads a search's conditions on attributes. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "src/config/workload/internal.h"
#include "src/core/order.h"

/* The conditions so far; both arrays are userdata that stay on the stack. */
struct conditions {
    struct attribute_condition *list;
    int64_t *values;
    size_t n, n_values;
    const struct op_list *ops;
};

/* Adds a condition on the n values that were appended after the last condition's. */
static void add_condition(struct conditions *c, size_t field, enum attribute_test test, size_t n)
{
    int64_t *values = c->values + c->n_values;
    size_t kept = 0;

    if (test != INDEX_ATTRIBUTE_RANGE && n > 0) {
        qsort(values, n, sizeof *values, order_i64);
        for (size_t i = 0; i < n; i++)
            if (i == 0 || values[i] != values[i - 1])
                values[kept++] = values[i];
        n = kept;
    }
    c->list[c->n++] = (struct attribute_condition){ (uint32_t)field, test, c->n_values, n };
    c->n_values += n;
}

/* The number of the value on top, which is a word of the field or a number. */
static int64_t value_at(const struct field_table *t, const struct attribute_field *field)
{
    lua_State *L = t->f->L;
    int64_t number;

    if (field->type != FIELD_TEXT)
        return lua_field_number(t, field->type);
    if (lua_type(L, -1) != LUA_TSTRING)
        lua_field_wrong(t, FIELD_TEXT);
    const char *word = lua_tostring(L, -1);
    if (!op_field_word(field, word, &number))
        fields_fail(t->f, t->name, "\"%s\": no row has the text \"%.60s\"%s", t->name, word,
                    script_hint(L, word, (const char *const *)field->words, field->n_words));
    return number;
}

/* A bound of a range: a number of the field's type, or infinity. */
static int64_t bound_at(const struct field_table *t, const struct attribute_field *field)
{
    const double real = lua_isnumber(t->f->L, -1) ? lua_tonumber(t->f->L, -1) : 0;

    if (field->type == FIELD_INTEGER && isinf(real))
        return real > 0 ? INT64_MAX : INDEX_ATTRIBUTE_NONE + 1;
    return value_at(t, field);
}

/* Reads the value on top, or the list of values, as a set; pops it. */
static void read_set(const struct field_table *t, struct conditions *c, size_t field,
                     enum attribute_test test)
{
    lua_State *L = t->f->L;
    const bool list = lua_type(L, -1) == LUA_TTABLE;
    const size_t n = list ? (size_t)lua_rawlen(L, -1) : 1;

    if (n == 0)
        fields_fail(t->f, t->name, "\"%s\": the set is empty, so it %s", t->name,
                    test == INDEX_ATTRIBUTE_IN ? "matches nothing" : "excludes nothing");
    for (size_t i = 0; i < n; i++) {
        if (list)
            lua_rawgeti(L, -1, (lua_Integer)i + 1);
        else
            lua_pushvalue(L, -1);
        c->values[c->n_values + i] = value_at(t, &c->ops->fields[field]);
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
    add_condition(c, field, test, n);
}

/* Reads the range { low, high }, the positions of the table on top. */
static void read_range(const struct field_table *t, struct conditions *c, size_t field)
{
    lua_State *L = t->f->L;
    int64_t *values = c->values + c->n_values;

    if (lua_rawlen(L, -1) != 2)
        fields_fail(t->f, t->name,
                    "\"%s\": a range is { low, high }; a set is { [\"in\"] = { ... } }", t->name);
    for (int i = 0; i < 2; i++) {
        lua_rawgeti(L, -1 - i, i + 1);
        values[i] = bound_at(t, &c->ops->fields[field]);
    }
    if (values[0] > values[1])
        fields_fail(t->f, t->name, "\"%s\": %s is above %s", t->name, script_shown(L, -2),
                    script_shown(L, -1));
    lua_pop(L, 2);
    add_condition(c, field, INDEX_ATTRIBUTE_RANGE, 2);
}

/* Reads the conditions on one field: the value on top, which stays. */
static void read_conditions(const struct field_table *t, struct conditions *c, size_t field)
{
    lua_State *L = t->f->L;
    const size_t before = c->n;

    if (lua_type(L, -1) != LUA_TTABLE) {
        lua_pushvalue(L, -1);
        read_set(t, c, field, INDEX_ATTRIBUTE_IN);
        return;
    }
    fields_only(&t->sub, CALL_CONDITION, (size_t)lua_rawlen(L, -1));
    if (lua_rawlen(L, -1) > 0 && c->ops->fields[field].type != FIELD_TEXT)
        read_range(t, c, field);
    else if (lua_rawlen(L, -1) > 0) {
        lua_pushvalue(L, -1);
        read_set(t, c, field, INDEX_ATTRIBUTE_IN);
    }
    if (fields_has(&t->sub, "in") && fields_push(&t->sub, "in"))
        read_set(t, c, field, INDEX_ATTRIBUTE_IN);
    if (fields_has(&t->sub, "not") && fields_push(&t->sub, "not"))
        read_set(t, c, field, INDEX_ATTRIBUTE_NOT_IN);
    if (fields_has(&t->sub, "missing"))
        add_condition(c, field,
                      fields_bool(&t->sub, "missing", false) ? INDEX_ATTRIBUTE_MISSING
                                                             : INDEX_ATTRIBUTE_NOT_IN,
                      0);
    if (c->n == before)
        fields_fail(t->f, t->name, "\"%s\": the set is empty, so it matches nothing", t->name);
}

/* The number of values that the conditions on the value on top have, at most. */
static size_t count_values(lua_State *L)
{
    size_t n = 2;

    if (lua_type(L, -1) != LUA_TTABLE)
        return n;
    n += (size_t)lua_rawlen(L, -1);
    for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1))
        n += lua_type(L, -1) == LUA_TTABLE ? (size_t)lua_rawlen(L, -1) : 1;
    return n;
}

/* The position of a field; raises if no row has it. */
static size_t field_named(const struct fields *f, const struct op_list *list, const char *name)
{
    const struct attribute_field *field = op_list_field(list, name);
    const char *names[INDEX_ATTRIBUTES_MAX];

    for (size_t i = 0; i < list->n_fields; i++)
        names[i] = list->fields[i].name;
    if (!field)
        fields_fail(f, "where", "\"where\": no row has an attribute \"%.60s\"%s", name,
                    list->n_fields ? script_hint(f->L, name, names, list->n_fields)
                                   : "; w:insert { ..., attributes = ... } gives rows attributes");
    return (size_t)(field - list->fields);
}

void lua_step_where(const struct fields *f, struct op_options *note)
{
    lua_State *L = f->L;
    static const char shape[] = "{ low, high } or { NAME = { low, high }, ... }";
    size_t n, n_values = 0;

    if (!fields_has(f, "where"))
        return;
    struct fields all = fields_table(f, "where", shape);
    if (lua_rawlen(L, all.at) > 0) {
        if (lua_rawlen(L, all.at) != 2)
            fields_fail(f, "where", "\"where\" must be %s", shape);
        lua_createtable(L, 0, 1);
        lua_insert(L, all.at);
        lua_setfield(L, all.at, ONLY_FIELD);
    }
    const char **names = fields_names(&all, &n);
    if (n == 0)
        fields_fail(f, "where", "\"where\" has no condition");
    struct conditions c = { .ops = recorder_list(lua_recorder(L)) };
    for (size_t i = 0; i < n; i++) {
        (void)fields_push(&all, names[i]);
        n_values += count_values(L);
        lua_pop(L, 1);
    }
    c.list = lua_newuserdatauv(L, n * 4 * sizeof *c.list, 0);
    c.values = lua_newuserdatauv(L, n_values * sizeof *c.values, 0);
    for (size_t i = 0; i < n; i++) {
        const size_t field = field_named(f, c.ops, names[i]);

        (void)fields_push(&all, names[i]);
        const struct field_table t = lua_field_open(f, names[i]);
        read_conditions(&t, &c, field);
        lua_pop(L, 1);
    }
    note->where = c.list;
    note->n_where = c.n;
    note->where_values = c.values;
    note->n_where_values = c.n_values;
}
