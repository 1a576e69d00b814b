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

/* snapshot_buckets.c. Reading: slots must have been read. ERR_VERSION: model and rows have
   different versions. */
void asteria_snapshot_write_generation(const struct asteria *, unsigned g, struct store_writer *);
int asteria_snapshot_read_generation(struct asteria *, unsigned g, const struct store_reader *);

static inline const char *asteria_snapshot_tag(char tag[STORE_TAG_BYTES], const char *name,
                                               unsigned g)
{
    size_t n = 0;

    for (; name[n]; n++)
        tag[n] = name[n];
    tag[n] = (char)('0' + g);
    tag[n + 1] = '\0';
    return tag;
}

#endif
