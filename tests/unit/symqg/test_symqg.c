/* test_symqg.c - SymphonyQG as a method, beyond the contract tests: recall of a build, of rows added
 * later and after removals, the same graph at any number of threads, paths to rows of separate
 * groups, equal rows, work, searches beside changes, and damage that check() and load() find. */
#include "algorithms/common/durable/store_file.h"
#include "algorithms/symqg/symqg.h"
#include "src/core/parallel.h"
#include "tests/support/beside_changes.h"
#include "tests/support/turnover.h"

static void test_recall(void **state)
{
    static const char *const params[] = { "", "degree=64;iterations=2", "iterations=1" };
    static const double least[] = { .95, .95, .85 };
    const size_t n = 4000 / test_scale();

    for (size_t i = 0; i < 3; i++) {
        struct baseline_test t;

        baseline_begin(&t, &symqg_ops, params[i], INDEX_F32, INDEX_L2SQ, 40, n);
        baseline_insert(&t, 0, n);
        baseline_expect_exact(&t, "ef_search=6000", NULL);
        const double recall = baseline_recall(&t, "ef_search=60");
        if (recall < least[i])
            fail_msg("\"%s\": recall %.3f, expected %.3f", params[i], recall, least[i]);
        baseline_end(&t);
    }
}

/* Rows that come later are found as often, whether the first batch was one row or half of them. */
static void test_later_rows(void **state)
{
    const size_t n = 3000 / test_scale(), first[] = { 1, n / 2 };

    for (size_t i = 0; i < 2; i++) {
        struct baseline_test t;

        baseline_begin(&t, &symqg_ops, "", INDEX_F32, INDEX_L2SQ, 24, n);
        baseline_insert(&t, 0, first[i]);
        baseline_insert(&t, first[i], n);
        assert_true(baseline_recall(&t, "ef_search=60") >= .97);
        baseline_end(&t);
    }
}

/* The number of live rows that paths from the entry lead to. */
static size_t reached(const struct symqg *s)
{
    bool *seen = calloc(s->n, sizeof *seen);
    uint32_t *stack = calloc(s->n, sizeof *stack);
    size_t n = 0, waiting = 0;

    assert_true(seen && stack);
    seen[s->entry] = true;
    for (stack[waiting++] = s->entry; waiting > 0;) {
        const uint32_t v = stack[--waiting], *links = symqg_links(s, v);

        n += symqg_is_live(s, v);
        for (size_t i = 0; i < s->degree && links[i] != SYMQG_NONE; i++) {
            if (!seen[links[i]])
                stack[waiting++] = links[i];
            seen[links[i]] = true;
        }
    }
    free(seen);
    free(stack);
    return n;
}

static void test_turnover(void **state)
{
    turnover_keeps_recall(&symqg_ops, "", "ef_search=24", .02, .25);
}

/* The places of removed rows are used again, and paths lead to almost all rows. */
static void test_places(void **state)
{
    const size_t n = 2000 / test_scale(), batch = n / 10;
    struct baseline_test t;

    baseline_begin(&t, &symqg_ops, "ef_construction=60", INDEX_F32, INDEX_L2SQ, 24, 4 * n);
    const struct symqg *s = (const struct symqg *)t.index;
    baseline_insert(&t, 0, n);
    for (size_t first = 0; first < 3 * n; first += batch) {
        baseline_remove(&t, first, first + batch);
        baseline_insert(&t, first + n, first + n + batch);
    }
    assert_true(s->n <= n + batch + n / 8);
    const size_t lost = n - reached(s);
    if (lost > n / 200)
        fail_msg("no path leads to %zu rows of %zu", lost, n);
    baseline_end(&t);
}

/* New rows are elsewhere than the old ones: the entry follows, and rows are found as before. */
static void test_rows_elsewhere(void **state)
{
    const size_t n = 2000 / test_scale();
    struct baseline_test t;

    baseline_begin(&t, &symqg_ops, "ef_construction=100", INDEX_F32, INDEX_L2SQ, 24, 2 * n);
    for (size_t i = n * t.dim; i < 2 * n * t.dim; i++)
        t.f32[i] += 8;
    baseline_insert(&t, 0, n);
    for (size_t i = 0; i < n; i += n / 10) {
        baseline_insert(&t, n + i, n + i + n / 10);
        baseline_remove(&t, i, i + n / 10);
    }
    const double recall = baseline_recall(&t, "ef_search=100");
    if (recall < .95)
        fail_msg("recall %.3f", recall);
    baseline_end(&t);
}

/* An index that lost its last row is as a new one. */
static void test_emptied(void **state)
{
    const size_t n = 600;
    struct baseline_test t;

    baseline_begin(&t, &symqg_ops, "", INDEX_F32, INDEX_L2SQ, 24, 2 * n);
    for (size_t i = n * t.dim; i < 2 * n * t.dim; i++)
        t.f32[i] = 50 - t.f32[i];
    baseline_insert(&t, 0, n);
    baseline_remove(&t, 0, n);
    baseline_expect_exact(&t, "ef_search=10", NULL);
    baseline_insert(&t, n, 2 * n);
    assert_true(baseline_recall(&t, "ef_search=60") >= .97);
    baseline_remove(&t, n, 2 * n - 1);
    baseline_insert(&t, 0, 1);
    baseline_expect_exact(&t, "ef_search=10", NULL);
    baseline_end(&t);
}

static void test_threads(void **state)
{
    const size_t n = 1000;
    struct baseline_test t[2];

    for (size_t i = 0; i < 2; i++) {
        baseline_begin(&t[i], &symqg_ops, "", INDEX_F32, INDEX_L2SQ, 20, n);
        baseline_use_threads(&t[i], 1 + 3 * i, "");
        baseline_insert(&t[i], 0, n);
    }
    const struct symqg *a = (const struct symqg *)t[0].index, *b = (const void *)t[1].index;
    assert_int_equal(a->entry, b->entry);
    assert_memory_equal(a->vertices, b->vertices, n * a->stride);
    baseline_end(&t[0]);
    baseline_end(&t[1]);
}

/* Ten groups far apart, so that no row of one is a near row of another's. */
static void test_groups(void **state)
{
    enum { GROUPS = 10 };
    const size_t n = 4000 / test_scale();
    struct baseline_test t;

    baseline_begin(&t, &symqg_ops, "ef_construction=50", INDEX_F32, INDEX_L2SQ, 24, n);
    for (size_t i = 0; i < n; i++)
        t.f32[i * t.dim] += 30 * (float)(i % GROUPS);
    baseline_insert(&t, 0, n);
    assert_int_equal(reached((const struct symqg *)t.index), n);
    const double recall = baseline_recall(&t, "ef_search=60");
    if (recall < .95)
        fail_msg("recall %.3f", recall);
    baseline_end(&t);
}

/* Most rows are equal: the others are found none the less. */
static void test_equal_rows(void **state)
{
    const size_t same = 3000 / test_scale(), others = 200;
    struct baseline_test t;
    size_t missed = 0;

    baseline_begin(&t, &symqg_ops, "", INDEX_F32, INDEX_L2SQ, 16, same + others);
    for (size_t i = 0; i < same; i++)
        memcpy(t.f32 + i * t.dim, t.f32 + same * t.dim, t.dim * sizeof *t.f32);
    baseline_insert(&t, 0, same + others);
    assert_int_equal(reached((const struct symqg *)t.index), same + others);
    for (size_t i = same + 1; i < same + others; i++) {
        uint64_t id;
        float distance;

        baseline_search(&t, baseline_row(&t, i), 1, 1, "ef_search=64", NULL, &id, &distance);
        missed += id != i;
    }
    assert_true(missed <= 2);
    baseline_end(&t);
}

/* An exact distance is computed for expanded rows alone, an estimate for each of their edges. */
static void test_work(void **state)
{
    const size_t n = 3000;
    struct baseline_test t;
    const struct symqg_knobs knobs = { 40 };
    uint64_t ids[10];
    float distances[10];

    baseline_begin(&t, &symqg_ops, "degree=32", INDEX_F32, INDEX_L2SQ, 32, n);
    baseline_insert(&t, 0, n);
    const struct search_request request = { baseline_rows(&t, 5, 6), 10, &knobs, NULL, 1 };
    struct search_result result = { .ids = ids, .distances = distances };
    assert_ok(t.ops->search(t.index, &request, &result), &t.bench.error);
    assert_int_equal(ids[0], 5);
    assert_true(result.work.distances >= 10 && result.work.distances <= 120);
    assert_float_equal(result.work.estimates, 32 * result.work.distances, 0);
    baseline_end(&t);
}

static void test_refusals(void **state)
{
    struct test_bench b;
    struct symqg_params params;
    struct index *index = NULL;

    test_bench_begin(&b, INDEX_F32, INDEX_L2SQ, 8, 1);
    param_defaults(symqg_ops.params, &params);
    params.degree = 48;
    assert_int_equal(symqg_ops.create(&index, &b.env, &params), ERR_ARGUMENT);
    assert_non_null(strstr(b.error.text, "multiple of 32"));
    test_bench_end(&b);
}

/* Each kind of damage breaks an invariant that check() names. */
static void test_damage(void **state)
{
    struct baseline_test t;
    static const char *const named[] = { "no other row", "no other row", "two edges",
                                         "a gap",        "codes",        "codes" };

    baseline_begin(&t, &symqg_ops, "degree=64", INDEX_F32, INDEX_L2SQ, 20, 500);
    baseline_insert(&t, 0, 500);
    struct symqg *s = (struct symqg *)t.index;
    unsigned char *kept = malloc(s->stride), *vertex = symqg_vertex(s, 7);
    uint32_t *links = symqg_links(s, 7);
    memcpy(kept, vertex, s->stride);
    for (size_t i = 0; i < sizeof named / sizeof *named; i++) {
        switch (i) {
            case 0: links[3] = 7; break;
            case 1: links[3] = 500; break;
            case 2: links[3] = links[4]; break;
            case 3: links[3] = SYMQG_NONE; break;
            case 4: vertex[s->blocks_at + 5] ^= 1; break;
            default: vertex[s->blocks_at + s->block_bytes] ^= 1; break; /* the second block */
        }
        t.bench.error.code = OK;
        assert_int_equal(t.ops->check(t.index, NULL), ERR_INVARIANT);
        if (!strstr(t.bench.error.text, named[i]))
            fail_msg("damage %zu: %s", i, t.bench.error.text);
        memcpy(vertex, kept, s->stride);
    }
    assert_ok(t.ops->check(t.index, NULL), &t.bench.error);
    free(kept);
    const size_t edges = symqg_edges(s, 7);
    if (edges < s->degree) {
        symqg_rule(s, 7)[edges / RABITQ_EDGES] ^= UINT32_C(1) << edges % RABITQ_EDGES;
        assert_int_equal(t.ops->check(t.index, NULL), ERR_INVARIANT);
        symqg_rule(s, 7)[edges / RABITQ_EDGES] ^= UINT32_C(1) << edges % RABITQ_EDGES;
    }
    baseline_remove(&t, 0, 2);
    s->n_removed--;
    assert_int_equal(t.ops->check(t.index, NULL), ERR_INVARIANT);
    s->n_removed++;
    s->entry = s->gone[0];
    assert_int_equal(t.ops->check(t.index, NULL), ERR_INVARIANT);
    s->entry = 7;
    assert_ok(t.ops->check(t.index, NULL), &t.bench.error);
    baseline_end(&t);
}

static void test_beside_changes(void **state)
{
    beside_changes(&symqg_ops, "degree=32;ef_construction=40", "ef_search=64");
    beside_one_row(&symqg_ops, "degree=32", "ef_search=10");
}

int main(void)
{
    return test_run_all("symqg", test_recall, test_later_rows, test_turnover, test_places,
                        test_rows_elsewhere, test_emptied, test_threads, test_groups,
                        test_equal_rows, test_work, test_refusals, test_damage,
                        test_beside_changes);
}
