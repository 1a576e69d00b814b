/* summary.c - see summary.h.
 *
 * 1 entries   2 the metrics of a step   3 the steps of a cell   4 curves   5 medians */
#define _GNU_SOURCE /* tdestroy */
#include "src/result/summary.h"

#include <math.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/json.h"
#include "src/base/result_metrics.h"
#include "src/base/stats.h"
#include "src/core/mem.h"
#include "src/result/read.h"

/* A series of more than LONG_SERIES steps, as in a runbook, has no entries per step for method
   statistics, memory parts and RATE@recall. Such entries would make the summary ten times as large
   as the cells. */
enum { NAME_BYTES = 400, LONG_SERIES = 100 };

/* ---- 1. entries */

static int by_name(const void *a, const void *b)
{
    const struct summary_entry *x = a, *y = b;
    const int order = x->label == y->label ? 0 : strcmp(x->label, y->label);

    return order ? order : strcmp(x->metric, y->metric);
}

const struct summary_entry *summary_find(const struct summary *s, const char *label,
                                         const char *metric)
{
    static const struct summary_entry none = { .median = NAN, .low = NAN, .high = NAN };
    const struct summary_entry key = { .label = label, .metric = (char *)(uintptr_t)metric };
    struct summary_entry *const *found =
        (struct summary_entry *const *)tfind(&key, &s->tree, by_name);

    return found ? *found : &none;
}

static int by_label(const void *a, const void *b)
{
    return strcmp(((const struct summary_entry *)a)->label,
                  ((const struct summary_entry *)b)->label);
}

bool summary_has_label(const struct summary *s, const char *label)
{
    return tfind(&(struct summary_entry){ .label = label }, &s->tree, by_label) != NULL;
}

const struct summary_entry *summary_find_tag(const struct summary *s, const char *label,
                                             const char *metric, const char *tag)
{
    char name[NAME_BYTES];

    (void)snprintf(name, sizeof name, "%s/%s", metric, tag);
    return summary_find(s, label, name);
}

static void free_entry(void *of)
{
    struct summary_entry *entry = of;

    free(entry->metric);
    mem_free(NULL, entry->samples);
    free(entry);
}

struct summary_entry *summary_add(struct summary *s, const char *label, const char *metric)
{
    const struct summary_entry *found = summary_find(s, label, metric);

    if (found->label)
        return (struct summary_entry *)(uintptr_t)found;
    struct summary_entry *entry = calloc(1, sizeof *entry);
    if (!entry)
        return NULL;
    *entry = (struct summary_entry){
        .label = label, .metric = strdup(metric), .median = NAN, .low = NAN, .high = NAN
    };
    if (entry->metric && mem_grow(NULL, &s->at, &s->capacity, s->n + 1, sizeof *s->at) &&
        tsearch(entry, &s->tree, by_name))
        return s->at[s->n++] = entry;
    free_entry(entry);
    return NULL;
}

bool summary_add_sample(struct summary_entry *entry, const struct result_cell *cell, double value)
{
    if (!mem_grow(NULL, &entry->samples, &entry->capacity, entry->repeats + 1,
                  sizeof *entry->samples))
        return false;
    entry->samples[entry->repeats++] = (struct summary_sample){ cell, value };
    return true;
}

void summary_free(struct summary *s)
{
    tdestroy(s->tree, free_entry);
    mem_free(NULL, s->at);
    *s = (struct summary){ 0 };
}

bool summary_read(struct summary *s, const json_t *list)
{
    const json_t *json;
    size_t i;

    json_array_foreach(list, i, json) {
        struct summary_entry *entry =
            summary_add(s, field_text(json, "label", ""), field_text(json, "metric", ""));

        if (!entry)
            return false;
        entry->median = field_number(json, "median");
        entry->low = field_number(json, "low");
        entry->high = field_number(json, "high");
        entry->repeats = (size_t)field_integer(json, "repeats", 0);
        entry->noisy = json_is_true(json_object_get(json, "noisy"));
    }
    return true;
}

json_t *summary_json(const struct summary *s)
{
    json_t *list = json_array();

    for (size_t i = 0; i < s->n; i++) {
        const struct summary_entry *e = s->at[i];

        (void)json_array_append_new(
            list, json_pack("{s:s, s:s, s:o, s:o, s:o, s:I, s:b}", "label", e->label, "metric",
                            e->metric, "median", json_measured(e->median), "low",
                            json_measured(e->low), "high", json_measured(e->high), "repeats",
                            (json_int_t)e->repeats, "noisy", (int)e->noisy));
    }
    return list;
}

/* ---- 2. the metrics of a step */

/* Whether an interval is wider than a tenth of its middle. */
static bool is_wide(double low, double high)
{
    return high - low > .1 * (low + high) / 2;
}

/* Whether the passes of a timing differ by more than a tenth, or waited a tenth of their time for a
   processor, as the threads of a load may have. */
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

/* Takes METRIC of a step. noisy: as in struct summary_entry. */
typedef void take_metric(void *to, enum result_over, const char *metric, double value, bool noisy);

/* Takes each number of an object as PREFIX.NAME. */
static void each_number(const char *prefix, json_t *object, take_metric *take, void *to)
{
    const char *key;
    json_t *value;

    json_object_foreach(object, key, value) {
        char name[200];

        (void)snprintf(name, sizeof name, "%s.%s", prefix, key);
        if (json_is_number(value))
            take(to, OVER_MEAN, name, json_number_value(value), false);
    }
}

/* The metrics that each step of a long series has. */
static void each_metric(const struct result_step *of, take_metric *take, void *to)
{
    static const char *const recalls[] = { "recall", "throughput_recall" };
    const json_t *step = of->json, *timing = json_object_get(step, "timing");
    const unsigned flags = op_info(of->op)->flags;
    const bool noisy_load = (flags & OP_THREADS) && is_noisy(json_object_get(step, "stats"));
    const bool noisy_single = noisy_load || is_noisy(json_object_get(timing, "single")),
               noisy_batch = noisy_load || is_noisy(json_object_get(timing, "batch"));
    const struct result_metric *m;
    char name[64];

    for (size_t i = 0; (m = result_metric_at(i)); i++)
        if (m->field)
            take(to, m->over, m->name,
                 field_number(m->object ? json_object_get(step, m->object) : step, m->field),
                 result_metric_is_timed(m->name) && (is_of_single(m) ? noisy_single : noisy_batch));
    if (flags & OP_ANSWERED) {
        take(to, OVER_RATE, "qps", field_number(step, "per_second"), noisy_batch);
        take(to, OVER_EACH, "distances_percent",
             100 * (field_number(step, "distances") / field_number(step, "live")), false);
    }
    /* A step without queries has a null recall. */
    for (size_t i = 0; i < sizeof recalls / sizeof *recalls; i++) {
        const json_t *recall = json_object_get(step, recalls[i]);

        (void)snprintf(name, sizeof name, "%s@%lld", recalls[i], field_integer(recall, "k", 0));
        take(to, OVER_MEAN, name, field_number(recall, "mean"), false);
    }
}

/* The method's statistics after the step as stats.NAME and, for objects such as the latency of
   writers, stats.GROUP.NAME, and the parts of its memory. Arrays and strings remain only in the
   cell. */
static void each_statistic(const json_t *step, take_metric *take, void *to)
{
    json_t *stats = json_object_get(step, "stats"), *value;
    const char *key;

    each_number("stats", stats, take, to);
    json_object_foreach(stats, key, value) {
        char group[100];

        (void)snprintf(group, sizeof group, "stats.%s", key);
        each_number(group, value, take, to);
    }
    each_number("parts", json_object_get(json_object_get(step, "memory"), "parts"), take, to);
}

static void set_metric(void *to, enum result_over over, const char *metric, double value,
                       bool noisy)
{
    (void)noisy;
    if (isfinite(value) && over != OVER_LEAST)
        (void)json_object_set_new(to, metric, json_number(value));
}

void summary_of_step(const struct result_step *step, json_t *to)
{
    each_metric(step, set_metric, to);
    each_statistic(step->json, set_metric, to);
}

/* ---- 3. the steps of a cell */

struct curve_point {
    double recall, value; /* more is better; costs are negated */
};
/* The points of one build in one repeat, for RATE@recall=R/TAG. */
struct curve {
    const struct result_cell *of, *last; /* of the first and of the last point */
    const char *tag;
    size_t rate;
    struct curve_point *points;
    size_t n, capacity;
    /* a cell has two recalls, of searches for different k; the rate is of both together */
    bool mixed;
};

struct maker {
    struct summary *summary;
    const struct result_cell *cell;
    const struct result_step *step;
    size_t number;              /* of the step, if its metrics are entries of their own; else 0 */
    struct summary_entry **had; /* what the cell has measured */
    size_t n_had, had_capacity;
    struct curve *curves;
    size_t n_curves, curves_capacity;
    bool failed; /* out of memory */
};

static void add_to_entry(struct maker *m, enum result_over over, const char *name, double weighted,
                         double weight, bool noisy)
{
    struct summary_entry *e = summary_add(m->summary, m->cell->name, name);
    const bool is_new = e && (!e->repeats || e->samples[e->repeats - 1].cell != m->cell);

    if (!e || (is_new && !summary_add_sample(e, m->cell, 0)) ||
        (is_new && !mem_grow(NULL, &m->had, &m->had_capacity, m->n_had + 1, sizeof *m->had))) {
        m->failed = true;
        return;
    }
    if (is_new) {
        e->sum = e->weight = 0;
        m->had[m->n_had++] = e;
    }
    e->sum = over != OVER_LEAST ? e->sum + weighted : is_new ? weighted : fmin(e->sum, weighted);
    e->weight += weight;
    e->samples[e->repeats - 1].value = over == OVER_RATE    ? e->weight / e->sum
                                       : over == OVER_LEAST ? e->sum
                                                            : e->sum / e->weight;
    e->noisy |= noisy;
}

/* Adds METRIC/TAG, and METRIC/TAG#number. */
static void add_metric(void *to, enum result_over over, const char *metric, double value,
                       bool noisy)
{
    struct maker *m = to;
    const double count = field_number(m->step->json, "count");
    const double weight = (over == OVER_EACH || over == OVER_RATE) && count > 0 ? count : 1;
    const double weighted = over == OVER_RATE ? weight / value : weight * value;
    char name[NAME_BYTES];

    if (!isfinite(value) || !isfinite(weighted) || (over == OVER_LEAST && m->step->of < 2))
        return;
    (void)snprintf(name, sizeof name, "%s/%s", metric, m->step->tag);
    add_to_entry(m, over, name, weighted, weight, noisy);
    if (m->number == 0 || over == OVER_LEAST)
        return;
    (void)snprintf(name, sizeof name, "%s/%s#%zu", metric, m->step->tag, m->number);
    add_to_entry(m, over, name, weighted, weight, noisy);
}

/* Whether an entry is METRIC/TAG#i of a series of more than LONG_SERIES steps. */
static bool of_long_series(const struct summary *s, const struct summary_entry *e)
{
    char past[NAME_BYTES];

    (void)snprintf(past, sizeof past, "%.*s#%d", (int)strcspn(e->metric, "#"), e->metric,
                   LONG_SERIES + 1);
    return strchr(e->metric, '#') && summary_find(s, e->label, past)->label;
}

/* The curve of the cell's build and repeat, whose points are beside each other: they were measured
   in one process. NULL: out of memory. */
static struct curve *curve_of(struct maker *m, const char *tag, size_t rate)
{
    for (size_t i = m->n_curves; i > 0; i--) {
        struct curve *c = &m->curves[i - 1];

        if (c->of->build != m->cell->build || c->of->repeat != m->cell->repeat)
            break;
        if (c->rate == rate && strcmp(c->tag, tag) == 0)
            return c;
    }
    if (!mem_grow(NULL, &m->curves, &m->curves_capacity, m->n_curves + 1, sizeof *m->curves))
        return NULL;
    m->curves[m->n_curves] = (struct curve){ .of = m->cell, .tag = tag, .rate = rate };
    return &m->curves[m->n_curves++];
}

/* Adds the cell's point of each tag and rate to its curve. */
static void add_to_curves(struct maker *m)
{
    for (size_t i = 0; i < m->n_had; i++) {
        const struct summary_entry *e = m->had[i], *rate;
        const char *tag = strchr(e->metric, '/') + 1;

        for (size_t r = 0; r < RESULT_RATES; r++) {
            const struct result_rate_at *of = &result_metric_rates[r];

            if (strncmp(e->metric, of->recall, strlen(of->recall)) != 0 ||
                of_long_series(m->summary, e))
                continue;
            rate = summary_find_tag(m->summary, e->label, of->name, tag);
            if (!rate->repeats || rate->samples[rate->repeats - 1].cell != m->cell)
                continue;
            struct curve *c = curve_of(m, tag, r);
            if (!c || !mem_grow(NULL, &c->points, &c->capacity, c->n + 1, sizeof *c->points)) {
                m->failed = true;
                return;
            }
            c->mixed |= c->last == m->cell;
            c->last = m->cell;
            c->points[c->n++] =
                (struct curve_point){ e->samples[e->repeats - 1].value,
                                      of->better * rate->samples[rate->repeats - 1].value };
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

/* least: recall of the sweep's first point, which need not be on the front. */
static double value_at(const struct curve_point *p, size_t n, double least, double recall)
{
    if (n > 0 && least <= recall && recall < p[0].recall)
        return p[0].value;
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

/* Adds a sample of RATE@recall=R for each R that the curve covers. */
static void add_curve(struct maker *m, struct curve *c)
{
    const struct result_rate_at *rate = &result_metric_rates[c->rate];
    double least = INFINITY;
    char metric[NAME_BYTES];

    for (size_t i = 0; i < c->n; i++)
        least = fmin(least, c->points[i].recall);
    const size_t n = c->n > 1 && !c->mixed ? frontier(c->points, c->n) : 0;

    for (size_t i = 0; i < RESULT_RECALLS; i++) {
        const double value = value_at(c->points, n, least, strtod(result_metric_recalls[i], NULL));

        (void)snprintf(metric, sizeof metric, "%s@recall=%s/%s", rate->name,
                       result_metric_recalls[i], c->tag);
        struct summary_entry *e =
            isfinite(value) ? summary_add(m->summary, c->of->build, metric) : NULL;
        m->failed |= isfinite(value) && (!e || !summary_add_sample(e, c->of, rate->better * value));
    }
}

/* ---- 5. medians */

/* `scratch` has space for the values of the entry. */
static void find_median(struct summary_entry *e, double *scratch)
{
    for (size_t i = 0; i < e->repeats; i++)
        scratch[i] = e->samples[i].value;
    if (stats_median_interval(scratch, e->repeats, &e->low, &e->high) &&
        result_metric(e->metric)->unit == UNIT_SHARE)
        e->high = fmin(e->high, 1);
    e->median = stats_median(scratch, e->repeats);
    e->noisy |= result_metric_is_timed(e->metric) && is_wide(e->low, e->high);
}

bool summary_make(struct summary *s, const struct result *r)
{
    double *scratch = mem_array(NULL, r->n + 1, sizeof *scratch);
    struct maker m = { .summary = s, .failed = !scratch };

    *s = (struct summary){ 0 };
    for (size_t i = 0; i < r->n && !m.failed; i++) {
        m.cell = &r->cells[i];
        m.n_had = 0;
        for (size_t j = 0; m.cell->ok && j < m.cell->n; j++) {
            m.step = &m.cell->steps[j];
            m.number = m.step->of > 1 ? m.step->number : 0;
            each_metric(m.step, add_metric, &m);
            m.number = m.step->of > LONG_SERIES ? 0 : m.number;
            each_statistic(m.step->json, add_metric, &m);
        }
        add_to_curves(&m);
    }
    for (size_t i = 0; i < m.n_curves; i++) {
        add_curve(&m, &m.curves[i]);
        mem_free(NULL, m.curves[i].points);
    }
    for (size_t i = 0; i < s->n && !m.failed; i++)
        find_median(s->at[i], scratch);
    mem_free(NULL, m.had);
    mem_free(NULL, m.curves);
    mem_free(NULL, scratch);
    return !m.failed;
}
