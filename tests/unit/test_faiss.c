/* test_faiss.c - the FAISS methods: answers against brute force, and each trap of FAISS 1.7.3 shut.
 */
#include "tests/testing.h"

#ifndef HAVE_FAISS
int main(void)
{
    puts("skipped: built without FAISS");
    return 0;
}
#else

#include "tests/unit/peers.h"

extern const struct index_ops faiss_flat_ops, faiss_ivf_flat_ops, faiss_hnsw_ops, faiss_factory_ops;

#define DIM 24

/* ------------------------------------------------------------------------------ exact answers */

static void exact_in(const struct index_ops *ops, const char *params, const char *knobs,
                     enum metric metric)
{
    struct peer_test t;
    peer_begin(&t, ops, params, ELEMENT_F32, metric, DIM, 1500);
    if (ops->train)
        assert_ok(ops->train(t.index, peer_rows(&t, 0, 1000)), &t.bench.error);
    peer_insert(&t, 0, 1000);
    peer_expect_exact(&t, knobs, NULL);
    peer_remove(&t, 100, 400);
    peer_insert(&t, 1000, 1500);
    peer_expect_exact(&t, knobs, NULL);
    peer_expect_range(&t, knobs, NULL);
    struct id_filter filter = peer_filter(&t, 3);
    peer_expect_exact(&t, knobs, &filter);
    peer_expect_range(&t, knobs, &filter);
    peer_end(&t);
}

static void test_flat_is_exact(void **state)
{
    (void)state;
    for (int m = METRIC_L2SQ; m <= METRIC_COS; m++)
        exact_in(&faiss_flat_ops, "", "", (enum metric)m);
}

static void test_ivf_with_all_lists_is_exact(void **state)
{
    (void)state;
    for (int m = METRIC_L2SQ; m <= METRIC_COS; m++) {
        exact_in(&faiss_ivf_flat_ops, "clusters=20", "nprobe=20", (enum metric)m);
        exact_in(&faiss_ivf_flat_ops, "clusters=20;direct_map=hashtable", "nprobe=99",
                 (enum metric)m);
    }
}

static void test_factory_flats_are_exact(void **state)
{
    (void)state;
    exact_in(&faiss_factory_ops, "", "", METRIC_IP);
    exact_in(&faiss_factory_ops, "factory=IVF20,Flat", "nprobe=20", METRIC_L2SQ);
    exact_in(&faiss_factory_ops, "factory=RR24,IVF10,Flat", "nprobe=10", METRIC_L2SQ);
    exact_in(&faiss_factory_ops, "factory=IDMap2,Flat", "", METRIC_L2SQ);
}

static void test_ids_have_64_bits(void **state)
{
    (void)state;
    const struct index_ops *methods[] = { &faiss_flat_ops, &faiss_ivf_flat_ops };
    for (size_t m = 0; m < 2; m++) {
        const char *knobs = m == 1 ? "nprobe=99" : "";
        struct peer_test t;
        peer_begin(&t, methods[m], "", ELEMENT_F32, METRIC_L2SQ, DIM, 400);
        peer_spread_ids(&t);
        if (methods[m]->train)
            assert_ok(methods[m]->train(t.index, peer_rows(&t, 0, 400)), &t.bench.error);
        peer_insert(&t, 0, 400);
        peer_remove(&t, 20, 90);
        peer_expect_exact(&t, knobs, NULL);
        peer_expect_range(&t, knobs, NULL);
        peer_expect_same_after_reload(&t, knobs);
        peer_end(&t);
    }
}

/* Rows that are equal, and a radius that answers lie on. */
static void test_ties_and_the_radius_are_ours(void **state)
{
    (void)state;
    const struct index_ops *methods[] = { &faiss_flat_ops, &faiss_ivf_flat_ops };
    for (size_t m = 0; m < 2; m++) {
        struct peer_test t;
        peer_begin(&t, methods[m], "", ELEMENT_F32, METRIC_L2SQ, DIM, 64);
        peer_spread_ids(&t); /* half of them are negative to FAISS */
        for (size_t i = 0; i < 64 * DIM; i++)
            t.f32[i] =
                (float)((i / DIM) % 4); /* squared distances 0, 24, 96, 216, sixteen rows each */
        if (methods[m]->train)
            assert_ok(methods[m]->train(t.index, peer_rows(&t, 0, 64)), &t.bench.error);
        peer_insert(&t, 0, 64);
        float distances[20];
        uint64_t ids[20];
        const float query[DIM] = { 0 };
        peer_search(&t, query, 1, 20, m == 1 ? "nprobe=64" : "", NULL, ids, distances);
        for (size_t i = 1; i < 20; i++)
            assert_true(distances[i - 1] < distances[i] ||
                        (!(distances[i - 1] > distances[i]) && ids[i - 1] < ids[i]));
        assert_int_equal(peer_range_count(&t, query, 24, m == 1 ? "nprobe=64" : ""), 32);
        assert_int_equal(peer_range_count(&t, query, 23.99, m == 1 ? "nprobe=64" : ""), 16);
        peer_end(&t);
    }
}

static void test_work_is_counted(void **state)
{
    (void)state;
    struct peer_test t;
    peer_begin(&t, &faiss_flat_ops, "", ELEMENT_F32, METRIC_L2SQ, DIM, 500);
    peer_insert(&t, 0, 500);
    uint64_t ids[30];
    float distances[30];
    struct work w = peer_search(&t, t.f32, 3, 10, "", NULL, ids, distances);
    assert_float_equal(w.distances, 1500, 0);
    assert_float_equal(w.bytes_read, 1500 * DIM * 4, 0);
    assert_float_equal(w.estimates, 0, 0);
    struct id_filter filter = peer_filter(&t, 5);
    w = peer_search(&t, t.f32, 3, 10, "", &filter, ids, distances);
    assert_float_equal(w.distances, 300, 0);
    peer_end(&t);

    peer_begin(&t, &faiss_ivf_flat_ops, "clusters=10", ELEMENT_F32, METRIC_L2SQ, DIM, 500);
    assert_ok(t.index->ops->train(t.index, peer_rows(&t, 0, 500)), &t.bench.error);
    peer_insert(&t, 0, 500);
    w = peer_search(&t, t.f32, 3, 10, "nprobe=10", NULL, ids, distances);
    assert_float_equal(w.distances, 3 * (500 + 10), 0);
    assert_float_equal(w.scanned, 3 * 500, 0);
    w = peer_search(&t, t.f32, 3, 10, "nprobe=1", NULL, ids, distances);
    assert_true(w.distances > 30 && w.distances < 3 * 500);
    peer_end(&t);

    /* a graph that links few rows is walked whole: n distances, give or take the way down */
    peer_begin(&t, &faiss_hnsw_ops, "", ELEMENT_F32, METRIC_L2SQ, DIM, 500);
    peer_insert(&t, 0, 500);
    w = peer_search(&t, t.f32, 1, 10, "ef_search=500", NULL, ids, distances);
    assert_true(w.distances > 490 && w.distances < 600);
    peer_end(&t);

    peer_begin(&t, &faiss_factory_ops, "factory=IVF10,SQ8,RFlat", ELEMENT_F32, METRIC_L2SQ, DIM,
               500);
    assert_ok(t.index->ops->train(t.index, peer_rows(&t, 0, 500)), &t.bench.error);
    peer_insert(&t, 0, 500);
    w = peer_search(&t, t.f32, 1, 10, "nprobe=10;k_factor_rf=4", NULL, ids, distances);
    assert_float_equal(w.estimates, 500, 0);
    assert_float_equal(w.distances, 10 + 40, 0);
    assert_float_equal(w.scanned, 500, 0);
    peer_end(&t);
}

/* -------------------------------------------------------------------------------- training */

static void test_training(void **state)
{
    (void)state;
    const char *params[] = { "clusters=50", "factory=IVF50,Flat" };
    const struct index_ops *methods[] = { &faiss_ivf_flat_ops, &faiss_factory_ops };
    for (size_t m = 0; m < 2; m++) {
        struct peer_test t;
        size_t done = 7;
        peer_begin(&t, methods[m], params[m], ELEMENT_F32, METRIC_L2SQ, DIM, 200);
        struct error *err = &t.bench.error;
        assert_code(methods[m]->insert(t.index, peer_rows(&t, 0, 10), t.ids, &done), ERR_UNTRAINED,
                    err);
        assert_int_equal(done, 0);
        assert_code(methods[m]->train(t.index, peer_rows(&t, 0, 49)), ERR_ARGUMENT, err);
        assert_ok(methods[m]->train(t.index, peer_rows(&t, 0, 50)), err);
        peer_insert(&t, 0, 100);
        assert_code(methods[m]->train(t.index, peer_rows(&t, 0, 100)), ERR_UNSUPPORTED, err);
        peer_end(&t);
    }
}

static double list_spread(uint64_t env_seed, const char *params)
{
    struct peer_test t;
    peer_begin(&t, &faiss_ivf_flat_ops, params, ELEMENT_F32, METRIC_L2SQ, DIM, 600);
    t.index->ops->destroy(t.index);
    t.bench.env.seed = env_seed;
    t.index = peer_create(&t, params);
    assert_ok(t.index->ops->train(t.index, peer_rows(&t, 0, 600)), &t.bench.error);
    peer_insert(&t, 0, 600);
    double imbalance = peer_stat(&t, "imbalance");
    assert_float_equal(peer_stat(&t, "n_clusters"), 16, 0);
    assert_float_equal(peer_stat(&t, "n_vectors"), 600, 0);
    peer_end(&t);
    return imbalance;
}

static void test_seeds(void **state)
{
    (void)state;
    const double own = list_spread(1, "clusters=16");
    assert_true(own >= 1);
    assert_float_equal(own, list_spread(5, "clusters=16;seed=1234"), 0);
    assert_float_equal(list_spread(5, "clusters=16"), list_spread(5, "clusters=16"), 0);
    assert_true(fabs(own - list_spread(2, "clusters=16")) > 0);
}

/* -------------------------------------------------------------------------------- the traps */

static const struct trap {
    const char *factory;
    double recall; /* at least, of a row's own search */
    bool remove, range, filter;
} traps[] = {
    { "Flat", 1, true, true, true },
    { "HNSW16,Flat", .95, false, false, false },
    { "IVF10,Flat", 1, true, true, true },
    { "IVF10_HNSW8,Flat", .9, true, true, true },
    { "IVF10,SQ8", .95, true, true, true },
    { "IVF10,PQ4x4", .0, true, true, true },
    { "PQ4x4", .0, true, false, false },
    { "SQ8", .95, true, false, true },
    { "PQ4x4fs", .0, true, false, false },
    { "IVF10,PQ4x4fs", .0, false, false, false },
    { "IVF10,PQ4x4fs,RFlat", .8, false, false, false },
    { "PCA24,IVF10,Flat", .95, true, true, true },
    { "OPQ4,IVF10,PQ4x4fs,RFlat", .8, false, false, false },
    { "IVF10,PQ4+2", .0, false, false, false },
    { "LSH", .0, true, false, false },
};

static void try_trap(const struct trap *trap)
{
    struct peer_test t;
    char params[128];
    size_t done = 0;
    (void)snprintf(params, sizeof params, "factory=%s", trap->factory);
    peer_begin(&t, &faiss_factory_ops, params, ELEMENT_F32, METRIC_L2SQ, DIM, 900);
    struct error *err = &t.bench.error;
    assert_ok(t.index->ops->train(t.index, peer_rows(&t, 0, 900)), err);
    peer_insert(&t, 0, 900);

    char knobs[64] = "";
    if (strstr(trap->factory, "IVF"))
        strcat(knobs, "nprobe=10;");
    if (strstr(trap->factory, "RFlat"))
        strcat(knobs, "k_factor_rf=20;");
    double recall = peer_recall(&t, knobs);
    if (recall < trap->recall)
        print_error("%s: recall %.3f, expected %.3f\n", trap->factory, recall, trap->recall);
    assert_true(recall >= trap->recall);

    struct id_filter filter = peer_filter(&t, 4);
    uint64_t ids[10];
    float distances[10];
    int rc = peer_try_search(&t, t.f32, 1, 10, knobs, &filter, ids, distances, NULL);
    assert_int_equal(rc, trap->filter ? OK : ERR_UNSUPPORTED);
    for (size_t i = 0; i < 10 && rc == OK; i++)
        assert_true(ids[i] == ID_NONE || id_filter_allows(&filter, ids[i]));
    error_clear(err);
    rc = peer_try_range(&t, t.f32, 30, knobs);
    assert_int_equal(rc, trap->range ? OK : ERR_UNSUPPORTED);
    error_clear(err);

    rc = t.index->ops->remove(t.index, t.ids + 5, 300, &done);
    if (trap->remove) {
        assert_ok(rc, err);
        assert_int_equal(done, 300);
        memset(t.live + 5, 0, 300);
        assert_true(peer_recall(&t, knobs) >= trap->recall - .05);
    } else {
        assert_non_null(strstr(err->text, trap->factory));
        assert_code(rc, ERR_UNSUPPORTED, err);
        assert_int_equal(done, 0);
    }
    assert_ok(t.index->ops->check(t.index, NULL), err);
    peer_expect_same_after_reload(&t, knobs);
    peer_end(&t);
}

static void test_factory_traps(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof traps / sizeof *traps; i++)
        try_trap(&traps[i]);
}

static void test_factory_refuses(void **state)
{
    (void)state;
    struct peer_test t;
    uint64_t ids[10];
    float distances[10];
    peer_begin(&t, &faiss_factory_ops, "factory=HNSW8,Flat;ef_construction=60", ELEMENT_F32,
               METRIC_L2SQ, DIM, 50);
    peer_insert(&t, 0, 50);
    struct error *err = &t.bench.error;
    int rc = peer_try_search(&t, t.f32, 1, 10, "nprobe=4", NULL, ids, distances, NULL);
    assert_non_null(strstr(err->text, "nprobe"));
    assert_code(rc, ERR_ARGUMENT, err);
    assert_ok(peer_try_search(&t, t.f32, 1, 10, "ef_search=40", NULL, ids, distances, NULL), err);

    struct index *none = NULL;
    struct {
        char factory[PARAM_TEXT_BYTES];
        int64_t rest[8];
    } params = { .factory = "IVF12,Nonsense" };
    assert_code(faiss_factory_ops.create(&none, &t.bench.env, &params), ERR_CONFIG, err);
    strcpy(params.factory, "Flat");
    params.rest[1] = 40; /* ef_construction */
    assert_code(faiss_factory_ops.create(&none, &t.bench.env, &params), ERR_ARGUMENT, err);
    assert_null(none);
    peer_end(&t);
}

static void test_hnsw(void **state)
{
    (void)state;
    assert_null(faiss_hnsw_ops.remove);
    assert_null(faiss_hnsw_ops.range);
    for (int m = METRIC_L2SQ; m <= METRIC_COS; m++) {
        struct peer_test t;
        peer_begin(&t, &faiss_hnsw_ops, "M=16", ELEMENT_F32, (enum metric)m, DIM, 1200);
        peer_insert(&t, 0, 800);
        peer_insert(&t, 800, 1200);
        assert_true(peer_recall(&t, "ef_search=100") > .95);
        assert_true(peer_stat(&t, "links") > 1200 * 4);
        struct id_filter filter = peer_filter(&t, 2);
        uint64_t ids[10];
        float distances[10];
        assert_code(peer_try_search(&t, t.f32, 1, 10, "", &filter, ids, distances, NULL),
                    ERR_UNSUPPORTED, &t.bench.error);
        peer_expect_same_after_reload(&t, "ef_search=30");
        peer_end(&t);
    }
}

/* ---------------------------------------------------------------------------------- binary */

static void test_binary(void **state)
{
    (void)state;
    const struct {
        const char *factory, *knobs;
        double recall;
        bool remove, range, train;
    } rows[] = {
        { "", "", 1, true, true, false },
        { "BFlat", "", 1, true, true, false },
        { "BIVF8", "nprobe=8", 1, true, true, true },
        { "BHash6", "nflip=6", 1, false, true, false },
        { "BHash2x8", "nflip=8", 1, false, true, false },
        { "BHNSW16", "ef_search=200", .9, false, false, false },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct peer_test t;
        char params[64];
        size_t done = 0;
        (void)snprintf(params, sizeof params, "factory=%s", rows[i].factory);
        peer_begin(&t, &faiss_factory_ops, params, ELEMENT_B64, METRIC_HAMMING, 64, 800);
        struct error *err = &t.bench.error;
        if (rows[i].train) {
            assert_code(faiss_factory_ops.insert(t.index, peer_rows(&t, 0, 9), t.ids, &done),
                        ERR_UNTRAINED, err);
            assert_ok(faiss_factory_ops.train(t.index, peer_rows(&t, 0, 800)), err);
        }
        peer_insert(&t, 0, 800);
        assert_true(peer_recall(&t, rows[i].knobs) >= rows[i].recall);
        if (rows[i].range)
            peer_expect_range(&t, rows[i].knobs, NULL);
        int rc = faiss_factory_ops.remove(t.index, t.ids, 200, &done);
        assert_int_equal(rc, rows[i].remove ? OK : ERR_UNSUPPORTED);
        error_clear(err);
        if (rows[i].remove) {
            memset(t.live, 0, 200);
            assert_true(peer_recall(&t, rows[i].knobs) >= rows[i].recall);
        }
        assert_ok(faiss_factory_ops.check(t.index, NULL), err);
        peer_expect_same_after_reload(&t, rows[i].knobs);
        peer_end(&t);
    }
}

/* ------------------------------------------------------------------- files, memory, churn */

static void test_saved_files(void **state)
{
    (void)state;
    peer_try_files(&faiss_flat_ops, "", "");
    peer_try_files(&faiss_ivf_flat_ops, "clusters=9;direct_map=hashtable", "nprobe=3");
    peer_try_files(&faiss_hnsw_ops, "", "ef_search=20");
    peer_try_files(&faiss_factory_ops, "factory=IVF9,SQ8", "nprobe=3");
}

static void test_untrained_is_saved_too(void **state)
{
    (void)state;
    struct peer_test t;
    char dir[PATH_MAX];
    struct index *loaded = NULL;
    size_t done;
    test_dir_make(dir);
    peer_begin(&t, &faiss_ivf_flat_ops, "clusters=7", ELEMENT_F32, METRIC_L2SQ, DIM, 100);
    struct error *err = &t.bench.error;
    assert_ok(faiss_ivf_flat_ops.save(t.index, dir), err);
    assert_ok(faiss_ivf_flat_ops.load(&loaded, &t.bench.env, dir), err);
    assert_code(faiss_ivf_flat_ops.insert(loaded, peer_rows(&t, 0, 1), t.ids, &done), ERR_UNTRAINED,
                err);
    assert_ok(faiss_ivf_flat_ops.train(loaded, peer_rows(&t, 0, 100)), err);
    faiss_ivf_flat_ops.destroy(loaded);
    peer_end(&t);
    test_dir_remove(dir);
}

static void test_memory_is_told(void **state)
{
    (void)state;
    const struct index_ops *methods[] = { &faiss_flat_ops, &faiss_ivf_flat_ops, &faiss_hnsw_ops,
                                          &faiss_factory_ops };
    for (size_t m = 0; m < 4; m++) {
        struct peer_test t;
        struct memory_use use;
        peer_begin(&t, methods[m], "", ELEMENT_F32, METRIC_L2SQ, DIM, 1000);
        if (methods[m] == &faiss_ivf_flat_ops)
            assert_ok(methods[m]->train(t.index, peer_rows(&t, 0, 1000)), &t.bench.error);
        peer_insert(&t, 0, 1000);
        assert_ok(methods[m]->memory(t.index, &use), &t.bench.error);
        assert_in_range(use.vectors, 1000 * DIM * 4, 2 * 1000 * DIM * 4 + 300 * 64);
        assert_in_range(use.ids, 8000, 16000 + 300 * 64);
        assert_int_equal(use.graph > 0, methods[m] == &faiss_hnsw_ops);
        assert_int_equal(use.disk, 0);
        peer_end(&t);
    }
}

static void test_no_memory(void **state)
{
    (void)state;
    peer_try_no_memory(&faiss_flat_ops);
    peer_try_no_memory(&faiss_ivf_flat_ops);
    peer_try_no_memory(&faiss_hnsw_ops);
    peer_try_no_memory(&faiss_factory_ops);
}

static void test_churn(void **state)
{
    (void)state;
    peer_churn(&faiss_flat_ops, "", "", 1);
    peer_churn(&faiss_ivf_flat_ops, "clusters=12", "nprobe=12", 1);
    peer_churn(&faiss_ivf_flat_ops, "clusters=12;direct_map=hashtable", "nprobe=12", 1);
    peer_churn(&faiss_factory_ops, "factory=SQ8", "", .9);
}

static void test_empty(void **state)
{
    (void)state;
    const struct index_ops *methods[] = { &faiss_flat_ops, &faiss_ivf_flat_ops, &faiss_hnsw_ops,
                                          &faiss_factory_ops };
    for (size_t m = 0; m < 4; m++) {
        struct peer_test t;
        uint64_t ids[3] = { 0 };
        float distances[3] = { 0 };
        peer_begin(&t, methods[m], "", ELEMENT_F32, METRIC_IP, DIM, 10);
        struct work w = peer_search(&t, t.f32, 1, 3, "", NULL, ids, distances);
        assert_float_equal(w.distances, 0, 0);
        for (size_t i = 0; i < 3; i++)
            assert_true(ids[i] == ID_NONE && isinf(distances[i]));
        if (methods[m]->train)
            assert_ok(methods[m]->train(t.index, peer_rows(&t, 0, 10)), &t.bench.error);
        peer_insert(&t, 0, 2);
        peer_search(&t, t.f32, 1, 3, methods[m] == &faiss_ivf_flat_ops ? "nprobe=99" : "", NULL,
                    ids, distances);
        assert_true(ids[1] != ID_NONE && ids[2] == ID_NONE && isinf(distances[2]));
        peer_end(&t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_flat_is_exact),
        cmocka_unit_test(test_ivf_with_all_lists_is_exact),
        cmocka_unit_test(test_factory_flats_are_exact),
        cmocka_unit_test(test_ids_have_64_bits),
        cmocka_unit_test(test_ties_and_the_radius_are_ours),
        cmocka_unit_test(test_work_is_counted),
        cmocka_unit_test(test_training),
        cmocka_unit_test(test_seeds),
        cmocka_unit_test(test_factory_traps),
        cmocka_unit_test(test_factory_refuses),
        cmocka_unit_test(test_hnsw),
        cmocka_unit_test(test_binary),
        cmocka_unit_test(test_saved_files),
        cmocka_unit_test(test_untrained_is_saved_too),
        cmocka_unit_test(test_memory_is_told),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_churn),
        cmocka_unit_test(test_empty),
    };
    return test_run("faiss", tests);
}
#endif
