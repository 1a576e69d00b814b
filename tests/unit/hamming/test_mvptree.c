/* test_mvptree.c - the mvp-tree against a plain array, and its check() against damage. */
#include "tests/support/code_tree.h"

#include "algorithms/hamming/mvptree/mvptree.h"

static void test_histories(void **state)
{
    tree_history(&mvptree_ops, "leaf_capacity=8", 150, 120);
    tree_history(&mvptree_ops, "leaf_capacity=8,branch_factor=2,path_length=32", 150, 300);
    tree_history(&mvptree_ops, "leaf_capacity=15,vantage_points=1,path_length=5", 150, 500);
    tree_history(&mvptree_ops, "leaf_capacity=30,vantage_points=3,branch_factor=3,path_length=10",
                 150, 900);
    tree_history(&mvptree_ops, "leaf_capacity=64,vantage_points=4,path_length=0", 100, 900);
    tree_history(&mvptree_ops, "leaf_capacity=600,path_length=7", 50, 3000);
    tree_history(&mvptree_ops, "", 50, 3000);
}

static void test_adversaries(void **state)
{
    tree_adversaries(&mvptree_ops, "", 100000);
    tree_adversaries(&mvptree_ops, "leaf_capacity=300,branch_factor=4,path_length=4", 100000);
    tree_adversaries(&mvptree_ops, "leaf_capacity=16,path_length=16", 20000);
    tree_adversaries(&mvptree_ops, "leaf_capacity=8,vantage_points=1,branch_factor=2", 20000);
}

static void test_no_memory(void **state)
{
    tree_remove_without_memory(&mvptree_ops, "leaf_capacity=12");
}

static void test_prunes(void **state)
{
    tree_prunes(&mvptree_ops, "leaf_capacity=32,path_length=8", .15);
}

static void test_repeats(void **state)
{
    tree_repeats(&mvptree_ops, "leaf_capacity=20");
}

/* Depth stays logarithmic for any order of insertion; equal codes share one leaf. */
static void test_depth(void **state)
{
    enum { N = 30000 };
    struct code_tree t;
    uint64_t *codes = malloc(N * sizeof *codes);
    assert_non_null(codes);
    tree_begin(&t, &mvptree_ops, "leaf_capacity=8,branch_factor=2");
    for (size_t i = 0; i < N; i++)
        codes[i] = i;
    tree_insert(&t, codes, N);
    assert_true(tree_stat(&t, "depth") < 40);
    tree_remove(&t, N);
    for (size_t i = 0; i < N; i++) /* a vantage point separates only its own copies from the rest */
        codes[i] = UINT64_C(1) << rng_below(&t.rng, 64);
    tree_insert(&t, codes, N);
    assert_true(tree_stat(&t, "depth") < 40);
    tree_remove(&t, N);
    for (size_t i = 0; i < N; i++)
        codes[i] = 5;
    tree_insert(&t, codes, N);
    assert_true(tree_stat(&t, "nodes") == 1);
    test_fill_b64(&t.rng, codes, N, 0);
    tree_insert(&t, codes, N);
    assert_true(tree_stat(&t, "depth") < 100);
    tree_end(&t);
    free(codes);
}

/* Removed vantage points still route searches, but are dropped in the end. */
static void test_dead_points(void **state)
{
    struct code_tree t;
    uint64_t codes[4000];
    tree_begin(&t, &mvptree_ops, "leaf_capacity=8,branch_factor=2");
    test_fill_b64(&t.rng, codes, 4000, 0);
    tree_insert(&t, codes, 4000);
    double most = 0;
    while (t.n > 8) {
        tree_remove(&t, t.n / 8 + 1);
        tree_check(&t);
        const double dead = tree_stat(&t, "dead_points");
        most = dead > most ? dead : most;
        assert_true(dead <= (double)t.n);
        tree_compare(&t, codes[t.n], 24, 24);
    }
    assert_true(most > 0);
    tree_end(&t);
}

/* The id of a row that is a vantage point; INDEX_NO_ID if all of these are removed. Each inner node
   must have at least as many live rows as removed points, and more than half a leaf's capacity. */
static uint64_t a_vantage_point(const struct mvptree *m)
{
    uint64_t id = INDEX_NO_ID;
    for (struct mvptree_node *node = m->root; node; node = mvptree_next(m, node, NULL)) {
        const struct mvptree_inner *inner = (const struct mvptree_inner *)node;
        if (node->leaf)
            continue;
        assert_true(inner->dead <= inner->live);
        assert_true(inner->live > (size_t)m->params.leaf_capacity / 2);
        for (size_t i = 0; i < m->v; i++)
            id = inner->rows[i] == MVP_DEAD ? id : m->codes.rows.ids[inner->rows[i]];
    }
    return id;
}

/* Vantage points are removed before all other rows, which leaves the most removed points. */
static void test_dead_first(void **state)
{
    struct code_tree t;
    uint64_t codes[1500];
    tree_begin(&t, &mvptree_ops, "leaf_capacity=8,branch_factor=2,vantage_points=4");
    for (size_t i = 0; i < 1500; i++)
        codes[i] = i * i;
    tree_insert(&t, codes, 1500);
    while (t.n > 0) {
        const uint64_t id = a_vantage_point((const struct mvptree *)t.index.index);
        tree_remove_id(&t, id == INDEX_NO_ID ? t.ids[rng_below(&t.rng, t.n)] : id);
        if (t.n % 16 == 0)
            tree_check(&t);
    }
    tree_end(&t);
}

static void test_refuses_fan_out(void **state)
{
    struct test_bench bench;
    struct checked index;
    struct mvptree_params params = {
        .branch_factor = 16, .vantage_points = 3, .path_length = 4, .leaf_capacity = 100
    };
    test_bench_begin(&bench, INDEX_B64, INDEX_HAMMING, 64, 1);
    assert_code(index_open(&index, &mvptree_ops, &bench.env, &params), ERR_ARGUMENT, &bench.error);
    test_bench_end(&bench);
}

static void test_check_notices(void **state)
{
    struct code_tree t;
    uint64_t codes[500];
    tree_begin(&t, &mvptree_ops, "leaf_capacity=8,branch_factor=2,path_length=6");
    test_fill_b64(&t.rng, codes, 500, 0);
    tree_insert(&t, codes, 500);
    struct mvptree *m = (struct mvptree *)t.index.index;
    struct mvptree_inner *root = (struct mvptree_inner *)m->root;
    struct mvptree_node *node = m->root;
    while (!node->leaf)
        node = mvptree_next(m, node, NULL);
    struct mvptree_leaf *leaf = (struct mvptree_leaf *)node;
    uint8_t *bounds[2] = { root->lo, root->hi };

    const uint8_t kept = *bounds[0];
    *bounds[0] = 60;
    tree_expect_noticed(&t, "a bound above leaves out one of its rows");
    *bounds[0] = kept;

    leaf->path[0] ^= 1;
    tree_expect_noticed(&t, "a path distance is wrong");
    leaf->path[0] ^= 1;

    m->codes.place[leaf->rows[0]] ^= 1;
    tree_expect_noticed(&t, "is not that of the store");
    m->codes.place[leaf->rows[0]] ^= 1;

    root->cuts[0] = 0;
    tree_expect_noticed(&t, "the cuts above lead one of its rows elsewhere");
    tree_end(&t);
}

int main(void)
{
    return test_run_all("mvptree", test_histories, test_adversaries, test_no_memory, test_prunes,
                        test_repeats, test_depth, test_dead_points, test_dead_first,
                        test_refuses_fan_out, test_check_notices);
}
