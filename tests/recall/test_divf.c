/* test_divf.c - divf on the paper's drift data: MNIST is trained on, Fashion-MNIST drifts in.
 *
 * Expected values are means over ten seeds of the original implementation;
 * the margins cover its spread. */
#include "algorithms/divf/divf.h"
#include "src/core/param.h"
#include "tests/recall/drift_data.h"

enum { SEEDS = 3 };

/* Share of answers no farther than the true K-th neighbour; *scanned: distances per query. */
static double recall(const struct drift *d, struct index *index, size_t set, double *scanned)
{
    static uint64_t ids[QUERIES * K];
    static float distances[QUERIES * K];
    struct divf_knobs knobs = { .nprobe = 4 };
    struct search_request request = {
        { d->queries[set], QUERIES, DIM, INDEX_F32 }, K, &knobs, NULL, 1
    };
    struct search_result result = { .ids = ids, .distances = distances };
    size_t hits = 0;
    assert_ok(divf_ops.search(index, &request, &result), index->env.error);
    for (size_t i = 0; i < QUERIES * K; i++)
        hits += ids[i] != INDEX_NO_ID && distances[i] <= d->kth[set][i / K];
    *scanned = result.work.distances / QUERIES;
    return (double)hits / (QUERIES * K);
}

static struct index *drifted(const struct drift *d, struct test_bench *bench, uint64_t seed,
                             int64_t soft_k)
{
    struct divf_params params;
    struct index *index = NULL;
    size_t done;
    bench->env.seed = seed;
    bench->env.expected_n = ROWS;
    param_defaults(divf_ops.params, &params);
    params.clusters = 32;
    params.soft_k = soft_k;
    assert_ok(divf_ops.create(&index, &bench->env, &params), &bench->error);
    struct vectors mnist_rows = { d->rows, MNIST_ROWS, DIM, INDEX_F32 };
    struct vectors fashion_rows = { d->rows + (size_t)MNIST_ROWS * DIM, FASHION_ROWS, DIM,
                                    INDEX_F32 };
    assert_ok(divf_ops.train(index, mnist_rows), &bench->error);
    assert_ok(divf_ops.insert(index, mnist_rows, d->ids, &done), &bench->error);
    assert_ok(divf_ops.insert(index, fashion_rows, d->ids + MNIST_ROWS, &done), &bench->error);
    return index;
}

static void test_drift(void **state)
{
    const struct drift *d = *state;
    const struct {
        int64_t soft_k;
        double fashion, mnist, fashion_margin, mnist_margin;
    } rows[] = {
        { 1, .953, .974, .025, .012 },
        { 2, .986, .993, .010, .006 },
    };
    if (!d->is_there)
        skip();
    for (size_t i = 0; i < 2; i++) {
        double sum[2] = { 0, 0 }, work[2] = { 0, 0 }, scanned;
        for (uint64_t seed = 1; seed <= SEEDS; seed++) {
            struct test_bench bench;
            test_bench_begin(&bench, INDEX_F32, INDEX_L2SQ, DIM, 1);
            struct index *index = drifted(d, &bench, seed, rows[i].soft_k);
            for (size_t set = 0; set < 2; set++) {
                sum[set] += recall(d, index, set, &scanned) / SEEDS;
                work[set] += scanned / SEEDS;
            }
            divf_ops.destroy(index);
            test_bench_end(&bench);
        }
        print_message("soft_k %d, nprobe 4: Fashion %.4f (%.0f distances), MNIST %.4f (%.0f)\n",
                      (int)rows[i].soft_k, sum[0], work[0], sum[1], work[1]);
        assert_true(fabs(sum[0] - rows[i].fashion) <= rows[i].fashion_margin);
        assert_true(fabs(sum[1] - rows[i].mnist) <= rows[i].mnist_margin);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_drift),
    };
    test_filter();
    return test_verdict(
        cmocka_run_group_tests_name("recall_divf", tests, drift_set_up, drift_tear_down));
}
