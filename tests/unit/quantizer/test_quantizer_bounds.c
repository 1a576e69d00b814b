/* test_quantizer_bounds.c - bounds of distances hold as reliably as each kind promises; RaBitQ's
 * codes in planes give the estimates of those in two parts. */
#include "tests/support/testing.h"

#include "algorithms/common/quantizer/quantizer.h"

enum { ROWS = 256, QUERIES = 40 };

/* One list of ROWS vectors, its codes, and exact distances. */
struct list {
    struct test_bench bench;
    struct quantizer *q;
    size_t dim;
    float *rows, *transformed;
    float *centroid, *transformed_centroid;
    unsigned char *codes, *prepared;
    float error;
};

static void *room(size_t bytes)
{
    void *p = aligned_alloc(64, (bytes + 63) / 64 * 64);
    assert_non_null(p);
    memset(p, 0xff, bytes);
    return p;
}

static double distance(const float *a, const float *b, size_t dim)
{
    double sum = 0;
    for (size_t d = 0; d < dim; d++)
        sum += ((double)a[d] - (double)b[d]) * ((double)a[d] - (double)b[d]);
    return sum;
}

static void list_begin(struct list *l, const struct quantizer_options *options, size_t dim,
                       enum isa isa, uint64_t stream)
{
    struct rng r = rng_at(test_seed(), stream);
    memset(l, 0, sizeof *l);
    test_bench_begin(&l->bench, INDEX_F32, INDEX_L2SQ, dim, 1);
    l->bench.env.kernels = kernels_select(isa);
    l->dim = dim;
    l->rows = room(ROWS * dim * sizeof(float));
    test_fill_f32(&r, l->rows, ROWS, dim, 1, 0.4); /* about one point, far from the origin */
    for (size_t d = 0; d < dim; d++)
        l->rows[7 * dim + d] = l->rows[8 * dim + d]; /* a duplicate */
    l->centroid = room(dim * sizeof(float));
    memset(l->centroid, 0, dim * sizeof(float));
    for (size_t i = 0; i < ROWS; i++)
        for (size_t d = 0; d < dim; d++)
            l->centroid[d] += l->rows[i * dim + d] / ROWS;
    memcpy(l->rows, l->centroid, dim * sizeof(float)); /* zero residual */
    assert_ok(quantizer_train(&l->q, &l->bench.env, options, l->rows, ROWS), &l->bench.error);
    l->transformed = room(ROWS * l->q->work_dim * sizeof(float));
    l->transformed_centroid = room(l->q->work_dim * sizeof(float));
    l->codes = room(ROWS / 64 * l->q->block_bytes);
    l->prepared = room(l->q->query_bytes);
    quantizer_transform(l->q, l->rows, ROWS, l->transformed);
    quantizer_transform(l->q, l->centroid, 1, l->transformed_centroid);
    for (unsigned i = 0; i < ROWS; i++)
        l->error = fmaxf(l->error, quantizer_put(l->q, l->transformed + i * l->q->work_dim,
                                                 l->transformed_centroid,
                                                 l->codes + i / 64 * l->q->block_bytes, i % 64));
}

static void list_end(struct list *l)
{
    quantizer_destroy(&l->bench.env, l->q);
    free(l->rows), free(l->transformed), free(l->centroid), free(l->transformed_centroid);
    free(l->codes), free(l->prepared);
    assert_int_equal(mem_live(&l->bench.mem), 0);
    test_bench_end(&l->bench);
}

static void turn_to(struct list *l, const float *query, bool certain)
{
    float *transformed = room(l->q->work_dim * sizeof(float));
    quantizer_transform(l->q, query, 1, transformed);
    quantizer_query(l->q, transformed, l->prepared);
    if (certain)
        quantizer_query_certain(l->q, l->prepared);
    quantizer_query_list(l->q, l->prepared, l->transformed_centroid,
                         (float)distance(query, l->centroid, l->dim), l->error);
    free(transformed);
}

/* Counts vectors outside their bounds, and sums the widths of the bounds. */
static size_t outside(struct list *l, const float *query, bool certain, double *width)
{
    float estimate[64];
    size_t wrong = 0;
    turn_to(l, query, certain);
    for (unsigned i = 0; i < ROWS; i++) {
        const unsigned char *block = l->codes + i / 64 * l->q->block_bytes;
        if (i % 64 == 0)
            (void)quantizer_scan(l->q, l->prepared, block, INFINITY, estimate);
        float of = estimate[i % 64];
        if (l->q->refines)
            (void)quantizer_refine(l->q, l->prepared, block, i % 64, INFINITY, &of);
        const struct quantizer_bounds b = quantizer_bounds(l->q, l->prepared, block, i % 64, of);
        const float exact = (float)distance(query, l->rows + i * l->dim, l->dim);
        wrong += !(b.lower <= exact && exact <= b.upper);
        *width += (double)(b.upper - b.lower);
        /* A limit below the lower bound excludes the vector, one above does not. */
        if (!l->q->refines && b.lower > 0.2f * exact) {
            const uint64_t in =
                quantizer_scan(l->q, l->prepared, block, b.lower * 1.001f, estimate);
            assert_true(in >> i % 64 & 1);
            const uint64_t out =
                quantizer_scan(l->q, l->prepared, block, b.lower * 0.99f, estimate);
            assert_false(out >> i % 64 & 1);
        }
    }
    return wrong;
}

static void test_bounds(void **state)
{
    static const struct quantizer_options options[] = {
        { .kind = QUANTIZER_SQ8 },
        { .kind = QUANTIZER_SKETCH, .sketch_dims = 5 },
        { .kind = QUANTIZER_PQ },
        { .kind = QUANTIZER_PQ, .pq_bits = 8 },
        { .kind = QUANTIZER_RABITQ, .bits = 1, .eps0 = 1.9 },
        { .kind = QUANTIZER_RABITQ, .bits = 4, .eps0 = 1.9 },
        { .kind = QUANTIZER_RABITQ, .bits = 7, .eps0 = 1.9 },
        { .kind = QUANTIZER_PLANES, .bits = 1, .eps0 = 1.9 },
        { .kind = QUANTIZER_PLANES, .bits = 2, .eps0 = 1.9 },
        { .kind = QUANTIZER_PLANES, .bits = 3, .eps0 = 1.9 },
        { .kind = QUANTIZER_PLANES, .bits = 4, .eps0 = 1.9 },
    };
    static const size_t dims[] = { 24, 100, 128 };
    for (size_t c = 0; c < sizeof options / sizeof *options; c++)
        for (size_t d = 0; d < sizeof dims / sizeof *dims; d++) {
            struct list l;
            struct rng r = rng_at(test_seed(), 100 + c);
            float query[128];
            size_t wrong = 0;
            double width = 0;
            list_begin(&l, &options[c], dims[d], ISA_AVX512, 1);
            for (size_t i = 0; i < QUERIES; i++) {
                for (size_t j = 0; j < dims[d]; j++)
                    query[j] =
                        l.rows[rng_below(&r, ROWS) * dims[d] + j] + (float)(0.2 * rng_normal(&r));
                wrong += outside(&l, query, false, &width);
                assert_int_equal(outside(&l, query, true, &width), 0);
            }
            /* 6 % of a normal variable lie beyond 1.9 deviations. 15 % leaves a margin, as vectors
               near one another are not independent. */
            const double most = l.q->certain ? 0 : 0.15 * QUERIES * ROWS;
            if ((double)wrong > most)
                fail_msg("kind %d, %zu bits, dimension %zu: %zu of %d outside their bounds",
                         (int)options[c].kind, options[c].bits, dims[d], wrong, QUERIES * ROWS);
            if (options[c].kind == QUANTIZER_SQ8 || options[c].kind == QUANTIZER_SKETCH)
                assert_true(isinf(width));
            list_end(&l);
        }
}

/* The mean error of estimates halves with each bit, and equals that of the other kind's code. */
static double mean_error(size_t bits, enum quantizer_kind kind, size_t dim)
{
    const struct quantizer_options options = { .kind = kind, .bits = bits, .eps0 = 1.9, .seed = 3 };
    struct rng r = rng_at(test_seed(), 200);
    struct list l;
    float query[128], estimate[64];
    double sum = 0;
    list_begin(&l, &options, dim, ISA_AVX512, 2);
    for (size_t t = 0; t < QUERIES; t++) {
        for (size_t j = 0; j < dim; j++)
            query[j] = l.centroid[j] + (float)rng_normal(&r);
        turn_to(&l, query, false);
        for (unsigned i = 0; i < ROWS; i++) {
            const unsigned char *block = l.codes + i / 64 * l.q->block_bytes;
            if (i % 64 == 0)
                (void)quantizer_scan(l.q, l.prepared, block, INFINITY, estimate);
            float of = estimate[i % 64];
            if (l.q->refines)
                (void)quantizer_refine(l.q, l.prepared, block, i % 64, INFINITY, &of);
            sum += fabs((double)of - distance(query, l.rows + i * dim, dim));
        }
    }
    list_end(&l);
    return sum / (QUERIES * ROWS);
}

static void test_planes_are_as_near(void **state)
{
    double last = INFINITY;
    for (size_t bits = 1; bits <= 4; bits++) {
        const double planes = mean_error(bits, QUANTIZER_PLANES, 128);
        const double parts = mean_error(bits, QUANTIZER_RABITQ, 128);
        if (planes > 1.15 * parts || planes > 0.65 * last)
            fail_msg("%zu bits: planes are off by %g, parts by %g, a bit less by %g", bits, planes,
                     parts, last);
        last = planes;
    }
}

/* Copies, saved quantizers and all kernel tables give the same estimates. */
static void test_planes_copied(void **state)
{
    static const size_t dims[] = { 1, 7, 40, 128, 130 };
    for (size_t c = 0; c < sizeof dims / sizeof *dims; c++)
        for (size_t bits = 1; bits <= 4; bits++) {
            const struct quantizer_options options = { .kind = QUANTIZER_PLANES,
                                                       .bits = bits,
                                                       .eps0 = 1.9 };
            struct list l;
            float estimate[2][64];
            struct quantizer *loaded;
            list_begin(&l, &options, dims[c], ISA_AVX512, 3);
            unsigned char *copy = room(l.q->block_bytes);
            const size_t n = quantizer_save(l.q, NULL);
            unsigned char *saved = room(n);
            assert_int_equal(quantizer_save(l.q, saved), n);
            assert_ok(quantizer_load(&loaded, &l.bench.env, saved, n), &l.bench.error);
            assert_int_equal(loaded->block_bytes, l.q->block_bytes);
            for (unsigned i = 0; i < 64; i++)
                quantizer_copy(loaded, l.codes, i, copy, 63 - i);
            turn_to(&l, l.rows + 9 * dims[c], false);
            (void)quantizer_scan(l.q, l.prepared, l.codes, INFINITY, estimate[0]);
            (void)quantizer_scan(loaded, l.prepared, copy, INFINITY, estimate[1]);
            for (unsigned i = 0; i < 64; i++)
                assert_true(estimate[0][i] == estimate[1][63 - i]);
            quantizer_destroy(&l.bench.env, loaded);
            for (enum isa isa = ISA_SCALAR; isa < ISA_AVX512; isa++) {
                struct list other;
                list_begin(&other, &options, dims[c], isa, 3);
                turn_to(&other, other.rows + 9 * dims[c], false);
                (void)quantizer_scan(other.q, other.prepared, l.codes, INFINITY, estimate[1]);
                for (unsigned i = 0; i < 64; i++)
                    assert_true(fabs((double)(estimate[0][i] - estimate[1][i])) <=
                                1e-3 * (1 + fabs((double)estimate[0][i])));
                list_end(&other);
            }
            saved[16] = 9; /* number of bits */
            assert_code(quantizer_load(&loaded, &l.bench.env, saved, n), ERR_CORRUPT,
                        &l.bench.error);
            free(copy);
            free(saved);
            list_end(&l);
        }
}

static void test_planes_refused(void **state)
{
    struct test_bench b;
    struct quantizer *q;
    const float rows[8] = { 1, 2, 3, 4, 5, 6, 7, 8 };
    const struct quantizer_options options = { .kind = QUANTIZER_PLANES, .bits = 5, .eps0 = 1.9 };
    test_bench_begin(&b, INDEX_F32, INDEX_L2SQ, 8, 1);
    assert_code(quantizer_train(&q, &b.env, &options, rows, 1), ERR_ARGUMENT, &b.error);
    test_bench_end(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_planes_are_as_near),
        cmocka_unit_test(test_planes_copied),
        cmocka_unit_test(test_planes_refused),
    };
    return test_run("quantizer bounds", tests);
}
