/* outline.c - see outline.h. */
#include "algorithms/asteria/outline.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "algorithms/common/axes.h"
#include "algorithms/common/store_file.h"
#include "kernels/kernels.h"
#include "src/core/mem.h"

static struct outline *outline_new(const struct index_env *env, size_t rank)
{
    struct outline *o = mem_zalloc(env->mem, sizeof *o);

    if (!o)
        return NULL;
    o->dim = env->dim;
    o->rank = rank;
    o->axes = mem_array(env->mem, (rank + 1) * env->dim, sizeof *o->axes);
    o->offsets = mem_array(env->mem, rank + 1, sizeof *o->offsets);
    if (o->axes && o->offsets)
        return o;
    outline_destroy(env, o);
    return NULL;
}

void outline_destroy(const struct index_env *env, struct outline *o)
{
    if (!o)
        return;
    mem_free(env->mem, o->axes);
    mem_free(env->mem, o->offsets);
    mem_free(env->mem, o);
}

size_t outline_bytes(const struct outline *o)
{
    return o ? sizeof *o + (o->rank + 1) * (o->dim + 1) * sizeof(float) : 0;
}

int outline_fit(struct outline **out, const struct index_env *env, size_t rank, const float *rows,
                size_t n)
{
    struct outline *o = outline_new(env, rank);
    float *to = mem_array(env->mem, rank + 1, sizeof *to);
    double rest = 0, squares = 0;
    int rc = o && to ? OK
                     : fail(env->error, ERR_NO_MEMORY,
                            "asteria: train: no memory for axes of %zu rows", n);

    if (rc == OK)
        rc = axes_find(env, rows, n, rank, o->axes + rank * env->dim, o->axes);
    if (rc == OK) {
        const float *mean = o->axes + rank * env->dim;

        env->kernels->ip_f32_1n(mean, o->axes, rank + 1, env->dim, o->offsets);
        for (size_t i = 0; i < n; i++) {
            const float e = outline_make(o, env->kernels, rows + i * env->dim, OUTLINE_ROW, to);

            rest += (double)e;
            squares += (double)(e * e);
        }
        rest /= (double)n;
        o->rest = (float)rest;
        o->usual = (float)(rest + 3 * sqrt(fmax(squares / (double)n - rest * rest, 0)));
        *out = o;
    } else {
        outline_destroy(env, o);
    }
    mem_free(env->mem, to);
    return rc;
}

float outline_make(const struct outline *o, const struct kernels *kernels, const float *unit,
                   enum outline_of of, float *to)
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
    to[rank] = of == OUTLINE_ROW ? rest : of == OUTLINE_CENTRE ? o->rest : 0;
    return rest;
}

/* -------------------------------------------------------------------------------- snapshots */

static const char *tag_of(char tag[STORE_TAG_BYTES], char suffix)
{
    (void)snprintf(tag, STORE_TAG_BYTES, "outline%c", suffix);
    return tag;
}

void outline_write(const struct outline *o, struct store_writer *w, char suffix)
{
    char tag[STORE_TAG_BYTES];

    store_section(w, tag_of(tag, suffix));
    store_write(w, o->axes, (o->rank + 1) * o->dim * sizeof *o->axes);
    store_write(w, o->offsets, (o->rank + 1) * sizeof *o->offsets);
    store_write(w, &o->rest, sizeof o->rest);
    store_write(w, &o->usual, sizeof o->usual);
}

int outline_read(struct outline **out, const struct index_env *env, const struct store_reader *r,
                 size_t rank, char suffix)
{
    const size_t n_axes = (rank + 1) * env->dim, n = n_axes + rank + 3;
    char tag[STORE_TAG_BYTES];
    const float *stored = NULL;
    const int rc = store_need_array(r, tag_of(tag, suffix), n, sizeof *stored, &stored);

    if (rc != OK)
        return rc;
    for (size_t i = 0; i < n; i++)
        if (!isfinite(stored[i]))
            return store_corrupt(r, "an axis of the outline is not finite");
    struct outline *o = outline_new(env, rank);
    if (!o)
        return fail(env->error, ERR_NO_MEMORY, "asteria: load: no memory for the outline's axes");
    memcpy(o->axes, stored, n_axes * sizeof *stored);
    memcpy(o->offsets, stored + n_axes, (rank + 1) * sizeof *stored);
    o->rest = stored[n - 2];
    o->usual = stored[n - 1];
    *out = o;
    if (axes_defect(o->axes, rank, env->dim) < 1e-4)
        return OK;
    return store_corrupt(r, "the outline's axes are not orthonormal");
}
