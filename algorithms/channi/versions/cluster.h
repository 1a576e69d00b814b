/* cluster.h - a cluster between two rewrites of its file, and the lifetimes of both; its delta: the rows
 * that are not in the file, appended by the one writer, read by all. A row never moves. */
#ifndef DRIFTLINE_CHANNI_VERSIONS_CLUSTER_H
#define DRIFTLINE_CHANNI_VERSIONS_CLUSTER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "algorithms/channi/files/cluster_file.h"
#include "algorithms/common/concurrency/epoch.h"
#include "src/core/mem.h"

struct channi;

enum { DELTA_FIRST = 16, DELTA_CHUNKS = 28 };

/* Row i is in chunk c = floor(log2(i / 16 + 1)), whose first row is 16 (2^c - 1). */
struct channi_delta_chunk {
    _Atomic(uint64_t) *born, *dead; /* dead 0: alive */
    uint64_t *ids;
    int64_t *attributes; /* records of the delta's n_fields */
    unsigned char *rows;
};

/* A delta of fewer rows has no codes: a scan of codes takes as long as their distances. */
enum { DELTA_CODED_LEAST = 8 };

/* The codes of the first n rows, relative to the site; one block of memory. It never changes: the writer
   publishes a copy with the codes of more rows. */
struct channi_delta_codes {
    struct epoch_item item; /* first: the address of the block */
    uint32_t n;
    float error;
    size_t bytes; /* of the block */
    float *centre;
    unsigned char *codes; /* as in a file */
};

struct channi_delta {
    _Atomic(struct channi_delta_chunk *) chunks[DELTA_CHUNKS];
    _Atomic(struct channi_delta_codes *) codes; /* NULL: none */
    _Atomic(uint32_t) n;
    atomic_size_t bytes, code_bytes; /* of memory: rows with what belongs to them, codes */
    size_t row_bytes, n_fields;
    struct mem *mem;
};

struct channi_delta_row {
    const unsigned char *row;
    uint64_t id;
    struct channi_record record;
    _Atomic(uint64_t) *born, *dead;
};

/* A row of a cluster, as it is now. */
struct channi_row {
    const unsigned char *bytes;
    uint64_t id, born, dead; /* dead 0: alive */
    struct channi_record record;
    uint32_t number; /* within its cluster */
    uint32_t from;   /* in a job: index of its cluster; else 0 */
};

bool channi_delta_reserve(struct channi_delta *, size_t more); /* false: out of memory */
/* Appends a row; capacity must be reserved. Returns its number in the delta. */
uint32_t channi_delta_append(struct channi_delta *, const struct channi_row *);
static inline uint32_t channi_delta_count(const struct channi_delta *d)
{
    return atomic_load_explicit(&((struct channi_delta *)(uintptr_t)d)->n, memory_order_acquire);
}
static inline const struct channi_delta_codes *channi_delta_codes(const struct channi_delta *d)
{
    return atomic_load_explicit(&((struct channi_delta *)(uintptr_t)d)->codes,
                                memory_order_acquire);
}
struct channi_delta_row channi_delta_at(const struct channi_delta *, uint32_t i);
/* For scans: the chunk with row i. Rows [offset, offset + *n) of the chunk are the rows
   from i on. */
const struct channi_delta_chunk *channi_delta_run(const struct channi_delta *, uint32_t i,
                                                  uint32_t *offset, uint32_t *n);

static inline bool channi_sees(uint64_t version, uint64_t born, uint64_t dead)
{
    return born <= version && (dead == 0 || dead > version);
}
static inline bool channi_delta_sees(const _Atomic(uint64_t) *born, const _Atomic(uint64_t) *dead,
                                     uint64_t version)
{
    return channi_sees(version, atomic_load_explicit(born, memory_order_acquire),
                       atomic_load_explicit(dead, memory_order_acquire));
}

#define CID_NONE UINT32_MAX

enum channi_cluster_kind {
    CLUSTER_NORMAL,
    CLUSTER_OOD,
    CLUSTER_DEFERRED /* rows before the build: delta only */
};

/* How the live rows lie about the site: as usual; mostly far from it; in places far apart; those
   that came last far beyond the others (rewrite/parts.c). */
enum channi_shape { SHAPE_USUAL, SHAPE_LEFT, SHAPE_APART, SHAPE_BEYOND };

/* The state of a cluster between two rewrites. Only atomic fields change. Rows 0 .. base_n-1 are in
   the file, rows from base_n on in the delta. */
struct channi_cluster {
    uint32_t cid;
    enum channi_cluster_kind kind;
    struct channi_base *base; /* NULL: CLUSTER_DEFERRED, which has no file, root and site */
    uint32_t base_n;
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

static inline uint32_t channi_cluster_live(const struct channi_cluster *cl)
{
    return atomic_load(&((struct channi_cluster *)(uintptr_t)cl)->live);
}

static inline enum channi_shape channi_shape_of(const struct channi_cluster *cl)
{
    return (enum channi_shape)atomic_load(&((struct channi_cluster *)(uintptr_t)cl)->shape);
}

/* Row `number`. image: of the cluster's file; may be NULL for a row of the delta. */
struct channi_row channi_cluster_row(const struct channi_cluster *, const struct channi_image *,
                                     uint32_t number);
/* The version at which the row died; 0: alive. image NULL: since the file was written. */
static inline uint64_t channi_cluster_base_dead(const struct channi_cluster *cl,
                                                const struct channi_image *image, uint32_t row)
{
    _Atomic(uint64_t) *dead =
        atomic_load_explicit(&((struct channi_cluster *)(uintptr_t)cl)->dead, memory_order_acquire);
    const uint64_t at = dead ? atomic_load_explicit(&dead[row], memory_order_acquire) : 0;

    return at ? at : image && image->dead ? image->dead[row] : 0;
}

#endif
