/* internal.h - shared by the files of the cache.
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
 *
 *   cache.c  opening, adding and removing files, reports
 *   clock.c  memory: pins, the budget
 *   files.c  open descriptors
 *   fetch.c  a search's reads
 *   rows.c   single rows, whole files
 */
#ifndef DRIFTLINE_CHANNI_CACHE_INTERNAL_H
#define DRIFTLINE_CHANNI_CACHE_INTERNAL_H

#include <pthread.h>
#include <sys/queue.h>

#include "algorithms/channi/cache/cache.h"
#include "algorithms/channi/files/cluster_file.h"
#include "algorithms/common/io/read_queue.h"
#include "src/core/error.h"

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
    size_t n_clock, n_open, n_busy; /* busy: open, with users */
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

/* ---- clock.c */

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
/* Gives the slot a block that no search waits for, if it fits into the budget; else returns false, and
   the caller still owns the block. */
bool channi_cache_keep(struct channi_cache *, struct channi_cache_slot *, unsigned char *block,
                       size_t n, const struct channi_image *);
/* Makes the slot not resident. The lock is held, no pin is left. Returns the block, to be freed. */
unsigned char *channi_cache_expel(struct channi_cache *, struct channi_cache_slot *);

/* ---- files.c */

enum channi_file_answer { FILE_OPEN, FILE_LATER, FILE_FAILED };

/* Opens the slot's file, or finds it open. The descriptor stays open until
   channi_cache_file_give(). FILE_LATER, only without `wait`: all allowed descriptors are in use.
   With `wait`, the calling thread has no read in flight. */
enum channi_file_answer channi_cache_file_take(struct channi_cache *, struct channi_cache_slot *,
                                               bool wait, int *rc);
void channi_cache_file_give(struct channi_cache *, struct channi_cache_slot *);
/* The lock is held, and the file has no users. */
void channi_cache_file_close(struct channi_cache *, struct channi_cache_slot *);
/* Reports a failed read of the slot's file. error: as in struct read_request. Returns the code. */
int channi_cache_read_failed(const struct channi_cache *, const struct channi_cache_slot *,
                             uint64_t at, int error);

/* ---- fetch.c */

/* A read of one hot part. */
struct channi_load {
    struct read_request request;
    struct channi_cache_block block;
    uint32_t want;
    struct error error; /* why it failed: reported when the cluster is returned */
};

/* A requested cluster. Neither pinned nor failed: it is being read. */
struct channi_want {
    struct channi_cache_slot *slot;
    bool pinned;
    struct channi_load *failed; /* owned */
};

struct channi_fetch {
    struct channi_cache *cache;
    struct channi_want *wants;
    uint32_t *ready; /* wants to be returned, in this order */
    size_t n, capacity, ready_capacity;
    size_t n_ready, n_handed;
    struct read_queue *queue;
    unsigned char *buffer; /* for a list of rows */
    size_t buffer_bytes;
    uint64_t hits, misses;
};

/* The fetch's queue, created at the first call. NULL: out of memory. */
struct read_queue *channi_fetch_queue(struct channi_fetch *);
/* Waits for a request with `tag`, and completes hot parts that arrive meanwhile. NULL: nothing
   is in flight. */
struct read_request *channi_fetch_await(struct channi_fetch *, const void *tag);
/* Waits until the fetch has nothing in flight; then it uses no descriptor. */
void channi_fetch_drain(struct channi_fetch *);

#endif
