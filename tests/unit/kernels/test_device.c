/* test_device.c - the CUDA kernels: error messages where they cannot be loaded, and where they can,
 * agreement with the CPU.
 *
 * Without a device or without the library the comparisons are skipped;
 * the messages are tested everywhere. */
#include "tests/support/testing.h"

#include "kernels/cuda/device.h"

static const char library_path[] = "build/libdriftline_cuda.so";

static void test_reasons(void **state)
{
    (void)state;
    static const struct {
        const char *name, *path, *said;
    } cases[] = {
        { "no file", "/nowhere/libdriftline_cuda.so", "/nowhere/libdriftline_cuda.so" },
        { "not a library", "/dev/null", "cannot load" },
        { "another library", "libm.so.6", "libm.so.6 is another library" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char why[500] = "";
        struct device_library library = { .handle = &library };
        assert_int_equal(device_load(cases[i].path, &library, why, sizeof why), -1);
        assert_null(library.handle);
        assert_null(library.ops);
        if (!strstr(why, cases[i].said)) {
            fprintf(stderr, "%s: \"%s\" does not say \"%s\"\n", cases[i].name, why, cases[i].said);
            _fail(__FILE__, __LINE__);
        }
        assert_int_equal(device_available(cases[i].path, NULL, 0), 0);
        device_unload(&library); /* nothing loaded: no effect */
    }
}

/* Loads the library or skips the test. A library without a device must report that. */
static struct device_library load_or_skip(void)
{
    char why[500] = "";
    struct device_library library;
    if (device_load(library_path, &library, why, sizeof why)) {
        assert_true(!strncmp(why, "CUDA", 4) && strlen(why) > 10);
        assert_int_equal(device_available(library_path, NULL, 0), 0);
        print_message("skipped: %s\n", why);
        skip();
    }
    return library;
}

static void check_assignment(const struct device_ops *ops, struct rng *r, size_t n, size_t k,
                             size_t dim, size_t soft_k)
{
    char why[500] = "";
    float *centroids = calloc(k * dim, sizeof *centroids),
          *rows = calloc(n * dim + 1, sizeof *rows);
    uint32_t *nearest = calloc(n * soft_k + 1, sizeof *nearest);
    float *distances_sq = calloc(n * soft_k + 1, sizeof *distances_sq);
    assert_true(centroids && rows && nearest && distances_sq);
    test_fill_f32(r, centroids, k, dim, 0, 1);
    test_fill_f32(r, rows, n, dim, 0, 1);
    /* a tie: the first wins */
    memcpy(centroids + (k - 1) * dim, centroids, dim * sizeof *centroids);
    struct device_centroids *device = NULL;
    assert_int_equal(ops->centroids_create(centroids, k, dim, &device, why, sizeof why), 0);
    assert_int_equal(
        ops->centroids_assign(device, rows, n, soft_k, nearest, distances_sq, why, sizeof why), 0);
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < soft_k; j++) {
            const uint32_t at = nearest[i * soft_k + j];
            const float d = distances_sq[i * soft_k + j];
            assert_true(at < k);
            const float same = kernels_scalar.l2sq_f32(rows + i * dim, centroids + at * dim, dim);
            assert_true(fabsf(d - same) <= 1e-4f * same);
            size_t nearer = 0; /* clearly nearer centroids must all come before the j-th */
            for (size_t c = 0; c < k; c++)
                nearer += kernels_scalar.l2sq_f32(rows + i * dim, centroids + c * dim, dim) <
                          d * (1 - 1e-4f);
            assert_true(nearer <= j);
            assert_true(at != k - 1 || k == 1 || (j > 0 && nearest[i * soft_k + j - 1] == 0));
        }
    ops->centroids_destroy(device);
    free(centroids);
    free(rows);
    free(nearest);
    free(distances_sq);
}

static void test_assignment(void **state)
{
    (void)state;
    struct device_library library = load_or_skip();
    struct rng r = rng_at(test_seed(), 1);
    check_assignment(library.ops, &r, 1, 1, 1, 1);
    check_assignment(library.ops, &r, 0, 5, 3, 2);
    check_assignment(library.ops, &r, 65, 129, 17, 8);
    check_assignment(library.ops, &r, 700, 212, 128, 2);
    check_assignment(library.ops, &r, 130, 64, 784, 1);
    struct device_centroids *device = NULL;
    const float one[2] = { 1, 2 };
    uint32_t nearest;
    char why[500] = "";
    assert_int_equal(library.ops->centroids_create(one, 2, 1, &device, why, sizeof why), 0);
    assert_int_equal(
        library.ops->centroids_assign(device, one, 1, 3, &nearest, NULL, why, sizeof why), -1);
    assert_non_null(strstr(why, "expected 1 to 2"));
    library.ops->centroids_destroy(device);
    device_unload(&library);
}

static void test_many_to_many(void **state)
{
    (void)state;
    struct device_library library = load_or_skip();
    enum { NA = 70, NB = 300, DIM = 37, LD = NB + 3 };
    struct rng r = rng_at(test_seed(), 2);
    static float a[NA * DIM], b[NB * DIM], out[NA * LD];
    static uint64_t x[NA], y[NB];
    static uint8_t bits[NA * LD], expected[NB];
    char why[500] = "";
    test_fill_f32(&r, a, NA, DIM, 0, 1);
    test_fill_f32(&r, b, NB, DIM, 0, 1);
    test_fill_b64(&r, x, NA, 0);
    test_fill_b64(&r, y, NB, 0);
    assert_int_equal(library.ops->l2sq_f32_mn(a, NA, b, NB, DIM, out, LD, why, sizeof why), 0);
    assert_int_equal(library.ops->hamming_b64_mn(x, NA, y, NB, bits, LD, why, sizeof why), 0);
    for (size_t i = 0; i < NA; i++) {
        kernels_scalar.hamming_b64_1n(x[i], y, NB, expected);
        assert_memory_equal(bits + i * LD, expected, NB);
        for (size_t j = 0; j < NB; j++) {
            const float same = kernels_scalar.l2sq_f32(a + i * DIM, b + j * DIM, DIM);
            assert_true(fabsf(out[i * LD + j] - same) <= 1e-5f * same);
        }
    }
    device_unload(&library);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reasons),
        cmocka_unit_test(test_assignment),
        cmocka_unit_test(test_many_to_many),
    };
    return test_run("device", tests);
}
