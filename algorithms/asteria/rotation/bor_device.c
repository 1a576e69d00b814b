#include "algorithms/asteria/rotation/bor_device.h"

#include "src/core/device/cuda.h"
#include "src/core/error.h"
#include "src/core/mem.h"
#include "src/core/parallel.h"

enum { BLOCKS_AT_ONCE = 4 };
_Static_assert((int)BOR_LANES == (int)DEVICE_TRAIN_LANES, "a block has the same rows on a device");

static const struct device_trainer_ops *ops_of(const struct asteria_bor_device *d)
{
    return d->at->cuda->library.ops->trainers;
}

int asteria_bor_device_begin(struct asteria_bor_device *d, const struct index_env *env,
                             const struct asteria_trainer *at, const struct asteria_bor *b,
                             const struct asteria_bor_loss *loss, const float *mean,
                             const float *rows, size_t n)
{
    *d = (struct asteria_bor_device){ .at = at };
    if (!at)
        return OK;
    const struct device_training training = { .butterfly = { .dim = b->dim,
                                                             .size = b->size,
                                                             .passes = b->passes,
                                                             .stages = b->stages,
                                                             .signs = b->signs },
                                              .rows = rows,
                                              .mean = mean,
                                              .n = n,
                                              .batch = 2 * loss->n,
                                              .m = loss->m,
                                              .chunk = BOR_CHUNK };
    d->heads = mem_array(env->mem, 2 * loss->n * loss->m, sizeof *d->heads);
    if (!d->heads)
        return fail(env->error, ERR_NO_MEMORY, "asteria: train: out of memory for outputs");
    pthread_mutex_lock(at->lock);
    const int rc =
        cuda_check(at->cuda, ops_of(d)->create(at->cuda->session, &training, &d->trainer),
                   "asteria: train", env->error);
    pthread_mutex_unlock(at->lock);
    return rc;
}

void asteria_bor_device_end(struct asteria_bor_device *d, const struct index_env *env)
{
    mem_free(env->mem, d->heads);
    if (!d->trainer)
        return;
    pthread_mutex_lock(d->at->lock);
    ops_of(d)->destroy(d->trainer);
    pthread_mutex_unlock(d->at->lock);
}

struct reading {
    struct asteria_bor_loss *loss;
    const float *heads;
};

static int read_heads(void *arg, size_t first, size_t end, size_t worker)
{
    const struct reading *r = arg;
    (void)worker;
    for (size_t row = first * BOR_LANES; row < end * BOR_LANES; row++)
        asteria_bor_loss_rotate(
            r->loss, row, r->heads + row / BOR_LANES * BOR_LANES * r->loss->m + row % BOR_LANES,
            BOR_LANES);
    return OK;
}

int asteria_bor_device_forward(struct asteria_bor_device *d, const struct index_env *env,
                               const struct asteria_bor *b, struct asteria_bor_loss *loss,
                               const uint32_t *batch, double *energy)
{
    struct reading reading = { loss, d->heads };
    pthread_mutex_lock(d->at->lock);
    const int rc = cuda_check(
        d->at->cuda, ops_of(d)->forward(d->trainer, b->cosines, b->sines, batch, d->heads, energy),
        "asteria: train", env->error);
    pthread_mutex_unlock(d->at->lock);
    return rc == OK ? parallel_for(env->pool, pool_threads(env->pool), 2 * loss->n / BOR_LANES,
                                   BLOCKS_AT_ONCE, read_heads, &reading)
                    : rc;
}

int asteria_bor_device_backward(struct asteria_bor_device *d, const struct index_env *env,
                                const struct asteria_bor_loss *loss, double *d_angles)
{
    pthread_mutex_lock(d->at->lock);
    const int rc = cuda_check(d->at->cuda,
                              ops_of(d)->backward(d->trainer, loss->gradient, loss->pull, d_angles),
                              "asteria: train", env->error);
    pthread_mutex_unlock(d->at->lock);
    return rc;
}
