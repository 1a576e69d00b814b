/* test_usearch.c - usearch's method: recall, places used again, what rows are stored as, filters, counting, files. */
#include "tests/testing.h"

#ifndef HAVE_USEARCH
int main(void)
{
    puts("skipped: built without usearch");
    return 0;
}
#else

#include <time.h>

#include "algorithms/usearch/extra.h"
#include "tests/tsan.h"
#include "tests/unit/peers.h"

extern const struct index_ops usearch_ops;

/* Both implementations of every metric. */
static void test_finds_neighbours(void **state)
{
    (void)state;
    const size_t dims[] = { 3, 16, 37, 100 };
    const char *params[] = { "", "metric_impl=usearch" };
    for (size_t d = 0; d < sizeof dims / sizeof *dims; d++) {
        for (int m = METRIC_L2SQ; m <= METRIC_COS; m++) {
            for (size_t p = 0; p < 2; p++) {
                struct peer_test t;
                peer_begin(&t, &usearch_ops, params[p], ELEMENT_F32, (enum metric)m, dims[d], 600);
                peer_insert(&t, 0, 600);
                assert_true(peer_recall(&t, "expansion_search=100") > (m == METRIC_IP ? .9 : .97));
                peer_expect_same_after_reload(&t, "expansion_search=50");
                peer_end(&t);
            }
        }
    }
}

/* Past n candidates the graph is searched whole: distances, order, ties, filters. */
static void test_exhaustive_is_exact(void **state)
{
    (void)state;
    const char *params[] = { "connectivity=32", "connectivity=32;metric_impl=usearch" };
    for (size_t p = 0; p < 2; p++) {
        for (int m = METRIC_L2SQ; m <= METRIC_COS; m++) {
            struct peer_test t;
            peer_begin(&t, &usearch_ops, params[p], ELEMENT_F32, (enum metric)m, 12, 500);
            peer_insert(&t, 0, 400);
            peer_expect_exact(&t, "expansion_search=800", NULL);
            peer_remove(&t, 50, 150);
            peer_expect_exact(&t, "expansion_search=800", NULL);
            struct id_filter filter = peer_filter(&t, 3);
            peer_expect_exact(&t, "expansion_search=800", &filter);
            peer_end(&t);
        }
    }
}

static void test_ids_have_64_bits(void **state)
{
    (void)state;
    struct peer_test t;
    peer_begin(&t, &usearch_ops, "", ELEMENT_F32, METRIC_L2SQ, 12, 300);
    peer_spread_ids(&t);
    peer_insert(&t, 0, 300);
    peer_remove(&t, 3, 60);
    peer_expect_exact(&t, "expansion_search=600", NULL);
    peer_end(&t);
}

/* One to one, over the id whose key would have been usearch's mark for nothing, too. */
static void test_keys(void **state)
{
    (void)state;
    struct rng r = rng_at(test_seed(), 3);
    const uint64_t no_key = UINT64_MAX;
    for (size_t i = 0; i < 10000; i++) {
        const uint64_t id = i < 100 ? i : i < 200 ? UINT64_MAX - 1 - i : rng_u64(&r);
        assert_true(usearchx_key_of(id) != no_key);
        assert_true(usearchx_id_of(usearchx_key_of(id)) == id);
    }
    const uint64_t unlucky = usearchx_mix(no_key, UINT64_C(0xf1de83e19937733d));
    assert_true(usearchx_mix(unlucky, UINT64_C(0x9e3779b97f4a7c15)) == no_key);
    assert_true(usearchx_key_of(unlucky) != no_key);
    assert_true(usearchx_id_of(usearchx_key_of(unlucky)) == unlucky);
}

/* Ids in order, as a workload has them: removing one must not look at all. */
static void test_removal_does_not_scan(void **state)
{
    (void)state;
    struct peer_test t;
    size_t done = 0;
    peer_begin(&t, &usearch_ops, "connectivity=2;expansion_add=1", ELEMENT_F32, METRIC_L2SQ, 2,
               60000);
    assert_ok(usearch_ops.insert(t.index, peer_rows(&t, 0, 60000), t.ids, &done), &t.bench.error);
    const clock_t start = clock();
    assert_ok(usearch_ops.remove(t.index, t.ids, 30000, &done), &t.bench.error);
    const double seconds = (double)(clock() - start) / CLOCKS_PER_SEC;
    assert_true(seconds < .5); /* some ms; with ids for keys, many seconds */
    peer_end(&t);
}

/* Stored to bf16's 8 bits, neighbours are nearly the same and distances near; whole numbers of 8
   bits lose nothing. */
static void test_half_floats(void **state)
{
    (void)state;
    const char *params[] = { "scalar=bf16", "scalar=bf16;metric_impl=usearch" };
    for (size_t p = 0; p < 2; p++) {
        for (int m = METRIC_L2SQ; m <= METRIC_COS; m++) {
            struct peer_test t;
            peer_begin(&t, &usearch_ops, params[p], ELEMENT_F32, (enum metric)m, 30, 600);
            peer_insert(&t, 0, 600);
            assert_true(peer_recall(&t, "expansion_search=100") > .9);
            peer_expect_same_after_reload(&t, "expansion_search=50");
            peer_end(&t);
        }
        struct peer_test t;
        peer_begin(&t, &usearch_ops, params[p], ELEMENT_F32, METRIC_L2SQ, 20, 300);
        for (size_t i = 0; i < 300 * 20; i++)
            t.f32[i] = (float)rng_below(&t.rng, 256);
        peer_insert(&t, 0, 300);
        peer_expect_exact(&t, "expansion_search=600", NULL);
        peer_end(&t);
    }
}

static void test_bytes(void **state)
{
    (void)state;
    for (int m = METRIC_L2SQ; m <= METRIC_IP; m++) {
        struct peer_test t;
        uint64_t ids[3];
        float distances[3];
        size_t done = 7;
        peer_begin(&t, &usearch_ops, "scalar=u8", ELEMENT_F32, (enum metric)m, 20, 300);
        for (size_t i = 0; i < 300 * 20; i++)
            t.f32[i] = (float)rng_below(&t.rng, 256);
        peer_insert(&t, 0, 200);
        peer_expect_exact(&t, "expansion_search=600", NULL);
        peer_expect_same_after_reload(&t, "expansion_search=50");
        struct memory_use use;
        assert_ok(usearch_ops.memory(t.index, &use), &t.bench.error);
        assert_int_equal(use.vectors, 200 * 20);

        const float wrong[] = { 256, -1, .5F };
        for (size_t i = 0; i < 3; i++) {
            const float was = t.f32[203 * 20 + 7];
            t.f32[203 * 20 + 7] = wrong[i];
            assert_code(usearch_ops.insert(t.index, peer_rows(&t, 203, 204), t.ids + 203, &done),
                        ERR_ARGUMENT, &t.bench.error);
            assert_int_equal(done, 0);
            assert_code(
                peer_try_search(&t, peer_row(&t, 203), 1, 3, "", NULL, ids, distances, NULL),
                ERR_ARGUMENT, &t.bench.error);
            t.f32[203 * 20 + 7] = was;
        }
        /* The rows before a wrong one are in. */
        t.f32[202 * 20] = .25F;
        assert_code(usearch_ops.insert(t.index, peer_rows(&t, 200, 204), t.ids + 200, &done),
                    ERR_ARGUMENT, &t.bench.error);
        assert_int_equal(done, 2);
        t.f32[202 * 20] = 1;
        t.live[200] = t.live[201] = true;
        peer_insert(&t, 202, 300);
        peer_expect_exact(&t, "expansion_search=600", NULL);
        peer_end(&t);
    }
}

/* usearch's own rounding to 127ths of unit length: coarse, but neighbours it does find. */
static void test_rounded_unit_vectors(void **state)
{
    (void)state;
    struct peer_test t;
    peer_begin(&t, &usearch_ops, "scalar=i8;metric_impl=usearch", ELEMENT_F32, METRIC_COS, 16, 600);
    peer_insert(&t, 0, 600);
    assert_true(peer_recall(&t, "expansion_search=200") > .8);
    uint64_t id;
    float distance;
    peer_search(&t, peer_row(&t, 5), 1, 1, "expansion_search=200", NULL, &id, &distance);
    assert_true(fabsf(distance) < .01F);
    peer_end(&t);
}

static void test_refused_combinations(void **state)
{
    (void)state;
    const struct {
        const char *params;
        enum metric metric;
    } refused[] = { { "scalar=i8;metric_impl=usearch", METRIC_L2SQ },
                    { "scalar=i8;metric_impl=usearch", METRIC_IP },
                    { "scalar=i8", METRIC_COS },
                    { "scalar=u8", METRIC_COS } };
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        struct peer_test t;
        struct index *made = NULL;
        _Alignas(16) char options[PEER_OPTIONS_BYTES];
        peer_begin(&t, &usearch_ops, "", ELEMENT_F32, refused[i].metric, 8, 10);
        peer_options(usearch_ops.params, refused[i].params, options);
        assert_code(usearch_ops.create(&made, &t.bench.env, options), ERR_CONFIG, &t.bench.error);
        assert_null(made);
        peer_end(&t);
    }
}

/* New rows take the places of removed ones, so the graph stays as large as it was. */
static void test_places_are_used_again(void **state)
{
    (void)state;
    struct peer_test t;
    peer_begin(&t, &usearch_ops, "", ELEMENT_F32, METRIC_L2SQ, 12, 900);
    peer_insert(&t, 0, 300);
    peer_remove(&t, 0, 200);
    assert_float_equal(peer_stat(&t, "deleted_count"), 200, 0);
    assert_float_equal(peer_stat(&t, "n_vectors"), 100, 0);
    peer_expect_same_after_reload(&t, "expansion_search=20");
    assert_float_equal(peer_stat(&t, "deleted_count"), 200, 0);
    peer_insert(&t, 300, 500);
    assert_float_equal(peer_stat(&t, "deleted_count"), 0, 0);
    assert_float_equal(peer_stat(&t, "n_vectors"), 300, 0);
    peer_insert(&t, 500, 900);
    assert_true(peer_recall(&t, "expansion_search=200") > .95);
    peer_remove(&t, 300, 310);
    peer_insert(&t, 300, 310);
    assert_true(peer_recall(&t, "expansion_search=200") > .95);
    peer_end(&t);
}

/* Levels go on being drawn while rows come one by one: a graph of one level would not do. */
static void test_grows(void **state)
{
    (void)state;
    struct peer_test t;
    peer_begin(&t, &usearch_ops, "connectivity=4;expansion_add=20", ELEMENT_F32, METRIC_L2SQ, 8,
               5000);
    peer_insert(&t, 0, 1);
    assert_true(peer_stat(&t, "capacity") >= 1024);
    for (size_t i = 1; i < 300; i++)
        peer_insert(&t, i, i + 1);
    assert_true(peer_stat(&t, "max_level") >= 2);
    peer_insert(&t, 300, 5000);
    assert_true(peer_stat(&t, "capacity") >= 5000);
    assert_true(peer_recall(&t, "expansion_search=200") > .9);

    struct memory_use use;
    assert_ok(usearch_ops.memory(t.index, &use), &t.bench.error);
    assert_int_equal(use.vectors, 5000 * 32);
    assert_true(use.graph >= 5000 * 8 * 4 && use.ids >= 5000 * 16 && use.codes == 0);
    peer_end(&t);
}

static void test_work_is_counted(void **state)
{
    (void)state;
    struct peer_test t;
    uint64_t ids[40];
    float distances[40];
    peer_begin(&t, &usearch_ops, "", ELEMENT_F32, METRIC_L2SQ, 16, 500);
    peer_insert(&t, 0, 500);
    struct work all = peer_search(&t, t.f32, 1, 10, "expansion_search=1000", NULL, ids, distances);
    assert_true(all.distances >= 499 && all.distances < 620);
    assert_float_equal(all.bytes_read, all.distances * 64, 0);
    struct work few = peer_search(&t, t.f32, 1, 10, "expansion_search=10", NULL, ids, distances);
    assert_true(few.distances > 20 && few.distances < 400);
    struct work four = peer_search(&t, t.f32, 4, 10, "expansion_search=1000", NULL, ids, distances);
    assert_true(four.distances > 3.9 * 499 && four.distances < 4 * 620);
    peer_end(&t);
}

/* Two threads insert other graphs than one, but as good; they answer queries as one does, and count
 * as one does. */
static void test_threads(void **state)
{
    (void)state;
    const char *params[] = { "", "scalar=u8" };
    for (size_t p = 0; p < 2; p++) {
        struct peer_test t;
        uint64_t ids[2][400];
        float distances[2][400];
        struct work work[2];
        peer_begin(&t, &usearch_ops, "", ELEMENT_F32, METRIC_L2SQ, 16, 900);
        usearch_ops.destroy(t.index);
        pool_destroy(t.bench.pool);
        t.bench.pool = t.bench.env.pool = pool_create(3);
        t.index = peer_create(&t, params[p]);
        for (size_t i = 0; p == 1 && i < 900 * 16; i++)
            t.f32[i] = (float)rng_below(&t.rng, 256);
        peer_insert(&t, 0, 900);
        /* usearch's threads overwrite each other's links now and then: mostly above .97, once below. */
        const double recall = peer_recall(&t, "expansion_search=300");
        if (recall <= .9)
            fail_msg("%s: recall %g", params[p], recall);
        const int64_t expansion = 30;
        for (size_t i = 0; i < 2; i++) {
            struct search_request request = {
                .queries = peer_rows(&t, 0, 40), .k = 10, .knobs = &expansion, .threads = 1 + 2 * i
            };
            struct search_result result = { .ids = ids[i], .distances = distances[i] };
            assert_ok(usearch_ops.search(t.index, &request, &result), &t.bench.error);
            work[i] = result.work;
        }
        assert_memory_equal(ids[0], ids[1], sizeof ids[0]);
        assert_float_equal(work[0].distances, work[1].distances, 0);
        peer_end(&t);
    }
}

static void test_files(void **state)
{
    (void)state;
    peer_try_files(&usearch_ops, "", "expansion_search=20");
    peer_try_files(&usearch_ops, "scalar=bf16;connectivity=5", "expansion_search=20");
}

/* Nothing stored, everything removed: both are saved, loaded, and go on. */
static void test_empty(void **state)
{
    (void)state;
    struct peer_test t;
    uint64_t ids[3] = { 0 };
    float distances[3] = { 0 };
    peer_begin(&t, &usearch_ops, "", ELEMENT_F32, METRIC_COS, 4, 40);
    peer_search(&t, t.f32, 1, 3, "", NULL, ids, distances);
    assert_true(ids[0] == ID_NONE && isinf(distances[0]));
    peer_expect_same_after_reload(&t, "");
    peer_insert(&t, 0, 2);
    peer_search(&t, t.f32, 1, 3, "", NULL, ids, distances);
    assert_true(ids[1] != ID_NONE && ids[2] == ID_NONE && isinf(distances[2]));
    peer_remove(&t, 0, 2);
    peer_search(&t, t.f32, 1, 3, "", NULL, ids, distances);
    assert_true(ids[0] == ID_NONE);
    peer_expect_same_after_reload(&t, "");
    peer_insert(&t, 0, 40);
    peer_expect_exact(&t, "expansion_search=100", NULL);
    peer_end(&t);
}

static void test_no_memory(void **state)
{
    (void)state;
    peer_try_no_memory(&usearch_ops);
}

static void test_churn(void **state)
{
    (void)state;
    peer_churn(&usearch_ops, "", "expansion_search=200", .9);
    peer_churn(&usearch_ops, "scalar=bf16;metric_impl=usearch", "expansion_search=200", .85);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_finds_neighbours),
        cmocka_unit_test(test_exhaustive_is_exact),
        cmocka_unit_test(test_ids_have_64_bits),
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
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_churn),
    };
    return test_run("usearch", tests);
}
#endif
