/* test_vamana_disk.c - the index on disk, beyond the contract tests: layouts of pages, the cache,
 * reads, merges and merges that fail, turnover, what a folder holds after a crash, searches during
 * changes (run under the thread sanitizer). */
#include "algorithms/vamana_disk/vamana_disk.h"

#include <sys/stat.h>

#include "tests/support/baseline_checks.h"
#include "tests/support/beside_changes.h"
#include "tests/support/turnover.h"

static char folder[PATH_MAX], loads[PATH_MAX];

/* As vamana_disk_ops, for support code that gives no folder: the env gets an empty one. */
static int create_here(struct index **out, const struct index_env *env, const void *params)
{
    ((struct index_env *)(uintptr_t)env)->dir = folder;
    test_dir_clear(folder);
    return vamana_disk_ops.create(out, env, params);
}

/* The same for a load, beside an index that is open: each has a folder of its own. */
static int load_here(struct index **out, const struct index_env *env, const char *dir)
{
    static char fresh[PATH_MAX + 32];
    static size_t n;

    (void)snprintf(fresh, sizeof fresh, "%s/%zu", loads, n++);
    assert_int_equal(mkdir(fresh, 0777), 0);
    ((struct index_env *)(uintptr_t)env)->dir = fresh;
    return vamana_disk_ops.load(out, env, dir);
}

static struct index_ops here;

static int set_up(void **state)
{
    test_dir_make(folder);
    test_dir_make(loads);
    here = vamana_disk_ops;
    here.create = create_here;
    here.load = load_here;
    return 0;
}

static int tear_down(void **state)
{
    test_dir_remove(folder);
    test_dir_remove(loads);
    return 0;
}

static const struct vamana_disk_view *view_of(const struct baseline_test *t)
{
    return vamana_disk_view_of(vamana_disk_of(t->index));
}

static void maintain(struct baseline_test *t)
{
    bool more = true;

    assert_ok(vamana_disk_ops.maintain(t->index, 0, &more), &t->bench.error);
    assert_false(more);
    assert_ok(vamana_disk_ops.check(t->index, NULL), &t->bench.error);
}

/* ------------------------------------------------------------------------------- the file */

/* Records that share a page, fill one, or have several. */
static void test_layouts(void **state)
{
    static const struct {
        size_t dim, per_page, pages;
    } layouts[] = { { 8, 4096 / (32 + 4 + 32), 1 }, { 1000, 1, 1 }, { 1100, 1, 2 } };

    for (size_t i = 0; i < sizeof layouts / sizeof *layouts; i++) {
        struct baseline_test t;

        baseline_begin(&t, &here, "degree=8;merge_rows=1;pq_groups=8", INDEX_F32, INDEX_L2SQ,
                       layouts[i].dim, 300);
        baseline_insert(&t, 0, 300);
        const struct vamana_disk_part *p = view_of(&t)->part;
        assert_int_equal(p->n, 300);
        assert_int_equal(p->layout.per_page, layouts[i].per_page);
        assert_int_equal(p->layout.read_bytes, layouts[i].pages * VAMANA_DISK_PAGE);
        assert_int_equal(p->pages_at % VAMANA_DISK_PAGE, 0);
        assert_true(baseline_recall(&t, "search_list=100") > .9);
        baseline_expect_exact(&t, "search_list=300", NULL);
        baseline_expect_same_after_reload(&t, "search_list=20");
        baseline_end(&t);
    }
}

/* Cached nodes are not read, and change no answer. The widths of beams differ in reads. */
static void test_cache_and_reads(void **state)
{
    uint64_t ids[2][200];
    float distances[2][200];
    double pages[2], hits[2];

    for (size_t i = 0; i < 2; i++) {
        struct baseline_test t;

        baseline_begin(&t, &here, i ? "cache_mb=0.1" : "cache_mb=0", INDEX_F32, INDEX_L2SQ, 16,
                       3000);
        baseline_insert(&t, 0, 3000);
        baseline_search(&t, baseline_row(&t, 0), 20, 10, "search_list=40", NULL, ids[i],
                        distances[i]);
        pages[i] = baseline_stat(&t, "pages_read");
        hits[i] = baseline_stat(&t, "cache_hits");
        assert_float_equal(baseline_stat(&t, "queries"), 20, 0);
        assert_float_equal(baseline_stat(&t, "pages_per_query"), pages[i] / 20, 1e-9);
        assert_float_equal(baseline_stat(&t, "page_bytes_read"), pages[i] * 4096, 0);
        baseline_end(&t);
    }
    assert_memory_equal(ids[0], ids[1], sizeof ids[0]);
    assert_float_equal(hits[0], 0, 0);
    assert_true(hits[1] > 0);
    assert_float_equal(pages[1] + hits[1], pages[0], 0);
    assert_true(pages[0] >= 20 * 40 && pages[0] < 20 * 80);
}

/* Codes and not rows are in memory: the more there are, the fewer reads miss. */
static void test_codes(void **state)
{
    double before = 0;

    for (size_t i = 0; i < 2; i++) {
        struct baseline_test t;

        baseline_begin(&t, &here, i ? "pq_groups=24" : "pq_groups=2", INDEX_F32, INDEX_L2SQ, 24,
                       3000);
        baseline_insert(&t, 0, 3000);
        const double recall = baseline_recall(&t, "search_list=15");
        if (recall <= before + .02)
            print_error("recall %.4f with more codes, %.4f with fewer\n", recall, before);
        assert_true(recall > before + .02);
        before = recall;
        baseline_end(&t);
    }
    assert_true(before > .9);
}

/* ------------------------------------------------------------------------------- merges */

/* Neither the first row nor growing norms matter, under inner product. */
static void test_inner_product_in_any_order(void **state)
{
    any_order_matters_not(&here, "degree=24;build_list=64;merge_rows=150;pq_groups=25",
                          "search_list=200", 8, 24, 1500 / test_scale());
}

/* The entry is a node even where no distance from the mean is finite; index_insert() refuses such rows. */
static void test_entry_is_a_node(void **state)
{
    struct baseline_test t;

    baseline_begin(&t, &here, "degree=8;merge_rows=50;pq_groups=4", INDEX_F32, INDEX_L2SQ, 16, 400);
    for (size_t i = 0; i < t.dim; i++)
        t.f32[77 * t.dim + i] = i % 2 ? 1e30F : -1e30F;
    baseline_insert(&t, 0, 300);
    baseline_insert(&t, 300, 400); /* a streaming merge, which chooses an entry */
    maintain(&t);
    assert_true(view_of(&t)->part->entry < view_of(&t)->part->n);
    (void)baseline_recall(&t, "search_list=20");
    baseline_end(&t);
}

static void test_merges_when_due(void **state)
{
    struct baseline_test t;

    baseline_begin(&t, &here, "merge_rows=100;merge_share=.2", INDEX_F32, INDEX_L2SQ, 12, 2000);
    baseline_insert(&t, 0, 99);
    assert_int_equal(view_of(&t)->part->n, 0);
    baseline_insert(&t, 99, 1000);
    assert_int_equal(view_of(&t)->part->n, 1000);
    baseline_insert(&t, 1000, 1150);
    baseline_remove(&t, 0, 50);
    assert_int_equal(view_of(&t)->part->n, 1000);
    assert_float_equal(baseline_stat(&t, "rows_in_memory"), 150, 0);
    assert_float_equal(baseline_stat(&t, "deleted_on_disk"), 50, 0);
    baseline_expect_exact(&t, "search_list=4000", NULL);
    baseline_expect_same_after_reload(&t, "search_list=40");
    baseline_remove(&t, 1000, 1010); /* of the recent rows: fewer are left to merge */
    baseline_remove(&t, 50, 62);
    assert_int_equal(view_of(&t)->part->n, 1078);
    assert_float_equal(baseline_stat(&t, "rows_in_memory"), 0, 0);
    assert_float_equal(baseline_stat(&t, "merges"), 1, 0); /* since the reload */
    baseline_expect_exact(&t, "search_list=4000", NULL);
    baseline_end(&t);
}

/* Where the file cannot be written nothing is lost, and the next merge does it. */
static void test_merge_that_fails(void **state)
{
    struct baseline_test t;
    bool more;

    baseline_begin(&t, &here, "merge_rows=10", INDEX_F32, INDEX_L2SQ, 12, 1000);
    baseline_insert(&t, 0, 500);
    test_dir_remove(folder);
    baseline_insert(&t, 500, 700);
    baseline_remove(&t, 100, 200);
    assert_code(vamana_disk_ops.maintain(t.index, 0, &more), ERR_IO, &t.bench.error);
    assert_ok(vamana_disk_ops.check(t.index, NULL), &t.bench.error);
    assert_float_equal(baseline_stat(&t, "rows_in_memory"), 200, 0);
    assert_float_equal(baseline_stat(&t, "deleted_on_disk"), 100, 0);
    baseline_expect_exact(&t, "search_list=4000", NULL);
    assert_int_equal(mkdir(folder, 0777), 0);
    maintain(&t);
    assert_float_equal(baseline_stat(&t, "rows_on_disk"), 600, 0);
    baseline_expect_exact(&t, "search_list=4000", NULL);
    baseline_end(&t);
}

/* The folder holds the index as of the last merge, whatever came after it: a crash leaves that. */
static void test_folder_after_a_crash(void **state)
{
    struct baseline_test t;
    struct index *found = NULL;
    char other[PATH_MAX];

    test_dir_make(other);
    baseline_begin(&t, &here, "maintenance=explicit", INDEX_F32, INDEX_L2SQ, 12, 1000);
    baseline_insert(&t, 0, 600);
    maintain(&t);
    baseline_insert(&t, 600, 1000);
    baseline_remove(&t, 0, 100);
    struct index_env env = t.bench.env;
    env.dir = other;
    assert_ok(vamana_disk_ops.load(&found, &env, folder), &t.bench.error);
    assert_ok(vamana_disk_ops.check(found, NULL), &t.bench.error);
    assert_int_equal(vamana_disk_view_of(vamana_disk_of(found))->part->nodes.n, 600);
    vamana_disk_ops.destroy(found);
    baseline_end(&t);
    test_dir_remove(other);
}

/* The second half of the rows lies elsewhere by `shift`. */
static void begin_shifted(struct baseline_test *t, size_t half, float shift)
{
    const char *params = "build_list=64;merge_rows=20;pq_groups=12";

    baseline_begin(t, &here, params, INDEX_F32, INDEX_L2SQ, TURNOVER_DIM, 2 * half);
    for (size_t i = half * t->dim; i < 2 * half * t->dim; i++)
        t->f32[i] += shift;
}

/* Replaces every row, a tenth per step: recall is near that of an index built from the
   rows that are left. */
static void expect_recall_stays(float shift, double loss)
{
    struct baseline_test t, fresh;
    const size_t half = 4000 / test_scale(), step = half / 10;
    const char *knobs = "search_list=16";

    begin_shifted(&t, half, shift);
    baseline_insert(&t, 0, half);
    for (size_t i = 0; i < half; i += step) {
        baseline_remove(&t, i, i + step);
        baseline_insert(&t, half + i, half + i + step);
    }
    maintain(&t);
    const double churned = turnover_recall(&t, half, 2 * half, knobs);
    assert_true(baseline_stat(&t, "merges") >= 9);
    assert_int_equal(view_of(&t)->part->n, half);
    baseline_end(&t);

    begin_shifted(&fresh, half, shift);
    baseline_insert(&fresh, half, 2 * half);
    const double built = turnover_recall(&fresh, half, 2 * half, knobs);
    if (churned < built - loss)
        print_error("recall %.4f after turnover, %.4f of a fresh index\n", churned, built);
    assert_true(churned >= built - loss && built > .8);
    baseline_end(&fresh);
}

static void test_turnover(void **state)
{
    expect_recall_stays(0, .02);
}

/* Codewords of the first rows would stand for none of the rows that are left. Some of the last are
   still of both. */
static void test_codes_follow_the_rows(void **state)
{
    expect_recall_stays(9, .05);
}

/* ---------------------------------------------------------------------------- and the rest */

static void test_metrics(void **state)
{
    baseline_try_recall(&here, "merge_rows=1;pq_groups=0", 16, "search_list=60");
    baseline_try_exact(&here, "merge_rows=100", "search_list=4000");
    baseline_try_ids_of_64_bits(&here, "search_list=4000");
    baseline_try_empty(&here, "search_list=4000");
}

/* The same answers for any number of threads. */
static void test_threads(void **state)
{
    struct baseline_test t;

    baseline_begin(&t, &here, "", INDEX_F32, INDEX_L2SQ, 20, 2500);
    baseline_use_threads(&t, 3, "");
    baseline_insert(&t, 0, 2000);
    baseline_insert(&t, 2000, 2150);
    baseline_remove(&t, 100, 120);
    baseline_expect_threads_agree(&t, "search_list=30", 3);
    baseline_end(&t);
}

static void test_beside_changes(void **state)
{
    beside_changes(&here, "degree=16;build_list=40;merge_rows=60;merge_share=.2", "search_list=64");
}

static void test_one_row_is_always_there(void **state)
{
    beside_one_row(&here, "degree=8;build_list=16;merge_rows=500", "search_list=16");
}

/* The folder of an index is its own: another is neither made nor loaded there. Saved there, it goes on
   and is found by the next load. */
static void test_own_folder(void **state)
{
    struct baseline_test t;
    struct index *other = NULL;
    struct vamana_disk_params params;
    char saved[PATH_MAX];

    test_dir_make(saved);
    baseline_begin(&t, &here, "merge_rows=100", INDEX_F32, INDEX_L2SQ, 12, 400);
    param_defaults(here.params, &params);
    assert_code(vamana_disk_ops.create(&other, &t.bench.env, &params), ERR_IO, &t.bench.error);
    baseline_insert(&t, 0, 300);
    assert_ok(here.save(t.index, saved), &t.bench.error);
    baseline_insert(&t, 300, 350);
    assert_code(vamana_disk_ops.load(&other, &t.bench.env, saved), ERR_IO, &t.bench.error);
    assert_code(vamana_disk_ops.load(&other, &t.bench.env, folder), ERR_IO, &t.bench.error);
    baseline_expect_exact(&t, "search_list=400", NULL);

    const int fd = view_of(&t)->part->fd;
    assert_ok(here.save(t.index, folder), &t.bench.error);
    assert_int_equal(view_of(&t)->part->fd, fd); /* searches may be reading */
    assert_ok(here.check(t.index, NULL), &t.bench.error);
    baseline_expect_exact(&t, "search_list=400", NULL);
    baseline_insert(&t, 350, 400);
    maintain(&t);
    baseline_expect_exact(&t, "search_list=400", NULL);
    assert_ok(here.save(t.index, folder), &t.bench.error);
    here.destroy(t.index);
    assert_ok(vamana_disk_ops.load(&t.index, &t.bench.env, folder), &t.bench.error);
    baseline_expect_exact(&t, "search_list=400", NULL);
    baseline_end(&t);
    test_dir_remove(saved);
}

/* A merge in the middle of the statistics replaces the view that they are of. */
struct merging {
    struct baseline_test *t;
    double n_vectors, deleted;
};

static void merge_at_first(void *to, const char *name, double value)
{
    struct merging *m = to;

    if (strcmp(name, "n_vectors") == 0) {
        m->n_vectors = value;
        maintain(m->t);
    }
    if (strcmp(name, "deleted_on_disk") == 0)
        m->deleted = value;
}

static void test_stats_beside_a_merge(void **state)
{
    struct baseline_test t;
    struct merging m = { .t = &t };
    const struct stat_sink sink = { .to = &m, .value = merge_at_first };

    baseline_begin(&t, &here, "maintenance=explicit", INDEX_F32, INDEX_L2SQ, 12, 400);
    baseline_insert(&t, 0, 300);
    maintain(&t);
    baseline_remove(&t, 0, 30);
    baseline_insert(&t, 300, 400);
    assert_ok(here.stats(t.index, (struct stat_sink *)(uintptr_t)&sink), &t.bench.error);
    assert_float_equal(m.n_vectors, 370, 0);
    assert_float_equal(m.deleted, 30, 0); /* as before the merge */
    baseline_end(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_layouts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_cache_and_reads, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_codes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_entry_is_a_node, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_inner_product_in_any_order, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_merges_when_due, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_merge_that_fails, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_folder_after_a_crash, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_turnover, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_codes_follow_the_rows, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_metrics, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_threads, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_beside_changes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_one_row_is_always_there, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_own_folder, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_stats_beside_a_merge, set_up, tear_down),
    };
    return test_run("vamana_disk", tests);
}
