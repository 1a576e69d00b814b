/* crc32c.h - the Castagnoli checksum (RFC 3720, B.4): by the SSE 4.2 instruction if the build has
 * it, else by a table. */
#ifndef DRIFTLINE_COMMON_DURABLE_CRC32C_H
#define DRIFTLINE_COMMON_DURABLE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* crc: 0 for the first bytes, else the result for the bytes before: crc32c(crc32c(0, a), b) is the
   checksum of a followed by b. */
uint32_t crc32c(uint32_t crc, const void *bytes, size_t n);
/* The same by the table; for tests. */
uint32_t crc32c_plain(uint32_t crc, const void *bytes, size_t n);

#endif
