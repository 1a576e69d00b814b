/* access.c - rows as unit vectors and their distances; access to stored rows for the graph and the
 * tree. */
#include <math.h>
#include <string.h>

#include "algorithms/asteria/asteria.h"
#include "kernels/kernels.h"

/* ----------------------------------------------------------------------------------- rows */

const float *asteria_unit(const struct index_env *env, const void *row, float *to)
{
    const unsigned char *bytes = row;

    if (env->element == INDEX_F32)
        return row;
    const double norm_sq = (double)env->kernels->ip_u8(bytes, bytes, env->dim);
    const float scale = norm_sq > 0 ? (float)(1 / sqrt(norm_sq)) : 0;
    for (size_t i = 0; i < env->dim; i++)
        to[i] = scale * (float)bytes[i];
    return to;
}

void asteria_unit_copy(const struct index_env *env, const void *row, float *to)
{
    if (env->element == INDEX_F32)
        memcpy(to, row, env->dim * sizeof *to);
    else
        (void)asteria_unit(env, row, to);
}

float asteria_distance(const struct index_env *env, const void *query, const void *row)
{
    return env->element == INDEX_F32 ? env->kernels->l2sq_f32(query, row, env->dim)
                                     : env->kernels->cos_u8(query, row, env->dim);
}

void asteria_distances(const struct index_env *env, const void *query, const void *const *rows,
                       size_t n, float *distances)
{
    if (env->element == INDEX_U8) {
        env->kernels->cos_u8_each(query, (const uint8_t *const *)rows, n, env->dim, distances);
        return;
    }
    for (size_t i = 0; i < n; i++)
        distances[i] = env->kernels->l2sq_f32(query, rows[i], env->dim);
}

/* ---------------------------------------------------------------------------- the graph's */

/* Called with the lock held for writing, like all maintenance of the graph, so it may use the
   rows' own reader. */
static int graph_exact(void *to, uint32_t x, const uint32_t *others, size_t n, float *distances)
{
    const struct asteria *a = to;
    uint32_t slots[FETCH_MOST];
    const void *rows[FETCH_MOST];
    int rc = OK;

    slots[0] = x;
    for (size_t i = 0, some; rc == OK && i < n; i += some) {
        some = n - i < FETCH_MOST - 1 ? n - i : FETCH_MOST - 1;
        memcpy(slots + 1, others + i, some * sizeof *slots);
        rc = asteria_rows_get_many(a->rows, slots, some + 1, rows);
        for (size_t j = 0; rc == OK && j < some; j++)
            distances[i + j] = asteria_distance(&a->base.env, rows[0], rows[1 + j]);
    }
    return rc;
}

/* Codes of two models are not comparable. */
static struct asteria_lrsq_distance graph_between(void *to, uint32_t x, uint32_t y)
{
    const struct asteria *a = to;
    const unsigned of = a->places[x].generation;
    const struct asteria_generation *g = a->generations[of];

    if (a->places[y].generation != of || !g)
        return (struct asteria_lrsq_distance){ INFINITY, 0, INFINITY };
    return asteria_lrsq_between(g->model->lrsq, segmented_at(&g->codes, x),
                                segmented_at(&g->codes, y));
}

void asteria_slot_left(void *asteria, uint32_t slot)
{
    struct asteria *a = asteria;

    if (!asteria_keeps(a, slot))
        a->free[a->n_free++] = slot;
}

struct asteria_caprg_rows asteria_graph_rows(struct asteria *a)
{
    return (struct asteria_caprg_rows){ a, graph_exact, graph_between, asteria_slot_left };
}

/* ------------------------------------------------------------------------- the clusters' */

static void residual_vector(void *to, uint32_t slot, float *y)
{
    const struct asteria *a = to;
    const struct asteria_generation *g = a->generations[a->now];

    y[0] = 0; /* if all rows are equal, no coordinate is kept */
    asteria_lrsq_get(g->model->lrsq, segmented_at(&g->codes, slot), y);
}

struct asteria_bec_options asteria_bec_options(struct asteria *a, const struct asteria_model *m)
{
    const size_t rank = m->lrsq->n_bytes + m->lrsq->n_nibbles;

    return (struct asteria_bec_options){ .rows = { residual_vector, a },
                                         .rank = rank > 0 ? rank : 1,
                                         .leaf_cap = (size_t)a->params.leaf_cap,
                                         .by_entropy = a->params.leaf_rules == LEAF_ENTROPY,
                                         .prototypes = (size_t)a->params.leaf_prototypes,
                                         .penalty = a->params.leaf_penalty };
}
