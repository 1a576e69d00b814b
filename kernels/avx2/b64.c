/* b64.c - codes of one 64-bit word and of several, and selection by a limit, with AVX2 and POPCNT.
 *
 * Flags: -mavx2 -mpopcnt -mbmi
 *
 * AVX2 has no vector popcount. Nine shuffles, masks and sums replace four POPCNTs, of which a
 * processor starts one (Intel) to four (Zen) per cycle. That pays where four counts are then compared
 * at once, not where each is written. Accumulators: none, every count is a result. Tail: a scalar
 * loop, which reads nothing past the end. */
#if defined(__x86_64__)

#include "kernels/avx2/avx2.h"

#include <stdbool.h>

/* STRETCH: codes between two choices of the loop. RARE: codes kept of them, at most, that are few. */
enum { ROUND = 8, STRETCH = 64, RARE = 1 };

INLINE unsigned distance(uint64_t a, uint64_t b)
{
    return (unsigned)_mm_popcnt_u64(a ^ b);
}

void avx2_hamming_b64_1n(uint64_t query, const uint64_t *codes, size_t n, uint8_t *out)
{
    size_t i = 0;
    for (; i + ROUND <= n; i += ROUND) {
        UNROLL
        for (size_t c = 0; c < ROUND; c++)
            out[i + c] = (uint8_t)distance(query, codes[i + c]);
    }
    for (; i < n; i++)
        out[i] = (uint8_t)distance(query, codes[i]);
}

/* The popcount of each byte, by a table of nibbles. */
INLINE __m256i bytes_of_bits(__m256i x)
{
    const __m256i low = _mm256_set1_epi8(15),
                  table = _mm256_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4, 0, 1, 1,
                                           2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4);
    return _mm256_add_epi8(
        _mm256_shuffle_epi8(table, _mm256_and_si256(x, low)),
        _mm256_shuffle_epi8(table, _mm256_and_si256(_mm256_srli_epi16(x, 4), low)));
}

/* The distances of four codes. */
INLINE __m256i distances_of_four(__m256i query, const uint64_t *codes)
{
    const __m256i x =
        _mm256_xor_si256(query, _mm256_loadu_si256((const __m256i *)(const void *)codes));
    return _mm256_sad_epu8(bytes_of_bits(x), _mm256_setzero_si256());
}

/* The positions of the bits of a mask. */
static const uint32_t positions[16][4] = {
    { 0 }, { 0 },    { 1 },    { 0, 1 },    { 2 },    { 0, 2 },    { 1, 2 },    { 0, 1, 2 },
    { 3 }, { 0, 3 }, { 1, 3 }, { 0, 1, 3 }, { 2, 3 }, { 0, 2, 3 }, { 1, 2, 3 }, { 0, 1, 2, 3 },
};

/* Four positions are written, as many kept as count: no branch to mispredict. At most `first` were kept
 * before, so all fit. */
INLINE size_t keep_positions(__m256i within, size_t first, uint32_t *out)
{
    const unsigned mask = (unsigned)_mm256_movemask_pd(_mm256_castsi256_pd(within));
    const __m128i of_mask = _mm_loadu_si128((const __m128i *)(const void *)positions[mask]);
    _mm_storeu_si128((__m128i *)(void *)out, _mm_add_epi32(_mm_set1_epi32((int)first), of_mask));
    return (size_t)_mm_popcnt_u32(mask);
}

/* Where the last stretch kept hardly any code, a branch passes over eight that are all too far, which
 * takes two thirds of the time. It is mispredicted where about half of the eights have one that is near,
 * and would take three times as long there. */
size_t avx2_hamming_b64_within(uint64_t query, const uint64_t *codes, size_t n, unsigned radius,
                               uint32_t *out)
{
    const __m256i q = _mm256_set1_epi64x((long long)query),
                  limit = _mm256_set1_epi64x((long long)radius + 1);
    size_t found = 0, i = 0;
    bool rare = true;
    while (i + STRETCH <= n) {
        const size_t end = i + STRETCH, before = found;
        for (; i < end; i += ROUND) {
            const __m256i a = _mm256_cmpgt_epi64(limit, distances_of_four(q, codes + i)),
                          b = _mm256_cmpgt_epi64(limit, distances_of_four(q, codes + i + 4));
            const __m256i any = _mm256_or_si256(a, b);
            if (rare && _mm256_testz_si256(any, any))
                continue;
            found += keep_positions(a, i, out + found);
            found += keep_positions(b, i + 4, out + found);
        }
        rare = found - before <= RARE;
    }
    for (; i + 4 <= n; i += 4)
        found += keep_positions(_mm256_cmpgt_epi64(limit, distances_of_four(q, codes + i)), i,
                                out + found);
    for (; i < n; i++) {
        out[found] = (uint32_t)i;
        found += distance(query, codes[i]) <= radius;
    }
    return found;
}

INLINE unsigned distance_of(const uint64_t *query, const uint64_t *code, size_t words)
{
    unsigned count = 0;
    for (size_t w = 0; w < words; w++)
        count += distance(query[w], code[w]);
    return count;
}

INLINE size_t words_within(const uint64_t *query, const uint64_t *codes, size_t n, size_t words,
                           unsigned radius, uint32_t *out)
{
    size_t found = 0;
    for (size_t i = 0; i < n; i++) {
        out[found] = (uint32_t)i;
        found += distance_of(query, codes + i * words, words) <= radius;
    }
    return found;
}

void avx2_hamming_words_1n(const uint64_t *query, const uint64_t *codes, size_t n, size_t words,
                           uint16_t *out)
{
    for (size_t i = 0; i < n; i++)
        out[i] = (uint16_t)distance_of(query, codes + i * words, words);
}

/* The usual widths have code of their own, with a known number of words. */
size_t avx2_hamming_words_within(const uint64_t *query, const uint64_t *codes, size_t n,
                                 size_t words, unsigned radius, uint32_t *out)
{
    switch (words) {
        case 2: return words_within(query, codes, n, 2, radius, out);
        case 4: return words_within(query, codes, n, 4, radius, out);
        case 8: return words_within(query, codes, n, 8, radius, out);
        default: return words_within(query, codes, n, words, radius, out);
    }
}

/* Popcounts of eight 32-bit numbers. */
INLINE __m256i bits_32(__m256i x)
{
    __m256i pairs = _mm256_maddubs_epi16(bytes_of_bits(x), _mm256_set1_epi8(1));
    return _mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
}

INLINE unsigned half_line(__m256i query, __m256i care, const uint32_t *codes, __m256i limit)
{
    __m256i x = _mm256_xor_si256(query, _mm256_load_si256((const __m256i *)(const void *)codes));
    __m256i count = bits_32(_mm256_and_si256(x, care));
    __m256i over = _mm256_cmpgt_epi32(count, limit);
    return ~(unsigned)_mm256_movemask_ps(_mm256_castsi256_ps(over)) & 0xffu;
}

void avx2_hamming_b32_lines(const uint32_t *queries, const uint32_t *cares,
                            const uint32_t *const *lines, const uint32_t *limits, size_t n,
                            uint16_t *masks)
{
    for (size_t l = 0; l < n; l++) {
        __m256i query = _mm256_set1_epi32((int)queries[l]), care = _mm256_set1_epi32((int)cares[l]),
                limit = _mm256_set1_epi32((int)(limits[l] < 32 ? limits[l] : 32));
        masks[l] = (uint16_t)(half_line(query, care, lines[l], limit) |
                              half_line(query, care, lines[l] + 8, limit) << 8);
    }
}

/* Codes of a wide line that match: eight of them and four. */
INLINE unsigned wide_line(__m256i query, __m256i care, __m256i query_more, const uint32_t *line,
                          __m256i limit)
{
    unsigned mask = 0;
    for (unsigned i = 0; i < 2; i++) {
        __m128i bytes = _mm_loadl_epi64((const __m128i *)(const void *)(line + 12 + 2 * i));
        __m256i codes = _mm256_load_si256((const __m256i *)(const void *)(line + 8 * i));
        __m256i more = _mm256_xor_si256(_mm256_cvtepu8_epi32(bytes), query_more);
        __m256i first = _mm256_and_si256(_mm256_xor_si256(codes, query), care);
        __m256i count = _mm256_add_epi32(bits_32(first), bits_32(more));
        __m256i over = _mm256_cmpgt_epi32(count, limit);
        mask |= (~(unsigned)_mm256_movemask_ps(_mm256_castsi256_ps(over)) & 0xffu) << 8 * i;
    }
    return mask & 0xfffu;
}

size_t avx2_hamming_b32_runs(const struct line_run *runs, size_t n, struct line_hit *hits)
{
    size_t found = 0;
    for (size_t r = 0; r < n; r++) {
        __m256i query = _mm256_set1_epi32((int)runs[r].query),
                care = _mm256_set1_epi32((int)runs[r].care),
                more = _mm256_set1_epi32(runs[r].query_more),
                limit = _mm256_set1_epi32((int)(runs[r].limit < 40 ? runs[r].limit : 40));
        const uint32_t *line = runs[r].codes;
        for (uint32_t l = 0; l < runs[r].lines; l++, line += 16) {
            unsigned mask = runs[r].wide ? wide_line(query, care, more, line, limit)
                                         : half_line(query, care, line, limit) |
                                               half_line(query, care, line + 8, limit) << 8;
            if (mask)
                hits[found++] = (struct line_hit){ (uint16_t)r, (uint16_t)mask, l };
        }
    }
    return found;
}

void avx2_hamming_b64_lines(uint64_t query, const uint64_t *const *lines, size_t n, unsigned limit,
                            uint8_t *masks)
{
    for (size_t l = 0; l < n; l++) {
        unsigned mask = 0;
        UNROLL
        for (unsigned i = 0; i < 8; i++)
            mask |= (unsigned)(distance(query, lines[l][i]) <= limit) << i;
        masks[l] = (uint8_t)mask;
    }
}

void avx2_hamming_b64_mn(const uint64_t *a, size_t na, const uint64_t *b, size_t nb, uint8_t *out,
                         size_t ld)
{
    size_t tile = B_TILE_BYTES / sizeof *b;
    for (size_t j0 = 0; j0 < nb; j0 += tile) {
        for (size_t i = 0; i < na; i++)
            avx2_hamming_b64_1n(a[i], b + j0, least(tile, nb - j0), out + i * ld + j0);
    }
}

/* Appends at + the position of each set bit; returns how many. */
INLINE size_t append(uint32_t *out, unsigned bits, size_t at)
{
    size_t found = 0;
    for (; bits; bits &= bits - 1)
        out[found++] = (uint32_t)(at + (size_t)__builtin_ctz(bits));
    return found;
}

size_t avx2_at_most_f32(const float *value, size_t n, float limit, uint32_t *out)
{
    __m256 most = _mm256_set1_ps(limit);
    size_t found = 0, i = 0;
    for (; i + 8 <= n; i += 8) {
        __m256 chosen = _mm256_cmp_ps(_mm256_loadu_ps(value + i), most, _CMP_LE_OQ);
        found += append(out + found, (unsigned)_mm256_movemask_ps(chosen), i);
    }
    for (; i < n; i++) {
        if (value[i] <= limit)
            out[found++] = (uint32_t)i;
    }
    return found;
}

/* Unsigned x <= limit exactly if min(x, limit) is x. */
size_t avx2_at_most_u8(const uint8_t *value, size_t n, uint8_t limit, uint32_t *out)
{
    __m256i most = _mm256_set1_epi8((char)limit);
    size_t found = 0, i = 0;
    for (; i + 32 <= n; i += 32) {
        __m256i x = _mm256_loadu_si256((const __m256i *)(const void *)(value + i));
        __m256i chosen = _mm256_cmpeq_epi8(_mm256_min_epu8(x, most), x);
        found += append(out + found, (unsigned)_mm256_movemask_epi8(chosen), i);
    }
    for (; i < n; i++) {
        if (value[i] <= limit)
            out[found++] = (uint32_t)i;
    }
    return found;
}

/* The minimum that ignores NaN: the old value stays where the new one is NaN. */
INLINE float least_f32(const float *value, size_t n)
{
    float lanes[8], low = INFINITY;
    __m256 least_8 = _mm256_set1_ps(INFINITY);
    size_t i = 0;
    for (; i + 8 <= n; i += 8)
        least_8 = _mm256_min_ps(_mm256_loadu_ps(value + i), least_8);
    for (; i < n; i++) {
        if (value[i] < low)
            low = value[i];
    }
    _mm256_storeu_ps(lanes, least_8);
    for (size_t l = 0; l < 8; l++) {
        if (lanes[l] < low)
            low = lanes[l];
    }
    return low;
}

size_t avx2_argmin_f32(const float *value, size_t n)
{
    float low = least_f32(value, n);
    __m256 low_8 = _mm256_set1_ps(low);
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        int equal =
            _mm256_movemask_ps(_mm256_cmp_ps(_mm256_loadu_ps(value + i), low_8, _CMP_EQ_OQ));
        if (equal)
            return i + (size_t)__builtin_ctz((unsigned)equal);
    }
    for (; i < n; i++) {
        if (value[i] == low)
            return i;
    }
    return 0; /* all NaN */
}

#endif
