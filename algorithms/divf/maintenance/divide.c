/* divide.c - dividing a list in two, and dissolving one among its neighbours.
 *
 * A list is divided by 2-means of a sample of it, then every vector goes to the nearer half.
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

int divf_division_open(struct divf *d, size_t list, struct divf_division *v)
{
    struct mem_group *g = &v->memory;
    size_t dim = d->env.dim, live = d->lists.list[list]->live;
    *v = (struct divf_division){ .memory.mem = d->env.mem };
    v->centroids = mem_group_array(g, 2 * dim, sizeof *v->centroids);
    v->sums = mem_group_array(g, 2 * dim, sizeof *v->sums);
    v->slots = mem_group_array(g, live, sizeof *v->slots);
    v->was = mem_group_array(g, live, sizeof *v->was);
    v->side = mem_group_array(g, live, sizeof *v->side);
    v->rows = d->maintenance ? d->maintenance->rows
                             : mem_group_array(g, NEAREST_ROWS * dim, sizeof *v->rows);
    if (g->failed)
        return fail(d->env.error, ERR_NO_MEMORY, "divf: out of memory splitting a list of %zu",
                    live);
    v->n = divf_list_slots(&d->lists, list, v->slots);
    memset(v->side, 2, live);
    return OK;
}

void divf_division_close(struct divf_division *v)
{
    mem_group_free(&v->memory);
}

void divf_division_move(struct divf *d, size_t list, struct divf_division *v)
{
    size_t moved = 0;
    for (size_t i = 0; i < v->n; i++)
        if (v->side[i])
            v->slots[moved++] = v->slots[i];
    divf_list_move(&d->lists, list, d->lists.n - 1, v->slots, moved, v->was);
    divf_grace(d);
    divf_list_bury(&d->lists, list, v->was, moved);
    divf_list_compact(d, list);
    d->lists.list[list]->last_split_round = (int64_t)d->counters.insert_batches;
    d->counters.splits++;
}

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

void divf_division_means(struct divf_division *v, size_t dim)
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
        if (!divf_same_vector(v->rows, to, env->dim))
            return true;
    }
    return false;
}

/* The first row of the sample, and another one drawn with probability proportional to its squared
   distance from it. false: all vectors of the list are equal. */
static bool pick_seeds(struct divf *d, struct divf_division *v, size_t n, struct rng *rng)
{
    size_t dim = d->env.dim, bytes = dim * sizeof(float), pick = 0;
    const float *rows = v->rows;
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
    const float *rows = v->rows;
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
        divf_division_means(v, dim);
        memcpy(before, v->size, sizeof before);
        if (changed == 0 || pass >= (size_t)d->params.max_split_iters)
            return pass;
    }
}

size_t divf_division_assign(const struct divf *d, struct divf_division *v)
{
    size_t dim = d->env.dim, changed = 0;
    float near[2][NEAREST_ROWS];
    clear_sums(v, dim);
    for (size_t first = 0; first < v->n; first += NEAREST_ROWS) {
        size_t n = v->n - first < NEAREST_ROWS ? v->n - first : NEAREST_ROWS;
        divf_gather_rows(d, v->slots + first, n, v->rows);
        for (size_t half = 0; half < 2; half++)
            d->env.kernels->l2sq_f32_1n(v->centroids + half * dim, v->rows, n, dim, near[half]);
        for (size_t i = 0; i < n; i++) {
            const uint8_t side = near[1][i] < near[0][i];
            changed += side != v->side[first + i];
            v->side[first + i] = side;
        }
        add_up(v, v->rows, v->side + first, n, dim);
    }
    return changed;
}

int divf_divide(struct divf *d, size_t list, struct divf_division *v, bool *divided,
                uint64_t *spent)
{
    size_t live = d->lists.list[list]->live, n = live < SAMPLE ? live : SAMPLE;
    *divided = false;
    int rc = divf_division_open(d, list, v);
    if (rc)
        return rc;
    struct rng rng = divf_maintenance_rng(d);
    if (n < 2)
        return OK;
    divf_gather_sample(d, &rng, v->slots, v->n, n, v->rows);
    *spent += n;
    if (!pick_seeds(d, v, n, &rng)) {
        d->lists.list[list]->uniform = true;
        *spent += live;
        return OK;
    }
    *spent += 3 * n * sampled_two_means(d, v, n) + 3 * live;
    (void)divf_division_assign(d, v);
    divf_division_means(v, d->env.dim);
    size_t smaller = v->size[0] < v->size[1] ? v->size[0] : v->size[1];
    *divided = smaller > 0 && (double)smaller >= d->params.merge_threshold * divf_fair_length(d);
    return OK;
}

int divf_divide_do(struct divf *d, size_t list, struct divf_division *v, uint64_t *spent)
{
    struct divf_maintainer *u = d->maintenance;
    size_t dim = d->env.dim, new = d->lists.n;
    int rc = divf_lists_detach(d);
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
    divf_division_move(d, list, v);
    u->n_fresh += 2 - whole->fresh;
    whole->fresh = half->fresh = true;
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
    divf_division_close(&v);
    return rc;
}

/* ----------------------------------------------------------------------------- dissolving a list */

/* The first of the n nearest lists without a copy of the vector; UINT32_MAX: all have one. */
static uint32_t first_without(const struct divf *d, uint32_t slot, const uint32_t *lists, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!divf_slot_in_list(&d->lists, slot, lists[i]))
            return lists[i];
    return UINT32_MAX;
}

int divf_dissolve_plan(struct divf *d, size_t list, size_t *n, uint64_t *spent)
{
    struct divf_maintainer *u = d->maintenance;
    struct centroids centroids = divf_centroids(&d->lists);
    size_t s =
        (size_t)d->params.soft_k + 1 < d->lists.n ? (size_t)d->params.soft_k + 1 : d->lists.n;
    int rc = divf_maintenance_reserve(d, d->lists.list[list]->live);
    if (rc)
        return rc;
    *n = divf_list_slots(&d->lists, list, u->slots);
    for (size_t first = 0; first < *n; first += NEAREST_ROWS) {
        size_t count = *n - first < NEAREST_ROWS ? *n - first : NEAREST_ROWS;
        divf_gather_rows(d, u->slots + first, count, u->rows);
        nearest_rows(u->nearest, d->env.kernels, &centroids, u->rows, count, s, u->answer);
        for (size_t i = 0; i < count; i++)
            u->to[first + i] = first_without(d, u->slots[first + i], u->answer + i * s, s);
    }
    *spent += *n * d->lists.n;
    return OK;
}

int divf_dissolve_do(struct divf *d, size_t list, size_t n)
{
    int rc = divf_lists_detach(d);
    if (!rc && n > 0)
        rc = divf_refile(d, list, d->maintenance->slots, d->maintenance->to, n);
    if (rc)
        return rc;
    if (d->maintenance)
        divf_maintenance_list_remove(d, list);
    else
        divf_list_remove(&d->lists, list);
    d->counters.maintenance.merges++;
    return OK;
}

int divf_dissolve(struct divf *d, size_t list, uint64_t *spent)
{
    size_t n;
    int rc = divf_dissolve_plan(d, list, &n, spent);
    return rc ? rc : divf_dissolve_do(d, list, n);
}
