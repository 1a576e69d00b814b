/* test_stop.c - divf's target_recall on real data: recall meets the target, the estimate agrees
 * with it, and easy queries open fewer lists. */
#include "algorithms/divf/divf.h"
#include "src/core/param.h"
#include "tests/recall/drift_data.h"

enum { LISTS = 141 }; /* sqrt of the rows: enough for a stop to matter */

struct outcome {
    double recall, estimate, lists, scanned;
};

static float distances_found[QUERIES * K];
static uint64_t ids_found[QUERIES * K];

static void stat_named(void *to, const char *name, double value)
{
    struct outcome *o = to;
    if (strcmp(name, "recall_estimate") == 0)
        o->estimate = value;
    if (strcmp(name, "lists_per_query") == 0)
        o->lists = value;
}

static void no_cell(void *to, const char *table, size_t row, const char *column, double value) {}

static struct outcome search_some(struct index *index, const float *queries, size_t n,
                                  const float *kth, double target, int64_t nprobe)
{
    struct divf_knobs knobs = { .nprobe = nprobe, .target_recall = target };
    struct search_request request = { { queries, n, DIM, INDEX_F32 }, K, &knobs, NULL, 1 };
    struct search_result result = { .ids = ids_found, .distances = distances_found };
    struct outcome o = { 0 };
    struct stat_sink sink = { stat_named, no_cell, &o };
    divf_of(index)->stops = (struct divf_stops){ 0 };
    assert_ok(divf_ops.search(index, &request, &result), index->env.error);
    assert_ok(divf_ops.stats(index, &sink), index->env.error);
    for (size_t i = 0; i < n * K; i++)
        o.recall +=
            (ids_found[i] != INDEX_NO_ID && distances_found[i] <= kth[i / K]) / (double)(n * K);
    o.scanned = result.work.scanned / (double)n;
    return o;
}

static struct outcome search(struct index *index, const float *queries, const float *kth,
                             double target, int64_t nprobe)
{
    return search_some(index, queries, QUERIES, kth, target, nprobe);
}

/* The distance of the K-th neighbour among the first n rows. */
static void truth(struct index *index, const float *queries, float *kth)
{
    (void)search(index, queries, kth, 0, 1 << 20);
    for (size_t i = 0; i < QUERIES; i++)
        kth[i] = distances_found[i * K + K - 1];
}

static struct index *filed(const struct drift *d, struct test_bench *bench, int64_t soft_k,
                           size_t rows)
{
    struct divf_params params;
    struct index *index = NULL;
    size_t done;
    param_defaults(divf_ops.params, &params);
    params.clusters = LISTS;
    params.train_iters = 10;
    params.soft_k = soft_k;
    params.split_threshold = 0;
    assert_ok(divf_ops.create(&index, &bench->env, &params), &bench->error);
    struct vectors training = { d->rows, MNIST_ROWS, DIM, INDEX_F32 };
    assert_ok(divf_ops.train(index, training), &bench->error);
    assert_ok(
        divf_ops.insert(index, (struct vectors){ d->rows, rows, DIM, INDEX_F32 }, d->ids, &done),
        &bench->error);
    return index;
}

/* The smallest number of lists, the same for every query, that reaches a recall. */
static double fixed_lists(struct index *index, const float *queries, const float *kth,
                          double recall)
{
    int64_t nprobe = 1;
    while (search(index, queries, kth, 0, nprobe).recall < recall)
        nprobe++;
    return (double)nprobe;
}

static void test_target(void **state)
{
    const struct drift *d = *state;
    static const double targets[] = { .9, .95, .99 };
    static float kth[QUERIES];
    if (!d->is_there)
        skip();
    for (int64_t soft_k = 1; soft_k <= 2; soft_k++) {
        struct test_bench bench;
        test_bench_begin(&bench, INDEX_F32, INDEX_L2SQ, DIM, 1);
        struct index *index = filed(d, &bench, soft_k, MNIST_ROWS);
        truth(index, d->queries[1], kth);
        for (size_t t = 0; t < 3; t++) {
            const struct outcome o = search(index, d->queries[1], kth, targets[t], LISTS);
            const double fixed = fixed_lists(index, d->queries[1], kth, o.recall);
            print_message(
                "soft_k %d, target %.2f: recall %.4f, estimate %.4f, %.2f lists (every query "
                "alike: %.0f)\n",
                (int)soft_k, targets[t], o.recall, o.estimate, o.lists, fixed);
            assert_true(o.recall >= targets[t] - .02 &&
                        o.recall <= targets[t] + (targets[t] < .95 ? .03 : .02));
            /* With few lists, recall changes in coarse steps. */
            assert_true(fabs(o.estimate - o.recall) <= (targets[t] < .95 ? .04 : .03));
            assert_true(o.lists <= fixed * .95 || fixed <= 3);
        }
        /* nprobe is still an upper limit. */
        assert_true(search(index, d->queries[1], kth, .99, 2).lists <= 2);
        divf_ops.destroy(index);
        test_bench_end(&bench);
    }
}

/* Estimated against true recall of single queries, grouped by the estimate. */
static void test_calibration(void **state)
{
    const struct drift *d = *state;
    static const double edges[] = { 0, .6, .8, .9, .95, .98, 1.01 };
    static const double targets[] = { .5, .6, .7, .8, .9, .95, .98, .99 };
    static float kth[QUERIES];
    struct {
        double queries, estimated, found;
    } bins[6] = { { 0 } };
    if (!d->is_there)
        skip();
    struct test_bench bench;
    test_bench_begin(&bench, INDEX_F32, INDEX_L2SQ, DIM, 1);
    struct index *index = filed(d, &bench, 1, MNIST_ROWS);
    truth(index, d->queries[1], kth);
    for (size_t t = 0; t < sizeof targets / sizeof *targets; t++)
        for (size_t q = 0; q < QUERIES; q++) {
            const struct outcome o =
                search_some(index, d->queries[1] + q * DIM, 1, kth + q, targets[t], LISTS);
            size_t b = 0;
            while (o.estimate >= edges[b + 1])
                b++;
            bins[b].queries += 1;
            bins[b].estimated += o.estimate;
            bins[b].found += o.recall;
        }
    for (size_t b = 0; b < 6; b++) {
        const double n = bins[b].queries, estimated = bins[b].estimated / n,
                     found = bins[b].found / n;
        print_message("estimate %.2f to %.2f: %.0f queries, estimated %.3f, found %.3f\n", edges[b],
                      fmin(edges[b + 1], 1), n, estimated, found);
        if (n >= 200)
            assert_true(fabs(estimated - found) <= (edges[b] < .8 ? .12 : .05));
    }
    divf_ops.destroy(index);
    test_bench_end(&bench);
}

/* A rule learnt from digits, used for clothes inserted later. */
static void test_target_after_drift(void **state)
{
    const struct drift *d = *state;
    if (!d->is_there)
        skip();
    struct test_bench bench;
    test_bench_begin(&bench, INDEX_F32, INDEX_L2SQ, DIM, 1);
    struct index *index = filed(d, &bench, 1, ROWS);
    for (size_t set = 0; set < 2; set++) {
        const struct outcome o = search(index, d->queries[set], d->kth[set], .95, LISTS);
        print_message("after drift, %s: recall %.4f, estimate %.4f, %.2f lists\n",
                      set ? "MNIST" : "Fashion", o.recall, o.estimate, o.lists);
        assert_true(o.recall >= .91);
    }
    divf_ops.destroy(index);
    test_bench_end(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_target),
        cmocka_unit_test(test_calibration),
        cmocka_unit_test(test_target_after_drift),
    };
    test_filter();
    return test_verdict(
        cmocka_run_group_tests_name("recall_stop", tests, drift_set_up, drift_tear_down));
}
