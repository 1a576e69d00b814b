/* cache_loads.h - what a fetch is made of, for cache_fetch.c and cache_loads.c. */
#ifndef DRIFTLINE_CHANNI_CACHE_LOADS_H
#define DRIFTLINE_CHANNI_CACHE_LOADS_H

#include "algorithms/channi/cache_state.h"
#include "src/core/error.h"

enum { NOT_ASKED = UINT32_MAX };

enum want_state { WANT_PINNED, WANT_READING, WANT_FAILED };

/* A read of a hot part. */
struct load {
    struct read_request request;
    struct load *next; /* waiting for a descriptor, failed, or unused */
    struct cache_block block;
    uint32_t want;
    /* Why it failed: said when it is handed out, for one read ahead of need may never be. */
    struct error error;
};

struct want {
    struct cache_slot *slot;
    uint32_t asked; /* which of those asked for, NOT_ASKED: only ahead of need */
    enum want_state state;
    bool was_read; /* for this fetch */
    struct load *failed;
};

struct fetch {
    struct cache *cache;
    struct want *wants;
    uint32_t *ready; /* wants to be handed out, in this order */
    size_t n, capacity, ready_capacity;
    size_t n_asked, n_ready, n_handed, n_ahead; /* ahead: not asked for yet */
    struct read_queue *queue;
    struct load *waiting, **last_waiting; /* for a descriptor, first come first */
    struct load *failed, *unused;
    void *room;
    size_t room_bytes;
    uint64_t hits, misses, prefetched, prefetch_used;
};

/* A read of the file's hot part, not begun. NULL: out of memory. */
struct load *load_take(struct fetch *, const struct base *);
void load_drop(struct fetch *, struct load *);
/* The want's state is final: it is handed out next, if asked for. */
void is_ready(struct fetch *, struct want *);
/* Begins what waits, as far as there are descriptors. */
void loads_begin(struct fetch *);
/* Deals with the next that comes; false: nothing is in flight. */
bool loads_reap(struct fetch *);

#endif
