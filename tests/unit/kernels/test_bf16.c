/* test_bf16.c - distances of bf16 rows, in every table that this processor can run, against
 * arithmetic in double. A bf16 is the upper half of a float, so the operands are exact and only the
 * sum rounds: with u = 2^-24, by at most (length of the longest chain of additions) u times the sum
 * of the terms' magnitudes. Rows end at an unreadable page. */
#include "tests/unit/kernels/support.h"

enum { LONGEST = 1100 };

static float widened(uint16_t half)
{
    const uint32_t bits = (uint32_t)half << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* Its upper half. */
static uint16_t narrowed(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return (uint16_t)(bits >> 16);
}

static struct guarded random_bf16(struct rng *r, size_t dim)
{
    struct guarded g = guarded_new(dim * sizeof(uint16_t));
    uint16_t *row = g.data;
    for (size_t i = 0; i < dim; i++)
        row[i] = narrowed((float)rng_normal(r));
    return g;
}

static void check(const struct kernels *k, const uint16_t *a, const uint16_t *b, size_t dim)
{
    const double u = 0x1p-24,
                 chain = k->isa == ISA_SCALAR ? (double)dim + 4 : (double)dim / 16 + 12;
    double l2sq = 0, ip = 0, ip_size = 0;
    for (size_t d = 0; d < dim; d++) {
        const double x = (double)widened(a[d]), y = (double)widened(b[d]);
        l2sq += (x - y) * (x - y);
        ip += x * y;
        ip_size += fabs(x * y);
    }
    near(k, "l2sq_bf16", dim, k->l2sq_bf16(a, b, dim), l2sq, (chain + 2) * u * l2sq);
    near(k, "ip_bf16", dim, k->ip_bf16(a, b, dim), ip, chain * u * ip_size);
}

static void test_pairs(void **state)
{
    struct rng r = rng_at(test_seed(), 21);
    for (size_t dim = 1; dim <= LONGEST; dim += dim < 140 ? 1 : 160) {
        struct guarded a = random_bf16(&r, dim), b = random_bf16(&r, dim);
        for (enum isa isa = ISA_SCALAR; isa <= kernels_best_isa(); isa++)
            check(kernels_select(isa), a.data, b.data, dim);
        guarded_free(&a);
        guarded_free(&b);
    }
}

/* Whole numbers up to 255 are exact in bf16, and so are their distances in
 * float: all tables agree. */
static void test_whole_numbers(void **state)
{
    struct rng r = rng_at(test_seed(), 22);
    for (size_t dim = 1; dim <= 200; dim++) {
        uint16_t a[200], b[200];
        uint32_t l2sq = 0, ip = 0;
        for (size_t i = 0; i < dim; i++) {
            const float x = (float)rng_below(&r, 256), y = (float)rng_below(&r, 256);
            a[i] = narrowed(x);
            b[i] = narrowed(y);
            l2sq += (uint32_t)((x - y) * (x - y));
            ip += (uint32_t)(x * y);
        }
        for (enum isa isa = ISA_SCALAR; isa <= kernels_best_isa(); isa++) {
            assert_float_equal(kernels_select(isa)->l2sq_bf16(a, b, dim), l2sq, 0);
            assert_float_equal(kernels_select(isa)->ip_bf16(a, b, dim), ip, 0);
        }
    }
}

int main(void)
{
    return test_run_all("kernels_bf16", test_pairs, test_whole_numbers);
}
