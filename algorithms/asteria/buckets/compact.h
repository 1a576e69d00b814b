/* compact.h - removing dead rows from buckets: compaction in place, rewriting. */
#ifndef DRIFTLINE_ASTERIA_BUCKETS_COMPACT_H
#define DRIFTLINE_ASTERIA_BUCKETS_COMPACT_H

#include <stdint.h>

struct asteria;
struct asteria_generation;

/* Releases the slots of a bucket's dead rows. asteria_free_reserve() must have
   been called. */
void asteria_release_dead(struct asteria *, unsigned generation, uint32_t bucket);
/* Compacts a bucket if a third of it is dead. asteria_free_reserve() must have been called. */
void asteria_compact_bucket(struct asteria *, unsigned generation, uint32_t bucket);

/* Rewrites a bucket: no dead positions, the mean of the live rows as centre, tight
   bounds. Reads rows from the index's store (rows/rows.h), updates the places of moved rows and
   releases dead slots. On failure the bucket is unchanged. ERR_NO_MEMORY, ERR_IO, ERR_CORRUPT. */
int asteria_bucket_rewrite(struct asteria *, struct asteria_generation *, uint32_t bucket);

#endif
