/* filed_rows.h - easy and adversarial rows, encoded, and checks of their bounds. */
#ifndef DRIFTLINE_TESTS_UNIT_QUANTIZER_FILED_ROWS_H
#define DRIFTLINE_TESTS_UNIT_QUANTIZER_FILED_ROWS_H

#include "algorithms/common/quantizer/quantizer.h"

#include "algorithms/common/quantizer/sketch_internal.h"
#include "tests/support/testing.h"

enum { BLOCK = QUANTIZER_BLOCK };

static inline size_t tables(const struct kernels *table[3])
{
    size_t n = 0;
    for (enum isa isa = ISA_SCALAR; isa <= kernels_best_isa(); isa++)
        table[n++] = kernels_select(isa);
    return n;
}

enum family {
    CLUSTERED,
    GAUSSIAN,
    LOW_RANK,   /* 5 directions and a little noise: the residual is small */
    EXACT_RANK, /* 3 directions and nothing else */
    FAR_OFF,    /* offset 1e4, deviation 1e-2: few digits of a float are left */
    HUGE,       /* 1e17 */
    TINY,       /* 1e-15 */
    DENORMAL,   /* 1e-30: squares underflow */
    FLAT,       /* most coordinates constant */
    EQUAL,      /* all rows the same */
    HEAVY,      /* tails: cubes of normals, some a thousand times the others */
    INTEGERS,   /* 0 .. 255 */
    UNSEEN,     /* the encoded rows differ from the training rows */
    N_FAMILIES
};

static const char *const family_names[] = { "clustered", "gaussian", "low rank", "exact rank",
                                            "far off",   "huge",     "tiny",     "denormal",
                                            "flat",      "equal",    "heavy",    "integers",
                                            "unseen" };

static inline void fill_family(struct rng *r, enum family family, float *rows, size_t n, size_t dim,
                               bool training)
{
    float *base = calloc(8 * dim, sizeof *base);
    struct rng shared = rng_at(test_seed(), 77);
    for (size_t i = 0; i < 8 * dim; i++)
        base[i] = (float)rng_normal(&shared);
    const size_t rank = family == LOW_RANK ? 5 : family == EXACT_RANK ? 3 : 0;
    for (size_t i = 0; i < n; i++) {
        float *row = rows + i * dim;
        for (size_t j = 0; j < dim; j++)
            row[j] = rank ? family == LOW_RANK ? (float)(1e-3 * rng_normal(r)) : 0
                          : (float)rng_normal(r);
        for (size_t a = 0; a < rank; a++) {
            const float along = (float)(rng_normal(r) * 10 / (double)(a + 1));
            for (size_t j = 0; j < dim; j++)
                row[j] += along * base[a * dim + j];
        }
        const float *centre = base + rng_below(r, 8) * dim;
        const double heavy = i % 97 == 5 ? 1000 : 1;
        for (size_t j = 0; j < dim; j++)
            switch (family) {
                case CLUSTERED: row[j] = 2 * centre[j] + 0.2f * row[j] / (float)(1 + j); break;
                case FAR_OFF: row[j] = 10000 + 0.01f * row[j]; break;
                case HUGE: row[j] *= 1e17f; break;
                case TINY: row[j] *= 1e-15f; break;
                case DENORMAL: row[j] *= 1e-30f; break;
                case FLAT: row[j] = j % 7 == 3 ? row[j] : 3; break;
                case EQUAL: row[j] = base[j]; break;
                case HEAVY: row[j] = (float)(pow((double)row[j], 3) * heavy); break;
                case INTEGERS: row[j] = (float)(rng_below(r, 256)); break;
                case UNSEEN: row[j] = training ? row[j] / (float)(j + 1) : 30 * row[j] + 5; break;
                default: break;
            }
        if (i % 16 == 15) /* duplicates */
            memcpy(row, rows + rng_below(r, i) * dim, dim * sizeof *row);
    }
    free(base);
}

/* One quantizer, encoded rows and the error of their list. */
struct filed {
    struct test_bench bench;
    struct quantizer *q;
    size_t n, dim, blocks;
    float *rows, *work;
    unsigned char *codes;
    float error;
};

static inline void *aligned(size_t bytes)
{
    void *p = aligned_alloc(64, (bytes + 63) / 64 * 64 + 64);
    assert_non_null(p);
    memset(p, 0, bytes);
    return p;
}

static inline void filed_open(struct filed *f, const struct kernels *kernels, size_t dim, size_t n)
{
    memset(f, 0, sizeof *f);
    test_bench_begin(&f->bench, INDEX_F32, INDEX_L2SQ, dim, 1);
    f->bench.env.kernels = kernels;
    f->n = n;
    f->dim = dim;
    f->blocks = (n + BLOCK - 1) / BLOCK;
    f->rows = calloc(n * dim, sizeof *f->rows);
    assert_non_null(f->rows);
}

static inline void filed_put(struct filed *f)
{
    const struct quantizer *q = f->q;
    f->work = calloc(f->n * q->work_dim, sizeof *f->work);
    f->codes = aligned(f->blocks * q->block_bytes);
    quantizer_transform(q, f->rows, f->n, f->work);
    for (size_t i = 0; i < f->n; i++)
        f->error = fmaxf(f->error, quantizer_put(q, f->work + i * q->work_dim, NULL,
                                                 f->codes + i / BLOCK * q->block_bytes, i % BLOCK));
}

static inline void filed_close(struct filed *f)
{
    quantizer_destroy(&f->bench.env, f->q);
    free(f->rows);
    free(f->work);
    free(f->codes);
    assert_int_equal(mem_live(&f->bench.mem), 0);
    test_bench_end(&f->bench);
}

/* Every row must pass a limit equal to its own distance, at any place in the block. Returns how
   many rows pass a limit that none can be below. */
static inline size_t expect_bound(const struct filed *f, const float *query_row, const char *what)
{
    const struct quantizer *q = f->q;
    const struct kernels *kernels = f->bench.env.kernels;
    void *query = aligned(q->query_bytes);
    float *work = calloc(q->work_dim, sizeof *work), estimate[BLOCK];
    quantizer_transform(q, query_row, 1, work);
    quantizer_query(q, work, query);
    quantizer_query_list(q, query, NULL, 0, f->error);
    size_t passed = 0;
    for (size_t i = 0; i < f->n; i++) {
        const void *block = f->codes + i / BLOCK * q->block_bytes;
        const float limit = kernels->l2sq_f32(query_row, f->rows + i * f->dim, f->dim);
        const uint64_t within = quantizer_scan(q, query, block, limit, estimate);
        if (!(within >> i % BLOCK & 1))
            print_error("%s %s dim %zu: row %zu at %.9g is lost, estimate %.9g error %.9g\n",
                        kernels->name, what, f->dim, i, (double)limit, (double)estimate[i % BLOCK],
                        (double)f->error);
        assert_true(within >> i % BLOCK & 1);
        passed += quantizer_scan(q, query, block, limit / 4, estimate) >> i % BLOCK & 1;
        assert_true(quantizer_scan(q, query, block, INFINITY, estimate) == UINT64_MAX);
    }
    free(work);
    free(query);
    return passed;
}

#endif
