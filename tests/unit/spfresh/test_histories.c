/* test_histories.c - spfresh's maintenance over a life: within budgets and limits,
 * with equal vectors, after mass deletions, and without some of its parts. */
#include "tests/unit/spfresh/lire.h"

/* ---------------------------------------------------------------------------------- budgets */

/* With a budget, each call of maintain() makes a few moves, and together the calls do all. */
static void little_by_little(void **state)
{
    struct book b;
    struct spfresh_params params =
        book_defaults(&spfresh_ops, "maintenance=explicit,posting_entries=16,buffer_pages=4096");
    bool more = true;
    size_t calls = 0;

    book_open(&b, &spfresh_ops, params, INDEX_F32, 8, 2000, 1);

    book_start(&b, 10, .5, 500);
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
    book_end(&b);
}

/* An update itself splits a posting past the hard limit. */
static void not_past_the_hard_limit(void **state)
{
    struct book b;
    struct spfresh_params params =
        book_defaults(&spfresh_ops, "maintenance=explicit,posting_entries=16,buffer_pages=0");

    book_open(&b, &spfresh_ops, params, INDEX_F32, 128, 1500, 1);

    book_start(&b, 3, .5, 100);
    for (size_t i = 100; i < 1500; i++)
        assert_ok(book_insert(&b, i, 1), &b.bench.error);
    assert_true(COUNT(&b, inline_splits) > 0);
    for (uint32_t h = 0; h < graph_capacity(book_index(&b)->graph); h++)
        assert_true(!spfresh_is_open(book_index(&b), h) ||
                    atomic_load(&spfresh_head(book_index(&b), h)->size) <=
                        book_index(&b)->hard_limit + 8);
    book_check_and_close(&b);
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
        struct spfresh_params params = book_defaults(&spfresh_ops, "posting_entries=30");

        params.replicas = replicas;
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

    book_open(&b, &spfresh_ops, book_defaults(&spfresh_ops, ""), INDEX_F32, 2, 3000, 1);

    book_start(&b, 100, .1, 3000);
    const size_t heads = graph_live(book_index(&b)->graph);
    for (size_t i = 0; i < 3000; i += 5)
        assert_ok(book_remove(&b, i), &b.bench.error);
    lire_maintain(&b, 0);
    assert_true(graph_live(book_index(&b)->graph) > heads / 2);
    book_check_and_close(&b);
}

static void starved_postings_merge(void **state)
{
    for (int64_t mode = SPFRESH_INLINE; mode <= SPFRESH_BACKGROUND; mode++) {
        struct book b;
        struct spfresh_params params = book_defaults(&spfresh_ops, "posting_entries=40");

        params.maintenance = mode;
        book_open(&b, &spfresh_ops, params, INDEX_F32, 8, 3000, 1);
        book_start(&b, 10, .5, 3000);
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
        book_end(&b);
    }
}

/* --------------------------------------------------------------------------- on and off */

static void each_part_is_optional(void **state)
{
    for (int off = 0; off < 4; off++) {
        struct book b;
        struct spfresh_params params = book_defaults(&spfresh_ops, "posting_entries=20,replicas=2");

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
        book_end(&b);
    }
}

int main(void)
{
    return test_run_all("spfresh_histories", little_by_little, not_past_the_hard_limit,
                        identical_vectors, built_postings_stay, starved_postings_merge,
                        each_part_is_optional);
}
