/* set.c - w:set { OPTION = value, ... }: changes options of the methods while their indexes live.
 *
 * The step of a method that lacks one of the options is `unsupported` in the result. An option that
 * no method of the config can change is an error. */
#include <stdlib.h>
#include <string.h>

#include "src/config/methods/methods.h"
#include "src/config/workload/internal.h"

enum { NAMES_MAX = 400 };

/* Raises: no method of the config can change this option. */
static _Noreturn void refuse(const struct fields *f, const char *name, bool fixed)
{
    const struct experiment *ex = script_of(f->L)->experiment;
    const char *names[NAMES_MAX];
    size_t n = 0;
    for (size_t i = 0; i < ex->n_methods; i++)
        if (param_find(ex->methods[i].ops->knobs, name))
            fields_fail(f, name,
                        "\"%s\" is a knob, set when the index is searched: write it under knobs or "
                        "sweep of the method",
                        name);
    if (fixed)
        fields_fail(f, name,
                    "\"%s\" is fixed when the index is built, in every method of this config  "
                    "(./harness describe METHOD shows which options are live)",
                    name);
    for (size_t i = 0; i < ex->n_methods; i++)
        for (const struct param *p = ex->methods[i].ops->params; p && p->name; p++)
            for (size_t j = 0; p->live && n < NAMES_MAX; j++) {
                if (j == n)
                    names[n++] = p->name;
                if (strcmp(names[j], p->name) == 0)
                    break;
            }
    fields_fail(f, name, "no method of this config has an option \"%.60s\"%s", name,
                n ? script_hint(f->L, name, names, n)
                  : "; none of them has an option that may change while the index lives");
}

/* Checks the value on top of the stack against every method that can change the option, and puts it
   under the option's present name. */
static void read_setting(const struct fields *f, const char *name, json_t *settings)
{
    lua_State *L = f->L;
    const struct experiment *ex = script_of(L)->experiment;
    const struct script_place at = fields_place(f, name);
    const struct param_value value = lua_option_at(L, at, -1, name);
    const char *present = NULL;
    bool known = false;
    for (size_t i = 0; i < ex->n_methods; i++) {
        const struct index_ops *ops = ex->methods[i].ops;
        const struct param *p = param_find(ops->params, name);
        known |= p != NULL;
        if (!p || !p->live)
            continue;
        if (!present && json_object_get(settings, p->name))
            fields_fail(f, name, "\"%s\" is given twice, by two of its names", p->name);
        present = present ? present : p->name;
        json_object_set_new(settings, present, lua_option_value(L, at, ops, p, HOME_PARAMS, value));
    }
    if (!present)
        refuse(f, name, known);
}

int lua_w_set(lua_State *L)
{
    const struct fields f = lua_open_settings(L, CALL_W_SET);
    struct op_options note = lua_step_note(&f);
    json_t *settings = script_keep_json(L, json_object());
    size_t n;
    const char **names = fields_names(&f, &n);
    for (size_t i = 0; i < n; i++) {
        if (strcmp(names[i], "tag") == 0)
            continue;
        (void)fields_push(&f, names[i]);
        read_setting(&f, names[i], settings);
        lua_pop(L, 1);
    }
    if (!json_object_size(settings))
        fields_fail(&f, NULL, "an option and its new value are missing");
    struct recorder *recorder = lua_recorder(L);
    char *json = script_made(L, json_dumps(settings, JSON_SORT_KEYS));
    note.settings = json;
    const int rc = record_operation(recorder, OP_SET, &note, script_error(L));
    free(json);
    if (rc)
        lua_step_fail(&f);
    return 0;
}
