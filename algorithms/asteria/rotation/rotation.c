/* rotation.c - rotations: creation, application, measurement. In a snapshot a rotation is a section: a
 * head, the shift, then angles and signs or the matrix. */
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

size_t asteria_rotation_outputs_most(size_t dim)
{
    const size_t network = asteria_bor_size(dim), dense = (dim + 15) / 16 * 16;

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

static int make(struct asteria_rotation *t, const struct index_env *env,
                const struct asteria_rotation_options *o, const float *rows, size_t n)
{
    const bool learned = t->kind == ROTATION_BOR;
    t->out_dim = (t->dim + 15) / 16 * 16;
    if (t->kind == ROTATION_IDENTITY)
        return OK;
    if (!learned && t->kind != ROTATION_HADAMARD)
        return asteria_dense_train(t, env, o, rows, n);
    const int rc = asteria_bor_create(&t->bor, env, t->dim, o->passes,
                                      learned ? o->init : BOR_HADAMARD, o->seed);
    if (rc != OK)
        return rc;
    t->out_dim = t->bor->size;
    if (learned && o->from) {
        memcpy(t->bor->signs, o->from->bor->signs, o->passes * t->out_dim * sizeof(float));
        asteria_bor_set_angles(t->bor, o->from->bor->angles);
    }
    return OK;
}

/* Starts from the present angles. The shift is computed before and after training. */
static int train(struct asteria_rotation *t, const struct index_env *env,
                 const struct asteria_rotation_options *o, const float *mean, const float *rows,
                 size_t n, struct asteria_rotation_report *report)
{
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
    struct asteria_rotation *t = mem_zalloc(env->mem, sizeof *t);
    if (!t)
        return fail(env->error, ERR_NO_MEMORY, "asteria: train: out of memory for a rotation");
    t->kind = o->kind;
    t->dim = env->dim;
    int rc = make(t, env, o, rows, n);
    float *mean = mem_array(env->mem, t->dim, sizeof *mean);
    t->shift = mem_zalloc(env->mem, t->out_dim * sizeof *t->shift);
    if (rc == OK && !(mean && t->shift))
        rc = fail(env->error, ERR_NO_MEMORY, "asteria: train: out of memory for a rotation of %zu",
                  t->dim);
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

/* 64 bytes, so that the floats after it are as aligned as the section. */
struct rotation_head {
    uint32_t kind, passes;
    uint64_t dim, out_dim;
    uint64_t unused[5];
};

void asteria_rotation_write(const struct asteria_rotation *t, struct store_writer *w, char suffix)
{
    const struct rotation_head head = { .kind = (uint32_t)t->kind,
                                        .passes = t->bor ? (uint32_t)t->bor->passes : 0,
                                        .dim = t->dim,
                                        .out_dim = t->out_dim };
    store_section(w, store_tag("turn", suffix).text);
    store_write(w, &head, sizeof head);
    store_write(w, t->shift, t->out_dim * sizeof *t->shift);
    if (t->bor) {
        store_write(w, t->bor->angles, asteria_bor_n_angles(t->bor) * sizeof *t->bor->angles);
        store_write(w, t->bor->signs, t->bor->passes * t->bor->size * sizeof *t->bor->signs);
    }
    if (t->matrix)
        store_write(w, t->matrix, t->out_dim * t->dim * sizeof *t->matrix);
}

static bool has_network(const struct rotation_head *head)
{
    return head->kind == ROTATION_BOR || head->kind == ROTATION_HADAMARD;
}

/* Checks the head's numbers before anything is allocated. */
static bool head_possible(const struct rotation_head *head, const struct index_env *env)
{
    if (head->kind > ROTATION_OPQ || head->dim != env->dim || head->dim > ASTERIA_ROTATION_DIM_MAX)
        return false;
    if (!has_network(head))
        return head->passes == 0 && head->out_dim == (head->dim + 15) / 16 * 16;
    return head->passes >= 1 && head->passes <= BOR_PASSES_MAX &&
           head->out_dim == asteria_bor_size(head->dim);
}

/* Number of floats after the head. */
static size_t n_floats(const struct rotation_head *head)
{
    const size_t out = head->out_dim;
    size_t stages = 0;
    if (head->kind == ROTATION_IDENTITY)
        return out;
    if (!has_network(head))
        return out + out * head->dim;
    while ((size_t)1 << stages < out)
        stages++;
    return out + head->passes * (stages * (out / 2) + out);
}

/* floats: angles, then signs. */
static int read_network(struct asteria_rotation *t, const struct index_env *env, size_t passes,
                        const float *floats, const struct store_reader *r)
{
    const int rc = asteria_bor_create(&t->bor, env, t->dim, passes, BOR_HADAMARD, 0);
    if (rc != OK)
        return rc;
    const float *signs = floats + asteria_bor_n_angles(t->bor);
    for (size_t i = 0; i < passes * t->bor->size; i++)
        if (fabsf(t->bor->signs[i] = signs[i]) != 1)
            return store_corrupt(r, "a rotation's sign is neither 1 nor -1");
    asteria_bor_set_angles(t->bor, floats);
    return OK;
}

int asteria_rotation_read(struct asteria_rotation **rotation, const struct index_env *env,
                          const struct store_reader *r, char suffix)
{
    const void *section;
    size_t bytes;
    struct rotation_head head;
    int rc = store_need(r, store_tag("turn", suffix).text, SIZE_MAX, &section, &bytes);
    if (rc != OK)
        return rc;
    if (bytes < sizeof head)
        return store_corrupt(r, "a rotation's section is too short");
    memcpy(&head, section, sizeof head);
    if (!head_possible(&head, env))
        return store_corrupt(r, "a rotation's shape is not possible");
    const float *shift = (const float *)((const unsigned char *)section + sizeof head);
    const float *rest = shift + head.out_dim;
    if (bytes != sizeof head + n_floats(&head) * sizeof *shift)
        return store_corrupt(r, "a rotation's section does not have its shape's length");
    if (!index_all_finite(shift, n_floats(&head)))
        return store_corrupt(r, "a rotation has a number that is not finite");
    struct asteria_rotation *t = mem_zalloc(env->mem, sizeof *t);
    if (!t)
        return fail(env->error, ERR_NO_MEMORY, "asteria: load: out of memory for a rotation");
    const bool dense = !has_network(&head) && head.kind != ROTATION_IDENTITY;
    *t = (struct asteria_rotation){ .kind = (enum asteria_rotation_kind)head.kind,
                                    .dim = head.dim,
                                    .out_dim = head.out_dim };
    t->shift = mem_array(env->mem, t->out_dim, sizeof *t->shift);
    t->matrix = dense ? mem_array(env->mem, t->out_dim * t->dim, sizeof *t->matrix) : NULL;
    if (!t->shift || (dense && !t->matrix))
        rc = fail(env->error, ERR_NO_MEMORY, "asteria: load: out of memory for a rotation");
    else if (has_network(&head))
        rc = read_network(t, env, head.passes, rest, r);
    if (rc != OK) {
        asteria_rotation_destroy(env, t);
        return rc;
    }
    memcpy(t->shift, shift, t->out_dim * sizeof *shift);
    if (dense)
        memcpy(t->matrix, rest, t->out_dim * t->dim * sizeof *rest);
    *rotation = t;
    return OK;
}
