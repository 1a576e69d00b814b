/* estimate.c - see estimate.h. */
#include "src/result/estimate.h"

#include <dirent.h>
#include <limits.h>
#include <math.h>
#include <string.h>

#include "src/base/json.h"
#include "src/base/sysinfo.h"
#include "src/core/mem.h"
#include "src/run/replay/session/timing.h"

/* ---- 1. what was measured */

static int add_step(struct result_rates *r, const struct result_rate *of_cell,
                    const struct result_step *of, struct error *err)
{
    const json_t *step = of->json;
    struct result_rate rate = *of_cell;
    const double count = fmax(1, field_number(step, "count")), each = field_number(step, "seconds");
    const double bytes = field_number(json_object_get(step, "memory"), "index_bytes");

    rate.op = of->op;
    rate.live = field_number(step, "live");
    const bool asks = isfinite(field_number(step, "single_per_second"));
    rate.seconds = asks ? 1 / field_number(step, "single_per_second") : each / count;
    rate.batch = asks ? 1e-9 * field_number(step, "ns_each") : NAN;
    if (isfinite(bytes) && rate.live > 0)
        rate.extra_bytes =
            fmax(0, bytes / rate.live - (double)index_row_bytes(rate.element, (size_t)rate.dim));
    if (strcmp(field_text(step, "status", ""), "unsupported") == 0)
        rate.seconds = 0; /* nor will it be done now */
    if (!(rate.seconds >= 0) || json_is_true(json_object_get(step, "shared")))
        return OK;
    if (!mem_grow(NULL, &r->rates, &r->capacity, r->n + 1, sizeof *r->rates))
        return fail(err, ERR_NO_MEMORY, "out of memory for earlier results");
    r->rates[r->n++] = rate;
    return OK;
}

static int add_result(struct result_rates *r, json_t *json, struct error *err)
{
    if (!mem_grow(NULL, &r->results, &r->results_capacity, r->n_results + 1, sizeof *r->results))
        return fail(err, ERR_NO_MEMORY, "out of memory for earlier results");
    struct result *result = &r->results[r->n_results++];
    int rc = result_open(result, json, err);
    for (size_t i = 0; i < result->n; i++) {
        const struct result_cell *cell = &result->cells[i];
        struct result_rate rate = {
            .result = result->name,
            .cell = cell,
            .dim = result->dim,
            .extra_bytes = NAN,
        };
        if (!cell->ok || !(rate.dim > 0) ||
            !index_element_named(field_text(cell->json, "element", ""), &rate.element))
            continue;
        for (size_t s = 0; rc == OK && s < cell->n; s++)
            rc = add_step(r, &rate, &cell->steps[s], err);
    }
    return rc;
}

/* Whether the result was measured on this kind of processor and with this number of threads. */
static bool is_ours(const json_t *result, const json_t *model, size_t threads)
{
    const json_t *cpu = json_object_get(json_object_get(result, "environment"), "cpu");
    const json_t *experiment = json_object_get(result, "experiment");

    return json_equal(json_object_get(cpu, "model"), model) &&
           field_integer(experiment, "threads", 0) == (long long)threads &&
           !json_is_true(json_object_get(json_object_get(result, "run"), "in_process"));
}

int result_rates_read(struct result_rates *r, const char *folder, size_t threads, struct error *err)
{
    DIR *all = opendir(folder);
    json_t *model = sysinfo_cpu_model();
    int rc = OK;

    *r = (struct result_rates){ 0 };
    for (struct dirent *e; rc == OK && all && (e = readdir(all));) {
        char path[PATH_MAX];
        struct error unread = { 0 };

        if (e->d_name[0] == '.' ||
            snprintf(path, sizeof path, "%s/%s/result.json", folder, e->d_name) >= (int)sizeof path)
            continue;
        json_t *result = json_read(path, &unread);
        if (result && is_ours(result, model, threads))
            rc = add_result(r, result, err);
        json_decref(result);
    }
    if (all)
        (void)closedir(all);
    json_decref(model);
    return rc;
}

void result_rates_free(struct result_rates *r)
{
    for (size_t i = 0; i < r->n_results; i++)
        result_close(&r->results[i]);
    mem_free(NULL, r->results);
    mem_free(NULL, r->rates);
    *r = (struct result_rates){ 0 };
}

/* ---- 2. the nearest of them */

/* How far two positive numbers are apart; INFINITY: by more than RESULT_RATE_NEAR. */
static double apart(double a, double b)
{
    const double ratio = fmax(a, 1) / fmax(b, 1);
    const double factor = fmax(ratio, 1 / ratio);

    return factor <= RESULT_RATE_NEAR ? log(factor) : INFINITY;
}

/* NULL: nothing near was measured. Steps with the same params and knobs come first. */
static const struct result_rate *nearest(const struct result_rates *r, const struct op_list *list,
                                         const struct cell *cell, const struct op *op,
                                         const json_t *knobs)
{
    const double other_params = 100, other_knobs = 10;
    const struct result_rate *best = NULL;
    double least = INFINITY;

    for (size_t i = 0; i < r->n; i++) {
        const struct result_rate *at = &r->rates[i];

        if (at->op != op->kind || at->element != cell->element ||
            strcmp(at->cell->method, cell->method->name) != 0)
            continue;
        const double far =
            apart(at->dim, (double)list->dim) + apart(at->live, (double)op->live_after) +
            (json_equal(json_object_get(at->cell->json, "params"), cell->params_json)
                 ? 0
                 : other_params) +
            (!knobs || json_equal(json_object_get(at->cell->json, "knobs"), knobs) ? 0
                                                                                   : other_knobs);
        if (far < least) {
            least = far;
            best = at;
        }
    }
    return best;
}

/* ---- 3. the plan */

/* The time that rows which arrive, and operations which are due, take by themselves; 0: as long as the
   method needs. */
static double paced_seconds(const struct op *op)
{
    const double writers = op->writers > 0 ? (double)op->writers : 1;
    const double last = op->n_due > 0        ? 1e-9 * (double)op->due_ns[op->n_due - 1]
                        : op->seconds > 0    ? op->seconds
                        : !(op->rate > 0)    ? 0
                        : op->operations > 0 ? (double)op->operations / op->rate
                                             : (double)op->n / op->rate / writers;

    return last * (1 + op->alone + (op->find_share > 0));
}

/* Of the passes over queries that take `once`. */
static double passes_seconds(double once, double min_time)
{
    return fmax(once, fmin(min_time, TIMING_PASSES * once));
}

/* NAN: not known. Half of the queries are timed one at a time and half as a batch; those of the batch
   are searched one at a time, too, for recall. */
static double seconds_of(const struct result_rate *rate, const struct op *op, double min_time)
{
    const double paced = paced_seconds(op), n = fmax(1, (double)op->n);

    if (op_info(op->kind)->flags & OP_THREADS)
        return paced > 0 ? paced : NAN;
    if (!rate)
        return NAN;
    if (!isfinite(rate->batch))
        return fmax(paced, n * rate->seconds);
    min_time = op->cold ? 0 : min_time;
    return passes_seconds(n / 2 * rate->seconds, min_time) +
           passes_seconds(n / 2 * rate->batch, min_time) + n / 2 * rate->seconds;
}

static void add_op(struct result_estimate *e, const struct result_rates *r,
                   const struct experiment *x, const struct cell *cell, const struct op *op,
                   const json_t *knobs, const char *used[64])
{
    const struct op_list *list = x->ops;
    const struct result_rate *rate = nearest(r, list, cell, op, knobs);
    const double seconds = seconds_of(rate, op, x->min_time_s);
    size_t at = 0;

    if (isnan(seconds))
        e->unknown++;
    else
        e->seconds += seconds;
    if (!rate)
        return;
    if (op->live_after == list->max_live && isfinite(rate->extra_bytes))
        e->bytes = (double)list->max_live *
                   ((double)index_row_bytes(cell->element, list->dim) + rate->extra_bytes);
    while (at < e->results && strcmp(used[at], rate->result) != 0)
        at++;
    if (at == e->results && at < 64)
        used[e->results++] = rate->result;
    e->first = used[0];
}

void result_estimate(const struct result_rates *r, const struct plan *plan,
                     const struct experiment *x, const struct method_spec *method,
                     struct result_estimate *e)
{
    const struct op_list *list = x->ops;
    const char *used[64];

    *e = (struct result_estimate){ .bytes = NAN };
    for (size_t i = 0; i < plan->n; i++) {
        const struct cell *cell = &plan->cells[i];

        if (cell->method != method)
            continue;
        e->cells++;
        for (size_t o = 0; o < list->n && !cell->unsupported; o++) {
            const struct op *op = &list->ops[o];
            const unsigned flags = op_info(op->kind)->flags;

            if (!(flags & (OP_COMPARED | OP_THREADS)) && op->kind != OP_RECOVER)
                continue;
            for (size_t p = 0; p < (flags & OP_AT_POINTS ? cell->n_points : 1); p++)
                add_op(e, r, x, cell, op, flags & OP_AT_POINTS ? cell->points[p].knobs_json : NULL,
                       used);
        }
    }
}
