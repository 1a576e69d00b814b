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
    char missed[200]; /* "METRIC of LABEL": the first result that was asked for and is not there */
};

/* r(label, metric) */
static int ask_result(lua_State *L)
{
    struct asking *a = lua_touserdata(L, lua_upvalueindex(1));
    if (lua_type(L, 1) != LUA_TSTRING || lua_type(L, 2) != LUA_TSTRING)
        script_fail(L, ERR_CONFIG,
                    "r(label, metric) takes two texts, as in r(\"flat\", \"recall@10/search\")");
    const char *label = lua_tostring(L, 1), *metric = lua_tostring(L, 2);
    const double value = a->lookup(a->from, label, metric);
    if (!isfinite(value)) {
        if (!*a->missed)
            (void)snprintf(a->missed, sizeof a->missed, "\"%s\" of \"%s\"", metric, label);
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

/* The mark of a config's own claims where the others are a publication's. */
static bool is_published(const struct experiment *ex, const struct claim *c)
{
    static const char ours[] = "(ours)";
    return ex->publication && strncmp(c->text, ours, sizeof ours - 1) != 0;
}

/* What the report gets of a claim: its values, and whether it holds or why that is not known. */
static json_t *claim_json(const struct experiment *ex, const struct claim *c, json_t *holds,
                          json_t *values, const char *why)
{
    if (why && !script_is_plain(why))
        why = "its function raised an error of unprintable text";
    return json_pack("{s:s, s:o, s:o, s:s?, s:b}", "text", c->text, "holds", holds, "values",
                     values, "why", why, "published", is_published(ex, c));
}

/* Why the answer of a claim's function says nothing; err is empty where it gave one. */
static void doubt_answer(const struct asking *a, const struct claim *c, const struct experiment *ex,
                         struct error *err)
{
    if (!err->code && *a->missed)
        fail(err, ERR_NOT_FOUND, "%s:%d: r: no such result: %s", ex->config_path, c->line,
             a->missed);
    else if (!err->code && !json_object_size(a->values))
        fail(err, ERR_CONFIG, "%s:%d: its function asked for no result: r(label, metric)",
             ex->config_path, c->line);
}

static json_t *ask_claim(struct experiment *ex, const struct claim *c, struct asking *a)
{
    struct script *s = ex->script;
    struct error err = { 0 };
    bool holds = false;
    a->values = json_object();
    *a->missed = '\0';
    lua_rawgeti(s->L, LUA_REGISTRYINDEX, c->lua_ref);
    lua_pushlightuserdata(s->L, a);
    lua_pushcclosure(s->L, ask_result, 1);
    lua_ratio_wrap(s->L, a->values);
    if (!script_call(s, 1, 1, &err)) {
        holds = lua_toboolean(s->L, -1);
        if (!lua_isboolean(s->L, -1))
            fail(&err, ERR_CONFIG, "%s:%d: a claim's function must return true or false, not %s",
                 ex->config_path, c->line, luaL_typename(s->L, -1));
        lua_pop(s->L, 1);
    }
    doubt_answer(a, c, ex, &err);
    json_t *claim = claim_json(ex, c, err.code ? json_null() : json_boolean(holds), a->values,
                               err.code ? err.text : NULL);
    error_clear(&err);
    return claim;
}

json_t *experiment_claims_unasked(const struct experiment *ex, const char *why)
{
    json_t *claims = json_array();
    for (size_t i = 0; i < ex->n_claims; i++)
        json_array_append_new(claims,
                              claim_json(ex, &ex->claims[i], json_null(), json_object(), why));
    return claims;
}

/* What a run of other sizes found is no answer to a claim about the config's own; its numbers are
   shown all the same. */
static void take_answers_back(const struct experiment *ex, json_t *claims)
{
    char *list = NULL;
    size_t bytes, i;
    json_t *item, *claim;
    FILE *out = json_array_size(ex->changed) ? open_memstream(&list, &bytes) : NULL;
    if (!out)
        return;
    fputs("not the run that the config describes: ", out);
    json_array_foreach(ex->changed, i, item)
        fprintf(out, "%s%s", i ? ", " : "", json_string_value(item));
    (void)fclose(out);
    json_array_foreach(claims, i, claim)
    {
        json_object_set_new(claim, "holds", json_null());
        json_object_set_new(claim, "why", json_string(list));
    }
    free(list);
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
    struct claims_task task = { .ex = ex, .asking = { .lookup = lookup, .from = from } };
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
            claim = claim_json(ex, &ex->claims[i], json_null(), json_object(), unasked.text);
        }
        if (json_array_append_new(*out, claim)) {
            json_decref(*out);
            *out = NULL;
        }
    }
    free(child.output);
    take_answers_back(ex, *out);
    return *out ? OK : fail(err, ERR_NO_MEMORY, "out of memory for the claims");
}
