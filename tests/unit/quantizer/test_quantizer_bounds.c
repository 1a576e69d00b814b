/* test_quantizer_bounds.c - bounds of distances hold as reliably as each kind promises; RaBitQ's
 * codes in planes give the estimates of those in two parts. */
#include "tests/unit/quantizer/code_lists.h"

enum { ROWS = 256, QUERIES = 40 };

/* A list of ROWS vectors. */
struct coded {
    struct test_bench bench;
    struct quantizer *q;
    float *rows;
    struct list list;
};

static void coded_begin(struct coded *c, const struct quantizer_options *options, size_t dim,
                        enum isa isa, uint64_t stream)
{
    struct rng r = rng_at(test_seed(), stream);
    float *centroid = calloc(dim, sizeof *centroid);

    test_bench_begin(&c->bench, INDEX_F32, INDEX_L2SQ, dim, 1);
    c->bench.env.kernels = kernels_select(isa);
    c->rows = room(ROWS * dim * sizeof(float));
    test_fill_f32(&r, c->rows, ROWS, dim, 1, 0.4); /* about one point, far from the origin */
    for (size_t d = 0; d < dim; d++)
        c->rows[7 * dim + d] = c->rows[8 * dim + d]; /* a duplicate */
    for (size_t i = 0; i < ROWS; i++)
        for (size_t d = 0; d < dim; d++)
            centroid[d] += c->rows[i * dim + d] / ROWS;
    memcpy(c->rows, centroid, dim * sizeof(float)); /* zero residual */
    assert_ok(quantizer_train(&c->q, &c->bench.env, options, c->rows, ROWS), &c->bench.error);
    c->list = list_make(c->q, c->rows, ROWS, centroid);
    free(centroid);
}

static void coded_end(struct coded *c)
{
    list_free(&c->list);
    quantizer_destroy(&c->bench.env, c->q);
    free(c->rows);
    assert_int_equal(mem_live(&c->bench.mem), 0);
    test_bench_end(&c->bench);
}

/* The estimate of vector i by all of its bits; `estimate`: those of its block. */
static float estimate_of(const struct list *l, const void *prepared, unsigned i, float estimate[64])
{
    if (i % 64 == 0)
        (void)quantizer_scan(l->q, prepared, block_of(l, i), INFINITY, estimate);
    float of = estimate[i % 64];
    if (l->q->refines)
        (void)quantizer_refine(l->q, prepared, block_of(l, i), i % 64, INFINITY, &of);
    return of;
}

/* Counts vectors outside their bounds, and sums the widths of the bounds. */
static size_t outside(const struct list *l, const float *query, bool certain, double *width)
{
    float estimate[64];
    size_t wrong = 0;
    void *prepared = prepare(l, query, certain);

    for (unsigned i = 0; i < ROWS; i++) {
        const unsigned char *block = block_of(l, i);
        const float of = estimate_of(l, prepared, i, estimate);
        const struct quantizer_bounds b = quantizer_bounds(l->q, prepared, block, i % 64, of);
        const float at = exact(l, query, i);
        wrong += !(b.lower <= at && at <= b.upper);
        *width += (double)(b.upper - b.lower);
        /* A limit below the lower bound excludes the vector, one above does not. */
        if (!l->q->refines && b.lower > 0.2f * at) {
            const uint64_t in = quantizer_scan(l->q, prepared, block, b.lower * 1.001f, estimate);
            assert_true(in >> i % 64 & 1);
            const uint64_t out = quantizer_scan(l->q, prepared, block, b.lower * 0.99f, estimate);
            assert_false(out >> i % 64 & 1);
        }
    }
    free(prepared);
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
            struct coded l;
            struct rng r = rng_at(test_seed(), 100 + c);
            float query[128];
            size_t wrong = 0;
            double width = 0;
            coded_begin(&l, &options[c], dims[d], ISA_AVX512, 1);
            for (size_t i = 0; i < QUERIES; i++) {
                for (size_t j = 0; j < dims[d]; j++)
                    query[j] =
                        l.rows[rng_below(&r, ROWS) * dims[d] + j] + (float)(0.2 * rng_normal(&r));
                wrong += outside(&l.list, query, false, &width);
                assert_int_equal(outside(&l.list, query, true, &width), 0);
            }
            /* 6 % of a normal variable lie beyond 1.9 deviations. 15 % leaves a margin, as vectors
               near one another are not independent. */
            const double most = l.q->certain ? 0 : 0.15 * QUERIES * ROWS;
            if ((double)wrong > most)
                fail_msg("kind %d, %zu bits, dimension %zu: %zu of %d outside their bounds",
                         (int)options[c].kind, options[c].bits, dims[d], wrong, QUERIES * ROWS);
            if (options[c].kind == QUANTIZER_SQ8 || options[c].kind == QUANTIZER_SKETCH)
                assert_true(isinf(width));
            coded_end(&l);
        }
}

/* The mean error of estimates halves with each bit, and equals that of the other kind's code. */
static double mean_error(size_t bits, enum quantizer_kind kind, size_t dim)
{
    const struct quantizer_options options = { .kind = kind, .bits = bits, .eps0 = 1.9, .seed = 3 };
    struct rng r = rng_at(test_seed(), 200);
    struct coded l;
    float query[128], estimate[64];
    double sum = 0;
    coded_begin(&l, &options, dim, ISA_AVX512, 2);
    for (size_t t = 0; t < QUERIES; t++) {
        for (size_t j = 0; j < dim; j++)
            query[j] = l.list.centroid[j] + (float)rng_normal(&r);
        void *prepared = prepare(&l.list, query, false);
        for (unsigned i = 0; i < ROWS; i++)
            sum += fabs((double)estimate_of(&l.list, prepared, i, estimate) -
                        (double)exact(&l.list, query, i));
        free(prepared);
    }
    coded_end(&l);
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

int main(void)
{
    return test_run_all("quantizer bounds", test_bounds, test_planes_are_as_near);
}
