/* support.h - for the tests of kernels: the tables that this processor can run, dimensions to
 * test, and buffers that end at an unreadable page, so that an access past the end of a row, a
 * code or a result crashes. */
#ifndef DRIFTLINE_TESTS_UNIT_KERNELS_SUPPORT_H
#define DRIFTLINE_TESTS_UNIT_KERNELS_SUPPORT_H

#include <sys/mman.h>

#include "tests/support/testing.h"

static const size_t long_dims[] = { 255, 256, 257, 300, 784, 960, 1024, 2047, 2048, 4096 };
enum { SHORT_DIMS = 130, DIMS = SHORT_DIMS + sizeof long_dims / sizeof *long_dims };

/* Dimensions 1 to 130, then larger ones. */
static inline size_t dim_at(size_t i)
{
    return i < SHORT_DIMS ? i + 1 : long_dims[i - SHORT_DIMS];
}

static inline size_t tables(const struct kernels *table[3])
{
    size_t n = 0;
    for (enum isa isa = ISA_SCALAR; isa <= kernels_best_isa(); isa++)
        table[n++] = kernels_select(isa);
    return n;
}

/* `bytes` bytes that end at an unreadable page, so their alignment depends on their number. */
struct guarded {
    unsigned char *map;
    size_t map_bytes;
    void *data;
};

static inline struct guarded guarded_new(size_t bytes)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    const size_t used = (bytes + page - 1) / page * page;
    struct guarded g = { .map_bytes = used + page };
    g.map = mmap(NULL, g.map_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true((void *)g.map != MAP_FAILED);
    assert_int_equal(mprotect(g.map + used, page, PROT_NONE), 0);
    g.data = g.map + used - bytes;
    return g;
}

static inline void guarded_free(struct guarded *g)
{
    assert_int_equal(munmap(g->map, g->map_bytes), 0);
}

static inline struct guarded random_u8(struct rng *r, size_t n)
{
    struct guarded g = guarded_new(n);
    uint8_t *x = g.data;
    for (size_t i = 0; i < n; i++)
        x[i] = (uint8_t)rng_u64(r);
    return g;
}

static inline void near(const struct kernels *k, const char *what, size_t dim, float got,
                        double expected, double bound)
{
    if (fabs((double)got - expected) <= bound)
        return;
    fprintf(stderr, "%s %s dim %zu: %.9g, expected %.9g within %.3g\n", k->name, what, dim,
            (double)got, expected, bound);
    _fail(__FILE__, __LINE__);
}

#endif
