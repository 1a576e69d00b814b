/* directory_internal.h - maps a posting's number to the store's entry for it; readers take no lock.
 *
 * Entries do not move, and new ones are zero. In memory and in the block file an entry is a pointer,
 * NULL if the posting does not exist, replaced with a release store; the old target is retired
 * through the epoch. The directory grows under its own lock. */
#ifndef DRIFTLINE_COMMON_POSTINGS_DIRECTORY_INTERNAL_H
#define DRIFTLINE_COMMON_POSTINGS_DIRECTORY_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "algorithms/common/concurrency/segmented.h"

struct posting_directory {
    struct segmented entries;
    _Atomic(size_t) n; /* entries that readers may access */
    pthread_mutex_t growing;
};

static inline void directory_init(struct posting_directory *d, struct mem *mem, size_t entry_bytes)
{
    segmented_init(&d->entries, mem, entry_bytes);
    atomic_init(&d->n, 0);
    (void)pthread_mutex_init(&d->growing, NULL);
}

static inline void directory_free(struct posting_directory *d)
{
    segmented_free(&d->entries);
    (void)pthread_mutex_destroy(&d->growing);
}

static inline size_t directory_n(const struct posting_directory *d)
{
    return atomic_load_explicit(&((struct posting_directory *)(uintptr_t)d)->n,
                                memory_order_acquire);
}

/* Makes sure that the posting has an entry. false: out of memory. */
static inline bool directory_reserve(struct posting_directory *d, uint32_t posting)
{
    if (posting < directory_n(d))
        return true;
    (void)pthread_mutex_lock(&d->growing);
    const bool there = posting < directory_n(d) || segmented_grow(&d->entries, (size_t)posting + 1);

    if (there && posting >= directory_n(d))
        atomic_store_explicit(&d->n, (size_t)posting + 1, memory_order_release);
    (void)pthread_mutex_unlock(&d->growing);
    return there;
}

/* NULL: the posting has no entry. */
static inline void *directory_entry(const struct posting_directory *d, uint32_t posting)
{
    return posting < directory_n(d) ? segmented_at(&d->entries, posting) : NULL;
}

/* The pointer in the entry; NULL: there is none. */
static inline void *directory_get(const struct posting_directory *d, uint32_t posting)
{
    _Atomic(void *) *entry = directory_entry(d, posting);

    return entry ? atomic_load_explicit(entry, memory_order_acquire) : NULL;
}

/* The posting has an entry. */
static inline void directory_put(struct posting_directory *d, uint32_t posting, void *what)
{
    atomic_store_explicit((_Atomic(void *) *)segmented_at(&d->entries, posting), what,
                          memory_order_release);
}

/* Prefetches a posting while the one before it is worked on. Into the second level: in the first it
   would evict that one. With it, 32 postings of two pages are read from memory and verified in
   three quarters of the time. */
static inline void directory_prefetch(const unsigned char *bytes, size_t n)
{
    for (size_t i = 0; i < n; i += 64)
        __builtin_prefetch(bytes + i, 0, 2);
}

static inline size_t directory_bytes(const struct posting_directory *d)
{
    return segmented_bytes(&d->entries);
}

#endif
