/* test_drift.c - maintenance with drifting rows, and with rows of another place. */
#include "tests/unit/channi/maintenance/maintenance.h"

/* ---------------------------------------------------------------------------------- drift */

/* Drifting data: each generation's rows are a step further on, and the oldest are deleted. */
static void test_slow_drift(void **state)
{
    enum { GENERATIONS = 50, ROWS = 250, ALIVE = 4 };
    struct book b;
    float centres[8][8], way[8][8];

    book_open(&b, twenty(), INDEX_F32, 8, GENERATIONS * ROWS, 1);
    for (size_t i = 0; i < 64; i++) {
        centres[i / 8][i % 8] = (float)(2 * rng_normal(&b.rng));
        way[i / 8][i % 8] = (float)(0.06 * rng_normal(&b.rng));
    }
    for (size_t g = 0; g < GENERATIONS; g++) {
        for (size_t i = g * ROWS; i < (g + 1) * ROWS; i++)
            for (size_t j = 0; j < 8; j++)
                ((float *)book_row(&b, i))[j] = centres[i % 8][j] + (float)g * way[i % 8][j] +
                                                (float)(0.3 * rng_normal(&b.rng));
        assert_ok(book_insert(&b, g * ROWS, ROWS), &b.bench.error);
        if (g >= ALIVE)
            book_remove_run(&b, (g - ALIVE) * ROWS, ROWS);
        if (g % 5 == 4)
            book_check(&b);
    }
    const double drift = test_stat(b.index, "drift_mean") / test_stat(b.index, "radius_mean"),
                 misrouted = test_stat(b.index, "misroute_rate");
    book_expect(&b, 20, 10);
    struct channi_knobs knobs = book_knobs();
    knobs.nprobe = 3;
    print_message(
        "drift %.2f of the mean distance, %.4f misrouted; recall with 3 of %zu clusters: %.4f\n",
        drift, misrouted, clusters_of(&b), book_recall(&b, 300, 10, &knobs));
    assert_true(book_counter(&b, splits) > 10 && book_counter(&b, merges) > 10 &&
                book_counter(&b, reroutes) > 0);
    assert_true(drift < 1 && misrouted < .3);
    book_close(&b);
}

/* All rows of one cluster but `stay` are replaced by rows of another place, too few to split it by size.
   Afterwards no cluster's site is far from its rows, and a search with nprobe 1 finds the new ones. */
static void expect_new_place(size_t stay)
{
    enum { N = 60, DIM = 16 };
    struct channi_params p = book_with(fifty(), "target_cluster=60,defer_fraction=1");
    struct channi_knobs knobs = book_knobs();
    struct book b;

    p.expected_n = N;
    book_open(&b, p, INDEX_F32, DIM, 2 * N, 1);
    for (size_t i = 0; i < 2 * N; i++)
        for (size_t j = 0; j < DIM; j++)
            ((float *)book_row(&b, i))[j] = (float)rng_normal(&b.rng) + (i < N ? 0 : 20);
    assert_ok(book_insert(&b, 0, N), &b.bench.error);
    assert_int_equal(clusters_of(&b), 1);
    assert_ok(book_insert(&b, N, N - stay), &b.bench.error);
    book_remove_run(&b, 0, N - stay);
    work_off(&b, 0);
    book_check(&b);
    for (uint32_t i = 0; i < layout_of(&b)->n_clusters; i++)
        if (layout_of(&b)->clusters[i])
            assert_int_equal(channi_shape_of(layout_of(&b)->clusters[i]), SHAPE_USUAL);
    assert_int_equal(clusters_of(&b), stay > 0 ? 2 : 1);
    knobs.nprobe = 1;
    assert_true(book_recall(&b, 20, 10, &knobs) > .99);
    book_close(&b);
}

/* A cluster whose rows lay apart and were all deleted has nothing to split, also with merge_min 0. */
static void test_empty_is_not_split(void **state)
{
    struct channi_params p =
        book_with(fifty(), "target_cluster=7,expected_n=60,maintenance=explicit");
    struct book b;

    book_open(&b, p, INDEX_F32, 4, 60, 1);

    book_start(&b, 4, .1, 60);
    assert_int_equal(book_channi(&b)->merge_min, 0);
    struct channi_cluster *cl = (struct channi_cluster *)(uintptr_t)cluster_of(&b, 0);
    atomic_store(&cl->shape, SHAPE_APART);
    assert_int_equal(channi_needs(book_channi(&b), cl), JOB_SPLIT);
    book_remove_run(&b, 0, 60);
    assert_true(channi_needs(book_channi(&b), cl) != JOB_SPLIT);
    work_off(&b, 0);
    book_check_and_close(&b);
}

static void test_new_place(void **state)
{
    expect_new_place(0);
    expect_new_place(30);
    expect_new_place(15);
}

/* Unit vectors: places that no distance tells apart as far. One row in twenty of A is replaced by one of
   B in one commit. Then searches for B with few clusters find them, and no row of A is missed for it. Half
   of the rest leaves at random: clusters become fewer. */
static void test_other_model(void **state)
{
    enum { N = 2000, MOVED = N / 20, DIM = 64, QUERIES = 50 };
    struct channi_params p = fifty();
    struct channi_knobs knobs = book_knobs();
    struct book b;
    float direction[2][DIM];
    size_t right = 0;
    (void)state;

    p.expected_n = N;
    book_open(&b, p, INDEX_F32, DIM, N + MOVED + QUERIES, 1);
    for (size_t i = 0; i < 2 * DIM; i++)
        direction[i / DIM][i % DIM] = (float)rng_normal(&b.rng) * 1.2f;
    for (size_t i = 0; i < b.capacity; i++)
        for (size_t j = 0; j < DIM; j++)
            ((float *)book_row(&b, i))[j] = direction[i >= N][j] + (float)rng_normal(&b.rng);
    test_normalise_f32((float *)book_row(&b, 0), b.capacity, DIM);
    assert_ok(book_insert(&b, 0, N), &b.bench.error);
    const size_t before = clusters_of(&b);
    book_remove_run(&b, 0, MOVED);
    assert_ok(book_insert(&b, N, MOVED), &b.bench.error);
    work_off(&b, 0);
    book_check(&b);
    knobs.nprobe = 3;
    for (size_t i = 0; i < QUERIES; i++) {
        const void *row = book_row(&b, N + MOVED + i);
        struct book_answer a;

        assert_ok(book_search_at(&b, BOOK_NEWEST, row, 10, &knobs, &a), &b.bench.error);
        right += book_right(&b, b.stored, row, &a);
    }
    print_message("recall of the other model %.4f\n", (double)right / (10 * QUERIES));
    assert_true(right >= 10 * QUERIES * 98 / 100);
    assert_true(clusters_of(&b) <= before + 3);
    book_remove_run(&b, MOVED, N * 6 / 10);
    work_off(&b, 0);
    book_check(&b);
    print_message("%zu clusters, %zu before\n", clusters_of(&b), before);
    assert_true(clusters_of(&b) <= before * 7 / 10);
    book_close(&b);
}

int main(void)
{
    return test_run_all("channi_drift", test_slow_drift, test_new_place, test_other_model,
                        test_empty_is_not_split);
}
