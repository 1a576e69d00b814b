/* test_pq_anisotropic.c - score-aware product quantization: its loss is less than that of plain
 * codes, and its estimates are the distances of the coded vectors. */
#include "tests/support/testing.h"

#include "algorithms/common/clustering/kmeans.h"
#include "algorithms/common/quantizer/quantizer.h"

enum { N = 2048, LISTS = 16 };

struct world {
    struct test_bench b;
    size_t dim;
    float *rows, *centroids;
    uint32_t list[N];
};

static void *aligned(size_t bytes)
{
    void *p = aligned_alloc(64, (bytes + 63) / 64 * 64);
    assert_non_null(p);
    memset(p, 0xff, (bytes + 63) / 64 * 64); /* what is not written must not be read */
    return p;
}

/* Rows of unit length around a few centres, and the nearest of LISTS centroids. */
static void world_make(struct world *w, size_t dim)
{
    struct rng r = rng_at(test_seed(), dim);
    memset(w, 0, sizeof *w);
    w->dim = dim;
    test_bench_begin(&w->b, INDEX_F32, INDEX_IP, dim, 1);
    w->rows = calloc(N * dim, sizeof *w->rows);
    w->centroids = calloc(LISTS * dim, sizeof *w->centroids);
    assert_true(w->rows && w->centroids);
    test_fill_f32(&r, w->rows, N, dim, 24, 0.7);
    test_normalise_f32(w->rows, N, dim);
    const struct kmeans_options options = { .k = LISTS, .iterations = 5, .seed = 1 };
    size_t made;
    assert_ok(kmeans_train(&w->b.env, &options, w->rows, N, w->centroids, &made), &w->b.error);
    assert_int_equal(made, LISTS);
    for (size_t i = 0; i < N; i++) {
        float distances[LISTS];
        nearest_one(w->b.env.kernels, &(struct centroids){ w->centroids, NULL, 0, LISTS, dim, 0 },
                    w->rows + i * dim, 1, distances, &w->list[i]);
    }
}

static void world_free(struct world *w)
{
    assert_int_equal(mem_live(&w->b.mem), 0);
    free(w->rows);
    free(w->centroids);
    test_bench_end(&w->b);
}

static struct quantizer *train(struct world *w, size_t groups, double eta, bool products)
{
    const struct quantizer_options options = { .kind = QUANTIZER_ANISOTROPIC,
                                               .seed = 1,
                                               .pq_groups = groups,
                                               .eta = eta,
                                               .products = products,
                                               .centroids = w->centroids,
                                               .n_centroids = LISTS };
    struct quantizer *q = NULL;
    assert_ok(quantizer_train(&q, &w->b.env, &options, w->rows, N), &w->b.error);
    return q;
}

/* Row i's code alone in a block. */
static float put(const struct world *w, const struct quantizer *q, size_t i, void *block)
{
    return quantizer_put(q, w->rows + i * w->dim, w->centroids + w->list[i] * w->dim, block,
                         (unsigned)(i % QUANTIZER_BLOCK));
}

static float estimate(const struct quantizer *q, size_t i, const void *block, const float *query,
                      float distance)
{
    float estimates[QUANTIZER_BLOCK];
    void *prepared = aligned(q->query_bytes);
    quantizer_query(q, query, prepared);
    quantizer_query_list(q, prepared, NULL, distance, 0);
    (void)quantizer_scan(q, prepared, block, INFINITY, estimates);
    free(prepared);
    return estimates[i % QUANTIZER_BLOCK];
}

/* The loss of a plain code, from its error and the estimate of <x, x> / |x|; |x| = 1. */
static double plain_loss(const struct world *w, const struct quantizer *plain, size_t i,
                         void *block, double eta)
{
    const float *row = w->rows + i * w->dim;
    const float error = put(w, plain, i, block);
    const float at = -2 * w->b.env.kernels->ip_f32(row, w->centroids + w->list[i] * w->dim, w->dim);
    const double along = (2 + (double)estimate(plain, i, block, row, at)) / 2;
    return (double)error * (double)error + (eta - 1) * along * along;
}

static void test_loss(void **state)
{
    static const struct {
        size_t dim, groups;
        double eta;
    } cases[] = { { 32, 16, 3 }, { 33, 0, 4 }, { 64, 16, 8 }, { 40, 5, 2 }, { 16, 1, 3 } };
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        struct world w;
        world_make(&w, cases[c].dim);
        struct quantizer *plain = train(&w, cases[c].groups, 1, true);
        struct quantizer *aware = train(&w, cases[c].groups, cases[c].eta, true);
        void *block = aligned(plain->block_bytes);
        assert_int_equal(plain->block_bytes, aware->block_bytes);
        double before = 0, after = 0, square = 0;
        for (size_t i = 0; i < N; i++) {
            const double loss = (double)put(&w, aware, i, block);
            after += loss * loss;
            before += plain_loss(&w, plain, i, block, cases[c].eta);
            const double error = (double)put(&w, plain, i, block);
            square += error * error;
        }
        if (!(after < .97 * before && after > .5 * square))
            fail_msg("dim %zu, %zu groups, eta %g: loss %g, of plain codes %g", cases[c].dim,
                     cases[c].groups, cases[c].eta, after, before);
        free(block);
        quantizer_destroy(&w.b.env, plain);
        quantizer_destroy(&w.b.env, aware);
        world_free(&w);
    }
}

/* For a query at the vector the estimate of squared L2 is its distance, 0, whatever the code. */
static void test_estimates(void **state)
{
    struct world w;
    world_make(&w, 37);
    for (int products = 0; products < 2; products++) {
        struct quantizer *q = train(&w, 0, 3, products);
        void *block = aligned(q->block_bytes), *other = aligned(q->block_bytes);
        double off = 0;
        for (size_t i = 0; i < N; i += 3) {
            const float *row = w.rows + i * w.dim, *c = w.centroids + w.list[i] * w.dim;
            const struct kernels *k = w.b.env.kernels;
            (void)put(&w, q, i, block);
            const float from =
                products ? -2 * k->ip_f32(row, c, w.dim) : k->l2sq_f32(row, c, w.dim);
            const float e = estimate(q, i, block, row, from);
            off += fabs((double)e - (products ? -2 : 0));
            /* A copy has the same estimate at another place. */
            quantizer_copy(q, block, (unsigned)(i % 64), other, (unsigned)((i + 5) % 64));
            const float copied = estimate(q, i + 5, other, row, from);
            assert_true(memcmp(&copied, &e, sizeof e) == 0);
        }
        off /= (double)N / 3;
        if (!(off < (products ? .1 : .02)))
            fail_msg("products %d: the estimates are off by %g", products, off);
        free(block);
        free(other);
        quantizer_destroy(&w.b.env, q);
    }
    world_free(&w);
}

int main(void)
{
    return test_run_all("pq_anisotropic", test_loss, test_estimates);
}
