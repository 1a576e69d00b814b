/* read.c - the methods of a result that are measured without shards and in shards. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/json.h"
#include "src/base/stats.h"
#include "src/core/index.h"
#include "src/core/mem.h"
#include "src/core/order.h"
#include "src/simulate/simulate.h"

static const char sharded[] = "sharded";

/* ---- which method is in the shards */

/* Whether each of "name=value,name=value", as a plan writes it, is an option of the method. */
static bool has_options(const json_t *options, const char *list)
{
    for (const char *at = list; *at;) {
        char name[256], value[256];
        const size_t n = strcspn(at, ","), length = strcspn(at, "=");
        if (length >= n || length >= sizeof name)
            return false;
        memcpy(name, at, length);
        name[length] = '\0';
        const json_t *option = json_object_get(options, name);
        json_value_text(option, value, sizeof value);
        if (!option || strlen(value) != n - length - 1 ||
            strncmp(at + length + 1, value, n - length - 1) != 0)
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

/* ---- searches */

/* Those of LABEL[point] at one number of live rows: of all repeats and seeds, the first RUNS_MOST.
   */
struct searches {
    const struct result_step *step[SIMULATE_RUNS_MOST];
    /* Of the index, as reported last before the search; NAN: never. */
    double bytes[SIMULATE_RUNS_MOST];
    size_t n;
    double round_trip_s; /* median over the cells; NAN: none */
};

static bool is_search(const struct result_step *step)
{
    return step->op == OP_SEARCH && step->ok && field_number(step->json, "per_second") > 0 &&
           field_number(step->json, "live") > 0 &&
           field_number(json_object_get(step->json, "latency_ns"), "p50") > 0;
}

/* The different numbers of rows at which cells of this name are searched, ascending; *n of at most
   SIMULATE_LIST. */
static void find_rows(const struct result *r, const char *name, double rows[SIMULATE_LIST],
                      size_t *n)
{
    *n = 0;
    for (size_t i = 0; i < r->n; i++) {
        const struct result_cell *cell = &r->cells[i];
        for (size_t j = 0; cell->name == name && cell->ok && j < cell->n; j++) {
            const double live = field_number(cell->steps[j].json, "live");
            size_t at = 0;
            while (at < *n && rows[at] != live)
                at++;
            if (is_search(&cell->steps[j]) && at == *n && *n < SIMULATE_LIST)
                rows[(*n)++] = live;
        }
    }
    qsort(rows, *n, sizeof *rows, order_f64);
}

static struct searches find_searches(const struct result *r, const char *name, double rows)
{
    struct searches s = { .n = 0 };
    double round_trip_s[SIMULATE_RUNS_MOST];
    size_t n = 0;
    for (size_t i = 0; i < r->n; i++) {
        const struct result_cell *cell = &r->cells[i];
        /* Of the last step that has it: it is measured when an index is made, and changed. */
        double ns = NAN, bytes = NAN;
        for (size_t j = 0; cell->name == name && cell->ok && j < cell->n; j++) {
            const json_t *step = cell->steps[j].json;
            const double now = field_number(json_object_get(step, "stats"), "round_trip_ns"),
                         held = field_number(json_object_get(step, "memory"), "index_bytes");
            ns = isnan(now) ? ns : now;
            bytes = isnan(held) ? bytes : held;
            if (is_search(&cell->steps[j]) && field_number(step, "live") == rows &&
                s.n < SIMULATE_RUNS_MOST) {
                s.bytes[s.n] = bytes;
                s.step[s.n++] = &cell->steps[j];
            }
        }
        if (ns > 0 && n < SIMULATE_RUNS_MOST)
            round_trip_s[n++] = ns * 1e-9;
    }
    s.round_trip_s = n ? stats_median(round_trip_s, n) : NAN;
    return s;
}

/* The median of a field of the steps or of an object of theirs; the values are sorted then. */
static double median_of(const struct searches *s, const char *object, const char *field,
                        double scale, double values[SIMULATE_RUNS_MOST])
{
    for (size_t i = 0; i < s->n; i++) {
        const json_t *step = s->step[i]->json;
        values[i] = scale * field_number(object ? json_object_get(step, object) : step, field);
    }
    return stats_median(values, s->n);
}

/* Adds the quantiles of the step's latencies, over their median. */
static void add_shape(double shape[SIMULATE_SHAPE], const json_t *step)
{
    const double p50_ns = field_number(json_object_get(step, "latency_ns"), "p50");
    const json_t *counts = json_object_get(step, "latency_counts"), *pair;
    double all = 0, before = 0;
    size_t i, at = 0;
    json_array_foreach(counts, i, pair)
        all += json_number_value(json_array_get(pair, 1));
    json_array_foreach(counts, i, pair) {
        before += json_number_value(json_array_get(pair, 1));
        for (; at < SIMULATE_SHAPE && before >= all * ((double)at + .5) / SIMULATE_SHAPE; at++)
            shape[at] += json_number_value(json_array_get(pair, 0)) / p50_ns;
    }
    for (; at < SIMULATE_SHAPE; at++) /* without a histogram, all take the median */
        shape[at] += 1;
}

/* ---- methods */

/* row_bytes: of a vector. */
static int measure_costs(struct simulate_method *m, const struct result *r, double row_bytes,
                         struct error *err)
{
    double rows[SIMULATE_LIST], values[SIMULATE_RUNS_MOST];
    find_rows(r, m->name, rows, &m->curve.n);
    m->curve.at = calloc(m->curve.n + 1, sizeof *m->curve.at);
    if (!m->curve.at)
        return fail(err, ERR_NO_MEMORY, "out of memory for the costs of %s", m->name);
    for (size_t i = 0; i < m->curve.n; i++) {
        struct simulate_cost *c = &m->curve.at[i];
        struct searches s = find_searches(r, m->name, rows[i]);
        c->rows = rows[i];
        c->batch_s = 1 / median_of(&s, NULL, "per_second", 1, values);
        c->single_s = median_of(&s, "latency_ns", "p50", 1e-9, values);
        c->recall = median_of(&s, "recall", "mean", 1, values);
        c->bytes = stats_median(s.bytes, s.n);
        c->read_per_s = row_bytes * median_of(&s, NULL, "distances", 1, values) / c->batch_s;
        for (size_t j = 0; j < s.n; j++)
            add_shape(c->shape, s.step[j]->json);
        for (size_t j = 0; j < SIMULATE_SHAPE; j++)
            c->shape[j] /= (double)s.n;
    }
    return OK;
}

static int add_method(struct simulate *out, const struct result *r, const struct result_cell *alone,
                      size_t *number, struct error *err)
{
    enum element element = INDEX_F32;
    (void)index_element_named(field_text(alone->json, "element", "f32"), &element);
    const double row_bytes = r->dim > 0 ? (double)index_row_bytes(element, (size_t)r->dim) : NAN;
    for (*number = 0; *number < out->n_methods; ++*number)
        if (out->methods[*number].name == alone->name)
            return OK;
    if (!mem_fit(NULL, &out->methods, out->n_methods + 1, sizeof *out->methods))
        return fail(err, ERR_NO_MEMORY, "out of memory for %zu methods", out->n_methods + 1);
    struct simulate_method *m = &out->methods[out->n_methods++];
    *m = (struct simulate_method){
        .of = alone->method,
        .name = alone->name,
        /* a row, and as many ids of 8 bytes and distances of 4 as neighbours */
        .asked_bytes = fmax(row_bytes + (double)r->k * 12, 0)
    };
    return measure_costs(m, r, row_bytes, err);
}

/* ---- runs in shards */

static void fill_run(struct simulate_run *run, const struct result *r,
                     const struct result_cell *cell)
{
    const json_t *params = json_object_get(cell->json, "params");
    const struct searches s = find_searches(r, cell->name, run->rows);
    double values[SIMULATE_RUNS_MOST];
    run->label = cell->label;
    run->tag = s.step[0]->tag;
    run->shards = field_number(params, "shards");
    run->ranks = fmin(field_number(params, "ranks"), run->shards);
    run->repeats = s.n;
    run->qps = median_of(&s, NULL, "per_second", 1, values);
    run->qps_low = values[0];
    run->qps_high = values[s.n - 1];
    run->p50_s = median_of(&s, "latency_ns", "p50", 1e-9, values);
    run->p99_s = median_of(&s, "latency_ns", "p99", 1e-9, values);
    run->recall = median_of(&s, "recall", "mean", 1, values);
    for (size_t i = 0; i < s.n; i++)
        values[i] = fmax(round(field_number(s.step[i]->json, "per_second") *
                               field_number(s.step[i]->json, "seconds")),
                         1);
    run->batch = stats_median(values, s.n);
    const double asked = field_number(s.step[0]->json, "shards_asked") / run->shards;
    run->asked = asked > 0 && asked < 1 ? asked : 1;
    run->round_trip_s = s.round_trip_s;
}

static int add_runs(struct simulate *out, const struct result *from, const struct result_cell *cell,
                    size_t method, struct error *err)
{
    double rows[SIMULATE_LIST];
    size_t n;
    find_rows(from, cell->name, rows, &n);
    if (!mem_fit(NULL, &out->runs, out->n_runs + n + 1, sizeof *out->runs))
        return fail(err, ERR_NO_MEMORY, "out of memory for %zu runs", out->n_runs + n);
    for (size_t i = 0; i < n; i++) {
        struct simulate_run *r = &out->runs[out->n_runs++];
        *r = (struct simulate_run){ .method = method, .rows = rows[i] };
        fill_run(r, from, cell);
    }
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

struct simulate_machine simulate_machine_of(const struct simulate *s)
{
    return (struct simulate_machine){ s->cores, INFINITY, 0, INFINITY, s->memory_bytes };
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
    mem_free(NULL, s->methods);
    mem_free(NULL, s->runs);
    *s = (struct simulate){ 0 };
}
