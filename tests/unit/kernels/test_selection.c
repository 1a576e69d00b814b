/* test_selection.c - at_most and argmin of every table this processor can run: ties, NaN and
 * infinite values as the header defines them. */
#include "tests/unit/kernels/support.h"

/* A few distinct values, for many ties and many values at the limit; some are NaN or infinite. */
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
    const struct kernels *table[3];
    const size_t n_tables = tables(table);
    struct rng r = rng_at(test_seed(), 9);
    static const float limits[] = { -INFINITY, -5, -0.0f, 3, 15, INFINITY, NAN };
    for (size_t n = 0; n < 300; n++) {
        struct guarded f = random_values(&r, n), bytes = random_u8(&r, n);
        for (size_t t = 0; t < n_tables; t++) {
            for (size_t i = 0; i < sizeof limits / sizeof *limits; i++)
                CHECK_AT_MOST(table[t], f32, (const float *)f.data, n, limits[i]);
            for (unsigned top = 0; top <= 256; top += 32) {
                const uint8_t limit8 = (uint8_t)(top ? top - 1 : 0);
                CHECK_AT_MOST(table[t], u8, (const uint8_t *)bytes.data, n, limit8);
            }
        }
        guarded_free(&f);
        guarded_free(&bytes);
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
            /* All later values are NaN: none may replace the smallest. */
            x[at] = f == 0 ? INFINITY : 6;
            for (size_t i = at + 1; i < n; i++)
                x[i] = NAN;
            for (size_t t = 0; t < n_tables; t++)
                assert_int_equal(table[t]->argmin_f32(x, n), at);
        }
        guarded_free(&g);
    }
}

int main(void)
{
    return test_run_all("kernels_selection", test_at_most, test_argmin);
}
