/* support.h - an index in its own folder, and a reference list of its content, for the tests
 * of this folder. */
#ifndef TEST_CHANNI_H
#define TEST_CHANNI_H

#include <limits.h>

#include "algorithms/channi/build/build.h"
#include "algorithms/channi/cache/internal.h"
#include "algorithms/channi/channi.h"
#include "algorithms/channi/commit/commit.h"
#include "algorithms/channi/durable/manifest.h"
#include "algorithms/channi/index.h"
#include "algorithms/channi/jobs/jobs.h"
#include "algorithms/channi/maintenance/maintenance.h"
#include "algorithms/channi/options.h"
#include "algorithms/channi/rewrite/replace.h"
#include "algorithms/channi/search/route.h"
#include "algorithms/channi/versions/cluster.h"
#include "algorithms/channi/versions/view.h"
#include "src/core/param.h"
#include "src/core/topk.h"

/* Version of a search that sees the newest. */
#define BOOK_NEWEST UINT64_MAX

typedef struct channi_params book_params;
#include "tests/support/book.h"

/* The parameters with these options: "maintenance=explicit,parts=3". */
static inline struct channi_params book_with(struct channi_params params, const char *text)
{
    test_change_options(channi_ops.params, text, ",", &params);
    return params;
}

/* The method's defaults but for these. */
static inline struct channi_params book_options(const char *text)
{
    struct channi_params params;

    memset(&params, 0, sizeof params);
    test_set_options(channi_ops.params, text, ",", &params);
    return params;
}

/* Small clusters, so that a few hundred rows are split and merged. Maintenance that does not depend
   on the test's threads, and is no nicer than tests beside it. */
static inline struct channi_params book_defaults(const char *text)
{
    return book_with(
        book_options("cluster_index=graph,target_cluster=8,flat_below=4,split_max=20,merge_min=2,"
                     "maintenance=inline,background_nice=0,wal=none"),
        text);
}

static inline struct channi_knobs book_knobs(void)
{
    struct channi_knobs knobs;

    memset(&knobs, 0, sizeof knobs);
    param_defaults(channi_ops.knobs, &knobs);
    return knobs;
}

/* Misses nothing, if the codes' eps0 is large enough. */
static inline struct channi_knobs book_exhaustive(void)
{
    struct channi_knobs knobs = book_knobs();

    knobs.nprobe = knobs.top_ef = knobs.in_ef = 1 << 22;
    return knobs;
}

static inline struct channi *book_channi(const struct book *b)
{
    return channi_of(b->index);
}

/* For an index that only one thread uses. */
static inline struct channi_layout *layout_of(const struct book *b)
{
    return atomic_load(&book_channi(b)->now)->layout;
}

/* Begins all but the index itself. */
static inline void book_begin(struct book *b, struct channi_params params, enum element element,
                              size_t dim, size_t capacity, size_t threads)
{
    book_begin_of(b, &channi_ops, params, element, dim, capacity, threads, 13);
    b->bench.env.n_attributes = 1;
    b->all_or_none = true;
}

static inline void book_open(struct book *b, struct channi_params params, enum element element,
                             size_t dim, size_t capacity, size_t threads)
{
    book_begin(b, params, element, dim, capacity, threads);
    book_create(b);
}

/* --------------------------------------------------------------------------------- answers */

struct book_answer {
    uint64_t ids[64];
    float distances[64];
    size_t n, k;
};

/* version BOOK_NEWEST: the newest. Returns the code. Checks that answers are distinct, in order. */
static inline int book_search_at(struct book *b, uint64_t version, const void *row, size_t k,
                                 const struct channi_knobs *knobs, struct book_answer *a)
{
    const struct search_request request = {
        { row, 1, b->dim, b->bench.env.element }, k, knobs, NULL, 1
    };
    struct search_result result = { .ids = a->ids, .distances = a->distances };

    assert_true(k <= 64);
    a->k = k;
    a->n = 0;
    const int rc = version == BOOK_NEWEST
                       ? channi_ops.search(b->index, &request, &result)
                       : channi_ops.txn->search_as_of(b->index, version, &request, &result);
    for (; rc == OK && a->n < k && a->ids[a->n] != INDEX_NO_ID; a->n++) {
        const size_t n = a->n;

        assert_true(a->ids[n] < b->capacity);
        for (size_t j = 0; j < n; j++)
            assert_true(a->ids[j] != a->ids[n]);
        assert_true(n == 0 || a->distances[n - 1] <= a->distances[n]);
    }
    return rc;
}

/* Distances of the stored rows, ascending; freed by the caller. */
static inline double *book_truth(const struct book *b, const bool *stored, const void *row,
                                 size_t *n)
{
    double *all = calloc(b->capacity + 1, sizeof *all);

    *n = 0;
    for (size_t i = 0; i < b->capacity; i++)
        if (stored[i])
            all[(*n)++] = book_distance(b, row, book_row(b, i));
    qsort(all, *n, sizeof *all, test_by_double);
    return all;
}

/* How many answers are as near as the ground truth. Checks that all are stored and have
   the right distance. */
static inline size_t book_right(const struct book *b, const bool *stored, const void *row,
                                const struct book_answer *a)
{
    size_t live, right = 0;
    double *truth = book_truth(b, stored, row, &live);
    const size_t k = a->k < live ? a->k : live;

    for (size_t i = 0; i < a->n; i++) {
        const double d = book_distance(b, row, book_row(b, a->ids[i]));

        assert_true(stored[a->ids[i]]);
        assert_true(fabs((double)a->distances[i] - d) <= 1e-4 * (1 + d));
        right += k > 0 && d <= truth[k - 1] * (1 + 1e-5) + 1e-9;
    }
    assert_true(right <= k);
    free(truth);
    return right;
}

/* An exhaustive search finds the ground truth of the version. */
static inline void book_expect_at(struct book *b, uint64_t version, const bool *stored,
                                  const void *row, size_t k)
{
    const struct channi_knobs knobs = book_exhaustive();
    struct book_answer a;
    size_t live = 0;

    for (size_t i = 0; i < b->capacity; i++)
        live += stored[i];
    assert_ok(book_search_at(b, version, row, k, &knobs, &a), &b->bench.error);
    assert_int_equal(a.n, k < live ? k : live);
    assert_int_equal(book_right(b, stored, row, &a), a.n);
}

/* The same for `queries` random rows, stored or not. */
static inline void book_expect(struct book *b, size_t queries, size_t k)
{
    for (size_t i = 0; i < queries; i++)
        book_expect_at(b, BOOK_NEWEST, b->stored, book_row(b, rng_below(&b->rng, b->capacity)), k);
}

/* Checks the index and closes it. */
static inline void book_end(struct book *b, size_t queries)
{
    book_expect(b, queries, 10);
    book_check_and_close(b);
}

/* Mean recall@k of searches for `queries` random rows. */
static inline double book_recall(struct book *b, size_t queries, size_t k,
                                 const struct channi_knobs *knobs)
{
    double sum = 0;

    for (size_t i = 0; i < queries; i++) {
        const void *row = book_row(b, rng_below(&b->rng, b->capacity));
        struct book_answer a;

        assert_ok(book_search_at(b, BOOK_NEWEST, row, k, knobs, &a), &b->bench.error);
        sum += (double)book_right(b, b->stored, row, &a);
    }
    return sum / ((double)queries * (double)(k < b->n ? k : b->n));
}

/* Number of commits so far. */
static inline uint64_t book_version(const struct book *b)
{
    struct channi *c = book_channi(b);
    const unsigned ticket = epoch_enter(c->epoch); /* background maintenance publishes views too */
    const uint64_t version = atomic_load(&c->now)->version;

    epoch_leave(c->epoch, ticket);
    return version;
}

static inline uint64_t book_count(const struct book *b, size_t offset)
{
    const unsigned char *at = (const unsigned char *)&book_channi(b)->counters + offset;

    return atomic_load((const atomic_uint_fast64_t *)(const void *)at);
}
/* book_counter(b, splits) */
#define book_counter(b, name) book_count((b), offsetof(struct channi_counters, name))

#endif
