/* test_set.c - options of divf that change while the index lives. Histories beside the truth, and
 * calls without memory, are contract/test_set. */
#include "tests/unit/divf/support.h"

enum { DIM = 16, N = 4000 };

static void open_filled(struct stored_rows *w, struct divf_params params)
{
    world_open_filled(w, params, DIM, N, 1, 25, 0.4);
}

static int set(struct stored_rows *w, struct divf_params params)
{
    const int rc = divf_ops.set_params(w->index, &params);
    stored_check(w);
    return rc;
}

static void insert(struct stored_rows *w, size_t first, size_t n)
{
    assert_ok(stored_insert(w, first, n), &w->bench.error);
    stored_check(w);
    world_expect_exact(w, w->rows + (first + n - 1) * w->dim, 10, NULL);
}

/* Each insertion makes as many copies as soft_k says then; earlier vectors keep theirs. */
static void test_copies_follow_soft_k(void **state)
{
    static const int64_t soft_k[] = { 1, 3, 2, 8, 1, 5 };
    struct stored_rows w;
    struct divf_params params = divf_defaults("clusters=40,split_threshold=0");
    double copies = 0;
    open_filled(&w, params);
    for (size_t i = 0; i < sizeof soft_k / sizeof *soft_k; i++) {
        params.soft_k = soft_k[i];
        assert_ok(set(&w, params), &w.bench.error);
        assert_true(test_stat(w.index, "stored_copies") == copies);
        insert(&w, i * 500, i % 2 ? 500 : 450); /* a block, */
        if (i % 2 == 0)
            for (size_t j = 450; j < 500; j++)
                insert(&w, i * 500 + j, 1); /* and one by one */
        copies += 500 * (double)soft_k[i];
        assert_true(test_stat(w.index, "stored_copies") == copies);
        uint64_t gone = i * 500;
        assert_ok(stored_remove(&w, &gone, 1), &w.bench.error); /* a free slot of that width */
        copies -= (double)soft_k[i];
        stored_check(&w);
    }
    /* Training files everything anew, by the present value. */
    assert_ok(divf_ops.train(w.index, stored_vectors(&w, 0, 1000)), &w.bench.error);
    stored_check(&w);
    assert_true(test_stat(w.index, "stored_copies") == 5 * (double)w.n);
    stored_close(&w);
}

/* A lower threshold splits at the next batch; a value that create() refuses is refused. */
static void test_splits_follow_the_threshold(void **state)
{
    struct stored_rows w;
    struct divf_params params = divf_defaults("clusters=40,split_threshold=0");
    open_filled(&w, params);
    insert(&w, 0, 2000);
    insert(&w, 2000, 500);
    assert_true(test_stat(w.index, "splits") == 0);
    params.split_threshold = 1.3;
    assert_ok(set(&w, params), &w.bench.error);
    assert_true(test_stat(w.index, "splits") == 0);
    insert(&w, 2500, 500);
    const double splits = test_stat(w.index, "splits");
    assert_true(splits > 0);
    params.split_threshold = .5;
    assert_code(set(&w, params), ERR_ARGUMENT, &w.bench.error);
    assert_true(divf_of(w.index)->params.split_threshold == 1.3);
    params.split_threshold = 0;
    assert_ok(set(&w, params), &w.bench.error);
    insert(&w, 3000, 500);
    assert_true(test_stat(w.index, "splits") == splits);
    stored_close(&w);
}

/* With compact_at = 1 dead rows stay; a lower value compacts at the next deletion. */
static void test_compaction_follows_its_share(void **state)
{
    struct stored_rows w;
    struct divf_params params = divf_defaults("clusters=40,compact_at=1");
    open_filled(&w, params);
    insert(&w, 0, 1000);
    for (uint64_t id = 0; id < 600; id++)
        assert_ok(stored_remove(&w, &id, 1), &w.bench.error);
    assert_true(test_stat(w.index, "forced_compactions") == 0);
    params.compact_at = .1;
    assert_ok(set(&w, params), &w.bench.error);
    uint64_t id = 600;
    assert_ok(stored_remove(&w, &id, 1), &w.bench.error);
    stored_check(&w);
    assert_true(test_stat(w.index, "forced_compactions") == 1);
    stored_close(&w);
}

/* Vectors with more copies than soft_k is now come back from a file with all of them. */
static void test_saved(void **state)
{
    struct stored_rows w;
    struct divf_params params = divf_defaults("clusters=40,soft_k=4");
    char dir[PATH_MAX];
    test_dir_make(dir);
    open_filled(&w, params);
    insert(&w, 0, 1000);
    params = divf_with(params, "soft_k=2,split_threshold=1.5");
    assert_ok(set(&w, params), &w.bench.error);
    insert(&w, 1000, 1000);
    const double copies = test_stat(w.index, "stored_copies");
    assert_ok(divf_ops.save(w.index, dir), &w.bench.error);
    world_reload(&w, dir);
    stored_check(&w);
    assert_true(copies == 6000 && test_stat(w.index, "stored_copies") == copies);
    assert_true(divf_of(w.index)->params.soft_k == 2);
    assert_true(divf_of(w.index)->params.split_threshold == 1.5);
    insert(&w, 2000, 1000);
    assert_true(test_stat(w.index, "stored_copies") == copies + 2000);
    stored_close(&w);
    test_dir_remove(dir);
}

int main(void)
{
    return test_run_all("divf_set", test_copies_follow_soft_k, test_splits_follow_the_threshold,
                        test_compaction_follows_its_share, test_saved);
}
