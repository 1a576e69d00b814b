/* test_maintenance.c - the effect of divf's maintenance policies on the paper's drift data: the
 * share of all vectors that must be scanned for a recall, and the cost of insertion.
 *
 * The scanned share is the number of stored copies in the probed lists per query, divided by the
 * 30 000 vectors; between two numbers of probes it is interpolated. It is computed from the lists
 * that hold the true neighbours. DRIFTLINE_SEEDS: number of seeds (2);
 * DRIFTLINE_POLICY: only this policy. */
#include <time.h>

#include "algorithms/divf/divf.h"
#include "kernels/kernels.h"
#include "src/core/param.h"
#include "tests/recall/drift_data.h"

enum { TRUE_MAX = 4 * K, TARGETS = 3 };
static const double targets[TARGETS] = { .95, .98, .99 };

struct neighbours {
    size_t n;
    uint64_t id[TRUE_MAX]; /* ids at most as far as the K-th, so that ties count */
};

/* Rows are compared with all queries while they are in the cache: reading all rows for each query
   took most of the test's time. */
static struct neighbours *find_neighbours(const struct drift *d)
{
    enum { BLOCK = 150 };
    struct neighbours *all = calloc(2 * QUERIES, sizeof *all);
    const struct kernels *kernels = kernels_select(ISA_AVX512);
    float distances[BLOCK];
    assert_non_null(all);
    for (size_t at = 0; at < ROWS; at += BLOCK)
        for (size_t q = 0; q < 2 * QUERIES; q++) {
            const float kth = d->kth[q / QUERIES][q % QUERIES];
            kernels->l2sq_f32_1n(d->queries[q / QUERIES] + q % QUERIES * DIM, d->rows + at * DIM,
                                 BLOCK, DIM, distances);
            for (size_t i = 0; i < BLOCK; i++)
                if (distances[i] <= kth && all[q].n < TRUE_MAX)
                    all[q].id[all[q].n++] = at + i;
        }
    for (size_t q = 0; q < 2 * QUERIES; q++)
        assert_true(all[q].n >= K);
    return all;
}

static uint32_t slot_of[ROWS]; /* slot of each id in the measured index */

static void find_slots(const struct divf *d)
{
    for (size_t s = 0; s < d->slots.n; s++)
        if (d->slots.id[s] != INDEX_NO_ID)
            slot_of[d->slots.id[s]] = (uint32_t)s;
}

/* recall[p], scanned[p]: sums over the queries of a set with p lists probed. */
struct curve {
    double *recall, *scanned;
};

static void add_query(const struct divf *d, const float *query, const struct neighbours *truth,
                      struct curve *c)
{
    size_t n = d->lists.n;
    float *distances = malloc(n * sizeof *distances);
    size_t *rank = malloc(n * sizeof *rank), *hits = calloc(n, sizeof *hits);
    double scanned = 0;
    d->base.env.kernels->l2sq_f32_1n(query, d->lists.centroids, n, DIM, distances);
    for (size_t p = 0; p < n; p++) {
        size_t list = d->base.env.kernels->argmin_f32(distances, n);
        distances[list] = INFINITY;
        rank[list] = p;
        scanned += d->lists.list[list]->live;
        c->scanned[p + 1] += scanned;
    }
    for (size_t i = 0; i < truth->n; i++) {
        size_t first = n - 1;
        for (size_t l = 0; l < n; l++)
            if (rank[l] < first && divf_slot_in_list(&d->lists, slot_of[truth->id[i]], l))
                first = rank[l];
        hits[first]++;
    }
    for (size_t p = 0, found = 0; p < n; p++) {
        found += hits[p];
        c->recall[p + 1] += found < K ? (double)found / K : 1;
    }
    free(distances);
    free(rank);
    free(hits);
}

static void share_at(const struct drift *d, const struct divf *index,
                     const struct neighbours *truth, size_t set, double share[TARGETS])
{
    size_t n = index->lists.n;
    struct curve c = { calloc(n + 1, sizeof(double)), calloc(n + 1, sizeof(double)) };
    for (size_t q = 0; q < QUERIES; q++)
        add_query(index, d->queries[set] + q * DIM, &truth[set * QUERIES + q], &c);
    for (size_t t = 0; t < TARGETS; t++) {
        size_t p = 1;
        while (c.recall[p] < targets[t] * QUERIES)
            p++;
        double part = (targets[t] * QUERIES - c.recall[p - 1]) / (c.recall[p] - c.recall[p - 1]);
        share[t] += (c.scanned[p - 1] + part * (c.scanned[p] - c.scanned[p - 1])) / QUERIES / ROWS;
    }
    free(c.recall);
    free(c.scanned);
}

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* Vectors that are not in their nearest list. */
static double misfiled(const struct drift *d, const struct divf *index)
{
    size_t wrong = 0, n = 0;
    float *distances = malloc(index->lists.n * sizeof *distances);
    for (size_t i = 0; i < ROWS; i += 7, n++) {
        index->base.env.kernels->l2sq_f32_1n(d->rows + i * DIM, index->lists.centroids,
                                             index->lists.n, DIM, distances);
        wrong += !divf_slot_in_list(&index->lists, slot_of[i],
                                    index->base.env.kernels->argmin_f32(distances, index->lists.n));
    }
    free(distances);
    return (double)wrong / (double)n;
}

struct outcome {
    double share[2][TARGETS], lists, load, drift, misfiled, maintenance;
};

struct policy {
    const char *name;
    int64_t maintenance, soft_k;
    bool rebuild;
    double fashion, mnist; /* largest share scanned for a recall of .98 */
};

/* DRIFTLINE_PARAMS="list_limit=1.5 maintenance_budget=200" sets other parameters. */
static void set_params(struct divf_params *params, struct error *err)
{
    char text[1000];
    const char *given = getenv("DRIFTLINE_PARAMS");
    snprintf(text, sizeof text, "%s", given ? given : "");
    for (char *name = strtok(text, " "), *value; name; name = strtok(NULL, " ")) {
        value = strchr(name, '=');
        assert_non_null(value);
        *value++ = '\0';
        const struct param_value v = { .kind = VALUE_TEXT, .text = value };
        assert_ok(param_set(divf_ops.params, params, name, v, "divf", err), err);
    }
}

static void measure(const struct drift *d, const struct neighbours *truth, const struct policy *p,
                    uint64_t seed, struct outcome *o)
{
    struct test_bench bench;
    struct divf_params params;
    struct index *index = NULL;
    size_t done;
    test_bench_begin(&bench, INDEX_F32, INDEX_L2SQ, DIM, 1);
    bench.env.seed = seed;
    bench.env.expected_n = ROWS;
    param_defaults(divf_ops.params, &params);
    params.clusters = 32;
    params.maintenance = p->maintenance;
    params.soft_k = p->soft_k;
    set_params(&params, &bench.error);
    assert_ok(divf_ops.create(&index, &bench.env, &params), &bench.error);
    struct vectors mnist = { d->rows, MNIST_ROWS, DIM, INDEX_F32 };
    struct vectors fashion = { d->rows + (size_t)MNIST_ROWS * DIM, FASHION_ROWS, DIM, INDEX_F32 };
    struct vectors all = { d->rows, ROWS, DIM, INDEX_F32 };
    assert_ok(divf_ops.train(index, p->rebuild ? all : mnist), &bench.error);
    double start = seconds();
    assert_ok(divf_ops.insert(index, mnist, d->ids, &done), &bench.error);
    double loaded = seconds();
    assert_ok(divf_ops.insert(index, fashion, d->ids + MNIST_ROWS, &done), &bench.error);
    double drifted = seconds();
    o->drift = fmin(o->drift, drifted - loaded);
    o->load = fmin(o->load, loaded - start);
    assert_ok(divf_ops.check(index, NULL), &bench.error);
    find_slots(divf_of(index));
    for (size_t set = 0; set < 2; set++)
        share_at(d, divf_of(index), truth, set, o->share[set]);
    o->misfiled += misfiled(d, divf_of(index));
    o->lists += (double)divf_of(index)->lists.n;
    o->maintenance += (double)divf_of(index)->counters.maintenance.distances;
    divf_ops.destroy(index);
    test_bench_end(&bench);
}

static void test_policies(void **state)
{
    const struct drift *d = *state;
    const struct policy policies[] = {
        { "none", DIVF_NONE, 1, false, 1, 1 },
        { "rebuilt", DIVF_NONE, 1, true, .11, .17 },
        { "copenhagen", DIVF_COPENHAGEN, 1, false, 1, 1 },
        { "lire", DIVF_LIRE, 1, false, .11, .16 },
        { "dedrift", DIVF_DEDRIFT, 1, false, .23, .22 },
        { "cost-model", DIVF_COST_MODEL, 1, false, .11, .16 },
        { "ada-ivf", DIVF_ADA_IVF, 1, false, .12, .16 },
        { "none, soft_k 2", DIVF_NONE, 2, false, 1, 1 },
        { "lire, soft_k 2", DIVF_LIRE, 2, false, .15, .18 },
    };
    if (!d->is_there)
        skip();
    const char *given = getenv("DRIFTLINE_SEEDS");
    uint64_t seeds = given ? strtoull(given, NULL, 10) : 2;
    struct neighbours *truth = find_neighbours(d);
    print_message("%% scanned for recall .95/.98/.99, mean of %d seeds; least CPU ms\n",
                  (int)seeds);
    const char *only = getenv("DRIFTLINE_POLICY");
    for (size_t i = 0; i < sizeof policies / sizeof *policies; i++) {
        if (only && strcmp(only, policies[i].name) != 0)
            continue;
        struct outcome o = { .load = INFINITY, .drift = INFINITY };
        for (uint64_t seed = 1; seed <= seeds; seed++)
            measure(d, truth, &policies[i], seed, &o);
        double n = (double)seeds;
        print_message("%-15s Fashion %5.1f %5.1f %5.1f  MNIST %5.1f %5.1f %5.1f  lists %5.1f  load "
                      "%5.1f  drift %5.1f  misfiled %4.1f%%  maintenance %.0fk\n",
                      policies[i].name, 100 * o.share[0][0] / n, 100 * o.share[0][1] / n,
                      100 * o.share[0][2] / n, 100 * o.share[1][0] / n, 100 * o.share[1][1] / n,
                      100 * o.share[1][2] / n, o.lists / n, 1e3 * o.load, 1e3 * o.drift,
                      100 * o.misfiled / n, o.maintenance / n / 1e3);
        if (!getenv("DRIFTLINE_PARAMS"))
            assert_true(o.share[0][1] / n <= policies[i].fashion &&
                        o.share[1][1] / n <= policies[i].mnist);
    }
    free(truth);
}

/* Drift one vector at a time: maintenance is spread over insertions, so that each stays short. */
static void test_single_insertions(void **state)
{
    enum { SINGLES = 5000 };
    const struct drift *d = *state;
    static double took[SINGLES];
    struct test_bench bench;
    struct divf_params params;
    struct index *index = NULL;
    size_t done;
    if (!d->is_there)
        skip();
    for (int64_t maintenance = DIVF_NONE; maintenance <= DIVF_ADA_IVF; maintenance++) {
        test_bench_begin(&bench, INDEX_F32, INDEX_L2SQ, DIM, 1);
        param_defaults(divf_ops.params, &params);
        params.clusters = 32;
        params.maintenance = maintenance;
        set_params(&params, &bench.error);
        assert_ok(divf_ops.create(&index, &bench.env, &params), &bench.error);
        struct vectors mnist = { d->rows, 10000, DIM, INDEX_F32 };
        assert_ok(divf_ops.train(index, mnist), &bench.error);
        assert_ok(divf_ops.insert(index, mnist, d->ids, &done), &bench.error);
        for (size_t i = 0; i < SINGLES; i++) {
            struct vectors one = { d->rows + (MNIST_ROWS + i) * DIM, 1, DIM, INDEX_F32 };
            double start = seconds();
            assert_ok(divf_ops.insert(index, one, d->ids + MNIST_ROWS + i, &done), &bench.error);
            took[i] = 1e6 * (seconds() - start);
        }
        assert_ok(divf_ops.check(index, NULL), &bench.error);
        qsort(took, SINGLES, sizeof *took, test_by_double);
        double sum = 0;
        for (size_t i = 0; i < SINGLES; i++)
            sum += took[i] / SINGLES;
        print_message(
            "policy %d, insertions one by one, us: median %.1f  mean %.1f  p99 %.1f  p99.9 "
            "%.1f  most %.1f; %d splits\n",
            (int)maintenance, took[SINGLES / 2], sum, took[SINGLES * 99 / 100],
            took[SINGLES * 999 / 1000], took[SINGLES - 1], (int)divf_of(index)->counters.splits);
        divf_ops.destroy(index);
        test_bench_end(&bench);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_policies),
        cmocka_unit_test(test_single_insertions),
    };
    test_filter();
    return test_verdict(
        cmocka_run_group_tests_name("recall_upkeep", tests, drift_set_up, drift_tear_down));
}
