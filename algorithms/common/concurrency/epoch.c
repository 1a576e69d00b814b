/* epoch.c - see epoch.h. A reader's mark is the number of the epoch in which it entered; every
 * retirement begins a new epoch.
 *
 * Marks, the scan of them, and `now` are sequentially consistent. A retirement raises `now` after
 * unlinking and before its scan; a reader loads `now` after setting its mark. If a scan does not
 * see a reader's mark, the scan came first. The reader's load then sees the value that the
 * retirement stored, and so the reader sees the unlinking. */
#include "algorithms/common/concurrency/epoch.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "src/core/mem.h"

enum { READERS = 128 };

struct mark {
    _Alignas(64) _Atomic(uint64_t) since; /* 0: unused */
};

struct epoch {
    struct mark marks[READERS];
    _Atomic(uint64_t) now;            /* from 1 */
    atomic_size_t waiting;            /* items in the list, readable without the lock */
    atomic_size_t under_way;          /* calls that have begun and not returned */
    pthread_mutex_t lock;             /* protects the following */
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
    /* Items that a call retires are appended to the list. */
    while (atomic_load(&e->waiting) > 0)
        epoch_collect(e);
    pthread_mutex_destroy(&e->lock);
    mem_free(e->mem, e);
}

unsigned epoch_enter(struct epoch *e)
{
    /* Threads have different stacks, so each begins its search at a different mark. */
    char here;
    const unsigned start = (unsigned)((uintptr_t)&here >> 13);

    for (unsigned i = 0;; i++) {
        const unsigned at = (start + i) % READERS;
        uint64_t free = 0;

        if (atomic_load_explicit(&e->marks[at].since, memory_order_relaxed) == 0 &&
            atomic_compare_exchange_strong(&e->marks[at].since, &free, atomic_load(&e->now))) {
            (void)atomic_load(&e->now); /* see the head comment */
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

/* Items retired before this epoch are held by no reader. */
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

/* Takes the items that no reader holds any more, and counts them as under way. */
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
        struct epoch_item *next = item->next; /* the call may free the item */

        item->call(item->owner, item);
        atomic_fetch_sub(&e->under_way, 1);
        item = next;
    }
}

uint64_t epoch_mark(struct epoch *e)
{
    return atomic_fetch_add(&e->now, 1);
}

bool epoch_passed(struct epoch *e, uint64_t mark)
{
    return oldest_reader(e) > mark;
}

void epoch_wait(struct epoch *e, uint64_t mark)
{
    while (!epoch_passed(e, mark))
        (void)sched_yield();
}

void epoch_drain(struct epoch *e)
{
    epoch_wait(e, epoch_mark(e));
    epoch_collect(e);
    while (atomic_load(&e->under_way) > 0) /* another thread collects */
        (void)sched_yield();
}

/* ---- arrays with an item */

/* As large as the alignment of arrays. */
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
