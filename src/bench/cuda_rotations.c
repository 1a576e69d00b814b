/* cuda_rotations.c - Asteria's butterfly: rows rotated, with the signs of their outputs, and a step
 * of its training.
 *
 * One core is not measured here: its rotation belongs to a method, which src/ does not call.
 * configs/gpu/asteria.lua compares the two. */
#include "src/bench/cuda_internal.h"
#include "src/core/mem.h"

enum {
    PASSES = 1, /* asteria's defaults */
    BITS = 24,
    SHORT_DIM = 128,
    TRAIN_ROWS = 20000,
    TRAIN_CHUNK = 8,
    PAIR_FLOPS = 6,       /* four products, two sums: a pair of a stage */
    PAIR_BACK_FLOPS = 16, /* two rotations backwards, the angle's share, and its sum */
};

/* A butterfly whose angles are zero: the work is the same with any others. */
struct butterfly {
    struct device_butterfly shape;
    float *cosines, *sines, *signs, *shift;
    struct mem_group arrays;
};

static size_t n_angles(const struct device_butterfly *b)
{
    return b->passes * b->stages * b->size / 2;
}

static int butterfly_make(struct bench_cuda *b, size_t dim, struct butterfly *r)
{
    size_t size = 2, stages = 1;
    for (; size < dim; size *= 2)
        stages++;
    const size_t angles = PASSES * stages * size / 2;
    *r = (struct butterfly){ .arrays = { .mem = NULL } };
    r->cosines = mem_group_array(&r->arrays, angles, sizeof *r->cosines);
    r->sines = mem_group_zalloc(&r->arrays, angles, sizeof *r->sines);
    r->signs = mem_group_array(&r->arrays, PASSES * size, sizeof *r->signs);
    r->shift = mem_group_zalloc(&r->arrays, size, sizeof *r->shift);
    if (r->arrays.failed)
        return bench_cuda_no_memory(b);
    for (size_t i = 0; i < angles; i++)
        r->cosines[i] = 1;
    for (size_t i = 0; i < PASSES * size; i++)
        r->signs[i] = i % 2 ? -1 : 1;
    r->shape = (struct device_butterfly){ dim,        size,     PASSES,   stages,  BITS,
                                          r->cosines, r->sines, r->signs, r->shift };
    return OK;
}

/* ------------------------------------------------------------------------ encoding */

struct encoding {
    struct device_encoder *encoder;
    size_t n, dim;
    float *z;
    uint64_t *words;
};

static int run_encode(struct bench_cuda *b, void *with)
{
    const struct encoding *e = with;
    return b->ops->encoders->encode_f32(e->encoder, b->floats, e->n, e->z, e->words);
}

static int run_again(struct bench_cuda *b, void *with)
{
    const struct encoding *e = with;
    size_t rows;
    return b->ops->encoders->encode_again(e->encoder, b->sizes->again, &rows);
}

/* Rows are read, outputs and words written. */
static struct bench_cuda_work encoding_work(const struct device_butterfly *shape, size_t n)
{
    const double rows = (double)n, each = (double)(shape->dim + shape->size);
    return (struct bench_cuda_work){ .rows = rows,
                                     .memory_bytes =
                                         rows * (each * sizeof(float) + sizeof(uint64_t)),
                                     .flops = rows * PAIR_FLOPS * (double)n_angles(shape) };
}

/* A whole call, and then the rows that it left on the device, without copies. */
static int measure_encoding(struct bench_cuda *b, const struct device_butterfly *shape,
                            struct encoding *e)
{
    size_t rows = 0;
    struct bench_cuda_item item = { .name = "rotation and signs",
                                    .work = encoding_work(shape, e->n),
                                    .run = run_encode,
                                    .with = e };
    int rc = bench_cuda_measure(b, &item, "%zu x %zu rows to %zu outputs, %d bits", e->n, e->dim,
                                shape->size, BITS);
    if (rc == OK)
        rc = bench_cuda_check(b, b->ops->encoders->encode_again(e->encoder, 0, &rows));
    item.work = encoding_work(shape, b->sizes->again * rows);
    item.run = run_again;
    return rc == OK ? bench_cuda_measure(b, &item, "%zu times %zu x %zu rows on the device",
                                         b->sizes->again, rows, e->dim)
                    : rc;
}

static int measure_dim(struct bench_cuda *b, size_t dim)
{
    const struct device_encoder_ops *ops = b->ops->encoders;
    struct butterfly r;
    int rc = butterfly_make(b, dim, &r);
    struct encoding e = { .dim = dim };
    if (rc == OK) {
        e.n = b->sizes->outputs / r.shape.size;
        e.z = mem_array(NULL, e.n * r.shape.size, sizeof *e.z);
        e.words = mem_array(NULL, e.n, sizeof *e.words);
        rc = e.z && e.words ? OK : bench_cuda_no_memory(b);
    }
    if (rc == OK)
        rc = bench_cuda_check(b, ops->create(b->cuda.session, &r.shape, &e.encoder));
    if (rc == OK)
        rc = measure_encoding(b, &r.shape, &e);
    if (e.encoder)
        ops->destroy(e.encoder);
    mem_free(NULL, e.z);
    mem_free(NULL, e.words);
    mem_group_free(&r.arrays);
    return rc;
}

int bench_cuda_encode(struct bench_cuda *b)
{
    const int rc = measure_dim(b, SHORT_DIM);
    return rc == OK ? measure_dim(b, b->sizes->dim) : rc;
}

/* ------------------------------------------------------------------------ training */

struct training {
    const struct butterfly *butterfly;
    struct device_trainer *trainer;
    size_t batch;
    uint32_t *rows;   /* batch */
    float *heads;     /* batch x BITS */
    double *energies; /* of the outputs */
    double *d_angles;
    struct mem_group arrays;
};

/* The loss, between the two, is the processor's. */
static int run_train(struct bench_cuda *b, void *with)
{
    const struct training *t = with;
    const struct device_trainer_ops *ops = b->ops->trainers;
    const struct butterfly *r = t->butterfly;
    const int rc = ops->forward(t->trainer, r->cosines, r->sines, t->rows, t->heads, t->energies);
    return rc ? rc : ops->backward(t->trainer, b->floats, b->floats, t->d_angles);
}

static int measure_training(struct bench_cuda *b, struct training *t)
{
    const struct device_butterfly *shape = &t->butterfly->shape;
    const double batch = (double)t->batch;
    const struct bench_cuda_item item = {
        .name = "step of training",
        .work = { .rows = batch,
                  .memory_bytes = batch * SHORT_DIM * sizeof(float),
                  .flops = batch * (PAIR_FLOPS + PAIR_BACK_FLOPS) * (double)n_angles(shape) },
        .run = run_train,
        .with = t
    };
    return bench_cuda_measure(b, &item, "%zu x %d rows, %zu angles, %d outputs", t->batch,
                              SHORT_DIM, n_angles(shape), BITS);
}

static int training_make(struct bench_cuda *b, const struct butterfly *r, struct training *t)
{
    const struct device_training shape = { .butterfly = r->shape,
                                           .rows = b->floats,
                                           .n = TRAIN_ROWS,
                                           .batch = t->batch,
                                           .m = BITS,
                                           .chunk = TRAIN_CHUNK };
    t->rows = mem_group_array(&t->arrays, t->batch, sizeof *t->rows);
    t->heads = mem_group_array(&t->arrays, t->batch * BITS, sizeof *t->heads);
    t->energies = mem_group_array(&t->arrays, r->shape.size, sizeof *t->energies);
    t->d_angles = mem_group_array(&t->arrays, n_angles(&r->shape), sizeof *t->d_angles);
    if (t->arrays.failed)
        return bench_cuda_no_memory(b);
    for (size_t i = 0; i < t->batch; i++)
        t->rows[i] = (uint32_t)(b->codes[i] % TRAIN_ROWS);
    return bench_cuda_check(b, b->ops->trainers->create(b->cuda.session, &shape, &t->trainer));
}

int bench_cuda_train(struct bench_cuda *b)
{
    struct butterfly r;
    struct training t = { .butterfly = &r, .batch = b->sizes->train_batch };
    int rc = butterfly_make(b, SHORT_DIM, &r);
    if (rc == OK)
        rc = training_make(b, &r, &t);
    if (rc == OK)
        rc = measure_training(b, &t);
    if (t.trainer)
        b->ops->trainers->destroy(t.trainer);
    mem_group_free(&t.arrays);
    mem_group_free(&r.arrays);
    return rc;
}
