/* test_stats.c - an index's reports: sizes, counters, memory. That clusters fit
 * is contract/test_clusters. */
#include "algorithms/channi/index.h"
#include "algorithms/channi/rewrite/replace.h"
#include "tests/unit/channi/build.h"

static void test_sizes(void **state)
{
    struct channi_sizes s;
    uint32_t even[] = { 7, 7, 7, 7 }, one[] = { 0, 0, 0, 12, 0 }, mixed[] = { 5, 1, 3 };
    uint32_t many[200], hundred[100];

    channi_sizes_of(even, 4, &s);
    assert_float_equal(s.mean, 7, 1e-12);
    assert_float_equal(s.cv, 0, 1e-12);
    assert_float_equal(s.gini, 0, 1e-12);
    assert_int_equal(s.p99, 7);
    assert_int_equal(s.empty, 0);
    channi_sizes_of(one, 5, &s);
    assert_float_equal(s.gini, .8, 1e-12); /* (n - 1) / n */
    assert_float_equal(s.cv, 2, 1e-12);    /* sqrt(n - 1) */
    assert_int_equal(s.max, 12);
    assert_int_equal(s.empty, 4);
    channi_sizes_of(mixed, 3, &s);
    assert_float_equal(s.mean, 3, 1e-12);
    assert_float_equal(s.cv, sqrt(8. / 3) / 3, 1e-12);
    assert_int_equal(s.p99, 5);
    assert_float_equal(s.gini, 8. / 27, 1e-12); /* mean |x - y| / (2 mean) */
    for (uint32_t i = 0; i < 200; i++)
        many[i] = 200 - i;
    channi_sizes_of(many, 200, &s);
    assert_int_equal(s.p99, 198);
    assert_int_equal(s.max, 200);
    for (uint32_t i = 0; i < 100; i++)
        hundred[i] = i;
    channi_sizes_of(hundred, 100, &s);
    assert_int_equal(s.p99, 98);
    channi_sizes_of(NULL, 0, &s);
    assert_int_equal(s.n, 0);
    assert_float_equal(s.gini, 0, 0);
}

struct rows_told {
    size_t clusters;
    double live;
};

static void take_cell(void *to, const char *table, size_t row, const char *column, double value)
{
    struct rows_told *t = to;

    assert_string_equal(table, "cluster");
    if (strcmp(column, "live") == 0) {
        assert_int_equal(row, t->clusters++);
        t->live += value;
    }
}

static void take_value(void *to, const char *name, double value)
{
    assert_true(isfinite(value));
}

/* The table of clusters has that many rows, which are alive in as many clusters as the counter has. */
static void expect_told(struct book *b, double clusters, double live)
{
    struct rows_told t = { 0 };
    struct stat_sink sink = { take_value, take_cell, &t };

    assert_ok(channi_ops.stats(b->index, &sink), &b->bench.error);
    assert_true(t.live == live && (double)t.clusters == clusters);
    assert_true(test_stat(b->index, "clusters") == clusters);
}

/* Exchanges the rows of two clusters. */
static void exchange(struct book *b, uint32_t x, uint32_t y)
{
    struct channi *c = book_channi(b);
    struct channi_taken w;
    uint32_t order[ROWS], n[2] = { 0, 0 };

    assert_true(channi_take(c, (uint32_t[]){ x, y }, 2, &w));
    assert_ok(channi_gather(c, &w), &b->bench.error);
    for (uint32_t from = 0; from < 2; from++)
        for (size_t i = 0; i < w.members.n; i++)
            if (w.members.rows[i].from == from)
                order[from * n[0] + n[from]++] = (uint32_t)i;
    const struct channi_part parts[] = {
        { .rows = order + n[0], .n = n[1], .root = order[n[0]], .routes_of = 1 },
        { .rows = order, .n = n[0], .root = order[0], .successor_of = 1, .routes_of = 2 },
    };
    const struct channi_replacement r = { .parts = parts, .n_parts = 2, .threads = 1 };
    assert_ok(channi_replace(c, &w, &r), &b->bench.error);
    channi_give(c, &w);
}

/* The reports match the index; rows in another cluster than their search's count as misassigned. */
static void test_stats(void **state)
{
    struct book b;

    book_open(&b, build_params(), INDEX_F32, DIM, ROWS, 1);

    book_start(&b, 30, .2, 500);
    expect_told(&b, 1, 500);
    assert_true(test_stat(b.index, "deferred") == 1 && test_stat(b.index, "routes") == 0);
    assert_ok(book_insert(&b, 500, 600), &b.bench.error);
    expect_told(&b, 22, 1100);
    assert_true(test_stat(b.index, "deferred") == 0 && test_stat(b.index, "routes") == 22);
    assert_float_equal(test_stat(b.index, "size_mean"), 50, 1e-9);
    assert_true(test_stat(b.index, "root_not_route") == 0);
    assert_true(test_stat(b.index, "misroute_rate") < .05);
    for (uint32_t cid = 0; cid < 22; cid += 2)
        exchange(&b, cid, cid + 1);
    book_check(&b);
    expect_told(&b, 22, 1100);
    assert_true(test_stat(b.index, "root_not_route") == 22);
    assert_true(test_stat(b.index, "misroute_rate") > .5);
    book_close(&b);
}

/* A delta has chunks of 16, 32 and 64 rows, so it is no larger than for 112 vectors. */
static void test_attributes_are_no_vectors(void **state)
{
    struct book b;
    struct memory_use use;

    book_begin(&b, build_params(), INDEX_F32, DIM, ROWS, 1);
    b.bench.env.n_attributes = 40;
    assert_ok(channi_ops.create(&b.index, &b.bench.env, &b.params), &b.bench.error);
    book_fill(&b, 0, 100, 30, .2);
    assert_ok(book_insert(&b, 0, 100), &b.bench.error);
    assert_null(layout_of(&b)->routes);
    assert_ok(channi_ops.memory(b.index, &use), &b.bench.error);
    assert_in_range(use.vectors, 100 * b.row_bytes, 113 * b.row_bytes);
    book_close(&b);
}

int main(void)
{
    return test_run_all("channi_stats", test_sizes, test_stats, test_attributes_are_no_vectors);
}
