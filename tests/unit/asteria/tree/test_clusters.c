/* test_clusters.c - clusters by cluster(), for rows that are inserted, removed,
   and re-encoded. */
#include "tests/unit/asteria/support.h"

struct medoids {
    uint64_t *ids; /* by cluster; INDEX_NO_ID: none */
    size_t n;
};

static int take_medoid(void *to, uint64_t cluster, uint64_t id)
{
    struct medoids *m = to;

    assert_true(cluster < m->n && m->ids[cluster] == INDEX_NO_ID);
    m->ids[cluster] = id;
    return OK;
}

static int ask(struct asteria_world *w, struct cluster_request request,
               struct cluster_result *result, struct medoids *m)
{
    for (size_t i = 0; i < m->n; i++)
        m->ids[i] = INDEX_NO_ID;
    request.vectors.dim = w->index->env.dim;
    request.vectors.element = w->index->env.element;
    result->medoid = take_medoid;
    result->to = m;
    return asteria_cluster(w->index, &request, result);
}

/* The result without assignments. */
static struct cluster_result count(struct asteria_world *w, size_t level, size_t target)
{
    uint64_t ids[4096];
    struct medoids m = { ids, 4096 };
    struct cluster_result result = { 0 };

    assert_ok(ask(w, (struct cluster_request){ .level = level, .target = target }, &result, &m),
              &w->bench.error);
    return result;
}

/* Each stored row has one cluster below the count, inside one of the next level. Medoids are rows
   of their clusters; a cluster has none exactly if it has no rows of the tree. */
static void expect_clusters(struct asteria_world *w)
{
    struct error *error = &w->bench.error;
    uint64_t *ids = calloc(w->live + 1, sizeof *ids), *fine = calloc(w->live + 1, sizeof *fine),
             *coarse = calloc(w->live + 1, sizeof *coarse),
             *medoids = calloc(w->live + 1024, sizeof *medoids);
    struct medoids m = { medoids, w->live + 1024 };
    const size_t levels = count(w, 0, 0).levels;
    struct cluster_result result = { .of_ids = fine }, up = { .of_ids = coarse };
    size_t n = 0;

    for (size_t id = 0; id < w->capacity; id++)
        if (w->stored[id])
            ids[n++] = id;
    assert_int_equal(n, w->live);
    for (size_t level = 0; level < levels; level++) {
        assert_ok(
            ask(w, (struct cluster_request){ .level = level + 1, .ids = ids, .n = n }, &up, &m),
            error);
        assert_ok(
            ask(w, (struct cluster_request){ .level = level, .ids = ids, .n = n }, &result, &m),
            error);
        assert_int_equal(result.level, level);
        assert_true(up.clusters <= result.clusters);
        uint64_t *parent = calloc(result.clusters, sizeof *parent);
        for (size_t i = 0; i < n; i++) {
            assert_true(fine[i] < result.clusters && coarse[i] < up.clusters);
            assert_true(parent[fine[i]] == 0 || parent[fine[i]] == coarse[i] + 1);
            parent[fine[i]] = coarse[i] + 1;
            if (medoids[fine[i]] == ids[i])
                medoids[fine[i]] = INDEX_NO_ID;
        }
        /* What is left is the medoid of no row's cluster. */
        for (size_t c = 0; c < m.n; c++)
            assert_true(medoids[c] == INDEX_NO_ID);
        free(parent);
    }
    assert_int_equal(result.clusters, 1);
    free(ids);
    free(fine);
    free(coarse);
    free(medoids);
}

static void history(const char *settings, enum element element, size_t dim)
{
    struct asteria_world w;

    asteria_world_open(&w, settings, element, dim, 1500, 1);
    asteria_world_train(&w, 0, 600);
    expect_clusters(&w);
    asteria_world_insert(&w, 0, 1000);
    expect_clusters(&w);
    asteria_world_maintain_all(&w);
    expect_clusters(&w);
    asteria_world_remove(&w, 0, 700, 2);
    asteria_world_insert(&w, 1000, 500);
    expect_clusters(&w);
    /* A newer model: its clusters are split before the rows are moved to it, a few at a time. */
    asteria_world_train(&w, 0, 1500);
    for (size_t id = 0; id < 700; id += 2)
        asteria_world_insert(&w, id, 1);
    for (bool more = true; more;)
        assert_ok(asteria_bec_maintain(state_of(&w)->bec, 0, &more), &w.bench.error);
    expect_clusters(&w);
    for (w.step = 0; w.step < 200 && asteria_world_maintain(&w, 60); w.step++)
        if (w.step % 5 == 0)
            expect_clusters(&w);
    asteria_world_maintain_all(&w);
    expect_clusters(&w);
    asteria_world_check(&w);
    asteria_world_close(&w);
}

static void test_rows_have_clusters(void **state)
{
    history("leaf_cap=20", INDEX_F32, 32);
    history("leaf_cap=50,code=none,address_bits=6", INDEX_U8, 20);
    history("leaf_cap=10,leaf_penalty=2,address_bits=8", INDEX_F32, 64);
    history("leaf_cap=30", INDEX_F32, 1);
}

static void test_leaves_make_clusters(void **state)
{
    struct asteria_world w;

    asteria_world_open(&w, "leaf_cap=50,code=none,address_bits=8", INDEX_F32, 32, 1500, 1);
    asteria_world_train(&w, 0, 1500);
    asteria_world_insert(&w, 0, 1500);
    asteria_world_maintain_all(&w);
    const struct cluster_result fine = count(&w, 0, 0), beyond = count(&w, 64, 0);
    assert_true(fine.clusters >= 8 && fine.levels >= 4);
    assert_int_equal(beyond.clusters, 1);
    assert_int_equal(beyond.level, fine.levels - 1);
    asteria_world_close(&w);
}

/* A vector is in the cluster that it is in once it is inserted. */
static void test_vectors_are_where_they_would_be(void **state)
{
    enum { N = 100 };
    struct asteria_world w;
    uint64_t ids[N], before[N], after[N], medoid[4096];
    struct medoids m = { medoid, 4096 };

    asteria_world_open(&w, "leaf_cap=50,code=none,address_bits=8", INDEX_F32, 32, 1500, 1);
    asteria_world_train(&w, 0, 1500);
    asteria_world_insert(&w, 0, 1400);
    asteria_world_maintain_all(&w);
    const struct vectors rows = rows_from(&w, 1400, N);
    const struct cluster_request asked = { .level = 1, .vectors = rows };
    struct cluster_result result = { .of_vectors = before, .medoid = take_medoid, .to = &m };
    for (size_t i = 0; i < m.n; i++)
        medoid[i] = INDEX_NO_ID;
    assert_ok(asteria_cluster(w.index, &asked, &result), &w.bench.error);
    asteria_world_insert(&w, 1400, N);
    for (size_t i = 0; i < N; i++)
        ids[i] = 1400 + i;
    result = (struct cluster_result){ .of_ids = after };
    assert_ok(ask(&w, (struct cluster_request){ .level = 1, .ids = ids, .n = N }, &result, &m),
              &w.bench.error);
    assert_memory_equal(before, after, sizeof before);
    asteria_world_close(&w);
}

static void test_what_is_not_there_is_refused(void **state)
{
    struct asteria_world w;
    uint64_t id = 3, cluster, medoid;
    struct medoids m = { &medoid, 1 };
    struct cluster_result result = { .of_ids = &cluster };
    const struct cluster_request request = { .ids = &id, .n = 1 };

    asteria_world_open(&w, "leaf_cap=50", INDEX_F32, 16, 300, 1);
    assert_code(ask(&w, request, &result, &m), ERR_UNTRAINED, &w.bench.error);
    asteria_world_train(&w, 0, 300);
    assert_code(ask(&w, request, &result, &m), ERR_UNKNOWN_ID, &w.bench.error);
    asteria_world_close(&w);
}

static void test_no_memory(void **state)
{
    struct asteria_world w;
    uint64_t ids[200], clusters[200], medoids[64];
    struct medoids m = { medoids, 64 };
    struct cluster_result result = { .of_ids = clusters };

    asteria_world_open(&w, "leaf_cap=50", INDEX_F32, 16, 400, 1);
    asteria_world_train(&w, 0, 300);
    asteria_world_insert(&w, 0, 200);
    /* All rows are left in the older model's buckets. */
    asteria_world_train(&w, 0, 400);
    for (size_t i = 0; i < 200; i++)
        ids[i] = i;
    for (size_t at = 1, done = 0; !done; at++) {
        test_fail_allocation(&w.bench.mem, at, false);
        const int rc = ask(&w, (struct cluster_request){ .ids = ids, .n = 200 }, &result, &m);
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
        cmocka_unit_test(test_vectors_are_where_they_would_be),
        cmocka_unit_test(test_what_is_not_there_is_refused),
        cmocka_unit_test(test_no_memory),
    };
    return test_run("asteria clusters", tests);
}
