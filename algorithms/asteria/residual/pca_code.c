/* pca_code.c - see pca_code.h. */
#include "algorithms/asteria/residual/pca_code.h"

#include <math.h>
#include <string.h>

#include "algorithms/common/durable/store_file.h"
#include "algorithms/common/rotation/axes.h"
#include "kernels/kernels.h"
#include "src/core/mem.h"

/* Floats of axes, offsets, rest and usual. */
static size_t n_floats(size_t rank, size_t dim)
{
    return (rank + 1) * (dim + 1) + 2;
}

static struct asteria_pca_code *pca_code_new(const struct index_env *env, size_t rank)
{
    struct asteria_pca_code *o = mem_zalloc(env->mem, sizeof *o);
    float *all = mem_array(env->mem, n_floats(rank, env->dim), sizeof *all);

    if (o && all) {
        float *offsets = all + (rank + 1) * env->dim, *rest = offsets + rank + 1;
        *o = (struct asteria_pca_code){ env->dim, rank, all, offsets, rest, rest + 1 };
        return o;
    }
    mem_free(env->mem, o);
    mem_free(env->mem, all);
    return NULL;
}

void asteria_pca_code_destroy(const struct index_env *env, struct asteria_pca_code *o)
{
    if (!o)
        return;
    mem_free(env->mem, o->axes);
    mem_free(env->mem, o);
}

size_t asteria_pca_code_bytes(const struct asteria_pca_code *o)
{
    return o ? sizeof *o + n_floats(o->rank, o->dim) * sizeof(float) : 0;
}

int asteria_pca_code_fit(struct asteria_pca_code **out, const struct index_env *env, size_t rank,
                         const float *rows, size_t n)
{
    struct asteria_pca_code *o = pca_code_new(env, rank);
    float *to = mem_array(env->mem, rank + 1, sizeof *to);
    double rest = 0, squares = 0;
    int rc = o && to ? OK
                     : fail(env->error, ERR_NO_MEMORY,
                            "asteria: train: out of memory for axes of %zu rows", n);

    if (rc == OK)
        rc = axes_find(env, rows, n, rank, o->axes + rank * env->dim, o->axes, NULL);
    if (rc == OK) {
        const float *mean = o->axes + rank * env->dim;

        env->kernels->ip_f32_1n(mean, o->axes, rank + 1, env->dim, o->offsets);
        for (size_t i = 0; i < n; i++) {
            const float e =
                asteria_pca_code_make(o, env->kernels, rows + i * env->dim, PCA_CODE_ROW, to);

            rest += (double)e;
            squares += (double)(e * e);
        }
        rest /= (double)n;
        *o->rest = (float)rest;
        *o->usual = (float)(rest + 3 * sqrt(fmax(squares / (double)n - rest * rest, 0)));
        *out = o;
    } else {
        asteria_pca_code_destroy(env, o);
    }
    mem_free(env->mem, to);
    return rc;
}

float asteria_pca_code_make(const struct asteria_pca_code *o, const struct kernels *kernels,
                            const float *unit, enum asteria_pca_code_of of, float *to)
{
    const size_t rank = o->rank;
    float length = kernels->ip_f32(unit, unit, o->dim) + o->offsets[rank], kept = 0;

    kernels->ip_f32_1n(unit, o->axes, rank + 1, o->dim, to);
    length -= 2 * to[rank];
    for (size_t i = 0; i < rank; i++) {
        to[i] -= o->offsets[i];
        kept += to[i] * to[i];
    }
    const float rest = sqrtf(fmaxf(length - kept, 0));
    to[rank] = of == PCA_CODE_ROW ? rest : of == PCA_CODE_CENTRE ? *o->rest : 0;
    return rest;
}

int asteria_pca_code_field(struct store_fields *f, const struct index_env *env, size_t rank,
                           char suffix, struct asteria_pca_code **o)
{
    const size_t n = n_floats(rank, env->dim);

    if (f->r && !(*o = pca_code_new(env, rank)))
        return f->code = fail(env->error, ERR_NO_MEMORY,
                              "asteria: load: out of memory for the PCA code's axes");
    if (store_copy(f, store_tag("outline", suffix).text, (*o)->axes, n, sizeof *(*o)->axes) != OK ||
        f->w)
        return f->code;
    if (!index_all_finite((*o)->axes, n))
        return f->code = store_corrupt(f->r, "an axis of the PCA code is not finite");
    if (!(axes_defect((*o)->axes, rank, env->dim) < 1e-4))
        f->code = store_corrupt(f->r, "the PCA code's axes are not orthonormal");
    return f->code;
}
