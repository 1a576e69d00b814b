/* quantizer.c - training and storing, by the functions of the kind. */
#include "algorithms/common/quantizer/quantizer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "algorithms/common/durable/store_file.h"
#include "kernels/kernels.h"
#include "src/core/mem.h"
#include "src/core/order.h"

/* The functions of a kind are in the file of its name, those of sq8 in sketch.c. */
static const struct quantizer_ops *const kinds[] = {
    [QUANTIZER_SKETCH] = &quantizer_sketch_ops,
    [QUANTIZER_SQ8] = &quantizer_sketch_ops,
    [QUANTIZER_PQ] = &pq_ops,
    [QUANTIZER_RABITQ] = &rabitq_ops,
    [QUANTIZER_PLANES] = &rabitq_planes_ops,
    [QUANTIZER_ANISOTROPIC] = &pq_anisotropic_ops,
};

enum { N_KINDS = sizeof kinds / sizeof *kinds };

/* Precedes a kind's own bytes in a file. */
struct head {
    uint64_t kind, dim;
};

static const struct quantizer_ops *ops_of(uint64_t kind)
{
    return kind < N_KINDS ? kinds[kind] : NULL;
}

static void finish(struct quantizer *q, const struct quantizer_ops *ops, enum quantizer_kind kind,
                   size_t dim)
{
    if (!q)
        return;
    q->ops = ops;
    q->kind = kind;
    q->dim = dim;
}

/* The greatest norm, squared, of a row that counts. More than a few far rows are no outliers: all
   count. Sorts the n norms. */
static float near_norm_sq(float *norms, size_t n)
{
    enum { FAR = 8, SHARE = 32 }; /* times the median norm; 1 + n / SHARE are a few */
    const size_t few = 1 + n / SHARE;

    qsort(norms, n, sizeof *norms, order_f32);
    const float limit = norms[n / 2] * FAR * FAR;
    return n > few && limit > 0 && norms[n - 1 - few] <= limit ? limit : INFINITY;
}

const float *quantizer_near_rows(const struct index_env *env, const float *rows, size_t n,
                                 size_t *near, float **copy)
{
    const size_t dim = env->dim;
    float *norms = mem_array(env->mem, 2 * n, sizeof *norms);
    *copy = NULL;
    *near = 0;
    if (!norms)
        return NULL;
    for (size_t i = 0; i < n; i++)
        norms[i] = norms[n + i] = env->kernels->ip_f32(rows + i * dim, rows + i * dim, dim);
    const float limit = near_norm_sq(norms + n, n);
    for (size_t i = 0; i < n; i++)
        *near += norms[i] <= limit;
    if (*near < n)
        *copy = mem_array(env->mem, *near, dim * sizeof **copy);
    for (size_t i = 0, to = 0; *copy && i < n; i++)
        if (norms[i] <= limit)
            memcpy(*copy + to++ * dim, rows + i * dim, dim * sizeof **copy);
    mem_free(env->mem, norms);
    return *near < n ? *copy : rows;
}

int quantizer_train(struct quantizer **out, const struct index_env *env,
                    const struct quantizer_options *options, const float *rows, size_t n)
{
    const struct quantizer_ops *ops = ops_of(options->kind);
    *out = NULL;
    if (!ops)
        return fail(env->error, ERR_UNSUPPORTED, "quantizer: kind %d is not in this build",
                    (int)options->kind);
    float *copy;
    rows = quantizer_near_rows(env, rows, n, &n, &copy);
    const int rc = rows ? ops->train(out, env, options, rows, n)
                        : fail(env->error, ERR_NO_MEMORY, "quantizer: out of memory for norms");
    mem_free(env->mem, copy);
    finish(*out, ops, options->kind, env->dim);
    return rc;
}

size_t quantizer_save(const struct quantizer *q, void *bytes)
{
    if (!bytes)
        return sizeof(struct head) + q->ops->save(q, NULL);
    memcpy(bytes, &(struct head){ q->kind, q->dim }, sizeof(struct head));
    return sizeof(struct head) + q->ops->save(q, (unsigned char *)bytes + sizeof(struct head));
}

int quantizer_load(struct quantizer **out, const struct index_env *env, const void *bytes, size_t n)
{
    struct head head;
    *out = NULL;
    if (n < sizeof head)
        return fail(env->error, ERR_CORRUPT, "quantizer: %zu bytes are not a quantizer", n);
    memcpy(&head, bytes, sizeof head);
    const struct quantizer_ops *ops = ops_of(head.kind);
    if (!ops || head.dim != env->dim)
        return fail(env->error, ERR_CORRUPT,
                    "quantizer: kind %llu of dimension %llu; expected dimension %zu",
                    (unsigned long long)head.kind, (unsigned long long)head.dim, env->dim);
    int rc = ops->load(out, env, (const unsigned char *)bytes + sizeof head, n - sizeof head);
    finish(*out, ops, (enum quantizer_kind)head.kind, env->dim);
    return rc;
}

static void write_field(struct store_writer *w, const char *tag, const struct index_env *env,
                        const struct quantizer *q)
{
    const size_t n = quantizer_save(q, NULL);
    void *bytes = mem_zalloc(env->mem, n);
    if (!bytes) {
        store_fail(w, fail(w->error, ERR_NO_MEMORY, "save: out of memory for a quantizer"));
        return;
    }
    (void)quantizer_save(q, bytes);
    store_section(w, tag);
    store_write(w, bytes, n);
    mem_free(env->mem, bytes);
}

int quantizer_field(struct store_fields *f, const char *tag, const struct index_env *env,
                    struct quantizer **q)
{
    size_t n = 0;
    const void *bytes = f->r && f->code == OK ? store_find(f->r, tag, &n) : NULL;
    if (f->w && *q)
        write_field(f->w, tag, env, *q);
    if (bytes && (f->code = quantizer_load(q, env, bytes, n)) != OK)
        (void)fail_within(env->error, "%s: section \"%s\"", f->r->path, tag);
    return f->code;
}
