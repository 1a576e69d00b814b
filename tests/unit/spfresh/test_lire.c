/* test_lire.c - the vectors that a split moves: each of the two conditions alone, both against
 * brute force, and their effect while the data drift. */
#include "tests/unit/spfresh/lire.h"

static struct spfresh_params one_copy(size_t limit)
{
    struct spfresh_params params = book_defaults(&spfresh_ops, "replicas=1,merge=false");

    params.posting_entries = (int64_t)limit;
    return params;
}

static void put_2d(struct book *b, size_t i, double x, double y)
{
    float *row = book_row(b, i);

    row[0] = (float)x;
    row[1] = (float)y;
}

/* ------------------------------------------------------------------- one vector each in a plane */

enum { OLD, B, LIMIT = 8, LONE = 0, FIRST = 1, N_OLD = 9, N = 13 };

/* Nine vectors in the posting of the origin, above and below it; three under (10, 0), inserted with
   them. The ninth insert splits the posting. */
static void two_groups(struct book *b, double x, double y)
{
    for (size_t i = 0; i < N_OLD; i++)
        put_2d(b, FIRST + i, .1 * (double)(i % 3) - .1, (i % 2 ? 6 : -6) + .05 * (double)i);
    for (size_t i = FIRST + N_OLD; i < N; i++)
        put_2d(b, i, 10, .1 * (double)i - 1);
    put_2d(b, LONE, x, y);
}

/* Expects that LONE moved, or that no vector did, and whether LONE is in B's posting. */
static void expect_lone_mover(struct book *b, bool moves, bool to_b)
{
    book_check(b);
    assert_true(COUNT(b, splits) == 1);
    assert_true(COUNT(b, reassign_done) == moves);
    for (size_t i = 0; i < N; i++)
        assert_int_equal(lire_version(b, i), moves && i == LONE);
    assert_int_equal(lire_is_in(b, B, LONE), to_b);
    for (size_t i = FIRST + N_OLD; i < N; i++)
        assert_true(lire_is_in(b, B, i));
    book_all_found(b);
}

static void in_a_plane(struct book *b, struct spfresh_params params)
{
    static const float heads[] = { 0, 0, 10, 0 };

    book_open(b, &spfresh_ops, params, INDEX_F32, 2, N, 1);
    lire_heads(b, heads, 2);
}

/* LONE is at (4.5, .3): nearer to the origin than to (10, 0), but nearer to (10, 0) than to the new
   heads of the halves. */
static void first_condition(void **state)
{
    for (int on = 0; on < 2; on++) {
        struct spfresh_params params = one_copy(LIMIT);
        struct book b;

        params.condition1 = on;
        in_a_plane(&b, params);
        two_groups(&b, 4.5, .3);
        assert_ok(book_insert(&b, 0, N), &b.bench.error);
        expect_lone_mover(&b, on, on);
        book_close(&b);
    }
}

/* LONE is at (5.2, 5): nearer to (10, 0) than to the origin, and nearest to the upper
   half's head. */
static void second_condition(void **state)
{
    for (int on = 0; on < 3; on++) {
        struct spfresh_params params = one_copy(LIMIT);
        struct book b;

        params.condition2 = on > 0;
        params.reassign_heads = on == 1 ? 0 : 64;
        in_a_plane(&b, params);
        two_groups(&b, 5.2, 5);
        assert_ok(book_insert(&b, 0, N), &b.bench.error);
        expect_lone_mover(&b, on == 2, on != 2);
        book_close(&b);
    }
}

/* ------------------------------------------------------------------------------- brute force */

/* All heads are scanned, so every vector whose nearest head changes is a candidate, and no
   vector violates NPA. */
static void nobody_is_forgotten(void **state)
{
    for (int i = 0; i < 4; i++) {
        struct spfresh_params params = one_copy(16);
        struct book b;

        params.reassign_heads = params.assign_heads = 4096;
        book_open(&b, &spfresh_ops, params, i / 2 ? INDEX_U8 : INDEX_F32, 6, 1200, 1);
        book_start(&b, i == 3 ? 0 : 12, .4, 100);
        for (size_t at = 100; at < 1200; at += 20) {
            assert_ok(book_insert(&b, at, 20), &b.bench.error);
            assert_true(lire_npa_violations(&b) == 0);
        }
        assert_true(COUNT(&b, splits) > 20);
        assert_true(COUNT(&b, reassign_done) > 20);
        assert_true(COUNT(&b, same_head) > 0);
        book_close(&b);
    }
}

/* ------------------------------------------------------------------------------- drift */

/* The share of NPA violations after the clusters have repeatedly moved by their own width. */
static double violations_after_drift(bool reassign, int64_t replicas)
{
    enum { ROWS = 6000, DIMENSIONS = 12 };
    struct spfresh_params params = one_copy(24);
    struct book b;

    params.replicas = replicas;
    params.condition1 = params.condition2 = reassign;
    book_open(&b, &spfresh_ops, params, INDEX_F32, DIMENSIONS, ROWS, 1);
    for (size_t i = 0; i < ROWS; i++) {
        float *row = book_row(&b, i);
        const size_t cluster = rng_below(&b.rng, 10);

        for (size_t j = 0; j < DIMENSIONS; j++)
            row[j] = (float)(2 * sin((double)(cluster * 7 + j) + 4. * (double)i / ROWS) +
                             .5 * rng_normal(&b.rng));
    }
    assert_ok(book_insert(&b, 0, 1000), &b.bench.error);
    for (size_t i = 1000; i < ROWS; i += 50)
        assert_ok(book_insert(&b, i, 50), &b.bench.error);
    const double violations = lire_npa_violations(&b);
    book_close(&b);
    return violations;
}

static void drift(void **state)
{
    for (int64_t replicas = 1; replicas <= 4; replicas += 3) {
        const double on = violations_after_drift(true, replicas);
        const double off = violations_after_drift(false, replicas);

        print_message("%d copies: NPA violations with reassignment %.4f, without %.4f\n",
                      (int)replicas, on, off);
        assert_true(on <= .02);
        assert_true(off > 3 * on);
    }
}

int main(void)
{
    return test_run_all("spfresh_lire", first_condition, second_condition, nobody_is_forgotten,
                        drift);
}
