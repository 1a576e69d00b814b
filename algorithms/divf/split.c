/* split.c - maintenance = "copenhagen": lists that drift has overloaded are cut in two.
 *
 * As the source does: after an insert batch, each list with more than split_threshold times the
 * mean of live rows is divided by 2-means from two of its rows chosen at random. Neighbouring lists
 * keep their vectors, nothing is merged, and the halves are not looked at again before the next
 * batch.
 *
 * A list whose vectors are all equal has no two halves. The source splits it all the same, into
 * ever more empty lists; here it is marked uniform and left alone until a vector that differs is
 * filed in it.
 */
#include <string.h>

#include "algorithms/divf/divf.h"
#include "algorithms/divf/scratch.h"
#include "kernels/kernels.h"
#include "src/core/mem.h"
#include "src/core/rng.h"

static const uint64_t STREAM_SPLIT = UINT64_C(1) << 32;

struct halves {
    float *centroids; /* 2 x dim */
    double *sums;     /* 2 x dim */
    uint8_t *side;    /* a row's half */
    size_t rows[2];
};

static const float *list_vector(const struct divf *d, const struct divf_list *l, size_t position)
{
    return row_vector(&d->lists.chunks, divf_list_row(&d->lists, l, position));
}

/* Two rows that differ, the first and the place to look for the second at random. false: there are
 * none. */
static bool pick_seeds(struct divf *d, const struct divf_list *l, struct halves *h)
{
    size_t dim = d->base.env.dim;
    struct rng rng =
        rng_at(d->base.env.seed, STREAM_SPLIT + d->counters.splits + d->counters.refused_splits);
    size_t first = (size_t)rng_below(&rng, l->rows), from = (size_t)rng_below(&rng, l->rows);
    const float *a = list_vector(d, l, first);
    for (size_t i = 0; i < l->rows; i++) {
        const float *b = list_vector(d, l, (from + i) % l->rows);
        if (divf_same_vector(a, b, dim))
            continue;
        memcpy(h->centroids, a, dim * sizeof *a);
        memcpy(h->centroids + dim, b, dim * sizeof *b);
        return true;
    }
    return false;
}

/* One pass: each row to the nearer half, the first of equals, and the halves' sums. Returns how
 * many changed side. */
static size_t assign_halves(const struct divf *d, const struct divf_list *l, struct halves *h)
{
    size_t dim = d->base.env.dim, per_chunk = (size_t)1 << d->lists.chunks.row_shift, changed = 0;
    float near[2][64];
    memset(h->sums, 0, 2 * dim * sizeof *h->sums);
    h->rows[0] = h->rows[1] = 0;
    for (size_t first = 0; first < l->rows; first += per_chunk) {
        size_t n = l->rows - first < per_chunk ? l->rows - first : per_chunk;
        const float *rows = chunk_rows(&d->lists.chunks, l->chunks[first / per_chunk]);
        for (size_t half = 0; half < 2; half++)
            d->base.env.kernels->l2sq_f32_1n(h->centroids + half * dim, rows, n, dim, near[half]);
        for (size_t i = 0; i < n; i++) {
            uint8_t side = near[1][i] < near[0][i];
            changed += side != h->side[first + i];
            h->side[first + i] = side;
            h->rows[side]++;
            double *sums = h->sums + side * dim;
            for (size_t j = 0; j < dim; j++)
                sums[j] += (double)rows[i * dim + j];
        }
    }
    return changed;
}

static void move_centroids(size_t dim, struct halves *h)
{
    for (size_t half = 0; half < 2; half++)
        for (size_t j = 0; j < dim; j++)
            h->centroids[half * dim + j] = (float)(h->sums[half * dim + j] / (double)h->rows[half]);
}

/* Leaves a division into two non-empty halves with their means. false: rounding emptied one. */
static bool two_means(struct divf *d, const struct divf_list *l, struct halves *h)
{
    memset(h->side, 2, l->rows);
    for (int64_t pass = 0; pass < d->params.max_split_iters; pass++) {
        size_t changed = assign_halves(d, l, h);
        if (h->rows[0] == 0 || h->rows[1] == 0)
            return false;
        move_centroids(d->base.env.dim, h);
        if (changed == 0)
            break;
    }
    return true;
}

/* Moves the second half to a new list. All room first; then nothing can fail. */
static int divide(struct divf *d, size_t list, const struct halves *h)
{
    const struct index_env *env = &d->base.env;
    struct divf_lists *lists = &d->lists;
    int64_t round = (int64_t)d->counters.insert_batches;
    size_t new = lists->n;
    int rc = divf_list_add(lists, env, h->centroids + env->dim, round);
    if (rc)
        return rc;
    rc = divf_list_reserve(lists, env, new, h->rows[1]);
    struct divf_list *l = &lists->list[list], *to = &lists->list[new];
    if (rc) {
        while (to->n_chunks > 0)
            chunk_give(&lists->chunks, to->chunks[--to->n_chunks]);
        mem_free(env->mem, to->chunks);
        lists->n--;
        return rc;
    }
    for (size_t i = 0; i < l->rows; i++) {
        if (h->side[i] == 0)
            continue;
        uint32_t from = divf_list_row(lists, l, i), slot = *row_slot(&lists->chunks, from);
        divf_slot_moved(lists, slot, from,
                        divf_list_append(lists, new, row_vector(&lists->chunks, from), slot));
        *row_slot(&lists->chunks, from) = SLOT_NONE;
        l->live--;
        lists->live--;
    }
    divf_list_compact(d, list);
    divf_centroid_set(lists, env, list, h->centroids);
    l->last_split_round = round;
    d->counters.splits++;
    return OK;
}

static int split_list(struct divf *d, size_t list)
{
    struct mem *mem = d->base.env.mem;
    struct divf_list *l = &d->lists.list[list];
    size_t dim = d->base.env.dim;
    if (l->rows > l->live)
        divf_list_compact(d, list);
    struct halves h = { .centroids = mem_array(mem, 2 * dim, sizeof(float)),
                        .sums = mem_array(mem, 2 * dim, sizeof(double)),
                        .side = mem_array(mem, l->rows, sizeof(uint8_t)) };
    int rc = OK;
    if (!h.centroids || !h.sums || !h.side) {
        rc = fail(d->base.env.error, ERR_NO_MEMORY, "divf: out of memory splitting a list of %u",
                  l->rows);
    } else if (pick_seeds(d, l, &h) && two_means(d, l, &h)) {
        rc = divide(d, list, &h);
    } else {
        l->uniform = true;
        d->counters.refused_splits++;
    }
    mem_free(mem, h.centroids);
    mem_free(mem, h.sums);
    mem_free(mem, h.side);
    return rc;
}

static bool overfull(const struct divf *d, uint32_t live, double mean)
{
    return live >= 2 && (double)live > d->params.split_threshold * mean;
}

/* The vectors of the batch are all stored whatever this returns. */
int divf_split_overfull(struct divf *d)
{
    if (d->params.maintenance == DIVF_NONE || !(d->params.split_threshold > 0) || d->provisional)
        return OK;
    size_t n = d->lists.n;
    double mean = (double)d->lists.live / (double)n;
    if (!overfull(d, d->largest_list, mean))
        return OK;
    int rc = OK;
    for (size_t i = 0; !rc && i < n; i++)
        if (!d->lists.list[i].uniform && overfull(d, d->lists.list[i].live, mean))
            rc = split_list(d, i);
    d->largest_list = 0;
    for (size_t i = 0; i < d->lists.n; i++) {
        const struct divf_list *l = &d->lists.list[i];
        if (!l->uniform && l->live > d->largest_list)
            d->largest_list = l->live;
    }
    return rc;
}
