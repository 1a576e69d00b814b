/* test_mih.c - multi-index hashing against a plain array: random histories at every radius, both
 * layouts, long buckets, freed memory. */
#include "tests/support/code_tree.h"

#include "algorithms/hamming/mih/mih.h"

static const char *const settings[] = {
    "tables=4,layout=copied,key_bits=10", "tables=4,layout=slots,key_bits=16",
    "tables=3,layout=copied,key_bits=7",  "tables=1,layout=slots,key_bits=5",
    "tables=2,layout=copied,key_bits=12", "tables=8,layout=copied,key_bits=24",
    "tables=16,layout=slots,key_bits=2",
};
enum { SETTINGS = sizeof settings / sizeof *settings };

static void test_histories(void **state)
{
    for (size_t i = 0; i < SETTINGS; i++)
        tree_history(&mih_ops, settings[i], 100, 400);
}

/* A query with few answers reads few buckets, and each code at most once for any k. */
static void test_reads_little(void **state)
{
    enum { N = 12000 };
    static uint64_t codes[N];
    struct code_tree t;
    tree_begin(&t, &mih_ops, settings[0]);
    test_fill_b64(&t.rng, codes, N, 0);
    tree_insert(&t, codes, N);
    for (unsigned radius = 0; radius <= 64; radius += 4) {
        tree_compare(&t, rng_u64(&t.rng), radius, radius);
        assert_true(t.computed <= N);
        if (radius < 8)
            assert_true(t.computed < N / 10);
        if (radius >= 40)
            assert_true(t.computed == N);
    }
    tree_end(&t);
}

/* One code under most ids: buckets become long and short again, and rows are still found. */
static void test_duplicates(void **state)
{
    for (size_t i = 0; i < SETTINGS; i++) {
        struct code_tree t;
        uint64_t codes[2500];
        tree_begin(&t, &mih_ops, settings[i]);
        for (size_t step = 0; step < 6; step++) {
            test_fill_b64(&t.rng, codes, 2500, 2);
            for (size_t j = 1; j < 2500; j++)
                codes[j] = rng_below(&t.rng, 10) ? codes[rng_below(&t.rng, j)] : codes[j];
            tree_insert(&t, codes, 2500);
            tree_check(&t);
            tree_compare(&t, tree_a_query(&t), (unsigned)(3 * step), (unsigned)(3 * step));
            const uint64_t query = tree_a_query(&t);
            tree_compare_nearest(&t, &query, 1, 12);
            tree_remove(&t, 1700);
            tree_check(&t);
        }
        while (t.n > 0) {
            tree_remove(&t, 1 + t.n / 3);
            tree_check(&t);
        }
        const struct mih *m = (const struct mih *)t.index.index;
        for (size_t table = 0; table < m->n_tables; table++)
            assert_null(m->tables[table].position);
        tree_end(&t);
    }
}

/* Of one code, too: the cost of insertion and deletion does not grow with the bucket. */
static void test_adversaries(void **state)
{
    tree_adversaries(&mih_ops, settings[1], 100000);
}

/* After each failed allocation exactly the rows that were reported as inserted are stored. */
static void test_no_memory(void **state)
{
    for (size_t i = 0; i < 3; i++) {
        struct code_tree t;
        uint64_t codes[3000];
        size_t inserted = 0;
        tree_begin(&t, &mih_ops, settings[i]);
        t.codes = calloc(3000, sizeof *t.codes);
        t.ids = calloc(3000, sizeof *t.ids);
        assert_true(t.codes && t.ids);
        for (size_t fault = 1; inserted < 3000; fault += 1 + fault / 8) {
            test_fill_b64(&t.rng, codes, 3000, 1);
            for (size_t j = 0; j < 3000; j++) {
                t.ids[j] = t.next_id++;
                t.codes[j] = j % 2 ? codes[j] : 5;
            }
            t.bench.mem.fail_at = t.bench.mem.calls + fault;
            t.bench.mem.failed = false;
            const int rc = index_insert(&t.index, (struct vectors){ t.codes, 3000, 64, INDEX_B64 },
                                        t.ids, &inserted);
            t.bench.mem.fail_at = 0;
            assert_code(rc, t.bench.mem.failed ? ERR_NO_MEMORY : OK, &t.bench.error);
            t.n = inserted;
            tree_check(&t);
            tree_compare(&t, tree_a_query(&t), 9, 9);
            tree_compare(&t, 0, 64, 64);
            tree_remove(&t, t.n);
            tree_check(&t);
        }
        tree_end(&t);
    }
}

int main(void)
{
    return test_run_all("mih", test_histories, test_reads_little, test_duplicates, test_adversaries,
                        test_no_memory);
}
