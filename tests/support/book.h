/* book.h - an index in its own folder, beside the rows that it should hold. A method's support.h adds
 * its parameters and its searches; it includes this after a typedef of book_params. */
#ifndef DRIFTLINE_TESTS_SUPPORT_BOOK_H
#define DRIFTLINE_TESTS_SUPPORT_BOOK_H

#include "tests/support/testing.h"

/* Rows are U8 or F32. Row i is the vector of id i, stored or not. */
struct book {
    struct test_bench bench;
    const struct index_ops *ops;
    book_params params;
    struct index *index;
    struct rng rng;
    size_t dim, row_bytes, capacity, n;
    unsigned char *rows;
    bool *stored;
    bool all_or_none; /* what a failed change has done */
    char dir[PATH_MAX];
};

/* Begins all but the index itself, under the method's first metric. */
static inline void book_begin_of(struct book *b, const struct index_ops *ops, book_params params,
                                 enum element element, size_t dim, size_t capacity, size_t threads,
                                 uint64_t stream)
{
    memset(b, 0, sizeof *b);
    test_bench_begin(&b->bench, element, ops->spaces->metric, dim, threads);
    test_dir_make(b->dir);
    b->bench.env.dir = b->dir;
    b->ops = ops;
    b->params = params;
    b->dim = dim;
    b->row_bytes = index_row_bytes(element, dim);
    b->capacity = capacity;
    b->rng = rng_at(test_seed(), stream);
    b->rows = calloc(capacity, b->row_bytes);
    b->stored = calloc(capacity, sizeof *b->stored);
    assert_non_null(b->rows);
    assert_non_null(b->stored);
}

static inline void book_create(struct book *b)
{
    assert_ok(b->ops->create(&b->index, &b->bench.env, &b->params), &b->bench.error);
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

static inline void book_check_and_close(struct book *b)
{
    book_check(b);
    book_close(b);
}

static inline void book_expect_done(const struct book *b, int rc, size_t n, size_t done)
{
    if (rc == OK)
        assert_int_equal(done, n);
    else if (b->all_or_none)
        assert_int_equal(done, 0);
}

/* Inserts ids first .. first + n - 1. Returns the code. */
static inline int book_insert(struct book *b, size_t first, size_t n)
{
    uint64_t *ids = calloc(n + 1, sizeof *ids);
    size_t done = 0;

    for (size_t i = 0; i < n; i++)
        ids[i] = first + i;
    const int rc = b->ops->insert(b->index, book_vectors(b, first, n), ids, &done);
    book_expect_done(b, rc, n, done);
    for (size_t i = 0; i < done; i++)
        b->stored[first + i] = true;
    b->n += done;
    free(ids);
    return rc;
}

/* Fills all rows around `clusters` centres, and inserts the first n. */
static inline void book_start(struct book *b, size_t clusters, double spread, size_t n)
{
    book_fill(b, 0, b->capacity, clusters, spread);
    assert_ok(book_insert(b, 0, n), &b->bench.error);
}

static inline int book_remove_some(struct book *b, const uint64_t *ids, size_t n)
{
    size_t done = 0;
    const int rc = b->ops->remove(b->index, ids, n, &done);

    book_expect_done(b, rc, n, done);
    for (size_t i = 0; i < done; i++)
        b->stored[ids[i]] = false;
    b->n -= done;
    return rc;
}

/* Removes ids first .. first + n - 1 in one call. */
static inline void book_remove_run(struct book *b, size_t first, size_t n)
{
    uint64_t *ids = calloc(n + 1, sizeof *ids);

    for (size_t i = 0; i < n; i++)
        ids[i] = first + i;
    assert_ok(book_remove_some(b, ids, n), &b->bench.error);
    free(ids);
}

static inline int book_remove(struct book *b, uint64_t id)
{
    return book_remove_some(b, &id, 1);
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

#endif
