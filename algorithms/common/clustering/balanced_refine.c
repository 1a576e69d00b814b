/* balanced_refine.c - centres moved to the means of the rows near them: a pass of Lloyd's algorithm
 * for many centres, which are searched in groups. A row's centre is the nearest one in the groups
 * near the row. That is nearly always the nearest of all, which is good enough for a mean. */
#include <math.h>
#include <string.h>

#include "algorithms/common/clustering/balanced.h"
#include "algorithms/common/clustering/balanced_means_internal.h"
#include "algorithms/common/clustering/kmeans.h"
#include "kernels/kernels.h"
#include "src/core/error.h"
#include "src/core/mem.h"
#include "src/core/parallel.h"

/* Groups searched per row; rows converted to floats at a time; k-means passes for the groups. */
enum { GROUPS_NEAR = 4, ROWS_AT_ONCE = 8192, GROUP_PASSES = 4, GRAIN = 256 };

struct refining {
    const struct index_env *env;
    struct vectors rows;
    struct mem_group memory; /* of the arrays below */
    size_t n, dim, n_groups, widest;
    float *groups, *norm_sq; /* n_groups x dim */
    float *centres;          /* n x dim, group by group */
    uint32_t *member;        /* n: index of that centre among the caller's */
    uint32_t *start;         /* n_groups + 1: of its centres */
    uint32_t *centre_of;     /* rows.n: index of its centre among the caller's */
    uint32_t *order;         /* rows.n: rows by centre */
    uint32_t *first;         /* n + 2: of a centre's rows in order */
    float *block;            /* ROWS_AT_ONCE x dim */
    uint32_t *near;          /* ROWS_AT_ONCE x GROUPS_NEAR */
    float *distances;        /* widest, for each worker */
    double *sums;            /* dim, for each worker */
    size_t s, at;            /* groups searched per row; the first row of the block */
    void *to;                /* the caller's centres */
};

static int no_memory(const struct refining *r)
{
    return fail(r->env->error, ERR_NO_MEMORY, "moving %zu centres: out of memory", r->n);
}

static struct centroids centroids_of(const struct refining *r)
{
    return (struct centroids){ r->groups,
                               r->norm_sq,
                               nearest_centroid_norms(r->env->kernels, r->groups, r->n_groups,
                                                      r->dim, r->norm_sq),
                               r->n_groups,
                               r->dim,
                               0 };
}

static int allocate(struct refining *r)
{
    struct mem_group *g = &r->memory;
    const size_t n = r->n, rows = r->rows.n;

    r->n_groups = (size_t)ceil(sqrt((double)n));
    r->groups = mem_group_array(g, r->n_groups * r->dim, sizeof *r->groups);
    r->norm_sq = mem_group_array(g, r->n_groups, sizeof *r->norm_sq);
    r->centres = mem_group_array(g, n * r->dim, sizeof *r->centres);
    r->member = mem_group_array(g, n, sizeof *r->member);
    r->start = mem_group_array(g, r->n_groups + 2, sizeof *r->start);
    r->centre_of = mem_group_array(g, rows > n ? rows : n, sizeof *r->centre_of);
    r->order = mem_group_array(g, rows, sizeof *r->order);
    r->first = mem_group_array(g, n + 2, sizeof *r->first);
    r->block = mem_group_array(g, ROWS_AT_ONCE * r->dim, sizeof *r->block);
    r->near = mem_group_array(g, (size_t)ROWS_AT_ONCE * GROUPS_NEAR, sizeof *r->near);
    r->sums = mem_group_array(g, pool_threads(r->env->pool) * r->dim, sizeof *r->sums);
    return g->failed ? no_memory(r) : OK;
}

/* Groups the centres by k-means. */
static int make_groups(struct refining *r)
{
    const struct kmeans_options o = {
        .k = r->n_groups, .iterations = GROUP_PASSES, .init = KMEANS_RANDOM, .seed = r->env->seed
    };
    const struct vectors all = { r->to, r->n, r->dim, r->rows.element };

    balanced_gather(all, NULL, 0, r->n, r->centres);
    int rc = kmeans_train(r->env, &o, r->centres, r->n, r->groups, &r->n_groups);
    if (rc)
        return rc;
    const struct centroids groups = centroids_of(r);
    rc = nearest_all(r->env, &groups, r->centres, r->n, 1, r->centre_of);
    if (rc)
        return rc;
    nearest_sort_by_list(r->centre_of, r->n, r->n_groups, r->start, r->member);
    for (size_t g = 0; g < r->n_groups; g++) {
        const size_t count = r->start[g + 1] - r->start[g];
        r->widest = count > r->widest ? count : r->widest;
    }
    balanced_gather(all, r->member, 0, r->n, r->centres);
    r->distances =
        mem_group_array(&r->memory, pool_threads(r->env->pool) * r->widest, sizeof *r->distances);
    return r->distances ? OK : no_memory(r);
}

/* Finds the nearest centre of each row of the block, among the groups near it. */
static int find_centres(void *arg, size_t first, size_t end, size_t worker)
{
    struct refining *r = arg;
    const struct kernels *kernels = r->env->kernels;
    float *distances = r->distances + worker * r->widest;

    for (size_t i = first; i < end; i++) {
        float best = INFINITY;
        uint32_t best_at = r->start[r->near[i * r->s]];
        for (size_t j = 0; j < r->s; j++) {
            const size_t at = r->start[r->near[i * r->s + j]];
            const size_t n = r->start[r->near[i * r->s + j] + 1] - at;
            if (n == 0)
                continue;
            kernels->l2sq_f32_1n(r->block + i * r->dim, r->centres + at * r->dim, n, r->dim,
                                 distances);
            const size_t nearest = kernels->argmin_f32(distances, n);
            if (distances[nearest] < best) {
                best = distances[nearest];
                best_at = (uint32_t)(at + nearest);
            }
        }
        r->centre_of[r->at + i] = r->member[best_at < r->n ? best_at : 0];
    }
    return OK;
}

static int assign_rows(struct refining *r)
{
    const struct centroids groups = centroids_of(r);
    int rc = OK;

    r->s = r->n_groups < GROUPS_NEAR ? r->n_groups : GROUPS_NEAR;
    for (r->at = 0; rc == OK && r->at < r->rows.n; r->at += ROWS_AT_ONCE) {
        const size_t left = r->rows.n - r->at, n = left < ROWS_AT_ONCE ? left : ROWS_AT_ONCE;
        balanced_gather(r->rows, NULL, r->at, n, r->block);
        rc = nearest_all(r->env, &groups, r->block, n, r->s, r->near);
        if (rc == OK)
            rc = parallel_for(r->env->pool, pool_threads(r->env->pool), n, GRAIN, find_centres, r);
    }
    return rc;
}

static void add_row(struct vectors rows, size_t row, double *restrict sums)
{
    if (rows.element == INDEX_U8) {
        const uint8_t *from = (const uint8_t *)rows.rows + row * rows.dim;
        for (size_t j = 0; j < rows.dim; j++)
            sums[j] += (double)from[j];
        return;
    }
    const char *from = (const char *)rows.rows + row * rows.dim * sizeof(float);
    for (size_t j = 0; j < rows.dim; j++) {
        float x;
        memcpy(&x, from + j * sizeof x, sizeof x);
        sums[j] += (double)x;
    }
}

/* Moves centres to their means; a centre without rows stays. */
static int move_centres(void *arg, size_t first, size_t end, size_t worker)
{
    struct refining *r = arg;
    double *sums = r->sums + worker * r->dim;

    for (size_t c = first; c < end; c++) {
        const size_t n = r->first[c + 1] - r->first[c];
        if (n == 0)
            continue;
        memset(sums, 0, r->dim * sizeof *sums);
        for (size_t i = r->first[c]; i < r->first[c + 1]; i++)
            add_row(r->rows, r->order[i], sums);
        for (size_t j = 0; j < r->dim; j++) {
            const double mean = sums[j] / (double)n;
            if (r->rows.element == INDEX_U8)
                ((uint8_t *)r->to)[c * r->dim + j] = (uint8_t)(mean + .5);
            else
                ((float *)r->to)[c * r->dim + j] = (float)mean;
        }
    }
    return OK;
}

int balanced_refine(const struct index_env *env, struct vectors rows, void *centres, size_t n)
{
    struct refining r = {
        .env = env, .rows = rows, .memory.mem = env->mem, .n = n, .dim = rows.dim, .to = centres
    };
    int rc = OK;

    if (n == 0 || rows.n == 0)
        return OK;
    rc = allocate(&r);
    if (rc == OK)
        rc = make_groups(&r);
    if (rc == OK)
        rc = assign_rows(&r);
    if (rc == OK) {
        /* In ascending order, so that sums do not depend on threads. */
        nearest_sort_by_list(r.centre_of, rows.n, n, r.first, r.order);
        rc = parallel_for(env->pool, pool_threads(env->pool), n, GRAIN, move_centres, &r);
    }
    mem_group_free(&r.memory);
    return rc;
}
