/* test_usearch.c - usearch's method: recall, reused slots, element types of stored
   rows, filters, counts, files. */
#include "tests/support/testing.h"

#ifndef HAVE_USEARCH
int main(void)
{
    puts("skipped: built without usearch");
    return 0;
}
#else

#include <time.h>

#include "algorithms/usearch/shim.h"
#include "tests/support/baseline_checks.h"
#include "tests/support/tsan.h"

extern const struct index_ops usearch_ops;

/* Both implementations of every metric. */
static void test_finds_neighbours(void **state)
{
    const size_t dims[] = { 3, 16, 37, 100 };
    for (size_t d = 0; d < sizeof dims / sizeof *dims; d++) {
        baseline_try_recall(&usearch_ops, "", dims[d], "expansion_search=100");
        baseline_try_recall(&usearch_ops, "metric_impl=usearch", dims[d], "expansion_search=100");
    }
}

static void test_exhaustive_is_exact(void **state)
{
    const char *knobs = "expansion_search=800";
    baseline_try_exact(&usearch_ops, "connectivity=32", knobs);
    baseline_try_exact(&usearch_ops, "connectivity=32;metric_impl=usearch", knobs);
}

/* Keys map to ids one to one, also for the id whose key would be usearch's value
   for an empty slot. */
static void test_keys(void **state)
{
    struct rng r = rng_at(test_seed(), 3);
    const uint64_t no_key = UINT64_MAX;
    for (size_t i = 0; i < 10000; i++) {
        const uint64_t id = i < 100 ? i : i < 200 ? UINT64_MAX - 1 - i : rng_u64(&r);
        assert_true(usearch_shim_key_of(id) != no_key);
        assert_true(usearch_shim_id_of(usearch_shim_key_of(id)) == id);
    }
    const uint64_t unlucky = usearch_shim_mix(no_key, UINT64_C(0xf1de83e19937733d));
    assert_true(usearch_shim_mix(unlucky, UINT64_C(0x9e3779b97f4a7c15)) == no_key);
    assert_true(usearch_shim_key_of(unlucky) != no_key);
    assert_true(usearch_shim_id_of(usearch_shim_key_of(unlucky)) == unlucky);
}

/* Ids in order, as in a workload: a removal must not scan all keys. */
static void test_removal_does_not_scan(void **state)
{
    struct baseline_test t;
    size_t done = 0;
    baseline_begin(&t, &usearch_ops, "connectivity=2;expansion_add=1", INDEX_F32, INDEX_L2SQ, 2,
                   60000);
    assert_ok(usearch_ops.insert(t.index, baseline_rows(&t, 0, 60000), t.ids, &done),
              &t.bench.error);
    const clock_t start = clock();
    assert_ok(usearch_ops.remove(t.index, t.ids, 30000, &done), &t.bench.error);
    const double seconds = (double)(clock() - start) / CLOCKS_PER_SEC;
    assert_true(seconds < .5); /* some ms; with ids as keys, many seconds */
    baseline_end(&t);
}

/* With rows stored in bf16's 8 bits, most neighbours are the same and distances are close; 8-bit
   whole numbers lose nothing. */
static void test_half_floats(void **state)
{
    const char *params[] = { "scalar=bf16", "scalar=bf16;metric_impl=usearch" };
    for (size_t p = 0; p < 2; p++) {
        for (int m = INDEX_L2SQ; m <= INDEX_COS; m++) {
            struct baseline_test t;
            baseline_begin(&t, &usearch_ops, params[p], INDEX_F32, (enum metric)m, 30, 600);
            baseline_insert(&t, 0, 600);
            assert_true(baseline_recall(&t, "expansion_search=100") > .9);
            baseline_expect_same_after_reload(&t, "expansion_search=50");
            baseline_end(&t);
        }
        struct baseline_test t;
        baseline_begin(&t, &usearch_ops, params[p], INDEX_F32, INDEX_L2SQ, 20, 300);
        for (size_t i = 0; i < 300 * 20; i++)
            t.f32[i] = (float)rng_below(&t.rng, 256);
        baseline_insert(&t, 0, 300);
        baseline_expect_exact(&t, "expansion_search=600", NULL);
        baseline_end(&t);
    }
}

static void test_bytes(void **state)
{
    for (int m = INDEX_L2SQ; m <= INDEX_IP; m++) {
        struct baseline_test t;
        uint64_t ids[3];
        float distances[3];
        size_t done = 7;
        baseline_begin(&t, &usearch_ops, "scalar=u8", INDEX_F32, (enum metric)m, 20, 300);
        for (size_t i = 0; i < 300 * 20; i++)
            t.f32[i] = (float)rng_below(&t.rng, 256);
        baseline_insert(&t, 0, 200);
        baseline_expect_exact(&t, "expansion_search=600", NULL);
        baseline_expect_same_after_reload(&t, "expansion_search=50");
        struct memory_use use;
        assert_ok(usearch_ops.memory(t.index, &use), &t.bench.error);
        assert_int_equal(use.vectors, 200 * 20);

        const float wrong[] = { 256, -1, .5F };
        for (size_t i = 0; i < 3; i++) {
            const float was = t.f32[203 * 20 + 7];
            t.f32[203 * 20 + 7] = wrong[i];
            assert_code(
                usearch_ops.insert(t.index, baseline_rows(&t, 203, 204), t.ids + 203, &done),
                ERR_ARGUMENT, &t.bench.error);
            assert_int_equal(done, 0);
            assert_code(baseline_try_search(&t, baseline_row(&t, 203), 1, 3, "", NULL, ids,
                                            distances, NULL),
                        ERR_ARGUMENT, &t.bench.error);
            t.f32[203 * 20 + 7] = was;
        }
        /* The rows before the invalid one are inserted. */
        t.f32[202 * 20] = .25F;
        assert_code(usearch_ops.insert(t.index, baseline_rows(&t, 200, 204), t.ids + 200, &done),
                    ERR_ARGUMENT, &t.bench.error);
        assert_int_equal(done, 2);
        t.f32[202 * 20] = 1;
        t.live[200] = t.live[201] = true;
        baseline_insert(&t, 202, 300);
        baseline_expect_exact(&t, "expansion_search=600", NULL);
        baseline_end(&t);
    }
}

/* usearch's own rounding to 127ths of unit length is coarse, but finds neighbours. */
static void test_rounded_unit_vectors(void **state)
{
    struct baseline_test t;
    baseline_begin(&t, &usearch_ops, "scalar=i8;metric_impl=usearch", INDEX_F32, INDEX_COS, 16,
                   600);
    baseline_insert(&t, 0, 600);
    assert_true(baseline_recall(&t, "expansion_search=200") > .8);
    uint64_t id;
    float distance;
    baseline_search(&t, baseline_row(&t, 5), 1, 1, "expansion_search=200", NULL, &id, &distance);
    assert_true(fabsf(distance) < .01F);
    baseline_end(&t);
}

static void test_refused_combinations(void **state)
{
    const struct {
        const char *params;
        enum metric metric;
    } refused[] = { { "scalar=i8;metric_impl=usearch", INDEX_L2SQ },
                    { "scalar=i8;metric_impl=usearch", INDEX_IP },
                    { "scalar=i8", INDEX_COS },
                    { "scalar=u8", INDEX_COS } };
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        struct baseline_test t;
        struct index *made = NULL;
        _Alignas(16) char options[BASELINE_OPTIONS_BYTES];
        baseline_begin(&t, &usearch_ops, "", INDEX_F32, refused[i].metric, 8, 10);
        baseline_options(usearch_ops.params, refused[i].params, options);
        assert_code(usearch_ops.create(&made, &t.bench.env, options), ERR_CONFIG, &t.bench.error);
        assert_null(made);
        baseline_end(&t);
    }
}

/* New rows take the slots of removed ones, so the graph keeps its size. */
static void test_places_are_used_again(void **state)
{
    struct baseline_test t;
    baseline_begin(&t, &usearch_ops, "", INDEX_F32, INDEX_L2SQ, 12, 900);
    baseline_insert(&t, 0, 300);
    baseline_remove(&t, 0, 200);
    assert_float_equal(baseline_stat(&t, "deleted_count"), 200, 0);
    assert_float_equal(baseline_stat(&t, "n_vectors"), 100, 0);
    baseline_expect_same_after_reload(&t, "expansion_search=20");
    assert_float_equal(baseline_stat(&t, "deleted_count"), 200, 0);
    baseline_insert(&t, 300, 500);
    assert_float_equal(baseline_stat(&t, "deleted_count"), 0, 0);
    assert_float_equal(baseline_stat(&t, "n_vectors"), 300, 0);
    baseline_insert(&t, 500, 900);
    assert_true(baseline_recall(&t, "expansion_search=200") > .95);
    baseline_remove(&t, 300, 310);
    baseline_insert(&t, 300, 310);
    assert_true(baseline_recall(&t, "expansion_search=200") > .95);
    baseline_end(&t);
}

/* Rows inserted one by one still get random levels; a graph of one level would have low recall. */
static void test_grows(void **state)
{
    struct baseline_test t;
    baseline_begin(&t, &usearch_ops, "connectivity=4;expansion_add=20", INDEX_F32, INDEX_L2SQ, 8,
                   5000);
    baseline_insert(&t, 0, 1);
    assert_true(baseline_stat(&t, "capacity") >= 1024);
    for (size_t i = 1; i < 300; i++)
        baseline_insert(&t, i, i + 1);
    assert_true(baseline_stat(&t, "max_level") >= 2);
    baseline_insert(&t, 300, 5000);
    assert_true(baseline_stat(&t, "capacity") >= 5000);
    assert_true(baseline_recall(&t, "expansion_search=200") > .9);

    struct memory_use use;
    assert_ok(usearch_ops.memory(t.index, &use), &t.bench.error);
    assert_int_equal(use.vectors, 5000 * 32);
    assert_true(use.graph >= 5000 * 8 * 4 && use.ids >= 5000 * 16 && use.codes == 0);
    baseline_end(&t);
}

static void test_work_is_counted(void **state)
{
    baseline_try_work(&usearch_ops, "expansion_search=1000", "expansion_search=10");
}

/* Three threads build another graph than one thread, with the same recall. */
static void test_threads(void **state)
{
    const char *params[] = { "", "scalar=u8" };
    for (size_t p = 0; p < 2; p++) {
        struct baseline_test t;
        baseline_begin(&t, &usearch_ops, "", INDEX_F32, INDEX_L2SQ, 16, 900);
        baseline_use_threads(&t, 3, params[p]);
        for (size_t i = 0; p == 1 && i < 900 * 16; i++)
            t.f32[i] = (float)rng_below(&t.rng, 256);
        baseline_insert(&t, 0, 900);
        /* usearch's threads sometimes overwrite each other's links: recall was mostly
           above .97, once below. */
        const double recall = baseline_recall(&t, "expansion_search=300");
        if (recall <= .9)
            fail_msg("%s: recall %g", params[p], recall);
        baseline_expect_threads_agree(&t, "expansion_search=30", 3);
        baseline_end(&t);
    }
}

static void test_no_memory(void **state)
{
    baseline_try_no_memory(&usearch_ops);
}

int main(void)
{
    test_any_order_of_locks();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_finds_neighbours),
        cmocka_unit_test(test_exhaustive_is_exact),
        cmocka_unit_test(test_keys),
        cmocka_unit_test(test_removal_does_not_scan),
        cmocka_unit_test(test_half_floats),
        cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_rounded_unit_vectors),
        cmocka_unit_test(test_refused_combinations),
        cmocka_unit_test(test_places_are_used_again),
        cmocka_unit_test(test_grows),
        cmocka_unit_test(test_work_is_counted),
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_no_memory),
    };
    return test_run("usearch", tests);
}
#endif
