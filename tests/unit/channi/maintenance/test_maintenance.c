/* test_maintenance.c - splits, merges and compactions one after another in one thread, and their
 * effect on routes, roots and files. */
#include "algorithms/channi/maintenance/maintenance.h"
#include "algorithms/channi/options.h"
#include "algorithms/channi/versions/cluster.h"
#include "tests/unit/channi/maintenance/maintenance.h"

/* ------------------------------------------------------------------------------- one split */

/* Inserts rows around the centre of one cluster until it is past its limit. Returns its cid. */
static uint32_t overfill(struct book *b, size_t first)
{
    const uint32_t cid = cid_of(b, 0);
    const struct channi_cluster *cl = cluster_of(b, cid);
    size_t next = first;

    for (; live_of(cluster_of(b, cid)) <= book_channi(b)->split_max; next++) {
        assert_true(next < b->capacity);
        for (size_t j = 0; j < b->dim; j++)
            ((float *)book_row(b, next))[j] = ((const float *)(const void *)cl->site)[j] +
                                              (float)(0.05 * rng_normal(&b->rng)) +
                                              (float)(next % 2 && j == 0 ? 0.2 : 0);
        assert_ok(book_insert(b, next, 1), &b->bench.error);
    }
    return cid;
}

static void open_explicit(struct book *b, struct channi_params p)
{
    p.maintenance = CHANNI_EXPLICIT;
    book_open(b, p, INDEX_F32, 8, 2000, 1);
    book_fill(b, 0, 400, 8, 0.2);
    assert_ok(book_insert(b, 0, 400), &b->bench.error);
    assert_non_null(layout_of(b)->routes);
}

/* The specification of a split: one old root changes, each new part gets a route, and the old file
   name is kept. */
static void test_a_split(void **state)
{
    struct book b;
    struct before was;
    double cost = 0;
    bool busy;

    struct channi_params p = fifty();
    p.reassign_clusters = 0; /* no other cluster changes */
    open_explicit(&b, p);
    const uint32_t cid = overfill(&b, 400);
    before_take(&was, &b);
    assert_int_equal(channi_needs(book_channi(&b), cluster_of(&b, cid)), JOB_SPLIT);
    assert_ok(channi_split(book_channi(&b), cid, &cost, &busy), &b.bench.error);
    assert_false(busy);
    assert_true(cost > 0);
    assert_int_equal(book_counter(&b, splits), 1);
    const size_t parts = book_counter(&b, split_parts), ood = book_counter(&b, ood_clusters);
    assert_in_range(parts - ood, 2, 3);
    assert_int_equal(layout_of(&b)->routes->n, was.n_routes + parts - 1);
    size_t founded = 0;
    for (uint32_t i = 0; i < layout_of(&b)->n_clusters; i++) {
        const struct channi_cluster *cl = cluster_of(&b, i);
        const bool old = i < was.n_clusters && was.clusters[i].there;

        founded += cl && !old;
        if (!old)
            continue;
        assert_non_null(cl);
        assert_int_equal(cl->base->phash, was.clusters[i].phash);
        assert_true((cl->base->version > was.clusters[i].file) == (i == cid));
        assert_true(has_file(&b, cl->base));
        if (i != cid)
            assert_int_equal(cl->root_id, was.clusters[i].root_id);
    }
    assert_int_equal(founded, parts - 1);
    for (uint32_t i = 0; i < was.n_routes; i++)
        assert_int_equal(layout_of(&b)->routes->cid[i], was.routes[i].cid);
    expect_routes_stay(&was, &b);
    before_free(&was);
    book_end(&b, 20);
}

static void test_a_split_without_reuse(void **state)
{
    struct book b;
    struct before was;
    double cost = 0;
    bool busy;

    open_explicit(&b, book_with(fifty(), "reuse=false"));
    const uint32_t cid = overfill(&b, 400);
    before_take(&was, &b);
    assert_ok(channi_split(book_channi(&b), cid, &cost, &busy), &b.bench.error);
    const size_t parts = book_counter(&b, split_parts);
    assert_int_equal(layout_of(&b)->routes->n, was.n_routes + parts);
    for (uint32_t i = 0; i < was.n_routes; i++)
        assert_int_equal(layout_of(&b)->routes->cid[i],
                         was.routes[i].cid == cid ? CID_NONE : was.routes[i].cid);
    assert_int_equal(cluster_of(&b, cid)->n_routes, 1);
    assert_true(cluster_of(&b, cid)->drift == 0);
    before_free(&was);
    book_end(&b, 20);
}

/* ------------------------------------------------------------------------------- equal rows */

static void test_equal_rows(void **state)
{
    struct book b;

    book_open(&b, book_with(fifty(), "expected_n=100"), INDEX_F32, 6, 1600, 1);
    for (size_t first = 0; first < 1600; first += 20) {
        assert_ok(book_insert(&b, first, 20), &b.bench.error);
        book_check(&b);
    }
    /* The build draws two primaries, both equal; later rows go to one of them. 1600 rows are at
       most six growths by half beyond the limit of 200. */
    assert_int_equal(book_counter(&b, splits), 0);
    assert_in_range(book_counter(&b, refused_splits), 1, 12);
    book_expect(&b, 3, 10);
    work_off(&b, 0);
    assert_in_range(book_counter(&b, refused_splits), 1, 12);
    book_close(&b);
}

/* Ids first .. first + n - 1 are inserted as copies of row 0 (or near it, if `near`), 50 a commit.
   If `replaced` is not 0, each commit is followed by the deletion of 50 ids from `replaced` on. */
static void crowd(struct book *b, size_t first, size_t n, bool near, size_t replaced)
{
    for (size_t i = first; i < first + n; i += 50) {
        for (size_t j = 0; j < 50; j++) {
            float *row = book_row(b, i + j);

            memcpy(row, book_row(b, 0), b->row_bytes);
            for (size_t d = 0; near && d < b->dim; d++)
                row[d] += (float)(0.05 * rng_normal(&b->rng));
        }
        assert_ok(book_insert(b, i, 50), &b->bench.error);
        if (replaced)
            book_remove_run(b, replaced + i - first, 50);
    }
}

static uint32_t largest(const struct book *b)
{
    const struct channi_layout *l = layout_of(b);
    uint32_t most = 0;

    for (uint32_t cid = 0; cid < l->n_clusters; cid++)
        if (l->clusters[cid] && live_of(l->clusters[cid]) > most)
            most = live_of(l->clusters[cid]);
    return most;
}

/* A split was refused for equal rows. When others have replaced them, it is tried again. */
static void test_equal_rows_are_replaced(void **state)
{
    struct book b;

    book_open(&b, fifty(), INDEX_F32, 6, 3500, 1);
    book_fill(&b, 0, 500, 8, 0.2);
    assert_ok(book_insert(&b, 0, 500), &b.bench.error);
    crowd(&b, 500, 1500, false, 0);
    work_off(&b, 0);
    assert_true(book_counter(&b, refused_splits) > 0);
    assert_in_range(largest(&b), 1500, 1700);
    crowd(&b, 2000, 1500, true, 500);
    work_off(&b, 0);
    book_check(&b);
    assert_in_range(largest(&b), 1, book_channi(&b)->split_max);
    book_close(&b);
}

/* --------------------------------------------------------------------------- roots that die */

static void test_roots_die(void **state)
{
    for (int64_t history = 0; history < 20; history += 10) {
        struct channi_params p = fifty();
        struct book b;
        struct before was;
        size_t dead = 0;

        p.history = history;
        p.alias_max = 1024; /* so that every route stays */
        book_open(&b, p, INDEX_F32, 8, 2000, 1);
        book_start(&b, 8, 0.2, 1500);
        before_take(&was, &b);
        for (size_t round = 0; round < 6; round++) {
            for (uint32_t cid = 0; cid < layout_of(&b)->n_clusters; cid++) {
                const struct channi_cluster *cl = cluster_of(&b, cid);

                if (!cl || live_of(cl) == 0)
                    continue;
                assert_true(root_lives(&b, cl));
                assert_ok(book_remove(&b, cl->root_id), &b.bench.error);
                dead++;
                book_check(&b);
            }
            book_expect(&b, 3, 10);
        }
        assert_true(dead > 30);
        assert_true(book_counter(&b, compactions) + book_counter(&b, merges) >= dead / 2);
        expect_routes_stay(&was, &b);
        before_free(&was);
        book_close(&b);
    }
}

int main(void)
{
    return test_run_all("channi_upkeep", test_a_split, test_a_split_without_reuse, test_equal_rows,
                        test_equal_rows_are_replaced, test_roots_die);
}
