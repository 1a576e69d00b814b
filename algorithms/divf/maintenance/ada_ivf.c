/* ada_ivf.c - maintenance = "ada-ivf": lists whose size or mean has changed too much are clustered
 * again with their neighbours, the sooner the more queries read them.
 *
 * After Ada-IVF (Mohoney and others, "Incremental IVF index maintenance for streaming vector
 * search", arXiv 2411.00970, 2024), section 4. A cycle runs each time the share cycle_every of the
 * vectors has changed. It gives every list a score (equation 1),
 *
 *     f = T (ada_size size + (1 - ada_size) drift)
 *     size  = (s - t) / t for s >= t, else (t - s) / s     s: live copies, t: the fair length
 *     drift = |mean of its vectors - centroid| / |centroid|
 *
 * and clusters again those with f > ada_threshold (algorithm 4): a long list is split, a short one
 * dissolved, any other gets its mean for its centroid. Around a list that is split or moved, the
 * centroids of the reassign_lists nearest lists become the means of their vectors, and the vectors
 * of all of them are reassigned: a pass of k-means over the region.
 *
 * Departures. The temperature T is how often recent queries read the list, over the mean of the
 * lists, at least 1: the paper's heats and cools with each query, by factors that it does not give.
 * alpha only scales the threshold. Around a dissolved list no centroid moves. A list is split in two, and its halves again, until they are
 * nearer to the fair length than to twice that; the paper's k-means is balanced and makes as many
 * parts at once. Its rebuild of the whole index is the training after a turnover (train.c). */
#include <math.h>

#include "algorithms/divf/maintenance/members.h"
#include "kernels/kernels.h"

/* A cycle is due after many changes; in w:maintain, after any. */
static bool cycle_due(const struct divf *d)
{
    const uint64_t n = divf_cycle_changes(d);
    return d->maintenance->thorough ? n > 0
                                    : (double)n > d->params.cycle_every * (double)d->slots.ids.n;
}

static void begin_cycle(struct divf *d)
{
    struct divf_maintainer *u = d->maintenance;
    uint64_t sum = 0;
    divf_forget_queries(d);
    for (size_t i = 0; i < d->lists.n; i++)
        sum += divf_list_reads(d->lists.list[i]);
    u->mean_reads = (double)sum / (double)d->lists.n;
    u->checked_at = u->tick;
    divf_cycle_begin(d);
}

/* From 1: how often queries read the list. */
static double temperature(const struct divf *d, size_t list)
{
    const double mean = d->maintenance->mean_reads;
    return mean > 0 ? fmax(1, (double)divf_list_reads(d->lists.list[list]) / mean) : 1;
}

static double size_score(double live, double fair)
{
    return live >= fair ? (live - fair) / fair : (fair - live) / fmax(live, 1);
}

/* How far the mean of its vectors, u->mean, is from its centroid. */
static double drift_score(const struct divf *d, size_t list)
{
    const float *centroid = d->lists.centroids + list * d->env.dim;
    const double norm_sq = (double)d->lists.norm_sq[list];
    const double moved =
        (double)d->env.kernels->l2sq_f32(d->maintenance->mean, centroid, d->env.dim);
    return norm_sq > 0 ? sqrt(moved / norm_sq) : moved > 0;
}

/* The lists around a centroid get their means for centroids, once in a cycle. Those that a split has
   just made are left to divf_refine(). */
static int recentre(struct divf *d, const float *centroid, uint64_t *spent)
{
    struct divf_maintainer *u = d->maintenance;
    int rc = divf_lists_detach(d);
    if (rc)
        return rc;
    divf_mark_reach(d, centroid, spent);
    for (size_t i = 0; i < u->n; i++) {
        const struct divf_list_state *l = &u->list[i];
        if (!l->pending || l->fresh || l->moved > u->checked_at || d->lists.list[i]->live == 0)
            continue;
        rc = divf_list_mean(d, i, spent);
        if (rc)
            return rc;
        *spent += divf_move_centroid(d, i, u->mean);
        d->counters.maintenance.refreshed++;
    }
    return OK;
}

/* *again: the list's number is to be examined once more. */
static int cluster_again(struct divf *d, size_t list, uint64_t *spent, bool *again)
{
    struct divf_maintainer *u = d->maintenance;
    const double live = d->lists.list[list]->live, fair = divf_fair_length(d);
    const uint64_t splits = d->counters.splits;
    const bool old = u->list[list].moved <= u->checked_at;
    if (live >= 1.5 * fair && divf_may_split(d, list)) {
        int rc = divf_split_list(d, list, spent);
        *again = d->counters.splits > splits;
        return rc || !*again ? rc : recentre(d, d->lists.centroids + list * d->env.dim, spent);
    }
    if (live < fair / 2 && old && divf_may_dissolve(d)) {
        int rc = divf_dissolve(d, list, spent);
        *again = rc == OK;
        return rc;
    }
    if (!old || live == 0)
        return OK;
    divf_mark_pending(d, list);
    return recentre(d, d->lists.centroids + list * d->env.dim, spent);
}

static int examine(struct divf *d, uint64_t *spent)
{
    struct divf_maintainer *u = d->maintenance;
    const size_t list = u->at;
    const double live = d->lists.list[list]->live;
    int rc = live > 0 ? divf_list_mean(d, list, spent) : OK;
    bool again = false;
    if (rc)
        return rc;
    const double drift = live > 0 ? drift_score(d, list) : 0;
    const double score =
        temperature(d, list) * (d->params.ada_size * size_score(live, divf_fair_length(d)) +
                                (1 - d->params.ada_size) * drift);
    if (score > d->params.ada_threshold)
        rc = cluster_again(d, list, spent, &again);
    u->at += rc == OK && !again;
    u->cycling = u->at < d->lists.n;
    return rc;
}

static int ada_step(struct divf *d, struct divf_step *step)
{
    struct divf_maintainer *u = d->maintenance;
    bool did = false;
    if (!u->cycling && cycle_due(d))
        begin_cycle(d);
    if (u->cycling && u->n_fresh < DIVF_FRESH_MOST)
        return examine(d, &step->spent);
    int rc = divf_after_splits(d, step, &did);
    step->idle = !rc && !did && !u->cycling;
    return rc;
}

const struct divf_policy divf_ada_ivf = { .step = ada_step };
