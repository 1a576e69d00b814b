/* test_rabitq.c - the RaBitQ quantizer: its rotation is uniform, its estimates are unbiased, and
 * its codes are the same for all kernels, copied, or saved and loaded. */
#include "tests/unit/quantizer/code_lists.h"

/* ------------------------------------------------------------------------------ the rotation */

static void test_rotation(void **state)
{
    static const size_t dims[] = { 1, 2, 7, 8, 9, 24, 64, 100, 128, 324, 784, 1000, 4096 };
    struct rng r = rng_at(test_seed(), 9);
    for (size_t c = 0; c < sizeof dims / sizeof *dims; c++) {
        const size_t dim = dims[c];
        float *x = calloc(3 * dim, sizeof *x);
        test_fill_f32(&r, x, 3, dim, 0, 1);
        struct rotation t;
        assert_true(rotation_init(&t, NULL, x + 2 * dim, dim, test_seed()));
        float *y = calloc(2 * t.out_dim, sizeof *y);
        rotation_apply(&t, x, y);
        rotation_apply(&t, x + dim, y + t.out_dim);
        double before = 0, after = 0;
        for (size_t d = 0; d < dim; d++)
            before += pow((double)x[d] - (double)x[dim + d], 2);
        for (size_t d = 0; d < t.out_dim; d++)
            after += pow((double)y[d] - (double)y[t.out_dim + d], 2);
        assert_true(fabs(before - after) <= 1e-5 * before);
        memset(x, 0, dim * sizeof *x); /* one axis: its image is spread over all dimensions */
        for (size_t d = 0; d < dim; d++)
            x[d] = x[2 * dim + d] + (d == dim / 2 ? 1 : 0);
        rotation_apply(&t, x, y);
        float most = 0;
        for (size_t d = 0; d < t.out_dim; d++)
            most = fmaxf(most, fabsf(y[d]));
        assert_true((double)most <= 5.5 / sqrt((double)t.out_dim));
        rotation_free(&t, NULL);
        free(x);
        free(y);
    }
}

/* ----------------------------------------------------------------------------- the estimates */

/* Over 1000 rotations the mean of an estimate is the distance: |t| < 4, exceeded once in
   16 000 by chance. */
static void test_unbiased(void **state)
{
    enum { DIM = 40, ROTATIONS = 1000 };
    struct test_bench b;
    struct rng r = rng_at(test_seed(), 1);
    float rows[5 * DIM];
    test_bench_begin(&b, INDEX_F32, INDEX_L2SQ, DIM, 1);
    for (size_t bits = 1; bits <= 5; bits += 2) {
        test_fill_f32(&r, rows, 5, DIM, 0, 1);
        for (size_t d = 0; d < DIM; d++) /* the query is nearer to this vector than to most */
            rows[4 * DIM + d] = rows[d] + rows[4 * DIM + d] / 2;
        double sum = 0, square = 0;
        for (uint64_t seed = 0; seed < ROTATIONS; seed++) {
            struct quantizer *q = train(&b, bits, 1.9, test_seed() + seed, rows, 4);
            struct list l = list_make(q, rows, 1, rows + DIM);
            void *prepared = prepare(&l, rows + 4 * DIM, false);
            bool in;
            const double off = (double)look_at(&l, prepared, 0, INFINITY, &in) -
                               (double)exact(&l, rows + 4 * DIM, 0);
            assert_true(in);
            sum += off;
            square += off * off;
            free(prepared);
            list_free(&l);
            quantizer_destroy(&b.env, q);
        }
        const double mean = sum / ROTATIONS, deviation = sqrt(square / ROTATIONS - mean * mean);
        const double t = mean / (deviation / sqrt(ROTATIONS));
        if (fabs(t) >= 4 || deviation == 0)
            fail_msg("%zu bits: mean error %g, deviation %g, t = %.2f", bits, mean, deviation, t);
    }
    test_bench_end(&b);
}

/* ----------------------------------------------------------------------- tables, files, copies */

static void assert_near(float a, float b, float size)
{
    assert_true(fabs((double)a - (double)b) <= 2e-5 * (double)size);
}

/* --------------------------------------------------------------------------------- the corners */

/* Any dimension; vectors equal to the centroid or to each other, and queries equal to one of them.
   At four deviations no vector at the limit is lost. */
static void test_corners(void **state)
{
    static const size_t dims[] = { 1, 2, 3, 4, 5, 7, 8, 9, 12, 31, 32, 33, 63, 64, 65, 100, 257 };
    for (size_t c = 0; c < sizeof dims / sizeof *dims * 3; c++) {
        const size_t dim = dims[c / 3], bits = c % 3 == 0 ? 1 : c % 3 == 1 ? 5 : 9;
        struct world w;
        world_make(&w, 70, dim, 4, 0, 0.5, 10 + c);
        struct quantizer *q = train(&w.b, bits, 4, test_seed(), w.rows, w.n);
        float *centroid = calloc(dim, sizeof *centroid);
        memcpy(centroid, w.rows + 3 * dim, dim * sizeof *centroid); /* vector 3: r = 0 */
        memcpy(w.rows + 4 * dim, centroid, dim * sizeof *centroid);
        memcpy(w.rows + 6 * dim, w.rows + 5 * dim, dim * sizeof *centroid);
        for (size_t d = 0; d < dim; d += 2) /* some r_i = 0 */
            w.rows[7 * dim + d] = centroid[d];
        memcpy(w.queries, centroid, dim * sizeof *centroid);
        memcpy(w.queries + dim, w.rows + 5 * dim, dim * sizeof *centroid);
        struct list l = list_make(q, w.rows, w.n, centroid);
        for (size_t i = 0; i < w.n_queries; i++) {
            const float *query = w.queries + i * dim;
            void *prepared = prepare(&l, query, false);
            for (size_t v = 0; v < w.n; v++) {
                bool in_scan, in;
                const float limit = exact(&l, query, v);
                const float first = scan_one(&l, prepared, v, limit, &in_scan);
                const float estimate = look_at(&l, prepared, v, limit, &in);
                if (!in_scan || !in || !isfinite(first) || !isfinite(estimate))
                    fail_msg("dim %zu, %zu bits, query %zu, vector %zu: %g, estimates %g %g", dim,
                             bits, i, v, (double)limit, (double)first, (double)estimate);
                if (v == 3 || v == 4)
                    assert_near(estimate, limit, limit);
            }
            free(prepared);
        }
        list_free(&l);
        free(centroid);
        quantizer_destroy(&w.b.env, q);
        world_free(&w);
    }
}

int main(void)
{
    return test_run_all("rabitq", test_rotation, test_unbiased, test_corners);
}
