/* test_epoch.c - nothing is freed under a reader, everything is freed after; arrays that grow under
 * readers. */
#include <pthread.h>
#include <stdatomic.h>

#include "algorithms/common/epoch.h"
#include "algorithms/common/stable.h"
#include "src/core/mem.h"
#include "tests/testing.h"

static void note(void *owner, uint64_t what)
{
    uint64_t **at = owner;

    *(*at)++ = what;
}

static void nothing_before_its_readers_left(void **state)
{
    (void)state;
    struct epoch *e = epoch_create(NULL);
    uint64_t seen[4] = { 0 }, *at = seen;
    const unsigned before = epoch_enter(e);

    epoch_retire(e, note, &at, 1);
    const unsigned after = epoch_enter(e);
    epoch_retire(e, note, &at, 2);
    epoch_collect(e);
    assert_int_equal(at - seen, 0);
    epoch_leave(e, before);
    epoch_collect(e);
    assert_int_equal(at - seen, 1); /* the second reader may hold 2, not 1 */
    assert_int_equal(seen[0], 1);
    epoch_leave(e, after);
    epoch_collect(e);
    assert_int_equal(at - seen, 2);
    epoch_retire(e, note, &at, 3);
    epoch_destroy(e);
    assert_int_equal(at - seen, 3);
    assert_int_equal(seen[2], 3);
}

static void out_of_memory_waits_instead(void **state)
{
    (void)state;
    struct mem mem = { 0 };
    struct epoch *e = epoch_create(&mem);
    uint64_t seen[2] = { 0 }, *at = seen;

    mem.fail_at = mem.calls + 1;
    epoch_retire(e, note, &at, 7);
    assert_int_equal(at - seen, 1);
    epoch_destroy(e);
    assert_int_equal(mem_live(&mem), 0);
}

/* ---- a writer replaces a number in a box, readers look at it */

struct box {
    struct epoch *epoch;
    _Atomic(uint64_t *) now;
    struct stable array;
    atomic_size_t n;
    atomic_bool stop;
    atomic_int wrong;
};

static void spoil(void *owner, uint64_t what)
{
    (void)owner;
    *(uint64_t *)(uintptr_t)what = 0;
    mem_free(NULL, (void *)(uintptr_t)what);
}

static void *look(void *arg)
{
    struct box *b = arg;

    while (!atomic_load(&b->stop)) {
        const unsigned ticket = epoch_enter(b->epoch);
        const uint64_t *p = atomic_load_explicit(&b->now, memory_order_acquire);
        const size_t n = atomic_load_explicit(&b->n, memory_order_acquire);

        if (*p == 0 || (n > 0 && *(uint64_t *)stable_at(&b->array, n - 1) != n))
            atomic_fetch_add(&b->wrong, 1);
        epoch_leave(b->epoch, ticket);
    }
    return NULL;
}

static void readers_beside_a_writer(void **state)
{
    (void)state;
    struct box b = { .epoch = epoch_create(NULL) };
    pthread_t readers[3];
    uint64_t *p = mem_alloc(NULL, sizeof *p);

    *p = 1;
    atomic_store(&b.now, p);
    stable_init(&b.array, NULL, sizeof(uint64_t));
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&readers[i], NULL, look, &b), 0);
    for (uint64_t i = 1; i <= 20000; i++) {
        uint64_t *old = atomic_load(&b.now);

        p = mem_alloc(NULL, sizeof *p);
        *p = i;
        atomic_store_explicit(&b.now, p, memory_order_release);
        epoch_retire(b.epoch, spoil, NULL, (uintptr_t)old);
        assert_true(stable_grow(&b.array, i));
        *(uint64_t *)stable_at(&b.array, i - 1) = i;
        atomic_store_explicit(&b.n, i, memory_order_release);
        epoch_collect(b.epoch);
    }
    atomic_store(&b.stop, true);
    for (int i = 0; i < 3; i++)
        pthread_join(readers[i], NULL);
    assert_int_equal(atomic_load(&b.wrong), 0);
    stable_free(&b.array);
    epoch_destroy(b.epoch);
    mem_free(NULL, atomic_load(&b.now));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_before_its_readers_left),
        cmocka_unit_test(out_of_memory_waits_instead),
        cmocka_unit_test(readers_beside_a_writer),
    };

    return test_run("epoch", tests);
}
