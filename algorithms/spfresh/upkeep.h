/* upkeep.h - what splits, merges and moves share: a thread's work space, and a split under way.
 *
 *   1 work space   2 slots with a mark   3 a division, and who it may have misfiled   4 moving one vector
 */
#ifndef DRIFTLINE_SPFRESH_UPKEEP_H
#define DRIFTLINE_SPFRESH_UPKEEP_H

#include "algorithms/spfresh/spfresh.h"

/* 1. Work space. What scratch->members are used for:
      split   0: the posting, later a neighbour's   1, 2: its halves   3: candidates
      merge   0: the starved posting   1: its partner   2: both   3: candidates
      move    0: what a posting holds */

enum { WORK_PRESENT = 3, WORK_DISTANCES }; /* 0, 1: from the new heads; 2: the old; present one */

struct marks {
    uint32_t *slots; /* SLOT_NONE: free place */
    uint8_t *marks;
    size_t capacity, n; /* a power of two */
    struct mem *mem;
};

struct upkeep {
    struct mem *mem;
    size_t capacity; /* of the arrays by member */
    uint8_t *sides;
    float *distances[WORK_DISTANCES];
    uint32_t *whole;     /* of bytes, before they are floats */
    float *centres;      /* 2 x dim */
    unsigned char *rows; /* 3 element rows: the new heads, the old one */
    uint32_t *from;      /* candidates' present heads, beside members[3] */
    size_t from_capacity;
    struct marks marks;
};

/* scratch->upkeep with room for n members. ERR_NO_MEMORY. */
int upkeep_ready(struct spfresh *, struct spfresh_scratch *, size_t n);
/* Squared L2 of `row` to n rows, as floats. n at most what upkeep_ready() was told. */
void upkeep_distances(const struct spfresh *, struct upkeep *, const void *row,
                      const unsigned char *rows, size_t n, float *out);

/* dim floats as an element row: for bytes the nearest ones. */
void upkeep_mean_row(const struct spfresh *, const float *mean, unsigned char *row);

/* A candidate: a vector, where it lies now, and room for more of them. false: out of memory. */
bool upkeep_candidate(struct spfresh_scratch *, uint32_t slot, unsigned version, const void *row,
                      uint32_t from);
/* Reassigns members[3]; what is past the cost's limit is queued. */
int upkeep_reassign_all(struct spfresh *, struct spfresh_scratch *, uint32_t depth,
                        struct job_cost *);

/* 2. Slots with a mark, 0 .. 254 */

enum { UNMARKED = 255 };
void marks_clear(struct marks *);
/* The new mark takes the place of an old one. false: out of memory. */
bool marks_set(struct marks *, uint32_t slot, uint8_t mark);
uint8_t marks_get(const struct marks *, uint32_t slot);

/* 3. A posting divided: rows of the new heads and the old one, who went where */

struct division {
    struct spfresh *s;
    struct spfresh_scratch *x;
    struct upkeep *u;
    uint32_t old, heads[2]; /* one of them may be the old one */
    size_t n;               /* new heads; 1: all members are alike and got a head of their own */
    uint32_t depth;
    struct job_cost *cost;
};

static inline unsigned char *division_row(const struct division *d,
                                          size_t i) /* 2: the old head's */
{
    return d->u->rows + i * spfresh_row_bytes(d->s);
}

/* recentre.c: whether the posting of d->old, whose kept members are m, wants another head: then row 0 is
   its vector. */
int division_recentre(struct division *d, const struct members *m, bool *found);

/* neighbours.c: SPFresh's two necessary conditions (its section 3.3), then moves. */
int division_settle(struct division *);

/* 4. Moving one vector, whose row is at hand, out of the posting of `from` */
int upkeep_move(struct spfresh *, struct spfresh_scratch *, uint32_t slot, unsigned version,
                uint32_t from, const void *row, uint32_t depth, struct job_cost *);

/* A posting rewritten without what is stale; its lock is held, m is what is kept. A head that is none of
   its members any more is queued for recentre.c. */
int upkeep_collect(struct spfresh *, struct spfresh_scratch *, uint32_t head,
                   const struct members *);

#endif
