/* change.h - locking of changes. One change runs at a time, and no search runs meanwhile.
 *
 *     durable.checkpointing  one snapshot at a time
 *     checkpoint_lock        read: by changes; write: by the first part of a snapshot
 *     changing               one change at a time
 *     lock                   read: by searches; write: by changes, released while they write files
 *
 * Locks are taken in this order.
 */
#ifndef DRIFTLINE_ASTERIA_CHANGE_H
#define DRIFTLINE_ASTERIA_CHANGE_H

#include "algorithms/asteria/asteria.h"

static inline void asteria_change_begin(struct asteria *a)
{
    (void)pthread_rwlock_rdlock(&a->checkpoint_lock);
    (void)pthread_mutex_lock(&a->changing);
    (void)pthread_rwlock_wrlock(&a->lock);
}

static inline void asteria_change_end(struct asteria *a)
{
    (void)pthread_rwlock_unlock(&a->lock);
    (void)pthread_mutex_unlock(&a->changing);
    (void)pthread_rwlock_unlock(&a->checkpoint_lock);
}

/* Within a change: lets searches run, but no other change. The state must be
   consistent for them. */
static inline void asteria_change_pause(struct asteria *a)
{
    (void)pthread_rwlock_unlock(&a->lock);
}

static inline void asteria_change_resume(struct asteria *a)
{
    (void)pthread_rwlock_wrlock(&a->lock);
}

#endif
