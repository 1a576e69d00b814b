/* test_versions.c - vectors that move until their slots' versions are used up, moves that fail
 * half-way, and vacuums. */
#include "tests/unit/spfresh/lire.h"

/* Adds a head nearer to the vector than the last one, and runs the job that moves it there. */
static void move_nearer(struct book *b, uint32_t i)
{
    const float nearer[] = { (float)(100 - .3 * i), 0 };
    const uint32_t slot = lire_slot(b, 0);
    bool more;

    lire_head(b, nearer, i);
    spfresh_queue(book_index(b),
                  (struct spfresh_job){ .kind = SPFRESH_JOB_REASSIGN,
                                        .what = slot,
                                        .version = spfresh_version(book_index(b), slot),
                                        .from = i - 1 });
    spfresh_do_jobs(book_index(b), 0, &more);
    assert_true(lire_is_in(b, i, 0) && !lire_is_in(b, i - 1, 0));
    book_check(b);
    book_all_found(b);
}

/* New heads are ever nearer to one vector, which moves to each. */
static void moved_again_and_again(void **state)
{
    enum { MOVES = 200 };

    for (int64_t bits = 0; bits < 2; bits++) {
        const float far[] = { 100, 0 };
        struct spfresh_params params = book_defaults(&spfresh_ops, "replicas=1,merge=false");
        struct book b;

        params.version_bits = bits;
        book_open(&b, &spfresh_ops, params, INDEX_F32, 2, 4, 1);
        lire_heads(&b, far, 1);
        assert_ok(book_insert(&b, 0, 1), &b.bench.error);
        const uint32_t first = lire_slot(&b, 0);
        for (uint32_t i = 1; i <= MOVES; i++)
            move_nearer(&b, i);
        assert_true(COUNT(&b, reassign_done) == MOVES);
        assert_int_equal(lire_slot(&b, 0) != first, bits == 0);
        epoch_drain(book_index(&b)->epoch);
        assert_int_equal(book_index(&b)->slots.exhausted, bits == 0);
        assert_ok(spfresh_vacuum(book_index(&b)), &b.bench.error);
        epoch_drain(book_index(&b)->epoch);
        assert_int_equal(book_index(&b)->slots.exhausted, 0);
        book_check(&b);
        if (bits == 0) { /* its first slot is reused, from version 0 on */
            assert_ok(book_insert(&b, 1, 1), &b.bench.error);
            assert_int_equal(lire_slot(&b, 1), first);
            book_check(&b);
        }
        book_close(&b);
    }
}

/* Entries left by a move that failed half-way are never answers for the slot's next vector. */
static void half_a_move(void **state)
{
    struct book b;
    const float heads[] = { 0, 0, 9, 0 };

    book_open(&b, &spfresh_ops, book_defaults(&spfresh_ops, "replicas=1"), INDEX_F32, 2, 2, 1);
    lire_heads(&b, heads, 2);
    ((float *)(void *)book_row(&b, 0))[0] = 1;
    ((float *)(void *)book_row(&b, 1))[0] = 8;
    assert_ok(book_insert(&b, 0, 1), &b.bench.error);
    uint32_t slot = lire_slot(&b, 0);
    uint16_t version = (uint16_t)(lire_version(&b, 0) + 1);
    const struct spfresh_members coming = { &slot,       &version, book_row(&b, 0), 1, 1,
                                            b.row_bytes, NULL };
    assert_ok(spfresh_append(book_index(&b), 0, &coming), &b.bench.error);
    assert_ok(book_remove(&b, 0), &b.bench.error);
    epoch_drain(book_index(&b)->epoch);
    assert_ok(book_insert(&b, 1, 1), &b.bench.error);
    assert_int_equal(lire_slot(&b, 1), slot);
    assert_true(book_recall(&b, book_row(&b, 0), 1, 2) == 1);
    book_check_and_close(&b);
}

/* Maintenance vacuums when deletions have exhausted many slots. */
static void vacuums(void **state)
{
    struct book b;
    struct spfresh_params params = book_defaults(&spfresh_ops, "");

    params.version_bits = 0;
    book_open(&b, &spfresh_ops, params, INDEX_F32, 4, 20000, 1);
    book_start(&b, 5, .5, 40);
    for (size_t i = 40; i < 20000; i += 40) {
        for (size_t j = 0; j < 40; j++)
            assert_ok(book_remove(&b, i - 40 + j), &b.bench.error);
        assert_ok(book_insert(&b, i, 40), &b.bench.error);
        if (i % 2000 == 0) {
            book_check(&b);
            book_exact(&b);
        }
    }
    assert_true(COUNT(&b, sweeps) > 0);
    assert_true(book_index(&b)->slots.n < 400);
    book_close(&b);
}

int main(void)
{
    return test_run_all("spfresh_versions", moved_again_and_again, half_a_move, vacuums);
}
