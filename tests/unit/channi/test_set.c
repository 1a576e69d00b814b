/* test_set.c - options that change while the index lives: what each changes, also beside background
 * threads. */
#include "tests/unit/channi/maintenance/maintenance.h"

static void set(struct book *b)
{
    assert_ok(channi_ops.set_params(b->index, &b->params), &b->bench.error);
}

/* A lower share makes compactions due. A smaller cache evicts at once. */
static void test_effects(void **state)
{
    struct channi_params p = book_defaults();
    struct channi_cache_counts n;
    struct book b;

    p.maintenance = CHANNI_EXPLICIT;
    p.compact_share = 16;
    p.cache_mb = 64;
    p.target_cluster = 400;
    p.split_max = 8000;
    p.merge_min = 1;
    book_open(&b, p, INDEX_F32, 128, 8000, 1);
    book_fill(&b, 0, 8000, 16, 0.3);
    assert_ok(book_insert(&b, 0, 6000), &b.bench.error);
    work_off(&b, 0);
    assert_ok(book_insert(&b, 6000, 2000), &b.bench.error);
    struct channi *c = book_channi(&b);
    assert_int_equal(channi_queued(c), 0);
    b.params.compact_share = .04;
    b.params.cache_mb = 1;
    b.params.background_mb_s = 3;
    b.params.background_cpu_share = .5;
    b.params.prefetch = 2;
    set(&b);
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
    book_check(&b);
    book_expect(&b, 10, 10);
    book_close(&b);
}

/* Options change while jobs run, wait for their limits, and are queued. */
static void test_beside_threads(void **state)
{
    struct channi_params p = twenty();
    struct book b;

    p.maintenance = CHANNI_BACKGROUND;
    p.background_threads = 2;
    book_open(&b, p, INDEX_F32, 32, 4000, 1);
    book_fill(&b, 0, 4000, 16, 0.3);
    for (size_t at = 0; at < 4000; at += 100) {
        assert_ok(book_insert(&b, at, 100), &b.bench.error);
        b.params.compact_share = at % 400 == 0 ? .02 : .5;
        b.params.cache_mb = at % 300 == 0 ? 1 : 64;
        b.params.background_cpu_share = at % 200 == 0 ? .01 : 1;
        b.params.background_mb_s = at % 500 == 0;
        set(&b);
    }
    work_off(&b, 0);
    assert_int_equal(channi_queued(book_channi(&b)), 0);
    assert_int_equal(book_counter(&b, job_errors), 0);
    book_check(&b);
    book_expect(&b, 10, 10);
    book_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_effects),
        cmocka_unit_test(test_beside_threads),
    };
    return test_run("channi_set", tests);
}
