/* test_kernels.c - every function of every table this processor can run, against arithmetic in
 * double.
 *
 * Error bounds, with u = 2^-24 and S the sum of the terms' magnitudes:
 *   l2sq, ip   chain(dim) u S: scalar adds dim terms in a row; the others at most dim / 16 and the
 * folding cos        2 u (2 chain(dim) + 2): a relative error of chain(dim) u in the product and in
 * the norms u8, codes  none Within a table the three forms agree bit for bit. Buffers end where an
 * unreadable page begins, so reading or writing past a row's, a code's or a result's end is a crash
 * here. */
#include "tests/testing.h"

#include <sys/mman.h>

static const size_t long_dims[] = { 255, 256, 257, 300, 784, 960, 1024, 2047, 2048, 4096 };
enum { SHORT_DIMS = 130, DIMS = SHORT_DIMS + sizeof long_dims / sizeof *long_dims };

/* Dimensions 1 to 130, then the long ones. */
static size_t dim_at(size_t i)
{
    return i < SHORT_DIMS ? i + 1 : long_dims[i - SHORT_DIMS];
}

static size_t tables(const struct kernels *table[3])
{
    size_t n = 0;
    for (enum isa isa = ISA_SCALAR; isa <= kernels_best_isa(); isa++)
        table[n++] = kernels_select(isa);
    return n;
}

/* `bytes` bytes that end at an unreadable page, so their alignment is whatever their number makes
 * it. */
struct guarded {
    unsigned char *map;
    size_t map_bytes;
    void *data;
};

static struct guarded guarded_new(size_t bytes)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    const size_t used = (bytes + page - 1) / page * page;
    struct guarded g = { .map_bytes = used + page };
    g.map = mmap(NULL, g.map_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true((void *)g.map != MAP_FAILED);
    assert_int_equal(mprotect(g.map + used, page, PROT_NONE), 0);
    g.data = g.map + used - bytes;
    return g;
}

static void guarded_free(struct guarded *g)
{
    assert_int_equal(munmap(g->map, g->map_bytes), 0);
}

static struct guarded random_f32(struct rng *r, size_t n, size_t dim)
{
    struct guarded g = guarded_new(n * dim * sizeof(float));
    float *x = g.data;
    for (size_t i = 0; i < n * dim; i++)
        x[i] = (float)rng_normal(r);
    return g;
}

static struct guarded random_u8(struct rng *r, size_t n)
{
    struct guarded g = guarded_new(n);
    uint8_t *x = g.data;
    for (size_t i = 0; i < n; i++)
        x[i] = (uint8_t)rng_u64(r);
    return g;
}

static struct guarded random_codes(struct rng *r, size_t n)
{
    struct guarded g = guarded_new(n * sizeof(uint64_t));
    test_fill_b64(r, g.data, n, n % 2 ? 5 : 0);
    return g;
}

/* ------------------------------------------------------------------------------------ float */

struct reference {
    double l2sq, l2sq_size, ip, ip_size, cos;
};

static struct reference reference_f32(const float *a, const float *b, size_t dim)
{
    struct reference ref = { 0 };
    double aa = 0, bb = 0;
    for (size_t d = 0; d < dim; d++) {
        const double x = (double)a[d], y = (double)b[d];
        ref.l2sq += (x - y) * (x - y);
        ref.ip += x * y;
        ref.ip_size += fabs(x * y);
        aa += x * x;
        bb += y * y;
    }
    ref.l2sq_size = ref.l2sq;
    ref.cos = aa > 0 && bb > 0 ? 2 - 2 * ref.ip / sqrt(aa * bb) : 2;
    return ref;
}

static double chain(const struct kernels *k, size_t dim)
{
    return k->isa == ISA_SCALAR ? (double)dim + 4 : (double)dim / 16 + 12;
}

static void near(const struct kernels *k, const char *what, size_t dim, float got, double expected,
                 double bound)
{
    if (fabs((double)got - expected) <= bound)
        return;
    fprintf(stderr, "%s %s dim %zu: %.9g, expected %.9g within %.3g\n", k->name, what, dim,
            (double)got, expected, bound);
    _fail(__FILE__, __LINE__);
}

static void check_pair_f32(const struct kernels *k, const float *a, const float *b, size_t dim)
{
    const struct reference ref = reference_f32(a, b, dim);
    const double u = 0x1p-24, n = chain(k, dim);
    near(k, "l2sq_f32", dim, k->l2sq_f32(a, b, dim), ref.l2sq, n * u * ref.l2sq_size);
    near(k, "ip_f32", dim, k->ip_f32(a, b, dim), ref.ip, n * u * ref.ip_size);
    near(k, "cos_f32", dim, k->cos_f32(a, b, dim), ref.cos, 2 * u * (2 * n + 2));
}

static void test_f32_pairs(void **state)
{
    (void)state;
    const struct kernels *table[3];
    const size_t n_tables = tables(table);
    struct rng r = rng_at(test_seed(), 1);
    for (size_t i = 0; i < DIMS; i++) {
        const size_t dim = dim_at(i);
        struct guarded a = random_f32(&r, 3, dim), b = random_f32(&r, 3, dim);
        for (size_t t = 0; t < n_tables; t++)
            for (size_t row = 0; row < 3; row++)
                check_pair_f32(table[t], (float *)a.data + row * dim, (float *)b.data + row * dim,
                               dim);
        guarded_free(&a);
        guarded_free(&b);
    }
}

/* A table's function of two rows and its two other forms. */
struct forms_f32 {
    const char *name;
    float (*pair)(const float *, const float *, size_t);
    void (*to_many)(const float *, const float *, size_t, size_t, float *);
    void (*many)(const float *, size_t, const float *, size_t, size_t, float *, size_t);
};

static void same_f32(const struct kernels *k, const struct forms_f32 *f, const char *form,
                     size_t dim, size_t i, size_t j, float got, float pair)
{
    if (memcmp(&got, &pair, sizeof got) == 0)
        return;
    fprintf(stderr, "%s %s_%s dim %zu (%zu, %zu): %.9g, a pair gives %.9g\n", k->name, f->name,
            form, dim, i, j, (double)got, (double)pair);
    _fail(__FILE__, __LINE__);
}

/* One query to n rows and na queries to n rows, each value bit for bit the pair's, nothing else
 * written. */
static void check_forms_f32(const struct kernels *k, const struct forms_f32 *f, struct rng *r,
                            size_t na, size_t n, size_t dim)
{
    const size_t ld = n + rng_below(r, 3);
    struct guarded a = random_f32(r, na, dim), b = random_f32(r, n, dim);
    struct guarded one = guarded_new(n * sizeof(float)),
                   many = guarded_new(((na - 1) * ld + n) * sizeof(float));
    float *x = a.data, *y = b.data, *out = many.data;
    for (size_t i = 0; i < (na - 1) * ld + n; i++)
        out[i] = 123;
    f->to_many(x, y, n, dim, one.data);
    f->many(x, na, y, n, dim, out, ld);
    for (size_t i = 0; i < na; i++)
        for (size_t j = 0; j < ld && i * ld + j < (na - 1) * ld + n; j++) {
            const float pair = j < n ? f->pair(x + i * dim, y + j * dim, dim) : 123;
            same_f32(k, f, "mn", dim, i, j, out[i * ld + j], pair);
            if (i == 0 && j < n)
                same_f32(k, f, "1n", dim, i, j, ((float *)one.data)[j], pair);
        }
    guarded_free(&a);
    guarded_free(&b);
    guarded_free(&one);
    guarded_free(&many);
}

static void test_f32_forms_agree(void **state)
{
    (void)state;
    const struct kernels *table[3];
    const size_t n_tables = tables(table);
    struct rng r = rng_at(test_seed(), 2);
    for (size_t t = 0; t < n_tables; t++) {
        const struct kernels *k = table[t];
        const struct forms_f32 forms[] = { { "l2sq", k->l2sq_f32, k->l2sq_f32_1n, k->l2sq_f32_mn },
                                           { "ip", k->ip_f32, k->ip_f32_1n, k->ip_f32_mn },
                                           { "cos", k->cos_f32, k->cos_f32_1n, k->cos_f32_mn } };
        for (size_t f = 0; f < 3; f++) {
            for (size_t i = 0; i < DIMS; i++)
                check_forms_f32(k, &forms[f], &r, 1 + rng_below(&r, 9), rng_below(&r, 40),
                                dim_at(i));
            check_forms_f32(k, &forms[f], &r, 1030, 300, 3); /* past one tile in both directions */
            check_forms_f32(k, &forms[f], &r, 40, 21, 4096);
            check_forms_f32(k, &forms[f], &r, 1, 0, 8);
        }
    }
}

/* Rows that start at every 4th byte of a cache line, not only where the end of a page puts them. */
static void test_f32_any_alignment(void **state)
{
    (void)state;
    const struct kernels *table[3];
    const size_t n_tables = tables(table), dim = 45, n = 11;
    struct rng r = rng_at(test_seed(), 3);
    float *data = calloc((n + 1) * dim + 32, sizeof *data), out[11];
    assert_non_null(data);
    for (size_t offset = 0; offset < 16; offset++) {
        float *query = data + offset, *rows = query + dim + (offset * 5) % 16;
        for (size_t i = 0; i < (n + 1) * dim + 16; i++)
            query[i] = (float)rng_normal(&r);
        for (size_t t = 0; t < n_tables; t++) {
            const struct kernels *k = table[t];
            k->l2sq_f32_1n(query, rows, n, dim, out);
            for (size_t i = 0; i < n; i++) {
                check_pair_f32(k, query, rows + i * dim, dim);
                assert_true(out[i] == k->l2sq_f32(query, rows + i * dim, dim));
            }
        }
    }
    free(data);
}

/* Zero rows, equal rows, opposite rows, and norms whose product leaves the range of float. */
static void test_cosine_corners(void **state)
{
    (void)state;
    const struct kernels *table[3];
    const size_t n_tables = tables(table), dim = 37;
    float zero[37] = { 0 }, x[37], minus[37], large[37], small[37], rows[6 * 37], out[6];
    struct rng r = rng_at(test_seed(), 4);
    for (size_t d = 0; d < dim; d++) {
        x[d] = (float)rng_normal(&r);
        minus[d] = -x[d];
        large[d] = x[d] * 1e17f;
        small[d] = x[d] * 1e-17f;
    }
    const float *const row[6] = { zero, x, minus, large, small, zero };
    const double expected[6] = { 2, 0, 4, 0, 0, 2 };
    for (size_t i = 0; i < 6; i++)
        memcpy(rows + i * dim, row[i], sizeof zero);
    for (size_t t = 0; t < n_tables; t++) {
        const struct kernels *k = table[t];
        k->cos_f32_1n(large, rows, 6, dim, out);
        for (size_t i = 0; i < 6; i++) {
            near(k, "cos_f32", dim, out[i], expected[i], 1e-5);
            assert_true(out[i] >= 0);
        }
        assert_true(k->cos_f32(zero, zero, dim) == 2);
        const uint8_t dark[3] = { 0 }, light[3] = { 5, 0, 9 };
        assert_true(k->cos_u8(dark, light, 3) == 2);
        near(k, "cos_u8", 3, k->cos_u8(light, light, 3), 0, 1e-15);
    }
}

/* --------------------------------------------------------------------------------------- u8 */

struct sums_u8 {
    uint32_t l2sq, ip;
    float cos;
};

static struct sums_u8 reference_u8(const uint8_t *a, const uint8_t *b, size_t dim)
{
    uint64_t l2sq = 0, ip = 0, aa = 0, bb = 0;
    for (size_t d = 0; d < dim; d++) {
        l2sq += (uint64_t)((a[d] - b[d]) * (a[d] - b[d]));
        ip += (uint64_t)a[d] * b[d];
        aa += (uint64_t)a[d] * a[d];
        bb += (uint64_t)b[d] * b[d];
    }
    const double cos = aa && bb ? 2 - 2 * (double)ip / sqrt((double)aa * (double)bb) : 2;
    return (struct sums_u8){ (uint32_t)l2sq, (uint32_t)ip, (float)cos };
}

static void check_pair_u8(const struct kernels *k, const uint8_t *a, const uint8_t *b, size_t dim)
{
    const struct sums_u8 ref = reference_u8(a, b, dim);
    if (k->l2sq_u8(a, b, dim) != ref.l2sq || k->ip_u8(a, b, dim) != ref.ip) {
        fprintf(stderr, "%s u8 dim %zu: l2sq %u, expected %u; ip %u, expected %u\n", k->name, dim,
                k->l2sq_u8(a, b, dim), ref.l2sq, k->ip_u8(a, b, dim), ref.ip);
        _fail(__FILE__, __LINE__);
    }
    near(k, "cos_u8", dim, k->cos_u8(a, b, dim), (double)ref.cos, 1e-6);
}

/* Rows in any order and place: here from the last to the first. */
static void check_each_u8(const struct kernels *k, const uint8_t *query, const uint8_t *rows,
                          size_t n, size_t dim)
{
    struct guarded out = guarded_new(n * sizeof(float)),
                   places = guarded_new(n * sizeof(const uint8_t *));
    const uint8_t **each = places.data;
    for (size_t i = 0; i < n; i++)
        each[i] = rows + (n - 1 - i) * dim;
    k->cos_u8_each(query, each, n, dim, out.data);
    for (size_t i = 0; i < n; i++) {
        const float pair = k->cos_u8(query, each[i], dim);
        if (memcmp((const float *)out.data + i, &pair, sizeof pair) == 0)
            continue;
        fprintf(stderr, "%s cos_u8_each dim %zu: row %zu of %zu\n", k->name, dim, i, n);
        _fail(__FILE__, __LINE__);
    }
    guarded_free(&out);
    guarded_free(&places);
}

/* All nine other functions on na x n rows, against the pairs'. */
static void check_forms_u8(const struct kernels *k, struct rng *r, const uint8_t *a, size_t na,
                           const uint8_t *b, size_t n, size_t dim)
{
    const size_t ld = n + rng_below(r, 3);
    check_each_u8(k, a, b, n, dim);
    struct guarded one = guarded_new(n * sizeof(uint32_t)),
                   many = guarded_new(((na - 1) * ld + n) * sizeof(uint32_t));
    for (int form = 0; form < 3; form++) {
        uint32_t *single = one.data, *out = many.data;
        memset(out, 0x5a, ((na - 1) * ld + n) * sizeof *out);
        (form == 0   ? k->l2sq_u8_1n(a, b, n, dim, single)
         : form == 1 ? k->ip_u8_1n(a, b, n, dim, single)
                     : k->cos_u8_1n(a, b, n, dim, one.data));
        (form == 0   ? k->l2sq_u8_mn(a, na, b, n, dim, out, ld)
         : form == 1 ? k->ip_u8_mn(a, na, b, n, dim, out, ld)
                     : k->cos_u8_mn(a, na, b, n, dim, many.data, ld));
        for (size_t i = 0; i < na; i++)
            for (size_t j = 0; j < ld && i * ld + j < (na - 1) * ld + n; j++) {
                const uint8_t *x = a + i * dim, *y = b + j * dim;
                uint32_t pair = 0x5a5a5a5a;
                if (j < n && form == 2) {
                    const float cos = k->cos_u8(x, y, dim);
                    memcpy(&pair, &cos, sizeof pair);
                } else if (j < n) {
                    pair = form ? k->ip_u8(x, y, dim) : k->l2sq_u8(x, y, dim);
                }
                if (out[i * ld + j] != pair || (i == 0 && j < n && single[j] != pair)) {
                    fprintf(stderr, "%s u8 form %d dim %zu (%zu, %zu) of (%zu, %zu)\n", k->name,
                            form, dim, i, j, na, n);
                    _fail(__FILE__, __LINE__);
                }
            }
    }
    guarded_free(&one);
    guarded_free(&many);
}

static void test_u8(void **state)
{
    (void)state;
    const struct kernels *table[3];
    const size_t n_tables = tables(table);
    struct rng r = rng_at(test_seed(), 5);
    for (size_t i = 0; i < DIMS + 2; i++) {
        const size_t dim = i < DIMS ? dim_at(i) : i == DIMS ? 3 : 4096;
        const size_t na = i < DIMS ? 1 + rng_below(&r, 9) : i == DIMS ? 1030 : 70;
        const size_t n = i < DIMS ? rng_below(&r, 40) : i == DIMS ? 300 : 9;
        struct guarded a = random_u8(&r, na * dim), b = random_u8(&r, n * dim);
        for (size_t t = 0; t < n_tables; t++) {
            for (size_t j = 0; j < n && j < 3; j++)
                check_pair_u8(table[t], a.data, (uint8_t *)b.data + j * dim, dim);
            check_forms_u8(table[t], &r, a.data, na, b.data, n, dim);
        }
        guarded_free(&a);
        guarded_free(&b);
    }
}

/* The largest sums there are: every product, difference and intermediate at its limit. */
static void test_u8_extremes(void **state)
{
    (void)state;
    const struct kernels *table[3];
    const size_t n_tables = tables(table);
    static const size_t dims[] = { 1, 63, 64, 65, 1000, 33026, 65535 };
    for (size_t d = 0; d < sizeof dims / sizeof *dims; d++) {
        const size_t dim = dims[d];
        struct rng r = rng_at(test_seed(), 6);
        struct guarded rows = random_u8(&r, 6 * dim);
        uint8_t *row = rows.data;
        memset(row, 0, dim);
        memset(row + dim, 255, dim);
        memset(row + 2 * dim, 127, dim);
        memset(row + 3 * dim, 128, dim);
        memset(row + 4 * dim, 255, dim / 2);
        for (size_t t = 0; t < n_tables; t++) {
            const struct kernels *k = table[t];
            for (size_t i = 0; i < 6; i++)
                for (size_t j = 0; j < 6; j++)
                    check_pair_u8(k, row + i * dim, row + j * dim, dim);
            check_forms_u8(k, &r, row, 6, row, 6, dim);
            assert_int_equal(k->l2sq_u8(row, row + dim, dim), 65025 * (uint32_t)dim);
        }
        guarded_free(&rows);
    }
}

/* ------------------------------------------------------------------------------------ codes */

static unsigned bits_of(uint64_t x)
{
    unsigned n = 0;
    for (; x; x &= x - 1)
        n++;
    return n;
}

static void check_within(const struct kernels *k, uint64_t query, const uint64_t *codes, size_t n,
                         unsigned radius)
{
    struct guarded out = guarded_new(n * sizeof(uint32_t));
    const uint32_t *position = out.data;
    const size_t found = k->hamming_b64_within(query, codes, n, radius, out.data);
    size_t at = 0;
    for (size_t i = 0; i < n; i++) {
        if (bits_of(query ^ codes[i]) > radius)
            continue;
        assert_true(at < found);
        assert_int_equal(position[at++], i);
    }
    assert_int_equal(at, found);
    guarded_free(&out);
}

static void test_hamming(void **state)
{
    (void)state;
    const struct kernels *table[3];
    const size_t n_tables = tables(table);
    struct rng r = rng_at(test_seed(), 7);
    static const size_t longer[] = { 511, 512, 1000, 2048, 4099 };
    static const unsigned radii[] = { 0, 1, 8, 20, 28, 32, 63, 64, 65, UINT_MAX };
    for (size_t i = 0; i < 200 + sizeof longer / sizeof *longer; i++) {
        const size_t n = i < 200 ? i : longer[i - 200];
        struct guarded g = random_codes(&r, n), out = guarded_new(n);
        uint64_t *codes = g.data;
        const uint64_t query = n % 3 == 1 ? codes[n / 2] : n % 3 == 2 ? ~codes[0] : rng_u64(&r);
        for (size_t t = 0; t < n_tables; t++) {
            const struct kernels *k = table[t];
            k->hamming_b64_1n(query, codes, n, out.data);
            for (size_t j = 0; j < n; j++)
                assert_int_equal(((uint8_t *)out.data)[j], bits_of(query ^ codes[j]));
            for (size_t j = 0; j < sizeof radii / sizeof *radii; j++)
                check_within(k, query, codes, n, radii[j]);
        }
        guarded_free(&g);
        guarded_free(&out);
    }
}

enum { LINES = 40, LINE_BYTES = 64 };

static void check_lines(const struct kernels *k, struct rng *r, const unsigned char *base, size_t n)
{
    const uint32_t *lines32[LINES];
    const uint64_t *lines64[LINES];
    uint32_t queries[LINES], cares[LINES], limits[LINES];
    struct guarded out32 = guarded_new(n * sizeof(uint16_t)), out64 = guarded_new(n);
    const unsigned limit = rng_below(r, 8) ? (unsigned)rng_below(r, 66) : UINT_MAX;
    for (size_t l = 0; l < n; l++) {
        const unsigned char *line = base + LINE_BYTES * rng_below(r, LINES);
        lines32[l] = (const uint32_t *)(const void *)line;
        lines64[l] = (const uint64_t *)(const void *)line;
        queries[l] = rng_below(r, 2) ? lines32[l][rng_below(r, 16)] : (uint32_t)rng_u64(r);
        cares[l] = rng_below(r, 2) ? (uint32_t)rng_u64(r) : UINT32_MAX;
        limits[l] = rng_below(r, 8) ? (uint32_t)rng_below(r, 34) : UINT32_MAX;
    }
    const uint64_t query = n ? lines64[0][rng_below(r, 8)] : 0;
    k->hamming_b32_lines(queries, cares, lines32, limits, n, out32.data);
    k->hamming_b64_lines(query, lines64, n, limit, out64.data);
    for (size_t l = 0; l < n; l++) {
        for (unsigned i = 0; i < 16; i++)
            assert_int_equal(((uint16_t *)out32.data)[l] >> i & 1,
                             bits_of((queries[l] ^ lines32[l][i]) & cares[l]) <= limits[l]);
        for (unsigned i = 0; i < 8; i++)
            assert_int_equal(((uint8_t *)out64.data)[l] >> i & 1,
                             bits_of(query ^ lines64[l][i]) <= limit);
    }
    guarded_free(&out32);
    guarded_free(&out64);
}

static void check_runs(const struct kernels *k, struct rng *r, const unsigned char *base, size_t n)
{
    struct line_run runs[LINES] = { { 0 } };
    struct line_hit hits[LINES * LINES];
    size_t at = 0;
    for (size_t i = 0; i < n; i++) {
        const size_t first = (size_t)rng_below(r, LINES);
        const unsigned char *line = base + LINE_BYTES * first;
        runs[i] = (struct line_run){ .codes = (const uint32_t *)(const void *)line,
                                     .lines = (uint32_t)rng_below(r, LINES - first + 1),
                                     .care = rng_below(r, 2) ? (uint32_t)rng_u64(r) : UINT32_MAX,
                                     .limit = (uint32_t)rng_below(r, 34) };
        runs[i].query = rng_below(r, 2) ? runs[i].codes[rng_below(r, 16)] : (uint32_t)rng_u64(r);
    }
    const size_t found = k->hamming_b32_runs(runs, n, hits);
    for (size_t i = 0; i < n; i++)
        for (uint32_t l = 0; l < runs[i].lines; l++) {
            unsigned mask = 0;
            for (unsigned c = 0; c < 16; c++)
                mask |= (unsigned)(bits_of((runs[i].query ^ runs[i].codes[16 * l + c]) &
                                           runs[i].care) <= runs[i].limit)
                        << c;
            if (mask == 0)
                continue;
            assert_true(at < found);
            assert_int_equal(hits[at].run, i);
            assert_int_equal(hits[at].line, l);
            assert_int_equal(hits[at++].codes, mask);
        }
    assert_int_equal(at, found);
}

static void test_hamming_lines(void **state)
{
    (void)state;
    const struct kernels *table[3];
    const size_t n_tables = tables(table);
    struct rng r = rng_at(test_seed(), 14);
    struct guarded g = random_codes(&r, (size_t)LINES * LINE_BYTES / sizeof(uint64_t));
    for (size_t i = 0; i < 300; i++)
        for (size_t t = 0; t < n_tables; t++) {
            check_lines(table[t], &r, g.data, i % (LINES + 1));
            check_runs(table[t], &r, g.data, i % (LINES + 1));
        }
    guarded_free(&g);
}

static void test_hamming_many(void **state)
{
    (void)state;
    const struct kernels *table[3];
    const size_t n_tables = tables(table);
    struct rng r = rng_at(test_seed(), 8);
    for (size_t na = 1; na < 8; na++) {
        const size_t n = na == 7 ? 4200 : rng_below(&r, 300), ld = n + na % 3;
        struct guarded a = random_codes(&r, na), b = random_codes(&r, n),
                       out = guarded_new((na - 1) * ld + n);
        const uint64_t *x = a.data, *y = b.data;
        const uint8_t *got = out.data;
        for (size_t t = 0; t < n_tables; t++) {
            memset(out.data, 99, (na - 1) * ld + n);
            table[t]->hamming_b64_mn(x, na, y, n, out.data, ld);
            for (size_t i = 0; i < na; i++)
                for (size_t j = 0; j < ld && i * ld + j < (na - 1) * ld + n; j++)
                    assert_int_equal(got[i * ld + j], j < n ? bits_of(x[i] ^ y[j]) : 99);
        }
        guarded_free(&a);
        guarded_free(&b);
        guarded_free(&out);
    }
}

/* -------------------------------------------------------------------------------- selection */

/* A few distinct values, so that ties and hits at the limit are many; some NaN and infinite. */
static struct guarded random_values(struct rng *r, size_t n)
{
    static const float odd[] = { NAN, INFINITY, -INFINITY, 0.0f, -0.0f };
    struct guarded g = guarded_new(n * sizeof(float));
    float *x = g.data;
    for (size_t i = 0; i < n; i++)
        x[i] = rng_below(r, 8) ? (float)rng_below(r, 20) - 4 : odd[rng_below(r, 5)];
    return g;
}

#define CHECK_AT_MOST(k, suffix, value, n, limit)                                    \
    do {                                                                             \
        struct guarded out = guarded_new((n) * sizeof(uint32_t));                    \
        const uint32_t *position = out.data;                                         \
        const size_t found = (k)->at_most_##suffix((value), (n), (limit), out.data); \
        size_t at = 0;                                                               \
        for (size_t j = 0; j < (n); j++)                                             \
            if ((value)[j] <= (limit)) {                                             \
                assert_true(at < found);                                             \
                assert_int_equal(position[at++], j);                                 \
            }                                                                        \
        assert_int_equal(at, found);                                                 \
        guarded_free(&out);                                                          \
    } while (0)

static void test_at_most(void **state)
{
    (void)state;
    const struct kernels *table[3];
    const size_t n_tables = tables(table);
    struct rng r = rng_at(test_seed(), 9);
    static const float limits[] = { -INFINITY, -5, -0.0f, 3, 15, INFINITY, NAN };
    for (size_t n = 0; n < 300; n++) {
        struct guarded f = random_values(&r, n), bytes = random_u8(&r, n),
                       words = random_u8(&r, 4 * n);
        for (size_t t = 0; t < n_tables; t++) {
            for (size_t i = 0; i < sizeof limits / sizeof *limits; i++)
                CHECK_AT_MOST(table[t], f32, (const float *)f.data, n, limits[i]);
            for (unsigned top = 0; top <= 256; top += 32) {
                const uint8_t limit8 = (uint8_t)(top ? top - 1 : 0);
                const uint32_t limit = (uint32_t)limit8 << 24 | (top == 256 ? 0xffffff : 0);
                CHECK_AT_MOST(table[t], u8, (const uint8_t *)bytes.data, n, limit8);
                CHECK_AT_MOST(table[t], u32, (const uint32_t *)words.data, n, limit);
            }
        }
        guarded_free(&f);
        guarded_free(&bytes);
        guarded_free(&words);
    }
}

static size_t reference_argmin(const float *x, size_t n)
{
    size_t best = 0;
    for (size_t i = 1; i < n; i++)
        if (!isnan(x[i]) && (isnan(x[best]) || x[i] < x[best]))
            best = i;
    return best;
}

static void test_argmin(void **state)
{
    (void)state;
    const struct kernels *table[3];
    const size_t n_tables = tables(table);
    struct rng r = rng_at(test_seed(), 10);
    for (size_t n = 1; n < 300; n++) {
        struct guarded g = random_values(&r, n);
        float *x = g.data;
        const size_t expected = reference_argmin(x, n);
        for (size_t t = 0; t < n_tables; t++)
            assert_int_equal(table[t]->argmin_f32(x, n), expected);
        static const float fill[] = { NAN, INFINITY, 7 };
        for (size_t f = 0; f < 3; f++) {
            for (size_t i = 0; i < n; i++)
                x[i] = fill[f];
            const size_t at = rng_below(&r, n);
            for (size_t t = 0; t < n_tables; t++) {
                assert_int_equal(table[t]->argmin_f32(x, n), 0);
                x[at] = f == 0 ? INFINITY : 6;
                assert_int_equal(table[t]->argmin_f32(x, n), at);
                x[at] = fill[f];
            }
            /* Every later value NaN: none may push the smallest out. */
            x[at] = f == 0 ? INFINITY : 6;
            for (size_t i = at + 1; i < n; i++)
                x[i] = NAN;
            for (size_t t = 0; t < n_tables; t++)
                assert_int_equal(table[t]->argmin_f32(x, n), at);
        }
        guarded_free(&g);
    }
}

/* --------------------------------------------------------------------------------- dispatch */

static void test_dispatch(void **state)
{
    (void)state;
    enum isa isa = ISA_AVX2;
    assert_ptr_equal(kernels_select(ISA_SCALAR), &kernels_scalar);
    assert_int_equal(kernels_select(ISA_AVX512)->isa, kernels_best_isa());
    for (enum isa at_most = ISA_SCALAR; at_most <= ISA_AVX512; at_most++) {
        const struct kernels *k = kernels_select(at_most);
        assert_true(k->isa <= at_most && k->isa <= kernels_best_isa());
        assert_int_equal(kernels_isa_named(k->name, &isa), 0);
        assert_int_equal(isa, k->isa);
        /* A forgotten entry would be a NULL; the table is its two heads and then functions only. */
        void (*const *function)(void) = (void (*const *)(void))(const void *)&k->l2sq_f32;
        const size_t n = (sizeof *k - offsetof(struct kernels, l2sq_f32)) / sizeof(void (*)(void));
        for (size_t i = 0; i < n; i++)
            assert_true(function[i] != NULL);
    }
    static const char *const wrong[] = { "", "AVX2", "avx", "avx5122", "neon" };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_int_equal(kernels_isa_named(wrong[i], &isa), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dispatch),        cmocka_unit_test(test_f32_pairs),
        cmocka_unit_test(test_f32_forms_agree), cmocka_unit_test(test_f32_any_alignment),
        cmocka_unit_test(test_cosine_corners),  cmocka_unit_test(test_u8),
        cmocka_unit_test(test_u8_extremes),     cmocka_unit_test(test_hamming),
        cmocka_unit_test(test_hamming_many),    cmocka_unit_test(test_at_most),
        cmocka_unit_test(test_argmin),          cmocka_unit_test(test_hamming_lines),
    };
    return test_run("kernels", tests);
}
