/* check.h - checks of an index that was read from a file. */
#ifndef DRIFTLINE_ASTERIA_CHECK_CHECK_H
#define DRIFTLINE_ASTERIA_CHECK_CHECK_H

struct asteria;

/* Checks slots without reading rows: ids, places, free slots, and which slots graph and tree have.
   ERR_INVARIANT, ERR_NO_MEMORY. */
int asteria_check_slots(struct asteria *);

#endif
