#include "algorithms/asteria/buckets/device.h"

#include "algorithms/asteria/model/model.h"
#include "algorithms/asteria/rotation/bor.h"
#include "src/core/device/cuda.h"
#include "src/core/mem.h"

enum { ROWS_MIN = 64 }; /* fewer are rotated by the processor */

struct asteria_device {
    struct cuda cuda;
    struct device_encoder *encoder; /* of the model with this version; NULL: none yet */
    uint32_t version;
    pthread_mutex_t lock; /* one batch at a time */
};

int asteria_device_open(struct asteria_device **out, const struct index_env *env)
{
    struct asteria_device *d = mem_zalloc(env->mem, sizeof *d);
    *out = NULL;
    if (!d)
        return fail(env->error, ERR_NO_MEMORY, "asteria: out of memory for a device");
    const int rc = cuda_open(&d->cuda, "asteria", "device", env->error);
    if (rc != OK) {
        mem_free(env->mem, d);
        return rc;
    }
    pthread_mutex_init(&d->lock, NULL);
    *out = d;
    return OK;
}

static void drop(struct asteria_device *d)
{
    if (d->encoder)
        d->cuda.library.ops->encoders->destroy(d->encoder);
    d->encoder = NULL;
}

void asteria_device_close(struct asteria_device *d, const struct index_env *env)
{
    if (!d)
        return;
    drop(d);
    cuda_close(&d->cuda);
    pthread_mutex_destroy(&d->lock);
    mem_free(env->mem, d);
}

bool asteria_device_rotates(const struct asteria_device *d, const struct asteria_model *model,
                            size_t n)
{
    return d && n >= ROWS_MIN && model->rotation->bor &&
           model->rotation->out_dim <= DEVICE_MAX_OUTPUTS;
}

static int bring(struct asteria_device *d, const struct asteria_model *model)
{
    const struct asteria_bor *b = model->rotation->bor;
    if (d->encoder && d->version == model->version)
        return 0;
    drop(d);
    const struct device_butterfly butterfly = { .dim = b->dim,
                                                .size = b->size,
                                                .passes = b->passes,
                                                .stages = b->stages,
                                                .bits = model->vantages ? 0 : model->m,
                                                .cosines = b->cosines,
                                                .sines = b->sines,
                                                .signs = b->signs,
                                                .shift = model->rotation->shift };
    d->version = model->version;
    return d->cuda.library.ops->encoders->create(d->cuda.session, &butterfly, &d->encoder);
}

int asteria_device_rotate(struct asteria_device *d, const struct index_env *env,
                          const struct asteria_model *model, const void *rows, size_t n, float *z,
                          uint64_t *words)
{
    const struct device_encoder_ops *ops = d->cuda.library.ops->encoders;
    pthread_mutex_lock(&d->lock);
    int failed = bring(d, model);
    if (failed == 0)
        failed = env->element == ELEMENT_U8 ? ops->encode_u8(d->encoder, rows, n, z, words)
                                            : ops->encode_f32(d->encoder, rows, n, z, words);
    const int rc = cuda_check(&d->cuda, failed, "asteria", env->error);
    if (rc != OK)
        drop(d); /* it may be lost with the device */
    pthread_mutex_unlock(&d->lock);
    return rc;
}

void asteria_device_stats(const struct asteria_device *d, struct stat_sink *sink)
{
    if (d)
        cuda_stats(&d->cuda, sink);
}

size_t asteria_device_bytes(const struct asteria_device *d)
{
    return d ? sizeof *d : 0;
}
