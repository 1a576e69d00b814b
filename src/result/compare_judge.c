/* compare_judge.c - makes the rows of two results and their verdicts.
 *
 * 1 metrics that make a row   2 recall, by query   3 other metrics, by repeats   4 verdicts
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "src/base/result_metrics.h"
#include "src/base/stats.h"
#include "src/result/compare.h"

#define LOG_WIDEST 4.6 /* log(100): an interval with a larger half-width is not reported */
static const double significant = 0.05, not_seen = 0.2; /* test level; 1 - power */
/* Standard deviation of resident memory in bytes. Memory is mapped in pages of 2 MiB, so all
   repeats of a run may share an error of one page. */
static const double resident_deviation = 1048576;

/* 1. Rows */

static enum compare_kind kind_of(const char *name)
{
    static const char *const resident[] = { "rss_bytes", "mapped_bytes", "peak_bytes" };
    for (size_t i = 0; i < sizeof resident / sizeof *resident; i++)
        if (!strcmp(resident[i], name))
            return ROW_RESIDENT;
    return result_metric_is_timed(name) ? ROW_TIMED : ROW_COUNTED;
}

/* True if the side has the same measurement under another name or unit. Only the other metric
   makes a row. */
static bool is_double(const struct compare_side *side, const char *label, const char *name,
                      const char *tag)
{
    static const char *const doubles[][2] = {
        { "per_second", "qps" },  { "per_second", "seconds" }, { "ns_each", "qps" },
        { "ns_each", "seconds" }, { "seconds", "qps" },        { "single_qps", "mean_ns" }
    };
    for (size_t i = 0; i < sizeof doubles / sizeof *doubles; i++) {
        if (!strcmp(doubles[i][0], name) &&
            summary_find_tag(&side->samples, label, doubles[i][1], tag)->label)
            return true;
    }
    return false;
}

/* NULL: out of memory. */
static struct compare_row *new_row(struct compare_rows *rows, const char *label, const char *metric)
{
    if (!mem_grow(rows->mem, &rows->row, &rows->capacity, rows->n + 1, sizeof *rows->row))
        return NULL;
    struct compare_row *row = &rows->row[rows->n++];
    *row = (struct compare_row){ .p = NAN, .error = NAN, .df = NAN, .visible = NAN };
    row->low = row->high = NAN;
    snprintf(row->label, sizeof row->label, "%s", label);
    snprintf(row->metric, sizeof row->metric, "%s", metric);
    return row;
}

/* Returns one value per repeat. The caller frees them with mem_free(). NULL: out of memory. */
static double *values_of(const struct summary_entry *entry, struct mem *mem)
{
    double *values = mem_array(mem, entry->repeats, sizeof *values);
    for (size_t i = 0; values && i < entry->repeats; i++)
        values[i] = entry->samples[i].value;
    return values;
}

static bool all_equal(const double *values, size_t n)
{
    for (size_t i = 1; i < n; i++)
        if (values[i] < values[0] || values[i] > values[0])
            return false;
    return true;
}

/* 2. Recall */

/* Sets the p value of Wilcoxon's test on B - A of each query, the mean difference and its bootstrap
   interval. False: out of memory. */
static bool pair_queries(struct compare_row *row, const struct summary_entry *left,
                         const struct summary_entry *right, size_t k, struct mem *mem)
{
    const size_t n = left->repeats;
    double *differences = mem_array(mem, n, sizeof *differences);
    if (!differences)
        return false;
    /* The lists hold hits out of k; recall = hits / k. */
    const double scale = k ? 1 / (double)k : 1;
    row->a = row->b = 0;
    for (size_t i = 0; i < n; i++) {
        const double x = scale * left->samples[i].value, y = scale * right->samples[i].value;
        row->a += x / (double)n;
        row->b += y / (double)n;
        differences[i] = y - x;
    }
    row->change = row->b - row->a;
    row->p = stats_wilcoxon_p(differences, n);
    stats_bootstrap_mean(differences, n, 1, STATS_RESAMPLES_MAX, &row->low, &row->high);
    mem_free(mem, differences);
    return true;
}

/* Whether the metric is a share of right answers. Sets `metric` to the one whose hits give its
   error, and *batch if it is of the batch, which asks a part of the queries. */
static bool share_metric(const char *name, size_t k, char *metric, size_t bytes, bool *batch)
{
    const bool range = strstr(name, "range_recall") || strcmp(name, "range_precision") == 0;
    *batch = strncmp(name, "throughput_", 11) == 0;
    if (range)
        (void)snprintf(metric, bytes, "range_recall");
    else
        (void)snprintf(metric, bytes, "recall@%zu", k);
    return range || strncmp(name, "throughput_recall@", 18) == 0;
}

/* The standard error of a share of right answers in A and B from the hits of each query: of the
   differences by query, or if there are none, of both. False: out of memory. */
static bool share_error(const struct summary_entry *left, const struct summary_entry *right,
                        double scale, double *error, struct mem *mem)
{
    const size_t n = left->repeats;
    double *values = mem_array(mem, n, sizeof *values);
    double variance[3] = { 0 };
    if (!values)
        return false;
    for (int of = 0; of < 3; of++) {
        for (size_t i = 0; i < n; i++)
            values[i] =
                (of == 1 ? 0 : right->samples[i].value) - (of == 2 ? 0 : left->samples[i].value);
        variance[of] = stats_moments(values, n).variance;
    }
    mem_free(mem, values);
    *error = scale * sqrt((variance[0] > 0 ? variance[0] : variance[1] + variance[2]) / (double)n);
    return true;
}

/* Tests a share of right answers whose queries are not paired, against the sample of its queries.
   Without hits of the same queries it has no verdict. False: out of memory. */
static bool test_share(struct compare_row *row, const struct summary_entry *left,
                       const struct summary_entry *right, bool batch, bool range, size_t k,
                       struct mem *mem)
{
    const size_t n = left->repeats;
    double hits = 0, error = 0;
    row->kind = ROW_PAIRED;
    row->change = row->b - row->a;
    if (n < 2 || n != right->repeats)
        return true;
    for (size_t i = 0; i < n; i++)
        hits += left->samples[i].value / (double)n;
    const double scale = !range ? 1 / (double)(k ? k : 1) : hits > 0 ? row->a / hits : 0;
    if (!share_error(left, right, batch ? scale * sqrt(2) : scale, &error, mem))
        return false;
    const double df = (double)n - 1, half = stats_student_t(0.05, df) * error;
    row->p = error > 0 ? stats_student_p(row->change / error, df) : fabs(row->change) > 0 ? 0 : 1;
    row->low = row->change - half;
    row->high = row->change + half;
    return true;
}

/* 3. By repeats */

struct two { /* one metric's values in A and in B, one per repeat */
    double *value[2];
    size_t n[2];
};

/* Welch's t test on logs, or on the values themselves if any is not positive. The variance of a
   run's mean is the variance of its repeats divided by their number, plus the drift between runs
   (DRIFT_SHARE, DRIFT_FLOOR). The Welch-Satterthwaite equation gives the degrees of freedom. */
static void test_repeats(struct compare_row *row, const struct two *t)
{
    struct moments m[2];
    bool logs = true;
    for (int s = 0; s < 2; s++)
        for (size_t i = 0; i < t->n[s]; i++)
            logs = logs && t->value[s][i] > 0;
    for (int s = 0; s < 2; s++) {
        for (size_t i = 0; logs && i < t->n[s]; i++)
            t->value[s][i] = log(t->value[s][i]);
        m[s] = stats_moments(t->value[s], t->n[s]);
    }
    double variance = 0, satterthwaite = 0;
    for (int s = 0; s < 2; s++) {
        const double size = logs ? exp(m[s].mean) : 1, unit = logs ? 1 : fabs(m[s].mean);
        const double seen = m[s].variance * (1 / (double)t->n[s] + DRIFT_SHARE);
        variance += seen;
        satterthwaite += seen * seen / (double)(t->n[s] - 1);
        if (row->kind != ROW_COUNTED && row->kind != ROW_PAIRED)
            variance += DRIFT_FLOOR * unit * DRIFT_FLOOR * unit;
        if (row->kind == ROW_RESIDENT)
            variance += resident_deviation / size * resident_deviation / size;
    }
    const double difference = m[1].mean - m[0].mean, error = sqrt(variance);
    const double df = satterthwaite > 0 ? variance * variance / satterthwaite : 1e9;
    const double p = error > 0 ? stats_student_p(difference / error, df) : 1;
    row->p = isnan(row->p) ? p : fmax(p, row->p);
    row->change = row->kind == ROW_PAIRED ? row->change : difference;
    if (!logs || row->kind == ROW_PAIRED)
        return;
    const double half = stats_student_t(0.05, df) * error;
    row->error = error;
    row->df = df;
    if (half > LOG_WIDEST)
        return; /* such as resident memory of a few pages, whose ratio is unknown */
    row->low = exp(difference - half) - 1;
    row->high = exp(difference + half) - 1;
}

/* Compares exactly, tests, or sets VERDICT_FEW_REPEATS, by the number and spread of repeats. */
static void judge_repeats(struct compare_row *row, struct two *t)
{
    const bool constant = all_equal(t->value[0], t->n[0]) && all_equal(t->value[1], t->n[1]);
    const bool exact = constant && (row->kind == ROW_COUNTED || row->kind == ROW_PAIRED);
    const size_t least = t->n[0] < t->n[1] ? t->n[0] : t->n[1];
    if (least < (exact ? 2 : STATS_INTERVAL_MIN)) {
        row->verdict = VERDICT_FEW_REPEATS;
        row->p = NAN;
    } else if (exact && row->kind == ROW_COUNTED) {
        row->change = t->value[1][0] - t->value[0][0];
        row->verdict = row->change * row->better > 0   ? VERDICT_BETTER
                       : row->change * row->better < 0 ? VERDICT_WORSE
                                                       : VERDICT_SAME;
    } else if (!exact) {
        test_repeats(row, t);
    }
}

/* True if the metric is zero in both results, such as bytes on disk of a method without files.
   Such a metric makes no row. */
static bool all_zero(const struct two *t)
{
    return t->n[0] && t->n[1] && t->value[0][0] == 0 && t->value[1][0] == 0 &&
           all_equal(t->value[0], t->n[0]) && all_equal(t->value[1], t->n[1]);
}

/* of_a: the entry of A. False: out of memory. */
static bool fill_row(struct compare_row *row, struct two *t, const struct compare_side *a,
                     const struct compare_side *b, const struct summary_entry *of_a,
                     struct mem *mem)
{
    const struct summary_entry *left = summary_find(&a->hits, of_a->label, of_a->metric),
                               *right = summary_find(&b->hits, of_a->label, of_a->metric);
    char name[64], tag[128], of[64];
    bool batch;
    result_metric_split(row->metric, name, sizeof name, tag, sizeof tag);
    for (int s = 0; s < 2; s++)
        row->n[s] = t->n[s];
    row->a = stats_median(t->value[0], t->n[0]);
    row->b = stats_median(t->value[1], t->n[1]);
    if (share_metric(name, a->result.k, of, sizeof of, &batch)) {
        left = summary_find_tag(&a->hits, of_a->label, of, tag);
        right = summary_find_tag(&b->hits, of_a->label, of, tag);
        if (!test_share(row, left, right, batch, strstr(name, "range") != NULL, a->result.k, mem))
            return false;
    } else if (left->repeats && left->repeats == right->repeats) {
        row->kind = ROW_PAIRED;
        if (!pair_queries(row, left, right, a->result.k, mem))
            return false;
    } else if (strncmp(name, "recall@", 7) == 0) {
        row->kind = ROW_PAIRED; /* without hits of the same queries: no test, no verdict */
    }
    judge_repeats(row, t);
    return true;
}

/* The build of the entry, if all its points have the same steps of the tag; NULL: they have not.
   The first point of a build does not tell, but the next cell does. */
static const char *shared_by(const struct summary_entry *entry, const char *tag)
{
    const struct result_cell *cell = entry->samples[0].cell;
    bool shared = false;
    if (cell && cell[1].build == cell->build && cell[1].repeat == cell->repeat)
        cell++;
    for (size_t i = 0; cell && i < cell->n; i++) {
        const json_t *step = cell->steps[i].json;
        if (strcmp(cell->steps[i].tag, tag) != 0)
            continue;
        if (json_is_object(json_object_get(step, "recall")) ||
            json_is_object(json_object_get(step, "range")))
            return NULL;
        shared |= json_is_true(json_object_get(step, "shared"));
    }
    return shared ? cell->build : NULL;
}

/* Adds the row of an entry of A, if B has it, too. builds: the builds and metrics that have a row.
   False: out of memory. */
static bool add_row(struct compare_rows *rows, const struct compare_side *a,
                    const struct compare_side *b, const struct summary_entry *left,
                    struct summary *builds)
{
    const struct summary_entry *right = summary_find(&b->samples, left->label, left->metric);
    const char *label = left->label;
    char name[64], tag[128];
    result_metric_split(left->metric, name, sizeof name, tag, sizeof tag);
    const int better = result_metric(name)->better;
    if (!right->label || !better || strchr(left->metric, '#') ||
        (is_double(a, label, name, tag) && is_double(b, label, name, tag)))
        return true;
    const char *build = shared_by(left, tag), *other = shared_by(right, tag);
    if (build && other && strcmp(build, other) == 0) {
        const size_t n = builds->n;
        if (!summary_add(builds, build, left->metric))
            return false;
        if (builds->n == n)
            return true;
        label = build;
    }
    struct two t = { .n = { left->repeats, right->repeats } };
    t.value[0] = values_of(left, rows->mem);
    t.value[1] = values_of(right, rows->mem);
    bool ok = t.value[0] && t.value[1];
    if (ok && !all_zero(&t)) {
        struct compare_row *row = new_row(rows, label, left->metric);
        if (row) {
            row->kind = kind_of(name);
            row->better = better;
        }
        ok = row && fill_row(row, &t, a, b, left, rows->mem);
    }
    mem_free(rows->mem, t.value[0]);
    mem_free(rows->mem, t.value[1]);
    return ok;
}

/* 4. Verdicts */

/* How many rows a slowdown of this row's step changes together: the row itself, and the timed rows of
   the same label and tag whose standard error is no larger. errors: those of all timed rows. */
static size_t moved_together(const struct summary *errors, const struct compare_row *row)
{
    const struct summary_entry *step =
        summary_find(errors, row->label, strchr(row->metric, '/') + 1);
    size_t n = row->kind != ROW_TIMED;
    for (size_t i = 0; row->kind == ROW_TIMED && i < step->repeats; i++)
        n += step->samples[i].value <= row->error;
    return n;
}

/* Adjusts the p values by Benjamini and Yekutieli and sets verdicts and detectable changes. False:
   out of memory. */
static bool judge(struct compare_rows *rows)
{
    double *p = mem_array(rows->mem, rows->n, sizeof *p);
    struct summary errors = { 0 }; /* of timed rows, by label and tag */
    bool ok = p;
    for (size_t i = 0; ok && i < rows->n; i++) {
        const struct compare_row *row = &rows->row[i];
        p[i] = row->p;
        if (row->kind != ROW_TIMED)
            continue;
        struct summary_entry *step = summary_add(&errors, row->label, strchr(row->metric, '/') + 1);
        ok = step && summary_add_sample(step, NULL, row->error);
    }
    const double factor = ok ? stats_yekutieli_adjust(p, rows->n) : 1;
    for (size_t i = 0; ok && i < rows->n; i++) {
        struct compare_row *row = &rows->row[i];
        row->p = p[i];
        if (row->p < significant)
            row->verdict = row->change * row->better > 0 ? VERDICT_BETTER : VERDICT_WORSE;
        if (isnan(row->error))
            continue;
        const double level = significant * (double)moved_together(&errors, row) / factor;
        row->visible =
            (stats_student_t(level, row->df) + stats_student_t(2 * not_seen, row->df)) * row->error;
    }
    mem_free(rows->mem, p);
    summary_free(&errors);
    return ok;
}

int compare_sides(struct compare_rows *rows, const struct compare_side *a,
                  const struct compare_side *b, struct error *error)
{
    struct summary builds = { 0 };
    bool ok = true;
    for (size_t i = 0; ok && i < a->samples.n; i++)
        ok = add_row(rows, a, b, a->samples.at[i], &builds);
    summary_free(&builds);
    if (!ok || !judge(rows))
        return fail(error, ERR_NO_MEMORY, "out of memory comparing the two results, at row %zu",
                    rows->n);
    return OK;
}

void compare_rows_tolerate(struct compare_rows *rows, double percent)
{
    for (size_t i = 0; i < rows->n; i++) {
        struct compare_row *row = &rows->row[i];
        const bool differs = row->verdict == VERDICT_BETTER || row->verdict == VERDICT_WORSE;
        if (differs && fabs(row->b - row->a) <= percent / 100 * fabs(row->a))
            row->verdict = VERDICT_TOLERATED;
    }
}

void compare_rows_free(struct compare_rows *rows)
{
    mem_free(rows->mem, rows->row);
    *rows = (struct compare_rows){ 0 };
}
