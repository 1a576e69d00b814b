/* test_channi.c - CHANNI's options: which are refused, and what follows from them. */
#include "tests/unit/channi/support.h"

static void test_options(void **state)
{
    static const struct {
        const char *name, *options;
        int code;
    } cases[] = {
        { "defaults", "", OK },
        { "a top layer wider than the lowest", "top_M=16,top_M0=8", ERR_ARGUMENT },
        { "merged would be split", "split_max=32,merge_min=4", ERR_ARGUMENT },
        { "merged just not", "split_max=33,merge_min=4", OK },
        { "found merge_min fits a small split_max", "split_max=10,target_cluster=1000", OK },
        { "outliers past the limit", "split_max=20,ood_cap=21", ERR_ARGUMENT },
        { "one part", "parts=1", ERR_ARGUMENT },
        { "clusters of one row", "target_cluster=1", ERR_ARGUMENT },
        { "cold rows of graphs", "cold_rows=true,cluster_index=graph", ERR_ARGUMENT },
        { "cold rows of codes", "cold_rows=true,cluster_index=codes", OK },
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct book b;

        print_message("%s\n", cases[i].name);
        book_begin(&b, book_with(book_options("wal=none"), cases[i].options), INDEX_U8, 4, 1, 1);
        assert_code(channi_ops.create(&b.index, &b.bench.env, &b.params), cases[i].code,
                    &b.bench.error);
        book_close(&b);
    }
}

static void test_sizes(void **state)
{
    static const struct {
        int64_t expected;
        double fraction;
        size_t hint, build_at;
    } cases[] = { { 1000, .8, 5000, 800 },
                  { 0, .8, 5001, 4001 },
                  { 0, .8, 0, 32 },
                  { 0, 0, 5000, 1 },
                  { 0, 0, 0, 1 } };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct channi_params params = book_defaults("");
        struct book b;

        params.expected_n = cases[i].expected;
        params.defer_fraction = cases[i].fraction;
        book_begin(&b, params, INDEX_U8, 4, 1, 1);
        b.bench.env.expected_n = cases[i].hint;
        assert_ok(channi_ops.create(&b.index, &b.bench.env, &b.params), &b.bench.error);
        assert_int_equal(book_channi(&b)->build_at, cases[i].build_at);
        assert_int_equal(book_channi(&b)->split_max, 20);
        assert_int_equal(book_channi(&b)->merge_min, 2);
        assert_int_equal(book_channi(&b)->ood_cap, 5);
        book_close(&b);
    }
}

/* auto: a background thread only where the method may use more than one thread. Clusters with codes
   are rewritten later than those with graphs. */
static void test_derived(void **state)
{
    static const struct {
        int64_t maintenance, inside;
        size_t threads;
        double compact_share;
        enum channi_maintenance found;
        double share;
    } cases[] = {
        { CHANNI_AUTO, INSIDE_CODES, 1, 0, CHANNI_INLINE, .25 },
        { CHANNI_AUTO, INSIDE_GRAPH, 2, 0, CHANNI_BACKGROUND, .04 },
        { CHANNI_INLINE, INSIDE_SCAN, 2, 0, CHANNI_INLINE, .25 },
        { CHANNI_EXPLICIT, INSIDE_GRAPH, 2, .5, CHANNI_EXPLICIT, .5 },
        { CHANNI_BACKGROUND, INSIDE_CODES, 1, .01, CHANNI_BACKGROUND, .01 },
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct channi_params params = book_defaults("");
        struct book b;

        params.maintenance = cases[i].maintenance;
        params.cluster_index = cases[i].inside;
        params.compact_share = cases[i].compact_share;
        book_open(&b, params, INDEX_U8, 4, 1, cases[i].threads);
        const struct channi *c = book_channi(&b);
        assert_int_equal(c->maintenance, cases[i].found);
        assert_int_equal(c->jobs.queue.n_threads, cases[i].found == CHANNI_BACKGROUND);
        assert_float_equal(c->compact_share, cases[i].share, 0);
        book_close(&b);
    }
}

int main(void)
{
    return test_run_all("channi", test_options, test_derived, test_sizes);
}
