/* test_device.c - divf with device = cuda, on the emulated device: insertions that find their lists
 * there, searches beside the same index on the processor, and a device that fails. */
#include "tests/support/device.h"
#include "tests/unit/divf/support.h"

static struct divf_params on_device(void)
{
    struct divf_params params = divf_defaults();
    params.clusters = 12;
    params.soft_k = 2;
    params.split_threshold = 2;
    params.train_iters = 2;
    params.device = CUDA_CUDA;
    return params;
}

static void test_insertion(void **state)
{
    (void)state;
    struct emulated_device *device = test_emulate_device();
    struct stored_rows w;
    world_open(&w, on_device(), 5, 1500, 1);
    test_fill_f32(&w.rng, w.rows, 500, 5, 12, 0.3);
    test_fill_f32(&w.rng, w.rows + 500 * 5, 1000, 5, 1, 0.4);
    assert_ok(divf_ops.train(w.index, stored_vectors(&w, 0, 500)), &w.bench.error);
    const size_t grids = device->grids;
    assert_ok(stored_insert(&w, 0, 500), &w.bench.error);
    assert_true(device->grids > grids);
    const double in = test_stat(w.index, "device_in_bytes");
    assert_true(in >= 500 * 5 * sizeof(float));
    stored_check(&w);
    assert_ok(stored_insert(&w, 500, 1000), &w.bench.error);
    assert_true(test_stat(w.index, "splits") > 0);
    /* the rows, and the centroids after a split */
    assert_true(test_stat(w.index, "device_in_bytes") - in > 1000 * 5 * sizeof(float));
    stored_check(&w);
    for (size_t i = 0; i < 10; i++)
        world_expect_exact(&w, w.rows + i * 5, 20, NULL);
    stored_close(&w);
    assert_int_equal(device->used_bytes, 0);
}

enum { MOST = 700, DIM = 6, QUERIES = 37 };

/* The same index with and without a device. */
struct pair {
    struct test_bench bench;
    struct index *here, *there;
    struct rng rng;
    size_t row_bytes, n, compared;
    uint64_t next, live[MOST];
};

/* Whole numbers, of which many rows are equal. */
static void pair_draw(struct pair *p, void *rows, size_t n)
{
    for (size_t i = 0; i < n * DIM; i++) {
        const uint64_t value = rng_below(&p->rng, 9) * (1 + i % 3);
        if (p->bench.env.element == INDEX_F32)
            ((float *)rows)[i] = (float)value;
        else
            ((uint8_t *)rows)[i] = (uint8_t)value;
    }
}

/* By batches so small that the processor finds their lists, and both indexes have the same. */
static void pair_insert(struct pair *p, size_t n)
{
    _Alignas(64) char rows[3 * DIM * sizeof(float)];
    size_t done;
    for (size_t i = 0; i < n; i += 3) {
        pair_draw(p, rows, 3);
        const struct vectors v = { rows, 3, DIM, p->bench.env.element };
        for (size_t j = 0; j < 3; j++)
            p->live[p->n + j] = p->next++;
        assert_ok(divf_ops.insert(p->here, v, p->live + p->n, &done), &p->bench.error);
        assert_ok(divf_ops.insert(p->there, v, p->live + p->n, &done), &p->bench.error);
        p->n += 3;
    }
}

static void pair_remove(struct pair *p, size_t n)
{
    size_t done;
    for (; n > 0; n--) {
        const size_t at = rng_below(&p->rng, p->n);
        assert_ok(divf_ops.remove(p->here, &p->live[at], 1, &done), &p->bench.error);
        assert_ok(divf_ops.remove(p->there, &p->live[at], 1, &done), &p->bench.error);
        p->live[at] = p->live[--p->n];
    }
}

static int pair_ask(struct pair *p, struct index *index, const void *queries, size_t k,
                    int64_t nprobe, uint64_t *ids, float *distances)
{
    struct divf_knobs knobs;
    param_defaults(divf_ops.knobs, &knobs);
    knobs.nprobe = nprobe;
    const struct search_request request = {
        { queries, QUERIES, DIM, p->bench.env.element }, k, &knobs, NULL, 2
    };
    struct search_result result = { .ids = ids, .distances = distances };
    return divf_ops.search(index, &request, &result);
}

static void pair_compare(struct pair *p)
{
    static const struct {
        size_t k;
        int64_t nprobe;
    } cases[] = { { 1, 1 }, { 10, 3 }, { 5, 1000 }, { 150, 4 }, { 600, 2 } };
    static _Alignas(64) char queries[QUERIES * DIM * sizeof(float)];
    static uint64_t ids[2][QUERIES * 600];
    static float distances[2][QUERIES * 600];
    enum { CASES = sizeof cases / sizeof *cases };
    pair_draw(p, queries, QUERIES);
    const size_t compared = p->compared++;
    for (size_t i = 1 % test_scale(); i < CASES; i += test_scale()) {
        /* All of nothing and of the first rows, then two after each change. */
        if (compared > 1 && !test_is_long() && test_scale() == 1 && (i + compared) % CASES > 1)
            continue;
        const size_t n = QUERIES * cases[i].k;
        assert_ok(pair_ask(p, p->here, queries, cases[i].k, cases[i].nprobe, ids[0], distances[0]),
                  &p->bench.error);
        assert_ok(pair_ask(p, p->there, queries, cases[i].k, cases[i].nprobe, ids[1], distances[1]),
                  &p->bench.error);
        assert_memory_equal(ids[0], ids[1], n * sizeof *ids[0]);
        assert_memory_equal(distances[0], distances[1], n * sizeof *distances[0]);
    }
    assert_ok(divf_ops.check(p->there, NULL), &p->bench.error);
}

/* bits: of RaBitQ codes; 0: none. Their bounds never fail: eps0 is above the root of their dimension. */
static void pair_begin(struct pair *p, enum element element, int64_t soft_k, int64_t bits)
{
    struct divf_params params = on_device();
    params.soft_k = soft_k;
    if (bits > 0) {
        params.quantizer = DIVF_RABITQ;
        params.bits = bits;
        params.eps0 = 2.9;
    }
    *p = (struct pair){ .rng = rng_at(test_seed(), element * 10 + (uint64_t)soft_k) };
    test_bench_begin(&p->bench, element, INDEX_L2SQ, DIM, 2);
    p->row_bytes = index_row_bytes(element, DIM);
    assert_ok(divf_ops.create(&p->there, &p->bench.env, &params), &p->bench.error);
    params.device = CUDA_CPU;
    assert_ok(divf_ops.create(&p->here, &p->bench.env, &params), &p->bench.error);
    static _Alignas(64) char sample[200 * DIM * sizeof(float)];
    pair_draw(p, sample, 200);
    const struct vectors v = { sample, 200, DIM, element };
    assert_ok(divf_ops.train(p->here, v), &p->bench.error);
    assert_ok(divf_ops.train(p->there, v), &p->bench.error);
}

static void pair_end(struct pair *p)
{
    divf_ops.destroy(p->here);
    divf_ops.destroy(p->there);
    assert_int_equal(mem_live(&p->bench.mem), 0);
    test_bench_end(&p->bench);
}

/* The same answers after any history: rows that are inserted, removed and replaced, lists that are
   split and maintained, a codebook that is trained again. */
static void compare_history(enum element element, int64_t soft_k, int64_t bits)
{
    struct emulated_device *device = test_emulate_device();
    static struct pair p;
    static _Alignas(64) char sample[200 * DIM * sizeof(float)];
    const struct vectors v = { sample, 200, DIM, element };
    bool more = true;
    pair_begin(&p, element, soft_k, bits);
    pair_compare(&p); /* of nothing */
    pair_insert(&p, 300);
    const size_t grids = device->grids;
    pair_compare(&p);
    assert_true(device->grids > grids);
    for (size_t round = 0; round < 2 / test_scale(); round++) {
        pair_remove(&p, 60);
        pair_insert(&p, 90); /* in their slots, and more */
        pair_compare(&p);
    }
    assert_ok(divf_ops.maintain(p.here, 0, &more), &p.bench.error);
    assert_ok(divf_ops.maintain(p.there, 0, &more), &p.bench.error);
    pair_compare(&p);
    pair_draw(&p, sample, 200);
    assert_ok(divf_ops.train(p.here, v), &p.bench.error);
    assert_ok(divf_ops.train(p.there, v), &p.bench.error);
    pair_compare(&p);
    assert_true(test_stat(p.there, "device_bytes") > 0);
    pair_end(&p);
    assert_int_equal(device->used_bytes, 0);
}

static void test_searches(void **state)
{
    (void)state;
    for (int64_t soft_k = 1; soft_k <= 2; soft_k++)
        for (int bytes = test_scale() > 1; bytes < 2; bytes++)
            if (test_is_long() || test_scale() > 1 || bytes + 1 == soft_k)
                compare_history(bytes ? INDEX_U8 : INDEX_F32, soft_k, 0);
}

static void test_searches_by_codes(void **state)
{
    (void)state;
    static const int64_t bits[] = { 1, 4, 7 };
    for (size_t i = 0; i < sizeof bits / sizeof *bits; i += test_scale())
        compare_history(i == 1 ? INDEX_U8 : INDEX_F32, i == 2 ? 2 : 1, bits[i]);
}

/* A failed search is an error with the device's sentence, and the next one is right. */
static void fail_searches(bool codes)
{
    struct emulated_device *device = test_emulate_device();
    static struct pair p;
    static _Alignas(64) char queries[QUERIES * DIM * sizeof(float)];
    static uint64_t ids[QUERIES * 5];
    static float distances[QUERIES * 5];
    size_t failed = 0;
    pair_begin(&p, INDEX_F32, 2, codes ? 4 : 0);
    pair_insert(&p, 150);
    pair_draw(&p, queries, QUERIES);
    for (size_t at = 1;; at += (codes ? 3 : 1) * test_scale()) {
        pair_remove(&p, 1);
        device->calls = 0;
        const bool memory = failed % 2 == 0;
        device->failure = memory ? 2 : 700;
        device->fail_at = at;
        const int rc = pair_ask(&p, p.there, queries, 5, 3, ids, distances);
        device->calls = device->fail_at = 0;
        if (rc == OK)
            break;
        failed++;
        assert_int_equal(rc, memory ? ERR_NO_MEMORY : ERR_BASELINE);
        error_clear(&p.bench.error);
        assert_ok(divf_ops.check(p.there, NULL), &p.bench.error);
    }
    assert_true(failed > (codes ? 10 : 20) / test_scale());
    pair_compare(&p);
    pair_end(&p);
}

static void test_failed_searches(void **state)
{
    (void)state;
    fail_searches(false);
    fail_searches(true);
}

/* A failed batch is an error with the device's sentence; the index is whole, and goes on when the
   device does. */
static void test_failures(void **state)
{
    (void)state;
    struct emulated_device *device = test_emulate_device();
    static const struct {
        int failure, code;
        const char *said;
    } cases[] = {
        { 2, ERR_NO_MEMORY, "out of memory" },
        { 214, ERR_BASELINE, "uncorrectable ECC error" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct stored_rows w;
        size_t failed = 0;
        world_open(&w, on_device(), 5, 600, 1);
        test_fill_f32(&w.rng, w.rows, 600, 5, 12, 0.3);
        assert_ok(divf_ops.train(w.index, stored_vectors(&w, 0, 300)), &w.bench.error);
        for (size_t at = 1;; at++) {
            device->calls = 0;
            device->failure = cases[i].failure;
            device->fail_at = at;
            const size_t n = w.n;
            const int rc = stored_insert(&w, n, 20);
            device->calls = device->fail_at = 0;
            stored_check(&w);
            if (rc == OK)
                break;
            failed++;
            assert_int_equal(rc, cases[i].code);
            assert_non_null(strstr(w.bench.error.text, cases[i].said));
            error_clear(&w.bench.error);
            assert_int_equal(w.n, n);
        }
        assert_true(failed > 3);
        stored_close(&w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_insertion),       cmocka_unit_test(test_failures),
        cmocka_unit_test(test_searches),        cmocka_unit_test(test_searches_by_codes),
        cmocka_unit_test(test_failed_searches),
    };
    return test_run("divf_device", tests);
}
