/* runbook_live.h - the live tags of a runbook, as disjoint ascending ranges. For src/data only. */
#ifndef DRIFTLINE_DATA_RUNBOOK_LIVE_H
#define DRIFTLINE_DATA_RUNBOOK_LIVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct runbook_range {
    uint64_t start, end;
};

struct runbook_live {
    struct runbook_range *ranges; /* freed with mem_free() */
    size_t n, capacity;
    uint64_t points; /* the number of live tags */
};

/* Whether some of, or all of, the tags start .. end - 1 are live. */
bool runbook_live_touches(const struct runbook_live *, uint64_t start, uint64_t end);
bool runbook_live_covers(const struct runbook_live *, uint64_t start, uint64_t end);
/* Adds tags of which none is live, or removes tags that are all live. false: out of memory. */
bool runbook_live_add(struct runbook_live *, uint64_t start, uint64_t end);
bool runbook_live_remove(struct runbook_live *, uint64_t start, uint64_t end);

#endif
