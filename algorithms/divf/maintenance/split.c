/* split.c - maintenance = "copenhagen": lists that drift has overloaded are split.
 *
 * As in the paper's code, after an insert batch each list with more than split_threshold times the
 * mean of live copies is divided by 2-means, starting from two of its vectors chosen at random.
 * Neighbouring lists keep their vectors, nothing is merged, and the halves are not split again
 * before the next batch.
 *
 * A list whose vectors are all equal has no two halves. The paper's code splits it nevertheless,
 * into more and more empty lists. Here it is marked uniform and not split until a different vector
 * is added to it. */
#include <string.h>

#include "algorithms/divf/maintenance/members.h"
#include "kernels/kernels.h"
#include "src/core/mem.h"
#include "src/core/rng.h"

static const uint64_t STREAM_SPLIT = UINT64_C(1) << 32;

struct halves {
    float *centroids; /* 2 x dim */
    double *sums;     /* 2 x dim */
    float *row;       /* dim: a row of bytes as floats */
    uint32_t *slots;  /* the list's vectors */
    uint32_t *was;    /* places that the second half leaves */
    uint8_t *side;    /* a vector's half */
    size_t n, rows[2];
};

/* Picks two different vectors: the first, and where the search for the second begins, at random.
 * false: all are equal. */
static bool pick_seeds(struct divf *d, struct halves *h)
{
    size_t dim = d->env.dim;
    struct rng rng =
        rng_at(d->env.seed, STREAM_SPLIT + d->counters.splits + d->counters.refused_splits);
    size_t first = (size_t)rng_below(&rng, h->n), from = (size_t)rng_below(&rng, h->n);
    const void *a = divf_row(&d->lists, h->slots[first]);
    for (size_t i = 0; i < h->n; i++) {
        const void *b = divf_row(&d->lists, h->slots[(from + i) % h->n]);
        if (divf_same_row(&d->lists.space, a, b))
            continue;
        divf_widen(&d->lists.space, a, 1, h->centroids);
        divf_widen(&d->lists.space, b, 1, h->centroids + dim);
        return true;
    }
    return false;
}

/* One pass: assigns each vector to the nearer half, ties to the first, and sums the halves. Returns
 * how many vectors changed sides. */
static size_t assign_halves(const struct divf *d, struct halves *h)
{
    size_t dim = d->env.dim, changed = 0;
    memset(h->sums, 0, 2 * dim * sizeof *h->sums);
    h->rows[0] = h->rows[1] = 0;
    for (size_t i = 0; i < h->n; i++) {
        const float *vector =
            divf_floats(&d->lists.space, divf_row(&d->lists, h->slots[i]), 1, h->row);
        float near[2];
        d->env.kernels->l2sq_f32_1n(vector, h->centroids, 2, dim, near);
        uint8_t side = near[1] < near[0];
        changed += side != h->side[i];
        h->side[i] = side;
        h->rows[side]++;
        double *sums = h->sums + side * dim;
        for (size_t j = 0; j < dim; j++)
            sums[j] += (double)vector[j];
    }
    return changed;
}

static void move_centroids(size_t dim, struct halves *h)
{
    for (size_t half = 0; half < 2; half++)
        for (size_t j = 0; j < dim; j++)
            h->centroids[half * dim + j] = (float)(h->sums[half * dim + j] / (double)h->rows[half]);
}

/* Divides into two non-empty halves with their means. false: rounding emptied one. */
static bool two_means(struct divf *d, struct halves *h)
{
    memset(h->side, 2, h->n);
    for (int64_t pass = 0; pass < d->params.max_split_iters; pass++) {
        size_t changed = assign_halves(d, h);
        if (h->rows[0] == 0 || h->rows[1] == 0)
            return false;
        move_centroids(d->env.dim, h);
        if (changed == 0)
            break;
    }
    return true;
}

/* Moves the second half to a new list. Reserves all space first; after that nothing can fail. */
static int divide(struct divf *d, size_t list, struct halves *h)
{
    struct divf_lists *lists = &d->lists;
    int64_t round = (int64_t)d->counters.insert_batches;
    size_t new = lists->n, moved = 0;
    int rc = divf_lists_detach(d);
    if (!rc)
        rc = divf_list_add(lists, h->centroids + d->env.dim, round);
    if (rc)
        return rc;
    rc = divf_list_reserve(lists, new, h->rows[1]);
    if (rc) {
        divf_list_remove(lists, new);
        return rc;
    }
    for (size_t i = 0; i < h->n; i++)
        if (h->side[i] == 1)
            h->slots[moved++] = h->slots[i];
    divf_centroid_move(lists, list, h->centroids);
    divf_list_move(lists, list, new, h->slots, moved, h->was);
    divf_grace(d);
    divf_list_bury(lists, list, h->was, moved);
    divf_list_compact(d, list);
    if (divf_codes_per_list(d))
        divf_list_encode(lists, list);
    lists->list[list]->last_split_round = round;
    d->counters.splits++;
    return OK;
}

static int split_list(struct divf *d, size_t list)
{
    struct mem *mem = d->env.mem;
    struct divf_list *l = d->lists.list[list];
    size_t dim = d->env.dim;
    struct halves h = { .centroids = mem_array(mem, 2 * dim, sizeof(float)),
                        .sums = mem_array(mem, 2 * dim, sizeof(double)),
                        .row = mem_array(mem, dim, sizeof(float)),
                        .slots = mem_array(mem, l->live, sizeof(uint32_t)),
                        .was = mem_array(mem, l->live, sizeof(uint32_t)),
                        .side = mem_array(mem, l->live, sizeof(uint8_t)) };
    int rc = OK;
    if (!h.centroids || !h.sums || !h.row || !h.slots || !h.was || !h.side) {
        rc = fail(d->env.error, ERR_NO_MEMORY, "divf: out of memory splitting a list of %u",
                  l->live);
    } else {
        h.n = divf_list_slots(&d->lists, list, h.slots);
        if (pick_seeds(d, &h) && two_means(d, &h)) {
            rc = divide(d, list, &h);
        } else {
            l->uniform = true;
            d->counters.refused_splits++;
        }
    }
    mem_free(mem, h.centroids);
    mem_free(mem, h.sums);
    mem_free(mem, h.row);
    mem_free(mem, h.slots);
    mem_free(mem, h.was);
    mem_free(mem, h.side);
    return rc;
}

static bool overfull(const struct divf *d, uint32_t live, double mean)
{
    return live >= 2 && (double)live > d->params.split_threshold * mean;
}

static int split_overfull(struct divf *d)
{
    if (!(d->params.split_threshold > 0))
        return OK;
    size_t n = d->lists.n;
    double mean = (double)d->lists.live / (double)n;
    if (!overfull(d, d->largest_list, mean))
        return OK;
    int rc = OK;
    for (size_t i = 0; !rc && i < n; i++)
        if (!d->lists.list[i]->uniform && overfull(d, d->lists.list[i]->live, mean))
            rc = split_list(d, i);
    d->largest_list = 0;
    for (size_t i = 0; i < d->lists.n; i++) {
        const struct divf_list *l = d->lists.list[i];
        if (!l->uniform && l->live > d->largest_list)
            d->largest_list = l->live;
    }
    return rc;
}

const struct divf_policy divf_copenhagen = { .after_insert = split_overfull };
