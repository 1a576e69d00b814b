/* remove.c - a deletion is a log record and a tombstone. Rewriting a posting frees the space. */
#include <inttypes.h>

#include "algorithms/common/durable/row_log.h"
#include "algorithms/spfresh/durable/durable.h"
#include "algorithms/spfresh/maintenance/maintenance.h"
#include "algorithms/spfresh/operations.h"

enum { CHUNK = 256 };

/* Logs first: dropping the slots cannot fail, and cannot be undone. The ids are locked
   by this update. */
static int remove_chunk(struct spfresh *s, const uint64_t *ids, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!spfresh_slot_of(s, ids[i], NULL))
            return fail(s->base.env.error, ERR_UNKNOWN_ID, "%s: id %" PRIu64 " is not stored",
                        s->base.ops->name, ids[i]);
    const int rc = row_log_write(s->durable.wal, SPFRESH_LOG_REMOVE, ids, NULL, 0, n);
    if (rc == OK)
        spfresh_slots_drop(s, ids, n);
    spfresh_count(&s->counters.removes, rc == OK ? n : 0);
    return rc;
}

int spfresh_remove(struct index *index, const uint64_t *ids, size_t n, size_t *done)
{
    struct spfresh *s = spfresh_of(index);
    int rc = OK;

    for (*done = 0; rc == OK && *done < n;) {
        const size_t left = n - *done, some = left < CHUNK ? left : CHUNK;

        epoch_collect(s->epoch);
        pthread_rwlock_rdlock(&s->checkpoint_lock);
        rc = spfresh_ids_begin(s, ids + *done, some);
        if (rc == OK) {
            rc = remove_chunk(s, ids + *done, some);
            spfresh_ids_end(s, ids + *done, some);
        }
        pthread_rwlock_unlock(&s->checkpoint_lock);
        *done += rc == OK ? some : 0;
        if (rc == OK)
            rc = spfresh_after_update(s);
    }
    return rc;
}
