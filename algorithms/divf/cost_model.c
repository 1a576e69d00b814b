/* cost_model.c - maintenance = "cost-model": lists are split and dissolved where that makes the
 * queries there were cheaper.
 *
 * Quake's model (Mohoney and others, 2025), in distance computations, so that equal calls give equal
 * indexes: a query costs 1 for each list there is, and scan(s) = cost_probe + s for each list of s
 * copies it reads. A list's access A is the share of recent queries that read it. Expected changes:
 *
 *     split     1 - A scan(s) + 2 ACCESS_KEPT A scan(s / 2)
 *     dissolve  -1 - A scan(s) + sum over the RECEIVERS nearest lists r of
 *               (A_r + A / RECEIVERS) scan(s_r + s / RECEIVERS) - A_r scan(s_r)
 *
 * One that saves more than cost_tau is worked out, weighed again with its real sizes, and done only
 * if it still does; else it is dropped before anything has moved (`rolled_back`). What follows a
 * split is LIRE's: local refinement, then reassignment of what is in reach.
 *
 * Before there are many queries, they are taken to go where the vectors are: PRIOR queries, each
 * reading PRIOR_PROBES lists of mean length.
 */
#include <math.h>
#include <string.h>

#include "algorithms/divf/upkeep.h"
#include "src/core/mem.h"

enum { PRIOR = 64, PRIOR_PROBES = 4, WINDOW = 4096, RECEIVERS = 8 };
static const double ACCESS_KEPT = 0.9;

static double scan_cost(const struct divf *d, double copies)
{
    return d->params.cost_probe + copies;
}

static double access_share(const struct divf *d, size_t list)
{
    struct divf_list *l = &d->lists.list[list];
    double queries = (double)atomic_load_explicit(&d->queries, memory_order_relaxed);
    double prior = PRIOR_PROBES * (double)l->live / fmax(1, (double)d->lists.live);
    return ((double)atomic_load_explicit(&l->probes, memory_order_relaxed) +
            PRIOR * fmin(1, prior)) /
           (queries + PRIOR);
}

/* Old queries fade: past WINDOW, all counts are halved. */
static void forget_queries(struct divf *d)
{
    uint64_t queries = atomic_load_explicit(&d->queries, memory_order_relaxed);
    if (queries <= WINDOW)
        return;
    atomic_store_explicit(&d->queries, queries / 2, memory_order_relaxed);
    for (size_t i = 0; i < d->lists.n; i++) {
        struct divf_list *l = &d->lists.list[i];
        atomic_store_explicit(&l->probes,
                              atomic_load_explicit(&l->probes, memory_order_relaxed) / 2,
                              memory_order_relaxed);
    }
}

static void cost_look(struct divf *d)
{
    forget_queries(d);
    upkeep_look(d);
}

static double split_change(const struct divf *d, size_t list, double first, double second)
{
    double a = access_share(d, list);
    return 1 - a * scan_cost(d, first + second) +
           ACCESS_KEPT * a * (scan_cost(d, first) + scan_cost(d, second));
}

static size_t best_split(const struct divf *d, double *change)
{
    size_t best = UPKEEP_NONE;
    *change = -d->params.cost_tau;
    for (size_t i = 0; i < d->lists.n; i++) {
        double half = d->lists.list[i].live / 2.0;
        double c = upkeep_may_split(d, i) ? split_change(d, i, half, half) : 0;
        if (c < *change) {
            *change = c;
            best = i;
        }
    }
    return best;
}

static void keep_access(struct divf *d, size_t list, size_t half)
{
    unsigned probes = atomic_load_explicit(&d->lists.list[list].probes, memory_order_relaxed);
    unsigned kept = (unsigned)(ACCESS_KEPT * probes);
    atomic_store_explicit(&d->lists.list[list].probes, kept, memory_order_relaxed);
    atomic_store_explicit(&d->lists.list[half].probes, kept, memory_order_relaxed);
}

static int try_split(struct divf *d, struct upkeep_step *step, bool *did)
{
    struct division v;
    bool divided;
    double change;
    size_t list = d->upkeep->splits_due ? best_split(d, &change) : UPKEEP_NONE;
    *did = list != UPKEEP_NONE;
    if (!*did) {
        d->upkeep->splits_due = d->upkeep->splits_due && d->upkeep->n_fresh > 0;
        return OK;
    }
    int rc = upkeep_divide(d, list, &v, &divided, &step->spent);
    if (!rc && divided &&
        split_change(d, list, (double)v.size[0], (double)v.size[1]) < -d->params.cost_tau) {
        rc = upkeep_divide_do(d, list, &v, &step->spent);
        if (!rc)
            keep_access(d, list, d->lists.n - 1);
    } else if (!rc) {
        d->upkeep->list[list].refused = d->lists.list[list].live;
        d->counters.refused_splits += !divided;
        d->counters.upkeep.rolled_back += divided;
    }
    upkeep_divide_end(d, &v);
    return rc;
}

/* Of a receiving list, if n more copies come with a share of the access to `from`. */
static double receive_change(const struct divf *d, size_t from, size_t to, double n)
{
    double live = d->lists.list[from].live, share = live > 0 ? n / live : 1.0 / RECEIVERS;
    double a = access_share(d, to), copies = d->lists.list[to].live;
    return (a + access_share(d, from) * share) * scan_cost(d, copies + n) -
           a * scan_cost(d, copies);
}

static double leave_change(const struct divf *d, size_t list)
{
    return -1 - access_share(d, list) * scan_cost(d, d->lists.list[list].live);
}

static double expected_dissolve(struct divf *d, size_t list)
{
    size_t n = upkeep_near(d, d->lists.centroids + list * d->base.env.dim, RECEIVERS, list);
    double change = leave_change(d, list), each = (double)d->lists.list[list].live / (double)n;
    for (size_t i = 0; i < n; i++)
        change += receive_change(d, list, d->upkeep->ranked[i], each);
    return change;
}

/* Only lists that would pay if nobody had to receive can pay, and what they hold costs the others at
   least its length times their access; the shortest is the one to ask. */
static size_t shortest_settled(const struct divf *d)
{
    size_t best = UPKEEP_NONE;
    for (size_t i = 0; i < d->lists.n; i++) {
        const struct upkeep_list *l = &d->upkeep->list[i];
        if (l->moved <= d->upkeep->looked && !l->kept &&
            (best == UPKEEP_NONE || d->lists.list[i].live < d->lists.list[best].live))
            best = i;
    }
    return best;
}

static double real_dissolve(struct divf *d, size_t list, size_t n)
{
    const struct upkeep *u = d->upkeep;
    double change = leave_change(d, list);
    memset(u->ranked, 0, d->lists.n * sizeof *u->ranked); /* counts, for once */
    for (size_t i = 0; i < n; i++)
        if (u->to[i] != UINT32_MAX)
            u->ranked[u->to[i]]++;
    for (size_t i = 0; i < d->lists.n; i++)
        if (u->ranked[i] > 0)
            change += receive_change(d, list, i, u->ranked[i]);
    return change;
}

static int try_dissolve(struct divf *d, struct upkeep_step *step, bool *did)
{
    struct upkeep *u = d->upkeep;
    size_t list = u->merges_due && upkeep_may_dissolve(d) ? shortest_settled(d) : UPKEEP_NONE, n;
    *did = list != UPKEEP_NONE && expected_dissolve(d, list) < -d->params.cost_tau;
    if (list != UPKEEP_NONE)
        step->spent += d->lists.n;
    if (!*did) {
        u->merges_due = false;
        return OK;
    }
    int rc = upkeep_dissolve_plan(d, list, &n, &step->spent);
    if (rc)
        return rc;
    if (real_dissolve(d, list, n) < -d->params.cost_tau)
        return upkeep_dissolve_do(d, list, n);
    u->list[list].kept = true;
    d->counters.upkeep.rolled_back++;
    return OK;
}

static int cost_step(struct divf *d, struct upkeep_step *step)
{
    bool did;
    int rc = try_split(d, step, &did);
    if (!rc && !did)
        rc = upkeep_settle(d, step, &did);
    if (!rc && !did)
        rc = try_dissolve(d, step, &did);
    step->idle = !rc && !did;
    return rc;
}

const struct upkeep_policy upkeep_cost_model = { .step = cost_step, .look = cost_look };
