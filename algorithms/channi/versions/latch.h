/* latch.h - state by cid that outlives cluster objects: the latch for rewrites, and
   maintenance data. */
#ifndef DRIFTLINE_CHANNI_VERSIONS_LATCH_H
#define DRIFTLINE_CHANNI_VERSIONS_LATCH_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

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

#endif
