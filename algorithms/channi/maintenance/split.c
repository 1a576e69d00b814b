/* split.c - splits a cluster past its limit.
 *
 *   1  find a few temporary centroids by mini-batch k-means
 *   2  flag rows too far from all of them as outliers, if they are enough (ood.c)
 *   3  merge temporary centroids to two or three groups (agglomerate.c)
 *   4  make the live member nearest to each group's centroid a primary; assign rows to the nearest
 *   5  let the part whose primary is nearest to the old one keep cid, file name and routes; of that
 *      cluster only the root changes. Every other part, OOD ones too, becomes a new cluster with a
 *      route of its own.
 *
 * If assignment to the nearest primary would leave a part nearly empty, which a merge would undo,
 * rows stay with their group. A cluster that cannot be split is tried again when it has grown by
 * half.
 */
#include <math.h>
#include <string.h>

#include "algorithms/channi/maintenance/internal.h"
#include "algorithms/channi/maintenance/maintenance.h"
#include "algorithms/channi/search/route.h"
#include "algorithms/common/rows/rows.h"
#include "kernels/kernels.h"

/* Mini-batch k-means for temporary centroids. With a quarter or four times of each value, recall at
   equal work changes no more than between two seeds (docs/decisions.md). */
enum { BATCH_ROWS = 256, BATCH_STEPS = 50, RESTARTS = 3 };
enum { APART = 4 }; /* see are_apart() */

/* ----------------------------------------------------------------------------------- memory */

static int cut_open(struct channi_cut *k, const struct channi *c, const struct channi_members *m,
                    uint64_t seed)
{
    struct mem_group *g = &k->x.memory;
    const size_t dim = c->base.env.dim, n = m->n_live;

    *k = (struct channi_cut){ .c = c, .seed = seed };
    const int rc = channi_cloud_make(&k->x, c, m);
    if (rc != OK)
        return rc;
    k->temporary.centroids = mem_group_array(g, CUT_TEMPORARY, dim * sizeof(float));
    k->temporary.count = mem_group_array(g, CUT_TEMPORARY, sizeof(uint32_t));
    k->temporary.label = mem_group_array(g, n, sizeof(uint32_t));
    k->temporary.distance = mem_group_array(g, n, sizeof(float));
    k->centres = mem_group_array(g, CUT_TEMPORARY + 1, dim * sizeof(float));
    k->part = mem_group_array(g, n, sizeof(uint32_t));
    k->list = mem_group_array(g, n, sizeof(uint32_t));
    k->keys = mem_group_array(g, n, sizeof(uint64_t));
    k->flagged = mem_group_array(g, n, sizeof(bool));
    if (g->failed) {
        mem_group_free(g);
        return CHANNI_NO_MEMORY(&c->base.env, ", cannot split %zu rows", n);
    }
    k->point = k->centres + CUT_TEMPORARY * dim;
    return OK;
}

/* ------------------------------------------------------------------------------------- steps */

static size_t temporary_count(const struct channi *c, size_t n)
{
    const double logarithm =
        floor(c->params.split_count == SPLIT_LOG2 ? log2((double)n) : log((double)n));
    const size_t k = c->params.split_count == SPLIT_2   ? 2
                     : c->params.split_count == SPLIT_3 ? 3
                     : logarithm > 3                    ? (size_t)logarithm
                                                        : 3;

    return k < CUT_TEMPORARY ? k : CUT_TEMPORARY;
}

static size_t parts_wanted(const struct channi *c, size_t n)
{
    const long parts = lround((double)n / (double)c->params.target_cluster);

    if (c->params.parts > 0)
        return (size_t)c->params.parts;
    return parts < 2 ? 2 : parts > 3 ? 3 : (size_t)parts;
}

/* Assigns normal rows to the nearest primary (or centroid), unless a part would be too small. */
static void to_nearest(struct channi_cut *k)
{
    const struct kernels *kernels = k->c->base.env.kernels;
    const size_t dim = k->x.dim, least = k->c->merge_min > 0 ? k->c->merge_min : 1;
    size_t count[CUT_TEMPORARY] = { 0 };
    float distances[CUT_TEMPORARY];

    for (size_t g = 0; g < k->n_groups && !k->c->params.assign_to_centroid; g++)
        memcpy(k->centres + g * dim, k->x.rows + k->roots[g] * dim, dim * sizeof *k->centres);
    for (size_t i = 0; i < k->x.n; i++) {
        if (k->flagged[i])
            continue;
        kernels->l2sq_f32_1n(k->x.rows + i * dim, k->centres, k->n_groups, dim, distances);
        k->list[i] = (uint32_t)kernels->argmin_f32(distances, k->n_groups);
        count[k->list[i]]++;
    }
    /* A primary stays in its own part, even if another centroid is nearer. */
    for (size_t g = 0; g < k->n_groups; g++) {
        count[k->list[k->roots[g]]]--;
        k->list[k->roots[g]] = (uint32_t)g;
        count[g]++;
    }
    for (size_t g = 0; g < k->n_groups; g++)
        if (count[g] < least)
            return;
    for (size_t i = 0; i < k->x.n; i++)
        if (!k->flagged[i])
            k->part[i] = k->list[i];
    k->cost += (double)(k->x.n * k->n_groups);
}

/* ---------------------------------------------------------------------------------- the plan */

static size_t choose_successor(const struct channi_cut *k, const struct channi_cluster *cl,
                               const struct channi_members *m)
{
    const void *old = cl->site; /* the old primary: the route nearest to the site */
    size_t predecessor = 0;
    float least = INFINITY, ignored;

    if (cl->n_routes > 0)
        old = segmented_at(&k->c->route_rows, channi_nearest_route(k->c, cl->routes, cl->n_routes,
                                                                   cl->site, &ignored));

    for (size_t g = 0; g < k->n_groups; g++) {
        const float d =
            rows_distance(&k->c->base.env, m->rows[k->x.member[k->roots[g]]].bytes, old);
        if (d < least) {
            least = d;
            predecessor = g;
        }
    }
    return predecessor;
}

/* Lists the rows of each part. */
static int fill_plan(const struct channi_cut *k, const struct channi_cluster *cl,
                     const struct channi_members *m, struct channi_split_plan *plan)
{
    const size_t predecessor = choose_successor(k, cl, m);
    uint32_t *block = plan->block = mem_array(k->c->base.env.mem, 2 * m->n, sizeof *block);

    if (!block)
        return CHANNI_NO_MEMORY(&k->c->base.env, ", cannot split %zu rows", m->n);
    uint32_t *part_of = block + m->n, *at = block;
    plan->n_normal = k->n_groups;
    plan->n_parts = k->n_groups + k->n_ood;
    memset(part_of, 0, m->n * sizeof *part_of);
    for (size_t i = 0; i < k->x.n; i++)
        part_of[k->x.member[i]] = k->part[i];
    for (size_t i = 0; i < m->n; i++) {
        float least = INFINITY;

        /* Dead rows that old versions still see go to the part with the nearest root. */
        for (size_t p = 0; p < plan->n_parts && m->rows[i].dead != 0; p++) {
            const float d = rows_distance(&k->c->base.env, m->rows[i].bytes,
                                          m->rows[k->x.member[k->roots[p]]].bytes);
            if (d < least) {
                least = d;
                part_of[i] = (uint32_t)p;
            }
        }
    }
    for (size_t p = 0; p < plan->n_parts; p++) {
        const bool takes_routes = p == predecessor && k->c->params.reuse;
        const uint32_t *rows = at;

        for (size_t i = 0; i < m->n; i++)
            if (part_of[i] == p)
                *at++ = (uint32_t)i;
        plan->parts[p] =
            (struct channi_part){ .rows = rows,
                                  .n = (size_t)(at - rows),
                                  .root = k->x.member[k->roots[p]],
                                  .kind = p < k->n_groups ? CLUSTER_NORMAL : CLUSTER_OOD,
                                  .successor_of = p == predecessor ? 0 : SUCCESSOR_NONE,
                                  .routes_of = takes_routes,
                                  .reroutes = takes_routes };
    }
    return OK;
}

int channi_plan_split(struct channi *c, const struct channi_cluster *cl,
                      const struct channi_members *m, uint64_t seed, struct channi_split_plan *plan,
                      double *cost)
{
    struct channi_cut k;
    int rc;

    *plan = (struct channi_split_plan){ .n_parts = 0 };
    if (m->n_live < 2)
        return OK;
    if ((rc = cut_open(&k, c, m, seed)) != OK)
        return rc;
    const struct batch_kmeans_options options = { .k = temporary_count(c, k.x.n),
                                                  .batch = BATCH_ROWS,
                                                  .steps = BATCH_STEPS,
                                                  .restarts = RESTARTS,
                                                  .seed = seed };
    rc = batch_kmeans_train(&c->base.env, &options, k.x.rows, k.x.n, &k.temporary, &k.cost);
    if (rc == OK) {
        channi_cut_flag(&k);
        k.n_groups = channi_cut_group(&k, parts_wanted(c, k.x.n));
        plan->flagged = k.n_flagged;
        plan->n_temporary = k.temporary.made;
    }
    if (rc == OK && k.n_groups > 0) {
        /* Groups are disjoint and equal rows are in one group, so the primaries are distinct. */
        for (size_t g = 0; g < k.n_groups; g++) {
            const size_t n = channi_cut_rows(&k, g, k.list);

            k.roots[g] = channi_cloud_nearest(c, &k.x, k.list, n, k.centres + g * k.x.dim);
            k.cost += (double)n;
        }
        to_nearest(&k);
        channi_cut_file_outliers(&k);
        rc = fill_plan(&k, cl, m, plan);
    }
    *cost += k.cost;
    mem_group_free(&k.x.memory);
    return rc;
}

/* --------------------------------------------------------------------------------- the job */

/* Whether the rows lie in places apart: the sum of squares about the site is more than APART times
   that about the roots of the parts. */
static bool are_apart(const struct channi *c, const struct channi_cluster *cl,
                      const struct channi_members *m, const struct channi_split_plan *plan)
{
    double about_site = 0, about_roots = 0; /* sums of squares */

    for (size_t p = 0; p < plan->n_parts; p++)
        for (size_t i = 0; i < plan->parts[p].n; i++) {
            const uint32_t at = plan->parts[p].rows[i];

            if (m->rows[at].dead != 0)
                continue;
            about_site += (double)rows_distance(&c->base.env, m->rows[at].bytes, cl->site);
            about_roots += (double)rows_distance(&c->base.env, m->rows[at].bytes,
                                                 m->rows[plan->parts[p].root].bytes);
        }
    return about_site > APART * about_roots;
}

/* cids: set to the parts' cids. */
static int split_members(struct channi *c, struct channi_taken *w, uint32_t *cids, size_t *n_cids,
                         double *cost)
{
    const struct channi_members *m = &w->members;
    const uint32_t cid = w->clusters[0]->cid;
    struct channi_latch *latch = segmented_at(&c->latches, cid);
    const uint64_t seed = rng_mix(rng_mix(c->base.env.seed, cid), w->view->version);
    struct channi_split_plan plan;
    int rc = channi_plan_split(c, w->clusters[0], m, seed, &plan, cost);

    if (rc != OK)
        return rc;
    const bool too_large = m->n_live > c->split_max;
    const bool wanted = too_large || channi_shape_of(w->clusters[0]) == SHAPE_BEYOND;
    if (plan.n_parts == 0 || (!wanted && !are_apart(c, w->clusters[0], m, &plan))) {
        atomic_store(&w->clusters[0]->shape, SHAPE_USUAL);
        if (too_large)
            atomic_store(&latch->tried, (uint32_t)m->n_live);
        channi_count(&c->counters.refused_splits, 1);
        mem_free(c->base.env.mem, plan.block);
        return OK;
    }
    const struct channi_replacement r = {
        .parts = plan.parts, .n_parts = plan.n_parts, .threads = 1, .cids = cids
    };
    rc = channi_replace(c, w, &r);
    if (rc == OK) {
        atomic_store(&latch->tried, 0);
        *n_cids = plan.n_parts;
        channi_count(&c->counters.splits, 1);
        channi_count(&c->counters.split_parts, plan.n_parts);
        channi_count(&c->counters.ood_found, plan.flagged);
        channi_count(&c->counters.ood_clusters, plan.n_parts - plan.n_normal);
    }
    mem_free(c->base.env.mem, plan.block);
    return rc;
}

int channi_split(struct channi *c, uint32_t cid, double *cost, bool *busy)
{
    uint32_t cids[CUT_PARTS];
    size_t n = 0;
    bool beyond = false;
    struct channi_taken w;
    int rc;

    if (!channi_rewrite_begin(c, cid, JOB_SPLIT, &w, busy, &rc))
        return rc;
    if (rc == OK && w.members.n_live > 0) {
        beyond = channi_shape_of(w.clusters[0]) == SHAPE_BEYOND;
        rc = split_members(c, &w, cids, &n, cost);
    }
    channi_give(c, &w);
    if (rc == OK && n > 0)
        rc = channi_reassign(c, cids, n, cost);
    if (rc == OK && n > 0 && beyond)
        rc = channi_reassign_arrived(c, cids, n, cost);
    if (rc == OK)
        channi_queue(c, cid);
    for (size_t i = 0; i < n; i++)
        channi_queue(c, cids[i]);
    return rc;
}
