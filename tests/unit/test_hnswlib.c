/* test_hnswlib.c - hnswlib's method: recall, both ways to delete, filters, counting, files. */
#include "tests/testing.h"

#ifndef HAVE_HNSWLIB
int main(void)
{
    puts("skipped: built without hnswlib");
    return 0;
}
#else

#include "tests/tsan.h"
#include "tests/unit/peers.h"

extern const struct index_ops hnswlib_ops;

/* Every dimension class that hnswlib has a distance function for, under every metric. */
static void test_finds_neighbours(void **state)
{
    (void)state;
    const size_t dims[] = { 3, 8, 15, 16, 20, 32, 37, 100 };
    for (size_t d = 0; d < sizeof dims / sizeof *dims; d++) {
        for (int m = METRIC_L2SQ; m <= METRIC_COS; m++) {
            struct peer_test t;
            peer_begin(&t, &hnswlib_ops, "ef_construction=100", ELEMENT_F32, (enum metric)m,
                       dims[d], 600);
            peer_insert(&t, 0, 600);
            assert_true(peer_recall(&t, "ef_search=100") > (m == METRIC_IP ? .9 : .97));
            peer_expect_same_after_reload(&t, "ef_search=50");
            peer_end(&t);
        }
    }
}

/* Past n candidates the graph is searched whole: distances, order, ties, both delete modes. */
static void test_exhaustive_is_exact(void **state)
{
    (void)state;
    const char *params[] = { "M=32;deletes=mark", "M=32;deletes=replace" };
    for (size_t p = 0; p < 2; p++) {
        for (int m = METRIC_L2SQ; m <= METRIC_COS; m++) {
            struct peer_test t;
            peer_begin(&t, &hnswlib_ops, params[p], ELEMENT_F32, (enum metric)m, 12, 500);
            peer_insert(&t, 0, 400);
            peer_expect_exact(&t, "ef_search=800", NULL);
            peer_remove(&t, 50, 150);
            peer_expect_exact(&t, "ef_search=800", NULL);
            struct id_filter filter = peer_filter(&t, 3);
            peer_expect_exact(&t, "ef_search=800", &filter);
            peer_end(&t);
        }
    }
}

static void test_ids_have_64_bits(void **state)
{
    (void)state;
    struct peer_test t;
    peer_begin(&t, &hnswlib_ops, "", ELEMENT_F32, METRIC_L2SQ, 12, 300);
    peer_spread_ids(&t);
    peer_insert(&t, 0, 300);
    peer_remove(&t, 3, 60);
    peer_expect_exact(&t, "ef_search=600", NULL);
    peer_end(&t);
}

/* Places are reused, so the graph stays as large as it was; marked rows stay in it for good. */
static void test_replace_keeps_its_size(void **state)
{
    (void)state;
    struct peer_test t;
    const char *params[] = { "deletes=mark", "deletes=replace" };
    for (int replace = 0; replace < 2; replace++) {
        peer_begin(&t, &hnswlib_ops, params[replace], ELEMENT_F32, METRIC_L2SQ, 12, 900);
        peer_insert(&t, 0, 300);
        peer_remove(&t, 0, 200);
        assert_float_equal(peer_stat(&t, "deleted_count"), 200, 0);
        peer_insert(&t, 300, 500);
        assert_float_equal(peer_stat(&t, "deleted_count"), (replace ? 0 : 200), 0);
        assert_float_equal(peer_stat(&t, "n_vectors"), 300, 0);
        peer_expect_same_after_reload(&t, "ef_search=20");
        peer_insert(&t, 500, 900);
        assert_true(peer_recall(&t, "ef_search=100") > .95);
        peer_end(&t);
    }
}

/* hnswlib 2024 forgets where an id is if it comes back while another row has its old place. */
static void test_an_id_comes_back(void **state)
{
    (void)state;
    struct peer_test t;
    peer_begin(&t, &hnswlib_ops, "deletes=replace", ELEMENT_F32, METRIC_L2SQ, 12, 60);
    peer_insert(&t, 0, 40);
    for (size_t round = 0; round < 12; round++) {
        peer_remove(&t, 5, 25);
        for (size_t i = 25; i-- > 5;)
            peer_insert(&t, i, i + 1);
        peer_remove(&t, 0, 3);
        peer_insert(&t, 40, 43);
        peer_remove(&t, 40, 43);
        peer_insert(&t, 0, 3);
    }
    assert_true(peer_recall(&t, "ef_search=60") > .9);
    peer_end(&t);
}

static void test_grows(void **state)
{
    (void)state;
    struct peer_test t;
    peer_begin(&t, &hnswlib_ops, "M=4;ef_construction=20", ELEMENT_F32, METRIC_L2SQ, 8, 5000);
    assert_float_equal(peer_stat(&t, "capacity"), 1024, 0);
    peer_insert(&t, 0, 1024);
    assert_float_equal(peer_stat(&t, "capacity"), 1024, 0);
    peer_insert(&t, 1024, 1025);
    assert_float_equal(peer_stat(&t, "capacity"), 2048, 0);
    peer_insert(&t, 1025, 5000);
    assert_true(peer_stat(&t, "capacity") >= 5000);
    assert_true(peer_recall(&t, "ef_search=100") > .9);

    struct memory_use use;
    assert_ok(hnswlib_ops.memory(t.index, &use), &t.bench.error);
    const double capacity = peer_stat(&t, "capacity");
    assert_float_equal((double)use.vectors, capacity * 32, 0);
    assert_true((double)use.graph >= capacity * 8 * 4 && use.ids >= 5000 * 8 && use.codes == 0);
    peer_end(&t);
}

static void test_work_is_counted(void **state)
{
    (void)state;
    struct peer_test t;
    uint64_t ids[40];
    float distances[40];
    peer_begin(&t, &hnswlib_ops, "", ELEMENT_F32, METRIC_L2SQ, 16, 500);
    peer_insert(&t, 0, 500);
    struct work all = peer_search(&t, t.f32, 1, 10, "ef_search=1000", NULL, ids, distances);
    assert_true(all.distances >= 499 && all.distances < 620);
    assert_float_equal(all.bytes_read, all.distances * 64, 0);
    struct work few = peer_search(&t, t.f32, 1, 10, "ef_search=10", NULL, ids, distances);
    assert_true(few.distances > 20 && few.distances < 400);
    struct work four = peer_search(&t, t.f32, 4, 10, "ef_search=1000", NULL, ids, distances);
    assert_true(four.distances > 3.9 * 499 && four.distances < 4 * 620);
    peer_end(&t);
}

/* Two threads insert other graphs than one, but as good; they answer queries as one does, and count
 * as one does. */
static void test_threads(void **state)
{
    (void)state;
    struct peer_test t;
    uint64_t ids[2][400];
    float distances[2][400];
    struct work work[2];
    peer_begin(&t, &hnswlib_ops, "", ELEMENT_F32, METRIC_L2SQ, 16, 900);
    pool_destroy(t.bench.pool);
    t.bench.pool = t.index->env.pool = t.bench.env.pool = pool_create(2);
    peer_insert(&t, 0, 900);
    assert_true(peer_recall(&t, "ef_search=100") > .97);
    const int64_t ef = 30;
    for (size_t i = 0; i < 2; i++) {
        struct search_request request = {
            .queries = peer_rows(&t, 0, 40), .k = 10, .knobs = &ef, .threads = i + 1
        };
        struct search_result result = { .ids = ids[i], .distances = distances[i] };
        assert_ok(hnswlib_ops.search(t.index, &request, &result), &t.bench.error);
        work[i] = result.work;
    }
    assert_memory_equal(ids[0], ids[1], sizeof ids[0]);
    assert_float_equal(work[0].distances, work[1].distances, 0);
    peer_end(&t);
}

static void test_seeds(void **state)
{
    (void)state;
    double links[4];
    const char *params[] = { "", "seed=100", "", "" };
    const uint64_t seeds[] = { 1, 7, 7, 7 };
    for (size_t i = 0; i < 4; i++) {
        struct peer_test t;
        peer_begin(&t, &hnswlib_ops, "", ELEMENT_F32, METRIC_L2SQ, 16, 700);
        hnswlib_ops.destroy(t.index);
        t.bench.env.seed = seeds[i];
        t.index = NULL;
        _Alignas(16) char options[PEER_OPTIONS_BYTES];
        peer_options(hnswlib_ops.params, params[i], options);
        assert_ok(hnswlib_ops.create(&t.index, &t.bench.env, options), &t.bench.error);
        peer_insert(&t, 0, 700);
        links[i] = peer_stat(&t, "links");
        peer_end(&t);
    }
    assert_float_equal(links[0], links[1], 0);
    assert_float_equal(links[2], links[3], 0);
    assert_true(fabs(links[0] - links[2]) > 0);
}

static void test_files(void **state)
{
    (void)state;
    peer_try_files(&hnswlib_ops, "", "ef_search=20");
    peer_try_files(&hnswlib_ops, "deletes=replace;M=5", "ef_search=20");
}

static void test_no_memory(void **state)
{
    (void)state;
    peer_try_no_memory(&hnswlib_ops);
}

static void test_churn(void **state)
{
    (void)state;
    peer_churn(&hnswlib_ops, "deletes=mark", "ef_search=200", .95);
    peer_churn(&hnswlib_ops, "deletes=replace", "ef_search=200", .9);
}

static void test_empty(void **state)
{
    (void)state;
    struct peer_test t;
    uint64_t ids[3] = { 0 };
    float distances[3] = { 0 };
    peer_begin(&t, &hnswlib_ops, "", ELEMENT_F32, METRIC_COS, 4, 10);
    peer_search(&t, t.f32, 1, 3, "", NULL, ids, distances);
    assert_true(ids[0] == ID_NONE && isinf(distances[0]));
    peer_insert(&t, 0, 2);
    peer_search(&t, t.f32, 1, 3, "", NULL, ids, distances);
    assert_true(ids[1] != ID_NONE && ids[2] == ID_NONE && isinf(distances[2]));
    peer_remove(&t, 0, 2);
    peer_search(&t, t.f32, 1, 3, "", NULL, ids, distances);
    assert_true(ids[0] == ID_NONE);
    peer_end(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_finds_neighbours),
        cmocka_unit_test(test_exhaustive_is_exact),
        cmocka_unit_test(test_ids_have_64_bits),
        cmocka_unit_test(test_replace_keeps_its_size),
        cmocka_unit_test(test_an_id_comes_back),
        cmocka_unit_test(test_grows),
        cmocka_unit_test(test_work_is_counted),
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_seeds),
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_churn),
        cmocka_unit_test(test_empty),
    };
    return test_run("hnswlib", tests);
}
#endif
