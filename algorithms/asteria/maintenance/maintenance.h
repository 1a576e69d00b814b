/* maintenance.h - maintenance that insert() and remove() do at once. */
#ifndef DRIFTLINE_ASTERIA_MAINTENANCE_MAINTENANCE_H
#define DRIFTLINE_ASTERIA_MAINTENANCE_MAINTENANCE_H

#include <stdbool.h>
#include <stddef.h>

struct asteria;

/* link.c. Links all queued rows, within a change. On failure the remaining rows stay queued. */
int asteria_link(struct asteria *);

/* maintain.c. Whether dead nodes are due to be taken out of the graph; takes some out, in
   proportion to `removed` removals, as a change of its own. */
bool asteria_graph_is_due(const struct asteria *);
void asteria_compact_graph(struct asteria *, size_t removed);

#endif
