/* test_clusters.c - clusters by cluster(): how many, of which vectors. For rows that come, go and
   are re-encoded they are contract/test_clusters. */
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_leaves_make_clusters),
        cmocka_unit_test(test_vectors_are_where_they_would_be),
        cmocka_unit_test(test_what_is_not_there_is_refused),
    };
    return test_run("asteria clusters", tests);
}
