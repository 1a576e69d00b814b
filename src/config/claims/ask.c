/* ask.c - decides the claims: calls their functions in a child process. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "src/base/clock.h"
#include "src/config/claims/internal.h"
#include "src/core/mem.h"
#include "src/data/readers/child.h"

/* Processor time of one claim and of all, and the time that they get to end after Ctrl-C. */
#define CLAIM_SECONDS     5.0
#define CLAIMS_SECONDS    60.0
#define TRIAL_SECONDS     1.0 /* to see which names all claims ask for */
#define CLAIM_PATIENCE_NS UINT64_C(500000000)

struct claim_context { /* the claim whose function runs */
    claim_lookup *lookup;
    void *from;
    json_t *values;
    char missed[200]; /* the first result requested that does not exist */
};

/* r(label, metric), as the metamethod __call of r, and r.most(label, metric) where the second upvalue is
   true. */
static int ask_result(lua_State *L)
{
    struct claim_context *a = lua_touserdata(L, lua_upvalueindex(1));
    const bool most = lua_toboolean(L, lua_upvalueindex(2));
    const char *call = most ? "r.most" : "r";
    if (!most)
        lua_remove(L, 1); /* r itself */
    if (lua_type(L, 1) != LUA_TSTRING || lua_type(L, 2) != LUA_TSTRING)
        script_fail(L, ERR_CONFIG,
                    "%s(label, metric) takes two strings, as in %s(\"flat\", \"recall@10/search\")",
                    call, call);
    const char *label = lua_tostring(L, 1), *metric = lua_tostring(L, 2);
    const bool is_first = !*a->missed;
    if (is_first)
        (void)snprintf(a->missed, sizeof a->missed, "\"%s\" of \"%s\"", metric, label);
    lua_check_label(L, script_place(L), call, label);
    lua_check_metric(L, script_place(L), call, metric);
    lua_check_tag(L, script_place(L), call, metric);
    const double value = a->lookup(a->from, label, metric, most);
    if (!isfinite(value))
        script_fail(
            L, ERR_NOT_FOUND,
            "%s: no such result: \"%s\" of \"%s\" (not measured, failed, or another point or tag)",
            call, metric, label);
    if (is_first)
        *a->missed = '\0';
    char key[600];
    (void)snprintf(key, sizeof key, "%s %s", label, metric);
    json_object_set_new(a->values, key, json_real(value));
    lua_pushnumber(L, value);
    return 1;
}

/* Whether the claim is of the publication; those of the config itself begin with "(ours)". */
static bool is_published(const struct experiment *ex, const struct claim *c)
{
    static const char ours[] = "(ours)";
    return ex->publication && strncmp(c->text, ours, sizeof ours - 1) != 0;
}

/* The claim as result.json has it. Takes holds and values; why, or NULL, is the reason
   for a null. */
static json_t *claim_json(const struct experiment *ex, const struct claim *c, json_t *holds,
                          json_t *values, const char *why)
{
    if (why && !script_is_plain(why))
        why = "its function raised an error whose message cannot be printed";
    return json_pack("{s:s, s:o, s:o, s:s?, s:b}", "text", c->text, "holds", holds, "values",
                     values, "why", why, "published", is_published(ex, c));
}

/* Sets err if the function requested a missing result or none at all, even if it
   returned a boolean. */
static void doubt_answer(const struct claim_context *a, const struct claim *c,
                         const struct experiment *ex, struct error *err)
{
    if (!err->code && *a->missed)
        fail(err, ERR_NOT_FOUND, "%s:%d: r: no such result: %s", ex->config_path, c->line,
             a->missed);
    else if (!err->code && !json_object_size(a->values))
        fail(err, ERR_CONFIG,
             "%s:%d: the function asked for no result; call r(label, metric) in it",
             ex->config_path, c->line);
}

/* Sets the function `name` of the table on top: ask_result(). */
static void set_ask(lua_State *L, struct claim_context *a, const char *name)
{
    lua_pushlightuserdata(L, a);
    lua_pushboolean(L, strcmp(name, "most") == 0);
    lua_pushcclosure(L, ask_result, 2);
    lua_setfield(L, -2, name);
}

/* Pushes r: a table that can be called. */
static void push_r(lua_State *L, struct claim_context *a)
{
    lua_createtable(L, 0, 2);
    set_ask(L, a, "most");
    lua_pushlightuserdata(L, a->values);
    lua_pushcclosure(L, lua_ask_ratio, 1);
    lua_setfield(L, -2, "ratio");
    lua_createtable(L, 0, 2);
    set_ask(L, a, "__call");
    lua_pushliteral(L, "r");
    lua_setfield(L, -2, "__metatable");
    lua_setmetatable(L, -2);
}

static json_t *ask_claim(struct experiment *ex, const struct claim *c, struct claim_context *a)
{
    struct script *s = ex->script;
    struct error err = { 0 };
    bool holds = false;
    a->values = json_object();
    *a->missed = '\0';
    lua_rawgeti(s->L, LUA_REGISTRYINDEX, c->lua_ref);
    push_r(s->L, a);
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

/* Sets all claims to null if the command line changed what they are about. Their values stay. */
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
    json_array_foreach(claims, i, claim) {
        json_object_set_new(claim, "holds", json_null());
        json_object_set_new(claim, "why", json_string(list));
    }
    free(list);
}

struct claims_task {
    struct experiment *ex;
    struct claim_context claim;
    uint64_t interrupted_ns; /* when Ctrl-C was first seen; 0: not yet */
};

/* Writes one line of JSON per claim to `out`. Runs in a child: some slow claims stop only with
 * their process, and the results must be written nevertheless. */
static void ask_all(void *context, int out)
{
    struct claims_task *task = context;
    struct experiment *ex = task->ex;
    if (ex->script->seconds_limit > CLAIM_SECONDS)
        ex->script->seconds_limit = CLAIM_SECONDS;
    for (size_t i = 0; i < ex->n_claims; i++) {
        json_t *claim = ask_claim(ex, &ex->claims[i], &task->claim);
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

/* Parses the child's line at *at, and moves *at past it; NULL if there is none. */
static json_t *next_claim(const struct child_process *c, size_t *at)
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

int experiment_claims(struct experiment *ex, claim_lookup *lookup, void *from, json_t **out,
                      struct error *err)
{
    struct claims_task task = { .ex = ex, .claim = { .lookup = lookup, .from = from } };
    struct child_process child = {
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
    mem_free(NULL, child.output);
    take_answers_back(ex, *out);
    return *out ? OK : fail(err, ERR_NO_MEMORY, "out of memory for the claims");
}

/* ---- names in claims, before anything is measured */

static double one(void *from, const char *label, const char *metric, bool most)
{
    (void)from;
    (void)label;
    (void)metric;
    (void)most;
    return 1;
}

/* Writes the error of the first claim that names an unknown label, metric or tag. Claims print when they
   are judged, not here. */
static void try_all(void *context, int out)
{
    struct claims_task *task = context;
    task->ex->script->options->say = NULL;
    for (size_t i = 0; i < task->ex->n_claims; i++) {
        json_t *claim = ask_claim(task->ex, &task->ex->claims[i], &task->claim);
        const char *why = json_string_value(json_object_get(claim, "why"));
        if (*task->claim.missed && why)
            _exit(write(out, why, strlen(why)) < 0);
        json_decref(claim);
    }
}

int script_check_claims(struct script *s, struct error *err)
{
    struct experiment *ex = s->experiment;
    struct claims_task task = { .ex = ex, .claim = { .lookup = one } };
    struct child_process child = {
        .work = try_all, .context = &task, .cpu_s = TRIAL_SECONDS, .tick = claims_tick
    };
    struct error why = { 0 };
    if (ex->n_claims == 0)
        return OK;
    (void)child_run(&child, &why); /* with the values of a run, the same functions may end */
    const int rc = child.output_bytes > 0 ? fail(err, ERR_CONFIG, "%s", child.output) : OK;
    mem_free(NULL, child.output);
    error_clear(&why);
    return rc;
}
