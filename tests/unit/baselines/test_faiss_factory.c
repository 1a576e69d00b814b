/* test_faiss_factory.c - faiss-factory: each kind of index, and refusal of indexes that crash FAISS
 * 1.7.3. test_faiss_binary.c covers 64-bit codes. */
#include "tests/support/testing.h"

#ifndef HAVE_FAISS
int main(void)
{
    puts("skipped: built without FAISS");
    return 0;
}
#else

#include "tests/support/baseline_checks.h"

extern const struct index_ops faiss_factory_ops;

#define DIM 24

static const struct trap {
    const char *factory;
    double recall; /* lower limit, of searches for stored rows */
    bool remove, range, filter;
} traps[] = {
    { "Flat", 1, true, true, true },
    { "HNSW16,Flat", .95, false, false, false },
    { "IVF10,Flat", 1, true, true, true },
    { "IDMap2,Flat", 1, true, true, true },
    { "RR24,IVF10,Flat", 1, true, true, true },
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
    struct baseline_test t;
    char params[128];
    size_t done = 0;
    (void)snprintf(params, sizeof params, "factory=%s", trap->factory);
    baseline_begin(&t, &faiss_factory_ops, params, INDEX_F32, INDEX_L2SQ, DIM, 900);
    struct error *err = &t.bench.error;
    assert_ok(t.index->ops->train(t.index, baseline_rows(&t, 0, 900)), err);
    baseline_insert(&t, 0, 900);

    char knobs[64] = "";
    if (strstr(trap->factory, "IVF"))
        strcat(knobs, "nprobe=10;");
    if (strstr(trap->factory, "RFlat"))
        strcat(knobs, "k_factor_rf=20;");
    double recall = baseline_recall(&t, knobs);
    if (recall < trap->recall)
        print_error("%s: recall %.3f, expected %.3f\n", trap->factory, recall, trap->recall);
    assert_true(recall >= trap->recall);

    struct id_filter filter = baseline_filter(&t, 4);
    uint64_t ids[10];
    float distances[10];
    int rc = baseline_try_search(&t, t.f32, 1, 10, knobs, &filter, ids, distances, NULL);
    assert_int_equal(rc, trap->filter ? OK : ERR_UNSUPPORTED);
    for (size_t i = 0; i < 10 && rc == OK; i++)
        assert_true(ids[i] == INDEX_NO_ID || index_filter_allows(&filter, ids[i]));
    error_clear(err);
    rc = baseline_try_range(&t, t.f32, 30, knobs);
    assert_int_equal(rc, trap->range ? OK : ERR_UNSUPPORTED);
    error_clear(err);
    if (trap->recall == 1) {
        baseline_expect_exact(&t, knobs, &filter);
        baseline_expect_range(&t, knobs, &filter);
    }

    rc = t.index->ops->remove(t.index, t.ids + 5, 300, &done);
    if (trap->remove) {
        assert_ok(rc, err);
        assert_int_equal(done, 300);
        memset(t.live + 5, 0, 300);
        assert_true(baseline_recall(&t, knobs) >= trap->recall - .05);
        if (trap->recall == 1)
            baseline_expect_exact(&t, knobs, NULL);
    } else {
        assert_non_null(strstr(err->text, trap->factory));
        assert_code(rc, ERR_UNSUPPORTED, err);
        assert_int_equal(done, 0);
    }
    assert_ok(t.index->ops->check(t.index, NULL), err);
    baseline_expect_same_after_reload(&t, knobs);
    baseline_end(&t);
}

static void test_factory_traps(void **state)
{
    for (size_t i = 0; i < sizeof traps / sizeof *traps; i++)
        try_trap(&traps[i]);
}

static void test_factory_refuses(void **state)
{
    struct baseline_test t;
    uint64_t ids[10];
    float distances[10];
    baseline_begin(&t, &faiss_factory_ops, "factory=HNSW8,Flat;ef_construction=60", INDEX_F32,
                   INDEX_L2SQ, DIM, 50);
    baseline_insert(&t, 0, 50);
    struct error *err = &t.bench.error;
    int rc = baseline_try_search(&t, t.f32, 1, 10, "nprobe=4", NULL, ids, distances, NULL);
    assert_non_null(strstr(err->text, "nprobe"));
    assert_code(rc, ERR_ARGUMENT, err);
    assert_ok(baseline_try_search(&t, t.f32, 1, 10, "ef_search=40", NULL, ids, distances, NULL),
              err);

    struct index *none = NULL;
    struct {
        char factory[PARAM_TEXT_BYTES];
        int64_t rest[8];
    } params = { .factory = "IVF12,Nonsense" };
    assert_code(faiss_factory_ops.create(&none, &t.bench.env, &params), ERR_CONFIG, err);
    strcpy(params.factory, "Flat");
    params.rest[0] = 40; /* ef_construction */
    assert_code(faiss_factory_ops.create(&none, &t.bench.env, &params), ERR_ARGUMENT, err);
    assert_null(none);
    baseline_end(&t);
}

/* ---------------------------------------------------------------------------------- binary */

int main(void)
{
    return test_run_all("faiss_factory", test_factory_traps, test_factory_refuses);
}
#endif
