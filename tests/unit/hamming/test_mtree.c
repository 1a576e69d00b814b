/* test_mtree.c - the M-tree against a plain array, and its check() against damage. */
#include "tests/support/code_tree.h"

#include "algorithms/hamming/mtree/mtree.h"

static void test_histories(void **state)
{
    tree_history(&mtree_ops, "node_capacity=4", 150, 120);
    tree_history(&mtree_ops, "node_capacity=5,promotion=random", 150, 300);
    tree_history(&mtree_ops, "node_capacity=16", 150, 500);
    tree_history(&mtree_ops, "node_capacity=64", 100, 900);
    tree_history(&mtree_ops, "", 50, 3000);
}

static void test_adversaries(void **state)
{
    tree_adversaries(&mtree_ops, "", 100000);
    tree_adversaries(&mtree_ops, "node_capacity=16", 20000);
}

static void test_no_memory(void **state)
{
    tree_remove_without_memory(&mtree_ops, "node_capacity=12");
}

static void test_prunes(void **state)
{
    tree_prunes(&mtree_ops, "node_capacity=32", .25);
}

static void test_repeats(void **state)
{
    tree_repeats(&mtree_ops, "node_capacity=20");
    tree_repeats(&mtree_ops, "node_capacity=20,promotion=random");
}

/* A leaf's number on the tree's left edge. */
static uint32_t first_leaf(const struct mtree *m)
{
    uint32_t number = m->root;
    while (mtree_at(m, number)->level > 0)
        number = mtree_at(m, number)->refs[0];
    return number;
}

static void test_check_notices(void **state)
{
    struct code_tree t;
    uint64_t codes[500];
    tree_begin(&t, &mtree_ops, "node_capacity=8");
    test_fill_b64(&t.rng, codes, 500, 0);
    tree_insert(&t, codes, 500);
    struct mtree *m = (struct mtree *)t.index.index;
    struct mtree_node *leaf = mtree_at(m, first_leaf(m));
    struct mtree_node *root = mtree_at(m, m->root);

    const uint8_t radius = root->radius[0];
    root->radius[0] = 3;
    tree_expect_noticed(&t, "a covering radius leaves out a row");
    root->radius[0] = radius;

    leaf->to_parent[0] ^= 1;
    tree_expect_noticed(&t, "a distance to the parent is wrong");
    leaf->to_parent[0] ^= 1;

    m->codes.place[leaf->refs[0]] ^= 1;
    tree_expect_noticed(&t, "a row of it is filed elsewhere");
    m->codes.place[leaf->refs[0]] ^= 1;

    m->n_leaves++;
    tree_expect_noticed(&t, "leaves");
    m->n_leaves--;
    tree_check(&t);
    tree_end(&t);
}

int main(void)
{
    return test_run_all("mtree", test_histories, test_adversaries, test_no_memory, test_prunes,
                        test_repeats, test_check_notices);
}
