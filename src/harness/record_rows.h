/* record_rows.h - which id a row of one source was first inserted under.
 *
 * A stretch of rows with consecutive ids is one interval however long it is; rows that come in any
 * other order are kept one by one in a hash map.
 */
#ifndef DRIFTLINE_RECORD_ROWS_H
#define DRIFTLINE_RECORD_ROWS_H

#include "core/idmap.h"

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

/* The ids of rows first .. first + n - 1; ID_NONE for those that have none. */
void row_ids_get(const struct row_ids *, size_t first, size_t n, uint64_t *ids);

/* Names the rows among first .. first + n - 1 that have no id yet *next, *next + 1 ..., in row
 *order, and counts next on. false: out of memory. */
bool row_ids_name(struct row_ids *, size_t first, size_t n, uint64_t *next);

#endif
