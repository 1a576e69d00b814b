/* file_io.c - reading and writing the bytes of rows, and the errors of that.
 *
 * Each row read is compared with the checksum of the row written, because the file outlives failed
 * write-backs and disk errors.
 */
#include <errno.h>
#include <inttypes.h>

#include "algorithms/asteria/rows/internal.h"
#include "algorithms/common/durable/crc32c.h"
#include "src/core/error.h"

static bool disk_is_full(int why)
{
    return why == ENOSPC || why == EDQUOT || why == EFBIG;
}

int asteria_rows_file_unwritten(const struct asteria_rows *t, uint32_t slot, int why)
{
    const char *path = t->file->path;

    errno = why;
    if (disk_is_full(why))
        return fail_errno(t->env.error, ERR_IO,
                          "asteria: %s: the disk is full, cannot write the row of slot %" PRIu32
                          "; the index is unchanged; free disk space and try again",
                          path, slot);
    return fail_errno(t->env.error, ERR_IO,
                      "asteria: %s: cannot write the row of slot %" PRIu32
                      "; the index is unchanged; check the disk and try again",
                      path, slot);
}

int asteria_rows_file_put(struct asteria_rows *t, uint32_t slot, const unsigned char *bytes,
                          size_t n)
{
    const struct asteria_rows_file *f = t->file;
    const uint64_t at = (uint64_t)slot * t->stride;
    const size_t length = n * t->stride;

    return file_write_at(f->fd, bytes, length, at, f->fault) == length ? 0 : errno;
}

bool asteria_rows_file_is_sound(const struct asteria_rows *t, uint32_t slot, const void *row)
{
    const uint32_t *sum = segmented_at(&t->file->sums, slot);

    return crc32c(0, row, t->row_bytes) == *sum;
}

int asteria_rows_file_unread(const struct asteria_rows *t, uint32_t slot, int why)
{
    const struct asteria_rows_file *f = t->file;
    const uint64_t at = (uint64_t)slot * t->stride;

    if (why == READ_SHORT)
        return fail(t->env.error, ERR_CORRUPT,
                    "asteria: %s ends before the row of slot %" PRIu32 " (%zu bytes at %" PRIu64
                    "): the file was truncated; load a saved copy",
                    f->path, slot, t->stride, at);
    if (why == ROWS_DAMAGED)
        return fail(t->env.error, ERR_CORRUPT,
                    "asteria: %s: the row of slot %" PRIu32 " (%zu bytes at %" PRIu64
                    ") has a wrong checksum: the file was changed, or the disk lost a write; load "
                    "a saved copy",
                    f->path, slot, t->row_bytes, at);
    errno = why;
    return fail_errno(t->env.error, ERR_IO,
                      "asteria: %s: cannot read the row of slot %" PRIu32 " (%zu bytes at %" PRIu64
                      "); check the disk and try again",
                      f->path, slot, t->stride, at);
}

int asteria_rows_file_read(const struct asteria_rows *t, uint32_t slot, void *to)
{
    struct asteria_rows_file *f = t->file;
    const uint64_t at = (uint64_t)slot * t->stride;

    atomic_fetch_add_explicit(&f->reads, 1, memory_order_relaxed);
    if (file_read_at(f->fd, to, t->row_bytes, at, f->fault) < t->row_bytes)
        return asteria_rows_file_unread(t, slot, errno ? errno : READ_SHORT);
    return asteria_rows_file_is_sound(t, slot, to)
               ? OK
               : asteria_rows_file_unread(t, slot, ROWS_DAMAGED);
}
