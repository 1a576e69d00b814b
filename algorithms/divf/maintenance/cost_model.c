/* cost_model.c - maintenance = "cost-model": lists are split and dissolved where that makes queries
 * cheaper.
 *
 * This is Quake's model (Mohoney and others, 2025), measured in distance computations, so that
 * equal calls give equal indexes. A query costs 1 for each list that exists, and scan(s) =
 * cost_probe + s for each list of s copies that it reads. A list's access A is the share of recent
 * queries that read it. Expected changes of the cost:
 *
 *     split     1 - A scan(s) + 2 ACCESS_KEPT A scan(s / 2)
 *     dissolve  -1 - A scan(s) + sum over the RECEIVERS nearest lists r of
 *               (A_r + A / RECEIVERS) scan(s_r + s / RECEIVERS) - A_r scan(s_r)
 *
 * A change that is expected to save more than cost_tau is computed and evaluated again with its
 * real sizes. It is made only if it still saves that much; otherwise it is dropped before anything
 * has moved (`rolled_back`). After a split, LIRE's steps follow: local refinement, then
 * reassignment of the lists in reach.
 *
 * Until there are many queries, they are assumed to be distributed like the vectors: PRIOR queries,
 * each reading PRIOR_PROBES lists of mean length. */
#include <math.h>
#include <string.h>

#include "algorithms/divf/maintenance/members.h"

enum { PRIOR = 64, PRIOR_PROBES = 4, WINDOW = 4096, RECEIVERS = 8 };
static const double ACCESS_KEPT = 0.9;

static double scan_cost(const struct divf *d, double copies)
{
    return d->params.cost_probe + copies;
}

static double access_share(const struct divf *d, size_t list)
{
    struct divf_list *l = d->lists.list[list];
    double queries = (double)atomic_load_explicit(&d->queries, memory_order_relaxed);
    double prior = PRIOR_PROBES * (double)l->live / fmax(1, (double)d->lists.live);
    return ((double)divf_list_reads(l) + PRIOR * fmin(1, prior)) / (queries + PRIOR);
}

/* Old queries lose weight: after WINDOW queries, all counts are halved. */
void divf_forget_queries(struct divf *d)
{
    uint64_t queries = atomic_load_explicit(&d->queries, memory_order_relaxed);
    if (queries <= WINDOW)
        return;
    atomic_store_explicit(&d->queries, queries / 2, memory_order_relaxed);
    for (size_t i = 0; i < d->lists.n; i++) {
        struct divf_list *l = d->lists.list[i];
        atomic_store_explicit(&l->probes, divf_list_reads(l) / 2, memory_order_relaxed);
    }
}

static void cost_find_due(struct divf *d)
{
    divf_forget_queries(d);
    divf_mark_due(d);
}

static double split_change(const struct divf *d, size_t list, double first, double second)
{
    double a = access_share(d, list);
    return 1 - a * scan_cost(d, first + second) +
           ACCESS_KEPT * a * (scan_cost(d, first) + scan_cost(d, second));
}

static size_t best_split(const struct divf *d, double *change)
{
    size_t best = DIVF_NO_LIST;
    *change = -d->params.cost_tau;
    for (size_t i = 0; i < d->lists.n; i++) {
        double half = d->lists.list[i]->live / 2.0;
        double c = divf_may_split(d, i) ? split_change(d, i, half, half) : 0;
        if (c < *change) {
            *change = c;
            best = i;
        }
    }
    return best;
}

static int try_split(struct divf *d, struct divf_step *step, bool *did)
{
    struct divf_division v;
    bool divided;
    double change;
    size_t list = d->maintenance->splits_due ? best_split(d, &change) : DIVF_NO_LIST;
    *did = list != DIVF_NO_LIST;
    if (!*did) {
        d->maintenance->splits_due = d->maintenance->splits_due && d->maintenance->n_fresh > 0;
        return OK;
    }
    int rc = divf_divide(d, list, &v, &divided, &step->spent);
    const unsigned kept = (unsigned)(ACCESS_KEPT * divf_list_reads(d->lists.list[list]));
    if (!rc && divided &&
        split_change(d, list, (double)v.size[0], (double)v.size[1]) < -d->params.cost_tau) {
        rc = divf_divide_do(d, list, &v, &step->spent);
        for (size_t half = 0; !rc && half < 2; half++) {
            struct divf_list *l = d->lists.list[half ? d->lists.n - 1 : list];
            atomic_store_explicit(&l->probes, kept, memory_order_relaxed);
        }
    } else if (!rc) {
        d->maintenance->list[list].refused = d->lists.list[list]->live;
        d->counters.refused_splits += !divided;
        d->counters.maintenance.rolled_back += divided;
    }
    divf_division_close(&v);
    return rc;
}

/* The change for a receiving list, if n more copies come with a share of the access to `from`. */
static double receive_change(const struct divf *d, size_t from, size_t to, double n)
{
    double live = d->lists.list[from]->live, share = live > 0 ? n / live : 1.0 / RECEIVERS;
    double a = access_share(d, to), copies = d->lists.list[to]->live;
    return (a + access_share(d, from) * share) * scan_cost(d, copies + n) -
           a * scan_cost(d, copies);
}

static double leave_change(const struct divf *d, size_t list)
{
    return -1 - access_share(d, list) * scan_cost(d, d->lists.list[list]->live);
}

static double expected_dissolve(struct divf *d, size_t list)
{
    size_t n = divf_near_centroids(d, d->lists.centroids + list * d->env.dim, RECEIVERS, list);
    double change = leave_change(d, list), each = (double)d->lists.list[list]->live / (double)n;
    for (size_t i = 0; i < n; i++)
        change += receive_change(d, list, d->maintenance->ranked[i], each);
    return change;
}

/* Dissolving can pay only for lists whose removal alone would save enough. Their vectors cost the
   receivers at least their length times their access, so the shortest list is the one to try. */
static size_t shortest_stable(const struct divf *d)
{
    size_t best = DIVF_NO_LIST;
    for (size_t i = 0; i < d->lists.n; i++) {
        const struct divf_list_state *l = &d->maintenance->list[i];
        if (l->moved <= d->maintenance->checked_at && !l->kept &&
            (best == DIVF_NO_LIST || d->lists.list[i]->live < d->lists.list[best]->live))
            best = i;
    }
    return best;
}

static double real_dissolve(struct divf *d, size_t list, size_t n)
{
    const struct divf_maintainer *u = d->maintenance;
    double change = leave_change(d, list);
    memset(u->ranked, 0, d->lists.n * sizeof *u->ranked); /* ranked serves as an array of
                                                             counts here */
    for (size_t i = 0; i < n; i++)
        if (u->to[i] != UINT32_MAX)
            u->ranked[u->to[i]]++;
    for (size_t i = 0; i < d->lists.n; i++)
        if (u->ranked[i] > 0)
            change += receive_change(d, list, i, u->ranked[i]);
    return change;
}

static int try_dissolve(struct divf *d, struct divf_step *step, bool *did)
{
    struct divf_maintainer *u = d->maintenance;
    size_t list = u->merges_due && divf_may_dissolve(d) ? shortest_stable(d) : DIVF_NO_LIST, n;
    *did = list != DIVF_NO_LIST && expected_dissolve(d, list) < -d->params.cost_tau;
    if (list != DIVF_NO_LIST)
        step->spent += d->lists.n;
    if (!*did) {
        u->merges_due = false;
        return OK;
    }
    int rc = divf_dissolve_plan(d, list, &n, &step->spent);
    if (rc)
        return rc;
    if (real_dissolve(d, list, n) < -d->params.cost_tau)
        return divf_dissolve_do(d, list, n);
    u->list[list].kept = true;
    d->counters.maintenance.rolled_back++;
    return OK;
}

static int cost_step(struct divf *d, struct divf_step *step)
{
    bool did;
    int rc = try_split(d, step, &did);
    if (!rc && !did)
        rc = divf_after_splits(d, step, &did);
    if (!rc && !did)
        rc = try_dissolve(d, step, &did);
    step->idle = !rc && !did;
    return rc;
}

const struct divf_policy divf_cost_model = { .step = cost_step, .find_due = cost_find_due };
