/* ecc.c - not written yet. */
#include "algorithms/asteria/ecc.h"
#include "src/core/error.h"

int ecc_create(struct ecc **a0, struct mem *a1, enum asteria_code a2, unsigned k, uint64_t seed,
               struct error *a5)
{
    (void)a0;
    (void)a1;
    (void)a2;
    (void)k;
    (void)seed;
    (void)a5;
    return ERR_UNSUPPORTED;
}

void ecc_destroy(struct mem *a0, struct ecc *a1)
{
    (void)a0;
    (void)a1;
}

unsigned ecc_bits_most(enum asteria_code a0)
{
    (void)a0;
    return 0;
}

uint64_t ecc_word(const struct ecc *a0, const float *p)
{
    (void)a0;
    (void)p;
    return 0;
}

uint64_t ecc_codeword(const struct ecc *a0, uint32_t address)
{
    (void)a0;
    (void)address;
    return 0;
}

uint32_t ecc_decode(const struct ecc *a0, const float *p)
{
    (void)a0;
    (void)p;
    return 0;
}

float ecc_correlation(const struct ecc *a0, uint64_t codeword, const float *p)
{
    (void)a0;
    (void)codeword;
    (void)p;
    return 0;
}

size_t ecc_flips(const struct ecc *a0, struct mem *a1, const float *p, unsigned t, size_t most,
                 uint32_t *addresses)
{
    (void)a0;
    (void)a1;
    (void)p;
    (void)t;
    (void)most;
    (void)addresses;
    return 0;
}

int ecc_check(const struct ecc *a0, struct error *a1)
{
    (void)a0;
    (void)a1;
    return ERR_UNSUPPORTED;
}
