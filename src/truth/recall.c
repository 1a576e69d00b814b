/* recall.c - see recall.h. */
#include "src/truth/recall.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/stats.h"
#include "src/core/mem.h"
#include "src/truth/exact.h"

#define FLOAT_SLACK 1e-6

static int compare_ids(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

/* A large sample has a narrow interval, so fewer resamples are enough. */
static void interval_of_mean(const double *values, size_t n, uint64_t seed, struct score *s)
{
    s->low = s->high = NAN;
    if (n > 1)
        stats_bootstrap_mean(values, n, seed, n > 10000 ? 200 : 1000, &s->low, &s->high);
}

static bool allowed(const struct score_context *context, uint64_t id)
{
    const struct op *op = context->op;

    return live_has(&context->now->live, id) &&
           (!op->filter_bits ||
            (id < op->filter_ids && (op->filter_bits[id >> 6] >> (id & 63) & 1)));
}

/* Scratch space for one query: a row, and its answers. */
struct score_scratch {
    void *row;
    uint64_t *sorted;
};

static int distance_of(const struct score_context *context, const struct score_scratch *b,
                       const void *query, uint64_t id, double *distance, struct error *err)
{
    const struct op_list *list = context->now->list;
    const void *row = live_state_row(context->now, id, b->row, err);

    if (!row)
        return err->code;
    *distance = exact_distance(list->metric, list->element, query, row, list->dim);
    return OK;
}

/* The largest distance that counts as equal to `distance`. */
static double slack_of(const struct op_list *list, double distance)
{
    const bool exact = list->element != ELEMENT_F32 && list->metric != METRIC_COS;

    return exact ? distance : distance + FLOAT_SLACK * fabs(distance);
}

static const void *query_at(const struct score_context *context, size_t position)
{
    const struct op_list *list = context->now->list;

    return (const char *)context->queries + position * element_row_bytes(list->element, list->dim);
}

/* Copies the valid answers to b->sorted, sorted and without duplicates. Adds the number of all
   others to *wrong. */
static size_t valid_answers(const struct score_context *context, const struct score_scratch *b,
                            const uint64_t *ids, size_t n, double *wrong)
{
    size_t kept = 0, once = 0;

    for (size_t i = 0; i < n; i++) {
        if (ids[i] == ID_NONE)
            continue;
        if (allowed(context, ids[i]))
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

static int fail_truth(const struct score_context *context, size_t position, uint64_t id,
                      double distance, double limit, struct error *err)
{
    return fail(err, ERR_CORRUPT,
                "the ground truth of query %zu (config line %d) is wrong: id %" PRIu64
                " is at distance %.9g, within %.9g, and not in it; remove the folder \"truth\" of "
                "the cache (DRIFTLINE_CACHE) and run again",
                position + 1, context->op->line, id, distance, limit);
}

static int hits_of_query(const struct score_context *context, const struct score_scratch *b,
                         size_t position, const uint64_t *ids, size_t most, double *wrong,
                         uint32_t *hits, struct error *err)
{
    const size_t k = context->truth->k, n = valid_answers(context, b, ids, k, wrong);
    const uint64_t *nearest = context->truth->ids + position * k;
    const void *query = query_at(context, position);
    double last = 0, distance = 0;
    uint32_t found = 0;

    *hits = 0;
    if (most == 0)
        return OK;
    int rc = distance_of(context, b, query, nearest[most - 1], &last, err);
    const double limit = slack_of(context->now->list, last), surely = 2 * last - limit;
    for (size_t i = 0; rc == OK && i < n; i++) {
        rc = distance_of(context, b, query, b->sorted[i], &distance, err);
        found += rc == OK && distance <= limit;
        if (rc == OK && distance < surely && !holds(nearest, most, b->sorted[i]))
            rc = fail_truth(context, position, b->sorted[i], distance, last, err);
    }
    *hits = found < most ? found : (uint32_t)most;
    return rc;
}

static int score_scratch_make(struct score_scratch *b, const struct score_context *context,
                              size_t answers, struct error *err)
{
    const struct op_list *list = context->now->list;

    b->row = mem_alloc(NULL, element_row_bytes(list->element, list->dim));
    b->sorted = mem_array(NULL, answers + 1, sizeof *b->sorted);
    return b->row && b->sorted
               ? OK
               : fail(err, ERR_NO_MEMORY, "scores: out of memory for %zu answers", answers);
}

static void score_scratch_free(struct score_scratch *b)
{
    mem_free(NULL, b->row);
    mem_free(NULL, b->sorted);
}

static int summarise(struct score *s, uint64_t seed, struct error *err)
{
    double *shares = mem_array(NULL, s->n + 1, sizeof *shares);

    s->mean = s->min = s->low = s->high = NAN;
    if (!shares)
        return fail(err, ERR_NO_MEMORY, "scores: out of memory for %zu queries", s->n);
    if (s->n > 0 && s->most > 0) {
        double sum = 0;

        s->min = 1;
        for (size_t i = 0; i < s->n; i++) {
            shares[i] = (double)s->hits[i] / (double)s->most;
            sum += shares[i];
            s->min = shares[i] < s->min ? shares[i] : s->min;
        }
        s->mean = sum / (double)s->n;
        interval_of_mean(shares, s->n, seed, s);
    }
    mem_free(NULL, shares);
    return OK;
}

/* Clears the score and allocates the hits. The caller calls score_free(), also on failure. */
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
    return s->hits ? OK : fail(err, ERR_NO_MEMORY, "scores: out of memory for %zu queries", n);
}

int score_search(struct score *s, const struct score_context *context, const uint64_t *positions,
                 size_t n, const uint64_t *ids, uint64_t seed, struct error *err)
{
    const struct truth *t = context->truth;
    struct score_scratch b;
    int rc = score_begin(s, n, t->k < t->available ? t->k : t->available, err);
    const int made = score_scratch_make(&b, context, t->k, err);

    rc = rc == OK ? made : rc;
    for (size_t i = 0; rc == OK && i < n; i++)
        rc = hits_of_query(context, &b, positions ? (size_t)positions[i] : i, ids + i * t->k,
                           s->most, &s->wrong_ids, &s->hits[i], err);
    score_scratch_free(&b);
    if (rc == OK)
        rc = summarise(s, seed, err);
    if (rc != OK)
        score_free(s);
    return rc;
}

/* Counts the valid answers in b->sorted that are within the radius, and adds to *found how many of
   the true answers are among them. */
static int range_of_query(const struct score_context *context, const struct score_scratch *b,
                          size_t q, size_t n, uint32_t *within, size_t *found, struct error *err)
{
    const double radius = context->op->radius, limit = slack_of(context->now->list, radius);
    const size_t found_before = *found;
    size_t inside = 0;
    uint64_t last_inside = 0;
    double distance = 0;
    int rc = OK;

    *within = 0;
    for (size_t i = 0; rc == OK && i < n; i++) {
        rc = distance_of(context, b, query_at(context, q), b->sorted[i], &distance, err);
        *within += rc == OK && distance <= limit;
        if (rc == OK && distance < 2 * radius - limit) {
            inside++;
            last_inside = b->sorted[i];
        }
    }
    for (uint64_t i = context->truth->starts[q]; i < context->truth->starts[q + 1]; i++)
        *found +=
            bsearch(&context->truth->ids[i], b->sorted, n, sizeof *b->sorted, compare_ids) != NULL;
    /* An answer that is inside by more than the slack must be in the ground truth. */
    return rc == OK && inside > *found - found_before
               ? fail_truth(context, q, last_inside, radius, radius, err)
               : rc;
}

int score_range(struct score *s, const struct score_context *context, const uint64_t *positions,
                size_t n, const uint64_t *starts, const uint64_t *ids, struct error *err)
{
    const struct truth *t = context->truth;
    double true_answers = 0;
    struct score_scratch b;
    size_t found = 0, right = 0;
    int rc = score_begin(s, n, 0, err);
    const int made = score_scratch_make(&b, context, (size_t)starts[n], err);

    rc = rc == OK ? made : rc;
    for (size_t i = 0; rc == OK && i < n; i++) {
        const size_t q = positions ? (size_t)positions[i] : i;
        const size_t valid = valid_answers(context, &b, ids + starts[i],
                                           (size_t)(starts[i + 1] - starts[i]), &s->wrong_ids);

        rc = range_of_query(context, &b, q, valid, &s->hits[i], &found, err);
        right += rc == OK ? s->hits[i] : 0;
        true_answers += (double)(t->starts[q + 1] - t->starts[q]);
    }
    score_scratch_free(&b);
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

/* ---- answers given during concurrent writes */

/* Ids inserted and deleted while the operation runs, sorted. */
struct concurrent_changes {
    uint64_t *came, *went;
    size_t n_came, n_went;
};

struct concurrent_candidate {
    double distance;
    bool stays; /* live during the whole operation */
};

static bool is_among(const uint64_t *sorted, size_t n, uint64_t id)
{
    return n > 0 && bsearch(&id, sorted, n, sizeof *sorted, compare_ids) != NULL;
}

static int changes_of(struct concurrent_changes *c, const struct op *op, struct error *err)
{
    const size_t n = op->writes ? op->writes->n : 0;

    *c = (struct concurrent_changes){ mem_array(NULL, n + 1, sizeof *c->came),
                                      mem_array(NULL, n + 1, sizeof *c->went), n,
                                      op->removes ? n : 0 };
    if (!c->came || !c->went)
        return fail(err, ERR_NO_MEMORY, "scores: out of memory for %zu changes", n);
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
    const double x = ((const struct concurrent_candidate *)a)->distance;
    const double y = ((const struct concurrent_candidate *)b)->distance;

    return x < y ? -1 : x > y;
}

/* The k nearest of all rows that were live at any time: candidates are the ground truth at the end
   and the deleted rows. */
static int nearest_ever(const struct score_context *context, const struct score_scratch *b,
                        const struct concurrent_changes *c, size_t position,
                        struct concurrent_candidate *all, size_t *n, size_t *n_all,
                        struct error *err)
{
    const size_t k = context->truth->k,
                 known = k < context->truth->available ? k : context->truth->available;
    const uint64_t *ids = context->truth->ids + position * k;
    const void *query = query_at(context, position);
    int rc = OK;

    for (size_t i = 0; rc == OK && i < known + c->n_went; i++) {
        const uint64_t id = i < known ? ids[i] : c->went[i - known];

        all[i].stays = i < known && !is_among(c->came, c->n_came, id);
        rc = distance_of(context, b, query, id, &all[i].distance, err);
    }
    qsort(all, known + c->n_went, sizeof *all, compare_candidates);
    *n_all = known + c->n_went;
    *n = *n_all < k ? *n_all : k;
    return rc;
}

/* How many of the nearest rows every correct answer contains. If several rows are as far as the
   k-th, an answer may contain any of them, so none is required. */
static size_t wanted_of(const struct op_list *list, const struct concurrent_candidate *all,
                        size_t n, size_t n_all)
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

/* *share: the share of the required rows (wanted_of) in the answer; NAN if no row is required. */
static int share_of_query(const struct score_context *context, const struct score_scratch *b,
                          const struct concurrent_changes *c, struct concurrent_candidate *all,
                          size_t position, const uint64_t *ids, double *wrong, uint32_t *hits,
                          double *share, struct error *err)
{
    size_t n, n_all, kept = 0, found = 0;
    double distance = 0;
    int rc = nearest_ever(context, b, c, position, all, &n, &n_all, err);

    for (size_t i = 0; i < context->truth->k; i++)
        if (ids[i] != ID_NONE) {
            if (live_has(&context->now->live, ids[i]) || is_among(c->went, c->n_went, ids[i]))
                b->sorted[kept++] = ids[i];
            else
                ++*wrong;
        }
    qsort(b->sorted, kept, sizeof *b->sorted, compare_ids);
    const size_t wanted = wanted_of(context->now->list, all, n, n_all);
    const double limit = n > 0 ? slack_of(context->now->list, all[n - 1].distance) : 0;
    for (size_t i = 0; rc == OK && i < kept; i++) {
        const uint64_t id = b->sorted[i];

        if (i > 0 && id == b->sorted[i - 1]) {
            ++*wrong;
            continue;
        }
        if (is_among(c->came, c->n_came, id) || is_among(c->went, c->n_went, id))
            continue;
        rc = distance_of(context, b, query_at(context, position), id, &distance, err);
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
    interval_of_mean(shares, m, seed, s);
}

int score_concurrent(struct score *s, const struct score_context *context,
                     const uint64_t *positions, size_t n, const uint64_t *ids, uint64_t seed,
                     struct error *err)
{
    const size_t k = context->truth->k;
    struct concurrent_changes c;
    struct score_scratch b;
    int rc = score_begin(s, n, k, err);
    const int made = score_scratch_make(&b, context, k, err),
              changed = changes_of(&c, context->op, err);
    struct concurrent_candidate *all = mem_array(NULL, k + c.n_went + 1, sizeof *all);
    double *shares = mem_array(NULL, n + 1, sizeof *shares);

    rc = rc == OK ? made : rc;
    rc = rc == OK ? changed : rc;
    if (rc == OK && (!all || !shares))
        rc = fail(err, ERR_NO_MEMORY, "scores: out of memory for %zu queries", n);
    for (size_t i = 0; rc == OK && i < n; i++)
        rc = share_of_query(context, &b, &c, all, (size_t)positions[i], ids + i * k, &s->wrong_ids,
                            &s->hits[i], &shares[i], err);
    if (rc == OK)
        take_shares(s, shares, n, seed);
    else
        score_free(s);
    mem_free(NULL, c.came);
    mem_free(NULL, c.went);
    mem_free(NULL, all);
    mem_free(NULL, shares);
    score_scratch_free(&b);
    return rc;
}

void score_free(struct score *s)
{
    mem_free(NULL, s->hits);
    s->hits = NULL;
}
