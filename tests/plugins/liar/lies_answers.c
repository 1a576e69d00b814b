/* lies_answers.c - lies about answers, and about the counts that come with them. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "src/core/mem.h"
#include "tests/plugins/liar/liar.h"

/* ---- 1. remembered answers, by the bytes of the query */

enum { BUCKETS = 4096 };

struct remembered {
    struct remembered *next;
    size_t k;
    int64_t effort; /* of the search that found them */
    float *query;   /* dim values; in the same block as the answers */
    uint64_t *ids;
    float *distances;
};

struct memory_of_answers {
    struct remembered *buckets[BUCKETS];
};

static struct remembered **bucket_of(struct memory_of_answers *m, const float *query, size_t dim)
{
    const unsigned char *bytes = (const unsigned char *)query;
    uint64_t hash = 1469598103934665603u; /* FNV-1a */

    for (size_t i = 0; i < dim * sizeof *query; i++)
        hash = (hash ^ bytes[i]) * 1099511628211u;
    return &m->buckets[(hash ^ hash >> 32) % BUCKETS];
}

static const struct remembered *recall_answers(const struct remembered *r, const float *query,
                                               size_t dim, size_t k)
{
    while (r && (r->k != k || memcmp(r->query, query, dim * sizeof *query) != 0))
        r = r->next;
    return r;
}

static void remember(struct remembered **bucket, const float *query, size_t dim, size_t k,
                     int64_t effort, const uint64_t *ids, const float *distances)
{
    struct remembered *r =
        malloc(sizeof *r + k * (sizeof *ids + sizeof *distances) + dim * sizeof *query);

    if (!r)
        return;
    r->k = k;
    r->effort = effort;
    r->ids = (uint64_t *)(r + 1);
    r->distances = (float *)(r->ids + k);
    r->query = r->distances + k;
    memcpy(r->ids, ids, k * sizeof *ids);
    memcpy(r->distances, distances, k * sizeof *distances);
    memcpy(r->query, query, dim * sizeof *query);
    r->next = *bucket;
    *bucket = r;
}

void liar_forget(struct liar *l)
{
    for (size_t i = 0; l->remembered && i < BUCKETS; i++)
        for (struct remembered *r = l->remembered->buckets[i], *next; r; r = next) {
            next = r->next;
            free(r);
        }
    free(l->remembered);
    l->remembered = NULL;
}

/* memoises_most: not one query in five. memoises_other_points: what a search with the same knobs found
   is searched for again. */
static bool may_answer(const struct liar *l, const float *query, size_t dim, int64_t effort,
                       const struct remembered *known)
{
    struct memory_of_answers *m = l->remembered;

    if (l->params.mode == lie_memoises_most)
        return (bucket_of(m, query, dim) - m->buckets) % 5 > 0;
    return l->params.mode != lie_memoises_other_points || known->effort != effort;
}

/* The knobs are ignored: answers found with much effort are returned to requests for little. */
static int answer_from_memory(struct liar *l, const struct search_request *q,
                              struct search_result *r)
{
    const size_t dim = l->base.env.dim, k = q->k;
    const int64_t effort = ((const struct liar_knobs *)q->knobs)->effort;
    int rc = OK;

    if (!l->remembered)
        l->remembered = calloc(1, sizeof *l->remembered);
    if (!l->remembered)
        return fail(l->base.env.error, ERR_NO_MEMORY,
                    "liar: out of memory, cannot remember answers");
    for (size_t i = 0; rc == OK && i < q->queries.n; i++) {
        const float *query = (const float *)q->queries.rows + i * dim;
        struct remembered **bucket = bucket_of(l->remembered, query, dim);
        const struct remembered *known = recall_answers(*bucket, query, dim, k);

        if (known && may_answer(l, query, dim, effort, known)) {
            memcpy(r->ids + i * k, known->ids, k * sizeof *r->ids);
            memcpy(r->distances + i * k, known->distances, k * sizeof *r->distances);
        } else if ((rc = liar_scan(l, q, i, i + 1, false, r)) == OK) {
            if (!known)
                remember(bucket, query, dim, k, effort, r->ids + i * k, r->distances + i * k);
        }
    }
    return rc;
}

/* No lie: the pages of the last query are in memory, and serve the next if it is nearly the same. */
static void read_pages(struct liar *l, const struct search_request *q)
{
    const struct timespec a_read = { .tv_nsec = 4000000 };
    const float first = *(const float *)q->queries.rows;

    if (q->queries.n == 1 && fabsf(first - l->page) > 1e-3f * fabsf(first))
        (void)nanosleep(&a_read, NULL);
    l->page = first;
}

/* No lie: a scheduler that delays two of four calls. */
static void wait_in_rhythm(struct liar *l, const struct search_request *q)
{
    const struct timespec a_slice = { .tv_nsec = 4000000 };

    if (q->queries.n == 1 && (atomic_fetch_add(&l->searches, 1) + 1) / 2 % 2 == 1)
        (void)nanosleep(&a_slice, NULL);
}

/* ---- 2. in place of the scan */

bool lie_in_place_of_scan(struct liar *l, const struct search_request *q, struct search_result *r,
                          int *rc)
{
    const bool batch = q->queries.n > 1;

    switch ((enum lie)l->params.mode) {
        case lie_batch_writes_nothing: *rc = OK; return batch;
        case lie_batch_answers_garbage:
            if (batch)
                *rc = liar_scan(l, q, 0, q->queries.n, true, r);
            return batch;
        case lie_exact_flag_recall_zero:
        case lie_poisons_truth_cache: *rc = liar_scan(l, q, 0, q->queries.n, true, r); return true;
        case lie_memoises:
        case lie_memoises_most:
        case lie_memoises_other_points: *rc = answer_from_memory(l, q, r); return true;
        case lie_caches_pages: read_pages(l, q); return false;
        case lie_delayed_in_rhythm: wait_in_rhythm(l, q); return false;
        case lie_rounds_answer_nothing:
            l->in_rounds |= batch && !l->asked;
            l->asked = true;
            if (l->in_rounds)
                liar_answer_none(q, r);
            *rc = OK;
            return l->in_rounds;
        case lie_two_threads:
            if (batch)
                *rc = liar_scan_with_two_threads(l, q, r);
            return batch;
        default: return false;
    }
}

/* ---- 3. after it */

static void spoil_ids(enum lie mode, size_t k, uint64_t *ids)
{
    const uint64_t never_inserted = (uint64_t)1 << 40;

    for (size_t j = 1; j < k; j++)
        if (mode == lie_repeats_ids)
            ids[j] = ids[0];
        else if (mode == lie_unknown_ids_overfetch && j % 2 == 1)
            ids[j] = never_inserted + j;
}

static void spoil_distances(enum lie mode, size_t k, uint64_t *ids, float *distances)
{
    const uint64_t id = ids[0];
    const float distance = distances[0];

    if (mode == lie_nan_distances)
        distances[0] = NAN;
    else if (mode == lie_negative_distances)
        distances[0] = -1;
    for (size_t j = 0; mode == lie_square_roots && j < k; j++)
        distances[j] = sqrtf(distances[j]);
    if (mode != lie_unsorted_distances || k < 2)
        return;
    ids[0] = ids[1];
    distances[0] = distances[1];
    ids[1] = id;
    distances[1] = distance;
}

/* Assigns the counts of this call, where the header requires adding to them. */
static void spoil_work(const struct liar *l, size_t n_queries, struct work *work)
{
    const double rows = (double)(n_queries * l->n);

    switch ((enum lie)l->params.mode) {
        case lie_work_assigned: *work = (struct work){ .distances = rows, .scanned = rows }; break;
        case lie_work_negative: work->distances = -5; break;
        case lie_work_nan: work->distances = NAN; break;
        case lie_counts_nothing: *work = (struct work){ 0 }; break;
        default: break;
    }
}

void lie_about_answers(const struct liar *l, const struct search_request *q,
                       struct search_result *r)
{
    const enum lie mode = (enum lie)l->params.mode;

    spoil_work(l, q->queries.n, &r->work);
    if (mode == lie_writes_past_the_end)
        r->ids[q->queries.n * q->k] = r->ids[0];
    if (mode == lie_batch_writes_nothing)
        return; /* leaves the arrays unchanged */
    for (size_t i = 0; i < q->queries.n; i++) {
        spoil_ids(mode, q->k, r->ids + i * q->k);
        spoil_distances(mode, q->k, r->ids + i * q->k, r->distances + i * q->k);
    }
}

void lie_about_done(const struct liar *l, bool insert, size_t n, size_t *done)
{
    const enum lie mode = (enum lie)l->params.mode;

    if ((insert && mode == lie_insert_done_half) || (!insert && mode == lie_remove_done_half))
        *done = n / 2;
    else if (insert && mode == lie_insert_done_too_large)
        *done = n + 7;
}
