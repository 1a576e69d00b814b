/* clusters.c - the clusters of src/core/index.h: one level, numbered by ascending cid without gaps.
 * Before the build all rows are in one cluster. A medoid is a root, which a cluster lacks between
 * the root's deletion and its next rewrite. */
#include "algorithms/channi/index.h"
#include "algorithms/channi/search/route.h"
#include "src/core/mem.h"

struct numbering {
    struct channi *c;
    const struct channi_layout *layout;
    uint32_t *number; /* by cid; CID_NONE: retired */
};

static int assign_vectors(const struct numbering *n, struct vectors v, uint64_t *cluster)
{
    struct channi *c = n->c;
    struct channi_scratch *x = v.n > 0 ? scratch_pool_take(&c->scratch) : NULL;
    double checked = 0;
    int rc = OK;

    if (v.n > 0 && !x)
        return CHANNI_NO_MEMORY(&c->base.env, ", cannot route");
    for (size_t i = 0; i < v.n && rc == OK; i++) {
        uint32_t cid;

        rc = channi_route(c, x, n->layout, (const char *)v.rows + i * c->row_bytes,
                          (size_t)c->params.assign_ef, &cid, &checked);
        if (rc == OK)
            cluster[i] = n->number[cid];
    }
    scratch_pool_give(&c->scratch, x);
    return rc;
}

/* `write` is held: places and layout do not change. */
static int cluster_locked(struct numbering *n, const struct cluster_request *request,
                          struct cluster_result *result)
{
    const struct channi_cluster *cl;
    struct channi_place place;
    uint32_t next = 0;
    int rc = OK;

    for (uint32_t cid = 0; cid < n->layout->n_clusters; cid++)
        n->number[cid] = n->layout->clusters[cid] ? next++ : CID_NONE;
    result->levels = 1;
    result->level = 0;
    result->clusters = next;
    for (size_t i = 0; i < request->n; i++) {
        if (!channi_place_of(n->c, request->ids[i], &place))
            return fail(n->c->base.env.error, ERR_UNKNOWN_ID, "channi: id %llu is not stored",
                        (unsigned long long)request->ids[i]);
        result->of_ids[i] = n->number[place.cid];
    }
    rc = assign_vectors(n, request->vectors, result->of_vectors);
    for (next = 0; rc == OK && (cl = channi_layout_next(n->layout, &next));)
        if (cl->site && channi_place_of(n->c, cl->root_id, &place) && place.cid == cl->cid)
            rc = result->medoid(result->to, n->number[cl->cid], cl->root_id);
    return rc;
}

int channi_cluster(struct index *index, const struct cluster_request *request,
                   struct cluster_result *result)
{
    struct channi *c = channi_of(index);
    int rc = OK;

    pthread_mutex_lock(&c->write);
    struct numbering n = { .c = c, .layout = atomic_load(&c->now)->layout };
    n.number = mem_array(index->env.mem, n.layout->n_clusters, sizeof *n.number);
    if (n.number)
        rc = cluster_locked(&n, request, result);
    else
        rc = CHANNI_NO_MEMORY(&index->env, ", cannot number %u clusters", n.layout->n_clusters);
    pthread_mutex_unlock(&c->write);
    mem_free(index->env.mem, n.number);
    return rc;
}
