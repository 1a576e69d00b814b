/* crc32c.h - the Castagnoli checksum (RFC 3720, B.4): the processor's instruction where it is compiled
 * in, else a table.
 */
#ifndef DRIFTLINE_CRC32C_H
#define DRIFTLINE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* `crc` is 0 to begin with, or what the bytes before gave: crc32c(crc32c(0, a), b) is that of ab. */
uint32_t crc32c(uint32_t crc, const void *bytes, size_t n);
/* The same without the instruction; for tests. */
uint32_t crc32c_plain(uint32_t crc, const void *bytes, size_t n);

#endif
