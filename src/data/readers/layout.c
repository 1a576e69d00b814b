/* layout.c - shared by readers: checks a header against the size of the file; default elements; rows
 * of an array that is stored column by column (Fortran order), a block of rows at a time. */
#include "src/data/readers/layout.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "src/base/path.h"

bool layout_name_ends(const char *name, const char *suffix)
{
    size_t n = strlen(name), m = strlen(suffix);
    if (path_ends(name, ".gz"))
        n -= 3;
    return n >= m && !strncmp(name + n - m, suffix, m);
}

enum element layout_default_element(enum element stored, const struct file_options *options)
{
    if (stored == ELEMENT_F64 && options->numbers)
        return stored;
    if (stored == ELEMENT_U32 || stored == ELEMENT_U64)
        return ELEMENT_I64;
    return data_element_of(stored)->stored_only || stored == ELEMENT_F64 ? INDEX_F32 : stored;
}

void layout_settle_codes(struct row_layout *l, const struct file_options *options)
{
    if (l->stored != ELEMENT_U64 || l->dim != 1 || options->numbers)
        return;
    l->stored = INDEX_B64;
    l->dim = 64;
}

bool layout_is_wide(const struct file_options *options)
{
    enum element element;
    if (!options->element || !data_element_named(options->element, &element))
        return options->numbers;
    return element == ELEMENT_F64 || element == ELEMENT_I64 || element == ELEMENT_I32;
}

int layout_check_size(const struct bytes *b, const struct row_layout *l, size_t row_bytes,
                      struct error *err)
{
    if (!l->n || !l->dim)
        return fail(err, ERR_CORRUPT,
                    "%s: the header says %zu rows of %zu columns; both must be at least 1", b->name,
                    l->n, l->dim);
    size_t body, total;
    if (!row_bytes || __builtin_mul_overflow(l->n, row_bytes, &body) ||
        __builtin_add_overflow(body, l->offset, &total))
        return fail(
            err, ERR_CORRUPT,
            "%s: the header says %zu rows of %zu columns, which cannot be: the file has %zu bytes",
            b->name, l->n, l->dim, b->size);
    if (total == b->size)
        return OK;
    return fail(err, ERR_CORRUPT, "%s: %s: %zu rows of %zu %s need %zu bytes, the file has %zu",
                b->name, b->size < total ? "truncated" : "extra bytes at the end", l->n, l->dim,
                data_element_name(l->stored), total, b->size);
}

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
    const int rc = bytes_replace(b, fd, put_rows(b, l, fd, err), err);
    if (rc)
        return rc;
    l->offset = 0;
    l->by_columns = false;
    return OK;
}
