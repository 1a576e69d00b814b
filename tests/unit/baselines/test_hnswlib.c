/* test_hnswlib.c - hnswlib's method: recall, both ways to delete, filters, counts, files. */
#include "tests/support/testing.h"

#ifndef HAVE_HNSWLIB
int main(void)
{
    puts("skipped: built without hnswlib");
    return 0;
}
#else

#include "tests/support/baseline_checks.h"
#include "tests/support/tsan.h"

extern const struct index_ops hnswlib_ops;

/* Every dimension class with its own distance function in hnswlib, under every metric. */
static void test_finds_neighbours(void **state)
{
    const size_t dims[] = { 3, 8, 15, 16, 20, 32, 37, 100 };
    for (size_t d = 0; d < sizeof dims / sizeof *dims; d++)
        baseline_try_recall(&hnswlib_ops, "ef_construction=100", dims[d], "ef_search=100");
}

static void test_exhaustive_is_exact(void **state)
{
    baseline_try_exact(&hnswlib_ops, "M=32;deletes=mark", "ef_search=800");
    baseline_try_exact(&hnswlib_ops, "M=32;deletes=replace", "ef_search=800");
}

/* Removed ids are inserted again beside new ones, which take removed rows'
   slots, on several threads. */
static void test_ids_come_back(void **state)
{
    const char *params = "M=4;ef_construction=20;deletes=replace";
    struct baseline_test t;
    baseline_begin(&t, &hnswlib_ops, params, INDEX_F32, INDEX_L2SQ, 8, 160);
    baseline_use_threads(&t, 4, params);
    baseline_insert(&t, 32, 160);
    for (size_t round = 0; round < 100; round++) {
        baseline_remove(&t, 32, 128);
        baseline_insert(&t, 0, 96);
        baseline_remove(&t, 0, 96);
        baseline_insert(&t, 32, 128);
    }
    baseline_end(&t);
}

/* Slots are reused, so the graph keeps its size; rows that are only marked stay in it. */
static void test_replace_keeps_its_size(void **state)
{
    struct baseline_test t;
    const char *params[] = { "deletes=mark", "deletes=replace" };
    for (int replace = 0; replace < 2; replace++) {
        baseline_begin(&t, &hnswlib_ops, params[replace], INDEX_F32, INDEX_L2SQ, 12, 900);
        baseline_insert(&t, 0, 300);
        baseline_remove(&t, 0, 200);
        assert_float_equal(baseline_stat(&t, "deleted_count"), 200, 0);
        baseline_insert(&t, 300, 500);
        assert_float_equal(baseline_stat(&t, "deleted_count"), (replace ? 0 : 200), 0);
        assert_float_equal(baseline_stat(&t, "n_vectors"), 300, 0);
        baseline_expect_same_after_reload(&t, "ef_search=20");
        baseline_insert(&t, 500, 900);
        assert_true(baseline_recall(&t, "ef_search=100") > .95);
        baseline_end(&t);
    }
}

/* hnswlib 2024 loses an id that is inserted again while another row has its old slot. */
static void test_an_id_comes_back(void **state)
{
    struct baseline_test t;
    baseline_begin(&t, &hnswlib_ops, "deletes=replace", INDEX_F32, INDEX_L2SQ, 12, 60);
    baseline_insert(&t, 0, 40);
    for (size_t round = 0; round < 12; round++) {
        baseline_remove(&t, 5, 25);
        for (size_t i = 25; i-- > 5;)
            baseline_insert(&t, i, i + 1);
        baseline_remove(&t, 0, 3);
        baseline_insert(&t, 40, 43);
        baseline_remove(&t, 40, 43);
        baseline_insert(&t, 0, 3);
    }
    assert_true(baseline_recall(&t, "ef_search=60") > .9);
    baseline_end(&t);
}

static void test_grows(void **state)
{
    struct baseline_test t;
    baseline_begin(&t, &hnswlib_ops, "M=4;ef_construction=20", INDEX_F32, INDEX_L2SQ, 8, 5000);
    assert_float_equal(baseline_stat(&t, "capacity"), 1024, 0);
    baseline_insert(&t, 0, 1024);
    assert_float_equal(baseline_stat(&t, "capacity"), 1024, 0);
    baseline_insert(&t, 1024, 1025);
    assert_float_equal(baseline_stat(&t, "capacity"), 2048, 0);
    baseline_insert(&t, 1025, 5000);
    assert_true(baseline_stat(&t, "capacity") >= 5000);
    assert_true(baseline_recall(&t, "ef_search=100") > .9);

    struct memory_use use;
    assert_ok(hnswlib_ops.memory(t.index, &use), &t.bench.error);
    const double capacity = baseline_stat(&t, "capacity");
    assert_float_equal((double)use.vectors, capacity * 32, 0);
    assert_true((double)use.graph >= capacity * 8 * 4 && use.ids >= 5000 * 8 && use.codes == 0);
    baseline_end(&t);
}

static void test_work_is_counted(void **state)
{
    baseline_try_work(&hnswlib_ops, "ef_search=1000", "ef_search=10");
}

/* Two threads build another graph than one thread, with the same recall. */
static void test_threads(void **state)
{
    struct baseline_test t;
    baseline_begin(&t, &hnswlib_ops, "", INDEX_F32, INDEX_L2SQ, 16, 900);
    pool_destroy(t.bench.pool);
    t.bench.pool = t.index->env.pool = t.bench.env.pool = pool_create(2);
    baseline_insert(&t, 0, 900);
    assert_true(baseline_recall(&t, "ef_search=100") > .97);
    baseline_expect_threads_agree(&t, "ef_search=30", 2);
    baseline_end(&t);
}

static void test_seeds(void **state)
{
    double links[3];
    const uint64_t seeds[] = { 1, 7, 7 };
    for (size_t i = 0; i < 3; i++) {
        struct baseline_test t;
        baseline_begin(&t, &hnswlib_ops, "", INDEX_F32, INDEX_L2SQ, 16, 700);
        t.bench.env.seed = seeds[i];
        baseline_use_threads(&t, 1, "");
        baseline_insert(&t, 0, 700);
        links[i] = baseline_stat(&t, "links");
        baseline_end(&t);
    }
    assert_float_equal(links[1], links[2], 0);
    assert_true(fabs(links[0] - links[1]) > 0);
}

static void test_no_memory(void **state)
{
    baseline_try_no_memory(&hnswlib_ops);
}

int main(void)
{
    test_any_order_of_locks();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_finds_neighbours),
        cmocka_unit_test(test_exhaustive_is_exact),
        cmocka_unit_test(test_ids_come_back),
        cmocka_unit_test(test_replace_keeps_its_size),
        cmocka_unit_test(test_an_id_comes_back),
        cmocka_unit_test(test_grows),
        cmocka_unit_test(test_work_is_counted),
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_seeds),
        cmocka_unit_test(test_no_memory),
    };
    return test_run("hnswlib", tests);
}
#endif
