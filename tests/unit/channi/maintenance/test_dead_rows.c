/* test_dead_rows.c - deleted rows do not stay for ever: before the build, and once no past version
 * can be searched that saw them. */
#include "tests/unit/channi/maintenance/maintenance.h"

/* --------------------------------------------------------------------------- before the build */

/* Moves a window of 100 rows over the data, from round `first` to `end`. */
static void slide(struct book *b, size_t first, size_t end)
{
    for (size_t i = first; i < end; i++) {
        assert_ok(book_insert(b, 100 + 50 * i, 50), &b->bench.error);
        book_remove_run(b, 50 * i, 50);
        assert_true(test_stat(b->index, "dead_rows") <= 1000);
    }
}

/* As many rows as the build waits for, but most of them deleted: every search would read them. */
static void test_turnover_before_the_build(void **state)
{
    for (int64_t history = 0; history < 8; history += 4) {
        struct channi_params p = book_with(fifty(), "expected_n=1000");
        struct book b;

        p.history = history;
        book_open(&b, p, INDEX_F32, 8, 6000, 1);
        book_start(&b, 8, 0.3, 100);
        slide(&b, 0, 10);
        assert_null(layout_of(&b)->routes);
        slide(&b, 10, 100);
        book_end(&b, 10);
    }
}

/* Rows that were inserted only to be deleted do not start a build of the few that stay, as long as
   they are fewer. */
static void test_few_deletions_before_the_build(void **state)
{
    struct book b;

    book_open(&b, book_with(fifty(), "expected_n=1000"), INDEX_F32, 8, 1200, 1);

    book_start(&b, 8, 0.3, 700);
    book_remove_run(&b, 0, 300);
    assert_ok(book_insert(&b, 700, 300), &b.bench.error);
    assert_null(layout_of(&b)->routes);
    assert_ok(book_insert(&b, 1000, 100), &b.bench.error);
    assert_non_null(layout_of(&b)->routes);
    book_check_and_close(&b);
}

/* ------------------------------------------------------------------------------ past versions */

/* Deletes every second row, and searches the version before. */
static void halve(struct book *b, bool *before)
{
    uint64_t ids[400];
    size_t n = 0;

    memcpy(before, b->stored, b->capacity * sizeof *before);
    for (size_t i = 0; i < 800; i += 2)
        ids[n++] = i;
    assert_ok(book_remove_some(b, ids, n), &b->bench.error);
    assert_true(test_stat(b->index, "dead_rows") == (double)n);
    for (size_t i = 0; i < 5; i++)
        book_expect_at(b, book_version(b) - 1, before, book_row(b, 2 * i), 10);
}

/* No cluster has more deleted rows than are worth a rewrite: 16, or a share of its file. */
static void expect_few_dead(const struct book *b)
{
    const struct channi_layout *l = layout_of(b);

    for (uint32_t cid = 0; cid < l->n_clusters; cid++) {
        const uint32_t dead = l->clusters[cid] ? atomic_load(&l->clusters[cid]->n_dead) : 0;

        if (dead >= 16)
            assert_true(dead <= book_channi(b)->compact_share * l->clusters[cid]->base_n);
    }
}

/* Files were written anew at once and kept the deleted rows for the past versions. When these are
   gone, so are the rows. */
static void test_past_versions(void **state)
{
    const enum channi_inside kinds[] = { INSIDE_GRAPH, INSIDE_SCAN };

    for (size_t kind = 0; kind < 2; kind++) {
        struct channi_params p = book_with(fifty(), "history=5");
        bool before[840];
        struct book b;

        p.cluster_index = kinds[kind];
        book_open(&b, p, INDEX_F32, 8, 840, 1);
        book_start(&b, 8, 0.3, 800);
        halve(&b, before);
        work_off(&b, 0);
        assert_true(test_stat(b.index, "dead_rows") == 400);
        const uint64_t version = book_version(&b) - 1;
        for (size_t i = 0; i < 4; i++)
            assert_ok(book_insert(&b, 800 + i, 1), &b.bench.error);
        work_off(&b, 0);
        book_expect_at(&b, version, before, book_row(&b, 0), 10);
        assert_ok(book_insert(&b, 804, 1), &b.bench.error);
        work_off(&b, 0);
        expect_few_dead(&b);
        book_end(&b, 10);
    }
}

int main(void)
{
    return test_run_all("channi_dead_rows", test_turnover_before_the_build,
                        test_few_deletions_before_the_build, test_past_versions);
}
