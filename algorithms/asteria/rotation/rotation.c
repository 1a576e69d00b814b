/* rotation.c - rotations: creation, application, measurement; a rotation in a
 * snapshot. */
#include "algorithms/asteria/rotation/rotation.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "algorithms/asteria/rotation/bor.h"
#include "algorithms/common/durable/store_file.h"
#include "algorithms/common/rotation/axes.h"
#include "kernels/kernels.h"
#include "src/core/error.h"
#include "src/core/mem.h"
#include "src/core/order.h"
#include "src/core/rng.h"

/* Rows whose margins are measured: their median is good to a percent. */
enum { MARGIN_ROWS = 2048 };

void asteria_rotation_destroy(const struct index_env *env, struct asteria_rotation *t)
{
    if (!t)
        return;
    asteria_bor_destroy(env, t->bor);
    mem_free(env->mem, t->matrix);
    mem_free(env->mem, t->shift);
    mem_free(env->mem, t);
}

size_t asteria_rotation_outputs(enum asteria_rotation_kind kind, size_t dim)
{
    return rotation_is_network(kind) ? asteria_bor_size(dim) : (dim + 15) / 16 * 16;
}

size_t asteria_rotation_outputs_most(size_t dim)
{
    const size_t network = asteria_rotation_outputs(ROTATION_BOR, dim);
    const size_t dense = asteria_rotation_outputs(ROTATION_PCA, dim);

    return network > dense ? network : dense;
}

size_t asteria_rotation_bytes(const struct asteria_rotation *t)
{
    return sizeof *t + t->out_dim * sizeof *t->shift + (t->bor ? asteria_bor_bytes(t->bor) : 0) +
           (t->matrix ? t->out_dim * t->dim * sizeof *t->matrix : 0);
}

static void rotate(const struct asteria_rotation *t, const struct kernels *kernels,
                   const float *row, float *z)
{
    if (t->bor) {
        asteria_bor_apply(t->bor, row, z);
    } else if (t->matrix) {
        kernels->ip_f32_1n(row, t->matrix, t->out_dim, t->dim, z);
    } else {
        memcpy(z, row, t->dim * sizeof *z);
        memset(z + t->dim, 0, (t->out_dim - t->dim) * sizeof *z);
    }
}

void asteria_rotation_apply(const struct asteria_rotation *t, const struct kernels *kernels,
                            const float *row, float *z)
{
    const float *restrict shift = t->shift;
    rotate(t, kernels, row, z);
    for (size_t i = 0; i < t->out_dim; i++)
        z[i] -= shift[i];
}

/* Median of |z_i| sqrt(out_dim), i < m, over rows that are evenly spaced. */
static int median_margin(const struct asteria_rotation *t, const struct index_env *env,
                         const struct asteria_rotation_options *o, const float *rows, size_t n,
                         double *median)
{
    const size_t taken = n < MARGIN_ROWS ? n : MARGIN_ROWS, values = taken * o->m;
    struct mem_group g = { .mem = env->mem };
    float *z = mem_group_array(&g, t->out_dim, sizeof *z);
    float *margins = mem_group_array(&g, values, sizeof *margins);

    for (size_t i = 0; !g.failed && i < taken; i++) {
        asteria_rotation_apply(t, env->kernels, rows + i * n / taken * t->dim, z);
        for (size_t j = 0; j < o->m; j++)
            margins[i * o->m + j] = fabsf(z[j]);
    }
    if (!g.failed) {
        qsort(margins, values, sizeof *margins, order_f32);
        *median = (double)margins[values / 2] * sqrt((double)t->out_dim);
    }
    const int rc = g.failed ? fail(env->error, ERR_NO_MEMORY,
                                   "asteria: train: out of memory for %zu margins", values)
                            : OK;
    mem_group_free(&g);
    return rc;
}

/* A rotation that is not trained: a network with its first angles, or a matrix of zeros. On failure
   the caller destroys it. */
static int create(struct asteria_rotation **out, const struct index_env *env,
                  enum asteria_rotation_kind kind, size_t passes, enum asteria_bor_init init,
                  uint64_t seed)
{
    struct asteria_rotation *t = *out = mem_zalloc(env->mem, sizeof *t);
    const size_t dim = env->dim;

    if (t) {
        t->kind = kind;
        t->dim = dim;
        t->out_dim = asteria_rotation_outputs(kind, dim);
        t->shift = mem_zalloc(env->mem, t->out_dim * sizeof *t->shift);
        if (!rotation_is_network(kind) && kind != ROTATION_IDENTITY)
            t->matrix = mem_zalloc(env->mem, t->out_dim * dim * sizeof *t->matrix);
    }
    if (!t || !t->shift || (!rotation_is_network(kind) && kind != ROTATION_IDENTITY && !t->matrix))
        return fail(env->error, ERR_NO_MEMORY, "asteria: out of memory for a rotation of %zu", dim);
    return rotation_is_network(kind) ? asteria_bor_create(&t->bor, env, dim, passes, init, seed)
                                     : OK;
}

/* The shift is computed before and after training. */
static int train(struct asteria_rotation *t, const struct index_env *env,
                 const struct asteria_rotation_options *o, const float *mean, const float *rows,
                 size_t n, struct asteria_rotation_report *report)
{
    if (t->kind == ROTATION_BOR && o->from) {
        memcpy(t->bor->signs, o->from->bor->signs, o->passes * t->out_dim * sizeof(float));
        asteria_bor_set_angles(t->bor, o->from->bor->angles);
    }
    if (o->centre)
        rotate(t, env->kernels, mean, t->shift);
    int rc = median_margin(t, env, o, rows, n, &report->margin_before);
    report->margin_after = report->margin_before;
    if (rc != OK || t->kind != ROTATION_BOR || o->steps == 0)
        return rc;
    rc = asteria_bor_train(t->bor, env, o, o->centre ? mean : NULL, rows, n, report);
    if (rc != OK)
        return rc;
    if (o->centre)
        rotate(t, env->kernels, mean, t->shift);
    return median_margin(t, env, o, rows, n, &report->margin_after);
}

int asteria_rotation_train(struct asteria_rotation **rotation, const struct index_env *env,
                           const struct asteria_rotation_options *o, const float *rows, size_t n,
                           struct asteria_rotation_report *report)
{
    struct asteria_rotation_report seen = { 0 };
    if (env->dim > ASTERIA_ROTATION_DIM_MAX)
        return fail(env->error, ERR_ARGUMENT,
                    "asteria: train: rows of %zu dimensions; a rotation takes at most %d", env->dim,
                    ASTERIA_ROTATION_DIM_MAX);
    struct asteria_rotation *t;
    int rc = create(&t, env, o->kind, o->passes, o->kind == ROTATION_BOR ? o->init : BOR_HADAMARD,
                    o->seed);
    float *mean = mem_array(env->mem, env->dim, sizeof *mean);
    if (rc == OK && !mean)
        rc = fail(env->error, ERR_NO_MEMORY, "asteria: train: out of memory for a mean");
    if (rc == OK && t->matrix)
        rc = asteria_dense_train(t, env, o, rows, n);
    if (rc == OK) {
        axes_mean(rows, n, t->dim, mean);
        rc = train(t, env, o, mean, rows, n, &seen);
    }
    mem_free(env->mem, mean);
    if (rc != OK) {
        asteria_rotation_destroy(env, t);
        return rc;
    }
    if (report)
        *report = seen;
    *rotation = t;
    return OK;
}

double asteria_rotation_defect(const struct asteria_rotation *t, const struct kernels *kernels,
                               uint64_t seed, size_t n)
{
    _Alignas(64) float row[ASTERIA_ROTATION_DIM_MAX], z[ASTERIA_ROTATION_DIM_MAX];
    struct rng rng = rng_at(seed, 0);
    double worst = 0;
    for (size_t i = 0; i < n; i++) {
        double before = 0, after = 0;
        for (size_t j = 0; j < t->dim; j++) {
            row[j] = (float)rng_normal(&rng);
            before += (double)row[j] * (double)row[j];
        }
        rotate(t, kernels, row, z);
        for (size_t j = 0; j < t->out_dim; j++)
            after += (double)z[j] * (double)z[j];
        const double defect = fabs(sqrt(after) / sqrt(before) - 1);
        if (!isfinite(defect))
            return INFINITY;
        worst = fmax(worst, defect);
    }
    return worst;
}

/* ----------------------------------------------------------------------------------- snapshots */

/* passes 0: no network. */
struct rotation_head {
    uint32_t kind, passes;
};

static bool head_possible(const struct rotation_head *head, const struct index_env *env)
{
    return head->kind <= ROTATION_OPQ && env->dim <= ASTERIA_ROTATION_DIM_MAX &&
           head->passes <= BOR_PASSES_MAX &&
           (head->passes > 0) == rotation_is_network((enum asteria_rotation_kind)head->kind);
}

int asteria_rotation_field(struct store_fields *f, const struct index_env *env, char suffix,
                           struct asteria_rotation **rotation)
{
    struct rotation_head head = { 0 };
    if (f->w)
        head = (struct rotation_head){ (uint32_t)(*rotation)->kind,
                                       (*rotation)->bor ? (uint32_t)(*rotation)->bor->passes : 0 };
    if (store_copy(f, store_tag("turn", suffix).text, &head, 1, sizeof head) != OK)
        return f->code;
    if (f->r && !head_possible(&head, env))
        return f->code = store_corrupt(f->r, "a rotation's shape is not possible");
    if (f->r)
        f->code = create(rotation, env, (enum asteria_rotation_kind)head.kind, head.passes,
                         BOR_HADAMARD, 0);
    if (f->code != OK)
        return f->code;
    const struct asteria_rotation *t = *rotation;
    struct asteria_bor *b = t->bor;
    const size_t angles = b ? asteria_bor_n_angles(b) : 0, signs = b ? b->passes * b->size : 0;
    const size_t cells = t->matrix ? t->out_dim * t->dim : 0;
    store_copy(f, store_tag("shift", suffix).text, t->shift, t->out_dim, sizeof *t->shift);
    if (b) {
        store_copy(f, store_tag("angles", suffix).text, b->angles, angles, sizeof *b->angles);
        store_copy(f, store_tag("signs", suffix).text, b->signs, signs, sizeof *b->signs);
    }
    if (t->matrix)
        store_copy(f, store_tag("matrix", suffix).text, t->matrix, cells, sizeof *t->matrix);
    if (f->w || f->code != OK)
        return f->code;
    if (!index_all_finite(t->shift, t->out_dim) || (b && !index_all_finite(b->angles, angles)) ||
        (t->matrix && !index_all_finite(t->matrix, cells)))
        return f->code = store_corrupt(f->r, "a rotation has a number that is not finite");
    for (size_t i = 0; i < signs; i++)
        if (fabsf(b->signs[i]) != 1)
            return f->code = store_corrupt(f->r, "a rotation's sign is neither 1 nor -1");
    if (b)
        asteria_bor_set_angles(b, b->angles);
    return OK;
}
