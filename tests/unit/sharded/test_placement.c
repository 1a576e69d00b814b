/* test_placement.c - which shards are asked, and how buckets and shards are divided and balanced. */
#include "tests/unit/sharded/cluster.h"

static double asked_per_query(struct cluster *c, size_t route, size_t n)
{
    const struct counters before = cluster_sharded(c)->counters;
    float *rows = cluster_rows(c, n, 0);
    uint64_t *ids = calloc(n * K, sizeof *ids);
    float *distances = calloc(n * K, sizeof *distances);
    struct search_result result = { .ids = ids, .distances = distances };
    c->knobs.route = (int64_t)route;
    const struct search_request request = { { rows, n, DIM, INDEX_F32 }, K, &c->knobs, NULL, 1 };
    assert_ok(index_search(&c->index, &request, &result), &c->bench.error);
    free(rows);
    free(ids);
    free(distances);
    return (double)(cluster_sharded(c)->counters.asked - before.asked) / (double)n;
}

static void test_routing(void **state)
{
    struct cluster c;
    cluster_open(&c, "shards=8,ranks=2,placement=cluster,buckets=8");
    cluster_train(&c, 2000);
    cluster_insert(&c, 4000, 0);
    size_t filled = 0;
    for (size_t i = 0; i < 8; i++)
        filled += cluster_sharded(&c)->shards[i].rows > 0;
    assert_true(filled > 4);
    assert_true(fabs(asked_per_query(&c, 0, 50) - (double)filled) < .01);
    assert_true(asked_per_query(&c, 1, 50) < 4);
    assert_true(asked_per_query(&c, 4, 50) < 4.01);
    assert_true(fabs(asked_per_query(&c, 100000, 50) - (double)filled) < .01);
    cluster_close(&c);
}

static double fullest(struct cluster *c)
{
    const struct sharded *s = cluster_sharded(c);
    size_t most = 0, all = 0;
    for (size_t i = 0; i < s->n_shards; i++) {
        most = s->shards[i].rows > most ? s->shards[i].rows : most;
        all += s->shards[i].rows;
    }
    return (double)most * (double)s->n_shards / (double)all;
}

/* Rows that come to where few were when it was trained. */
static void drift(const char *options, size_t shards)
{
    struct cluster c;
    cluster_open(&c, options);
    if (strcmp(c.params.of, "divf") == 0)
        strcpy(c.knobs.of_knobs, "nprobe=4194304");
    cluster_train(&c, 600);
    cluster_insert(&c, 600, 0);
    cluster_insert(&c, 3000, 6);
    const double before = fullest(&c);
    cluster_maintain(&c);
    cluster_check(&c);
    assert_true(before > 1.5);
    assert_true(fullest(&c) < (shards ? 2.1 : 1.4));
    assert_true(cluster_sharded(&c)->counters.moved_rows > 0);
    if (shards)
        assert_true(cluster_sharded(&c)->n_shards >= shards);
    assert_int_equal(cluster_search(&c, 20), 0);
    cluster_remove(&c, 1000);
    cluster_check(&c);
    assert_int_equal(cluster_search(&c, 20), 0);
    cluster_reload(&c);
    cluster_check(&c);
    cluster_close(&c);
}

static void test_drift(void **state)
{
    drift("shards=4,ranks=2,placement=cluster,buckets=8", 0);
    drift("shards=4,ranks=2,placement=cluster,buckets=8,split_rows=500,balance=100", 8);
    drift("of=divf,of_params=clusters=6,shards=4,ranks=2,placement=range,buckets=8,split_rows=500,"
          "balance=100",
          8);
}

/* Divided at quantiles of all of its ids, not of those that came first. */
static void test_range_is_divided_evenly(void **state)
{
    struct cluster c;
    cluster_open(&c, "shards=1,placement=range,buckets=8");
    for (size_t i = 0; i < 8; i++)
        cluster_insert(&c, 3000, 0);
    cluster_maintain(&c);
    const struct sharded *s = cluster_sharded(&c);
    assert_in_range(s->counters.bucket_splits, 1, 2);
    assert_in_range(s->placement.n_buckets, 9, 12);
    for (size_t i = 1; i < s->placement.n_buckets; i++)
        assert_true(s->placement.starts[s->placement.by_start[i - 1]] <
                    s->placement.starts[s->placement.by_start[i]]);
    cluster_check(&c);
    cluster_remove(&c, 9000);
    cluster_check(&c);
    assert_int_equal(cluster_search(&c, 5), 0);
    cluster_close(&c);
}

/* A shard whose rows are all in one bucket stays whole: the other side would have none, and a method that is
   to be trained nothing to be trained with. */
static void test_no_shard_without_rows(void **state)
{
    for (size_t side = 0; side < 2; side++) {
        struct cluster c;
        const double far = 100;
        cluster_open(&c, "shards=1,placement=cluster,buckets=2,split_rows=100,balance=100");
        float *sample = cluster_rows(&c, 600, 0);
        for (size_t i = 300 * DIM; i < 600 * DIM; i++)
            sample[i] += (float)far;
        assert_ok(index_train(&c.index, (struct vectors){ sample, 600, DIM, INDEX_F32 }),
                  &c.bench.error);
        free(sample);
        cluster_insert(&c, 300, side ? far : 0);
        cluster_maintain(&c);
        assert_int_equal(cluster_sharded(&c)->n_shards, 1);
        cluster_insert(&c, 40, side ? 0 : far);
        cluster_maintain(&c);
        assert_int_equal(cluster_sharded(&c)->n_shards, 2);
        assert_int_equal(cluster_sharded(&c)->shards[0].rows + cluster_sharded(&c)->shards[1].rows,
                         340);
        assert_true(cluster_sharded(&c)->shards[0].rows > 0);
        assert_true(cluster_sharded(&c)->shards[1].rows > 0);
        cluster_check(&c);
        assert_int_equal(cluster_search(&c, 5), 0);
        cluster_close(&c);
    }
}

int main(void)
{
    return test_run_all("sharded placement", test_routing, test_drift, test_range_is_divided_evenly,
                        test_no_shard_without_rows);
}
