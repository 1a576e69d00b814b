/* test_divf.c - divf: training, deletion, compaction, splits, memory. Random histories are
   contract/test_contract. */
#include "tests/unit/divf/support.h"

/* The original implementation corrupts its counts here. */
static void test_delete_twice_after_compaction(void **state)
{
    struct stored_rows w;
    uint64_t id = 17;
    bool more;
    size_t done = 9;
    world_open_filled(&w, divf_defaults(""), 8, 2000, 1, 10, 0.3);
    assert_ok(stored_insert(&w, 0, 2000), &w.bench.error);
    assert_ok(stored_remove(&w, &id, 1), &w.bench.error);
    assert_true(test_stat(w.index, "deleted_count") == 1);
    assert_ok(divf_ops.maintain(w.index, 0, &more), &w.bench.error);
    assert_true(test_stat(w.index, "deleted_count") == 0);
    assert_code(divf_ops.remove(w.index, &id, 1, &done), ERR_UNKNOWN_ID, &w.bench.error);
    assert_int_equal(done, 0);
    assert_true(test_stat(w.index, "n_vectors") == 1999);
    stored_check(&w);
    assert_ok(stored_insert(&w, 17, 1), &w.bench.error);
    stored_check(&w);
    world_expect_exact(&w, w.rows + 17 * 8, 3, NULL);
    stored_close(&w);
}

/* In the original implementation an index whose first batch is one vector keeps
   random centroids for ever. */
static void test_first_batch_of_one(void **state)
{
    struct stored_rows w;
    world_open_filled(&w, divf_defaults("clusters=16,split_threshold=0"), 12, 3000, 1, 16, 0.05);
    assert_ok(stored_insert(&w, 0, 1), &w.bench.error);
    assert_true(test_stat(w.index, "n_clusters") == 1);
    world_expect_exact(&w, w.rows + 12, 3, NULL);
    assert_ok(stored_insert(&w, 1, 2999), &w.bench.error);
    stored_check(&w);
    assert_true(test_stat(w.index, "n_clusters") == 16);
    assert_true(test_stat(w.index, "provisional") == 0);
    /* The data are 16 tight groups: with a good codebook the lists are of similar length. */
    assert_true(test_stat(w.index, "imbalance") < 3);
    assert_true(test_stat(w.index, "empty_clusters") == 0);
    stored_close(&w);
}

static void test_training_on_too_little(void **state)
{
    struct stored_rows w;
    world_open_filled(&w, divf_defaults("clusters=32"), 6, 2000, 1, 40, 0.1);
    assert_ok(divf_ops.train(w.index, stored_vectors(&w, 0, 1)), &w.bench.error);
    assert_true(test_stat(w.index, "n_clusters") == 1);
    assert_ok(divf_ops.train(w.index, stored_vectors(&w, 0, 20)), &w.bench.error);
    assert_true(test_stat(w.index, "n_clusters") == 20);
    assert_ok(stored_insert(&w, 0, 200), &w.bench.error);
    assert_true(test_stat(w.index, "n_clusters") == 20);
    assert_ok(stored_insert(&w, 200, 1800), &w.bench.error);
    assert_true(test_stat(w.index, "n_clusters") >= 32);
    assert_code(divf_ops.train(w.index, stored_vectors(&w, 0, 0)), ERR_ARGUMENT, &w.bench.error);
    stored_check(&w);
    stored_close(&w);
}

/* Centroids stay as trained; splits only add new ones. */
static void test_codebook_is_frozen(void **state)
{
    struct stored_rows w;
    world_open_filled(&w, divf_defaults("clusters=8,split_threshold=0"), 5, 2000, 1, 8, 0.2);
    assert_ok(divf_ops.train(w.index, stored_vectors(&w, 0, 100)), &w.bench.error);
    float before[40];
    memcpy(before, divf_of(w.index)->lists.centroids, sizeof before);
    for (size_t first = 0; first < 2000; first += 250)
        assert_ok(stored_insert(&w, first, 250), &w.bench.error);
    assert_memory_equal(before, divf_of(w.index)->lists.centroids, sizeof before);
    assert_true(test_stat(w.index, "trainings") == 1);
    stored_close(&w);
}

/* The original implementation makes 194 empty lists here. */
static void test_identical_vectors_are_not_split(void **state)
{
    struct divf_params params = divf_defaults("clusters=8");
    struct stored_rows w;
    world_open(&w, params, 4, 6000, 1);
    test_fill_f32(&w.rng, w.rows, 500, 4, 8, 0.3);
    for (size_t i = 500; i < 5000; i++)
        for (size_t j = 0; j < 4; j++)
            w.rows[i * 4 + j] = 0.25f;
    test_fill_f32(&w.rng, w.rows + 5000 * 4, 1000, 4, 1, 0.01);
    for (size_t i = 5000; i < 6000; i++)
        for (size_t j = 0; j < 4; j++)
            w.rows[i * 4 + j] = 0.25f + (float)(i - 4999) * 1e-4f;
    assert_ok(divf_ops.train(w.index, stored_vectors(&w, 0, 500)), &w.bench.error);
    assert_ok(stored_insert(&w, 0, 500), &w.bench.error);
    for (size_t first = 500; first < 5000; first += 500) {
        assert_ok(stored_insert(&w, first, 500), &w.bench.error);
        stored_check(&w);
    }
    double lists = test_stat(w.index, "n_clusters"), refused = test_stat(w.index, "refused_splits");
    assert_true(lists <= 16);
    assert_true(refused >= 1 && refused <= 3);
    assert_true(test_stat(w.index, "empty_clusters") == 0);
    /* Different vectors enter the same list: now it can be split, and is. */
    assert_ok(stored_insert(&w, 5000, 1000), &w.bench.error);
    stored_check(&w);
    assert_true(test_stat(w.index, "n_clusters") > lists);
    stored_close(&w);

    /* Equal vectors only, and no call of train(). */
    world_open(&w, params, 4, 2000, 1);
    for (size_t first = 0; first < 2000; first += 100)
        assert_ok(stored_insert(&w, first, 100), &w.bench.error);
    assert_true(test_stat(w.index, "n_clusters") == 1);
    assert_true(test_stat(w.index, "trainings") < 6); /* at each doubling, not at each batch */
    stored_check(&w);
    stored_close(&w);
}

static void count_rounds(void *to, const char *table, size_t row, const char *column, double value)
{
    double *seen = to; /* rows, live, physical, rows by split round: -1, 2, other */
    assert_string_equal(table, "clusters");
    if (row >= seen[0])
        seen[0] = (double)row + 1;
    if (strcmp(column, "live") == 0)
        seen[1] += value;
    if (strcmp(column, "physical") == 0)
        seen[2] += value;
    if (strcmp(column, "last_split_round") == 0)
        seen[value == -1 ? 3 : value == 2 ? 4 : 5]++;
}

static void skip_value(void *to, const char *name, double value) {}

/* The original implementation documents these rows but does not return them. */
static void test_splits_and_cluster_rows(void **state)
{
    struct divf_params params = divf_defaults("clusters=10,soft_k=2");
    params.split_threshold = 1.2; /* halves are too long as well, and wait for the next batch */
    struct stored_rows w;
    world_open(&w, params, 8, 4000, 1);
    test_fill_f32(&w.rng, w.rows, 1000, 8, 10, 0.2);
    assert_ok(divf_ops.train(w.index, stored_vectors(&w, 0, 1000)), &w.bench.error);
    assert_ok(stored_insert(&w, 0, 1000), &w.bench.error);
    double splits = test_stat(w.index, "splits");
    test_fill_f32(&w.rng, w.rows + 1000 * 8, 3000, 8, 1, 0.5); /* drift: all go to 1 or 2 lists */
    assert_ok(stored_insert(&w, 1000, 3000), &w.bench.error);
    stored_check(&w);
    splits = test_stat(w.index, "splits") - splits;
    assert_true(splits >= 1);
    uint64_t gone[] = { 5, 6, 7 };
    assert_ok(stored_remove(&w, gone, 3), &w.bench.error);

    double seen[6] = { 0 };
    struct stat_sink sink = { skip_value, count_rounds, seen };
    assert_int_equal(divf_ops.stats(w.index, &sink), OK);
    assert_true(seen[0] == test_stat(w.index, "n_clusters"));
    assert_true(seen[1] == 2 * 3997 && seen[2] == 2 * 4000);
    assert_true(seen[4] == 2 * splits); /* no list is split twice in a batch */
    world_expect_exact(&w, w.rows + 1500 * 8, 20, NULL);
    stored_close(&w);
}

static void test_forced_and_lazy_compaction(void **state)
{
    struct stored_rows w;
    uint64_t ids[600], found[10];
    float distances[10];
    world_open_filled(&w, divf_defaults("clusters=10"), 8, 2001, 1, 10, 0.2);
    assert_ok(stored_insert(&w, 0, 2000), &w.bench.error);
    for (size_t i = 0; i < 600; i++)
        ids[i] = 3 * i;
    assert_ok(stored_remove(&w, ids, 100), &w.bench.error);
    assert_true(test_stat(w.index, "deleted_count") == 100);
    assert_true(test_stat(w.index, "forced_compactions") == 0);
    /* A search marks the lists that it read; the next insert compacts only these. */
    world_search(&w, w.rows, 1, 10, 1, NULL, 1, found, distances);
    assert_true(test_stat(w.index, "deleted_count") == 100);
    assert_ok(stored_insert(&w, 2000, 1), &w.bench.error);
    assert_true(test_stat(w.index, "compactions") == 1);
    assert_true(test_stat(w.index, "deleted_count") < 100 &&
                test_stat(w.index, "deleted_count") > 0);
    assert_ok(stored_remove(&w, ids + 100, 500), &w.bench.error);
    assert_true(test_stat(w.index, "forced_compactions") >= 1);
    assert_true(test_stat(w.index, "deleted_count") <= 0.1 * 1401 + 1);
    stored_check(&w);
    world_expect_exact(&w, w.rows, 50, NULL);
    stored_close(&w);
}

static void test_bad_parameters(void **state)
{
    struct test_bench b;
    struct index *index = NULL;
    test_bench_begin(&b, INDEX_F32, INDEX_L2SQ, 4, 1);
    struct divf_params params = divf_defaults("split_threshold=0.5");
    assert_code(divf_ops.create(&index, &b.env, &params), ERR_ARGUMENT, &b.error);
    params = divf_defaults("");
    params.device = CUDA_CUDA;
    if (divf_ops.create(&index, &b.env, &params) == OK) { /* a machine with a device */
        divf_ops.destroy(index);
        index = NULL;
    } else {
        assert_int_equal(b.error.code, ERR_UNSUPPORTED);
        assert_non_null(strstr(b.error.text, "device = cpu"));
        error_clear(&b.error);
    }
    params = divf_defaults("");
    params.storage = DIVF_MMAP;
    assert_code(divf_ops.create(&index, &b.env, &params), ERR_ARGUMENT, &b.error);
    b.env.dir = "/nonexistent/folder";
    assert_code(divf_ops.create(&index, &b.env, &params), ERR_IO, &b.error);
    assert_null(index);
    assert_int_equal(mem_live(&b.mem), 0);
    test_bench_end(&b);
}

/* Memory besides the vectors is at most 15 % at soft_k = 1. */
static void test_memory(void **state)
{
    struct stored_rows w;
    enum { N = 40000, DIM = 128 };
    world_open_filled(&w, divf_defaults("clusters=64"), DIM, N, 1, 100, 0.5);
    for (size_t first = 0; first < N; first += 1000)
        assert_ok(stored_insert(&w, first, 1000), &w.bench.error);
    struct memory_use use;
    assert_int_equal(divf_ops.memory(w.index, &use), OK);
    uint64_t sum = use.vectors + use.codes + use.graph + use.ids + use.other;
    assert_in_range(sum, mem_live(&w.bench.mem) * 85 / 100, mem_live(&w.bench.mem));
    assert_true((double)sum < 1.15 * N * DIM * sizeof(float));
    assert_int_equal(use.disk, 0);
    stored_close(&w);
}

int main(void)
{
    return test_run_all("divf", test_delete_twice_after_compaction, test_first_batch_of_one,
                        test_training_on_too_little, test_codebook_is_frozen,
                        test_identical_vectors_are_not_split, test_splits_and_cluster_rows,
                        test_forced_and_lazy_compaction, test_bad_parameters, test_memory);
}
