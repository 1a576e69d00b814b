/* test_channi_jobs.c - the queue of upkeep: who waits for whom, several threads, a budget, and work that fails. */
#include <errno.h>

#include "algorithms/channi/jobs.h"
#include "tests/unit/test_channi_upkeep.h"

/* ------------------------------------------------------------------------------- threads */

static void test_threads(void **state)
{
    (void)state;
    for (size_t threads = 1; threads <= 4; threads += 3) {
        struct channi_params p = twenty();
        struct book b;

        p.maintenance = CHANNI_EXPLICIT;
        book_open(&b, p, ELEMENT_F32, 8, 4000, threads);
        book_fill(&b, 0, 4000, 16, 0.3);
        assert_ok(book_insert(&b, 0, 100), &b.bench.error);
        assert_ok(book_insert(&b, 100, 900), &b.bench.error);
        for (size_t round = 0; round < 3; round++) {
            assert_ok(book_insert(&b, 1000 + 1000 * round, 1000), &b.bench.error);
            starve_some(&b, 4);
            work_off(&b, 0);
            book_check(&b);
            book_expect(&b, 10, 10);
        }
        assert_true(book_counter(&b, splits) > 10);
        assert_true(book_counter(&b, merges) > 0);
        book_close(&b);
    }
}

/* Takes the next and ends it at once, as one whose clusters are another's. */
static bool take_in_vain(struct channi *c)
{
    struct waiting w;

    if (!channi_jobs_take(c, &w))
        return false;
    channi_jobs_end(c, &w, true, OK, NULL);
    return true;
}

/* Two whose clusters a third has are tried once, however long it takes; again when it has ended. */
static void test_in_vain_once(void **state)
{
    (void)state;
    struct book b;
    struct waiting third;
    struct channi_params p = book_defaults();

    p.maintenance = CHANNI_EXPLICIT;
    p.expected_n = 100;
    book_open(&b, p, ELEMENT_F32, 8, 400, 1);
    book_fill(&b, 0, 400, 8, 0.2);
    assert_ok(book_insert(&b, 0, 100), &b.bench.error);
    assert_ok(book_insert(&b, 100, 300), &b.bench.error);
    struct channi *c = book_channi(&b);
    const size_t queued = channi_queued(c);
    assert_true(queued > 3);
    assert_true(channi_jobs_take(c, &third));
    for (size_t i = 1; i < queued; i++)
        assert_true(take_in_vain(c));
    assert_false(take_in_vain(c));
    assert_int_equal(book_counter(&b, requeued), queued - 1);
    channi_jobs_end(c, &third, false, OK, NULL);
    assert_true(take_in_vain(c));
    assert_int_equal(channi_queued(c), queued - 1);
    work_off(&b, 0);
    book_check(&b);
    book_expect(&b, 5, 10);
    book_close(&b);
}

/* ---------------------------------------------------------------------------------- budget */

static void test_budget(void **state)
{
    (void)state;
    struct channi_params p = fifty();
    struct book b;
    size_t calls = 0;
    bool more = true;

    p.maintenance = CHANNI_EXPLICIT;
    book_open(&b, p, ELEMENT_F32, 8, 3000, 1);
    book_fill(&b, 0, 3000, 16, 0.3);
    assert_ok(book_insert(&b, 0, 500), &b.bench.error);
    assert_ok(book_insert(&b, 500, 2500), &b.bench.error);
    assert_int_equal(book_counter(&b, splits), 0);
    assert_true(channi_queued(book_channi(&b)) > 3);
    for (; more; calls++) {
        const uint64_t jobs = book_counter(&b, splits) + book_counter(&b, folds) +
                              book_counter(&b, merges) + book_counter(&b, refused_splits);

        assert_ok(channi_ops.maintain(b.index, 1, &more), &b.bench.error);
        assert_true(book_counter(&b, splits) + book_counter(&b, folds) + book_counter(&b, merges) +
                        book_counter(&b, refused_splits) <=
                    jobs + 1); /* one job is past the budget */
        assert_true(calls < 1000);
    }
    assert_true(calls > 5);
    book_check(&b);
    book_expect(&b, 20, 10);
    book_close(&b);
}

/* --------------------------------------------------------------------------------- failures */

static void test_out_of_memory(void **state)
{
    (void)state;
    bool done = false;

    for (size_t at = 1; !done; at += 1 + at / 8) {
        struct channi_params p = fifty();
        struct book b;
        bool more;

        p.maintenance = CHANNI_EXPLICIT;
        p.target_cluster = 20;
        p.split_max = 40;
        p.expected_n = 100;
        book_open(&b, p, ELEMENT_F32, 4, 400, 1);
        book_fill(&b, 0, 400, 5, 0.3);
        assert_ok(book_insert(&b, 0, 100), &b.bench.error);
        assert_ok(book_insert(&b, 100, 300), &b.bench.error);
        for (size_t i = 0; i < 60; i++)
            assert_ok(book_remove(&b, i), &b.bench.error);
        atomic_store(&b.bench.mem.calls, 0);
        b.bench.mem.fail_at = at;
        b.bench.mem.fail_after = at % 2;
        const int rc = channi_ops.maintain(b.index, 0, &more);
        b.bench.mem.fail_at = 0;
        b.bench.mem.fail_after = false;
        done = !b.bench.mem.failed;
        if (rc != OK)
            assert_code(rc, ERR_NO_MEMORY, &b.bench.error);
        book_check(&b);
        book_expect(&b, 3, 10);
        work_off(&b, 0);
        book_check(&b);
        book_expect(&b, 3, 10);
        assert_true(book_counter(&b, splits) > 0);
        book_close(&b);
    }
}

struct full_disk {
    bool full;
    size_t calls;
};

static int no_room(void *to, const char *call)
{
    struct full_disk *disk = to;

    if (!disk->full || strcmp(call, "write") != 0)
        return 0;
    disk->calls++;
    return ENOSPC;
}

/* A commit whose upkeep fails is done all the same; maintain() says what was wrong, and mends it. */
static void test_full_disk(void **state)
{
    (void)state;
    struct full_disk disk = { false, 0 };
    const struct store_fault fault = { no_room, &disk };
    const struct channi_opening opening = { .fault = &fault };
    struct channi_params p = fifty();
    struct channi *c;
    struct book b;
    bool more;

    p.expected_n = 100;
    book_begin(&b, p, ELEMENT_F32, 8, 2000, 1);
    assert_ok(channi_create_with(&c, &b.bench.env, &p, &opening), &b.bench.error);
    b.index = &c->base;
    book_fill(&b, 0, 2000, 16, 0.3);
    assert_ok(book_insert(&b, 0, 100), &b.bench.error);
    assert_ok(book_insert(&b, 100, 400), &b.bench.error);
    disk.full = true;
    for (size_t first = 500; first < 2000; first += 100) {
        assert_ok(book_insert(&b, first, 100), &b.bench.error);
        book_check(&b);
    }
    assert_true(disk.calls > 3);
    assert_true(book_counter(&b, job_errors) > 3);
    assert_true(channi_queued(c) > 0);
    assert_code(channi_ops.maintain(b.index, 0, &more), ERR_IO, &b.bench.error);
    assert_false(more); /* nothing that would go now */
    book_expect(&b, 10, 10);
    disk.full = false;
    work_off(&b, 0);
    assert_true(book_counter(&b, splits) > 3);
    book_check(&b);
    book_expect(&b, 10, 10);
    book_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_threads),   cmocka_unit_test(test_in_vain_once),
        cmocka_unit_test(test_budget),    cmocka_unit_test(test_out_of_memory),
        cmocka_unit_test(test_full_disk),
    };
    return test_run("channi_jobs", tests);
}
