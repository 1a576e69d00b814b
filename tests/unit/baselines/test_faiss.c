/* test_faiss.c - the FAISS methods: answers against brute force, training, work, memory, files.
 * test_faiss_factory.c covers the indexes that faiss-factory can describe. */
#include "tests/support/testing.h"

#ifndef HAVE_FAISS
int main(void)
{
    puts("skipped: built without FAISS");
    return 0;
}
#else

#include "tests/support/baseline_checks.h"

extern const struct index_ops faiss_flat_ops, faiss_ivf_flat_ops, faiss_hnsw_ops, faiss_factory_ops;

#define DIM 24

/* ------------------------------------------------------------------------------ exact answers */

/* Equal rows, and answers at exactly the radius. */
static void test_ties_and_the_radius_are_ours(void **state)
{
    const struct index_ops *methods[] = { &faiss_flat_ops, &faiss_ivf_flat_ops };
    for (size_t m = 0; m < 2; m++) {
        struct baseline_test t;
        baseline_begin(&t, methods[m], "", INDEX_F32, INDEX_L2SQ, DIM, 64);
        baseline_spread_ids(&t); /* half of them are negative to FAISS */
        for (size_t i = 0; i < 64 * DIM; i++)
            t.f32[i] =
                (float)((i / DIM) % 4); /* squared distances 0, 24, 96, 216; sixteen rows each */
        if (methods[m]->train)
            assert_ok(methods[m]->train(t.index, baseline_rows(&t, 0, 64)), &t.bench.error);
        baseline_insert(&t, 0, 64);
        float distances[20];
        uint64_t ids[20];
        const float query[DIM] = { 0 };
        baseline_search(&t, query, 1, 20, m == 1 ? "nprobe=64" : "", NULL, ids, distances);
        for (size_t i = 1; i < 20; i++)
            assert_true(distances[i - 1] < distances[i] ||
                        (!(distances[i - 1] > distances[i]) && ids[i - 1] < ids[i]));
        assert_int_equal(baseline_range_count(&t, query, 24, m == 1 ? "nprobe=64" : ""), 32);
        assert_int_equal(baseline_range_count(&t, query, 23.99, m == 1 ? "nprobe=64" : ""), 16);
        baseline_end(&t);
    }
}

static void test_work_is_counted(void **state)
{
    struct baseline_test t;
    baseline_begin(&t, &faiss_flat_ops, "", INDEX_F32, INDEX_L2SQ, DIM, 500);
    baseline_insert(&t, 0, 500);
    uint64_t ids[30];
    float distances[30];
    struct work w = baseline_search(&t, t.f32, 3, 10, "", NULL, ids, distances);
    assert_float_equal(w.distances, 1500, 0);
    assert_float_equal(w.bytes_read, 1500 * DIM * 4, 0);
    assert_float_equal(w.estimates, 0, 0);
    struct id_filter filter = baseline_filter(&t, 5);
    w = baseline_search(&t, t.f32, 3, 10, "", &filter, ids, distances);
    assert_float_equal(w.distances, 300, 0);
    baseline_end(&t);

    baseline_begin(&t, &faiss_ivf_flat_ops, "clusters=10", INDEX_F32, INDEX_L2SQ, DIM, 500);
    assert_ok(t.index->ops->train(t.index, baseline_rows(&t, 0, 500)), &t.bench.error);
    baseline_insert(&t, 0, 500);
    w = baseline_search(&t, t.f32, 3, 10, "nprobe=10", NULL, ids, distances);
    assert_float_equal(w.distances, 3 * (500 + 10), 0);
    assert_float_equal(w.scanned, 3 * 500, 0);
    w = baseline_search(&t, t.f32, 3, 10, "nprobe=1", NULL, ids, distances);
    assert_true(w.distances > 30 && w.distances < 3 * 500);
    baseline_end(&t);

    /* A graph with few rows is visited whole: about n distances, plus those of the upper layers. */
    baseline_begin(&t, &faiss_hnsw_ops, "", INDEX_F32, INDEX_L2SQ, DIM, 500);
    baseline_insert(&t, 0, 500);
    w = baseline_search(&t, t.f32, 1, 10, "ef_search=500", NULL, ids, distances);
    assert_true(w.distances > 490 && w.distances < 600);
    baseline_end(&t);

    baseline_begin(&t, &faiss_factory_ops, "factory=IVF10,SQ8,RFlat", INDEX_F32, INDEX_L2SQ, DIM,
                   500);
    assert_ok(t.index->ops->train(t.index, baseline_rows(&t, 0, 500)), &t.bench.error);
    baseline_insert(&t, 0, 500);
    w = baseline_search(&t, t.f32, 1, 10, "nprobe=10;k_factor_rf=4", NULL, ids, distances);
    assert_float_equal(w.estimates, 500, 0);
    assert_float_equal(w.distances, 10 + 40, 0);
    assert_float_equal(w.scanned, 500, 0);
    baseline_end(&t);
}

/* -------------------------------------------------------------------------------- training */

static void test_training(void **state)
{
    const char *params[] = { "clusters=50", "factory=IVF50,Flat" };
    const struct index_ops *methods[] = { &faiss_ivf_flat_ops, &faiss_factory_ops };
    for (size_t m = 0; m < 2; m++) {
        struct baseline_test t;
        size_t done = 7;
        baseline_begin(&t, methods[m], params[m], INDEX_F32, INDEX_L2SQ, DIM, 200);
        struct error *err = &t.bench.error;
        assert_code(methods[m]->insert(t.index, baseline_rows(&t, 0, 10), t.ids, &done),
                    ERR_UNTRAINED, err);
        assert_int_equal(done, 0);
        assert_code(methods[m]->train(t.index, baseline_rows(&t, 0, 49)), ERR_ARGUMENT, err);
        assert_ok(methods[m]->train(t.index, baseline_rows(&t, 0, 50)), err);
        baseline_insert(&t, 0, 100);
        assert_code(methods[m]->train(t.index, baseline_rows(&t, 0, 100)), ERR_UNSUPPORTED, err);
        baseline_end(&t);
    }
}

static double list_spread(uint64_t env_seed, const char *params)
{
    struct baseline_test t;
    baseline_begin(&t, &faiss_ivf_flat_ops, params, INDEX_F32, INDEX_L2SQ, DIM, 600);
    t.index->ops->destroy(t.index);
    t.bench.env.seed = env_seed;
    t.index = baseline_create(&t, params);
    assert_ok(t.index->ops->train(t.index, baseline_rows(&t, 0, 600)), &t.bench.error);
    baseline_insert(&t, 0, 600);
    double imbalance = baseline_stat(&t, "imbalance");
    assert_float_equal(baseline_stat(&t, "n_clusters"), 16, 0);
    assert_float_equal(baseline_stat(&t, "n_vectors"), 600, 0);
    baseline_end(&t);
    return imbalance;
}

static void test_seeds(void **state)
{
    const double own = list_spread(1, "clusters=16");
    assert_true(own >= 1);
    assert_float_equal(list_spread(5, "clusters=16"), list_spread(5, "clusters=16"), 0);
    assert_true(fabs(own - list_spread(2, "clusters=16")) > 0);
}

/* ------------------------------------------------------------------------------------ HNSW */

static void test_hnsw(void **state)
{
    assert_null(faiss_hnsw_ops.remove);
    assert_null(faiss_hnsw_ops.range);
    for (int m = INDEX_L2SQ; m <= INDEX_COS; m++) {
        struct baseline_test t;
        baseline_begin(&t, &faiss_hnsw_ops, "M=16", INDEX_F32, (enum metric)m, DIM, 1200);
        baseline_insert(&t, 0, 800);
        baseline_insert(&t, 800, 1200);
        assert_true(baseline_recall(&t, "ef_search=100") > .95);
        assert_true(baseline_stat(&t, "links") > 1200 * 4);
        struct id_filter filter = baseline_filter(&t, 2);
        uint64_t ids[10];
        float distances[10];
        assert_code(baseline_try_search(&t, t.f32, 1, 10, "", &filter, ids, distances, NULL),
                    ERR_UNSUPPORTED, &t.bench.error);
        baseline_expect_same_after_reload(&t, "ef_search=30");
        baseline_end(&t);
    }
}

/* -------------------------------------------------------------------------- files, memory */

static void test_untrained_is_saved_too(void **state)
{
    struct baseline_test t;
    char dir[PATH_MAX];
    struct index *loaded = NULL;
    size_t done;
    test_dir_make(dir);
    baseline_begin(&t, &faiss_ivf_flat_ops, "clusters=7", INDEX_F32, INDEX_L2SQ, DIM, 100);
    struct error *err = &t.bench.error;
    assert_ok(faiss_ivf_flat_ops.save(t.index, dir), err);
    assert_ok(faiss_ivf_flat_ops.load(&loaded, &t.bench.env, dir), err);
    assert_code(faiss_ivf_flat_ops.insert(loaded, baseline_rows(&t, 0, 1), t.ids, &done),
                ERR_UNTRAINED, err);
    assert_ok(faiss_ivf_flat_ops.train(loaded, baseline_rows(&t, 0, 100)), err);
    faiss_ivf_flat_ops.destroy(loaded);
    baseline_end(&t);
    test_dir_remove(dir);
}

static void test_memory_is_told(void **state)
{
    const struct index_ops *methods[] = { &faiss_flat_ops, &faiss_ivf_flat_ops, &faiss_hnsw_ops,
                                          &faiss_factory_ops };
    for (size_t m = 0; m < 4; m++) {
        struct baseline_test t;
        struct memory_use use;
        baseline_begin(&t, methods[m], "", INDEX_F32, INDEX_L2SQ, DIM, 1000);
        if (methods[m] == &faiss_ivf_flat_ops)
            assert_ok(methods[m]->train(t.index, baseline_rows(&t, 0, 1000)), &t.bench.error);
        baseline_insert(&t, 0, 1000);
        assert_ok(methods[m]->memory(t.index, &use), &t.bench.error);
        assert_in_range(use.vectors, 1000 * DIM * 4, 2 * 1000 * DIM * 4 + 300 * 64);
        assert_in_range(use.ids, 8000, 16000 + 300 * 64);
        assert_int_equal(use.graph > 0, methods[m] == &faiss_hnsw_ops);
        assert_int_equal(use.disk, 0);
        baseline_end(&t);
    }
}

static void test_no_memory(void **state)
{
    baseline_try_no_memory(&faiss_flat_ops);
    baseline_try_no_memory(&faiss_ivf_flat_ops);
    baseline_try_no_memory(&faiss_hnsw_ops);
    baseline_try_no_memory(&faiss_factory_ops);
}

int main(void)
{
    return test_run_all("faiss", test_ties_and_the_radius_are_ours, test_work_is_counted,
                        test_training, test_seeds, test_hnsw, test_untrained_is_saved_too,
                        test_memory_is_told, test_no_memory);
}
#endif
