/* set.c - w:set { OPTION = value, ... }: changes options of the methods while their indexes live.
 *
 * The step of a method that lacks one of the options is `unsupported` in the result. An option that
 * no method of the config can change is an error. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/json.h"
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

/* Checks the value on top of the stack against every method that can change the option. Returns the
   option's present name and the value. */
static struct param_setting check_setting(const struct fields *f, const char *name)
{
    lua_State *L = f->L;
    const struct experiment *ex = script_of(L)->experiment;
    const struct script_place at = fields_place(f, name);
    struct param_setting setting = { NULL, lua_option_at(L, at, -1, name) };
    bool known = false;
    for (size_t i = 0; i < ex->n_methods; i++) {
        const struct index_ops *ops = ex->methods[i].ops;
        const struct param *p = param_find(ops->params, name);
        known |= p != NULL;
        if (!p || !p->live)
            continue;
        setting.name = p->name;
        json_t *checked =
            lua_option_value(L, at, ops, p, HOME_PARAMS, lua_option_at(L, at, -1, name));
        if (!json_is_string(checked)) /* "4" is 4 where the option is a number */
            setting.value = json_param_value(checked);
        json_decref(checked);
    }
    if (!setting.name)
        refuse(f, name, known);
    return setting;
}

static json_t *value_json(const struct param_value *v)
{
    switch (v->kind) {
        case VALUE_BOOL: return json_boolean(v->boolean);
        case VALUE_TEXT: return json_string(v->text);
        case VALUE_NUMBER: break;
    }
    return json_number(v->number);
}

/* The settings as a JSON object with sorted keys; the caller frees it. NULL: out of memory. */
static char *settings_json(const struct param_setting *settings, size_t n)
{
    json_t *object = json_object();
    for (size_t i = 0; i < n; i++)
        json_object_set_new(object, settings[i].name, value_json(&settings[i].value));
    char *text = json_object_size(object) == n ? json_dumps(object, JSON_SORT_KEYS) : NULL;
    json_decref(object);
    return text;
}

/* Reads all keys but the tag; the array is a userdata that stays on the stack. */
static const struct param_setting *read_settings(const struct fields *f, size_t *n)
{
    lua_State *L = f->L;
    size_t keys;
    const char **names = fields_names(f, &keys);
    struct param_setting *settings = lua_newuserdatauv(L, (keys + 1) * sizeof *settings, 0);
    *n = 0;
    for (size_t i = 0; i < keys; i++) {
        if (strcmp(names[i], "tag") == 0)
            continue;
        (void)fields_push(f, names[i]);
        settings[*n] = check_setting(f, names[i]);
        lua_pop(L, 1);
        for (size_t j = 0; j < *n; j++)
            if (strcmp(settings[j].name, settings[*n].name) == 0)
                fields_fail(f, names[i], "\"%s\" is given twice, by two of its names",
                            settings[j].name);
        ++*n;
    }
    return settings;
}

int lua_w_set(lua_State *L)
{
    const struct fields f = lua_open_settings(L, CALL_W_SET);
    struct op_options note = lua_step_note(&f);
    size_t n;
    const struct param_setting *settings = read_settings(&f, &n);
    if (!n)
        fields_fail(&f, NULL, "an option and its new value are missing");
    char *json = settings_json(settings, n);
    note.settings = json;
    const int rc = json ? record_mark(lua_recorder(L), &note, OP_SET, script_error(L))
                        : fail(script_error(L), ERR_NO_MEMORY, "out of memory");
    free(json);
    return lua_step_end(&f, rc);
}
