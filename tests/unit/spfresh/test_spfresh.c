/* test_spfresh.c - spann and spfresh: build, filing, pruning, slots. test_lire.c tests splits. */
#include "tests/unit/spfresh/support.h"

/* ------------------------------------------------------------------------------- the build */

static void built_and_searched(void **state)
{
    for (int i = 0; i < 4; i++) {
        struct book b;
        struct spfresh_params params = book_defaults(&spann_ops, "");
        double recall = 0;

        params.head_index = i % 2 ? GRAPH_BKT : GRAPH_HNSW;
        book_open(&b, &spann_ops, params, i / 2 ? INDEX_U8 : INDEX_F32, 24, 4000, 2);
        book_start(&b, 40, .4, 4000);
        book_check(&b);
        for (size_t q = 0; q < 40; q++) {
            const void *row = book_row(&b, rng_below(&b.rng, 4000));

            assert_true(book_recall(&b, row, 10, 1 << 22) == 1);
            recall += book_recall(&b, row, 10, 32) / 40;
        }
        assert_true(recall > .95);
        assert_true(fabs(test_stat(b.index, "heads") - 400) < 40);
        assert_true(test_stat(b.index, "copies") > 1.5);
        book_close(&b);
    }
}

/* With a limit that removes most copies, every vector still keeps one. */
static void the_last_copy_stays(void **state)
{
    struct book b;
    struct spfresh_params params = book_defaults(&spann_ops, "posting_entries=4");

    book_open(&b, &spann_ops, params, INDEX_F32, 5, 3000, 1);

    book_start(&b, 3, .2, 3000);
    book_end(&b);
}

static void trained_on_others(void **state)
{
    struct book b;

    book_open(&b, &spann_ops, book_defaults(&spann_ops, ""), INDEX_F32, 8, 2000, 1);
    book_fill(&b, 0, 2000, 10, .5);
    assert_ok(spann_ops.train(b.index, book_vectors(&b, 0, 500)), &b.bench.error);
    assert_ok(spann_ops.train(b.index, book_vectors(&b, 500, 800)), &b.bench.error); /* anew */
    assert_ok(book_insert(&b, 0, 2000), &b.bench.error);
    book_check(&b);
    assert_code(spann_ops.train(b.index, book_vectors(&b, 0, 500)), ERR_ARGUMENT, &b.bench.error);
    book_close(&b);
}

/* Heads of a small sample would all be split while the rows that it stands for are filed. */
static void trained_on_a_few(void **state)
{
    enum { N = 4000 };
    struct book b;

    book_open(&b, &spfresh_ops, book_defaults(&spfresh_ops, ""), INDEX_F32, 32, N, 1);
    book_fill(&b, 0, N, 100, .5);
    assert_ok(spfresh_ops.train(b.index, book_vectors(&b, 0, N / 5)), &b.bench.error);
    const double few = test_stat(b.index, "heads");
    assert_ok(book_insert(&b, 0, N), &b.bench.error);
    const double heads = test_stat(b.index, "heads"), splits = test_stat(b.index, "splits");
    if (heads < 3 * few || splits > heads / 20)
        fail_msg("%g heads after %g, %g splits", heads, few, splits);
    book_end(&b);
}

/* ---------------------------------------------------------------------------- knobs prune */

static void knobs_do_what_they_say(void **state)
{
    struct book b;
    uint64_t ids[10];
    struct work all, fewer;

    book_open(&b, &spann_ops, book_defaults(&spann_ops, "page_limit=12"), INDEX_F32, 128, 3000, 1);

    book_start(&b, 10, .5, 3000);
    struct spfresh_knobs knobs = book_knobs(&b, 50);
    const void *row = book_row(&b, 17);

    (void)book_search(&b, row, 10, &knobs, ids, &all);
    knobs.max_dist_ratio = 1.2;
    (void)book_search(&b, row, 10, &knobs, ids, &fewer);
    assert_true(fewer.scanned < all.scanned);
    assert_true(test_stat(b.index, "postings_pruned") > 0);
    knobs.max_dist_ratio = 0;
    knobs.page_budget = 1;
    (void)book_search(&b, row, 10, &knobs, ids, &fewer);
    assert_true(fewer.scanned < all.scanned && fewer.bytes_read <= 50 * POSTING_PAGE);
    knobs.page_budget = 0;
    const double before = test_stat(b.index, "head_distances") * test_stat(b.index, "queries");
    knobs.max_check = 20;
    (void)book_search(&b, row, 10, &knobs, ids, &fewer);
    assert_true(test_stat(b.index, "head_distances") * test_stat(b.index, "queries") - before <=
                20.5);
    book_close(&b);
}

/* ---------------------------------------------------------------------------- histories */

/* Slots are reused many times; stale entries of their former vectors must not be answers. */
static void used_slots(void **state)
{
    struct book b;

    for (int64_t bits = 0; bits < 2; bits++) {
        struct spfresh_params params = book_defaults(&spann_ops, "");

        params.version_bits = bits;
        book_open(&b, &spann_ops, params, INDEX_F32, 6, 20000, 1);
        book_start(&b, 8, .5, 100);
        for (size_t i = 100; i < 20000; i += 10) {
            for (size_t j = 0; j < 10; j++)
                assert_ok(book_remove(&b, i - 100 + j), &b.bench.error);
            assert_ok(book_insert(&b, i, 10), &b.bench.error);
            if (i % 1000 == 0) {
                assert_true(book_recall(&b, book_row(&b, i), 20, 1 << 22) == 1);
                book_check(&b);
            }
        }
        assert_true(test_stat(b.index, "slots") < (bits ? 300 : 1000));
        assert_true((test_stat(b.index, "exhausted_slots") > 0) == !bits);
        book_close(&b);
    }
}

int main(void)
{
    return test_run_all("spfresh", built_and_searched, the_last_copy_stays, trained_on_others,
                        trained_on_a_few, knobs_do_what_they_say, used_slots);
}
