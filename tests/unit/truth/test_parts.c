/* test_parts.c - ground truth in parts: merged, it is bit for bit what one process computes. */
#include "src/truth/apart.h"
#include "tests/support/ground_truth.h"
#include "tests/support/tiny_workload.h"

enum { MOST_PARTS = 7 };

static const size_t part_counts[] = { 1, 2, 3, MOST_PARTS };

static const struct space {
    const char *name;
    enum element element;
    enum metric metric;
    size_t dim;
    double radius;
} spaces[] = {
    { "f32 l2", INDEX_F32, INDEX_L2SQ, 9, 2 },
    { "f32 cosine", INDEX_F32, INDEX_COS, 8, .1 },
    { "u8 ip", INDEX_U8, INDEX_IP, 5, -150000 },
    { "b64 hamming", INDEX_B64, INDEX_HAMMING, 64, 5 },
    { "128 bits hamming", INDEX_B64, INDEX_HAMMING, 128, 12 },
};

static int make_apart(struct oracle *oracle, const struct op_list *list, struct oracle_env env,
                      struct error *err)
{
    env.kernels = kernels_select(ISA_AVX512);
    env.threads = 2;
    return oracle_make_apart(oracle, list, &env, err);
}

static void make(struct oracle *oracle, const struct op_list *list, struct oracle_env env)
{
    struct error err = { 0 };

    assert_ok(make_apart(oracle, list, env, &err), &err);
}

/* Another process's part: only its block arrives. */
static void make_part(struct oracle *part, const struct op_list *list, size_t number, size_t parts,
                      const char *cache)
{
    struct oracle there;
    struct error err = { 0 };

    make(&there, list, (struct oracle_env){ .part = number, .parts = parts, .cache_dir = cache });
    assert_ok(oracle_make_block(part, there.mapped_bytes, &err), &err);
    memcpy(part->mapped, there.mapped, there.mapped_bytes);
    oracle_free(&there);
    assert_ok(oracle_read_block(part, list, &err), &err);
}

static void make_merged(struct oracle *merged, const struct op_list *list, size_t parts,
                        const char *cache)
{
    struct oracle part[MOST_PARTS];

    for (size_t i = 0; i < parts; i++)
        make_part(&part[i], list, i, parts, cache);
    make(merged, list, (struct oracle_env){ .merge = part, .n_merge = parts, .cache_dir = cache });
    for (size_t i = 0; i < parts; i++)
        oracle_free(&part[i]);
}

static void expect_same(const char *name, size_t parts, const struct op_list *list,
                        const struct oracle *a, const struct oracle *b)
{
    assert_int_equal(a->n, list->n);
    assert_int_equal(b->n, list->n);
    for (size_t i = 0; i < a->n; i++)
        if (!ground_truth_is_same(&a->truths[i], &b->truths[i])) {
            print_error("%s, %zu parts: operation %zu differs\n", name, parts, i);
            _fail(__FILE__, __LINE__);
        }
}

static void expect_parts_same(const char *name, const struct op_list *list)
{
    struct oracle whole, merged;

    make(&whole, list, (struct oracle_env){ 0 });
    for (size_t i = 0; i < sizeof part_counts / sizeof *part_counts; i++) {
        make_merged(&merged, list, part_counts[i], NULL);
        expect_same(name, part_counts[i], list, &whole, &merged);
        oracle_free(&merged);
    }
    oracle_free(&whole);
}

/* Inserts, deletes, updates, filters and ranges, among rows of which a third are copies; the last
   parts are smaller, or of no rows. */
static void test_histories(void **state)
{
    static const size_t rows[] = { 7 * ORACLE_PART_CHUNK + 300, 2 * ORACLE_PART_CHUNK, 400 };

    for (size_t s = 0; s < sizeof spaces / sizeof *spaces; s++)
        for (size_t n = 0; n < sizeof rows / sizeof *rows; n++) {
            struct rng r = rng_at(test_seed(), 10 * s + n);
            struct workload w;

            workload_begin(&w, &r, spaces[s].element, spaces[s].metric, rows[n], 12, spaces[s].dim);
            struct op_list *list = workload_history(&w, &r, 6, 10, spaces[s].radius);
            expect_parts_same(spaces[s].name, list);
            op_list_free(list);
        }
}

/* The second part has 3 rows, of which deletes leave fewer. */
static void test_k_above_a_part(void **state)
{
    struct rng r = rng_at(test_seed(), 100);
    struct workload w;

    workload_begin(&w, &r, INDEX_F32, INDEX_L2SQ, ORACLE_PART_CHUNK + 3, 12, 6);
    workload_insert(&w, 0, ORACLE_PART_CHUNK + 3, 0, 0, NULL);
    workload_search(&w, 50, 1, NULL);
    workload_search(&w, ORACLE_PART_CHUNK + 3, 1, NULL);
    workload_delete(&w, ORACLE_PART_CHUNK - 50, 0);
    workload_search(&w, 50, 1, NULL);
    struct op_list *list = workload_finish(&w);
    expect_parts_same("k above a part", list);
    op_list_free(list);
}

/* Two dimensions, from a query at 0: row i is at 1 + (n - i)^2 1e-10, so that the nearest are the
   last, and floats take them for ties. */
static void test_distances_below_a_float(void **state)
{
    enum { ROWS = 3 * ORACLE_PART_CHUNK };
    struct rng r = rng_at(test_seed(), 101);
    struct workload w;
    struct oracle whole;

    workload_begin(&w, &r, INDEX_F32, INDEX_L2SQ, ROWS, 1, 2);
    memset(w.queries->state, 0, 2 * sizeof(float));
    for (size_t i = 0; i < ROWS; i++) {
        /* neighbours in rank are in other parts */
        const size_t id = i % 3 * ORACLE_PART_CHUNK + i / 3;
        ((float *)w.rows->state)[2 * id] = 1;
        ((float *)w.rows->state)[2 * id + 1] = (float)(ROWS - i) * 1e-5f;
    }
    assert_ok(source_scan(w.rows, &w.err), &w.err);
    assert_ok(source_scan(w.queries, &w.err), &w.err);
    workload_insert(&w, 0, ROWS, 0, 0, NULL);
    workload_search(&w, 9, 1, NULL);
    struct op_list *list = workload_finish(&w);
    make(&whole, list, (struct oracle_env){ 0 });
    assert_int_equal(whole.truths[1].ids[0], ROWS - 1);
    assert_int_equal(whole.truths[1].ids[2], ORACLE_PART_CHUNK - 1);
    assert_true((float)whole.truths[1].distances[0] == (float)whole.truths[1].distances[8]);
    oracle_free(&whole);
    expect_parts_same("distances below a float", list);
    op_list_free(list);
}

/* Parts are cached, each for itself, and the merged whole as the whole of one process. */
static void test_cache(void **state)
{
    char dir[PATH_MAX];
    struct rng r = rng_at(test_seed(), 102);
    struct workload w;
    struct oracle whole, merged, part;
    struct error err = { 0 };

    test_dir_make(dir);
    workload_begin(&w, &r, INDEX_F32, INDEX_L2SQ, 3 * ORACLE_PART_CHUNK, 12, 6);
    struct op_list *list = workload_history(&w, &r, 4, 10, 1);
    const struct oracle_env cached = { .cache_dir = dir, .only_cached = true };
    assert_int_equal(make_apart(&whole, list, cached, &err), ERR_NOT_FOUND);
    make_part(&part, list, 1, 2, dir);
    assert_true(part.seconds > 0);
    oracle_free(&part);
    make_merged(&merged, list, 2, dir);
    make_part(&part, list, 1, 2, dir);
    assert_true(part.seconds == 0);
    oracle_free(&part);
    make(&whole, list, cached);
    assert_true(whole.seconds == 0);
    expect_same("from the cache", 2, list, &whole, &merged);
    oracle_free(&whole);
    make(&whole, list, (struct oracle_env){ 0 });
    expect_same("from no cache", 2, list, &whole, &merged);
    oracle_free(&whole);
    oracle_free(&merged);
    op_list_free(list);
    test_dir_remove(dir);
}

static struct op_list *small(uint64_t data, size_t k)
{
    struct rng r = rng_at(test_seed(), 103 + data);
    struct workload w;

    workload_begin(&w, &r, INDEX_F32, INDEX_L2SQ, 2 * ORACLE_PART_CHUNK, 5, 6);
    workload_insert(&w, 0, 2 * ORACLE_PART_CHUNK, 0, 0, NULL);
    workload_search(&w, k, 1, NULL);
    return workload_finish(&w);
}

/* Of another part, of other data, of another k, and of a process whose block is cut. */
static void test_a_wrong_part_is_refused(void **state)
{
    struct op_list *lists[] = { small(0, 9), small(0, 9), small(1, 9), small(0, 8) };
    struct error err = { 0 };
    struct oracle merged;

    for (size_t i = 0; i < 4; i++) {
        struct oracle part[2];

        make_part(&part[0], lists[0], 0, 2, NULL);
        make_part(&part[1], lists[i], i == 0 ? 1 : i == 1 ? 0 : 1, 2, NULL);
        const int rc =
            make_apart(&merged, lists[0], (struct oracle_env){ .merge = part, .n_merge = 2 }, &err);
        assert_int_equal(rc, i == 0 ? OK : ERR_CORRUPT);
        if (i == 0)
            oracle_free(&merged);
        else
            assert_non_null(strstr(err.text, "part 2 of 2"));
        error_clear(&err);
        oracle_free(&part[0]);
        oracle_free(&part[1]);
    }
    struct oracle part, cut;
    make_part(&part, lists[0], 0, 2, NULL);
    for (size_t bytes = 8; bytes < part.mapped_bytes; bytes += part.mapped_bytes / 20 & ~7UL) {
        assert_ok(oracle_make_block(&cut, bytes, &err), &err);
        memcpy(cut.mapped, part.mapped, bytes);
        assert_int_equal(oracle_read_block(&cut, lists[0], &err), ERR_IO);
        oracle_free(&cut);
        error_clear(&err);
    }
    oracle_free(&part);
    for (size_t i = 0; i < 4; i++)
        op_list_free(lists[i]);
}

int main(void)
{
    return test_run_all("parts", test_histories, test_k_above_a_part, test_distances_below_a_float,
                        test_cache, test_a_wrong_part_is_refused);
}
