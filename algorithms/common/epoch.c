/* epoch.c - see epoch.h. A reader's mark is the number of the epoch it entered in; every retirement
 * ends an epoch.
 *
 * Marks, and the scan for them, are sequentially consistent, and so is `now`, which every
 * retirement raises after the unlinking and before the scan, and every reader loads after its mark.
 * A scan that does not see a reader's mark came before it, so that load sees what the retirement
 * stored, and the reader what was unlinked.
 */
#include "algorithms/common/epoch.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "src/core/mem.h"

enum { READERS = 128 };

struct mark {
    _Alignas(64) _Atomic(uint64_t) since; /* 0: nobody */
};

struct epoch {
    struct mark marks[READERS];
    _Atomic(uint64_t) now;            /* from 1 */
    atomic_size_t waiting;            /* items in the list, for a look without the lock */
    atomic_size_t under_way;          /* calls that were taken and have not all returned */
    pthread_mutex_t lock;             /* of what follows */
    struct epoch_item *first, **last; /* oldest first */
    struct mem *mem;
};

struct epoch *epoch_create(struct mem *mem)
{
    struct epoch *e = mem_zalloc(mem, sizeof *e);

    if (!e)
        return NULL;
    e->mem = mem;
    e->last = &e->first;
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
            atomic_compare_exchange_strong(&e->marks[at].since, &free, atomic_load(&e->now))) {
            (void)atomic_load(&e->now); /* see above */
            return at;
        }
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

void epoch_retire(struct epoch *e, struct epoch_item *item,
                  void (*call)(void *owner, struct epoch_item *), void *owner)
{
    *item = (struct epoch_item){ .call = call, .owner = owner };
    pthread_mutex_lock(&e->lock);
    item->at = atomic_fetch_add(&e->now, 1);
    *e->last = item;
    e->last = &item->next;
    atomic_fetch_add(&e->waiting, 1);
    pthread_mutex_unlock(&e->lock);
}

/* The items that no reader holds any more, counted as under way. */
static struct epoch_item *take_ripe(struct epoch *e)
{
    struct epoch_item *ripe = NULL, **end = &ripe;
    size_t n = 0;

    pthread_mutex_lock(&e->lock);
    const uint64_t oldest = oldest_reader(e);
    for (; e->first && e->first->at < oldest; n++) {
        *end = e->first;
        end = &e->first->next;
        e->first = e->first->next;
    }
    *end = NULL;
    if (!e->first)
        e->last = &e->first;
    atomic_fetch_sub(&e->waiting, n);
    atomic_fetch_add(&e->under_way, n);
    pthread_mutex_unlock(&e->lock);
    return ripe;
}

void epoch_collect(struct epoch *e)
{
    struct epoch_item *item = atomic_load(&e->waiting) > 0 ? take_ripe(e) : NULL;

    while (item) {
        struct epoch_item *next = item->next; /* the call may free it */

        item->call(item->owner, item);
        atomic_fetch_sub(&e->under_way, 1);
        item = next;
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

/* ---- blocks with an item */

/* As large as blocks are aligned. */
struct block {
    _Alignas(64) struct epoch_item item;
};

static struct block *block_of(void *array)
{
    return (struct block *)array - 1;
}

void *epoch_array(struct mem *mem, size_t n, size_t each)
{
    struct block *b =
        each > 0 && n > (SIZE_MAX - sizeof *b) / each ? NULL : mem_alloc(mem, sizeof *b + n * each);

    return b ? b + 1 : NULL;
}

void epoch_array_free(struct mem *mem, void *array)
{
    if (array)
        mem_free(mem, block_of(array));
}

static void free_block(void *mem, struct epoch_item *item)
{
    mem_free(mem, item);
}

void epoch_array_retire(struct epoch *e, struct mem *mem, void *array)
{
    epoch_retire(e, &block_of(array)->item, free_block, mem);
}
