/* rwlock.h - a readers-writer lock whose writers come first. */
#ifndef DRIFTLINE_CORE_RWLOCK_H
#define DRIFTLINE_CORE_RWLOCK_H

#include <pthread.h>

/* A writer that waits goes before readers that come: overlapping reads would otherwise keep it waiting. No thread may take
   it twice. The caller destroys it. */
static inline void rwlock_init_writers_first(pthread_rwlock_t *lock)
{
    pthread_rwlockattr_t writers_first;

    (void)pthread_rwlockattr_init(&writers_first);
    (void)pthread_rwlockattr_setkind_np(&writers_first,
                                        PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    (void)pthread_rwlock_init(lock, &writers_first);
    (void)pthread_rwlockattr_destroy(&writers_first);
}

#endif
