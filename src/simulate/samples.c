/* samples.c - collects the searches of a result. */
#include "src/simulate/samples.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/json.h"
#include "src/base/stats.h"

bool samples_same(const json_t *a, const json_t *b)
{
    return !strcmp(field_text(a, "label", ""), field_text(b, "label", "")) &&
           !strcmp(field_text(a, "point", ""), field_text(b, "point", ""));
}

double samples_median(double *values, size_t n)
{
    return stats_median(values, n);
}

static bool is_search(const json_t *step)
{
    return !strcmp(field_text(step, "op", ""), "search") &&
           !strcmp(field_text(step, "status", ""), "ok") && field_number(step, "per_second") > 0 &&
           field_number(step, "live") > 0 &&
           field_number(json_object_get(step, "latency_ns"), "p50") > 0;
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

static void take_step(struct search_samples *s, const json_t *step)
{
    const json_t *latency = json_object_get(step, "latency_ns");
    const double qps = field_number(step, "per_second"), p50_ns = field_number(latency, "p50");
    if (s->n == SAMPLES_MOST)
        return;
    s->tag = s->n ? s->tag : field_text(step, "tag", "");
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
static void take_round_trip(struct search_samples *s, const json_t *steps)
{
    for (size_t i = json_array_size(steps); i-- > 0 && s->n_round_trips < SAMPLES_MOST;) {
        const double ns =
            field_number(json_object_get(json_array_get(steps, i), "stats"), "round_trip_ns");
        if (ns > 0)
            s->round_trip_s[s->n_round_trips++] = ns * 1e-9;
        if (!isnan(ns))
            return;
    }
}

void samples_take(struct search_samples *s, const json_t *cells, const json_t *like, double rows)
{
    size_t i, j;
    const json_t *cell, *step;
    *s = (struct search_samples){ .tag = "" };
    json_array_foreach(cells, i, cell) {
        const json_t *steps = json_object_get(cell, "steps");
        if (!samples_same(cell, like) || strcmp(field_text(cell, "status", ""), "ok") != 0)
            continue;
        json_array_foreach(steps, j, step)
            if (is_search(step) && field_number(step, "live") == rows)
                take_step(s, step);
        take_round_trip(s, steps);
    }
}

void samples_rows(const json_t *cells, const json_t *like, double rows[SIMULATE_LIST], size_t *n)
{
    size_t i, j, at;
    const json_t *cell, *step;
    *n = 0;
    json_array_foreach(cells, i, cell) {
        if (!samples_same(cell, like) || strcmp(field_text(cell, "status", ""), "ok") != 0)
            continue;
        json_array_foreach(json_object_get(cell, "steps"), j, step) {
            const double live = field_number(step, "live");
            for (at = 0; at < *n && rows[at] != live;)
                at++;
            if (is_search(step) && at == *n && *n < SIMULATE_LIST)
                rows[(*n)++] = live;
        }
    }
    qsort(rows, *n, sizeof *rows, stats_by_value);
}
