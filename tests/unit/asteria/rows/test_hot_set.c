/* test_hot_set.c - an index whose rows are on disk: maintenance reads many rows at a time, and the
 * rows that queries read most are soon in memory; rows are compared with their checksums; the
 * folder is locked.
 */
#include "algorithms/asteria/buckets/bucket.h"
#include "algorithms/asteria/graph/internal.h"
#include "tests/support/index_folder.h"
#include "tests/unit/asteria/support.h"

enum { ROWS = 2000 };

/* Two addresses, so that buckets have more rows than one read takes, and so do pools. */
#define FEW_BUCKETS "code=none,address_bits=1,pool=300,degree=12"

/* The rows of a bucket have consecutive slots, so a small bucket is one read, and a large one is
   two for each part. */
static void test_a_bucket_is_few_reads(void **state)
{
    struct book w;

    book_open(&w, FEW_BUCKETS ",caprg=false,storage=tiered,cache_mb=0", INDEX_F32, 20, ROWS, 1);
    book_train(&w, 0, 600);
    book_add(&w, 0, 300);
    struct asteria *a = state_of(&w);
    for (size_t round = 0; round < 2; round++) {
        struct asteria_generation *g = now_of(&w);
        const uint64_t before = asteria_rows_reads(a->rows);
        size_t most = 0;
        for (uint32_t i = 0; i < g->n; i++) {
            const size_t parts = (g->buckets[i].live + FETCH_MOST - 1) / FETCH_MOST;
            most += (parts > 1 ? 2 * parts : parts) * (1 + round);
            assert_ok(asteria_bucket_rewrite(a, g, i), &w.bench.error);
        }
        assert_in_range(asteria_rows_reads(a->rows) - before, 1, most);
        book_expect_sound(&w);
        book_add(&w, 300 + 850 * round, 850); /* one more run of slots */
    }
    book_close(&w);
}

/* Distances to more rows than one read takes. */
static void test_distances_of_a_pool(void **state)
{
    enum { POOL = 2 * FETCH_MOST + 77 };
    static const char *const rows[] = { "storage=memory", "storage=tiered,cache_mb=0" };

    for (size_t i = 0; i < 2; i++) {
        struct book w;
        uint32_t others[POOL];
        float distances[POOL];
        book_open(&w, rows[i], INDEX_U8, 20, ROWS, 1);
        book_train(&w, 0, 600);
        book_add(&w, 0, 1500);
        const struct asteria *a = state_of(&w);
        const struct asteria_caprg_rows graph = asteria_graph_rows(state_of(&w));
        for (uint32_t j = 0; j < POOL; j++)
            others[j] = (100 + 7 * j) % 1500; /* not side by side; none is 1499 */
        assert_ok(graph.exact(graph.to, 1499, others, POOL, distances), &w.bench.error);
        for (size_t j = 0; j < POOL; j++)
            assert_float_equal(distances[j],
                               asteria_distance(&w.bench.env, book_row(&w, a->ids[1499]),
                                                book_row(&w, a->ids[others[j]])),
                               1e-4);
        book_close(&w);
    }
}

/* -------------------------------------------------------------------------------- hot rows */

enum { WIDE = 1024, CROWD = 1500, FEW = 6 };

/* Reads of a search for the last rows, which were inserted when all frames were taken. */
static uint64_t search_reads(struct book *w)
{
    uint64_t ids[FEW * 3];
    float distances[FEW * 3];
    struct asteria_knobs knobs;
    const uint64_t before = asteria_rows_reads(state_of(w)->rows);

    param_defaults(asteria_ops.knobs, &knobs);
    knobs.nprobe = 1;
    (void)book_search(w, book_row(w, CROWD - FEW), FEW, 3, &knobs, NULL, 1, ids, distances);
    for (size_t q = 0; q < FEW; q++)
        assert_int_not_equal(ids[3 * q], INDEX_NO_ID);
    return asteria_rows_reads(state_of(w)->rows) - before;
}

/* The same few queries repeated: most of what they read from the file is soon in memory, as far as
   the budget allows. */
static void test_popular(void **state)
{
    const struct asteria_params params =
        params_with("rotation=hadamard,caprg=false,address_bits=6,storage=tiered,cache_mb=1");
    struct book w;

    book_begin_of(&w, &asteria_ops, params, INDEX_F32, WIDE, CROWD, 1, 12);
    book_fill_units(&w, 0, CROWD, 60, .05);
    book_create(&w);
    book_train(&w, 0, CROWD);
    book_add(&w, 0, CROWD);
    const uint64_t at_first = search_reads(&w);
    book_maintain_all(&w);
    const uint64_t later = search_reads(&w);
    if (at_first < FEW || 2 * later > at_first)
        fail_msg("%" PRIu64 " reads at first, %" PRIu64 " later (seed %" PRIu64 ")", at_first,
                 later, test_seed());
    book_close(&w);
}

/* ---------------------------------------------------------------------------------- the file */

enum { FILED = 200, K = 5 };

static void open_filed(struct book *w, const char *settings)
{
    book_open(w, settings, INDEX_F32, 12, FILED, 1);
    book_train(w, 0, FILED);
    book_add(w, 0, FILED);
}

/* A changed byte is reported by a search, and by a save, which leaves the old snapshot. */
static void test_damaged_rows(void **state)
{
    struct book w;
    char path[PATH_MAX];
    uint64_t ids[FILED * K];
    float distances[FILED * K];
    struct asteria_knobs knobs;

    open_filed(&w, "storage=tiered,cache_mb=0,wal=written,address_bits=4");
    assert_true(snprintf(path, sizeof path, "%.4000s/rows", w.dir) > 0);
    struct bytes whole = bytes_read(path);
    whole.at[100] ^= 4;
    bytes_write(path, whole.at, whole.n);
    free(whole.at);
    test_set_options(asteria_ops.knobs, "mode=certified", ",", &knobs);
    const struct search_request request = { book_vectors(&w, 0, FILED), K, &knobs, NULL, 1 };
    struct search_result result = { .ids = ids, .distances = distances };
    assert_code(asteria_ops.search(w.index, &request, &result), ERR_CORRUPT, &w.bench.error);
    const int rc = asteria_ops.save(w.index, w.dir);
    assert_non_null(strstr(w.bench.error.text, "/rows"));
    assert_code(rc, ERR_CORRUPT, &w.bench.error);
    assert_ok(book_reload(&w, w.dir), &w.bench.error); /* the rows of the snapshot and the log */
    book_expect_answers(&w, FILED);
    book_close(&w);
}

/* Also without a log: the file would be another index's. */
static void test_locked_folder(void **state)
{
    static const char *const settings[] = { "storage=tiered,wal=none",
                                            "storage=tiered,wal=written" };

    for (size_t i = 0; i < 2; i++) {
        struct book w;
        struct index *other;
        open_filed(&w, settings[i]);
        assert_code(asteria_ops.create(&other, &w.bench.env, &w.params), ERR_IO, &w.bench.error);
        book_expect_answers(&w, 5);
        book_close(&w);
    }
}

int main(void)
{
    return test_run_all("asteria_tier_upkeep", test_a_bucket_is_few_reads, test_distances_of_a_pool,
                        test_popular, test_damaged_rows, test_locked_folder);
}
