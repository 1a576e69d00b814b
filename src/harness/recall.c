/* recall.c - see recall.h. */
#include "recall.h"

#include <inttypes.h>
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

static bool holds(const uint64_t *ids, size_t n, uint64_t id)
{
    for (size_t i = 0; i < n; i++)
        if (ids[i] == id)
            return true;
    return false;
}

static int fail_truth(const struct judge *j, size_t position, uint64_t id, double distance,
                      double limit, struct error *err)
{
    return fail(err, ERR_CORRUPT,
                "the ground truth of query %zu (config line %d) is wrong: id %" PRIu64
                " is at distance %.9g, within %.9g, and not in it; remove the folder \"truth\" of "
                "the cache (DRIFTLINE_CACHE) and run again",
                position + 1, j->op->line, id, distance, limit);
}

static int hits_of_query(const struct judge *j, const struct bench *b, size_t position,
                         const uint64_t *ids, size_t most, double *wrong, uint32_t *hits,
                         struct error *err)
{
    const size_t k = j->truth->k, n = valid_answers(j, b, ids, k, wrong);
    const uint64_t *nearest = j->truth->ids + position * k;
    const void *query = query_at(j, position);
    double last = 0, distance = 0;
    uint32_t found = 0;

    *hits = 0;
    if (most == 0)
        return OK;
    int rc = distance_of(j, b, query, nearest[most - 1], &last, err);
    const double limit = slack_of(j->now->list, last), surely = 2 * last - limit;
    for (size_t i = 0; rc == OK && i < n; i++) {
        rc = distance_of(j, b, query, b->sorted[i], &distance, err);
        found += rc == OK && distance <= limit;
        if (rc == OK && distance < surely && !holds(nearest, most, b->sorted[i]))
            rc = fail_truth(j, position, b->sorted[i], distance, last, err);
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

/* No score yet, and room for the hits; to be freed whatever comes. */
static int score_begin(struct score *s, size_t n, size_t most, struct error *err)
{
    *s = (struct score){ .n = n,
                         .most = most,
                         .mean = NAN,
                         .min = NAN,
                         .low = NAN,
                         .high = NAN,
                         .recall = NAN,
                         .precision = NAN,
                         .results = NAN };
    s->hits = mem_array(NULL, n + 1, sizeof *s->hits);
    return s->hits ? OK : fail(err, ERR_NO_MEMORY, "scores: no memory for %zu queries", n);
}

int score_search(struct score *s, const struct judge *j, const uint64_t *positions, size_t n,
                 const uint64_t *ids, uint64_t seed, struct error *err)
{
    const struct truth *t = j->truth;
    struct bench b;
    int rc = score_begin(s, n, t->k < t->available ? t->k : t->available, err);
    const int made = bench_make(&b, j, t->k, err);

    rc = rc == OK ? made : rc;
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
    const double radius = j->op->radius, limit = slack_of(j->now->list, radius);
    const size_t found_before = *found;
    size_t inside = 0;
    uint64_t last_inside = 0;
    double distance = 0;
    int rc = OK;

    *within = 0;
    for (size_t i = 0; rc == OK && i < n; i++) {
        rc = distance_of(j, b, query_at(j, q), b->sorted[i], &distance, err);
        *within += rc == OK && distance <= limit;
        if (rc == OK && distance < 2 * radius - limit) {
            inside++;
            last_inside = b->sorted[i];
        }
    }
    for (uint64_t i = j->truth->starts[q]; i < j->truth->starts[q + 1]; i++)
        *found += bsearch(&j->truth->ids[i], b->sorted, n, sizeof *b->sorted, compare_ids) != NULL;
    /* Every answer surely inside is one of the truth's. */
    return rc == OK && inside > *found - found_before
               ? fail_truth(j, q, last_inside, radius, radius, err)
               : rc;
}

int score_range(struct score *s, const struct judge *j, const uint64_t *positions, size_t n,
                const uint64_t *starts, const uint64_t *ids, struct error *err)
{
    const struct truth *t = j->truth;
    double true_answers = 0;
    struct bench b;
    size_t found = 0, right = 0;
    int rc = score_begin(s, n, 0, err);
    const int made = bench_make(&b, j, (size_t)starts[n], err);

    rc = rc == OK ? made : rc;
    for (size_t i = 0; rc == OK && i < n; i++) {
        const size_t q = positions ? (size_t)positions[i] : i;
        const size_t valid = valid_answers(j, &b, ids + starts[i],
                                           (size_t)(starts[i + 1] - starts[i]), &s->wrong_ids);

        rc = range_of_query(j, &b, q, valid, &s->hits[i], &found, err);
        right += rc == OK ? s->hits[i] : 0;
        true_answers += (double)(t->starts[q + 1] - t->starts[q]);
    }
    bench_free(&b);
    if (rc != OK) {
        score_free(s);
        return rc;
    }
    const double answers = (double)starts[n];
    s->recall = true_answers > 0 ? (double)found / true_answers : NAN;
    s->precision = answers > 0 ? (double)right / answers : NAN;
    s->results = n > 0 ? answers / (double)n : NAN;
    return OK;
}

/* ---- answers given beside writes */

/* What changes while the operation runs, each list sorted. */
struct changes {
    uint64_t *came, *went;
    size_t n_came, n_went;
};

struct candidate {
    double distance;
    bool stays; /* it is live all the time */
};

static bool is_among(const uint64_t *sorted, size_t n, uint64_t id)
{
    return n > 0 && bsearch(&id, sorted, n, sizeof *sorted, compare_ids) != NULL;
}

static int changes_of(struct changes *c, const struct op *op, struct error *err)
{
    const size_t n = op->writes ? op->writes->n : 0;

    *c = (struct changes){ mem_array(NULL, n + 1, sizeof *c->came),
                           mem_array(NULL, n + 1, sizeof *c->went), n, op->removes ? n : 0 };
    if (!c->came || !c->went)
        return fail(err, ERR_NO_MEMORY, "scores: no memory for %zu changes", n);
    if (n > 0)
        memcpy(c->came, op->ids, n * sizeof *c->came);
    if (c->n_went > 0)
        memcpy(c->went, op->removes, n * sizeof *c->went);
    qsort(c->came, c->n_came, sizeof *c->came, compare_ids);
    qsort(c->went, c->n_went, sizeof *c->went, compare_ids);
    return OK;
}

static int compare_candidates(const void *a, const void *b)
{
    const double x = ((const struct candidate *)a)->distance;
    const double y = ((const struct candidate *)b)->distance;

    return x < y ? -1 : x > y;
}

/* The k nearest of all rows live at any time: the truth of those live at the end, and what went. */
static int nearest_ever(const struct judge *j, const struct bench *b, const struct changes *c,
                        size_t position, struct candidate *all, size_t *n, size_t *n_all,
                        struct error *err)
{
    const size_t k = j->truth->k, known = k < j->truth->available ? k : j->truth->available;
    const uint64_t *ids = j->truth->ids + position * k;
    const void *query = query_at(j, position);
    int rc = OK;

    for (size_t i = 0; rc == OK && i < known + c->n_went; i++) {
        const uint64_t id = i < known ? ids[i] : c->went[i - known];

        all[i].stays = i < known && !is_among(c->came, c->n_came, id);
        rc = distance_of(j, b, query, id, &all[i].distance, err);
    }
    qsort(all, known + c->n_went, sizeof *all, compare_candidates);
    *n_all = known + c->n_went;
    *n = *n_all < k ? *n_all : k;
    return rc;
}

/* How many of the nearest an answer had to hold. Of several that are as far as the k-th it may have taken others. */
static size_t wanted_of(const struct op_list *list, const struct candidate *all, size_t n,
                        size_t n_all)
{
    const double last = n > 0 ? all[n - 1].distance : 0, surely = 2 * last - slack_of(list, last);
    size_t wanted = 0, as_far = 0, as_far_stay = 0;

    for (size_t i = 0; i < n_all && n > 0 && all[i].distance <= slack_of(list, last); i++) {
        if (all[i].distance < surely) {
            wanted += all[i].stays;
        } else {
            as_far++;
            as_far_stay += all[i].stays;
        }
    }
    return wanted + (as_far == 1 ? as_far_stay : 0);
}

/* *share: of the rows that every moment's answer had to hold; NAN: there are none. */
static int share_of_query(const struct judge *j, const struct bench *b, const struct changes *c,
                          struct candidate *all, size_t position, const uint64_t *ids,
                          double *wrong, uint32_t *hits, double *share, struct error *err)
{
    size_t n, n_all, kept = 0, found = 0;
    double distance = 0;
    int rc = nearest_ever(j, b, c, position, all, &n, &n_all, err);

    for (size_t i = 0; i < j->truth->k; i++)
        if (ids[i] != ID_NONE) {
            if (live_has(&j->now->live, ids[i]) || is_among(c->went, c->n_went, ids[i]))
                b->sorted[kept++] = ids[i];
            else
                ++*wrong;
        }
    qsort(b->sorted, kept, sizeof *b->sorted, compare_ids);
    const size_t wanted = wanted_of(j->now->list, all, n, n_all);
    const double limit = n > 0 ? slack_of(j->now->list, all[n - 1].distance) : 0;
    for (size_t i = 0; rc == OK && i < kept; i++) {
        const uint64_t id = b->sorted[i];

        if (i > 0 && id == b->sorted[i - 1]) {
            ++*wrong;
            continue;
        }
        if (is_among(c->came, c->n_came, id) || is_among(c->went, c->n_went, id))
            continue;
        rc = distance_of(j, b, query_at(j, position), id, &distance, err);
        found += rc == OK && distance <= limit;
    }
    *hits = (uint32_t)(found < wanted ? found : wanted);
    *share = wanted > 0 ? (double)*hits / (double)wanted : NAN;
    return rc;
}

static void take_shares(struct score *s, double *shares, size_t n, uint64_t seed)
{
    size_t m = 0;
    double sum = 0;

    for (size_t i = 0; i < n; i++)
        if (!isnan(shares[i])) {
            shares[m++] = shares[i];
            sum += shares[i];
            s->min = isnan(s->min) || shares[i] < s->min ? shares[i] : s->min;
        }
    s->mean = m > 0 ? sum / (double)m : NAN;
    bootstrap_mean(shares, m, seed, &s->low, &s->high);
}

int score_concurrent(struct score *s, const struct judge *j, const uint64_t *positions, size_t n,
                     const uint64_t *ids, uint64_t seed, struct error *err)
{
    const size_t k = j->truth->k;
    struct changes c;
    struct bench b;
    int rc = score_begin(s, n, k, err);
    const int made = bench_make(&b, j, k, err), changed = changes_of(&c, j->op, err);
    struct candidate *all = mem_array(NULL, k + c.n_went + 1, sizeof *all);
    double *shares = mem_array(NULL, n + 1, sizeof *shares);

    rc = rc == OK ? made : rc;
    rc = rc == OK ? changed : rc;
    if (rc == OK && (!all || !shares))
        rc = fail(err, ERR_NO_MEMORY, "scores: no memory for %zu queries", n);
    for (size_t i = 0; rc == OK && i < n; i++)
        rc = share_of_query(j, &b, &c, all, (size_t)positions[i], ids + i * k, &s->wrong_ids,
                            &s->hits[i], &shares[i], err);
    if (rc == OK)
        take_shares(s, shares, n, seed);
    else
        score_free(s);
    mem_free(NULL, c.came);
    mem_free(NULL, c.went);
    mem_free(NULL, all);
    mem_free(NULL, shares);
    bench_free(&b);
    return rc;
}

void score_free(struct score *s)
{
    mem_free(NULL, s->hits);
    s->hits = NULL;
}
