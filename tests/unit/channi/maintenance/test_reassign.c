/* test_reassign.c - after splits, rows of near clusters go to the nearest root: fewer are
 * misassigned, and a row goes where an insertion would put it. */
#include "algorithms/channi/index.h"
#include "algorithms/channi/maintenance/maintenance.h"
#include "algorithms/channi/rewrite/replace.h"
#include "algorithms/channi/search/route.h"
#include "tests/unit/channi/maintenance/maintenance.h"

enum { FIRST = 200, ROWS = 1600, STEP = 100 };

static struct channi_params settling(int64_t neighbours)
{
    struct channi_params p =
        book_defaults("target_cluster=20,split_max=60,merge_min=3,cache_mb=64");

    p.expected_n = FIRST;
    p.reassign_clusters = neighbours;
    return p;
}

/* The first rows are elsewhere than the later ones. */
static void open_book(struct book *b, struct channi_params p, enum element element)
{
    book_open(b, p, element, 8, ROWS, 1);
    book_fill(b, 0, FIRST, 3, 0.3);
    book_fill(b, FIRST, ROWS - FIRST, 12, 0.8);
    assert_ok(book_insert(b, 0, FIRST), &b->bench.error);
    assert_non_null(layout_of(b)->routes);
}

static void test_fewer_are_astray(void **state)
{
    for (int u8 = 0; u8 < 2; u8++) {
        double share[2];

        for (int on = 0; on < 2; on++) {
            struct book b;

            open_book(&b, book_with(settling(on ? 6 : 0), "ood=false"), u8 ? INDEX_U8 : INDEX_F32);
            for (size_t at = FIRST; at < ROWS; at += STEP) {
                assert_ok(book_insert(&b, at, STEP), &b.bench.error);
                book_check(&b);
                book_expect(&b, 5, 10);
            }
            assert_true(book_counter(&b, splits) > 5);
            assert_int_equal(book_counter(&b, reassigned) > 0, on);
            share[on] = test_stat(b.index, "misroute_rate");
            book_close(&b);
        }
        if (share[1] >= 0.7 * share[0])
            print_error("astray: %.3f without, %.3f with\n", share[0], share[1]);
        assert_true(share[1] < 0.7 * share[0]);
    }
}

/* Rows of these clusters that an insertion would put into another of them that has space. */
static size_t misplaced(const struct book *b, const uint32_t *cids, size_t n)
{
    const size_t nearly_full =
        book_channi(b)->split_max / 10 * 9; /* some left again after it was full */
    size_t rows = 0;
    double cost = 0;

    for (size_t i = 0; i < b->capacity; i++) {
        float least = INFINITY, own = INFINITY;
        uint32_t best = 0;

        if (!b->stored[i])
            continue;
        for (size_t j = 0; j < n; j++) {
            const float d = channi_assign_distance(book_channi(b), cluster_of(b, cids[j]),
                                                   book_row(b, i), &cost);

            best = d < least ? cids[j] : best;
            least = fminf(least, d);
            own = cid_of(b, i) == cids[j] ? d : own;
        }
        rows +=
            own < INFINITY && least < own && channi_cluster_live(cluster_of(b, best)) < nearly_full;
    }
    return rows;
}

/* Rows go where an insertion would put them: to the nearest by root or route, not by root alone. Old
   routes stay when roots move, so that the two differ. */
static void test_as_an_insertion(void **state)
{
    struct channi_params p = settling(0); /* called directly below */
    struct book b;
    size_t left = 0, moved = 0;

    p.merge_min = 0;
    open_book(&b, p, INDEX_F32);
    for (size_t at = FIRST; at < ROWS; at += STEP)
        assert_ok(book_insert(&b, at, STEP), &b.bench.error);
    book_channi(&b)->params.reassign_clusters = 5;
    for (uint32_t cid = 0; cid < layout_of(&b)->n_clusters; cid++) {
        struct channi_cluster *old[256];
        uint32_t rewritten[256];
        const uint64_t before = book_counter(&b, reassigned);
        size_t n = 0;
        double cost = 0;

        assert_true(layout_of(&b)->n_clusters <= 256);
        memcpy(old, layout_of(&b)->clusters, layout_of(&b)->n_clusters * sizeof(*old));
        assert_ok(channi_reassign(book_channi(&b), &cid, 1, &cost), &b.bench.error);
        for (uint32_t i = 0; i < layout_of(&b)->n_clusters; i++)
            if (cluster_of(&b, i) != old[i])
                rewritten[n++] = i;
        moved += book_counter(&b, reassigned) - before;
        left += misplaced(&b, rewritten, n);
    }
    if (moved <= 100 || left > moved / 10) /* those left are roots */
        print_error("%zu rows moved, %zu are left\n", moved, left);
    assert_true(moved > 100 && left <= moved / 10);
    book_check_and_close(&b);
}

/* Taken latches are not waited for. */
static void test_latches_that_are_taken(void **state)
{
    struct book b;
    struct channi_taken w;
    double cost = 0;
    uint32_t cid = 0;

    open_book(&b, settling(0), INDEX_F32);
    for (size_t at = FIRST; at < ROWS; at += STEP)
        assert_ok(book_insert(&b, at, STEP), &b.bench.error);
    while (!cluster_of(&b, cid) || cluster_of(&b, cid)->kind != CLUSTER_NORMAL)
        cid++;
    assert_true(channi_take(book_channi(&b), &cid, 1, &w));
    book_channi(&b)->params.reassign_clusters = 5;
    assert_ok(channi_reassign(book_channi(&b), &cid, 1, &cost), &b.bench.error);
    assert_int_equal(book_counter(&b, reassigned), 0);
    channi_give(book_channi(&b), &w);
    assert_ok(channi_reassign(book_channi(&b), &cid, 1, &cost), &b.bench.error);
    assert_true(book_counter(&b, reassigned) > 0);
    book_check_and_close(&b);
}

int main(void)
{
    return test_run_all("channi's settling", test_fewer_are_astray, test_as_an_insertion,
                        test_latches_that_are_taken);
}
