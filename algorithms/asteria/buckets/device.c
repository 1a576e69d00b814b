/* device.c - the device of an index; rows rotated on it. */
#include "algorithms/asteria/buckets/device.h"

#include <math.h>

#include "algorithms/asteria/model/model.h"
#include "algorithms/asteria/rotation/bor.h"
#include "src/core/mem.h"

enum { ROWS_MIN = 64 /* fewer are rotated by the processor */ };

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

static void drop_encoder(struct asteria_device *d)
{
    if (d->encoder)
        d->cuda.library.ops->encoders->destroy(d->encoder);
    d->encoder = NULL;
}

void asteria_device_drop_bounds(struct asteria_device *d)
{
    if (d->bounds)
        d->cuda.library.ops->bounds->destroy(d->bounds);
    d->bounds = NULL;
}

void asteria_device_close(struct asteria_device *d, const struct index_env *env)
{
    if (!d)
        return;
    drop_encoder(d);
    asteria_device_drop_bounds(d);
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

static int bring_encoder(struct asteria_device *d, const struct asteria_model *model)
{
    const struct asteria_bor *b = model->rotation->bor;
    if (d->encoder && d->encoder_version == model->fitted.version)
        return 0;
    drop_encoder(d);
    const struct device_butterfly butterfly = { .dim = b->dim,
                                                .size = b->size,
                                                .passes = b->passes,
                                                .stages = b->stages,
                                                .bits = model->vantages ? 0 : model->m,
                                                .cosines = b->cosines,
                                                .sines = b->sines,
                                                .signs = b->signs,
                                                .shift = model->rotation->shift };
    d->encoder_version = model->fitted.version;
    return d->cuda.library.ops->encoders->create(d->cuda.session, &butterfly, &d->encoder);
}

int asteria_device_rotate(struct asteria_device *d, const struct index_env *env,
                          const struct asteria_model *model, const void *rows, size_t n, float *z,
                          uint64_t *words)
{
    const struct device_encoder_ops *ops = d->cuda.library.ops->encoders;
    pthread_mutex_lock(&d->lock);
    int failed = bring_encoder(d, model);
    if (failed == 0)
        failed = env->element == INDEX_U8 ? ops->encode_u8(d->encoder, rows, n, z, words)
                                          : ops->encode_f32(d->encoder, rows, n, z, words);
    const int rc = cuda_check(&d->cuda, failed, "asteria", env->error);
    if (rc != OK)
        drop_encoder(d); /* it may be lost with the device */
    pthread_mutex_unlock(&d->lock);
    return rc;
}
