/* search.h - scratch kept for later searches, and statistics of searches. */
#ifndef DRIFTLINE_ASTERIA_SEARCH_SEARCH_H
#define DRIFTLINE_ASTERIA_SEARCH_SEARCH_H

#include <stdint.h>

struct asteria;
struct stat_sink;

/* Frees the scratch that is not in use; the bytes of that scratch. */
void asteria_scratch_free(struct asteria *);
uint64_t asteria_scratch_bytes(struct asteria *);
void asteria_search_stats(const struct asteria *, struct stat_sink *); /* and of the audit */

#endif
