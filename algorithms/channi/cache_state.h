/* cache_state.h - inside the cache: what its files share.
 *
 * A file that joined has a *slot*. Its `state` is one word: whether the hot part is in memory, and how many
 * pins there are. Searches pin without a lock:
 *
 *   pin       adds 1 and looks at what was there before: resident, and it is pinned; else takes the 1 back
 *   unpin     subtracts 1 (release: what was read of it was read before)
 *   evict     from exactly "resident, no pin" to 0 in one step (compare and swap). A pin that came first makes
 *             it fail, one that comes later finds nothing; so who takes the step has the memory alone
 *   install   writes image and block, which nobody looks at before `resident` is there, then adds the bit (an
 *             addition too: the 1 of a pin about to be taken back may be in the word)
 *
 * Evictions and installations are made under `lock`, so the bit has one writer at a time. Pins that are about to
 * be taken back may make an eviction pass a slot over, never more.
 *
 *   cache.c        opening, joining, leaving, reports
 *   cache_clock.c  what is in memory: pins, the budget
 *   cache_files.c  what is open: descriptors
 *   cache_fetch.c  a search's reads: asking, handing out
 *   cache_loads.c  ... under way
 *   cache_rows.c   single rows, whole files
 */
#ifndef DRIFTLINE_CHANNI_CACHE_STATE_H
#define DRIFTLINE_CHANNI_CACHE_STATE_H

#include <pthread.h>

#include "algorithms/channi/cache.h"
#include "algorithms/channi/cluster_layout.h"
#include "algorithms/common/read_queue.h"

#define SLOT_RESIDENT (UINT32_C(1) << 31)

/* A place in a ring of slots: NULL next: in none. */
struct ring_place {
    struct cache_slot *next, *before;
};

struct cache_slot {
    /* written by every pin: a line of its own */
    _Alignas(64) _Atomic(uint32_t) state; /* SLOT_RESIDENT | pins */
    atomic_bool used;                     /* since the clock's hand came by */
    /* constant while resident */
    _Alignas(64) struct image image;
    unsigned char *block; /* what image points into, as it was allocated */
    size_t charge;        /* its bytes */
    struct base *base;
    /* under the cache's lock */
    struct ring_place clock, open, all;
    int fd; /* -1: not open */
    uint32_t fd_users;
};

/* Memory for a read: counted as the cache's from here on. */
struct cache_block {
    unsigned char *block,
        *bytes; /* as allocated; from a multiple of a page where reads are direct */
    size_t charge;
};

#define COUNTER atomic_uint_fast64_t

struct cache {
    struct index_env env;
    struct cache_options options;
    size_t budget, files_max;
    bool uring;
    atomic_bool direct, direct_known;
    struct read_threads *threads;
    _Alignas(64)
        atomic_size_t charged; /* resident, and memory of reads under way; changed under lock */
    _Alignas(64) pthread_mutex_t lock;
    pthread_cond_t file_free; /* a descriptor has no user any more */
    struct cache_slot *clock; /* the hand; NULL: nothing is resident */
    struct cache_slot *open;  /* least lately used first; NULL: no file is */
    struct cache_slot *all;
    size_t n_clock, n_open, n_busy; /* busy: open and used */
    size_t over;
    _Alignas(64) COUNTER hits, misses, evictions, evicted_bytes, reads, read_bytes, row_reads,
        row_read_bytes, prefetched, prefetch_used, closed_for_room;
};

static inline void cache_count(COUNTER *counter, uint64_t by)
{
    if (by > 0)
        (void)atomic_fetch_add_explicit(counter, by, memory_order_relaxed);
}

/* Before the ring's first, which is last then. */
void ring_put(struct cache_slot **ring, struct cache_slot *, size_t place_offset);
void ring_drop(struct cache_slot **ring, struct cache_slot *, size_t place_offset);
#define RING_PUT(ring, slot, place)  ring_put(ring, slot, offsetof(struct cache_slot, place))
#define RING_DROP(ring, slot, place) ring_drop(ring, slot, offsetof(struct cache_slot, place))

/* ---- cache_clock.c */

static inline bool slot_pin(struct cache_slot *s)
{
    if (!(atomic_fetch_add_explicit(&s->state, 1, memory_order_acquire) & SLOT_RESIDENT)) {
        (void)atomic_fetch_sub_explicit(&s->state, 1, memory_order_relaxed);
        return false;
    }
    if (!atomic_load_explicit(&s->used, memory_order_relaxed))
        atomic_store_explicit(&s->used, true, memory_order_relaxed);
    return true;
}

/* Who is through with all of them looks at the budget: cache_trim(). */
static inline void slot_unpin(struct cache_slot *s)
{
    (void)atomic_fetch_sub_explicit(&s->state, 1, memory_order_release);
}

/* What is over the budget goes, as far as nothing pins it. Cheap where nothing is. */
void cache_trim(struct cache *);
/* Memory for n bytes of a file, having made room for it. false: out of memory. */
bool cache_block_take(struct cache *, size_t n, struct cache_block *);
void cache_block_drop(struct cache *, struct cache_block *);
/* The block, opened as `image`, is the slot's, which is pinned; where it was resident by now, the block goes. */
void cache_install(struct cache *, struct cache_slot *, struct cache_block *, const struct image *);
/* A block that nobody waits for: *kept, if it fits into the budget; else it is still the caller's. */
void cache_keep(struct cache *, struct cache_slot *, unsigned char *block, size_t n,
                const struct image *, bool *kept);
/* The lock is held, no pin is left. Returns the memory to be freed. */
unsigned char *cache_expel(struct cache *, struct cache_slot *);

/* ---- cache_rows.c */

/* Pins it, having read it where it was not in memory. */
int cache_pin(struct cache *, struct cache_slot *);

/* ---- cache_files.c */

enum file_answer { FILE_OPEN, FILE_LATER, FILE_FAILED };

/* Opens the slot's file, or finds it open; its descriptor stays until given back. FILE_LATER, only if !wait:
   all descriptors there may be are in use; with wait, nothing is in flight of this thread. */
enum file_answer cache_file_take(struct cache *, struct cache_slot *, bool wait, int *rc);
void cache_file_give(struct cache *, struct cache_slot *);
void cache_file_close(struct cache *, struct cache_slot *); /* the lock is held, nobody uses it */
size_t cache_files_limit(size_t asked);
/* A read of it did not come to its end: error as a read_request's. The code, with its sentence. */
int cache_read_failed(struct cache *, struct cache_slot *, uint64_t at, int error);
/* Marks the file; `what` goes into the log the first time. */
void cache_damage(struct cache *, struct cache_slot *, const char *what);
/* n bytes at `at`, by the caller itself. */
int cache_read(struct cache *, struct cache_slot *, uint64_t at, void *to, size_t n);

/* ---- cache_fetch.c, cache_loads.c, for rows */

/* Its queue, made when first needed. NULL: out of memory. */
struct read_queue *fetch_queue(struct fetch *);
/* Waits for a request that has `tag`; hot parts that come meanwhile are dealt with. NULL: nothing is in flight. */
struct read_request *fetch_await(struct fetch *, const void *tag);
/* Until nothing is in flight of it: it uses no descriptor then. */
void fetch_settle(struct fetch *);
/* Memory for a list of rows, kept with it. NULL: out of memory. */
void *fetch_room(struct fetch *, size_t bytes);

#endif
