/* recall.c - see recall.h. */
#include "recall.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "core/rng.h"
#include "exact.h"

#define FLOAT_SLACK 1e-6

static int compare_ids(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

static int compare_doubles(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

void bootstrap_mean(const double *values, size_t n, uint64_t seed, double *low, double *high)
{
    enum { RESAMPLES = 1000 };
    double means[RESAMPLES];
    struct rng r = rng_at(seed, n);

    *low = *high = NAN;
    if (n < 2)
        return;
    /* Large samples have narrow intervals: fewer resamples say the same. */
    const size_t resamples = n > 10000 ? 200 : RESAMPLES;
    for (size_t i = 0; i < resamples; i++) {
        double sum = 0;

        for (size_t j = 0; j < n; j++)
            sum += values[rng_below(&r, n)];
        means[i] = sum / (double)n;
    }
    qsort(means, resamples, sizeof *means, compare_doubles);
    *low = means[resamples / 40];
    *high = means[resamples - 1 - resamples / 40];
}

static bool allowed(const struct judge *j, uint64_t id)
{
    const struct op *op = j->op;

    return live_has(&j->now->live, id) &&
           (!op->filter_bits ||
            (id < op->filter_ids && (op->filter_bits[id >> 6] >> (id & 63) & 1)));
}

/* What one query needs in turn; sorted has room for its answers. */
struct bench {
    void *row;
    uint64_t *sorted;
};

static int distance_of(const struct judge *j, const struct bench *b, const void *query, uint64_t id,
                       double *distance, struct error *err)
{
    const struct op_list *list = j->now->list;
    const void *row = holding_row(j->now, id, b->row, err);

    if (!row)
        return err->code;
    *distance = exact_distance(list->metric, list->element, query, row, list->dim);
    return OK;
}

/* The largest distance that is as near as `distance`. */
static double slack_of(const struct op_list *list, double distance)
{
    const bool exact = list->element != ELEMENT_F32 && list->metric != METRIC_COS;

    return exact ? distance : distance + FLOAT_SLACK * fabs(distance);
}

static const void *query_at(const struct judge *j, size_t position)
{
    const struct op_list *list = j->now->list;

    return (const char *)j->queries + position * element_row_bytes(list->element, list->dim);
}

/* Copies the valid answers, sorted and each once, to b->sorted; adds the others to *wrong. */
static size_t valid_answers(const struct judge *j, const struct bench *b, const uint64_t *ids,
                            size_t n, double *wrong)
{
    size_t kept = 0, once = 0;

    for (size_t i = 0; i < n; i++) {
        if (ids[i] == ID_NONE)
            continue;
        if (allowed(j, ids[i]))
            b->sorted[kept++] = ids[i];
        else
            ++*wrong;
    }
    qsort(b->sorted, kept, sizeof *b->sorted, compare_ids);
    for (size_t i = 0; i < kept; i++) {
        if (i > 0 && b->sorted[i] == b->sorted[i - 1])
            ++*wrong;
        else
            b->sorted[once++] = b->sorted[i];
    }
    return once;
}

static int hits_of_query(const struct judge *j, const struct bench *b, size_t position,
                         const uint64_t *ids, size_t most, double *wrong, uint32_t *hits,
                         struct error *err)
{
    const size_t k = j->truth->k, n = valid_answers(j, b, ids, k, wrong);
    const void *query = query_at(j, position);
    double limit = 0, distance = 0;
    uint32_t found = 0;

    *hits = 0;
    if (most == 0)
        return OK;
    int rc = distance_of(j, b, query, j->truth->ids[position * k + most - 1], &limit, err);
    limit = slack_of(j->now->list, limit);
    for (size_t i = 0; rc == OK && i < n; i++) {
        rc = distance_of(j, b, query, b->sorted[i], &distance, err);
        found += rc == OK && distance <= limit;
    }
    *hits = found < most ? found : (uint32_t)most;
    return rc;
}

static int bench_make(struct bench *b, const struct judge *j, size_t answers, struct error *err)
{
    const struct op_list *list = j->now->list;

    b->row = mem_alloc(NULL, element_row_bytes(list->element, list->dim));
    b->sorted = mem_array(NULL, answers + 1, sizeof *b->sorted);
    return b->row && b->sorted
               ? OK
               : fail(err, ERR_NO_MEMORY, "scores: no memory for %zu answers", answers);
}

static void bench_free(struct bench *b)
{
    mem_free(NULL, b->row);
    mem_free(NULL, b->sorted);
}

static int summarise(struct score *s, uint64_t seed, struct error *err)
{
    double *shares = mem_array(NULL, s->n + 1, sizeof *shares);

    s->mean = s->min = s->low = s->high = NAN;
    if (!shares)
        return fail(err, ERR_NO_MEMORY, "scores: no memory for %zu queries", s->n);
    if (s->n > 0 && s->most > 0) {
        double sum = 0;

        s->min = 1;
        for (size_t i = 0; i < s->n; i++) {
            shares[i] = (double)s->hits[i] / (double)s->most;
            sum += shares[i];
            s->min = shares[i] < s->min ? shares[i] : s->min;
        }
        s->mean = sum / (double)s->n;
        bootstrap_mean(shares, s->n, seed, &s->low, &s->high);
    }
    mem_free(NULL, shares);
    return OK;
}

int score_search(struct score *s, const struct judge *j, const uint64_t *positions, size_t n,
                 const uint64_t *ids, uint64_t seed, struct error *err)
{
    const struct truth *t = j->truth;
    struct bench b;
    int rc = bench_make(&b, j, t->k, err);

    *s = (struct score){ .n = n,
                         .most = t->k < t->available ? t->k : t->available,
                         .recall = NAN,
                         .precision = NAN,
                         .results = NAN };
    s->hits = mem_array(NULL, n + 1, sizeof *s->hits);
    if (!s->hits)
        rc = fail(err, ERR_NO_MEMORY, "scores: no memory for %zu queries", n);
    for (size_t i = 0; rc == OK && i < n; i++)
        rc = hits_of_query(j, &b, positions ? (size_t)positions[i] : i, ids + i * t->k, s->most,
                           &s->wrong_ids, &s->hits[i], err);
    bench_free(&b);
    if (rc == OK)
        rc = summarise(s, seed, err);
    if (rc != OK)
        score_free(s);
    return rc;
}

/* Of the valid answers in b->sorted: how many are within the radius, and how many of the truth
   are among them. */
static int range_of_query(const struct judge *j, const struct bench *b, size_t q, size_t n,
                          uint32_t *within, size_t *found, struct error *err)
{
    const double limit = slack_of(j->now->list, j->op->radius);
    double distance = 0;
    int rc = OK;

    *within = 0;
    for (size_t i = 0; rc == OK && i < n; i++) {
        rc = distance_of(j, b, query_at(j, q), b->sorted[i], &distance, err);
        *within += rc == OK && distance <= limit;
    }
    for (uint64_t i = j->truth->starts[q]; i < j->truth->starts[q + 1]; i++)
        *found += bsearch(&j->truth->ids[i], b->sorted, n, sizeof *b->sorted, compare_ids) != NULL;
    return rc;
}

int score_range(struct score *s, const struct judge *j, const uint64_t *starts, const uint64_t *ids,
                struct error *err)
{
    const struct truth *t = j->truth;
    struct bench b;
    size_t found = 0, right = 0;
    int rc = bench_make(&b, j, (size_t)starts[t->n_queries], err);

    *s = (struct score){ .n = t->n_queries,
                         .mean = NAN,
                         .min = NAN,
                         .low = NAN,
                         .high = NAN,
                         .recall = NAN,
                         .precision = NAN,
                         .results = NAN };
    s->hits = mem_array(NULL, s->n + 1, sizeof *s->hits);
    if (!s->hits)
        rc = fail(err, ERR_NO_MEMORY, "scores: no memory for %zu queries", s->n);
    for (size_t q = 0; rc == OK && q < s->n; q++) {
        const size_t n = valid_answers(j, &b, ids + starts[q], (size_t)(starts[q + 1] - starts[q]),
                                       &s->wrong_ids);

        rc = range_of_query(j, &b, q, n, &s->hits[q], &found, err);
        right += rc == OK ? s->hits[q] : 0;
    }
    bench_free(&b);
    if (rc != OK) {
        score_free(s);
        return rc;
    }
    const double answers = (double)starts[t->n_queries],
                 true_answers = (double)t->starts[t->n_queries];
    s->recall = true_answers > 0 ? (double)found / true_answers : NAN;
    s->precision = answers > 0 ? (double)right / answers : NAN;
    s->results = s->n > 0 ? answers / (double)s->n : NAN;
    return OK;
}

void score_free(struct score *s)
{
    mem_free(NULL, s->hits);
    s->hits = NULL;
}
