/* test_take_out.c - many nodes removed from a graph at once: the others close the gaps, and the
   graph can be changed further. */
#include "tests/unit/graph/image.h"

/* Draws live nodes, each with probability `share`, ascending. */
static size_t draw_nodes(struct bed *b, double share, uint32_t *nodes)
{
    size_t n = 0;

    for (uint32_t i = 0; i < graph_capacity(b->graph); i++)
        if (rng_unit(&b->rng) < share)
            nodes[n++] = i;
    return n;
}

/* Row i is row `of[i]` of the bed; drops the rows of `nodes`. */
static size_t forget(uint32_t *of, size_t n, const uint32_t *nodes, size_t n_nodes)
{
    size_t kept = 0;

    for (size_t i = 0, j = 0; i < n; i++)
        if (j < n_nodes && nodes[j] == i)
            j++;
        else
            of[kept++] = of[i];
    return kept;
}

/* Removed nodes leave no gap and no link. The other rows keep their order; the graph passes its
   check, can be changed, and has an image. Repeats until few of the first rows are left. */
static void test_taken_out(void **state)
{
    const size_t n = 1500, most = n + 20 * 200;
    struct bed b;
    struct frozen f;
    uint32_t *of = calloc(most, sizeof *of), *nodes = calloc(most, sizeof *nodes), node;
    size_t held = n, next = n;

    bed_open(&b, GRAPH_HNSW, INDEX_U8, most, 12, 20, 1);
    bed_build(&b, n);
    for (uint32_t i = 0; i < n; i++)
        of[i] = i;
    for (size_t round = 0; round < 20; round++) {
        const size_t gone = draw_nodes(&b, round == 10 ? .9 : .12, nodes);

        assert_ok(graph_take_out(b.graph, nodes, gone), &b.bench.error);
        held = forget(of, held, nodes, gone);
        assert_int_equal(graph_capacity(b.graph), held);
        assert_int_equal(graph_live(b.graph), held);
        assert_ok(graph_check(b.graph), &b.bench.error);
        freeze(&b, &f, round % 2);
        expect_same(&b, &f, 10, 40, 20);
        frozen_free(&f);
        for (size_t i = 0; i < 200; i++, next++) {
            assert_ok(graph_add(b.graph, bed_row(&b, next), &node), &b.bench.error);
            assert_int_equal(node, held);
            of[held++] = (uint32_t)next;
        }
        for (uint32_t i = 0; i < held; i++)
            assert_memory_equal(graph_row(b.graph, i), bed_row(&b, of[i]), b.row_bytes);
        assert_ok(graph_check(b.graph), &b.bench.error);
        freeze(&b, &f, false);
        expect_same(&b, &f, 10, 40, 20);
        frozen_free(&f);
    }
    assert_true(bed_lost(&b) < held / 100);
    free(of);
    free(nodes);
    bed_close(&b);
}

/* All nodes, the only node and none can be removed. Refused: nodes that are not ascending or do not
   exist, and graphs with gaps. */
static void test_taking_out_has_limits(void **state)
{
    const uint32_t all[] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 }, back[] = { 3, 2 }, beyond[] = { 10 };
    struct bed b;
    uint32_t node;

    bed_open(&b, GRAPH_HNSW, INDEX_F32, 10, 4, 1, 1);
    bed_build(&b, 10);
    assert_code(graph_take_out(b.graph, back, 2), ERR_ARGUMENT, &b.bench.error);
    assert_code(graph_take_out(b.graph, beyond, 1), ERR_ARGUMENT, &b.bench.error);
    assert_ok(graph_take_out(b.graph, all, 0), &b.bench.error);
    assert_int_equal(graph_live(b.graph), 10);
    assert_ok(graph_take_out(b.graph, all, 9), &b.bench.error);
    assert_int_equal(graph_live(b.graph), 1);
    assert_memory_equal(graph_row(b.graph, 0), bed_row(&b, 9), b.row_bytes);
    assert_ok(graph_check(b.graph), &b.bench.error);
    assert_ok(graph_take_out(b.graph, all, 1), &b.bench.error);
    assert_int_equal(graph_capacity(b.graph), 0);
    assert_ok(graph_check(b.graph), &b.bench.error);
    for (size_t i = 0; i < 10; i++)
        assert_ok(graph_add(b.graph, bed_row(&b, i), &node), &b.bench.error);
    assert_ok(graph_check(b.graph), &b.bench.error);
    assert_ok(graph_remove(b.graph, 3), &b.bench.error);
    assert_code(graph_take_out(b.graph, all, 1), ERR_ARGUMENT, &b.bench.error);
    bed_close(&b);
    bed_open(&b, GRAPH_BKT, INDEX_F32, 10, 4, 1, 1);
    bed_build(&b, 10);
    assert_code(graph_take_out(b.graph, all, 1), ERR_ARGUMENT, &b.bench.error);
    bed_close(&b);
}

int main(void)
{
    return test_run_all("graph_take_out", test_taken_out, test_taking_out_has_limits);
}
