/* test_cache.c - the cache of clusters: it returns the written content, whatever is evicted,
 * damaged, refused or requested by others meanwhile; memory stays within the budget. */
#include "tests/unit/channi/cluster_files.h"

/* Cold clusters read exactly their bytes, cached ones none. */
static void test_reads(void **state)
{
    for (size_t way = 0; way < WAYS; way++) {
        struct shelf s;
        struct channi_cache_counts c;

        shelf_begin(&s, false, ways[way]);
        make_cold(&s);
        take_run(&s, 0, FILES);
        c = counts_of(&s);
        assert_int_equal(c.misses, FILES);
        assert_int_equal(c.reads, FILES);
        assert_int_equal(c.read_bytes, s.hot_bytes);
        assert_int_equal(c.hits, 0);
        assert_int_equal(c.files_open, FILES);
        assert_true(c.resident_bytes >= s.hot_bytes);
        take_run(&s, 0, FILES);
        c = counts_of(&s);
        assert_int_equal(c.hits, FILES);
        assert_int_equal(c.read_bytes, s.hot_bytes);
        shelf_end(&s);
    }
}

/* Clusters in memory are returned first, in any order of requests. */
static void test_memory_first(void **state)
{
    const struct channi_image *image;
    struct shelf s;
    size_t i;
    int rc;

    shelf_begin(&s, false, ways[0]);
    assert_ok(channi_fetch_ask(s.fetch, s.list + 20, 2), &s.b.bench.error);
    channi_fetch_done(s.fetch);
    assert_ok(channi_fetch_ask(s.fetch, s.list + 10, 12), &s.b.bench.error);
    for (size_t k = 0; k < 12; k++) {
        assert_true(channi_fetch_next(s.fetch, &i, &image, &rc));
        assert_ok(rc, &s.b.bench.error);
        assert_true(k < 2 ? i >= 10 : i < 10);
        assert_true(is_as_written(&s, image, 10 + i));
    }
    assert_false(channi_fetch_next(s.fetch, &i, &image, &rc));
    shelf_end(&s);
}

/* ---- budget */

/* Whatever is requested, memory stays within the budget. */
static void test_budget(void **state)
{
    struct rng r = rng_at(test_seed(), 4);
    struct shelf s;

    shelf_begin(&s, false, (struct channi_cache_options){ .budget_bytes = 0 });
    const size_t most = 5 * s.largest;
    channi_cache_resize(s.cache, most);
    for (size_t round = 0; round < 400; round++) {
        const size_t n = 1 + rng_below(&r, 5);
        size_t which[5];
        struct channi_base *list[5];

        for (size_t i = 0; i < n; i++)
            list[i] = s.list[which[i] = rng_below(&r, FILES)];
        assert_ok(channi_fetch_ask(s.fetch, list, n), &s.b.bench.error);
        take_all(&s, which, n);
        assert_true(counts_of(&s).resident_bytes <= most);
        channi_fetch_done(s.fetch);
        assert_ok(channi_cache_check(s.cache), &s.b.bench.error);
    }
    const struct channi_cache_counts c = counts_of(&s);
    assert_int_equal(c.over_bytes, 0);
    assert_true(c.evictions > 0 && c.evicted_bytes > 0 && c.hits > 0);
    assert_true(c.resident_bytes > most / 2);
    shelf_end(&s);
}

/* CLOCK: a cluster that is used again and again mostly stays, while the others are evicted. */
static void test_clock(void **state)
{
    struct shelf s;

    shelf_begin(&s, false, (struct channi_cache_options){ .budget_bytes = 0 });
    channi_cache_resize(s.cache, 6 * s.largest);
    for (size_t round = 0; round < 200; round++) {
        take_run(&s, 0, 1);
        take_run(&s, 1 + round % (FILES - 1), 1);
    }
    assert_true(counts_of(&s).hits > 190);
    assert_true(counts_of(&s).evictions > 100);
    shelf_end(&s);
}

/* A pinned cluster stays while all others are evicted; after the unpin it is evicted too. */
static void test_pins(void **state)
{
    const struct channi_image *image, *pinned;
    struct shelf s;
    struct channi_fetch *holder;
    struct channi_whole_file whole;
    size_t i;
    int rc;

    shelf_begin(&s, false, (struct channi_cache_options){ .budget_bytes = 0 });
    channi_cache_resize(s.cache, 2 * s.largest);
    holder = channi_fetch_create(s.cache);
    assert_ok(channi_fetch_ask(holder, s.list + 3, 1), &s.b.bench.error);
    assert_true(channi_fetch_next(holder, &i, &pinned, &rc));
    assert_ok(channi_cache_whole(s.cache, s.list[3], &whole), &s.b.bench.error);
    assert_null(whole.own.block);
    for (size_t round = 0; round < 4 * FILES; round++) {
        assert_ok(channi_fetch_ask(s.fetch, s.list + round % FILES, 1), &s.b.bench.error);
        assert_true(channi_fetch_next(s.fetch, &i, &image, &rc));
        assert_ok(rc, &s.b.bench.error);
        channi_fetch_done(s.fetch);
        assert_true(is_as_written(&s, pinned, 3));
    }
    assert_true(counts_of(&s).evictions >= FILES);
    assert_code(channi_cache_check(s.cache), ERR_INVARIANT, &s.b.bench.error); /* a pin is left */
    channi_fetch_done(holder);
    assert_true(is_as_written(&s, &whole.image, 3));
    channi_cache_whole_done(s.cache, &whole);
    assert_ok(channi_cache_check(s.cache), &s.b.bench.error);
    channi_fetch_destroy(holder);
    shelf_end(&s);
}

/* If no cluster fits, all are read beyond the budget and evicted when unpinned. */
static void test_smaller_than_a_cluster(void **state)
{
    for (size_t budget = 0; budget < 3; budget++) {
        struct shelf s;

        shelf_begin(
            &s, false,
            (struct channi_cache_options){ .budget_bytes = (size_t[]){ 0, 1, 4096 }[budget] });
        for (size_t round = 0; round < 3; round++) {
            assert_ok(channi_fetch_ask(s.fetch, s.list, FILES), &s.b.bench.error);
            take_all(&s, in_order, FILES);
            assert_int_equal(counts_of(&s).resident_bytes, s.hot_bytes);
            channi_fetch_done(s.fetch);
            assert_int_equal(counts_of(&s).resident_bytes, 0);
        }
        assert_int_equal(counts_of(&s).over_bytes, s.hot_bytes - counts_of(&s).budget_bytes);
        assert_int_equal(counts_of(&s).reads, 3 * FILES);
        shelf_end(&s);
    }
}

/* ---- requests that are given up */

/* Reads that were started may be kept, but nothing is pinned. */
static void test_given_up(void **state)
{
    for (size_t way = 0; way < WAYS; way++) {
        const struct channi_image *image;
        struct shelf s;
        size_t i;
        int rc;

        shelf_begin(&s, false, ways[way]);
        make_cold(&s);
        assert_ok(channi_fetch_ask(s.fetch, s.list, 2), &s.b.bench.error);
        assert_ok(channi_fetch_ask(s.fetch, s.list + 2, 8), &s.b.bench.error);
        assert_true(channi_fetch_next(s.fetch, &i, &image, &rc));
        assert_true(rc == OK && is_as_written(&s, image, i));
        channi_fetch_done(s.fetch);
        assert_int_equal(counts_of(&s).misses, 10);
        assert_ok(channi_cache_check(s.cache), &s.b.bench.error);
        assert_ok(channi_fetch_ask(s.fetch, s.list, FILES), &s.b.bench.error);
        take_all(&s, in_order, FILES);
        shelf_end(&s);
    }
}

/* ---- rows */

static void test_rows(void **state)
{
    struct rng r = rng_at(test_seed(), 6);

    for (size_t way = 0; way < WAYS; way++) {
        const size_t row_bytes = SHELF_DIM * sizeof(float);
        struct shelf s;

        shelf_begin(&s, true, ways[way]);
        make_cold(&s);
        for (size_t round = 0; round < 60; round++) {
            const size_t k = rng_below(&r, FILES), n = rng_below(&r, 40);
            uint32_t rows[40];
            float out[40 * SHELF_DIM];

            for (size_t i = 0; i < n; i++)
                rows[i] = (uint32_t)rng_below(&r, s.bases[k].n);
            if (round % 2)
                assert_ok(channi_fetch_ask(s.fetch, s.list + rng_below(&r, FILES - 3), 3),
                          &s.b.bench.error);
            assert_ok(rows_of(&s, s.fetch, k, rows, n, out), &s.b.bench.error);
            for (size_t i = 0; i < n; i++)
                assert_true(is_row(&s, k, rows[i], out + i * SHELF_DIM));
            if (round % 3 == 0)
                channi_fetch_done(s.fetch);
        }
        channi_fetch_done(s.fetch);
        const struct channi_cache_counts c = counts_of(&s);
        assert_true(c.row_reads > 100 && c.row_read_bytes > c.row_reads * row_bytes / 4);
        shelf_end(&s);
    }
}

int main(void)
{
    return test_run_all("channi_cache", test_reads, test_memory_first, test_budget, test_clock,
                        test_pins, test_smaller_than_a_cluster, test_given_up, test_rows);
}
