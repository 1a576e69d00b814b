/* search.h - the pool's scratch, and statistics of searches. */
#ifndef DRIFTLINE_ASTERIA_SEARCH_SEARCH_H
#define DRIFTLINE_ASTERIA_SEARCH_SEARCH_H

#include <stdint.h>

struct asteria;
struct stat_sink;
struct scratch_kind;

extern const struct scratch_kind asteria_scratch_kind; /* of the pool asteria->scratch */
void asteria_search_stats(const struct asteria *, struct stat_sink *); /* and of the audit */

#endif
