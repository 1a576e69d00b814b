/* posting_directory.h - posting number -> what a store keeps of it, for readers without locks.
 *
 * An entry is a pointer, NULL where the posting is not there, replaced with a release store; what it
 * pointed to is retired through the epoch. The directory grows under its own lock.
 */
#ifndef DRIFTLINE_POSTING_DIRECTORY_H
#define DRIFTLINE_POSTING_DIRECTORY_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "algorithms/common/stable.h"

struct directory {
    struct stable entries; /* of _Atomic(void *) */
    _Atomic(size_t) n;     /* entries that readers may look at */
    pthread_mutex_t growing;
};

static inline void directory_init(struct directory *d, struct mem *mem)
{
    stable_init(&d->entries, mem, sizeof(_Atomic(void *)));
    atomic_init(&d->n, 0);
    (void)pthread_mutex_init(&d->growing, NULL);
}

static inline void directory_free(struct directory *d)
{
    stable_free(&d->entries);
    (void)pthread_mutex_destroy(&d->growing);
}

static inline size_t directory_n(const struct directory *d)
{
    return atomic_load_explicit(&((struct directory *)(uintptr_t)d)->n, memory_order_acquire);
}

/* So that a posting has an entry. false: out of memory. */
static inline bool directory_reserve(struct directory *d, uint32_t posting)
{
    if (posting < directory_n(d))
        return true;
    (void)pthread_mutex_lock(&d->growing);
    const bool there = posting < directory_n(d) || stable_grow(&d->entries, (size_t)posting + 1);

    if (there && posting >= directory_n(d))
        atomic_store_explicit(&d->n, (size_t)posting + 1, memory_order_release);
    (void)pthread_mutex_unlock(&d->growing);
    return there;
}

/* Where the posting has an entry. */
static inline _Atomic(void *) *directory_entry(const struct directory *d, uint32_t posting)
{
    return stable_at(&d->entries, posting);
}

static inline void *directory_get(const struct directory *d, uint32_t posting)
{
    return posting < directory_n(d)
               ? atomic_load_explicit(directory_entry(d, posting), memory_order_acquire)
               : NULL;
}

static inline void directory_put(struct directory *d, uint32_t posting, void *what)
{
    atomic_store_explicit(directory_entry(d, posting), what, memory_order_release);
}

/* A posting on its way from memory while the one before is worked on. To the second level: it would push
   that one out of the first. With it 32 postings of two pages from memory are verified in three quarters
   of the time. */
static inline void directory_prefetch(const unsigned char *bytes, size_t n)
{
    for (size_t i = 0; i < n; i += 64)
        __builtin_prefetch(bytes + i, 0, 2);
}

static inline size_t directory_bytes(const struct directory *d)
{
    return stable_bytes(&d->entries);
}

#endif
