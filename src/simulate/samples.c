/* samples.c - collects the searches of a result. */
#include "src/simulate/samples.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/json.h"
#include "src/base/stats.h"

static bool is_search(const struct result_step *step)
{
    return step->op == OP_SEARCH && step->ok && field_number(step->json, "per_second") > 0 &&
           field_number(step->json, "live") > 0 &&
           field_number(json_object_get(step->json, "latency_ns"), "p50") > 0;
}

/* Adds the quantiles of a histogram, over its median. */
static void add_shape(double shape[SIMULATE_SHAPE], const json_t *counts, double p50_ns)
{
    double all = 0, before = 0;
    size_t i, at = 0;
    const json_t *pair;
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

static void take_step(struct search_samples *s, const struct result_step *of)
{
    const json_t *step = of->json, *latency = json_object_get(step, "latency_ns");
    const double qps = field_number(step, "per_second"), p50_ns = field_number(latency, "p50");
    if (s->n == SAMPLES_MOST)
        return;
    s->tag = s->n ? s->tag : of->tag;
    s->qps[s->n] = qps;
    s->batch[s->n] = fmax(round(qps * field_number(step, "seconds")), 1);
    s->p50_s[s->n] = p50_ns * 1e-9;
    s->p99_s[s->n] = field_number(latency, "p99") * 1e-9;
    s->recall[s->n] = field_number(json_object_get(step, "recall"), "mean");
    s->asked[s->n] = field_number(step, "shards_asked");
    s->bytes[s->n] = field_number(json_object_get(step, "memory"), "index_bytes");
    s->distances[s->n] = field_number(step, "distances");
    add_shape(s->shape, json_object_get(step, "latency_counts"), p50_ns);
    s->n++;
}

/* One per cell: it is measured when an index is made. */
static void take_round_trip(struct search_samples *s, const struct result_cell *cell)
{
    for (size_t i = cell->n; i-- > 0 && s->n_round_trips < SAMPLES_MOST;) {
        const double ns =
            field_number(json_object_get(cell->steps[i].json, "stats"), "round_trip_ns");
        if (ns > 0)
            s->round_trip_s[s->n_round_trips++] = ns * 1e-9;
        if (!isnan(ns))
            return;
    }
}

void samples_take(struct search_samples *s, const struct result *r, const struct result_cell *like,
                  double rows)
{
    *s = (struct search_samples){ .tag = "" };
    for (size_t i = 0; i < r->n; i++) {
        const struct result_cell *cell = &r->cells[i];
        if (cell->name != like->name || !cell->ok)
            continue;
        for (size_t j = 0; j < cell->n; j++)
            if (is_search(&cell->steps[j]) && field_number(cell->steps[j].json, "live") == rows)
                take_step(s, &cell->steps[j]);
        take_round_trip(s, cell);
    }
}

void samples_rows(const struct result *r, const struct result_cell *like,
                  double rows[SIMULATE_LIST], size_t *n)
{
    *n = 0;
    for (size_t i = 0; i < r->n; i++) {
        const struct result_cell *cell = &r->cells[i];
        for (size_t j = 0; cell->name == like->name && cell->ok && j < cell->n; j++) {
            const double live = field_number(cell->steps[j].json, "live");
            size_t at = 0;
            while (at < *n && rows[at] != live)
                at++;
            if (is_search(&cell->steps[j]) && at == *n && *n < SIMULATE_LIST)
                rows[(*n)++] = live;
        }
    }
    qsort(rows, *n, sizeof *rows, stats_by_value);
}
