/* loads.h - the parts of a fetch, for fetch.c and loads.c. */
#ifndef DRIFTLINE_CHANNI_CACHE_LOADS_H
#define DRIFTLINE_CHANNI_CACHE_LOADS_H

#include "algorithms/channi/cache/internal.h"
#include "src/core/error.h"

enum { NOT_ASKED = UINT32_MAX };

enum channi_want_state { WANT_PINNED, WANT_READING, WANT_FAILED };

/* A read of one hot part. */
struct channi_load {
    struct read_request request;
    struct channi_load *next; /* in the list of waiting, failed or unused loads */
    struct channi_cache_block block;
    uint32_t want;
    /* Why it failed. Reported when the cluster is returned: a prefetched one may never be. */
    struct error error;
};

struct channi_want {
    struct channi_cache_slot *slot;
    uint32_t asked; /* order of its request; NOT_ASKED: prefetched only */
    enum channi_want_state state;
    bool was_read; /* read by this fetch */
    struct channi_load *failed;
};

struct channi_fetch {
    struct channi_cache *cache;
    struct channi_want *wants;
    uint32_t *ready; /* wants to be returned, in this order */
    size_t n, capacity, ready_capacity;
    size_t n_asked, n_ready, n_handed, n_ahead; /* ahead: prefetched, not requested yet */
    struct read_queue *queue;
    struct channi_load *waiting, **last_waiting; /* for a descriptor, oldest first */
    struct channi_load *failed, *unused;
    void *buffer;
    size_t buffer_bytes;
    uint64_t hits, misses, prefetched, prefetch_used;
};

/* Prepares a read of the file's hot part. NULL: out of memory. */
struct channi_load *channi_load_take(struct channi_fetch *, const struct channi_base *);
void channi_load_drop(struct channi_fetch *, struct channi_load *);
/* The want's state is final: if requested, it can be returned. */
void channi_want_ready(struct channi_fetch *, struct channi_want *);
/* Starts waiting loads, as far as descriptors allow. */
void channi_loads_begin(struct channi_fetch *);
/* Completes the next load that arrives. false: nothing is in flight. */
bool channi_loads_reap(struct channi_fetch *);

#endif
