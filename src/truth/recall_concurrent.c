/* recall_concurrent.c - recall of answers given during writes: see score_concurrent() in recall.h. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "src/core/mem.h"
#include "src/core/order.h"
#include "src/truth/score_internal.h"

/* Ids inserted and deleted while the operation runs, sorted. An updated id is in both. */
struct concurrent_changes {
    const uint64_t *came, *went;
    size_t n_came, n_went;
};

struct concurrent_candidate {
    struct measured at; /* first: they are sorted by distance */
    bool stays;         /* live during the whole operation */
};

static bool is_among(const uint64_t *sorted, size_t n, uint64_t id)
{
    return n > 0 && bsearch(&id, sorted, n, sizeof *sorted, order_u64) != NULL;
}

static uint64_t *sorted_copy(struct score *s, const uint64_t *ids, size_t n)
{
    uint64_t *sorted = mem_group_array(&s->memory, n, sizeof *sorted);

    if (sorted && n > 0) {
        memcpy(sorted, ids, n * sizeof *sorted);
        qsort(sorted, n, sizeof *sorted, order_u64);
    }
    return sorted;
}

/* The distance of a row that the operation deletes or updates, as it was before. */
static int measure_before(const struct score_context *context, const struct score *b,
                          const void *query, uint64_t id, struct measured *m, struct error *err)
{
    const void *row = live_state_row_before(context->now, id, b->row, err);

    if (!row)
        return err->code;
    *m = score_measure_row(context, query, row);
    return OK;
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
    const void *query = score_query_at(context, position);
    int rc = OK;

    for (size_t i = 0; rc == OK && i < known + c->n_went; i++) {
        const uint64_t id = i < known ? ids[i] : c->went[i - known];

        all[i].stays = i < known && !is_among(c->came, c->n_came, id);
        rc = i < known ? score_measure(context, b, query, id, &all[i].at, err)
                       : measure_before(context, b, query, id, &all[i].at, err);
    }
    qsort(all, known + c->n_went, sizeof *all, order_f64);
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
        const int order = score_compare(all[i].at, all[n - 1].at);

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
    size_t n, n_all, kept = 0, found = 0;
    struct measured answer = { 0 };
    int rc = nearest_ever(context, b, c, position, all, &n, &n_all, err);

    for (size_t i = 0; i < context->truth->k; i++)
        if (ids[i] != INDEX_NO_ID) {
            if (live_has(&context->now->live, ids[i]) || is_among(c->went, c->n_went, ids[i]))
                b->sorted[kept++] = ids[i];
            else
                ++*wrong;
        }
    qsort(b->sorted, kept, sizeof *b->sorted, order_u64);
    const size_t wanted = wanted_of(all, n, n_all);
    for (size_t i = 0; rc == OK && i < kept; i++) {
        const uint64_t id = b->sorted[i];

        if (i > 0 && id == b->sorted[i - 1]) {
            ++*wrong;
            continue;
        }
        if (is_among(c->came, c->n_came, id) || is_among(c->went, c->n_went, id))
            continue;
        rc = score_measure(context, b, score_query_at(context, position), id, &answer, err);
        found += rc == OK && n > 0 && score_compare(answer, all[n - 1].at) <= 0;
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
    score_interval(shares, m, seed, s);
}

int score_concurrent(struct score *s, const struct score_context *context,
                     const uint64_t *positions, size_t n, const uint64_t *ids, uint64_t seed,
                     struct error *err)
{
    const struct op *op = context->op;
    const size_t k = context->truth->k, n_came = op->writes ? op->writes->n : 0;
    int rc = score_begin(s, context, n, k, k, err);
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
