/* test_device.c - asteria with device = cuda, on the emulated device: check() computes every row's
 * outputs, word and address again on the processor, so they are the same bit for bit; training there;
 * and a device that fails. */
#include "tests/support/device.h"
#include "tests/unit/asteria/support.h"

enum { DIM = 20, ROWS = 700 };

static void test_histories(void **state)
{
    static const char *const settings[] = {
        "device=cuda,caprg=false,train_steps=3,batch=32",
        "device=cuda,caprg=false,train_steps=3,batch=32,passes=2,centering=false,code=none",
        "device=cuda,caprg=false,train_steps=3,batch=32,vantages=learned",
        "device=cuda,caprg=false,train_steps=3,batch=32,rotation=pca",
        "device=cuda,caprg=false,train_steps=3,batch=32,rotation=hadamard,retrain_share=.2",
    };
    struct emulated_device *device = test_emulate_device();
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++)
        for (int bytes = 0; bytes < 2; bytes++) {
            struct asteria_world w;
            asteria_world_open(&w, settings[i], bytes ? INDEX_U8 : INDEX_F32, DIM, ROWS, 2);
            asteria_world_train(&w, 0, 300);
            const size_t grids = device->grids;
            asteria_world_insert(&w, 0, 300);
            assert_int_equal(device->grids > grids, !strstr(settings[i], "pca"));
            asteria_world_insert(&w, 300, 10); /* too few for the device */
            asteria_world_check(&w);
            asteria_world_remove(&w, 0, 100, 2);
            asteria_world_insert(&w, 310, ROWS - 310);
            asteria_world_check(&w);
            asteria_world_maintain_all(&w);
            asteria_world_check(&w);
            asteria_world_search(&w, 5);
            assert_true(test_stat(w.index, "device_in_bytes") > 0 || strstr(settings[i], "pca"));
            asteria_world_close(&w);
            assert_int_equal(device->used_bytes, 0);
        }
}

/* A failed insertion is an error with the device's sentence, and stores nothing. */
static void test_failures(void **state)
{
    struct emulated_device *device = test_emulate_device();
    struct asteria_world w;
    size_t failed = 0;
    asteria_world_open(&w, "device=cuda,caprg=false,train_steps=3,batch=32", INDEX_F32, DIM, ROWS,
                       1);
    asteria_world_train(&w, 0, 300);
    for (size_t at = 1;; at++) {
        device->calls = 0;
        device->failure = at % 2 ? 2 : 700;
        device->fail_at = at;
        const int rc = asteria_world_try_insert(&w, 0, 100);
        device->calls = device->fail_at = 0;
        if (rc == OK)
            break;
        failed++;
        assert_int_equal(rc, at % 2 ? ERR_NO_MEMORY : ERR_BASELINE);
        assert_non_null(strstr(w.bench.error.text, at % 2 ? "out of memory" : "illegal memory"));
        error_clear(&w.bench.error);
        asteria_world_check(&w);
    }
    assert_true(failed > 8);
    asteria_world_check(&w);
    asteria_world_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_histories),
        cmocka_unit_test(test_failures),
    };
    return test_run("asteria_device", tests);
}
