/* test_train.c - training of Asteria's butterfly with gradients from the device: the angles and the
 * loss are those of the processor, bit for bit; and a device that fails. */
#include "algorithms/asteria/rotation/bor.h"
#include "src/core/device/cuda.h"
#include "tests/support/device.h"
#include "tests/support/testing.h"

static const struct {
    size_t n, dim, passes, m, rank, batch, steps, threads;
    bool centre;
} shapes[] = {
    { 2, 2, 1, 1, 1, 2, 2, 1, false },      { 90, 3, 2, 2, 2, 20, 3, 2, true },
    { 300, 20, 2, 8, 16, 300, 3, 2, true }, { 200, 100, 3, 24, 40, 144, 2, 1, false },
    { 60, 16, 1, 16, 0, 16, 4, 1, true },
};

struct trained {
    struct asteria_rotation *rotation;
    struct asteria_rotation_report report;
};

static int train(struct trained *to, struct test_bench *b, size_t shape, const float *rows,
                 const struct asteria_trainer *device)
{
    const struct asteria_rotation_options options = { .kind = ROTATION_BOR,
                                                      .centre = shapes[shape].centre,
                                                      .m = shapes[shape].m,
                                                      .rank = shapes[shape].rank,
                                                      .seed = test_seed(),
                                                      .passes = shapes[shape].passes,
                                                      .steps = shapes[shape].steps,
                                                      .batch = shapes[shape].batch,
                                                      .learning_rate = .05,
                                                      .init = BOR_RANDOM,
                                                      .device = device };
    return asteria_rotation_train(&to->rotation, &b->env, &options, rows, shapes[shape].n,
                                  &to->report);
}

static float *draw(size_t shape)
{
    struct rng r = rng_at(test_seed(), shape);
    const size_t n = shapes[shape].n, dim = shapes[shape].dim;
    float *rows = calloc(n * dim, sizeof *rows);
    assert_non_null(rows);
    test_fill_f32(&r, rows, n, dim, 0.2, 1);
    return rows;
}

static void compare(const struct device_ops *ops, struct device_session *session)
{
    const struct cuda cuda = { .library = { .ops = ops }, .session = session };
    pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    const struct asteria_trainer device = { &cuda, &lock };
    for (size_t shape = 0; shape < sizeof shapes / sizeof *shapes; shape++) {
        struct test_bench b;
        struct trained here, there;
        struct device_traffic before, after;
        float *rows = draw(shape);
        test_bench_begin(&b, INDEX_F32, INDEX_COS, shapes[shape].dim, shapes[shape].threads);
        ops->session_traffic(session, &before);
        assert_ok(train(&here, &b, shape, rows, NULL), &b.error);
        assert_ok(train(&there, &b, shape, rows, &device), &b.error);
        ops->session_traffic(session, &after);
        assert_true(after.launches - before.launches >= 4 * shapes[shape].steps);
        const struct asteria_bor *x = here.rotation->bor, *y = there.rotation->bor;
        assert_memory_equal(x->angles, y->angles, asteria_bor_n_angles(x) * sizeof *x->angles);
        assert_memory_equal(&here.report.last_loss, &there.report.last_loss, sizeof(double));
        assert_true(here.report.steps == shapes[shape].steps &&
                    here.report.steps == there.report.steps);
        asteria_rotation_destroy(&b.env, here.rotation);
        asteria_rotation_destroy(&b.env, there.rotation);
        test_bench_end(&b);
        free(rows);
    }
}

static void test_same_angles(void **state)
{
    test_each_device(compare);
}

static void refuse(const struct device_ops *ops, struct device_session *session)
{
    static const float rows[4 * 3], signs[4] = { 1, 1, 1, 1 }, angles[4];
    static float heads[64];
    static double energies[4];
    struct device_trainer *trainer;
    const struct device_training right = {
        .butterfly = { .dim = 3, .size = 4, .passes = 1, .stages = 2, .signs = signs },
        .rows = rows,
        .n = 4,
        .batch = 16,
        .m = 4,
        .chunk = 8
    };
    struct device_training wrong[5] = { right, right, right, right, right };
    wrong[0].butterfly.size = 6;
    wrong[1].batch = 15;
    wrong[2].m = 5;
    wrong[3].chunk = 0;
    wrong[4].n = 0;
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(ops->trainers->create(session, &wrong[i], &trainer), DEVICE_REFUSED);
    test_device_ok(ops, session, ops->trainers->create(session, &right, &trainer));
    const uint32_t batch[16] = { [7] = 4 };
    assert_int_equal(ops->trainers->forward(trainer, angles, angles, batch, heads, energies),
                     DEVICE_REFUSED);
    ops->trainers->destroy(trainer);
}

static void test_refusals(void **state)
{
    test_each_device(refuse);
}

/* Training that fails is an error with the device's sentence, and leaves nothing behind. */
static void test_failures(void **state)
{
    struct emulated_device *device = test_emulate_device();
    struct test_bench b;
    struct cuda cuda = { 0 };
    pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    const struct asteria_trainer trainer = { &cuda, &lock };
    float *rows = draw(1);
    size_t failed = 0;
    test_bench_begin(&b, INDEX_F32, INDEX_COS, shapes[1].dim, 1);
    assert_ok(cuda_open(&cuda, "test", "device", &b.error), &b.error);
    const size_t used = device->used_bytes;
    for (size_t at = 1;; at++) {
        struct trained t;
        device->calls = 0;
        device->failure = at % 2 ? 2 : 700;
        device->fail_at = at;
        const int rc = train(&t, &b, 1, rows, &trainer);
        device->calls = device->fail_at = 0;
        if (rc == OK) {
            asteria_rotation_destroy(&b.env, t.rotation);
            break;
        }
        failed++;
        assert_int_equal(rc, at % 2 ? ERR_NO_MEMORY : ERR_BASELINE);
        assert_non_null(strstr(b.error.text, "asteria: train: CUDA"));
        error_clear(&b.error);
        assert_int_equal(device->used_bytes, used);
    }
    assert_true(failed > 20);
    cuda_close(&cuda);
    test_bench_end(&b);
    free(rows);
}

int main(void)
{
    return test_run_all("cuda_train", test_same_angles, test_refusals, test_failures);
}
