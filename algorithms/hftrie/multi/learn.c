/* learn.c - assigning bits to blocks so that buckets are even, and measuring how far apart codes
 * are: in the bits of an entry, and sampled rows from all others.
 *
 * Buckets are large if many pairs of rows agree in a whole key. From a sample of pairs of different
 * codes, the blocks take bits in turn, each the bit that leaves the fewest of its pairs in
 * agreement. (GPH, Qin et al. 2018, refines a partition by the cost of a sample of queries; here it
 * costs a few popcounts.) Whether the result is better is judged on pairs that were not used. */
#include <math.h>
#include <string.h>

#include "algorithms/hftrie/multi/multi.h"
#include "kernels/kernels.h"
#include "src/core/rng.h"

#define PAIRS 8192
#define TILE  ((size_t)1024) /* codes compared with all samples while they are in the cache */
#define WORDS (PAIRS / 64)
/* Bits of a key by which orders are compared; with more, too few pairs remain. */
#define DEPTH_MOST 8
/* A new order pays if it leaves less than this share of the pairs that agree in the current one. */
#define WORTH .75

enum { STREAM_LEARN = 61, STREAM_JUDGE, STREAM_MEASURE };

/* The XOR of a random pair of rows with different codes; 0 if none was found quickly. */
static uint64_t pair(const struct multi *m, struct rng *r)
{
    const uint64_t *codes = m->store.codes;
    uint64_t x = 0;
    for (int i = 0; x == 0 && i < 16; i++)
        x = codes[rng_below(r, m->store.n)] ^ codes[rng_below(r, m->store.n)];
    return x;
}

static size_t agreeing(const uint64_t *a, const uint64_t *b)
{
    size_t n = 0;
    for (size_t w = 0; w < WORDS; w++)
        n += (size_t)__builtin_popcountll(a[w] & b[w]);
    return n;
}

/* Blocks take bits in turn: place 16 j + i is the i-th bit of block j. */
static void choose(uint64_t equal[64][WORDS], uint8_t order[64])
{
    uint64_t left[MULTI_TABLES][WORDS];
    bool taken[64] = { false };
    memset(left, 255, sizeof left);
    for (unsigned i = 0; i < MULTI_BLOCK; i++)
        for (unsigned j = 0; j < MULTI_TABLES; j++) {
            unsigned best = 64;
            size_t fewest = SIZE_MAX;
            for (unsigned bit = 0; bit < 64; bit++) {
                const size_t n = taken[bit] ? SIZE_MAX : agreeing(left[j], equal[bit]);
                if (n < fewest) {
                    fewest = n;
                    best = bit;
                }
            }
            taken[best] = true;
            order[MULTI_BLOCK * j + i] = (uint8_t)best;
            for (size_t w = 0; w < WORDS; w++)
                left[j][w] &= equal[best][w];
        }
}

void hftrie_multi_spread(const uint8_t order[64], uint64_t spread[8][256])
{
    uint8_t place[64];
    for (unsigned i = 0; i < 64; i++)
        place[order[i]] = (uint8_t)i;
    for (unsigned byte = 0; byte < 8; byte++)
        for (unsigned value = 0; value < 256; value++) {
            spread[byte][value] = 0;
            for (unsigned bit = 0; bit < 8; bit++)
                spread[byte][value] |= (uint64_t)(value >> bit & 1) << place[8 * byte + bit];
        }
}

/* How many of the four keys agree in their first `depth` bits. */
static unsigned agreements(uint64_t permuted_xor, unsigned depth)
{
    unsigned n = 0;
    for (unsigned j = 0; j < MULTI_TABLES; j++)
        n += (permuted_xor >> MULTI_BLOCK * j & ((1U << depth) - 1)) == 0;
    return n;
}

bool hftrie_multi_learn(const struct multi *m, uint64_t seed, uint8_t order[64])
{
    uint64_t equal[64][WORDS], spread[8][256];
    struct rng learn = rng_at(seed, STREAM_LEARN), judge = rng_at(seed, STREAM_JUDGE);
    memset(equal, 0, sizeof equal);
    for (size_t i = 0; i < PAIRS; i++) {
        const uint64_t x = pair(m, &learn);
        for (unsigned bit = 0; bit < 64; bit++)
            equal[bit][i / 64] |= (~x >> bit & 1) << i % 64;
    }
    choose(equal, order);
    hftrie_multi_spread(order, spread);
    size_t now = 0, then = 0;
    for (size_t i = 0; i < PAIRS; i++) {
        const uint64_t x = pair(m, &judge);
        uint64_t p = 0;
        for (unsigned byte = 0; byte < 8; byte++)
            p |= spread[byte][x >> 8 * byte & 255];
        now += agreements(multi_permute(m, x), DEPTH_MOST);
        then += agreements(p, DEPTH_MOST);
    }
    return (double)then < WORTH * (double)now;
}

/* XOR of the row's entry and another one of its bucket, drawn at random. 0: drew its own. */
static uint64_t neighbour(const struct multi *m, unsigned table, uint64_t p, struct rng *r)
{
    const struct multi_table *t = &m->table[table];
    const uint32_t key = multi_key(m, table, p);
    const struct multi_bucket *b = &t->buckets[key];
    uint32_t at = (uint32_t)rng_below(r, b->n), link = b->first, left = b->n;
    for (; at >= multi_fill(table, left); left -= multi_fill(table, left)) {
        at -= multi_fill(table, left);
        link = t->lines[link & ~MULTI_RUN].entry[MULTI_LINK];
    }
    return multi_line_get(&t->lines[link & ~MULTI_RUN], table, at) ^ multi_entry(table, p);
}

/* Queries are assumed to be like rows: entries near a query in a bucket are counted as entries near
   a row in its own, and at least as many as for uniform codes. In tables 1 .. 3, entries that agree
   in block 0 are excluded, because table 0 finds them. */
static void measure_table(struct multi *m, unsigned table, struct rng *r)
{
    const size_t pairs = m->store.n < PAIRS ? m->store.n : PAIRS;
    const unsigned bits = multi_entry_bits(table);
    uint32_t counts[41] = { 0 }, drawn = 0;
    for (size_t i = 0; i < pairs; i++) {
        const uint64_t p = multi_permute(m, m->store.codes[rng_below(r, m->store.n)]);
        const uint64_t x = neighbour(m, table, p, r);
        drawn += x != 0;
        if (x != 0 && (table == 0 || (x & 0xffff) != 0))
            counts[__builtin_popcountll(x)]++;
    }
    double binomial = ldexp(1, -(int)bits), uniform = 0, seen = 0;
    for (unsigned l = 0; l <= bits; l++) {
        uniform += binomial;
        binomial *= (double)(bits - l) / (double)(l + 1);
        seen += drawn ? (double)counts[l] / drawn : 0;
        m->within[table][l] = (float)(seen > uniform ? seen : uniform);
    }
}

/* Counts the rows of the tile that are within each distance of a code. */
static void count_near(const struct multi *m, uint64_t code, size_t first, size_t n,
                       uint32_t counts[MULTI_NEAR + 1])
{
    uint32_t positions[TILE];
    const uint64_t *codes = m->store.codes + first;
    const size_t near = m->kernels->hamming_b64_within(code, codes, n, MULTI_NEAR, positions);
    for (size_t i = 0; i < near; i++)
        counts[__builtin_popcountll(code ^ codes[positions[i]])]++;
}

static void measure_near(struct multi *m, struct rng *r)
{
    uint64_t sample[MULTI_SAMPLES];
    memset(m->near, 0, sizeof m->near);
    m->near_rows = m->store.n;
    for (size_t s = 0; s < MULTI_SAMPLES; s++)
        sample[s] = m->store.codes[rng_below(r, m->store.n)];
    for (size_t first = 0; first < m->store.n; first += TILE) {
        const size_t left = m->store.n - first, n = left < TILE ? left : TILE;
        for (size_t s = 0; s < MULTI_SAMPLES; s++)
            count_near(m, sample[s], first, n, m->near[s]);
    }
    for (size_t s = 0; s < MULTI_SAMPLES; s++) {
        m->near[s][0]--; /* itself */
        for (unsigned d = 1; d <= MULTI_NEAR; d++)
            m->near[s][d] += m->near[s][d - 1];
    }
}

unsigned hftrie_multi_samples_with(const struct multi *m, double n, unsigned radius)
{
    const double wanted = n * (double)m->near_rows / (double)m->store.n;
    unsigned samples = 0;
    for (size_t s = 0; s < MULTI_SAMPLES; s++)
        samples += (double)m->near[s][radius < MULTI_NEAR ? radius : MULTI_NEAR] >= wanted;
    return samples;
}

void hftrie_multi_measure(struct multi *m, uint64_t seed)
{
    struct rng r = rng_at(seed, STREAM_MEASURE);
    measure_near(m, &r);
    for (unsigned j = 0; j < MULTI_TABLES; j++)
        measure_table(m, j, &r);
    const double mean = (double)m->n_codes / (double)((size_t)1 << m->shape.bits);
    m->walk_lines = hftrie_multi_crowding(m, 0) / multi_entries(0) + 1;
    m->evenness = 1;
    for (unsigned j = 0; j < MULTI_TABLES; j++) {
        /* with uniform keys the bucket of an entry has the mean number of others, plus itself */
        const double even = mean / (hftrie_multi_crowding(m, j) - 1);
        m->evenness = even > 0 && even < m->evenness ? even : m->evenness;
    }
}

double hftrie_multi_crowding(const struct multi *m, unsigned table)
{
    double squares = 0;
    for (size_t i = 0; m->shape.bits && i < (size_t)1 << m->shape.bits; i++)
        squares += (double)m->table[table].buckets[i].n * (double)m->table[table].buckets[i].n;
    return m->n_codes ? squares / (double)m->n_codes : 0;
}
