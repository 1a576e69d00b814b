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
#include "algorithms/divf/maintenance/members.h"
#include "src/core/rng.h"

static const uint64_t STREAM_SPLIT = UINT64_C(1) << 32;

/* Picks two different vectors: the first, and where the search for the second begins, at random.
 * false: all are equal. */
static bool pick_seeds(struct divf *d, struct divf_division *v)
{
    size_t dim = d->env.dim;
    struct rng rng =
        rng_at(d->env.seed, STREAM_SPLIT + d->counters.splits + d->counters.refused_splits);
    size_t first = (size_t)rng_below(&rng, v->n), from = (size_t)rng_below(&rng, v->n);
    const void *a = divf_row(&d->lists, v->slots[first]);
    for (size_t i = 0; i < v->n; i++) {
        const void *b = divf_row(&d->lists, v->slots[(from + i) % v->n]);
        if (divf_same_row(&d->lists.space, a, b))
            continue;
        divf_widen(&d->lists.space, a, 1, v->centroids);
        divf_widen(&d->lists.space, b, 1, v->centroids + dim);
        return true;
    }
    return false;
}

/* Divides into two non-empty halves with their means. false: rounding emptied one. */
static bool two_means(const struct divf *d, struct divf_division *v)
{
    for (int64_t pass = 0; pass < d->params.max_split_iters; pass++) {
        const size_t changed = divf_division_assign(d, v);
        if (v->size[0] == 0 || v->size[1] == 0)
            return false;
        divf_division_means(v, d->env.dim);
        if (changed == 0)
            break;
    }
    return true;
}

/* Moves the second half to a new list. Reserves all space first; after that nothing can fail. */
static int divide(struct divf *d, size_t list, struct divf_division *v)
{
    struct divf_lists *lists = &d->lists;
    const int64_t round = (int64_t)d->counters.insert_batches;
    size_t new = lists->n;
    int rc = divf_lists_detach(d);
    if (!rc)
        rc = divf_list_add(lists, v->centroids + d->env.dim, round);
    if (rc)
        return rc;
    rc = divf_list_reserve(lists, new, v->size[1]);
    if (rc) {
        divf_list_remove(lists, new);
        return rc;
    }
    divf_centroid_move(lists, list, v->centroids);
    divf_division_move(d, list, v);
    if (divf_codes_per_list(d))
        divf_list_encode(lists, list);
    return OK;
}

static int split_list(struct divf *d, size_t list)
{
    struct divf_division v;
    int rc = divf_division_open(d, list, &v);
    if (!rc && pick_seeds(d, &v) && two_means(d, &v)) {
        rc = divide(d, list, &v);
    } else if (!rc) {
        d->lists.list[list]->uniform = true;
        d->counters.refused_splits++;
    }
    divf_division_close(&v);
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
    if (!overfull(d, d->lists.longest, mean))
        return OK;
    int rc = OK;
    for (size_t i = 0; !rc && i < n; i++)
        if (!d->lists.list[i]->uniform && overfull(d, d->lists.list[i]->live, mean))
            rc = split_list(d, i);
    d->lists.longest = 0;
    for (size_t i = 0; i < d->lists.n; i++) {
        const struct divf_list *l = d->lists.list[i];
        if (!l->uniform && l->live > d->lists.longest)
            d->lists.longest = l->live;
    }
    return rc;
}

const struct divf_policy divf_copenhagen = { .after_insert = split_overfull };
