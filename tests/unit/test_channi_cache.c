/* test_channi_cache.c - the cache of clusters: what is handed out is what was written, whatever is evicted,
 * damaged, refused or asked for by others meanwhile; and memory stays within the budget.
 */
#include "tests/unit/cluster_files.h"

/* Cold files come with exactly their bytes, warm ones with none. */
static void test_reads(void **state)
{
    (void)state;
    for (size_t way = 0; way < WAYS; way++) {
        struct shelf s;
        struct cache_counts c;
        struct fetch *f;

        shelf_begin(&s, WITH_GRAPH | WITH_ATTRIBUTES, ways[way]);
        make_cold(&s);
        f = fetch_create(s.cache);
        assert_non_null(f);
        assert_ok(fetch_ask(f, s.list, FILES), &s.f.bench.error);
        take_all(&s, f, in_order, FILES);
        fetch_done(f);
        c = counts_of(&s);
        assert_int_equal(c.misses, FILES);
        assert_int_equal(c.reads, FILES);
        assert_int_equal(c.read_bytes, s.hot_bytes);
        assert_int_equal(c.hits, 0);
        assert_int_equal(c.files_open, FILES);
        assert_true(c.resident_bytes >= s.hot_bytes);
        assert_ok(fetch_ask(f, s.list, FILES), &s.f.bench.error);
        take_all(&s, f, in_order, FILES);
        fetch_done(f);
        c = counts_of(&s);
        assert_int_equal(c.hits, FILES);
        assert_int_equal(c.read_bytes, s.hot_bytes);
        fetch_destroy(f);
        shelf_end(&s);
    }
}

/* Clusters in memory come first, however late they were asked for. */
static void test_memory_first(void **state)
{
    (void)state;
    const struct image *image;
    struct shelf s;
    struct fetch *f;
    size_t i;
    int rc;

    shelf_begin(&s, 0, ways[0]);
    f = fetch_create(s.cache);
    assert_ok(fetch_ask(f, s.list + 20, 2), &s.f.bench.error);
    fetch_done(f);
    assert_ok(fetch_ask(f, s.list + 10, 12), &s.f.bench.error);
    for (size_t k = 0; k < 12; k++) {
        assert_true(fetch_next(f, &i, &image, &rc));
        assert_ok(rc, &s.f.bench.error);
        assert_true(k < 2 ? i >= 10 : i < 10);
        assert_image(image, &s.filed[10 + i], &s.f, true);
    }
    assert_false(fetch_next(f, &i, &image, &rc));
    fetch_destroy(f);
    shelf_end(&s);
}

/* ---- the budget */

static void test_budget(void **state)
{
    (void)state;
    struct rng r = rng_at(test_seed(), 4);
    struct shelf s;
    struct fetch *f;
    size_t most;

    shelf_begin(&s, WITH_GRAPH, (struct cache_options){ .budget_bytes = 0 });
    shelf_close(&s);
    most = 5 * s.largest;
    shelf_open(&s, (struct cache_options){ .budget_bytes = most });
    f = fetch_create(s.cache);
    for (size_t round = 0; round < 400; round++) {
        const size_t n = 1 + rng_below(&r, 5);
        size_t which[5];
        struct base *list[5];

        for (size_t i = 0; i < n; i++)
            list[i] = s.list[which[i] = rng_below(&r, FILES)];
        assert_ok(fetch_ask(f, list, n), &s.f.bench.error);
        take_all(&s, f, which, n);
        if (round % 3 == 0)
            assert_true(counts_of(&s).resident_bytes <= most);
        fetch_done(f);
        assert_ok(cache_check(s.cache), &s.f.bench.error);
    }
    const struct cache_counts c = counts_of(&s);
    assert_int_equal(c.over_bytes, 0);
    assert_true(c.evictions > 0 && c.evicted_bytes > 0 && c.hits > 0);
    assert_true(c.resident_bytes <= most && c.resident_bytes > most / 2);
    fetch_destroy(f);
    shelf_end(&s);
}

/* The clock: what is used at every turn stays while the others pass through. */
static void test_clock(void **state)
{
    (void)state;
    struct shelf s;
    struct fetch *f;
    uint64_t hits;

    shelf_begin(&s, 0, (struct cache_options){ .budget_bytes = 0 });
    shelf_close(&s);
    shelf_open(&s, (struct cache_options){ .budget_bytes = 6 * s.largest });
    f = fetch_create(s.cache);
    for (size_t round = 0; round < 200; round++) {
        struct base *list[2] = { s.list[0], s.list[1 + round % (FILES - 1)] };

        hits = counts_of(&s).hits;
        assert_ok(fetch_ask(f, list, 2), &s.f.bench.error);
        take_all(&s, f, (size_t[]){ 0, 1 + round % (FILES - 1) }, 2);
        fetch_done(f);
        if (round > 0)
            assert_true(counts_of(&s).hits > hits);
    }
    assert_true(counts_of(&s).evictions > 100);
    fetch_destroy(f);
    shelf_end(&s);
}

/* A pinned cluster keeps its memory while all the others come and go; then it goes too. */
static void test_pins(void **state)
{
    (void)state;
    const struct image *image, *pinned;
    struct shelf s;
    struct fetch *holder, *f;
    struct whole whole;
    size_t i;
    int rc;

    shelf_begin(&s, WITH_HISTORY, (struct cache_options){ .budget_bytes = 0 });
    shelf_close(&s);
    shelf_open(&s, (struct cache_options){ .budget_bytes = 2 * s.largest });
    holder = fetch_create(s.cache);
    f = fetch_create(s.cache);
    assert_ok(fetch_ask(holder, s.list + 3, 1), &s.f.bench.error);
    assert_true(fetch_next(holder, &i, &pinned, &rc));
    assert_ok(cache_whole(s.cache, s.list[3], &whole), &s.f.bench.error);
    assert_null(whole.block);
    for (size_t round = 0; round < 4 * FILES; round++) {
        assert_ok(fetch_ask(f, s.list + round % FILES, 1), &s.f.bench.error);
        assert_true(fetch_next(f, &i, &image, &rc));
        assert_ok(rc, &s.f.bench.error);
        fetch_done(f);
        assert_image(pinned, &s.filed[3], &s.f, true);
    }
    assert_true(counts_of(&s).evictions >= FILES);
    assert_code(cache_check(s.cache), ERR_INVARIANT, &s.f.bench.error); /* a pin is left */
    fetch_done(holder);
    assert_image(&whole.image, &s.filed[3], &s.f, true);
    cache_whole_done(s.cache, &whole);
    assert_ok(cache_check(s.cache), &s.f.bench.error);
    fetch_destroy(holder);
    fetch_destroy(f);
    shelf_end(&s);
}

/* No cluster fits: all are read past the budget, and are gone when unpinned. */
static void test_smaller_than_a_cluster(void **state)
{
    (void)state;
    for (size_t budget = 0; budget < 3; budget++) {
        struct shelf s;
        struct fetch *f;

        shelf_begin(&s, WITH_GRAPH,
                    (struct cache_options){ .budget_bytes = (size_t[]){ 0, 1, 4096 }[budget] });
        f = fetch_create(s.cache);
        for (size_t round = 0; round < 3; round++) {
            assert_ok(fetch_ask(f, s.list, FILES), &s.f.bench.error);
            take_all(&s, f, in_order, FILES);
            assert_int_equal(counts_of(&s).resident_bytes, s.hot_bytes);
            fetch_done(f);
            assert_int_equal(counts_of(&s).resident_bytes, 0);
        }
        assert_int_equal(counts_of(&s).over_bytes, s.hot_bytes - counts_of(&s).budget_bytes);
        assert_int_equal(counts_of(&s).reads, 3 * FILES);
        fetch_destroy(f);
        shelf_end(&s);
    }
}

/* ---- ahead of need */

static void test_prefetch(void **state)
{
    (void)state;
    for (size_t way = 0; way < WAYS; way++) {
        struct shelf s;
        struct fetch *f;
        struct cache_counts c;
        const struct image *image;
        size_t i;
        int rc;

        shelf_begin(&s, 0, ways[way]);
        make_cold(&s);
        f = fetch_create(s.cache);
        assert_ok(fetch_ask(f, s.list, 2), &s.f.bench.error);
        assert_ok(fetch_ahead(f, s.list + 2, 4), &s.f.bench.error);
        assert_ok(fetch_ahead(f, s.list + 4, 4), &s.f.bench.error); /* two of them again */
        take_all(&s, f, in_order, 2);
        assert_false(fetch_next(f, &i, &image, &rc)); /* not asked for: not handed out */
        assert_ok(fetch_ask(f, s.list + 3, 6), &s.f.bench.error); /* the last is a new one */
        for (size_t k = 0; k < 6; k++) {
            assert_true(fetch_next(f, &i, &image, &rc));
            assert_true(i >= 2 && i < 8);
            assert_image(image, &s.filed[i + 1], &s.f, true);
        }
        assert_false(fetch_next(f, &i, &image, &rc));
        fetch_done(f);
        c = counts_of(&s);
        assert_int_equal(c.prefetched, 6);
        assert_int_equal(c.prefetch_used, 5);
        assert_int_equal(c.reads, 9);
        assert_int_equal(c.misses, 8);
        /* given up: what was begun may stay, nothing is pinned */
        assert_ok(fetch_ahead(f, s.list + 10, 10), &s.f.bench.error);
        fetch_done(f);
        assert_ok(cache_check(s.cache), &s.f.bench.error);
        assert_ok(fetch_ask(f, s.list, FILES), &s.f.bench.error);
        take_all(&s, f, in_order, FILES);
        fetch_destroy(f);
        shelf_end(&s);
    }
}

/* ---- joining, leaving */

static void test_join(void **state)
{
    (void)state;
    for (unsigned with = 0; with <= WITH_COLD; with += WITH_COLD) {
        struct files_fixture f;
        struct error *err = &f.bench.error;
        struct cluster_block block;
        struct cache *cache;
        struct cache_counts c;
        struct filed d;
        struct base base;
        struct fetch *fetch;
        const struct image *image;
        size_t i;
        int rc;

        files_begin(&f, ELEMENT_U8, 64);
        assert_ok(
            cache_create(&cache, &f.bench.env, &(struct cache_options){ .budget_bytes = 1 << 20 }),
            err);
        filed_make(&d, &f, with | WITH_CODES, 9, 300);
        assert_ok(cluster_block_make(&f.bench.env, &d.contents, &block), err);
        assert_ok(cluster_block_write(&f.bench.env, &d.contents, &block, true, NULL), err);
        assert_ok(cluster_file_head(&f.bench.env, 9, d.contents.version, &base), err);
        assert_ok(cache_join(cache, &base, block.bytes), err);
        fetch = fetch_create(cache);
        assert_ok(fetch_ask(fetch, (struct base *[]){ &base }, 1), err);
        assert_true(fetch_next(fetch, &i, &image, &rc));
        assert_image(image, &d, &f, with == 0);
        cache_counts(cache, &c);
        assert_int_equal(c.reads, 0);
        assert_int_equal(c.hits, 0); /* not before it is through */
        assert_int_equal(c.resident_bytes, base.hot_bytes);
        fetch_destroy(fetch);
        cache_leave(cache, &base, false);
        assert_null(base.slot);
        cache_counts(cache, &c);
        assert_int_equal(c.resident_bytes, 0);
        assert_ok(cache_join(cache, &base, NULL), err);
        cache_leave(cache, &base, true);
        assert_code(cluster_file_head(&f.bench.env, 9, d.contents.version, &base), ERR_NOT_FOUND,
                    err);
        cache_destroy(cache);
        filed_free(&d, &f);
        files_end(&f);
    }
}

/* ---- rows */

static void test_rows(void **state)
{
    (void)state;
    struct rng r = rng_at(test_seed(), 6);

    for (size_t way = 0; way < WAYS; way++) {
        const size_t row_bytes = SHELF_DIM * sizeof(float);
        struct shelf s;
        struct fetch *f;

        shelf_begin(&s, WITH_CODES | WITH_COLD, ways[way]);
        make_cold(&s);
        f = fetch_create(s.cache);
        for (size_t round = 0; round < 60; round++) {
            const size_t k = rng_below(&r, FILES), n = rng_below(&r, 40);
            uint32_t rows[40];
            float out[40 * SHELF_DIM];

            for (size_t i = 0; i < n; i++)
                rows[i] = (uint32_t)rng_below(&r, s.bases[k].n);
            if (round % 2)
                assert_ok(fetch_ahead(f, s.list + rng_below(&r, FILES - 3), 3), &s.f.bench.error);
            assert_ok(cache_rows(s.cache, f, s.list[k], rows, n, out), &s.f.bench.error);
            for (size_t i = 0; i < n; i++)
                assert_memory_equal(out + i * SHELF_DIM, s.filed[k].rows + rows[i] * row_bytes,
                                    row_bytes);
            if (round % 3 == 0)
                fetch_done(f);
        }
        fetch_done(f);
        const struct cache_counts c = counts_of(&s);
        assert_true(c.row_reads > 100 && c.row_read_bytes > c.row_reads * row_bytes / 4);
        assert_code(cache_rows(s.cache, f, s.list[2], &(uint32_t){ s.bases[2].n }, 1, NULL),
                    ERR_CORRUPT, &s.f.bench.error);
        fetch_destroy(f);
        shelf_end(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reads),    cmocka_unit_test(test_memory_first),
        cmocka_unit_test(test_budget),   cmocka_unit_test(test_clock),
        cmocka_unit_test(test_pins),     cmocka_unit_test(test_smaller_than_a_cluster),
        cmocka_unit_test(test_prefetch), cmocka_unit_test(test_join),
        cmocka_unit_test(test_rows),
    };

    return test_run("channi_cache", tests);
}
