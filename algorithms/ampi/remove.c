/* remove.c - deletion: a vector stays in its cones as a tombstone until a cluster has too many of
 * them and is rebuilt. */
#include <inttypes.h>

#include "algorithms/ampi/ampi.h"

static int refresh(struct ampi *a, size_t cluster)
{
    int rc = ampi_cluster_rebuild(a, cluster, NULL);
    if (!rc) {
        a->part.cluster[cluster].refreshes++;
        a->counters.refreshes++;
    }
    return rc;
}

static int refresh_if_due(struct ampi *a, size_t cluster)
{
    const struct ampi_cluster *c = &a->part.cluster[cluster];
    if (c->dead == 0 ||
        (double)c->dead <= a->params.refresh_at * ((double)c->live + (double)c->dead))
        return OK;
    return refresh(a, cluster);
}

/* Writes the vector's clusters to `clusters`; returns their number. */
static size_t bury(struct ampi *a, uint32_t slot, uint32_t clusters[AMPI_CONES_MAX])
{
    const uint32_t *filed = ampi_filed(a, &a->part, slot);
    size_t n = 0;
    a->slots.id[slot] = INDEX_NO_ID;
    for (; n < a->copies && filed[n] != CLUSTER_NONE; n++) {
        clusters[n] = filed[n];
        a->part.cluster[filed[n]].live--;
        a->part.cluster[filed[n]].dead++;
    }
    return n;
}

/* A batch that touches most clusters rebuilds each at most once, at its end. */
int ampi_remove(struct index *index, const uint64_t *ids, size_t n, size_t *done)
{
    struct ampi *a = ampi_of(index);
    bool at_end = n >= a->part.n;
    int rc = OK;
    for (*done = 0; *done < n && !rc; ++*done) {
        uint32_t clusters[AMPI_CONES_MAX];
        uint64_t slot;
        if (!idmap_remove(&a->slots.ids, ids[*done], &slot)) {
            rc = fail(index->env.error, ERR_UNKNOWN_ID,
                      "remove: row %zu: id %" PRIu64 " is not stored", *done, ids[*done]);
            break;
        }
        size_t n_clusters = bury(a, (uint32_t)slot, clusters);
        a->counters.removed++;
        for (size_t j = 0; j < n_clusters && !at_end && !rc; j++)
            rc = refresh_if_due(a, clusters[j]);
    }
    for (size_t c = 0; c < a->part.n && at_end && !rc; c++)
        rc = refresh_if_due(a, c);
    return rc;
}

/* Rebuilding a cluster projects each of its vectors on each axis. */
int ampi_maintain(struct index *index, uint64_t budget, bool *more)
{
    struct ampi *a = ampi_of(index);
    uint64_t spent = 0;
    *more = false;
    for (size_t c = 0; c < a->part.n; c++) {
        if (a->part.cluster[c].dead == 0)
            continue;
        if (budget > 0 && spent >= budget) {
            *more = true;
            return OK;
        }
        spent += 1 + (uint64_t)a->part.cluster[c].live * a->fans;
        int rc = refresh(a, c);
        if (rc)
            return rc;
    }
    return OK;
}
