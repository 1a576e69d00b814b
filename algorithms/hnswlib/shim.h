/* shim.h - a C interface to hnswlib, implemented by shim.cc; no exception leaves it.
 *
 * Functions that return int return OK or a code of error.h, with the message in `err`. */
#ifndef DRIFTLINE_HNSWLIB_SHIM_H
#define DRIFTLINE_HNSWLIB_SHIM_H

#include "src/core/index.h"

#ifdef __cplusplus
extern "C" {
#endif

struct hnswlib_shim; /* a graph and its space */

struct hnswlib_shim_options {
    size_t dim, capacity; /* capacity: rows to reserve at first; grows */
    bool inner_product;   /* false: squared L2 */
    bool replace_deleted; /* a new row takes the place of a deleted one */
    size_t M, ef_construction;
    uint64_t seed;
};

struct hnswlib_shim_facts {
    size_t rows, deleted, capacity; /* rows: places in use, including deleted ones */
    size_t links;                   /* on all levels */
    int max_level;
};

int hnswlib_shim_new(struct hnswlib_shim **, const struct hnswlib_shim_options *,
                     struct error *err);
/* Loads the graph in the file at `path`; M and ef_construction come from the file. */
int hnswlib_shim_load(struct hnswlib_shim **, const struct hnswlib_shim_options *, const char *path,
                      struct error *err);
int hnswlib_shim_save(const struct hnswlib_shim *, const char *path, struct error *err);
void hnswlib_shim_free(struct hnswlib_shim *); /* may be NULL */

/* Reserves n more rows, so that as many calls of hnswlib_shim_add() do not fail for lack
   of capacity. */
int hnswlib_shim_reserve(struct hnswlib_shim *, size_t n, struct error *err);
/* Whether the graph has a place for the id, removed or not. */
bool hnswlib_shim_knows(const struct hnswlib_shim *, uint64_t id);
/* May be called from several threads with distinct ids, once the graph has a row. If places of
   removed rows are reused, ids that the graph knows must be added alone: another row could take
   their place meanwhile. */
int hnswlib_shim_add(struct hnswlib_shim *, const float *row, uint64_t id, struct error *err);
int hnswlib_shim_remove(struct hnswlib_shim *, uint64_t id, struct error *err); /* marks it */

void hnswlib_shim_set_ef(struct hnswlib_shim *, size_t ef);
/* The k nearest, nearest first, ties by id, the rest INDEX_NO_ID and INFINITY; distances as
   hnswlib's (squared L2, or 1 - the inner product). Adds the number of distances computed to
   *computed. Several threads may search at once. */
int hnswlib_shim_search(const struct hnswlib_shim *, const float *query, size_t k,
                        const struct id_filter *, uint64_t *ids, float *distances,
                        uint64_t *computed, struct error *err);

void hnswlib_shim_get_facts(const struct hnswlib_shim *, struct hnswlib_shim_facts *);
void hnswlib_shim_memory(const struct hnswlib_shim *, struct memory_use *);
/* ERR_INVARIANT: a link to no row, to its own row or to a row that is not on that level; an id that
 * does not map to its row. */
int hnswlib_shim_check(const struct hnswlib_shim *, struct error *err);

#ifdef __cplusplus
}
#endif
#endif
