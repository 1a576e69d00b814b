/* test_device.c - certified searches with device = cuda, on the emulated device: the answers of an
 * index with device = cpu and the same history, in every bit; and a device that fails. */
#include "tests/support/device.h"
#include "tests/unit/asteria/support.h"

enum { DIM = 24, ROWS = 1100, QUERIES = 66, K = 12 };

/* Two indexes of the same rows. */
struct pair {
    struct asteria_world here, there;
    size_t compared;
};

static void pair_open(struct pair *p, const char *settings, enum element element)
{
    char with[256];
    p->compared = 0;
    (void)snprintf(with, sizeof with, "%s,device=cuda", settings);
    asteria_world_open(&p->here, settings, element, DIM, ROWS + QUERIES, 2);
    asteria_world_open(&p->there, with, element, DIM, ROWS + QUERIES, 2);
}

static void pair_close(struct pair *p)
{
    asteria_world_close(&p->here);
    asteria_world_close(&p->there);
}

static void pair_insert(struct pair *p, size_t first, size_t n)
{
    asteria_world_insert(&p->here, first, n);
    asteria_world_insert(&p->there, first, n);
}

static void pair_remove(struct pair *p, size_t first, size_t n, size_t each)
{
    asteria_world_remove(&p->here, first, n, each);
    asteria_world_remove(&p->there, first, n, each);
}

static int ask(struct asteria_world *w, size_t k, uint64_t *ids, float *distances)
{
    struct asteria_knobs knobs;
    param_defaults(asteria_ops.knobs, &knobs);
    knobs.mode = MODE_CERTIFIED;
    const struct search_request request = {
        .queries = rows_from(w, ROWS, QUERIES), .k = k, .threads = 2, .knobs = &knobs
    };
    struct search_result result = { .ids = ids, .distances = distances };
    return asteria_ops.search(w->index, &request, &result);
}

/* Returns how many kernels ran. */
static size_t pair_compare(struct pair *p, const struct emulated_device *device)
{
    static uint64_t ids[2][QUERIES * K];
    static float distances[2][QUERIES * K];
    const size_t grids = device->grids;
    const size_t compared = p->compared++;
    for (size_t k = 1; k <= K; k += K - 1) {
        if (compared > 2 && (compared % 2 == 0) != (k == 1) && !test_is_long())
            continue; /* after each change one of the two */
        assert_ok(ask(&p->here, k, ids[0], distances[0]), &p->here.bench.error);
        assert_ok(ask(&p->there, k, ids[1], distances[1]), &p->there.bench.error);
        assert_memory_equal(ids[0], ids[1], QUERIES * k * sizeof *ids[0]);
        assert_memory_equal(distances[0], distances[1], QUERIES * k * sizeof *distances[0]);
    }
    asteria_world_check(&p->there);
    return device->grids - grids;
}

static void pair_maintain(struct pair *p, const struct emulated_device *device)
{
    size_t steps = 0;
    for (bool more = true; more; steps++) {
        bool ignored;
        assert_ok(asteria_ops.maintain(p->here.index, 200, &ignored), &p->here.bench.error);
        assert_ok(asteria_ops.maintain(p->there.index, 200, &more), &p->there.bench.error);
        if (steps % 64 == 1)
            (void)pair_compare(p, device);
    }
}

static const char *const settings[] = {
    "caprg=false,r=24,bits=8",
    "caprg=false,r=24,bits=6,lrsq_pca=true",
    "caprg=false,r=24,bits=4,retrain_share=.3",
    "caprg=true,r=8",
};

static void test_histories(void **state)
{
    struct emulated_device *device = test_emulate_device();
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i += test_scale())
        for (int bytes = 0; bytes < 2; bytes++) {
            static struct pair p;
            if (i > 0 && bytes == (int)i % 2 && !test_is_long())
                continue;
            pair_open(&p, settings[i], bytes ? INDEX_U8 : INDEX_F32);
            asteria_world_train(&p.here, 0, 300);
            asteria_world_train(&p.there, 0, 300);
            (void)pair_compare(&p, device); /* nothing is stored */
            pair_insert(&p, 0, 5);
            (void)pair_compare(&p, device);
            pair_insert(&p, 5, ROWS - 205);
            (void)pair_compare(&p, device);
            pair_maintain(&p, device);
            assert_true(pair_compare(&p, device) > 0);
            pair_remove(&p, 0, 100, 2); /* few changes, and many */
            assert_true(pair_compare(&p, device) > 0);
            pair_remove(&p, 300, 500, 1);
            pair_insert(&p, ROWS - 200, 150);
            pair_maintain(&p, device);
            assert_true(pair_compare(&p, device) > 0);
            pair_insert(&p, 400, 100); /* into free slots */
            assert_true(pair_compare(&p, device) > 0);
            pair_close(&p);
            assert_int_equal(device->used_bytes, 0);
        }
}

/* Codes of a model that was trained on copies of one row have no coordinates. */
static void test_no_coordinates(void **state)
{
    enum { EQUAL = 100 };
    struct emulated_device *device = test_emulate_device();
    struct pair p;
    pair_open(&p, settings[0], INDEX_F32);
    for (size_t i = 1; i < EQUAL; i++) {
        memcpy(p.here.rows + i * p.here.row_bytes, p.here.rows, p.here.row_bytes);
        memcpy(p.there.rows + i * p.there.row_bytes, p.there.rows, p.there.row_bytes);
    }
    asteria_world_train(&p.here, 0, EQUAL);
    asteria_world_train(&p.there, 0, EQUAL);
    pair_insert(&p, 0, 300);
    assert_true(pair_compare(&p, device) > 0);
    pair_close(&p);
}

/* A failed search is an error with the device's sentence, and the next one succeeds. */
static void test_failures(void **state)
{
    struct emulated_device *device = test_emulate_device();
    static uint64_t ids[QUERIES * K];
    static float distances[QUERIES * K];
    struct pair p;
    size_t failed = 0;
    pair_open(&p, settings[0], INDEX_F32);
    asteria_world_train(&p.here, 0, 300);
    asteria_world_train(&p.there, 0, 300);
    pair_insert(&p, 0, 1000);
    for (size_t at = 1;; at++) {
        const bool memory = failed % 2 == 0;
        pair_remove(&p, at, 1, 1);
        device->calls = 0;
        device->failure = memory ? 2 : 700;
        device->fail_at = at;
        const int rc = ask(&p.there, K, ids, distances);
        device->calls = device->fail_at = 0;
        if (rc == OK)
            break;
        failed++;
        assert_int_equal(rc, memory ? ERR_NO_MEMORY : ERR_BASELINE);
        assert_non_null(
            strstr(p.there.bench.error.text, memory ? "out of memory" : "illegal memory"));
        error_clear(&p.there.bench.error);
        (void)pair_compare(&p, device);
    }
    assert_true(failed > 10);
    pair_close(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_histories),
        cmocka_unit_test(test_no_coordinates),
        cmocka_unit_test(test_failures),
    };
    return test_run("asteria_device_search", tests);
}
