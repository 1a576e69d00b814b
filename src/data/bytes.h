/* bytes.h - a whole file as one read-only block: mapped if it is plain, inflated first if it is
 * gzip.
 *
 * gzip is recognised by its first bytes, never by the name. What it inflates to goes to an unlinked
 * temporary file, in scratch_dir or, when that is NULL, in memory. A file that shrinks while it is
 * mapped kills the process, as with any mapping.
 */
#ifndef DRIFTLINE_BYTES_H
#define DRIFTLINE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "src/core/error.h"

struct bytes {
    const uint8_t *at;
    size_t size;
    const char *name; /* borrowed, for messages */
    bool was_gzip;
    int fd;        /* of the plain or inflated file; -1 for borrowed memory */
    void *mapping; /* what to unmap, or NULL */
};

/* ERR_NOT_FOUND, ERR_IO (permission, a directory), ERR_CORRUPT (empty file, damaged or truncated
   gzip, more than limit_bytes inflated; 0: 16 GiB). */
int bytes_open(struct bytes *, const char *path, const char *scratch_dir, size_t limit_bytes,
               struct error *);

/* The same for a block in memory, which must outlive it unless it is gzip. */
int bytes_borrow(struct bytes *, const char *name, const void *block, size_t size,
                 size_t limit_bytes, struct error *);

/* The block becomes what packed_bytes of it from `at` on inflate to, a zip's deflated data:
   exactly plain_bytes. ERR_CORRUPT, ERR_IO, ERR_NO_MEMORY. */
int bytes_inflate(struct bytes *, size_t at, size_t packed_bytes, size_t plain_bytes,
                  const char *scratch_dir, struct error *);

/* An unlinked file in the folder, or in memory where that is NULL. -1: errno says why. */
int bytes_scratch(const char *scratch_dir);
/* Writes all; -1: errno says why. */
int bytes_put(int fd, const void *block, size_t n);
/* The block becomes what that file holds, and keeps fd; after an error fd is still the caller's. */
int bytes_replace(struct bytes *, int fd_take, struct error *);

void bytes_close(struct bytes *);

#endif
