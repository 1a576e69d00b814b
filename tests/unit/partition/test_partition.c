/* test_partition.c - k-means and HDBSCAN* as methods: hand-made cases, known properties, and
   memory that runs out. */
#include <math.h>

#include "algorithms/partition/partition.h"
#include "src/core/checked.h"
#include "tests/support/testing.h"

enum { MOST = 1000 };

/* An index of rows 0 .. n - 1, and its last clusters. */
struct desk {
    struct test_bench bench;
    struct partition_params params;
    struct checked index;
    size_t n, dim, clusters;
    uint64_t ids[MOST], of_ids[MOST], of_vectors[MOST], medoids[MOST];
};

static void desk_open(struct desk *d, const struct index_ops *ops, const char *name,
                      const char *value, const float *rows, size_t n, size_t dim)
{
    size_t done;
    memset(d, 0, sizeof *d);
    test_bench_begin(&d->bench, INDEX_F32, INDEX_L2SQ, dim, 2);
    param_defaults(ops->params, &d->params);
    assert_ok(param_set(ops->params, &d->params, name,
                        (struct param_value){ .kind = VALUE_TEXT, .text = value }, ops->name,
                        &d->bench.error),
              &d->bench.error);
    d->n = n;
    d->dim = dim;
    for (size_t i = 0; i < n; i++)
        d->ids[i] = i;
    assert_ok(index_open(&d->index, ops, &d->bench.env, &d->params), &d->bench.error);
    assert_ok(index_insert(&d->index, (struct vectors){ rows, n, dim, INDEX_F32 }, d->ids, &done),
              &d->bench.error);
}

static void desk_close(struct desk *d)
{
    index_close(&d->index);
    assert_int_equal(mem_live(&d->bench.mem), 0);
    test_bench_end(&d->bench);
}

static int take_medoid(void *to, uint64_t cluster, uint64_t id)
{
    ((struct desk *)to)->medoids[cluster] = id;
    return OK;
}

static int ask(struct desk *d, size_t target, const float *vectors, size_t n)
{
    const struct cluster_request request = { .target = target,
                                             .ids = d->ids,
                                             .n = d->n,
                                             .vectors = { vectors, n, d->dim, INDEX_F32 },
                                             .threads = 2 };
    struct cluster_result result = {
        .of_ids = d->of_ids, .of_vectors = d->of_vectors, .medoid = take_medoid, .to = d
    };
    const int rc = index_cluster(&d->index, &request, &result);
    d->clusters = result.clusters;
    return rc;
}

/* Groups of 20, 20 and 40 points around (0, 0), (10, 0) and (0, 30), and two points far from all. */
enum { GROUPED = 82 };

static void fill_groups(float *rows, struct rng *r)
{
    for (size_t i = 0; i < GROUPED; i++) {
        rows[2 * i] = (float)rng_unit(r) + (i >= 20 && i < 40 ? 10 : 0);
        rows[2 * i + 1] = (float)rng_unit(r) + (i >= 40 && i < 80 ? 30 : 0);
    }
    rows[160] = 200;
    rows[163] = -200;
}

static size_t group_of(size_t i)
{
    return i < 20 ? 0 : i < 40 ? 1 : i < 80 ? 2 : 3;
}

static void expect_groups(const struct desk *d, size_t n)
{
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < i; j++)
            assert_true((d->of_ids[i] == d->of_ids[j]) == (group_of(i) == group_of(j)));
}

static void hdbscan_finds_groups_and_noise(void **state)
{
    struct rng r = rng_at(test_seed(), 1);
    float rows[2 * GROUPED];
    const float near[] = { 10.5F, .5F, 190, 0 };
    struct desk d;
    fill_groups(rows, &r);
    desk_open(&d, &hdbscan_ops, "min_cluster_size", "10", rows, GROUPED, 2);
    assert_ok(ask(&d, 0, near, 2), &d.bench.error);
    assert_int_equal(d.clusters, 3);
    expect_groups(&d, 80);
    assert_true(d.of_ids[80] == INDEX_NO_CLUSTER && d.of_ids[81] == INDEX_NO_CLUSTER);
    assert_true(d.of_vectors[0] == d.of_ids[25] && d.of_vectors[1] == INDEX_NO_CLUSTER);
    for (size_t c = 0; c < 3; c++)
        assert_int_equal(d.of_ids[d.medoids[c]], c);
    desk_close(&d);
}

/* The group of 20 + 20 that is one cluster at a minimum of 25. */
static void hdbscan_minimum_joins_small_groups(void **state)
{
    struct rng r = rng_at(test_seed(), 2);
    float rows[2 * GROUPED];
    struct desk d;
    fill_groups(rows, &r);
    desk_open(&d, &hdbscan_ops, "min_cluster_size", "25", rows, GROUPED, 2);
    assert_ok(ask(&d, 0, NULL, 0), &d.bench.error);
    assert_int_equal(d.clusters, 2);
    assert_true(d.of_ids[0] == d.of_ids[25] && d.of_ids[0] != d.of_ids[60]);
    desk_close(&d);
}

/* Clusters do not depend on the scale of the rows, nor on a graph of more edges than the trees
   need. */
static void hdbscan_of_scaled_rows(void **state)
{
    enum { N = 400 };
    struct rng r = rng_at(test_seed(), 3);
    static float rows[2 * N], large[2 * N];
    static struct desk a, b, c;
    test_fill_f32(&r, rows, N, 2, 6, .2);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        large[i] = 4096 * rows[i];
    desk_open(&a, &hdbscan_ops, "min_cluster_size", "15", rows, N, 2);
    desk_open(&b, &hdbscan_ops, "min_cluster_size", "15", large, N, 2);
    desk_open(&c, &hdbscan_ops, "min_cluster_size", "15", rows, N, 2);
    ((struct partition *)c.index.index)->params.neighbours = N;
    assert_ok(ask(&a, 0, NULL, 0), &a.bench.error);
    assert_ok(ask(&b, 0, NULL, 0), &b.bench.error);
    assert_ok(ask(&c, 0, NULL, 0), &c.bench.error);
    assert_true(a.clusters > 1);
    assert_memory_equal(a.of_ids, b.of_ids, N * sizeof *a.of_ids);
    size_t differ = 0;
    for (size_t i = 0; i < N; i++)
        differ += (a.of_ids[i] == INDEX_NO_CLUSTER) != (c.of_ids[i] == INDEX_NO_CLUSTER);
    print_message("%zu clusters, %zu with all pairs; %zu rows differ in being noise\n", a.clusters,
                  c.clusters, differ);
    assert_int_equal(a.clusters, c.clusters);
    assert_true(differ <= N / 50);
    desk_close(&a);
    desk_close(&b);
    desk_close(&c);
}

/* Edges by hand: distances 1 within {0 1 2}, 2 within {3 4 5}, 4 between; 6 hangs on 0 at 10. The
   root holds all from lambda 0; at 1/10 point 6 falls out; at 1/4 the two divide. */
static void density_by_hand(void **state)
{
    struct test_bench bench;
    struct density_edge edges[] = { { 0, 1, 1 }, { 1, 2, 1 }, { 3, 4, 2 },
                                    { 4, 5, 2 }, { 2, 3, 4 }, { 0, 6, 10 } };
    uint32_t labels[8];
    size_t clusters;
    test_bench_begin(&bench, INDEX_F32, INDEX_L2SQ, 2, 1);
    assert_ok(partition_density(&bench.env, edges, 6, 7, 3, labels, &clusters), &bench.error);
    assert_int_equal(clusters, 2);
    assert_true(labels[0] == labels[1] && labels[1] == labels[2] && labels[3] == labels[4] &&
                labels[4] == labels[5] && labels[0] != labels[3]);
    assert_true(labels[0] < 2 && labels[3] < 2 && labels[6] == PARTITION_NOISE);
    assert_ok(partition_density(&bench.env, edges, 6, 7, 4, labels, &clusters), &bench.error);
    assert_int_equal(clusters, 0); /* nothing divides: only the root is left */
    test_bench_end(&bench);
}

/* Two trees without an edge between them; a division that pays less than its parent. */
static void density_prefers_the_stabler(void **state)
{
    struct test_bench bench;
    /* Tree A: pairs 0-1 and 2-3 at 1, joined at 1.25; tree B: 4-5, 6-7 at 1, joined at 100. With
       clusters of 2, A from lambda 0 has 4 x .8; its pairs 2 (1 - .8) each. B has 4 x .01, its
       pairs 2 x .99 each. */
    struct density_edge edges[] = { { 0, 1, 1 }, { 2, 3, 1 }, { 1, 2, 1.25F },
                                    { 4, 5, 1 }, { 6, 7, 1 }, { 5, 6, 100 } };
    uint32_t labels[8];
    size_t clusters;
    test_bench_begin(&bench, INDEX_F32, INDEX_L2SQ, 2, 1);
    assert_ok(partition_density(&bench.env, edges, 6, 8, 2, labels, &clusters), &bench.error);
    assert_int_equal(clusters, 3);
    assert_true(labels[0] == labels[1] && labels[1] == labels[2] && labels[2] == labels[3]);
    assert_true(labels[4] == labels[5] && labels[6] == labels[7] && labels[4] != labels[6]);
    test_bench_end(&bench);
}

static void few_and_equal_rows(void **state)
{
    static const struct index_ops *const all[] = { &kmeans_ops, &hdbscan_ops };
    static const char *const names[] = { "clusters", "min_cluster_size" };
    static float rows[60 * 3];
    for (size_t m = 0; m < 2; m++)
        for (size_t n = 0; n <= 60; n += n < 3 ? 1 : 19) {
            struct desk d;
            desk_open(&d, all[m], names[m], "4", rows, n, 3);
            assert_ok(ask(&d, 0, rows, 2), &d.bench.error);
            assert_true(d.clusters <= 1);
            desk_close(&d);
        }
}

/* As many clusters as wanted; each row is nearest to the mean of its own. */
static void kmeans_makes_the_target(void **state)
{
    enum { N = 600, DIM = 5, K = 12 };
    struct rng r = rng_at(test_seed(), 4);
    static float rows[N * DIM];
    static struct desk d;
    double means[K][DIM] = { { 0 } }, n[K] = { 0 };
    size_t astray = 0;
    test_fill_f32(&r, rows, N, DIM, 9, .3);
    desk_open(&d, &kmeans_ops, "iterations", "1000", rows, N, DIM);
    assert_ok(ask(&d, 0, NULL, 0), &d.bench.error);
    assert_int_equal(d.clusters, 24); /* the square root of 600 */
    assert_ok(ask(&d, K, rows, N), &d.bench.error);
    assert_int_equal(d.clusters, K);
    assert_memory_equal(d.of_ids, d.of_vectors, N * sizeof *d.of_ids);
    for (size_t i = 0; i < N; i++, n[d.of_ids[i - 1]]++)
        for (size_t j = 0; j < DIM; j++)
            means[d.of_ids[i]][j] += (double)rows[i * DIM + j];
    for (size_t i = 0; i < N; i++) {
        double to[K] = { 0 };
        for (size_t c = 0; c < K; c++)
            for (size_t j = 0; j < DIM; j++)
                to[c] += pow((double)rows[i * DIM + j] - means[c][j] / n[c], 2);
        for (size_t c = 0; c < K; c++)
            if (to[c] < to[d.of_ids[i]] - 1e-4) {
                astray++;
                break;
            }
    }
    assert_int_equal(astray, 0);
    desk_close(&d);
}

static void memory_runs_out(void **state)
{
    static const struct index_ops *const all[] = { &kmeans_ops, &hdbscan_ops };
    static const char *const names[] = { "clusters", "min_cluster_size" };
    struct rng r = rng_at(test_seed(), 5);
    float rows[2 * GROUPED];
    fill_groups(rows, &r);
    for (size_t m = 0; m < 2; m++) {
        struct desk d;
        desk_open(&d, all[m], names[m], "10", rows, GROUPED, 2);
        for (size_t at = 1, done = 0; !done; at++) {
            d.bench.mem.fail_at = atomic_load(&d.bench.mem.calls) + at;
            atomic_store(&d.bench.mem.failed, false);
            const int rc = ask(&d, 0, rows, 3);
            done = !atomic_load(&d.bench.mem.failed);
            assert_true(!done || rc == OK); /* k-means needs less than it asks for */
            if (rc != OK)
                assert_code(rc, ERR_NO_MEMORY, &d.bench.error);
        }
        d.bench.mem.fail_at = 0;
        assert_ok(ask(&d, 0, rows, 3), &d.bench.error);
        desk_close(&d);
    }
}

int main(void)
{
    return test_run_all("partition", hdbscan_finds_groups_and_noise,
                        hdbscan_minimum_joins_small_groups, hdbscan_of_scaled_rows, density_by_hand,
                        density_prefers_the_stabler, few_and_equal_rows, kmeans_makes_the_target,
                        memory_runs_out);
}
