/* snapshot.h - the sections of a file of an index.
 *
 * "meta"; by slot "ids" "places" "waiting"; "free"; for each generation g, with tags that end in g:
 * the model's, "gen" "buckets" "vacant" "slots" "words" "alive" "blocks" "centres" "codes"; those of
 * graph and tree; "rows" of the slots kept: live ones, and dead ones that their bucket or the graph
 * still has.
 */
#ifndef DRIFTLINE_ASTERIA_DURABLE_SNAPSHOT_H
#define DRIFTLINE_ASTERIA_DURABLE_SNAPSHOT_H

#include "algorithms/asteria/asteria.h"

struct asteria_snapshot_meta {
    uint64_t n_slots, live, n_free, fitted_rows, inserted_since;
    uint32_t now, trained, generations; /* bit g: generation g exists */
    uint32_t has_graph, has_tree;
};

/* The sections by slot. */
struct asteria_snapshot_slots {
    const struct asteria_snapshot_meta *meta;
    const uint64_t *ids, *tombstones;
    const struct asteria_place *places;
    const uint32_t *free;
};

/* snapshot.c. ERR_CORRUPT also for numbers in "meta" that cannot be. */
int asteria_snapshot_slots(struct store_fields *, struct asteria_snapshot_slots *);

/* snapshot_buckets.c. Reading: slots must have been read. ERR_VERSION: model and rows have
   different versions. */
void asteria_snapshot_write_generation(const struct asteria *, unsigned g, struct store_writer *);
int asteria_snapshot_read_generation(struct asteria *, unsigned g, const struct store_reader *);

#endif
