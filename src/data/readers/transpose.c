/* transpose.c - makes rows of an array that is stored column by column (Fortran order), a block of
 * rows at a time. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "src/data/readers/formats.h"

/* A block of rows stays in the second-level cache while its columns are copied. */
enum { BLOCK_BYTES = 1 << 20 };

/* Writes the n values of a column to the same place of consecutive rows. */
static void spread(const uint8_t *column, size_t n, size_t width, uint8_t *out, size_t row_bytes)
{
    switch (width) {
        case 4:
            for (size_t i = 0; i < n; i++)
                memcpy(out + i * row_bytes, column + i * 4, 4);
            break;
        case 8:
            for (size_t i = 0; i < n; i++)
                memcpy(out + i * row_bytes, column + i * 8, 8);
            break;
        default:
            for (size_t i = 0; i < n; i++)
                memcpy(out + i * row_bytes, column + i * width, width);
    }
}

static int put_rows(const struct bytes *b, const struct row_layout *l, int fd, struct error *err)
{
    const size_t width = data_row_bytes(l->stored, 1), row_bytes = l->stride_bytes,
                 fit = BLOCK_BYTES / row_bytes ? BLOCK_BYTES / row_bytes : 1,
                 block = fit < l->n ? fit : l->n;
    uint8_t *rows = malloc(block * row_bytes);
    int rc = rows ? OK : fail(err, ERR_NO_MEMORY, "%s: out of memory", b->name);
    for (size_t first = 0; !rc && first < l->n; first += block) {
        const size_t n = l->n - first < block ? l->n - first : block;
        for (size_t column = 0; column < l->dim; column++)
            spread(b->at + l->offset + (column * l->n + first) * width, n, width,
                   rows + column * width, row_bytes);
        if (bytes_put(fd, rows, n * row_bytes))
            rc = fail_errno(err, ERR_IO, "%s: cannot store its rows", b->name);
    }
    free(rows);
    return rc;
}

int layout_rows_from_columns(struct bytes *b, struct row_layout *l, const char *scratch_dir,
                             struct error *err)
{
    const int fd = bytes_scratch(scratch_dir);
    if (fd < 0)
        return fail_errno(err, ERR_IO, "%s: cannot make a temporary file in %s", b->name,
                          scratch_dir ? scratch_dir : "memory");
    int rc = put_rows(b, l, fd, err);
    if (!rc)
        rc = bytes_replace(b, fd, err);
    if (rc) {
        close(fd);
        return rc;
    }
    l->offset = 0;
    l->by_columns = false;
    return OK;
}
