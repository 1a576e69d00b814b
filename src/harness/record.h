/* record.h - the workload as a list of operations, with every row and every id fixed.
 *
 * The config's workload function runs once and calls record_*(); replay.c then runs the same list for every cell.
 * Ids are given in order of first insertion, from 0; a row inserted again after its deletion gets its old id.
 */
#ifndef DRIFTLINE_RECORD_H
#define DRIFTLINE_RECORD_H

#include <jansson.h>
#include <stdbool.h>

#include "../core/rng.h"
#include "view.h"

enum op_kind {
    OP_TRAIN,
    OP_INSERT,
    OP_DELETE,
    OP_UPDATE,
    OP_SEARCH,
    OP_RANGE,
    OP_MAINTAIN,
    OP_SAVE,
    OP_RELOAD,
    OP_CONCURRENT,
    OP_CHECKPOINT,
    OP_KINDS
};
const char *op_name(enum op_kind); /* "train" "insert" ... as in Lua and in result.json */

struct op {
    enum op_kind kind;
    char *tag; /* NULL: none */
    int line;  /* in the config */
    struct view *rows;  /* train insert update search range concurrent(queries); else NULL */
    uint64_t *ids;      /* insert delete update: n of them; insert: ids[i] is row i's */
    size_t n;           /* rows or ids the operation is about */
    size_t batch;       /* insert delete update: ids a call; 0: all in one call */
    size_t singles;     /* insert delete: so many evenly spaced ids go in calls of their own, for latency; 0: none */
    size_t k;           /* search */
    double radius;      /* range */
    uint64_t *filter_bits; /* search range: allowed ids, as struct id_filter; NULL: all */
    uint64_t filter_ids;
    uint64_t budget;    /* maintain */
    size_t writers, readers; /* concurrent */
    double seconds, rate;    /* concurrent; rate: operations a second a thread from their intended start, 0: unpaced */
    struct view *writes;     /* concurrent: rows the writers insert; ids has theirs */
    size_t live_after;       /* ids live when it is done */
};

struct dataset_use {
    char *name; /* catalog name, path, or "synthetic mixture ..." */
    struct source *source;
    char sha256[65]; /* of the delivered file where known, else the content hash */
};

/* Where an id's vector is. With w:update the newest before a given operation counts: see row_of_id. */
struct row_ref {
    uint32_t dataset; /* index into op_list.datasets */
    uint64_t row;
};

struct op_list {
    struct op *ops;
    size_t n;
    struct dataset_use *datasets; /* each source once; owned */
    size_t n_datasets;
    size_t dim;
    enum element element; /* of the data as recorded */
    enum metric metric;   /* config `metric`, or the first dataset's own */
    struct row_ref *rows; /* by id, n_ids of them: as first inserted */
    size_t n_ids, max_live, max_queries, max_k;
    bool has_updates;
};

/* A copy of the vector of `id` as it is after operations 0 .. at-1, as F32, B64 or the list's element. */
int op_list_vector(const struct op_list *, uint64_t id, size_t at, enum element want, void *out, struct error *);

/* The live set as a bitmap over n_ids, moved forward one operation at a time: live_step(live, op). */
struct live_set {
    uint64_t *bits;
    size_t n_ids, n;
};
int live_init(struct live_set *, const struct op_list *, struct error *);
void live_step(struct live_set *, const struct op *);
void live_free(struct live_set *);
static inline bool live_has(const struct live_set *l, uint64_t id)
{
    return id < l->n_ids && (l->bits[id >> 6] >> (id & 63) & 1);
}

void op_list_free(struct op_list *);

#endif
