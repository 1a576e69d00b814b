/* test_code_scan.c - the scan of codes beside a plain array, over several tiles of codes; filters of few
 * ids. */
#include "tests/support/code_tree.h"

extern const struct index_ops hamming_scan_ops;

static void test_history(void **state)
{
    tree_history(&hamming_scan_ops, "", 60, 9000);
}

/* One code under all ids: the smallest ids win, wherever their rows are. */
static void test_all_equal(void **state)
{
    static uint64_t codes[5000];
    struct code_tree t;
    tree_begin(&t, &hamming_scan_ops, "");
    tree_insert(&t, codes, 5000);
    tree_remove(&t, 500);
    tree_compare(&t, 1, 0, 1);
    tree_compare_nearest(&t, (const uint64_t[]){ 1, 7 }, 2, 10);
    tree_end(&t);
}

/* Where the filter's ids are looked up, only their codes are compared. */
static void test_few_allowed_cost_little(void **state)
{
    enum { N = 20000 };
    static uint64_t codes[N], bits[N / 64 + 1];
    const struct id_filter filter = { bits, N };
    size_t allowed = 0;
    struct code_tree t;
    tree_begin(&t, &hamming_scan_ops, "");
    test_fill_b64(&t.rng, codes, N, 0);
    tree_insert(&t, codes, N);
    for (uint64_t id = 100; id < N; id += 2000, allowed++)
        bits[id / 64] |= UINT64_C(1) << id % 64;
    bits[N / 64] |= ~UINT64_C(0) << N % 64; /* past the end: ignored */
    t.filter = &filter;
    tree_compare_nearest(&t, codes, 5, 7);
    for (unsigned radius = 0; radius <= 64; radius += 8)
        tree_compare_batch(&t, codes, 4, radius, 1);
    assert_true(t.computed == 4 * (double)allowed);
    tree_end(&t);
}

int main(void)
{
    return test_run_all("code_scan", test_history, test_all_equal, test_few_allowed_cost_little);
}
