#include "algorithms/asteria/buckets/device.h"

#include <math.h>

#include "algorithms/asteria/model/model.h"
#include "algorithms/asteria/rotation/bor.h"
#include "src/core/mem.h"

enum { ROWS_MIN = 64 /* fewer are rotated by the processor */, CODES_A_COPY = 4096 };

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

static void drop_bounds(struct asteria_device *d)
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
    drop_bounds(d);
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

/* What put_codes() copies from. */
struct coded {
    struct asteria *a;
    size_t dim;
    uint8_t *bytes; /* CODES_A_COPY x dim */
    struct device_bound_row *rows;
};

static int put_codes(void *to, size_t first, size_t n)
{
    struct coded *c = to;
    struct asteria *a = c->a;
    const struct asteria_device *d = a->device;
    const struct asteria_generation *g = a->generations[a->now];
    int rc = 0;
    for (size_t end = first + n, now; rc == 0 && first < end; first += now) {
        now = end - first < CODES_A_COPY ? end - first : CODES_A_COPY;
        for (size_t i = 0; i < now; i++) {
            c->rows[i].norm = INFINITY; /* no row */
            if (a->ids[first + i] != INDEX_NO_ID)
                asteria_lrsq_device_code(g->model->lrsq, segmented_at(&g->codes, first + i),
                                         c->bytes + i * c->dim, &c->rows[i]);
        }
        rc = d->cuda.library.ops->bounds->put(d->bounds, first, c->bytes, c->rows, now);
    }
    return rc;
}

/* Brings the copy of the codes up to date. */
static int bring_bounds(struct asteria *a)
{
    struct asteria_device *d = a->device;
    const struct index_env *env = &a->base.env;
    const struct asteria_model *model = a->generations[a->now]->model;
    struct coded c = { .a = a, .dim = asteria_lrsq_device_dim(model->lrsq) };
    int failed = 0;
    if (!d->bounds || d->bounds_version != model->fitted.version) {
        drop_bounds(d);
        a->on_device = (struct cuda_copy){ 0 };
        d->bounds_version = model->fitted.version;
        failed = d->cuda.library.ops->bounds->create(d->cuda.session, c.dim, &d->bounds);
    }
    c.bytes = mem_zalloc(env->mem, CODES_A_COPY * c.dim);
    c.rows = mem_zalloc(env->mem, CODES_A_COPY * sizeof *c.rows);
    if (failed == 0 && c.bytes && c.rows)
        failed = cuda_copy_bring(&a->on_device, a->n_slots, put_codes, &c);
    const int rc = failed == 0 && (!c.bytes || !c.rows)
                       ? fail(env->error, ERR_NO_MEMORY, "asteria: out of memory to copy codes")
                       : cuda_check(&d->cuda, failed, "asteria", env->error);
    mem_free(env->mem, c.bytes);
    mem_free(env->mem, c.rows);
    return rc;
}

int asteria_device_candidates(struct asteria *a, const struct device_bound_queries *queries,
                              size_t k, float slack, size_t capacity, uint32_t *found,
                              struct device_candidate *out)
{
    struct asteria_device *d = a->device;
    pthread_mutex_lock(&d->lock);
    int rc = bring_bounds(a);
    if (rc == OK)
        rc = cuda_check(&d->cuda,
                        d->cuda.library.ops->bounds->candidates(d->bounds, a->n_slots, queries, k,
                                                                slack, capacity, found, out),
                        "asteria", a->base.env.error);
    if (rc != OK)
        drop_bounds(d); /* they may be lost with the device */
    pthread_mutex_unlock(&d->lock);
    return rc;
}
