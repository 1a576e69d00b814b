/* test_catch_up.c - rows that are inserted and deleted while clusters are replaced are caught up:
 * every id stays in one place, and goes to the nearest root. That readers keep their views is
 * contract/test_versions. */
#include "tests/unit/channi/maintenance/replace.h"

/* ------------------------------------------------------------------------------- catch-up */

static size_t between_from; /* the first row that is inserted meanwhile */

/* Inserts some rows, deletes some, deletes one of the new ones, and deletes and reinserts one. */
static void traffic(struct book *b)
{
    const size_t first = between_from;

    assert_ok(book_insert(b, first, 25), &b->bench.error);
    for (size_t i = 0; i < 30; i++)
        assert_ok(book_remove(b, book_any(b)), &b->bench.error);
    if (b->stored[first + 3])
        assert_ok(book_remove(b, first + 3), &b->bench.error);
    const uint64_t id = book_any(b);
    assert_ok(book_remove(b, id), &b->bench.error);
    assert_ok(book_insert(b, id, 1), &b->bench.error);
    between_from += 25;
}

static void carry_over(int64_t history, enum channi_inside inside)
{
    struct channi_params params = book_defaults("eps0=12");
    struct book b;
    struct plan plan = { .between = traffic };

    params.history = history;
    params.cluster_index = inside;
    open_built(&b, params, INDEX_U8, 400);
    between_from = 400;
    for (size_t round = 0; round < 7; round++) {
        plan.n = 1 + round % 3;
        plan.n_parts = 1 + round % 4;
        plan.successor = round % 2 == 0;
        plan.seed = test_seed() + round;
        largest(&b, plan.cids, plan.n);
        assert_ok(replace(&b, &plan), &b.bench.error);
        book_check(&b);
        book_expect(&b, 10, 10);
    }
    assert_true(book_counter(&b, caught_up) > 0);
    book_close(&b);
}

static void test_carry_over(void **state)
{
    carry_over(0, INSIDE_GRAPH);
    carry_over(0, INSIDE_CODES);
    carry_over(50, INSIDE_SCAN);
    carry_over(3, INSIDE_GRAPH);
}

/* A row that is caught up goes to the new cluster with the nearest root. */
static void one_more(struct book *b)
{
    assert_ok(book_insert(b, between_from, 1), &b->bench.error);
}

static void test_carried_to_the_nearest(void **state)
{
    struct book b;
    size_t tried = 0;

    open_built(&b, book_defaults(""), INDEX_F32, 400);
    for (between_from = 400; between_from < 440; between_from++) {
        struct plan plan = { .n_parts = 3,
                             .seed = test_seed() + between_from,
                             .between = one_more };
        struct channi_place place;
        const uint64_t carried = book_counter(&b, caught_up);

        plan.n = clusters_of(&b) < 4 ? clusters_of(&b) : 4;
        largest(&b, plan.cids, plan.n);
        assert_ok(replace(&b, &plan), &b.bench.error);
        if (book_counter(&b, caught_up) == carried)
            continue; /* it was in another cluster */
        assert_true(channi_place_of(book_channi(&b), between_from, &place));
        const double here =
            book_distance(&b, book_row(&b, between_from), cluster_of(&b, place.cid)->site);
        for (uint32_t r = layout_of(&b)->routes->n - 3; r < layout_of(&b)->routes->n; r++)
            assert_true(here <= book_distance(&b, book_row(&b, between_from),
                                              segmented_at(&book_channi(&b)->route_rows, r)) +
                                    1e-5);
        tried++;
    }
    assert_true(tried > 5);
    book_check_and_close(&b);
}

int main(void)
{
    return test_run_all("channi_carry", test_carry_over, test_carried_to_the_nearest);
}
