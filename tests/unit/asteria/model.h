/* model.h - models fitted to random rows, and what they compute for rows. */
#ifndef DRIFTLINE_TESTS_UNIT_ASTERIA_MODEL_H
#define DRIFTLINE_TESTS_UNIT_ASTERIA_MODEL_H

#include "algorithms/asteria/model/model.h"

#include "algorithms/asteria/asteria.h"
#include "algorithms/common/durable/store_file.h"
#include "tests/support/testing.h"

enum { ROTATIONS = ROTATION_AUTO + 1, CODES = ECC_NONE + 1 };

static inline struct asteria_params params_of(enum asteria_rotation_kind rotation,
                                              enum asteria_code code)
{
    struct asteria_params p;
    param_defaults(asteria_ops.params, &p);
    p.rotation = rotation;
    p.code = code;
    p.train_steps = 3;
    p.batch = 16;
    return p;
}

/* A bench with n random rows. */
struct trial {
    struct test_bench b;
    struct rng r;
    float *rows;
};

static inline void trial_begin_of(struct trial *t, size_t n, size_t dim, size_t threads,
                                  uint64_t stream, size_t clusters, double spread)
{
    test_bench_begin(&t->b, INDEX_F32, INDEX_COS, dim, threads);
    t->r = rng_at(test_seed(), stream);
    t->rows = malloc(n * dim * sizeof *t->rows);
    assert_non_null(t->rows);
    test_fill_f32(&t->r, t->rows, n, dim, clusters, spread);
    test_normalise_f32(t->rows, n, dim);
}

static inline void trial_begin(struct trial *t, size_t n, size_t dim, size_t threads,
                               uint64_t stream)
{
    trial_begin_of(t, n, dim, threads, stream, 8, .4);
}

static inline void trial_end(struct trial *t)
{
    assert_int_equal(mem_live(&t->b.mem), 0);
    test_bench_end(&t->b);
    free(t->rows);
}

static inline struct asteria_model *fitted(struct test_bench *b, const struct asteria_params *p,
                                           unsigned bits, const float *rows, size_t n,
                                           const struct asteria_model *from)
{
    struct asteria_model *model = NULL;
    assert_ok(asteria_model_fit(&model, &b->env, p, bits, rows, n, from,
                                from ? from->fitted.version + 1 : 1, NULL),
              &b->error);
    assert_ok(asteria_model_check(model, &b->env), &b->error);
    return model;
}

/* All that a model computes for a row. */
struct said {
    _Alignas(64) float z[2048];
    float p[ECC_WORD_MAX];
    uint64_t word;
    uint32_t address;
    _Alignas(64) unsigned char code[8192];
};

static inline void say(const struct asteria_model *model, const struct kernels *kernels,
                       const float *row, struct said *s)
{
    memset(s, 0, sizeof *s);
    asteria_model_project(model, kernels, row, s->z, s->p);
    s->word = asteria_ecc_word(&model->ecc, s->p);
    s->address = asteria_ecc_decode(&model->ecc, s->p);
    asteria_lrsq_put(model->lrsq, s->z, s->code);
}

static inline void same_words(const struct asteria_model *a, const struct asteria_model *b,
                              const struct test_bench *t, const float *rows, size_t n)
{
    static struct said of_a, of_b;
    assert_int_equal(a->m, b->m);
    assert_memory_equal(&a->fitted.calibration, &b->fitted.calibration,
                        sizeof a->fitted.calibration);
    assert_memory_equal(a->fitted.bit_mean, b->fitted.bit_mean, sizeof a->fitted.bit_mean);
    assert_memory_equal(a->fitted.bit_margin, b->fitted.bit_margin, sizeof a->fitted.bit_margin);
    for (size_t i = 0; i < n; i++) {
        say(a, t->env.kernels, rows + i * t->env.dim, &of_a);
        say(b, t->env.kernels, rows + i * t->env.dim, &of_b);
        assert_memory_equal(&of_a, &of_b, sizeof of_a);
    }
    const size_t bytes = quantizer_save(a->quantizer, NULL);
    assert_int_equal(bytes, quantizer_save(b->quantizer, NULL));
    unsigned char *saved = calloc(2, bytes);
    (void)quantizer_save(a->quantizer, saved);
    (void)quantizer_save(b->quantizer, saved + bytes);
    assert_memory_equal(saved, saved + bytes, bytes);
    free(saved);
}

#endif
