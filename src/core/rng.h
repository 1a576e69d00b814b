/* rng.h - the one source of randomness: xoshiro256++ seeded by splitmix64.
 *
 * Source: Blackman and Vigna (2019). rng_at(seed, stream) gives independent generators to parts of
 * the program that must not affect each other's numbers.
 */
#ifndef DRIFTLINE_RNG_H
#define DRIFTLINE_RNG_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct rng {
    uint64_t s[4];
};

struct rng rng_at(uint64_t seed, uint64_t stream);
uint64_t rng_u64(struct rng *);
uint64_t rng_below(struct rng *, uint64_t n); /* uniform in 0 .. n-1, without bias; n >= 1 */
double rng_unit(struct rng *);                /* uniform in [0, 1) */
double rng_normal(struct rng *); /* mean 0, variance 1 (polar method, one value per call) */
void rng_shuffle_u32(struct rng *, uint32_t *values, size_t n);
void rng_shuffle_u64(struct rng *, uint64_t *values, size_t n);
/* Draws m distinct numbers of 0 .. n-1 in random order; m <= n. Allocates no memory. */
void rng_sample(struct rng *, uint64_t n, size_t m, uint64_t *out);
/* Mixes two numbers into 64 bits with splitmix64's finaliser. For seeds and hashing, not
   for a stream. */
uint64_t rng_mix(uint64_t a, uint64_t b);

#ifdef __cplusplus
}
#endif
#endif
