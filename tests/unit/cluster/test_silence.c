/* test_silence.c - which ranks are taken for lost, by a clock of the test. */
#include "src/cluster/internal.h"
#include "tests/support/testing.h"

enum { MS = 1000000 };

/* Looks every 100 ms, from begin_ns on, for so long; returns the time of the last look. */
static uint64_t look_for(struct cluster_listening *l, uint64_t begin_ns, uint64_t ms)
{
    uint64_t now = begin_ns;
    for (uint64_t i = 0; i <= ms; i += 100)
        cluster_polled(l, now = begin_ns + i * MS);
    return now;
}

static void test_silent_rank(void **state)
{
    struct cluster_listening l = { 0, 0 };
    const uint64_t begin = UINT64_C(1000000) * MS;
    uint64_t now = look_for(&l, begin, 14900);
    assert_false(cluster_is_silent(&l, begin, now));
    now = look_for(&l, now, 300);
    assert_true(cluster_is_silent(&l, begin, now));
    assert_false(cluster_is_silent(&l, now - 1000 * (uint64_t)MS, now));
    /* Heard since the time was read. */
    assert_false(cluster_is_silent(&l, now + MS, now));
}

/* A process that was stopped for an hour takes no rank for lost at once. */
static void test_pause(void **state)
{
    struct cluster_listening l = { 0, 0 };
    const uint64_t begin = UINT64_C(1000000) * MS, heard = begin + UINT64_C(5000) * MS;
    (void)look_for(&l, begin, 5000);
    uint64_t now = begin + UINT64_C(3600000) * MS;
    assert_false(cluster_is_silent(&l, heard, now)); /* by a thread that goes on first */
    cluster_polled(&l, now);
    assert_false(cluster_is_silent(&l, heard, now));
    now = look_for(&l, now, 14900);
    assert_false(cluster_is_silent(&l, heard, now));
    now = look_for(&l, now, 300);
    assert_true(cluster_is_silent(&l, heard, now));
}

int main(void)
{
    return test_run_all("silence of ranks", test_silent_rank, test_pause);
}
