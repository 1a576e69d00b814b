/* support.h - a graph, its rows and its environment, for the tests of graphs. */
#ifndef DRIFTLINE_TESTS_UNIT_GRAPH_SUPPORT_H
#define DRIFTLINE_TESTS_UNIT_GRAPH_SUPPORT_H

#include "algorithms/common/graph/graph.h"
#include "tests/support/testing.h"

struct bed {
    struct test_bench bench;
    struct rng rng;
    struct epoch *epoch;
    struct graph *graph;
    struct graph_scratch *scratch;
    struct graph_options options;
    size_t n, dim, row_bytes;
    unsigned char *rows; /* those to draw from */
};

static const struct graph_options usual = {
    .kind = GRAPH_HNSW, .degree = 32, .build_ef = 200, .insert_ef = 200, .rng_factor = 1, .seed = 5
};

static inline void bed_open(struct bed *b, enum graph_kind kind, enum element element, size_t n,
                            size_t dim, size_t clusters, size_t threads)
{
    memset(b, 0, sizeof *b);
    test_bench_begin(&b->bench, element, INDEX_L2SQ, dim, threads);
    b->rng = rng_at(test_seed(), 31);
    b->options = usual;
    b->options.kind = kind;
    b->n = n;
    b->dim = dim;
    b->row_bytes = index_row_bytes(element, dim);
    b->rows = calloc(n, b->row_bytes);
    assert_non_null(b->rows);
    if (element == INDEX_F32)
        test_fill_f32(&b->rng, (float *)(void *)b->rows, n, dim, clusters, 0.5);
    else
        test_fill_u8(&b->rng, b->rows, n, dim, clusters, 0.5);
    b->epoch = epoch_create(&b->bench.mem);
    assert_non_null(b->epoch);
    assert_ok(graph_create(&b->graph, &b->bench.env, b->epoch, &b->options), &b->bench.error);
    b->scratch = graph_scratch_create(&b->bench.mem);
    assert_non_null(b->scratch);
}

static inline void bed_close(struct bed *b)
{
    graph_scratch_destroy(b->scratch);
    graph_destroy(b->graph);
    epoch_destroy(b->epoch);
    free(b->rows);
    assert_int_equal(mem_live(&b->bench.mem), 0);
    test_bench_end(&b->bench);
}

static inline const unsigned char *bed_row(const struct bed *b, size_t i)
{
    return b->rows + i * b->row_bytes;
}

static inline void bed_build(struct bed *b, size_t n)
{
    const struct vectors rows = { b->rows, n, b->dim, b->bench.env.element };

    assert_ok(graph_build(b->graph, rows), &b->bench.error);
    assert_ok(graph_check(b->graph), &b->bench.error);
    assert_int_equal(graph_live(b->graph), n);
}

static inline size_t bed_search(struct bed *b, const void *query, size_t k, size_t ef,
                                uint32_t *nodes, float *distances, double *checked)
{
    const struct graph_query q = { k, ef, 0 };
    size_t n = 0;
    const unsigned ticket = epoch_enter(b->epoch);

    assert_ok(graph_search(b->graph, b->scratch, query, &q, nodes, distances, &n, checked),
              &b->bench.error);
    epoch_leave(b->epoch, ticket);
    for (size_t i = 0; i < n; i++) {
        assert_true(graph_is_live(b->graph, nodes[i]));
        assert_true(distances[i] == graph_distance(b->graph, query, graph_row(b->graph, nodes[i])));
        assert_true(i == 0 || distances[i - 1] < distances[i] ||
                    (distances[i - 1] == distances[i] && nodes[i - 1] < nodes[i]));
    }
    return n;
}

/* The number of live rows that a search for the row itself does not find. */
static inline size_t bed_lost(struct bed *b)
{
    size_t n = 0;

    for (uint32_t i = 0; i < graph_capacity(b->graph); i++) {
        uint32_t node;
        float distance = -1;
        double checked = 0;

        if (!graph_is_live(b->graph, i))
            continue;
        (void)bed_search(b, graph_row(b->graph, i), 1, 32, &node, &distance, &checked);
        n += distance != 0;
    }
    return n;
}

#endif
