/* extra.h - what a fair comparison needs of usearch and its C interface does not offer. extra.cc is
 * the C++ behind it, and compiles the C interface itself with our flags.
 *
 * Functions that return int give OK or a code of error.h, the sentence in `err`; no exception
 * leaves them.
 */
#ifndef DRIFTLINE_USEARCH_EXTRA_H
#define DRIFTLINE_USEARCH_EXTRA_H

#include <usearch/c/usearch.h>

#include "src/core/index.h"

#ifdef __cplusplus
extern "C" {
#endif

/* usearch's table from keys to places takes a key for its hash, and its removal looks at all
   neighbours there up to an empty slot: with ids in order, at every row. So its keys are ids in
   disorder, one to one. Its mark for a place without a row, UINT64_MAX, is no id and stays no key.
 */
static inline uint64_t usearchx_mix(uint64_t x, uint64_t odd)
{
    x ^= x >> 32;
    x *= odd;
    return x ^ x >> 32;
}

static inline uint64_t usearchx_key_of(uint64_t id)
{
    const uint64_t odd = UINT64_C(0x9e3779b97f4a7c15);
    const uint64_t key = usearchx_mix(id, odd);
    return key == UINT64_MAX ? usearchx_mix(key, odd) : key;
}

static inline uint64_t usearchx_id_of(uint64_t key)
{
    const uint64_t inverse = UINT64_C(0xf1de83e19937733d); /* odd * inverse = 1 */
    const uint64_t id = usearchx_mix(key, inverse);
    return id == UINT64_MAX ? usearchx_mix(id, inverse) : id;
}

struct usearchx_facts {
    size_t places, deleted, capacity; /* places in use, deleted ones included */
    size_t links;                     /* on all levels */
    size_t max_level;
};

/* Room for `places` rows in all, and contexts for `threads` threads; usearch_reserve() takes as many
   as the machine has processors, and each draws levels by itself. */
int usearchx_reserve(usearch_index_t, size_t places, size_t threads, struct error *err);

/* usearch_search() or usearch_filtered_search() with the number of distances, which those drop, and
   ties ordered by id: the nearest first, what is missing ID_NONE and INFINITY. Distances are the
   metric's. Several threads may search at once. */
int usearchx_search(usearch_index_t, const void *query, usearch_scalar_kind_t, size_t k,
                    const struct id_filter *, uint64_t *ids, float *distances, uint64_t *computed,
                    struct error *err);

void usearchx_get_facts(usearch_index_t, struct usearchx_facts *);
/* Adds what the index holds, by capacity. */
void usearchx_memory(usearch_index_t, struct memory_use *);
/* ERR_INVARIANT: an id that does not lead back to its row, a link to nowhere, to itself or to a
 * level its row is not on. */
int usearchx_check(usearch_index_t, struct error *err);

#ifdef __cplusplus
}
#endif
#endif
