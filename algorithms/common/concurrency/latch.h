/* latch.h - a latch of one word: many readers, or one writer, for which new readers wait.
 *
 * It protects a small thing, such as a list or a vertex, during one scan or one change of it. Whoever holds one takes no
 * other, and waits for nothing. */
#ifndef DRIFTLINE_COMMON_CONCURRENCY_LATCH_H
#define DRIFTLINE_COMMON_CONCURRENCY_LATCH_H

#include <sched.h>
#include <stdatomic.h>

/* The writer's bit; the other bits count readers. 0: nobody holds it. */
#define LATCH_WRITER (1U << 31)

static inline void latch_take_shared(atomic_uint *latch)
{
    while (atomic_fetch_add_explicit(latch, 1, memory_order_acquire) & LATCH_WRITER) {
        (void)atomic_fetch_sub_explicit(latch, 1, memory_order_relaxed);
        while (atomic_load_explicit(latch, memory_order_relaxed) & LATCH_WRITER)
            (void)sched_yield();
    }
}

static inline void latch_give_shared(atomic_uint *latch)
{
    (void)atomic_fetch_sub_explicit(latch, 1, memory_order_release);
}

/* One thread at a time. */
static inline void latch_take(atomic_uint *latch)
{
    (void)atomic_fetch_or_explicit(latch, LATCH_WRITER, memory_order_acquire);
    while (atomic_load_explicit(latch, memory_order_acquire) != LATCH_WRITER)
        (void)sched_yield();
}

static inline void latch_give(atomic_uint *latch)
{
    (void)atomic_fetch_and_explicit(latch, ~LATCH_WRITER, memory_order_release);
}

#endif
