/* recall.c - see recall.h.
 *
 * 1 distances   2 searches   3 true ids from elsewhere   4 ranges   5 searches during writes */
#include "src/truth/recall.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/stats.h"
#include "src/core/mem.h"
#include "src/core/order.h"
#include "src/truth/exact.h"

/* ---- 1. distances */

/* A row's distance, and how far rounding may move it. */
struct measured {
    double distance, rounding;
};

/* query, row: in the list's element. */
static struct measured measure_row(const struct score_context *context, const void *query,
                                   const void *row)
{
    const struct op_list *list = context->now->list;
    const double distance = exact_distance(list->metric, list->element, query, row, list->dim);

    return (struct measured){ distance, exact_rounding(list->metric, list->element, query, row,
                                                       list->dim, distance) };
}

static int measure(const struct score_context *context, const struct score *b, const void *query,
                   uint64_t id, struct measured *m, struct error *err)
{
    const void *row = live_state_row(context->now, id, b->row, err);

    if (!row)
        return err->code;
    *m = measure_row(context, query, row);
    return OK;
}

/* Below 0: a is nearer than b by more than rounding explains; 0: they are tied; above 0: a is farther. */
static int compare(struct measured a, struct measured b)
{
    const double rounding = fmax(a.rounding, b.rounding);

    return a.distance < b.distance - rounding ? -1 : a.distance > b.distance + rounding;
}

static const void *query_at(const struct score_context *context, size_t position)
{
    const struct op_list *list = context->now->list;

    return (const char *)context->queries + position * index_row_bytes(list->element, list->dim);
}

/* ---- 2. searches */

/* The bootstrap interval of the mean of the values, into low and high. A large sample has a narrow one,
   so fewer resamples are enough. */
static void find_interval(const double *values, size_t n, uint64_t seed, struct score *s)
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

static bool is_among(const uint64_t *sorted, size_t n, uint64_t id)
{
    return n > 0 && bsearch(&id, sorted, n, sizeof *sorted, order_u64) != NULL;
}

/* Copies the valid answers to b->sorted, sorted and without duplicates; the n_went sorted ids are valid,
   too. Adds the number of all others to *wrong. */
static size_t valid_answers(const struct score_context *context, const struct score *b,
                            const uint64_t *went, size_t n_went, const uint64_t *ids, size_t n,
                            double *wrong)
{
    size_t kept = 0, once = 0;

    for (size_t i = 0; i < n; i++) {
        if (ids[i] == INDEX_NO_ID)
            continue;
        if (allowed(context, ids[i]) || is_among(went, n_went, ids[i]))
            b->sorted[kept++] = ids[i];
        else
            ++*wrong;
    }
    qsort(b->sorted, kept, sizeof *b->sorted, order_u64);
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
                "the ground truth of query %zu (%s line %d) is wrong: id %" PRIu64
                " is at distance %.9g, within %.9g, and not in it; run again, if a data file "
                "changed meanwhile; else remove the folder \"truth\" of the cache "
                "(DRIFTLINE_CACHE) first",
                position + 1, op_file(context->op), context->op->line, id, distance, limit);
}

/* Answers to one query, held against its nearest rows. */
struct hits {
    size_t valid;   /* answers that are live, allowed and not repeated */
    uint32_t found; /* as near as the last of them, at most `most` */
    size_t nearer;  /* nearer than the last of them, and not among them */
    uint64_t nearer_id;
    double nearer_distance, last;
};

/* nearest: `most` ids, all live, the last of them the farthest. ids: k answers. */
static int hits_of_query(const struct score_context *context, const struct score *b,
                         const void *query, const uint64_t *nearest, size_t most,
                         const uint64_t *ids, size_t k, double *wrong, struct hits *hits,
                         struct error *err)
{
    const size_t n = valid_answers(context, b, NULL, 0, ids, k, wrong);
    struct measured last = { 0 }, answer = { 0 };
    size_t found = 0;

    *hits = (struct hits){ .valid = n };
    if (most == 0)
        return OK;
    int rc = measure(context, b, query, nearest[most - 1], &last, err);
    for (size_t i = 0; rc == OK && i < n; i++) {
        rc = measure(context, b, query, b->sorted[i], &answer, err);
        const int order = compare(answer, last);
        found += rc == OK && order <= 0;
        if (rc == OK && order < 0 && !holds(nearest, most, b->sorted[i])) {
            hits->nearer++;
            hits->nearer_id = b->sorted[i];
            hits->nearer_distance = answer.distance;
        }
    }
    hits->last = last.distance;
    hits->found = (uint32_t)(found < most ? found : most);
    return rc;
}

/* Adds counts. A sum of shares, each rounded, may be less than the .99 that a curve is asked for. */
static void summarise(struct score *s, uint64_t seed)
{
    size_t found = 0, below[RECALL_TAILS] = { 0 };

    if (s->n == 0 || s->most == 0)
        return;
    s->min = 1;
    for (size_t i = 0; i < s->n; i++) {
        const double share = s->shares[i] = (double)s->hits[i] / (double)s->most;

        found += s->hits[i];
        s->min = share < s->min ? share : s->min;
        for (size_t t = 0; t < RECALL_TAILS; t++)
            below[t] += share < recall_tails[t];
    }
    for (size_t t = 0; t < RECALL_TAILS; t++)
        s->below[t] = (double)below[t] / (double)s->n;
    s->mean = (double)found / ((double)s->n * (double)s->most);
    find_interval(s->shares, s->n, seed, s);
}

/* Clears the score and allocates its memory, for n queries with up to `answers` answers. The caller
   calls score_free(), also on failure. */
static int begin(struct score *s, const struct score_context *context, size_t n, size_t most,
                 size_t answers, struct error *err)
{
    const struct op_list *list = context->now->list;

    *s = (struct score){ .n = n,
                         .most = most,
                         .mean = NAN,
                         .min = NAN,
                         .low = NAN,
                         .high = NAN,
                         .recall = NAN,
                         .precision = NAN,
                         .results = NAN,
                         .below = { NAN, NAN, NAN, NAN },
                         .short_answers = NAN };
    s->hits = mem_group_array(&s->memory, n, sizeof *s->hits);
    s->shares = mem_group_array(&s->memory, n, sizeof *s->shares);
    s->row = mem_group_array(&s->memory, 1, index_row_bytes(list->element, list->dim));
    s->sorted = mem_group_array(&s->memory, answers, sizeof *s->sorted);
    return s->memory.failed ? fail(err, ERR_NO_MEMORY,
                                   "scores: out of memory for %zu queries, %zu answers", n, answers)
                            : OK;
}

int score_search(struct score *s, const struct score_context *context, const uint64_t *positions,
                 size_t n, const uint64_t *ids, uint64_t seed, struct error *err)
{
    const struct truth *t = context->truth;
    int rc = begin(s, context, n, t->k < t->available ? t->k : t->available, t->k, err);

    s->short_answers = 0;
    for (size_t i = 0; rc == OK && i < n; i++) {
        const size_t position = positions ? (size_t)positions[i] : i;
        struct hits hits;

        rc = hits_of_query(context, s, query_at(context, position), t->ids + position * t->k,
                           s->most, ids + i * t->k, t->k, &s->wrong_ids, &hits, err);
        s->hits[i] = hits.found;
        s->short_answers += hits.valid < s->most;
        if (rc == OK && hits.nearer > 0)
            rc =
                fail_truth(context, position, hits.nearer_id, hits.nearer_distance, hits.last, err);
    }
    if (rc == OK)
        summarise(s, seed);
    else
        score_free(s);
    return rc;
}

/* ---- 3. true ids from elsewhere */

/* Writes the live ids of one query's k true ids to out, the farthest last, and their number to *n. */
static int live_named(const struct score_context *context, const struct score *b, const void *query,
                      const int64_t *ids, size_t k, uint64_t *out, size_t *n, struct named_score *s,
                      struct error *err)
{
    struct measured m = { 0 };
    double farthest = -HUGE_VAL;
    int rc = OK;

    *n = 0;
    for (size_t i = 0; rc == OK && i < k; i++) {
        if (ids[i] < 0)
            continue;
        s->wanted++;
        if (!live_has(&context->now->live, (uint64_t)ids[i])) {
            s->absent++;
            continue;
        }
        rc = measure(context, b, query, (uint64_t)ids[i], &m, err);
        out[*n] = (uint64_t)ids[i];
        if (m.distance < farthest) { /* files may have another order */
            out[*n] = out[*n - 1];
            out[*n - 1] = (uint64_t)ids[i];
        }
        farthest = fmax(farthest, m.distance);
        ++*n;
    }
    return rc;
}

int score_named(struct named_score *s, const struct score_context *context,
                const struct named_truth *t, size_t n, size_t k, const uint64_t *ids,
                struct error *err)
{
    struct score b;
    size_t found = 0;
    int rc = begin(&b, context, 1, k, k, err);
    uint64_t *nearest = mem_group_array(&b.memory, k, sizeof *nearest);

    *s = (struct named_score){ .recall = NAN };
    if (rc == OK && !nearest)
        rc = fail(err, ERR_NO_MEMORY, "scores: out of memory for %zu true ids", k);
    for (size_t q = 0; rc == OK && q < n; q++) {
        const void *query = query_at(context, q);
        struct hits hits = { 0 };
        size_t most = 0;

        rc = live_named(context, &b, query, t->ids + q * t->columns, k, nearest, &most, s, err);
        if (rc == OK)
            rc = hits_of_query(context, &b, query, nearest, most, ids + q * k, k, &b.wrong_ids,
                               &hits, err);
        found += hits.found;
        s->nearer += hits.nearer;
    }
    score_free(&b);
    if (rc == OK && s->wanted > 0)
        s->recall = (double)found / (double)s->wanted;
    return rc;
}

/* ---- 4. ranges */

/* Whether a row of the ground truth may be missing: rounding may put it beyond the radius. A radius
   that is a distance of L2 is met exactly, so it may not. */
static bool may_miss(const struct score_context *context, struct measured m)
{
    const struct measured radius = { context->op->radius, 0 };

    return compare(m, radius) == 0 && m.rounding > 0 &&
           (context->now->list->metric != INDEX_L2SQ || m.distance < radius.distance);
}

/* Adds how many of the true answers of query q are among the n answers in b->sorted, and how many
   there were to find. */
static int find_true(const struct score_context *context, const struct score *b, size_t q, size_t n,
                     size_t *found, size_t *wanted, struct error *err)
{
    const struct truth *t = context->truth;
    struct measured m = { 0 };
    int rc = OK;

    for (uint64_t i = t->starts[q]; rc == OK && i < t->starts[q + 1]; i++) {
        const bool has = is_among(b->sorted, n, t->ids[i]);

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
static int range_of_query(const struct score_context *context, const struct score *b, size_t q,
                          size_t n, uint32_t *within, struct range_counts *all, struct error *err)
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
        const int order = compare(answer, radius);
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
    int rc = begin(s, context, n, 0, (size_t)starts[n], err);

    for (size_t i = 0; rc == OK && i < n; i++) {
        const size_t q = positions ? (size_t)positions[i] : i;
        const size_t n_ids = (size_t)(starts[i + 1] - starts[i]);
        const size_t valid =
            valid_answers(context, s, NULL, 0, ids + starts[i], n_ids, &s->wrong_ids);

        rc = range_of_query(context, s, q, valid, &s->hits[i], &all, err);
    }
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

/* ---- 5. searches during writes */

/* Ids inserted and deleted while the operation runs, sorted. An updated id is in both. */
struct concurrent_changes {
    const uint64_t *came, *went;
    size_t n_came, n_went;
};

struct concurrent_candidate {
    struct measured at; /* first: they are sorted by distance */
    bool stays;         /* live during the whole operation */
};

static uint64_t *sorted_copy(struct score *s, const uint64_t *ids, size_t n)
{
    uint64_t *sorted = mem_group_array(&s->memory, n, sizeof *sorted);

    if (sorted && n > 0) {
        memcpy(sorted, ids, n * sizeof *sorted);
        qsort(sorted, n, sizeof *sorted, order_u64);
    }
    return sorted;
}

/* The k nearest of all rows that were live at any time, both vectors of an updated row among them:
   candidates are the ground truth at the end and the rows that were deleted or updated. */
static int nearest_ever(const struct score_context *context, const struct score *b,
                        const struct concurrent_changes *c, size_t position,
                        struct concurrent_candidate *all, size_t *n, size_t *n_all,
                        struct error *err)
{
    const size_t k = context->truth->k,
                 known = k < context->truth->available ? k : context->truth->available;
    const uint64_t *ids = context->truth->ids + position * k;
    const void *query = query_at(context, position);

    for (size_t i = 0; i < known + c->n_went; i++) {
        const uint64_t id = i < known ? ids[i] : c->went[i - known];
        const void *row = i < known ? live_state_row(context->now, id, b->row, err)
                                    : live_state_row_before(context->now, id, b->row, err);

        if (!row)
            return err->code;
        all[i].stays = i < known && !is_among(c->came, c->n_came, id);
        all[i].at = measure_row(context, query, row);
    }
    qsort(all, known + c->n_went, sizeof *all, order_f64);
    *n_all = known + c->n_went;
    *n = *n_all < k ? *n_all : k;
    return OK;
}

/* How many of the nearest rows every correct answer contains. If several rows are as far as the
   k-th, an answer may contain any of them, so none is required. */
static size_t wanted_of(const struct concurrent_candidate *all, size_t n, size_t n_all)
{
    size_t wanted = 0, as_far = 0, as_far_stay = 0;

    for (size_t i = 0; i < n_all && n > 0; i++) {
        const int order = compare(all[i].at, all[n - 1].at);

        wanted += order < 0 && all[i].stays;
        as_far += order == 0;
        as_far_stay += order == 0 && all[i].stays;
    }
    return wanted + (as_far == 1 ? as_far_stay : 0);
}

/* *share: the share of the required rows (wanted_of) in the answer; NAN if no row is required. */
static int share_of_query(const struct score_context *context, const struct score *b,
                          const struct concurrent_changes *c, struct concurrent_candidate *all,
                          size_t position, const uint64_t *ids, double *wrong, uint32_t *hits,
                          double *share, struct error *err)
{
    size_t n = 0, n_all = 0, found = 0;
    struct measured answer = { 0 };
    int rc = nearest_ever(context, b, c, position, all, &n, &n_all, err);
    const size_t kept =
        valid_answers(context, b, c->went, c->n_went, ids, context->truth->k, wrong);
    const size_t wanted = wanted_of(all, n, n_all);

    for (size_t i = 0; rc == OK && i < kept; i++) {
        const uint64_t id = b->sorted[i];

        if (is_among(c->came, c->n_came, id) || is_among(c->went, c->n_went, id))
            continue;
        rc = measure(context, b, query_at(context, position), id, &answer, err);
        found += rc == OK && n > 0 && compare(answer, all[n - 1].at) <= 0;
    }
    *hits = (uint32_t)(found < wanted ? found : wanted);
    *share = wanted > 0 ? (double)*hits / (double)wanted : NAN;
    return rc;
}

static void take_shares(struct score *s, uint64_t seed)
{
    double *shares = s->shares, sum = 0;
    size_t m = 0;

    for (size_t i = 0; i < s->n; i++)
        if (!isnan(shares[i])) {
            shares[m++] = shares[i];
            sum += shares[i];
            s->min = isnan(s->min) || shares[i] < s->min ? shares[i] : s->min;
        }
    s->mean = m > 0 ? sum / (double)m : NAN;
    find_interval(shares, m, seed, s);
}

int score_concurrent(struct score *s, const struct score_context *context,
                     const uint64_t *positions, size_t n, const uint64_t *ids, uint64_t seed,
                     struct error *err)
{
    const struct op *op = context->op;
    const size_t k = context->truth->k, n_came = op->writes ? op->writes->n : 0;
    int rc = begin(s, context, n, k, k, err);
    const struct concurrent_changes c = { sorted_copy(s, op->ids, n_came),
                                          sorted_copy(s, op->removes, op->n_removes), n_came,
                                          op->n_removes };
    struct concurrent_candidate *all = mem_group_array(&s->memory, k + c.n_went, sizeof *all);

    if (rc == OK && s->memory.failed)
        rc = fail(err, ERR_NO_MEMORY, "scores: out of memory for %zu changes", n_came + c.n_went);
    for (size_t i = 0; rc == OK && i < n; i++)
        rc = share_of_query(context, s, &c, all, (size_t)positions[i], ids + i * k, &s->wrong_ids,
                            &s->hits[i], &s->shares[i], err);
    if (rc == OK)
        take_shares(s, seed);
    else
        score_free(s);
    return rc;
}

void score_free(struct score *s)
{
    mem_group_free(&s->memory);
    s->hits = NULL;
}
