/* test_assign.c - the library of CUDA kernels: error messages where it cannot be loaded, and the
 * nearest centroids against the CPU's. */
#include "tests/support/device.h"
#include "tests/support/testing.h"

static void test_reasons(void **state)
{
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
        assert_int_equal(device_load(cases[i].path, &library, NULL, 0), -1);
        device_unload(&library); /* nothing loaded: no effect */
    }
}

static void check_assignment(const struct device_ops *ops, struct device_session *session,
                             struct rng *r, size_t n, size_t k, size_t dim, size_t soft_k)
{
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
    test_device_ok(ops, session, ops->centroids->create(session, centroids, k, dim, &device));
    test_device_ok(ops, session,
                   ops->centroids->assign(device, rows, n, soft_k, nearest, distances_sq));
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
    ops->centroids->destroy(device);
    free(centroids);
    free(rows);
    free(nearest);
    free(distances_sq);
}

/* No driver, an old one, no device, and cuBLAS that does not start. */
static void test_no_device(void **state)
{
    struct emulated_device *device = test_emulate_device();
    static const struct {
        int driver, devices;
        const char *said;
    } cases[] = {
        { 0, 1, "no NVIDIA driver is installed" },
        { 12020, 1, "for CUDA 12.2, these kernels need 13.0: install a newer driver" },
        { 13000, 0, "no CUDA-capable device" },
    };
    char why[500] = "";
    struct device_library library;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        device->driver = cases[i].driver;
        device->devices = cases[i].devices;
        assert_int_equal(device_load(test_emulated_library(), &library, why, sizeof why), -1);
        assert_non_null(strstr(why, cases[i].said));
    }
    device = test_emulate_device();
    struct device_session *session;
    assert_int_equal(device_load(test_emulated_library(), &library, why, sizeof why), 0);
    device->failure = 46;
    device->fail_at = 1;
    assert_int_equal(library.ops->session_create(&session, why, sizeof why), -1);
    assert_null(session);
    assert_non_null(strstr(why, "cuBLAS: CUDA-capable device(s) is/are busy"));
    device_unload(&library);
    (void)test_emulate_device(); /* which works again */
}

/* Rows whose squared distances from centroids are beyond the floats, though the rows' squares are not,
   have as many centroids as others: none twice, and the first ones after those that are near. */
static void check_far(const struct device_ops *ops, struct device_session *session)
{
    static const float centroids[] = { -1.5e19f, -1.2e19f, -1.5e19f, 1e18f };
    static const float row[] = { 1.5e19f, 1.4e19f };
    struct device_centroids *device = NULL;
    uint32_t nearest[2 * 3];
    test_device_ok(ops, session, ops->centroids->create(session, centroids, 3, 1, &device));
    test_device_ok(ops, session, ops->centroids->assign(device, row, 2, 3, nearest, NULL));
    for (size_t i = 0; i < 6; i++)
        assert_int_equal(nearest[i], i % 3);
    ops->centroids->destroy(device);
    test_device_ok(ops, session, ops->centroids->create(session, centroids, 4, 1, &device));
    test_device_ok(ops, session, ops->centroids->assign(device, row + 1, 1, 3, nearest, NULL));
    assert_true(nearest[0] == 3 && nearest[1] == 0 && nearest[2] == 1);
    ops->centroids->destroy(device);
}

static void check_assignments(const struct device_ops *ops, struct device_session *session)
{
    struct rng r = rng_at(test_seed(), 1);
    check_assignment(ops, session, &r, 1, 1, 1, 1);
    check_assignment(ops, session, &r, 0, 5, 3, 2);
    check_assignment(ops, session, &r, 65, 129, 17, 8);
    check_assignment(ops, session, &r, 300, 70, 128, 2);
    check_assignment(ops, session, &r, 66, 64, 784, 1);
    check_far(ops, session);
    struct device_centroids *device = NULL;
    const float one[2] = { 1, 2 };
    uint32_t nearest;
    assert_int_equal(ops->centroids->create(session, one, 0, 1, &device), DEVICE_REFUSED);
    assert_null(device);
    test_device_ok(ops, session, ops->centroids->create(session, one, 2, 1, &device));
    assert_int_equal(ops->centroids->assign(device, one, 1, 3, &nearest, NULL), DEVICE_REFUSED);
    assert_non_null(strstr(ops->session_error(session), "expected 1 to 2"));
    ops->centroids->destroy(device);
}

static void test_assignment(void **state)
{
    test_each_device(check_assignments);
}

int main(void)
{
    return test_run_all("assign", test_reasons, test_no_device, test_assignment);
}
