/* limits.c - loops whose speed is limited only by the machine. Each is compiled for its instruction
 * set, independent of the flags of the program. */
#include "src/bench/limits.h"

static uint64_t read_words(const uint64_t *word, size_t n)
{
    uint64_t a = 0, b = 0, c = 0, d = 0;
    for (size_t i = 0; i < n; i += 4) {
        a ^= word[i];
        b ^= word[i + 1];
        c ^= word[i + 2];
        d ^= word[i + 3];
    }
    return (a ^ b) ^ (c ^ d);
}

/* Independent sums. Four cycles of latency times two pipes need at least eight. */
enum { CHAINS = 10 };

static double multiply_add_scalar(size_t rounds)
{
    volatile const float half = 0.5f;
    float sum[CHAINS] = { 0 };
    for (size_t i = 0; i < rounds; i++) {
        const float x = half;
        for (size_t c = 0; c < CHAINS; c++)
            sum[c] = sum[c] * x + 1.0f;
    }
    __asm__ volatile("" : : "r"(sum) : "memory");
    return (double)rounds * CHAINS;
}

#if defined(__x86_64__)
#include <immintrin.h>

__attribute__((target("avx2"))) static uint64_t read_avx2(const uint8_t *data, size_t bytes)
{
    __m256i sum[4] = { _mm256_setzero_si256(), _mm256_setzero_si256(), _mm256_setzero_si256(),
                       _mm256_setzero_si256() };
    for (size_t i = 0; i < bytes; i += 128)
        for (size_t j = 0; j < 4; j++) {
            const void *at = data + i + 32 * j;
            sum[j] = _mm256_xor_si256(sum[j], _mm256_loadu_si256(at));
        }
    sum[0] = _mm256_xor_si256(_mm256_xor_si256(sum[0], sum[1]), _mm256_xor_si256(sum[2], sum[3]));
    uint64_t word[4];
    _mm256_storeu_si256((void *)word, sum[0]);
    return word[0] ^ word[1] ^ word[2] ^ word[3];
}

__attribute__((target("avx512f"))) static uint64_t read_avx512(const uint8_t *data, size_t bytes)
{
    __m512i a = _mm512_setzero_si512(), b = a, c = a, d = a;
    for (size_t i = 0; i < bytes; i += 256) {
        a = _mm512_xor_si512(a, _mm512_loadu_si512(data + i));
        b = _mm512_xor_si512(b, _mm512_loadu_si512(data + i + 64));
        c = _mm512_xor_si512(c, _mm512_loadu_si512(data + i + 128));
        d = _mm512_xor_si512(d, _mm512_loadu_si512(data + i + 192));
    }
    uint64_t word[8];
    _mm512_storeu_si512(word, _mm512_xor_si512(_mm512_xor_si512(a, b), _mm512_xor_si512(c, d)));
    return read_words(word, 8);
}

__attribute__((target("avx2,fma"))) static double multiply_add_avx2(size_t rounds)
{
    __m256 sum[CHAINS], one = _mm256_set1_ps(1.0f), x = _mm256_set1_ps(0.5f);
    for (size_t c = 0; c < CHAINS; c++)
        sum[c] = one;
    for (size_t i = 0; i < rounds; i++) {
        __asm__ volatile("" : "+x"(x)); /* else the compiler simplifies the loop */
        for (size_t c = 0; c < CHAINS; c++)
            sum[c] = _mm256_fmadd_ps(sum[c], x, one);
    }
    for (size_t c = 0; c < CHAINS; c++)
        __asm__ volatile("" : "+x"(sum[c]));
    return (double)rounds * CHAINS * 8;
}

__attribute__((target("avx512f"))) static double multiply_add_avx512(size_t rounds)
{
    __m512 sum[CHAINS], one = _mm512_set1_ps(1.0f), x = _mm512_set1_ps(0.5f);
    for (size_t c = 0; c < CHAINS; c++)
        sum[c] = one;
    for (size_t i = 0; i < rounds; i++) {
        __asm__ volatile("" : "+v"(x));
        for (size_t c = 0; c < CHAINS; c++)
            sum[c] = _mm512_fmadd_ps(sum[c], x, one);
    }
    for (size_t c = 0; c < CHAINS; c++)
        __asm__ volatile("" : "+v"(sum[c]));
    return (double)rounds * CHAINS * 16;
}

uint64_t bench_limit_read(enum isa isa, const void *data, size_t bytes)
{
    if (isa == ISA_AVX512)
        return read_avx512(data, bytes);
    if (isa == ISA_AVX2)
        return read_avx2(data, bytes);
    return read_words(data, bytes / sizeof(uint64_t));
}

double bench_limit_multiply_add(enum isa isa, size_t rounds)
{
    if (isa == ISA_AVX512)
        return multiply_add_avx512(rounds);
    if (isa == ISA_AVX2)
        return multiply_add_avx2(rounds);
    return multiply_add_scalar(rounds);
}

#else

uint64_t bench_limit_read(enum isa isa, const void *data, size_t bytes)
{
    (void)isa;
    return read_words(data, bytes / sizeof(uint64_t));
}

double bench_limit_multiply_add(enum isa isa, size_t rounds)
{
    (void)isa;
    return multiply_add_scalar(rounds);
}

#endif
