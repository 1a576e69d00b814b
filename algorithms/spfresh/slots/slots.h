/* slots.h - the internal numbers of vectors: slots are taken for new ids, versioned, dropped, and
 * used again.
 *
 * Free slots form a list through ids[], as the id of a dead slot is never read. Functions take
 * slots.lock themselves.
 *
 *   1 state   2 versions   3 updates of ids   4 taking and dropping   5 reuse
 */
#ifndef DRIFTLINE_SPFRESH_SLOTS_SLOTS_H
#define DRIFTLINE_SPFRESH_SLOTS_SLOTS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "algorithms/common/concurrency/segmented.h"
#include "algorithms/spfresh/options.h"
#include "src/core/idmap.h"
#include "src/core/slot_table.h"

struct spfresh;

/* 1. State */

#define SLOT_NONE       UINT32_MAX
#define VERSION_DELETED 0x8000u /* bit in the result of spfresh_version() */

struct spfresh_slots {
    struct segmented versions; /* _Atomic uint8_t or uint16_t; top bit: deleted */
    /* ids[slot]. Growth replaces the array by a longer copy and retires the old one. A reader loads
       the version first, then this pointer. */
    _Atomic(uint64_t *) ids;
    size_t ids_capacity;
    struct slot_table table;              /* id -> slot, live ones */
    uint32_t first_free, first_exhausted; /* heads of lists; SLOT_NONE: empty */
    uint32_t first_parked, first_frozen;  /* free after the next, present snapshot */
    atomic_size_t n;                      /* slots ever used */
    size_t exhausted;                     /* dead slots that wait for a vacuum */
    atomic_size_t live;
    struct idmap changing; /* ids under update -> the ids array of their update */
    pthread_cond_t changed;
    pthread_mutex_t lock;                /* protects all but versions */
    pthread_mutex_t of[SPFRESH_STRIPES]; /* locks of slots, by slot % SPFRESH_STRIPES */
};

void spfresh_slots_init(struct spfresh *); /* needs s->params and env */
void spfresh_slots_free(struct spfresh *);
void spfresh_lock_slot(struct spfresh *, uint32_t slot);
void spfresh_unlock_slot(struct spfresh *, uint32_t slot);

/* 2. Versions: 0 .. 2^bits - 1, with VERSION_DELETED added if the slot is deleted */

unsigned spfresh_version(const struct spfresh *, uint32_t slot);
void spfresh_set_version(struct spfresh *, uint32_t slot, unsigned version);

/* 3. Updates of ids */

/* Begins an update of these ids. Until it ends, no other update changes any of them. So the log has
   the updates of an id in the order in which they took effect, and an update can only undo its own
   work. If another update has one of the ids, waits without holding any. ERR_DUPLICATE_ID: an id
   appears twice; ERR_NO_MEMORY. */
int spfresh_ids_begin(struct spfresh *, const uint64_t *ids, size_t n);
void spfresh_ids_end(struct spfresh *, const uint64_t *ids, size_t n);

/* 4. Taking and dropping */

/* Takes slots for n new ids and files the ids. The versions are raised, with the deleted bit still
   set; the caller clears it under the slot's lock before it files the vector. ERR_DUPLICATE_ID,
   ERR_NO_MEMORY: none is taken. */
int spfresh_slots_take(struct spfresh *, const uint64_t *ids, size_t n, uint32_t *slots);
bool spfresh_slot_of(struct spfresh *, uint64_t id, uint32_t *slot);
/* The next live slots from *at on, at most `most`; returns how many. *at: where to go on. */
size_t spfresh_live_slots(const struct spfresh *, uint32_t *at, uint32_t *slots, size_t most);
/* Removes the ids and deletes their slots. A slot is used again when no reader can hold it, and where
   a power cut may lose the deletion's record, when the next snapshot is durable. Cannot fail; out of
   memory it waits for the readers. So the caller holds no lock but the checkpoint lock, and is
   outside the epoch. */
void spfresh_slots_drop(struct spfresh *, const uint64_t *ids, size_t n);

/* 5. Reuse */

/* Frees a dead slot that no reader holds. If its version cannot grow by another reuse, the
   slot becomes exhausted. */
void spfresh_slot_give(struct spfresh *, uint32_t slot);
/* Takes a second slot, still deleted, for the live vector of an exhausted one; the caller holds the
   exhausted slot's lock. The caller files the vector under it, publishes it, and calls
   spfresh_slot_renewed(): with `done` the old slot dies, otherwise the new one. In between a search
   may find both, with one id and one distance. */
int spfresh_slot_renew(struct spfresh *, uint32_t slot, uint32_t *fresh);
void spfresh_slot_renewed(struct spfresh *, uint32_t slot, uint32_t fresh, bool done);
/* After a vacuum: exhausted dead slots restart at version 0. */
void spfresh_slots_vacuumed(struct spfresh *);
/* The last snapshot may still need the row of a slot that restarted, or of one whose deletion may be
   lost (durable.h). So the slot is used again only when the next snapshot is durable. frozen: a
   snapshot begins; the checkpoint lock is held exclusively. thawed: it has ended; `durable` or not.
   The checkpoint lock is not needed. */
void spfresh_slots_frozen(struct spfresh *);
void spfresh_slots_thawed(struct spfresh *, bool durable);

#endif
