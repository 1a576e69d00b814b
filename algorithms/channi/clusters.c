/* clusters.c - the clusters as index.h asks for them: one level, numbered by ascending cid without gaps.
 * Before the build all rows are in one. */
#include "algorithms/channi/stats.h"
#include "src/core/mem.h"

static int expect_level(const struct channi *c, size_t level)
{
    return level == 0 ? OK
                      : fail(c->base.env.error, ERR_ARGUMENT,
                             "channi: there is one level of clusters, 0; %zu was asked for", level);
}

static int unknown(const struct channi *c, uint64_t id)
{
    return fail(c->base.env.error, ERR_UNKNOWN_ID, "channi: id %llu is not stored",
                (unsigned long long)id);
}

int channi_assign(const struct index *index, const uint64_t *ids, size_t n, size_t level,
                  uint64_t *cluster)
{
    struct channi *c = channi_of(index);
    int rc = expect_level(c, level);

    if (rc != OK)
        return rc;
    pthread_mutex_lock(&c->write);
    const struct layout *layout = atomic_load(&c->now)->layout;
    uint32_t *number = mem_array(index->env.mem, layout->n_clusters, sizeof *number), next = 0;
    if (!number)
        rc = fail(index->env.error, ERR_NO_MEMORY, "channi: out of memory to number %u clusters",
                  layout->n_clusters);
    for (uint32_t cid = 0; number && cid < layout->n_clusters; cid++)
        number[cid] = layout->clusters[cid] ? next++ : CID_NONE;
    for (size_t i = 0; rc == OK && i < n; i++) {
        struct place place;

        if (channi_place_of(c, ids[i], &place))
            cluster[i] = number[place.cid];
        else
            rc = unknown(c, ids[i]);
    }
    pthread_mutex_unlock(&c->write);
    mem_free(index->env.mem, number);
    return rc;
}

int channi_cluster_count(const struct index *index, size_t level, size_t *clusters)
{
    struct channi *c = channi_of(index);
    const int rc = expect_level(c, level);
    unsigned ticket;

    if (rc != OK)
        return rc;
    const struct layout *layout = channi_enter(c, &ticket)->layout;
    *clusters = 0;
    for (uint32_t cid = 0; cid < layout->n_clusters; cid++)
        *clusters += layout->clusters[cid] != NULL;
    channi_leave(c, ticket);
    return OK;
}

/* Their roots: which may have been deleted since. ID_NONE: it has none yet. */
int channi_medoids(const struct index *index, size_t level, uint64_t *ids)
{
    struct channi *c = channi_of(index);
    const int rc = expect_level(c, level);
    unsigned ticket;
    size_t n = 0;

    if (rc != OK)
        return rc;
    const struct layout *layout = channi_enter(c, &ticket)->layout;
    for (uint32_t cid = 0; cid < layout->n_clusters; cid++) {
        const struct cluster *cl = layout->clusters[cid];

        if (cl)
            ids[n++] = cl->site ? cl->root_id : ID_NONE;
    }
    channi_leave(c, ticket);
    return OK;
}
