/* scratch_pool.h - idle search scratch, kept for the next search, so that searches allocate only
 * while they grow.
 *
 * A method's scratch begins with a struct scratch_item, by which idle ones are linked. The method
 * creates, sizes and frees its scratch: take() returns an idle one or NULL, and the method then
 * creates one.
 *
 *     struct NAME_scratch *x = scratch_pool_take(&index->scratch);
 *     return x ? x : scratch_create(index);
 *
 * The last one given is the first one taken, because its memory is the most likely to be in a
 * cache. There are never more scratches than concurrent searches. */
#ifndef DRIFTLINE_COMMON_CONCURRENCY_SCRATCH_POOL_H
#define DRIFTLINE_COMMON_CONCURRENCY_SCRATCH_POOL_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

/* The first member of a pooled struct. */
struct scratch_item {
    struct scratch_item *next;
};

struct scratch_pool {
    pthread_mutex_t lock; /* protects idle; a method may also guard totals of its searches
                             with it */
    struct scratch_item *idle;
};

void scratch_pool_init(struct scratch_pool *);

/* Takes an idle scratch, which the caller owns until it gives it back. NULL: none is idle. */
void *scratch_pool_take(struct scratch_pool *);

/* Gives `scratch`, taken or created by the caller, to the pool, which owns it from here on. */
void scratch_pool_give(struct scratch_pool *, void *scratch);

/* The sum of bytes(owner, scratch) over the idle ones. bytes() is called under the lock and must
   not take it. */
uint64_t scratch_pool_bytes(struct scratch_pool *,
                            uint64_t (*bytes)(const void *owner, const void *scratch),
                            const void *owner);

/* Calls destroy(owner, scratch) for each idle one. The pool must not be used afterwards. */
void scratch_pool_free(struct scratch_pool *, void (*destroy)(void *owner, void *scratch),
                       void *owner);

#endif
