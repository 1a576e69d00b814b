/* synthetic.c - synthetic { kind = ... }: generated rows. */
#include <stdio.h>
#include <string.h>

#include "src/config/data/internal.h"
#include "src/config/script/fields.h"
#include "src/core/append_text.h"
#include "src/data/synthetic/synthetic.h"

static void set_synthetic(const struct fields *f, enum synthetic_kind kind,
                          struct synthetic_params *params)
{
    lua_State *L = f->L;
    const struct param *table = synthetic_types[kind].table;
    size_t n;
    const char **names = fields_names(f, &n);
    char owner[80];
    (void)snprintf(owner, sizeof owner, "kind \"%s\"", synthetic_types[kind].name);
    for (size_t i = 0; i < n; i++) {
        if (lua_has_key(CALL_SYNTHETIC, names[i]))
            continue;
        const int type = fields_push(f, names[i]);
        struct error err = { 0 };
        const struct param_value value = { .kind = VALUE_NUMBER, .number = lua_tonumber(L, -1) };
        if (type != LUA_TNUMBER && param_find(table, names[i]))
            fail(&err, ERR_CONFIG, "\"%s\" must be a number, not %s", names[i],
                 script_shown(L, -1));
        else
            (void)param_set(table, params, names[i], value, owner, &err);
        if (err.code)
            script_fail_at(L, fields_place(f, names[i]), err.code, "%s: %s", f->what, err.text);
        lua_pop(L, 1);
    }
}

/* "synthetic mixture rows=1000 dim=16 seed=1" */
static void synthetic_title(enum synthetic_kind kind, const struct synthetic_params *params,
                            uint64_t seed, char *text, size_t bytes)
{
    (void)snprintf(text, bytes, "synthetic %s", synthetic_types[kind].name);
    for (const struct param *p = synthetic_types[kind].table; p->name; p++) {
        char scratch[PARAM_TEXT_BYTES];
        const struct param_value v = param_get(p, params, scratch);
        if (v.number != p->def || !strcmp(p->name, "rows") || !strcmp(p->name, "dim"))
            append_text(text, bytes, " ", "%s=%.10g", p->name, v.number);
    }
    append_text(text, bytes, " ", "seed=%llu", (unsigned long long)seed);
}

int lua_synthetic(lua_State *L)
{
    const struct fields f = fields_open(L, 1, "synthetic");
    const char *names[SYNTHETIC_KINDS + 1] = { NULL };
    for (int i = 0; i < SYNTHETIC_KINDS; i++)
        names[i] = synthetic_types[i].name;
    const int chosen = fields_choice(&f, "kind", -1, names);
    if (chosen < 0)
        fields_fail(&f, NULL, "kind = ... is missing%s",
                    script_hint(L, "", names, SYNTHETIC_KINDS));
    const enum synthetic_kind kind = (enum synthetic_kind)chosen;
    struct synthetic_params params = { 0 };
    param_defaults(synthetic_types[kind].table, &params);
    set_synthetic(&f, kind, &params);
    if (!fields_has(&f, "latent") && params.latent > params.dim)
        params.latent = params.dim; /* the default may exceed a small dim */
    const uint64_t seed = fields_count(&f, "seed", 1, 0, INT64_MAX);
    const bool codes = kind == SYNTHETIC_UNIFORM || kind == SYNTHETIC_CODES;
    const int metric = fields_choice(&f, "metric",
                                     codes                      ? INDEX_HAMMING
                                     : kind == SYNTHETIC_SPHERE ? INDEX_COS
                                                                : INDEX_L2SQ,
                                     index_metric_names);
    char title[300];
    synthetic_title(kind, &params, seed, title, sizeof title);
    struct source *source = NULL;
    if (synthetic_open(kind, &params, seed, &source, script_error(L)))
        script_raise(L, f.call, f.what);
    lua_source_keep(L, source, title, "", "");
    struct data_set *set = lua_set_new(L, title);
    set->base = source;
    set->metric = (enum metric)metric;
    set->synthetic = true;
    set->seed = seed;
    lua_set_push(L, set);
    return 1;
}
