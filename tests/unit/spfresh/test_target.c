/* test_target.c - target_recall: the recall reached, and the entries scanned for it. Without memory:
 * contract/test_faults. */
#include "algorithms/spfresh/search/internal.h"
#include "tests/unit/spfresh/support.h"

enum { STORED = 6000, ASKED = 200, ROWS = STORED + ASKED, K = 10 };

static const double targets[] = { .8, .9, .95 };

/* Mean recall of the queries, which are not stored; *scanned: entries for each. */
static double recall_at(struct book *b, const struct spfresh_knobs *knobs, double *scanned)
{
    const struct spfresh_knobs all = book_knobs(b, 1 << 22);
    double recall = 0;

    *scanned = 0;
    for (size_t i = 0; i < ASKED; i++) {
        const void *query = book_row(b, STORED + i);
        uint64_t ids[K], exact[K];
        struct work work;
        const size_t n = book_search(b, query, K, knobs, ids, &work);

        assert_int_equal(n, K);
        assert_int_equal(book_search(b, query, K, &all, exact, NULL), K);
        const double kth = book_distance(b, query, book_row(b, exact[K - 1]));
        for (size_t j = 0; j < n; j++)
            recall += book_distance(b, query, book_row(b, ids[j])) <= kth * (1 + 1e-6);
        *scanned += work.scanned / ASKED;
    }
    return recall / (ASKED * K);
}

static void open_filled(struct book *b, enum spfresh_codec_kind postings, int64_t store)
{
    struct spfresh_params params = book_defaults(&spfresh_ops, "wal=none");

    params.postings = postings;
    params.store = store;
    book_open(b, &spfresh_ops, params, INDEX_F32, 24, ROWS, 1);
    book_fill(b, 0, ROWS, 60, .6);
    assert_ok(b->ops->train(b->index, book_vectors(b, 0, STORED / 2)), &b->bench.error);
    assert_ok(book_insert(b, 0, STORED), &b->bench.error);
}

static uint64_t queries_of(const struct book *b)
{
    return atomic_load(&book_index(b)->counters.queries);
}

static void test_reached(void **state)
{
    static const struct {
        enum spfresh_codec_kind postings;
        int64_t store;
    } cases[] = { { CODEC_RAW, POSTING_MEMORY },
                  { CODEC_SQ8, POSTING_FILE },
                  { CODEC_RABITQ, POSTING_MMAP } };

    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        struct book b;
        double scanned[4], found[4], last = 0;

        open_filled(&b, cases[c].postings, cases[c].store);
        struct spfresh_knobs knobs = book_knobs(&b, 200);
        found[3] = recall_at(&b, &knobs, &scanned[3]);
        const uint64_t before = queries_of(&b);
        for (size_t t = 0; t < 3; t++) {
            knobs.target_recall = targets[t];
            found[t] = recall_at(&b, &knobs, &scanned[t]);
            print_message("postings %d, target %.2f: recall %.3f, %.0f entries of %.0f\n",
                          (int)cases[c].postings, targets[t], found[t], scanned[t], scanned[3]);
            assert_true(found[t] >= targets[t] - .03 && found[t] <= found[3]);
            assert_true(scanned[t] > last && scanned[t] < .5 * scanned[3]);
            last = scanned[t];
        }
        /* Those of the sample are not counted. */
        assert_int_equal(queries_of(&b) - before, (uint64_t)3 * 2 * ASKED);
        /* nprobe is still an upper limit. */
        knobs.nprobe = 1;
        (void)recall_at(&b, &knobs, &scanned[0]);
        knobs.target_recall = 0;
        (void)recall_at(&b, &knobs, &scanned[1]);
        assert_true(scanned[0] == scanned[1]);
        book_close(&b);
    }
}

/* The rule is learnt again once the index has changed; an index of few rows gives all of them. */
static void test_changed(void **state)
{
    struct book b;
    uint64_t ids[K];

    book_open(&b, &spfresh_ops, book_defaults(&spfresh_ops, ""), INDEX_F32, 24, ROWS, 1);
    book_fill(&b, 0, ROWS, 60, .6);
    struct spfresh_knobs knobs = book_knobs(&b, 64);
    knobs.target_recall = .5;
    assert_int_equal(book_search(&b, book_row(&b, 0), K, &knobs, ids, NULL), 0);
    assert_ok(b.ops->train(b.index, book_vectors(&b, 0, 300)), &b.bench.error);
    assert_ok(book_insert(&b, 0, K - 3), &b.bench.error);
    assert_int_equal(book_search(&b, book_row(&b, 0), K, &knobs, ids, NULL), K - 3);
    const uint64_t few = book_index(&b)->stop.rows;
    assert_ok(book_insert(&b, K - 3, STORED), &b.bench.error);
    assert_int_equal(book_search(&b, book_row(&b, 0), K, &knobs, ids, NULL), K);
    assert_int_equal(few, K - 3);
    assert_int_equal(book_index(&b)->stop.rows, K - 3 + STORED);
    book_close(&b);
}

int main(void)
{
    return test_run_all("spfresh_target", test_reached, test_changed);
}
