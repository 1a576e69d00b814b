/* test_split.c - the plan of a split: validity, groups, primaries, the successor. */
#include "tests/unit/channi/maintenance/crowd.h"

/* --------------------------------------------------------------------------------- validity */

static void random_crowd(uint64_t turn)
{
    struct rng r = rng_at(test_seed(), turn);
    struct channi_params p = hundred();
    const size_t n = 20 + (size_t)rng_below(&r, 900), dim = 1 + (size_t)rng_below(&r, 40);
    const size_t distinct = rng_below(&r, 4) == 0 ? 1 + rng_below(&r, 10) : n;
    struct crowd c;

    p.split_count = (int64_t)rng_below(&r, 4);
    p.parts = rng_below(&r, 2) ? 2 + (int64_t)rng_below(&r, 4) : 0;
    p.ood = rng_below(&r, 4) > 0;
    p.ood_cap = rng_below(&r, 2) ? 7 : 0;
    p.ood_sigma = rng_unit(&r) * 3;
    p.assign_to_centroid = rng_below(&r, 3) == 0;
    crowd_open(&c, p, rng_below(&r, 2) ? INDEX_U8 : INDEX_F32, dim, n);
    book_fill(&c.b, 0, n, rng_below(&r, 6), rng_unit(&r));
    for (size_t i = distinct; i < n; i++)
        memcpy(book_row(&c.b, i), book_row(&c.b, i % distinct), c.b.row_bytes);
    for (size_t i = rng_below(&r, 30); i > 0; i--)
        crowd_kill(&c, (size_t)rng_below(&r, n));
    expect_plan(&c, turn);
    const size_t parts = c.plan.n_parts;
    uint32_t *of = parts > 0 ? parts_of(&c) : NULL;
    assert_ok(crowd_plan(&c, turn), &c.b.bench.error);
    assert_int_equal(c.plan.n_parts, parts);
    uint32_t *again = parts > 0 ? parts_of(&c) : NULL;
    if (parts > 0)
        assert_memory_equal(of, again, n * sizeof *of);
    free(of);
    free(again);
    crowd_close(&c);
}

static void test_sound(void **state)
{
    for (uint64_t turn = 0; turn < 300; turn++)
        random_crowd(turn);
}

/* ----------------------------------------------------------------------------------- groups */

/* Four tight groups, near one another in pairs: each pair becomes one part. */
static void test_near_groups_are_merged(void **state)
{
    for (uint64_t seed = 0; seed < 10; seed++) {
        struct crowd c;

        crowd_open(&c, book_with(hundred(), "ood=false,parts=2"), INDEX_F32, 2, 400);
        for (size_t i = 0; i < 400; i++) {
            float *row = book_row(&c.b, i);
            row[0] = (float)(i % 4 / 2 * 100 + 0.1 * rng_normal(&c.b.rng));
            row[1] = (float)(i % 2 * 10 + 0.1 * rng_normal(&c.b.rng));
        }
        expect_plan(&c, seed);
        assert_int_equal(c.plan.n_parts, 2);
        uint32_t *of = parts_of(&c);
        for (size_t i = 0; i < 400; i++)
            assert_int_equal(of[i] == of[0], i % 4 / 2 == 0);
        free(of);
        /* The successor's root is on the side of the old root. */
        const size_t successor = c.plan.parts[0].successor_of == 0 ? 0 : 1;
        assert_int_equal(c.plan.parts[successor].root % 4 / 2, 0);
        crowd_close(&c);
    }
}

static void test_parts_wanted(void **state)
{
    const struct {
        size_t n;
        int64_t parts, split_count;
        size_t least, most;
    } cases[] = {
        { 160, 0, SPLIT_LN, 2, 2 }, { 420, 0, SPLIT_LN, 2, 3 }, { 900, 5, SPLIT_LOG2, 4, 5 },
        { 900, 5, SPLIT_3, 2, 3 },  { 900, 5, SPLIT_2, 2, 2 },
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct channi_params p = book_with(hundred(), "ood=false");
        struct crowd c;

        p.parts = cases[i].parts;
        p.split_count = cases[i].split_count;
        crowd_open(&c, p, INDEX_F32, 6, cases[i].n);
        book_fill(&c.b, 0, cases[i].n, 0, 1);
        expect_plan(&c, i);
        assert_in_range(c.plan.n_parts, cases[i].least, cases[i].most);
        crowd_close(&c);
    }
}

/* -------------------------------------------------------------------------------- equal rows */

static void test_equal_rows(void **state)
{
    /* of 500 rows, which are one point, and what becomes of them */
    const struct {
        size_t equal;
        bool ood;
        size_t least, most;
    } cases[] = {
        { 500, true, 0, 0 },  { 500, false, 0, 0 }, { 497, false, 0, 0 },
        { 440, true, 1, 64 }, { 300, false, 2, 3 }, { 2, true, 2, 64 },
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct channi_params p = hundred();
        struct crowd c;

        p.ood = cases[i].ood;
        crowd_open(&c, p, i % 2 ? INDEX_U8 : INDEX_F32, 9, 500);
        book_fill(&c.b, 0, 500, 0, 1);
        for (size_t j = 1; j < cases[i].equal; j++)
            memcpy(book_row(&c.b, j), book_row(&c.b, 0), c.b.row_bytes);
        expect_plan(&c, i);
        assert_in_range(c.plan.n_parts, cases[i].least, cases[i].most);
        crowd_close(&c);
    }
}

/* Two points with many copies each: neither is divided. */
static void test_two_points(void **state)
{
    struct crowd c;

    crowd_open(&c, hundred(), INDEX_F32, 3, 450);
    for (size_t i = 0; i < 450; i++)
        ((float *)book_row(&c.b, i))[1] = i % 3 == 0;
    expect_plan(&c, 1);
    assert_int_equal(c.plan.n_parts, 2);
    uint32_t *of = parts_of(&c);
    for (size_t i = 0; i < 450; i++)
        assert_int_equal(of[i], of[i % 3 == 0 ? 0 : 1]);
    free(of);
    crowd_close(&c);
}

int main(void)
{
    return test_run_all("channi_split", test_sound, test_near_groups_are_merged, test_parts_wanted,
                        test_equal_rows, test_two_points);
}
