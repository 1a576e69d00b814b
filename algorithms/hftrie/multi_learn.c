/* multi_learn.c - which bit goes into which block, so that buckets come out even; and how far apart
 * codes are in the bits of an entry.
 *
 * Pairs of rows that agree in a whole key are what makes buckets large. From a sample of pairs of
 * different codes the blocks are given bits in turn, each the one that leaves fewest of its pairs
 * in agreement. (GPH, Qin et al. 2018, refines a partition by the cost of a sample of queries; here
 * it costs a few popcounts.) Whether that is worth anything is judged by pairs it has not seen.
 */
#include <string.h>

#include "multi.h"
#include "src/core/rng.h"

#define PAIRS      8192
#define WORDS      (PAIRS / 64)
#define DEPTH_MOST 8   /* bits of a key by which orders are compared: more leave too few pairs */
#define WORTH      .75 /* pairs left, of those left by the order in use */

enum { STREAM_LEARN = 61, STREAM_JUDGE, STREAM_MEASURE };

/* XORs of pairs of rows with different codes; 0 where none was found at once. */
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

/* Takes bits in turn: place 16 j + i is the i-th that block j took. */
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

void multi_spread(const uint8_t order[64], uint64_t spread[8][256])
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

/* Of the four keys' first `depth` bits, how many agree. */
static unsigned agreements(uint64_t permuted_xor, unsigned depth)
{
    unsigned n = 0;
    for (unsigned j = 0; j < MULTI_TABLES; j++)
        n += (permuted_xor >> MULTI_BLOCK * j & ((1U << depth) - 1)) == 0;
    return n;
}

bool multi_learn(const struct multi *m, uint64_t seed, uint8_t order[64])
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
    multi_spread(order, spread);
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

/* An entry of the row's bucket, drawn at random, less the row's own: where its bits differ from the
   row's. 0: drew its own. */
static uint64_t neighbour(const struct multi *m, unsigned table, uint64_t p, struct rng *r)
{
    const struct multi_table *t = &m->table[table];
    const uint32_t key = multi_key(m, table, p);
    const struct multi_bucket *b = &t->buckets[key];
    uint32_t at = (uint32_t)rng_below(r, b->n), link = b->first, left = b->n;
    for (; at >= multi_fill(left); left -= multi_fill(left)) {
        at -= multi_fill(left);
        link = t->lines[link & ~MULTI_RUN].entry[MULTI_ENTRIES];
    }
    return (uint64_t)t->lines[link & ~MULTI_RUN].entry[at] ^ multi_entry(table, p);
}

/* Queries are taken to be like rows: what is near to one in a bucket is what is near to a row in its
   own, and never less than uniform codes would give. Of tables 1 .. 3, entries that agree in block 0
   are left out, for table 0 finds them. */
static void measure_table(struct multi *m, unsigned table, struct rng *r)
{
    const size_t pairs = m->store.n < PAIRS ? m->store.n : PAIRS;
    uint32_t counts[33] = { 0 }, drawn = 0;
    for (size_t i = 0; i < pairs; i++) {
        const uint64_t p = multi_permute(m, m->store.codes[rng_below(r, m->store.n)]);
        const uint64_t x = neighbour(m, table, p, r);
        drawn += x != 0;
        if (x != 0 && (table == 0 || (x & 0xffff) != 0))
            counts[__builtin_popcountll(x)]++;
    }
    double binomial = 1.0 / 4294967296.0, uniform = 0, seen = 0;
    for (unsigned l = 0; l <= 32; l++) {
        uniform += binomial;
        binomial *= (double)(32 - l) / (double)(l + 1);
        seen += drawn ? (double)counts[l] / drawn : 0;
        m->within[table][l] = (float)(seen > uniform ? seen : uniform);
    }
}

void multi_measure(struct multi *m, uint64_t seed)
{
    struct rng r = rng_at(seed, STREAM_MEASURE);
    for (unsigned j = 0; j < MULTI_TABLES; j++)
        measure_table(m, j, &r);
    const double mean = (double)m->n_codes / (double)((size_t)1 << m->shape.bits);
    m->walk_lines = multi_crowding(m, 0) / MULTI_ENTRIES + 1;
    m->evenness = 1;
    for (unsigned j = 0; j < MULTI_TABLES; j++) {
        /* By chance the bucket of an entry has the mean and itself. */
        const double even = mean / (multi_crowding(m, j) - 1);
        m->evenness = even > 0 && even < m->evenness ? even : m->evenness;
    }
}

double multi_crowding(const struct multi *m, unsigned table)
{
    double squares = 0;
    for (size_t i = 0; m->shape.bits && i < (size_t)1 << m->shape.bits; i++)
        squares += (double)m->table[table].buckets[i].n * (double)m->table[table].buckets[i].n;
    return m->n_codes ? squares / (double)m->n_codes : 0;
}
