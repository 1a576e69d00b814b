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
    bool trial; /* before anything is measured, to see which names the claims ask for */
    struct claim_context claim;
    uint64_t interrupted_ns; /* when Ctrl-C was first seen; 0: not yet */
};

/* Writes one line of JSON per claim to `out`; in a trial only those that asked for a name that there is
   not. Runs in a child: some slow claims stop only with their process, and the results must be written
   nevertheless. */
static void ask_all(void *context, int out)
{
    struct claims_task *task = context;
    struct script *s = task->ex->script;
    if (task->trial)
        s->options->say = NULL; /* claims print when they are judged */
    else if (s->seconds_limit > CLAIM_SECONDS)
        s->seconds_limit = CLAIM_SECONDS;
    for (size_t i = 0; i < task->ex->n_claims; i++) {
        json_t *claim = ask_claim(task->ex, &task->ex->claims[i], &task->claim);
        if (!claim)
            _exit(1);
        if ((!task->trial || *task->claim.missed) &&
            (json_dumpfd(claim, out, JSON_COMPACT) || write(out, "\n", 1) != 1))
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

/* Asks the claims in a child. Returns an array of what it had written when it ended, for the reason that
   `why` gets; NULL if out of memory. */
static json_t *run_claims(struct claims_task *task, struct error *why)
{
    struct child_process child = { .work = ask_all,
                                   .context = task,
                                   .cpu_s = task->trial ? TRIAL_SECONDS : CLAIMS_SECONDS,
                                   .tick = claims_tick };
    json_t *claims = json_array();
    if (task->ex->n_claims)
        (void)child_run(&child, why);
    const char *line = child.output, *end = line ? line + child.output_bytes : NULL;
    for (const char *stop; line && (stop = memchr(line, '\n', (size_t)(end - line)));
         line = stop + 1)
        json_array_append_new(claims, json_loadb(line, (size_t)(stop - line), 0, NULL));
    mem_free(NULL, child.output);
    return claims;
}

int experiment_claims(struct experiment *ex, claim_lookup *lookup, void *from, json_t **out,
                      struct error *err)
{
    struct claims_task task = { .ex = ex, .claim = { .lookup = lookup, .from = from } };
    struct error why = { 0 };
    *out = run_claims(&task, &why);
    for (size_t i = json_array_size(*out); *out && i < ex->n_claims; i++) {
        struct error unasked = { 0 };
        fail(&unasked, ERR_CONFIG, "%s:%d: not known: asking the claims %s", ex->config_path,
             ex->claims[i].line, why.text);
        if (json_array_append_new(
                *out, claim_json(ex, &ex->claims[i], json_null(), json_object(), unasked.text))) {
            json_decref(*out);
            *out = NULL;
        }
    }
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

int script_check_claims(struct script *s, struct error *err)
{
    struct claims_task task = { .ex = s->experiment, .trial = true, .claim = { .lookup = one } };
    struct error why = { 0 }; /* with the values of a run, the same functions may end */
    json_t *claims = run_claims(&task, &why);
    const char *first = json_string_value(json_object_get(json_array_get(claims, 0), "why"));
    const int rc = first ? fail(err, ERR_CONFIG, "%s", first) : OK;
    json_decref(claims);
    error_clear(&why);
    return rc;
}
