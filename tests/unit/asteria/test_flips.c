/* test_flips.c - addresses near a word come in the order of the cost of their flips. */
#include "tests/unit/asteria/ecc.h"

static int by_size(const void *a, const void *b)
{
    const float x = *(const float *)a, y = *(const float *)b;

    return (x > y) - (x < y);
}

/* The least sum of flipped |p| that leads to the address, over sets of the t least certain bits. */
static double cheapest(const struct asteria_ecc *e, const float *p, unsigned t, uint32_t address)
{
    float sizes[ECC_WORD_MAX], flipped[ECC_WORD_MAX];
    double least = INFINITY;

    for (unsigned i = 0; i < e->n; i++)
        sizes[i] = fabsf(p[i]);
    qsort(sizes, e->n, sizeof *sizes, by_size);
    t = t < e->n ? t : e->n;
    for (uint32_t set = 0; set < 1U << t; set++) {
        double sum = 0;
        for (unsigned i = 0; i < e->n; i++) {
            flipped[i] = p[i];
            for (unsigned j = 0; j < t; j++)
                if (set >> j & 1 && (double)fabsf(p[i]) == (double)sizes[j])
                    flipped[i] = -p[i];
            sum += (double)flipped[i] == (double)p[i] ? 0 : (double)fabsf(p[i]);
        }
        if (sum < least && asteria_ecc_decode(e, flipped) == address)
            least = sum;
    }
    return least;
}

static void test_flips_come_in_order(void **state)
{
    struct rng rng = rng_at(test_seed(), 7);
    static const struct {
        enum asteria_code kind;
        unsigned k, t;
        size_t most;
    } cases[] = { { ECC_GOLAY, 12, 8, 1000 }, { ECC_GOLAY, 7, 6, 5 },    { ECC_NONE, 8, 8, 256 },
                  { ECC_NONE, 3, 12, 100 },   { ECC_HAMMING, 6, 7, 20 }, { ECC_BCH, 12, 6, 64 },
                  { ECC_HAMMING, 11, 4, 16 }, { ECC_NONE, 20, 5, 32 },   { ECC_NONE, 5, 0, 7 } };

    for (unsigned c = 0; c < sizeof cases / sizeof *cases; c++)
        for (unsigned round = 0; round < 5; round++) {
            struct asteria_ecc *e = code_of(cases[c].kind, cases[c].k);
            float p[ECC_WORD_MAX];
            uint32_t addresses[1000];
            double before = 0;
            for (unsigned i = 0; i < e->n; i++)
                p[i] = (float)rng_normal(&rng);
            const size_t n = asteria_ecc_flips(e, p, cases[c].t, cases[c].most, addresses);
            assert_true(n >= 1 && n <= cases[c].most);
            assert_int_equal(addresses[0], asteria_ecc_decode(e, p));
            for (size_t i = 0; i < n; i++) {
                const double sum = cheapest(e, p, cases[c].t, addresses[i]);
                assert_true(sum < INFINITY && sum > before - 1e-5);
                before = sum;
                for (size_t j = 0; j < i; j++)
                    assert_true(addresses[j] != addresses[i]);
            }
            /* Each set of bits has its own address. */
            if (cases[c].kind == ECC_NONE)
                assert_int_equal(n, 1U << (cases[c].t < e->k ? cases[c].t : e->k));
            free(e);
        }
}

/* If as many addresses are requested as there are codewords, all are returned. */
static void test_flips_of_equal_bits(void **state)
{
    struct asteria_ecc *e = code_of(ECC_NONE, 12);
    const float p[12] = { 0 };
    uint32_t *addresses = malloc(4096 * sizeof *addresses);
    bool seen[4096] = { false };

    assert_non_null(addresses);
    /* -0 is the same bit as 0. */
    assert_int_equal(asteria_ecc_flips(e, p, 99, 5000, addresses), 1);
    const float ones[12] = { 1, -1, 1, 1, 1, 1, 1, 1, 1, 1, 1, -1 };
    assert_int_equal(asteria_ecc_flips(e, ones, 99, 4096, addresses), 4096);
    for (unsigned i = 0; i < 4096; i++) {
        assert_true(addresses[i] < 4096 && !seen[addresses[i]]);
        seen[addresses[i]] = true;
        if (i > 0)
            assert_true(weight_of(addresses[i] ^ addresses[0]) >=
                        weight_of(addresses[i - 1] ^ addresses[0]));
    }
    assert_int_equal(asteria_ecc_flips(e, ones, 12, 0, addresses), 0);
    free(addresses);
    free(e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_flips_come_in_order),
        cmocka_unit_test(test_flips_of_equal_bits),
    };
    return test_run("asteria_flips", tests);
}
