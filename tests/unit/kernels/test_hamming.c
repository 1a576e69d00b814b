/* test_hamming.c - the kernels of binary codes, in every table this processor can run, against
 * counting bit by bit. */
#include "tests/unit/kernels/support.h"

static struct guarded random_codes(struct rng *r, size_t n)
{
    struct guarded g = guarded_new(n * sizeof(uint64_t));
    test_fill_b64(r, g.data, n, n % 2 ? 5 : 0);
    return g;
}

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

static unsigned bits_between(const uint64_t *a, const uint64_t *b, size_t words)
{
    unsigned n = 0;
    for (size_t w = 0; w < words; w++)
        n += bits_of(a[w] ^ b[w]);
    return n;
}

/* Codes of every number of words, one query near some of them, radii about the distances. */
static void test_hamming_words(void **state)
{
    const struct kernels *table[3];
    const size_t n_tables = tables(table);
    struct rng r = rng_at(test_seed(), 21);
    for (size_t words = 1; words <= 17; words++)
        for (size_t n = 0; n < 40; n += n < 20 ? 1 : 7) {
            struct guarded g = random_codes(&r, (n + 1) * words), out = guarded_new(2 * n),
                           near = guarded_new(4 * n);
            uint64_t *query = g.data, *codes = query + words;
            const uint16_t *distance = out.data;
            const uint32_t *position = near.data;
            const unsigned some = n ? bits_between(query, codes + n / 2 * words, words) : 5;
            const unsigned radii[] = { 0, some, some + 1, 64 * (unsigned)words, UINT_MAX };
            for (size_t t = 0; t < n_tables; t++) {
                table[t]->hamming_words_1n(query, codes, n, words, out.data);
                for (size_t i = 0; i < n; i++)
                    assert_int_equal(distance[i], bits_between(query, codes + i * words, words));
                for (size_t j = 0; j < sizeof radii / sizeof *radii; j++) {
                    const size_t found =
                        table[t]->hamming_words_within(query, codes, n, words, radii[j], near.data);
                    size_t at = 0;
                    for (size_t i = 0; i < n; i++) {
                        if (distance[i] > radii[j])
                            continue;
                        assert_true(at < found);
                        assert_int_equal(position[at++], i);
                    }
                    assert_int_equal(at, found);
                }
            }
            guarded_free(&g);
            guarded_free(&out);
            guarded_free(&near);
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
                                     .limit = (uint32_t)rng_below(r, 42),
                                     .wide = rng_below(r, 2),
                                     .query_more = (uint8_t)rng_u64(r) };
        runs[i].query = rng_below(r, 2) ? runs[i].codes[rng_below(r, 16)] : (uint32_t)rng_u64(r);
    }
    const size_t found = k->hamming_b32_runs(runs, n, hits);
    for (size_t i = 0; i < n; i++)
        for (uint32_t l = 0; l < runs[i].lines; l++) {
            const uint32_t *line = runs[i].codes + 16 * (size_t)l;
            unsigned mask = 0;
            for (unsigned c = 0; c < (runs[i].wide ? 12U : 16U); c++) {
                unsigned distance = bits_of((runs[i].query ^ line[c]) & runs[i].care);
                if (runs[i].wide)
                    distance += bits_of(runs[i].query_more ^ (line[12 + c / 4] >> c % 4 * 8 & 255));
                mask |= (unsigned)(distance <= runs[i].limit) << c;
            }
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

int main(void)
{
    return test_run_all("kernels_hamming", test_hamming, test_hamming_words, test_hamming_lines,
                        test_hamming_many);
}
