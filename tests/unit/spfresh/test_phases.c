/* test_phases.c - stats() reports the latencies of the phases that ran, and of no other. */
#include "tests/unit/spfresh/support.h"

enum { ROWS = 1500, FIRST = 1000, QUERIES = 40, K = 5 };

/* Each phase's count since the last report; 0: not reported. */
struct phase_counts {
    double of[SPFRESH_PHASES];
};

static const char *const names[SPFRESH_PHASES] = { "heads", "postings", "rerank",   "append",
                                                   "split", "merge",    "reassign", "collect" };

static void take_value(void *to, const char *name, double value)
{
    struct phase_counts *c = to;
    char count[32];

    for (size_t i = 0; i < SPFRESH_PHASES; i++) {
        (void)snprintf(count, sizeof count, "%s_us.count", names[i]);
        if (strcmp(name, count) == 0)
            c->of[i] = value;
    }
}

static struct phase_counts phases(struct book *b)
{
    struct phase_counts c = { 0 };
    struct stat_sink sink = { take_value, test_stat_cell, &c };

    assert_ok(b->ops->stats(b->index, &sink), &b->bench.error);
    return c;
}

static void expect_only(const struct phase_counts *c, const bool *expected)
{
    for (size_t i = 0; i < SPFRESH_PHASES; i++)
        if ((c->of[i] > 0) != expected[i])
            fail_msg("phase %s: %g records", names[i], c->of[i]);
}

static void ask(struct book *b, size_t n)
{
    uint64_t ids[QUERIES * K];
    float distances[QUERIES * K];
    const struct spfresh_knobs knobs = book_knobs(b, 8);
    const struct search_request request = {
        { book_row(b, 0), n, b->dim, b->bench.env.element }, K, &knobs, NULL, 1
    };
    struct search_result result = { .ids = ids, .distances = distances };

    assert_ok(b->ops->search(b->index, &request, &result), &b->bench.error);
}

/* Single searches and batches count each query once in each phase. */
static void searched(enum spfresh_codec_kind postings)
{
    struct book b;
    struct spfresh_params params = book_defaults(&spann_ops, "");
    const bool codes = postings != CODEC_RAW;

    params.store = POSTING_FILE; /* with files, a batch reads each posting once */
    params.postings = postings;
    params.posting_entries = 32;
    book_open(&b, &spann_ops, params, INDEX_F32, 16, ROWS, 2);
    book_start(&b, 20, .4, FIRST);
    (void)phases(&b);
    for (size_t n = 1; n <= QUERIES; n += QUERIES - 1) {
        ask(&b, n);
        const struct phase_counts c = phases(&b);
        expect_only(&c, (bool[SPFRESH_PHASES]){ true, true, codes });
        assert_true(c.of[SPFRESH_PHASE_HEADS] == (double)n);
        assert_true(c.of[SPFRESH_PHASE_POSTINGS] == (double)n);
        assert_true(c.of[SPFRESH_PHASE_RERANK] == (codes ? (double)n : 0));
    }
    const struct phase_counts none = phases(&b);
    expect_only(&none, (bool[SPFRESH_PHASES]){ false });
    book_close(&b);
}

static void searches(void **state)
{
    searched(CODEC_RAW);
    searched(CODEC_RABITQ);
}

static void updates(void **state)
{
    struct book b;
    struct spfresh_params params =
        book_defaults(&spfresh_ops, "maintenance=explicit,posting_entries=24");
    bool more;

    params.buffer_pages = 4096; /* no update splits a posting itself */
    book_open(&b, &spfresh_ops, params, INDEX_F32, 8, ROWS, 1);
    book_start(&b, 20, .4, FIRST);
    assert_ok(b.ops->maintain(b.index, 0, &more), &b.bench.error);
    (void)phases(&b);

    assert_ok(book_insert(&b, FIRST, ROWS - FIRST), &b.bench.error);
    struct phase_counts c = phases(&b);
    expect_only(&c, (bool[SPFRESH_PHASES]){ [SPFRESH_PHASE_APPEND] = true });
    assert_true(c.of[SPFRESH_PHASE_APPEND] == ROWS - FIRST);

    const double splits = test_stat(b.index, "splits");
    assert_ok(b.ops->maintain(b.index, 0, &more), &b.bench.error);
    c = phases(&b);
    assert_true(c.of[SPFRESH_PHASE_SPLIT] == test_stat(b.index, "splits") - splits);
    assert_true(c.of[SPFRESH_PHASE_SPLIT] > 0 && c.of[SPFRESH_PHASE_REASSIGN] > 0);
    assert_true(c.of[SPFRESH_PHASE_APPEND] == 0 && c.of[SPFRESH_PHASE_HEADS] == 0);

    const double merges = test_stat(b.index, "merges");
    while (b.n > 100)
        assert_ok(book_remove(&b, book_any(&b)), &b.bench.error);
    assert_ok(b.ops->maintain(b.index, 0, &more), &b.bench.error);
    c = phases(&b);
    assert_true(c.of[SPFRESH_PHASE_MERGE] == test_stat(b.index, "merges") - merges);
    assert_true(c.of[SPFRESH_PHASE_MERGE] > 0 && c.of[SPFRESH_PHASE_COLLECT] > 0);
    book_check_and_close(&b);
}

int main(void)
{
    return test_run_all("spfresh_phases", searches, updates);
}
