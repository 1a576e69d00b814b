/* test_encode.c - the butterfly on the device against Asteria's on the processor: outputs and words,
 * bit for bit. */
#include "algorithms/asteria/asteria.h"
#include "algorithms/asteria/rotation/bor.h"
#include "tests/support/device.h"
#include "tests/support/testing.h"

static const struct {
    size_t n, dim, passes, bits;
} shapes[] = {
    { 1, 1, 1, 1 },     { 3, 2, 2, 2 },     { 130, 5, 1, 8 },   { 65, 64, 1, 24 },
    { 70, 100, 2, 48 }, { 9, 1000, 3, 33 }, { 2, 8192, 1, 64 }, { 5, 130, 4, 0 },
};

static void check_shape(const struct device_ops *ops, struct device_session *session, size_t shape,
                        enum element element)
{
    const size_t n = shapes[shape].n, dim = shapes[shape].dim;
    struct rng r = rng_at(test_seed(), shape);
    struct test_bench bench;
    struct asteria_bor *b;
    struct device_encoder *encoder;
    test_bench_begin(&bench, element, INDEX_COS, dim, 1);
    assert_ok(
        asteria_bor_create(&b, &bench.env, dim, shapes[shape].passes, BOR_RANDOM, test_seed()),
        &bench.error);
    float *shift = calloc(b->size, sizeof *shift), *rows = calloc(n * dim, sizeof *rows);
    float *z = calloc(n * b->size, sizeof *z);
    uint8_t *bytes = calloc(n * dim, 1);
    uint64_t *words = calloc(n, sizeof *words);
    assert_true(shift && rows && z && bytes && words);
    test_fill_f32(&r, shift, 1, b->size, 0, 1);
    test_fill_f32(&r, rows, n, dim, 0, 1);
    for (size_t i = 0; i < n * dim; i++)
        bytes[i] = (uint8_t)(i / dim == 1 ? 0 : rng_below(&r, 256)); /* row 1: zeros */
    const struct device_butterfly butterfly = {
        dim,        b->size,  b->passes, b->stages, shapes[shape].bits,
        b->cosines, b->sines, b->signs,  shift
    };
    test_device_ok(ops, session, ops->encoders->create(session, &butterfly, &encoder));
    memset(words, 0xff, n * sizeof *words);
    test_device_ok(ops, session,
                   element == INDEX_U8 ? ops->encoders->encode_u8(encoder, bytes, n, z, words)
                                       : ops->encoders->encode_f32(encoder, rows, n, z, words));
    for (size_t i = 0; i < n; i++) {
        static _Alignas(64) float expected[DEVICE_MAX_OUTPUTS], unit[DEVICE_MAX_OUTPUTS];
        const void *row = element == INDEX_U8 ? (const void *)(bytes + i * dim) : rows + i * dim;
        uint64_t word = 0;
        asteria_bor_apply(b, asteria_unit(&bench.env, row, unit), expected);
        for (size_t j = 0; j < b->size; j++)
            expected[j] -= shift[j];
        for (size_t j = 0; j < shapes[shape].bits; j++)
            word |= (uint64_t)(expected[j] < 0) << j;
        assert_memory_equal(z + i * b->size, expected, b->size * sizeof *z);
        assert_true(words[i] == (shapes[shape].bits ? word : UINT64_MAX));
    }
    ops->encoders->destroy(encoder);
    struct device_butterfly wrong = butterfly;
    wrong.size++;
    assert_int_equal(ops->encoders->create(session, &wrong, &encoder), DEVICE_REFUSED);
    asteria_bor_destroy(&bench.env, b);
    test_bench_end(&bench);
    free(shift);
    free(rows);
    free(z);
    free(bytes);
    free(words);
}

/* Rows encoded again are those of the last call, once for each time. */
static void check_again(const struct device_ops *ops, struct device_session *session)
{
    static const float angles[4], signs[4] = { 1, 1, 1, 1 }, shift[4], rows[3 * 4];
    static const uint8_t bytes[2 * 4];
    const struct device_butterfly butterfly = { 4, 4, 1, 2, 4, angles, angles, signs, shift };
    struct device_traffic before, after;
    struct device_encoder *encoder;
    float z[3 * 4];
    uint64_t words[3];
    size_t n = 1;
    test_device_ok(ops, session, ops->encoders->create(session, &butterfly, &encoder));
    test_device_ok(ops, session, ops->encoders->encode_again(encoder, 2, &n));
    assert_int_equal(n, 0);
    test_device_ok(ops, session, ops->encoders->encode_f32(encoder, rows, 3, z, words));
    ops->session_traffic(session, &before);
    test_device_ok(ops, session, ops->encoders->encode_again(encoder, 2, &n));
    ops->session_traffic(session, &after);
    assert_int_equal(n, 3);
    assert_int_equal(after.launches - before.launches, 2);
    assert_int_equal(after.from_device_bytes, before.from_device_bytes);
    test_device_ok(ops, session, ops->encoders->encode_u8(encoder, bytes, 2, z, words));
    test_device_ok(ops, session, ops->encoders->encode_again(encoder, 1, &n));
    assert_int_equal(n, 2);
    ops->encoders->destroy(encoder);
}

static void check_all(const struct device_ops *ops, struct device_session *session)
{
    for (size_t shape = 0; shape < sizeof shapes / sizeof *shapes; shape++) {
        check_shape(ops, session, shape, INDEX_F32);
        check_shape(ops, session, shape, INDEX_U8);
    }
}

static void test_again(void **state)
{
    test_each_device(check_again);
}

static void test_outputs(void **state)
{
    test_each_device(check_all);
}

int main(void)
{
    return test_run_all("cuda_encode", test_outputs, test_again);
}
