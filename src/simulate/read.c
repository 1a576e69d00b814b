/* read.c - the methods of a result that are measured without shards and in shards. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/json.h"
#include "src/base/stats.h"
#include "src/core/index.h"
#include "src/simulate/samples.h"
#include "src/simulate/simulate.h"

static const char sharded[] = "sharded";

/* ---- which method is in the shards */

/* Whether a value of JSON is what "name=value" of the shards' options gives. */
static bool same_value(const json_t *value, const char *text, size_t n)
{
    char copy[256], *end;
    if (n >= sizeof copy)
        return false;
    memcpy(copy, text, n);
    copy[n] = '\0';
    if (json_is_string(value))
        return !strcmp(json_string_value(value), copy);
    if (json_is_boolean(value))
        return !strcmp(copy, json_is_true(value) ? "true" : "false");
    const double number = strtod(copy, &end);
    return json_is_number(value) && end > copy && !*end && json_number_value(value) == number;
}

/* Whether each of "name=value,name=value" is an option of the method. */
static bool has_options(const json_t *options, const char *list)
{
    for (const char *at = list; *at;) {
        char name[256];
        const size_t n = strcspn(at, ","), length = strcspn(at, "=");
        if (length >= n || length >= sizeof name)
            return false;
        memcpy(name, at, length);
        name[length] = '\0';
        if (!same_value(json_object_get(options, name), at + length + 1, n - length - 1))
            return false;
        at += n + (at[n] == ',');
    }
    return true;
}

/* A result may be anyone's. */
static bool is_sharded(const struct result_cell *cell)
{
    const json_t *params = json_object_get(cell->json, "params");
    const double shards = field_number(params, "shards"), ranks = field_number(params, "ranks");
    return cell->ok && !strcmp(cell->method, sharded) && shards >= 1 &&
           shards <= SIMULATE_SHARDS_MOST && ranks >= 1;
}

/* The cell whose method is in the shards; NULL: none. */
static const struct result_cell *alone_of(const struct result *r, const struct result_cell *cell)
{
    const json_t *params = json_object_get(cell->json, "params"),
                 *knobs = json_object_get(cell->json, "knobs");
    for (const struct result_cell *alone = r->cells; alone < r->cells + r->n; alone++)
        if (alone->ok && strcmp(alone->method, sharded) != 0 &&
            !strcmp(field_text(params, "of", ""), alone->method) &&
            has_options(json_object_get(alone->json, "params"),
                        field_text(params, "of_params", "")) &&
            has_options(json_object_get(alone->json, "knobs"), field_text(knobs, "of_knobs", "")))
            return alone;
    return NULL;
}

/* ---- methods */

/* row_bytes: of a vector. */
static int measure_costs(struct simulate_method *m, const struct result *r,
                         const struct result_cell *alone, double row_bytes, struct error *err)
{
    double rows[SIMULATE_LIST];
    samples_rows(r, alone, rows, &m->curve.n);
    m->curve.at = calloc(m->curve.n + 1, sizeof *m->curve.at);
    struct search_samples *s = malloc(sizeof *s);
    if (!m->curve.at || !s) {
        free(s);
        return fail(err, ERR_NO_MEMORY, "out of memory for the costs of %s", m->name);
    }
    for (size_t i = 0; i < m->curve.n; i++) {
        struct simulate_cost *c = &m->curve.at[i];
        samples_take(s, r, alone, rows[i]);
        c->rows = rows[i];
        c->batch_s = 1 / stats_median(s->qps, s->n);
        c->single_s = stats_median(s->p50_s, s->n);
        c->recall = stats_median(s->recall, s->n);
        c->bytes = stats_median(s->bytes, s->n);
        c->read_per_s = row_bytes * stats_median(s->distances, s->n) / c->batch_s;
        for (size_t j = 0; j < SIMULATE_SHAPE; j++)
            c->shape[j] = s->shape[j] / (double)s->n;
    }
    free(s);
    return OK;
}

static double row_bytes_of(const struct result *r, const struct result_cell *cell)
{
    enum element element = INDEX_F32;
    (void)index_element_named(field_text(cell->json, "element", "f32"), &element);
    return r->dim > 0 ? (double)index_row_bytes(element, (size_t)r->dim) : NAN;
}

/* A query's row, and as many ids of 8 bytes and distances of 4 as neighbours. */
static double bytes_asked(const struct result *r, const struct result_cell *cell)
{
    const double bytes = row_bytes_of(r, cell) + (double)r->k * 12;
    return bytes > 0 ? bytes : 0;
}

static int add_method(struct simulate *out, const struct result *r, const struct result_cell *alone,
                      size_t *number, struct error *err)
{
    for (*number = 0; *number < out->n_methods; ++*number)
        if (out->methods[*number].name == alone->name)
            return OK;
    struct simulate_method *grown = realloc(out->methods, (out->n_methods + 1) * sizeof *grown);
    if (!grown)
        return fail(err, ERR_NO_MEMORY, "out of memory for %zu methods", out->n_methods + 1);
    out->methods = grown;
    struct simulate_method *m = &out->methods[out->n_methods++];
    *m = (struct simulate_method){ .of = alone->method,
                                   .name = alone->name,
                                   .asked_bytes = bytes_asked(r, alone) };
    return measure_costs(m, r, alone, row_bytes_of(r, alone), err);
}

/* ---- runs in shards */

static void fill_run(struct simulate_run *r, struct search_samples *s,
                     const struct result_cell *cell)
{
    const json_t *params = json_object_get(cell->json, "params");
    r->label = cell->label;
    r->tag = s->tag;
    r->shards = field_number(params, "shards");
    r->ranks = fmin(field_number(params, "ranks"), r->shards);
    r->repeats = s->n;
    r->qps = stats_median(s->qps, s->n); /* sorted now */
    r->qps_low = s->qps[0];
    r->qps_high = s->qps[s->n - 1];
    r->p50_s = stats_median(s->p50_s, s->n);
    r->p99_s = stats_median(s->p99_s, s->n);
    r->recall = stats_median(s->recall, s->n);
    r->batch = stats_median(s->batch, s->n);
    const double asked = s->asked[0] / r->shards;
    r->asked = asked > 0 && asked < 1 ? asked : 1;
    r->round_trip_s = s->n_round_trips ? stats_median(s->round_trip_s, s->n_round_trips) : NAN;
}

static int add_runs(struct simulate *out, const struct result *from, const struct result_cell *cell,
                    size_t method, struct error *err)
{
    double rows[SIMULATE_LIST];
    size_t n;
    samples_rows(from, cell, rows, &n);
    struct simulate_run *grown = realloc(out->runs, (out->n_runs + n + 1) * sizeof *grown);
    struct search_samples *s = malloc(sizeof *s);
    if (grown)
        out->runs = grown;
    if (!grown || !s) {
        free(s);
        return fail(err, ERR_NO_MEMORY, "out of memory for %zu runs", out->n_runs + n);
    }
    for (size_t i = 0; i < n; i++) {
        struct simulate_run *r = &out->runs[out->n_runs++];
        samples_take(s, from, cell, rows[i]);
        *r = (struct simulate_run){ .method = method, .rows = rows[i] };
        fill_run(r, s, cell);
    }
    free(s);
    return OK;
}

static bool is_first_repeat(const struct result *r, const struct result_cell *cell)
{
    const struct result_cell *first = r->cells;
    while (first < cell && (!first->ok || first->name != cell->name))
        first++;
    return first == cell;
}

static int by_place(const void *a_of, const void *b_of)
{
    const struct simulate_run *a = a_of, *b = b_of;
    if (a->method != b->method)
        return a->method < b->method ? -1 : 1;
    if (a->ranks != b->ranks)
        return a->ranks < b->ranks ? -1 : 1;
    return a->rows < b->rows ? -1 : a->rows > b->rows;
}

/* ---- all of it */

static int check(const struct simulate *s, const char *name, size_t n_sharded, struct error *err)
{
    if (n_sharded == 0)
        return fail(err, ERR_CONFIG,
                    "%s: no cell of the method sharded has run; a result of "
                    "configs/cluster/scaling.lua has some",
                    name);
    if (s->n_runs == 0)
        return fail(err, ERR_CONFIG,
                    "%s: no method is measured both in shards and without them, with the same "
                    "parameters; add the method alone to the config",
                    name);
    for (size_t i = 0; i < s->n_methods; i++)
        if (s->methods[i].curve.n < 2)
            return fail(err, ERR_CONFIG,
                        "%s: %s without shards is searched at one number of rows only; costs by "
                        "rows need two or more",
                        name, s->methods[i].name);
    return OK;
}

int simulate_read(struct simulate *out, const struct result *result, const char *name,
                  struct error *err)
{
    const json_t *environment = json_object_get(result->json, "environment");
    size_t n_sharded = 0, method;
    int rc = OK;
    *out = (struct simulate){ .cores = field_number(json_object_get(environment, "cpu"), "online"),
                              .memory_bytes = field_number(environment, "memory_bytes") };
    out->cores = out->cores >= 1 ? out->cores : 1;
    for (const struct result_cell *cell = result->cells; !rc && cell < result->cells + result->n;
         cell++) {
        if (!is_sharded(cell) || !is_first_repeat(result, cell))
            continue;
        const struct result_cell *alone = alone_of(result, cell);
        n_sharded++;
        out->unmatched += !alone;
        rc = alone ? add_method(out, result, alone, &method, err) : OK;
        rc = rc || !alone ? rc : add_runs(out, result, cell, method, err);
    }
    rc = rc ? rc : check(out, name, n_sharded, err);
    if (rc)
        return rc;
    qsort(out->runs, out->n_runs, sizeof *out->runs, by_place);
    return OK;
}

void simulate_free(struct simulate *s)
{
    for (size_t i = 0; i < s->n_methods; i++)
        free(s->methods[i].curve.at);
    free(s->methods);
    free(s->runs);
    *s = (struct simulate){ 0 };
}
