/* test_asteria_ecc.c - codes: what they put right, and that decoding finds what trying every codeword finds. */
#include "algorithms/asteria/ecc.h"
#include "tests/testing.h"

static const struct {
    const char *name;
    enum asteria_code kind;
    unsigned k, parity, distance;
} codes[] = {
    { "golay", ECC_GOLAY, 12, 12, 8 },   { "golay2", ECC_GOLAY2, 24, 24, 8 },
    { "bch", ECC_BCH, 16, 15, 7 },       { "hamming", ECC_HAMMING, 11, 4, 3 },
    { "rm", ECC_RM, 6, 26, 16 },         { "none", ECC_NONE, 24, 0, 1 },
    { "random", ECC_RANDOM, 12, 12, 1 },
};
enum { N_CODES = sizeof codes / sizeof *codes };

static struct ecc *code_of(enum asteria_code kind, unsigned k)
{
    struct error error = { 0 };
    struct ecc *e = NULL;

    assert_ok(ecc_create(&e, NULL, kind, k, test_seed(), &error), &error);
    assert_int_equal(e->k, k);
    return e;
}

static int weight_of(uint64_t bits)
{
    return __builtin_popcountll(bits);
}

/* |p_i| = 1. */
static void soften(const struct ecc *e, uint64_t word, float *p)
{
    for (unsigned i = 0; i < e->n; i++)
        p[i] = word >> i & 1 ? -1 : 1;
}

static double correlation(const struct ecc *e, uint64_t codeword, const float *p)
{
    double sum = 0;

    for (unsigned i = 0; i < e->n; i++)
        sum += codeword >> i & 1 ? -(double)p[i] : (double)p[i];
    return sum;
}

/* The greatest correlation of all codewords, and the smallest address that has it. */
static double best_of_all(const struct ecc *e, const float *p, uint32_t *address)
{
    double best = -INFINITY;

    for (uint32_t a = 0; a < 1U << e->k; a++) {
        const double sum = correlation(e, ecc_codeword(e, a), p);
        *address = sum > best ? a : *address;
        best = sum > best ? sum : best;
    }
    return best;
}

static void test_golay_has_its_weights(void **state)
{
    (void)state;
    struct ecc *e = code_of(ECC_GOLAY, 12);
    unsigned n[25] = { 0 };

    for (uint32_t a = 0; a < 4096; a++)
        n[weight_of(ecc_codeword(e, a))]++;
    for (unsigned i = 0; i <= 24; i++)
        assert_int_equal(n[i], i == 0 || i == 24   ? 1
                               : i == 8 || i == 16 ? 759
                               : i == 12           ? 2576
                                                   : 0);
    ecc_destroy(NULL, e);
}

static void test_golay_puts_three_flips_right(void **state)
{
    (void)state;
    struct ecc *e = code_of(ECC_GOLAY, 12);

    for (uint32_t a = 0; a < 4096; a += (uint32_t)test_scale()) {
        float p[24];
        unsigned wrong = 0;
        soften(e, ecc_codeword(e, a), p);
        wrong += ecc_decode(e, p) != a;
        for (unsigned i = 0; i < 24; i++) {
            p[i] = -p[i];
            wrong += ecc_decode(e, p) != a;
            for (unsigned j = 0; j < i; j++) {
                p[j] = -p[j];
                wrong += ecc_decode(e, p) != a;
                for (unsigned l = 0; l < j; l++) {
                    p[l] = -p[l];
                    wrong += ecc_decode(e, p) != a;
                    p[l] = -p[l];
                }
                p[j] = -p[j];
            }
            p[i] = -p[i];
        }
        assert_int_equal(wrong, 0);
    }
    ecc_destroy(NULL, e);
}

/* Every pattern of `flips` flips and fewer of one codeword, from bit `from` up. */
static unsigned wrong_within(const struct ecc *e, uint32_t address, float *p, unsigned from,
                             unsigned flips)
{
    unsigned wrong = ecc_decode(e, p) != address;

    for (unsigned i = from; i < e->n && flips > 0; i++) {
        p[i] = -p[i];
        wrong += wrong_within(e, address, p, i + 1, flips - 1);
        p[i] = -p[i];
    }
    return wrong;
}

static void test_flips_within_the_distance_are_put_right(void **state)
{
    (void)state;
    struct rng rng = rng_at(test_seed(), 1);

    for (unsigned c = 0; c < N_CODES; c++)
        for (unsigned k = 1; k <= codes[c].k; k++) {
            struct ecc *e = code_of(codes[c].kind, k);
            const unsigned flips = (e->distance - 1) / 2;
            for (unsigned i = 0; i < 8; i++) {
                const uint32_t address = (uint32_t)rng_below(&rng, 1ULL << k);
                float p[ECC_WORD_MAX];
                soften(e, ecc_codeword(e, address), p);
                const unsigned wrong = wrong_within(e, address, p, 0, flips < 3 ? flips : 3);
                if (wrong > 0)
                    fail_msg("%s, k = %u: %u patterns of %u flips at most", codes[c].name, k, wrong,
                             flips);
            }
            ecc_destroy(NULL, e);
        }
}

/* Reed-Muller puts seven right; of all patterns, some. */
static void test_reed_muller_puts_seven_flips_right(void **state)
{
    (void)state;
    struct rng rng = rng_at(test_seed(), 2);
    struct ecc *e = code_of(ECC_RM, 6);

    for (unsigned i = 0; i < 20000; i++) {
        const uint32_t address = (uint32_t)rng_below(&rng, 64);
        uint64_t flips[7], word = ecc_codeword(e, address);
        float p[32];
        rng_sample(&rng, 32, 7, flips);
        for (unsigned j = 0; j < 7; j++)
            word ^= 1ULL << flips[j];
        soften(e, word, p);
        assert_int_equal(ecc_decode(e, p), address);
    }
    ecc_destroy(NULL, e);
}

static void test_distances_are_as_said(void **state)
{
    (void)state;
    for (unsigned c = 0; c < N_CODES; c++)
        for (unsigned k = 1; k <= codes[c].k; k++) {
            struct ecc *e = code_of(codes[c].kind, k);
            const bool halves = codes[c].kind == ECC_GOLAY2;
            int least = 99;
            assert_int_equal(e->n, k + (halves && k == 1 ? 12 : codes[c].parity));
            /* The sum of two codewords is one; of golay2 those of few bits of address, which both halves have. */
            for (uint32_t a = 1; a < 1U << (k < 16 ? k : 16); a++) {
                const int weight = weight_of(ecc_codeword(e, a));
                least = weight < least ? weight : least;
            }
            assert_true(least >= (int)e->distance);
            if (codes[c].kind != ECC_RANDOM)
                assert_int_equal(e->distance, codes[c].distance);
            if (k == codes[c].k || codes[c].kind == ECC_RANDOM)
                assert_int_equal(least, e->distance);
            ecc_destroy(NULL, e);
        }
}

static void test_addresses_are_the_first_bits(void **state)
{
    (void)state;
    struct rng rng = rng_at(test_seed(), 3);

    for (unsigned c = 0; c < N_CODES; c++)
        for (unsigned k = 1; k <= codes[c].k; k++) {
            struct ecc *e = code_of(codes[c].kind, k);
            for (unsigned i = 0; i < 50; i++) {
                const uint32_t a = (uint32_t)rng_below(&rng, 1ULL << k),
                               b = (uint32_t)rng_below(&rng, 1ULL << k);
                float p[ECC_WORD_MAX];
                assert_int_equal(ecc_address(e, ecc_codeword(e, a)), a);
                assert_true((ecc_codeword(e, a) ^ ecc_codeword(e, b)) == ecc_codeword(e, a ^ b));
                assert_true(ecc_codeword(e, a) >> e->n == 0);
                soften(e, ecc_codeword(e, a), p);
                assert_true(ecc_word(e, p) == ecc_codeword(e, a));
                assert_true((double)ecc_correlation(e, ecc_codeword(e, a), p) == (double)e->n);
            }
            ecc_destroy(NULL, e);
        }
}

/* Whole numbers, so that sums are exact and there are ties; zeros among them. */
static void draw_whole(struct rng *rng, unsigned n, float *p)
{
    const uint64_t range = 1 + rng_below(rng, 6);

    for (unsigned i = 0; i < n; i++)
        p[i] = (float)rng_below(rng, 2 * range + 1) - (float)range;
}

static void test_decoding_is_the_best_of_all(void **state)
{
    (void)state;
    struct rng rng = rng_at(test_seed(), 4);

    for (unsigned c = 0; c < N_CODES; c++)
        for (unsigned k = 1; k <= codes[c].k && k <= 14; k++) {
            struct ecc *e = code_of(codes[c].kind, k);
            if (codes[c].kind == ECC_BCH && k > 10) {
                ecc_destroy(NULL, e);
                continue;
            }
            for (unsigned i = 0; i < (k > 10 ? 60 : 200); i++) {
                float p[ECC_WORD_MAX];
                uint32_t best = 0;
                if (i % 2) {
                    draw_whole(&rng, e->n, p);
                    (void)best_of_all(e, p, &best);
                    if (ecc_decode(e, p) != best)
                        fail_msg("%s, k = %u: %u, the best is %u", codes[c].name, k,
                                 ecc_decode(e, p), best);
                    continue;
                }
                for (unsigned j = 0; j < e->n; j++)
                    p[j] = (float)(0.1 * rng_normal(&rng));
                const double most = best_of_all(e, p, &best);
                if (correlation(e, ecc_codeword(e, ecc_decode(e, p)), p) < most - 1e-6)
                    fail_msg("%s, k = %u: worse than the best", codes[c].name, k);
            }
            ecc_destroy(NULL, e);
        }
}

/* The halves of a whole golay2 are golay codes, of which every codeword can be tried. */
static void test_golay2_decodes_its_halves(void **state)
{
    (void)state;
    struct rng rng = rng_at(test_seed(), 5);

    for (unsigned k = 2; k <= 24; k++) {
        struct ecc *both = code_of(ECC_GOLAY2, k), *first = code_of(ECC_GOLAY, both->half),
                   *second = code_of(ECC_GOLAY, k - both->half);
        for (unsigned i = 0; i < 20; i++) {
            float p[48], p1[24], p2[24];
            uint32_t a = 0, b = 0;
            draw_whole(&rng, both->n, p);
            memcpy(p1, p, first->k * sizeof *p);
            memcpy(p1 + first->k, p + k, 12 * sizeof *p);
            memcpy(p2, p + first->k, second->k * sizeof *p);
            memcpy(p2 + second->k, p + k + 12, 12 * sizeof *p);
            (void)best_of_all(first, p1, &a);
            (void)best_of_all(second, p2, &b);
            assert_int_equal(ecc_decode(both, p), a | b << both->half);
        }
        ecc_destroy(NULL, both);
        ecc_destroy(NULL, first);
        ecc_destroy(NULL, second);
    }
}

/* Order 2 misses few of noisy codewords, and of words of no codeword at all. */
static void test_bch_misses_few(void **state)
{
    (void)state;
    struct rng rng = rng_at(test_seed(), 6);
    static const double noises[] = { 0.5, 0.8, 0 }; /* 0: no codeword */
    enum { TRIES = 150 };

    for (unsigned s = 0; s < 3; s++) {
        struct ecc *e = code_of(ECC_BCH, 16);
        unsigned found = 0;
        for (unsigned i = 0; i < TRIES; i++) {
            const uint64_t sent = ecc_codeword(e, (uint32_t)rng_below(&rng, 1 << 16));
            float p[31];
            uint32_t best = 0;
            for (unsigned j = 0; j < 31; j++)
                p[j] =
                    (float)(noises[s] > 0 ? (sent >> j & 1 ? -1 : 1) + noises[s] * rng_normal(&rng)
                                          : rng_normal(&rng));
            const double most = best_of_all(e, p, &best);
            found += correlation(e, ecc_codeword(e, ecc_decode(e, p)), p) > most - 1e-5;
        }
        print_message("bch, order 2: the best codeword of %u of %d words (noise %.1f)\n", found,
                      TRIES, noises[s]);
        assert_true(found * 100 >= (noises[s] > 0 ? 97U : 90U) * TRIES);
        ecc_destroy(NULL, e);
    }
}

static int by_size(const void *a, const void *b)
{
    const float x = *(const float *)a, y = *(const float *)b;

    return (x > y) - (x < y);
}

/* The least sum of |p| turned, of sets of the t least certain bits, that leads to the address. */
static double cheapest(const struct ecc *e, const float *p, unsigned t, uint32_t address)
{
    float sizes[ECC_WORD_MAX], turned[ECC_WORD_MAX];
    double least = INFINITY;

    for (unsigned i = 0; i < e->n; i++)
        sizes[i] = fabsf(p[i]);
    qsort(sizes, e->n, sizeof *sizes, by_size);
    t = t < e->n ? t : e->n;
    for (uint32_t set = 0; set < 1U << t; set++) {
        double sum = 0;
        for (unsigned i = 0; i < e->n; i++) {
            turned[i] = p[i];
            for (unsigned j = 0; j < t; j++)
                if (set >> j & 1 && (double)fabsf(p[i]) == (double)sizes[j])
                    turned[i] = -p[i];
            sum += (double)turned[i] == (double)p[i] ? 0 : (double)fabsf(p[i]);
        }
        if (sum < least && ecc_decode(e, turned) == address)
            least = sum;
    }
    return least;
}

static void test_flips_come_in_order(void **state)
{
    (void)state;
    struct rng rng = rng_at(test_seed(), 7);
    static const struct {
        enum asteria_code kind;
        unsigned k, t;
        size_t most;
    } cases[] = { { ECC_GOLAY, 12, 8, 1000 }, { ECC_GOLAY, 7, 6, 5 },    { ECC_NONE, 8, 8, 256 },
                  { ECC_NONE, 3, 12, 100 },   { ECC_HAMMING, 6, 7, 20 }, { ECC_BCH, 16, 6, 64 },
                  { ECC_RM, 6, 4, 16 },       { ECC_GOLAY2, 20, 5, 32 }, { ECC_NONE, 5, 0, 7 } };

    for (unsigned c = 0; c < sizeof cases / sizeof *cases; c++)
        for (unsigned round = 0; round < 5; round++) {
            struct ecc *e = code_of(cases[c].kind, cases[c].k);
            float p[ECC_WORD_MAX];
            uint32_t addresses[1000];
            double before = 0;
            for (unsigned i = 0; i < e->n; i++)
                p[i] = (float)rng_normal(&rng);
            const size_t n = ecc_flips(e, p, cases[c].t, cases[c].most, addresses);
            assert_true(n >= 1 && n <= cases[c].most);
            assert_int_equal(addresses[0], ecc_decode(e, p));
            for (size_t i = 0; i < n; i++) {
                const double sum = cheapest(e, p, cases[c].t, addresses[i]);
                assert_true(sum < INFINITY && sum > before - 1e-5);
                before = sum;
                for (size_t j = 0; j < i; j++)
                    assert_true(addresses[j] != addresses[i]);
            }
            /* Each set of bits is an address of its own. */
            if (cases[c].kind == ECC_NONE)
                assert_int_equal(n, 1U << (cases[c].t < e->k ? cases[c].t : e->k));
            ecc_destroy(NULL, e);
        }
}

/* Codewords as many as asked for where there are no more: all of them. */
static void test_flips_of_equal_bits(void **state)
{
    (void)state;
    struct ecc *e = code_of(ECC_NONE, 12);
    const float p[12] = { 0 };
    uint32_t *addresses = malloc(4096 * sizeof *addresses);
    bool seen[4096] = { false };

    assert_non_null(addresses);
    assert_int_equal(ecc_flips(e, p, 99, 5000, addresses), 1); /* -0 is no other bit than 0 */
    const float ones[12] = { 1, -1, 1, 1, 1, 1, 1, 1, 1, 1, 1, -1 };
    assert_int_equal(ecc_flips(e, ones, 99, 4096, addresses), 4096);
    for (unsigned i = 0; i < 4096; i++) {
        assert_true(addresses[i] < 4096 && !seen[addresses[i]]);
        seen[addresses[i]] = true;
        if (i > 0)
            assert_true(weight_of(addresses[i] ^ addresses[0]) >=
                        weight_of(addresses[i - 1] ^ addresses[0]));
    }
    assert_int_equal(ecc_flips(e, ones, 12, 0, addresses), 0);
    free(addresses);
    ecc_destroy(NULL, e);
}

static void test_check_finds_a_wrong_codeword(void **state)
{
    (void)state;
    struct error error = { 0 };

    for (unsigned c = 0; c < N_CODES; c++)
        for (unsigned k = 2; k <= codes[c].k; k += 5) {
            struct ecc *e = code_of(codes[c].kind, k);
            assert_ok(ecc_check(e, &error), &error);
            e->rows[k - 1] ^= codes[c].kind == ECC_NONE ? 1 : 1ULL << (e->n - 1);
            assert_code(ecc_check(e, &error), ERR_INVARIANT, &error);
            e->rows[k - 1] ^= codes[c].kind == ECC_NONE ? 1 : 1ULL << (e->n - 1);
            if (e->codewords) {
                e->codewords[(1 << k) - 1] ^= 1ULL << k;
                assert_code(ecc_check(e, &error), ERR_INVARIANT, &error);
                e->codewords[(1 << k) - 1] ^= 1ULL << k;
            }
            if (codes[c].kind == ECC_HAMMING || codes[c].kind == ECC_RM) {
                e->columns[0] ^= 2;
                assert_code(ecc_check(e, &error), ERR_INVARIANT, &error);
            }
            ecc_destroy(NULL, e);
        }
}

static void test_bits_out_of_range_are_refused(void **state)
{
    (void)state;
    struct error error = { 0 };
    struct ecc *e;

    for (unsigned c = 0; c < N_CODES; c++) {
        char most[16];
        (void)snprintf(most, sizeof most, "1 to %u", codes[c].k);
        assert_int_equal(ecc_bits_most(codes[c].kind), codes[c].k);
        assert_int_equal(ecc_create(&e, NULL, codes[c].kind, codes[c].k + 1, 1, &error),
                         ERR_ARGUMENT);
        assert_null(e);
        assert_non_null(strstr(error.text, most));
        assert_non_null(strstr(error.text, codes[c].name));
        error_clear(&error);
        assert_code(ecc_create(&e, NULL, codes[c].kind, 0, 1, &error), ERR_ARGUMENT, &error);
    }
}

static void test_no_memory(void **state)
{
    (void)state;
    for (unsigned c = 0; c < N_CODES; c++)
        for (size_t at = 1;; at++) {
            struct mem mem = { .fail_at = at };
            struct error error = { 0 };
            struct ecc *e;
            const int rc = ecc_create(&e, &mem, codes[c].kind, codes[c].k, 1, &error);
            if (atomic_load(&mem.failed)) {
                assert_code(rc, ERR_NO_MEMORY, &error);
                assert_null(e);
            } else {
                assert_ok(rc, &error);
                /* blocks are multiples of 64 */
                assert_true(mem_live(&mem) >= ecc_bytes(e) && mem_live(&mem) < ecc_bytes(e) + 256);
                ecc_destroy(&mem, e);
            }
            assert_int_equal(mem_live(&mem), 0);
            if (rc == OK)
                break;
        }
    ecc_destroy(NULL, NULL);
}

/* The same seed, the same code; another, another. */
static void test_random_is_the_seeds(void **state)
{
    (void)state;
    struct error error = { 0 };
    struct ecc *e[3];

    for (unsigned i = 0; i < 3; i++)
        assert_ok(ecc_create(&e[i], NULL, ECC_RANDOM, 12, 1 + i / 2, &error), &error);
    assert_memory_equal(e[0]->rows, e[1]->rows, sizeof e[0]->rows);
    assert_true(memcmp(e[0]->rows, e[2]->rows, sizeof e[0]->rows) != 0);
    for (unsigned i = 0; i < 3; i++)
        ecc_destroy(NULL, e[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golay_has_its_weights),
        cmocka_unit_test(test_golay_puts_three_flips_right),
        cmocka_unit_test(test_flips_within_the_distance_are_put_right),
        cmocka_unit_test(test_reed_muller_puts_seven_flips_right),
        cmocka_unit_test(test_distances_are_as_said),
        cmocka_unit_test(test_addresses_are_the_first_bits),
        cmocka_unit_test(test_decoding_is_the_best_of_all),
        cmocka_unit_test(test_golay2_decodes_its_halves),
        cmocka_unit_test(test_bch_misses_few),
        cmocka_unit_test(test_flips_come_in_order),
        cmocka_unit_test(test_flips_of_equal_bits),
        cmocka_unit_test(test_check_finds_a_wrong_codeword),
        cmocka_unit_test(test_bits_out_of_range_are_refused),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_random_is_the_seeds),
    };
    return test_run("asteria ecc", tests);
}
