/* test_topk.c - the k nearest against a full sort, with many ties. */
#include "tests/support/testing.h"

#include "src/core/topk.h"

enum { MOST = 3000 };

static void expect_nearest(const struct test_truth *all, size_t n, const struct topk *t)
{
    static struct test_truth sorted[MOST];
    size_t m = 0;
    for (size_t i = 0; i < n; i++)
        if (!isnan(all[i].distance))
            sorted[m++] = all[i];
    qsort(sorted, m, sizeof *sorted, test_truth_order);
    for (size_t i = 0; i < t->k; i++) {
        assert_int_equal(t->ids[i], i < m ? sorted[i].id : INDEX_NO_ID);
        if (i < m)
            assert_memory_equal(&t->distances[i], &sorted[i].distance, sizeof(float));
        else
            assert_true(isinf(t->distances[i]) && t->distances[i] > 0);
    }
}

static void test_against_sorting(void **state)
{
    static struct test_truth all[MOST];
    static float distances[MOST], nearest[MOST + 10];
    static uint64_t ids[MOST], nearest_ids[MOST + 10];
    static uint32_t scratch[MOST];
    struct rng r = rng_at(test_seed(), 1);
    for (enum isa isa = ISA_SCALAR; isa <= kernels_best_isa(); isa++) {
        const struct kernels *kernels = kernels_select(isa);
        for (size_t t = 0; t < 300; t++) {
            const size_t n = (size_t)rng_below(&r, t % 10 ? 700 : MOST),
                         k = 1 + (size_t)rng_below(&r, t % 3 ? 20 : n + 10);
            const uint64_t levels = 1 + rng_below(&r, t % 2 ? 10 : 100000),
                           first_id = rng_below(&r, 1000);
            for (size_t i = 0; i < n; i++) {
                distances[i] = (float)rng_below(&r, levels) - 3;
                if (rng_below(&r, 50) == 0)
                    distances[i] = rng_below(&r, 2) ? NAN : INFINITY;
                ids[i] = i;
            }
            rng_shuffle_u64(&r, ids, n);
            for (size_t i = 0; i < n; i++)
                all[i] = (struct test_truth){ distances[i], ids[i] };
            struct topk top = topk_begin(k, nearest, nearest_ids);
            topk_offer(&top, kernels, distances, ids, 0, n / 3, scratch);
            topk_offer(&top, kernels, distances + n / 3, ids + n / 3, 0, n - n / 3, scratch);
            topk_sort(&top);
            expect_nearest(all, n, &top);

            for (size_t i = 0; i < n; i++)
                all[i].id = first_id + i;
            top = topk_begin(k, nearest, nearest_ids);
            topk_offer(&top, kernels, distances, NULL, first_id, n, scratch);
            topk_sort(&top);
            expect_nearest(all, n, &top);
        }
    }
}

static void test_limit(void **state)
{
    float distances[2];
    uint64_t ids[2];
    struct topk t = topk_begin(2, distances, ids);
    assert_true(isinf(topk_limit(&t)));
    topk_push(&t, NAN, 3);
    assert_int_equal(t.n, 0);
    topk_push(&t, 5, 1);
    assert_true(isinf(topk_limit(&t)));
    topk_push(&t, 3, 2);
    assert_true(topk_limit(&t) == 5);
    topk_push(&t, 5, 9); /* same distance, larger id */
    assert_true(topk_limit(&t) == 5 && t.ids[0] == 1);
    topk_push(&t, 5, 0); /* same distance, smaller id */
    assert_true(topk_limit(&t) == 5 && t.ids[0] == 0);
    topk_push(&t, 4, 7);
    assert_true(topk_limit(&t) == 4);
    topk_sort(&t);
    assert_true(ids[0] == 2 && ids[1] == 7);
}

int main(void)
{
    return test_run_all("core_topk", test_against_sorting, test_limit);
}
