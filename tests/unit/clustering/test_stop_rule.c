/* test_stop_rule.c - the stop rule: the properties of its estimates, and that a rule learnt from
 * some rows holds for others. */
#include "algorithms/common/clustering/stop_rule.h"

#include "algorithms/common/clustering/kmeans.h"
#include "tests/support/testing.h"

enum { N = 4000, DIM = 24, LISTS = 40, K = 10 };

/* The least search of clusters: lists of rows, nearest first. */
struct world {
    struct test_bench bench;
    float *rows, *centroids, norm_sq[LISTS];
    struct centroids lists;
    size_t n; /* rows that are searched */
    uint32_t *list;
    int fails; /* what searches return */
};

/* Overlapping clusters, so that the neighbours of a row lie in several lists. */
static void world_open(struct world *w)
{
    struct rng r = rng_at(test_seed(), 21);
    size_t made;
    memset(w, 0, sizeof *w);
    test_bench_begin(&w->bench, INDEX_F32, INDEX_L2SQ, DIM, 1);
    w->rows = calloc((size_t)2 * N * DIM, sizeof *w->rows);
    w->centroids = calloc((size_t)LISTS * DIM, sizeof *w->centroids);
    w->list = calloc(N, sizeof *w->list);
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
    assert_ok(nearest_all(&w->bench.env, &w->lists, w->rows, N, 1, w->list), &w->bench.error);
    w->n = N;
}

static void world_close(struct world *w)
{
    free(w->rows);
    free(w->centroids);
    free(w->list);
    assert_int_equal(mem_live(&w->bench.mem), 0);
    test_bench_end(&w->bench);
}

/* Scans the lists until the score, or until the trace has enough; returns how many. */
static size_t scan(const struct world *w, const float *query, struct topk *top, double enough,
                   struct stop_trace *trace)
{
    float at[LISTS];
    uint32_t order[LISTS];
    nearest_one(w->bench.env.kernels, &w->lists, query, LISTS, at, order);
    for (size_t i = 0; i < LISTS; i++)
        at[i] = w->bench.env.kernels->l2sq_f32(query, w->centroids + order[i] * DIM, DIM);
    struct stop_state s = stop_begin(at[0]);
    for (size_t p = 0; p < LISTS; p++) {
        for (size_t i = 0; i < w->n; i++)
            if (w->list[i] == order[p])
                topk_push(top, w->bench.env.kernels->l2sq_f32(query, w->rows + i * DIM, DIM), i);
        const float kth = trace ? stop_trace_kth(trace, top) : topk_limit(top);
        const double score = stop_after(&s, kth, at[p + 1 < LISTS ? p + 1 : p]);
        if (trace ? stop_trace_note(trace, top, score) : score >= enough)
            return p + 1;
    }
    return LISTS;
}

static int search(void *arg, const void *row, const struct topk *asked, struct stop_trace *trace)
{
    const struct world *w = arg;
    struct topk top = *asked;
    (void)scan(w, row, &top, INFINITY, trace);
    topk_sort(&top);
    return w->fails;
}

/* Learns from the first n rows, `each` times each. */
static int learn(struct world *w, size_t n, size_t each, struct stop_rule *r)
{
    struct stop_learning l = { .search = search, .arg = w, .k = K, .memory.mem = &w->bench.mem };
    int rc = stop_learn_begin(&l) ? OK : ERR_NO_MEMORY;
    for (size_t i = 0; !rc && i < n * each; i++)
        rc = stop_learn_row(&l, w->rows + i / each * DIM, i / each);
    stop_learn_end(&l, rc ? NULL : r);
    return rc;
}

static void expect_monotone(const struct stop_rule *r)
{
    double last = -INFINITY;
    assert_true(stop_rule_valid(r));
    for (double target = .01; target < 1; target += .01) {
        const double score = stop_rule_score(r, target);
        assert_true(isfinite(score) && score >= last);
        last = score;
    }
    last = 0;
    for (double score = -30; score < 30; score += .1) {
        const double recall = stop_rule_recall(r, score);
        assert_true(recall >= last && recall <= 1);
        last = recall;
    }
    assert_true(stop_rule_recall(r, -INFINITY) == 0 && stop_rule_recall(r, INFINITY) == 1);
}

static void test_default(void **state)
{
    struct stop_rule r;
    stop_rule_default(&r);
    expect_monotone(&r);
    for (double target = .05; target < 1; target += .05)
        assert_true(fabs(stop_rule_recall(&r, stop_rule_score(&r, target)) - target) < .005);
    r.score[3] = NAN;
    assert_false(stop_rule_valid(&r));
    stop_rule_default(&r);
    r.reached[5] = r.reached[4] - 1;
    assert_false(stop_rule_valid(&r));
}

static void test_one_search(void **state)
{
    struct stop_state s = stop_begin(4);
    assert_true(stop_after(&s, INFINITY, 5) == -INFINITY); /* fewer than k found */
    const double first = stop_after(&s, 2, 5);
    /* the same candidates, and the next list is farther */
    const double second = stop_after(&s, 2, 6);
    assert_true(isfinite(first) && second > first);
    assert_int_equal(s.unchanged, 1);
    const double third = stop_after(&s, 1.5f, 6);
    assert_true(third < stop_after(&s, 1.5f, 6));
    assert_int_equal(s.scanned, 5);
    assert_true(stop_after(&s, 0, 6) == INFINITY); /* k duplicates of the query */
    s = stop_begin(4);
    assert_true(isfinite(stop_after(&s, 1e-30f, 5))); /* a very large gap */
    assert_true(isfinite(stop_after(&s, 1e-30f, 4))); /* no gap */
}

static void test_fits(void **state)
{
    struct stop_learnt l = { .rows = 0, .clusters = 10 };
    assert_false(stop_learnt_fits(&l, 100, 10)); /* not learnt */
    l.rows = 100;
    assert_true(stop_learnt_fits(&l, 200, 15) && stop_learnt_fits(&l, 50, 7));
    assert_false(stop_learnt_fits(&l, 201, 10) || stop_learnt_fits(&l, 49, 10));
    assert_false(stop_learnt_fits(&l, 100, 16) || stop_learnt_fits(&l, 100, 6));
}

/* Mean recall of other queries, each stopped at the target. */
static double searched(const struct world *w, const struct stop_rule *r, double target,
                       double *lists)
{
    enum { QUERIES = 300 };
    double recall = 0;
    *lists = 0;
    for (size_t q = 0; q < QUERIES; q++) {
        const float *query = w->rows + (N + q * 7) * DIM;
        float all[K], found[K];
        uint64_t ids[K];
        struct topk exact = topk_begin(K, all, ids);
        (void)scan(w, query, &exact, INFINITY, NULL);
        struct topk top = topk_begin(K, found, ids);
        *lists += (double)scan(w, query, &top, stop_rule_score(r, target), NULL) / QUERIES;
        for (size_t i = 0; i < top.n; i++)
            recall += (found[i] <= topk_limit(&exact)) / (double)(K * QUERIES);
    }
    return recall;
}

static void test_learnt(void **state)
{
    struct world w;
    struct stop_rule r, again;
    double last = 0, lists;
    world_open(&w);
    assert_ok(learn(&w, STOP_SAMPLE + 60, 1, &r), &w.bench.error);
    expect_monotone(&r);
    for (double target = .8; target < .995; target += .05) {
        const double recall = searched(&w, &r, target, &lists);
        print_message("target %.2f: %.3f in %.1f lists\n", target, recall, lists);
        assert_true(fabs(recall - target) < .04);
        assert_true(lists > last && lists < LISTS);
        last = lists;
    }
    /* More rows than the sample holds change nothing. */
    assert_ok(learn(&w, STOP_SAMPLE + 90, 1, &again), &w.bench.error);
    assert_memory_equal(&r, &again, sizeof r);
    world_close(&w);
}

static void test_little_to_learn_from(void **state)
{
    struct world w;
    struct stop_rule r, usual;
    world_open(&w);
    stop_rule_default(&usual);
    assert_ok(learn(&w, 31, 1, &r), &w.bench.error);
    assert_memory_equal(&r, &usual, sizeof r);
    w.n = K; /* fewer than K count */
    assert_ok(learn(&w, K, 40, &r), &w.bench.error);
    assert_memory_equal(&r, &usual, sizeof r);
    /* All rows equal, in one list. */
    w.n = N;
    for (size_t i = DIM; i < (size_t)N * DIM; i++)
        w.rows[i] = w.rows[i - DIM];
    memset(w.list, 0, N * sizeof *w.list);
    assert_ok(learn(&w, 100, 1, &r), &w.bench.error);
    expect_monotone(&r);
    world_close(&w);
}

static void test_failures(void **state)
{
    struct world w;
    struct stop_rule r;
    world_open(&w);
    for (size_t at = 1; at <= 4; at++) {
        test_fail_allocation(&w.bench.mem, at, false);
        assert_int_equal(learn(&w, 10, 1, &r), ERR_NO_MEMORY);
        assert_true(test_allocations_succeed(&w.bench.mem));
        assert_int_equal(mem_live(&w.bench.mem), 0);
    }
    w.fails = ERR_IO;
    assert_int_equal(learn(&w, 10, 1, &r), ERR_IO);
    world_close(&w);
}

int main(void)
{
    return test_run_all("stop_rule", test_default, test_one_search, test_fits, test_learnt,
                        test_little_to_learn_from, test_failures);
}
