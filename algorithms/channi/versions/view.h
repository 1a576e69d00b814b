/* view.h - layouts, views of them at a version, and snapshots.
 *
 * A layout lists the clusters and where the routes lead; a view is a version in a layout. Neither
 * changes after its publication. */
#ifndef DRIFTLINE_CHANNI_VERSIONS_VIEW_H
#define DRIFTLINE_CHANNI_VERSIONS_VIEW_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "algorithms/channi/versions/cluster.h"
#include "algorithms/channi/versions/routes.h"
#include "algorithms/common/concurrency/epoch.h"
#include "src/core/index.h"

struct channi_layout {
    uint64_t number;
    struct channi_routes *routes;     /* NULL: not built yet; clusters[0] holds all rows */
    struct channi_cluster **clusters; /* by cid; NULL: retired */
    uint32_t n_clusters, capacity;    /* n_clusters: cids used so far */
    uint32_t *ood, n_ood;             /* cids */
    atomic_size_t refs;
};

struct channi_view {
    struct epoch_item item; /* for epoch_retire() */
    uint64_t version;
    struct channi_layout *layout;
    atomic_size_t refs;
};

/* A version that is kept while snapshots of it are held. */
struct channi_snapshot {
    uint64_t version;
    struct channi_view *view;
    size_t times;
};

/* A number that changes whenever rows or clusters change; never 0. */
static inline uint64_t channi_stamp(const struct channi_view *view)
{
    return view->version + view->layout->number + 1;
}

/* Reading */

/* Enters the epoch and returns the newest view, valid until channi_leave(). */
const struct channi_view *channi_enter(struct channi *, unsigned *ticket);
void channi_leave(struct channi *, unsigned ticket);

void channi_view_unref(struct channi *, struct channi_view *); /* the last frees it */

/* The layout's next cluster from cid *next on, which is set beyond it; NULL: there is none. */
static inline struct channi_cluster *channi_layout_next(const struct channi_layout *l,
                                                        uint32_t *next)
{
    while (*next < l->n_clusters)
        if (l->clusters[(*next)++])
            return l->clusters[*next - 1];
    return NULL;
}
uint64_t channi_layout_live(const struct channi_layout *); /* live rows */

/* Layouts under construction */

/* Copies a layout, to be changed before it is published; references all its clusters and routes.
   NULL: out of memory. */
struct channi_layout *channi_layout_copy(const struct channi *, const struct channi_layout *);
void channi_layout_unref(struct channi *, struct channi_layout *);
/* Reserves space for cids below n_clusters, and their latches. `write` is held, or no other thread
   uses the index yet. false: out of memory. */
bool channi_layout_reserve(struct channi *, struct channi_layout *, uint32_t n_clusters);
/* Sets a cid's cluster: takes over the caller's reference to `cl` (NULL: the cid is retired) and
   drops the reference to the old cluster. */
void channi_layout_set(struct channi *, struct channi_layout *, uint32_t cid,
                       struct channi_cluster *cl);
bool channi_layout_find_ood(const struct channi *, struct channi_layout *); /* sets ood, n_ood */

/* Publication */

/* Makes a view {version, layout} the newest one. `write` is held. Takes over the layout's
   reference; NULL: the present layout. ERR_NO_MEMORY: nothing has changed, and the caller still
   owns the layout. */
int channi_publish(struct channi *, uint64_t version, struct channi_layout *);
/* The same in two steps; only make can fail (NULL, ERR_NO_MEMORY set). A view that is not shown is
   freed with mem_free(). */
struct channi_view *channi_view_make(struct channi *);
void channi_show(struct channi *, struct channi_view *, uint64_t version, struct channi_layout *);

/* Snapshots (snapshots.c) */

int channi_snapshot(struct index *, uint64_t *version);
int channi_release(struct index *, uint64_t version);
/* References a view for this version. ERR_NOT_FOUND naming the versions that exist. */
int channi_view_of(struct channi *, uint64_t version, struct channi_view **);
/* The oldest version whose dead rows rewritten files must keep. `write` need not be held. */
uint64_t channi_horizon(struct channi *);

#endif
