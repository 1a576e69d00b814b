/* row_ids.h - maps the rows of one source to ids.
 *
 * A run of rows with consecutive ids is one interval; other rows are in a hash map. */
#ifndef DRIFTLINE_WORKLOAD_ROW_IDS_H
#define DRIFTLINE_WORKLOAD_ROW_IDS_H

#include "src/core/idmap.h"

struct row_interval { /* rows first .. first + n - 1 have ids id .. id + n - 1 */
    size_t first, n;
    uint64_t id;
};

struct row_ids {
    struct row_interval *intervals; /* sorted, disjoint */
    size_t n, capacity;
    struct idmap singles;
};

void row_ids_init(struct row_ids *);
void row_ids_free(struct row_ids *);

/* The ids of rows first .. first + n - 1; INDEX_NO_ID for a row without one. */
void row_ids_get(const struct row_ids *, size_t first, size_t n, uint64_t *ids);

/* Assigns *next, *next + 1 ... to those of the rows first .. first + n - 1 that have no id, in row
   order, and advances *next. false: out of memory. */
bool row_ids_name(struct row_ids *, size_t first, size_t n, uint64_t *next);

#endif
