/* test_bf16.c - distances of bf16 rows, in every table that this processor can run, against
 * arithmetic in double. A bf16 is the upper half of a float, so the operands are exact and only the
 * sum rounds: with u = 2^-24, by at most (length of the longest chain of additions) u times the sum
 * of the terms' magnitudes. Rows end at an unreadable page. */
#include "tests/support/testing.h"

#include <sys/mman.h>

enum { LONGEST = 1100 };

static float widened(uint16_t half)
{
    const uint32_t bits = (uint32_t)half << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* A row of `dim` that ends at an unreadable page. */
static uint16_t *row_at_the_end(void **map, size_t *map_bytes, struct rng *r, size_t dim)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    const size_t used = (dim * sizeof(uint16_t) + page - 1) / page * page;
    *map_bytes = used + page;
    *map = mmap(NULL, *map_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(*map != MAP_FAILED);
    assert_int_equal(mprotect((char *)*map + used, page, PROT_NONE), 0);
    uint16_t *row = (uint16_t *)(void *)((char *)*map + used) - dim;
    for (size_t i = 0; i < dim; i++) {
        const float value = (float)rng_normal(r);
        uint32_t bits;
        memcpy(&bits, &value, sizeof bits);
        row[i] = (uint16_t)(bits >> 16);
    }
    return row;
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
    const double got_l2sq = (double)k->l2sq_bf16(a, b, dim), got_ip = (double)k->ip_bf16(a, b, dim);
    if (fabs(got_l2sq - l2sq) > (chain + 2) * u * l2sq || fabs(got_ip - ip) > chain * u * ip_size) {
        fprintf(stderr, "%s, dim %zu: l2sq %.9g, expected %.9g; ip %.9g, expected %.9g\n", k->name,
                dim, got_l2sq, l2sq, got_ip, ip);
        _fail(__FILE__, __LINE__);
    }
}

static void test_pairs(void **state)
{
    struct rng r = rng_at(test_seed(), 21);
    for (size_t dim = 1; dim <= LONGEST; dim += dim < 140 ? 1 : 160) {
        void *maps[2];
        size_t bytes[2];
        const uint16_t *a = row_at_the_end(&maps[0], &bytes[0], &r, dim);
        const uint16_t *b = row_at_the_end(&maps[1], &bytes[1], &r, dim);
        for (enum isa isa = ISA_SCALAR; isa <= kernels_best_isa(); isa++)
            check(kernels_select(isa), a, b, dim);
        assert_int_equal(munmap(maps[0], bytes[0]), 0);
        assert_int_equal(munmap(maps[1], bytes[1]), 0);
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
            uint32_t bits;
            memcpy(&bits, &x, sizeof bits);
            a[i] = (uint16_t)(bits >> 16);
            memcpy(&bits, &y, sizeof bits);
            b[i] = (uint16_t)(bits >> 16);
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
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pairs),
        cmocka_unit_test(test_whole_numbers),
    };
    return test_run("kernels_bf16", tests);
}
