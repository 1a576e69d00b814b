/* view.h - routes, layouts, views of them at a version, snapshots, and the places of ids.
 *
 * A layout lists the clusters and where the routes lead; a view is a version in a layout. Neither
 * changes after its publication. */
#ifndef DRIFTLINE_CHANNI_VERSIONS_VIEW_H
#define DRIFTLINE_CHANNI_VERSIONS_VIEW_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "algorithms/channi/versions/cluster.h"
#include "algorithms/common/concurrency/epoch.h"
#include "algorithms/common/graph/graph.h"
#include "algorithms/common/graph/image.h"
#include "src/core/index.h"

/* The routes of a layout, and the cluster that each leads to. Rows and phashes are append-only
   and shared by all layouts. The graph is an image that never changes. */
struct channi_routes {
    uint32_t n;
    struct graph_image graph;
    struct graph_image_rows rows;
    unsigned char *block; /* memory of `graph` */
    size_t block_bytes;
    uint32_t *cid; /* cluster of each route; CID_NONE: dropped */
    atomic_size_t refs;
};

void channi_routes_unref(struct channi *, struct channi_routes *);

/* `write` is held in the functions below. */

struct channi_new_route {
    const void *row;
    uint64_t phash;
    uint32_t cid;
};
/* Makes the next routes: those of `old` (NULL: none) and n more. Appends the rows and phashes of
   the new ones; copies the cids of the old ones. first: of the first routes, a graph of their rows;
   else NULL. ERR_NO_MEMORY: unchanged. If it is not published, the caller sets c->n_routes back. */
int channi_routes_add(struct channi *, const struct channi_routes *old,
                      const struct channi_new_route *, size_t n, const struct graph *first,
                      struct channi_routes **);
/* Routes in a file: arrays of n, and the image of their graph. */
struct channi_stored_routes {
    const uint32_t *cid;
    const uint64_t *phash;
    const unsigned char *rows;
    const void *image;
    size_t bytes;
};
/* Makes the first routes of an index that is loaded. name: of the file, for messages.
   ERR_NO_MEMORY, ERR_CORRUPT. */
int channi_routes_load(struct channi *, const struct channi_stored_routes *, uint32_t n,
                       const char *name, struct channi_routes **);
/* The phash of a row: of (id, row), and a number, as a row may become a route again. Never
   UINT64_MAX. */
uint64_t channi_phash(const struct channi *, uint64_t id, const void *row, uint64_t number);
struct graph_options channi_top_options(const struct channi *);

struct channi_layout {
    uint64_t number;
    struct channi_routes *routes;     /* NULL: not built yet; clusters[0] holds all rows */
    struct channi_cluster **clusters; /* by cid; NULL: retired */
    uint32_t n_clusters;              /* cids used so far */
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

struct channi_view *channi_view_now(struct channi *);          /* references the newest view */
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

/* Copies a layout, to be changed before it is published, without ood; references all its
   clusters and routes. NULL: out of memory. */
struct channi_layout *channi_layout_copy(const struct channi *, const struct channi_layout *);
void channi_layout_unref(struct channi *, struct channi_layout *);
/* Reserves space for cids below n_clusters, and their latches, once per layout. `write` is held,
   or no other thread uses the index yet. false: out of memory. */
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

/* Snapshots */

int channi_snapshot(struct index *, uint64_t *version);
int channi_release(struct index *, uint64_t version);
/* References a view for this version. ERR_NOT_FOUND naming the versions that exist. */
int channi_view_of(struct channi *, uint64_t version, struct channi_view **);
/* The oldest version whose dead rows rewritten files must keep: those that died after it.
   Snapshots have their own files. `write` need not be held. */
uint64_t channi_horizon(struct channi *);

/* Places: the cluster and row of each live id. `write` is held in all calls. */

struct channi_place {
    uint32_t cid, row;
};

int channi_places_reserve(struct channi *, const uint64_t *ids, size_t n);
void channi_place_add(struct channi *, uint64_t id, struct channi_place); /* reserved */
bool channi_place_of(const struct channi *, uint64_t id, struct channi_place *);
void channi_place_set(struct channi *, uint64_t id, struct channi_place);
void channi_place_remove(struct channi *, uint64_t id);
size_t channi_live(const struct channi *); /* number of live ids */
uint64_t channi_places_bytes(const struct channi *);

#endif
