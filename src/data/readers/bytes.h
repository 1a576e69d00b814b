/* bytes.h - a whole file as one read-only block: mapped, and first inflated if it is gzip.
 *
 * gzip is recognised by its first bytes, not by the name. Inflated data go to an unlinked temporary
 * file in scratch_dir, or to memory if that is NULL. If a file shrinks while it is mapped, reading
 * past its end kills the process, as with any mapping.
 */
#ifndef DRIFTLINE_DATA_READERS_BYTES_H
#define DRIFTLINE_DATA_READERS_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "src/core/error.h"

struct bytes {
    const uint8_t *at;
    size_t size;
    const char *name; /* borrowed, for messages */
    bool was_gzip;
    bool is_file;  /* the block is the file `name` itself, neither inflated nor rewritten */
    int fd;        /* of the original or inflated file; -1 for borrowed memory */
    void *mapping; /* mapping to undo, or NULL */
};

/* The limit of inflated data where none is set. */
#define BYTES_LIMIT ((size_t)16 << 30)

/* Opens a file. path is borrowed for messages. limit_bytes: of inflated data; 0: BYTES_LIMIT.
   ERR_NOT_FOUND, ERR_IO (permission, a directory), ERR_CORRUPT (empty file, damaged or truncated
   gzip, over the limit), ERR_NO_MEMORY. bytes_close() releases it. */
int bytes_open(struct bytes *, const char *path, const char *scratch_dir, size_t limit_bytes,
               struct error *);

/* As bytes_open(), for a block in memory. Unless it is gzip, it must live until bytes_close(). */
int bytes_borrow(struct bytes *, const char *name, const void *block, size_t size,
                 size_t limit_bytes, struct error *);

/* Opens a regular file that is not empty. Returns its descriptor, or the error's code below 0. */
int bytes_open_file(const char *path, size_t *size, struct error *);
/* Opens an unlinked file in the folder, or in memory if it is NULL; -1 with errno set. */
int bytes_scratch(const char *scratch_dir);
/* Writes all n bytes; -1 with errno set. */
int bytes_put(int fd, const void *block, size_t n);
/* Replaces the block by the content of the file, unless rc, of what wrote it, is an error, which is
   returned. The file is closed with the block, or here after an error. */
int bytes_replace(struct bytes *, int fd_take, int rc, struct error *);

void bytes_close(struct bytes *);

#endif
