/* test_device.c - divf with device = cuda, on the emulated device: insertions that find their lists
 * there, and a device that fails. */
#include "tests/support/device.h"
#include "tests/unit/divf/support.h"

static struct divf_params on_device(void)
{
    struct divf_params params = divf_defaults();
    params.clusters = 12;
    params.soft_k = 2;
    params.split_threshold = 2;
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
        cmocka_unit_test(test_insertion),
        cmocka_unit_test(test_failures),
    };
    return test_run("divf_device", tests);
}
