/* support.h - book.h for Asteria: its options, training and maintenance, and searches that are compared
 * with a scan of all rows. */
#ifndef TEST_ASTERIA_H
#define TEST_ASTERIA_H

#include "algorithms/asteria/search/internal.h"

typedef struct asteria_params book_params;
#include "tests/support/book.h"

static inline struct asteria *state_of(const struct book *w)
{
    return asteria_of(w->index);
}

/* The generation that receives inserts. */
static inline struct asteria_generation *now_of(const struct book *w)
{
    return state_of(w)->generations[state_of(w)->now];
}

/* The learned rotation, the graph and few training steps, changed by settings such as
   "code=none,caprg=false". */
static inline struct asteria_params params_with(const char *settings)
{
    struct asteria_params params;
    char all[360];

    (void)snprintf(all, sizeof all, "rotation=bor,caprg=true,train_steps=5,batch=32,%s", settings);
    test_set_options(asteria_ops.params, all, ",", &params);
    return params;
}

/* Unit rows, or bytes, around `clusters` centres. */
static inline void book_fill_units(struct book *w, size_t first, size_t n, size_t clusters,
                                   double spread)
{
    book_fill(w, first, n, clusters, spread);
    if (w->bench.env.element == INDEX_F32)
        test_normalise_f32(book_row(w, first), n, w->dim);
}

static inline void book_open(struct book *w, const char *settings, enum element element, size_t dim,
                             size_t capacity, size_t threads)
{
    book_begin_of(w, &asteria_ops, params_with(settings), element, dim, capacity, threads, 21);
    book_fill_units(w, 0, capacity, 9, .4);
    book_create(w);
}

/* Loads the index saved in a folder in place of this one; if that fails there is none. */
static inline int book_reload(struct book *w, const char *dir)
{
    struct index *loaded;

    asteria_ops.destroy(w->index);
    w->index = NULL;
    const int rc = asteria_ops.load(&loaded, &w->bench.env, dir);
    if (rc == OK)
        w->index = loaded;
    return rc;
}

static inline void book_expect_sound(struct book *w)
{
    book_check(w);
    assert_int_equal(state_of(w)->live, w->n);
}

static inline void book_train(struct book *w, size_t first, size_t n)
{
    assert_ok(asteria_ops.train(w->index, book_vectors(w, first, n)), &w->bench.error);
}

static inline void book_add(struct book *w, size_t first, size_t n)
{
    assert_ok(book_insert(w, first, n), &w->bench.error);
}

/* Removes every `each`-th row of first .. first + n - 1 that is stored. */
static inline void book_remove_each(struct book *w, size_t first, size_t n, size_t each)
{
    for (uint64_t id = first; id < first + n; id += each)
        if (w->stored[id])
            assert_ok(book_remove(w, id), &w->bench.error);
}

static inline bool book_maintain(struct book *w, uint64_t budget)
{
    bool more = false;

    assert_ok(asteria_ops.maintain(w->index, budget, &more), &w->bench.error);
    return more;
}

/* Runs maintenance until nothing is left to do. */
static inline void book_maintain_all(struct book *w)
{
    for (size_t i = 0; book_maintain(w, 0); i++)
        assert_true(i < 100);
}

/* All stored rows that the filter allows, nearest first; the caller frees. */
static inline struct test_truth *book_truth(const struct book *w, const void *query,
                                            const struct id_filter *filter, size_t *n)
{
    struct test_truth *t = calloc(w->capacity + 1, sizeof *t);
    *n = 0;
    for (uint64_t i = 0; i < w->capacity; i++)
        if (w->stored[i] && index_filter_allows(filter, i))
            t[(*n)++] =
                (struct test_truth){ asteria_distance(&w->bench.env, query, book_row(w, i)), i };
    qsort(t, *n, sizeof *t, test_truth_order);
    return t;
}

static inline struct work book_search(struct book *w, const void *queries, size_t n, size_t k,
                                      const struct asteria_knobs *knobs,
                                      const struct id_filter *filter, size_t threads, uint64_t *ids,
                                      float *distances)
{
    const struct search_request request = {
        { queries, n, w->dim, w->bench.env.element }, k, knobs, filter, threads
    };
    struct search_result result = { .ids = ids, .distances = distances };
    assert_ok(asteria_ops.search(w->index, &request, &result), &w->bench.error);
    return result.work;
}

/* The answer equals the ground truth to the last bit, ties included. */
static inline void book_expect_exact(struct book *w, const void *query, size_t k,
                                     const struct asteria_knobs *knobs,
                                     const struct id_filter *filter)
{
    uint64_t *ids = calloc(k, sizeof *ids);
    float *distances = calloc(k, sizeof *distances);
    size_t n = 0;
    struct test_truth *t = book_truth(w, query, filter, &n);
    book_search(w, query, 1, k, knobs, filter, 1, ids, distances);
    for (size_t i = 0; i < k; i++)
        if (ids[i] != (i < n ? t[i].id : INDEX_NO_ID) ||
            (i < n ? distances[i] != t[i].distance : !isinf(distances[i])))
            fail_msg("dim %zu, %zu rows, k %zu, order %d, mode %d: answer %zu is %" PRIu64
                     " at %.9g, and should be %" PRIu64 " at %.9g",
                     w->dim, w->n, k, (int)knobs->probe_order, (int)knobs->mode, i, ids[i],
                     (double)distances[i], i < n ? t[i].id : INDEX_NO_ID,
                     i < n ? (double)t[i].distance : INFINITY);
    free(ids);
    free(distances);
    free(t);
}

/* The index is sound, and so are certified searches for rows, stored or not. */
static inline void book_expect_answers(struct book *w, size_t queries)
{
    struct asteria_knobs knobs;

    book_expect_sound(w);
    test_set_options(asteria_ops.knobs, "mode=certified", ",", &knobs);
    for (size_t q = 0; q < queries; q++)
        book_expect_exact(w, book_row(w, rng_below(&w->rng, w->capacity)), 5, &knobs, NULL);
}

/* ------------------------------------------------------------------------ tests of searching */

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
