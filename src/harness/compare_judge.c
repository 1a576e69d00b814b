/* compare_judge.c - two results -> rows with verdicts.
 *
 * 1 which metrics make a row   2 recall, by query   3 everything else, by repeats   4 verdicts
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/compare.h"
#include "harness/json_field.h"
#include "harness/metric.h"
#include "harness/paired.h"
#include "harness/student.h"

#define LOG_WIDEST 4.6 /* an interval to a hundredth and a hundredfold */
static const double significant = 0.05, not_seen = 0.2; /* power .8 */
/* Resident memory comes in pages of 2 MiB: it may be off by one more or less, in all of a run's
   repeats alike. */
static const double resident_deviation = 1048576;

/* 1. Rows */

static bool is_one_of(const char *name, const char *const *names)
{
    while (*names && strcmp(*names, name) != 0)
        names++;
    return *names != NULL;
}

static enum row_kind kind_of(const char *name)
{
    static const char *const resident[] = { "rss_bytes", "mapped_bytes", "peak_bytes", NULL };
    static const char *const rates[] = { "qps", "single_qps", "per_second", NULL };
    char plain[64]; /* without @recall=R */
    snprintf(plain, sizeof plain, "%.*s", (int)strcspn(name, "@"), name);
    if (is_one_of(plain, resident))
        return ROW_RESIDENT;
    if (is_one_of(plain, rates) || metric_info(name)->unit == UNIT_SECONDS ||
        metric_info(name)->unit == UNIT_NS)
        return ROW_TIMED;
    return ROW_COUNTED;
}

/* The same measurement in another unit makes no row of its own beside the one it stands for. */
static bool is_double(const struct side *side, const char *label, const char *name, const char *tag)
{
    static const char *const doubles[][2] = {
        { "per_second", "qps" },  { "per_second", "seconds" }, { "ns_each", "qps" },
        { "ns_each", "seconds" }, { "seconds", "qps" },        { "single_qps", "mean_ns" }
    };
    for (size_t i = 0; i < sizeof doubles / sizeof *doubles; i++) {
        char key[600];
        if (strcmp(doubles[i][0], name) != 0)
            continue;
        snprintf(key, sizeof key, "%s\n%s/%s", label, doubles[i][1], tag);
        if (json_object_get(side->samples, key))
            return true;
    }
    return false;
}

static struct row *new_row(struct rows *rows, const char *label, const char *metric)
{
    if (rows->n == rows->capacity) {
        rows->capacity = rows->capacity ? 2 * rows->capacity : 64;
        rows->row = realloc(rows->row, rows->capacity * sizeof *rows->row);
        if (!rows->row)
            abort();
    }
    struct row *row = &rows->row[rows->n++];
    *row = (struct row){ .p = NAN, .error = NAN, .df = NAN, .visible = NAN };
    row->low = row->high = NAN;
    snprintf(row->label, sizeof row->label, "%s", label);
    snprintf(row->metric, sizeof row->metric, "%s", metric);
    return row;
}

/* One value per repeat; freed by the caller. Where there is no sample *n is 0. */
static double *values_of(const json_t *sample, size_t *n)
{
    const json_t *list = json_object_get(sample, "values");
    *n = json_array_size(list);
    double *values = malloc((*n + 1) * sizeof *values);
    if (!values)
        abort();
    for (size_t i = 0; i < *n; i++)
        values[i] = json_number_value(json_array_get(list, i));
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

/* B - A query by query: Wilcoxon's p, and the mean difference with its interval. */
static void pair_queries(struct row *row, const json_t *left, const json_t *right, size_t k)
{
    const size_t n = json_array_size(left);
    double *differences = malloc((n + 1) * sizeof *differences);
    if (!differences)
        abort();
    /* Hits are counts out of k; shown as recall. */
    const double scale = k ? 1 / (double)k : 1;
    row->a = row->b = 0;
    for (size_t i = 0; i < n; i++) {
        const double x = scale * json_number_value(json_array_get(left, i));
        const double y = scale * json_number_value(json_array_get(right, i));
        row->a += x / (double)n;
        row->b += y / (double)n;
        differences[i] = y - x;
    }
    row->change = row->b - row->a;
    row->p = wilcoxon_p(differences, n);
    mean_interval(differences, n, 1, &row->low, &row->high);
    free(differences);
}

/* 3. By repeats */

struct two { /* the values of both results */
    double *value[2];
    size_t n[2];
};

/* Welch's t on logs (on the values where some are not positive). A run's mean varies by what its
   repeats show over their number, and by the drift between runs that they cannot show. */
static void test_repeats(struct row *row, const struct two *t)
{
    struct moments m[2];
    bool logs = true;
    for (int s = 0; s < 2; s++)
        for (size_t i = 0; i < t->n[s]; i++)
            logs = logs && t->value[s][i] > 0;
    for (int s = 0; s < 2; s++) {
        for (size_t i = 0; logs && i < t->n[s]; i++)
            t->value[s][i] = log(t->value[s][i]);
        m[s] = moments_of(t->value[s], t->n[s]);
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
    const double p = error > 0 ? student_p(difference / error, df) : 1;
    row->p = isnan(row->p) ? p : fmax(p, row->p);
    row->change = row->kind == ROW_PAIRED ? row->change : difference;
    if (!logs || row->kind == ROW_PAIRED)
        return;
    const double half = student_t(0.05, df) * error;
    row->error = error;
    row->df = df;
    if (half > LOG_WIDEST)
        return; /* a few pages of resident memory, say: any ratio */
    row->low = exp(difference - half) - 1;
    row->high = exp(difference + half) - 1;
}

/* What the repeats can support: an exact comparison, a test, or nothing. */
static void judge_repeats(struct row *row, struct two *t)
{
    const bool constant = all_equal(t->value[0], t->n[0]) && all_equal(t->value[1], t->n[1]);
    const bool exact = constant && (row->kind == ROW_COUNTED || row->kind == ROW_PAIRED);
    const size_t least = t->n[0] < t->n[1] ? t->n[0] : t->n[1];
    if (least < (exact ? 2 : INTERVAL_MIN)) {
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

/* Nothing is said of what neither has: bytes on disk of a method without files. */
static bool all_zero(const struct two *t)
{
    return t->n[0] && t->n[1] && t->value[0][0] == 0 && t->value[1][0] == 0 &&
           all_equal(t->value[0], t->n[0]) && all_equal(t->value[1], t->n[1]);
}

static void fill_row(struct row *row, struct two *t, const json_t *left, const json_t *right,
                     size_t k)
{
    for (int s = 0; s < 2; s++)
        row->n[s] = t->n[s];
    row->a = median_of(t->value[0], t->n[0]);
    row->b = median_of(t->value[1], t->n[1]);
    if (json_array_size(left) && json_array_size(left) == json_array_size(right)) {
        row->kind = ROW_PAIRED;
        pair_queries(row, left, right, k);
    }
    judge_repeats(row, t);
}

/* key: of both results' samples and queries. */
static void add_row(struct rows *rows, const struct side *a, const struct side *b, const char *key)
{
    const json_t *left = json_object_get(a->samples, key);
    const json_t *right = json_object_get(b->samples, key);
    const char *label = field_text(left, "label", ""), *metric = field_text(left, "metric", "");
    char name[64], tag[128];
    metric_split(metric, name, sizeof name, tag, sizeof tag);
    const int better = metric_info(name)->better;
    if (!right || !better || strchr(metric, '#') ||
        (is_double(a, label, name, tag) && is_double(b, label, name, tag)))
        return;
    struct two t;
    t.value[0] = values_of(left, &t.n[0]);
    t.value[1] = values_of(right, &t.n[1]);
    if (!all_zero(&t)) {
        struct row *row = new_row(rows, label, metric);
        row->kind = kind_of(name);
        row->better = better;
        fill_row(row, &t, json_object_get(a->queries, key), json_object_get(b->queries, key), a->k);
    }
    free(t.value[0]);
    free(t.value[1]);
}

/* 4. Verdicts */

/* The rows that a slow-down of the row's step moves with it and that are as precise: the row and the
   times of the same label and tag with no larger an error. */
static size_t moved_together(const struct rows *rows, const struct row *row)
{
    size_t n = 0;
    for (size_t i = 0; i < rows->n; i++) {
        const struct row *other = &rows->row[i];
        n += other == row || (row->kind == ROW_TIMED && other->kind == ROW_TIMED &&
                              other->error <= row->error && !strcmp(other->label, row->label) &&
                              !strcmp(strchr(other->metric, '/'), strchr(row->metric, '/')));
    }
    return n;
}

static void judge(struct rows *rows)
{
    double *p = malloc((rows->n + 1) * sizeof *p);
    if (!p)
        abort();
    for (size_t i = 0; i < rows->n; i++)
        p[i] = rows->row[i].p;
    const double factor = yekutieli_adjust(p, rows->n);
    for (size_t i = 0; i < rows->n; i++) {
        struct row *row = &rows->row[i];
        row->p = p[i];
        if (row->p < significant)
            row->verdict = row->change * row->better > 0 ? VERDICT_BETTER : VERDICT_WORSE;
        if (isnan(row->error))
            continue;
        const double level = significant * (double)moved_together(rows, row) / factor;
        row->visible = (student_t(level, row->df) + student_t(2 * not_seen, row->df)) * row->error;
    }
    free(p);
}

void compare_sides(struct rows *rows, const struct side *a, const struct side *b)
{
    const char *key;
    json_t *left;
    json_object_foreach(a->samples, key, left) add_row(rows, a, b, key);
    judge(rows);
}

void rows_free(struct rows *rows)
{
    free(rows->row);
    *rows = (struct rows){ 0 };
}
