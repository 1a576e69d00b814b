/* test_hnsw.c - our HNSW as a method, beyond the contract tests: bounds, turnover, equal
 * rows, filters, and searches during changes (run under the thread sanitizer). The graph
 * itself is tested in test_graph.c. */
#include "algorithms/common/durable/store_file.h"
#include "algorithms/common/graph_index/graph_index.h"
#include "algorithms/hnsw/hnsw.h"
#include "tests/support/beside_changes.h"
#include "tests/support/turnover.h"

enum { K = 10 };

static void test_bounds(void **state)
{
    static const struct {
        const char *name, *value;
        int code;
    } cases[] = {
        { "M", "1", ERR_CONFIG },
        { "M", "129", ERR_CONFIG },
        { "M", "2", OK },
        { "M", "128", OK },
        { "ef_construction", "0", ERR_CONFIG },
        { "ef_construction", "1", OK },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct hnsw_params params;
        struct error error = { 0 };
        char text[64];
        const struct param_value value = { .kind = VALUE_TEXT, .text = cases[i].value };

        param_defaults(hnsw_ops.params, &params);
        const int rc = param_set(hnsw_ops.params, &params, cases[i].name, value, "hnsw", &error);
        if (rc != cases[i].code)
            print_error("%s = %s: %s\n", cases[i].name, cases[i].value, error_name(rc));
        assert_int_equal(rc, cases[i].code);
        if (rc != OK)
            continue;
        (void)snprintf(text, sizeof text, "%s=%s", cases[i].name, cases[i].value);
        struct baseline_test t;
        baseline_begin(&t, &hnsw_ops, text, INDEX_F32, INDEX_L2SQ, 5, 900);
        baseline_insert(&t, 0, 300);
        for (size_t j = 300; j < 400; j++)
            baseline_insert(&t, j, j + 1);
        baseline_insert(&t, 400, 900);
        baseline_expect_exact(&t, "ef_search=900", NULL);
        assert_true(baseline_recall(&t, "ef_search=100") > .8);
        baseline_end(&t);
    }
}

static void test_turnover(void **state)
{
    turnover_keeps_recall(&hnsw_ops, "", "ef_search=14", .02, .25);
}

/* Most rows are equal, inserted in any way; all are found, and so are the others. */
static void test_equal_rows(void **state)
{
    const size_t same = 10000 / test_scale(), others = 300;

    for (int one_by_one = 0; one_by_one < 2; one_by_one++) {
        struct baseline_test t;
        uint64_t *ids = calloc(same, sizeof *ids);
        float *distances = calloc(same, sizeof *distances);
        size_t missed = 0;

        baseline_begin(&t, &hnsw_ops, "ef_construction=100", INDEX_F32, INDEX_L2SQ, 16,
                       same + others);
        for (size_t i = 0; i < same; i++)
            memcpy(t.f32 + i * t.dim, t.f32 + same * t.dim, t.dim * sizeof *t.f32);
        baseline_insert(&t, 0, one_by_one ? 1 : same);
        if (one_by_one)
            baseline_insert(&t, 1, same);
        baseline_insert(&t, same, same + others);
        for (size_t i = same + 1; i < same + others; i++) {
            baseline_search(&t, baseline_row(&t, i), 1, 1, "ef_search=64", NULL, ids, distances);
            missed += ids[0] != i;
        }
        if (missed > 2)
            print_error("%zu of %zu rows among equal ones are not found\n", missed, others);
        assert_true(missed <= 2);
        for (size_t left = same; left > 1000; left /= 2) {
            baseline_search(&t, baseline_row(&t, 0), 1, left, "ef_search=64", NULL, ids, distances);
            for (size_t i = 0; i < left; i++) {
                assert_true(distances[i] == 0 && ids[i] < same + 1);
                assert_true(i == 0 || ids[i - 1] < ids[i]);
            }
            baseline_remove(&t, left / 2, left);
        }
        baseline_end(&t);
        free(ids);
        free(distances);
    }
}

/* However few rows a filter allows, it gives as many answers as exist, and near ones; with many
   rows allowed it costs less than a scan. */
static void test_filters(void **state)
{
    struct baseline_test t;
    const size_t n = 5000 / test_scale();

    baseline_begin(&t, &hnsw_ops, "", INDEX_F32, INDEX_L2SQ, 12, n);
    baseline_insert(&t, 0, n);
    baseline_remove(&t, n / 2, n / 2 + n / 10);
    for (size_t step = 2; step < n; step = step * 5 / 2) {
        const struct id_filter filter = baseline_filter(&t, step);
        double found = 0, wanted = 0, computed = 0;

        for (size_t q = 0; q < n; q += n / 30) {
            uint64_t ids[K];
            float distances[K];
            size_t allowed;
            double *truth = baseline_truth(&t, baseline_row(&t, q), &filter, &allowed);

            computed += baseline_search(&t, baseline_row(&t, q), 1, K, "ef_search=24", &filter, ids,
                                        distances)
                            .distances;
            allowed = allowed < K ? allowed : K;
            for (size_t i = 0; i < K; i++) {
                assert_int_equal(ids[i] != INDEX_NO_ID, i < allowed);
                assert_true(i >= allowed || index_filter_allows(&filter, ids[i]));
                found += i < allowed && (double)distances[i] <=
                                            truth[allowed - 1] + baseline_slack(truth[allowed - 1]);
            }
            wanted += (double)allowed;
            free(truth);
        }
        if (found < .9 * wanted)
            print_error("every %zuth allowed: %g of %g found\n", step, found, wanted);
        assert_true(found >= .9 * wanted);
        assert_true(step > 2 || test_scale() > 1 || computed < 31 * 2000);
    }
    baseline_end(&t);
}

static void test_beside_changes(void **state)
{
    beside_changes(&hnsw_ops, "M=8;ef_construction=40", "ef_search=64");
}

static void test_one_row_is_always_there(void **state)
{
    beside_one_row(&hnsw_ops, "M=4;ef_construction=16", "ef_search=16");
}

/* ---- files with valid checksums and invalid ids */

static int load_with_ids(struct baseline_test *t, const char *dir, const uint64_t *ids, size_t n)
{
    const struct graph_index *h = (const struct graph_index *)t->index;
    const struct store_identity identity = store_identity_of(&t->bench.env, "hnsw", 1);
    static struct store_writer w;
    struct index *loaded = NULL;

    assert_ok(store_begin(&w, dir, "hnsw.index", &identity, NULL, &t->bench.error),
              &t->bench.error);
    store_section(&w, "params");
    store_write(&w, h->params, offsetof(struct hnsw_params, wal));
    store_section(&w, "ids");
    store_write(&w, ids, n * sizeof *ids);
    (void)graph_save(h->graph, &w);
    assert_ok(store_commit(&w), &t->bench.error);
    const int rc = hnsw_ops.load(&loaded, &t->bench.env, dir);
    if (rc == OK)
        hnsw_ops.destroy(loaded);
    return rc;
}

static void test_wrong_ids(void **state)
{
    struct baseline_test t;
    char dir[PATH_MAX];
    uint64_t ids[100];

    test_dir_make(dir);
    baseline_begin(&t, &hnsw_ops, "", INDEX_F32, INDEX_L2SQ, 4, 100);
    baseline_insert(&t, 0, 100);
    baseline_remove(&t, 40, 41);
    memcpy(ids, t.ids, sizeof ids);
    ids[40] = INDEX_NO_ID;
    assert_ok(load_with_ids(&t, dir, ids, 100), &t.bench.error);
    assert_code(load_with_ids(&t, dir, ids, 99), ERR_CORRUPT, &t.bench.error);
    ids[40] = 40;
    assert_code(load_with_ids(&t, dir, ids, 100), ERR_CORRUPT, &t.bench.error);
    ids[40] = ids[7] = INDEX_NO_ID;
    assert_code(load_with_ids(&t, dir, ids, 100), ERR_CORRUPT, &t.bench.error);
    ids[7] = 8;
    assert_code(load_with_ids(&t, dir, ids, 100), ERR_CORRUPT, &t.bench.error);
    ((struct hnsw_params *)((struct graph_index *)t.index)->params)->M = 129;
    ids[7] = 7;
    assert_code(load_with_ids(&t, dir, ids, 100), ERR_CORRUPT, &t.bench.error);
    baseline_end(&t);
    test_dir_remove(dir);
}

static void test_inner_product(void **state)
{
    inner_product_is_answered(&hnsw_ops, "ef_search");
}

/* Every row is replaced by one a quarter as long, a tenth per step. The long ones, to which most edges
   led, leave: with maintenance as much is found as in a new index; without, .56 to .71 of it (six
   seeds). */
static void test_long_rows_leave(void **state)
{
    static const char params[] = "M=8", knobs[] = "ef_search=10";
    const size_t half = 1500, step = half / 10;
    struct baseline_test t, fresh;
    bool more;

    baseline_begin(&t, &hnsw_ops, params, INDEX_F32, INDEX_IP, 32, 2 * half);
    baseline_begin(&fresh, &hnsw_ops, params, INDEX_F32, INDEX_IP, 32, 2 * half);
    for (size_t i = 0; i < half * t.dim; i++)
        t.f32[half * t.dim + i] *= .25F;
    memcpy(fresh.f32, t.f32, 2 * half * t.dim * sizeof *t.f32);
    baseline_insert(&t, 0, half);
    for (size_t i = 0; i < half; i += step) {
        baseline_remove(&t, i, i + step);
        baseline_insert(&t, half + i, half + i + step);
        assert_ok(hnsw_ops.maintain(t.index, 0, &more), &t.bench.error);
        assert_ok(hnsw_ops.check(t.index, NULL), &t.bench.error);
    }
    baseline_insert(&fresh, half, 2 * half);
    const double lived = baseline_recall(&t, knobs), built = baseline_recall(&fresh, knobs);
    if (lived < .95 * built)
        print_error("recall %.3f, %.3f of a new index\n", lived, built);
    assert_true(lived >= .95 * built);
    baseline_end(&fresh);
    baseline_end(&t);
}

int main(void)
{
    return test_run_all("hnsw", test_bounds, test_turnover, test_equal_rows, test_filters,
                        test_beside_changes, test_one_row_is_always_there, test_wrong_ids,
                        test_inner_product, test_long_rows_leave);
}
