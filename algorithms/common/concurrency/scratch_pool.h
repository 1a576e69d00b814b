/* scratch_pool.h - idle search scratch, kept for the next search, so that searches allocate only
 * while they grow.
 *
 * A method's scratch begins with a struct scratch_item, by which idle ones are linked. The method
 * says how one is opened, closed and measured:
 *
 *     scratch_pool_init(&index->scratch, &NAME_scratch_kind, env->mem, index);
 *     struct NAME_scratch *x = scratch_pool_take(&index->scratch);
 *     ... scratch_pool_give(&index->scratch, x);
 *
 * The last one given is the first one taken, because its memory is the most likely to be in a
 * cache. There are never more scratches than concurrent searches. */
#ifndef DRIFTLINE_COMMON_CONCURRENCY_SCRATCH_POOL_H
#define DRIFTLINE_COMMON_CONCURRENCY_SCRATCH_POOL_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mem;

/* The first member of a pooled struct. */
struct scratch_item {
    struct scratch_item *next;
};

/* owner: as given to scratch_pool_init(). */
struct scratch_kind {
    size_t struct_bytes;
    /* Opens a zeroed one. false: out of memory; close() is called. NULL: nothing to open. */
    bool (*open)(void *owner, void *scratch);
    /* Frees what it points to. */
    void (*close)(struct mem *, void *scratch);
    /* Bytes of what it points to. Called under the lock; must not take it.
       NULL: scratch_pool_bytes() is not called. */
    uint64_t (*bytes)(const void *owner, const void *scratch);
};

struct scratch_pool {
    pthread_mutex_t lock; /* protects idle; a method may also guard totals of its searches
                             with it */
    struct scratch_item *idle;
    const struct scratch_kind *kind;
    struct mem *mem;
    void *owner;
};

void scratch_pool_init(struct scratch_pool *, const struct scratch_kind *, struct mem *,
                       void *owner);
/* Takes an idle scratch, or a new one, which the caller owns until it gives it back. NULL: out of
   memory. */
void *scratch_pool_take(struct scratch_pool *);
/* Gives a scratch back to the pool. NULL is allowed. */
void scratch_pool_give(struct scratch_pool *, void *scratch);
/* Bytes of the idle ones. */
uint64_t scratch_pool_bytes(const struct scratch_pool *);
/* Destroys the idle ones. The pool must not be used afterwards. */
void scratch_pool_free(struct scratch_pool *);

#endif
