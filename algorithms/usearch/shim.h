/* shim.h - functions that a fair comparison needs and usearch's C interface lacks. Implemented by
 * shim.cc, which also compiles the C interface with our flags.
 *
 * Functions that return int return OK or a code of error.h, with the message in `err`; no exception
 * leaves them. */
#ifndef DRIFTLINE_USEARCH_SHIM_H
#define DRIFTLINE_USEARCH_SHIM_H

#include <usearch/c/usearch.h>

#include "src/core/index.h"

#ifdef __cplusplus
extern "C" {
#endif

/* usearch's table from keys to places uses the key as its hash, and a removal probes up to an empty
   slot: with consecutive ids, every row. So keys are ids permuted one to one. UINT64_MAX, usearch's
   mark for a place without a row, is neither an id nor a key. */
static inline uint64_t usearch_shim_mix(uint64_t x, uint64_t odd)
{
    x ^= x >> 32;
    x *= odd;
    return x ^ x >> 32;
}

static inline uint64_t usearch_shim_key_of(uint64_t id)
{
    const uint64_t odd = UINT64_C(0x9e3779b97f4a7c15);
    const uint64_t key = usearch_shim_mix(id, odd);
    return key == UINT64_MAX ? usearch_shim_mix(key, odd) : key;
}

static inline uint64_t usearch_shim_id_of(uint64_t key)
{
    const uint64_t inverse = UINT64_C(0xf1de83e19937733d); /* odd * inverse = 1 */
    const uint64_t id = usearch_shim_mix(key, inverse);
    return id == UINT64_MAX ? usearch_shim_mix(id, inverse) : id;
}

struct usearch_shim_facts {
    size_t places, deleted, capacity; /* places: in use, including deleted ones */
    size_t links;                     /* on all levels */
    size_t max_level;
};

/* Reserves `places` rows in all, and contexts for `threads` threads. (usearch_reserve() makes as
   many contexts as the machine has processors, and each draws levels independently.) */
int usearch_shim_reserve(usearch_index_t, size_t places, size_t threads, struct error *err);

/* usearch_search() or usearch_filtered_search(), but also counts distances and orders ties by id:
   the nearest first, missing answers INDEX_NO_ID and INFINITY. Distances are the metric's. Several
   threads may search at once. */
int usearch_shim_search(usearch_index_t, const void *query, usearch_scalar_kind_t, size_t k,
                        const struct id_filter *, uint64_t *ids, float *distances,
                        uint64_t *computed, struct error *err);

void usearch_shim_get_facts(usearch_index_t, struct usearch_shim_facts *);
/* Adds the memory of the index, by capacity. */
void usearch_shim_memory(usearch_index_t, struct memory_use *);
/* ERR_INVARIANT: an id that does not map to its row, or a link to no row, to its own row or to a
 * row that is not on that level. */
int usearch_shim_check(usearch_index_t, struct error *err);

#ifdef __cplusplus
}
#endif
#endif
