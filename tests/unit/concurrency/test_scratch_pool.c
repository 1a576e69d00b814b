/* test_scratch_pool.c - idle scratch: last in, first out; each is used by one thread at a time; all
 * idle ones are destroyed once. */
#include <pthread.h>
#include <stdatomic.h>

#include "algorithms/common/concurrency/scratch_pool.h"
#include "src/core/mem.h"
#include "tests/support/testing.h"

enum { THREADS = 4, SEARCHES = 20000 };

struct pooled {
    struct scratch_item item;
    struct pool_owner *owner;
    size_t bytes;
    atomic_int users;
};

struct pool_owner {
    struct mem mem;
    struct scratch_pool pool;
    atomic_size_t made;
    size_t destroyed;
};

static bool open_pooled(void *owner, void *scratch)
{
    struct pool_owner *o = owner;
    struct pooled *x = scratch;

    assert_int_equal(x->bytes, 0);
    x->owner = o;
    (void)atomic_fetch_add(&o->made, 1);
    return true;
}

static void close_pooled(struct mem *mem, void *scratch)
{
    (void)mem;
    ((struct pooled *)scratch)->owner->destroyed++;
}

static uint64_t bytes_of(const void *owner, const void *scratch)
{
    assert_ptr_equal(((const struct pooled *)scratch)->owner, owner);
    return ((const struct pooled *)scratch)->bytes;
}

static const struct scratch_kind kind = { sizeof(struct pooled), open_pooled, close_pooled,
                                          bytes_of };

static void test_the_last_given_is_taken_first(void **state)
{
    struct pool_owner o = { .made = 0 };
    struct pooled *x[3];

    scratch_pool_init(&o.pool, &kind, &o.mem, &o);
    for (size_t i = 0; i < 3; i++) {
        x[i] = scratch_pool_take(&o.pool);
        assert_non_null(x[i]);
        x[i]->bytes = (size_t)1 << i;
    }
    for (size_t i = 0; i < 3; i++)
        scratch_pool_give(&o.pool, x[i]);
    assert_ptr_equal(scratch_pool_take(&o.pool), x[2]);
    assert_ptr_equal(scratch_pool_take(&o.pool), x[1]);
    assert_int_equal(scratch_pool_bytes(&o.pool), sizeof(struct pooled) + 1);
    scratch_pool_give(&o.pool, x[2]);
    assert_int_equal(scratch_pool_bytes(&o.pool), 2 * sizeof(struct pooled) + 5);
    assert_ptr_equal(scratch_pool_take(&o.pool), x[2]);
    scratch_pool_give(&o.pool, x[1]);
    scratch_pool_give(&o.pool, x[2]);
    scratch_pool_free(&o.pool);
    assert_int_equal(o.destroyed, 3);
    assert_int_equal(mem_live(&o.mem), 0);
}

static void test_an_empty_pool_ends(void **state)
{
    struct pool_owner o = { .made = 0 };

    scratch_pool_init(&o.pool, &kind, &o.mem, &o);
    assert_int_equal(scratch_pool_bytes(&o.pool), 0);
    scratch_pool_free(&o.pool);
    assert_int_equal(o.destroyed, 0);
}

static void *search_often(void *arg)
{
    struct pool_owner *o = arg;
    size_t shared = 0;

    for (size_t i = 0; i < SEARCHES; i++) {
        struct pooled *x = scratch_pool_take(&o->pool);

        shared += atomic_fetch_add(&x->users, 1) != 0;
        (void)atomic_fetch_sub(&x->users, 1);
        scratch_pool_give(&o->pool, x);
    }
    return (void *)shared;
}

static void test_each_is_one_threads(void **state)
{
    struct pool_owner o = { .made = 0 };
    pthread_t threads[THREADS];

    scratch_pool_init(&o.pool, &kind, &o.mem, &o);
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, search_often, &o), 0);
    for (size_t i = 0; i < THREADS; i++) {
        void *shared = NULL;

        assert_int_equal(pthread_join(threads[i], &shared), 0);
        assert_null(shared);
    }
    assert_in_range(atomic_load(&o.made), 1, THREADS);
    scratch_pool_free(&o.pool);
    assert_int_equal(o.destroyed, atomic_load(&o.made));
}

int main(void)
{
    return test_run_all("scratch pool", test_the_last_given_is_taken_first, test_an_empty_pool_ends,
                        test_each_is_one_threads);
}
