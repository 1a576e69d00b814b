/* test_range_hits.c - answers of a range search: each id once, delivered until the caller refuses. */
#include "algorithms/common/rows/range_hits.h"
#include "tests/support/testing.h"

struct delivered {
    uint64_t ids[8];
    float distances[8];
    size_t n, most;
};

static int take(void *to, size_t query, uint64_t id, float distance)
{
    struct delivered *d = to;

    assert_int_equal(query, 7);
    if (d->n == d->most)
        return ERR_IO;
    d->ids[d->n] = id;
    d->distances[d->n++] = distance;
    return OK;
}

static void test_each_id_once(void **state)
{
    static const uint64_t met[] = { 9, 4, 9, 2, 4, 9 }, once[] = { 2, 4, 9 };
    struct delivered d = { .most = 8 };
    struct range_result result = { .found = take, .to = &d };
    struct range_hits hits = { .n = 0 };
    struct test_bench bench;

    test_bench_begin(&bench, INDEX_F32, INDEX_L2SQ, 4, 1);
    for (size_t i = 0; i < sizeof met / sizeof *met; i++)
        assert_ok(range_hits_add(&hits, &bench.env, met[i], (float)met[i]), &bench.error);
    range_hits_drop_repeats(&hits);
    assert_ok(range_hits_deliver(&hits, 7, &result), &bench.error);
    assert_int_equal(d.n, 3);
    for (size_t i = 0; i < d.n; i++) {
        assert_int_equal(d.ids[i], once[i]);
        assert_true(d.distances[i] == (float)once[i]);
    }
    d = (struct delivered){ .most = 2 };
    assert_int_equal(range_hits_deliver(&hits, 7, &result), ERR_IO);
    assert_int_equal(d.n, 2);
    mem_free(&bench.mem, hits.hits);
    test_bench_end(&bench);
}

static void test_out_of_memory(void **state)
{
    struct range_hits hits = { .n = 0 };
    struct test_bench bench;

    test_bench_begin(&bench, INDEX_F32, INDEX_L2SQ, 4, 1);
    bench.mem.fail_at = 1;
    assert_code(range_hits_add(&hits, &bench.env, 1, 1), ERR_NO_MEMORY, &bench.error);
    assert_int_equal(hits.n, 0);
    assert_ok(range_hits_add(&hits, &bench.env, 1, 1), &bench.error);
    mem_free(&bench.mem, hits.hits);
    test_bench_end(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_id_once),
        cmocka_unit_test(test_out_of_memory),
    };
    return test_run("range hits", tests);
}
