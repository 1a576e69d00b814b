/* divide.c - dividing a list: 2-means of a sample of it, then every vector goes to the nearer half.
 *
 * Passes over a sample of SAMPLE vectors stay in the cache; only the last pass reads the list. The
 * 2-means of the sample is balanced, as in SPANN: a half's distances are increased by its size in
 * the previous pass, so that of two equal clusters the smaller half does not shrink to a few
 * outliers. The last pass is not balanced, so that each vector is with its nearer centroid. */
#include <math.h>
#include <string.h>

#include "algorithms/divf/maintenance/members.h"
#include "kernels/kernels.h"
#include "src/core/mem.h"
#include "src/core/rng.h"

enum { SAMPLE = NEAREST_ROWS };
/* Added when one half has everything, as a share of the mean squared distance. */
static const float BALANCE = 0.25F;

/* Adds to both halves' sums and sizes; `near` has their distances of n rows. */
static void add_up(struct divf_division *v, const float *rows, const uint8_t *side, size_t n,
                   size_t dim)
{
    for (size_t i = 0; i < n; i++) {
        double *sums = v->sums + side[i] * dim;
        for (size_t j = 0; j < dim; j++)
            sums[j] += (double)rows[i * dim + j];
        v->size[side[i]]++;
    }
}

static void take_means(struct divf_division *v, size_t dim)
{
    for (size_t half = 0; half < 2; half++)
        for (size_t j = 0; v->size[half] > 0 && j < dim; j++)
            v->centroids[half * dim + j] = (float)(v->sums[half * dim + j] / (double)v->size[half]);
}

static void clear_sums(struct divf_division *v, size_t dim)
{
    memset(v->sums, 0, 2 * dim * sizeof *v->sums);
    v->size[0] = v->size[1] = 0;
}

/* Writes a vector of the list to `to` that differs from the first of the sample, or returns false. */
static bool find_other(const struct divf *d, const struct divf_division *v, float *to)
{
    const struct index_env *env = &d->env;
    for (size_t i = 0; i < v->n; i++) {
        divf_widen(&d->lists.space, divf_row(&d->lists, v->slots[i]), 1, to);
        if (!divf_same_vector(d->maintenance->rows, to, env->dim))
            return true;
    }
    return false;
}

/* The first row of the sample, and another one drawn with probability proportional to its squared
   distance from it. false: all vectors of the list are equal. */
static bool pick_seeds(struct divf *d, struct divf_division *v, size_t n, struct rng *rng)
{
    size_t dim = d->env.dim, bytes = dim * sizeof(float), pick = 0;
    const float *rows = d->maintenance->rows;
    float near[SAMPLE];
    double total = 0;
    d->env.kernels->l2sq_f32_1n(rows, rows, n, dim, near);
    for (size_t i = 0; i < n; i++)
        total += (double)near[i];
    double at = rng_unit(rng) * total;
    for (; pick + 1 < n && at >= (double)near[pick]; pick++)
        at -= (double)near[pick];
    if (near[pick] > 0)
        memcpy(v->centroids + dim, rows + pick * dim, bytes);
    else if (!find_other(d, v, v->centroids + dim))
        return false;
    memcpy(v->centroids, rows, bytes);
    return true;
}

/* Lloyd's algorithm on the sample. Returns the number of passes. */
static size_t sampled_two_means(struct divf *d, struct divf_division *v, size_t n)
{
    size_t dim = d->env.dim, before[2] = { n / 2, n / 2 };
    const float *rows = d->maintenance->rows;
    float near[2][SAMPLE];
    uint8_t side[SAMPLE];
    memset(side, 2, sizeof side);
    for (size_t pass = 1;; pass++) {
        double total = 0;
        size_t changed = 0;
        for (size_t half = 0; half < 2; half++)
            d->env.kernels->l2sq_f32_1n(v->centroids + half * dim, rows, n, dim, near[half]);
        for (size_t i = 0; i < n; i++)
            total += (double)fminf(near[0][i], near[1][i]);
        float weight = BALANCE * (float)(total / (double)n) / (float)n;
        for (size_t i = 0; i < n; i++) {
            uint8_t to =
                near[1][i] + weight * (float)before[1] < near[0][i] + weight * (float)before[0];
            changed += to != side[i];
            side[i] = to;
        }
        clear_sums(v, dim);
        add_up(v, rows, side, n, dim);
        if (v->size[0] == 0 || v->size[1] == 0) /* keep the seeds */
            return pass;
        take_means(v, dim);
        memcpy(before, v->size, sizeof before);
        if (changed == 0 || pass >= (size_t)d->params.max_split_iters)
            return pass;
    }
}

/* Assigns every vector to the nearer centroid; then the centroids become means. */
static void divide_all(struct divf *d, struct divf_division *v)
{
    size_t dim = d->env.dim;
    float near[2][NEAREST_ROWS];
    clear_sums(v, dim);
    for (size_t first = 0; first < v->n; first += NEAREST_ROWS) {
        size_t n = v->n - first < NEAREST_ROWS ? v->n - first : NEAREST_ROWS;
        divf_gather_rows(d, v->slots + first, n);
        for (size_t half = 0; half < 2; half++)
            d->env.kernels->l2sq_f32_1n(v->centroids + half * dim, d->maintenance->rows, n, dim,
                                        near[half]);
        for (size_t i = 0; i < n; i++)
            v->side[first + i] = near[1][i] < near[0][i];
        add_up(v, d->maintenance->rows, v->side + first, n, dim);
    }
    take_means(v, dim);
}

static void gather_sample(struct divf *d, const struct divf_division *v, size_t n, struct rng *rng)
{
    uint64_t picks[SAMPLE];
    uint32_t slots[SAMPLE];
    rng_sample(rng, v->n, n, picks);
    for (size_t i = 0; i < n; i++)
        slots[i] = v->slots[picks[i]];
    divf_gather_rows(d, slots, n);
}

int divf_divide(struct divf *d, size_t list, struct divf_division *v, bool *divided,
                uint64_t *spent)
{
    struct mem *mem = d->env.mem;
    struct divf_list *l = d->lists.list[list];
    size_t dim = d->env.dim, live = l->live, n = live < SAMPLE ? live : SAMPLE;
    *divided = false;
    *v = (struct divf_division){ .centroids = mem_array(mem, 2 * dim, sizeof *v->centroids),
                                 .sums = mem_array(mem, 2 * dim, sizeof *v->sums),
                                 .slots = mem_array(mem, live, sizeof *v->slots),
                                 .side = mem_array(mem, live, sizeof *v->side) };
    if (!v->centroids || !v->sums || !v->slots || !v->side)
        return fail(d->env.error, ERR_NO_MEMORY, "divf: out of memory splitting a list of %zu",
                    live);
    v->n = divf_list_slots(&d->lists, list, v->slots);
    struct rng rng = divf_maintenance_rng(d);
    if (n < 2)
        return OK;
    gather_sample(d, v, n, &rng);
    *spent += n;
    if (!pick_seeds(d, v, n, &rng)) {
        l->uniform = true;
        *spent += live;
        return OK;
    }
    *spent += 3 * n * sampled_two_means(d, v, n) + 3 * live;
    divide_all(d, v);
    size_t smaller = v->size[0] < v->size[1] ? v->size[0] : v->size[1];
    *divided = smaller > 0 && (double)smaller >= d->params.merge_threshold * divf_fair_length(d);
    return OK;
}

void divf_divide_end(struct divf *d, struct divf_division *v)
{
    mem_free(d->env.mem, v->centroids);
    mem_free(d->env.mem, v->sums);
    mem_free(d->env.mem, v->slots);
    mem_free(d->env.mem, v->side);
}

/* Moves the slots of the second half, which are to be moved, to the front of v->slots. */
static size_t second_half(struct divf *d, const struct divf_division *v)
{
    size_t n = 0;
    for (size_t i = 0; i < v->n; i++)
        if (v->side[i])
            d->maintenance->slots[n++] = v->slots[i];
    return n;
}

int divf_divide_do(struct divf *d, size_t list, const struct divf_division *v, uint64_t *spent)
{
    struct divf_maintainer *u = d->maintenance;
    size_t dim = d->env.dim, new = d->lists.n;
    int rc = divf_maintenance_reserve(d, v->n);
    if (!rc)
        rc = divf_lists_detach(d);
    if (!rc)
        rc = divf_maintenance_list_add(d, v->centroids + dim);
    if (rc)
        return rc;
    rc = divf_list_reserve(&d->lists, new, v->size[1]);
    if (rc) {
        divf_maintenance_list_remove(d, new);
        return rc;
    }
    struct divf_list_state *whole = &u->list[list], *half = &u->list[new];
    *spent += divf_move_centroid(d, list, v->centroids) + v->size[1];
    *half = (struct divf_list_state){ .moved = whole->moved, .compared = whole->compared };
    if (whole->was && (half->was = mem_alloc(d->env.mem, dim * sizeof(float))))
        memcpy(half->was, whole->was, dim * sizeof(float));
    size_t moved = second_half(d, v);
    divf_list_move(&d->lists, list, new, u->slots, moved, u->to);
    divf_grace(d);
    divf_list_bury(&d->lists, list, u->to, moved);
    if (v->size[1] > d->largest_list)
        d->largest_list = (uint32_t)v->size[1];
    divf_list_compact(d, list);
    d->lists.list[list]->last_split_round = (int64_t)d->counters.insert_batches;
    u->n_fresh += 2 - whole->fresh;
    whole->fresh = half->fresh = true;
    d->counters.splits++;
    divf_mark_pending(d, list);
    divf_mark_pending(d, new);
    if (whole->was)
        divf_mark_reach(d, whole->was, spent);
    else
        divf_mark_reach(d, v->centroids, spent);
    return OK;
}

int divf_split_list(struct divf *d, size_t list, uint64_t *spent)
{
    struct divf_division v;
    bool divided;
    int rc = divf_divide(d, list, &v, &divided, spent);
    if (!rc && divided) {
        rc = divf_divide_do(d, list, &v, spent);
    } else if (!rc) {
        d->maintenance->list[list].refused = d->lists.list[list]->live;
        d->counters.refused_splits++;
    }
    divf_divide_end(d, &v);
    return rc;
}
