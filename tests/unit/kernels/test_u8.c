/* test_u8.c - the byte kernels of every table this processor can run, against arithmetic in 64
 * bits: sums are exact, cos is rounded. Within a table the three forms agree bit for bit. */
#include "tests/unit/kernels/support.h"

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

/* Rows in any order and at any place: here from the last to the first. */
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

/* Compares all nine other functions on na x n rows with those of pairs. */
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

/* The largest possible sums: every product, difference and intermediate value at its limit. */
static void test_u8_extremes(void **state)
{
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

int main(void)
{
    return test_run_all("kernels_u8", test_u8, test_u8_extremes);
}
