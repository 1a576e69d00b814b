/* test_device.c - hamming-scan and hftrie with device = cuda, on the emulated device, beside the same
 * method on the processor: the same answers after any history; and a device that fails. */
#include "algorithms/hftrie/hftrie.h"
#include "src/core/device/cuda.h"
#include "tests/support/device_pair.h"

enum { QUERIES = 430, K = 10 };

extern const struct index_ops hamming_scan_ops;

static const struct index_ops *const methods[] = { &hamming_scan_ops, &hftrie_ops };

/* Crowded, with copies. */
static void draw(struct device_pair *p, void *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const uint64_t code = rng_u64(&p->rng) & 0x00ff00ff0f0f0f0f;
        ((uint64_t *)rows)[i] = rng_below(&p->rng, 5) ? code : code & 0xff;
    }
}

static void begin(struct device_pair *p, size_t method)
{
    const struct index_space space = { INDEX_B64, INDEX_HAMMING };
    pair_begin(p, methods[method], space, 64, "", QUERIES, draw, method);
}

struct sums {
    uint64_t answers, sum; /* sum of a hash of each answer: independent of their order */
};

static int add(void *to, size_t query, uint64_t id, float distance)
{
    struct sums *s = to;
    struct rng r = rng_at(query, id);
    s->answers++;
    s->sum += rng_u64(&r) * (uint64_t)(distance + 1);
    return OK;
}

static int ask_range(struct device_pair *p, struct index *index, float radius, struct sums *sums)
{
    const struct range_request request = { pair_rows(p, p->queries, QUERIES), radius, p->knobs,
                                           NULL, 2 };
    struct range_result result = { .found = add, .to = sums };
    return p->ops->range(index, &request, &result);
}

/* widest: the greatest radius. */
static void compare(struct device_pair *p, float widest)
{
    const float radii[] = { 0, 5, widest };
    const size_t compared = p->compared++;
    pair_draw_queries(p);
    pair_compare(p, K, 0);
    for (size_t i = 0; i < sizeof radii / sizeof *radii; i += test_scale()) {
        if (compared > 2 && compared % 3 != i && !test_is_long() && test_scale() == 1)
            continue; /* after each change one of them */
        struct sums here = { 0 }, there = { 0 };
        assert_ok(ask_range(p, p->here, radii[i], &here), &p->bench.error);
        assert_ok(ask_range(p, p->there, radii[i], &there), &p->bench.error);
        assert_int_equal(here.answers, there.answers);
        assert_true(here.sum == there.sum);
    }
}

static void test_histories(void **state)
{
    struct emulated_device *device = test_emulate_device();
    for (size_t method = 0; method < sizeof methods / sizeof *methods; method++) {
        static struct device_pair p;
        begin(&p, method);
        compare(&p, 7); /* of nothing */
        pair_insert(&p, 3, PAIR_ROWS);
        compare(&p, 7); /* too few for the device */
        pair_insert(&p, 2500, PAIR_ROWS);
        const size_t grids = device->grids;
        compare(&p, test_scale() > 1 ? 7 : 64);
        assert_true(device->grids > grids);
        for (size_t round = 0; round < 3 / test_scale(); round++) {
            pair_remove(&p, 30);
            pair_insert(&p, round * 20, PAIR_ROWS);
            compare(&p, 7);
        }
        pair_remove(&p, 300); /* more than are noted one by one */
        pair_insert(&p, 320, PAIR_ROWS);
        compare(&p, 7);
        assert_true(test_stat(p.there, "device_in_bytes") > 0);
        assert_true(test_stat(p.there, "device_bytes") > 0);
        pair_remove(&p, p.n); /* the store starts anew */
        pair_insert(&p, 2500, PAIR_ROWS);
        compare(&p, 7);
        pair_end(&p);
        assert_int_equal(device->used_bytes, 0);
    }
}

static void test_saved(void **state)
{
    (void)test_emulate_device();
    for (size_t method = 0; method < sizeof methods / sizeof *methods; method++) {
        static struct device_pair p;
        begin(&p, method);
        pair_insert(&p, 2500, PAIR_ROWS);
        pair_reload(&p);
        compare(&p, 7);
        assert_true(test_stat(p.there, "device_in_bytes") > 0);
        pair_end(&p);
    }
}

static void compare_near(struct device_pair *p)
{
    compare(p, 7);
}

static int ask_both(struct device_pair *p)
{
    static uint64_t ids[QUERIES * K];
    static float distances[QUERIES * K];
    struct sums sums = { 0 };
    const int rc = ask_range(p, p->there, 6, &sums);
    return rc == OK ? pair_ask(p, p->there, K, ids, distances) : rc;
}

static void test_failures(void **state)
{
    struct emulated_device *device = test_emulate_device();
    for (size_t method = 0; method < sizeof methods / sizeof *methods; method++) {
        static struct device_pair p;
        begin(&p, method);
        pair_insert(&p, 2500, PAIR_ROWS);
        pair_draw_queries(&p);
        assert_true(pair_fail(&p, device, ask_both, compare_near, test_scale(), true, true) >
                    5 / test_scale());
        compare(&p, 7);
        pair_end(&p);
    }
}

static void test_the_tries_have_no_device(void **state)
{
    (void)test_emulate_device();
    struct test_bench bench;
    struct index *index = NULL;
    struct hftrie_params params;
    test_bench_begin(&bench, INDEX_B64, INDEX_HAMMING, 64, 1);
    param_defaults(hftrie_ops.params, &params);
    params.mode = HFTRIE_FAST;
    params.device = CUDA_CUDA;
    assert_int_equal(hftrie_ops.create(&index, &bench.env, &params), ERR_CONFIG);
    assert_non_null(strstr(bench.error.text, "mode = multi"));
    error_clear(&bench.error);
    test_bench_end(&bench);
}

int main(void)
{
    return test_run_all("hamming_device", test_histories, test_saved, test_failures,
                        test_the_tries_have_no_device);
}
