/* work.h - shared by splits, merges and moves: a thread's work space, the jobs, moving vectors.
 *
 *   1 work space   2 jobs   3 moving vectors
 */
#ifndef DRIFTLINE_SPFRESH_MAINTENANCE_WORK_H
#define DRIFTLINE_SPFRESH_MAINTENANCE_WORK_H

#include "algorithms/common/rows/row_store.h"
#include "algorithms/spfresh/filing/filing.h"
#include "algorithms/spfresh/jobs/jobs.h"

/* 1. Work space. The use of members[]:
      split   0: the posting, later a neighbour's   1, 2: its halves   3: candidates
      merge   0: the small posting   1: its partner   2: both   3: candidates
      move    0: the posting that the vector is in */

enum { WORK_PRESENT = 3, WORK_DISTANCES }; /* from 0, 1: new heads; 2: old; 3: present head */

struct spfresh_work {
    struct scratch_item item;
    struct mem *mem;
    struct spfresh_scratch *scratch; /* NULL while idle */
    struct spfresh_members members[4];
    size_t capacity; /* of the arrays with an element per member */
    uint8_t *sides;
    float *distances[WORK_DISTANCES];
    uint32_t *whole;     /* integer distances of u8 vectors */
    float *centres;      /* 2 x dim */
    unsigned char *rows; /* 3 element rows: the two new heads, the old one */
    uint32_t *from;      /* present heads of members[3] */
    size_t from_capacity;
    struct key_set marked; /* split: slots with a mark, and their marks; merge: entries */
    uint8_t *marks;
    size_t marks_capacity;
};

int spfresh_work_take(struct spfresh *, struct spfresh_work **);
void spfresh_work_give(struct spfresh *, struct spfresh_work *); /* NULL is allowed */
/* Reserves space for n members. ERR_NO_MEMORY. */
int spfresh_work_reserve(const struct spfresh *, struct spfresh_work *, size_t n);
/* Squared L2 distances from `row` to n rows, as floats. n is at most the reserved number. */
void spfresh_work_distances(const struct spfresh *, struct spfresh_work *, const void *row,
                            const unsigned char *rows, size_t n, float *out);
/* Adds a candidate for a move to members[3]. from: its present head. false: out of memory. */
bool spfresh_work_add_candidate(struct spfresh_work *, uint32_t slot, unsigned version,
                                const void *row, uint32_t from);

/* 2. Jobs, one file each: split.c, merge.c, reassign.c. The caller holds the checkpoint lock
   shared. When run->cost reaches run->limit, moves are queued instead of made. */

int spfresh_split(struct spfresh *, struct spfresh_work *, const struct spfresh_job *,
                  struct job_run *);
int spfresh_merge(struct spfresh *, struct spfresh_work *, const struct spfresh_job *,
                  struct job_run *);
int spfresh_reassign(struct spfresh *, struct spfresh_work *, const struct spfresh_job *,
                     struct job_run *);

/* 3. Moving vectors */

/* Reassigns members[3]; beyond the run's limit the moves are queued. */
int spfresh_reassign_all(struct spfresh *, struct spfresh_work *, struct job_run *);
/* Rewrites a posting without its stale entries. m: the kept members. The posting's lock is held. */
int spfresh_collect(struct spfresh *, uint32_t head, const struct spfresh_members *);

#endif
