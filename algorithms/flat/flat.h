/* flat.h - state of the exact scan, and the functions shared by its files.
 *
 * Invariant: slot_of maps each of ids[0 .. n-1] to its position and holds nothing else. The last
 * row takes a deleted row's place, so positions do not show the order of insertion. */
#ifndef DRIFTLINE_FLAT_H
#define DRIFTLINE_FLAT_H

#include "kernels/kernels.h"
#include "src/core/index.h"
#include "src/core/slot_table.h"

struct flat {
    struct index base;
    size_t row_bytes;
    size_t n;
    unsigned char *rows; /* n of rows_capacity rows */
    size_t rows_capacity;
    uint64_t *ids; /* n of ids_capacity */
    size_t ids_capacity;
    struct slot_table slot_of;
};

extern const struct index_ops flat_ops;

int flat_create(struct index **, const struct index_ops *, const struct index_env *,
                const void *params);
void flat_destroy(struct index *);
/* Reserves n more rows with these ids; false: out of memory, or too many; the index
   is unchanged. */
bool flat_reserve(struct flat *, const uint64_t *ids, size_t n);

int flat_search(struct index *, const struct search_request *, struct search_result *);
int flat_range(struct index *, const struct range_request *, struct range_result *);
int flat_save(struct index *, const char *dir);
int flat_load(struct index **, const struct index_ops *, const struct index_env *, const char *dir);

#endif
