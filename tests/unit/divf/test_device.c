/* test_device.c - divf with device = cuda, on the emulated device: insertions that find their lists
 * there, searches beside the same index on the processor, and a device that fails. */
#include "tests/support/device_pair.h"
#include "tests/unit/divf/support.h"

static struct divf_params on_device(void)
{
    struct divf_params params =
        divf_defaults("clusters=12,soft_k=2,split_threshold=2,train_iters=2,device=cuda");
    return params;
}

static void test_insertion(void **state)
{
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
    assert_ok(stored_insert(&w, 500, 500), &w.bench.error);
    assert_true(test_stat(w.index, "splits") > 0);
    assert_ok(stored_insert(&w, 1000, 500), &w.bench.error);
    /* the rows, and the centroids after a split */
    assert_true(test_stat(w.index, "device_in_bytes") - in > 1000 * 5 * sizeof(float));
    stored_check(&w);
    for (size_t i = 0; i < 10; i++)
        world_expect_exact(&w, w.rows + i * 5, 20, NULL);
    stored_close(&w);
    assert_int_equal(device->used_bytes, 0);
}

enum { DIM = 6, QUERIES = 37 };

/* Whole numbers, of which many rows are equal. */
static void draw(struct device_pair *p, void *rows, size_t n)
{
    for (size_t i = 0; i < n * DIM; i++) {
        const uint64_t value = rng_below(&p->rng, 9) * (1 + i % 3);
        if (p->bench.env.element == INDEX_F32)
            ((float *)rows)[i] = (float)value;
        else
            ((uint8_t *)rows)[i] = (uint8_t)value;
    }
}

/* Batches so small that the processor finds their lists, and both indexes have the same. */
static void insert(struct device_pair *p, size_t n)
{
    pair_insert(p, n, 3);
}

static void compare(struct device_pair *p)
{
    static const struct {
        size_t k;
        int64_t nprobe;
    } cases[] = { { 1, 1 }, { 10, 3 }, { 5, 1000 }, { 150, 4 }, { 600, 2 } };
    enum { CASES = sizeof cases / sizeof *cases };
    struct divf_knobs *knobs = (void *)p->knobs;
    pair_draw_queries(p);
    const size_t compared = p->compared++;
    for (size_t i = 1 % test_scale(); i < CASES; i += test_scale()) {
        /* All of nothing and of the first rows, then two after each change. */
        if (compared > 1 && !test_is_long() && test_scale() == 1 && (i + compared) % CASES > 1)
            continue;
        knobs->nprobe = cases[i].nprobe;
        pair_compare(p, cases[i].k, 0);
    }
    assert_ok(divf_ops.check(p->there, NULL), &p->bench.error);
}

/* bits: of RaBitQ codes; 0: none. Their bounds never fail: eps0 is above the root of their dimension. */
static void begin(struct device_pair *p, enum element element, int64_t soft_k, int64_t bits)
{
    const struct index_space space = { element, INDEX_L2SQ };
    char options[160];
    int n = snprintf(options, sizeof options,
                     "clusters=12;split_threshold=2;train_iters=2;soft_k=%" PRId64, soft_k);
    if (bits > 0)
        (void)snprintf(options + n, sizeof options - (size_t)n,
                       ";quantizer=rabitq;eps0=2.9;bits=%" PRId64, bits);
    pair_begin(p, &divf_ops, space, DIM, options, QUERIES, draw, element * 10 + (uint64_t)soft_k);
    pair_train(p, 200);
}

/* The same answers after any history: rows that are inserted, removed and replaced, lists that are
   split and maintained, a codebook that is trained again. */
static void compare_history(enum element element, int64_t soft_k, int64_t bits)
{
    struct emulated_device *device = test_emulate_device();
    static struct device_pair p;
    bool more = true;
    begin(&p, element, soft_k, bits);
    compare(&p); /* of nothing */
    insert(&p, 300);
    const size_t grids = device->grids;
    compare(&p);
    assert_true(device->grids > grids);
    for (size_t round = 0; round < 2 / test_scale(); round++) {
        pair_remove(&p, 60);
        insert(&p, 90); /* in their slots, and more */
        compare(&p);
    }
    assert_ok(divf_ops.maintain(p.here, 0, &more), &p.bench.error);
    assert_ok(divf_ops.maintain(p.there, 0, &more), &p.bench.error);
    compare(&p);
    pair_train(&p, 200);
    compare(&p);
    assert_true(test_stat(p.there, "device_bytes") > 0);
    pair_end(&p);
    assert_int_equal(device->used_bytes, 0);
}

static void test_searches(void **state)
{
    for (int64_t soft_k = 1; soft_k <= 2; soft_k++)
        for (int bytes = test_scale() > 1; bytes < 2; bytes++)
            if (test_is_long() || test_scale() > 1 || bytes + 1 == soft_k)
                compare_history(bytes ? INDEX_U8 : INDEX_F32, soft_k, 0);
}

static void test_searches_by_codes(void **state)
{
    static const int64_t bits[] = { 1, 4, 7 };
    for (size_t i = 0; i < sizeof bits / sizeof *bits; i += test_scale())
        compare_history(i == 1 ? INDEX_U8 : INDEX_F32, i == 2 ? 2 : 1, bits[i]);
}

static int ask(struct device_pair *p)
{
    static uint64_t ids[QUERIES * 5];
    static float distances[QUERIES * 5];
    struct divf_knobs *knobs = (void *)p->knobs;
    knobs->nprobe = 3;
    return pair_ask(p, p->there, 5, ids, distances);
}

static void fail_searches(bool codes)
{
    struct emulated_device *device = test_emulate_device();
    static struct device_pair p;
    begin(&p, INDEX_F32, 2, codes ? 4 : 0);
    insert(&p, 150);
    pair_draw_queries(&p);
    assert_true(pair_fail(&p, device, ask, compare, (codes ? 3 : 1) * test_scale(), false, true) >
                (codes ? 10 : 20) / test_scale());
    compare(&p);
    pair_end(&p);
}

static void test_failed_searches(void **state)
{
    fail_searches(false);
    fail_searches(true);
}

/* A failed batch is an error with the device's sentence; the index is whole, and goes on when the
   device does. */
static void test_failures(void **state)
{
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
        world_open_filled(&w, on_device(), 5, 600, 1, 12, 0.3);
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
    return test_run_all("divf_device", test_insertion, test_failures, test_searches,
                        test_searches_by_codes, test_failed_searches);
}
