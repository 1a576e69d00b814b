/* b64.c - codes of one 64-bit word and of several, and selection by a limit, with AVX-512.
 *
 * Flags: -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx512vbmi -mavx512vpopcntdq -mbmi -mbmi2
 * -mpopcnt
 *
 * Processor: Ice Lake, Zen 4 or later, as this whole table (VBMI, VNNI, VPOPCNTDQ).
 *
 * vpopcntq counts eight codes at once, so the remaining cost is packing and branching. The counts
 * of 64 codes are shifted into one another's empty bytes and put in order by a single vpermb. A
 * scan for codes within a radius takes the minimum of 64 counts and one rarely taken branch. Minima
 * are of bytes, which Zen 4 starts twice as often as minima of 64-bit elements: a count fits in a
 * byte, and the bytes above it are zero. No sums are carried, so there are no accumulators; 64
 * codes per iteration keep both pipes busy. Tail: masked loads; the same mask excludes the lanes
 * past the end from comparisons and stores. Selected positions are compressed in a register and
 * stored whole if the space after them suffices: compressing directly to memory is microcoded on
 * Zen 4, over 100 cycles. */
#if defined(__x86_64__)

#include "kernels/avx512/avx512.h"

enum { CODES = 8, ROUND = 64 };

INLINE __mmask8 first_codes(size_t n)
{
    return (__mmask8)(n >= CODES ? 0xffu : (1u << n) - 1);
}

INLINE __m512i distances(__m512i query, const uint64_t *codes)
{
    return _mm512_popcnt_epi64(_mm512_xor_si512(query, _mm512_loadu_si512(codes)));
}

/* Byte 8 i + j of the result is byte 8 j + i: lane j, shifted left by i bytes, returns to position
 * 8 i + j. */
INLINE __m512i transpose_index(void)
{
    uint8_t index[64];
    for (size_t i = 0; i < 8; i++) {
        for (size_t j = 0; j < 8; j++)
            index[8 * i + j] = (uint8_t)(8 * j + i);
    }
    return _mm512_loadu_si512(index);
}

INLINE __m512i distances_64(__m512i query, const uint64_t *codes, __m512i transpose)
{
    __m512i packed = distances(query, codes);
    UNROLL
    for (unsigned i = 1; i < 8; i++) {
        __m512i count = distances(query, codes + i * CODES);
        packed = _mm512_or_si512(packed, _mm512_slli_epi64(count, 8 * i));
    }
    return _mm512_permutexvar_epi8(transpose, packed);
}

void avx512_hamming_b64_1n(uint64_t query, const uint64_t *codes, size_t n, uint8_t *out)
{
    __m512i q = _mm512_set1_epi64((long long)query), transpose = transpose_index();
    size_t i = 0;
    for (; i + ROUND <= n; i += ROUND)
        _mm512_storeu_si512(out + i, distances_64(q, codes + i, transpose));
    for (; i < n; i += CODES) {
        __mmask8 mask = first_codes(n - i);
        __m512i x = _mm512_xor_si512(q, _mm512_maskz_loadu_epi64(mask, codes + i));
        _mm512_mask_cvtepi64_storeu_epi8(out + i, mask, _mm512_popcnt_epi64(x));
    }
}

/* Appends the positions at + lane of the set lanes; `out` has space for `capacity` more. */
INLINE size_t append(uint32_t *out, size_t capacity, __mmask16 lanes, size_t at)
{
    const __m512i lane = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    __m512i position = _mm512_add_epi32(lane, _mm512_set1_epi32((int)(uint32_t)at));
    size_t count = (size_t)_mm_popcnt_u32(lanes);
    position = _mm512_maskz_compress_epi32(lanes, position);
    if (capacity >= 16)
        _mm512_storeu_si512(out, position);
    else
        _mm512_mask_storeu_epi32(out, (__mmask16)((1u << count) - 1), position);
    return count;
}

size_t avx512_hamming_b64_within(uint64_t query, const uint64_t *codes, size_t n, unsigned radius,
                                 uint32_t *out)
{
    __m512i q = _mm512_set1_epi64((long long)query), limit = _mm512_set1_epi64(radius);
    size_t found = 0, i = 0;
    for (; i + ROUND <= n; i += ROUND) {
        __m512i count[8], nearest;
        UNROLL
        for (size_t c = 0; c < 8; c++) {
            count[c] = distances(q, codes + i + c * CODES);
            nearest = c == 0 ? count[0] : _mm512_min_epu8(nearest, count[c]);
        }
        if (__builtin_expect(_mm512_cmple_epu64_mask(nearest, limit) == 0, 1))
            continue;
        UNROLL
        for (size_t c = 0; c < 8; c += 2) {
            unsigned low = _mm512_cmple_epu64_mask(count[c], limit);
            unsigned high = _mm512_cmple_epu64_mask(count[c + 1], limit);
            found += append(out + found, n - found, (__mmask16)(low | high << 8), i + c * CODES);
        }
    }
    for (; i < n; i += CODES) {
        __mmask8 mask = first_codes(n - i);
        __m512i x = _mm512_xor_si512(q, _mm512_maskz_loadu_epi64(mask, codes + i));
        __mmask8 near = _mm512_mask_cmple_epu64_mask(mask, _mm512_popcnt_epi64(x), limit);
        if (near)
            found += append(out + found, n - found, near, i);
    }
    return found;
}

/* Codes of several words, eight at a time. Lane i of add_pairs() is the sum of lanes 2 i and
 * 2 i + 1 of a, or of b, in alternation. add_halves() adds the 128-bit parts 2 i and 2 i + 1, those of a
 * before those of b. */
INLINE __m512i add_pairs(__m512i a, __m512i b)
{
    return _mm512_add_epi64(_mm512_unpacklo_epi64(a, b), _mm512_unpackhi_epi64(a, b));
}

INLINE __m512i add_halves(__m512i a, __m512i b)
{
    return _mm512_add_epi64(_mm512_shuffle_i64x2(a, b, 0x88), _mm512_shuffle_i64x2(a, b, 0xdd));
}

/* Counts of the differing bits of one code by lane: their sum is the distance. */
INLINE __m512i counts_of(const uint64_t *query, const uint64_t *code, size_t words)
{
    __m512i sum = _mm512_setzero_si512();
    for (size_t w = 0; w < words; w += CODES) {
        __mmask8 mask = first_codes(words - w);
        __m512i x = _mm512_xor_si512(_mm512_maskz_loadu_epi64(mask, query + w),
                                     _mm512_maskz_loadu_epi64(mask, code + w));
        sum = _mm512_add_epi64(sum, _mm512_popcnt_epi64(x));
    }
    return sum;
}

/* Distances of the eight codes at `codes`, in order. `wide`: the query's words, repeated, if they
 * are 2 or 4. */
INLINE __m512i distances_8(__m512i wide, const uint64_t *query, const uint64_t *codes, size_t words)
{
    __m512i c[8];
    if (words == 2) {
        __m512i sum = add_pairs(distances(wide, codes), distances(wide, codes + 8));
        return _mm512_permutexvar_epi64(_mm512_setr_epi64(0, 2, 4, 6, 1, 3, 5, 7), sum);
    }
    if (words == 4) {
        __m512i low = add_pairs(distances(wide, codes), distances(wide, codes + 8)),
                high = add_pairs(distances(wide, codes + 16), distances(wide, codes + 24));
        __m512i sum = add_halves(low, high);
        return _mm512_permutexvar_epi64(_mm512_setr_epi64(0, 2, 1, 3, 4, 6, 5, 7), sum);
    }
    UNROLL
    for (size_t i = 0; i < 8; i++)
        c[i] = counts_of(query, codes + i * words, words);
    return add_halves(add_halves(add_pairs(c[0], c[1]), add_pairs(c[2], c[3])),
                      add_halves(add_pairs(c[4], c[5]), add_pairs(c[6], c[7])));
}

INLINE __m512i repeated(const uint64_t *query, size_t words)
{
    uint64_t wide[8];
    for (size_t i = 0; i < 8; i++)
        wide[i] = query[i % words];
    return _mm512_loadu_si512(wide);
}

INLINE unsigned distance_of(const uint64_t *query, const uint64_t *code, size_t words)
{
    return (unsigned)_mm512_reduce_add_epi64(counts_of(query, code, words));
}

void avx512_hamming_words_1n(const uint64_t *query, const uint64_t *codes, size_t n, size_t words,
                             uint16_t *out)
{
    __m512i wide = repeated(query, words);
    size_t i = 0;
    for (; i + CODES <= n; i += CODES)
        _mm_storeu_si128((__m128i *)(void *)(out + i),
                         _mm512_cvtepi64_epi16(distances_8(wide, query, codes + i * words, words)));
    for (; i < n; i++)
        out[i] = (uint16_t)distance_of(query, codes + i * words, words);
}

INLINE size_t words_within(const uint64_t *query, const uint64_t *codes, size_t n, size_t words,
                           unsigned radius, uint32_t *out)
{
    __m512i wide = repeated(query, words), limit = _mm512_set1_epi64(radius);
    size_t found = 0, i = 0;
    for (; i + CODES <= n; i += CODES) {
        __m512i count = distances_8(wide, query, codes + i * words, words);
        __mmask8 near = _mm512_cmple_epu64_mask(count, limit);
        if (__builtin_expect(near != 0, 0))
            found += append(out + found, n - found, near, i);
    }
    for (; i < n; i++) {
        if (distance_of(query, codes + i * words, words) <= radius)
            out[found++] = (uint32_t)i;
    }
    return found;
}

/* The usual widths have code of their own, with a known number of words. */
size_t avx512_hamming_words_within(const uint64_t *query, const uint64_t *codes, size_t n,
                                   size_t words, unsigned radius, uint32_t *out)
{
    switch (words) {
        case 2: return words_within(query, codes, n, 2, radius, out);
        case 4: return words_within(query, codes, n, 4, radius, out);
        case 8: return words_within(query, codes, n, 8, radius, out);
        default: return words_within(query, codes, n, words, radius, out);
    }
}

void avx512_hamming_b32_lines(const uint32_t *queries, const uint32_t *cares,
                              const uint32_t *const *lines, const uint32_t *limits, size_t n,
                              uint16_t *masks)
{
    for (size_t l = 0; l < n; l++) {
        __m512i x =
            _mm512_xor_si512(_mm512_load_si512(lines[l]), _mm512_set1_epi32((int)queries[l]));
        x = _mm512_and_si512(x, _mm512_set1_epi32((int)cares[l]));
        masks[l] =
            _mm512_cmple_epu32_mask(_mm512_popcnt_epi32(x), _mm512_set1_epi32((int)limits[l]));
    }
}

/* Bits in which eight more bits of each code of a wide line differ from the query's. */
INLINE __m512i more_bits(const uint32_t *line, __m512i query)
{
    __m128i more = _mm_load_si128((const __m128i *)(const void *)(line + 12));
    return _mm512_popcnt_epi32(_mm512_xor_si512(_mm512_cvtepu8_epi32(more), query));
}

size_t avx512_hamming_b32_runs(const struct line_run *runs, size_t n, struct line_hit *hits)
{
    size_t found = 0;
    for (size_t r = 0; r < n; r++) {
        __m512i query = _mm512_set1_epi32((int)runs[r].query),
                care = _mm512_set1_epi32((int)runs[r].care),
                limit = _mm512_set1_epi32((int)runs[r].limit),
                query_more = _mm512_set1_epi32(runs[r].query_more);
        const uint32_t *line = runs[r].codes;
        for (uint32_t l = 0; l < runs[r].lines; l++, line += 16) {
            __m512i x = _mm512_and_si512(_mm512_xor_si512(_mm512_load_si512(line), query), care);
            __m512i count = _mm512_popcnt_epi32(x);
            __mmask16 mask;
            if (runs[r].wide)
                mask = _mm512_mask_cmple_epu32_mask(
                    0xfff, _mm512_add_epi32(count, more_bits(line, query_more)), limit);
            else
                mask = _mm512_cmple_epu32_mask(count, limit);
            if (__builtin_expect(mask != 0, 0))
                hits[found++] = (struct line_hit){ (uint16_t)r, mask, l };
        }
    }
    return found;
}

void avx512_hamming_b64_lines(uint64_t query, const uint64_t *const *lines, size_t n,
                              unsigned limit, uint8_t *masks)
{
    __m512i q = _mm512_set1_epi64((long long)query), most = _mm512_set1_epi64(limit);
    for (size_t l = 0; l < n; l++)
        masks[l] = _mm512_cmple_epu64_mask(distances(q, lines[l]), most);
}

/* Two queries per pass over b: then counting is the limit, not the loads. */
void avx512_hamming_b64_mn(const uint64_t *a, size_t na, const uint64_t *b, size_t nb, uint8_t *out,
                           size_t ld)
{
    __m512i transpose = transpose_index();
    size_t tile = B_TILE_BYTES / sizeof *b;
    for (size_t j0 = 0; j0 < nb; j0 += tile) {
        size_t nj = least(tile, nb - j0), whole = nj - nj % ROUND, i = 0;
        for (; i + 2 <= na; i += 2) {
            __m512i q0 = _mm512_set1_epi64((long long)a[i]),
                    q1 = _mm512_set1_epi64((long long)a[i + 1]);
            uint8_t *out0 = out + i * ld + j0, *out1 = out0 + ld;
            for (size_t j = 0; j < whole; j += ROUND) {
                _mm512_storeu_si512(out0 + j, distances_64(q0, b + j0 + j, transpose));
                _mm512_storeu_si512(out1 + j, distances_64(q1, b + j0 + j, transpose));
            }
            avx512_hamming_b64_1n(a[i], b + j0 + whole, nj - whole, out0 + whole);
            avx512_hamming_b64_1n(a[i + 1], b + j0 + whole, nj - whole, out1 + whole);
        }
        if (i < na)
            avx512_hamming_b64_1n(a[i], b + j0, nj, out + i * ld + j0);
    }
}

size_t avx512_at_most_f32(const float *value, size_t n, float limit, uint32_t *out)
{
    __m512 most = _mm512_set1_ps(limit);
    size_t found = 0;
    for (size_t i = 0; i < n; i += 16) {
        __mmask16 mask = first_16(n - i);
        __m512 x = _mm512_maskz_loadu_ps(mask, value + i);
        __mmask16 chosen = _mm512_mask_cmp_ps_mask(mask, x, most, _CMP_LE_OQ);
        if (chosen)
            found += append(out + found, n - found, chosen, i);
    }
    return found;
}

size_t avx512_at_most_u8(const uint8_t *value, size_t n, uint8_t limit, uint32_t *out)
{
    __m512i most = _mm512_set1_epi8((char)limit);
    size_t found = 0;
    for (size_t i = 0; i < n; i += 64) {
        __mmask64 mask = first_64(n - i);
        __m512i x = _mm512_maskz_loadu_epi8(mask, value + i);
        __mmask64 chosen = _mm512_mask_cmple_epu8_mask(mask, x, most);
        for (size_t at = i; chosen; chosen >>= 16, at += 16)
            found += append(out + found, n - found, (__mmask16)chosen, at);
    }
    return found;
}

/* The minimum of each lane, ignoring NaN: the old value stays where the new one is NaN. */
INLINE float least_f32(const float *value, size_t n)
{
    __m512 infinity = _mm512_set1_ps(INFINITY), low = infinity, low2 = infinity;
    size_t i = 0;
    for (; i + 32 <= n; i += 32) {
        low = _mm512_min_ps(_mm512_loadu_ps(value + i), low);
        low2 = _mm512_min_ps(_mm512_loadu_ps(value + i + 16), low2);
    }
    for (; i < n; i += 16)
        low = _mm512_min_ps(_mm512_mask_loadu_ps(infinity, first_16(n - i), value + i), low);
    return _mm512_reduce_min_ps(_mm512_min_ps(low, low2));
}

size_t avx512_argmin_f32(const float *value, size_t n)
{
    __m512 low = _mm512_set1_ps(least_f32(value, n));
    for (size_t i = 0; i < n; i += 16) {
        __mmask16 mask = first_16(n - i);
        __m512 x = _mm512_maskz_loadu_ps(mask, value + i);
        __mmask16 equal = _mm512_mask_cmp_ps_mask(mask, x, low, _CMP_EQ_OQ);
        if (equal)
            return i + (size_t)__builtin_ctz(equal);
    }
    return 0; /* all NaN */
}

#endif
