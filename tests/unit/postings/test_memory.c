/* test_memory.c - postings in memory against a plain model. */
#include "tests/unit/postings/histories.h"

static const struct posting_options in_memory = { .kind = POSTING_MEMORY };

static void test_histories(void **state)
{
    for (uint64_t round = 0; round < 5; round++)
        run_round(&in_memory, round);
}

static void test_failing_memory(void **state)
{
    run_failing_memories(&in_memory);
}

static void test_drops_without_memory(void **state)
{
    run_drops_without_memory(&in_memory);
}

static void test_bad_calls(void **state)
{
    struct postings_bench b;
    unsigned char out[8];

    postings_begin(&b);
    postings_open(&b, &in_memory);
    assert_ok(posting_splice(b.store, 3, 0, "abcdef", 6), &b.bench.error);
    assert_code(posting_splice(b.store, 3, 7, "x", 1), ERR_ARGUMENT, &b.bench.error);
    assert_code(posting_splice(b.store, 4, 1, "x", 1), ERR_ARGUMENT, &b.bench.error);
    assert_code(posting_fetch(b.store, 3, 5, 2, out), ERR_ARGUMENT, &b.bench.error);
    assert_code(posting_fetch(b.store, 9, 0, 1, out), ERR_ARGUMENT, &b.bench.error);
    assert_ok(posting_fetch(b.store, 3, 2, 4, out), &b.bench.error);
    assert_memory_equal(out, "cdef", 4);
    posting_drop(b.store, 1000000);
    assert_int_equal(posting_length(b.store, 1000000), 0);
    postings_end(&b);
}

int main(void)
{
    return test_run_all("posting_memory", test_histories, test_failing_memory,
                        test_drops_without_memory, test_bad_calls);
}
