/* test_stop_rule.c - the stop rule: the properties of its estimates, and that a rule learnt from
 * some rows holds for others. */
#include "algorithms/divf/search/stop_rule.h"

#include "tests/support/testing.h"

enum { N = 6000, DIM = 24, LISTS = 40 };

struct world {
    struct test_bench bench;
    float *rows, *centroids, norm_sq[LISTS];
    struct centroids lists;
};

/* Overlapping clusters, so that the neighbours of a row lie in several lists. */
static void world_open(struct world *w, size_t threads)
{
    struct rng r = rng_at(test_seed(), 21);
    size_t made;
    test_bench_begin(&w->bench, INDEX_F32, INDEX_L2SQ, DIM, threads);
    w->rows = calloc((size_t)2 * N * DIM, sizeof *w->rows);
    w->centroids = calloc((size_t)LISTS * DIM, sizeof *w->centroids);
    assert_non_null(w->rows);
    test_fill_f32(&r, w->rows, (size_t)2 * N, DIM, 60, 1.2);
    const struct kmeans_options options = {
        .k = LISTS, .iterations = 8, .init = KMEANS_RANDOM, .seed = test_seed()
    };
    assert_ok(kmeans_train(&w->bench.env, &options, w->rows, N, w->centroids, &made),
              &w->bench.error);
    assert_int_equal(made, LISTS);
    w->lists =
        (struct centroids){ .rows = w->centroids, .norm_sq = w->norm_sq, .n = LISTS, .dim = DIM };
    w->lists.norm_sq_max =
        nearest_centroid_norms(w->bench.env.kernels, w->centroids, LISTS, DIM, w->norm_sq);
}

static void world_close(struct world *w)
{
    free(w->rows);
    free(w->centroids);
    assert_int_equal(mem_live(&w->bench.mem), 0);
    test_bench_end(&w->bench);
}

static void expect_monotone(const struct stop_rule *r)
{
    double last = -INFINITY;
    assert_true(divf_stop_rule_valid(r));
    for (double target = .01; target < 1; target += .01) {
        const double score = divf_stop_rule_score(r, target);
        assert_true(isfinite(score) && score >= last);
        last = score;
    }
    last = 0;
    for (double score = -30; score < 30; score += .1) {
        const double recall = divf_stop_rule_recall(r, score);
        assert_true(recall >= last && recall <= 1);
        last = recall;
    }
    assert_true(divf_stop_rule_recall(r, -INFINITY) == 0 &&
                divf_stop_rule_recall(r, INFINITY) == 1);
}

static void test_default(void **state)
{
    struct stop_rule r;
    divf_stop_rule_default(&r);
    expect_monotone(&r);
    for (double target = .05; target < 1; target += .05)
        assert_true(fabs(divf_stop_rule_recall(&r, divf_stop_rule_score(&r, target)) - target) <
                    .005);
    r.score[3] = NAN;
    assert_false(divf_stop_rule_valid(&r));
    divf_stop_rule_default(&r);
    r.reached[5] = r.reached[4] - 1;
    assert_false(divf_stop_rule_valid(&r));
    divf_stop_rule_default(&r);
    r.weight[0] = INFINITY;
    assert_false(divf_stop_rule_valid(&r));
}

/* The rule depends on the lists, not on their numbers; also where a search evaluates all of them. */
static void test_numbers_of_lists(void **state)
{
    enum { MOST = 97 };
    struct test_bench bench;
    struct rng r = rng_at(test_seed(), 23);
    static float rows[N * DIM], centroids[2][MOST * DIM], norm_sq[MOST];
    test_bench_begin(&bench, INDEX_F32, INDEX_L2SQ, DIM, 1);
    test_fill_f32(&r, rows, N, DIM, 60, 1.2);
    test_fill_f32(&r, centroids[0], MOST, DIM, 60, 1.2);
    for (size_t n = 95; n <= MOST; n++) {
        struct stop_rule rule[2];
        for (size_t i = 0; i < n; i++)
            memcpy(centroids[1] + i * DIM, centroids[0] + (n - 1 - i) * DIM, DIM * sizeof(float));
        for (size_t t = 0; t < 2; t++) {
            struct centroids lists = {
                .rows = centroids[t], .norm_sq = norm_sq, .n = n, .dim = DIM
            };
            lists.norm_sq_max =
                nearest_centroid_norms(bench.env.kernels, centroids[t], n, DIM, norm_sq);
            assert_ok(divf_stop_rule_train(&rule[t], &bench.env, &lists, 1, rows, N), &bench.error);
        }
        for (size_t i = 0; i < STOP_WEIGHTS; i++)
            if (rule[0].weight[i] != rule[1].weight[i])
                fail_msg("%zu lists: weight %zu is %.9g or %.9g", n, i, rule[0].weight[i],
                         rule[1].weight[i]);
    }
    test_bench_end(&bench);
}

static void test_one_search(void **state)
{
    struct stop_rule r;
    divf_stop_rule_default(&r);
    struct stop_state s = stop_begin(4);
    assert_true(stop_after(r.weight, &s, INFINITY, 5) == -INFINITY); /* fewer than k found */
    const double first = stop_after(r.weight, &s, 2, 5);
    /* the same candidates, and the next list is farther */
    const double second = stop_after(r.weight, &s, 2, 6);
    assert_true(isfinite(first) && second > first);
    assert_int_equal(s.unchanged, 1);
    const double third = stop_after(r.weight, &s, 1.5f, 6);
    assert_true(third < stop_after(r.weight, &s, 1.5f, 6));
    assert_int_equal(s.scanned, 5);
    assert_true(stop_after(r.weight, &s, 0, 6) == INFINITY); /* k duplicates of the query */
    s = stop_begin(4);
    assert_true(isfinite(stop_after(r.weight, &s, 1e-30f, 5))); /* a very large gap */
    assert_true(isfinite(stop_after(r.weight, &s, 1e-30f, 4))); /* no gap */
}

static int ascending(const void *a, const void *b)
{
    const float x = *(const float *)a, y = *(const float *)b;
    return x < y ? -1 : x > y;
}

/* Mean recall of other queries among the N rows, each stopped at the target. */
static double searched(struct world *w, const struct stop_rule *r, double target, double *lists)
{
    enum { K = 10, QUERIES = 300 };
    const struct kernels *kernels = w->bench.env.kernels;
    const double enough = divf_stop_rule_score(r, target);
    static float all[N], sorted[N], at[LISTS], found[N];
    static uint32_t list[N], order[LISTS];
    double recall = 0;
    assert_ok(nearest_all(&w->bench.env, &w->lists, w->rows, N, 1, list), &w->bench.error);
    *lists = 0;
    for (size_t q = 0; q < QUERIES; q++) {
        const float *query = w->rows + (N + q * 7) * DIM;
        kernels->l2sq_f32_1n(query, w->rows, N, DIM, all);
        memcpy(sorted, all, sizeof sorted);
        qsort(sorted, N, sizeof *sorted, ascending);
        nearest_one(kernels, &w->lists, query, LISTS, at, order);
        kernels->l2sq_f32_1n(query, w->centroids, LISTS, DIM, at);
        struct stop_state s = stop_begin(at[order[0]]);
        size_t n = 0, p = 0;
        double score = -INFINITY;
        while (p < LISTS && score < enough) {
            for (size_t i = 0; i < N; i++)
                if (list[i] == order[p])
                    found[n++] = all[i];
            p++;
            qsort(found, n, sizeof *found, ascending);
            if (p < LISTS)
                score = stop_after(r->weight, &s, n < K ? INFINITY : found[K - 1], at[order[p]]);
        }
        for (size_t i = 0; i < K && i < n; i++)
            recall += (found[i] <= sorted[K - 1]) / (double)(K * QUERIES);
        *lists += (double)p / QUERIES;
    }
    return recall;
}

static void test_learnt(void **state)
{
    struct world w;
    struct stop_rule r, again;
    world_open(&w, 1);
    assert_ok(divf_stop_rule_train(&r, &w.bench.env, &w.lists, 1, w.rows, N), &w.bench.error);
    expect_monotone(&r);
    double last = 0, lists;
    for (double target = .8; target < .995; target += .05) {
        const double recall = searched(&w, &r, target, &lists);
        print_message("target %.2f: %.3f in %.1f lists\n", target, recall, lists);
        assert_true(fabs(recall - target) < .04);
        assert_true(lists > last && lists < LISTS);
        last = lists;
    }
    assert_ok(divf_stop_rule_train(&again, &w.bench.env, &w.lists, 1, w.rows, N), &w.bench.error);
    assert_memory_equal(&r, &again, sizeof r);
    world_close(&w);
    world_open(&w, 3);
    assert_ok(divf_stop_rule_train(&again, &w.bench.env, &w.lists, 1, w.rows, N), &w.bench.error);
    assert_memory_equal(&r, &again, sizeof r);
    world_close(&w);
}

static void test_little_to_learn_from(void **state)
{
    struct world w;
    struct stop_rule r, usual;
    world_open(&w, 1);
    divf_stop_rule_default(&usual);
    for (size_t n = 1; n < 500; n += 83) {
        assert_ok(divf_stop_rule_train(&r, &w.bench.env, &w.lists, 1, w.rows, n), &w.bench.error);
        assert_memory_equal(&r, &usual, sizeof r);
    }
    const struct centroids one = { .rows = w.centroids,
                                   .norm_sq = w.norm_sq,
                                   .norm_sq_max = w.lists.norm_sq_max,
                                   .n = 1,
                                   .dim = DIM };
    assert_ok(divf_stop_rule_train(&r, &w.bench.env, &one, 1, w.rows, N), &w.bench.error);
    assert_memory_equal(&r, &usual, sizeof r);
    /* Two lists with every row in both; all rows equal. */
    const struct centroids two = { .rows = w.centroids,
                                   .norm_sq = w.norm_sq,
                                   .norm_sq_max = w.lists.norm_sq_max,
                                   .n = 2,
                                   .dim = DIM };
    assert_ok(divf_stop_rule_train(&r, &w.bench.env, &two, 5, w.rows, N), &w.bench.error);
    expect_monotone(&r);
    for (size_t i = DIM; i < (size_t)N * DIM; i++)
        w.rows[i] = w.rows[i - DIM];
    assert_ok(divf_stop_rule_train(&r, &w.bench.env, &w.lists, 2, w.rows, N), &w.bench.error);
    expect_monotone(&r);
    world_close(&w);
}

static void test_out_of_memory(void **state)
{
    struct world w;
    struct stop_rule r;
    world_open(&w, 1);
    const size_t live = mem_live(&w.bench.mem);
    size_t at = 0;
    for (bool done = false; !done;) {
        test_fail_allocation(&w.bench.mem, ++at, false);
        int rc = divf_stop_rule_train(&r, &w.bench.env, &w.lists, 2, w.rows, 1000);
        done = !test_allocations_succeed(&w.bench.mem);
        /* The search for nearest centroids works without some of the memory that it requests. */
        if (!done && rc != OK)
            assert_code(rc, ERR_NO_MEMORY, &w.bench.error);
        assert_int_equal(mem_live(&w.bench.mem), live);
    }
    assert_true(at > 5);
    world_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_default),
        cmocka_unit_test(test_numbers_of_lists),
        cmocka_unit_test(test_one_search),
        cmocka_unit_test(test_learnt),
        cmocka_unit_test(test_little_to_learn_from),
        cmocka_unit_test(test_out_of_memory),
    };
    return test_run("stop_rule", tests);
}
