/* test_in_place.c - one node removed from a graph of kind Vamana: where the search visits all nodes
 * and no list is full, every edge is the one that IP-DiskANN's rule gives. */
#include "algorithms/common/graph/internal.h"
#include "tests/unit/graph/support.h"

enum { N = 60, DEGREE = 128, K = 50, C = 3 };

static bool edges[N][N];

static void read_edges(const struct bed *b, bool to[N][N])
{
    for (uint32_t i = 0; i < N; i++)
        for (uint32_t j = 0; j < N; j++)
            to[i][j] = graph_links_to(&b->graph->layers[0], i, j);
}

/* The n nodes nearest to i of those in `among`, without i; returns how many there are. */
static size_t nearest_of(const struct bed *b, uint32_t i, const uint32_t *among, size_t count,
                         size_t n, uint32_t *out)
{
    uint64_t keys[N];
    size_t kept = 0;

    graph_keys_from(b->graph, &b->graph->layers[0], i, among, count, keys);
    for (size_t j = 0; j < count && kept < n; j++)
        if (candidate_node(keys[j]) != i)
            out[kept++] = candidate_node(keys[j]);
    return kept;
}

/* Changes `edges` as the removal of p should. */
static void remove_by_the_rule(const struct bed *b, uint32_t p, const bool *live)
{
    uint32_t all[N], candidates[K], near[C];
    size_t n = 0;

    for (uint32_t i = 0; i < N; i++)
        if (live[i])
            all[n++] = i;
    const size_t found = nearest_of(b, p, all, n, K, candidates);
    for (uint32_t i = 0; i < N; i++) {
        const bool leads_to_p = edges[i][p];

        edges[i][p] = false;
        for (size_t e = nearest_of(b, i, candidates, found, C, near); leads_to_p && e-- > 0;)
            edges[i][near[e]] = true;
    }
    for (uint32_t i = 0; i < N; i++)
        for (size_t e = nearest_of(b, i, candidates, found, C, near); edges[p][i] && e-- > 0;)
            edges[near[e]][i] = true;
    memset(edges[p], 0, sizeof edges[p]);
}

static void test_the_rule(void **state)
{
    bool live[N], after[N][N];
    struct bed b;

    memset(live, true, sizeof live);
    bed_open(&b, GRAPH_VAMANA, INDEX_F32, N, 6, 0, 1);
    graph_destroy(b.graph);
    b.options.degree = DEGREE;
    b.options.rng_factor = 1.44;
    assert_ok(graph_create(&b.graph, &b.bench.env, b.epoch, &b.options), &b.bench.error);
    bed_build(&b, N);
    for (size_t step = 0; step < N / 4; step++) {
        const uint32_t p = (uint32_t)(step * 4 + rng_below(&b.rng, 4));

        read_edges(&b, edges);
        remove_by_the_rule(&b, p, live);
        live[p] = false;
        assert_ok(graph_remove(b.graph, p), &b.bench.error);
        assert_ok(graph_check(b.graph), &b.bench.error);
        read_edges(&b, after);
        for (uint32_t i = 0; i < N; i++)
            for (uint32_t j = 0; j < N && live[i]; j++)
                if (after[i][j] != edges[i][j])
                    fail_msg("after removing %u, edge %u to %u: %d, expected %d", p, i, j,
                             after[i][j], edges[i][j]);
    }
    bed_close(&b);
}

int main(void)
{
    return test_run_all("graph_in_place", test_the_rule);
}
