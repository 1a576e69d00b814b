/* method.c - method { "NAME", params, knobs, sweep, grid, ablations ... }: reads one
 * into a method_spec. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/config/methods/methods.h"

enum { LABEL_BYTES_MAX = 120 };

/* Pushes and opens the table `key`; false, with nothing pushed, if there is none. */
static bool sub_table(const struct fields *f, const char *key, struct fields *sub)
{
    if (!fields_has(f, key))
        return false;
    *sub = fields_table(f, key, "a table, as in { name = value }");
    return true;
}

/* Refuses an option that is given under its old name as well. */
static void check_once(const struct fields *f, const struct param *p, const json_t *given)
{
    if (json_object_get(given, p->name))
        fields_fail(f, p->old_name, "\"%s\" is the old name of \"%s\"; give one of them",
                    p->old_name, p->name);
}

/* Reads { name = value } into `to`, which the spec owns; pops the table. */
static void read_values(const struct fields *f, const struct method_spec *m, enum option_home homes,
                        json_t *to)
{
    lua_State *L = f->L;
    size_t n;
    const char **names = fields_names(f, &n);
    for (size_t i = 0; i < n; i++) {
        const struct script_place at = fields_place(f, names[i]);
        const struct lua_option o = lua_option_find(L, at, m, homes, names[i]);
        check_once(f, o.row, to);
        fields_push(f, names[i]);
        json_object_set_new(
            to, o.row->name,
            lua_option_value(L, at, o.ops, o.row, o.home, lua_option_at(L, at, -1, names[i])));
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
}

static void read_axes(const struct fields *f, const char *key, const struct method_spec *m,
                      enum option_home home, json_t *to)
{
    struct fields sub;
    lua_State *L = f->L;
    if (!sub_table(f, key, &sub))
        return;
    size_t n;
    const char **names = fields_names(&sub, &n);
    for (size_t i = 0; i < n; i++) {
        const struct lua_option o =
            lua_option_find(L, fields_place(&sub, names[i]), m, home, names[i]);
        check_once(&sub, o.row, to);
        json_t *values = json_array();
        json_object_set_new(to, o.row->name, values);
        fields_push(&sub, names[i]);
        const struct script_place at = fields_place(&sub, o.row->name);
        const size_t listed = lua_istable(L, -1) ? (size_t)lua_rawlen(L, -1) : 0;
        if (!listed)
            fields_fail(&sub, o.row->name,
                        "\"%s\" must be a list of values, as in { 1, 2, 4 }, not %s", o.row->name,
                        lua_istable(L, -1) ? "an empty one" : script_shown(L, -1));
        for (size_t j = 1; j <= listed; j++) {
            lua_rawgeti(L, -1, (lua_Integer)j);
            lua_option_append(L, at, &o, lua_option_at(L, at, -1, o.row->name), values);
            lua_pop(L, 1);
        }
        lua_pop(L, 1);
    }
    lua_pop(L, 2);
}

static void check_name(const struct fields *f, const char *what, const char *name)
{
    if (!script_is_plain(name) || !*name || strlen(name) > LABEL_BYTES_MAX || strpbrk(name, "[]/"))
        fields_fail(f, NULL,
                    "%s \"%.60s\" must be 1 to %d bytes of UTF-8 without [ ] / and control "
                    "characters",
                    what, name, LABEL_BYTES_MAX);
}

/* Reads the table of options on top of the stack into `to` under the name; pops it. */
static void read_ablation(const struct fields *f, const struct method_spec *m, const char *name,
                          json_t *to)
{
    lua_State *L = f->L;
    check_name(f, "the name of an ablation,", name);
    if (!lua_istable(L, -1))
        fields_fail(f, name, "ablation \"%s\" must be a table of options, not %s", name,
                    script_shown(L, -1));
    if (json_object_get(to, name))
        fields_fail(f, name, "ablation \"%s\" occurs twice", name);
    json_t *values = json_object();
    json_object_set_new(to, name, values);
    const struct fields sub = { L, lua_gettop(L), f->what, f->call, f->depth + 1 };
    read_values(&sub, m, HOME_EITHER, values);
    if (!json_object_size(values))
        fields_fail(f, name, "ablation \"%s\" changes nothing", name);
    lua_pop(L, 1);
}

/* Reads { ["no X"] = { option = value } }, sorted by name, or { { "no X", { option = value } } },
   in that order. */
static void read_ablations(const struct fields *f, const struct method_spec *m, json_t *to)
{
    struct fields sub;
    lua_State *L = f->L;
    if (!sub_table(f, "ablations", &sub))
        return;
    const size_t listed = (size_t)lua_rawlen(L, sub.at);
    for (size_t i = 1; i <= listed; i++) {
        lua_rawgeti(L, sub.at, (lua_Integer)i);
        if (!lua_istable(L, -1) || lua_rawgeti(L, -1, 1) != LUA_TSTRING)
            fields_fail(f, "ablations", "ablation %zu must be { \"name\", { option = value } }", i);
        lua_rawgeti(L, -2, 2);
        read_ablation(&sub, m, lua_tostring(L, -2), to);
        lua_pop(L, 2);
    }
    size_t n = 0;
    if (!listed) {
        const char **names = fields_names(&sub, &n);
        for (size_t i = 0; i < n; i++) {
            fields_push(&sub, names[i]);
            read_ablation(&sub, m, names[i], to);
        }
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
}

/* Refuses an option that is both varied by an axis and fixed under `in`. */
static void check_overlap(const struct fields *f, const json_t *axes, const json_t *fixed,
                          const char *in)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)axes, key, value)
        if (json_object_get(fixed, key))
            fields_fail(f, in, "\"%s\" is both fixed under %s and varied; leave one of them out",
                        key, in);
}

static void read_calibrate(const struct fields *f, struct method_spec *m)
{
    struct fields sub;
    if (!sub_table(f, "calibrate", &sub))
        return;
    fields_only(&sub, CALL_CALIBRATE, 0);
    m->calibrate_recall = fields_real(&sub, "recall", 0, 0.01, 1);
    if (!fields_has(&sub, "recall"))
        fields_fail(f, "calibrate", "calibrate = { recall = 0.95 } names the recall to reach");
    if (!json_object_size(m->sweep))
        fields_fail(f, "calibrate",
                    "calibrate chooses among the values of a sweep; give it one, as in "
                    "sweep = { nprobe = { 1, 2, 4 } }");
    lua_pop(f->L, 1);
}

static void read_maintain(const struct fields *f, struct method_spec *m)
{
    static const char *const ways[] = { "maintain", "rebuild", NULL };
    struct maintain_policy *p = &m->maintain;
    struct fields sub;
    if (!sub_table(f, "maintain", &sub))
        return;
    fields_only(&sub, CALL_MAINTAIN, 0);
    p->tag = script_keep(f->L, fields_text(&sub, "tag", NULL));
    p->rebuilds = fields_choice(&sub, "by", 0, ways) == 1;
    p->leaves_out = !fields_bool(&sub, "changes", true);
    p->every = (size_t)fields_count(&sub, "every", 0, 1, UINT32_MAX);
    p->deleted = fields_real(&sub, "deleted", 0, 1e-6, 1e6);
    p->recall = fields_real(&sub, "recall", 0, 1e-6, 1);
    p->sample = fields_real(&sub, "sample", 1, 1e-6, 1);
    p->probe = script_keep(f->L, fields_text(&sub, "probe", NULL));
    if (!p->tag)
        fields_fail(f, "maintain",
                    "maintain = { tag = \"TAG\" } names the w:maintain steps that it is about");
    if ((p->every > 0) + (p->deleted > 0) + (p->recall > 0) > 1)
        fields_fail(f, "maintain",
                    "\"every\", \"deleted\" and \"recall\" exclude each other; give one of them");
    if ((p->recall > 0) != (p->probe != NULL))
        fields_fail(f, "maintain",
                    "\"recall\" is that of a probe, whose queries are those of a search: give both "
                    "recall = 0.95 and probe = \"TAG\"");
    if (fields_has(&sub, "sample") && !(p->recall > 0))
        fields_fail(f, "maintain",
                    "\"sample\" is the share of the rows that a probe scans: give recall and "
                    "probe, too");
    if (p->leaves_out && (!p->rebuilds || p->every || p->deleted > 0 || p->recall > 0))
        fields_fail(f, "maintain",
                    "changes = false leaves changes to the rebuild at every step of the tag; give "
                    "by = \"rebuild\" and no condition");
    if (m->rebuild)
        fields_fail(f, "maintain",
                    "\"rebuild\" and \"maintain\" exclude each other; maintain = { by = "
                    "\"rebuild\" } rebuilds too");
    lua_pop(f->L, 1);
}

static void read_policies(const struct fields *f, struct method_spec *m)
{
    static const char *const policies[] = { "native", "filter", "rebuild", "replace", NULL };
    static const char *const elements[] = { "f32", NULL };
    m->floats = fields_choice(f, "element", -1, elements) == 0;
    m->rebuild = script_keep(f->L, fields_text(f, "rebuild", NULL));
    read_maintain(f, m);
    m->locked = fields_bool(f, "lock", false);
    m->deletes = (enum deletes_policy)fields_choice(f, "deletes", DELETES_NATIVE, policies);
    m->overfetch = (size_t)fields_count(f, "overfetch", 0, 2, 1000);
    if (m->overfetch > 0 && m->deletes != DELETES_FILTER)
        fields_fail(f, "overfetch",
                    "\"overfetch\" is for deletes = \"filter\": it sets how many answers a search "
                    "fetches; give both");
    if (m->deletes == DELETES_NATIVE || m->deletes == DELETES_FILTER ||
        m->deletes == DELETES_REBUILD)
        return;
    const struct param *p = param_find(m->ops->params, "deletes");
    if (!p || p->type != PARAM_TYPE_CHOICE || !strstr(p->choices, "replace"))
        fields_fail(f, "deletes",
                    "the method cannot replace deleted rows; use deletes = \"filter\" or "
                    "\"rebuild\", which work with every method");
}

/* Sets the options to their values in the paper, except those that are given or varied. */
static void take_paper(const struct fields *f, const struct index_ops *ops, enum option_home home,
                       const json_t *axes, json_t *to)
{
    const struct param *table = home == HOME_PARAMS ? ops->params : ops->knobs;
    for (const struct param *p = table; p && p->name; p++) {
        const struct param_value value = { VALUE_TEXT, 0, false, p->paper };
        if (p->paper && !json_object_get(to, p->name) && !json_object_get(axes, p->name))
            json_object_set_new(
                to, p->name,
                lua_option_value(f->L, fields_place(f, "preset"), ops, p, home, value));
    }
}

/* After the overlaps are checked: an option of the preset may be varied. */
static void read_preset(const struct fields *f, struct method_spec *m)
{
    static const char *const presets[] = { "default", "paper", NULL };
    if (fields_choice(f, "preset", 0, presets) == 0)
        return;
    take_paper(f, m->ops, HOME_PARAMS, m->grid, m->params);
    take_paper(f, m->ops, HOME_KNOBS, m->sweep, m->knobs);
}

/* What a method contains decides which options it has. */
static void read_of(const struct fields *f, struct method_spec *m)
{
    struct fields sub;
    if (!(m->ops->flags & INDEX_CONTAINS) || !sub_table(f, "params", &sub)) {
        lua_option_contain(f->L, script_place(f->L), m, NULL);
        return;
    }
    fields_push(&sub, "of");
    const char *of = lua_type(f->L, -1) == LUA_TSTRING ? lua_tostring(f->L, -1) : NULL;
    lua_option_contain(f->L, fields_place(&sub, "of"), m, of);
    lua_pop(f->L, 2);
}

static void read_spec(const struct fields *f, struct method_spec *m)
{
    struct fields sub;
    json_t **const objects[] = { &m->params, &m->knobs, &m->sweep, &m->grid, &m->ablations };
    for (size_t i = 0; i < sizeof objects / sizeof *objects; i++)
        *objects[i] = script_keep_json(f->L, json_object());
    read_of(f, m);
    const char *label = fields_text(f, "label", m->name);
    check_name(f, "label", label);
    m->label = script_keep(f->L, label);
    if (sub_table(f, "params", &sub))
        read_values(&sub, m, HOME_PARAMS, m->params);
    if (sub_table(f, "knobs", &sub))
        read_values(&sub, m, HOME_KNOBS, m->knobs);
    read_axes(f, "sweep", m, HOME_KNOBS, m->sweep);
    read_axes(f, "grid", m, HOME_PARAMS, m->grid);
    read_ablations(f, m, m->ablations);
    check_overlap(f, m->sweep, m->knobs, "knobs");
    check_overlap(f, m->grid, m->params, "params");
    const char *name;
    json_t *ablation;
    json_object_foreach(m->ablations, name, ablation) {
        check_overlap(f, m->sweep, ablation, "ablations");
        check_overlap(f, m->grid, ablation, "ablations");
    }
    read_preset(f, m);
    read_calibrate(f, m);
    read_policies(f, m);
}

int lua_method(lua_State *L)
{
    const struct script *s = script_of(L);
    struct fields f = fields_open(L, 1, "method");
    if (lua_rawgeti(L, 1, 1) != LUA_TSTRING)
        script_fail(L, ERR_CONFIG,
                    "method: the name of one comes first, as in method { \"divf\" }, not %s",
                    script_shown(L, -1));
    const char *name = lua_tostring(L, -1);
    const struct index_ops *ops = registry_find(s->registry, name, script_error(L));
    if (!ops)
        script_raise(L, script_place(L), NULL);
    f.what = lua_pushfstring(L, "method \"%s\"", name);
    fields_only(&f, CALL_METHOD, 1);
    struct method_spec *m = lua_newuserdatauv(L, sizeof *m, 0);
    *m = (struct method_spec){ .ops = ops, .line = f.call.line };
    if (luaL_newmetatable(L, LUA_METHOD_NAME)) {
        lua_pushliteral(L, "method");
        lua_setfield(L, -2, "__metatable");
    }
    lua_setmetatable(L, -2);
    const int made = lua_gettop(L);
    m->name = script_keep(L, name);
    read_spec(&f, m);
    lua_pushvalue(L, made);
    return 1;
}
