/* balanced_points.h - points, and a tree of clusters built from them. */
#ifndef DRIFTLINE_TESTS_UNIT_CLUSTERING_BALANCED_POINTS_H
#define DRIFTLINE_TESTS_UNIT_CLUSTERING_BALANCED_POINTS_H

#include "algorithms/common/clustering/balanced.h"
#include "tests/support/testing.h"

struct points {
    struct test_bench bench;
    struct vectors rows;
    void *data;
};

static inline void points_open(struct points *p, enum element element, size_t n, size_t dim,
                               size_t clusters, double spread, size_t threads)
{
    struct rng rng = rng_at(test_seed(), 7);

    test_bench_begin(&p->bench, element, INDEX_L2SQ, dim, threads);
    p->data = calloc(n * dim + 1, sizeof(float));
    assert_non_null(p->data);
    if (element == INDEX_F32)
        test_fill_f32(&rng, p->data, n, dim, clusters, spread);
    else
        test_fill_u8(&rng, p->data, n, dim, clusters, spread);
    p->rows = (struct vectors){ p->data, n, dim, element };
}

static inline void points_close(struct points *p)
{
    free(p->data);
    assert_int_equal(mem_live(&p->bench.mem), 0);
    test_bench_end(&p->bench);
}

static inline struct balanced_options usual(double balance)
{
    return (struct balanced_options){ 32, 8, 1000, 100, balance, test_seed() };
}

/* Every row is the centre of one node; each child has one parent; sizes add up. */
static inline void expect_tree(const struct balanced_tree *t, size_t n)
{
    bool *seen = calloc(n + 1, 1), *child = calloc(n + 1, 1);

    assert_int_equal(t->n, n);
    for (size_t i = 0; i < n; i++) {
        const struct balanced_node *node = &t->nodes[i];
        size_t size = 1;
        assert_true(node->centre < n);
        assert_false(seen[node->centre]);
        seen[node->centre] = true;
        for (uint32_t c = 0; c < node->n; c++) {
            assert_true(node->first > i && node->first + c < n);
            assert_false(child[node->first + c]);
            child[node->first + c] = true;
            size += t->nodes[node->first + c].size;
        }
        assert_int_equal(node->size, size);
    }
    for (size_t i = 1; i < n; i++)
        assert_true(child[i]);
    if (n > 0)
        assert_int_equal(t->nodes[0].size, n);
    free(seen);
    free(child);
}

static inline void build(struct points *p, struct balanced_tree *t,
                         const struct balanced_options *o)
{
    assert_ok(balanced_tree_build(t, &p->bench.env, o, p->rows), &p->bench.error);
    expect_tree(t, p->rows.n);
}

#endif
