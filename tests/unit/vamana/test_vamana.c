/* test_vamana.c - Vamana as a method, beyond the contract tests: alpha, lazy deletes and their
 * consolidation, deletes in place, turnover, inner product, searches during changes (run under the thread
 * sanitizer). */
#include "algorithms/common/graph_index/graph_index.h"
#include "algorithms/vamana/vamana.h"
#include "tests/support/baseline_checks.h"
#include "tests/support/beside_changes.h"
#include "tests/support/turnover.h"

enum { K = 10 };

static struct graph_layer layer_of(const struct baseline_test *t)
{
    return graph_layer_of(((const struct graph_index *)t->index)->graph, 0);
}

/* A larger alpha keeps more edges; alpha = 1 is the relative neighbourhood rule. */
static void test_alpha_keeps_edges(void **state)
{
    static const char *const params[] = { "degree=64;alpha=1", "degree=64;alpha=1.1",
                                          "degree=64;alpha=1.2", "degree=64;alpha=1.4" };
    size_t before = 0;

    for (size_t i = 0; i < sizeof params / sizeof *params; i++) {
        struct baseline_test t;

        baseline_begin(&t, &vamana_ops, params[i], INDEX_F32, INDEX_L2SQ, 16, 2000);
        baseline_insert(&t, 0, 2000);
        const struct graph_layer layer = layer_of(&t);
        if (layer.links * 20 <= before * 21)
            print_error("%s: %zu links, %zu before\n", params[i], layer.links, before);
        assert_true(layer.links * 20 > before * 21);
        assert_true(layer.most_links <= 64);
        assert_int_equal(graph_layers(((const struct graph_index *)t.index)->graph), 1);
        before = layer.links;
        baseline_end(&t);
    }
}

/* Searches enter at the row nearest to the mean, and at that of the rows left after a
   consolidation: with the least beam, a query there needs few distances. */
static void test_enters_at_the_medoid(void **state)
{
    struct baseline_test t;
    uint64_t id;
    float distance;

    baseline_begin(&t, &vamana_ops, "maintenance=explicit;degree=8", INDEX_F32, INDEX_L2SQ, 1,
                   4000);
    for (size_t i = 0; i < 4000; i++)
        t.f32[i] = (float)i;
    baseline_insert(&t, 0, 4000);
    float middle = 2000;
    assert_true(
        baseline_search(&t, &middle, 1, 1, "search_list=1", NULL, &id, &distance).distances <=
        2 * 8 + 1);
    assert_int_equal(id, 2000);
    bool more;
    baseline_remove(&t, 0, 3000);
    assert_ok(vamana_ops.maintain(t.index, 0, &more), &t.bench.error);
    middle = 3500;
    assert_true(
        baseline_search(&t, &middle, 1, 1, "search_list=1", NULL, &id, &distance).distances <=
        2 * 8 + 1);
    assert_int_equal(id, 3500);
    baseline_end(&t);
}

/* Deleted rows are not answered, and answers are complete; the rows leave at w:maintain, and their
   places are used again. */
static void test_lazy_deletes(void **state)
{
    struct baseline_test t;
    const size_t n = 2000;
    bool more = true;

    baseline_begin(&t, &vamana_ops, "maintenance=explicit", INDEX_F32, INDEX_L2SQ, 12, 2 * n);
    baseline_insert(&t, 0, n);
    baseline_remove(&t, 0, n / 2);
    const struct graph_index *h = (const struct graph_index *)t.index;
    assert_int_equal(graph_live(h->graph), n);
    assert_int_equal(graph_index_n_deleted(h), n / 2);
    assert_float_equal(baseline_stat(&t, "n_vectors"), n - n / 2, 0);
    baseline_expect_exact(&t, "search_list=2000", NULL);
    baseline_expect_same_after_reload(&t, "search_list=40");
    h = (const struct graph_index *)t.index;
    assert_int_equal(graph_index_n_deleted(h), n / 2);

    assert_ok(vamana_ops.maintain(t.index, 0, &more), &t.bench.error);
    assert_false(more);
    assert_ok(vamana_ops.check(t.index, NULL), &t.bench.error);
    assert_int_equal(graph_live(h->graph), n / 2);
    assert_int_equal(graph_index_n_deleted(h), 0);
    baseline_expect_exact(&t, "search_list=2000", NULL);
    baseline_insert(&t, n, n + n / 2 - 10);
    assert_float_equal(baseline_stat(&t, "capacity"), n, 0);
    baseline_remove(&t, n / 2, n);
    baseline_remove(&t, n, n + n / 2 - 10);
    assert_ok(vamana_ops.maintain(t.index, 0, &more), &t.bench.error);
    assert_ok(vamana_ops.check(t.index, NULL), &t.bench.error);
    assert_int_equal(graph_live(h->graph), 0);
    baseline_insert(&t, 0, 30);
    baseline_expect_exact(&t, "search_list=30", NULL);
    baseline_end(&t);
}

/* w:maintain links as many rows again as were added one by one, within its budget; then more is found. */
static void test_links_again(void **state)
{
    const size_t n = 3000 / test_scale();
    struct baseline_test t;
    bool more = true;

    baseline_begin(&t, &vamana_ops, "degree=8;build_list=16", INDEX_F32, INDEX_L2SQ, 48, n);
    for (size_t i = 0; i < n; i++)
        baseline_insert(&t, i, i + 1);
    const struct graph_index *h = (const struct graph_index *)t.index;
    const double before = baseline_recall(&t, "search_list=10");
    assert_ok(vamana_ops.maintain(t.index, 1, &more), &t.bench.error);
    assert_true(more);
    assert_int_equal(h->linked_once, n - 2); /* the first row was built, one was linked again */
    for (size_t calls = 0; more; calls++) {
        assert_true(calls < n);
        assert_ok(vamana_ops.maintain(t.index, 5000, &more), &t.bench.error);
    }
    assert_int_equal(h->linked_once, 0);
    assert_ok(vamana_ops.check(t.index, NULL), &t.bench.error);
    const double after = baseline_recall(&t, "search_list=10");

    if (test_scale() == 1 && after <= before)
        print_error("recall %.4f, linked again %.4f\n", before, after);
    assert_true(test_scale() > 1 || after > before);
    baseline_end(&t);
}

/* maintenance = inline consolidates when more than the share is deleted, not before. */
static void test_consolidates_in_time(void **state)
{
    struct baseline_test t;

    baseline_begin(&t, &vamana_ops, "consolidate_share=.1", INDEX_F32, INDEX_L2SQ, 12, 1000);
    baseline_insert(&t, 0, 1000);
    const struct graph_index *h = (const struct graph_index *)t.index;
    baseline_remove(&t, 0, 100);
    assert_int_equal(graph_index_n_deleted(h), 100);
    baseline_remove(&t, 100, 101);
    assert_int_equal(graph_index_n_deleted(h), 0);
    assert_int_equal(graph_live(h->graph), 899);
    baseline_end(&t);
}

/* Each deleted row leaves the graph at once, and its place is used again. */
static void test_in_place_deletes(void **state)
{
    struct baseline_test t;
    const size_t n = 2000;
    bool more = true;

    baseline_begin(&t, &vamana_ops, "deletes=in-place", INDEX_F32, INDEX_L2SQ, 12, 2 * n);
    baseline_insert(&t, 0, n);
    baseline_remove(&t, 0, n / 2);
    const struct graph_index *h = (const struct graph_index *)t.index;
    assert_int_equal(graph_live(h->graph), n - n / 2);
    assert_int_equal(graph_index_n_deleted(h), 0);
    baseline_expect_exact(&t, "search_list=2000", NULL);
    assert_ok(vamana_ops.maintain(t.index, 0, &more), &t.bench.error);
    assert_false(more);
    baseline_expect_same_after_reload(&t, "search_list=40");
    baseline_insert(&t, n, n + n / 2 - 10);
    assert_true(baseline_stat(&t, "capacity") <= (double)(n + n / 10));
    baseline_remove(&t, n / 2, n);
    baseline_remove(&t, n, n + n / 2 - 10);
    h = (const struct graph_index *)t.index;
    assert_int_equal(graph_live(h->graph), 0);
    baseline_insert(&t, 0, 30);
    baseline_expect_exact(&t, "search_list=30", NULL);
    baseline_end(&t);
}

static void test_turnover(void **state)
{
    turnover_keeps_recall(&vamana_ops, "degree=24;build_list=64", "search_list=10", .02, .4);
    turnover_keeps_recall(&vamana_ops, "degree=24;build_list=64;deletes=in-place", "search_list=10",
                          .01, .25);
}

static void test_inner_product(void **state)
{
    inner_product_is_answered(&vamana_ops, "search_list");
}

/* Neither the first row nor growing norms matter. */
static void test_inner_product_in_any_order(void **state)
{
    any_order_matters_not(&vamana_ops, "degree=24;build_list=64", "", 8, 24, 1500 / test_scale());
}

/* The graph, and so the answers, are the same for any number of threads, also after a
   consolidation. */
static void test_any_thread_count(void **state)
{
    uint64_t ids[2][50 * K];
    float distances[50 * K];
    bool more;

    for (size_t i = 0; i < 2; i++) {
        struct baseline_test t;

        baseline_begin(&t, &vamana_ops, "", INDEX_F32, INDEX_L2SQ, 20, 3000);
        baseline_use_threads(&t, 1 + 2 * i, "maintenance=explicit");
        baseline_insert(&t, 0, 3000);
        baseline_remove(&t, 1000, 2000);
        assert_ok(vamana_ops.maintain(t.index, 0, &more), &t.bench.error);
        baseline_search(&t, baseline_row(&t, 0), 50, K, "search_list=10", NULL, ids[i], distances);
        baseline_end(&t);
    }
    assert_memory_equal(ids[0], ids[1], sizeof ids[0]);
}

static void test_beside_changes(void **state)
{
    beside_changes(&vamana_ops, "degree=16;build_list=40;consolidate_share=.3", "search_list=64");
    beside_changes(&vamana_ops, "degree=16;build_list=40;deletes=in-place", "search_list=64");
}

static void test_one_row_is_always_there(void **state)
{
    beside_one_row(&vamana_ops, "degree=8;build_list=16", "search_list=16");
    beside_one_row(&vamana_ops, "degree=8;build_list=16;deletes=in-place", "search_list=16");
}

int main(void)
{
    return test_run_all("vamana", test_alpha_keeps_edges, test_enters_at_the_medoid,
                        test_lazy_deletes, test_links_again, test_consolidates_in_time,
                        test_in_place_deletes, test_turnover, test_inner_product,
                        test_inner_product_in_any_order, test_any_thread_count, test_beside_changes,
                        test_one_row_is_always_there);
}
