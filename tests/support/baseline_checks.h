/* baseline_checks.h - tests that every baseline passes: the same answers after loading, rows that
 * come and go, work that is counted. Damaged files and odd arguments are the contract's. */
#ifndef DRIFTLINE_TESTS_SUPPORT_BASELINE_CHECKS_H
#define DRIFTLINE_TESTS_SUPPORT_BASELINE_CHECKS_H

#include "tests/support/baselines.h"

enum { BASELINE_PROBES = 20, BASELINE_K = 10 };

static inline void baseline_probe(struct baseline_test *t, const char *knobs, uint64_t *ids,
                                  float *distances)
{
    baseline_search(t, baseline_row(t, 0), BASELINE_PROBES, BASELINE_K, knobs, NULL, ids,
                    distances);
}

/* Saved and loaded, an index answers as before, holds its invariants and can be saved again. */
static inline void baseline_expect_same_after_reload(struct baseline_test *t, const char *knobs)
{
    uint64_t ids[2][BASELINE_PROBES * BASELINE_K];
    float distances[2][BASELINE_PROBES * BASELINE_K];
    char dir[PATH_MAX];
    const struct index_ops *ops = t->index->ops;
    test_dir_make(dir);
    baseline_probe(t, knobs, ids[0], distances[0]);
    for (int again = 0; again < 2; again++) {
        assert_ok(ops->save(t->index, dir), &t->bench.error);
        ops->destroy(t->index);
        assert_ok(ops->load(&t->index, &t->bench.env, dir), &t->bench.error);
    }
    assert_ok(ops->check(t->index, NULL), &t->bench.error);
    baseline_probe(t, knobs, ids[1], distances[1]);
    assert_memory_equal(ids[0], ids[1], sizeof ids[0]);
    assert_memory_equal(distances[0], distances[1], sizeof distances[0]);
    test_dir_remove(dir);
}

static inline void baseline_try_no_memory(const struct index_ops *ops)
{
    struct baseline_test t;
    _Alignas(16) char options[BASELINE_OPTIONS_BYTES];
    struct index *made = NULL;
    baseline_begin(&t, ops, "", INDEX_F32, INDEX_L2SQ, 8, 10);
    baseline_options(ops->params, "", options);
    t.bench.mem.fail_at = atomic_load(&t.bench.mem.calls) + 1;
    assert_code(ops->create(&made, &t.bench.env, options), ERR_NO_MEMORY, &t.bench.error);
    assert_null(made);
    baseline_end(&t);
}

/* Recall under every metric, and the same answers from the index once it is saved and loaded. */
static inline void baseline_try_recall(const struct index_ops *ops, const char *params, size_t dim,
                                       const char *knobs)
{
    for (int m = INDEX_L2SQ; m <= INDEX_COS; m++) {
        struct baseline_test t;
        baseline_begin(&t, ops, params, INDEX_F32, (enum metric)m, dim, 600);
        baseline_insert(&t, 0, 600);
        assert_true(baseline_recall(&t, knobs) > (m == INDEX_IP ? .9 : .97));
        baseline_expect_same_after_reload(&t, knobs);
        baseline_end(&t);
    }
}

/* With knobs that search the whole graph: distances, order, ties and filters are exact. */
static inline void baseline_try_exact(const struct index_ops *ops, const char *params,
                                      const char *knobs)
{
    for (int m = INDEX_L2SQ; m <= INDEX_COS; m++) {
        struct baseline_test t;
        baseline_begin(&t, ops, params, INDEX_F32, (enum metric)m, 12, 500);
        baseline_insert(&t, 0, 400);
        baseline_expect_exact(&t, knobs, NULL);
        baseline_remove(&t, 50, 150);
        baseline_expect_exact(&t, knobs, NULL);
        struct id_filter filter = baseline_filter(&t, 3);
        baseline_expect_exact(&t, knobs, &filter);
        baseline_end(&t);
    }
}

/* Distances are counted: those of a search of the whole graph (`all`), of a short one (`few`), and
   of four queries together. */
static inline void baseline_try_work(const struct index_ops *ops, const char *all, const char *few)
{
    struct baseline_test t;
    uint64_t ids[40];
    float distances[40];
    baseline_begin(&t, ops, "", INDEX_F32, INDEX_L2SQ, 16, 500);
    baseline_insert(&t, 0, 500);
    const struct work whole = baseline_search(&t, t.f32, 1, 10, all, NULL, ids, distances);
    assert_true(whole.distances >= 499 && whole.distances < 620);
    assert_float_equal(whole.bytes_read, whole.distances * 64, 0);
    const struct work part = baseline_search(&t, t.f32, 1, 10, few, NULL, ids, distances);
    assert_true(part.distances > 20 && part.distances < 400);
    const struct work four = baseline_search(&t, t.f32, 4, 10, all, NULL, ids, distances);
    assert_true(four.distances > 3.9 * 499 && four.distances < 4 * 620);
    baseline_end(&t);
}

/* 40 queries have the same answers and the same count of distances on one thread and on many. */
static inline void baseline_expect_threads_agree(struct baseline_test *t, const char *knobs,
                                                 size_t threads)
{
    uint64_t ids[2][400];
    float distances[2][400];
    struct work work[2];
    _Alignas(16) char options[BASELINE_OPTIONS_BYTES];
    baseline_options(t->index->ops->knobs, knobs, options);
    for (size_t i = 0; i < 2; i++) {
        struct search_request request = { .queries = baseline_rows(t, 0, 40),
                                          .k = 10,
                                          .knobs = options,
                                          .threads = i == 0 ? 1 : threads };
        struct search_result result = { .ids = ids[i], .distances = distances[i] };
        assert_ok(t->index->ops->search(t->index, &request, &result), &t->bench.error);
        work[i] = result.work;
    }
    assert_memory_equal(ids[0], ids[1], sizeof ids[0]);
    assert_float_equal(work[0].distances, work[1].distances, 0);
}

#endif
