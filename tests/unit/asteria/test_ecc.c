/* test_ecc.c - codes: the errors they correct; decoding finds the codeword that an exhaustive
   search finds; addresses near a word come in the order of the cost of their flips. */
#include "algorithms/asteria/code/ecc.h"
#include "tests/support/testing.h"

static struct asteria_ecc code_of(enum asteria_code kind, unsigned k)
{
    struct asteria_ecc e;

    asteria_ecc_init(&e, kind, k);
    assert_int_equal(e.k, k);
    return e;
}

static int weight_of(uint64_t bits)
{
    return __builtin_popcountll(bits);
}

static const struct {
    const char *name;
    enum asteria_code kind;
    unsigned k, parity, distance;
} codes[] = {
    { "golay", ECC_GOLAY, 12, 12, 8 },
    { "bch", ECC_BCH, 12, 15, 7 },
    { "hamming", ECC_HAMMING, 11, 4, 3 },
    { "none", ECC_NONE, 24, 0, 1 },
};
enum { N_CODES = sizeof codes / sizeof *codes };

/* |p_i| = 1. */
static void soften(const struct asteria_ecc *e, uint64_t word, float *p)
{
    for (unsigned i = 0; i < e->n; i++)
        p[i] = word >> i & 1 ? -1 : 1;
}

static double correlation(const struct asteria_ecc *e, uint64_t codeword, const float *p)
{
    double sum = 0;

    for (unsigned i = 0; i < e->n; i++)
        sum += codeword >> i & 1 ? -(double)p[i] : (double)p[i];
    return sum;
}

/* The greatest correlation over all codewords, and the smallest address that has it. Eight bits of a
   codeword at a time: their correlations are in a table. */
static double best_of_all(const struct asteria_ecc *e, const float *p, uint32_t *address)
{
    static double of[8][256];
    double best = -INFINITY;

    for (unsigned i = 0; i < e->n; i += 8)
        for (unsigned bits = 0; bits < 256; bits++) {
            of[i / 8][bits] = 0;
            for (unsigned j = 0; j < 8 && i + j < e->n; j++)
                of[i / 8][bits] += bits >> j & 1 ? -(double)p[i + j] : (double)p[i + j];
        }
    for (uint32_t a = 0; a < 1U << e->k; a++) {
        const uint64_t codeword = asteria_ecc_codeword(e, a);
        double sum = 0;
        for (unsigned i = 0; i < e->n; i += 8)
            sum += of[i / 8][codeword >> i & 255];
        *address = sum > best ? a : *address;
        best = sum > best ? sum : best;
    }
    return best;
}

static void test_golay_has_its_weights(void **state)
{
    struct asteria_ecc e = code_of(ECC_GOLAY, 12);
    unsigned n[25] = { 0 };

    for (uint32_t a = 0; a < 4096; a++)
        n[weight_of(asteria_ecc_codeword(&e, a))]++;
    for (unsigned i = 0; i <= 24; i++)
        assert_int_equal(n[i], i == 0 || i == 24   ? 1
                               : i == 8 || i == 16 ? 759
                               : i == 12           ? 2576
                                                   : 0);
}

/* Tries all patterns of at most `flips` flips of one codeword, from bit `from` on. Returns how many
   are not corrected. */
static unsigned wrong_within(const struct asteria_ecc *e, uint32_t address, float *p, unsigned from,
                             unsigned flips)
{
    unsigned wrong = asteria_ecc_decode(e, p) != address;

    for (unsigned i = from; i < e->n && flips > 0; i++) {
        p[i] = -p[i];
        wrong += wrong_within(e, address, p, i + 1, flips - 1);
        p[i] = -p[i];
    }
    return wrong;
}

static void test_flips_within_the_distance_are_put_right(void **state)
{
    struct rng rng = rng_at(test_seed(), 1);

    for (unsigned c = 0; c < N_CODES; c++)
        for (unsigned k = 1; k <= codes[c].k; k++) {
            struct asteria_ecc e = code_of(codes[c].kind, k);
            const unsigned flips = (e.distance - 1) / 2;
            for (unsigned i = 0; i < 8; i++) {
                const uint32_t address = (uint32_t)rng_below(&rng, 1ULL << k);
                float p[ECC_WORD_MAX];
                soften(&e, asteria_ecc_codeword(&e, address), p);
                const unsigned wrong = wrong_within(&e, address, p, 0, flips < 3 ? flips : 3);
                if (wrong > 0)
                    fail_msg("%s, k = %u: %u patterns of %u flips at most", codes[c].name, k, wrong,
                             flips);
            }
        }
}

static void test_distances_are_as_said(void **state)
{
    for (unsigned c = 0; c < N_CODES; c++) {
        assert_int_equal(asteria_ecc_bits_most(codes[c].kind), codes[c].k);
        for (unsigned k = 1; k <= codes[c].k; k++) {
            struct asteria_ecc e = code_of(codes[c].kind, k);
            int least = 99;
            assert_int_equal(e.n, k + codes[c].parity);
            /* The sum of two codewords is a codeword. */
            for (uint32_t a = 1; a < 1U << (k < 16 ? k : 16); a++) {
                const int weight = weight_of(asteria_ecc_codeword(&e, a));
                least = weight < least ? weight : least;
            }
            assert_true(least >= (int)e.distance);
            assert_int_equal(e.distance, codes[c].distance);
            if (k == codes[c].k)
                assert_int_equal(least, e.distance);
        }
    }
}

static void test_addresses_are_the_first_bits(void **state)
{
    struct rng rng = rng_at(test_seed(), 3);

    for (unsigned c = 0; c < N_CODES; c++)
        for (unsigned k = 1; k <= codes[c].k; k++) {
            struct asteria_ecc e = code_of(codes[c].kind, k);
            for (unsigned i = 0; i < 50; i++) {
                const uint32_t a = (uint32_t)rng_below(&rng, 1ULL << k),
                               b = (uint32_t)rng_below(&rng, 1ULL << k);
                float p[ECC_WORD_MAX];
                assert_int_equal(ecc_address(&e, asteria_ecc_codeword(&e, a)), a);
                assert_true((asteria_ecc_codeword(&e, a) ^ asteria_ecc_codeword(&e, b)) ==
                            asteria_ecc_codeword(&e, a ^ b));
                assert_true(asteria_ecc_codeword(&e, a) >> e.n == 0);
                soften(&e, asteria_ecc_codeword(&e, a), p);
                assert_true(asteria_ecc_word(&e, p) == asteria_ecc_codeword(&e, a));
                assert_true((double)asteria_ecc_correlation(&e, asteria_ecc_codeword(&e, a), p) ==
                            (double)e.n);
            }
        }
}

/* Small integers, so that sums are exact and ties occur; zeros among them. */
static void draw_whole(struct rng *rng, unsigned n, float *p)
{
    const uint64_t range = 1 + rng_below(rng, 6);

    for (unsigned i = 0; i < n; i++)
        p[i] = (float)rng_below(rng, 2 * range + 1) - (float)range;
}

static void test_decoding_is_the_best_of_all(void **state)
{
    struct rng rng = rng_at(test_seed(), 4);

    for (unsigned c = 0; c < N_CODES; c++)
        for (unsigned k = 1; k <= codes[c].k && k <= 14; k++) {
            struct asteria_ecc e = code_of(codes[c].kind, k);
            for (unsigned i = 0; i < (k > 10 ? 60 : 200); i++) {
                float p[ECC_WORD_MAX];
                uint32_t best = 0;
                if (i % 2) {
                    draw_whole(&rng, e.n, p);
                    (void)best_of_all(&e, p, &best);
                    if (asteria_ecc_decode(&e, p) != best)
                        fail_msg("%s, k = %u: %u, the best is %u", codes[c].name, k,
                                 asteria_ecc_decode(&e, p), best);
                    continue;
                }
                for (unsigned j = 0; j < e.n; j++)
                    p[j] = (float)(0.1 * rng_normal(&rng));
                const double most = best_of_all(&e, p, &best);
                if (correlation(&e, asteria_ecc_codeword(&e, asteria_ecc_decode(&e, p)), p) <
                    most - 1e-6)
                    fail_msg("%s, k = %u: worse than the best", codes[c].name, k);
            }
        }
}

static void test_check_finds_a_wrong_codeword(void **state)
{
    struct error error = { 0 };

    for (unsigned c = 0; c < N_CODES; c++)
        for (unsigned k = 2; k <= codes[c].k; k += 5) {
            struct asteria_ecc e = code_of(codes[c].kind, k);
            assert_ok(asteria_ecc_check(&e, &error), &error);
            e.rows[k - 1] ^= codes[c].kind == ECC_NONE ? 1 : 1ULL << (e.n - 1);
            assert_code(asteria_ecc_check(&e, &error), ERR_INVARIANT, &error);
            e.rows[k - 1] ^= codes[c].kind == ECC_NONE ? 1 : 1ULL << (e.n - 1);
            if (codes[c].kind == ECC_HAMMING) {
                e.columns[0] ^= 2;
                assert_code(asteria_ecc_check(&e, &error), ERR_INVARIANT, &error);
            }
        }
}

/* ----------------------------------------------------------------------------------- flips */

/* The least sum of flipped |p| that leads to the address, over sets of the t least certain bits. */
static double cheapest(const struct asteria_ecc *e, const float *p, unsigned t, uint32_t address)
{
    float sizes[ECC_WORD_MAX], flipped[ECC_WORD_MAX];
    double least = INFINITY;

    for (unsigned i = 0; i < e->n; i++)
        sizes[i] = fabsf(p[i]);
    qsort(sizes, e->n, sizeof *sizes, test_by_float);
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
            struct asteria_ecc e = code_of(cases[c].kind, cases[c].k);
            float p[ECC_WORD_MAX];
            uint32_t addresses[1000];
            double before = 0;
            for (unsigned i = 0; i < e.n; i++)
                p[i] = (float)rng_normal(&rng);
            const size_t n = asteria_ecc_flips(&e, p, cases[c].t, cases[c].most, addresses);
            assert_true(n >= 1 && n <= cases[c].most);
            assert_int_equal(addresses[0], asteria_ecc_decode(&e, p));
            for (size_t i = 0; i < n; i++) {
                const double sum = cheapest(&e, p, cases[c].t, addresses[i]);
                assert_true(sum < INFINITY && sum > before - 1e-5);
                before = sum;
                for (size_t j = 0; j < i; j++)
                    assert_true(addresses[j] != addresses[i]);
            }
            /* Each set of bits has its own address. */
            if (cases[c].kind == ECC_NONE)
                assert_int_equal(n, 1U << (cases[c].t < e.k ? cases[c].t : e.k));
        }
}

/* If as many addresses are requested as there are codewords, all are returned. */
static void test_flips_of_equal_bits(void **state)
{
    struct asteria_ecc e = code_of(ECC_NONE, 12);
    const float p[12] = { 0 };
    uint32_t *addresses = malloc(4096 * sizeof *addresses);
    bool seen[4096] = { false };

    assert_non_null(addresses);
    /* -0 is the same bit as 0. */
    assert_int_equal(asteria_ecc_flips(&e, p, ECC_FLIPS_MAX, 5000, addresses), 1);
    const float ones[12] = { 1, -1, 1, 1, 1, 1, 1, 1, 1, 1, 1, -1 };
    assert_int_equal(asteria_ecc_flips(&e, ones, ECC_FLIPS_MAX, 4096, addresses), 4096);
    for (unsigned i = 0; i < 4096; i++) {
        assert_true(addresses[i] < 4096 && !seen[addresses[i]]);
        seen[addresses[i]] = true;
        if (i > 0)
            assert_true(weight_of(addresses[i] ^ addresses[0]) >=
                        weight_of(addresses[i - 1] ^ addresses[0]));
    }
    assert_int_equal(asteria_ecc_flips(&e, ones, 12, 0, addresses), 0);
    free(addresses);
}

int main(void)
{
    return test_run_all("asteria ecc", test_golay_has_its_weights,
                        test_flips_within_the_distance_are_put_right, test_distances_are_as_said,
                        test_addresses_are_the_first_bits, test_decoding_is_the_best_of_all,
                        test_check_finds_a_wrong_codeword, test_flips_come_in_order,
                        test_flips_of_equal_bits);
}
