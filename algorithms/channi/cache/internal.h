/* internal.h - a file's slot, and what cache.c does for reads.c.
 *
 * Each file in the cache has a *slot*. The slot's `state` is one word: whether the hot part is in
 * memory, and the number of pins. Searches pin without a lock:
 *
 *   pin       adds 1 and tests the old value: if it was resident, it is pinned; else subtracts 1
 *   unpin     subtracts 1 (release: all reads of the memory come before)
 *   evict     changes exactly "resident, no pin" to 0 by compare and swap. An earlier pin makes
 *             that fail, a later pin finds it not resident; so after success no other thread uses
 *             the memory
 *   install   writes image and block, which no thread reads before `resident` is set, then adds
 *             the bit (adds, because the word may hold the 1 of a pin about to be undone)
 *
 * Evictions and installations hold `lock`, so the bit has one writer at a time. A pin about to be
 * undone may make an eviction skip a slot, but does nothing worse.
 */
#ifndef DRIFTLINE_CHANNI_CACHE_INTERNAL_H
#define DRIFTLINE_CHANNI_CACHE_INTERNAL_H

#include <pthread.h>
#include <sys/queue.h>

#include "algorithms/channi/cache/cache.h"

#define SLOT_RESIDENT (UINT32_C(1) << 31)

struct channi_cache_slot {
    /* Written by every pin, so on a cache line of its own. */
    _Alignas(64) _Atomic(uint32_t) state; /* SLOT_RESIDENT | pins */
    atomic_bool used;                     /* since the clock's hand passed */
    /* constant while resident */
    _Alignas(64) struct channi_image image;
    unsigned char *block; /* the memory of image, as allocated */
    size_t charge;        /* bytes of block */
    struct channi_base *base;
    /* Protected by the cache's lock. */
    TAILQ_ENTRY(channi_cache_slot) clock, open, all;
    int fd; /* -1: not open */
    uint32_t fd_users;
};

#define COUNTER atomic_uint_fast64_t

struct channi_cache {
    struct index_env env;
    struct channi_cache_options options;
    size_t budget, files_max;
    bool uring;
    atomic_bool direct, direct_known;
    struct read_threads *threads;
    /* Bytes of resident blocks and of reads under way; changed with the lock held. */
    _Alignas(64) atomic_size_t charged;
    _Alignas(64) pthread_mutex_t lock;
    pthread_cond_t file_free; /* signals that a descriptor has lost its last user */
    TAILQ_HEAD(, channi_cache_slot)
    clock,    /* resident, from the clock's hand on */
        open, /* least recently used first */
        all;
    size_t n_clock, n_open;
    size_t over;
#define FIELD(name) name
    _Alignas(64) COUNTER CHANNI_CACHE_COUNTERS(FIELD);
#undef FIELD
};

static inline void channi_cache_count(COUNTER *counter, uint64_t by)
{
    if (by > 0)
        (void)atomic_fetch_add_explicit(counter, by, memory_order_relaxed);
}

/* ---- memory */

static inline bool channi_slot_pin(struct channi_cache_slot *s)
{
    if (!(atomic_fetch_add_explicit(&s->state, 1, memory_order_acquire) & SLOT_RESIDENT)) {
        (void)atomic_fetch_sub_explicit(&s->state, 1, memory_order_relaxed);
        return false;
    }
    if (!atomic_load_explicit(&s->used, memory_order_relaxed))
        atomic_store_explicit(&s->used, true, memory_order_relaxed);
    return true;
}

/* After unpinning all its clusters, the caller calls channi_cache_trim(). */
static inline void channi_slot_unpin(struct channi_cache_slot *s)
{
    (void)atomic_fetch_sub_explicit(&s->state, 1, memory_order_release);
}

/* Evicts unpinned clusters while the budget is exceeded. Cheap if it is not. */
void channi_cache_trim(struct channi_cache *);
/* Evicts for n bytes and allocates them. false: out of memory. */
bool channi_cache_block_take(struct channi_cache *, size_t n, struct channi_cache_block *);
void channi_cache_block_drop(struct channi_cache *, struct channi_cache_block *);
/* Gives the slot the block, opened as `image`, and pins it. If it is resident already,
   frees the block. */
void channi_cache_install(struct channi_cache *, struct channi_cache_slot *,
                          struct channi_cache_block *, const struct channi_image *);

/* ---- descriptors */

enum channi_file_answer { FILE_OPEN, FILE_LATER, FILE_FAILED };

/* Opens the slot's file, or finds it open. The descriptor stays open until
   channi_cache_file_give(). FILE_LATER, only without `wait`: all allowed descriptors are in use.
   With `wait`, the calling thread has no read in flight. */
enum channi_file_answer channi_cache_file_take(struct channi_cache *, struct channi_cache_slot *,
                                               bool wait, int *rc);
void channi_cache_file_give(struct channi_cache *, struct channi_cache_slot *);

#endif
