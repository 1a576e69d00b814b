/* test_balanced.c - trees of clusters: every row occurs once, sizes are even. */
#include "tests/unit/clustering/balanced_points.h"

static void test_every_row_is_in_one_node(void **state)
{
    static const struct {
        enum element element;
        size_t n, dim, clusters;
        struct balanced_options o;
    } cases[] = {
        { INDEX_F32, 0, 4, 0, { 32, 8, 1000, 100, 1, 1 } },
        { INDEX_F32, 1, 4, 0, { 32, 8, 1000, 100, 1, 1 } },
        { INDEX_U8, 2, 1, 0, { 32, 8, 1000, 100, 1, 1 } },
        { INDEX_F32, 2, 3, 0, { 2, 1, 2, 1, 0, 1 } },
        { INDEX_F32, 9, 1, 0, { 32, 8, 1000, 100, -1, 1 } },
        { INDEX_U8, 10, 2, 0, { 32, 8, 1000, 100, -1, 1 } },
        { INDEX_F32, 3000, 1, 4, { 32, 8, 1000, 100, 1, 1 } },
        { INDEX_F32, 5000, 20, 40, { 32, 8, 1000, 100, 1, 1 } },
        { INDEX_U8, 5000, 17, 40, { 4, 3, 100, 10, 0, 1 } },
        { INDEX_U8, 20000, 3, 5, { 2, 1, 16, 3, 1, 1 } },
        { INDEX_F32, 40000, 6, 9, { 300, 5, 200, 5, 10, 1 } },
        { INDEX_F32, 500, 5, 3, { 0, 0, 0, 0, 1, 1 } }, /* values are corrected, not refused */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct points p;
        struct balanced_tree t;
        struct balanced_options o = cases[i].o;
        o.seed = test_seed() + i;
        points_open(&p, cases[i].element, cases[i].n, cases[i].dim, cases[i].clusters, 0.3, 2);
        build(&p, &t, &o);
        for (size_t a = 0; a < t.n; a++)
            assert_true(t.nodes[a].n == 0 || t.nodes[a].n <= t.fanout || t.nodes[a].n <= t.leaf ||
                        t.nodes[a].n + 1 == t.nodes[a].size);
        balanced_tree_free(&t, &p.bench.mem);
        points_close(&p);
    }
}

/* Coefficient of variation of the sizes of the root's children, and of nodes
   with some hundred rows. */
static double unevenness(const struct balanced_tree *t)
{
    double total = 0, nodes = 0;

    for (size_t i = 0; i < t->n; i++) {
        const struct balanced_node *node = &t->nodes[i];
        double sum = 0, squares = 0;
        if (node->size < 300)
            continue;
        for (uint32_t c = node->first; c < node->first + node->n; c++) {
            sum += t->nodes[c].size;
            squares += (double)t->nodes[c].size * t->nodes[c].size;
        }
        const double mean = sum / node->n;
        total += sqrt(squares / node->n - mean * mean) / mean;
        nodes++;
    }
    return total / nodes;
}

/* Dense in one corner, sparse elsewhere: plain k-means makes clusters of very uneven sizes. */
static void skew(struct points *p)
{
    float *x = p->data;

    for (size_t i = 0; i < p->rows.n * p->rows.dim; i++)
        x[i] = x[i] * x[i] * x[i];
}

static void test_balance_evens_sizes(void **state)
{
    double plain = 0, even = 0, found = 0;

    for (uint64_t seed = 1; seed <= 3; seed++) {
        struct points p;
        points_open(&p, INDEX_F32, 20000, 8, 0, 1, 2);
        skew(&p);
        const double balances[] = { 0, 1, -1 };
        double *to[] = { &plain, &even, &found };
        for (size_t i = 0; i < 3; i++) {
            struct balanced_options o = usual(balances[i]);
            struct balanced_tree t;
            o.seed += seed;
            build(&p, &t, &o);
            *to[i] += unevenness(&t) / 3;
            balanced_tree_free(&t, &p.bench.mem);
        }
        points_close(&p);
    }
    if (even > 0.7 * plain || found > 0.8 * plain)
        print_error("std(size) / mean: plain %.3f, balance 1 %.3f, found %.3f\n", plain, even,
                    found);
    assert_true(even < 0.7 * plain);
    assert_true(found < 0.8 * plain);
}

/* Balanced or not, clusters consist of near rows: a row is nearer to its parent's centre than to
   a random other node's. */
static void test_clusters_are_of_near_rows(void **state)
{
    for (int balanced = 0; balanced < 2; balanced++) {
        struct points p;
        struct balanced_tree t;
        struct balanced_options o = usual(balanced);
        double own = 0, any = 0;
        points_open(&p, INDEX_F32, 8000, 12, 100, 0.2, 1);
        build(&p, &t, &o);
        const float *x = p.data;
        for (size_t i = 0; i < t.n; i++) {
            for (uint32_t c = t.nodes[i].first; c < t.nodes[i].first + t.nodes[i].n; c++) {
                const float *row = x + t.nodes[c].centre * 12;
                const size_t other = (size_t)t.nodes[i].centre * 7919 % t.n;
                if (t.nodes[c].n > 0)
                    continue;
                own += (double)p.bench.env.kernels->l2sq_f32(row, x + t.nodes[i].centre * 12, 12);
                any += (double)p.bench.env.kernels->l2sq_f32(row, x + other * 12, 12);
            }
        }
        assert_true(own < 0.1 * any);
        balanced_tree_free(&t, &p.bench.mem);
        points_close(&p);
    }
}

static void test_same_at_any_thread_count(void **state)
{
    struct balanced_tree first = { 0 };
    struct test_bench keep;

    test_bench_begin(&keep, INDEX_U8, INDEX_L2SQ, 9, 1);
    for (size_t threads = 1; threads <= 4; threads++) {
        struct points p;
        struct balanced_tree t;
        struct balanced_options o = usual(1);
        points_open(&p, INDEX_U8, 40000, 9, 12, 0.4, threads);
        p.bench.env.mem = NULL; /* env without memory accounting is allowed too */
        build(&p, &t, &o);
        if (threads == 1)
            first = t;
        else
            assert_memory_equal(first.nodes, t.nodes, t.n * sizeof *t.nodes);
        if (threads > 1)
            balanced_tree_free(&t, NULL);
        points_close(&p);
    }
    balanced_tree_free(&first, NULL);
    test_bench_end(&keep);
}

int main(void)
{
    return test_run_all("balanced", test_every_row_is_in_one_node, test_balance_evens_sizes,
                        test_clusters_are_of_near_rows, test_same_at_any_thread_count);
}
