/* support.h - a posting index, and a reference list of what it must hold. */
#ifndef TEST_SPFRESH_H
#define TEST_SPFRESH_H

#include "algorithms/spfresh/filing/filing.h"
#include "algorithms/spfresh/jobs/jobs.h"
#include "algorithms/spfresh/maintenance/maintenance.h"
#include "algorithms/spfresh/operations.h"
#include "src/core/param.h"

typedef struct spfresh_params book_params;
#include "tests/support/book.h"

/* The parameters with these options, of spann too: "maintenance=explicit,replicas=3". */
static inline struct spfresh_params book_with(struct spfresh_params params, const char *text)
{
    test_change_options(spfresh_ops.params, text, ",", &params);
    return params;
}

/* The method's defaults, in memory, but for these. */
static inline struct spfresh_params book_defaults(const struct index_ops *ops, const char *text)
{
    struct spfresh_params params;

    memset(&params, 0, sizeof params);
    test_set_options(ops->params, "store=memory", ",", &params);
    return book_with(params, text);
}

static inline struct spfresh *book_index(const struct book *b)
{
    return spfresh_of(b->index);
}

static inline void book_open(struct book *b, const struct index_ops *ops,
                             struct spfresh_params params, enum element element, size_t dim,
                             size_t capacity, size_t threads)
{
    book_begin_of(b, ops, params, element, dim, capacity, threads, 11);
    book_create(b);
}

static inline struct spfresh_knobs book_knobs(const struct book *b, int64_t nprobe)
{
    struct spfresh_knobs knobs;

    param_defaults(b->ops->knobs, &knobs);
    knobs.nprobe = nprobe;
    return knobs;
}

/* Searches for one row. Checks that the answers are stored, distinct and in order;
   returns their number. */
static inline size_t book_search(struct book *b, const void *row, size_t k,
                                 const struct spfresh_knobs *knobs, uint64_t *ids,
                                 struct work *work)
{
    float *distances = calloc(k, sizeof *distances);
    const struct search_request request = {
        { row, 1, b->dim, b->bench.env.element }, k, knobs, NULL, 1
    };
    struct search_result result = { .ids = ids, .distances = distances };
    size_t n = 0;

    assert_ok(b->ops->search(b->index, &request, &result), &b->bench.error);
    for (; n < k && ids[n] != INDEX_NO_ID; n++) {
        assert_true(ids[n] < b->capacity);
        assert_true(b->stored[ids[n]]);
        assert_true(fabs((double)distances[n] - book_distance(b, row, book_row(b, ids[n]))) <=
                    1e-4 * (1 + (double)distances[n]));
        for (size_t j = 0; j < n; j++)
            assert_true(ids[j] != ids[n]);
        assert_true(n == 0 || distances[n - 1] <= distances[n]);
    }
    if (work)
        *work = result.work;
    free(distances);
    return n;
}

/* recall@k of one search with `nprobe` probes, compared with a scan. k is at most b->n. */
static inline double book_recall(struct book *b, const void *row, size_t k, int64_t nprobe)
{
    const struct spfresh_knobs knobs = book_knobs(b, nprobe);
    uint64_t *ids = calloc(k, sizeof *ids);
    double *all = calloc(b->n, sizeof *all);
    const size_t n = book_search(b, row, k, &knobs, ids, NULL);
    size_t live = 0, right = 0;

    for (size_t i = 0; i < b->capacity; i++)
        if (b->stored[i])
            all[live++] = book_distance(b, row, book_row(b, i));
    qsort(all, live, sizeof *all, test_by_double);
    for (size_t i = 0; i < n; i++)
        right += book_distance(b, row, book_row(b, ids[i])) <= all[k - 1] * (1 + 1e-6);
    free(all);
    free(ids);
    return (double)right / (double)k;
}

/* With all postings probed, every stored vector is its own first answer, or an equal one is. */
static inline void book_all_found(struct book *b)
{
    const struct spfresh_knobs knobs = book_knobs(b, 1 << 22);

    for (size_t i = 0; i < b->capacity; i++) {
        uint64_t id;

        if (!b->stored[i])
            continue;
        assert_int_equal(book_search(b, book_row(b, i), 1, &knobs, &id, NULL), 1);
        assert_true(book_distance(b, book_row(b, i), book_row(b, id)) == 0);
    }
}

static inline void book_end(struct book *b)
{
    book_all_found(b);
    book_check_and_close(b);
}

/* With all postings probed, the ten nearest of a stored vector are exact. */
static inline void book_exact(struct book *b)
{
    const size_t k = b->n < 10 ? b->n : 10;

    assert_true(book_recall(b, book_row(b, book_any(b)), k, 1 << 22) == 1);
}

#endif
