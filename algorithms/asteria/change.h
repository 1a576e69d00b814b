/* change.h - locking of changes. One change runs at a time, and no search runs meanwhile.
 *
 *     changing  one change at a time, or a file that is written of the index
 *     lock      read: by searches; write: by changes, released while they write rows to a file
 *
 * Locks are taken in this order.
 */
#ifndef DRIFTLINE_ASTERIA_CHANGE_H
#define DRIFTLINE_ASTERIA_CHANGE_H

#include "algorithms/asteria/asteria.h"

static inline void asteria_change_begin(struct asteria *a)
{
    (void)pthread_mutex_lock(&a->changing);
    (void)pthread_rwlock_wrlock(&a->lock);
}

static inline void asteria_change_end(struct asteria *a)
{
    (void)pthread_rwlock_unlock(&a->lock);
    (void)pthread_mutex_unlock(&a->changing);
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
