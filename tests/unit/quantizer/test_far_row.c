/* test_far_row.c - one row far from all others, among the rows that the codes of a method are trained on:
 * the others' codes are as good as without it. Every method that has codes. */
#include "src/cli/methods.h"
#include "src/core/param.h"
#include "src/core/ranks/shards.h"
#include "tests/support/baselines.h"
#include "tests/support/checked_calls.h"
#include "tests/support/testing.h"

#include <sys/stat.h>

enum { DIM = 16, N = 800, K = 10, ASKED = 180, FAR = 77 };

static const struct {
    const char *method, *params;
} settings[] = {
    { "symqg", "" },
    { "vamana-disk", "merge_rows=50" },
    { "scann", "" },
    { "scann", "spill=soar" },
    { "spfresh", "postings=rabitq" },
    { "spfresh", "postings=sq8" },
    { "divf", "clusters=16" },
    { "divf", "clusters=16;quantizer=rabitq" },
    { "divf", "clusters=16;quantizer=pq" },
    { "divf", "clusters=16;quantizer=sq8" },
    { "channi", "cluster_index=codes" },
    { "hnsw", "" },
};

/* How many rows find themselves. */
static size_t own_rows_found(struct checked *c, const float *rows, const void *knobs)
{
    size_t found = 0;

    for (size_t q = 0; q < ASKED; q++) {
        const size_t row = N - 1 - q;
        uint64_t ids[K];
        float distances[K];
        const struct search_request request = {
            { rows + row * DIM, 1, DIM, INDEX_F32 }, K, knobs, NULL, 1
        };
        struct search_result result = { .ids = ids, .distances = distances };

        assert_ok(index_search(c, &request, &result), c->error);
        for (size_t i = 0; i < K; i++)
            found += ids[i] == row;
    }
    return found;
}

static size_t try(const struct registry *registry, size_t setting, const float *rows)
{
    const struct vectors all = { rows, N, DIM, INDEX_F32 };
    struct test_bench bench;
    struct checked c;
    char dir[PATH_MAX];
    uint64_t ids[N];
    size_t done;
    bool more;

    test_dir_make(dir);
    test_bench_begin(&bench, INDEX_F32, INDEX_L2SQ, DIM, 1);
    const struct shard_env shards = { .registry = registry };
    bench.env.shards = &shards;
    bench.env.dir = dir;
    const struct index_ops *ops = registry_find(registry, settings[setting].method, &bench.error);
    assert_non_null(ops);
    void *params = calloc(1, ops->params_bytes + 1), *knobs = calloc(1, ops->knobs_bytes + 1);
    baseline_options(ops->params, settings[setting].params, params);
    param_defaults(ops->knobs, knobs);
    for (size_t i = 0; i < N; i++)
        ids[i] = i;
    assert_ok(index_open(&c, ops, &bench.env, params), &bench.error);
    if (ops->train)
        assert_ok(index_train(&c, all), &bench.error);
    assert_ok(index_insert(&c, all, ids, &done), &bench.error);
    if (ops->maintain)
        assert_ok(index_maintain(&c, 0, &more), &bench.error);
    assert_ok(index_check(&c, NULL), &bench.error);
    const size_t found = own_rows_found(&c, rows, knobs);
    index_close(&c);
    test_bench_end(&bench);
    test_dir_remove(dir);
    free(params);
    free(knobs);
    return found;
}

/* 9e18: the longest row that is admitted, nearly. */
static void test_one_far_row(void **state)
{
    static const double lengths[] = { 1e5, 1e8, 9e18 };
    static float rows[N * DIM];
    struct error err = { 0 };
    struct registry registry;
    struct rng rng = rng_at(test_seed(), 3);
    size_t lost = 0;

    assert_ok(methods_open(&registry, &err), &err);
    test_fill_f32(&rng, rows, N, DIM, 9, .4);
    for (size_t s = 0; s < sizeof settings / sizeof *settings; s++) {
        test_fill_f32(&rng, rows + FAR * DIM, 1, DIM, 1, .4);
        const size_t before = try(&registry, s, rows);

        for (size_t i = 0; i < 3; i++) {
            for (size_t j = 0; j < DIM; j++)
                rows[FAR * DIM + j] = (float)(j % 2 ? lengths[i] / 4 : -lengths[i] / 4);
            const size_t found = try(&registry, s, rows);
            if (found + 2 < before)
                print_error(
                    "%s %s: of %d rows, %zu find themselves; %zu with one row of length %g\n",
                    settings[s].method, settings[s].params, ASKED, before, found, lengths[i]);
            lost += found + 2 < before;
        }
    }
    registry_close(&registry);
    assert_int_equal(lost, 0);
}

int main(void)
{
    return test_run_all("far row", test_one_far_row);
}
