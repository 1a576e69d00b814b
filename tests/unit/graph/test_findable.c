/* test_findable.c - a search for a node's own row finds it: after a build, and after changes. */
#include "tests/unit/graph/support.h"

static size_t lost(struct bed *b, size_t ef)
{
    size_t n = 0;
    for (uint32_t i = 0; i < graph_capacity(b->graph); i++) {
        uint32_t node;
        float distance = -1;
        double checked = 0;
        if (!graph_is_live(b->graph, i))
            continue;
        (void)bed_search(b, graph_row(b->graph, i), 1, ef, &node, &distance, &checked);
        n += distance != 0;
    }
    return n;
}

/* Many centres with a row or two each, as heads of postings are; one cluster of many dimensions, where
   rows are far from each other; few dimensions. */
static void test_own_rows(void **state)
{
    static const struct {
        size_t n, dim, clusters;
        double spread;
    } cases[] = {
        { 800, 128, 600, .7 }, { 2500, 128, 1, 1 }, { 500, 64, 30, .3 }, { 500, 2, 300, .1 }
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (uint64_t seed = 0; seed < 1; seed++)
            for (enum graph_kind kind = GRAPH_HNSW; kind <= GRAPH_BKT; kind++) {
                struct bed b;
                struct rng r = rng_at(test_seed(), seed);
                bed_open(&b, kind, INDEX_F32, cases[i].n, cases[i].dim, 1, 2);
                test_fill_f32(&r, (float *)(void *)b.rows, b.n, b.dim, cases[i].clusters,
                              cases[i].spread);
                bed_build(&b, b.n);
                const size_t after_build = lost(&b, 32);
                if (after_build > b.n / 1000)
                    fail_msg("case %zu, kind %d, seed %d: %zu of %zu rows are not found", i,
                             (int)kind, (int)seed, after_build, b.n);
                for (uint32_t j = 0; j < b.n / 5; j++) {
                    uint32_t node;
                    assert_ok(graph_remove(b.graph, j), &b.bench.error);
                    assert_ok(graph_add(b.graph, bed_row(&b, j), &node), &b.bench.error);
                }
                assert_ok(graph_check(b.graph), &b.bench.error);
                const size_t later = lost(&b, 32);
                if (later > b.n / 50)
                    fail_msg("case %zu, kind %d, seed %d: after changes %zu of %zu", i, (int)kind,
                             (int)seed, later, b.n);
                bed_close(&b);
            }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_own_rows) };
    return test_run("findable", tests);
}
