/* range_hits.h - the answers of one query of a range search, held until its thread may deliver
 * them. */
#ifndef DRIFTLINE_COMMON_ROWS_RANGE_HITS_H
#define DRIFTLINE_COMMON_ROWS_RANGE_HITS_H

#include <stddef.h>
#include <stdint.h>

struct index_env;
struct range_result;

struct range_hit {
    uint64_t id;
    float distance;
};

/* Starts as zeros; n = 0 begins the next query. */
struct range_hits {
    struct range_hit *hits; /* of env.mem; the owner frees it */
    size_t n, capacity;
};

/* Adds an answer. ERR_NO_MEMORY. */
int range_hits_add(struct range_hits *, const struct index_env *, uint64_t id, float distance);
/* Sorts by id and keeps the first answer of each: a vector may have been met twice. */
void range_hits_drop_repeats(struct range_hits *);
/* Passes them on, until result->found() returns an error, which it returns. */
int range_hits_deliver(const struct range_hits *, size_t query, struct range_result *);

#endif
