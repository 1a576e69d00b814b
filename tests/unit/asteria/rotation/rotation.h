/* rotation.h - rotations for tests: kinds, and rows to train on. */
#ifndef DRIFTLINE_TESTS_UNIT_ASTERIA_ROTATION_ROTATION_H
#define DRIFTLINE_TESTS_UNIT_ASTERIA_ROTATION_ROTATION_H

#include "tests/support/testing.h"

#include "algorithms/asteria/rotation/bor.h"
#include "algorithms/common/durable/store_file.h"

static const enum asteria_rotation_kind KINDS[] = { ROTATION_BOR, ROTATION_HADAMARD,
                                                    ROTATION_IDENTITY, ROTATION_PCA, ROTATION_OPQ };
enum { N_KINDS = sizeof KINDS / sizeof *KINDS };

static inline float *floats(size_t n)
{
    float *p = aligned_alloc(64, (n * sizeof *p + 127) / 64 * 64);
    assert_non_null(p);
    return p;
}

/* Unit rows near a few random directions, plus noise in all: most of their length is in
   these directions. */
static inline float *some_rows(size_t n, size_t dim, uint64_t seed)
{
    struct rng r = rng_at(seed, 50);
    const size_t few = dim < 6 ? dim : 6;
    float *rows = floats(n * dim), *axes = floats(few * dim);
    test_fill_f32(&r, axes, few, dim, 0, 1);
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < dim; j++)
            rows[i * dim + j] = (float)rng_normal(&r) + axes[j];
        for (size_t a = 0; a < few; a++) {
            const float along = (float)rng_normal(&r);
            for (size_t j = 0; j < dim; j++)
                rows[i * dim + j] += along * axes[a * dim + j];
        }
    }
    test_normalise_f32(rows, n, dim);
    free(axes);
    return rows;
}

static inline struct asteria_rotation_options options_of(enum asteria_rotation_kind kind, size_t m)
{
    return (struct asteria_rotation_options){ .kind = kind,
                                              .centre = true,
                                              .m = m,
                                              .rank = m,
                                              .blocks = 2,
                                              .seed = test_seed(),
                                              .passes = 1,
                                              .steps = 5,
                                              .batch = 32,
                                              .learning_rate = 1e-2,
                                              .init = BOR_HADAMARD };
}

#endif
