/* beside_changes.h - searches in threads of their own while rows come and go; for methods that allow
 * updates during searches. Run under the thread sanitizer too. */
#ifndef DRIFTLINE_TESTS_SUPPORT_BESIDE_CHANGES_H
#define DRIFTLINE_TESTS_SUPPORT_BESIDE_CHANGES_H

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "tests/support/baselines.h"

enum { STAY = 500, CHURN = 400, SEARCHERS = 2, BESIDE_K = 10 };

struct searcher {
    struct baseline_test *t;
    const void *knobs;
    const struct id_filter *filter;
    uint64_t stream;
    atomic_bool *stop;
    atomic_size_t *searches;
    size_t bad, missed;
    int rc;
};

/* At least STAY rows are present throughout, so every answer has k rows. A row that stays is missed
   only rarely, while the edges to it are changed. */
static inline void *search_beside(void *arg)
{
    struct searcher *me = arg;
    struct baseline_test *t = me->t;
    struct rng rng = rng_at(test_seed(), me->stream);

    while (!atomic_load(me->stop) && me->rc == OK) {
        const size_t row = rng_below(&rng, STAY / 2) * 2;
        uint64_t ids[BESIDE_K];
        float distances[BESIDE_K];
        const struct search_request request = {
            { baseline_row(t, row), 1, t->dim, INDEX_F32 }, BESIDE_K, me->knobs, me->filter, 1
        };
        struct search_result result = { .ids = ids, .distances = distances };

        me->rc = t->ops->search(t->index, &request, &result);
        me->missed += me->rc == OK && (distances[0] != 0 || ids[0] != row);
        for (size_t i = 1; i < BESIDE_K; i++)
            me->bad +=
                ids[i] == INDEX_NO_ID || distances[i] < distances[i - 1] || ids[i] == ids[i - 1];
        atomic_fetch_add(me->searches, 1);
    }
    return NULL;
}

static inline void churn_beside(struct baseline_test *t, const atomic_size_t *searches)
{
    for (int round = 0; round < 4; round++) {
        const size_t until = atomic_load(searches) + 50;

        for (size_t i = STAY; i < STAY + CHURN; i += 50)
            baseline_insert(t, i, i + 50);
        for (size_t i = STAY; i < STAY + CHURN; i += 50)
            baseline_remove(t, i, i + 50);
        while (atomic_load(searches) < until)
            (void)sched_yield();
    }
}

/* Returns how many searches missed the row they were for. */
static inline size_t beside_changes(const struct index_ops *ops, const char *params,
                                    const char *knobs_text)
{
    _Alignas(16) char knobs[BASELINE_OPTIONS_BYTES];
    struct baseline_test t;
    struct searcher all[SEARCHERS];
    pthread_t threads[SEARCHERS];
    atomic_bool stop = false;
    atomic_size_t searches = 0;
    size_t missed = 0;

    baseline_options(ops->knobs, knobs_text, knobs);
    baseline_begin(&t, ops, params, INDEX_F32, INDEX_L2SQ, 10, STAY + CHURN);
    baseline_insert(&t, 0, STAY);
    const struct id_filter filter = baseline_filter(&t, 2);
    for (size_t i = 0; i < SEARCHERS; i++) {
        all[i] = (struct searcher){ &t, knobs, i ? &filter : NULL, i, &stop, &searches, 0, 0, OK };
        assert_int_equal(pthread_create(&threads[i], NULL, search_beside, &all[i]), 0);
    }
    churn_beside(&t, &searches);
    atomic_store(&stop, true);
    for (size_t i = 0; i < SEARCHERS; i++) {
        (void)pthread_join(threads[i], NULL);
        assert_ok(all[i].rc, &t.bench.error);
        const size_t few = atomic_load(&searches) / 500 + 2;
        if (all[i].bad || all[i].missed > few)
            print_error("searcher %zu: of %zu answers %zu are wrong, %zu miss a row that stays\n",
                        i, atomic_load(&searches), all[i].bad, all[i].missed);
        assert_int_equal(all[i].bad, 0);
        assert_true(all[i].missed <= few);
        missed += all[i].missed;
    }
    baseline_end(&t);
    return missed;
}

/* Each row is inserted before the previous one is removed: no answer is empty. */
static inline void *search_one(void *arg)
{
    struct searcher *me = arg;

    while (!atomic_load(me->stop) && me->rc == OK) {
        uint64_t id = INDEX_NO_ID;
        float distance;
        const struct search_request request = {
            { baseline_row(me->t, 0), 1, me->t->dim, INDEX_F32 }, 1, me->knobs, NULL, 1
        };
        struct search_result result = { .ids = &id, .distances = &distance };

        me->rc = me->t->ops->search(me->t->index, &request, &result);
        me->missed += id == INDEX_NO_ID;
        atomic_fetch_add(me->searches, 1);
    }
    return NULL;
}

static inline void beside_one_row(const struct index_ops *ops, const char *params,
                                  const char *knobs_text)
{
    _Alignas(16) char knobs[BASELINE_OPTIONS_BYTES];
    const size_t n = 20000 / test_scale();
    struct baseline_test t;
    pthread_t thread;
    atomic_bool stop = false;
    atomic_size_t searches = 0;

    baseline_options(ops->knobs, knobs_text, knobs);
    baseline_begin(&t, ops, params, INDEX_F32, INDEX_L2SQ, 4, n);
    baseline_insert(&t, 0, 1);
    struct searcher one = { &t, knobs, NULL, 0, &stop, &searches, 0, 0, OK };
    assert_int_equal(pthread_create(&thread, NULL, search_one, &one), 0);
    for (size_t i = 1; i < n; i++) {
        baseline_insert(&t, i, i + 1);
        baseline_remove(&t, i - 1, i);
    }
    atomic_store(&stop, true);
    (void)pthread_join(thread, NULL);
    assert_ok(one.rc, &t.bench.error);
    if (one.missed)
        print_error("%zu of %zu answers are empty\n", one.missed, atomic_load(&searches));
    assert_int_equal(one.missed, 0);
    baseline_end(&t);
}

#endif
