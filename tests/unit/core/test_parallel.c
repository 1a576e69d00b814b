/* test_parallel.c - each chunk runs once, workers have separate scratch, errors are returned,
 * several callers share a pool. */
#include "tests/support/testing.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

struct job {
    atomic_uint seen[1000];
    atomic_bool busy[8];
    size_t n, chunk, threads, last;
    size_t fail_at;
    bool in_order;
};

static int mark(void *arg, size_t first, size_t end, size_t worker)
{
    struct job *j = arg;
    if (worker >= j->threads || first % j->chunk || end - first > j->chunk ||
        (end < j->n && end % j->chunk) || end > j->n)
        return 71;
    if (atomic_exchange(&j->busy[worker], true)) /* a worker's scratch has one user at a time */
        return 72;
    if (j->in_order && first != j->last)
        return 73;
    for (size_t i = first; i < end; i++)
        atomic_fetch_add(&j->seen[i], 1);
    if (j->in_order)
        j->last = end;
    atomic_store(&j->busy[worker], false);
    return first >= j->fail_at ? 74 : OK;
}

static void test_every_chunk_once(void **state)
{
    struct rng r = rng_at(test_seed(), 1);
    for (size_t size = 1; size <= 5; size++) {
        struct pool *pool = pool_create(size);
        assert_int_equal(pool_threads(pool), size);
        for (size_t t = 0; t < 300; t++) {
            static struct job j;
            memset(&j, 0, sizeof j);
            j.n = (size_t)rng_below(&r, 1000);
            j.chunk = 1 + (size_t)rng_below(&r, t % 2 ? 10 : 1500);
            const size_t threads = (size_t)rng_below(&r, 8);
            j.threads = threads ? threads : 1;
            j.in_order = size == 1 || j.threads == 1;
            j.fail_at = SIZE_MAX;
            assert_int_equal(parallel_for(pool, threads, j.n, j.chunk, mark, &j), OK);
            for (size_t i = 0; i < 1000; i++)
                assert_int_equal(atomic_load(&j.seen[i]), i < j.n);
        }
        pool_destroy(pool);
    }
    pool_destroy(NULL);
    assert_null(pool_create(0));
}

static void test_errors(void **state)
{
    struct pool *pool = pool_create(3);
    for (size_t threads = 1; threads <= 3; threads++) {
        static struct job j;
        memset(&j, 0, sizeof j);
        j.n = 1000;
        j.chunk = 1;
        j.threads = threads;
        j.in_order = threads == 1;
        j.fail_at = 10;
        assert_int_equal(parallel_for(pool, threads, j.n, j.chunk, mark, &j), 74);
        size_t done = 0;
        for (size_t i = 0; i < 1000; i++)
            done += atomic_load(&j.seen[i]);
        assert_true(done < 1000);
        if (threads == 1)
            assert_int_equal(done, 11);
    }
    pool_destroy(pool);
}

struct nest {
    struct pool *pool;
    atomic_uint sum;
};

static int add_one(void *arg, size_t first, size_t end, size_t worker)
{
    struct nest *n = arg;
    (void)sched_yield(); /* lets other threads run in between, even on one processor */
    atomic_fetch_add(&n->sum, (unsigned)(end - first));
    return OK;
}

static void *call_often(void *arg)
{
    struct nest *n = arg;
    for (size_t i = 0; i < 500; i++)
        (void)parallel_for(n->pool, 3, 10, 1, add_one, n);
    return NULL;
}

/* Several callers share a pool; a caller that finds it in use works alone. */
static void test_callers_beside(void **state)
{
    struct nest n = { .pool = pool_create(3) };
    pthread_t threads[3];
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, call_often, &n), 0);
    for (size_t i = 0; i < 3; i++)
        (void)pthread_join(threads[i], NULL);
    assert_int_equal(atomic_load(&n.sum), 3 * 500 * 10);
    pool_destroy(n.pool);
}

int main(void)
{
    return test_run_all("core_parallel", test_every_chunk_once, test_errors, test_callers_beside);
}
