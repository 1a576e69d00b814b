/* test_rabitq_edges.c - codes of a vertex's neighbours: their estimates are those of the same codes
 * in a list whose centroid is the vertex, for every dimension and every set of kernels. */
#include "algorithms/common/quantizer/rabitq/edges.h"
#include "tests/unit/quantizer/code_lists.h"

/* Encodes rows 1 .. n - 1 as neighbours of row 0. */
static unsigned char *edges_of(const struct quantizer *q, const float *rows, size_t n)
{
    unsigned char *block = room(rabitq_edges_bytes(q));
    float *transformed = room(n * q->work_dim * sizeof *transformed);

    quantizer_transform(q, rows, n, transformed);
    rabitq_edges_clear(q, block);
    for (size_t i = 1; i < n; i++)
        rabitq_edges_put(q, transformed + i * q->work_dim, transformed, block, (unsigned)i - 1);
    free(transformed);
    return block;
}

static void check_estimates(struct test_bench *b, size_t dim, size_t n, const float *rows)
{
    _Alignas(64) float expected[QUANTIZER_BLOCK], estimate[RABITQ_EDGES];
    struct quantizer *q = train(b, 1, 1.9, test_seed(), rows, n);
    struct list l = list_make(q, rows + dim, n - 1, rows);
    unsigned char *block = edges_of(q, rows, n);
    const float *query = rows + n * dim;
    float *transformed = room(q->work_dim * sizeof *transformed);
    void *prepared = room(q->query_bytes), *in_list = prepare(&l, query, false);
    double distance = 0;

    for (size_t d = 0; d < dim; d++)
        distance += pow((double)query[d] - (double)rows[d], 2);
    quantizer_transform(q, query, 1, transformed);
    rabitq_edges_query(q, transformed, prepared);
    quantizer_query_list(q, in_list, l.transformed, (float)distance, 0);
    (void)quantizer_scan(q, in_list, l.codes, INFINITY, expected);
    const float limit = expected[n / 2];
    const uint32_t below = rabitq_edges_scan(q, prepared, (float)distance, block, limit, estimate);
    for (size_t i = 0; i < RABITQ_EDGES; i++) {
        if (i + 1 < n)
            assert_memory_equal(&estimate[i], &expected[i], sizeof *estimate);
        else
            assert_true(isinf(estimate[i])); /* a place without a neighbour */
        assert_int_equal(below >> i & 1, i + 1 < n && expected[i] < limit);
    }
    free(block);
    free(transformed);
    free(prepared);
    free(in_list);
    list_free(&l);
    quantizer_destroy(&b->env, q);
}

static void test_estimates(void **state)
{
    static const size_t dims[] = { 1, 7, 8, 24, 100, 128, 324, 1100 };
    struct rng r = rng_at(test_seed(), 1);

    for (size_t i = 0; i < sizeof dims / sizeof *dims; i++) {
        const size_t dim = dims[i], counts[] = { RABITQ_EDGES + 1, 20 };
        float *rows = calloc((RABITQ_EDGES + 2) * dim, sizeof *rows);
        struct test_bench b;

        assert_non_null(rows);
        test_bench_begin(&b, INDEX_F32, INDEX_L2SQ, dim, 1);
        test_fill_f32(&r, rows, RABITQ_EDGES + 2, dim, 0, 1);
        memcpy(rows + 3 * dim, rows, dim * sizeof *rows); /* a neighbour equal to the vertex */
        for (size_t c = 0; c < 2; c++) {
            for (enum isa isa = ISA_SCALAR; isa <= kernels_best_isa(); isa++) {
                b.env.kernels = kernels_select(isa);
                check_estimates(&b, dim, counts[c], rows);
            }
        }
        test_bench_end(&b);
        free(rows);
    }
}

int main(void)
{
    return test_run_all("rabitq_edges", test_estimates);
}
