/* bec.h - a tree over rows in memory and a reference copy of its content, for the tests of
   this folder. */
#ifndef DRIFTLINE_TESTS_UNIT_ASTERIA_TREE_BEC_H
#define DRIFTLINE_TESTS_UNIT_ASTERIA_TREE_BEC_H

#include "algorithms/asteria/model/model.h"
#include "algorithms/asteria/tree/internal.h"
#include "tests/support/testing.h"

enum { SLOTS = 6000, DIM = 32, RANK = 12 };

/* Rows of DIM floats by slot: the first floats are p, the last RANK are y. */
struct forest {
    struct test_bench bench;
    struct rng rng;
    struct asteria_model model;
    struct asteria_bec_options options;
    struct asteria_bec *bec;
    float (*z)[DIM];
    bool alive[SLOTS];
    size_t n_alive;
};

static inline void forest_vector(void *to, uint32_t slot, float *y)
{
    const struct forest *f = to;

    memcpy(y, f->z[slot] + DIM - RANK, RANK * sizeof *y);
}

/* constant: mask of bits that are equal in all rows. */
static inline void forest_draw(struct forest *f, unsigned bits, size_t clusters, double spread,
                               unsigned constant)
{
    test_fill_f32(&f->rng, f->z[0], SLOTS, DIM, clusters, spread);
    test_normalise_f32(f->z[0], SLOTS, DIM);
    for (size_t i = 0; i < SLOTS; i++)
        for (unsigned j = 0; j < bits; j++)
            if (constant >> j & 1)
                f->z[i][j] = 0.1F;
}

static inline void forest_learn_bits(struct forest *f)
{
    for (unsigned j = 0; j < ECC_WORD_MAX; j++) {
        f->model.fitted.bit_mean[j] = f->model.fitted.bit_margin[j] = 0;
        for (size_t i = 0; i < SLOTS && j < f->model.m; i++) {
            f->model.fitted.bit_mean[j] += (double)(f->z[i][j] < 0) / SLOTS;
            f->model.fitted.bit_margin[j] += fabs((double)f->z[i][j]) / SLOTS;
        }
    }
}

/* Makes the tree, empty. */
static inline void forest_create(struct forest *f)
{
    asteria_bec_destroy(f->bec);
    assert_ok(asteria_bec_create(&f->bec, &f->bench.env, &f->model, &f->options), &f->bench.error);
}

static inline void forest_open(struct forest *f, enum asteria_code code, unsigned bits,
                               size_t leaf_cap, size_t clusters, double spread, unsigned constant,
                               uint64_t stream)
{
    memset(f, 0, sizeof *f);
    test_bench_begin(&f->bench, INDEX_F32, INDEX_COS, DIM, 1);
    f->rng = rng_at(test_seed(), stream);
    f->z = calloc(SLOTS, sizeof *f->z);
    assert_non_null(f->z);
    asteria_ecc_init(&f->model.ecc, code, bits);
    f->model.m = f->model.ecc.n;
    assert_true(f->model.m <= DIM);
    forest_draw(f, bits, clusters, spread, constant);
    forest_learn_bits(f);
    f->options = (struct asteria_bec_options){
        .rows = { forest_vector, f }, .rank = RANK, .leaf_cap = leaf_cap, .penalty = 0.1
    };
    forest_create(f);
}

/* By the paper's rules and with prototypes. */
static inline void forest_by_paper(struct forest *f, size_t prototypes)
{
    f->options.by_entropy = true;
    f->options.prototypes = prototypes;
    forest_create(f);
}

static inline void forest_close(struct forest *f)
{
    asteria_bec_destroy(f->bec);
    assert_int_equal(mem_live(&f->bench.mem), 0);
    free(f->z);
    test_bench_end(&f->bench);
}

static inline uint32_t forest_address(const struct forest *f, uint32_t slot)
{
    return asteria_ecc_decode(&f->model.ecc, f->z[slot]);
}

static inline void forest_add(struct forest *f, uint32_t slot)
{
    asteria_bec_add(f->bec, slot, forest_address(f, slot), f->z[slot]);
    f->alive[slot] = true;
    f->n_alive++;
}

static inline void forest_add_all(struct forest *f, uint32_t first, uint32_t end)
{
    assert_ok(asteria_bec_reserve(f->bec, end), &f->bench.error);
    for (uint32_t slot = first; slot < end; slot++)
        forest_add(f, slot);
}

static inline void forest_take(struct forest *f, uint32_t slot)
{
    asteria_bec_remove(f->bec, slot);
    f->alive[slot] = false;
    f->n_alive--;
}

static inline void forest_take_all(struct forest *f, uint32_t first, uint32_t end)
{
    for (uint32_t slot = first; slot < end; slot++)
        if (f->alive[slot])
            forest_take(f, slot);
}

static inline void forest_check(const struct forest *f)
{
    struct error error = { 0 };

    assert_ok(asteria_bec_check(f->bec, &error), &error);
    assert_int_equal(f->bec->state.n, f->n_alive);
}

static inline void forest_maintain_all(struct forest *f)
{
    bool more = true;

    for (unsigned i = 0; i < 1000 && more; i++)
        assert_ok(asteria_bec_maintain(f->bec, 0, &more), &f->bench.error);
    assert_false(more);
    forest_check(f);
}

#endif
