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

/* All kernel tables give codes that the others can use; signs and lookup tables
   are the same bytes. */
static void test_tables_agree(void **state)
{
    struct world w;
    world_make(&w, 130, 100, 5, 0, 0.7, 6);
    for (size_t bits = 1; bits <= 9; bits += 2) {
        struct list list[3];
        struct quantizer *q[3];
        size_t n = 0;
        for (enum isa isa = ISA_SCALAR; isa <= kernels_best_isa(); isa++, n++) {
            w.b.env.kernels = kernels_select(isa);
            q[n] = train(&w.b, bits, 1.9, test_seed(), w.rows, w.n);
            list[n] = list_make(q[n], w.rows, w.n, NULL);
            assert_memory_equal(list[n].codes, list[0].codes, q[0]->work_dim / 8 * 64);
        }
        for (size_t t = 1; t < n; t++) {
            struct list other = list[0];
            other.q = q[t];
            for (size_t i = 0; i < w.n_queries; i++) {
                const float *query = w.queries + i * w.dim;
                void *a = prepare(&list[0], query, false), *b = prepare(&other, query, false);
                assert_memory_equal((struct rabitq_query *)a + 1, (struct rabitq_query *)b + 1,
                                    q[0]->work_dim / 8 * 32);
                for (size_t v = 0; v < w.n; v++) {
                    bool in;
                    const float size = 400;
                    assert_near(scan_one(&list[0], a, v, 1, &in), scan_one(&other, b, v, 1, &in),
                                size);
                    assert_near(look_at(&list[0], a, v, 1, &in), look_at(&other, b, v, 1, &in),
                                size);
                }
                free(a);
                free(b);
            }
        }
        for (size_t t = 0; t < n; t++) {
            list_free(&list[t]);
            quantizer_destroy(&w.b.env, q[t]);
        }
    }
    world_free(&w);
}

/* A code copied to any place gives the same estimate; its neighbours are unchanged. */
static void test_copy(void **state)
{
    struct world w;
    world_make(&w, 64, 52, 3, 0, 0.7, 7);
    for (size_t bits = 1; bits <= 9; bits += 4) {
        struct quantizer *q = train(&w.b, bits, 1.9, test_seed(), w.rows, w.n);
        struct list l = list_make(q, w.rows, w.n, NULL), copy = l;
        copy.codes = room(q->block_bytes);
        for (unsigned v = 0; v < 64; v++)
            quantizer_copy(q, l.codes, v, copy.codes, 63 - (v ^ 5));
        for (size_t i = 0; i < w.n_queries; i++) {
            void *prepared = prepare(&l, w.queries + i * w.dim, false);
            for (unsigned v = 0; v < 64; v++) {
                bool in, in_copy;
                assert_true(look_at(&l, prepared, v, 50, &in) ==
                            look_at(&copy, prepared, 63 - (v ^ 5), 50, &in_copy));
                assert_true(in == in_copy);
                assert_true(scan_one(&l, prepared, v, 50, &in) ==
                            scan_one(&copy, prepared, 63 - (v ^ 5), 50, &in_copy));
            }
            free(prepared);
        }
        free(copy.codes);
        list_free(&l);
        quantizer_destroy(&w.b.env, q);
    }
    world_free(&w);
}

static void test_save_and_load(void **state)
{
    struct world w;
    world_make(&w, 64, 20, 1, 0, 0.7, 8);
    struct quantizer *q = train(&w.b, 5, 1.9, test_seed(), w.rows, w.n), *again = NULL;
    const size_t bytes = quantizer_save(q, NULL);
    unsigned char *saved = room(bytes + 1);
    assert_int_equal(quantizer_save(q, saved), bytes);
    assert_ok(quantizer_load(&again, &w.b.env, saved, bytes), w.b.env.error);
    assert_int_equal(again->block_bytes, q->block_bytes);
    assert_int_equal(quantizer_bytes(again), quantizer_bytes(q));
    struct list l = list_make(q, w.rows, w.n, NULL), l2 = list_make(again, w.rows, w.n, NULL);
    assert_memory_equal(l.codes, l2.codes, q->block_bytes);
    list_free(&l);
    list_free(&l2);
    quantizer_destroy(&w.b.env, again);
    for (size_t n = 0; n <= bytes + 1; n++)
        if (n != bytes)
            assert_code(quantizer_load(&again, &w.b.env, saved, n), ERR_CORRUPT, w.b.env.error);
    for (size_t at = 16; at < bytes; at += 8) { /* after kind and dimension; any seed is valid */
        if (at == 24)
            continue;
        unsigned char *wrong = room(bytes);
        memcpy(wrong, saved, bytes);
        memset(wrong + at, 0xff, 8);
        assert_code(quantizer_load(&again, &w.b.env, wrong, bytes), ERR_CORRUPT, w.b.env.error);
        free(wrong);
    }
    free(saved);
    quantizer_destroy(&w.b.env, q);
    assert_int_equal(mem_live(&w.b.mem), 0);
    world_free(&w);
}

static void test_refusals(void **state)
{
    struct world w;
    world_make(&w, 64, 20, 1, 0, 0.7, 8);
    struct quantizer *q = NULL;
    const struct quantizer_options wrong[] = {
        { .kind = QUANTIZER_RABITQ, .bits = 0, .eps0 = 1.9 },
        { .kind = QUANTIZER_RABITQ, .bits = 10, .eps0 = 1.9 },
        { .kind = QUANTIZER_RABITQ, .bits = 1, .eps0 = 0 },
        { .kind = QUANTIZER_RABITQ, .bits = 1, .eps0 = NAN },
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_code(quantizer_train(&q, &w.b.env, &wrong[i], w.rows, w.n), ERR_ARGUMENT,
                    w.b.env.error);
    const struct quantizer_options right = { .kind = QUANTIZER_RABITQ, .bits = 2, .eps0 = 1.9 };
    int rc = ERR_NO_MEMORY;
    for (size_t i = 1; rc; i++) {
        w.b.mem.fail_at = mem_live(&w.b.mem) ? 0 : w.b.mem.calls + i;
        rc = quantizer_train(&q, &w.b.env, &right, w.rows, w.n);
        if (rc) {
            assert_code(rc, ERR_NO_MEMORY, w.b.env.error);
            assert_int_equal(mem_live(&w.b.mem), 0);
        }
    }
    quantizer_destroy(&w.b.env, q);
    assert_int_equal(mem_live(&w.b.mem), 0);
    world_free(&w);
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
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rotation),      cmocka_unit_test(test_unbiased),
        cmocka_unit_test(test_tables_agree),  cmocka_unit_test(test_copy),
        cmocka_unit_test(test_save_and_load), cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_corners),
    };
    return test_run("rabitq", tests);
}
