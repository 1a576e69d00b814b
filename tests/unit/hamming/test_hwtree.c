/* test_hwtree.c - the Hamming-weight tree against a plain array over random histories, at every
 * radius; its node names, and the memory that it frees. */
#include "tests/support/code_tree.h"

#include "algorithms/hamming/hwtree/hwtree.h"

static void test_histories(void **state)
{
    tree_history(&hwtree_ops, "leaf_capacity=1", 150, 120);
    tree_history(&hwtree_ops, "leaf_capacity=2,max_depth=2", 150, 300);
    tree_history(&hwtree_ops, "leaf_capacity=7", 150, 300);
    tree_history(&hwtree_ops, "leaf_capacity=10,max_depth=3", 150, 500);
    tree_history(&hwtree_ops, "leaf_capacity=64", 100, 900);
    tree_history(&hwtree_ops, "leaf_capacity=5,max_depth=0", 150, 300);
    tree_history(&hwtree_ops, "leaf_capacity=3,max_depth=5", 150, 300);
}

static void test_no_memory(void **state)
{
    tree_remove_without_memory(&hwtree_ops, "leaf_capacity=4");
}

/* ------------------------------------------------------------------------ the bound */

static unsigned weight_difference(uint64_t a, uint64_t b, unsigned level)
{
    const unsigned bits = 64 >> level;
    unsigned sum = 0;
    for (unsigned at = 0; at < 64; at += bits) {
        int difference = 0;
        for (unsigned i = at; i < at + bits; i++)
            difference += (int)(a >> i & 1) - (int)(b >> i & 1);
        sum += (unsigned)abs(difference);
    }
    return sum;
}

static void test_names_bound_distances(void **state)
{
    struct rng r = rng_at(test_seed(), 5);
    const uint64_t ends[] = { 0, ~UINT64_C(0), 1, UINT64_C(1) << 63 };
    for (size_t i = 0; i < 4000; i++) {
        const uint64_t a = i < 4 ? ends[i] : rng_u64(&r);
        const uint64_t b = i % 3 ? a ^ (rng_u64(&r) & rng_u64(&r) & rng_u64(&r)) : rng_u64(&r);
        unsigned before = 0;
        for (unsigned level = 0; level < HWTREE_LEVELS; level++) {
            const uint64_t name = hwtree_name(a, level);
            const unsigned bound = (unsigned)__builtin_popcountll(name ^ hwtree_name(b, level));
            assert_int_equal(bound, weight_difference(a, b, level));
            assert_true(bound >= before);
            assert_int_equal(hwtree_name(name, level), name);
            before = bound;
        }
        assert_int_equal(hwtree_name(a, 6), a);
        assert_int_equal(before, __builtin_popcountll(a ^ b));
    }
}

static void test_adversaries(void **state)
{
    tree_adversaries(&hwtree_ops, "leaf_capacity=10", 100000);
}

/* ------------------------------------------------------------------------ memory */

static void test_memory_is_given_back(void **state)
{
    enum { N = 120000 };
    struct code_tree t;
    uint64_t *codes = calloc(N, sizeof *codes);
    assert_non_null(codes);
    tree_begin(&t, &hwtree_ops, "leaf_capacity=6");
    const size_t empty = mem_live(&t.bench.mem);
    for (size_t i = 0; i < N; i++)
        codes[i] = rng_u64(&t.rng);
    tree_insert(&t, codes, N);
    const size_t full = mem_live(&t.bench.mem);
    struct memory_use use;
    assert_ok(hwtree_ops.memory(t.index.index, &use), &t.bench.error);
    const uint64_t told = use.vectors + use.ids + use.graph + use.other;
    assert_true(told > full * 97 / 100 && told <= full);
    /* The remaining nodes lie all over the blocks, and are compacted. */
    tree_remove(&t, N * 97 / 100);
    tree_check(&t);
    assert_true(mem_live(&t.bench.mem) < full / 8);
    tree_compare(&t, t.codes[0], 12, 12);
    tree_remove(&t, t.n);
    tree_check(&t);
    assert_true(mem_live(&t.bench.mem) <= empty + empty / 10);
    tree_insert(&t, codes, 1000);
    tree_check(&t);
    tree_end(&t);
    free(codes);
}

static void test_nodes_merge(void **state)
{
    enum { N = 6000 }; /* some 117 have 16 bits in each half, more than a leaf has */
    static uint64_t codes[N];
    struct code_tree t;
    tree_begin(&t, &hwtree_ops, "leaf_capacity=64");
    test_fill_b64(&t.rng, codes, N, 0);
    tree_insert(&t, codes, N);
    tree_compare(&t, codes[0], 0, 64);
    assert_true(t.computed <= (double)t.n);
    assert_true(tree_stat(&t, "depth") >= 2);
    /* At most 32 codes are left, half of a leaf's 64, so each root is a leaf again. */
    tree_remove(&t, t.n - 32);
    tree_check(&t);
    assert_int_equal(tree_stat(&t, "depth"), 0);
    assert_int_equal(tree_stat(&t, "inner_nodes"), 0);
    tree_remove(&t, t.n);
    assert_int_equal(tree_stat(&t, "leaves"), 0);
    tree_end(&t);
}

/* ------------------------------------------------------------------------ files */

static void test_files_keep_options(void **state)
{
    struct code_tree t;
    uint64_t codes[3000];
    tree_begin(&t, &hwtree_ops, "leaf_capacity=6,max_depth=4");
    test_fill_b64(&t.rng, codes, 3000, 3);
    tree_insert(&t, codes, 3000);
    const double leaves = tree_stat(&t, "leaves");
    tree_reload(&t);
    tree_check(&t);
    /* Nothing was removed, so the loaded tree equals the saved one. */
    assert_int_equal(tree_stat(&t, "leaves"), leaves);
    tree_compare(&t, tree_a_query(&t), 0, 64);
    tree_remove(&t, 2500);
    tree_check(&t);
    tree_end(&t);
}

int main(void)
{
    return test_run_all("hwtree", test_names_bound_distances, test_histories, test_adversaries,
                        test_memory_is_given_back, test_nodes_merge, test_no_memory,
                        test_files_keep_options);
}
