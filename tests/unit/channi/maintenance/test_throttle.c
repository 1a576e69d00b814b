/* test_throttle.c - limits of background maintenance, what commits do when it falls behind, and
 * effects of options that change while the index lives. Changes beside threads are
 * contract/test_set, waits that are lifted unit/concurrency/test_throttle. */
#include <time.h>

#include "algorithms/channi/jobs/jobs.h"
#include "tests/unit/channi/maintenance/maintenance.h"

enum { PATIENCE_S = 600 };

/* Seconds since the moment. */
static double since(uint64_t began_ns)
{
    return (double)(clock_ns() - began_ns) * 1e-9;
}

static void wait_until_done(const struct book *b)
{
    const uint64_t began = clock_ns();

    while (channi_queued(book_channi(b)) > 0) {
        assert_true(since(began) < PATIENCE_S);
        nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
    }
}

static void open_and_fill(struct book *b, struct channi_params p)
{
    p.maintenance = CHANNI_BACKGROUND;
    book_open(b, p, INDEX_F32, 128, 4000, 1);
    book_start(b, 16, 0.3, 100);
    wait_until_done(b);
}

/* Files are written at no more than 1 MB per second. The first charge is not waited for before it is
   written, and neither is the last. */
static void test_bytes(void **state)
{
    struct book b;

    open_and_fill(&b, book_with(twenty(), "background_mb_s=1,expected_n=1500"));
    assert_ok(book_insert(&b, 100, 1400), &b.bench.error);
    work_off(&b, 0);
    const uint64_t before = book_counter(&b, bytes_written);
    const uint64_t began = clock_ns();
    assert_ok(book_insert(&b, 1500, 1000), &b.bench.error);
    wait_until_done(&b);
    const double took = since(began);
    const double mb = (double)(book_counter(&b, bytes_written) - before) / (1 << 20);
    assert_int_equal(book_counter(&b, delayed_commits), 0); /* none was overdue */
    assert_true(mb > .5);
    assert_true(took > mb - .25);
    book_end(&b, 10);
}

/* No cluster is late by more than the bound and one commit. */
static void expect_bounded(const struct book *b, uint32_t commit)
{
    struct channi *c = book_channi(b);
    unsigned ticket;

    const struct channi_layout *l = channi_enter(c, &ticket)->layout;
    for (uint32_t cid = 0; cid < l->n_clusters; cid++) {
        const struct channi_cluster *cl = l->clusters[cid];

        if (!cl || cl->kind == CLUSTER_DEFERRED)
            continue;
        const uint32_t least = cl->base_n > 256 ? cl->base_n : 256;
        assert_true(channi_delta_count(&cl->delta) <= least + commit);
        assert_true(live_of(cl) <= 2 * c->split_max + commit);
    }
    channi_leave(c, ticket);
}

/* Background threads that hardly run: the commits do what is overdue. */
static void test_back_pressure(void **state)
{
    enum { COMMIT = 25 };
    struct book b;

    open_and_fill(&b, book_with(twenty(), "background_cpu_share=.01"));
    for (size_t at = 100; at < 2000; at += COMMIT) {
        assert_ok(book_insert(&b, at, COMMIT), &b.bench.error);
        expect_bounded(&b, COMMIT);
    }
    assert_true(book_counter(&b, delayed_commits) > 0);
    assert_int_equal(book_counter(&b, job_errors), 0);
    work_off(&b, 0);
    book_end(&b, 10);
}

/* ------------------------------------------------------------------------- options that change */

/* A lower share makes compactions due. A smaller cache evicts at once. */
static void test_effects(void **state)
{
    struct channi_params p = book_defaults("maintenance=explicit,compact_share=16,cache_mb=64,"
                                           "target_cluster=400,split_max=8000,merge_min=1");
    struct channi_cache_counts n;
    struct book b;

    book_open(&b, p, INDEX_F32, 128, 8000, 1);

    book_start(&b, 16, 0.3, 6000);
    work_off(&b, 0);
    assert_ok(book_insert(&b, 6000, 2000), &b.bench.error);
    struct channi *c = book_channi(&b);
    assert_int_equal(channi_queued(c), 0);
    b.params.compact_share = .04;
    b.params.cache_mb = 1;
    b.params.background_mb_s = 3;
    b.params.background_cpu_share = .5;
    b.params.prefetch = 2;
    assert_ok(channi_ops.set_params(b.index, &b.params), &b.bench.error);
    assert_true(channi_queued(c) > 0);
    channi_cache_counts(c->cache, &n);
    assert_int_equal(n.budget_bytes, 1 << 20);
    assert_true(n.resident_bytes <= 1 << 20);
    assert_true(n.evictions > 0);
    assert_int_equal(c->taken_bytes_most, 1 << 18);
    assert_int_equal(c->jobs.queue.throttle.bytes_per_second, 3 << 20);
    assert_float_equal(c->jobs.queue.throttle.cpu_share, .5, 0);
    assert_int_equal(c->params.prefetch, 2);
    work_off(&b, 0);
    assert_true(book_counter(&b, compactions) > 0);
    book_end(&b, 10);
}

int main(void)
{
    return test_run_all("channi_throttle", test_bytes, test_back_pressure, test_effects);
}
