/* figures.c - reads figures = { { KIND, x = ..., y = ... } }. */
#include <stdio.h>
#include <string.h>

#include "src/base/figures.h"
#include "src/base/result_metrics.h"
#include "src/config/claims/internal.h"

/* Checks that an axis is a metric, an option of a method, or a field of every step. Gives it
   its present name, and "recall" the name of the recall of the experiment's k. */
static void check_axis(const struct fields *f, const char *key, json_t *axis)
{
    static const char *const own[] = { "label",   "tag",    "point",  "method", "index", "live",
                                       "deleted", "radius", "repeat", "parts",  "recall" };
    enum { OWN = sizeof own / sizeof *own };
    const struct experiment *ex = script_of(f->L)->experiment;
    const struct param *option = NULL;
    const char *name = json_string_value(axis), *names[NAMES_MAX];
    char plain[100], tag[100], recall[160];
    size_t n = lua_result_metrics(names);
    result_metric_split(name, plain, sizeof plain, tag, sizeof tag);
    for (size_t i = 0; i < OWN; i++)
        names[n++] = own[i];
    for (size_t m = 0; m < ex->n_methods; m++) {
        const struct param *tables[2] = { ex->methods[m].ops->params, ex->methods[m].ops->knobs };
        for (int t = 0; t < 2; t++) {
            option = option ? option : param_find(tables[t], plain);
            for (const struct param *p = tables[t]; p && p->name && n < NAMES_MAX; p++)
                names[n++] = p->name;
        }
    }
    const bool field = lua_is_metric(plain) || lua_is_one_of(plain, own, OWN);
    if (!field && !option)
        fields_fail(f, key, "unknown metric or option \"%.60s\"%s", name,
                    script_hint(f->L, name, names, n));
    if (!field && !*tag)
        json_string_set(axis, option->name);
    if (strcmp(plain, "recall") == 0) {
        (void)snprintf(recall, sizeof recall, "recall@%zu%.100s", ex->k, name + strlen(plain));
        json_string_set(axis, recall);
    }
}

json_t *lua_strings(const struct fields *f, const char *key, const char *shape)
{
    lua_State *L = f->L;
    json_t *list = script_keep_json(L, json_array());
    const bool many = fields_push(f, key) == LUA_TTABLE && lua_rawlen(L, -1) > 0;
    const size_t n = many ? (size_t)lua_rawlen(L, -1) : 1;
    for (size_t i = 1; i <= n; i++) {
        if (many)
            lua_rawgeti(L, -1, (lua_Integer)i);
        if (lua_type(L, -1) != LUA_TSTRING)
            fields_fail(f, key, "\"%s\" must be %s, not %s", key, shape, script_shown(L, -1));
        json_array_append_new(list, json_string(lua_tostring(L, -1)));
        if (many)
            lua_pop(L, 1);
    }
    lua_pop(L, 1);
    return list;
}

/* Reads a string or a list of strings into `to`; axis: checks each as an axis. */
static void read_texts(const struct fields *f, const char *key, json_t *to, bool axis)
{
    json_t *list = lua_strings(f, key, "a string or a list of strings");
    json_object_set(to, key, list);
    for (size_t i = 0; axis && i < json_array_size(list); i++)
        check_axis(f, key, json_array_get(list, i));
    if (fields_push(f, key) != LUA_TTABLE)
        json_object_set(to, key, json_array_get(list, 0));
    lua_pop(f->L, 1);
}

static void check_method(lua_State *L, struct script_place at, const char *name)
{
    const struct experiment *ex = script_of(L)->experiment;
    const char *names[100];
    size_t n = 0;
    for (; n < ex->n_methods && n < sizeof names / sizeof *names; n++) {
        names[n] = ex->methods[n].name;
        if (strcmp(names[n], name) == 0)
            return;
    }
    script_fail_at(L, at, ERR_CONFIG, "figures: the experiment has no method \"%s\"%s", name,
                   script_hint(L, name, names, n));
}

/* Labels or methods: one, a list of them, or NULL. */
static void check_whose(const struct fields *f, const char *key, const json_t *names)
{
    const struct script_place at = fields_place(f, key);
    size_t i;
    json_t *name;
    json_array_foreach(names, i, name)
        check_whose(f, key, name);
    if (json_is_string(names) && strcmp(key, "label") == 0)
        lua_check_label(f->L, at, "figures", json_string_value(names));
    else if (json_is_string(names))
        check_method(f->L, at, json_string_value(names));
}

static void read_where(const struct fields *f, json_t *figure)
{
    const char *keys[LUA_KEYS_MAX + 1];
    (void)lua_keys(CALL_WHERE, keys);
    const struct fields sub =
        fields_table(f, "where", "a table, as in where = { tag = \"drift\" }");
    fields_only(&sub, CALL_WHERE, 0);
    json_t *where = json_object();
    json_object_set_new(figure, "where", where);
    for (size_t i = 0; keys[i]; i++)
        if (fields_has(&sub, keys[i]))
            read_texts(&sub, keys[i], where, false);
    check_whose(&sub, "label", json_object_get(where, "label"));
    check_whose(&sub, "method", json_object_get(where, "method"));
    lua_pop(f->L, 1);
}

/* Reads the label above which the others are marked to lie. */
static void read_baseline(const struct fields *f, const struct figure_kind *kind, json_t *figure)
{
    const char *label = fields_text(f, "baseline", "");
    const struct figure_kind *with = figure_kinds;
    while (!(with->traits & FIGURE_HAS_BASELINE))
        with++;
    if (!(kind->traits & FIGURE_HAS_BASELINE))
        fields_fail(f, "baseline", "\"baseline\" is for figures of kind %s, not %s", with->name,
                    kind->name);
    lua_check_label(f->L, fields_place(f, "baseline"), "figures: baseline", label);
    json_object_set_new(figure, "baseline", json_string(label));
}

/* Reads x, y, group or title. A list of several names is for the y of some kinds alone. */
static void read_field(const struct fields *f, const struct figure_kind *kind, const char *key,
                       json_t *figure)
{
    const bool y = strcmp(key, "y") == 0, of_table = y && kind->traits & FIGURE_OF_TABLE;
    read_texts(f, key, figure, strcmp(key, "title") != 0 && !of_table);
    const size_t n = json_array_size(json_object_get(figure, key));
    if (n > 1 && !(y && kind->traits & FIGURE_HAS_SEVERAL_Y))
        fields_fail(f, key, "figures of kind %s take one \"%s\", not %zu", kind->name, key, n);
}

static void read_figure(const struct fields *f, json_t *figure)
{
    const char *keys[LUA_KEYS_MAX + 1];
    (void)lua_keys(CALL_FIGURE, keys);
    const char *names[FIGURE_KINDS];
    lua_State *L = f->L;
    fields_only(f, CALL_FIGURE, 1);
    const char *name = lua_rawgeti(L, f->at, 1) == LUA_TSTRING ? lua_tostring(L, -1) : "";
    const struct figure_kind *kind = figure_kind_named(name);
    for (size_t i = 0; i < FIGURE_KINDS; i++)
        names[i] = figure_kinds[i].name;
    if (!kind)
        fields_fail(f, "figures", "unknown figure kind %s%s", script_shown(L, -1),
                    script_hint(L, name, names, FIGURE_KINDS));
    lua_pop(L, 1);
    json_object_set_new(figure, "kind", json_string(kind->name));
    for (size_t i = 0; keys[i]; i++) {
        if (!fields_has(f, keys[i]))
            continue;
        if (strcmp(keys[i], "where") == 0)
            read_where(f, figure);
        else if (strcmp(keys[i], "baseline") == 0)
            read_baseline(f, kind, figure);
        else if (strcmp(keys[i], "minus") != 0)
            read_field(f, kind, keys[i], figure);
        else if (kind->traits & FIGURE_SUBTRACTS)
            json_object_set_new(figure, "minus", json_string(fields_text(f, "minus", "")));
        else
            fields_fail(f, "minus", "\"minus\" is for figures of kind timeline, not %s",
                        kind->name);
    }
}

void lua_figures_read(lua_State *L, const struct fields *experiment)
{
    struct experiment *ex = script_of(L)->experiment;
    if (!fields_has(experiment, "figures"))
        return;
    struct fields list =
        fields_table(experiment, "figures", "a list of { KIND, x = ..., y = ... }");
    list.what = "figures";
    const size_t n = (size_t)lua_rawlen(L, list.at);
    if (n)
        fields_only(&list, CALL_LIST, n);
    for (size_t i = 1; i <= n; i++) {
        if (lua_rawgeti(L, list.at, (lua_Integer)i) != LUA_TTABLE)
            fields_fail(experiment, "figures",
                        "figure %zu must be { KIND, x = ..., y = ... }, not %s", i,
                        script_shown(L, -1));
        char what[40];
        (void)snprintf(what, sizeof what, "figure %zu", i);
        const struct fields f = { L, lua_gettop(L), what, experiment->call, 0 };
        json_t *figure = json_object();
        json_array_append_new(ex->figures, figure);
        read_figure(&f, figure);
        lua_pop(L, 1);
    }
}
