/* cluster.h - a cluster between two rewrites of its file, and the lifetimes of both. */
#ifndef DRIFTLINE_CHANNI_VERSIONS_CLUSTER_H
#define DRIFTLINE_CHANNI_VERSIONS_CLUSTER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "algorithms/channi/files/cluster_file.h"
#include "algorithms/channi/versions/delta.h"

struct channi;

#define CID_NONE UINT32_MAX

enum channi_cluster_kind {
    CLUSTER_NORMAL,
    CLUSTER_OOD,
    CLUSTER_DEFERRED /* rows before the build: delta only */
};

/* How the live rows lie about the site: as usual; mostly far from it; in places far apart; those
   that came last far beyond the others (rewrite/shape.c). */
enum channi_shape { SHAPE_USUAL, SHAPE_LEFT, SHAPE_APART, SHAPE_BEYOND };

/* The state of a cluster between two rewrites. Only atomic fields change. Rows 0 .. base_n-1 are in
   the file, rows from base_n on in the delta. */
struct channi_cluster {
    uint32_t cid;
    enum channi_cluster_kind kind;
    struct channi_base *base; /* NULL: no file yet */
    uint32_t base_n;
    uint32_t root; /* row number */
    /* Rows are assigned by this vector: the root's row, or that of an earlier root
       that has died. */
    unsigned char *site;
    uint64_t root_id;
    uint32_t *routes, n_routes; /* ascending */
    float mean_d;               /* Euclidean distance of members to the site, when written */
    _Atomic(uint32_t) shape; /* enum channi_shape, when written; SHAPE_USUAL: a split was refused */
    float drift;             /* squared distance from the site to its nearest route */
    uint64_t born_ver;       /* version at which the cid was founded */
    _Atomic(_Atomic(uint64_t) *) dead; /* deletions of the file's base_n rows; NULL: none */
    _Atomic(uint32_t) live, n_dead;
    struct channi_delta delta;
    atomic_size_t refs;
};

/* Creates a cluster without file, rows and root; refs 1. NULL: out of memory. */
struct channi_cluster *channi_cluster_create(struct channi *, uint32_t cid,
                                             enum channi_cluster_kind, uint64_t born_ver);
void channi_cluster_ref(struct channi_cluster *);
void channi_cluster_unref(struct channi *, struct channi_cluster *);

/* The marks of deletion of the file's rows, which are made when the first is needed. NULL: out of memory. */
_Atomic(uint64_t) *channi_cluster_marks(struct channi *, struct channi_cluster *);

/* Drops a reference. With the last one the file leaves the cache, and is removed unless
   it is in_manifest. */
void channi_base_unref(struct channi *, struct channi_base *);

struct channi_latch {
    atomic_bool busy;   /* taken by a job */
    atomic_uint queued; /* bit per job kind */
    /* Live rows when a split was refused, less the rows deleted since; 0: never. */
    _Atomic(uint32_t) tried;
    /* Dead rows that the last compaction kept for old versions, and the version at which it did. */
    _Atomic(uint32_t) retained_dead;
    _Atomic(uint64_t) retained_at;
    _Atomic(uint64_t) alone; /* channi_stamp() when no partner was found; 0: never */
    /* Live rows when it was built, split or merged, and what reassignment added since. */
    _Atomic(uint32_t) made;
};

static inline enum channi_shape channi_shape_of(const struct channi_cluster *cl)
{
    return (enum channi_shape)atomic_load(&((struct channi_cluster *)(uintptr_t)cl)->shape);
}

/* The version at which the row died; 0: alive. */
static inline uint64_t channi_cluster_base_dead(const struct channi_cluster *cl,
                                                const struct channi_image *image, uint32_t row)
{
    _Atomic(uint64_t) *dead =
        atomic_load_explicit(&((struct channi_cluster *)(uintptr_t)cl)->dead, memory_order_acquire);
    const uint64_t at = dead ? atomic_load_explicit(&dead[row], memory_order_acquire) : 0;

    return at ? at : image->dead ? image->dead[row] : 0;
}

#endif
