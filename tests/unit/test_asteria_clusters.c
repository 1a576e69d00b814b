/* test_asteria_clusters.c - clusters through the table, of rows that come, go, and change models. */
#include "tests/unit/test_asteria.h"

static size_t count(struct asteria_world *w, size_t level)
{
    size_t n = SIZE_MAX;

    assert_ok(asteria_clusters.count(w->index, level, &n), &w->bench.error);
    return n;
}

/* Each stored row has one number below the count, at each level inside of one of the next; medoids are rows of
   their clusters, and there is none exactly where a cluster has no rows of the tree. */
static void expect_clusters(struct asteria_world *w)
{
    struct error *error = &w->bench.error;
    uint64_t *ids = calloc(w->live + 1, sizeof *ids), *fine = calloc(w->live + 1, sizeof *fine),
             *coarse = calloc(w->live + 1, sizeof *coarse);
    size_t n = 0;

    for (size_t id = 0; id < w->capacity; id++)
        if (w->stored[id])
            ids[n++] = id;
    assert_int_equal(n, w->live);
    assert_ok(asteria_clusters.assign(w->index, ids, n, 0, fine), error);
    for (size_t level = 0;; level++) {
        const size_t clusters = count(w, level), above = count(w, level + 1);
        uint64_t *medoids = calloc(clusters, sizeof *medoids), *up = calloc(clusters, sizeof *up);
        assert_ok(asteria_clusters.assign(w->index, ids, n, level + 1, coarse), error);
        for (size_t i = 0; i < n; i++) {
            assert_true(fine[i] < clusters && coarse[i] < above);
            assert_true(up[fine[i]] == 0 || up[fine[i]] == coarse[i] + 1);
            up[fine[i]] = coarse[i] + 1;
        }
        assert_ok(asteria_clusters.medoids(w->index, level, medoids), error);
        for (size_t c = 0; c < clusters; c++) {
            uint64_t its = UINT64_MAX;
            if (medoids[c] == ID_NONE)
                continue;
            assert_true(medoids[c] < w->capacity && w->stored[medoids[c]]);
            assert_ok(asteria_clusters.assign(w->index, &medoids[c], 1, level, &its), error);
            assert_int_equal(its, c);
        }
        free(medoids);
        free(up);
        memcpy(fine, coarse, n * sizeof *fine);
        assert_true(above <= clusters);
        if (clusters == 1)
            break;
    }
    free(ids);
    free(fine);
    free(coarse);
}

static void history(const char *settings, enum element element, size_t dim)
{
    struct asteria_world w;

    asteria_world_open(&w, settings, element, dim, 1500, 1);
    asteria_world_train(&w, 0, 600);
    expect_clusters(&w);
    asteria_world_insert(&w, 0, 1000);
    expect_clusters(&w);
    asteria_world_settle(&w);
    expect_clusters(&w);
    asteria_world_remove(&w, 0, 700, 2);
    asteria_world_insert(&w, 1000, 500);
    expect_clusters(&w);
    /* A newer model: its clusters split before the rows, a few at a time, go over to it. */
    asteria_world_train(&w, 0, 1500);
    for (size_t id = 0; id < 700; id += 2)
        asteria_world_insert(&w, id, 1);
    const struct bec_rows rows = asteria_bec_rows(state_of(&w));
    for (bool more = true; more;)
        assert_ok(bec_maintain(state_of(&w)->bec, &rows, 0, &more), &w.bench.error);
    expect_clusters(&w);
    for (w.step = 0; w.step < 200 && asteria_world_maintain(&w, 60); w.step++)
        if (w.step % 5 == 0)
            expect_clusters(&w);
    asteria_world_settle(&w);
    expect_clusters(&w);
    asteria_world_check(&w);
    asteria_world_close(&w);
}

static void test_rows_have_clusters(void **state)
{
    (void)state;
    history("leaf_cap=20", ELEMENT_F32, 32);
    history("leaf_cap=50,code=none,address_bits=6", ELEMENT_U8, 20);
    history("leaf_cap=10,leaf_penalty=2,address_bits=8", ELEMENT_F32, 64);
    history("leaf_cap=30", ELEMENT_F32, 1);
}

static void test_leaves_make_clusters(void **state)
{
    (void)state;
    struct asteria_world w;

    asteria_world_open(&w, "leaf_cap=50,code=none,address_bits=8", ELEMENT_F32, 32, 1500, 1);
    asteria_world_train(&w, 0, 1500);
    asteria_world_insert(&w, 0, 1500);
    asteria_world_settle(&w);
    assert_true(count(&w, 0) >= 8);
    assert_int_equal(count(&w, 64), 1);
    asteria_world_close(&w);
}

static void test_what_is_not_there_is_refused(void **state)
{
    (void)state;
    struct asteria_world w;
    uint64_t id = 3, cluster;
    size_t n;

    asteria_world_open(&w, "leaf_cap=50", ELEMENT_F32, 16, 300, 1);
    assert_code(asteria_clusters.count(w.index, 0, &n), ERR_UNTRAINED, &w.bench.error);
    assert_code(asteria_clusters.medoids(w.index, 0, &id), ERR_UNTRAINED, &w.bench.error);
    assert_code(asteria_clusters.assign(w.index, &id, 1, 0, &cluster), ERR_UNTRAINED,
                &w.bench.error);
    asteria_world_train(&w, 0, 300);
    id = 3;
    assert_code(asteria_clusters.assign(w.index, &id, 1, 0, &cluster), ERR_UNKNOWN_ID,
                &w.bench.error);
    asteria_world_close(&w);
}

static void test_no_memory(void **state)
{
    (void)state;
    struct asteria_world w;
    uint64_t ids[200], clusters[200], medoids[64];

    asteria_world_open(&w, "leaf_cap=50", ELEMENT_F32, 16, 400, 1);
    asteria_world_train(&w, 0, 300);
    asteria_world_insert(&w, 0, 200);
    /* All of them are left in the older model's buckets. */
    asteria_world_train(&w, 0, 400);
    for (size_t i = 0; i < 200; i++)
        ids[i] = i;
    for (size_t at = 1, done = 0; !done; at++) {
        w.bench.mem.fail_at = atomic_load(&w.bench.mem.calls) + at;
        atomic_store(&w.bench.mem.failed, false);
        int rc = asteria_clusters.assign(w.index, ids, 200, 0, clusters);
        assert_true(count(&w, 0) <= 64);
        if (rc == OK)
            rc = asteria_clusters.medoids(w.index, 0, medoids);
        done = !atomic_load(&w.bench.mem.failed);
        assert_true(done == (rc == OK));
        if (rc != OK)
            assert_code(rc, ERR_NO_MEMORY, &w.bench.error);
    }
    w.bench.mem.fail_at = 0;
    asteria_world_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows_have_clusters),
        cmocka_unit_test(test_leaves_make_clusters),
        cmocka_unit_test(test_what_is_not_there_is_refused),
        cmocka_unit_test(test_no_memory),
    };
    return test_run("asteria clusters", tests);
}
