#include "tests/unit/sharded/cluster.h"

#include <sys/stat.h>

#include "src/cli/methods.h"

static void new_folder(struct cluster *c)
{
    static char folder[PATH_MAX];
    assert_true(snprintf(folder, sizeof folder, "%.3000s/state-%zu", c->dir, c->folders++) > 0);
    assert_int_equal(mkdir(folder, 0700), 0);
    c->bench.env.dir = folder;
}

void cluster_open(struct cluster *c, const char *options)
{
    struct error *err = &c->bench.error;
    memset(c, 0, sizeof *c);
    test_bench_begin(&c->bench, INDEX_F32, INDEX_L2SQ, DIM, 1);
    assert_ok(methods_open(&c->registry, err), err);
    const struct index_ops *ops = registry_find(&c->registry, "sharded", err);
    const struct index_ops *flat = registry_find(&c->registry, "flat", err);
    assert_non_null(ops);
    thread_ranks_begin(&c->ranks, ops, &c->registry);
    test_dir_make_in_memory(c->dir);
    (void)snprintf(c->saved, sizeof c->saved, "%.3000s/saved", c->dir);
    assert_int_equal(mkdir(c->saved, 0700), 0);
    c->rng = rng_at(test_seed(), 7);
    c->shards = (struct shard_env){ .registry = &c->registry, .ranks = &c->ranks.base };
    c->bench.env.shards = &c->shards;
    new_folder(c);
    assert_ok(copy_options(ops->params, &c->params, options, "the test", err), err);
    assert_ok(copy_options(ops->knobs, &c->knobs, "route=0", "the test", err), err);
    assert_ok(index_open(&c->index, ops, &c->bench.env, &c->params), err);
    void *defaults = calloc(1, flat->params_bytes + 1);
    param_defaults(flat->params, defaults);
    assert_ok(index_open(&c->exact, flat, &c->bench.env, defaults), err);
    free(defaults);
}

void cluster_close(struct cluster *c)
{
    index_close(&c->index);
    index_close(&c->exact);
    assert_int_equal(mem_live(&c->bench.mem), 0);
    thread_ranks_end(&c->ranks);
    registry_close(&c->registry);
    test_bench_end(&c->bench);
    test_dir_remove(c->dir);
}

struct sharded *cluster_sharded(struct cluster *c)
{
    return sharded_of(c->index.index);
}

static struct vectors vectors(const float *rows, size_t n)
{
    return (struct vectors){ rows, n, DIM, INDEX_F32 };
}

float *cluster_rows(struct cluster *c, size_t n, double drift)
{
    float *rows = calloc(n * DIM + 1, sizeof *rows);
    assert_non_null(rows);
    test_fill_f32(&c->rng, rows, n, DIM, 9, .4);
    for (size_t i = 0; i < n * DIM; i++)
        rows[i] += (float)drift;
    return rows;
}

void cluster_train(struct cluster *c, size_t n)
{
    float *rows = cluster_rows(c, n, 0);
    assert_ok(index_train(&c->index, vectors(rows, n)), &c->bench.error);
    free(rows);
}

void cluster_insert(struct cluster *c, size_t n, double drift)
{
    float *rows = cluster_rows(c, n, drift);
    uint64_t *ids = calloc(n + 1, sizeof *ids);
    size_t done;
    for (size_t i = 0; i < n; i++)
        ids[i] = c->next_id++;
    assert_ok(index_insert(&c->index, vectors(rows, n), ids, &done), &c->bench.error);
    assert_ok(index_insert(&c->exact, vectors(rows, n), ids, &done), &c->bench.error);
    free(rows);
    free(ids);
}

void cluster_remove(struct cluster *c, size_t n)
{
    uint64_t *ids = calloc(n + 1, sizeof *ids), id;
    size_t m = 0, done;
    const uint64_t first = rng_below(&c->rng, c->next_id);
    for (uint64_t i = 0; i < c->next_id && m < n; i++) {
        id = (first + i) % c->next_id;
        if (idmap_get(&c->exact.live, id, NULL))
            ids[m++] = id;
    }
    assert_ok(index_remove(&c->index, ids, m, &done), &c->bench.error);
    assert_ok(index_remove(&c->exact, ids, m, &done), &c->bench.error);
    free(ids);
}

void cluster_maintain(struct cluster *c)
{
    bool more = true;
    for (size_t i = 0; more && i < 100; i++)
        assert_ok(index_maintain(&c->index, 0, &more), &c->bench.error);
    assert_false(more);
}

void cluster_check(struct cluster *c)
{
    assert_ok(index_check(&c->index, NULL), &c->bench.error);
}

size_t cluster_search(struct cluster *c, size_t n)
{
    float *rows = cluster_rows(c, n, 0);
    uint64_t *ids = calloc(2 * n * K, sizeof *ids);
    float *distances = calloc(2 * n * K, sizeof *distances);
    struct shard_work shards = { 0 };
    struct search_request request = { vectors(rows, n), K, &c->knobs, NULL, 1 };
    struct search_result mine = { .ids = ids, .distances = distances, .shards = &shards },
                         truth = { .ids = ids + n * K, .distances = distances + n * K };
    assert_ok(index_search(&c->index, &request, &mine), &c->bench.error);
    request.knobs = NULL;
    assert_ok(index_search(&c->exact, &request, &truth), &c->bench.error);
    for (size_t i = 0; shards.partial == 0 && i < n * K; i++)
        assert_int_equal(mine.ids[i], truth.ids[i]);
    /* What there is of partial answers is right, and in order. */
    for (size_t i = 0; i < n * K; i++) {
        assert_true(mine.ids[i] == INDEX_NO_ID || idmap_get(&c->exact.live, mine.ids[i], NULL));
        assert_true(i % K == 0 || mine.distances[i - 1] <= mine.distances[i]);
    }
    free(rows);
    free(ids);
    free(distances);
    return (size_t)shards.partial;
}

static int count_found(void *to, size_t query, uint64_t id, float distance)
{
    *(uint64_t *)to += rng_mix(id, 1) % 1000003 + 1;
    return OK;
}

void cluster_range(struct cluster *c, size_t n)
{
    float *rows = cluster_rows(c, n, 0);
    uint64_t sums[2] = { 0, 0 };
    struct range_request request = { vectors(rows, n), 6, &c->knobs, NULL, 1 };
    struct range_result mine = { .found = count_found, .to = &sums[0] },
                        truth = { .found = count_found, .to = &sums[1] };
    assert_ok(index_range(&c->index, &request, &mine), &c->bench.error);
    request.knobs = NULL;
    assert_ok(index_range(&c->exact, &request, &truth), &c->bench.error);
    assert_int_equal(sums[0], sums[1]);
    free(rows);
}

void cluster_reload(struct cluster *c)
{
    struct checked loaded;
    assert_ok(index_save(&c->index, c->saved), &c->bench.error);
    const struct index_ops *ops = c->index.ops;
    const struct idmap live = c->index.live;
    /* One group of ranks at a time, so it is closed first; its ids are kept. */
    c->index.index->ops->destroy(c->index.index);
    new_folder(c);
    c->index.index = NULL;
    struct checked from = { .live = live };
    assert_ok(index_open_saved(&loaded, ops, &c->bench.env, c->saved, &from), &c->bench.error);
    struct idmap old = live;
    idmap_free(&old);
    c->index = loaded;
}
