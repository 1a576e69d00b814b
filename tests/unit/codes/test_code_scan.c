/* test_code_scan.c - the scan of dense rows against a plain loop: every radius, every batch size,
 * filters of many and of few ids, and neighbours with ties. */
#include "tests/support/testing.h"

#include "algorithms/common/codes/code_scan.h"

enum { MOST_K = 40 };

struct scene {
    struct test_bench bench;
    struct rng rng;
    struct dense_rows store;
    struct code_answers answers[CODE_GROUP];
    uint64_t queries[CODE_GROUP];
    uint64_t *bits; /* the filter's */
    struct id_filter filter;
};

static void scene_begin(struct scene *s, uint64_t stream)
{
    memset(s, 0, sizeof *s);
    test_bench_begin(&s->bench, INDEX_B64, INDEX_HAMMING, 64, 1);
    s->rng = rng_at(test_seed(), stream);
    dense_rows_init(&s->store, &s->bench.mem, sizeof(uint64_t));
    for (size_t q = 0; q < CODE_GROUP; q++)
        s->answers[q] = (struct code_answers){ .mem = &s->bench.mem, .error = &s->bench.error };
}

/* Inserts n codes under ids first, first + step, ..., and removes a few again, so that rows are not
   in the order of ids. */
static void scene_fill(struct scene *s, size_t n, size_t clusters, uint64_t first, uint64_t step)
{
    uint64_t *codes = calloc(n + 1, sizeof *codes), *ids = calloc(n + 1, sizeof *ids);
    assert_true(codes && ids);
    test_fill_b64(&s->rng, codes, n, clusters);
    for (size_t i = 0; i < n; i++)
        ids[i] = first + i * step;
    assert_true(dense_rows_reserve(&s->store, ids, n, 0));
    for (size_t i = 0; i < n; i++)
        (void)dense_rows_add(&s->store, &codes[i], ids[i]);
    for (size_t i = 0; i < n / 10; i++)
        dense_rows_remove(&s->store, (uint32_t)rng_below(&s->rng, s->store.n));
    for (size_t q = 0; q < CODE_GROUP; q++)
        s->queries[q] = q % 3 && n ? codes[rng_below(&s->rng, n)] ^ (q & 7) : rng_u64(&s->rng);
    free(codes);
    free(ids);
}

/* Each id below n_ids is allowed with this probability. */
static void scene_filter(struct scene *s, uint64_t n_ids, double share)
{
    free(s->bits);
    s->bits = calloc((size_t)n_ids / 64 + 1, sizeof *s->bits);
    assert_non_null(s->bits);
    for (uint64_t id = 0; id < n_ids; id++)
        if (rng_unit(&s->rng) < share)
            s->bits[id / 64] |= UINT64_C(1) << id % 64;
    s->bits[n_ids / 64] |= n_ids % 64 ? ~UINT64_C(0) << n_ids % 64 : 0; /* past the end: ignored */
    s->filter = (struct id_filter){ s->bits, n_ids };
}

static void scene_end(struct scene *s)
{
    for (size_t q = 0; q < CODE_GROUP; q++) {
        mem_free(&s->bench.mem, s->answers[q].ids);
        mem_free(&s->bench.mem, s->answers[q].distances);
    }
    dense_rows_free(&s->store);
    free(s->bits);
    assert_int_equal(mem_live(&s->bench.mem), 0);
    test_bench_end(&s->bench);
}

static struct code_group group_of(const struct scene *s, size_t n, const struct id_filter *filter)
{
    return (struct code_group){ .queries = s->queries, .words = 1, .n = n, .filter = filter };
}

static void expect_range(struct scene *s, const struct kernels *k, size_t n, unsigned radius,
                         const struct id_filter *filter)
{
    struct code_group g = group_of(s, n, filter);
    for (size_t q = 0; q < n; q++)
        s->answers[q].n = 0;
    assert_ok(code_scan_range(&s->store, k, &g, radius, s->answers), &s->bench.error);
    for (size_t q = 0; q < n; q++) {
        const struct code_answers *a = &s->answers[q];
        size_t expected = 0;
        for (size_t i = 0; i < s->store.n; i++)
            expected +=
                (unsigned)__builtin_popcountll(s->queries[q] ^ s->store.codes[i]) <= radius &&
                index_filter_allows(filter, s->store.ids[i]);
        assert_int_equal(a->n, expected);
        /* Answers come in the order of rows, or of ids where these were looked up. */
        uint64_t before = 0;
        for (size_t i = 0; i < a->n; i++) {
            uint32_t row;
            assert_true(dense_rows_find(&s->store, a->ids[i], &row));
            assert_true(index_filter_allows(filter, a->ids[i]));
            assert_int_equal(a->distances[i],
                             __builtin_popcountll(s->queries[q] ^ s->store.codes[row]));
            assert_true(a->distances[i] <= radius);
            if (i > 0) {
                uint32_t row_before;
                assert_true(dense_rows_find(&s->store, before, &row_before));
                assert_true(row_before < row || before < a->ids[i]);
            }
            before = a->ids[i];
        }
    }
    assert_true(g.work.distances <= (double)n * (double)s->store.n);
    assert_true(g.work.distances == g.work.scanned);
}

struct pair {
    unsigned distance;
    uint64_t id;
};

static int by_distance(const void *a, const void *b)
{
    const struct pair *x = a, *y = b;
    return x->distance != y->distance ? (x->distance > y->distance) - (x->distance < y->distance)
                                      : (x->id > y->id) - (x->id < y->id);
}

static void expect_nearest(struct scene *s, const struct kernels *kernels, size_t n, size_t k,
                           const struct id_filter *filter)
{
    uint64_t ids[CODE_GROUP][MOST_K];
    float distances[CODE_GROUP][MOST_K];
    struct topk nearest[CODE_GROUP];
    struct code_group g = group_of(s, n, filter);
    struct pair *all = calloc(s->store.n + 1, sizeof *all);
    assert_non_null(all);
    for (size_t q = 0; q < n; q++)
        nearest[q] = topk_begin(k, distances[q], ids[q]);
    assert_ok(code_scan_nearest(&s->store, kernels, &g, nearest), &s->bench.error);
    for (size_t q = 0; q < n; q++) {
        size_t allowed = 0;
        for (size_t i = 0; i < s->store.n; i++)
            if (index_filter_allows(filter, s->store.ids[i]))
                all[allowed++] = (struct pair){ (unsigned)__builtin_popcountll(s->queries[q] ^
                                                                               s->store.codes[i]),
                                                s->store.ids[i] };
        qsort(all, allowed, sizeof *all, by_distance);
        topk_sort(&nearest[q]);
        for (size_t i = 0; i < k; i++) {
            assert_true(ids[q][i] == (i < allowed ? all[i].id : INDEX_NO_ID));
            if (i < allowed)
                assert_int_equal(distances[q][i], all[i].distance);
        }
    }
    free(all);
}

static const enum isa sets[] = { ISA_SCALAR, ISA_AVX2, ISA_AVX512 };

static void test_every_radius(void **state)
{
    static const size_t sizes[] = { 0, 1, 63, 2048, 7000 };
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct scene s;
        scene_begin(&s, 10 + i);
        scene_fill(&s, sizes[i], i % 2 ? 6 : 0, 0, 1);
        for (unsigned radius = 0; radius <= CODE_BITS; radius++)
            expect_range(&s, kernels_select(sets[radius % 3]), 1 + radius % CODE_GROUP, radius,
                         NULL);
        scene_end(&s);
    }
}

static void test_filters(void **state)
{
    static const double shares[] = { 0, .0005, .01, .3, 1 };
    struct scene s;
    scene_begin(&s, 20);
    scene_fill(&s, 6000, 5, 3, 2);
    const struct kernels *k = s.bench.env.kernels;
    for (size_t i = 0; i < sizeof shares / sizeof *shares; i++) {
        static const uint64_t n_ids[] = { 1, 64, 9001, 20000, 500000 };
        for (size_t j = 0; j < sizeof n_ids / sizeof *n_ids; j++) {
            scene_filter(&s, n_ids[j], shares[i]);
            for (unsigned radius = 0; radius <= CODE_BITS; radius += 8)
                expect_range(&s, k, 1 + radius % 32, radius, &s.filter);
            expect_nearest(&s, k, 5, 7, &s.filter);
        }
    }
    scene_end(&s);
}

/* Where the filter's ids are looked up, only their codes are compared. */
static void test_few_allowed_cost_little(void **state)
{
    struct scene s;
    scene_begin(&s, 30);
    scene_fill(&s, 20000, 0, 0, 1);
    scene_filter(&s, 20000, .0005);
    struct code_group g = group_of(&s, 4, &s.filter);
    assert_ok(code_scan_range(&s.store, s.bench.env.kernels, &g, 64, s.answers), &s.bench.error);
    assert_true(s.answers[0].n > 0 && s.answers[0].n < 40);
    assert_true(g.work.distances == 4 * (double)s.answers[0].n);
    scene_end(&s);
}

static void test_nearest(void **state)
{
    static const size_t sizes[] = { 0, 5, 64, 129, 3000, 9000 };
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct scene s;
        scene_begin(&s, 40 + i);
        scene_fill(&s, sizes[i], i % 2 ? 3 : 0, 7, 3);
        for (size_t k = 1; k <= MOST_K; k += 13)
            for (size_t set = 0; set < 3; set++)
                expect_nearest(&s, kernels_select(sets[set]), 1 + 15 * set, k, NULL);
        scene_end(&s);
    }
}

/* One code under all ids: the smallest ids win, wherever their rows are. */
static void test_all_equal(void **state)
{
    struct scene s;
    scene_begin(&s, 50);
    scene_fill(&s, 5000, 0, 0, 1);
    for (size_t i = 0; i < s.store.n; i++)
        s.store.codes[i] = 5;
    s.queries[0] = 4;
    expect_range(&s, s.bench.env.kernels, 1, 1, NULL);
    expect_range(&s, s.bench.env.kernels, 1, 0, NULL);
    expect_nearest(&s, s.bench.env.kernels, 2, 10, NULL);
    scene_end(&s);
}

static void test_no_memory(void **state)
{
    struct scene s;
    scene_begin(&s, 60);
    scene_fill(&s, 4000, 0, 0, 1);
    bool done = false;
    for (size_t i = 1; !done; i++) {
        struct code_group g = group_of(&s, 3, NULL);
        for (size_t q = 0; q < 3; q++)
            s.answers[q].n = 0;
        s.bench.mem.fail_at = s.bench.mem.calls + i;
        s.bench.mem.failed = false;
        const int rc = code_scan_range(&s.store, s.bench.env.kernels, &g, CODE_BITS, s.answers);
        done = !s.bench.mem.failed;
        s.bench.mem.fail_at = 0;
        assert_code(rc, done ? OK : ERR_NO_MEMORY, &s.bench.error);
        assert_true(i < 100);
    }
    expect_range(&s, s.bench.env.kernels, 3, CODE_BITS, NULL);
    scene_end(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_radius),
        cmocka_unit_test(test_filters),
        cmocka_unit_test(test_few_allowed_cost_little),
        cmocka_unit_test(test_nearest),
        cmocka_unit_test(test_all_equal),
        cmocka_unit_test(test_no_memory),
    };
    return test_run("code_scan", tests);
}
