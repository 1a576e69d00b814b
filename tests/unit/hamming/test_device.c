/* test_device.c - hamming-scan and hftrie with device = cuda, on the emulated device, beside the same
 * method on the processor: the same answers after any history; and a device that fails. */
#include "algorithms/hftrie/hftrie.h"
#include "src/core/device/cuda.h"
#include "tests/support/device.h"
#include "tests/support/testing.h"

enum { MOST = 5000, QUERIES = 430, K = 10 };

extern const struct index_ops hamming_scan_ops;

static const struct index_ops *const methods[] = { &hamming_scan_ops, &hftrie_ops };

struct pair {
    struct test_bench bench;
    const struct index_ops *ops;
    struct index *here, *there; /* without and with the device */
    _Alignas(64) char params[256], knobs[256];
    struct rng rng;
    uint64_t next, live[MOST], queries[QUERIES];
    size_t n, compared;
};

static uint64_t draw(struct pair *p)
{
    uint64_t code = rng_u64(&p->rng) & 0x00ff00ff0f0f0f0f; /* crowded, with copies */
    return rng_below(&p->rng, 5) ? code : code & 0xff;
}

static void begin(struct pair *p, size_t method)
{
    const struct param_value cuda = { .kind = VALUE_TEXT, .text = "cuda" };
    *p = (struct pair){ .rng = rng_at(test_seed(), method) };
    test_bench_begin(&p->bench, INDEX_B64, INDEX_HAMMING, 64, 2);
    p->ops = methods[method];
    assert_true(p->ops->params_bytes <= sizeof p->params && p->ops->knobs_bytes <= sizeof p->knobs);
    param_defaults(p->ops->params, p->params);
    param_defaults(p->ops->knobs, p->knobs);
    assert_ok(p->ops->create(&p->here, &p->bench.env, p->params), &p->bench.error);
    assert_ok(param_set(p->ops->params, p->params, "device", cuda, "test", &p->bench.error),
              &p->bench.error);
    assert_ok(p->ops->create(&p->there, &p->bench.env, p->params), &p->bench.error);
}

static void end(struct pair *p)
{
    p->ops->destroy(p->here);
    p->ops->destroy(p->there);
    assert_int_equal(mem_live(&p->bench.mem), 0);
    test_bench_end(&p->bench);
}

static void insert(struct pair *p, size_t n)
{
    static uint64_t codes[MOST];
    size_t done;
    for (size_t i = 0; i < n; i++) {
        codes[i] = draw(p);
        p->live[p->n + i] = p->next++;
    }
    const struct vectors v = { codes, n, 64, INDEX_B64 };
    assert_ok(p->ops->insert(p->here, v, p->live + p->n, &done), &p->bench.error);
    assert_ok(p->ops->insert(p->there, v, p->live + p->n, &done), &p->bench.error);
    p->n += n;
}

static void remove_random(struct pair *p, size_t n)
{
    size_t done;
    for (; n > 0; n--) {
        const size_t at = rng_below(&p->rng, p->n);
        assert_ok(p->ops->remove(p->here, &p->live[at], 1, &done), &p->bench.error);
        assert_ok(p->ops->remove(p->there, &p->live[at], 1, &done), &p->bench.error);
        p->live[at] = p->live[--p->n];
    }
    assert_ok(p->ops->check(p->there, NULL), &p->bench.error);
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

static int ask_range(struct pair *p, struct index *index, float radius, struct sums *sums)
{
    const struct range_request request = {
        { p->queries, QUERIES, 64, INDEX_B64 }, radius, p->knobs, NULL, 2
    };
    struct range_result result = { .found = add, .to = sums };
    return p->ops->range(index, &request, &result);
}

static int ask(struct pair *p, struct index *index, uint64_t *ids, float *distances)
{
    const struct search_request request = {
        { p->queries, QUERIES, 64, INDEX_B64 }, K, p->knobs, NULL, 2
    };
    struct search_result result = { .ids = ids, .distances = distances };
    return p->ops->search(index, &request, &result);
}

/* widest: the greatest radius. */
static void compare(struct pair *p, float widest)
{
    static uint64_t ids[2][QUERIES * K];
    static float distances[2][QUERIES * K], radii[3] = { 0, 5 };
    radii[2] = widest;
    for (size_t i = 0; i < QUERIES; i++)
        p->queries[i] = draw(p);
    assert_ok(ask(p, p->here, ids[0], distances[0]), &p->bench.error);
    assert_ok(ask(p, p->there, ids[1], distances[1]), &p->bench.error);
    assert_memory_equal(ids[0], ids[1], sizeof ids[0]);
    assert_memory_equal(distances[0], distances[1], sizeof distances[0]);
    const size_t compared = p->compared++;
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
    (void)state;
    struct emulated_device *device = test_emulate_device();
    for (size_t method = 0; method < sizeof methods / sizeof *methods; method++) {
        static struct pair p;
        begin(&p, method);
        compare(&p, 7); /* of nothing */
        insert(&p, 3);
        compare(&p, 7); /* too few for the device */
        insert(&p, 2500);
        const size_t grids = device->grids;
        compare(&p, test_scale() > 1 ? 7 : 64);
        assert_true(device->grids > grids);
        for (size_t round = 0; round < 3 / test_scale(); round++) {
            remove_random(&p, 30);
            insert(&p, round * 20);
            compare(&p, 7);
        }
        remove_random(&p, 300); /* more than are noted one by one */
        insert(&p, 320);
        compare(&p, 7);
        assert_true(test_stat(p.there, "device_in_bytes") > 0);
        assert_true(test_stat(p.there, "device_bytes") > 0);
        remove_random(&p, p.n); /* the store starts anew */
        insert(&p, 2500);
        compare(&p, 7);
        end(&p);
        assert_int_equal(device->used_bytes, 0);
    }
}

static void test_saved(void **state)
{
    (void)state;
    (void)test_emulate_device();
    for (size_t method = 0; method < sizeof methods / sizeof *methods; method++) {
        static struct pair p;
        char dir[PATH_MAX];
        begin(&p, method);
        test_dir_make(dir);
        insert(&p, 2500);
        assert_ok(p.ops->save(p.there, dir), &p.bench.error);
        p.ops->destroy(p.there);
        assert_ok(p.ops->load(&p.there, &p.bench.env, dir), &p.bench.error);
        compare(&p, 7);
        assert_true(test_stat(p.there, "device_in_bytes") > 0);
        end(&p);
        test_dir_remove(dir);
    }
}

/* A failed request is an error with the device's sentence, and the next one is right. */
static void test_failures(void **state)
{
    (void)state;
    struct emulated_device *device = test_emulate_device();
    static uint64_t ids[QUERIES * K];
    static float distances[QUERIES * K];
    for (size_t method = 0; method < sizeof methods / sizeof *methods; method++) {
        static struct pair p;
        size_t failed = 0;
        begin(&p, method);
        insert(&p, 2500);
        for (size_t at = 1;; at += 1 + rng_below(&p.rng, at / 3 + test_scale())) {
            struct sums sums = { 0 };
            remove_random(&p, 1);
            device->calls = 0;
            device->failure = at % 2 ? 2 : 700;
            device->fail_at = at;
            int rc = ask_range(&p, p.there, 6, &sums);
            if (rc == OK)
                rc = ask(&p, p.there, ids, distances);
            device->calls = device->fail_at = 0;
            if (rc == OK)
                break;
            failed++;
            assert_int_equal(rc, at % 2 ? ERR_NO_MEMORY : ERR_BASELINE);
            assert_non_null(
                strstr(p.bench.error.text, at % 2 ? "out of memory" : "illegal memory access"));
            error_clear(&p.bench.error);
            assert_ok(p.ops->check(p.there, NULL), &p.bench.error);
        }
        assert_true(failed > 5);
        compare(&p, 7);
        end(&p);
    }
}

static void test_the_tries_have_no_device(void **state)
{
    (void)state;
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
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_histories),
        cmocka_unit_test(test_saved),
        cmocka_unit_test(test_failures),
        cmocka_unit_test(test_the_tries_have_no_device),
    };
    return test_run("hamming_device", tests);
}
