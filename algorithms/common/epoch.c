/* epoch.c - see epoch.h. A reader's mark is the number of the epoch it entered in; every retirement
 * ends an epoch.
 *
 * Marks, and the scan for them, are sequentially consistent: a scan that does not see a reader's mark
 * came before it, and so did the unlinking before the scan; that reader cannot find what is freed.
 */
#include "algorithms/common/epoch.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "src/core/mem.h"

enum { READERS = 128, BATCH = 64 };

struct mark {
    _Alignas(64) _Atomic(uint64_t) since; /* 0: nobody */
};

struct retired {
    void (*call)(void *owner, uint64_t what);
    void *owner;
    uint64_t what, at;
};

struct epoch {
    struct mark marks[READERS];
    _Atomic(uint64_t) now;   /* from 1 */
    atomic_size_t waiting;   /* items.n, for a look without the lock */
    atomic_size_t under_way; /* calls that were taken and have not all returned */
    pthread_mutex_t lock;    /* of what follows */
    struct retired *items;   /* a ring, oldest first */
    size_t first, n, capacity;
    struct mem *mem;
};

struct epoch *epoch_create(struct mem *mem)
{
    struct epoch *e = mem_zalloc(mem, sizeof *e);

    if (!e)
        return NULL;
    e->mem = mem;
    atomic_init(&e->now, 1);
    pthread_mutex_init(&e->lock, NULL);
    return e;
}

void epoch_destroy(struct epoch *e)
{
    if (!e)
        return;
    /* What a call retires in turn comes at the end. */
    while (atomic_load(&e->waiting) > 0)
        epoch_collect(e);
    pthread_mutex_destroy(&e->lock);
    mem_free(e->mem, e->items);
    mem_free(e->mem, e);
}

unsigned epoch_enter(struct epoch *e)
{
    /* Threads' stacks lie apart, so each begins at a mark of its own. */
    char here;
    const unsigned start = (unsigned)((uintptr_t)&here >> 13);

    for (unsigned i = 0;; i++) {
        const unsigned at = (start + i) % READERS;
        uint64_t free = 0;

        if (atomic_load_explicit(&e->marks[at].since, memory_order_relaxed) == 0 &&
            atomic_compare_exchange_strong(&e->marks[at].since, &free, atomic_load(&e->now)))
            return at;
        if (i % READERS == READERS - 1)
            (void)sched_yield();
    }
}

void epoch_leave(struct epoch *e, unsigned ticket)
{
    atomic_store_explicit(&e->marks[ticket].since, 0, memory_order_release);
}

/* What was retired before this can be held by nobody. */
static uint64_t oldest_reader(struct epoch *e)
{
    uint64_t oldest = UINT64_MAX;

    for (unsigned i = 0; i < READERS; i++) {
        const uint64_t since = atomic_load(&e->marks[i].since);

        if (since != 0 && since < oldest)
            oldest = since;
    }
    return oldest;
}

static void wait_for_readers(struct epoch *e, uint64_t of)
{
    while (oldest_reader(e) <= of)
        (void)sched_yield();
}

static bool make_room(struct epoch *e)
{
    const size_t more = e->capacity ? 2 * e->capacity : BATCH;

    if (e->n < e->capacity)
        return true;
    struct retired *items = mem_array(e->mem, more, sizeof *items);
    if (!items)
        return false;
    for (size_t i = 0; i < e->n; i++)
        items[i] = e->items[(e->first + i) % e->capacity];
    mem_free(e->mem, e->items);
    e->items = items;
    e->first = 0;
    e->capacity = more;
    return true;
}

void epoch_retire(struct epoch *e, void (*call)(void *owner, uint64_t what), void *owner,
                  uint64_t what)
{
    pthread_mutex_lock(&e->lock);
    const uint64_t at = atomic_fetch_add(&e->now, 1);
    const bool room = make_room(e);
    if (room) {
        e->items[(e->first + e->n++) % e->capacity] = (struct retired){ call, owner, what, at };
        atomic_store(&e->waiting, e->n);
    }
    pthread_mutex_unlock(&e->lock);
    if (!room) {
        wait_for_readers(e, at);
        call(owner, what);
    }
}

static size_t take_ripe(struct epoch *e, struct retired *out)
{
    size_t n = 0;

    pthread_mutex_lock(&e->lock);
    const uint64_t oldest = oldest_reader(e);
    while (n < BATCH && e->n > 0 && e->items[e->first].at < oldest) {
        out[n++] = e->items[e->first];
        e->first = (e->first + 1) % e->capacity;
        e->n--;
    }
    atomic_store(&e->waiting, e->n);
    atomic_fetch_add(&e->under_way, n);
    pthread_mutex_unlock(&e->lock);
    return n;
}

void epoch_collect(struct epoch *e)
{
    struct retired ripe[BATCH];
    size_t n = BATCH;

    while (n == BATCH && atomic_load(&e->waiting) > 0) {
        n = take_ripe(e, ripe);
        for (size_t i = 0; i < n; i++)
            ripe[i].call(ripe[i].owner, ripe[i].what);
        atomic_fetch_sub(&e->under_way, n);
    }
}

uint64_t epoch_mark(struct epoch *e)
{
    return atomic_fetch_add(&e->now, 1);
}

void epoch_wait(struct epoch *e, uint64_t mark)
{
    wait_for_readers(e, mark);
}

void epoch_drain(struct epoch *e)
{
    epoch_wait(e, epoch_mark(e));
    epoch_collect(e);
    while (atomic_load(&e->under_way) > 0) /* another thread collects */
        (void)sched_yield();
}
