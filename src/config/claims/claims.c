/* claims.c - reads the keys `paper` and `claims` of experiment { ... }. */
#define _GNU_SOURCE /* qsort_r, strverscmp */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/config/claims/internal.h"

/* Paper */

/* Sorts in the config's order of methods, then by label and metric with numbers in order:
   #1, #2, #10. */
static int by_method(const void *a, const void *b, void *experiment)
{
    const struct paper_value *x = a, *y = b;
    const size_t of_x = lua_method_of(experiment, x->label),
                 of_y = lua_method_of(experiment, y->label);
    if (of_x != of_y)
        return of_x < of_y ? -1 : 1;
    const int label = strverscmp(x->label, y->label);
    return label ? label : strverscmp(x->metric, y->metric);
}

void lua_paper_read(lua_State *L, const struct fields *experiment)
{
    struct experiment *ex = script_of(L)->experiment;
    if (fields_push(experiment, "paper") == LUA_TNIL)
        return;
    if (!lua_istable(L, -1))
        fields_fail(experiment, "paper",
                    "\"paper\" must be { [\"LABEL\"] = { [\"METRIC/TAG\"] = number } }");
    const struct fields labels = { L, lua_gettop(L), "paper", experiment->call,
                                   experiment->depth + 1 };
    size_t n_labels, n_metrics;
    const char **names = fields_names(&labels, &n_labels);
    for (size_t i = 0; i < n_labels; i++) {
        const struct script_place at = fields_place(&labels, names[i]);
        lua_check_label(L, at, "paper", names[i]);
        if (fields_push(&labels, names[i]) != LUA_TTABLE)
            script_fail_at(L, at, ERR_CONFIG,
                           "paper: \"%.60s\" must be { [\"METRIC/TAG\"] = number }", names[i]);
        const struct fields metrics = { L, lua_gettop(L), "paper", at, 0 };
        const char **keys = fields_names(&metrics, &n_metrics);
        for (size_t j = 0; j < n_metrics; j++) {
            lua_check_metric(L, at, "paper", keys[j]);
            ex->paper = script_made(L, realloc(ex->paper, (ex->n_paper + 1) * sizeof *ex->paper));
            ex->paper[ex->n_paper] = (struct paper_value){
                .label = script_keep(L, names[i]),
                .metric = script_keep(L, keys[j]),
                .published = fields_real(&metrics, keys[j], 0, -1e300, 1e300),
                .line = at.line,
            };
            ex->n_paper++;
        }
        lua_pop(L, 2);
    }
    if (ex->n_paper)
        qsort_r(ex->paper, ex->n_paper, sizeof *ex->paper, by_method, ex);
}

/* Claims */

void lua_claims_read(lua_State *L, const struct fields *experiment)
{
    struct experiment *ex = script_of(L)->experiment;
    if (fields_push(experiment, "claims") == LUA_TNIL)
        return;
    const size_t n = lua_istable(L, -1) ? (size_t)lua_rawlen(L, -1) : 0;
    const struct fields list = { L, lua_gettop(L), "claims", experiment->call,
                                 experiment->depth + 1 };
    if (!n)
        fields_fail(experiment, "claims",
                    "\"claims\" must be a list of { \"SENTENCE\", function(r) ... end }");
    fields_only(&list, CALL_LIST, n);
    ex->claims = script_keep_items(L, n, sizeof *ex->claims);
    for (size_t i = 1; i <= n; i++) {
        lua_rawgeti(L, list.at, (lua_Integer)i);
        if (!lua_istable(L, -1) || lua_rawgeti(L, -1, 1) != LUA_TSTRING ||
            lua_rawgeti(L, -2, 2) != LUA_TFUNCTION)
            fields_fail(experiment, "claims",
                        "claim %zu must be { \"SENTENCE\", function(r) ... end }", i);
        lua_Debug ar;
        lua_pushvalue(L, -1);
        lua_getinfo(L, ">S", &ar);
        struct claim *c = &ex->claims[ex->n_claims];
        if (!script_is_plain(lua_tostring(L, -2)))
            fields_fail(experiment, "claims",
                        "claim %zu: its sentence must be UTF-8 without control characters", i);
        c->text = script_keep(L, lua_tostring(L, -2));
        ex->n_claims++;
        c->line = ar.linedefined;
        c->lua_ref = luaL_ref(L, LUA_REGISTRYINDEX);
        lua_pop(L, 2);
    }
}
