/* upkeep.h - what maintain() does, in pieces. Private to maintain.c takeover.c compact.c link.c train.c.
 *
 * Each piece works under the lock for writing for as long as one bucket or one row takes, and stops when the budget is
 * spent: searches get in between.
 */
#ifndef DRIFTLINE_ASTERIA_UPKEEP_H
#define DRIFTLINE_ASTERIA_UPKEEP_H

#include "algorithms/asteria/asteria.h"

struct upkeep {
    struct asteria *a;
    uint64_t budget, spent; /* distances, or what costs as much; budget 0: no bound */
    bool more;              /* something was left */
};

static inline bool upkeep_goes_on(const struct upkeep *u)
{
    return u->budget == 0 || u->spent < u->budget;
}
/* What is left of the budget, a little at least; 0: no bound. */
static inline uint64_t upkeep_left(const struct upkeep *u)
{
    return u->budget == 0 ? 0 : u->spent < u->budget ? u->budget - u->spent : 1;
}

/* train.c: a newer model, where more than retrain_share has come since the last. */
int upkeep_refit(struct upkeep *);
/* takeover.c: rows of the older generation move to the newer; then it goes. Takes the lock itself. */
int upkeep_take_over(struct upkeep *);
/* compact.c: buckets that many rows have left, or that have doubled, are written anew. */
int upkeep_compact(struct upkeep *);
/* link.c: rows are linked in the graph, dead ones taken out of it. */
int upkeep_link(struct upkeep *);
/* Links all that wait, without taking the lock. On failure the rest waits on. */
int asteria_link(struct asteria *);

/* A dead row's slot, for a bucket that lets go of all its dead; after asteria_free_reserve(). */
void upkeep_release_dead(struct asteria *, unsigned generation, uint32_t bucket);

#endif
