/* test_epoch.c - memory is never freed while a reader may use it, and always afterwards; arrays
 * that grow while they are read. */
#include <pthread.h>
#include <stdatomic.h>

#include "algorithms/common/concurrency/epoch.h"
#include "algorithms/common/concurrency/segmented.h"
#include "src/core/mem.h"
#include "tests/support/testing.h"

struct thing {
    struct epoch_item item;
    uint64_t number;
};

static void note(void *owner, struct epoch_item *item)
{
    uint64_t **at = owner;

    *(*at)++ = ((struct thing *)(void *)item)->number;
}

static void nothing_before_its_readers_left(void **state)
{
    struct epoch *e = epoch_create(NULL);
    struct thing things[] = { { .number = 1 }, { .number = 2 }, { .number = 3 } };
    uint64_t seen[4] = { 0 }, *at = seen;
    const unsigned before = epoch_enter(e);

    epoch_retire(e, &things[0].item, note, &at);
    const unsigned after = epoch_enter(e);
    epoch_retire(e, &things[1].item, note, &at);
    epoch_collect(e);
    assert_int_equal(at - seen, 0);
    epoch_leave(e, before);
    epoch_collect(e);
    assert_int_equal(at - seen, 1); /* the second reader may use 2, not 1 */
    assert_int_equal(seen[0], 1);
    epoch_leave(e, after);
    epoch_collect(e);
    assert_int_equal(at - seen, 2);
    epoch_retire(e, &things[2].item, note, &at);
    epoch_destroy(e);
    assert_int_equal(at - seen, 3);
    assert_int_equal(seen[2], 3);
}

static void passed_when_earlier_readers_left(void **state)
{
    struct epoch *e = epoch_create(NULL);
    const unsigned before = epoch_enter(e);
    const uint64_t mark = epoch_mark(e);
    const unsigned after = epoch_enter(e);

    assert_false(epoch_passed(e, mark));
    epoch_leave(e, before);
    assert_true(epoch_passed(e, mark));
    epoch_leave(e, after);
    assert_true(epoch_passed(e, mark));
    epoch_destroy(e);
}

/* A reader retires objects: this neither waits for the reader nor needs memory. Each callback
   runs once, in order. */
static void retires_without_memory(void **state)
{
    enum { THINGS = 1000 };
    static struct thing things[THINGS];
    static uint64_t seen[THINGS];
    uint64_t *at = seen;
    struct mem mem = { 0 };
    struct epoch *e = epoch_create(&mem);
    void *block = epoch_array(&mem, 10, 8);
    const unsigned inside = epoch_enter(e);

    mem.fail_at = mem.calls + 1;
    mem.fail_after = true;
    for (uint64_t i = 0; i < THINGS; i++) {
        things[i].number = i;
        epoch_retire(e, &things[i].item, note, &at);
    }
    epoch_array_retire(e, &mem, block);
    epoch_collect(e);
    assert_int_equal(at - seen, 0);
    epoch_leave(e, inside);
    epoch_collect(e);
    assert_int_equal(at - seen, THINGS);
    for (uint64_t i = 0; i < THINGS; i++)
        assert_int_equal(seen[i], i);
    epoch_destroy(e);
    assert_false(mem.failed);
    assert_int_equal(mem_live(&mem), 0);
}

static void retire_another(void *owner, struct epoch_item *item)
{
    struct epoch *e = owner;
    struct thing *t = (struct thing *)(void *)item;

    if (t->number-- > 0)
        epoch_retire(e, item, retire_another, e);
}

/* A callback may retire its own object again, or others. */
static void calls_that_retire(void **state)
{
    struct epoch *e = epoch_create(NULL);
    struct thing thing = { .number = 5 };

    epoch_retire(e, &thing.item, retire_another, e);
    for (uint64_t left = 5; left > 0; left--) {
        assert_int_equal(thing.number, left);
        epoch_collect(e);
    }
    epoch_destroy(e);
    assert_int_equal(thing.number, UINT64_MAX);
}

/* ---- a writer replaces a number in a box, readers read it */

struct box {
    struct epoch *epoch;
    _Atomic(struct thing *) now;
    struct segmented array;
    atomic_size_t n;
    atomic_bool stop;
    atomic_int wrong;
};

static void spoil(void *owner, struct epoch_item *item)
{
    ((struct thing *)(void *)item)->number = 0;
    mem_free(NULL, item);
}

static void *look(void *arg)
{
    struct box *b = arg;

    while (!atomic_load(&b->stop)) {
        const unsigned ticket = epoch_enter(b->epoch);
        const struct thing *p = atomic_load_explicit(&b->now, memory_order_acquire);
        const size_t n = atomic_load_explicit(&b->n, memory_order_acquire);

        if (p->number == 0 || (n > 0 && *(uint64_t *)segmented_at(&b->array, n - 1) != n))
            atomic_fetch_add(&b->wrong, 1);
        epoch_leave(b->epoch, ticket);
    }
    return NULL;
}

static void readers_beside_a_writer(void **state)
{
    struct box b = { .epoch = epoch_create(NULL) };
    pthread_t readers[3];
    struct thing *p = mem_alloc(NULL, sizeof *p);

    p->number = 1;
    atomic_store(&b.now, p);
    segmented_init(&b.array, NULL, sizeof(uint64_t));
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&readers[i], NULL, look, &b), 0);
    for (uint64_t i = 1; i <= 20000; i++) {
        struct thing *old = atomic_load(&b.now);

        p = mem_alloc(NULL, sizeof *p);
        p->number = i;
        atomic_store_explicit(&b.now, p, memory_order_release);
        epoch_retire(b.epoch, &old->item, spoil, NULL);
        assert_true(segmented_grow(&b.array, i));
        *(uint64_t *)segmented_at(&b.array, i - 1) = i;
        atomic_store_explicit(&b.n, i, memory_order_release);
        epoch_collect(b.epoch);
    }
    atomic_store(&b.stop, true);
    for (int i = 0; i < 3; i++)
        pthread_join(readers[i], NULL);
    assert_int_equal(atomic_load(&b.wrong), 0);
    segmented_free(&b.array);
    epoch_destroy(b.epoch);
    mem_free(NULL, atomic_load(&b.now));
}

int main(void)
{
    return test_run_all("epoch", nothing_before_its_readers_left, passed_when_earlier_readers_left,
                        retires_without_memory, calls_that_retire, readers_beside_a_writer);
}
