/* test_code_queries.c - code_range() over a method that is a plain loop: every query's answers for any
 * number of queries and threads, with and without a filter, and failures. */
#include "tests/support/testing.h"

#include "algorithms/common/codes/code_queries.h"

enum { ROWS = 700, MOST_QUERIES = 150, K = 9 };

struct loop {
    struct index base;
    uint64_t codes[ROWS];
    size_t fail_after; /* fails after this many queries; 0: never */
    atomic_size_t asked;
};

struct scratch {
    void *more;
    size_t groups;
};

static void scratch_free(struct mem *mem, void *scratch)
{
    mem_free(mem, ((struct scratch *)scratch)->more);
}

static int loop_answer(const struct index *index, struct code_group *group)
{
    struct loop *l = (struct loop *)(uintptr_t)index;
    struct scratch *scratch = group->scratch;
    assert_true(group->n >= 1 && group->n <= CODE_GROUP && group->radius <= CODE_BITS);
    if (scratch->groups++ == 0 && !(scratch->more = mem_alloc(index->env.mem, 10)))
        return fail(index->env.error, ERR_NO_MEMORY, "no memory");
    for (size_t q = 0; q < group->n; q++) {
        if (l->fail_after && atomic_fetch_add(&l->asked, 1) + 1 >= l->fail_after)
            return fail(index->env.error, ERR_ARGUMENT, "asked too often");
        for (size_t i = 0; i < ROWS; i++) {
            const unsigned d = (unsigned)__builtin_popcountll(group->queries[q] ^ l->codes[i]);
            if (d > group->radius || !index_filter_allows(group->filter, i))
                continue;
            const int rc = code_answer(&group->answers[q], i, d);
            if (rc != OK)
                return rc;
        }
        group->work.distances += ROWS;
    }
    return OK;
}

static const struct code_ops ops = { .answer = loop_answer,
                                     .scratch_bytes = sizeof(struct scratch),
                                     .scratch_free = scratch_free };
static const struct index_ops method = { .abi = INDEX_ABI, .name = "loop" };

static void begin(struct loop *l, struct test_bench *bench)
{
    memset(l, 0, sizeof *l);
    test_bench_begin(bench, INDEX_B64, INDEX_HAMMING, 64, 3);
    l->base = (struct index){ &method, bench->env };
    struct rng r = rng_at(test_seed(), 2);
    for (size_t i = 0; i < ROWS; i++)
        l->codes[i] = i % 5 ? l->codes[i - 1] ^ UINT64_C(1) << rng_below(&r, 64) : rng_u64(&r);
}

struct catch
{
    const struct loop *l;
    const uint64_t *queries;
    const struct id_filter *filter;
    unsigned radius;
    size_t n, last, refuse_at;
};

static int found(void *to, size_t query, uint64_t id, float distance)
{
    struct catch *c = to;
    if (c->refuse_at && c->n == c->refuse_at)
        return ERR_ARGUMENT;
    assert_true(query >= c->last && id < ROWS && index_filter_allows(c->filter, id));
    assert_int_equal(distance, __builtin_popcountll(c->queries[query] ^ c->l->codes[id]));
    assert_true(distance <= (float)c->radius);
    c->last = query;
    c->n++;
    return OK;
}

static size_t count(const struct loop *l, const uint64_t *queries, size_t n, unsigned radius,
                    const struct id_filter *filter)
{
    size_t count = 0;
    for (size_t q = 0; q < n; q++)
        for (size_t i = 0; i < ROWS; i++)
            count += (unsigned)__builtin_popcountll(queries[q] ^ l->codes[i]) <= radius &&
                     index_filter_allows(filter, i);
    return count;
}

static void test_ranges(void **state)
{
    struct loop l;
    struct test_bench bench;
    uint64_t queries[MOST_QUERIES], bits[ROWS / 64 + 1];
    begin(&l, &bench);
    struct rng r = rng_at(test_seed(), 3);
    for (size_t i = 0; i < MOST_QUERIES; i++)
        queries[i] = l.codes[rng_below(&r, ROWS)] ^ UINT64_C(5) << i % 50;
    for (size_t i = 0; i <= ROWS / 64; i++)
        bits[i] = rng_u64(&r);
    const struct id_filter some = { bits, ROWS - 30 };
    static const size_t ns[] = { 0, 1, 2, 31, 32, 33, 64, 97, MOST_QUERIES };
    static const double radii[] = { -1, 0, 2.5, 20, 64, 1e9 };
    for (size_t i = 0; i < 9 * 6 * 3 * 2; i++) {
        const size_t n = ns[i % 9], threads = i / 9 / 6 % 3 + 1;
        const double radius = radii[i / 9 % 6];
        const unsigned whole = radius < 0 ? 0 : radius > 64 ? 64 : (unsigned)radius;
        const struct id_filter *filter = i >= (size_t)9 * 6 * 3 ? &some : NULL;
        struct catch c = { &l, queries, filter, whole, 0, 0, 0 };
        struct range_result result = { .found = found, .to = &c };
        const struct range_request request = {
            { queries, n, 64, INDEX_B64 }, radius, NULL, filter, threads
        };
        assert_ok(code_range(&l.base, &request, &result, &ops), &bench.error);
        assert_int_equal(c.n, radius < 0 ? 0 : count(&l, queries, n, whole, filter));
        assert_true(result.work.distances == (radius < 0 ? 0.0 : (double)(n * ROWS)));
    }
    struct catch c = { &l, queries, NULL, 64, 0, 0, 1000 };
    struct range_result result = { .found = found, .to = &c };
    const struct range_request all = { { queries, 40, 64, INDEX_B64 }, 64, NULL, NULL, 2 };
    assert_int_equal(code_range(&l.base, &all, &result, &ops), ERR_ARGUMENT);
    assert_int_equal(c.n, 1000);
    test_bench_end(&bench);
}

static void test_failures(void **state)
{
    struct loop l;
    struct test_bench bench;
    begin(&l, &bench);
    const size_t before = mem_live(&bench.mem);
    uint64_t queries[MOST_QUERIES] = { 0 };
    for (size_t threads = 1; threads <= 3; threads++) {
        for (size_t i = 1;; i++) {
            struct catch c = { &l, queries, NULL, 64, 0, 0, 0 };
            struct range_result result = { .found = found, .to = &c };
            const struct range_request request = {
                { queries, MOST_QUERIES, 64, INDEX_B64 }, 64, NULL, NULL, threads
            };
            atomic_store(&bench.mem.failed, false);
            bench.mem.fail_at = atomic_load(&bench.mem.calls) + i;
            const int rc = code_range(&l.base, &request, &result, &ops);
            bench.mem.fail_at = 0;
            assert_int_equal(mem_live(&bench.mem), before);
            if (!atomic_load(&bench.mem.failed)) {
                assert_ok(rc, &bench.error);
                break;
            }
            assert_code(rc, ERR_NO_MEMORY, &bench.error);
        }
        atomic_store(&l.asked, 0);
        l.fail_after = 70;
        struct catch c = { &l, queries, NULL, 64, 0, 0, 0 };
        struct range_result result = { .found = found, .to = &c };
        const struct range_request request = {
            { queries, MOST_QUERIES, 64, INDEX_B64 }, 64, NULL, NULL, threads
        };
        assert_code(code_range(&l.base, &request, &result, &ops), ERR_ARGUMENT, &bench.error);
        assert_int_equal(mem_live(&bench.mem), before);
        l.fail_after = 0;
    }
    test_bench_end(&bench);
}

int main(void)
{
    return test_run_all("code_queries", test_ranges, test_failures);
}
