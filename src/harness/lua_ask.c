/* lua_ask.c - claims: each one's function is asked whether it holds, in a child process. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "data/child.h"
#include "harness/clock.h"
#include "harness/lua_script.h"

/* Processor time of one claim and of all; how long they may go on after Ctrl-C. */
#define CLAIM_SECONDS     5.0
#define CLAIMS_SECONDS    60.0
#define CLAIM_PATIENCE_NS UINT64_C(500000000)

struct asking { /* one claim, while its function runs */
    double (*lookup)(void *from, const char *label, const char *metric);
    void *from;
    json_t *values;
};

/* r(label, metric) */
static int ask_result(lua_State *L)
{
    const struct asking *a = lua_touserdata(L, lua_upvalueindex(1));
    if (lua_type(L, 1) != LUA_TSTRING || lua_type(L, 2) != LUA_TSTRING)
        script_fail(L, ERR_CONFIG,
                    "r(label, metric) takes two texts, as in r(\"flat\", \"recall@10/search\")");
    const char *label = lua_tostring(L, 1), *metric = lua_tostring(L, 2);
    const double value = a->lookup(a->from, label, metric);
    if (isnan(value)) {
        lua_check_label(L, script_place(L), "r", label);
        lua_check_metric(L, script_place(L), "r", metric);
        script_fail(
            L, ERR_NOT_FOUND,
            "r: no such result: \"%s\" of \"%s\" (not measured, failed, or another point or tag)",
            metric, label);
    }
    char key[600];
    (void)snprintf(key, sizeof key, "%s %s", label, metric);
    json_object_set_new(a->values, key, json_real(value));
    lua_pushnumber(L, value);
    return 1;
}

/* What the report gets of a claim: its values, and whether it holds or why that is not known. */
static json_t *claim_json(const struct claim *c, json_t *holds, json_t *values,
                          const struct error *err)
{
    json_t *claim = json_pack("{s:s, s:o, s:o}", "text", c->text, "holds", holds, "values", values);
    if (claim && err->code)
        json_object_set_new(claim, "error",
                            json_string(script_is_plain(err->text)
                                            ? err->text
                                            : "its function raised an error of unprintable text"));
    return claim;
}

static json_t *ask_claim(struct experiment *ex, const struct claim *c, struct asking *a)
{
    struct script *s = ex->script;
    struct error err = { 0 };
    a->values = json_object();
    lua_rawgeti(s->L, LUA_REGISTRYINDEX, c->lua_ref);
    lua_pushlightuserdata(s->L, a);
    lua_pushcclosure(s->L, ask_result, 1);
    lua_ratio_wrap(s->L, a->values);
    json_t *holds = json_null();
    if (!script_call(s, 1, 1, &err)) {
        if (lua_isboolean(s->L, -1))
            holds = json_boolean(lua_toboolean(s->L, -1));
        else
            fail(&err, ERR_CONFIG, "%s:%d: a claim's function must return true or false, not %s",
                 ex->config_path, c->line, luaL_typename(s->L, -1));
        lua_pop(s->L, 1);
    }
    return claim_json(c, holds, a->values, &err);
}

struct claims_task {
    struct experiment *ex;
    struct asking asking;
    uint64_t interrupted_ns; /* when Ctrl-C was seen */
};

/* In a child: a claim can be slow in ways that only the end of its process stops, and results must
 * be written. */
static void ask_all(void *context, int out)
{
    struct claims_task *task = context;
    struct experiment *ex = task->ex;
    if (ex->script->seconds_limit > CLAIM_SECONDS)
        ex->script->seconds_limit = CLAIM_SECONDS;
    for (size_t i = 0; i < ex->n_claims; i++) {
        json_t *claim = ask_claim(ex, &ex->claims[i], &task->asking);
        if (!claim || json_dumpfd(claim, out, JSON_COMPACT) || write(out, "\n", 1) != 1)
            _exit(1);
        json_decref(claim);
    }
}

static int claims_tick(void *context)
{
    struct claims_task *task = context;
    const volatile int *interrupted = task->ex->script->options->interrupted;
    if (!interrupted || !*interrupted)
        return 0;
    const uint64_t now_ns = clock_ns();
    if (!task->interrupted_ns)
        task->interrupted_ns = now_ns;
    return now_ns - task->interrupted_ns > CLAIM_PATIENCE_NS;
}

/* The next line that the child wrote, or NULL; *at moves past it. */
static json_t *next_claim(const struct child *c, size_t *at)
{
    if (!c->output)
        return NULL;
    const char *line = c->output + *at;
    const char *end = memchr(line, '\n', c->output_bytes - *at);
    if (!end)
        return NULL;
    *at += (size_t)(end - line) + 1;
    return json_loadb(line, (size_t)(end - line), 0, NULL);
}

int experiment_claims(struct experiment *ex,
                      double (*lookup)(void *from, const char *label, const char *metric),
                      void *from, json_t **out, struct error *err)
{
    struct claims_task task = { .ex = ex, .asking = { lookup, from, NULL } };
    struct child child = {
        .work = ask_all, .context = &task, .cpu_s = CLAIMS_SECONDS, .tick = claims_tick
    };
    struct error why = { 0 };
    size_t at = 0;
    *out = json_array();
    if (ex->n_claims)
        (void)child_run(&child, &why);
    for (size_t i = 0; *out && i < ex->n_claims; i++) {
        json_t *claim = next_claim(&child, &at);
        if (!claim) {
            struct error unasked = { 0 };
            fail(&unasked, ERR_CONFIG, "%s:%d: not known: asking the claims %s", ex->config_path,
                 ex->claims[i].line, why.text);
            claim = claim_json(&ex->claims[i], json_null(), json_object(), &unasked);
        }
        if (json_array_append_new(*out, claim)) {
            json_decref(*out);
            *out = NULL;
        }
    }
    free(child.output);
    return *out ? OK : fail(err, ERR_NO_MEMORY, "out of memory for the claims");
}
