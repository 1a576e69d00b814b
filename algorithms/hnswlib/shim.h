/* shim.h - hnswlib behind C functions. shim.cc is the C++; no exception leaves it.
 *
 * Functions that return int give OK or a code of error.h, the sentence in `err`.
 */
#ifndef DRIFTLINE_HNSWLIB_SHIM_H
#define DRIFTLINE_HNSWLIB_SHIM_H

#include "src/core/index.h"

#ifdef __cplusplus
extern "C" {
#endif

struct hnswx; /* a graph and its space */

struct hnswx_options {
    size_t dim, capacity; /* rows to make room for at first; grows */
    bool inner_product;   /* else squared L2 */
    bool replace_deleted; /* a new row takes the place of a deleted one */
    size_t M, ef_construction;
    uint64_t seed;
};

struct hnswx_facts {
    size_t rows, deleted, capacity; /* rows: places in use, deleted ones included */
    size_t links;                   /* on all levels */
    int max_level;
};

int hnswx_new(struct hnswx **, const struct hnswx_options *, struct error *err);
/* The graph that `path` holds; of the options M and ef_construction come from the file. */
int hnswx_load(struct hnswx **, const struct hnswx_options *, const char *path, struct error *err);
int hnswx_save(const struct hnswx *, const char *path, struct error *err);
void hnswx_free(struct hnswx *); /* may be NULL */

/* Room for n more rows, so that hnswx_add of that many does not fail for want of it. */
int hnswx_reserve(struct hnswx *, size_t n, struct error *err);
/* Safe to call from several threads at once, with distinct ids, once the graph holds a row. */
int hnswx_add(struct hnswx *, const float *row, uint64_t id, struct error *err);
int hnswx_remove(struct hnswx *, uint64_t id, struct error *err); /* marks it */

void hnswx_set_ef(struct hnswx *, size_t ef);
/* The k nearest, nearest first, ties by id, the rest ID_NONE and INFINITY; distances as hnswlib has
   them (squared L2, or 1 - the inner product). Adds to *computed the distances it computed. Several
   threads may search at once. */
int hnswx_search(const struct hnswx *, const float *query, size_t k, const struct id_filter *,
                 uint64_t *ids, float *distances, uint64_t *computed, struct error *err);

void hnswx_get_facts(const struct hnswx *, struct hnswx_facts *);
void hnswx_memory(const struct hnswx *, struct memory_use *);
/* ERR_INVARIANT: a link that leads nowhere, to itself or to a level its row is not on; ids that do
 * not lead back. */
int hnswx_check(const struct hnswx *, struct error *err);

#ifdef __cplusplus
}
#endif
#endif
