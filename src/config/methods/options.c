/* options.c - values of a method's options: finds, checks and normalises them,
 * and applies --set. */
#include <stdio.h>
#include <string.h>

#include "src/base/json.h"
#include "src/config/methods/methods.h"

enum { NAMES_MAX = 200, VALUES_MAX = 1000 };

static const struct param *table_of(const struct index_ops *ops, enum option_home home)
{
    return home == HOME_PARAMS ? ops->params : ops->knobs;
}

/* Raises: the option is of the other table. */
static void refuse_home(lua_State *L, struct script_place at, const struct index_ops *ops,
                        enum option_home home, const char *name)
{
    if (home == HOME_PARAMS)
        script_fail_at(L, at, ERR_CONFIG,
                       "method \"%s\": \"%s\" is set when the index is built, not when it is "
                       "searched: write it under params or grid",
                       ops->name, name);
    script_fail_at(L, at, ERR_CONFIG,
                   "method \"%s\": \"%s\" is a knob, set when the index is searched: "
                   "write it under knobs or sweep",
                   ops->name, name);
}

struct lua_option lua_option_find(lua_State *L, struct script_place at, const struct method_spec *m,
                                  enum option_home homes, const char *name)
{
    static const enum option_home both[2] = { HOME_PARAMS, HOME_KNOBS };
    const struct index_ops *const owners[2] = { m->ops, m->of };
    const char *names[NAMES_MAX];
    char gone[PARAM_TEXT_BYTES];
    size_t n = 0;
    for (int i = 0; i < 4; i++) {
        const struct index_ops *ops = owners[i / 2];
        const enum option_home home = both[i % 2];
        const struct param *p = ops ? param_find(table_of(ops, home), name) : NULL;
        if (p && (homes & home))
            return (struct lua_option){ p, ops, home };
        if (p)
            refuse_home(L, at, ops, home, name);
        if (ops && param_gone(table_of(ops, home), name, gone))
            script_fail_at(L, at, ERR_CONFIG, "method \"%s\" no longer has \"%s\": %s", ops->name,
                           name, gone);
        for (p = ops ? table_of(ops, home) : NULL; (homes & home) && p && p->name && n < NAMES_MAX;
             p++)
            names[n++] = p->name;
    }
    const char *kind = homes == HOME_KNOBS ? "knob" : "parameter";
    script_fail_at(L, at, ERR_CONFIG,
                   "method \"%s\"%s%s%s has no %s \"%.60s\"%s  (./harness describe %s)",
                   m->ops->name, m->of ? " of \"" : "", m->of ? m->of->name : "", m->of ? "\"" : "",
                   kind, name, n ? script_hint(L, name, names, n) : "; it has none",
                   m->of ? m->of->name : m->ops->name);
}

void lua_option_contain(lua_State *L, struct script_place at, struct method_spec *m, const char *of)
{
    const struct param *row = param_find(m->ops->params, "of");
    if (!(m->ops->flags & INDEX_CONTAINS) || !row)
        return;
    m->of = registry_find(script_of(L)->registry, of ? of : row->text, script_error(L));
    if (!m->of)
        script_raise(L, at, NULL);
}

json_t *lua_option_value(lua_State *L, struct script_place at, const struct index_ops *ops,
                         const struct param *p, enum option_home home, struct param_value value)
{
    char owner[100];
    (void)snprintf(owner, sizeof owner, "method \"%s\"", ops->name);
    const size_t bytes = home == HOME_PARAMS ? ops->params_bytes : ops->knobs_bytes;
    void *out = lua_newuserdatauv(L, bytes + 1, 0);
    param_defaults(table_of(ops, home), out);
    if (param_set(table_of(ops, home), out, p->name, value, owner, script_error(L)))
        script_raise(L, at, NULL);
    json_t *json = json_of_param(p, out);
    lua_pop(L, 1);
    if (!json)
        script_fail_at(L, at, ERR_CONFIG, "%s: the value of \"%s\" is not UTF-8", owner, p->name);
    return json;
}

struct param_value lua_option_at(lua_State *L, struct script_place at, int index, const char *name)
{
    switch (lua_type(L, index)) {
        case LUA_TNUMBER:
            return (struct param_value){ VALUE_NUMBER, lua_tonumber(L, index), false, NULL };
        case LUA_TBOOLEAN:
            return (struct param_value){ VALUE_BOOL, 0, lua_toboolean(L, index), NULL };
        case LUA_TSTRING:
            return (struct param_value){ VALUE_TEXT, 0, false, lua_tostring(L, index) };
        default: break;
    }
    script_fail_at(L, at, ERR_CONFIG, "\"%.60s\" must be a number, a string or a boolean, not %s",
                   name, script_shown(L, index));
}

void lua_option_append(lua_State *L, struct script_place at, const struct lua_option *o,
                       struct param_value given, json_t *values)
{
    json_t *value = lua_option_value(L, at, o->ops, o->row, o->home, given);
    bool again = false;
    for (size_t i = 0; i < json_array_size(values) && !again; i++)
        again = json_equal(json_array_get(values, i), value);
    json_array_append_new(values, value);
    if (again)
        script_fail_at(L, at, ERR_CONFIG, "method \"%s\": \"%s\" has the same value twice",
                       o->ops->name, o->row->name);
    if (json_array_size(values) > VALUES_MAX)
        script_fail_at(L, at, ERR_CONFIG, "method \"%s\": \"%s\" has more than %d values",
                       o->ops->name, o->row->name, VALUES_MAX);
}

/* --set */

/* Appends one value, such as the "4" of "1,4,16", to the array. */
static void append_value(lua_State *L, const struct method_spec *m, const struct lua_option *o,
                         const char *text, size_t n, json_t *values)
{
    char one[PARAM_TEXT_BYTES];
    const struct script_place at = script_place(L);
    if (n >= sizeof one)
        script_fail_at(L, at, ERR_CONFIG, "--set %s.%s: the name is too long", m->name,
                       o->row->name);
    memcpy(one, text, n);
    one[n] = '\0';
    const struct param_value value = { VALUE_TEXT, 0, false, one };
    lua_option_append(L, at, o, value, values);
}

static void apply_set(lua_State *L, struct method_spec *m, const char *name, const char *value)
{
    const struct lua_option o = lua_option_find(L, script_place(L), m, HOME_EITHER, name);
    const struct param *p = o.row;
    json_t *values = script_keep_json(L, json_array());
    json_t *axes = o.home == HOME_KNOBS ? m->sweep : m->grid;
    json_t *fixed = o.home == HOME_KNOBS ? m->knobs : m->params;
    const bool list = p->type != PARAM_TYPE_TEXT;
    for (const char *at = value;;) {
        const size_t n = list ? strcspn(at, ",") : strlen(at);
        append_value(L, m, &o, at, n, values);
        if (!at[n])
            break;
        at += n + 1;
    }
    if (json_array_size(values) > 1 || json_object_get(axes, p->name)) {
        json_object_set(axes, p->name, values);
        json_object_del(fixed, p->name);
    } else {
        json_object_set(fixed, p->name, json_array_get(values, 0));
    }
    if (o.ops == m->ops && strcmp(p->name, "of") == 0)
        lua_option_contain(L, script_place(L), m, value);
}

void lua_method_overrides(lua_State *L, struct method_spec *m)
{
    struct script *s = script_of(L);
    for (size_t i = 0; i < s->options->n_sets; i++) {
        struct override *set = &s->options->sets[i];
        const char *dot = strrchr(set->key, '.');
        const size_t n = dot ? (size_t)(dot - set->key) : 0;
        const bool mine = n && ((strlen(m->name) == n && !strncmp(m->name, set->key, n)) ||
                                (strlen(m->label) == n && !strncmp(m->label, set->key, n)));
        if (!mine)
            continue;
        apply_set(L, m, dot + 1, set->value);
        if (!json_object_get(s->experiment->overrides, set->key))
            script_note_change(s, "%s=%s", set->key, set->value);
        script_note_override(s, set);
    }
}
