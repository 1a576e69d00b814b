/* test_traffic.c - proximity graphs that are changed during searches. */
#include <pthread.h>
#include <stdatomic.h>

#include "tests/support/tsan.h"
#include "tests/unit/graph/support.h"

/* One changing thread beside three searching ones. */
struct traffic {
    struct bed *b;
    atomic_bool stop;
    atomic_size_t searches;
};

static void *search_on(void *arg)
{
    struct traffic *t = arg;
    struct bed *b = t->b;
    struct graph_scratch *scratch = graph_scratch_create(&b->bench.mem);
    struct rng rng = rng_at(test_seed(), (uintptr_t)&scratch);
    uint32_t nodes[10];
    float distances[10];
    double checked = 0;

    assert_non_null(scratch);
    while (!atomic_load(&t->stop)) {
        const struct graph_query q = { 10, rng_below(&rng, 50) == 0 ? 5000 : 20, 0 };
        const unsigned char *query = bed_row(b, rng_below(&rng, b->n));
        size_t n = 0;
        const unsigned ticket = epoch_enter(b->epoch);

        assert_int_equal(graph_search(b->graph, scratch, query, &q, nodes, distances, &n, &checked),
                         OK);
        assert_true(n > 0);
        for (size_t i = 0; i < n;
             i++) /* a removed node's row stays valid until the reader leaves */
            assert_true(distances[i] ==
                        graph_distance(b->graph, query, graph_row(b->graph, nodes[i])));
        epoch_leave(b->epoch, ticket);
        atomic_fetch_add(&t->searches, 1);
    }
    graph_scratch_destroy(scratch);
    return NULL;
}

static void test_changes_beside_searches(void **state)
{
    for (enum graph_kind kind = GRAPH_HNSW; kind <= GRAPH_VAMANA; kind++) {
        struct bed b;
        struct traffic t = { .b = &b };
        pthread_t threads[3];
        uint32_t nodes[1500];

        bed_open(&b, kind, INDEX_U8, 3000, 24, 12, 1);
        bed_build(&b, 800);
        for (uint32_t i = 0; i < 800; i++)
            nodes[i] = i;
        for (size_t i = 0; i < 3; i++)
            assert_int_equal(pthread_create(&threads[i], NULL, search_on, &t), 0);
        for (size_t i = 800; i < 1500; i++)
            assert_ok(graph_add(b.graph, bed_row(&b, i), &nodes[i]), &b.bench.error);
        for (size_t i = 0; i < 1500 / test_scale() || atomic_load(&t.searches) < 100; i++) {
            assert_ok(graph_remove(b.graph, nodes[i % 1500]), &b.bench.error);
            assert_ok(graph_add(b.graph, bed_row(&b, (1500 + i) % 3000), &nodes[i % 1500]),
                      &b.bench.error);
        }
        atomic_store(&t.stop, true);
        for (size_t i = 0; i < 3; i++)
            (void)pthread_join(threads[i], NULL);
        assert_ok(graph_check(b.graph), &b.bench.error);
        assert_true(graph_capacity(b.graph) > 1500); /* numbers did wait for their readers */
        bed_close(&b);
    }
}

/* One node is always live: a new one is added before the old one is removed. Each search must find
   a node, and so must each scan. */
static void test_someone_is_always_there(void **state)
{
    for (enum graph_kind kind = GRAPH_HNSW; kind <= GRAPH_VAMANA; kind++) {
        struct bed b;
        struct traffic t = { .b = &b };
        pthread_t threads[3];
        uint32_t node = 0, next;

        bed_open(&b, kind, INDEX_U8, 3000, 24, 12, 1);
        bed_build(&b, 1);
        for (size_t i = 0; i < 3; i++)
            assert_int_equal(pthread_create(&threads[i], NULL, search_on, &t), 0);
        for (size_t i = 1; i < 40000 / test_scale() || atomic_load(&t.searches) < 1000; i++) {
            assert_ok(graph_add(b.graph, bed_row(&b, i % 3000), &next), &b.bench.error);
            assert_ok(graph_remove(b.graph, node), &b.bench.error);
            node = next;
        }
        atomic_store(&t.stop, true);
        for (size_t i = 0; i < 3; i++)
            (void)pthread_join(threads[i], NULL);
        assert_ok(graph_check(b.graph), &b.bench.error);
        bed_close(&b);
    }
}

int main(void)
{
    test_any_order_of_locks();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_changes_beside_searches),
        cmocka_unit_test(test_someone_is_always_there),
    };
    return test_run("graph_traffic", tests);
}
