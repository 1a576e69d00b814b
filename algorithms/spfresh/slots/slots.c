/* slots.c - slots: taken, published, dropped, and used again. */
#include <inttypes.h>
#include <string.h>

#include "algorithms/spfresh/spfresh.h"
#include "src/core/mem.h"

/* ------------------------------------------------------------------------------- versions */

enum { BYTE_DELETED = 0x80, REUSE = 3 };

unsigned spfresh_version(const struct spfresh *s, uint32_t slot)
{
    void *at = segmented_at(&s->slots.versions, slot);

    if (s->params.version_bits)
        return atomic_load_explicit((_Atomic(uint16_t) *)at, memory_order_acquire);
    const unsigned byte = atomic_load_explicit((_Atomic(uint8_t) *)at, memory_order_acquire);
    return (byte & ~(unsigned)BYTE_DELETED) | (byte & BYTE_DELETED ? VERSION_DELETED : 0);
}

void spfresh_set_version(struct spfresh *s, uint32_t slot, unsigned version)
{
    void *at = segmented_at(&s->slots.versions, slot);

    if (s->params.version_bits)
        atomic_store_explicit((_Atomic(uint16_t) *)at, (uint16_t)version, memory_order_release);
    else
        atomic_store_explicit((_Atomic(uint8_t) *)at,
                              (uint8_t)((version & (BYTE_DELETED - 1)) |
                                        (version & VERSION_DELETED ? BYTE_DELETED : 0)),
                              memory_order_release);
}

void spfresh_lock_slot(struct spfresh *s, uint32_t slot)
{
    pthread_mutex_lock(&s->slots.of[slot % SPFRESH_STRIPES]);
}

void spfresh_unlock_slot(struct spfresh *s, uint32_t slot)
{
    pthread_mutex_unlock(&s->slots.of[slot % SPFRESH_STRIPES]);
}

/* ------------------------------------------------------------------------------ init, free */

void spfresh_slots_init(struct spfresh *s)
{
    struct spfresh_slots *slots = &s->slots;
    struct mem *mem = s->base.env.mem;

    slots->first_free = slots->first_exhausted = SLOT_NONE;
    slots->first_parked = slots->first_frozen = SLOT_NONE;
    segmented_init(&slots->versions, mem, s->params.version_bits ? 2 : 1);
    slot_table_init(&slots->table, mem);
    idmap_init(&slots->changing, mem);
    pthread_mutex_init(&slots->lock, NULL);
    pthread_cond_init(&slots->changed, NULL);
    for (size_t i = 0; i < SPFRESH_STRIPES; i++)
        pthread_mutex_init(&slots->of[i], NULL);
}

void spfresh_slots_free(struct spfresh *s)
{
    struct spfresh_slots *slots = &s->slots;

    segmented_free(&slots->versions);
    slot_table_free(&slots->table);
    epoch_array_free(s->base.env.mem, atomic_load(&slots->ids));
    idmap_free(&slots->changing);
    pthread_mutex_destroy(&slots->lock);
    pthread_cond_destroy(&slots->changed);
    for (size_t i = 0; i < SPFRESH_STRIPES; i++)
        pthread_mutex_destroy(&slots->of[i]);
}

/* ------------------------------------------------------------- one update of an id at a time */

/* Marks ids until one is marked already; returns how many. *twice: that one was marked by this very
   call. Memory is reserved. */
static size_t mark_ids(struct idmap *changing, const uint64_t *ids, size_t n, bool *twice)
{
    uint64_t owner = 0;
    size_t i = 0;

    for (; i < n && !idmap_get(changing, ids[i], &owner); i++)
        (void)idmap_put(changing, ids[i], (uintptr_t)ids);
    *twice = i < n && owner == (uintptr_t)ids;
    return i;
}

static void unmark_ids(struct idmap *changing, const uint64_t *ids, size_t n)
{
    for (size_t i = 0; i < n; i++)
        (void)idmap_remove(changing, ids[i], NULL);
}

int spfresh_ids_begin(struct spfresh *s, const uint64_t *ids, size_t n)
{
    struct spfresh_slots *slots = &s->slots;
    bool twice = false, fits;
    size_t marked = 0;

    pthread_mutex_lock(&slots->lock);
    while ((fits = idmap_reserve(&slots->changing, slots->changing.n + n)) &&
           (marked = mark_ids(&slots->changing, ids, n, &twice)) < n) {
        unmark_ids(&slots->changing, ids, marked);
        if (twice)
            break;
        pthread_cond_wait(&slots->changed, &slots->lock);
    }
    pthread_mutex_unlock(&slots->lock);
    if (!fits)
        return fail(s->base.env.error, ERR_NO_MEMORY, "%s: out of memory, cannot update %zu ids",
                    s->base.ops->name, n);
    return twice ? fail(s->base.env.error, ERR_DUPLICATE_ID, "%s: id %" PRIu64 " occurs twice",
                        s->base.ops->name, ids[marked])
                 : OK;
}

void spfresh_ids_end(struct spfresh *s, const uint64_t *ids, size_t n)
{
    pthread_mutex_lock(&s->slots.lock);
    unmark_ids(&s->slots.changing, ids, n);
    pthread_cond_broadcast(&s->slots.changed);
    pthread_mutex_unlock(&s->slots.lock);
}

/* --------------------------------------------------------------------------------- taking */

static uint64_t *ids_of(const struct spfresh_slots *slots)
{
    return atomic_load_explicit(&((struct spfresh_slots *)(uintptr_t)slots)->ids,
                                memory_order_relaxed);
}

/* Grows by an eighth: doubling would make this the largest array in memory. */
static bool grow_ids(struct spfresh *s, size_t need)
{
    struct spfresh_slots *slots = &s->slots;
    struct mem *mem = s->base.env.mem;
    uint64_t *old = ids_of(slots);

    if (need <= slots->ids_capacity)
        return true;
    size_t more = slots->ids_capacity + slots->ids_capacity / 8 + 64;
    more = more < need ? need : more;
    uint64_t *ids = epoch_array(mem, more, sizeof *ids);
    if (!ids)
        return false;
    if (old)
        memcpy(ids, old, slots->n * sizeof *ids);
    atomic_store_explicit(&slots->ids, ids, memory_order_release);
    slots->ids_capacity = more;
    if (old)
        epoch_array_retire(s->epoch, mem, old);
    return true;
}

/* Ensures that n slots can be taken. Costs at most a walk over n free slots. */
static bool reserve(struct spfresh *s, const uint64_t *ids, size_t n)
{
    struct spfresh_slots *slots = &s->slots;
    size_t left = n;

    for (uint32_t at = slots->first_free; at != SLOT_NONE && left > 0; left--)
        at = (uint32_t)ids_of(slots)[at];
    if (left >= SLOT_NONE - slots->n)
        return false;
    return grow_ids(s, slots->n + left) && segmented_grow(&slots->versions, slots->n + left) &&
           slot_table_reserve(&slots->table, ids_of(slots), ids, n);
}

/* The new version is above those of any entries left by earlier uses of the slot. */
static uint32_t take_one(struct spfresh *s)
{
    struct spfresh_slots *slots = &s->slots;
    const uint32_t slot = slots->first_free;

    if (slot == SLOT_NONE) {
        spfresh_set_version(s, (uint32_t)slots->n, VERSION_DELETED);
        return (uint32_t)slots->n++;
    }
    slots->first_free = (uint32_t)ids_of(slots)[slot];
    spfresh_set_version(s, slot,
                        (spfresh_version(s, slot) & ~VERSION_DELETED) + REUSE + VERSION_DELETED);
    return slot;
}

int spfresh_slots_take(struct spfresh *s, const uint64_t *ids, size_t n, uint32_t *out)
{
    struct spfresh_slots *slots = &s->slots;

    pthread_mutex_lock(&slots->lock);
    size_t stored = 0; /* index of the first id that is; n: none is */
    while (stored < n && !slot_table_get(&slots->table, ids_of(slots), ids[stored], NULL))
        stored++;
    const bool fits = stored == n && reserve(s, ids, n);
    for (size_t i = 0; fits && i < n; i++) {
        out[i] = take_one(s);
        ids_of(slots)[out[i]] = ids[i];
        slot_table_put(&slots->table, ids[i], out[i]);
    }
    pthread_mutex_unlock(&slots->lock);
    if (fits)
        atomic_fetch_add(&slots->live, n);
    if (stored < n)
        return fail(s->base.env.error, ERR_DUPLICATE_ID, "%s: id %" PRIu64 " is already stored",
                    s->base.ops->name, ids[stored]);
    return fits ? OK
                : fail(s->base.env.error, ERR_NO_MEMORY, "%s: out of memory for %zu more ids",
                       s->base.ops->name, n);
}

bool spfresh_slot_of(struct spfresh *s, uint64_t id, uint32_t *slot)
{
    pthread_mutex_lock(&s->slots.lock);
    const bool there = slot_table_get(&s->slots.table, ids_of(&s->slots), id, slot);
    pthread_mutex_unlock(&s->slots.lock);
    return there;
}

size_t spfresh_live_slots(const struct spfresh *s, uint32_t *at, uint32_t *slots, size_t most)
{
    const size_t end = atomic_load(&((struct spfresh *)(uintptr_t)s)->slots.n);
    size_t n = 0;

    for (; *at < end && n < most; ++*at)
        if (!(spfresh_version(s, *at) & VERSION_DELETED))
            slots[n++] = *at;
    return n;
}

/* ------------------------------------------------------------------------------- dropping */

/* parks: a later snapshot comes first, as the last one may still need the slot's row. */
static void give(struct spfresh *s, uint32_t slot, bool parks)
{
    struct spfresh_slots *slots = &s->slots;
    const unsigned version = spfresh_version(s, slot) & ~VERSION_DELETED;
    const bool exhausted = version + REUSE > spfresh_version_max(s);

    pthread_mutex_lock(&slots->lock);
    uint32_t *list = exhausted ? &slots->first_exhausted
                     : parks   ? &slots->first_parked
                               : &slots->first_free;
    ids_of(slots)[slot] = *list;
    *list = slot;
    slots->exhausted += exhausted;
    pthread_mutex_unlock(&slots->lock);
}

void spfresh_slot_give(struct spfresh *s, uint32_t slot)
{
    give(s, slot, false);
}

/* A power cut may lose the record of a deletion and keep the row that is written over the deleted
   one, if no fsync is between the two: where records are only written, or are read again. */
static void give_dropped(struct spfresh *s, uint32_t slot)
{
    give(s, slot,
         spfresh_has_row_file(s) && (s->params.wal == SPFRESH_WRITTEN ||
                                     (s->params.wal == SPFRESH_SYNCED && !s->durable.wal)));
}

/* Slots that were dropped by one update. */
struct dead {
    struct epoch_item item;
    size_t n;
    uint32_t slots[];
};

/* Called when no reader holds the slots. */
static void release(void *index, struct epoch_item *item)
{
    struct spfresh *s = index;
    struct dead *d = (struct dead *)(void *)item;

    for (size_t i = 0; i < d->n; i++)
        give_dropped(s, d->slots[i]);
    mem_free(s->base.env.mem, d);
}

static void kill(struct spfresh *s, uint32_t slot)
{
    spfresh_set_version(s, slot, spfresh_version(s, slot) | VERSION_DELETED);
}

/* Maintenance may move the vector to another slot until the slot's lock is held. */
static uint32_t lock_slot_of(struct spfresh *s, uint64_t id)
{
    uint32_t slot = SLOT_NONE, now = SLOT_NONE;

    for (bool there = spfresh_slot_of(s, id, &slot); there; slot = now) {
        spfresh_lock_slot(s, slot);
        there = spfresh_slot_of(s, id, &now);
        if (there && now == slot)
            return slot;
        spfresh_unlock_slot(s, slot);
    }
    return SLOT_NONE;
}

/* Returns the id's slot, now deleted; SLOT_NONE: the id was not stored. */
static uint32_t drop(struct spfresh *s, uint64_t id)
{
    uint32_t slot = lock_slot_of(s, id);

    if (slot == SLOT_NONE)
        return slot;
    kill(s, slot);
    pthread_mutex_lock(&s->slots.lock);
    (void)slot_table_remove(&s->slots.table, ids_of(&s->slots), id, &slot);
    pthread_mutex_unlock(&s->slots.lock);
    spfresh_unlock_slot(s, slot);
    atomic_fetch_sub(&s->slots.live, 1);
    return slot;
}

static size_t drop_all(struct spfresh *s, const uint64_t *ids, size_t n, uint32_t *slots)
{
    size_t dead = 0;

    for (size_t i = 0; i < n; i++) {
        slots[dead] = drop(s, ids[i]);
        dead += slots[dead] != SLOT_NONE;
    }
    return dead;
}

/* Out of memory to retire the slots: waits for the present readers, which wait for no lock. */
static void drop_and_wait(struct spfresh *s, const uint64_t *ids, size_t n)
{
    uint32_t slots[64];

    for (size_t at = 0, some; at < n; at += some) {
        some = n - at < sizeof slots / sizeof *slots ? n - at : sizeof slots / sizeof *slots;
        const size_t dead = drop_all(s, ids + at, some, slots);
        epoch_wait(s->epoch, epoch_mark(s->epoch));
        for (size_t i = 0; i < dead; i++)
            give_dropped(s, slots[i]);
    }
}

void spfresh_slots_drop(struct spfresh *s, const uint64_t *ids, size_t n)
{
    struct dead *d = n > 0 ? mem_alloc(s->base.env.mem, sizeof *d + n * sizeof *d->slots) : NULL;

    if (!d) {
        drop_and_wait(s, ids, n);
        return;
    }
    d->n = drop_all(s, ids, n, d->slots);
    epoch_retire(s->epoch, &d->item, release, s);
}

int spfresh_slot_renew(struct spfresh *s, uint32_t slot, uint32_t *fresh)
{
    struct spfresh_slots *slots = &s->slots;

    pthread_mutex_lock(&slots->lock);
    const uint64_t id = ids_of(slots)[slot];
    const bool fits = reserve(s, &id, 1);
    if (fits) {
        *fresh = take_one(s);
        ids_of(slots)[*fresh] = id;
    }
    pthread_mutex_unlock(&slots->lock);
    return fits ? OK : spfresh_no_memory(s, "out of memory for one more slot");
}

void spfresh_slot_renewed(struct spfresh *s, uint32_t slot, uint32_t fresh, bool done)
{
    struct spfresh_slots *slots = &s->slots;

    if (done) {
        pthread_mutex_lock(&slots->lock);
        slot_table_move(&slots->table, ids_of(slots)[slot], slot, fresh);
        pthread_mutex_unlock(&slots->lock);
        kill(s, slot);
    }
    epoch_wait(s->epoch, epoch_mark(s->epoch));
    spfresh_slot_give(s, done ? slot : fresh);
}

/* Prepends the list `from` to the list `to`. */
static void join(struct spfresh_slots *slots, uint32_t *from, uint32_t *to)
{
    uint64_t *ids = ids_of(slots);
    uint32_t last = *from;

    if (last == SLOT_NONE)
        return;
    while ((uint32_t)ids[last] != SLOT_NONE)
        last = (uint32_t)ids[last];
    ids[last] = *to;
    *to = *from;
    *from = SLOT_NONE;
}

void spfresh_slots_frozen(struct spfresh *s)
{
    pthread_mutex_lock(&s->slots.lock);
    join(&s->slots, &s->slots.first_parked, &s->slots.first_frozen);
    pthread_mutex_unlock(&s->slots.lock);
}

void spfresh_slots_thawed(struct spfresh *s, bool durable)
{
    struct spfresh_slots *slots = &s->slots;

    pthread_mutex_lock(&slots->lock);
    join(slots, &slots->first_frozen, durable ? &slots->first_free : &slots->first_parked);
    pthread_mutex_unlock(&slots->lock);
}

/* Waits first: a reader may hold old pages of a posting until it leaves the epoch. */
void spfresh_slots_vacuumed(struct spfresh *s)
{
    struct spfresh_slots *slots = &s->slots;

    epoch_wait(s->epoch, epoch_mark(s->epoch));
    pthread_mutex_lock(&slots->lock);
    uint32_t at = slots->first_exhausted;
    /* The list cannot grow meanwhile: the checkpoint lock is held exclusively. */
    const uint64_t *ids = ids_of(slots);
    slots->first_exhausted = SLOT_NONE;
    slots->exhausted = 0;
    pthread_mutex_unlock(&slots->lock);
    while (at != SLOT_NONE) {
        const uint32_t next = (uint32_t)ids[at];

        spfresh_set_version(s, at, VERSION_DELETED);
        give(s, at, s->params.wal != SPFRESH_NO_WAL && spfresh_has_row_file(s));
        at = next;
    }
}
