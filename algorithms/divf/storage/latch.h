/* latch.h - a latch of one word: many readers, or one writer, for which new readers wait.
 *
 * It protects a list during a scan of the list, and during one change of it. Whoever holds a latch
 * takes no other, and waits for nothing. */
#ifndef DRIFTLINE_DIVF_STORAGE_LATCH_H
#define DRIFTLINE_DIVF_STORAGE_LATCH_H

#include <sched.h>
#include <stdatomic.h>

/* The writer's bit; the other bits count readers. */
#define LATCH_WRITER (1U << 31)

static inline void divf_latch_shared(atomic_uint *latch)
{
    while (atomic_fetch_add_explicit(latch, 1, memory_order_acquire) & LATCH_WRITER) {
        (void)atomic_fetch_sub_explicit(latch, 1, memory_order_relaxed);
        while (atomic_load_explicit(latch, memory_order_relaxed) & LATCH_WRITER)
            (void)sched_yield();
    }
}

static inline void divf_unlatch_shared(atomic_uint *latch)
{
    (void)atomic_fetch_sub_explicit(latch, 1, memory_order_release);
}

/* One thread at a time. */
static inline void divf_latch(atomic_uint *latch)
{
    (void)atomic_fetch_or_explicit(latch, LATCH_WRITER, memory_order_acquire);
    while (atomic_load_explicit(latch, memory_order_acquire) != LATCH_WRITER)
        (void)sched_yield();
}

static inline void divf_unlatch(atomic_uint *latch)
{
    (void)atomic_fetch_and_explicit(latch, ~LATCH_WRITER, memory_order_release);
}

#endif
