/* snapshot.h - the sections of a file of an index; snapshot.c and snapshot_buckets.c list them. Those of
 * generation g have tags that end in g. "rows" are of the slots kept: live ones, and dead ones that
 * their bucket or the graph still has.
 */
#ifndef DRIFTLINE_ASTERIA_DURABLE_SNAPSHOT_H
#define DRIFTLINE_ASTERIA_DURABLE_SNAPSHOT_H

#include "algorithms/asteria/asteria.h"

struct asteria_snapshot_meta {
    uint64_t n_slots, live, n_free, fitted_rows, inserted_since;
    uint32_t now, trained, generations; /* bit g: generation g exists */
    uint32_t has_graph, has_tree;
};

/* snapshot_buckets.c. Reading: slots must have been read. ERR_VERSION: model and rows have
   different versions. */
void asteria_snapshot_write_generation(const struct asteria *, unsigned g, struct store_writer *);
int asteria_snapshot_read_generation(struct asteria *, unsigned g, const struct store_reader *);

#endif
