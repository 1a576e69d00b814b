/* test_device.c - ground truth by a CUDA device, which is emulated: the same as the processor's, bit
 * for bit; rows that do not fit into its memory at once; ties; and a device that fails. */
#include "tests/support/device.h"
#include "tests/support/fault_steps.h"
#include "tests/support/ground_truth.h"
#include "tests/support/tiny_workload.h"

/* On the device. */
static int make(struct oracle *oracle, const struct op_list *list, struct error *err)
{
    struct pool *pool = pool_create(2);

    assert_non_null(pool);
    const int rc =
        oracle_make(oracle, list,
                    &(struct oracle_env){
                        .kernels = kernels_select(ISA_AVX512), .pool = pool, .on_device = true },
                    err);
    pool_destroy(pool);
    return rc;
}

/* Both ways, on a device of that many bytes. */
static void compare(struct emulated_device *device, const struct op_list *list, size_t bytes)
{
    struct oracle here, there;
    struct error err = { 0 };
    const size_t grids = device->grids;

    device->memory_bytes = bytes;
    ground_truth(&here, list, 2, NULL);
    assert_ok(make(&there, list, &err), &err);
    assert_true(device->grids > grids);
    assert_int_equal(device->used_bytes, 0);
    for (size_t i = 0; i < list->n; i++)
        assert_true(ground_truth_is_same(&here.truths[i], &there.truths[i]));
    oracle_free(&here);
    oracle_free(&there);
}

static const struct {
    enum element element;
    enum metric metric;
    size_t dim;
} spaces[] = {
    { INDEX_F32, INDEX_L2SQ, 19 }, { INDEX_F32, INDEX_IP, 33 }, { INDEX_F32, INDEX_COS, 8 },
    { INDEX_U8, INDEX_L2SQ, 21 },  { INDEX_U8, INDEX_IP, 5 },   { INDEX_U8, INDEX_COS, 16 },
};

static void test_histories(void **state)
{
    struct emulated_device *device = test_emulate_device();
    for (size_t s = 0; s < sizeof spaces / sizeof *spaces; s++) {
        struct rng r = rng_at(test_seed(), s);
        struct workload w;

        workload_begin(&w, &r, spaces[s].element, spaces[s].metric, 300, 32, spaces[s].dim);
        struct op_list *list = workload_history(&w, &r, 3, 10, 1);
        compare(device, list, s % 2 ? (size_t)1 << 30 : (size_t)12 << 20);
        op_list_free(list);
    }
}

/* Several blocks of rows: a quarter of the memory holds one. */
static void test_more_rows_than_memory(void **state)
{
    enum { ROWS = 3000, DIM = 1200 };
    struct emulated_device *device = test_emulate_device();
    struct rng r = rng_at(test_seed(), 20);
    struct workload w;

    workload_begin(&w, &r, INDEX_F32, INDEX_L2SQ, ROWS, 33, DIM);
    struct op_list *list = workload_history(&w, &r, 1, 10, 1);
    const size_t rows_bytes = ROWS * DIM * sizeof(float);
    assert_true(rows_bytes > (size_t)13 << 20);
    compare(device, list, (size_t)13 << 20);
    op_list_free(list);
}

/* All rows are equal, so every query has more candidates than fit; and rows whose squares overflow
   single precision. */
static void test_what_the_device_leaves(void **state)
{
    struct emulated_device *device = test_emulate_device();
    for (int large = 0; large < 2; large++) {
        struct rng r = rng_at(test_seed(), 30);
        struct workload w;

        workload_begin(&w, &r, INDEX_F32, INDEX_L2SQ, 400, 32, 24);
        for (size_t i = 0; i < (size_t)400 * 24; i++)
            ((float *)w.rows->state)[i] = large ? (i % 24 ? 1.f : 1e18f) : .25f;
        struct op_list *list = workload_history(&w, &r, 1, 10, 1);
        compare(device, list, (size_t)1 << 30);
        op_list_free(list);
    }
}

/* Each call fails in turn, for want of memory or with the device. */
static void test_failures(void **state)
{
    struct emulated_device *device = test_emulate_device();
    struct rng r = rng_at(test_seed(), 40);
    struct workload w;
    size_t failed = 0;

    workload_begin(&w, &r, INDEX_U8, INDEX_COS, 120, 32, 9);
    struct op_list *list = workload_history(&w, &r, 1, 10, 1);
    for (int lost = 0; lost < 2; lost++)
        for (size_t at = 1;; at = test_sampled_fault(at)) {
            struct oracle oracle;
            struct error err = { 0 };

            device->calls = 0;
            device->failure = lost ? 214 : 2;
            device->fail_at = at;
            const int rc = make(&oracle, list, &err);
            device->fail_at = 0;
            assert_int_equal(device->used_bytes, 0);
            oracle_free(&oracle);
            if (rc == OK)
                break;
            failed++;
            assert_non_null(strstr(err.text, "CUDA: "));
            assert_true(rc == ERR_UNSUPPORTED || rc == ERR_BASELINE || rc == ERR_NO_MEMORY);
            assert_true(!lost || rc != ERR_NO_MEMORY);
        }
    assert_true(failed > 5);
    op_list_free(list);
}

int main(void)
{
    return test_run_all("truth_device", test_histories, test_more_rows_than_memory,
                        test_what_the_device_leaves, test_failures);
}
