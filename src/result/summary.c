/* summary.c - see summary.h. */
#include "src/result/summary.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/json.h"
#include "src/base/result_metrics.h"
#include "src/base/stats.h"
#include "src/core/mem.h"
#include "src/result/lookup.h"
#include "src/result/series.h"

/* A series of more than LONG_SERIES steps, as in a runbook, has no entries per step for method
   statistics, memory parts and RATE@recall. Such entries would make the summary ten times as large
   as the cells. */
enum { NAME_BYTES = 400, LONG_SERIES = 100 };

/* ---- 1. the metrics of one cell: name -> [sum, weight, is it a rate, is it noisy] */

/* How the values of several steps become one: a rate is all their counts over all their seconds;
   what is measured for each query or row is weighted by their number, for the same reason; anything
   else is the mean over the steps. */
enum kind { MEAN, PER_ITEM, RATE };

static enum kind kind_of(const struct result_metric *m)
{
    static const char *const per_item[] = { "ns_each", "mean_ns",    "distances",   "estimates",
                                            "scanned", "bytes_read", "shards_asked" };

    for (size_t i = 0; i < sizeof per_item / sizeof *per_item; i++)
        if (strcmp(m->name, per_item[i]) == 0)
            return PER_ITEM;
    return m->unit == UNIT_PER_SECOND ? RATE : MEAN;
}

/* Whether an interval is wider than a tenth of its middle. */
static bool is_wide(double low, double high)
{
    return high - low > .1 * (low + high) / 2;
}

/* Whether the passes of a timing differ by more than a tenth, or waited a tenth of their time for a
   processor. */
static bool is_noisy(const json_t *timing)
{
    static const char *const intervals[] = { "per_second", "p50_ns" };
    const double most_waited = .1;
    bool noisy = field_number(timing, "waited") > most_waited;

    for (size_t i = 0; i < sizeof intervals / sizeof *intervals; i++) {
        const json_t *at = json_object_get(timing, intervals[i]);

        noisy |= is_wide(json_number_value(json_array_get(at, 0)),
                         json_number_value(json_array_get(at, 1)));
    }
    return noisy;
}

/* Whether a metric is of queries one at a time; other times are of a batch. */
static bool is_of_single(const struct result_metric *m)
{
    return strcmp(m->name, "single_qps") == 0 ||
           (m->object && strcmp(m->object, "latency_ns") == 0);
}

/* Where a metric of a step goes: METRIC/TAG, and METRIC/TAG#number if the tag repeats (number > 0).
   count: rows or queries of the step. */
struct place {
    json_t *metrics;
    const char *tag;
    size_t number;
    double count;
    bool noisy; /* the next metrics are, too */
};

static void add_value(json_t *metrics, const char *name, double weighted, double weight, bool rate,
                      bool noisy)
{
    json_t *entry = json_object_get(metrics, name);
    const double sum = weighted + (entry ? json_number_value(json_array_get(entry, 0)) : 0);
    const double weights = weight + (entry ? json_number_value(json_array_get(entry, 1)) : 0);

    noisy |= json_is_true(json_array_get(entry, 3));
    (void)json_object_set_new(metrics, name,
                              json_pack("[f, f, b, b]", sum, weights, (int)rate, (int)noisy));
}

static void add_as(const struct place *at, enum kind kind, const char *metric, double value)
{
    const double weight = kind != MEAN && at->count > 0 ? at->count : 1;
    const double weighted = kind == RATE ? weight / value : weight * value;
    char name[NAME_BYTES];

    if (!isfinite(value) || !isfinite(weighted))
        return;
    (void)snprintf(name, sizeof name, "%s/%s", metric, at->tag);
    add_value(at->metrics, name, weighted, weight, kind == RATE, at->noisy);
    if (at->number > 0) {
        (void)snprintf(name, sizeof name, "%s/%s#%zu", metric, at->tag, at->number);
        add_value(at->metrics, name, weighted, weight, kind == RATE, at->noisy);
    }
}

static double value_of(const json_t *entry)
{
    const double sum = json_number_value(json_array_get(entry, 0));
    const double weight = json_number_value(json_array_get(entry, 1));

    return json_is_true(json_array_get(entry, 2)) ? weight / sum : sum / weight;
}

/* Adds each number of an object as PREFIX.NAME. */
static void add_numbers(const struct place *at, const char *prefix, json_t *object)
{
    const char *key;
    json_t *value;

    json_object_foreach(object, key, value) {
        char name[200];

        (void)snprintf(name, sizeof name, "%s.%s", prefix, key);
        if (json_is_number(value))
            add_as(at, MEAN, name, json_number_value(value));
    }
}

/* Adds the method's statistics after the step as stats.NAME and, for objects such as the latency of
   writers, stats.GROUP.NAME. Arrays and strings remain only in the cell. */
static void add_stats(const struct place *at, const json_t *step)
{
    json_t *stats = json_object_get(step, "stats"), *value;
    const char *key;

    add_numbers(at, "stats", stats);
    json_object_foreach(stats, key, value) {
        char group[100];

        (void)snprintf(group, sizeof group, "stats.%s", key);
        add_numbers(at, group, value);
    }
}

/* Adds NAME@K. A step without queries has a null recall and adds no metric. */
static void add_recall(const struct place *at, const char *name, const json_t *recall)
{
    char metric[64];

    (void)snprintf(metric, sizeof metric, "%s@%lld", name, field_integer(recall, "k", 0));
    add_as(at, MEAN, metric, field_number(recall, "mean"));
}

static void add_step(json_t *metrics, const json_t *step, size_t number, bool long_series)
{
    const char *op = field_text(step, "op", "");
    struct place at = { metrics, series_step_tag(step), number, field_number(step, "count"),
                        false };
    const struct place in_short = { metrics, at.tag, long_series ? 0 : number, at.count, false };
    const json_t *timing = json_object_get(step, "timing");
    const bool noisy_single = is_noisy(json_object_get(timing, "single")),
               noisy_batch = is_noisy(json_object_get(timing, "batch"));
    size_t i = 0;
    const bool asks =
        strcmp(op, "search") == 0 || strcmp(op, "range") == 0 || strcmp(op, "concurrent") == 0;

    for (const struct result_metric *m = result_metric_at(0); m; m = result_metric_at(++i)) {
        const json_t *object = m->object ? json_object_get(step, m->object) : step;

        at.noisy =
            result_metric_is_timed(m->name) && (is_of_single(m) ? noisy_single : noisy_batch);
        if (m->field)
            add_as(&at, kind_of(m), m->name, field_number(object, m->field));
    }
    if (asks) {
        const double of = field_number(step, "distances") / field_number(step, "live");

        at.noisy = noisy_batch;
        add_as(&at, RATE, "qps", field_number(step, "per_second"));
        at.noisy = false;
        add_as(&at, PER_ITEM, "distances_percent", 100 * of);
    }
    at.noisy = false;
    add_recall(&at, "recall", json_object_get(step, "recall"));
    add_recall(&at, "throughput_recall", json_object_get(step, "throughput_recall"));
    add_stats(&in_short, step);
    add_numbers(&in_short, "parts", json_object_get(json_object_get(step, "memory"), "parts"));
}

/* Returns a new object: metric -> its value over the steps that have it; the names of noisy ones
   become keys of *noisy. NULL: out of memory. */
static json_t *cell_metrics(const json_t *cell, json_t *noisy)
{
    const json_t *steps = json_object_get(cell, "steps");
    struct place_in_series *series = series_places(steps);
    json_t *sums, *values, *step, *entry;
    const char *name;
    size_t i;

    if (!series)
        return NULL;
    sums = json_object();
    values = json_object();
    json_array_foreach(steps, i, step) {
        const struct place_in_series at = series[i];
        add_step(sums, step, at.of > 1 ? at.number : 0, at.of > LONG_SERIES);
    }
    json_object_foreach(sums, name, entry) {
        (void)json_object_set_new(values, name, json_number(value_of(entry)));
        if (json_is_true(json_array_get(entry, 3)))
            (void)json_object_set_new(noisy, name, json_true());
    }
    json_decref(sums);
    free(series);
    return values;
}

json_t *summary_of_step(const json_t *step)
{
    json_t *sums = json_object(), *metrics = json_object(), *entry;
    const size_t tag = strlen(series_step_tag(step)) + 1;
    const char *name;

    add_step(sums, step, 0, false);
    json_object_foreach(sums, name, entry) {
        char metric[NAME_BYTES];

        (void)snprintf(metric, sizeof metric, "%.*s", (int)(strlen(name) - tag), name);
        (void)json_object_set_new(metrics, metric, json_number(value_of(entry)));
    }
    json_decref(sums);
    return metrics;
}

/* ---- 2. samples: (label, metric) -> { label, metric, noisy, values: one per repeat } */

static void add_sample(json_t *samples, const char *label, const char *metric, double value,
                       bool noisy)
{
    char key[2 * NAME_BYTES];
    json_t *entry;

    (void)snprintf(key, sizeof key, "%s\n%s", label, metric);
    if (!(entry = json_object_get(samples, key))) {
        entry = json_pack("{s:s, s:s, s:b, s:[]}", "label", label, "metric", metric, "noisy", 0,
                          "values");
        (void)json_object_set_new(samples, key, entry);
    }
    if (noisy)
        (void)json_object_set_new(entry, "noisy", json_true());
    (void)json_array_append_new(json_object_get(entry, "values"), json_real(value));
}

static void add_cell(json_t *samples, const json_t *cell, const json_t *metrics,
                     const json_t *noisy)
{
    char label[NAME_BYTES];
    const char *name;
    json_t *value;

    result_cell_label(cell, label, sizeof label);
    json_object_foreach((json_t *)(uintptr_t)metrics, name, value)
        add_sample(samples, label, name, json_number_value(value), json_object_get(noisy, name));
}

/* ---- 3. curves: the points of one build in one repeat, for RATE@recall=R */

struct curve_point {
    double recall, value; /* more is better; costs are negated */
};

/* Adds one point to its curve in `curves`:
   "build\nrepeat\ntag\nrate" -> { label, tag, rate, points: [[recall, value]] }. */
static void add_to_curve(json_t *curves, const json_t *cell, const char *tag, size_t rate,
                         double recall, double value)
{
    char label[NAME_BYTES], key[2 * NAME_BYTES];
    json_t *curve;

    result_build_label(cell, label, sizeof label);
    (void)snprintf(key, sizeof key, "%s\n%lld\n%s\n%zu", label, field_integer(cell, "repeat", 0),
                   tag, rate);
    if (!(curve = json_object_get(curves, key))) {
        curve = json_pack("{s:s, s:s, s:i, s:[]}", "label", label, "tag", tag, "rate", (int)rate,
                          "points");
        (void)json_object_set_new(curves, key, curve);
    }
    (void)json_array_append_new(
        json_object_get(curve, "points"),
        json_pack("[f, f]", recall, result_metric_rates[rate].better * value));
}

/* True if `name` is METRIC/TAG#i of a series of more than LONG_SERIES steps. */
static bool of_long_series(const json_t *metrics, const char *name)
{
    char past[NAME_BYTES];

    (void)snprintf(past, sizeof past, "%.*s#%d", (int)strcspn(name, "#"), name, LONG_SERIES + 1);
    return strchr(name, '#') && json_object_get(metrics, past);
}

/* Adds the cell's point of each tag and rate to the curves. */
static void add_to_curves(json_t *curves, const json_t *cell, const json_t *metrics)
{
    char rate[NAME_BYTES];
    const char *name;
    json_t *value;

    json_object_foreach((json_t *)(uintptr_t)metrics, name, value) {
        const char *tag = strchr(name, '/');

        if (!tag || of_long_series(metrics, name))
            continue;
        for (size_t i = 0; i < RESULT_RATES; i++) {
            if (strncmp(name, result_metric_rates[i].recall,
                        strlen(result_metric_rates[i].recall)) != 0)
                continue;
            (void)snprintf(rate, sizeof rate, "%s%s", result_metric_rates[i].name, tag);
            const double of_rate = field_number(metrics, rate);
            if (isfinite(of_rate))
                add_to_curve(curves, cell, tag + 1, i, json_number_value(value), of_rate);
        }
    }
}

static int by_recall(const void *a, const void *b)
{
    const struct curve_point *x = a, *y = b;

    if (x->recall != y->recall)
        return x->recall < y->recall ? -1 : 1;
    return (x->value > y->value) - (x->value < y->value);
}

/* Keeps the Pareto-optimal points, ascending in recall, and returns their number. */
static size_t frontier(struct curve_point *p, size_t n)
{
    size_t kept = n;
    double best = -INFINITY;

    qsort(p, n, sizeof *p, by_recall);
    for (size_t i = n; i-- > 0;)
        if (p[i].value > best) {
            best = p[i].value;
            p[--kept] = p[i];
        }
    memmove(p, p + kept, (n - kept) * sizeof *p);
    return n - kept;
}

static double value_at(const struct curve_point *p, size_t n, double recall)
{
    for (size_t i = 0; i < n; i++) {
        if (p[i].recall == recall)
            return p[i].value;
        if (i > 0 && p[i - 1].recall < recall && p[i].recall > recall) {
            const double share = (recall - p[i - 1].recall) / (p[i].recall - p[i - 1].recall);
            return p[i - 1].value + share * (p[i].value - p[i - 1].value);
        }
    }
    return NAN;
}

/* Adds a sample of RATE@recall=R for each R that the curve covers. False: out of memory. */
static bool add_curve(json_t *samples, const json_t *curve)
{
    const struct result_rate_at *rate = &result_metric_rates[field_integer(curve, "rate", 0)];
    const json_t *points = json_object_get(curve, "points");
    struct curve_point *p = mem_array(NULL, json_array_size(points) + 1, sizeof *p);
    char metric[NAME_BYTES];
    json_t *point;
    size_t i;

    if (!p)
        return false;
    json_array_foreach(points, i, point) {
        p[i] = (struct curve_point){ json_number_value(json_array_get(point, 0)),
                                     json_number_value(json_array_get(point, 1)) };
    }
    const size_t n = json_array_size(points) > 1 ? frontier(p, json_array_size(points)) : 0;
    for (i = 0; i < RESULT_RECALLS; i++) {
        const double value = value_at(p, n, strtod(result_metric_recalls[i], NULL));

        (void)snprintf(metric, sizeof metric, "%s@recall=%s/%s", rate->name,
                       result_metric_recalls[i], field_text(curve, "tag", ""));
        if (isfinite(value))
            add_sample(samples, field_text(curve, "label", ""), metric, rate->better * value,
                       false);
    }
    mem_free(NULL, p);
    return true;
}

/* ---- 4. medians */

static json_t *number_json(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

/* Returns { label, metric, median, low, high, repeats, noisy } of one sample. `scratch` has space for
   the values of the sample. */
static json_t *median_json(const json_t *sample, double *scratch)
{
    const json_t *list = json_object_get(sample, "values");
    const size_t n = json_array_size(list);
    const char *metric = field_text(sample, "metric", "");
    double low, high;
    bool noisy = json_is_true(json_object_get(sample, "noisy"));

    for (size_t i = 0; i < n; i++)
        scratch[i] = json_number_value(json_array_get(list, i));
    if (stats_median_interval(scratch, n, &low, &high) && result_metric(metric)->unit == UNIT_SHARE)
        high = fmin(high, 1);
    noisy |= result_metric_is_timed(metric) && is_wide(low, high);
    return json_pack("{s:O, s:O, s:o, s:o, s:o, s:I, s:b}", "label",
                     json_object_get(sample, "label"), "metric", json_object_get(sample, "metric"),
                     "median", number_json(stats_median(scratch, n)), "low", number_json(low),
                     "high", number_json(high), "repeats", (json_int_t)n, "noisy", (int)noisy);
}

json_t *summary_samples(const json_t *cells)
{
    json_t *samples = json_object(), *curves = json_object(), *cell, *entry;
    const char *key;
    size_t i;
    bool ok = true;

    json_array_foreach(cells, i, cell) {
        if (strcmp(field_text(cell, "status", ""), "ok") != 0)
            continue;
        json_t *noisy = json_object(), *metrics = cell_metrics(cell, noisy);
        ok = ok && metrics;
        add_cell(samples, cell, metrics, noisy);
        add_to_curves(curves, cell, metrics);
        json_decref(noisy);
        json_decref(metrics);
    }
    json_object_foreach(curves, key, entry) {
        ok = ok && add_curve(samples, entry);
    }
    json_decref(curves);
    if (ok)
        return samples;
    json_decref(samples);
    return NULL;
}

json_t *summary_make(const json_t *cells)
{
    json_t *samples = summary_samples(cells), *summary = json_array(), *entry;
    double *scratch = mem_array(NULL, json_array_size(cells) + 1, sizeof *scratch);
    const char *key;
    const bool ok = samples && scratch;

    json_object_foreach(samples, key, entry) {
        if (ok)
            (void)json_array_append_new(summary, median_json(entry, scratch));
    }
    mem_free(NULL, scratch);
    json_decref(samples);
    if (ok)
        return summary;
    json_decref(summary);
    return NULL;
}
