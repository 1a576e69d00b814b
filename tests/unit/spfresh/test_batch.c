/* test_batch.c - a batch gives the same answers as single queries, bit for bit, and reads less. */
#include "algorithms/spfresh/search/internal.h"
#include "tests/unit/spfresh/support.h"

enum { ROWS = 2500, QUERIES = 90, K = 10 };

struct case_of {
    enum spfresh_codec_kind postings;
    int64_t bits, store;
};

static const struct case_of cases[] = {
    { CODEC_RAW, 1, POSTING_FILE },    { CODEC_SQ8, 1, POSTING_FILE },
    { CODEC_PQ, 1, POSTING_FILE },     { CODEC_RABITQ, 1, POSTING_FILE },
    { CODEC_RABITQ, 3, POSTING_FILE }, { CODEC_RABITQ, 6, POSTING_FILE },
};

struct answers {
    uint64_t ids[QUERIES * K];
    float distances[QUERIES * K];
    struct work work;
};

static void ask(struct book *b, const void *queries, size_t n, size_t k,
                const struct spfresh_knobs *knobs, const struct id_filter *filter, size_t threads,
                struct answers *a, size_t at)
{
    const struct search_request request = {
        { queries, n, b->dim, b->bench.env.element }, k, knobs, filter, threads
    };
    struct search_result result = { .ids = a->ids + at * k,
                                    .distances = a->distances + at * k,
                                    .work = a->work };
    if (n > 1)
        assert_int_equal(spfresh_batch_pays(book_index(b), &request), knobs->nprobe <= 512);
    assert_ok(b->ops->search(b->index, &request, &result), &b->bench.error);
    a->work = result.work;
}

static void compare(struct book *b, const struct spfresh_knobs *knobs, size_t n,
                    const struct id_filter *filter, size_t threads)
{
    static struct answers one, many;
    const void *queries = book_row(b, ROWS - QUERIES); /* half are stored, half are not */
    memset(&one, 0xee, sizeof one);
    memset(&many, 0xee, sizeof many);
    one.work = many.work = (struct work){ 0 };
    for (size_t i = 0; i < n; i++)
        ask(b, (const char *)queries + i * b->row_bytes, 1, K, knobs, filter, 1, &one, i);
    ask(b, queries, n, K, knobs, filter, threads, &many, 0);
    assert_memory_equal(one.ids, many.ids, n * K * sizeof *one.ids);
    assert_memory_equal(one.distances, many.distances, n * K * sizeof *one.distances);
    assert_true(one.work.distances == many.work.distances);
    assert_true(one.work.estimates == many.work.estimates);
    assert_true(one.work.scanned == many.work.scanned);
    assert_true(many.work.bytes_read <= one.work.bytes_read);
    /* Queries that lack answers, by a filter or max_dist_ratio, read on, each for itself. */
    if (n > 20 && knobs->nprobe >= 16 && knobs->nprobe <= 512 && !filter &&
        knobs->max_dist_ratio == 0)
        assert_true(many.work.bytes_read < 0.9 * one.work.bytes_read);
}

static void test_equal(void **state)
{
    static uint64_t bits[ROWS / 64 + 1];
    const struct id_filter filter = { bits, ROWS };
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        struct book b;
        struct spfresh_params params = book_defaults(&spann_ops, "posting_entries=64,wal=none");
        params.postings = cases[c].postings;
        params.bits = cases[c].bits;
        params.store = cases[c].store;
        book_open(&b, &spann_ops, params, c % 2 ? INDEX_F32 : INDEX_U8, 40, ROWS, 2);
        book_fill(&b, 0, ROWS, 30, 0.4);
        struct spfresh_knobs knobs = book_knobs(&b, 16);
        compare(&b, &knobs, 20, NULL, 1); /* the index is empty */
        assert_ok(b.ops->train(b.index, book_vectors(&b, 0, ROWS - QUERIES)), &b.bench.error);
        assert_ok(book_insert(&b, 0, ROWS - QUERIES / 2), &b.bench.error);
        for (size_t i = 0; i < ROWS / 10; i++)
            assert_ok(book_remove(&b, book_any(&b)), &b.bench.error);
        for (size_t i = 0; i < sizeof bits / sizeof *bits; i++)
            bits[i] = rng_u64(&b.rng);
        static const int64_t probes[] = { 1, 16, 200, 512, 513 };
        for (size_t i = 0; i < sizeof probes / sizeof *probes; i++) {
            knobs = book_knobs(&b, probes[i]);
            compare(&b, &knobs, QUERIES, NULL, 2);
            compare(&b, &knobs, 2 + i, &filter, 1);
        }
        knobs = book_knobs(&b, 32);
        knobs.max_dist_ratio = 2;
        compare(&b, &knobs, QUERIES, &filter, 2);
        knobs.page_budget = 1;
        knobs.rerank = 12;
        compare(&b, &knobs, QUERIES, NULL, 2);
        book_check_and_close(&b);
    }
}

/* Many copies of one vector fill postings past all limits. */
static void test_identical(void **state)
{
    struct book b;
    struct spfresh_params params =
        book_defaults(&spfresh_ops, "postings=rabitq,bits=3,store=file,wal=none");
    book_open(&b, &spfresh_ops, params, INDEX_U8, 16, ROWS, 2);
    memset(b.rows, 7, ROWS * b.row_bytes);
    assert_ok(b.ops->train(b.index, book_vectors(&b, 0, ROWS)), &b.bench.error);
    assert_ok(book_insert(&b, 0, ROWS), &b.bench.error);
    const struct spfresh_knobs knobs = book_knobs(&b, 8);
    compare(&b, &knobs, 8, NULL, 2);
    book_check_and_close(&b);
}

int main(void)
{
    return test_run_all("spfresh batch", test_equal, test_identical);
}
