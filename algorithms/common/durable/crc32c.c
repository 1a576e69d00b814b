/* crc32c.c - the Castagnoli checksum. */
#include "algorithms/common/durable/crc32c.h"

#include <string.h>

#ifdef __SSE4_2__
#include <nmmintrin.h>
#endif

/* The polynomial 1EDC6F41h, reflected. Four bits at a time need only a small constant table. */
uint32_t crc32c_plain(uint32_t crc, const void *bytes, size_t n)
{
    static const uint32_t by_nibble[16] = {
        0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1, 0x417b1dbc, 0x5125dad3,
        0x61c69362, 0x7198540d, 0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9,
        0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75,
    };
    const unsigned char *p = bytes;

    crc = ~crc;
    for (size_t i = 0; i < n; i++) {
        crc ^= p[i];
        crc = by_nibble[crc & 15] ^ crc >> 4;
        crc = by_nibble[crc & 15] ^ crc >> 4;
    }
    return ~crc;
}

#ifdef __SSE4_2__
uint32_t crc32c(uint32_t crc, const void *bytes, size_t n)
{
    const unsigned char *p = bytes;
    uint64_t wide = ~crc;

    for (; n >= 8; n -= 8, p += 8) {
        uint64_t word;
        memcpy(&word, p, 8);
        wide = _mm_crc32_u64(wide, word);
    }
    crc = (uint32_t)wide;
    for (; n > 0; n--, p++)
        crc = _mm_crc32_u8(crc, *p);
    return ~crc;
}
#else
uint32_t crc32c(uint32_t crc, const void *bytes, size_t n)
{
    return crc32c_plain(crc, bytes, n);
}
#endif
