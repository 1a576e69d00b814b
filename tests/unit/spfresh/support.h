/* support.h - a posting index, and a reference list of what it must hold. */
#ifndef TEST_SPFRESH_H
#define TEST_SPFRESH_H

#include "algorithms/spfresh/filing/filing.h"
#include "algorithms/spfresh/jobs/jobs.h"
#include "algorithms/spfresh/maintenance/maintenance.h"
#include "algorithms/spfresh/operations.h"
#include "src/core/param.h"
#include "tests/support/testing.h"

/* Rows are U8 or F32. Row i is the vector of id i, stored or not. */
struct book {
    struct test_bench bench;
    const struct index_ops *ops;
    struct spfresh_params params;
    struct index *index;
    struct rng rng;
    size_t dim, row_bytes, capacity, n;
    unsigned char *rows;
    bool *stored;
    char dir[PATH_MAX];
};

static inline struct spfresh_params book_defaults(const struct index_ops *ops)
{
    struct spfresh_params params;

    memset(&params, 0, sizeof params);
    param_defaults(ops->params, &params);
    params.store = POSTING_MEMORY;
    return params;
}

static inline struct spfresh *book_index(const struct book *b)
{
    return spfresh_of(b->index);
}

static inline void book_open(struct book *b, const struct index_ops *ops,
                             struct spfresh_params params, enum element element, size_t dim,
                             size_t capacity, size_t threads)
{
    memset(b, 0, sizeof *b);
    test_bench_begin(&b->bench, element, INDEX_L2SQ, dim, threads);
    test_dir_make(b->dir);
    b->bench.env.dir = b->dir;
    b->ops = ops;
    b->params = params;
    b->dim = dim;
    b->row_bytes = index_row_bytes(element, dim);
    b->capacity = capacity;
    b->rng = rng_at(test_seed(), 11);
    b->rows = calloc(capacity, b->row_bytes);
    b->stored = calloc(capacity, sizeof *b->stored);
    assert_non_null(b->rows);
    assert_non_null(b->stored);
    assert_ok(ops->create(&b->index, &b->bench.env, &b->params), &b->bench.error);
}

static inline void book_close(struct book *b)
{
    b->ops->destroy(b->index);
    assert_int_equal(mem_live(&b->bench.mem), 0);
    test_bench_end(&b->bench);
    free(b->rows);
    free(b->stored);
    test_dir_remove(b->dir);
}

static inline void *book_row(const struct book *b, size_t i)
{
    return b->rows + i * b->row_bytes;
}

/* Fills rows first .. first + n - 1 with random vectors around `clusters` centres. */
static inline void book_fill(struct book *b, size_t first, size_t n, size_t clusters, double spread)
{
    if (b->bench.env.element == INDEX_U8)
        test_fill_u8(&b->rng, book_row(b, first), n, b->dim, clusters, spread);
    else
        test_fill_f32(&b->rng, book_row(b, first), n, b->dim, clusters, spread);
}

static inline struct vectors book_vectors(const struct book *b, size_t first, size_t n)
{
    return (struct vectors){ book_row(b, first), n, b->dim, b->bench.env.element };
}

static inline void book_check(struct book *b)
{
    assert_ok(b->ops->check(b->index, NULL), &b->bench.error);
}

/* Inserts ids first .. first + n - 1. Returns the code. */
static inline int book_insert(struct book *b, size_t first, size_t n)
{
    uint64_t *ids = calloc(n + 1, sizeof *ids);
    size_t done = 0;

    for (size_t i = 0; i < n; i++)
        ids[i] = first + i;
    const int rc = b->ops->insert(b->index, book_vectors(b, first, n), ids, &done);
    for (size_t i = 0; i < done; i++)
        b->stored[first + i] = true;
    b->n += done;
    if (rc == OK)
        assert_int_equal(done, n);
    free(ids);
    return rc;
}

static inline int book_remove(struct book *b, uint64_t id)
{
    size_t done = 0;
    const int rc = b->ops->remove(b->index, &id, 1, &done);

    if (rc == OK) {
        assert_int_equal(done, 1);
        b->stored[id] = false;
        b->n--;
    }
    return rc;
}

/* Returns a random stored id; there is at least one. */
static inline uint64_t book_any(struct book *b)
{
    size_t id = rng_below(&b->rng, b->capacity);

    while (!b->stored[id])
        id = (id + 1) % b->capacity;
    return id;
}

static inline double book_distance(const struct book *b, const void *x, const void *y)
{
    double sum = 0;

    for (size_t i = 0; i < b->dim; i++) {
        const double d = b->bench.env.element == INDEX_U8
                             ? (double)((const uint8_t *)x)[i] - ((const uint8_t *)y)[i]
                             : (double)((const float *)x)[i] - ((const float *)y)[i];
        sum += d * d;
    }
    return sum;
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

static inline int book_ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
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
    qsort(all, live, sizeof *all, book_ascending);
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

/* With all postings probed, the ten nearest of a stored vector are exact. */
static inline void book_exact(struct book *b)
{
    const size_t k = b->n < 10 ? b->n : 10;

    assert_true(book_recall(b, book_row(b, book_any(b)), k, 1 << 22) == 1);
}

#endif
