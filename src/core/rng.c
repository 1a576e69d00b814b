/* rng.c - xoshiro256++ and the distributions drawn from it. */
#include "src/core/rng.h"
#include "src/core/order.h"

#include <math.h>
#include <stdlib.h>

static uint64_t finalise(uint64_t z)
{
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static uint64_t splitmix64(uint64_t *state)
{
    return finalise(*state += UINT64_C(0x9e3779b97f4a7c15));
}

uint64_t rng_mix(uint64_t a, uint64_t b)
{
    uint64_t state = a;
    state = splitmix64(&state) ^ b;
    return splitmix64(&state);
}

struct rng rng_at(uint64_t seed, uint64_t stream)
{
    uint64_t state = rng_mix(seed, stream);
    struct rng r;
    for (size_t i = 0; i < 4; i++)
        r.s[i] = splitmix64(&state);
    return r;
}

static uint64_t rotate(uint64_t x, unsigned by)
{
    return (x << by) | (x >> (64 - by));
}

uint64_t rng_u64(struct rng *r)
{
    uint64_t *s = r->s;
    const uint64_t result = rotate(s[0] + s[3], 23) + s[0];
    const uint64_t t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate(s[3], 45);
    return result;
}

/* Source: Lemire, "Fast random integer generation in an interval" (2019). */
uint64_t rng_below(struct rng *r, uint64_t n)
{
    __extension__ typedef unsigned __int128 wide;
    wide product = (wide)rng_u64(r) * n;
    if ((uint64_t)product < n) {
        const uint64_t threshold = (0 - n) % n;
        while ((uint64_t)product < threshold)
            product = (wide)rng_u64(r) * n;
    }
    return (uint64_t)(product >> 64);
}

double rng_unit(struct rng *r)
{
    return (double)(rng_u64(r) >> 11) * 0x1p-53;
}

double rng_normal(struct rng *r)
{
    /* The second value of the pair is dropped; if kept, it would make a draw depend
       on earlier calls. */
    for (;;) {
        const double x = 2 * rng_unit(r) - 1, y = 2 * rng_unit(r) - 1;
        const double s = x * x + y * y;
        if (s > 0 && s < 1)
            return x * sqrt(-2 * log(s) / s);
    }
}

#define SHUFFLE(name, type)                           \
    void name(struct rng *r, type *values, size_t n)  \
    {                                                 \
        for (size_t i = n; i > 1; i--) {              \
            const size_t j = (size_t)rng_below(r, i); \
            const type keep = values[i - 1];          \
            values[i - 1] = values[j];                \
            values[j] = keep;                         \
        }                                             \
    }

SHUFFLE(rng_shuffle_u32, uint32_t)
SHUFFLE(rng_shuffle_u64, uint64_t)

/* Knuth 3.4.2, algorithm S: takes each number with probability (still needed) / (still left). */
static void select_in_order(struct rng *r, uint64_t n, size_t m, uint64_t *out)
{
    size_t taken = 0;
    for (uint64_t i = 0; taken < m; i++)
        if (rng_below(r, n - i) < m - taken)
            out[taken++] = i;
}

/* Draws until m numbers are distinct: sorting finds duplicates, and new draws replace them. */
static void draw_distinct(struct rng *r, uint64_t n, size_t m, uint64_t *out)
{
    for (size_t have = 0; have < m;) {
        while (have < m)
            out[have++] = rng_below(r, n);
        qsort(out, m, sizeof *out, order_u64);
        have = 1;
        for (size_t i = 1; i < m; i++)
            if (out[i] != out[have - 1])
                out[have++] = out[i];
    }
}

void rng_sample(struct rng *r, uint64_t n, size_t m, uint64_t *out)
{
    if (m > n / 2)
        select_in_order(r, n, m, out);
    else
        draw_distinct(r, n, m, out);
    rng_shuffle_u64(r, out, m);
}
