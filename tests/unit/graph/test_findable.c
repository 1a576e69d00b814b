/* test_findable.c - a search for a node's own row finds it: after a build, and after changes. */
#include "tests/unit/graph/support.h"

/* Many centres with a row or two each, as heads of postings are; one cluster of many dimensions, where
   rows are far from each other; few dimensions. */
static void test_own_rows(void **state)
{
    static const struct {
        size_t n, dim, clusters;
        double spread;
        size_t
            lost; /* after a build, at most: of 30 seeds the worst lost 6 where rows are far apart */
    } cases[] = { { 800, 128, 600, .7, 0 },
                  { 2500, 128, 1, 1, 10 },
                  { 500, 64, 30, .3, 0 },
                  { 500, 2, 300, .1, 0 } };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (enum graph_kind kind = GRAPH_HNSW; kind <= GRAPH_BKT; kind++) {
            struct bed b;
            struct rng r = rng_at(test_seed(), 0);
            bed_open(&b, kind, INDEX_F32, cases[i].n, cases[i].dim, 1, 2);
            test_fill_f32(&r, (float *)(void *)b.rows, b.n, b.dim, cases[i].clusters,
                          cases[i].spread);
            bed_build(&b, b.n);
            const size_t after_build = bed_lost(&b);
            if (after_build > cases[i].lost)
                fail_msg("case %zu, kind %d: %zu of %zu rows are not found", i, (int)kind,
                         after_build, b.n);
            for (uint32_t j = 0; j < b.n / 5; j++) {
                uint32_t node;
                assert_ok(graph_remove(b.graph, j), &b.bench.error);
                assert_ok(graph_add(b.graph, bed_row(&b, j), &node), &b.bench.error);
            }
            assert_ok(graph_check(b.graph), &b.bench.error);
            const size_t later = bed_lost(&b);
            if (later > b.n / 50)
                fail_msg("case %zu, kind %d: after changes %zu of %zu", i, (int)kind, later, b.n);
            bed_close(&b);
        }
}

int main(void)
{
    return test_run_all("findable", test_own_rows);
}
