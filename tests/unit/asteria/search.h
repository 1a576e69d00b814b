/* search.h - indexes to search, and the recall of searches, for the tests of searching. */
#ifndef TEST_ASTERIA_SEARCH_H
#define TEST_ASTERIA_SEARCH_H

#include "algorithms/asteria/search/internal.h"
#include "tests/unit/asteria/support.h"

static inline struct asteria_params search_params(void)
{
    struct asteria_params params;
    test_set_options(asteria_ops.params, "caprg=true,train_steps=40,address_bits=5", ",", &params);
    return params;
}

static inline struct asteria_knobs search_knobs(void)
{
    struct asteria_knobs knobs;
    param_defaults(asteria_ops.knobs, &knobs);
    return knobs;
}

/* Replaces rows first .. first + n - 1 by clustered ones; every tenth is a copy of the
   row before. */
static inline void fill_with_copies(struct book *w, size_t first, size_t n, double spread)
{
    book_fill_units(w, first, n, 8, spread);
    for (size_t i = first + 9; i < first + n; i += 10)
        memcpy(book_row(w, i), book_row(w, i - 1), w->row_bytes);
}

static inline void book_open_with(struct book *w, struct asteria_params params,
                                  enum element element, size_t dim, size_t capacity, size_t threads)
{
    book_begin_of(w, &asteria_ops, params, element, dim, capacity, threads, dim * 31 + capacity);
    fill_with_copies(w, 0, capacity, .4);
    book_create(w);
}

/* Recall@k of n queries. */
static inline double book_recall(struct book *w, const void *queries, size_t n, size_t k,
                                 const struct asteria_knobs *knobs, struct work *work)
{
    uint64_t *ids = calloc(n * k, sizeof *ids);
    float *distances = calloc(n * k, sizeof *distances);
    double hits = 0;
    *work = book_search(w, queries, n, k, knobs, NULL, 1, ids, distances);
    for (size_t q = 0; q < n; q++) {
        size_t live = 0;
        struct test_truth *t = book_truth(w, (const char *)queries + q * w->row_bytes, NULL, &live);
        for (size_t i = 0; i < k; i++)
            hits += ids[q * k + i] != INDEX_NO_ID && distances[q * k + i] <= t[k - 1].distance;
        free(t);
    }
    free(ids);
    free(distances);
    return hits / (double)(n * k);
}

#endif
