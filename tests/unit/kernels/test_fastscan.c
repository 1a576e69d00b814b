/* test_fastscan.c - the kernels of short codes: integers and masks are the same in every table, dot
 * products are close to those in double. */
#include "tests/unit/kernels/support.h"

enum { LINES_MAX = 700 };

struct block {
    _Alignas(64) uint8_t codes[64 * LINES_MAX], lut[32 * LINES_MAX];
    _Alignas(64) uint32_t sums[64];
};

/* As the header defines it, one vector at a time. */
static uint32_t sum_of(const struct block *b, size_t lines, unsigned v)
{
    uint32_t sum = 0;
    for (size_t j = 0; j < lines; j++) {
        const unsigned both = b->codes[64 * j + 4 * (v % 16) + v / 16];
        sum += (unsigned)b->lut[32 * j + both % 16] + b->lut[32 * j + 16 + both / 16];
    }
    return sum;
}

static void check_sums(const struct block *b, size_t lines, const uint32_t *sums, const char *name)
{
    for (unsigned v = 0; v < 64; v++) {
        if (sums[v] == sum_of(b, lines, v))
            continue;
        fail_msg("%s: %zu lines: vector %u: %u, expected %u", name, lines, v, sums[v],
                 sum_of(b, lines, v));
    }
}

/* Between 128 and 256 lines the sums no longer fit into 16 bits; `most` = 255
   gives the largest sum. */
static void test_fastscan(void **state)
{
    static const size_t lines[] = { 0, 1, 2, 3, 16, 41, 127, 128, 129, 256, 257, LINES_MAX };
    struct block *b = aligned_alloc(64, sizeof *b);
    assert_non_null(b);
    struct rng r = rng_at(test_seed(), 1);
    const struct kernels *table[3];
    const size_t n = tables(table);
    for (int all_most = 0; all_most < 2; all_most++) {
        for (size_t i = 0; i < sizeof b->codes; i++)
            b->codes[i] = (uint8_t)rng_u64(&r);
        for (size_t i = 0; i < sizeof b->lut; i++)
            b->lut[i] = all_most ? 255 : (uint8_t)rng_u64(&r);
        for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
            for (size_t t = 0; t < n; t++) {
                memset(b->sums, 0xa5, sizeof b->sums);
                table[t]->fastscan_64(b->codes, b->lut, lines[i], b->sums);
                check_sums(b, lines[i], b->sums, table[t]->name);
            }
        }
    }
    free(b);
}

/* The same with a table of 256 bytes per line; above 256 lines the sums do not fit into 16 bits. */
static void test_lookup(void **state)
{
    static const size_t lines[] = { 0, 1, 2, 3, 8, 41, 255, 256, 257, 513, LINES_MAX };
    struct block *b = aligned_alloc(64, sizeof *b);
    uint8_t *lut = malloc(256 * LINES_MAX);
    assert_non_null(b);
    assert_non_null(lut);
    struct rng r = rng_at(test_seed(), 5);
    const struct kernels *table[3];
    const size_t n = tables(table);
    for (int all_most = 0; all_most < 2; all_most++) {
        for (size_t i = 0; i < sizeof b->codes; i++)
            b->codes[i] = (uint8_t)rng_u64(&r);
        for (size_t i = 0; i < 256 * LINES_MAX; i++)
            lut[i] = all_most ? 255 : (uint8_t)rng_u64(&r);
        for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
            for (size_t t = 0; t < n; t++) {
                memset(b->sums, 0xa5, sizeof b->sums);
                table[t]->lookup_64(b->codes, lut, lines[i], b->sums);
                for (unsigned v = 0; v < 64; v++) {
                    uint32_t sum = 0;
                    for (size_t j = 0; j < lines[i]; j++)
                        sum += lut[256 * j + b->codes[64 * j + 4 * (v % 16) + v / 16]];
                    if (b->sums[v] != sum)
                        fail_msg("%s: %zu lines: vector %u: %u, expected %u", table[t]->name,
                                 lines[i], v, b->sums[v], sum);
                }
            }
    }
    free(lut);
    free(b);
}

/* As the header defines it. */
static uint32_t products_of(const struct block *b, const int8_t *weights, size_t groups,
                            uint32_t start, unsigned v)
{
    int sum = (int)start;
    for (size_t g = 0; g < groups; g++)
        for (unsigned i = 0; i < 8; i++) {
            const unsigned both = b->codes[256 * g + 64 * (v / 16) + 4 * (v % 16) + i % 4];
            sum += weights[8 * g + i] * (int)(i < 4 ? both & 15 : both >> 4);
        }
    return (uint32_t)sum;
}

static void test_nibbles(void **state)
{
    enum { GROUPS_MAX = LINES_MAX / 4 };
    static const size_t groups[] = { 0, 1, 2, 3, 8, 9, GROUPS_MAX };
    struct block *b = aligned_alloc(64, sizeof *b);
    assert_non_null(b);
    int8_t weights[8 * GROUPS_MAX];
    struct rng r = rng_at(test_seed(), 4);
    const struct kernels *table[3];
    const size_t n = tables(table);
    for (int most = -127; most <= 127; most += 127) { /* 0: random; else the largest magnitude */
        for (size_t i = 0; i < sizeof b->codes; i++)
            b->codes[i] = most ? 255 : (uint8_t)rng_u64(&r);
        for (size_t i = 0; i < sizeof weights; i++)
            weights[i] = (int8_t)(most ? most : (int)rng_below(&r, 255) - 127);
        for (size_t i = 0; i < sizeof groups / sizeof *groups; i++)
            for (size_t t = 0; t < n; t++) {
                const uint32_t start = (uint32_t)(15 * 127 * 8 * groups[i]);
                memset(b->sums, 0xa5, sizeof b->sums);
                table[t]->nibbles_64(b->codes, weights, groups[i], start, b->sums);
                for (unsigned v = 0; v < 64; v++)
                    if (b->sums[v] != products_of(b, weights, groups[i], start, v))
                        fail_msg("%s: %zu groups: vector %u: %u, expected %u", table[t]->name,
                                 groups[i], v, b->sums[v],
                                 products_of(b, weights, groups[i], start, v));
            }
    }
    free(b);
}

struct bound_case {
    _Alignas(64) float add[64], scale[64], error[64], estimate[3][64];
    _Alignas(64) uint32_t sums[64];
    _Alignas(64) uint16_t shortened[128];
    struct code_terms terms;
};

enum terms_form { TERMS_OF_ONE, TERMS_SCALED, TERMS_SHORTENED };

/* Clears the bits that `shortened` does not keep. */
static uint16_t shorten(float *x)
{
    uint32_t bits;
    memcpy(&bits, x, sizeof bits);
    bits = bits >> CODE_TERM_SHIFT << CODE_TERM_SHIFT;
    memcpy(x, &bits, sizeof bits);
    return (uint16_t)(bits >> CODE_TERM_SHIFT);
}

static void shorten_terms(struct bound_case *c)
{
    for (size_t v = 0; v < 64; v++) {
        c->shortened[v] = shorten(&c->scale[v]);
        c->shortened[64 + v] = shorten(&c->error[v]);
    }
    c->terms.shortened = c->shortened;
    c->terms.scale = c->terms.error = NULL;
}

static void fill_bound(struct rng *r, struct bound_case *c, enum terms_form form)
{
    const bool scaled = form != TERMS_OF_ONE;
    for (size_t v = 0; v < 64; v++) {
        c->add[v] = (float)rng_normal(r);
        c->scale[v] = -(float)rng_unit(r);
        c->error[v] = (float)rng_unit(r) / 8;
        c->sums[v] = (uint32_t)rng_below(r, 300000);
    }
    c->terms = (struct code_terms){ .add = c->add,
                                    .scale = scaled ? c->scale : NULL,
                                    .error = c->error,
                                    .base = (float)rng_normal(r),
                                    .slope = 1e-5f,
                                    .offset = (float)rng_normal(r),
                                    .slack = scaled ? 0.01f : -0.01f,
                                    .linear = (float)rng_unit(r),
                                    .square = (float)rng_unit(r) };
    if (form == TERMS_SHORTENED)
        shorten_terms(c);
}

static void check_bound(struct bound_case *c, float limit, const struct kernels *const *table,
                        size_t n)
{
    uint64_t mask[3];
    for (size_t t = 0; t < n; t++)
        mask[t] = table[t]->bound_64(&c->terms, c->sums, limit, c->estimate[t]);
    for (size_t t = 1; t < n; t++) {
        assert_int_equal(mask[t], mask[0]);
        assert_memory_equal(c->estimate[t], c->estimate[0], sizeof c->estimate[0]);
    }
    const struct code_terms *k = &c->terms;
    for (size_t v = 0; v < 64; v++) {
        const double scale = k->scale || k->shortened ? (double)c->scale[v] : 1;
        const double e = (double)c->error[v];
        const double middle = (double)(k->add[v] + k->base) +
                              scale * ((double)k->slope * c->sums[v] + (double)k->offset);
        const double lower =
            middle + scale * (double)k->slack - e * ((double)k->linear + (double)k->square * e);
        assert_true(fabs((double)c->estimate[0][v] - middle) <= 1e-5);
        if (fabs(lower - (double)limit) > 1e-5)
            assert_int_equal(mask[0] >> v & 1, lower <= (double)limit);
    }
}

static void test_bound(void **state)
{
    struct bound_case c;
    struct rng r = rng_at(test_seed(), 2);
    const struct kernels *table[3];
    const size_t n = tables(table);
    for (size_t round = 0; round < 200; round++) {
        fill_bound(&r, &c, (enum terms_form)(round % 3));
        check_bound(&c, (float)rng_normal(&r), table, n);
    }
    for (size_t t = 0; t < n; t++) { /* infinity excludes nothing; NaN is never excluded */
        assert_int_equal(table[t]->bound_64(&c.terms, c.sums, INFINITY, c.estimate[0]), UINT64_MAX);
        c.terms.base = INFINITY;
        assert_int_equal(table[t]->bound_64(&c.terms, c.sums, INFINITY, c.estimate[0]), UINT64_MAX);
        assert_int_equal(table[t]->bound_64(&c.terms, c.sums, 1, c.estimate[0]), 0);
        c.terms.base = NAN;
        assert_int_equal(table[t]->bound_64(&c.terms, c.sums, 1, c.estimate[0]), UINT64_MAX);
        c.terms.base = 0;
    }
}

/* The estimates of 32 vectors: the same in every table, and those of sums in double. */
static void check_estimates(const struct block *b, size_t lines, struct bound_case *c, float limit)
{
    const struct kernels *table[3];
    const size_t n = tables(table);
    uint32_t mask[3];
    for (size_t t = 0; t < n; t++)
        mask[t] = table[t]->estimate_32(b->codes, b->lut, lines, &c->terms, limit, c->estimate[t]);
    for (size_t t = 1; t < n; t++) {
        assert_int_equal(mask[t], mask[0]);
        assert_memory_equal(c->estimate[t], c->estimate[0], 32 * sizeof c->estimate[0][0]);
    }
    for (unsigned v = 0; v < 32; v++) {
        double sum = 0;
        for (size_t i = 0; i < 4 * lines; i++) { /* nibble i of vector v */
            const unsigned both = b->codes[32 * (i / 2) + 4 * (v % 8) + v / 8];
            sum += b->lut[16 * i + (i % 2 ? both / 16 : both % 16)];
        }
        const double middle =
            (double)(c->add[v] + c->terms.base) +
            (double)c->scale[v] * ((double)c->terms.slope * sum + (double)c->terms.offset);
        assert_true(fabs((double)c->estimate[0][v] - middle) <= 1e-4);
        assert_int_equal(mask[0] >> v & 1, c->estimate[0][v] < limit);
    }
}

static void test_estimates(void **state)
{
    enum { MOST = LINES_MAX / 2 }; /* twice the tables of other kernels */
    static const size_t lines[] = { 0, 1, 2, 7, 8, 63, 64, 65, 129, MOST };
    struct block *b = aligned_alloc(64, sizeof *b);
    struct bound_case c;
    struct rng r = rng_at(test_seed(), 7);
    const struct kernels *table[3];
    assert_non_null(b);
    for (int all_most = 0; all_most < 2; all_most++) {
        for (size_t i = 0; i < sizeof b->codes; i++)
            b->codes[i] = (uint8_t)rng_u64(&r);
        for (size_t i = 0; i < sizeof b->lut; i++)
            b->lut[i] = all_most ? 255 : (uint8_t)rng_u64(&r);
        for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
            fill_bound(&r, &c, TERMS_SCALED);
            check_estimates(b, lines[i], &c, (float)rng_normal(&r));
        }
    }
    c.terms.base = NAN; /* is below nothing, as is infinity */
    for (size_t t = tables(table); t-- > 0;)
        assert_int_equal(table[t]->estimate_32(b->codes, b->lut, 3, &c.terms, 1, c.estimate[0]), 0);
    c.terms.base = INFINITY;
    for (size_t t = tables(table); t-- > 0;)
        assert_int_equal(
            table[t]->estimate_32(b->codes, b->lut, 3, &c.terms, INFINITY, c.estimate[0]), 0);
    free(b);
}

/* Number i of the code, as the header defines it. */
static double number(const uint8_t *code, unsigned bits, size_t i)
{
    if (bits == 1)
        return code[i / 8] >> i % 8 & 1;
    const size_t pair = i / 32 * 16 + i % 16;
    return bits == 8 ? code[i] : i % 32 < 16 ? code[pair] % 16 : code[pair] / 16;
}

static void test_products(void **state)
{
    enum { MOST = 4096 };
    static const size_t dims[] = { 32, 64, 96, 128, 800, MOST };
    float *query = calloc(MOST, sizeof *query);
    uint8_t *code = malloc(MOST);
    struct rng r = rng_at(test_seed(), 3);
    const struct kernels *table[3];
    const size_t n = tables(table);
    for (size_t i = 0; i < MOST; i++) {
        query[i] = (float)rng_normal(&r);
        code[i] = (uint8_t)rng_u64(&r);
    }
    for (size_t c = 0; c < 3 * sizeof dims / sizeof *dims; c++) {
        const size_t dim = dims[c / 3];
        const unsigned bits = c % 3 == 0 ? 1 : c % 3 == 1 ? 4 : 8;
        double sum = 0, size = 0;
        for (size_t i = 0; i < dim; i++) {
            sum += (double)query[i] * number(code, bits, i);
            size += fabs((double)query[i]) * number(code, bits, i);
        }
        for (size_t t = 0; t < n; t++) {
            const struct kernels *k = table[t];
            const float got = (bits == 1   ? k->ip_f32_u1
                               : bits == 4 ? k->ip_f32_u4
                                           : k->ip_f32_u8)(query, code, dim);
            if (fabs((double)got - sum) > 0x1p-24 * (double)dim * size)
                fail_msg("%s: %u bits, dim %zu: %.9g, expected %.9g", k->name, bits, dim,
                         (double)got, sum);
        }
    }
    free(query);
    free(code);
}

/* Numbers in two parts; no line past the last is read, and bytes between the lines are ignored. */
static void test_split_products(void **state)
{
    enum { MOST = 264, PADDED = 288 };
    float query[PADDED];
    uint8_t code[PADDED / 2];
    struct rng r = rng_at(test_seed(), 6);
    const struct kernels *table[3];
    const size_t n = tables(table);
    for (size_t dim = 8; dim <= MOST; dim += 8) {
        uint8_t *lines = malloc((dim / 8 - 1) * 64 + 1);
        const float top = (float)(1u << rng_below(&r, 5));
        double sum = 0, size = 0;
        for (size_t i = 0; i < (dim / 8 - 1) * 64 + 1; i++)
            lines[i] = (uint8_t)rng_u64(&r);
        for (size_t i = 0; i < PADDED / 2; i++)
            code[i] = (uint8_t)rng_u64(&r);
        for (size_t i = 0; i < PADDED; i++)
            query[i] = i < dim ? (float)rng_normal(&r) : 0;
        for (size_t i = 0; i < dim; i++) {
            const double x = number(code, 4, i) + (lines[i / 8 * 64] >> i % 8 & 1 ? top : 0);
            sum += (double)query[i] * x;
            size += fabs((double)query[i]) * x;
        }
        for (size_t t = 0; t < n; t++) {
            const float got = table[t]->ip_f32_u1u4(query, lines, top, code, dim);
            if (fabs((double)got - sum) > 0x1p-24 * (double)dim * size)
                fail_msg("%s: dim %zu: %.9g, expected %.9g", table[t]->name, dim, (double)got, sum);
        }
        free(lines);
    }
}

/* Signs and magnitudes agree bit for bit; sums are close to those in double. */
static void test_residual(void **state)
{
    enum { MOST = 264 };
    float row[MOST], centroid[MOST], magnitudes[MOST + 1];
    uint8_t signs[MOST / 8 + 1];
    struct rng r = rng_at(test_seed(), 4);
    const struct kernels *table[3];
    const size_t n = tables(table);
    for (size_t dim = 8; dim <= MOST; dim += 8) {
        double norm_sq = 0, size = 0, along = 0, most = 0;
        for (size_t i = 0; i < dim; i++) {
            centroid[i] = (float)rng_normal(&r);
            row[i] = i % 5 ? (float)rng_normal(&r) : centroid[i];
            const double d = (double)(row[i] - centroid[i]);
            norm_sq += d * d;
            size += fabs(d);
            along += d > 0 ? (double)centroid[i] : -(double)centroid[i];
            most += fabs((double)centroid[i]);
        }
        for (size_t t = 0; t < n; t++) {
            magnitudes[dim] = 7;
            signs[dim / 8] = 99;
            const struct residual got =
                table[t]->residual_f32(row, centroid, dim, magnitudes, signs);
            for (size_t i = 0; i < dim; i++) {
                assert_true(magnitudes[i] == fabsf(row[i] - centroid[i]));
                assert_int_equal(signs[i / 8] >> i % 8 & 1, row[i] > centroid[i]);
            }
            assert_true(magnitudes[dim] == 7 && signs[dim / 8] == 99);
            assert_true(fabs((double)got.norm_sq - norm_sq) <= 1e-5 * norm_sq);
            assert_true(fabs((double)got.size - size) <= 1e-5 * size);
            assert_true(fabs((double)got.along - along) <= 1e-5 * most);
        }
    }
}

static void test_grid(void **state)
{
    enum { MOST = 256 };
    float a[MOST];
    struct rng r = rng_at(test_seed(), 5);
    const struct kernels *table[3];
    const size_t n = tables(table);
    for (size_t i = 0; i < MOST; i++)
        a[i] = fabsf((float)rng_normal(&r));
    for (size_t c = 0; c < 200; c++) {
        const size_t dim = 32 + 32 * rng_below(&r, MOST / 32);
        const float most = (float)((1u << (1 + rng_below(&r, 8))) - 1);
        const float t = most * (float)rng_unit(&r);
        double product = 0, square = 0;
        for (size_t i = 0; i < dim; i++) {
            const float x = t * a[i];
            const double v = (double)(int)(x < most ? x : most) + 0.5;
            product += v * (double)a[i];
            square += v * v;
        }
        for (size_t k = 0; k < n; k++) {
            float norm_sq = 0;
            const float got = table[k]->grid_f32(a, dim, t, most, &norm_sq);
            assert_true(fabs((double)got - product) <= 1e-5 * product);
            assert_true(fabs((double)norm_sq - square) <= 1e-5 * square);
        }
    }
}

int main(void)
{
    return test_run_all("kernels_fastscan", test_fastscan, test_lookup, test_nibbles, test_bound,
                        test_estimates, test_products, test_split_products, test_residual,
                        test_grid);
}
