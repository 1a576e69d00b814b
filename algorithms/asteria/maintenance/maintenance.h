/* maintenance.h - the steps of maintain(), and what insert() and remove() do of them at once.
 *
 * Each step holds the lock for writing while it processes one bucket or one row, and stops when the
 * budget is spent, so that searches run in between.
 */
#ifndef DRIFTLINE_ASTERIA_MAINTENANCE_MAINTENANCE_H
#define DRIFTLINE_ASTERIA_MAINTENANCE_MAINTENANCE_H

#include "algorithms/asteria/asteria.h"

/* link.c. Links all queued rows, within a change. On failure the remaining rows stay queued. */
int asteria_link(struct asteria *);

/* maintain.c. Whether dead nodes are due to be taken out of the graph; takes some out, in
   proportion to `removed` removals, as a change of its own. */
bool asteria_graph_is_due(const struct asteria *);
void asteria_compact_graph(struct asteria *, size_t removed);

struct asteria_maintenance {
    struct asteria *a;
    uint64_t budget, spent; /* distances, or equal work; budget 0: no limit */
    bool more;              /* work is left */
};

static inline bool asteria_maintenance_goes_on(const struct asteria_maintenance *u)
{
    return u->budget == 0 || u->spent < u->budget;
}
/* The rest of the budget, at least 1; 0: no limit. */
static inline uint64_t asteria_maintenance_left(const struct asteria_maintenance *u)
{
    return u->budget == 0 ? 0 : u->spent < u->budget ? u->budget - u->spent : 1;
}

/* train.c: fits a newer model if more than retrain_share of the rows are new. */
int asteria_maintenance_refit(struct asteria_maintenance *);
/* reencode.c: moves rows of the older generation to the newer one, then destroys it. Takes the
   lock itself. */
int asteria_maintenance_reencode(struct asteria_maintenance *);
/* link.c: links rows in the graph and takes dead ones out. */
int asteria_maintenance_link(struct asteria_maintenance *);

#endif
