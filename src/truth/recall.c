/* recall.c - see recall.h. */
#include "src/truth/recall.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/stats.h"
#include "src/core/mem.h"
#include "src/truth/exact.h"

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

/* A row's distance, and how far rounding may move it. */
struct measured {
    double distance, rounding;
};

static int measure(const struct score_context *context, const struct score_scratch *b,
                   const void *query, uint64_t id, struct measured *m, struct error *err)
{
    const struct op_list *list = context->now->list;
    const void *row = live_state_row(context->now, id, b->row, err);

    if (!row)
        return err->code;
    m->distance = exact_distance(list->metric, list->element, query, row, list->dim);
    m->rounding = exact_rounding(list->metric, list->element, query, row, list->dim, m->distance);
    return OK;
}

/* Below 0: a is nearer than b, whatever the rounding; 0: they are tied; above 0: a is farther. */
static int compare_measured(struct measured a, struct measured b)
{
    const double rounding = fmax(a.rounding, b.rounding);

    return a.distance < b.distance - rounding ? -1 : a.distance > b.distance + rounding;
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
    struct measured last = { 0 }, answer = { 0 };
    uint32_t found = 0;

    *hits = 0;
    if (most == 0)
        return OK;
    int rc = measure(context, b, query, nearest[most - 1], &last, err);
    for (size_t i = 0; rc == OK && i < n; i++) {
        rc = measure(context, b, query, b->sorted[i], &answer, err);
        const int order = compare_measured(answer, last);
        found += rc == OK && order <= 0;
        if (rc == OK && order < 0 && !holds(nearest, most, b->sorted[i]))
            rc = fail_truth(context, position, b->sorted[i], answer.distance, last.distance, err);
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

/* Whether a row of the ground truth may be missing: rounding may put it beyond the radius. A radius
   that is a distance of L2 is met exactly, so it may not. */
static bool may_miss(const struct score_context *context, struct measured m)
{
    const struct measured radius = { context->op->radius, 0 };

    return compare_measured(m, radius) == 0 && m.rounding > 0 &&
           (context->now->list->metric != METRIC_L2SQ || m.distance < radius.distance);
}

/* Adds how many of the true answers of query q are among the n answers in b->sorted, and how many
   there were to find. */
static int find_true(const struct score_context *context, const struct score_scratch *b, size_t q,
                     size_t n, size_t *found, size_t *wanted, struct error *err)
{
    const struct truth *t = context->truth;
    struct measured m = { 0 };
    int rc = OK;

    for (uint64_t i = t->starts[q]; rc == OK && i < t->starts[q + 1]; i++) {
        const bool has = bsearch(&t->ids[i], b->sorted, n, sizeof *b->sorted, compare_ids) != NULL;

        if (!has)
            rc = measure(context, b, query_at(context, q), t->ids[i], &m, err);
        *found += has;
        *wanted += has || !may_miss(context, m);
    }
    return rc;
}

struct range_counts {
    size_t right, found, wanted;
};

/* Counts the valid answers in b->sorted that are within the radius, and how many of the true answers
   are among them. */
static int range_of_query(const struct score_context *context, const struct score_scratch *b,
                          size_t q, size_t n, uint32_t *within, struct range_counts *all,
                          struct error *err)
{
    const struct measured radius = { context->op->radius, 0 };
    const size_t found_before = all->found;
    struct measured answer = { 0 };
    size_t inside = 0;
    uint64_t last_inside = 0;
    int rc = OK;

    *within = 0;
    for (size_t i = 0; rc == OK && i < n; i++) {
        rc = measure(context, b, query_at(context, q), b->sorted[i], &answer, err);
        const int order = compare_measured(answer, radius);
        *within += rc == OK && order <= 0;
        if (rc == OK && order < 0) {
            inside++;
            last_inside = b->sorted[i];
        }
    }
    rc = rc == OK ? find_true(context, b, q, n, &all->found, &all->wanted, err) : rc;
    all->right += rc == OK ? *within : 0;
    /* An answer that is inside by more than rounding must be in the ground truth. */
    return rc == OK && inside > all->found - found_before
               ? fail_truth(context, q, last_inside, radius.distance, radius.distance, err)
               : rc;
}

int score_range(struct score *s, const struct score_context *context, const uint64_t *positions,
                size_t n, const uint64_t *starts, const uint64_t *ids, struct error *err)
{
    struct range_counts all = { 0 };
    struct score_scratch b;
    int rc = score_begin(s, n, 0, err);
    const int made = score_scratch_make(&b, context, (size_t)starts[n], err);

    rc = rc == OK ? made : rc;
    for (size_t i = 0; rc == OK && i < n; i++) {
        const size_t q = positions ? (size_t)positions[i] : i;
        const size_t valid = valid_answers(context, &b, ids + starts[i],
                                           (size_t)(starts[i + 1] - starts[i]), &s->wrong_ids);

        rc = range_of_query(context, &b, q, valid, &s->hits[i], &all, err);
    }
    score_scratch_free(&b);
    if (rc != OK) {
        score_free(s);
        return rc;
    }
    const double answers = (double)starts[n];
    s->recall = all.wanted > 0 ? (double)all.found / (double)all.wanted : NAN;
    s->precision = answers > 0 ? (double)all.right / answers : NAN;
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
    struct measured at;
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
    const double x = ((const struct concurrent_candidate *)a)->at.distance;
    const double y = ((const struct concurrent_candidate *)b)->at.distance;

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
        rc = measure(context, b, query, id, &all[i].at, err);
    }
    qsort(all, known + c->n_went, sizeof *all, compare_candidates);
    *n_all = known + c->n_went;
    *n = *n_all < k ? *n_all : k;
    return rc;
}

/* How many of the nearest rows every correct answer contains. If several rows are as far as the
   k-th, an answer may contain any of them, so none is required. */
static size_t wanted_of(const struct concurrent_candidate *all, size_t n, size_t n_all)
{
    size_t wanted = 0, as_far = 0, as_far_stay = 0;

    for (size_t i = 0; i < n_all && n > 0; i++) {
        const int order = compare_measured(all[i].at, all[n - 1].at);

        wanted += order < 0 && all[i].stays;
        as_far += order == 0;
        as_far_stay += order == 0 && all[i].stays;
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
    struct measured answer = { 0 };
    int rc = nearest_ever(context, b, c, position, all, &n, &n_all, err);

    for (size_t i = 0; i < context->truth->k; i++)
        if (ids[i] != ID_NONE) {
            if (live_has(&context->now->live, ids[i]) || is_among(c->went, c->n_went, ids[i]))
                b->sorted[kept++] = ids[i];
            else
                ++*wrong;
        }
    qsort(b->sorted, kept, sizeof *b->sorted, compare_ids);
    const size_t wanted = wanted_of(all, n, n_all);
    for (size_t i = 0; rc == OK && i < kept; i++) {
        const uint64_t id = b->sorted[i];

        if (i > 0 && id == b->sorted[i - 1]) {
            ++*wrong;
            continue;
        }
        if (is_among(c->came, c->n_came, id) || is_among(c->went, c->n_went, id))
            continue;
        rc = measure(context, b, query_at(context, position), id, &answer, err);
        found += rc == OK && n > 0 && compare_measured(answer, all[n - 1].at) <= 0;
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
