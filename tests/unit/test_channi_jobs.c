/* test_channi_jobs.c - the queue of upkeep: who waits for whom. */
#include "algorithms/channi/jobs.h"
#include "tests/unit/test_channi_upkeep.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_in_vain_once) };
    return test_run("channi_jobs", tests);
}
