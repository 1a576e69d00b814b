/* reassign.c - reassignment of vectors after centroids moved: LIRE's conditions, one list at a
 * time. members.h explains them. */
#include <math.h>
#include <string.h>

#include "algorithms/divf/maintenance/members.h"
#include "kernels/kernels.h"
#include "src/core/mem.h"
#include "src/core/rng.h"

/* Vectors per pending list in the sample of a refinement. */
enum { REFINE_SAMPLE = 64 };

void divf_mark_pending(struct divf *d, size_t list)
{
    struct divf_maintainer *u = d->maintenance;
    struct divf_list_state *l = &u->list[list];
    u->n_pending += !l->pending;
    u->n_quiet -= l->quiet;
    l->pending = true;
    l->quiet = false;
}

void divf_mark_reach(struct divf *d, const float *centroid, uint64_t *spent)
{
    size_t n = divf_near_centroids(d, centroid, (size_t)d->params.reassign_lists, DIVF_NO_LIST);
    for (size_t i = 0; i < n; i++)
        divf_mark_pending(d, d->maintenance->ranked[i]);
    *spent += d->lists.n;
}

static void near_add(struct divf *d, const float *centroid, uint32_t list)
{
    struct divf_maintainer *u = d->maintenance;
    size_t dim = d->env.dim;
    float *to = u->near + u->n_near * dim;
    memcpy(to, centroid, dim * sizeof *to);
    nearest_centroid_norms(d->env.kernels, to, 1, dim, u->near_norm + u->n_near);
    u->near_list[u->n_near++] = list;
}

/* Sets near[]: the list's own centroid, its old one if it moved, and those in reach that moved
   since `compared`. */
static void find_near(struct divf *d, size_t list)
{
    struct divf_maintainer *u = d->maintenance;
    const struct divf_list_state *l = &u->list[list];
    size_t dim = d->env.dim, reach = (size_t)d->params.reassign_lists;
    const float *own = d->lists.centroids + list * dim;
    u->n_near = 0;
    u->near_version++;
    u->near_was = l->was;
    near_add(d, own, (uint32_t)list);
    if (l->was)
        near_add(d, l->was, (uint32_t)list);
    bool all = l->moved > l->compared && !l->was; /* its old centroid is unknown */
    size_t n = divf_near_centroids(d, own, reach, list);
    for (size_t i = 0; i < n; i++)
        if (all || u->list[u->ranked[i]].moved > l->compared)
            near_add(d, d->lists.centroids + u->ranked[i] * dim, u->ranked[i]);
}

static void nearest_of_near(struct divf *d, size_t n)
{
    struct divf_maintainer *u = d->maintenance;
    float longest = 0;
    for (size_t i = 0; i < u->n_near; i++)
        longest = fmaxf(longest, u->near_norm[i]);
    struct centroids centroids = { u->near,   u->near_norm, longest,
                                   u->n_near, d->env.dim,   u->near_version };
    nearest_rows(u->nearest_near, d->env.kernels, &centroids, u->rows, n, 1, u->answer);
}

/* Keeps those of the n vectors in u->slots that meet a condition, and returns their number. */
static size_t keep_candidates(struct divf *d, size_t n)
{
    struct divf_maintainer *u = d->maintenance;
    size_t kept = 0;
    for (size_t first = 0; first < n; first += NEAREST_ROWS) {
        size_t count = n - first < NEAREST_ROWS ? n - first : NEAREST_ROWS;
        divf_gather_rows(d, u->slots + first, count, u->rows);
        nearest_of_near(d, count);
        for (size_t i = 0; i < count; i++)
            if (u->answer[i] != 0)
                u->slots[kept++] = u->slots[first + i];
    }
    return kept;
}

/* Keeps those of n candidates that no longer have `list` among their nearest lists, with the
   nearest list without a copy in u->to. */
static size_t find_targets(struct divf *d, size_t list, size_t n)
{
    struct divf_maintainer *u = d->maintenance;
    struct centroids centroids = divf_centroids(&d->lists);
    size_t s = (size_t)d->params.soft_k < d->lists.n ? (size_t)d->params.soft_k : d->lists.n;
    size_t kept = 0;
    for (size_t first = 0; first < n; first += NEAREST_ROWS) {
        size_t count = n - first < NEAREST_ROWS ? n - first : NEAREST_ROWS;
        divf_gather_rows(d, u->slots + first, count, u->rows);
        nearest_rows(u->nearest, d->env.kernels, &centroids, u->rows, count, s, u->answer);
        for (size_t i = 0; i < count; i++) {
            const uint32_t *wanted = u->answer + i * s;
            uint32_t slot = u->slots[first + i], to = UINT32_MAX;
            bool stays = false;
            for (size_t j = s; j-- > 0;) {
                stays = stays || wanted[j] == list;
                if (!divf_slot_in_list(&d->lists, slot, wanted[j]))
                    to = wanted[j];
            }
            if (stays || to == UINT32_MAX)
                continue;
            u->slots[kept] = slot;
            u->to[kept++] = to;
        }
    }
    return kept;
}

static int reassign_list(struct divf *d, size_t list, uint64_t *spent)
{
    struct divf_maintainer *u = d->maintenance;
    struct divf_list_state *l = &u->list[list];
    size_t live = d->lists.list[list]->live;
    int rc = divf_maintenance_reserve(d, live);
    if (rc)
        return rc;
    find_near(d, list);
    *spent += d->lists.n;
    if (u->n_near > 1 && live > 0) {
        size_t n = divf_list_slots(&d->lists, list, u->slots);
        *spent += n * u->n_near;
        d->counters.maintenance.scanned += n;
        n = keep_candidates(d, n);
        *spent += n * d->lists.n;
        d->counters.maintenance.candidates += n;
        n = find_targets(d, list, n);
        rc = n > 0 ? divf_refile(d, list, u->slots, u->to, n) : OK;
    }
    if (rc)
        return rc;
    mem_free(d->env.mem, l->was);
    l->was = NULL;
    l->compared = u->tick;
    u->n_pending--;
    u->n_quiet -= l->quiet;
    l->pending = l->quiet = false;
    return OK;
}

int divf_reassign(struct divf *d, uint64_t *spent, bool *did)
{
    struct divf_maintainer *u = d->maintenance;
    *did = u->n_pending > (u->thorough ? 0 : u->n_quiet);
    if (!*did)
        return OK;
    if (u->at >= u->n)
        u->at = 0;
    while (!u->list[u->at].pending || (u->list[u->at].quiet && !u->thorough))
        u->at = u->at + 1 < u->n ? u->at + 1 : 0;
    return reassign_list(d, u->at, spent);
}

/* The sums of a refinement: one and a weight for each fresh list. */
struct refinement {
    uint32_t *index; /* index of a list among the fresh ones */
    double *sums, *weights;
};

static int refine_list(struct divf *d, struct refinement *r, size_t list, uint64_t *spent)
{
    struct divf_maintainer *u = d->maintenance;
    size_t dim = d->env.dim, live = d->lists.list[list]->live;
    size_t m = live < REFINE_SAMPLE ? live : REFINE_SAMPLE;
    int rc = divf_maintenance_reserve(d, live);
    if (rc || m == 0)
        return rc;
    find_near(d, list);
    struct rng rng = divf_maintenance_rng(d);
    divf_list_slots(&d->lists, list, u->slots);
    divf_gather_sample(d, &rng, u->slots, live, m, u->rows);
    nearest_of_near(d, m);
    double weight = (double)live / (double)m;
    bool quiet = true;
    for (size_t i = 0; i < m; i++) {
        quiet = quiet && u->answer[i] == 0;
        if (u->near_was && u->answer[i] == 1) /* it will move to a list that the sample does
                                                 not show */
            continue;
        uint32_t to = u->near_list[u->answer[i]];
        if (!u->list[to].fresh)
            continue;
        double *sums = r->sums + r->index[to] * dim;
        for (size_t j = 0; j < dim; j++)
            sums[j] += weight * (double)u->rows[i * dim + j];
        r->weights[r->index[to]] += weight;
    }
    u->n_quiet += (size_t)quiet - (size_t)u->list[list].quiet;
    u->list[list].quiet = quiet;
    *spent += d->lists.n + m * u->n_near;
    return OK;
}

static int refine_once(struct divf *d, struct refinement *r, uint64_t *spent)
{
    struct divf_maintainer *u = d->maintenance;
    const size_t dim = d->env.dim;
    memset(r->sums, 0, u->n_fresh * dim * sizeof *r->sums);
    memset(r->weights, 0, u->n_fresh * sizeof *r->weights);
    for (size_t i = 0; i < u->n; i++) {
        int rc = u->list[i].pending ? refine_list(d, r, i, spent) : OK;
        if (rc)
            return rc;
    }
    for (size_t i = 0; i < u->n; i++) {
        if (!u->list[i].fresh || !(r->weights[r->index[i]] > 0))
            continue;
        const uint32_t at = r->index[i];
        for (size_t j = 0; j < dim; j++) /* near[] has space for a row */
            u->near[j] = (float)(r->sums[at * dim + j] / r->weights[at]);
        *spent += divf_move_centroid(d, i, u->near);
        d->counters.maintenance.refreshed++;
    }
    return OK;
}

int divf_refine(struct divf *d, uint64_t *spent)
{
    struct divf_maintainer *u = d->maintenance;
    struct mem_group g = { .mem = d->env.mem };
    struct refinement r = { mem_group_array(&g, u->n, sizeof *r.index),
                            mem_group_array(&g, u->n_fresh * d->env.dim, sizeof *r.sums),
                            mem_group_array(&g, u->n_fresh, sizeof *r.weights) };
    int rc = !g.failed ? divf_lists_detach(d)
                       : fail(d->env.error, ERR_NO_MEMORY, "divf: out of memory refining %zu lists",
                              u->n_fresh);
    for (size_t i = 0, n = 0; !rc && i < u->n; i++)
        if (u->list[i].fresh)
            r.index[i] = (uint32_t)n++;
    for (int64_t pass = 0; !rc && pass < d->params.refine_passes; pass++)
        rc = refine_once(d, &r, spent);
    if (!rc) {
        for (size_t i = 0; i < u->n; i++)
            u->list[i].fresh = false;
        u->n_fresh = 0;
    }
    mem_group_free(&g);
    return rc;
}
