/* test_histories.c - spfresh under random histories with all three kinds of maintenance, with
 * failing allocations, after mass deletions, and with equal vectors. */
#include "tests/unit/spfresh/lire.h"

/* ------------------------------------------------------------------------------ histories */

static void insert_some(struct book *b, size_t *next)
{
    const size_t left = b->capacity - *next, n = 1 + rng_below(&b->rng, 60);

    assert_ok(book_insert(b, *next, n < left ? n : left), &b->bench.error);
    *next += n < left ? n : left;
}

static void remove_some(struct book *b)
{
    for (size_t n = rng_below(&b->rng, 40); n > 0 && b->n > 5; n--)
        assert_ok(book_remove(b, book_any(b)), &b->bench.error);
}

static void history(struct spfresh_params params, enum element element, size_t capacity)
{
    struct book b;
    size_t next = 0;
    bool more;

    book_open(&b, &spfresh_ops, params, element, 7, capacity, 1);
    book_fill(&b, 0, capacity, 9, .5);
    /* Make every fifth vector one of three. */
    for (size_t i = 0; i < capacity; i += 5)
        memcpy(book_row(&b, i), book_row(&b, i % 3), b.row_bytes);
    while (next < capacity) {
        insert_some(&b, &next);
        remove_some(&b);
        if (rng_below(&b.rng, 4) == 0)
            assert_ok(spfresh_ops.maintain(b.index, rng_below(&b.rng, 3) * 700, &more),
                      &b.bench.error);
        book_check(&b);
        book_exact(&b);
    }
    lire_maintain(&b, 0);
    book_check(&b);
    assert_int_equal(spfresh_queued(book_index(&b)), 0);
    book_all_found(&b);
    assert_true(COUNT(&b, splits) > 0);
    book_close(&b);
}

static void histories(void **state)
{
    for (int i = 0; i < 12; i++) {
        struct spfresh_params params = book_defaults(&spfresh_ops);

        params.maintenance = i % 3;
        params.replicas = i % 2 ? 8 : 1;
        params.version_bits = i / 3 % 2;
        params.posting_entries = 10 + 3 * i;
        params.background_threads = 2;
        history(params, i / 6 ? INDEX_U8 : INDEX_F32, 1500);
    }
}

/* With one thread, the same calls give the same state in two runs. */
static void the_same_again(void **state)
{
    double counts[2][4];

    for (int run = 0; run < 2; run++) {
        struct book b;
        struct spfresh_params params = book_defaults(&spfresh_ops);

        params.posting_entries = 20;
        book_open(&b, &spfresh_ops, params, INDEX_F32, 6, 1500, 1);
        book_fill(&b, 0, 1500, 5, .6);
        for (size_t i = 0; i < 1500; i += 30)
            assert_ok(book_insert(&b, i, 30), &b.bench.error);
        counts[run][0] = COUNT(&b, appends);
        counts[run][1] = COUNT(&b, splits);
        counts[run][2] = COUNT(&b, reassign_scanned);
        counts[run][3] = COUNT(&b, reassign_done);
        book_close(&b);
    }
    assert_memory_equal(counts[0], counts[1], sizeof counts[0]);
}

/* ---------------------------------------------------------------------------------- budgets */

/* With a budget, each call of maintain() makes a few moves, and together the calls do all. */
static void little_by_little(void **state)
{
    struct book b;
    struct spfresh_params params = book_defaults(&spfresh_ops);
    bool more = true;
    size_t calls = 0;

    params.maintenance = SPFRESH_EXPLICIT;
    params.posting_entries = 16;
    params.buffer_pages = 4096;
    book_open(&b, &spfresh_ops, params, INDEX_F32, 8, 2000, 1);
    book_fill(&b, 0, 2000, 10, .5);
    assert_ok(book_insert(&b, 0, 500), &b.bench.error);
    assert_ok(book_insert(&b, 500, 1500), &b.bench.error);
    assert_true(spfresh_queued(book_index(&b)) > 10);
    assert_true(COUNT(&b, splits) == 0 && COUNT(&b, inline_splits) == 0);
    for (; more; calls++) {
        const double moved = COUNT(&b, reassign_done);

        assert_ok(spfresh_ops.maintain(b.index, 2000, &more), &b.bench.error);
        assert_true(COUNT(&b, reassign_done) - moved < 60);
        if (calls % 16 == 0)
            book_check(&b);
    }
    assert_true(calls > 50);
    assert_true(lire_npa_violations(&b) <= .02);
    book_all_found(&b);
    book_close(&b);
}

/* An update itself splits a posting past the hard limit. */
static void not_past_the_hard_limit(void **state)
{
    struct book b;
    struct spfresh_params params = book_defaults(&spfresh_ops);

    params.maintenance = SPFRESH_EXPLICIT;
    params.posting_entries = 16;
    params.buffer_pages = 0;
    book_open(&b, &spfresh_ops, params, INDEX_F32, 128, 1500, 1);
    book_fill(&b, 0, 1500, 3, .5);
    assert_ok(book_insert(&b, 0, 100), &b.bench.error);
    for (size_t i = 100; i < 1500; i++)
        assert_ok(book_insert(&b, i, 1), &b.bench.error);
    assert_true(COUNT(&b, inline_splits) > 0);
    for (uint32_t h = 0; h < graph_capacity(book_index(&b)->graph); h++)
        assert_true(!spfresh_is_open(book_index(&b), h) ||
                    atomic_load(&spfresh_head(book_index(&b), h)->size) <=
                        book_index(&b)->hard_limit + 8);
    book_check(&b);
    book_close(&b);
}

/* ------------------------------------------------------------------------- all vectors are one */

static void expect_all(struct book *b)
{
    const struct spfresh_knobs knobs = book_knobs(b, 1 << 22);
    uint64_t *ids = calloc(b->n + 1, sizeof *ids);
    float *distances = calloc(b->n + 1, sizeof *distances);
    const struct search_request request = {
        { book_row(b, 0), 1, b->dim, INDEX_U8 }, b->n, &knobs, NULL, 1
    };
    struct search_result result = { .ids = ids, .distances = distances };
    size_t at = 0;

    assert_ok(b->ops->search(b->index, &request, &result), &b->bench.error);
    for (uint64_t id = 0; id < b->capacity; id++)
        if (b->stored[id])
            assert_true(ids[at] == id && distances[at++] == 0);
    assert_int_equal(at, b->n);
    free(ids);
    free(distances);
}

static void identical_vectors(void **state)
{
    enum { ONE = 10000 };

    for (int64_t replicas = 1; replicas <= 8; replicas += 7) {
        struct book b;
        struct spfresh_params params = book_defaults(&spfresh_ops);

        params.replicas = replicas;
        params.posting_entries = 30;
        book_open(&b, &spfresh_ops, params, INDEX_U8, 16, ONE, 1);
        memset(b.rows, 7, ONE * b.row_bytes);
        /* The first heads are elsewhere. */
        book_fill(&b, 0, 100, 5, .5);
        assert_ok(book_insert(&b, 0, 100), &b.bench.error);
        for (size_t i = 0; i < 100; i++)
            assert_ok(book_remove(&b, i), &b.bench.error);
        memset(b.rows, 7, 100 * b.row_bytes);
        for (size_t i = 0; i < ONE; i += 100)
            assert_ok(book_insert(&b, i, 100), &b.bench.error);
        expect_all(&b);
        for (size_t i = 0; i < ONE; i += 2)
            assert_ok(book_remove(&b, i), &b.bench.error);
        lire_maintain(&b, 0);
        expect_all(&b);
        book_check(&b);
        assert_true(COUNT(&b, even_splits) > 0 && COUNT(&b, even_splits) < 50);
        book_close(&b);
    }
}

/* --------------------------------------------------------------------------- mass deletions */

static uint64_t posting_bytes(const struct book *b)
{
    uint64_t bytes = 0;

    for (uint32_t h = 0; h < graph_capacity(book_index(b)->graph); h++)
        bytes += posting_length(book_index(b)->store, h);
    return bytes;
}

/* Where entries are small the limit is far above what a build files under a head. */
static void built_postings_stay(void **state)
{
    struct book b;

    book_open(&b, &spfresh_ops, book_defaults(&spfresh_ops), INDEX_F32, 2, 3000, 1);
    book_fill(&b, 0, 3000, 100, .1);
    assert_ok(book_insert(&b, 0, 3000), &b.bench.error);
    const size_t heads = graph_live(book_index(&b)->graph);
    for (size_t i = 0; i < 3000; i += 5)
        assert_ok(book_remove(&b, i), &b.bench.error);
    lire_maintain(&b, 0);
    assert_true(graph_live(book_index(&b)->graph) > heads / 2);
    book_check(&b);
    book_close(&b);
}

static void starved_postings_merge(void **state)
{
    for (int64_t mode = SPFRESH_INLINE; mode <= SPFRESH_BACKGROUND; mode++) {
        struct book b;
        struct spfresh_params params = book_defaults(&spfresh_ops);

        params.maintenance = mode;
        params.posting_entries = 40;
        book_open(&b, &spfresh_ops, params, INDEX_F32, 8, 3000, 1);
        book_fill(&b, 0, 3000, 10, .5);
        assert_ok(book_insert(&b, 0, 3000), &b.bench.error);
        lire_maintain(&b, 0);
        const size_t heads = graph_live(book_index(&b)->graph);
        const uint64_t bytes = posting_bytes(&b);
        for (size_t i = 0; i < 3000; i++)
            if (i % 20)
                assert_ok(book_remove(&b, i), &b.bench.error);
        lire_maintain(&b, 0);
        assert_true(graph_live(book_index(&b)->graph) < heads / 4);
        assert_true(posting_bytes(&b) < bytes / 4);
        assert_true(COUNT(&b, merges) > 0);
        assert_true(lire_npa_violations(&b) <= .02);
        book_all_found(&b);
        for (size_t i = 0; i < 3000; i += 20) /* down to an empty index */
            assert_ok(book_remove(&b, i), &b.bench.error);
        lire_maintain(&b, 0);
        assert_int_equal(graph_live(book_index(&b)->graph), 1);
        book_check(&b);
        assert_ok(book_insert(&b, 0, 200), &b.bench.error);
        book_check(&b);
        book_all_found(&b);
        book_close(&b);
    }
}

/* --------------------------------------------------------------------------- on and off */

static void each_part_is_optional(void **state)
{
    for (int off = 0; off < 4; off++) {
        struct book b;
        struct spfresh_params params = book_defaults(&spfresh_ops);

        params.posting_entries = 20;
        params.replicas = 2;
        params.split = off != 1;
        params.merge = off != 2;
        params.condition1 = params.condition2 = off != 3;
        book_open(&b, &spfresh_ops, params, INDEX_F32, 6, 2500, 1);
        book_fill(&b, 0, 2500, 10, .5);
        for (size_t i = 0; i < 2500; i += 250)
            assert_ok(book_insert(&b, i, 250), &b.bench.error);
        const double moved = COUNT(&b, reassign_done); /* merges move vectors too */
        for (size_t i = 0; i < 2400; i++)
            assert_ok(book_remove(&b, i), &b.bench.error);
        lire_maintain(&b, 0);
        assert_true((COUNT(&b, splits) > 0) == (off != 1));
        assert_true((COUNT(&b, merges) > 0) == (off != 2));
        assert_true((moved > 0) == (off != 1 && off != 3));
        assert_true((COUNT(&b, reassign_scanned) > 0) == (off != 1 && off != 3));
        book_check(&b);
        book_all_found(&b);
        book_close(&b);
    }
}

/* ---------------------------------------------------------------------------- without memory */

/* Inserts, deletes and maintains while the `at`-th allocation fails. Returns whether one failed. */
static bool without_memory(size_t at, bool after, struct spfresh_params params)
{
    struct book b;
    size_t next = 150;
    bool more;

    book_open(&b, &spfresh_ops, params, INDEX_F32, 4, 400, 1);
    book_fill(&b, 0, 400, 4, .5);
    assert_ok(book_insert(&b, 0, next), &b.bench.error);
    b.bench.mem.fail_at = atomic_load(&b.bench.mem.calls) + at;
    b.bench.mem.fail_after = after;
    for (int i = 0; i < 5; i++) {
        const size_t before = b.n;

        (void)book_insert(&b, next, 20);
        next += b.n - before;
        for (int j = 0; j < 25; j++)
            (void)book_remove(&b, book_any(&b));
        (void)spfresh_ops.maintain(b.index, 0, &more);
    }
    const bool hit = atomic_load(&b.bench.mem.failed);
    b.bench.mem.fail_at = 0;
    b.bench.mem.fail_after = false;
    error_clear(&b.bench.error);
    lire_maintain(&b, 0);
    book_check(&b);
    book_all_found(&b);
    assert_ok(book_insert(&b, next, 20), &b.bench.error);
    book_check(&b);
    book_close(&b);
    return hit;
}

static void allocations_fail(void **state)
{
    for (int after = 0; after < 2; after++) {
        struct spfresh_params params = book_defaults(&spfresh_ops);
        bool hit = true;

        params.posting_entries = 14;
        params.replicas = after ? 3 : 1;
        params.maintenance = after ? SPFRESH_EXPLICIT : SPFRESH_INLINE;
        for (size_t at = 1; hit; at += 1 + at / 40)
            hit = without_memory(at, after, params);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(histories),
        cmocka_unit_test(the_same_again),
        cmocka_unit_test(little_by_little),
        cmocka_unit_test(not_past_the_hard_limit),
        cmocka_unit_test(identical_vectors),
        cmocka_unit_test(built_postings_stay),
        cmocka_unit_test(starved_postings_merge),
        cmocka_unit_test(each_part_is_optional),
        cmocka_unit_test(allocations_fail),
    };

    return test_run("spfresh_histories", tests);
}
